#include "net/listener.hpp"

#include <array>
#include <utility>

#include "net/socket_os.hpp"

namespace simdrive::net {

namespace {

Error cannot_listen(const std::string& host, std::uint16_t port, const std::string& why, int code) {
  Error e{Errc::bind_failed, "cannot listen at " + host + " port " + std::to_string(port) + ": " + why};
  e.system_code = code;
  return e;
}

struct NumericAddress {
  std::string host;  // IPv6 in brackets
  std::uint16_t port = 0;
};

NumericAddress numeric(const sockaddr_storage& address, socklen_t size) {
  std::array<char, NI_MAXHOST> host{};
  std::array<char, NI_MAXSERV> port{};
  if (::getnameinfo(reinterpret_cast<const sockaddr*>(&address), size, host.data(), host.size(), port.data(),
                    port.size(), NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return {};
  }
  NumericAddress n{host.data(), static_cast<std::uint16_t>(std::stoul(port.data()))};
  constexpr std::string_view kMapped = "::ffff:";
  if (address.ss_family != AF_INET6) return n;
  const bool mapped = n.host.starts_with(kMapped) && n.host.find('.') != std::string::npos;
  n.host = mapped ? n.host.substr(kMapped.size()) : "[" + n.host + "]";
  return n;
}

Result<Socket> listen_at(const addrinfo& address) {
  Socket s(::socket(address.ai_family, address.ai_socktype, address.ai_protocol));
  if (s.open() && prepare_socket(s.fd())) {
    prepare_listener(s.fd(), address);
    if (::bind(s.fd(), address.ai_addr, static_cast<socklen_t>(address.ai_addrlen)) == 0 &&
        ::listen(s.fd(), kBacklog) == 0) {
      return s;
    }
  }
  Error e{Errc::bind_failed, {}};
  e.system_code = last_error_code();
  e.detail = error_text(e.system_code);
  if (address_taken(e.system_code)) e.detail += " (another program may listen there; port 0 takes a free one)";
  return e;
}

}  // namespace

Result<Listener> Listener::tcp(const std::string& host, std::uint16_t port) {
  start_sockets();
  AddressList list;
  if (const int code = look_up(host, port, AI_PASSIVE, list); code != 0) {
    return cannot_listen(host, port, lookup_text(code), 0);
  }
  Error last = cannot_listen(host, port, "the host name has no address", 0);
  // Of a name that has both, IPv4: existing clients try one address, and that is it.
  for (const bool v4 : {true, false}) {
    for (const addrinfo* a = list.get(); a; a = a->ai_next) {
      if ((a->ai_family == AF_INET) != v4) continue;
      auto socket = listen_at(*a);
      if (!socket) {
        last = cannot_listen(host, port, socket.error().detail, socket.error().system_code);
        continue;
      }
      Listener l;
      l.socket_ = std::move(socket).value();
      sockaddr_storage bound{};
      socklen_t size = sizeof bound;
      if (::getsockname(l.socket_.fd(), reinterpret_cast<sockaddr*>(&bound), &size) != 0) {
        return cannot_listen(host, port, error_text(last_error_code()), last_error_code());
      }
      NumericAddress n = numeric(bound, size);
      l.address_ = std::move(n.host);
      l.port_ = n.port;
      l.process_ = this_process();
      return l;
    }
  }
  return last;
}

Listener::Listener(Listener&& other) noexcept
    : socket_(std::move(other.socket_)),
      port_(other.port_),
      address_(std::move(other.address_)),
      process_(other.process_),
      path_(other.path_),
      device_(other.device_),
      inode_(std::exchange(other.inode_, 0)) {}

Listener& Listener::operator=(Listener&& other) noexcept {
  if (this == &other) return *this;
  close();
  socket_ = std::move(other.socket_);
  port_ = other.port_;
  address_ = std::move(other.address_);
  process_ = other.process_;
  path_ = other.path_;
  device_ = other.device_;
  inode_ = std::exchange(other.inode_, 0);
  return *this;
}

Listener::~Listener() { close(); }

Result<std::optional<Accepted>> Listener::accept() {
  sockaddr_storage peer{};
  socklen_t size = 0;
  Socket socket(accept_one(socket_.fd(), peer, size));
  if (socket.open()) {
    if (path_) return std::optional<Accepted>({std::move(socket), "unix"});
    const NumericAddress n = numeric(peer, size);
    return std::optional<Accepted>({std::move(socket), n.host + ":" + std::to_string(n.port)});
  }
  Error e{Errc::bind_failed, {}};
  e.system_code = last_error_code();
  if (accept_failure(e.system_code) == AcceptFailure::nobody_there) return std::optional<Accepted>{};
  e.detail = "cannot take connections at " + address_ + (path_ ? "" : " port " + std::to_string(port_)) + ": " +
             error_text(e.system_code);
  return e;
}

bool Listener::out_of_descriptors(const Error& error) noexcept {
  return accept_failure(error.system_code) == AcceptFailure::no_descriptors;
}

}  // namespace simdrive::net
