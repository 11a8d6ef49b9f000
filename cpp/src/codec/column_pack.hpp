// Digits into bytes and back: the data part of BYTES columns.
#pragma once

#include <cstdint>

#include "codec/column_format.hpp"
#include "simdrive/bytes.hpp"

namespace simdrive::codec {

/// Packs the values of one column, given in pieces of any size, into `packed_bytes(n, density)` bytes.
class BytePacker {
 public:
  BytePacker(std::uint8_t* out, std::uint8_t density, std::uint8_t min) noexcept
      : out_(out), density_(density), min_(min) {}

  /// Every value must lie in min ... min + base - 1.
  void put(BytesView values) noexcept;
  /// Writes the last byte when it is not full.
  void finish() noexcept;

 private:
  template <unsigned kBase, unsigned kDigits>
  void pack(BytesView values) noexcept;

  std::uint8_t* out_;
  std::uint8_t density_;
  std::uint8_t min_;
  unsigned digits_ = 0;
  unsigned sum_ = 0;
  unsigned weight_ = 1;
};

/// Writes the `n` values of `packed_bytes(n, density)` bytes. Any byte is legal: digits are taken modulo the base,
/// values modulo 256, surplus digits are ignored.
void unpack(const std::uint8_t* in, std::uint8_t density, std::uint8_t min, std::uint64_t n,
            std::uint8_t* out) noexcept;

}  // namespace simdrive::codec
