// What a server counts. Each thread that serves has Metrics of its own, which it alone writes and everybody may read:
// counting costs no locked instruction.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace simdrive::server {

/// A number that one thread writes and any reads.
class Count {
 public:
  void add(std::uint64_t n = 1) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void set(std::uint64_t n) noexcept { value_.store(n, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

/// The nine methods, and all others as one.
enum class Call : std::uint8_t {
  write,
  batch_write,
  read,
  batch_read,
  erase,
  exists,
  len,
  is_empty,
  file_size,
  unknown,
};
inline constexpr std::size_t kCalls = 10;
/// As on the wire: `erase` is "delete" there.
[[nodiscard]] std::string_view name_of(Call call) noexcept;

/// The limits whose breaches are counted.
enum class Limit : std::uint8_t {
  connections,       ///< more than max_connections
  descriptors,       ///< accepting stopped for lack of descriptors
  handshake,         ///< no upgrade in time
  headers,           ///< too many, or too long
  message,           ///< a frame or a message that is too long
  request,           ///< a request or a batch that is too long
  unfinished,        ///< bytes of requests that are not complete, of one connection
  unfinished_total,  ///< of all connections
  policy,            ///< streams, or frames without a request among them
  protocol,          ///< bytes that the protocol does not allow
  replies,           ///< reply_queue_hard
  stall,             ///< stall_timeout
  silence,           ///< silence_timeout
};
inline constexpr std::size_t kLimits = 13;
[[nodiscard]] std::string_view name_of(Limit limit) noexcept;

/// Times of the last minute, in buckets that are a quarter of a power of two wide.
class LatencyHistogram {
 public:
  static constexpr std::size_t kBuckets = 168;  // up to 2^41 ns, 36 minutes
  static constexpr std::size_t kSlots = 7;      // six of ten seconds, and the one being filled
  static constexpr double kSlotSeconds = 10.0;
  using Buckets = std::array<std::uint64_t, kBuckets>;

  void add(std::uint64_t nanoseconds) noexcept { slots_[current_][bucket(nanoseconds)].add(); }
  /// Forgets the oldest slot and fills it from now on. By the thread that writes, every kSlotSeconds.
  void advance() noexcept;
  /// Adds what is counted here to `sum`. Any thread.
  void add_to(Buckets& sum) const noexcept;

  [[nodiscard]] static std::size_t bucket(std::uint64_t nanoseconds) noexcept;
  /// Seconds in the middle of a bucket.
  [[nodiscard]] static double middle(std::size_t bucket) noexcept;
  /// The time that `share` (0 to 1) of the calls did not exceed, in seconds; 0 without calls.
  [[nodiscard]] static double percentile(const Buckets& counts, double share) noexcept;

 private:
  std::array<std::array<Count, kBuckets>, kSlots> slots_;
  std::size_t current_ = 0;
};

struct alignas(64) Metrics {
  std::array<Count, kCalls> calls;
  std::array<Count, kCalls> errors;  ///< of them, those answered with an error
  std::array<Count, kLimits> breaches;
  Count connections;  ///< now
  Count accepted;
  Count refused;
  Count cut;
  Count bytes_received;
  Count bytes_sent;
  LatencyHistogram latency;
};

}  // namespace simdrive::server
