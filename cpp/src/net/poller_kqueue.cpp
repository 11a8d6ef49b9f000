#if (defined(__APPLE__) || defined(__FreeBSD__) || defined(__NetBSD__) || defined(__OpenBSD__) || \
     defined(__DragonFly__)) &&                                                                   \
    !defined(SIMDRIVE_POLLER_POLL)

#include <fcntl.h>
#include <sys/event.h>
#include <sys/time.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "net/poller.hpp"
#include "net/socket_os.hpp"

namespace simdrive::net {

namespace {

constexpr std::size_t kMost = 256;  // in one wait(); the rest comes with the next

struct kevent change_of(int fd, int filter, int flags, void* tag) noexcept {
  struct kevent e{};
  // The types of its members differ from system to system.
  e.ident = static_cast<decltype(e.ident)>(fd);
  e.filter = static_cast<decltype(e.filter)>(filter);
  e.flags = static_cast<decltype(e.flags)>(flags);
  e.udata = reinterpret_cast<decltype(e.udata)>(tag);
  return e;
}

int flag(bool on) noexcept { return on ? EV_ENABLE : EV_DISABLE; }

}  // namespace

struct Poller::Impl {
  Impl() {
    if (fd >= 0) (void)::fcntl(fd, F_SETFD, FD_CLOEXEC);
  }
  ~Impl() {
    if (fd >= 0) (void)::close(fd);
  }

  /// What is not asked for is disabled, or not there at all: a listening socket has nothing to write. 0, or the error.
  int apply(int socket, void* tag, int read, int write, bool with_write) const noexcept {
    const std::array<struct kevent, 2> changes = {change_of(socket, EVFILT_READ, read, tag),
                                                  change_of(socket, EVFILT_WRITE, write, tag)};
    return ::kevent(fd, changes.data(), with_write ? 2 : 1, nullptr, 0, nullptr) < 0 ? errno : 0;
  }

  int fd = ::kqueue();
  WakeUp wake_up;
};

Poller::Poller(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Poller::~Poller() = default;

Result<std::unique_ptr<Poller>> Poller::make() {
  auto impl = std::make_unique<Impl>();
  if (impl->fd < 0 || impl->wake_up.fd() < 0) return poller_failed(last_error_code());
  const struct kevent e = change_of(impl->wake_up.fd(), EVFILT_READ, EV_ADD, nullptr);
  if (::kevent(impl->fd, &e, 1, nullptr, 0, nullptr) < 0) return poller_failed(last_error_code());
  return std::unique_ptr<Poller>(new Poller(std::move(impl)));
}

Result<void> Poller::add(SocketHandle fd, void* tag, bool read, bool write) {
  if (const int e = impl_->apply(fd, tag, EV_ADD | flag(read), EV_ADD | flag(write), write); e != 0)
    return not_added(e);
  return {};
}

void Poller::change(SocketHandle fd, void* tag, bool read, bool write) noexcept {
  (void)impl_->apply(fd, tag, EV_ADD | flag(read), EV_ADD | flag(write), true);
}

void Poller::remove(SocketHandle fd) noexcept { (void)impl_->apply(fd, nullptr, EV_DELETE, EV_DELETE, true); }

std::span<Poller::Ready> Poller::wait(std::span<Ready> ready, TimePoint until, TimePoint now) noexcept {
  std::array<struct kevent, kMost> events;
  const int most = static_cast<int>(std::min(kMost, ready.size()));
  const int ms = poll_ms(until, now);
  const timespec time{ms / 1000, (ms % 1000) * 1'000'000L};
  const int n = ::kevent(impl_->fd, nullptr, 0, events.data(), most, &time);
  std::size_t filled = 0;
  for (int i = 0; i < n; ++i) {
    const struct kevent& e = events[static_cast<std::size_t>(i)];
    void* const tag = reinterpret_cast<void*>(e.udata);
    if (!tag) {
      impl_->wake_up.drain();
      continue;
    }
    const bool write = e.filter == EVFILT_WRITE;
    // The end of what is written to: the peer takes nothing any more. Of what is read: it may only have said its last,
    // unless there is an error with it.
    const bool broken = (e.flags & EV_ERROR) != 0 || ((e.flags & EV_EOF) != 0 && (write || e.fflags != 0));
    ready[filled++] = {tag, broken || !write, broken || write, broken};
  }
  return ready.first(filled);
}

void Poller::wake() noexcept { impl_->wake_up.signal(); }

}  // namespace simdrive::net

#endif
