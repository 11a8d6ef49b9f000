#include "hash/scalar.hpp"

#include <cstring>

#include "hash/backend.hpp"

namespace simdrive::hash {

std::uint32_t crc32_copy_in_pieces(Crc32Update update, std::uint32_t reg, std::uint8_t* to, const std::uint8_t* from,
                                   std::size_t size) noexcept {
  // So that the second pass finds the bytes in the first-level cache.
  constexpr std::size_t kPiece = 12288;
  for (; size > kPiece; size -= kPiece, to += kPiece, from += kPiece) {
    std::memcpy(to, from, kPiece);
    reg = update(reg, to, kPiece);
  }
  if (size != 0) std::memcpy(to, from, size);
  return update(reg, to, size);
}

namespace {

std::uint32_t crc32_copy_scalar(std::uint32_t reg, std::uint8_t* to, const std::uint8_t* from,
                                std::size_t size) noexcept {
  return crc32_copy_in_pieces(crc32_scalar, reg, to, from, size);
}

}  // namespace

constinit const Xxh3Kernels kXxh3Scalar = {
    .stripes = xxh3_stripes_scalar,
    .whole = xxh3_long_scalar,
    .equal_sized = xxh3_equal_sized_scalar,
};

constinit const Crc32Kernels kCrc32Scalar = {.update = crc32_scalar, .copy = crc32_copy_scalar};

}  // namespace simdrive::hash
