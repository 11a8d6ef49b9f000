// Where a server says what happens: one record at a time, from whatever thread.
#pragma once

#include <functional>
#include <mutex>
#include <string_view>
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
    sink_(LogRecord{level, event, message, peer});
  }

 private:
  std::mutex mutex_;
  std::function<void(const LogRecord&)> sink_;
};

}  // namespace simdrive::server
