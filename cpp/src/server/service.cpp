#include "server/service.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <system_error>
#include <thread>
#include <utility>

#include "server/memory.hpp"

namespace simdrive::server {
namespace {

constexpr std::uint32_t kMostThreads = 256;
constexpr std::uint32_t kDefaultThreads = 8;
// Threads for what takes long. A store takes one write at a time, so that a second thread only prepares the next one;
// but where writes wait for a disk, as many as there are can share one sync.
constexpr std::size_t kWriters = 2;
constexpr std::size_t kWaitingWriters = 16;
constexpr std::size_t kReaders = 4;

Error bad(std::string detail) { return {Errc::configuration, std::move(detail)}; }

std::uint32_t thread_count(const ServerOptions& options) noexcept {
  if (options.threads != 0) return options.threads;
  return std::clamp(std::thread::hardware_concurrency(), 1U, kDefaultThreads);
}

// As it is, in the request line of a client.
bool is_path_character(char c) noexcept { return c > 0x20 && c < 0x7f && c != '?' && c != '#'; }

// A deadline that condition variables can take.
net::TimePoint deadline_in(double seconds) noexcept {
  constexpr double kYear = 365.0 * 24 * 3600;
  return net::after(net::Clock::now(), std::clamp(std::isnan(seconds) ? 0 : seconds, 0.0, kYear));
}

}  // namespace

Result<void> check(const ServerOptions& options) {
  const ServerLimits& limits = options.limits;
  if (options.unix_path.empty() && options.host.empty()) return bad("host is empty: give a name or an address");
  if (!options.path.starts_with('/') || !std::all_of(options.path.begin(), options.path.end(), is_path_character)) {
    return bad("path must begin with '/' and have visible ASCII characters only, none of '?' and '#' among them");
  }
  if (options.status && (options.path == "/healthz" || options.path == "/status")) {
    return bad("path '" + options.path + "' is taken by the option `status`");
  }
  if (options.threads > kMostThreads) return bad("threads must be at most " + std::to_string(kMostThreads));
  const std::pair<const char*, double> times[] = {
      {"stall_timeout", limits.stall_timeout},
      {"handshake_timeout", limits.handshake_timeout},
      {"ping_interval", limits.ping_interval},
      {"silence_timeout", limits.silence_timeout},
  };
  for (const auto& [name, value] : times) {
    if (std::isnan(value) || value <= 0) return bad(std::string(name) + " must be above 0 seconds");
  }
  const std::pair<const char*, std::uint64_t> amounts[] = {
      {"max_frame", limits.max_frame},
      {"max_message", limits.max_message},
      {"max_request", limits.max_request},
      {"max_batch_items", limits.max_batch_items},
      {"max_unfinished", limits.max_unfinished},
      {"max_streams", limits.max_streams},
      {"max_early_bytes", limits.max_early_bytes},
      {"max_idle_frames", limits.max_idle_frames},
      {"reply_queue_soft", limits.reply_queue_soft},
      {"reply_queue_hard", limits.reply_queue_hard},
      {"max_connections", limits.max_connections},
      {"max_header_bytes", limits.max_header_bytes},
      {"max_headers", limits.max_headers},
  };
  for (const auto& [name, value] : amounts) {
    if (value == 0) return bad(std::string(name) + " must be above 0");
  }
  if (limits.reply_queue_hard < limits.reply_queue_soft) {
    return bad("reply_queue_hard must not be below reply_queue_soft");
  }
  return {};
}

Service::Service(Backend& store, const ServerOptions& options)
    : Shared(store, options, store.writes_may_wait() ? kWaitingWriters : kWriters, kReaders),
      started_(net::Clock::now()) {
  if (limits.max_unfinished_total == 0) limits.max_unfinished_total = machine_memory() / 4;
  gate = {options.path, options.origins, options.unix_path.empty(), options.hosts, options.status};
}

Service::~Service() { (void)stop(0); }

Result<net::Listener> Service::listen(const ServerOptions& options) {
  Result<net::Listener> listener = options.unix_path.empty() ? net::Listener::tcp(options.host, options.port)
                                                             : net::Listener::unix_path(options.unix_path);
  if (!listener) return listener;
  if (options.unix_path.empty()) {
    port_ = listener->port();
    url_ = "ws://" + listener->address() + ":" + std::to_string(port_) + options.path;
    const bool loopback = is_loopback_host(listener->address());
    if (!loopback && !options.insecure_bind) {
      return bad(options.host +
                 " can be reached from other machines, and clients are not asked who they are: bind to "
                 "127.0.0.1, or set insecure_bind");
    }
    if (!loopback) {
      gate.check_host = false;
      log.write(LogLevel::warning, "insecure", "anybody who reaches " + url_ + " can read and change the store");
    }
  } else {
    std::error_code failed;
    const std::filesystem::path absolute = std::filesystem::absolute(options.unix_path, failed);
    url_ = net::unix_url(failed ? options.unix_path : absolute.string());
  }
  return listener;
}

Result<void> Service::start(const ServerOptions& options) {
  Result<net::Listener> listener = listen(options);
  if (!listener) return std::move(listener).error();
  for (std::uint32_t i = 0; i < thread_count(options); ++i) {
    Result<std::unique_ptr<Reactor>> reactor = Reactor::make(*this);
    if (!reactor) return std::move(reactor).error();
    reactors_.push_back(std::move(reactor).value());
  }
  listening_ = std::make_unique<Listening>(*this, std::move(listener).value(), reactors_);
  if (auto begun = listening_->begin(); !begun) return begun;
  log.write(LogLevel::info, "listening", url_ + ", " + std::to_string(reactors_.size()) + " threads");
  // The one with the listener comes last, when all the others are there to be handed connections.
  for (std::size_t i = reactors_.size(); i-- > 0;) {
    {
      const std::lock_guard lock(mutex_);
      ++threads_running_;
    }
    auto run = reactors_[i]->start(i == 0 ? listening_.get() : nullptr, [this] { thread_ended(); });
    if (!run) {
      thread_ended();
      return run;
    }
  }
  was_started_ = true;
  return {};
}

void Service::thread_ended() noexcept {
  // Under the lock: whoever waits may destroy the object as soon as it sees the last one end.
  const std::lock_guard lock(mutex_);
  --threads_running_;
  changed_.notify_all();
}

Result<void> Service::stop(double timeout) {
  if (log.called_by_this_thread()) {
    return bad(
        "stop() was called by the server's own log function, for which it would wait: call it on another thread");
  }
  std::unique_lock lock(mutex_);
  stop_at_ = std::min(stop_at_, deadline_in(timeout));  // whoever is in the greatest hurry counts
  if (stopping_) {
    changed_.notify_all();
    changed_.wait(lock, [this] { return stopped_; });
    return outcome_;
  }
  stopping_ = true;
  draining.store(true, std::memory_order_release);
  for (const auto& reactor : reactors_) reactor->wake();
  while (threads_running_ != 0 && net::Clock::now() < stop_at_) {
    const net::TimePoint until = stop_at_;  // another stop() may change it meanwhile
    (void)changed_.wait_until(lock, until);
  }
  const bool in_time = threads_running_ == 0;
  lock.unlock();
  if (!in_time) {
    for (const auto& reactor : reactors_) reactor->cut();
  }
  std::size_t cut_off = 0;
  for (const auto& reactor : reactors_) {
    reactor->join();
    cut_off += reactor->cut_off();
  }
  writers.stop();
  readers.stop();
  for (const auto& reactor : reactors_) reactor->spare_payloads.reset();  // they keep the store's file open
  Result<void> result;
  if (was_started_) result = backend.flush();
  if (!result && result.error().code == Errc::closed) result = {};  // closing the store has flushed it
  if (!result) {
    log.write(LogLevel::error, "failed", result.error().detail);
  } else if (cut_off != 0) {
    result = Error{Errc::operation_timeout, "the server stopped, but " + std::to_string(cut_off) +
                                                " connections were cut whose requests had not been carried out and "
                                                "answered within the timeout"};
  }
  if (was_started_)
    log.write(LogLevel::info, "stopped",
              result ? std::string_view("all connections have ended") : result.error().detail);
  lock.lock();
  stopped_ = true;
  outcome_ = std::move(result);
  changed_.notify_all();
  return outcome_;
}

Status Service::status() const {
  std::vector<const Metrics*> metrics;
  metrics.reserve(reactors_.size());
  for (const auto& reactor : reactors_) metrics.push_back(&reactor->metrics);
  Status out = add_up(metrics);
  out.draining = draining.load(std::memory_order_relaxed);
  out.stats.uptime = std::chrono::duration<double>(net::Clock::now() - started_).count();
  if (const auto entries = backend.size()) out.stats.entries = *entries;  // else the store is closed
  out.stats.file_size = backend.tail();
  return out;
}

bool Service::wait(double seconds) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_until(lock, deadline_in(seconds), [this] { return stopped_; });
}

}  // namespace simdrive::server
