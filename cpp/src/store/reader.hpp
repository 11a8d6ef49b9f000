// Windows on a byte source, for readers that go backwards.
#pragma once

#include <cstddef>
#include <cstdint>

#include "simdrive/bytes.hpp"
#include "simdrive/error.hpp"
#include "simdrive/hash.hpp"
#include "store/byte_source.hpp"

namespace simdrive::store {

/// Keeps one piece of the source in memory. Over a source with a view it is all of it, and nothing is copied.
class Reader {
 public:
  static constexpr std::size_t kMaxWindow = std::size_t{256} << 10;

  explicit Reader(ByteSource& source);

  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }

  /// The bytes in memory, which are those from `begin` on.
  [[nodiscard]] BytesView window() const noexcept { return window_; }
  [[nodiscard]] std::uint64_t begin() const noexcept { return begin_; }
  [[nodiscard]] std::uint64_t end() const noexcept { return begin_ + window_.size(); }
  [[nodiscard]] bool holds(std::uint64_t from, std::uint64_t to) const noexcept {
    return from >= begin_ && to <= end();
  }

  /// Makes `holds(from, to)` true; at most `kMaxWindow` bytes within the source. What is read besides lies before
  /// `from`: much if the reader comes from close behind, little if it jumps.
  [[nodiscard]] Result<void> load(std::uint64_t from, std::uint64_t to);
  /// The same, and as much before as fits: for a reader that wants every byte.
  [[nodiscard]] Result<void> load_all(std::uint64_t from, std::uint64_t to);

  /// The CRC-32 `value` continued over [from, to). Leaves the window as it is.
  [[nodiscard]] Result<std::uint32_t> checksum(std::uint64_t from, std::uint64_t to, std::uint32_t value = 0);
  /// The same where `holds(from, to)` is true.
  [[nodiscard]] std::uint32_t checksum_held(std::uint64_t from, std::uint64_t to, std::uint32_t value = 0) {
    work_ += to - from;
    return crc32(window_.subspan(static_cast<std::size_t>(from - begin_), static_cast<std::size_t>(to - from)), value);
  }

  /// Bytes asked of the source and bytes checksummed: a measure of work.
  [[nodiscard]] std::uint64_t work() const noexcept { return work_; }

 private:
  [[nodiscard]] Result<void> fill(std::uint64_t from, std::uint64_t to);

  ByteSource& source_;
  std::uint64_t size_;
  std::uint64_t begin_ = 0;
  BytesView window_;
  Bytes buffer_;
  std::size_t ahead_;
  // Bytes read for checksums, which go forwards.
  Bytes pieces_;
  std::uint64_t pieces_begin_ = 0;
  std::uint64_t pieces_end_ = 0;
  std::uint64_t work_ = 0;
};

}  // namespace simdrive::store
