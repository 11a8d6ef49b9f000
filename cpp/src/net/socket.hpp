// An owned, non-blocking TCP socket and the waits around it. No Boost.
#pragma once

#ifndef _WIN32
#include <sys/uio.h>
#endif

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "simdrive/error.hpp"

namespace simdrive::net {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;

/// `start` plus `seconds`; the end of time for very long spans and infinity.
[[nodiscard]] TimePoint after(TimePoint start, double seconds) noexcept;

enum class IoStatus : std::uint8_t { ok, would_block, end, failed };

struct IoResult {
  IoStatus status = IoStatus::ok;
  std::size_t bytes = 0;
  int error = 0;  // the system's code when failed
};

#ifdef _WIN32
using SocketHandle = std::uintptr_t;  // a SOCKET
inline constexpr SocketHandle kNoSocket = ~SocketHandle{0};

/// A WSABUF, without its header.
struct IoPiece {
  unsigned long size;
  char* bytes;
};

[[nodiscard]] inline IoPiece io_piece(const void* bytes, std::size_t size) noexcept {
  constexpr std::size_t kMost = std::size_t{1} << 30;  // a longer piece is moved in part
  return {static_cast<unsigned long>(std::min(size, kMost)), static_cast<char*>(const_cast<void*>(bytes))};
}
[[nodiscard]] inline std::size_t piece_size(const IoPiece& piece) noexcept { return piece.size; }
[[nodiscard]] inline void* piece_data(const IoPiece& piece) noexcept { return piece.bytes; }
#else
using SocketHandle = int;
inline constexpr SocketHandle kNoSocket = -1;
using IoPiece = iovec;

[[nodiscard]] inline IoPiece io_piece(const void* bytes, std::size_t size) noexcept {
  return {const_cast<void*>(bytes), size};
}
[[nodiscard]] inline std::size_t piece_size(const IoPiece& piece) noexcept { return piece.iov_len; }
[[nodiscard]] inline void* piece_data(const IoPiece& piece) noexcept { return piece.iov_base; }
#endif

class Socket {
 public:
  Socket() = default;
  explicit Socket(SocketHandle fd) noexcept : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, kNoSocket)) {}
  Socket& operator=(Socket&& other) noexcept;
  ~Socket() { close(); }

  [[nodiscard]] SocketHandle fd() const noexcept { return fd_; }
  [[nodiscard]] bool open() const noexcept { return fd_ != kNoSocket; }
  IoResult receive(std::span<IoPiece> pieces) noexcept;
  /// From now on receive_or_wait() waits. Nothing else does. False: this system has no such thing.
  bool allow_waiting() noexcept;
  /// One receive that waits for bytes, for kReceiveWait at most: one system call instead of two. A signal ends it, too.
  IoResult receive_or_wait(const IoPiece& piece) noexcept;
  IoResult send(std::span<const IoPiece> pieces) noexcept;
  /// Acknowledge at once, once: the peer may hold its next segment back until it hears from us. Linux only.
  void quick_ack() noexcept;
  void shutdown() noexcept;
  /// Says that nothing more follows.
  void finish() noexcept;
  /// Takes what has come: closing a socket with unread bytes would reset the connection, and the peer might lose our
  /// last words. True: the peer has ended its side, too.
  bool discard() noexcept;
  void close() noexcept;

 private:
  SocketHandle fd_ = kNoSocket;
};

/// How long Socket::receive_or_wait() may wait.
inline constexpr std::chrono::milliseconds kReceiveWait{100};

/// Wakes a thread that sleeps in wait(): an eventfd, or a pipe where there is none, or a UDP socket that talks to
/// itself where only sockets can be waited for.
class WakeUp {
 public:
  WakeUp();
  WakeUp(const WakeUp&) = delete;
  WakeUp& operator=(const WakeUp&) = delete;
  ~WakeUp();
  [[nodiscard]] SocketHandle fd() const noexcept { return read_fd_; }
  void signal() noexcept;
  void drain() noexcept;

 private:
  SocketHandle read_fd_ = kNoSocket;
  SocketHandle write_fd_ = kNoSocket;
};

struct PollResult {
  bool readable = false;
  bool writable = false;
  bool woken = false;
  bool interrupted = false;
};

/// Sleeps until the socket can be read (or written, if asked), the wake-up fires, a signal comes, or `until`.
PollResult wait(SocketHandle fd, bool want_write, const WakeUp* wake_up, TimePoint until) noexcept;

/// Asked about ten times a second while a connection is being made: true ends it with `Errc::interrupted`. May be
/// empty.
using StopRequest = std::function<bool()>;
inline constexpr std::chrono::milliseconds kStopSlice{100};

/// The longest path that a unix socket can have, in bytes; 0: this system has none.
[[nodiscard]] std::size_t max_unix_path() noexcept;

/// ws+unix:///path, where bytes that a URL cannot have are written %xx.
[[nodiscard]] std::string unix_url(std::string_view path);

/// Connects to the socket at a path. Where there are no unix sockets: `configuration`.
Result<Socket> connect_unix(const std::string& path, TimePoint deadline, const StopRequest& stop);

/// Resolves and connects within `deadline`, trying each address in turn. TCP_NODELAY is set.
Result<Socket> connect_tcp(const std::string& host, std::uint16_t port, TimePoint deadline, const StopRequest& stop);

}  // namespace simdrive::net
