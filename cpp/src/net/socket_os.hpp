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
#endif

#include <string>

#include "net/socket.hpp"

namespace simdrive::net {

/// Once before the first socket of the process; further calls do nothing.
void start_sockets() noexcept;

/// What getaddrinfo's code means.
[[nodiscard]] std::string lookup_text(int code);

Result<Socket> connect_one(const addrinfo& address, TimePoint deadline, const StopRequest& stop);

[[nodiscard]] Error connect_interrupted();

/// Milliseconds from now, rounded up, at most an hour: callers wait in a loop.
[[nodiscard]] int poll_ms(TimePoint until) noexcept;

}  // namespace simdrive::net
