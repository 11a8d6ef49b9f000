// Threads for what would keep a serving thread from its other connections: long writes, writes that wait for a disk,
// checksums of large payloads.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

namespace simdrive::server {

/// Work for another thread.
class Task {
 public:
  virtual void run() noexcept = 0;

 protected:
  ~Task() = default;
};

/// Threads are started when work waits and none is idle, and stay until stop().
class Workers {
 public:
  explicit Workers(std::size_t most) : most_(most) {}
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;
  ~Workers() { stop(); }

  /// Runs `task`, which must live until it has run. False: there is no thread and none can be had, or stop() was
  /// called; it will not run.
  [[nodiscard]] bool post(Task& task) noexcept;
  /// Runs what was posted, then ends the threads.
  void stop() noexcept;

 private:
  bool start_thread() noexcept;
  void work() noexcept;

  const std::size_t most_;
  std::mutex mutex_;
  std::condition_variable more_;
  std::deque<Task*> tasks_;
  std::vector<std::thread> threads_;
  std::size_t idle_ = 0;
  bool stopping_ = false;
};

}  // namespace simdrive::server
