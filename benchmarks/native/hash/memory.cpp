#include "memory.hpp"

#include <cstring>

namespace {

using Words = std::uint64_t __attribute__((vector_size(64)));

}  // namespace

// One version for each width, chosen when the program is loaded.
#if defined(__x86_64__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
std::uint64_t read_sum(const std::uint8_t* data, std::size_t size) noexcept {
  constexpr std::size_t kSums = 4;
  constexpr std::size_t kStep = kSums * sizeof(Words);
  Words sums[kSums] = {};
  for (std::size_t at = 0; at + kStep <= size; at += kStep) {
    for (std::size_t i = 0; i < kSums; ++i) {
      Words words;
      std::memcpy(&words, data + at + i * sizeof words, sizeof words);
      sums[i] += words;
    }
  }
  const Words all = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < sizeof all / sizeof sum; ++i) sum += all[i];
  return sum;
}
