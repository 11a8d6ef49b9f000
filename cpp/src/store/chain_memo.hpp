// What is known of tails: whether the chain from there holds. Makes many walks over the same chains linear.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace simdrive::store {

/// Remembers a sample of the tails given to it: all of them as long as they are few, then every second, fourth and so
/// on, chosen by hash. A walk that asks at each step so meets a remembered tail some steps later at most, and memory
/// has a bound.
class ChainMemo {
 public:
  enum class Known : std::uint8_t { no, holds, broken };

  explicit ChainMemo(std::size_t max_entries) : max_entries_(max_entries) {}

  /// Whether this tail is in the sample: others are neither worth asking for nor kept.
  [[nodiscard]] bool samples(std::uint64_t tail) const noexcept { return (mix(tail) & sample_mask_) == 0; }

  [[nodiscard]] Known find(std::uint64_t tail) const noexcept {
    if (slots_.empty()) return Known::no;
    const std::uint64_t found = slots_[slot_of(tail)];
    if (found == 0) return Known::no;
    return (found & kHolds) != 0 ? Known::holds : Known::broken;
  }

  void add(std::span<const std::uint64_t> tails, bool holds) {
    for (const std::uint64_t tail : tails) {
      if (!samples(tail)) continue;  // the sample may have become smaller meanwhile
      if (2 * (used_ + 1) > slots_.size()) grow();
      insert(tail | (holds ? kHolds : 0));
    }
  }

  [[nodiscard]] std::size_t size() const noexcept { return used_; }

 private:
  static constexpr std::uint64_t kHolds = std::uint64_t{1} << 63;  // tails are below it, and never 0

  [[nodiscard]] static std::uint64_t mix(std::uint64_t tail) noexcept {
    tail *= 0x9E3779B97F4A7C15U;
    tail ^= tail >> 32;
    tail *= 0xD6E8FEB86659FD93U;
    return tail ^ (tail >> 32);
  }

  [[nodiscard]] std::size_t slot_of(std::uint64_t tail) const noexcept {
    std::size_t at = static_cast<std::size_t>(mix(tail) >> 20) & (slots_.size() - 1);
    while (slots_[at] != 0 && (slots_[at] & ~kHolds) != tail) at = (at + 1) & (slots_.size() - 1);
    return at;
  }

  void insert(std::uint64_t entry) {
    std::uint64_t& slot = slots_[slot_of(entry & ~kHolds)];
    if (slot == 0) ++used_;
    slot = entry;
  }

  void grow() {
    std::vector<std::uint64_t> old;
    old.swap(slots_);
    if (used_ >= max_entries_) {
      sample_mask_ = 2 * sample_mask_ + 1;
      slots_.resize(old.size());
    } else {
      slots_.resize(old.empty() ? 256 : 2 * old.size());
    }
    used_ = 0;
    for (const std::uint64_t entry : old) {
      if (entry != 0 && samples(entry & ~kHolds)) insert(entry);
    }
  }

  std::vector<std::uint64_t> slots_;
  std::size_t used_ = 0;
  std::size_t max_entries_;
  std::uint64_t sample_mask_ = 0;
};

}  // namespace simdrive::store
