#include "hash/crc32_pclmul.hpp"

namespace simdrive::hash {

namespace {

// The forms with a mask of ones stand for those without, of which GCC 12 warns that they read an uninitialised value.
struct Vector512 {
  using Lane = Vector128;
  using Reg = __m512i;
  static constexpr std::size_t kBytes = 64;
  static constexpr bool kSkipsBlocks = true;

  static Reg load(const std::uint8_t* p) noexcept { return _mm512_loadu_si512(p); }
  static Reg load_aligned(const std::uint8_t* p) noexcept { return _mm512_load_si512(p); }
  static void store(std::uint8_t* p, Reg a) noexcept { _mm512_storeu_si512(p, a); }
  static void stream(std::uint8_t* p, Reg a) noexcept { _mm512_stream_si512(reinterpret_cast<Reg*>(p), a); }
  static void end_stream() noexcept { _mm_sfence(); }
  static Reg zero() noexcept { return _mm512_setzero_si512(); }
  static Reg broadcast(const Crc32Key& key) noexcept {
    return _mm512_maskz_broadcast_i64x2(0xff, Lane::broadcast(key));
  }
  static Reg widen(__m128i a) noexcept { return _mm512_inserti64x2(zero(), a, 0); }
  static __m128i add_lanes(Reg a) noexcept {
    const __m256i half =
        _mm256_xor_si256(_mm512_maskz_extracti64x4_epi64(0xff, a, 0), _mm512_maskz_extracti64x4_epi64(0xff, a, 1));
    return _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
  }
  static Reg add(Reg a, Reg b) noexcept { return _mm512_xor_si512(a, b); }
  static Reg add3(Reg a, Reg b, Reg c) noexcept { return _mm512_ternarylogic_epi64(a, b, c, 0x96); }
  static Reg times_low(Reg a, Reg b) noexcept { return _mm512_clmulepi64_epi128(a, b, 0x00); }
  static Reg times_high(Reg a, Reg b) noexcept { return _mm512_clmulepi64_epi128(a, b, 0x11); }
};

}  // namespace

constinit const Crc32Kernels kCrc32Vpclmul512 = {
    .update = Crc32Clmul<Vector512>::update,
    .copy = Crc32Clmul<Vector512>::copy,
};

}  // namespace simdrive::hash
