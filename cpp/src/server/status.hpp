// What a server has done, as numbers and as the JSON of /status.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "server/metrics.hpp"
#include "simdrive/server.hpp"

namespace simdrive::server {

struct Status {
  ServerStats stats{};
  std::array<std::uint64_t, kCalls> calls{};
  std::array<std::uint64_t, kCalls> errors{};
  std::array<std::uint64_t, kLimits> breaches{};
  double latency_p90 = 0;
  double latency_p999 = 0;
  std::uint32_t threads = 0;
  bool draining = false;
};

/// The sum over all threads; what is not counted is left to the caller.
Status add_up(const std::vector<const Metrics*>& threads);

/// One object, without a line break.
std::string to_json(const Status& status);

}  // namespace simdrive::server
