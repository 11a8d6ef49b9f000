// Waits for many sockets at once: epoll on Linux, kqueue on macOS and the BSDs, else poll (WSAPoll). Level-triggered.
// One thread, except wake().
#pragma once

#include <memory>
#include <span>

#include "net/socket.hpp"
#include "simdrive/error.hpp"

namespace simdrive::net {

class Poller {
 public:
  struct Ready {
    void* tag = nullptr;
    bool readable = false;  ///< or at its end, or broken
    bool writable = false;
    /// The peer is gone in both directions. Most systems say so whether or not anything was asked for, again and again:
    /// what still can be received should be, then the socket is to be removed.
    bool broken = false;
  };

  /// `bind_failed` where there are no descriptors left for it.
  static Result<std::unique_ptr<Poller>> make();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;
  ~Poller();

  /// `tag`, not null, comes back with what is ready. `out_of_memory`, also where the system has a limit on what may be
  /// waited for.
  Result<void> add(SocketHandle fd, void* tag, bool read, bool write);
  void change(SocketHandle fd, void* tag, bool read, bool write) noexcept;
  /// Before the socket is closed.
  void remove(SocketHandle fd) noexcept;

  /// Sleeps until something is ready, wake() is called, or `until`; the part of `ready` that is filled. May end early.
  /// `now`: the clock, read a moment ago.
  std::span<Ready> wait(std::span<Ready> ready, TimePoint until, TimePoint now = Clock::now()) noexcept;
  /// Ends wait(), also the next one. Any thread.
  void wake() noexcept;

 private:
  struct Impl;
  explicit Poller(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace simdrive::net
