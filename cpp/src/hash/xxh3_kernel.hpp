// The vector form of XXH3-64, written once and instantiated by one file per instruction set. Everything here belongs
// to an Arch, so that no function compiled for one set can be the copy that the linker keeps for another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#include <xsimd/xsimd.hpp>

#include "hash/backend.hpp"
#include "hash/scalar.hpp"
#include "hash/xxh3_constants.hpp"

// Left alone, GCC unrolls the loops over stripes entirely and then keeps more keys than it has registers.
#if defined(__GNUC__)
#define SIMDRIVE_UNROLL(directive) _Pragma(directive)
#else
#define SIMDRIVE_UNROLL(directive)
#endif

namespace simdrive::hash {

template <class Arch>
using Xxh3Words = xsimd::batch<std::uint64_t, Arch>;

/// What xsimd lacks: `multiply_low` multiplies the low halves of words to 64 bits, `swap_neighbours` exchanges words 0
/// and 1, 2 and 3 and so on, `reverse_bytes` turns each word round. What only some have is faster there than what
/// the kernel does without.
template <class Arch>
struct Xxh3Operations;

#if XSIMD_WITH_SSE2
template <>
struct Xxh3Operations<xsimd::sse2> {
  using Words = Xxh3Words<xsimd::sse2>;
  static XSIMD_INLINE Words multiply_low(Words a, Words b) noexcept { return _mm_mul_epu32(a, b); }
  static XSIMD_INLINE Words swap_neighbours(Words v) noexcept { return _mm_shuffle_epi32(v, 0x4e); }
};
#endif

#if XSIMD_WITH_AVX2
template <>
struct Xxh3Operations<xsimd::avx2> {
  using Words = Xxh3Words<xsimd::avx2>;
  static XSIMD_INLINE Words multiply_low(Words a, Words b) noexcept { return _mm256_mul_epu32(a, b); }
  static XSIMD_INLINE Words swap_neighbours(Words v) noexcept { return _mm256_shuffle_epi32(v, 0x4e); }
  static XSIMD_INLINE Words reverse_bytes(Words v) noexcept {
    return _mm256_shuffle_epi8(v, _mm256_broadcastsi128_si256(_mm_set_epi64x(0x08090a0b0c0d0e0f, 0x0001020304050607)));
  }
};
#endif

#if XSIMD_WITH_AVX512BW
template <>
struct Xxh3Operations<xsimd::avx512bw> {
  using Words = Xxh3Words<xsimd::avx512bw>;
  static XSIMD_INLINE Words multiply_low(Words a, Words b) noexcept { return _mm512_mul_epu32(a, b); }
  static XSIMD_INLINE Words swap_neighbours(Words v) noexcept {
    return _mm512_shuffle_epi32(v, static_cast<_MM_PERM_ENUM>(0x4e));
  }
  // GCC takes xsimd's for one of 32-bit lanes, and loads an operand in memory again for what has 64-bit lanes.
  static XSIMD_INLINE Words differ(Words a, Words b) noexcept { return _mm512_xor_epi64(a, b); }
  // The loads of single words that follow wait longer for one store of 512 bits (Zen 4).
  static XSIMD_INLINE void store(Words v, std::uint64_t* to) noexcept {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_castsi512_si256(v));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 4), _mm512_extracti64x4_epi64(v, 1));
  }
  static XSIMD_INLINE Words reverse_bytes(Words v) noexcept {
    return _mm512_shuffle_epi8(v, _mm512_broadcast_i32x4(_mm_set_epi64x(0x08090a0b0c0d0e0f, 0x0001020304050607)));
  }
};
#endif

#if XSIMD_WITH_NEON64
template <>
struct Xxh3Operations<xsimd::neon64> {
  using Words = Xxh3Words<xsimd::neon64>;
  static XSIMD_INLINE Words swap_neighbours(Words v) noexcept { return vextq_u64(v, v, 1); }
  static XSIMD_INLINE Words multiply_low(Words a, Words b) noexcept { return vmull_u32(vmovn_u64(a), vmovn_u64(b)); }
  // Halves of two registers at once: this takes one instruction a register to split and none to add.
  static XSIMD_INLINE void add_products(Words& sum0, Words& sum1, Words v0, Words v1) noexcept {
    const uint32x4_t first = vreinterpretq_u32_u64(v0);
    const uint32x4_t second = vreinterpretq_u32_u64(v1);
    const uint32x4_t low = vuzp1q_u32(first, second);
    const uint32x4_t high = vuzp2q_u32(first, second);
    sum0 = vmlal_u32(sum0, vget_low_u32(low), vget_low_u32(high));
    sum1 = vmlal_high_u32(sum1, low, high);
  }
};
#endif

template <class Arch>
class Xxh3Kernel {
 public:
  static std::size_t stripes(std::uint64_t* acc, const std::uint8_t* data, std::size_t stripes,
                             std::size_t block_stripe, const std::uint8_t* secret) noexcept {
    Words lanes[kRegisters];
    load_words(lanes, acc, kAll);
    for (std::size_t run = 0; stripes != 0; stripes -= run, data += run * kXxh3StripeBytes) {
      if (block_stripe == 0 && stripes >= kXxh3BlockStripes) {
        run = kXxh3BlockStripes;
        take_block(lanes, data, secret);
        continue;
      }
      const std::size_t left = kXxh3BlockStripes - block_stripe;
      run = stripes < left ? stripes : left;
      Sums sums;
      clear(sums, kAll);
      take(sums, data, run, secret + block_stripe * kSecretStep);
      add(lanes, sums, kAll);
      block_stripe += run;
      if (block_stripe == kXxh3BlockStripes) {
        scramble(lanes, secret + kXxh3ScrambleOffset, kAll);
        block_stripe = 0;
      }
    }
    store_words(lanes, acc, kAll);
    return block_stripe;
  }

  static void whole(std::uint64_t* acc, const std::uint8_t* data, std::size_t size,
                    const std::uint8_t* secret) noexcept {
    const std::uint8_t* last = data + size - kXxh3StripeBytes;
    std::size_t stripes = (size - 1) / kXxh3StripeBytes;
    Words lanes[kRegisters];
    load_words(lanes, kXxh3StartWords, kAll);
    for (; stripes >= kXxh3BlockStripes; stripes -= kXxh3BlockStripes, data += kBlockBytes) {
      take_block(lanes, data, secret);
    }
    Sums sums;
    clear(sums, kAll);
    take(sums, data, stripes, secret);
    take_stripe(sums, last, secret + kXxh3LastStripeOffset, kAll);
    add(lanes, sums, kAll);
    store_words(lanes, acc, kAll);
  }

  static void equal_sized(const std::uint8_t* const* items, std::size_t count, std::size_t size, std::uint64_t seed,
                          std::uint64_t* out) noexcept {
    std::size_t done = 0;
    if constexpr (requires(Words v) { Operations::reverse_bytes(v); }) {
      if (size > 128) {
        done = each(items, count, out, [=](Item* some) noexcept { return hash_129_to_240(some, size, seed); });
      } else if (size > 16) {
        done = each(items, count, out, [=](Item* some) noexcept { return hash_17_to_128(some, size, seed); });
      } else if (size > 8) {
        done = each(items, count, out, [=](Item* some) noexcept { return hash_9_to_16(some, size, seed); });
      } else if (size > 3) {
        done = each(items, count, out, [=](Item* some) noexcept { return hash_4_to_8(some, size, seed); });
      }
    }
    xxh3_equal_sized_scalar(items + done, count - done, size, seed, out + done);
  }

 private:
  using Operations = Xxh3Operations<Arch>;
  using Words = Xxh3Words<Arch>;
  static constexpr std::size_t kLanes = Words::size;
  static constexpr std::size_t kRegisters = 8 / kLanes;
  template <std::size_t... kIndex>
  using Each = std::index_sequence<kIndex...>;
  static constexpr std::make_index_sequence<kRegisters> kAll{};
  static constexpr std::size_t kBlockBytes = kXxh3BlockStripes * kXxh3StripeBytes;
  static constexpr std::size_t kSecretStep = 8;
  static constexpr std::size_t kPrefetchBytes = 384;

  // What stripes add to the lanes. Each lane takes its neighbour's words as they are: these are summed up where they
  // stand and change places once for all stripes.
  struct Sums {
    Words products[kRegisters];
    Words neighbours[kRegisters];
  };

  [[nodiscard]] static XSIMD_INLINE Words load(const std::uint8_t* p) noexcept {
    return xsimd::bitwise_cast<std::uint64_t>(xsimd::batch<std::uint8_t, Arch>::load_unaligned(p));
  }

  [[nodiscard]] static XSIMD_INLINE Words differ(Words a, Words b) noexcept {
    if constexpr (requires { Operations::differ(a, b); }) {
      return Operations::differ(a, b);
    } else {
      return a ^ b;
    }
  }

  static XSIMD_INLINE void store(Words v, std::uint64_t* to) noexcept {
    if constexpr (requires { Operations::store(v, to); }) {
      Operations::store(v, to);
    } else {
      v.store_unaligned(to);
    }
  }

  // No loops over registers: GCC would leave what they index in memory.

  template <std::size_t... kIndex>
  static XSIMD_INLINE void load_words(Words* lanes, const std::uint64_t* from, Each<kIndex...>) noexcept {
    ((lanes[kIndex] = Words::load_unaligned(from + kIndex * kLanes)), ...);
  }

  template <std::size_t... kIndex>
  static XSIMD_INLINE void store_words(const Words* lanes, std::uint64_t* to, Each<kIndex...>) noexcept {
    (store(lanes[kIndex], to + kIndex * kLanes), ...);
  }

  template <std::size_t... kIndex>
  static XSIMD_INLINE void clear(Sums& sums, Each<kIndex...>) noexcept {
    ((sums.products[kIndex] = Words(std::uint64_t{0}), sums.neighbours[kIndex] = Words(std::uint64_t{0})), ...);
  }

  template <std::size_t... kIndex>
  static XSIMD_INLINE void add(Words* lanes, const Sums& sums, Each<kIndex...>) noexcept {
    ((lanes[kIndex] += sums.products[kIndex] + Operations::swap_neighbours(sums.neighbours[kIndex])), ...);
  }

  template <std::size_t kIndex>
  [[nodiscard]] static XSIMD_INLINE Words mix(Sums& sums, const std::uint8_t* data, const std::uint8_t* key) noexcept {
    const Words words = load(data + kIndex * sizeof(Words));
    sums.neighbours[kIndex] += words;
    return differ(words, load(key + kIndex * sizeof(Words)));
  }

  template <std::size_t kIndex>
  static XSIMD_INLINE void take_words(Sums& sums, const std::uint8_t* data, const std::uint8_t* key) noexcept {
    if constexpr (!requires(Words v) { Operations::add_products(v, v, v, v); }) {
      const Words mixed = mix<kIndex>(sums, data, key);
      sums.products[kIndex] += Operations::multiply_low(mixed, mixed >> 32);
    } else if constexpr (kIndex % 2 == 0) {
      Operations::add_products(sums.products[kIndex], sums.products[kIndex + 1], mix<kIndex>(sums, data, key),
                               mix<kIndex + 1>(sums, data, key));
    }
  }

  template <std::size_t... kIndex>
  static XSIMD_INLINE void take_stripe(Sums& sums, const std::uint8_t* data, const std::uint8_t* key,
                                       Each<kIndex...>) noexcept {
    (take_words<kIndex>(sums, data, key), ...);
  }

  template <std::size_t kIndex>
  static XSIMD_INLINE void scramble_words(Words* lanes, const std::uint8_t* key) noexcept {
    const Words prime(kPrime32_1);
    const Words v = lanes[kIndex] ^ (lanes[kIndex] >> 47) ^ load(key + kIndex * sizeof(Words));
    lanes[kIndex] = Operations::multiply_low(v, prime) + (Operations::multiply_low(v >> 32, prime) << 32);
  }

  template <std::size_t... kIndex>
  static XSIMD_INLINE void scramble(Words* lanes, const std::uint8_t* key, Each<kIndex...>) noexcept {
    (scramble_words<kIndex>(lanes, key), ...);
  }

  static XSIMD_INLINE void take(Sums& sums, const std::uint8_t* data, std::size_t stripes,
                                const std::uint8_t* secret) noexcept {
    SIMDRIVE_UNROLL("GCC unroll 4")
    for (std::size_t i = 0; i < stripes; ++i) {
      take_stripe(sums, data + i * kXxh3StripeBytes, secret + i * kSecretStep, kAll);
    }
  }

  static XSIMD_INLINE void take_block(Words* lanes, const std::uint8_t* data, const std::uint8_t* secret) noexcept {
    Sums sums;
    clear(sums, kAll);
    SIMDRIVE_UNROLL("GCC unroll 4")
    for (std::size_t i = 0; i < kXxh3BlockStripes; ++i) {
      prefetch(data + i * kXxh3StripeBytes + kPrefetchBytes);
      take_stripe(sums, data + i * kXxh3StripeBytes, secret + i * kSecretStep, kAll);
    }
    add(lanes, sums, kAll);
    scramble(lanes, secret + kXxh3ScrambleOffset, kAll);
  }

  static XSIMD_INLINE void prefetch([[maybe_unused]] const std::uint8_t* p) noexcept {
#if defined(__GNUC__)
    __builtin_prefetch(p);
#elif XSIMD_WITH_SSE2
    _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0);
#endif
  }

  // ---- Short items, one in each lane -----------------------------------------------------------------------------

  using Item = const std::uint8_t* const;

  // As many items as fill whole registers; returns their count.
  template <class Hash>
  static XSIMD_INLINE std::size_t each(Item* items, std::size_t count, std::uint64_t* out, Hash hash) noexcept {
    std::size_t done = 0;
    for (; count - done >= kLanes; done += kLanes) hash(items + done).store_unaligned(out + done);
    return done;
  }

  template <class T>
  [[nodiscard]] static XSIMD_INLINE std::uint64_t load_scalar(const std::uint8_t* p) noexcept {
    T v;
    std::memcpy(&v, p, sizeof v);
    return v;
  }

  template <class T>
  [[nodiscard]] static XSIMD_INLINE Words gather(Item* items, std::size_t offset) noexcept {
    return [=]<std::size_t... kLane>(std::index_sequence<kLane...>) {
      return Words(load_scalar<T>(items[kLane] + offset)...);
    }(std::make_index_sequence<kLanes>());
  }

  [[nodiscard]] static XSIMD_INLINE Words fold_product(Words a, Words b) noexcept {
    const Words low_mask(std::uint64_t{0xffffffffU});
    const Words a_high = a >> 32;
    const Words b_high = b >> 32;
    const Words low = Operations::multiply_low(a, b);
    const Words cross = Operations::multiply_low(a_high, b) + (low >> 32);
    const Words middle = Operations::multiply_low(a, b_high) + (cross & low_mask);
    const Words high = Operations::multiply_low(a_high, b_high) + (cross >> 32) + (middle >> 32);
    return high ^ ((middle << 32) | (low & low_mask));
  }

  [[nodiscard]] static XSIMD_INLINE Words avalanche(Words v) noexcept {
    v = (v ^ (v >> 37)) * Words(kPrimeMix1);
    return v ^ (v >> 32);
  }

  [[nodiscard]] static XSIMD_INLINE Words hash_4_to_8(Item* items, std::size_t n, std::uint64_t seed) noexcept {
    constexpr std::uint64_t kKey = xxh3_secret_word<std::uint64_t>(8) ^ xxh3_secret_word<std::uint64_t>(16);
    const std::uint64_t mixed_seed = seed ^ ((seed & 0xffU) << 56) ^ ((seed & 0xff00U) << 40) ^
                                     ((seed & 0xff0000U) << 24) ^ ((seed & 0xff000000U) << 8);
    const Words bytes = gather<std::uint32_t>(items, n - 4) | (gather<std::uint32_t>(items, 0) << 32);
    Words v = Words(kKey - mixed_seed) ^ bytes;
    v = (v ^ ((v << 49) | (v >> 15)) ^ ((v << 24) | (v >> 40))) * Words(kPrimeMix2);
    v = (v ^ ((v >> 35) + Words(std::uint64_t{n}))) * Words(kPrimeMix2);
    return v ^ (v >> 28);
  }

  [[nodiscard]] static XSIMD_INLINE Words hash_9_to_16(Item* items, std::size_t n, std::uint64_t seed) noexcept {
    constexpr std::uint64_t kLowKey = xxh3_secret_word<std::uint64_t>(24) ^ xxh3_secret_word<std::uint64_t>(32);
    constexpr std::uint64_t kHighKey = xxh3_secret_word<std::uint64_t>(40) ^ xxh3_secret_word<std::uint64_t>(48);
    const Words low = Words(kLowKey + seed) ^ gather<std::uint64_t>(items, 0);
    const Words high = Words(kHighKey - seed) ^ gather<std::uint64_t>(items, n - 8);
    return avalanche(Words(std::uint64_t{n}) + Operations::reverse_bytes(low) + high + fold_product(low, high));
  }

  [[nodiscard]] static XSIMD_INLINE Words mix_16(Item* items, std::size_t offset, std::size_t key,
                                                 std::uint64_t seed) noexcept {
    const std::uint8_t* secret = kXxh3SecretData + key;
    return fold_product(
        gather<std::uint64_t>(items, offset) ^ Words(load_scalar<std::uint64_t>(secret) + seed),
        gather<std::uint64_t>(items, offset + 8) ^ Words(load_scalar<std::uint64_t>(secret + 8) - seed));
  }

  [[nodiscard]] static XSIMD_INLINE Words hash_17_to_128(Item* items, std::size_t n, std::uint64_t seed) noexcept {
    Words acc(n * kPrime64_1);
    for (std::size_t i = 0; i <= (n - 1) / 32; ++i) {
      acc += mix_16(items, 16 * i, 32 * i, seed) + mix_16(items, n - 16 * (i + 1), 32 * i + 16, seed);
    }
    return avalanche(acc);
  }

  [[nodiscard]] static XSIMD_INLINE Words hash_129_to_240(Item* items, std::size_t n, std::uint64_t seed) noexcept {
    Words acc(n * kPrime64_1);
    for (std::size_t i = 0; i < 8; ++i) acc += mix_16(items, 16 * i, 16 * i, seed);
    acc = avalanche(acc);
    acc += mix_16(items, n - 16, 119, seed);
    for (std::size_t i = 8; i < n / 16; ++i) acc += mix_16(items, 16 * i, 16 * (i - 8) + 3, seed);
    return avalanche(acc);
  }
};

}  // namespace simdrive::hash

#undef SIMDRIVE_UNROLL
