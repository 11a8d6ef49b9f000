// Bytes that come one after another, in one piece of memory that grows with them: for what is long, but whose length
// nobody can be believed to know.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "simdrive/bytes.hpp"

namespace simdrive {

/// Not thread safe. What release() gave may be let go of on any thread.
class GrowingBuffer {
 public:
  /// From here on memory comes in pages of its own: warm ones that the reaper keeps of earlier buffers, or else ones
  /// that grow without a copy where the system can do that.
  static constexpr std::size_t kPages = std::size_t{1} << 20;

  GrowingBuffer() noexcept = default;
  GrowingBuffer(GrowingBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        capacity_(std::exchange(other.capacity_, 0)),
        lent_(std::exchange(other.lent_, 0)) {}
  GrowingBuffer& operator=(GrowingBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
    std::swap(lent_, other.lent_);
    return *this;
  }
  ~GrowingBuffer() { reset(); }

  [[nodiscard]] BytesView view() const noexcept { return {data_, size_}; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

  /// Room for `n` more bytes at least, mostly for as many again as there are; up to Reaper::kLendTimes as much where
  /// the memory was there. False: there is no memory, and nothing is changed.
  [[nodiscard]] bool reserve(std::size_t n) noexcept;
  /// Where the next bytes go.
  [[nodiscard]] MutableBytes room() noexcept { return {data_ + size_, capacity_ - size_}; }
  /// `n` bytes are in room().
  void written(std::size_t n) noexcept { size_ += n; }
  /// False: there is no memory, and nothing is changed.
  [[nodiscard]] bool append(BytesView bytes) noexcept;

  /// Keeps the memory.
  void clear() noexcept { size_ = 0; }
  void reset() noexcept;
  /// Hands the memory over, with view() in it. Throws std::bad_alloc.
  [[nodiscard]] std::shared_ptr<const void> release();

 private:
  [[nodiscard]] bool grow_large(std::size_t wanted) noexcept;

  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
  std::size_t lent_ = 0;  // what the reaper lent of it
};

}  // namespace simdrive
