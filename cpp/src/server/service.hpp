// A server on any backend: its threads, its listener, and how it starts and stops. Safe to share between threads.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "net/socket.hpp"
#include "server/backend.hpp"
#include "server/listening.hpp"
#include "server/reactor.hpp"
#include "server/shared.hpp"
#include "server/status.hpp"
#include "simdrive/error.hpp"
#include "simdrive/server.hpp"

namespace simdrive::server {

/// `configuration`, for the first option that is out of range.
Result<void> check(const ServerOptions& options);

class Service final : public Shared {
 public:
  /// `store` must outlive the object.
  Service(Backend& store, const ServerOptions& options);
  /// stop(0).
  ~Service();

  /// Once. As Server::start, for options that check() accepts.
  Result<void> start(const ServerOptions& options);
  /// As Server::stop.
  Result<void> stop(double timeout);
  bool wait(double seconds) const;
  [[nodiscard]] bool stopping() const noexcept { return draining.load(std::memory_order_relaxed); }

  [[nodiscard]] const std::string& url() const noexcept { return url_; }
  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  [[nodiscard]] Status status() const;
  std::string status_json() const override { return to_json(status()); }

 private:
  Result<net::Listener> listen(const ServerOptions& options);
  void thread_ended() noexcept;

  std::vector<std::unique_ptr<Reactor>> reactors_;
  std::unique_ptr<Listening> listening_;
  std::string url_;
  std::uint16_t port_ = 0;
  const net::TimePoint started_;

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::size_t threads_running_ = 0;
  bool was_started_ = false;
  net::TimePoint stop_at_ = net::TimePoint::max();  // when those that have not ended are cut
  bool stopping_ = false;
  bool stopped_ = false;
  Result<void> outcome_;
};

}  // namespace simdrive::server
