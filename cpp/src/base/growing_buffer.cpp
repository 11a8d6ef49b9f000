#include "base/growing_buffer.hpp"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "base/pages.hpp"
#include "base/reaper.hpp"

namespace simdrive {

namespace {

constexpr std::size_t kLeast = 256;
constexpr std::size_t kRound = std::size_t{2} << 20;  // a huge page

void free_memory(void* data, std::size_t capacity) noexcept {
  if (capacity < GrowingBuffer::kPages) {
    std::free(data);
  } else {
    Reaper::of_process().take(data, capacity);
  }
}

// Up to here capacities are powers of two, so that one buffer's memory fits the next one: one of each, which is what a
// growing buffer leaves behind, stay warm together.
constexpr std::size_t kWarm = Reaper::kWarm / 2;

std::size_t next_capacity(std::size_t capacity, std::size_t wanted) noexcept {
  if (wanted <= kWarm) return std::bit_ceil(std::max(wanted, kLeast));
  return (std::max(wanted, capacity + capacity / 2) + kRound - 1) / kRound * kRound;
}

std::uint8_t* grow_large(std::uint8_t* data, std::size_t size, std::size_t capacity, std::size_t wanted) noexcept {
  // To copy into warm memory is cheaper than to have the system find as many new pages; what is left behind is warm for
  // the next one.
  void* pages = Reaper::of_process().reuse(wanted);
  if (pages == nullptr && capacity >= GrowingBuffer::kPages) {
    if (void* grown = grow_pages(data, capacity, wanted)) return static_cast<std::uint8_t*>(grown);
  }
  if (pages == nullptr) pages = map_pages(wanted);
  if (pages == nullptr) return nullptr;
  if (size != 0) std::memcpy(pages, data, size);
  if (data != nullptr) free_memory(data, capacity);
  return static_cast<std::uint8_t*>(pages);
}

}  // namespace

bool GrowingBuffer::reserve(std::size_t n) noexcept {
  if (n <= capacity_ - size_) return true;
  if (n > std::numeric_limits<std::size_t>::max() / 2 - size_) return false;
  const std::size_t wanted = next_capacity(capacity_, size_ + n);
  auto* grown = wanted < kPages ? static_cast<std::uint8_t*>(std::realloc(data_, wanted))
                                : grow_large(data_, size_, capacity_, wanted);
  if (grown == nullptr) return false;
  data_ = grown;
  capacity_ = wanted;
  return true;
}

bool GrowingBuffer::append(BytesView bytes) noexcept {
  if (bytes.empty()) return true;
  if (!reserve(bytes.size())) return false;
  std::memcpy(data_ + size_, bytes.data(), bytes.size());
  size_ += bytes.size();
  return true;
}

void GrowingBuffer::reset() noexcept {
  if (data_ != nullptr) free_memory(data_, capacity_);
  data_ = nullptr;
  size_ = capacity_ = 0;
}

std::shared_ptr<const void> GrowingBuffer::release() {
  const std::size_t capacity = std::exchange(capacity_, 0);
  size_ = 0;
  // Should this throw, it frees the memory.
  return {static_cast<const void*>(std::exchange(data_, nullptr)),
          [capacity](const void* data) { free_memory(const_cast<void*>(data), capacity); }};
}

}  // namespace simdrive
