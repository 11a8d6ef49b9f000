// What a server's connection has to send, in one piece of memory. Idle connections have none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "simdrive/bytes.hpp"

namespace simdrive::net {

/// One thread at a time. Emptied buffers of usual size go to a small store of their thread, for whichever connection
/// sends next.
class OutputBuffer {
 public:
  static constexpr std::size_t kUsual = std::size_t{128} << 10;

  OutputBuffer() = default;
  OutputBuffer(const OutputBuffer&) = delete;
  OutputBuffer& operator=(const OutputBuffer&) = delete;
  ~OutputBuffer() { clear(); }

  [[nodiscard]] bool empty() const noexcept { return begin_ == end_; }
  [[nodiscard]] std::size_t size() const noexcept { return end_ - begin_; }
  [[nodiscard]] BytesView bytes() const noexcept { return {memory_.get() + begin_, size()}; }

  /// Place for `n` bytes behind the others, to be confirmed with commit().
  [[nodiscard]] std::uint8_t* room(std::size_t n) {
    if (capacity_ - end_ < n) make_room(n);
    return memory_.get() + end_;
  }
  void commit(std::size_t n) noexcept { end_ += n; }
  void append(const void* from, std::size_t n);
  /// `skipped` bytes at the front of an empty buffer's room are not to be sent.
  void commit_behind(std::size_t skipped, std::size_t n) noexcept {
    begin_ += skipped;
    end_ += skipped + n;
  }
  /// Removes what was sent. The memory goes with the last of it.
  void consume(std::size_t n) noexcept {
    begin_ += n;
    if (empty()) clear();
  }
  void clear() noexcept;

 private:
  void make_room(std::size_t n);

  std::unique_ptr<std::uint8_t[]> memory_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace simdrive::net
