// For systems that have nothing better; all sockets are looked at in each wait.
#if defined(SIMDRIVE_POLLER_POLL) || !(defined(__linux__) || defined(__APPLE__) || defined(__FreeBSD__) || \
                                       defined(__NetBSD__) || defined(__OpenBSD__) || defined(__DragonFly__))

#ifndef _WIN32
#include <poll.h>
#endif

#include <algorithm>
#include <unordered_map>
#include <utility>
#include <vector>

#include "net/poller.hpp"
#include "net/socket_os.hpp"

namespace simdrive::net {

namespace {

#ifdef _WIN32
using PollEntry = WSAPOLLFD;
constexpr int kRead = POLLRDNORM;
constexpr int kWrite = POLLWRNORM;
constexpr bool kHangUpIsBroken = false;  // said of a peer that has only finished its own side
int poll_all(std::vector<PollEntry>& all, int ms) noexcept {
  return ::WSAPoll(all.data(), static_cast<ULONG>(all.size()), ms);
}
#else
using PollEntry = pollfd;
constexpr int kRead = POLLIN;
constexpr int kWrite = POLLOUT;
constexpr bool kHangUpIsBroken = true;
int poll_all(std::vector<PollEntry>& all, int ms) noexcept {
  return ::poll(all.data(), static_cast<nfds_t>(all.size()), ms);
}
#endif

using Mask = decltype(PollEntry::events);

PollEntry entry(SocketHandle fd, bool read, bool write) noexcept {
  PollEntry e{};
  e.fd = fd;
  e.events = static_cast<Mask>((read ? kRead : 0) | (write ? kWrite : 0));
  return e;
}

}  // namespace

struct Poller::Impl {
  WakeUp wake_up;
  std::vector<PollEntry> entries{entry(wake_up.fd(), true, false)};
  std::vector<void*> tags{nullptr};
  std::unordered_map<SocketHandle, std::size_t> places;
  std::size_t next = 0;  // where wait() goes on looking, so that none is passed over for ever
};

Poller::Poller(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Poller::~Poller() = default;

Result<std::unique_ptr<Poller>> Poller::make() {
  start_sockets();
  auto impl = std::make_unique<Impl>();
  if (impl->wake_up.fd() == kNoSocket) return poller_failed(last_error_code());
  return std::unique_ptr<Poller>(new Poller(std::move(impl)));
}

Result<void> Poller::add(SocketHandle fd, void* tag, bool read, bool write) {
  impl_->places[fd] = impl_->entries.size();
  impl_->entries.push_back(entry(fd, read, write));
  impl_->tags.push_back(tag);
  return {};
}

void Poller::change(SocketHandle fd, void* tag, bool read, bool write) noexcept {
  const auto place = impl_->places.find(fd);
  if (place == impl_->places.end()) return;
  impl_->entries[place->second] = entry(fd, read, write);
  impl_->tags[place->second] = tag;
}

void Poller::remove(SocketHandle fd) noexcept {
  const auto place = impl_->places.find(fd);
  if (place == impl_->places.end()) return;
  const std::size_t at = place->second;
  impl_->places.erase(place);
  if (at + 1 != impl_->entries.size()) {
    impl_->entries[at] = impl_->entries.back();
    impl_->tags[at] = impl_->tags.back();
    impl_->places[impl_->entries[at].fd] = at;
  }
  impl_->entries.pop_back();
  impl_->tags.pop_back();
}

std::span<Poller::Ready> Poller::wait(std::span<Ready> ready, TimePoint until, TimePoint now) noexcept {
  std::vector<PollEntry>& entries = impl_->entries;
  if (poll_all(entries, poll_ms(until, now)) <= 0) return ready.first(0);
  if (entries[0].revents != 0) impl_->wake_up.drain();
  std::size_t filled = 0;
  const std::size_t others = entries.size() - 1;
  for (std::size_t i = 0; i < others && filled < ready.size(); ++i) {
    const std::size_t at = 1 + (impl_->next + i) % others;
    const int got = entries[at].revents;
    if (got == 0) continue;
    const bool hung_up = (got & POLLHUP) != 0;
    const bool broken = (got & (POLLERR | POLLNVAL)) != 0 || (hung_up && kHangUpIsBroken);
    ready[filled++] = {impl_->tags[at], broken || hung_up || (got & kRead) != 0, broken || (got & kWrite) != 0, broken};
    if (filled == ready.size()) impl_->next = at % others;
  }
  return ready.first(filled);
}

void Poller::wake() noexcept { impl_->wake_up.signal(); }

}  // namespace simdrive::net

#endif
