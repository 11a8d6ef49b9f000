#include "store/crc_shift.hpp"

#include <array>
#include <cstddef>

namespace simdrive::store {
namespace {

// Polynomials modulo that of CRC-32, bit 31 being the coefficient of x^0.
constexpr std::uint32_t kPolynomial = 0xEDB88320U;
constexpr std::uint32_t kOne = 0x80000000U;
constexpr std::uint32_t kByte = kOne >> 8;  // x^8

// tables[k][b] is byte b, moved on by k + 1 bytes.
using Tables = std::array<std::array<std::uint32_t, 256>, 4>;

constexpr Tables make_tables() noexcept {
  Tables tables{};
  for (std::uint32_t b = 0; b < 256; ++b) {
    std::uint32_t crc = b;
    for (auto& table : tables) {
      for (int i = 0; i < 8; ++i) crc = (crc >> 1) ^ (kPolynomial & (0U - (crc & 1U)));
      table[b] = crc;
    }
  }
  return tables;
}
constexpr Tables kTables = make_tables();

// The product without carries, by integer products: with three zeros between any two bits no sum of eight reaches the
// next one.
constexpr std::uint64_t product(std::uint32_t a, std::uint32_t b) noexcept {
  constexpr std::uint64_t kEvery4th = 0x1111111111111111U;
  std::uint64_t x[4];
  std::uint64_t y[4];
  for (unsigned i = 0; i < 4; ++i) {
    x[i] = a & (kEvery4th << i);
    y[i] = b & (kEvery4th << i);
  }
  std::uint64_t sum = 0;
  for (unsigned i = 0; i < 4; ++i) {
    const std::uint64_t part =
        (x[0] * y[i]) ^ (x[1] * y[(i + 3) & 3]) ^ (x[2] * y[(i + 2) & 3]) ^ (x[3] * y[(i + 1) & 3]);
    sum |= part & (kEvery4th << i);
  }
  return sum;
}

constexpr std::uint32_t multiply(std::uint32_t a, std::uint32_t b) noexcept {
  const std::uint64_t wide = product(a, b) << 1;
  const auto high = static_cast<std::uint32_t>(wide);  // of x^32 to x^63: bits are reversed
  return static_cast<std::uint32_t>(wide >> 32) ^ kTables[3][high & 0xff] ^ kTables[2][(high >> 8) & 0xff] ^
         kTables[1][(high >> 16) & 0xff] ^ kTables[0][high >> 24];
}

// powers[k][i] = x^(8 * i * 2048^k): what to multiply by for i * 2048^k bytes. Three rows do for 8 GiB.
constexpr unsigned kDigitBits = 11;
constexpr std::size_t kDigits = std::size_t{1} << kDigitBits;
using Powers = std::array<std::array<std::uint32_t, kDigits>, 6>;

Powers make_powers() noexcept {
  Powers powers{};
  std::uint32_t step = kByte;
  for (auto& row : powers) {
    row[0] = kOne;
    for (std::size_t i = 1; i < row.size(); ++i) row[i] = multiply(row[i - 1], step);
    step = multiply(row.back(), step);
  }
  return powers;
}

}  // namespace

std::uint32_t crc_shift(std::uint32_t crc, std::uint64_t bytes) noexcept {
  static const Powers powers = make_powers();
  if (crc == 0) return 0;
  for (std::size_t k = 0; bytes != 0; ++k, bytes >>= kDigitBits) {
    const std::size_t digit = bytes & (kDigits - 1);
    if (digit != 0) crc = multiply(crc, powers[k][digit]);
  }
  return crc;
}

}  // namespace simdrive::store
