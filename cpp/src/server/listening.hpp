// Takes the connections that wait at a listener and hands them to the reactors in turn. Out of descriptors, or about to
// be, it lets them wait and tries again, ever more rarely.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "net/listener.hpp"
#include "server/reactor.hpp"
#include "server/shared.hpp"

namespace simdrive::server {

class Listening final : public Acceptor {
 public:
  Listening(Shared& shared, net::Listener listener, std::vector<std::unique_ptr<Reactor>>& reactors)
      : shared_(shared), listener_(std::move(listener)), reactors_(reactors) {}

  /// Before the first reactor is started.
  Result<void> begin();

  void accept(net::TimePoint now) override;
  net::TimePoint tick(net::TimePoint now) override;
  void stop() noexcept override;

  [[nodiscard]] const net::Listener& listener() const noexcept { return listener_; }

 private:
  void pause(net::TimePoint now, const std::string& why);
  void drop(net::TimePoint now);
  void log_dropped(net::TimePoint now);

  Shared& shared_;
  net::Listener listener_;
  std::vector<std::unique_ptr<Reactor>>& reactors_;
  std::size_t next_ = 0;
  std::chrono::milliseconds wait_{0};
  net::TimePoint resume_ = net::TimePoint::max();
  std::uint64_t dropped_ = 0;  // and not logged yet
  net::TimePoint log_dropped_at_ = net::TimePoint::min();
  bool open_ = false;
};

/// The number that no descriptor of this process can reach, or the largest there is.
[[nodiscard]] std::uint64_t descriptor_limit() noexcept;

}  // namespace simdrive::server
