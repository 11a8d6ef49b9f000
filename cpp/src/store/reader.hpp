// Windows on a byte source, for readers that go backwards.
#pragma once

#include <cstddef>
#include <cstdint>

#include "simdrive/bytes.hpp"
#include "simdrive/error.hpp"
#include "store/byte_source.hpp"

namespace simdrive::store {

/// Keeps one piece of the source in memory. Over a source with a view it is all of it, and nothing is copied.
class Reader {
 public:
  static constexpr std::size_t kMaxWindow = std::size_t{1} << 20;

  explicit Reader(ByteSource& source) noexcept;

  [[nodiscard]] ByteSource& source() noexcept { return source_; }
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }

  /// The bytes in memory, which are those from `begin` on.
  [[nodiscard]] BytesView window() const noexcept { return window_; }
  [[nodiscard]] std::uint64_t begin() const noexcept { return begin_; }
  [[nodiscard]] std::uint64_t end() const noexcept { return begin_ + window_.size(); }
  [[nodiscard]] bool holds(std::uint64_t from, std::uint64_t to) const noexcept { return from >= begin_ && to <= end(); }

  /// Makes `holds(from, to)` true; at most `kMaxWindow` bytes within the source. What is read besides lies before
  /// `from`: much of it if the last windows were used well, little if the reader jumps.
  [[nodiscard]] Result<void> load(std::uint64_t from, std::uint64_t to);
  /// The same, and as much before as fits: for a reader that will want every byte.
  [[nodiscard]] Result<void> load_all(std::uint64_t from, std::uint64_t to);

  /// `value` continued over [from, to), in pieces if it must be. Leaves the window as it is.
  [[nodiscard]] Result<std::uint32_t> checksum(std::uint64_t from, std::uint64_t to, std::uint32_t value = 0);

  /// Bytes that were asked of the source, or checksummed in its view: a measure of work.
  [[nodiscard]] std::uint64_t work() const noexcept { return work_; }

 private:
  [[nodiscard]] Result<void> fill(std::uint64_t from, std::uint64_t to);

  ByteSource& source_;
  std::uint64_t size_;
  std::uint64_t begin_ = 0;
  BytesView window_;
  Bytes buffer_;
  Bytes pieces_;
  std::size_t ahead_;
  std::uint64_t work_ = 0;
  bool mapped_;
};

}  // namespace simdrive::store
