// What one request takes of the memory that all requests of a server may take together.
#pragma once

#include <cstdint>

#include "codec/column_reader.hpp"
#include "server/shared.hpp"

namespace simdrive::server {

/// A connection that keeps less than this is not held back for what others keep.
inline constexpr std::uint64_t kSmallShare = std::uint64_t{64} << 10;

/// Counted in Shared::unfinished as long as it is there. One thread at a time.
class Charge final : public codec::MemoryAccount {
 public:
  explicit Charge(Shared& shared) noexcept : shared_(shared) {}
  Charge(const Charge&) = delete;
  Charge& operator=(const Charge&) = delete;
  ~Charge() { set(0); }

  /// So much more; false: it does not fit, and is not counted.
  bool take(std::uint64_t bytes) noexcept override {
    set(bytes_ + bytes);
    if (counted_ == 0 || shared_.unfinished.load(std::memory_order_relaxed) <= shared_.limits.max_unfinished_total) {
      return true;
    }
    set(bytes_ - bytes);
    return false;
  }
  /// So much altogether, whether or not it fits.
  void set(std::uint64_t bytes) noexcept {
    bytes_ = bytes;
    const std::uint64_t count = bytes > kSmallShare ? bytes : 0;
    if (count == counted_) return;
    shared_.unfinished.fetch_add(count - counted_, std::memory_order_relaxed);  // modulo 2^64, also downwards
    counted_ = count;
  }

 private:
  Shared& shared_;
  std::uint64_t bytes_ = 0;
  std::uint64_t counted_ = 0;
};

}  // namespace simdrive::server
