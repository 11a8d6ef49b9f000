// XXH3-64 of inputs above kXxh3ShortMax. In a file of its own, so that no compiler makes the short forms pay for the
// stack frames of these.
#include <array>

#include "base/endian.hpp"
#include "hash/backend.hpp"
#include "hash/xxh3.hpp"

namespace simdrive::hash {

namespace {

[[nodiscard]] inline std::uint64_t load64(const std::uint8_t* p) noexcept { return load_le<std::uint64_t>(p); }

}  // namespace

void derive_xxh3_secret(std::uint64_t seed, Xxh3Secret& secret) noexcept {
  for (std::size_t i = 0; i < kXxh3SecretBytes; i += 16) {
    store_le(secret.data() + i, load64(kXxh3SecretData + i) + seed);
    store_le(secret.data() + i + 8, load64(kXxh3SecretData + i + 8) - seed);
  }
}

std::uint64_t merge_xxh3(const std::uint64_t* acc, std::uint64_t size, const std::uint8_t* secret) noexcept {
  std::uint64_t sum = size * kPrime64_1;
  for (std::size_t i = 0; i < 8; i += 2) {
    const std::uint8_t* key = secret + kXxh3MergeOffset + 8 * i;
    sum += fold_product_128(acc[i] ^ load64(key), acc[i + 1] ^ load64(key + 8));
  }
  return avalanche_xxh3(sum);
}

std::uint64_t xxh3_long(const std::uint8_t* data, std::size_t size, const std::uint8_t* secret) noexcept {
  std::array<std::uint64_t, 8> acc;
  active_backend().xxh3.whole(acc.data(), data, size, secret);
  return merge_xxh3(acc.data(), size, secret);
}

std::uint64_t xxh3_long_seeded(const std::uint8_t* data, std::size_t size, std::uint64_t seed) noexcept {
  Xxh3Secret secret;
  derive_xxh3_secret(seed, secret);
  return xxh3_long(data, size, secret.data());
}

}  // namespace simdrive::hash
