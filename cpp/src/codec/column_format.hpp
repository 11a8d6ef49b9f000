// The tables that writers and readers of columns share (docs/design/wire.md, 6.1 to 6.4).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace simdrive::codec {

/// How a BYTES column is packed, from sparse to dense. A plain header is 2 * density, one with a minimum 2 * density
/// - 1.
inline constexpr std::uint8_t kRaw = 0;
inline constexpr std::uint8_t kByteHeaderMax = 10;
/// Digits of each density, and how many of them share a byte.
inline constexpr std::array<std::uint16_t, 6> kByteBase{256, 16, 6, 4, 3, 2};
inline constexpr std::array<std::uint8_t, 6> kByteDigits{1, 2, 3, 4, 5, 8};
/// Columns of fewer values have no header and are raw.
inline constexpr std::uint64_t kByteHeaderFrom = 3;
inline constexpr std::size_t kDigitsMax = 8;

/// Widths of an INT column are 8 >> density bytes; headers follow the rule above.
inline constexpr std::uint8_t kIntHeaderMax = 6;
inline constexpr std::uint8_t kIntBytes = 3;

/// Encoders subtract a minimum only from columns of more values; decoders take it at any count.
inline constexpr std::uint64_t kMinFrom = 6;

/// A length from here on stands in the INT part of a LENGTH column.
inline constexpr std::uint8_t kLargeLength = 255;
/// The lengths of one column add up to less than this: (2^63 - 1) / 4096.
inline constexpr std::uint64_t kLengthSumLimit = 2'251'799'813'685'247;

[[nodiscard]] constexpr std::uint8_t byte_density(std::uint8_t max) noexcept {
  if (max >= 16) return kRaw;
  if (max >= 6) return 1;
  if (max >= 4) return 2;
  return max == 3 ? 3 : max == 2 ? 4 : 5;
}

[[nodiscard]] constexpr std::uint8_t int_density(std::uint64_t max) noexcept {
  if (max > 0xffffffff) return 0;
  if (max > 0xffff) return 1;
  return max > 0xff ? 2 : kIntBytes;
}

/// Headers pair up: 0 | 1 2 | 3 4 | ...
[[nodiscard]] constexpr std::uint8_t density_of_header(std::uint8_t header) noexcept {
  return static_cast<std::uint8_t>((header + 1) / 2);
}
[[nodiscard]] constexpr bool header_has_min(std::uint8_t header) noexcept { return (header & 1) != 0; }

/// Quotient rounded up, without overflow.
[[nodiscard]] constexpr std::uint64_t div_up(std::uint64_t n, std::uint64_t by) noexcept {
  return n / by + (n % by != 0 ? 1 : 0);
}

/// Bytes that `n` values take.
[[nodiscard]] constexpr std::uint64_t packed_bytes(std::uint64_t n, std::uint8_t density) noexcept {
  return div_up(n, kByteDigits[density]);
}

}  // namespace simdrive::codec
