#if defined(__linux__) && !defined(SIMDRIVE_POLLER_POLL)

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "net/poller.hpp"
#include "net/socket_os.hpp"

namespace simdrive::net {

namespace {

constexpr std::size_t kMost = 256;  // in one wait(); the rest comes with the next

epoll_event event_of(void* tag, bool read, bool write) noexcept {
  epoll_event e{};
  e.events = (read ? std::uint32_t{EPOLLIN} : 0U) | (write ? std::uint32_t{EPOLLOUT} : 0U);
  e.data.ptr = tag;
  return e;
}

}  // namespace

struct Poller::Impl {
  ~Impl() {
    if (timer >= 0) (void)::close(timer);
    if (fd >= 0) (void)::close(fd);
  }

  /// To fire at `until`. The system keeps it from one wait to the next, where a timeout would be set up for each.
  bool set_timer(TimePoint until) noexcept {
    if (until == timer_at) return true;
    const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(until.time_since_epoch()).count();
    const itimerspec spec{{}, {ns / 1'000'000'000, ns % 1'000'000'000}};
    if (::timerfd_settime(timer, TFD_TIMER_ABSTIME, &spec, nullptr) != 0) return false;
    timer_at = until;
    return true;
  }

  void timer_fired() noexcept {
    std::uint64_t times = 0;
    const ssize_t n = ::read(timer, &times, sizeof times);
    (void)n;  // fired or not: it is set anew
    timer_at = {};
  }

  int timer = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  TimePoint timer_at{};
  int fd = ::epoll_create1(EPOLL_CLOEXEC);
  WakeUp wake_up;
};

Poller::Poller(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Poller::~Poller() = default;

Result<std::unique_ptr<Poller>> Poller::make() {
  auto impl = std::make_unique<Impl>();
  epoll_event e = event_of(nullptr, true, false);
  epoll_event t = event_of(impl.get(), true, false);
  if (impl->fd < 0 || impl->wake_up.fd() < 0 || ::epoll_ctl(impl->fd, EPOLL_CTL_ADD, impl->wake_up.fd(), &e) != 0 ||
      impl->timer < 0 || ::epoll_ctl(impl->fd, EPOLL_CTL_ADD, impl->timer, &t) != 0) {
    return poller_failed(last_error_code());
  }
  return std::unique_ptr<Poller>(new Poller(std::move(impl)));
}

Result<void> Poller::add(SocketHandle fd, void* tag, bool read, bool write) {
  epoll_event e = event_of(tag, read, write);
  if (::epoll_ctl(impl_->fd, EPOLL_CTL_ADD, fd, &e) != 0) return not_added(last_error_code());
  return {};
}

void Poller::change(SocketHandle fd, void* tag, bool read, bool write) noexcept {
  epoll_event e = event_of(tag, read, write);
  (void)::epoll_ctl(impl_->fd, EPOLL_CTL_MOD, fd, &e);
}

void Poller::remove(SocketHandle fd) noexcept {
  epoll_event e{};
  (void)::epoll_ctl(impl_->fd, EPOLL_CTL_DEL, fd, &e);
}

std::span<Poller::Ready> Poller::wait(std::span<Ready> ready, TimePoint until, TimePoint now) noexcept {
  std::array<epoll_event, kMost> events;  // filled as far as it is read
  const int most = static_cast<int>(std::min(kMost, ready.size()));
  int ms = -1;
  if (until != TimePoint::max() && (until <= now || !impl_->set_timer(until))) ms = poll_ms(until, now);
  const int n = ::epoll_wait(impl_->fd, events.data(), most, ms);
  std::size_t filled = 0;
  for (int i = 0; i < n; ++i) {
    const epoll_event& e = events[static_cast<std::size_t>(i)];
    if (!e.data.ptr) {
      impl_->wake_up.drain();
      continue;
    }
    if (e.data.ptr == impl_.get()) {
      impl_->timer_fired();
      continue;
    }
    const bool broken = (e.events & (EPOLLERR | EPOLLHUP)) != 0;
    ready[filled++] = {e.data.ptr, broken || (e.events & EPOLLIN) != 0, broken || (e.events & EPOLLOUT) != 0, broken};
  }
  return ready.first(filled);
}

void Poller::wake() noexcept { impl_->wake_up.signal(); }

}  // namespace simdrive::net

#endif
