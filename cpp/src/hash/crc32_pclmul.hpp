// Vectors of 128 bits for crc32_clmul.hpp, on x86.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "hash/backend.hpp"
#include "hash/crc32_clmul.hpp"

namespace simdrive::hash {
namespace {

struct Vector128 {
  using Lane = Vector128;
  using Reg = __m128i;
  static constexpr std::size_t kBytes = 16;
  static constexpr bool kSkipsBlocks = true;
  static constexpr const Crc32Kernels& kShort = kCrc32Scalar;

  static Reg load(const std::uint8_t* p) noexcept { return _mm_loadu_si128(reinterpret_cast<const Reg*>(p)); }
  static Reg load_aligned(const std::uint8_t* p) noexcept { return _mm_load_si128(reinterpret_cast<const Reg*>(p)); }
  static void store(std::uint8_t* p, Reg a) noexcept { _mm_storeu_si128(reinterpret_cast<Reg*>(p), a); }
  static void stream(std::uint8_t* p, Reg a) noexcept { _mm_stream_si128(reinterpret_cast<Reg*>(p), a); }
  static void end_stream() noexcept { _mm_sfence(); }
  static Reg zero() noexcept { return _mm_setzero_si128(); }
  static Reg broadcast(const Crc32Key& key) noexcept { return _mm_load_si128(reinterpret_cast<const Reg*>(&key)); }
  static Reg widen(Reg a) noexcept { return a; }
  static Reg add_lanes(Reg a) noexcept { return a; }
  static Reg add(Reg a, Reg b) noexcept { return _mm_xor_si128(a, b); }
  static Reg add3(Reg a, Reg b, Reg c) noexcept { return _mm_xor_si128(_mm_xor_si128(a, b), c); }
  static Reg times_low(Reg a, Reg b) noexcept { return _mm_clmulepi64_si128(a, b, 0x00); }
  static Reg times_high(Reg a, Reg b) noexcept { return _mm_clmulepi64_si128(a, b, 0x11); }

  static Reg from_register(std::uint32_t reg) noexcept { return _mm_cvtsi32_si128(static_cast<int>(reg)); }
  static Reg shuffle(Reg a, const std::uint8_t* indices) noexcept { return _mm_shuffle_epi8(a, load(indices)); }
  static std::uint32_t third_word(Reg a) noexcept { return static_cast<std::uint32_t>(_mm_extract_epi32(a, 2)); }
};

}  // namespace
}  // namespace simdrive::hash
