#include "simdrive/block_builder.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

namespace simdrive {

namespace {

constexpr std::size_t kLeast = 1024;

}  // namespace

bool BlockBuilder::reserve(std::uint64_t size) noexcept {
  block_ = Block::make(size);
  return static_cast<bool>(block_);
}

std::optional<std::size_t> BlockBuilder::append(BytesView bytes) noexcept {
  if (bytes.empty()) return 0;
  if (larger_) {
    move_on();
    return 0;
  }
  if (bytes.size() > block_.size() - size_) {
    if (!make_room(bytes.size())) return std::nullopt;
    if (larger_) return 0;
  }
  const std::size_t n = std::min(bytes.size(), kStep);
  std::memcpy(block_.data() + size_, bytes.data(), n);
  size_ += n;
  return n;
}

MutableBytes BlockBuilder::room() const noexcept {
  return block_ ? MutableBytes(block_.data() + size_, block_.size() - size_) : MutableBytes();
}

// For `n` more bytes, or `larger_` for them.
bool BlockBuilder::make_room(std::size_t n) noexcept {
  constexpr std::size_t kMost = std::numeric_limits<std::size_t>::max() / 4;
  if (n > kMost - std::min(size_, kMost)) return false;
  const std::size_t size = std::max({size_ + n, size_ + size_ / 2, kLeast});
  if (block_ && grow_(block_, size)) return true;
  larger_ = Block::make_at_least(size);
  if (!larger_) return false;
  moved_ = 0;
  if (size_ <= kStep / 2) move_on();  // a step has time for that
  return true;
}

void BlockBuilder::move_on() noexcept {
  const std::size_t n = std::min(size_ - moved_, kStep);
  if (n != 0) std::memcpy(larger_.data() + moved_, block_.data() + moved_, n);
  moved_ += n;
  if (moved_ == size_) block_ = std::exchange(larger_, Block());
}

}  // namespace simdrive
