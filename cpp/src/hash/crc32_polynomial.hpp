// The polynomial of CRC-32 (IEEE 802.3, as zlib and gzip have it), and arithmetic modulo it for constants that the
// compiler works out. Polynomials over GF(2) are written as the CRC register is: bit 31 is the coefficient of x^0,
// bit 0 that of x^31.
#pragma once

#include <cstdint>

namespace simdrive::hash {

constexpr std::uint32_t kCrc32Polynomial = 0xEDB88320U;  // without its x^32

[[nodiscard]] consteval std::uint32_t times_x(std::uint32_t a) noexcept {
  return (a >> 1) ^ ((a & 1) != 0 ? kCrc32Polynomial : 0);
}

[[nodiscard]] consteval std::uint32_t multiply(std::uint32_t a, std::uint32_t b) noexcept {
  std::uint32_t product = 0;
  for (; b != 0; b <<= 1, a = times_x(a)) {
    if ((b & 0x80000000U) != 0) product ^= a;
  }
  return product;
}

/// x^n. The powers of x repeat after 2^32 - 1, the polynomial being primitive; so n may be negative.
[[nodiscard]] consteval std::uint32_t x_to_the(std::int64_t n) noexcept {
  constexpr std::int64_t kPeriod = 0xFFFFFFFF;
  std::uint32_t power = 0x80000000U;
  std::uint32_t square = 0x40000000U;
  for (n = (n % kPeriod + kPeriod) % kPeriod; n != 0; n >>= 1, square = multiply(square, square)) {
    if ((n & 1) != 0) power = multiply(power, square);
  }
  return power;
}

}  // namespace simdrive::hash
