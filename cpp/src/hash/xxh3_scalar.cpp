// The long form of XXH3 in plain C++. Lanes go in pairs, because each takes its neighbour's bytes as they are:
// so written, compilers keep a pair in one vector register where the target has any.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/endian.hpp"
#include "hash/scalar.hpp"
#include "hash/xxh3.hpp"

namespace simdrive::hash {

namespace {

constexpr std::size_t kLanes = 8;
constexpr std::size_t kSecretStep = 8;

[[nodiscard]] inline std::uint64_t multiply_halves(std::uint64_t v) noexcept { return (v & 0xffffffffU) * (v >> 32); }

// Takes `stripes` stripes into kCount lanes from lane kFirst on.
template <std::size_t kFirst, std::size_t kCount>
inline void accumulate_lanes(std::uint64_t* acc, const std::uint8_t* data, std::size_t stripes,
                             const std::uint8_t* secret) noexcept {
  std::uint64_t local[kCount];
  std::copy_n(acc + kFirst, kCount, local);
  for (std::size_t i = 0; i < stripes; ++i) {
    const std::uint8_t* bytes = data + i * kXxh3StripeBytes + 8 * kFirst;
    const std::uint8_t* key = secret + i * kSecretStep + 8 * kFirst;
    for (std::size_t lane = 0; lane < kCount; lane += 2) {
      const std::uint64_t even = load_le<std::uint64_t>(bytes + 8 * lane);
      const std::uint64_t odd = load_le<std::uint64_t>(bytes + 8 * lane + 8);
      local[lane] += odd + multiply_halves(even ^ load_le<std::uint64_t>(key + 8 * lane));
      local[lane + 1] += even + multiply_halves(odd ^ load_le<std::uint64_t>(key + 8 * lane + 8));
    }
  }
  std::copy_n(local, kCount, acc + kFirst);
}

// Two passes over a block that is in the cache: all eight lanes at once do not fit the registers of x86-64.
inline void accumulate(std::uint64_t* acc, const std::uint8_t* data, std::size_t stripes,
                       const std::uint8_t* secret) noexcept {
  accumulate_lanes<0, kLanes / 2>(acc, data, stripes, secret);
  accumulate_lanes<kLanes / 2, kLanes / 2>(acc, data, stripes, secret);
}

inline void scramble(std::uint64_t* acc, const std::uint8_t* key) noexcept {
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    const std::uint64_t a = acc[lane];
    acc[lane] = (a ^ (a >> 47) ^ load_le<std::uint64_t>(key + 8 * lane)) * kPrime32_1;
  }
}

}  // namespace

std::size_t xxh3_stripes_scalar(std::uint64_t* acc, const std::uint8_t* data, std::size_t stripes,
                                std::size_t block_stripe, const std::uint8_t* secret) noexcept {
  // A local copy, so that the compiler can keep it in registers whatever `acc` may alias.
  std::uint64_t local[kLanes];
  std::copy_n(acc, kLanes, local);
  while (stripes != 0) {
    const std::size_t run = std::min(stripes, kXxh3BlockStripes - block_stripe);
    accumulate(local, data, run, secret + block_stripe * kSecretStep);
    data += run * kXxh3StripeBytes;
    stripes -= run;
    block_stripe += run;
    if (block_stripe == kXxh3BlockStripes) {
      scramble(local, secret + kXxh3ScrambleOffset);
      block_stripe = 0;
    }
  }
  std::copy_n(local, kLanes, acc);
  return block_stripe;
}

void xxh3_long_scalar(std::uint64_t* acc, const std::uint8_t* data, std::size_t size,
                      const std::uint8_t* secret) noexcept {
  std::copy_n(kXxh3Start.data(), kLanes, acc);
  // The last stripe is the last 64 bytes, and the bytes before it that fill no stripe are left to it: hence one less.
  (void)xxh3_stripes_scalar(acc, data, (size - 1) / kXxh3StripeBytes, 0, secret);
  accumulate(acc, data + size - kXxh3StripeBytes, 1, secret + kXxh3LastStripeOffset);
}

}  // namespace simdrive::hash
