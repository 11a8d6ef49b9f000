#include "hash/crc32_pclmul.hpp"

namespace simdrive::hash {

namespace {

struct Vector256 {
  using Lane = Vector128;
  using Reg = __m256i;
  static constexpr std::size_t kBytes = 32;
  static constexpr bool kSkipsBlocks = true;

  static Reg load(const std::uint8_t* p) noexcept { return _mm256_loadu_si256(reinterpret_cast<const Reg*>(p)); }
  static Reg load_aligned(const std::uint8_t* p) noexcept { return _mm256_load_si256(reinterpret_cast<const Reg*>(p)); }
  static void store(std::uint8_t* p, Reg a) noexcept { _mm256_storeu_si256(reinterpret_cast<Reg*>(p), a); }
  static void stream(std::uint8_t* p, Reg a) noexcept { _mm256_stream_si256(reinterpret_cast<Reg*>(p), a); }
  static void end_stream() noexcept { _mm_sfence(); }
  static Reg zero() noexcept { return _mm256_setzero_si256(); }
  static Reg broadcast(const Crc32Key& key) noexcept { return _mm256_broadcastsi128_si256(Lane::broadcast(key)); }
  static Reg widen(__m128i a) noexcept { return _mm256_inserti128_si256(zero(), a, 0); }
  static __m128i add_lanes(Reg a) noexcept {
    return _mm_xor_si128(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  }
  static Reg add(Reg a, Reg b) noexcept { return _mm256_xor_si256(a, b); }
  static Reg add3(Reg a, Reg b, Reg c) noexcept { return _mm256_xor_si256(_mm256_xor_si256(a, b), c); }
  static Reg times_low(Reg a, Reg b) noexcept { return _mm256_clmulepi64_epi128(a, b, 0x00); }
  static Reg times_high(Reg a, Reg b) noexcept { return _mm256_clmulepi64_epi128(a, b, 0x11); }
};

}  // namespace

constinit const Crc32Kernels kCrc32Vpclmul256 = {
    .update = Crc32Clmul<Vector256>::update,
    .copy = Crc32Clmul<Vector256>::copy,
};

}  // namespace simdrive::hash
