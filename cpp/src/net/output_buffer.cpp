#include "net/output_buffer.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace simdrive::net {

namespace {

using Memory = std::unique_ptr<std::uint8_t[]>;

thread_local bool thread_ends = false;

/// Buffers that this thread has just sent from, and that are warm in its caches.
struct WarmBuffers {
  ~WarmBuffers() { thread_ends = true; }

  std::array<Memory, 4> kept;
  std::size_t count = 0;
};

// Null while the thread's objects are being destroyed: a connection may be one of them.
WarmBuffers* warm_buffers() noexcept {
  if (thread_ends) return nullptr;
  thread_local WarmBuffers buffers;
  return &buffers;
}

Memory take_usual() {
  WarmBuffers* const warm = warm_buffers();
  if (warm && warm->count != 0) return std::move(warm->kept[--warm->count]);
  return std::make_unique_for_overwrite<std::uint8_t[]>(OutputBuffer::kUsual);
}

}  // namespace

void OutputBuffer::append(const void* from, std::size_t n) {
  if (n == 0) return;
  std::memcpy(room(n), from, n);
  commit(n);
}

void OutputBuffer::clear() noexcept {
  begin_ = end_ = 0;
  if (!memory_) return;
  WarmBuffers* const warm = capacity_ == kUsual ? warm_buffers() : nullptr;
  capacity_ = 0;
  Memory memory = std::move(memory_);
  if (warm && warm->count != warm->kept.size()) warm->kept[warm->count++] = std::move(memory);
}

// Bytes move to the front only where at least as many were sent before: each is moved a bounded number of times.
void OutputBuffer::make_room(std::size_t n) {
  const std::size_t have = size();
  if (have + n <= capacity_ && begin_ >= have) {
    if (have != 0) std::memcpy(memory_.get(), memory_.get() + begin_, have);
  } else {
    const std::size_t needed = have + n;
    const std::size_t capacity = needed <= kUsual ? kUsual : std::max(needed, 2 * capacity_);
    Memory larger = capacity == kUsual ? take_usual() : std::make_unique_for_overwrite<std::uint8_t[]>(capacity);
    if (have != 0) std::memcpy(larger.get(), memory_.get() + begin_, have);
    clear();
    memory_ = std::move(larger);
    capacity_ = capacity;
  }
  begin_ = 0;
  end_ = have;
}

}  // namespace simdrive::net
