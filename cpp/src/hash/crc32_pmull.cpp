#include <arm_neon.h>

#include <cstddef>
#include <cstdint>

#include "hash/backend.hpp"
#include "hash/crc32_clmul.hpp"

namespace simdrive::hash {

namespace {

struct Vector128 {
  using Lane = Vector128;
  using Reg = uint64x2_t;
  static constexpr std::size_t kBytes = 16;
  static constexpr bool kSkipsBlocks = false;  // to be measured on hardware first
  static constexpr const Crc32Kernels& kShort = kCrc32Crc;

  static Reg load(const std::uint8_t* p) noexcept { return vreinterpretq_u64_u8(vld1q_u8(p)); }
  static void store(std::uint8_t* p, Reg a) noexcept { vst1q_u8(p, vreinterpretq_u8_u64(a)); }
  static void stream(std::uint8_t* p, Reg a) noexcept { store(p, a); }
  static void end_stream() noexcept {}
  static Reg zero() noexcept { return vdupq_n_u64(0); }
  static Reg broadcast(const Crc32Key& key) noexcept { return vld1q_u64(&key.low); }
  static Reg widen(Reg a) noexcept { return a; }
  static Reg add_lanes(Reg a) noexcept { return a; }
  static Reg add(Reg a, Reg b) noexcept { return veorq_u64(a, b); }
  static Reg add3(Reg a, Reg b, Reg c) noexcept { return veorq_u64(veorq_u64(a, b), c); }
  static Reg times_low(Reg a, Reg b) noexcept {
    return vreinterpretq_u64_p128(
        vmull_p64(static_cast<poly64_t>(vgetq_lane_u64(a, 0)), static_cast<poly64_t>(vgetq_lane_u64(b, 0))));
  }
  static Reg times_high(Reg a, Reg b) noexcept {
    return vreinterpretq_u64_p128(vmull_high_p64(vreinterpretq_p64_u64(a), vreinterpretq_p64_u64(b)));
  }

  static Reg from_register(std::uint32_t reg) noexcept { return vsetq_lane_u64(reg, zero(), 0); }
  static Reg shuffle(Reg a, const std::uint8_t* indices) noexcept {
    return vreinterpretq_u64_u8(vqtbl1q_u8(vreinterpretq_u8_u64(a), vld1q_u8(indices)));
  }
  static std::uint32_t third_word(Reg a) noexcept { return vgetq_lane_u32(vreinterpretq_u32_u64(a), 2); }
};

}  // namespace

constinit const Crc32Kernels kCrc32Pmull = {
    .update = Crc32Clmul<Vector128>::update,
    .copy = Crc32Clmul<Vector128>::copy,
};

}  // namespace simdrive::hash
