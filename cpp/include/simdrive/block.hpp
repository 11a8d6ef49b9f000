// Memory that values live in: counted, so that a part of a value keeps all of it, and freed off the caller's thread
// where freeing takes long. Copies of a Block, and what they do to the count, may be on any threads at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace simdrive {

/// A reference to memory. Whoever made it fills it before others are given copies; from then on it is read only. The
/// last reference frees it: at once, or, from kLarge on, on a thread of the library's own, which keeps up to 16 MiB for
/// the next blocks, for 0.1 s.
class Block {
 public:
  /// Giving back 64 MiB takes the system about 5 ms.
  static constexpr std::size_t kLarge = std::size_t{1} << 20;

  /// No memory.
  Block() noexcept = default;
  /// `size` uninitialised bytes, aligned to 16 bytes, large ones to 64. Empty if there is no memory.
  [[nodiscard]] static Block make(std::uint64_t size) noexcept;
  /// The same, or more bytes, where as much was let go of just now: to fill memory anew costs less than to find it.
  [[nodiscard]] static Block make_at_least(std::uint64_t size) noexcept;
  /// Has more bytes behind those that it has, here or elsewhere, without a copy. False, and nothing is changed: the
  /// system cannot do that, there is no memory, or this is not the only reference to a block of at least kLarge.
  [[nodiscard]] bool grow(std::uint64_t size) noexcept;

  Block(const Block& other) noexcept : data_(other.data_) { keep(); }
  Block(Block&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
  Block& operator=(Block other) noexcept {
    std::swap(data_, other.data_);
    return *this;
  }
  ~Block() { reset(); }

  /// Lets go of the memory.
  void reset() noexcept {
    if (data_ != nullptr) let_go(std::exchange(data_, nullptr));
  }
  explicit operator bool() const noexcept { return data_ != nullptr; }
  [[nodiscard]] std::uint8_t* data() const noexcept { return data_; }
  /// 0 without memory.
  [[nodiscard]] std::size_t size() const noexcept;

  /// Whether this is the only reference, so that letting go of it frees the memory.
  [[nodiscard]] bool alone() const noexcept;

  /// Bytes that were let go of and are not back with the system yet: one block, or at most 1 GiB. What would make it
  /// more is freed at once.
  [[nodiscard]] static std::size_t waiting_bytes() noexcept;

 private:
  void own(std::uint8_t* data, std::size_t size) noexcept;
  void keep() const noexcept;
  static void let_go(std::uint8_t* data) noexcept;

  std::uint8_t* data_ = nullptr;  // behind its Head
};

}  // namespace simdrive
