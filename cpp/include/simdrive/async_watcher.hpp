// For event loops that cannot watch descriptors, such as Windows' proactor: one thread waits for all clients of all of
// them, and says which are due.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "simdrive/async_client.hpp"
#include "simdrive/error.hpp"

namespace simdrive {

/// Waits for many clients at once. One thread calls wait(), again and again; everything else may be called by any. In a
/// child of fork() it is of no use but to be destroyed.
class AsyncWatcher {
 public:
  /// `Errc::connect_failed`: there are no descriptors left.
  static Result<std::unique_ptr<AsyncWatcher>> make();
  AsyncWatcher(const AsyncWatcher&) = delete;
  AsyncWatcher& operator=(const AsyncWatcher&) = delete;
  /// Nobody may be in wait().
  ~AsyncWatcher();

  /// A client's number, not in use so far. Nothing of it is watched yet.
  void add(std::uint64_t client);
  /// Has wait() give the client once, as soon as its socket, or its `AsyncClient::wake_up()`, is ready. Then nothing of
  /// it is watched until this is called anew, so that its loop may call pump() and AsyncClient::unwatched(). A loop
  /// that wants something else watched before that calls AsyncClient::wake().
  void watch(std::uint64_t client, const AsyncWatch& wanted, std::int64_t wake_up);
  /// Returns when nothing of it is watched any more; wait() may already have given it.
  void forget(std::uint64_t client) noexcept;
  /// Whether there is no client.
  [[nodiscard]] bool empty() const noexcept;

  /// Sleeps until a client is due, or there is none; `due` becomes the numbers of all that are.
  void wait(std::vector<std::uint64_t>& due);

 private:
  struct Impl;
  explicit AsyncWatcher(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

}  // namespace simdrive
