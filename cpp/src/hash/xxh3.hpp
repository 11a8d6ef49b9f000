// XXH3-64: the pieces that the one-shot and the streaming form share.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "hash/xxh3_constants.hpp"

namespace simdrive::hash {

inline constexpr std::array<std::uint64_t, 8> kXxh3Start = std::to_array(kXxh3StartWords);

using Xxh3Secret = std::array<std::uint8_t, kXxh3SecretBytes>;

/// The secret that inputs above `kXxh3ShortMax` use with this seed.
void derive_xxh3_secret(std::uint64_t seed, Xxh3Secret& secret) noexcept;

/// The hash of at most `kXxh3ShortMax` bytes.
[[nodiscard]] std::uint64_t xxh3_short(const std::uint8_t* data, std::size_t size, std::uint64_t seed) noexcept;

/// The hash of a longer input, on the active backend: with the secret of its seed, or with a seed other than 0.
[[nodiscard]] std::uint64_t xxh3_long(const std::uint8_t* data, std::size_t size, const std::uint8_t* secret) noexcept;
[[nodiscard]] std::uint64_t xxh3_long_seeded(const std::uint8_t* data, std::size_t size, std::uint64_t seed) noexcept;

/// The hash of a longer input of `size` bytes whose stripes are all in `acc`.
[[nodiscard]] std::uint64_t merge_xxh3(const std::uint64_t* acc, std::uint64_t size,
                                       const std::uint8_t* secret) noexcept;

struct Product128 {
  std::uint64_t low;
  std::uint64_t high;
};

/// The full product in 32-bit steps, for compilers without a 128-bit integer.
[[nodiscard]] constexpr Product128 multiply_128_portable(std::uint64_t a, std::uint64_t b) noexcept {
  constexpr std::uint64_t kLow = 0xffffffffU;
  const std::uint64_t low = (a & kLow) * (b & kLow);
  // At most (2^32-1)^2 + 2 (2^32-1) = 2^64 - 1: neither sum can overflow.
  const std::uint64_t cross = (a >> 32) * (b & kLow) + (low >> 32);
  const std::uint64_t middle = (a & kLow) * (b >> 32) + (cross & kLow);
  return {(middle << 32) | (low & kLow), (a >> 32) * (b >> 32) + (cross >> 32) + (middle >> 32)};
}

[[nodiscard]] constexpr Product128 multiply_128(std::uint64_t a, std::uint64_t b) noexcept {
#if defined(__SIZEOF_INT128__)
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return {static_cast<std::uint64_t>(product), static_cast<std::uint64_t>(product >> 64)};
#else
  return multiply_128_portable(a, b);
#endif
}

[[nodiscard]] constexpr std::uint64_t fold_product_128(std::uint64_t a, std::uint64_t b) noexcept {
  const Product128 product = multiply_128(a, b);
  return product.low ^ product.high;
}

[[nodiscard]] constexpr std::uint64_t avalanche_xxh3(std::uint64_t v) noexcept {
  v = (v ^ (v >> 37)) * kPrimeMix1;
  return v ^ (v >> 32);
}

}  // namespace simdrive::hash
