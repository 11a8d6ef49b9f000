#include "store/crc_shift.hpp"

#include <array>
#include <cstddef>

namespace simdrive::store {
namespace {

// Polynomials modulo that of CRC-32, bit 31 being the coefficient of x^0.
constexpr std::uint32_t kPolynomial = 0xEDB88320U;
constexpr std::uint32_t kOne = 0x80000000U;

constexpr std::uint32_t multiply(std::uint32_t a, std::uint32_t b) noexcept {
  std::uint32_t product = 0;
  for (int i = 31; i >= 0; --i) {
    product ^= a & (0U - ((b >> i) & 1U));
    a = (a >> 1) ^ (kPolynomial & (0U - (a & 1U)));
  }
  return product;
}

// powers[k][i] = x^(8 * i * 256^k): what to multiply by for i * 256^k bytes.
using Powers = std::array<std::array<std::uint32_t, 256>, 8>;

Powers make_powers() noexcept {
  Powers powers{};
  std::uint32_t step = kOne >> 8;  // x^8
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
  for (std::size_t k = 0; bytes != 0; ++k, bytes >>= 8) {
    if ((bytes & 0xff) != 0) crc = multiply(crc, powers[k][bytes & 0xff]);
  }
  return crc;
}

}  // namespace simdrive::store
