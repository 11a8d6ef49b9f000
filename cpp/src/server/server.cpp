#include "simdrive/server.hpp"

#ifndef _WIN32
#include <unistd.h>
#endif

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include "net/listener.hpp"
#include "server/listening.hpp"
#include "server/memory.hpp"
#include "server/reactor.hpp"
#include "server/shared.hpp"
#include "server/status.hpp"
#include "server/store_backend.hpp"

namespace simdrive {
namespace {

using server::Listening;
using server::Metrics;
using server::Reactor;
using server::Shared;
using server::Status;

constexpr std::uint32_t kMostThreads = 256;
constexpr std::uint32_t kDefaultThreads = 8;
// Threads for what waits for a disk: with StoreSync::always, as many writes can share one sync.
constexpr std::size_t kWorkers = 4;
constexpr std::size_t kWaitingWorkers = 16;

long process_id() noexcept {
#ifdef _WIN32
  return 0;  // no fork()
#else
  return static_cast<long>(::getpid());
#endif
}

Error bad(std::string detail) { return {Errc::configuration, std::move(detail)}; }

Result<void> check(const ServerOptions& options) {
  const ServerLimits& limits = options.limits;
  if (options.unix_path.empty() && options.host.empty()) return bad("host is empty: give a name or an address");
  if (options.path.empty() || options.path.front() != '/' || options.path.find('?') != std::string::npos) {
    return bad("path '" + options.path + "' must begin with '/' and have no '?'");
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

std::uint32_t thread_count(const ServerOptions& options) noexcept {
  if (options.threads != 0) return options.threads;
  return std::clamp(std::thread::hardware_concurrency(), 1U, kDefaultThreads);
}

}  // namespace

struct Server::Impl final : Shared {
  Impl(const Store& store, const ServerOptions& options)
      : Shared(backend_of_store, options, store.options().sync == StoreSync::always ? kWaitingWorkers : kWorkers),
        backend_of_store(store),
        started(net::Clock::now()),
        process(process_id()) {
    if (limits.max_unfinished_total == 0) limits.max_unfinished_total = server::machine_memory() / 4;
    gate = {options.path, options.origins, options.unix_path.empty(), options.hosts, options.status};
  }

  ~Impl() { (void)stop(0); }

  Result<void> begin(const ServerOptions& options);
  Result<void> stop(double timeout);
  [[nodiscard]] Status status() const;
  std::string status_json() const override { return server::to_json(status()); }
  void thread_ended();

  server::StoreBackend backend_of_store;
  std::vector<std::unique_ptr<Reactor>> reactors;
  std::unique_ptr<Listening> listening;
  std::string url;
  std::uint16_t port = 0;
  const net::TimePoint started;
  const long process;

  mutable std::mutex mutex;
  mutable std::condition_variable changed;
  std::size_t threads_running = 0;
  bool stopping = false;
  bool stopped = false;
  Result<void> outcome;
};

Result<void> Server::Impl::begin(const ServerOptions& options) {
  Result<net::Listener> listener = options.unix_path.empty() ? net::Listener::tcp(options.host, options.port)
                                                             : net::Listener::unix_path(options.unix_path);
  if (!listener) return std::move(listener).error();
  if (options.unix_path.empty()) {
    port = listener->port();
    url = "ws://" + listener->address() + ":" + std::to_string(port) + options.path;
    const bool loopback = server::is_loopback_host(listener->address());
    if (!loopback && !options.insecure_bind) {
      return bad(options.host +
                 " can be reached from other machines, and clients are not asked who they are: bind to "
                 "127.0.0.1, or set insecure_bind");
    }
    if (!loopback) {
      gate.check_host = false;
      log.write(LogLevel::warning, "insecure", "anybody who reaches " + url + " can read and change the store");
    }
  } else {
    url = "ws+unix://" + options.unix_path;
  }
  for (std::uint32_t i = 0; i < thread_count(options); ++i) {
    Result<std::unique_ptr<Reactor>> reactor = Reactor::make(*this);
    if (!reactor) return std::move(reactor).error();
    reactors.push_back(std::move(reactor).value());
  }
  listening = std::make_unique<Listening>(*this, std::move(listener).value(), reactors);
  if (auto begun = listening->begin(); !begun) return begun;
  log.write(LogLevel::info, "listening", url + ", " + std::to_string(reactors.size()) + " threads");
  // The one with the listener comes last, when all the others are there to be handed connections.
  for (std::size_t i = reactors.size(); i-- > 0;) {
    {
      const std::lock_guard lock(mutex);
      ++threads_running;
    }
    auto run = reactors[i]->start(i == 0 ? listening.get() : nullptr, [this] { thread_ended(); });
    if (!run) {
      thread_ended();
      return run;
    }
  }
  return {};
}

void Server::Impl::thread_ended() {
  // Under the lock: whoever waits may destroy the object as soon as it sees the last one end.
  const std::lock_guard lock(mutex);
  --threads_running;
  changed.notify_all();
}

Result<void> Server::Impl::stop(double timeout) {
  const net::TimePoint deadline = net::after(net::Clock::now(), std::max(timeout, 0.0));
  std::unique_lock lock(mutex);
  if (stopping) {
    changed.wait(lock, [this] { return stopped; });
    return outcome;
  }
  stopping = true;
  draining.store(true, std::memory_order_release);
  for (const auto& reactor : reactors) reactor->wake();
  const bool in_time = changed.wait_until(lock, std::min(deadline, net::Clock::now() + std::chrono::hours(24 * 365)),
                                          [this] { return threads_running == 0; });
  lock.unlock();
  if (!in_time) {
    for (const auto& reactor : reactors) reactor->cut();
  }
  std::size_t cut_off = 0;
  for (const auto& reactor : reactors) {
    reactor->join();
    cut_off += reactor->cut_off();
  }
  workers.stop();
  Result<void> result = backend.flush();
  if (!result && result.error().code == Errc::closed) result = {};  // the store's own end has flushed it
  if (!result) {
    log.write(LogLevel::error, "failed", result.error().detail);
  } else if (cut_off != 0) {
    result = Error{Errc::operation_timeout, "the server stopped, but " + std::to_string(cut_off) +
                                                " connections were cut because they had not ended within the timeout"};
  }
  log.write(LogLevel::info, "stopped", result ? std::string_view("all connections have ended") : result.error().detail);
  lock.lock();
  stopped = true;
  outcome = std::move(result);
  changed.notify_all();
  return outcome;
}

Status Server::Impl::status() const {
  std::vector<const Metrics*> metrics;
  for (const auto& reactor : reactors) metrics.push_back(&reactor->metrics);
  Status out = server::add_up(metrics);
  out.draining = draining.load(std::memory_order_relaxed);
  out.stats.uptime = std::chrono::duration<double>(net::Clock::now() - started).count();
  // 0 for what the store cannot tell: it may be closed by now.
  if (const auto entries = backend.size()) out.stats.entries = *entries;
  if (const auto size = backend.file_size()) out.stats.file_size = *size;
  return out;
}

Result<Server> Server::start(const Store& store, const ServerOptions& options) {
  if (auto checked = check(options); !checked) return std::move(checked).error();
  try {
    auto impl = std::make_unique<Impl>(store, options);
    if (auto begun = impl->begin(options); !begun) return std::move(begun).error();
    return Server(std::move(impl));
  } catch (const std::exception& error) {
    return Error{Errc::out_of_memory, std::string("cannot start the server: ") + error.what()};
  }
}

Server::Server(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Server::Server(Server&&) noexcept = default;

Server& Server::operator=(Server&& other) noexcept {
  std::swap(impl_, other.impl_);
  return *this;
}

Server::~Server() {
  if (!impl_) return;
  if (impl_->process != process_id()) {
    (void)impl_.release();  // after fork(): the threads are the parent's, and what they hold cannot be taken apart
    return;
  }
  (void)stop();
}

std::string Server::url() const { return impl_->url; }
std::uint16_t Server::port() const noexcept { return impl_->port; }
ServerStats Server::stats() const { return impl_->status().stats; }

Result<void> Server::stop(double timeout) {
  if (impl_->process != process_id()) return Error{Errc::closed, "the server belongs to the process that started it"};
  return impl_->stop(timeout);
}

bool Server::wait(double seconds) const {
  if (impl_->process != process_id()) return true;
  const net::TimePoint deadline = net::after(net::Clock::now(), std::max(seconds, 0.0));
  std::unique_lock lock(impl_->mutex);
  return impl_->changed.wait_until(lock, std::min(deadline, net::Clock::now() + std::chrono::hours(24 * 365)),
                                   [this] { return impl_->stopped; });
}

bool Server::running() const noexcept {
  return impl_->process == process_id() && !impl_->draining.load(std::memory_order_relaxed);
}

}  // namespace simdrive
