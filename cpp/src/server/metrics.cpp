#include "server/metrics.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

namespace simdrive::server {

std::string_view name_of(Call call) noexcept {
  switch (call) {
    case Call::write: return "write";
    case Call::batch_write: return "batch_write";
    case Call::read: return "read";
    case Call::batch_read: return "batch_read";
    case Call::erase: return "delete";
    case Call::exists: return "exists";
    case Call::len: return "len";
    case Call::is_empty: return "is_empty";
    case Call::file_size: return "file_size";
    case Call::unknown: break;
  }
  return "unknown";
}

std::string_view name_of(Limit limit) noexcept {
  switch (limit) {
    case Limit::connections: return "connections";
    case Limit::descriptors: return "descriptors";
    case Limit::handshake: return "handshake";
    case Limit::headers: return "headers";
    case Limit::message: return "message";
    case Limit::request: return "request";
    case Limit::unfinished: return "unfinished";
    case Limit::unfinished_total: return "unfinished_total";
    case Limit::policy: return "policy";
    case Limit::protocol: return "protocol";
    case Limit::replies: return "replies";
    case Limit::stall: return "stall";
    case Limit::silence: return "silence";
  }
  return "unknown";
}

// 0 to 3 ns have a bucket each; from there on, four buckets for each power of two.
std::size_t LatencyHistogram::bucket(std::uint64_t nanoseconds) noexcept {
  if (nanoseconds < 4) return static_cast<std::size_t>(nanoseconds);
  const auto exponent = static_cast<std::size_t>(std::bit_width(nanoseconds)) - 1;
  const auto quarter = static_cast<std::size_t>(nanoseconds >> (exponent - 2)) & 3;
  return std::min(kBuckets - 1, (exponent - 1) * 4 + quarter);
}

double LatencyHistogram::middle(std::size_t bucket) noexcept {
  if (bucket < 4) return static_cast<double>(bucket) * 1e-9;
  const auto exponent = static_cast<int>(bucket / 4) + 1;
  const double width = std::ldexp(0.25, exponent);
  return (std::ldexp(1.0, exponent) + width * (static_cast<double>(bucket % 4) + 0.5)) * 1e-9;
}

void LatencyHistogram::advance() noexcept {
  const std::size_t next = (current_ + 1) % kSlots;
  for (Count& count : slots_[next]) count.set(0);
  current_ = next;
}

void LatencyHistogram::add_to(Buckets& sum) const noexcept {
  for (const auto& slot : slots_) {
    for (std::size_t i = 0; i < kBuckets; ++i) sum[i] += slot[i].get();
  }
}

double LatencyHistogram::percentile(const Buckets& counts, double share) noexcept {
  const std::uint64_t all = std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
  if (all == 0) return 0;
  const double wanted = std::max(1.0, std::ceil(share * static_cast<double>(all)));
  double seen = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    seen += static_cast<double>(counts[i]);
    if (seen >= wanted) return middle(i);
  }
  return middle(kBuckets - 1);
}

}  // namespace simdrive::server
