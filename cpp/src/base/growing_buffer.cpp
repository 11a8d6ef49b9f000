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

// Up to here capacities are powers of two, so that one buffer's memory fits the next one.
constexpr std::size_t kPowers = std::size_t{8} << 20;

std::size_t next_capacity(std::size_t capacity, std::size_t wanted) noexcept {
  if (wanted <= kPowers) return std::bit_ceil(std::max(wanted, kLeast));
  return (std::max(wanted, capacity + capacity / 2) + kRound - 1) / kRound * kRound;
}

void free_memory(void* data, std::size_t capacity, std::size_t lent) noexcept {
  if (capacity < GrowingBuffer::kPages) {
    std::free(data);
  } else {
    Reaper::of_process().keep(data, capacity, lent);
  }
}

}  // namespace

bool GrowingBuffer::reserve(std::size_t n) noexcept {
  if (n <= capacity_ - size_) return true;
  if (n > std::numeric_limits<std::size_t>::max() / 2 - size_) return false;
  const std::size_t wanted = next_capacity(capacity_, size_ + n);
  if (wanted >= kPages) return grow_large(wanted);
  auto* grown = static_cast<std::uint8_t*>(std::realloc(data_, wanted));
  if (grown == nullptr) return false;
  data_ = grown;
  capacity_ = wanted;
  return true;
}

bool GrowingBuffer::grow_large(std::size_t wanted) noexcept {
  // To copy into warm memory is cheaper than to have the system find as many new pages.
  const Reaper::Loan loan = Reaper::of_process().lend(wanted);
  void* pages = loan.pages;
  if (pages == nullptr && capacity_ >= kPages) {
    if (void* grown = grow_pages(data_, capacity_, wanted)) {
      data_ = static_cast<std::uint8_t*>(grown);
      capacity_ = wanted;
      return true;
    }
  }
  if (pages == nullptr) pages = map_pages(wanted);
  if (pages == nullptr) return false;
  if (size_ != 0) std::memcpy(pages, data_, size_);
  if (data_ != nullptr) free_memory(data_, capacity_, lent_);
  data_ = static_cast<std::uint8_t*>(pages);
  capacity_ = std::max(wanted, loan.bytes);
  lent_ = loan.bytes;
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
  if (data_ != nullptr) free_memory(data_, capacity_, lent_);
  data_ = nullptr;
  size_ = capacity_ = lent_ = 0;
}

std::shared_ptr<const void> GrowingBuffer::release() {
  const std::size_t capacity = std::exchange(capacity_, 0);
  const std::size_t lent = std::exchange(lent_, 0);
  size_ = 0;
  // Should this throw, it frees the memory.
  return {static_cast<const void*>(std::exchange(data_, nullptr)),
          [capacity, lent](const void* data) { free_memory(const_cast<void*>(data), capacity, lent); }};
}

}  // namespace simdrive
