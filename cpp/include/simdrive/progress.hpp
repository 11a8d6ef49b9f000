// How a caller follows a long call, and ends it early.
#pragma once

#include <cstdint>

namespace simdrive {

/// Lets a wait end early: asked about ten times a second while a call waits, and after each signal that reaches it.
struct Interrupt {
  void* context = nullptr;
  /// Must not throw. Returns true when the call is to end with `Errc::interrupted`. Null: never.
  bool (*requested)(void* context) = nullptr;
};

/// Told how far a call is: about ten times a second while it moves, on the thread that made the call.
struct Progress {
  void* context = nullptr;
  /// Bytes sent of a write, bytes received of a read, bytes of a store dealt with, and how many there will be (0: not
  /// known yet). Must not throw. False: the call is to end with `Errc::interrupted`. Null: nobody is told.
  bool (*report)(void* context, std::uint64_t done, std::uint64_t total) = nullptr;
};

}  // namespace simdrive
