#include "hash/xxh3.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>

#include "base/endian.hpp"
#include "base/noinline.hpp"
#include "hash/backend.hpp"
#include "hash/scalar.hpp"
#include "simdrive/hash.hpp"

namespace simdrive {

namespace hash {

namespace {

[[nodiscard]] inline std::uint64_t load64(const std::uint8_t* p) noexcept { return load_le<std::uint64_t>(p); }
[[nodiscard]] inline std::uint64_t load32(const std::uint8_t* p) noexcept { return load_le<std::uint32_t>(p); }

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

// Without a seed the keys of the short forms are constants, which is worth functions of their own.
struct NoSeed {
  constexpr operator std::uint64_t() const noexcept { return 0; }
};

template <class Seed>
[[nodiscard]] inline std::uint64_t hash_1_to_3(const std::uint8_t* p, std::size_t n, Seed seed) noexcept {
  constexpr std::uint64_t kKey = xxh3_secret_word<std::uint32_t>(0) ^ xxh3_secret_word<std::uint32_t>(4);
  const std::uint32_t bytes = std::uint32_t{p[n - 1]} | (static_cast<std::uint32_t>(n) << 8) |
                              (std::uint32_t{p[0]} << 16) | (std::uint32_t{p[n >> 1]} << 24);
  return avalanche_xxh64((kKey + seed) ^ bytes);
}

template <class Seed>
[[nodiscard]] inline std::uint64_t hash_4_to_8(const std::uint8_t* p, std::size_t n, Seed seed) noexcept {
  constexpr std::uint64_t kKey = xxh3_secret_word<std::uint64_t>(8) ^ xxh3_secret_word<std::uint64_t>(16);
  const std::uint64_t mixed_seed = seed ^ (std::uint64_t{reverse_bytes(static_cast<std::uint32_t>(seed))} << 32);
  std::uint64_t v = (kKey - mixed_seed) ^ (load32(p + n - 4) | (load32(p) << 32));
  v = (v ^ std::rotl(v, 49) ^ std::rotl(v, 24)) * kPrimeMix2;
  v = (v ^ ((v >> 35) + n)) * kPrimeMix2;
  return v ^ (v >> 28);
}

template <class Seed>
[[nodiscard]] inline std::uint64_t hash_9_to_16(const std::uint8_t* p, std::size_t n, Seed seed) noexcept {
  constexpr std::uint64_t kLowKey = xxh3_secret_word<std::uint64_t>(24) ^ xxh3_secret_word<std::uint64_t>(32);
  constexpr std::uint64_t kHighKey = xxh3_secret_word<std::uint64_t>(40) ^ xxh3_secret_word<std::uint64_t>(48);
  const std::uint64_t low = (kLowKey + seed) ^ load64(p);
  const std::uint64_t high = (kHighKey - seed) ^ load64(p + n - 8);
  return avalanche_xxh3(n + reverse_bytes(low) + high + fold_product_128(low, high));
}

template <std::size_t kOffset, class Seed>
[[nodiscard]] inline std::uint64_t mix_16(const std::uint8_t* p, Seed seed) noexcept {
  return fold_product_128(load64(p) ^ (xxh3_secret_word<std::uint64_t>(kOffset) + seed),
                          load64(p + 8) ^ (xxh3_secret_word<std::uint64_t>(kOffset + 8) - seed));
}

// Adds the i-th 16 bytes from either end, which have 32 bytes of the secret.
template <std::size_t kIndex, class Seed>
inline void mix_ends(std::uint64_t& acc, const std::uint8_t* p, std::size_t n, Seed seed) noexcept {
  acc += mix_16<32 * kIndex>(p + 16 * kIndex, seed);
  acc += mix_16<32 * kIndex + 16>(p + n - 16 * (kIndex + 1), seed);
}

template <class Seed>
[[nodiscard]] inline std::uint64_t hash_17_to_128(const std::uint8_t* p, std::size_t n, Seed seed) noexcept {
  std::uint64_t acc = n * kPrime64_1;
  // The inner bytes first, so that the branches do not stand between the multiplications of all sizes.
  if (n > 32) {
    if (n > 64) {
      if (n > 96) mix_ends<3>(acc, p, n, seed);
      mix_ends<2>(acc, p, n, seed);
    }
    mix_ends<1>(acc, p, n, seed);
  }
  mix_ends<0>(acc, p, n, seed);
  return avalanche_xxh3(acc);
}

template <class Seed>
[[nodiscard]] inline std::uint64_t hash_129_to_240(const std::uint8_t* p, std::size_t n, Seed seed) noexcept {
  const auto mix = [seed](const std::uint8_t* at, std::size_t offset) {
    const std::uint8_t* key = kXxh3SecretData + offset;
    return fold_product_128(load64(at) ^ (load64(key) + seed), load64(at + 8) ^ (load64(key + 8) - seed));
  };
  std::uint64_t acc = n * kPrime64_1;
  for (std::size_t i = 0; i < 8; ++i) acc += mix(p + 16 * i, 16 * i);
  acc = avalanche_xxh3(acc);
  // The second round through the secret starts 3 bytes later, the last 16 bytes have a place of their own.
  std::uint64_t rest = mix(p + n - 16, 119);
  for (std::size_t i = 8; i < n / 16; ++i) rest += mix(p + 16 * i, 16 * (i - 8) + 3);
  return avalanche_xxh3(acc + rest);
}

// Calls, so that the shorter forms beside them need no registers but those that a function may use freely.
template <class Seed>
[[nodiscard]] SIMDRIVE_NOINLINE std::uint64_t call_17_to_128(const std::uint8_t* p, std::size_t n, Seed seed) noexcept {
  return hash_17_to_128(p, n, seed);
}

template <class Seed>
[[nodiscard]] SIMDRIVE_NOINLINE std::uint64_t call_129_to_240(const std::uint8_t* p, std::size_t n,
                                                              Seed seed) noexcept {
  return hash_129_to_240(p, n, seed);
}

template <class Seed>
[[nodiscard]] inline std::uint64_t hash_0(const std::uint8_t* /*p*/, std::size_t /*n*/, Seed seed) noexcept {
  return avalanche_xxh64(seed ^ xxh3_secret_word<std::uint64_t>(56) ^ xxh3_secret_word<std::uint64_t>(64));
}

template <class Seed>
[[nodiscard]] inline std::uint64_t hash_0_to_16(const std::uint8_t* p, std::size_t n, Seed seed) noexcept {
  if (n > 8) return hash_9_to_16(p, n, seed);
  if (n > 3) return hash_4_to_8(p, n, seed);
  return n > 0 ? hash_1_to_3(p, n, seed) : hash_0(p, n, seed);
}

template <std::uint64_t (*kHash)(const std::uint8_t*, std::size_t, std::uint64_t) noexcept>
void hash_each(const std::uint8_t* const* items, std::size_t count, std::size_t size, std::uint64_t seed,
               std::uint64_t* out) noexcept {
  for (std::size_t i = 0; i < count; ++i) out[i] = kHash(items[i], size, seed);
}

}  // namespace

std::uint64_t xxh3_short(const std::uint8_t* data, std::size_t size, std::uint64_t seed) noexcept {
  assert(size <= kXxh3ShortMax);
  if (size <= 16) return hash_0_to_16(data, size, seed);
  return size <= 128 ? call_17_to_128(data, size, seed) : call_129_to_240(data, size, seed);
}

void xxh3_equal_sized_scalar(const std::uint8_t* const* items, std::size_t count, std::size_t size, std::uint64_t seed,
                             std::uint64_t* out) noexcept {
  assert(size <= kXxh3ShortMax);
  if (size > 128) return hash_each<hash_129_to_240>(items, count, size, seed, out);
  if (size > 16) return hash_each<hash_17_to_128>(items, count, size, seed, out);
  if (size > 8) return hash_each<hash_9_to_16>(items, count, size, seed, out);
  if (size > 3) return hash_each<hash_4_to_8>(items, count, size, seed, out);
  if (size > 0) return hash_each<hash_1_to_3>(items, count, size, seed, out);
  return hash_each<hash_0>(items, count, size, seed, out);
}

}  // namespace hash

std::uint64_t xxh3_64(BytesView data, std::uint64_t seed) noexcept {
  const std::uint8_t* bytes = data.data();
  const std::size_t size = data.size();
  if (seed == 0) [[likely]] {
    // The shortest first: they would feel one more branch.
    if (size <= 16) return hash::hash_0_to_16(bytes, size, hash::NoSeed{});
    if (size <= 128) return hash::call_17_to_128(bytes, size, hash::NoSeed{});
    if (size <= hash::kXxh3ShortMax) return hash::call_129_to_240(bytes, size, hash::NoSeed{});
    return hash::xxh3_long(bytes, size, hash::kXxh3SecretData);
  }
  if (size <= hash::kXxh3ShortMax) return hash::xxh3_short(bytes, size, seed);
  return hash::xxh3_long_seeded(bytes, size, seed);
}

namespace {

// So many short items at once go to the backend, which needs their addresses side by side.
constexpr std::size_t kChunk = 64;

// One item is hashed here: the call of the backend would cost more than the hash.
void hash_equal_sized(const std::uint8_t* const* items, std::size_t count, std::size_t size, std::uint64_t seed,
                      std::uint64_t* out) noexcept {
  if (count == 1) {
    *out = xxh3_64({*items, size}, seed);
  } else {
    hash::active_backend().xxh3.equal_sized(items, count, size, seed, out);
  }
}

}  // namespace

void xxh3_64_many(std::span<const BytesView> items, std::span<std::uint64_t> out, std::uint64_t seed) noexcept {
  assert(out.size() >= items.size());
  const std::uint8_t* pointers[kChunk];
  for (std::size_t i = 0; i < items.size();) {
    const std::size_t size = items[i].size();
    if (size > hash::kXxh3ShortMax) {
      out[i] = xxh3_64(items[i], seed);
      ++i;
      continue;
    }
    const std::size_t most = std::min(kChunk, items.size() - i);
    std::size_t count = 0;
    for (; count < most && items[i + count].size() == size; ++count) pointers[count] = items[i + count].data();
    hash_equal_sized(pointers, count, size, seed, out.data() + i);
    i += count;
  }
}

void xxh3_64_rows(const std::uint8_t* rows, std::size_t width, std::size_t stride, std::span<std::uint64_t> out,
                  std::uint64_t seed) noexcept {
  if (width > hash::kXxh3ShortMax) {
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = xxh3_64({rows + i * stride, width}, seed);
    return;
  }
  const std::uint8_t* pointers[kChunk];
  for (std::size_t i = 0; i < out.size();) {
    const std::size_t count = std::min(kChunk, out.size() - i);
    for (std::size_t k = 0; k < count; ++k) pointers[k] = rows + (i + k) * stride;
    hash_equal_sized(pointers, count, width, seed, out.data() + i);
    i += count;
  }
}

}  // namespace simdrive
