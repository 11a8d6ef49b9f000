#ifdef _WIN32

#include <algorithm>
#include <cstddef>
#include <mutex>
#include <system_error>

#include "net/socket_os.hpp"

namespace simdrive::net {

namespace {

static_assert(sizeof(IoPiece) == sizeof(WSABUF) && offsetof(IoPiece, size) == offsetof(WSABUF, len) &&
              offsetof(IoPiece, bytes) == offsetof(WSABUF, buf));
static_assert(sizeof(SocketHandle) == sizeof(SOCKET) && kNoSocket == INVALID_SOCKET);

WSABUF* as_wsabuf(const IoPiece* pieces) noexcept { return reinterpret_cast<WSABUF*>(const_cast<IoPiece*>(pieces)); }

IoResult last_error() noexcept {
  const int e = ::WSAGetLastError();
  if (e == WSAEWOULDBLOCK || e == WSAEINTR) return {IoStatus::would_block, 0, 0};
  return {IoStatus::failed, 0, e};
}

/// Whether a connect under way has ended, well or not. WSAPoll does not tell of failed ones before Windows 10 2004.
bool connect_ended(SOCKET socket, TimePoint until) noexcept {
  fd_set written;
  fd_set failed;
  FD_ZERO(&written);
  FD_ZERO(&failed);
  FD_SET(socket, &written);
  FD_SET(socket, &failed);
  const int ms = poll_ms(until);
  timeval time{ms / 1000, (ms % 1000) * 1000};
  return ::select(0, nullptr, &written, &failed, &time) > 0;
}

// A datagram socket that is connected to its own address: what it sends, it receives, and nothing else.
SOCKET make_loop() noexcept {
  start_sockets();
  const SOCKET s = ::socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP);
  if (s == INVALID_SOCKET) return s;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  int size = sizeof address;
  auto* const name = reinterpret_cast<sockaddr*>(&address);
  u_long non_blocking = 1;
  if (::bind(s, name, size) == 0 && ::getsockname(s, name, &size) == 0 && ::connect(s, name, size) == 0 &&
      ::ioctlsocket(s, static_cast<long>(FIONBIO), &non_blocking) == 0) {
    return s;
  }
  (void)::closesocket(s);
  return INVALID_SOCKET;
}

}  // namespace

void start_sockets() noexcept {
  static std::once_flag once;
  std::call_once(once, [] {
    WSADATA data;
    (void)::WSAStartup(MAKEWORD(2, 2), &data);  // the first socket call tells if it failed
  });
}

int last_error_code() noexcept { return ::WSAGetLastError(); }

std::string error_text(int code) { return std::system_category().message(code); }

bool prepare_socket(SocketHandle socket) noexcept {
  const int one = 1;
  (void)::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, reinterpret_cast<const char*>(&one), sizeof one);
  // Winsock has no TCP_QUICKACK. Acknowledging every segment keeps a peer that has Nagle's algorithm on from waiting
  // for a delayed acknowledgement; systems that do not know the request say so, and calls are slower there.
  constexpr DWORD kSetAckFrequency = _WSAIOW(IOC_VENDOR, 23);
  int frequency = 1;
  DWORD returned = 0;
  (void)::WSAIoctl(socket, kSetAckFrequency, &frequency, sizeof frequency, nullptr, 0, &returned, nullptr, nullptr);
  (void)::SetHandleInformation(reinterpret_cast<HANDLE>(socket), HANDLE_FLAG_INHERIT, 0);
  u_long non_blocking = 1;
  return ::ioctlsocket(socket, static_cast<long>(FIONBIO), &non_blocking) == 0;
}

long this_process() noexcept { return 0; }

void prepare_listener(SocketHandle socket, const addrinfo& address) noexcept {
  const int one = 1;
  // Else another program could listen at the same address, and take our clients.
  (void)::setsockopt(socket, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, reinterpret_cast<const char*>(&one), sizeof one);
  const int zero = 0;
  if (address.ai_family == AF_INET6) {
    (void)::setsockopt(socket, IPPROTO_IPV6, IPV6_V6ONLY, reinterpret_cast<const char*>(&zero), sizeof zero);
  }
}

SocketHandle accept_one(SocketHandle listener, sockaddr_storage& peer, socklen_t& size) noexcept {
  size = sizeof peer;
  const SOCKET s = ::accept(listener, reinterpret_cast<sockaddr*>(&peer), &size);
  if (s == INVALID_SOCKET || prepare_socket(s)) return s;
  (void)::closesocket(s);
  ::WSASetLastError(WSAECONNRESET);
  return INVALID_SOCKET;
}

AcceptFailure accept_failure(int code) noexcept {
  switch (code) {
    case WSAEMFILE:
    case WSAENOBUFS: return AcceptFailure::no_descriptors;
    case WSAEFAULT:
    case WSAEINVAL:
    case WSAENOTSOCK:
    case WSAEOPNOTSUPP:
    case WSAENETDOWN:
    case WSANOTINITIALISED: return AcceptFailure::other;
    default: return AcceptFailure::nobody_there;
  }
}

bool address_taken(int code) noexcept { return code == WSAEADDRINUSE || code == WSAEACCES; }

std::string lookup_text(int code) { return error_text(code); }

std::size_t max_unix_path() noexcept { return 0; }

Result<Socket> connect_unix(const std::string& /*path*/, TimePoint /*deadline*/, const StopRequest& /*stop*/) {
  return Error{Errc::configuration, "unix sockets are not supported on Windows; use ws://host:port"};
}

Result<Socket> connect_one(const addrinfo& address, TimePoint deadline, const StopRequest& stop) {
  Socket s(::socket(address.ai_family, address.ai_socktype, address.ai_protocol));
  if (!s.open() || !prepare_socket(s.fd())) return Error{Errc::connect_failed, error_text(::WSAGetLastError())};
  if (::connect(s.fd(), address.ai_addr, static_cast<int>(address.ai_addrlen)) == 0) return s;
  if (const int e = ::WSAGetLastError(); e != WSAEWOULDBLOCK) return Error{Errc::connect_failed, error_text(e)};
  while (!connect_ended(s.fd(), std::min(deadline, Clock::now() + kStopSlice))) {
    if (Clock::now() >= deadline) return Error{Errc::connect_timeout, "no answer to the TCP connect"};
    if (stop && stop()) return connect_interrupted();
  }
  int error = 0;
  int size = sizeof error;
  if (::getsockopt(s.fd(), SOL_SOCKET, SO_ERROR, reinterpret_cast<char*>(&error), &size) != 0) {
    error = ::WSAGetLastError();
  }
  if (error != 0) return Error{Errc::connect_failed, error_text(error)};
  return s;
}

IoResult Socket::receive(std::span<IoPiece> pieces) noexcept {
  DWORD got = 0;
  DWORD flags = 0;
  if (::WSARecv(fd_, as_wsabuf(pieces.data()), static_cast<DWORD>(pieces.size()), &got, &flags, nullptr, nullptr) !=
      0) {
    return last_error();
  }
  return {got == 0 ? IoStatus::end : IoStatus::ok, got, 0};
}

bool Socket::allow_waiting() noexcept { return false; }

IoResult Socket::receive_or_wait(const IoPiece& piece) noexcept {
  IoPiece only = piece;
  return receive({&only, 1});
}

IoResult Socket::send(std::span<const IoPiece> pieces) noexcept {
  DWORD sent = 0;
  if (::WSASend(fd_, as_wsabuf(pieces.data()), static_cast<DWORD>(pieces.size()), &sent, 0, nullptr, nullptr) != 0) {
    return last_error();
  }
  return {IoStatus::ok, sent, 0};
}

void Socket::quick_ack() noexcept {}

void Socket::shutdown() noexcept {
  if (open()) (void)::shutdown(fd_, SD_BOTH);
}

void Socket::finish() noexcept { (void)::shutdown(fd_, SD_SEND); }

void Socket::close() noexcept {
  if (open()) (void)::closesocket(std::exchange(fd_, kNoSocket));
}

WakeUp::WakeUp() { read_fd_ = write_fd_ = make_loop(); }

WakeUp::~WakeUp() {
  if (read_fd_ != kNoSocket) (void)::closesocket(read_fd_);
}

void WakeUp::signal() noexcept {
  const char one = 1;
  (void)::send(write_fd_, &one, 1, 0);  // full: it will wake all the same
}

void WakeUp::drain() noexcept {
  char scratch[8];
  while (::recv(read_fd_, scratch, sizeof scratch, 0) > 0) {
  }
}

PollResult wait(SocketHandle fd, bool want_write, const WakeUp* wake_up, TimePoint until) noexcept {
  WSAPOLLFD fds[2] = {{fd, static_cast<SHORT>(want_write ? POLLRDNORM | POLLWRNORM : POLLRDNORM), 0},
                      {wake_up ? wake_up->fd() : kNoSocket, POLLRDNORM, 0}};
  PollResult r;
  if (::WSAPoll(fds, wake_up ? 2 : 1, poll_ms(until)) < 0) {
    // A socket that another thread has just closed: it is for the next operation on it to say so.
    r.readable = true;
    return r;
  }
  const SHORT bad = POLLERR | POLLHUP | POLLNVAL;
  r.readable = (fds[0].revents & (POLLRDNORM | bad)) != 0;
  r.writable = want_write && (fds[0].revents & (POLLWRNORM | bad)) != 0;
  r.woken = wake_up != nullptr && (fds[1].revents & POLLRDNORM) != 0;
  return r;
}

}  // namespace simdrive::net

#endif
