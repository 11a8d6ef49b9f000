#include "net/socket.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/eventfd.h>
#endif

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace simdrive::net {

namespace {

#ifdef MSG_NOSIGNAL
constexpr int kSendFlags = MSG_NOSIGNAL;
#else
constexpr int kSendFlags = 0;
#endif

IoResult from_errno() noexcept {
  const int e = errno;
  if (e == EAGAIN || e == EWOULDBLOCK || e == EINTR) return {IoStatus::would_block, 0, 0};
  return {IoStatus::failed, 0, e};
}

msghdr message(std::span<const iovec> pieces) noexcept {
  msghdr m{};
  m.msg_iov = const_cast<iovec*>(pieces.data());
  m.msg_iovlen = static_cast<decltype(m.msg_iovlen)>(pieces.size());
  return m;
}

std::string errno_text(int e) { return std::generic_category().message(e); }

int poll_ms(TimePoint until) noexcept {
  const auto left = until - Clock::now();
  if (left <= Clock::duration::zero()) return 0;
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
  return static_cast<int>(std::min<std::int64_t>(ms, 3'600'000));
}

Error interrupted() { return {Errc::interrupted, "connecting was interrupted"}; }

struct AddressListDeleter {
  void operator()(addrinfo* p) const noexcept { ::freeaddrinfo(p); }
};
using AddressList = std::unique_ptr<addrinfo, AddressListDeleter>;

struct Lookup {
  std::mutex mutex;
  std::condition_variable ready;
  bool done = false;
  int code = 0;
  AddressList list;
};

int look_up(const std::string& host, std::uint16_t port, int flags, AddressList& out) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | flags;
  addrinfo* list = nullptr;
  const int code = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
  if (code == 0) out.reset(list);
  return code;
}

// The resolver has no deadline of its own, so names are looked up on a thread that may be left behind.
Result<AddressList> resolve(const std::string& host, std::uint16_t port, TimePoint deadline, const StopRequest& stop) {
  AddressList numeric;
  if (look_up(host, port, AI_NUMERICHOST, numeric) == 0) return numeric;
  auto state = std::make_shared<Lookup>();
  try {
    std::thread([state, host, port] {
      AddressList list;
      const int code = look_up(host, port, 0, list);
      const std::lock_guard lock(state->mutex);
      state->list = std::move(list);
      state->code = code;
      state->done = true;
      state->ready.notify_one();
    }).detach();
  } catch (const std::system_error& e) {
    return Error{Errc::connect_failed, std::string("no thread for the name look-up: ") + e.what()};
  }
  std::unique_lock lock(state->mutex);
  while (!state->done) {
    const TimePoint now = Clock::now();
    if (now >= deadline) return Error{Errc::connect_timeout, "the look-up of the host name took too long"};
    state->ready.wait_until(lock, std::min(deadline, now + kStopSlice));
    if (!state->done && stop && stop()) return interrupted();
  }
  if (state->code != 0) return Error{Errc::connect_failed, ::gai_strerror(state->code)};
  return std::move(state->list);
}

bool prepare(int fd) noexcept {
  const int one = 1;
  (void)::fcntl(fd, F_SETFD, FD_CLOEXEC);
#ifdef SO_NOSIGPIPE
  (void)::setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &one, sizeof one);
#endif
  (void)::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  const int flags = ::fcntl(fd, F_GETFL);
  return flags >= 0 && ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

Result<Socket> connect_one(const addrinfo& address, TimePoint deadline, const StopRequest& stop) {
  Socket s(::socket(address.ai_family, address.ai_socktype, address.ai_protocol));
  if (s.fd() < 0 || !prepare(s.fd())) return Error{Errc::connect_failed, errno_text(errno)};
  if (::connect(s.fd(), address.ai_addr, address.ai_addrlen) == 0) return s;
  if (errno != EINPROGRESS && errno != EINTR) return Error{Errc::connect_failed, errno_text(errno)};
  while (!wait(s.fd(), true, nullptr, std::min(deadline, Clock::now() + kStopSlice)).writable) {
    if (Clock::now() >= deadline) return Error{Errc::connect_timeout, "no answer to the TCP connect"};
    if (stop && stop()) return interrupted();
  }
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(s.fd(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error != 0) return Error{Errc::connect_failed, errno_text(error)};
  return s;
}

}  // namespace

TimePoint after(TimePoint start, double seconds) noexcept {
  constexpr double kFar = 1e9;
  if (!(seconds < kFar)) return TimePoint::max();
  return start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(std::max(seconds, 0.0)));
}

Socket& Socket::operator=(Socket&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

IoResult Socket::receive(std::span<iovec> pieces) noexcept {
  ssize_t n;
  if (pieces.size() == 1) {
    n = ::recv(fd_, pieces[0].iov_base, pieces[0].iov_len, 0);
  } else {
    msghdr m = message(pieces);
    n = ::recvmsg(fd_, &m, 0);
  }
  if (n > 0) return {IoStatus::ok, static_cast<std::size_t>(n), 0};
  if (n == 0) return {IoStatus::end, 0, 0};
  return from_errno();
}

IoResult Socket::send(std::span<const iovec> pieces) noexcept {
  const msghdr m = message(pieces);
  const ssize_t n = ::sendmsg(fd_, &m, kSendFlags);
  if (n >= 0) return {IoStatus::ok, static_cast<std::size_t>(n), 0};
  return from_errno();
}

void Socket::quick_ack() noexcept {
#ifdef TCP_QUICKACK
  const int one = 1;
  (void)::setsockopt(fd_, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof one);
#endif
}

void Socket::shutdown() noexcept {
  if (fd_ >= 0) (void)::shutdown(fd_, SHUT_RDWR);
}

void Socket::finish() noexcept {
  constexpr int kRounds = 64;
  (void)::shutdown(fd_, SHUT_WR);
  char scratch[16384];
  for (int i = 0; i < kRounds && ::recv(fd_, scratch, sizeof scratch, MSG_DONTWAIT) > 0; ++i) {
  }
}

void Socket::close() noexcept {
  if (fd_ >= 0) (void)::close(std::exchange(fd_, -1));
}

WakeUp::WakeUp() {
#ifdef __linux__
  read_fd_ = write_fd_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
#else
  int fds[2];
  if (::pipe(fds) == 0) {
    for (const int fd : fds) {
      (void)::fcntl(fd, F_SETFL, O_NONBLOCK);
      (void)::fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
    read_fd_ = fds[0];
    write_fd_ = fds[1];
  }
#endif
}

WakeUp::~WakeUp() {
  if (write_fd_ >= 0 && write_fd_ != read_fd_) (void)::close(write_fd_);
  if (read_fd_ >= 0) (void)::close(read_fd_);
}

void WakeUp::signal() noexcept {
  const std::uint64_t one = 1;
  const ssize_t n = ::write(write_fd_, &one, sizeof one);
  (void)n;  // full: it will wake all the same
}

void WakeUp::drain() noexcept {
  std::uint64_t scratch[8];
  const ssize_t n = ::read(read_fd_, scratch, sizeof scratch);
  (void)n;
}

PollResult wait(int fd, bool want_write, const WakeUp* wake_up, TimePoint until) noexcept {
  pollfd fds[2] = {{fd, static_cast<short>(want_write ? POLLIN | POLLOUT : POLLIN), 0},
                   {wake_up ? wake_up->fd() : -1, POLLIN, 0}};
  const int n = ::poll(fds, wake_up ? 2 : 1, poll_ms(until));
  PollResult r;
  if (n < 0) {
    r.interrupted = errno == EINTR;
    return r;
  }
  const short bad = POLLERR | POLLHUP | POLLNVAL;
  r.readable = (fds[0].revents & (POLLIN | bad)) != 0;
  r.writable = want_write && (fds[0].revents & (POLLOUT | bad)) != 0;
  r.woken = (fds[1].revents & POLLIN) != 0;
  return r;
}

Result<Socket> connect_tcp(const std::string& host, std::uint16_t port, TimePoint deadline, const StopRequest& stop) {
  auto addresses = resolve(host, port, deadline, stop);
  if (!addresses) return std::move(addresses).error();
  Error last{Errc::connect_failed, "the host name has no address"};
  for (const addrinfo* a = addresses.value().get(); a; a = a->ai_next) {
    auto s = connect_one(*a, deadline, stop);
    if (s) return s;
    last = std::move(s).error();
    if (last.code != Errc::connect_failed) break;
  }
  return last;
}

}  // namespace simdrive::net
