// XXH3-64: constants of the algorithm and the pieces that the one-shot and the streaming form share.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace simdrive::hash {

inline constexpr std::uint64_t kPrime32_1 = 0x9E3779B1U;
inline constexpr std::uint64_t kPrime32_2 = 0x85EBCA77U;
inline constexpr std::uint64_t kPrime32_3 = 0xC2B2AE3DU;
inline constexpr std::uint64_t kPrime64_1 = 0x9E3779B185EBCA87U;
inline constexpr std::uint64_t kPrime64_2 = 0xC2B2AE3D27D4EB4FU;
inline constexpr std::uint64_t kPrime64_3 = 0x165667B19E3779F9U;
inline constexpr std::uint64_t kPrime64_4 = 0x85EBCA77C2B2AE63U;
inline constexpr std::uint64_t kPrime64_5 = 0x27D4EB2F165667C5U;
inline constexpr std::uint64_t kPrimeMix1 = 0x165667919E3779F9U;
inline constexpr std::uint64_t kPrimeMix2 = 0x9FB21C651E98DF25U;

inline constexpr std::size_t kXxh3StripeBytes = 64;
inline constexpr std::size_t kXxh3BlockStripes = 16;
inline constexpr std::size_t kXxh3SecretBytes = 192;
/// Inputs up to here take the short forms, which never touch a backend.
inline constexpr std::size_t kXxh3ShortMax = 240;
/// Where in the secret the keys of the scrambling, of the last stripe and of the final merge begin.
inline constexpr std::size_t kXxh3ScrambleOffset = kXxh3SecretBytes - kXxh3StripeBytes;
inline constexpr std::size_t kXxh3LastStripeOffset = kXxh3ScrambleOffset - 7;
inline constexpr std::size_t kXxh3MergeOffset = 11;

inline constexpr std::array<std::uint64_t, 8> kXxh3Start = {kPrime32_3, kPrime64_1, kPrime64_2, kPrime64_3,
                                                            kPrime64_4, kPrime32_2, kPrime64_5, kPrime32_1};

using Xxh3Secret = std::array<std::uint8_t, kXxh3SecretBytes>;

extern const Xxh3Secret kXxh3DefaultSecret;

/// The secret that inputs above `kXxh3ShortMax` use with this seed.
void derive_xxh3_secret(std::uint64_t seed, Xxh3Secret& secret) noexcept;

/// The hash of at most `kXxh3ShortMax` bytes.
[[nodiscard]] std::uint64_t xxh3_short(const std::uint8_t* data, std::size_t size, std::uint64_t seed) noexcept;

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

}  // namespace simdrive::hash
