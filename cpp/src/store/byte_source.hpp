// Where the readers of a store file get their bytes from: a mapping, positional reads, or memory in a test.
#pragma once

#include <algorithm>
#include <cstdint>

#include "simdrive/bytes.hpp"
#include "simdrive/error.hpp"

namespace simdrive::store {

/// Bytes at positions. The size does not change while somebody reads. One thread at a time.
class ByteSource {
 public:
  ByteSource() = default;
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;
  virtual ~ByteSource() = default;

  [[nodiscard]] virtual std::uint64_t size() const noexcept = 0;

  /// Fills all of `out`, which lies within `size()`. An error ends whatever is being done, and is passed on.
  [[nodiscard]] virtual Result<void> read_at(std::uint64_t offset, MutableBytes out) = 0;

  /// All `size()` bytes, if they lie in memory; else empty, and `read_at` copies them piece by piece.
  [[nodiscard]] virtual BytesView view() const noexcept { return {}; }
};

/// Bytes in memory, which the caller owns.
class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(BytesView bytes) noexcept : bytes_(bytes) {}

  [[nodiscard]] std::uint64_t size() const noexcept override { return bytes_.size(); }
  [[nodiscard]] BytesView view() const noexcept override { return bytes_; }
  [[nodiscard]] Result<void> read_at(std::uint64_t offset, MutableBytes out) override {
    if (offset > bytes_.size() || out.size() > bytes_.size() - offset) {
      return Error{.code = Errc::internal, .detail = "read past the end of memory", .offset = offset};
    }
    const BytesView from = bytes_.subspan(static_cast<std::size_t>(offset), out.size());
    std::copy(from.begin(), from.end(), out.begin());
    return {};
  }

 private:
  BytesView bytes_;
};

}  // namespace simdrive::store
