// An owned, non-blocking TCP socket and the waits around it. No Boost.
#pragma once

#include <sys/uio.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
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
  int error = 0;  // errno when failed
};

class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) noexcept : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept;
  ~Socket() { close(); }

  [[nodiscard]] int fd() const noexcept { return fd_; }
  IoResult receive(std::span<iovec> pieces) noexcept;
  IoResult send(std::span<const iovec> pieces) noexcept;
  /// Acknowledge at once, once: the peer may hold its next segment back until it hears from us. Linux only.
  void quick_ack() noexcept;
  void shutdown() noexcept;
  /// Says that nothing more follows, and takes what has come: closing a socket with unread bytes would reset the
  /// connection, and the peer might lose our last words.
  void finish() noexcept;
  void close() noexcept;

 private:
  int fd_ = -1;
};

/// Wakes a thread that sleeps in poll(): an eventfd, or a pipe where there is none.
class WakeUp {
 public:
  WakeUp();
  WakeUp(const WakeUp&) = delete;
  WakeUp& operator=(const WakeUp&) = delete;
  ~WakeUp();
  [[nodiscard]] int fd() const noexcept { return read_fd_; }
  void signal() noexcept;
  void drain() noexcept;

 private:
  int read_fd_ = -1;
  int write_fd_ = -1;
};

struct PollResult {
  bool readable = false;
  bool writable = false;
  bool woken = false;
  bool interrupted = false;
};

/// Sleeps until the socket can be read (or written, if asked), the wake-up fires, a signal comes, or `until`.
PollResult wait(int fd, bool want_write, const WakeUp* wake_up, TimePoint until) noexcept;

/// Asked about ten times a second while a connection is being made: true ends it with `Errc::interrupted`. May be
/// empty.
using StopRequest = std::function<bool()>;
inline constexpr std::chrono::milliseconds kStopSlice{100};

/// Resolves and connects within `deadline`, trying each address in turn. TCP_NODELAY is set.
Result<Socket> connect_tcp(const std::string& host, std::uint16_t port, TimePoint deadline, const StopRequest& stop);

}  // namespace simdrive::net
