#include "server/listening.hpp"

#ifndef _WIN32
#include <sys/resource.h>
#endif

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <utility>

namespace simdrive::server {
namespace {

constexpr std::chrono::milliseconds kFirstWait{10};
constexpr std::chrono::milliseconds kLongestWait{1000};
// Connections taken at once: the others of the thread wait meanwhile.
constexpr int kAtOnce = 64;
// Those that are one too many are told so, as long as there are not too many of them.
constexpr std::uint32_t kRefusedAtOnce = 64;
// The others are logged together, at most so often.
constexpr std::chrono::seconds kLogDropped{1};

#ifdef _WIN32
// Handles have no limit of their own, and their numbers say nothing.
bool descriptors_scarce(net::SocketHandle /*newest*/, std::uint64_t /*reserve*/) noexcept { return false; }
#else
// Descriptors are given out from the lowest number on: the newest tells how many there are.
bool descriptors_scarce(net::SocketHandle newest, std::uint64_t reserve) noexcept {
  return static_cast<std::uint64_t>(newest) + 1 + reserve > descriptor_limit();
}
#endif

}  // namespace

std::uint64_t descriptor_limit() noexcept {
#ifndef _WIN32
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) return limit.rlim_cur;
#endif
  return std::numeric_limits<std::uint64_t>::max();
}

Result<void> Listening::begin() {
  auto added = reactors_.front()->poller().add(listener_.fd(), static_cast<Acceptor*>(this), true, false);
  open_ = added.ok();
  return added;
}

void Listening::accept(net::TimePoint now) {
  const std::uint32_t most = shared_.limits.max_connections;
  for (int i = 0; open_ && i < kAtOnce; ++i) {
    Result<std::optional<net::Accepted>> next = listener_.accept();
    if (!next) return pause(now, next.error().detail);
    if (!next->has_value()) return;
    net::Accepted& accepted = **next;
    const bool scarce = descriptors_scarce(accepted.socket.fd(), shared_.limits.reserved_descriptors);
    const std::uint32_t open = shared_.connections.fetch_add(1, std::memory_order_relaxed);
    if (open >= std::uint64_t{most} + kRefusedAtOnce) {
      shared_.connections.fetch_sub(1, std::memory_order_relaxed);
      drop(now);
      continue;
    }
    const NoRoom no_room = open >= most ? NoRoom::connections : scarce ? NoRoom::descriptors : NoRoom::none;
    reactors_[next_++ % reactors_.size()]->take(std::move(accepted), no_room);
    if (scarce) return pause(now, "no more than reserved_descriptors are left");
    wait_ = {};
  }
}

void Listening::drop(net::TimePoint now) {
  Metrics& metrics = reactors_.front()->metrics;
  metrics.refused.add();
  metrics.breaches[static_cast<std::size_t>(Limit::connections)].add();
  ++dropped_;
  log_dropped(now);
}

void Listening::log_dropped(net::TimePoint now) {
  if (dropped_ == 0 || now < log_dropped_at_) return;
  log_dropped_at_ = now + kLogDropped;
  shared_.log.write(LogLevel::warning, "limit",
                    "connections: " + std::to_string(std::exchange(dropped_, 0)) +
                        " closed without an answer, since there are far more than max_connections");
}

void Listening::pause(net::TimePoint now, const std::string& why) {
  if (wait_.count() == 0) {
    shared_.log.write(LogLevel::warning, "limit", "descriptors: accepting pauses: " + why);
  }
  reactors_.front()->metrics.breaches[static_cast<std::size_t>(Limit::descriptors)].add();
  wait_ = std::clamp(wait_ * 2, kFirstWait, kLongestWait);
  resume_ = now + wait_;
  reactors_.front()->poller().remove(listener_.fd());
}

net::TimePoint Listening::tick(net::TimePoint now) {
  if (open_ && now >= resume_) {
    resume_ = net::TimePoint::max();
    if (!reactors_.front()->poller().add(listener_.fd(), static_cast<Acceptor*>(this), true, false)) {
      resume_ = now + kLongestWait;
    }
  }
  log_dropped(now);
  return dropped_ == 0 ? resume_ : std::min(resume_, log_dropped_at_);
}

void Listening::stop() noexcept {
  if (!open_) return;
  open_ = false;
  if (resume_ == net::TimePoint::max()) reactors_.front()->poller().remove(listener_.fd());
  resume_ = net::TimePoint::max();  // nothing is resumed any more
  listener_.close();
}

}  // namespace simdrive::server
