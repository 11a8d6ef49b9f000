#include "hash/xxh3.hpp"

#include <bit>
#include <cassert>
#include <cstring>

#include "base/endian.hpp"
#include "hash/backend.hpp"
#include "simdrive/hash.hpp"

namespace simdrive {

namespace hash {

namespace {

// The default secret of the algorithm.
constexpr Xxh3Secret kSecret = {
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c,  //
    0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f,  //
    0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,  //
    0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c,  //
    0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3,  //
    0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,  //
    0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d,  //
    0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64,  //
    0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,  //
    0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e,  //
    0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce,  //
    0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e,
};

// A word of the secret as a constant: the short forms are too short to load what is known beforehand.
template <class T>
[[nodiscard]] constexpr T secret_word(std::size_t offset) noexcept {
  T v = 0;
  for (std::size_t i = sizeof(T); i-- != 0;) v = static_cast<T>((v << 8) | kSecret[offset + i]);
  return v;
}

[[nodiscard]] inline std::uint64_t load64(const std::uint8_t* p) noexcept { return load_le<std::uint64_t>(p); }
[[nodiscard]] inline std::uint64_t load32(const std::uint8_t* p) noexcept { return load_le<std::uint32_t>(p); }

[[nodiscard]] inline std::uint64_t fold_product(std::uint64_t a, std::uint64_t b) noexcept {
  const Product128 product = multiply_128(a, b);
  return product.low ^ product.high;
}

[[nodiscard]] inline std::uint64_t avalanche(std::uint64_t v) noexcept {
  v = (v ^ (v >> 37)) * kPrimeMix1;
  return v ^ (v >> 32);
}

// GCC 12 does not see one instruction in the portable form.
template <class T>
[[nodiscard]] inline T reverse_bytes(T v) noexcept {
#if defined(__GNUC__)
  if constexpr (sizeof(T) == 8) {
    return __builtin_bswap64(v);
  } else {
    return __builtin_bswap32(v);
  }
#else
  return byte_swap(v);
#endif
}

// The final mixing that the shortest inputs take over from XXH64.
[[nodiscard]] inline std::uint64_t avalanche_xxh64(std::uint64_t v) noexcept {
  v = (v ^ (v >> 33)) * kPrime64_2;
  v = (v ^ (v >> 29)) * kPrime64_3;
  return v ^ (v >> 32);
}

[[nodiscard]] inline std::uint64_t hash_1_to_3(const std::uint8_t* p, std::size_t n, std::uint64_t seed) noexcept {
  constexpr std::uint64_t kKey = secret_word<std::uint32_t>(0) ^ secret_word<std::uint32_t>(4);
  const std::uint32_t bytes = std::uint32_t{p[n - 1]} | (static_cast<std::uint32_t>(n) << 8) |
                              (std::uint32_t{p[0]} << 16) | (std::uint32_t{p[n >> 1]} << 24);
  return avalanche_xxh64((kKey + seed) ^ bytes);
}

[[nodiscard]] inline std::uint64_t hash_4_to_8(const std::uint8_t* p, std::size_t n, std::uint64_t seed) noexcept {
  constexpr std::uint64_t kKey = secret_word<std::uint64_t>(8) ^ secret_word<std::uint64_t>(16);
  const std::uint64_t mixed_seed = seed ^ (std::uint64_t{reverse_bytes(static_cast<std::uint32_t>(seed))} << 32);
  std::uint64_t v = (kKey - mixed_seed) ^ (load32(p + n - 4) | (load32(p) << 32));
  v = (v ^ std::rotl(v, 49) ^ std::rotl(v, 24)) * kPrimeMix2;
  v = (v ^ ((v >> 35) + n)) * kPrimeMix2;
  return v ^ (v >> 28);
}

[[nodiscard]] inline std::uint64_t hash_9_to_16(const std::uint8_t* p, std::size_t n, std::uint64_t seed) noexcept {
  constexpr std::uint64_t kLowKey = secret_word<std::uint64_t>(24) ^ secret_word<std::uint64_t>(32);
  constexpr std::uint64_t kHighKey = secret_word<std::uint64_t>(40) ^ secret_word<std::uint64_t>(48);
  const std::uint64_t low = (kLowKey + seed) ^ load64(p);
  const std::uint64_t high = (kHighKey - seed) ^ load64(p + n - 8);
  return avalanche(n + reverse_bytes(low) + high + fold_product(low, high));
}

template <std::size_t kOffset>
[[nodiscard]] inline std::uint64_t mix_16(const std::uint8_t* p, std::uint64_t seed) noexcept {
  return fold_product(load64(p) ^ (secret_word<std::uint64_t>(kOffset) + seed),
                      load64(p + 8) ^ (secret_word<std::uint64_t>(kOffset + 8) - seed));
}

// The i-th 16 bytes from either end, which have 32 bytes of the secret.
template <std::size_t kIndex>
[[nodiscard]] inline std::uint64_t mix_ends(const std::uint8_t* p, std::size_t n, std::uint64_t seed) noexcept {
  return mix_16<32 * kIndex>(p + 16 * kIndex, seed) + mix_16<32 * kIndex + 16>(p + n - 16 * (kIndex + 1), seed);
}

[[nodiscard]] inline std::uint64_t hash_17_to_128(const std::uint8_t* p, std::size_t n, std::uint64_t seed) noexcept {
  std::uint64_t acc = n * kPrime64_1 + mix_ends<0>(p, n, seed);
  if (n > 32) acc += mix_ends<1>(p, n, seed);
  if (n > 64) acc += mix_ends<2>(p, n, seed);
  if (n > 96) acc += mix_ends<3>(p, n, seed);
  return avalanche(acc);
}

[[nodiscard]] std::uint64_t hash_129_to_240(const std::uint8_t* p, std::size_t n, std::uint64_t seed) noexcept {
  const auto mix = [seed](const std::uint8_t* at, std::size_t offset) {
    const std::uint8_t* key = kSecret.data() + offset;
    return fold_product(load64(at) ^ (load64(key) + seed), load64(at + 8) ^ (load64(key + 8) - seed));
  };
  std::uint64_t acc = n * kPrime64_1;
  for (std::size_t i = 0; i < 8; ++i) acc += mix(p + 16 * i, 16 * i);
  acc = avalanche(acc);
  // The second round through the secret starts 3 bytes later, the last 16 bytes have a place of their own.
  std::uint64_t rest = mix(p + n - 16, 119);
  for (std::size_t i = 8; i < n / 16; ++i) rest += mix(p + 16 * i, 16 * (i - 8) + 3);
  return avalanche(acc + rest);
}

}  // namespace

constinit const Xxh3Secret kXxh3DefaultSecret = kSecret;

void derive_xxh3_secret(std::uint64_t seed, Xxh3Secret& secret) noexcept {
  for (std::size_t i = 0; i < kXxh3SecretBytes; i += 16) {
    store_le(secret.data() + i, load64(kSecret.data() + i) + seed);
    store_le(secret.data() + i + 8, load64(kSecret.data() + i + 8) - seed);
  }
}

std::uint64_t xxh3_short(const std::uint8_t* data, std::size_t size, std::uint64_t seed) noexcept {
  assert(size <= kXxh3ShortMax);
  if (size > 128) return hash_129_to_240(data, size, seed);
  if (size > 16) return hash_17_to_128(data, size, seed);
  if (size > 8) return hash_9_to_16(data, size, seed);
  if (size > 3) return hash_4_to_8(data, size, seed);
  if (size > 0) return hash_1_to_3(data, size, seed);
  return avalanche_xxh64(seed ^ secret_word<std::uint64_t>(56) ^ secret_word<std::uint64_t>(64));
}

std::uint64_t merge_xxh3(const std::uint64_t* acc, std::uint64_t size, const std::uint8_t* secret) noexcept {
  std::uint64_t sum = size * kPrime64_1;
  for (std::size_t i = 0; i < 8; i += 2) {
    const std::uint8_t* key = secret + kXxh3MergeOffset + 8 * i;
    sum += fold_product(acc[i] ^ load64(key), acc[i + 1] ^ load64(key + 8));
  }
  return avalanche(sum);
}

namespace {

[[nodiscard]] std::uint64_t hash_long(BytesView data, const std::uint8_t* secret) noexcept {
  std::array<std::uint64_t, 8> acc;
  active_backend().xxh3_long(acc.data(), data.data(), data.size(), secret);
  return merge_xxh3(acc.data(), data.size(), secret);
}

// Apart from xxh3_64, which then needs no stack frame for short keys.
[[nodiscard]] std::uint64_t hash_long_seeded(BytesView data, std::uint64_t seed) noexcept {
  if (seed == 0) return hash_long(data, kXxh3DefaultSecret.data());
  Xxh3Secret secret;
  derive_xxh3_secret(seed, secret);
  return hash_long(data, secret.data());
}

}  // namespace

}  // namespace hash

std::uint64_t xxh3_64(BytesView data, std::uint64_t seed) noexcept {
  if (data.size() <= hash::kXxh3ShortMax) return hash::xxh3_short(data.data(), data.size(), seed);
  return hash::hash_long_seeded(data, seed);
}

void xxh3_64_many(std::span<const BytesView> items, std::span<std::uint64_t> out, std::uint64_t seed) noexcept {
  assert(out.size() >= items.size());
  for (std::size_t i = 0; i < items.size(); ++i) out[i] = xxh3_64(items[i], seed);
}

}  // namespace simdrive
