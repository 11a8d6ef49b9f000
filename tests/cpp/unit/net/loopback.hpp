// Sockets for tests, on every system: a listener on the loopback address and blocking reads and writes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>

#include "net/socket.hpp"
#include "net/socket_os.hpp"
#include "simdrive/bytes.hpp"
#ifdef _WIN32
#include <mstcpip.h>
#else
#include <fcntl.h>
#include <netinet/tcp.h>

#include <cerrno>
#endif

namespace simdrive::testing_net {

/// Listens on a free port of 127.0.0.1.
class Listener {
 public:
  Listener() {
    net::start_sockets();
    socket_ = net::Socket(::socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (::bind(socket_.fd(), generic, size) != 0 || ::listen(socket_.fd(), 64) != 0 ||
        ::getsockname(socket_.fd(), generic, &size) != 0) {
      throw std::runtime_error("cannot listen on the loopback address");
    }
    port_ = ntohs(address.sin_port);
  }

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  [[nodiscard]] net::SocketHandle fd() const noexcept { return socket_.fd(); }
  void close() noexcept { socket_.close(); }

  /// Waits for a connection.
  [[nodiscard]] std::optional<net::Socket> accept() const {
    const net::SocketHandle fd = ::accept(socket_.fd(), nullptr, nullptr);
    if (fd == net::kNoSocket) return std::nullopt;
    const int one = 1;
    (void)::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, reinterpret_cast<const char*>(&one), sizeof one);
    return net::Socket(fd);
  }

 private:
  net::Socket socket_;
  std::uint16_t port_ = 0;
};

inline void set_non_blocking(const net::Socket& socket) {
#ifdef _WIN32
  u_long on = 1;
  const bool ok = ::ioctlsocket(socket.fd(), static_cast<long>(FIONBIO), &on) == 0;
#else
  const bool ok = ::fcntl(socket.fd(), F_SETFL, ::fcntl(socket.fd(), F_GETFL) | O_NONBLOCK) == 0;
#endif
  if (!ok) throw std::runtime_error("cannot make a socket non-blocking");
}

/// Bytes received, 0 when there will be no more.
inline std::size_t receive_some(const net::Socket& socket, MutableBytes out) noexcept {
  for (;;) {
#ifdef _WIN32
    const int n = ::recv(socket.fd(), reinterpret_cast<char*>(out.data()), static_cast<int>(out.size()), 0);
#else
    const ssize_t n = ::recv(socket.fd(), out.data(), out.size(), 0);
    if (n < 0 && errno == EINTR) continue;
#endif
    return n > 0 ? static_cast<std::size_t>(n) : 0;
  }
}

/// Sends everything; false when the peer is gone.
inline bool send_all(const net::Socket& socket, BytesView bytes) noexcept {
  while (!bytes.empty()) {
#if defined(_WIN32)
    const int n = ::send(socket.fd(), reinterpret_cast<const char*>(bytes.data()), static_cast<int>(bytes.size()), 0);
#elif defined(MSG_NOSIGNAL)
    const ssize_t n = ::send(socket.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
#else
    const ssize_t n = ::send(socket.fd(), bytes.data(), bytes.size(), 0);
    if (n < 0 && errno == EINTR) continue;
#endif
    if (n <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return true;
}

}  // namespace simdrive::testing_net
