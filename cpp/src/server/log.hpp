// Where a server says what happens: one record at a time, from whatever thread.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <string_view>
#include <thread>
#include <utility>

#include "simdrive/server.hpp"

namespace simdrive::server {

class Log {
 public:
  explicit Log(std::function<void(const LogRecord&)> sink) : sink_(std::move(sink)) {}

  /// Whether anybody listens: texts need not be made else.
  [[nodiscard]] bool on() const noexcept { return static_cast<bool>(sink_); }
  void write(LogLevel level, std::string_view event, std::string_view message, std::string_view peer = {}) {
    if (!sink_) return;
    const std::lock_guard lock(mutex_);
    caller_ = std::this_thread::get_id();
    sink_(LogRecord{level, event, message, peer});
    caller_ = std::thread::id();
  }
  /// Whether the calling thread is within write(): what waits for the server's threads would wait for itself.
  [[nodiscard]] bool called_by_this_thread() const noexcept { return caller_ == std::this_thread::get_id(); }

 private:
  std::mutex mutex_;
  std::atomic<std::thread::id> caller_{};
  std::function<void(const LogRecord&)> sink_;
};

}  // namespace simdrive::server
