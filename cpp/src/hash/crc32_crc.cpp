// CRC-32 by the instructions of ARMv8. Each waits for the one before, so that long inputs are cut into runs which
// are taken side by side; the register of a run is then moved past the runs that follow it.
#if defined(_MSC_VER)
#include <intrin.h>
#else
#include <arm_acle.h>
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "hash/backend.hpp"
#include "hash/crc32_polynomial.hpp"
#include "hash/scalar.hpp"

namespace simdrive::hash {

namespace {

constexpr std::size_t kWordBytes = 8;
constexpr std::size_t kRunBytes = 2048;
constexpr std::size_t kRuns = 3;

struct Multiples {
  std::uint32_t of_power[32];  // [i]: x^i times the constant
};

[[nodiscard]] consteval Multiples multiples_of(std::uint32_t constant) noexcept {
  Multiples multiples{};
  for (std::uint32_t& each : multiples.of_power) {
    each = constant;
    constant = times_x(constant);
  }
  return multiples;
}

constexpr Multiples kPastRun = multiples_of(x_to_the(8 * kRunBytes));

std::uint64_t load_word(const std::uint8_t* p) noexcept {
  std::uint64_t word;
  std::memcpy(&word, p, sizeof word);
  return word;
}

std::uint32_t move_past_run(std::uint32_t reg) noexcept {
  std::uint32_t product = 0;
  for (unsigned i = 0; i < 32; ++i) product ^= kPastRun.of_power[i] & (0 - (reg >> (31 - i) & 1));
  return product;
}

std::uint32_t update(std::uint32_t reg, const std::uint8_t* data, std::size_t size) noexcept {
  for (; size >= kRuns * kRunBytes; size -= kRuns * kRunBytes, data += kRuns * kRunBytes) {
    std::uint32_t second = 0;
    std::uint32_t third = 0;
    for (std::size_t i = 0; i < kRunBytes; i += kWordBytes) {
      reg = __crc32d(reg, load_word(data + i));
      second = __crc32d(second, load_word(data + kRunBytes + i));
      third = __crc32d(third, load_word(data + 2 * kRunBytes + i));
    }
    reg = move_past_run(move_past_run(reg) ^ second) ^ third;
  }
  for (; size >= kWordBytes; size -= kWordBytes, data += kWordBytes) reg = __crc32d(reg, load_word(data));
  for (; size != 0; --size, ++data) reg = __crc32b(reg, *data);
  return reg;
}

std::uint32_t copy(std::uint32_t reg, std::uint8_t* to, const std::uint8_t* from, std::size_t size) noexcept {
  return crc32_copy_in_pieces(update, reg, to, from, size);
}

}  // namespace

constinit const Crc32Kernels kCrc32Crc = {.update = update, .copy = copy};

}  // namespace simdrive::hash
