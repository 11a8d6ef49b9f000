// A socket that others connect to: TCP, or a path on systems with unix sockets. No Boost.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "net/socket.hpp"
#include "simdrive/error.hpp"

namespace simdrive::net {

struct Accepted {
  Socket socket;     ///< non-blocking, not inherited, TCP_NODELAY set
  std::string peer;  ///< "127.0.0.1:50123", "[::1]:50123" or "unix"
};

class Listener {
 public:
  /// `host` is a name or an address ("::" and names that have both kinds are served for IPv4 clients, too); port 0: a
  /// free one. `bind_failed`, with host and port in the detail and the system's code.
  static Result<Listener> tcp(const std::string& host, std::uint16_t port);
  /// Readable and writable by its owner alone (0600). A socket that nobody listens on any more is replaced, anything
  /// else at the path is refused. Removed by close(). `bind_failed` where there are no unix sockets.
  static Result<Listener> unix_path(const std::string& path);

  Listener(Listener&&) noexcept;
  Listener& operator=(Listener&&) noexcept;
  ~Listener();

  /// The next connection that waits. Nothing: none does, or it has gone already. Errors: what accept() says.
  Result<std::optional<Accepted>> accept();
  /// The process or the system has no more descriptors: to be tried again later.
  [[nodiscard]] static bool out_of_descriptors(const Error& error) noexcept;

  [[nodiscard]] SocketHandle fd() const noexcept { return socket_.fd(); }
  /// As bound; 0 for a path.
  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  /// The address bound, as URLs have it (IPv6 in brackets), or the path.
  [[nodiscard]] const std::string& address() const noexcept { return address_; }
  /// Nobody can connect any more, not even where a child of fork() has a copy of the socket.
  void close() noexcept;

 private:
  Listener() = default;
  /// Whether this is the process that made it, not a child by fork().
  [[nodiscard]] bool is_owner() const noexcept;

  Socket socket_;
  std::uint16_t port_ = 0;
  std::string address_;
  long process_ = 0;
  bool path_ = false;
  // Of a path: what is ours to remove.
  std::uint64_t device_ = 0;
  std::uint64_t inode_ = 0;
};

}  // namespace simdrive::net
