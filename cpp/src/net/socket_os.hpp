// What the two kinds of system do in their own way. For the socket files alone: it brings the system's headers.
#pragma once

#ifdef _WIN32
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <winsock2.h>
#include <ws2tcpip.h>
#else
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#endif

#include <cstdint>
#include <memory>
#include <string>

#include "net/socket.hpp"

namespace simdrive::net {

/// Once before the first socket of the process; further calls do nothing.
void start_sockets() noexcept;

/// Of the system call that has just failed, and what it means.
[[nodiscard]] int last_error_code() noexcept;
[[nodiscard]] std::string error_text(int code);

/// Non-blocking, not inherited, no SIGPIPE, TCP_NODELAY.
[[nodiscard]] bool prepare_socket(SocketHandle socket) noexcept;

struct AddressListDeleter {
  void operator()(addrinfo* p) const noexcept { ::freeaddrinfo(p); }
};
using AddressList = std::unique_ptr<addrinfo, AddressListDeleter>;

/// getaddrinfo; 0 or its code.
[[nodiscard]] int look_up(const std::string& host, std::uint16_t port, int flags, AddressList& out);

/// What getaddrinfo's code means.
[[nodiscard]] std::string lookup_text(int code);

Result<Socket> connect_one(const addrinfo& address, TimePoint deadline, const StopRequest& stop);

[[nodiscard]] Error connect_interrupted();

#ifndef _WIN32
/// False: the path is empty, too long, or has a zero byte.
[[nodiscard]] bool unix_address(const std::string& path, sockaddr_un& out) noexcept;
#endif

/// The number of this process; 0 where there is no fork() to tell it from others.
[[nodiscard]] long this_process() noexcept;

/// What comes before bind() for one that listens.
void prepare_listener(SocketHandle socket, const addrinfo& address) noexcept;
/// accept(), and prepare_socket() for what it gives; kNoSocket, then last_error_code() says why.
[[nodiscard]] SocketHandle accept_one(SocketHandle listener, sockaddr_storage& peer, socklen_t& size) noexcept;

enum class AcceptFailure : std::uint8_t { nobody_there, no_descriptors, other };
[[nodiscard]] AcceptFailure accept_failure(int code) noexcept;
/// Of bind(): somebody has the address.
[[nodiscard]] bool address_taken(int code) noexcept;

/// More than any system keeps; it takes as many as it can.
inline constexpr int kBacklog = 4096;

[[nodiscard]] Error poller_failed(int code);
[[nodiscard]] Error not_added(int code);

/// Milliseconds from now, rounded up, at most an hour: callers wait in a loop.
[[nodiscard]] int poll_ms(TimePoint until, TimePoint now = Clock::now()) noexcept;

}  // namespace simdrive::net
