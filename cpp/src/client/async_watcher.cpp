#include "simdrive/async_watcher.hpp"

#include <array>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <new>
#include <span>
#include <unordered_map>
#include <utility>

#include "client/process.hpp"
#include "net/poller.hpp"

namespace simdrive {

using net::Clock;
using net::kNoSocket;
using net::Poller;
using net::SocketHandle;
using net::TimePoint;

namespace {

constexpr std::size_t kMostAtOnce = 256;
constexpr std::chrono::milliseconds kTryAgain{100};  // to watch what the system had no room for
constexpr std::chrono::seconds kPatience{5};         // with a thread that only has to wake up

struct Watched {
  // What is to be watched; only a client that is `wanted` is.
  SocketHandle socket = kNoSocket;
  SocketHandle wake_up = kNoSocket;
  bool writable = false;
  bool wanted = false;
  bool gone = false;
  // What the poller has.
  SocketHandle polled_socket = kNoSocket;
  SocketHandle polled_wake_up = kNoSocket;

  bool queued = false;  // for the thread in wait() to change it
  std::uint64_t number = 0;
};

}  // namespace

// The poller is changed by whoever has the mutex, but while a thread sleeps in it by that thread alone: the others
// queue what they want changed, and wake it.
struct AsyncWatcher::Impl final : client::ForkAware {
  explicit Impl(std::unique_ptr<Poller> p) : poller(std::move(p)) { client::register_fork_aware(*this); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() { client::unregister_fork_aware(*this); }

  // Only memory and descriptors: what an epoll has is shared with the parent, and not to be changed.
  void after_fork_in_child() noexcept override {
    ::new (&mutex) std::mutex;
    ::new (&changed) std::condition_variable;
    ::new (&all) std::unordered_map<std::uint64_t, Watched>;
    ::new (&queue) std::vector<std::uint64_t>;
    asleep = false;
  }

  /// Has the change made: at once, or by the thread that sleeps.
  void change(Watched& w) noexcept {
    if (!w.queued) {
      w.queued = true;
      queue.push_back(w.number);  // add() made room
    }
    if (asleep) {
      poller->wake();
    } else {
      apply_all();
    }
  }

  void take_out(Watched& w) noexcept {
    if (w.polled_socket != kNoSocket) poller->remove(std::exchange(w.polled_socket, kNoSocket));
    if (w.polled_wake_up != kNoSocket) poller->remove(std::exchange(w.polled_wake_up, kNoSocket));
  }

  bool put_in(Watched& w) {
    if (!poller->add(w.wake_up, &w, true, false)) return false;
    w.polled_wake_up = w.wake_up;
    if (w.socket == kNoSocket) return true;
    if (!poller->add(w.socket, &w, true, w.writable)) return false;
    w.polled_socket = w.socket;
    return true;
  }

  /// May end `w`.
  void apply(Watched& w) noexcept {
    take_out(w);
    if (w.gone) {
      all.erase(w.number);
      return;
    }
    if (!w.wanted) return;
    bool good = false;
    try {
      good = put_in(w);
    } catch (const std::bad_alloc&) {
      good = false;
    }
    if (good) return;
    take_out(w);
    w.queued = true;
    queue.push_back(w.number);
  }

  void apply_all() noexcept {
    if (queue.empty()) return;
    const std::size_t count = queue.size();
    for (std::size_t i = 0; i < count; ++i) {  // what fails comes behind these
      const auto found = all.find(queue[i]);
      if (found == all.end()) continue;
      found->second.queued = false;
      apply(found->second);
    }
    queue.erase(queue.begin(), queue.begin() + static_cast<std::ptrdiff_t>(count));
    changed.notify_all();
  }

  void wait(std::vector<std::uint64_t>& due) {
    std::array<Poller::Ready, kMostAtOnce> room;
    due.clear();
    std::unique_lock lock(mutex);
    due.reserve(kMostAtOnce);
    apply_all();
    while (due.empty() && !all.empty()) {
      const TimePoint until = queue.empty() ? TimePoint::max() : Clock::now() + kTryAgain;
      asleep = true;
      lock.unlock();
      const std::span<Poller::Ready> ready = poller->wait(room, until);
      lock.lock();
      asleep = false;
      for (const Poller::Ready& r : ready) {
        Watched& w = *static_cast<Watched*>(r.tag);
        if (w.polled_wake_up == kNoSocket || w.gone) continue;  // its other descriptor was ready, too
        take_out(w);
        w.wanted = false;
        due.push_back(w.number);
      }
      apply_all();
    }
  }

  std::unique_ptr<Poller> poller;
  mutable std::mutex mutex;
  std::condition_variable changed;  // the queue was worked off
  std::unordered_map<std::uint64_t, Watched> all;
  std::vector<std::uint64_t> queue;  // numbers, each once
  bool asleep = false;
};

AsyncWatcher::AsyncWatcher(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
AsyncWatcher::~AsyncWatcher() = default;

Result<std::unique_ptr<AsyncWatcher>> AsyncWatcher::make() {
  auto poller = Poller::make();
  if (!poller) {
    Error e = std::move(poller).error();
    e.code = Errc::connect_failed;
    return e;
  }
  return std::unique_ptr<AsyncWatcher>(new AsyncWatcher(std::make_unique<Impl>(std::move(poller).value())));
}

void AsyncWatcher::add(std::uint64_t client) {
  const std::lock_guard lock(impl_->mutex);
  impl_->queue.reserve(2 * (impl_->all.size() + 1));
  impl_->all[client].number = client;
}

void AsyncWatcher::watch(std::uint64_t client, const AsyncWatch& wanted, std::int64_t wake_up) {
  const std::lock_guard lock(impl_->mutex);
  const auto found = impl_->all.find(client);
  if (found == impl_->all.end()) return;
  Watched& w = found->second;
  w.socket = static_cast<SocketHandle>(wanted.socket);
  w.wake_up = static_cast<SocketHandle>(wake_up);
  w.writable = wanted.writable;
  w.wanted = true;
  impl_->change(w);
}

void AsyncWatcher::forget(std::uint64_t client) noexcept {
  std::unique_lock lock(impl_->mutex);
  const auto found = impl_->all.find(client);
  if (found == impl_->all.end()) return;
  found->second.gone = true;
  impl_->change(found->second);
  impl_->changed.wait_for(lock, kPatience, [&] { return !impl_->all.contains(client); });
}

bool AsyncWatcher::empty() const noexcept {
  const std::lock_guard lock(impl_->mutex);
  return impl_->all.empty();
}

void AsyncWatcher::wait(std::vector<std::uint64_t>& due) { impl_->wait(due); }

}  // namespace simdrive
