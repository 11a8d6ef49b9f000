#include "simdrive/block.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <limits>
#include <new>

#include "base/pages.hpp"
#include "base/reaper.hpp"

namespace simdrive {

namespace {

// Right before the bytes of every block.
struct Head {
  std::atomic<std::size_t> references{1};
  std::size_t size = 0;
};
static_assert(sizeof(Head) <= 16);

constexpr std::size_t kHead = 16;
// Large blocks are pages of their own: the heap would keep some of them, and other threads' allocations would wait for
// what it gives back.
constexpr std::size_t kLargeHead = 64;

// What is mapped for a large block. Rounded up, so that blocks of about one size can be used again; pages that are not
// touched cost nothing.
constexpr std::size_t kRound = std::size_t{64} << 10;
std::size_t mapped(std::size_t size) noexcept { return (kLargeHead + size + kRound - 1) / kRound * kRound; }

// At least so many bytes, and more only where `most` allows and they lie ready.
Reaper::Pages large_memory(std::size_t size, std::size_t most) noexcept {
  const std::size_t bytes = mapped(size);
  const Reaper::Pages used = Reaper::of_process().reuse(bytes, std::max(bytes, most));
  return used.start != nullptr ? used : Reaper::Pages{map_pages(bytes), bytes};
}

Head& head_of(std::uint8_t* data) noexcept { return *reinterpret_cast<Head*>(data - kHead); }

// Larger blocks have no address space.
constexpr std::size_t kMost = std::numeric_limits<std::size_t>::max() - kLargeHead - kRound;

}  // namespace

// `data` is behind where its Head goes.
void Block::own(std::uint8_t* data, std::size_t size) noexcept {
  data_ = data;
  ::new (static_cast<void*>(data_ - kHead)) Head{.size = size};
}

Block Block::make(std::uint64_t size) noexcept {
  if (size > kMost) return {};
  const auto bytes = static_cast<std::size_t>(size);
  const bool large = bytes >= kLarge;
  void* const start = large ? large_memory(bytes, 0).start : std::malloc(kHead + bytes);
  if (start == nullptr) return {};
  Block block;
  block.own(static_cast<std::uint8_t*>(start) + (large ? kLargeHead : kHead), bytes);
  return block;
}

Block Block::make_at_least(std::uint64_t size) noexcept {
  if (size < kLarge || size > kMost) return make(size);
  const Reaper::Pages pages = large_memory(static_cast<std::size_t>(size), Reaper::kWarm);
  if (pages.start == nullptr) return {};
  Block block;
  block.own(static_cast<std::uint8_t*>(pages.start) + kLargeHead, pages.bytes - kLargeHead);
  return block;
}

bool Block::grow(std::uint64_t size) noexcept {
  if (!alone() || this->size() < kLarge || size < this->size() || size > kMost) return false;
  const auto bytes = static_cast<std::size_t>(size);
  const std::size_t had = mapped(this->size());
  if (const std::size_t wanted = mapped(bytes); wanted != had) {
    void* const start = grow_pages(data_ - kLargeHead, had, wanted);
    if (start == nullptr) return false;
    data_ = static_cast<std::uint8_t*>(start) + kLargeHead;
  }
  head_of(data_).size = bytes;
  return true;
}

std::size_t Block::size() const noexcept { return data_ == nullptr ? 0 : head_of(data_).size; }

bool Block::alone() const noexcept {
  return data_ != nullptr && head_of(data_).references.load(std::memory_order_relaxed) == 1;
}

std::size_t Block::waiting_bytes() noexcept { return Reaper::of_process().waiting_bytes(); }

void Block::keep() const noexcept {
  if (data_ != nullptr) head_of(data_).references.fetch_add(1, std::memory_order_relaxed);
}

void Block::let_go(std::uint8_t* data) noexcept {
  Head& head = head_of(data);
  if (head.references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  const std::size_t size = head.size;
  if (size < kLarge) {
    std::free(data - kHead);
  } else {
    Reaper::of_process().take(data - kLargeHead, mapped(size));
  }
}

}  // namespace simdrive
