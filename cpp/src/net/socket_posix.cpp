#ifndef _WIN32

#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/eventfd.h>
#endif

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <thread>

#include "net/socket_os.hpp"

namespace simdrive::net {

namespace {

#ifdef MSG_NOSIGNAL
constexpr int kNoSignal = MSG_NOSIGNAL;
#else
constexpr int kNoSignal = 0;
#endif

// Where each call can say that it does not wait, the socket need not be non-blocking: receive_or_wait() can wait.
#ifdef __linux__
constexpr int kNow = MSG_DONTWAIT;
#else
constexpr int kNow = 0;
#endif
constexpr int kSendFlags = kNoSignal | kNow;

IoResult from_errno() noexcept {
  const int e = errno;
  if (e == EAGAIN || e == EWOULDBLOCK || e == EINTR) return {IoStatus::would_block, 0, 0};
  return {IoStatus::failed, 0, e};
}

IoResult received(ssize_t n) noexcept {
  if (n > 0) return {IoStatus::ok, static_cast<std::size_t>(n), 0};
  if (n == 0) return {IoStatus::end, 0, 0};
  return from_errno();
}

msghdr message(std::span<const IoPiece> pieces) noexcept {
  msghdr m{};
  m.msg_iov = const_cast<IoPiece*>(pieces.data());
  m.msg_iovlen = static_cast<decltype(m.msg_iovlen)>(pieces.size());
  return m;
}

}  // namespace

void start_sockets() noexcept {}

int last_error_code() noexcept { return errno; }

std::string error_text(int code) { return std::generic_category().message(code); }

bool prepare_socket(int fd) noexcept {
  const int one = 1;
  (void)::fcntl(fd, F_SETFD, FD_CLOEXEC);
#ifdef SO_NOSIGPIPE
  (void)::setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &one, sizeof one);
#endif
  (void)::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  const int flags = ::fcntl(fd, F_GETFL);
  return flags >= 0 && ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

long this_process() noexcept { return static_cast<long>(::getpid()); }

void prepare_listener(int fd, const addrinfo& address) noexcept {
  const int one = 1;
  // Else the address is taken for minutes by connections that have ended.
  (void)::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  const int zero = 0;
  if (address.ai_family == AF_INET6) (void)::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
}

int accept_one(int listener, sockaddr_storage& peer, socklen_t& size) noexcept {
  size = sizeof peer;
#if defined(SOCK_NONBLOCK) && defined(SOCK_CLOEXEC)
  const int fd = ::accept4(listener, reinterpret_cast<sockaddr*>(&peer), &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
  const int one = 1;
  if (fd >= 0) (void)::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);  // a unix socket has no such thing
  return fd;
#else
  const int fd = ::accept(listener, reinterpret_cast<sockaddr*>(&peer), &size);
  if (fd >= 0 && !prepare_socket(fd)) {
    (void)::close(fd);
    errno = ECONNABORTED;
    return -1;
  }
  return fd;
#endif
}

AcceptFailure accept_failure(int code) noexcept {
  switch (code) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM: return AcceptFailure::no_descriptors;
    case EBADF:
    case EINVAL:
    case ENOTSOCK:
    case EOPNOTSUPP:
    case EFAULT: return AcceptFailure::other;
    default: return AcceptFailure::nobody_there;  // Linux passes on what befell the connection that waited
  }
}

bool address_taken(int code) noexcept { return code == EADDRINUSE; }

std::string lookup_text(int code) { return ::gai_strerror(code); }

bool unix_address(const std::string& path, sockaddr_un& out) noexcept {
  if (path.empty() || path.size() > max_unix_path() || path.find('\0') != std::string::npos) return false;
  out = {};
  out.sun_family = AF_UNIX;
  std::memcpy(out.sun_path, path.data(), path.size());
  return true;
}

std::size_t max_unix_path() noexcept { return sizeof(sockaddr_un::sun_path) - 1; }

Result<Socket> connect_unix(const std::string& path, TimePoint deadline, const StopRequest& stop) {
  sockaddr_un address{};
  if (!unix_address(path, address)) {
    return Error{Errc::configuration,
                 "the path of a unix socket has 1 to " + std::to_string(max_unix_path()) + " bytes"};
  }
  Socket s(::socket(AF_UNIX, SOCK_STREAM, 0));
  if (!s.open() || !prepare_socket(s.fd())) return Error{Errc::connect_failed, error_text(errno)};
  while (::connect(s.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    // A full queue of connections, which cannot be waited for: it is asked again.
    if (errno != EAGAIN && errno != EINTR) return Error{Errc::connect_failed, error_text(errno)};
    if (Clock::now() >= deadline) return Error{Errc::connect_timeout, "the server takes no connections"};
    if (stop && stop()) return connect_interrupted();
    std::this_thread::sleep_until(std::min(deadline, Clock::now() + std::chrono::milliseconds(10)));
  }
  return s;
}

Result<Socket> connect_one(const addrinfo& address, TimePoint deadline, const StopRequest& stop) {
  Socket s(::socket(address.ai_family, address.ai_socktype, address.ai_protocol));
  if (!s.open() || !prepare_socket(s.fd())) return Error{Errc::connect_failed, error_text(errno)};
  if (::connect(s.fd(), address.ai_addr, address.ai_addrlen) == 0) return s;
  if (errno != EINPROGRESS && errno != EINTR) return Error{Errc::connect_failed, error_text(errno)};
  while (!wait(s.fd(), true, nullptr, std::min(deadline, Clock::now() + kStopSlice)).writable) {
    if (Clock::now() >= deadline) return Error{Errc::connect_timeout, "no answer to the TCP connect"};
    if (stop && stop()) return connect_interrupted();
  }
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(s.fd(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error != 0) return Error{Errc::connect_failed, error_text(error)};
  return s;
}

IoResult Socket::receive(std::span<IoPiece> pieces) noexcept {
  ssize_t n;
  if (pieces.size() == 1) {
    n = ::recv(fd_, pieces[0].iov_base, pieces[0].iov_len, kNow);
  } else {
    msghdr m = message(pieces);
    n = ::recvmsg(fd_, &m, kNow);
  }
  return received(n);
}

#ifdef __linux__
bool Socket::allow_waiting() noexcept {
  const timeval most{0, std::chrono::microseconds(kReceiveWait).count()};
  const int flags = ::fcntl(fd_, F_GETFL);
  return flags >= 0 && ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most) == 0 &&
         ::fcntl(fd_, F_SETFL, flags & ~O_NONBLOCK) == 0;
}
#else
bool Socket::allow_waiting() noexcept { return false; }
#endif

IoResult Socket::receive_or_wait(const IoPiece& piece) noexcept {
  return received(::recv(fd_, piece.iov_base, piece.iov_len, 0));
}

IoResult Socket::send(std::span<const IoPiece> pieces) noexcept {
  ssize_t n;
  if (pieces.size() == 1) {
    n = ::send(fd_, pieces[0].iov_base, pieces[0].iov_len, kSendFlags);
  } else {
    const msghdr m = message(pieces);
    n = ::sendmsg(fd_, &m, kSendFlags);
  }
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
  if (open()) (void)::shutdown(fd_, SHUT_RDWR);
}

void Socket::finish() noexcept { (void)::shutdown(fd_, SHUT_WR); }

void Socket::close() noexcept {
  if (open()) (void)::close(std::exchange(fd_, kNoSocket));
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

}  // namespace simdrive::net

#endif
