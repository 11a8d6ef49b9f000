// What a client does to its frames (RFC 6455, 5.3).
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>

#include "simdrive/bytes.hpp"

namespace simdrive::net {

using MaskKey = std::array<std::uint8_t, 4>;

/// Keys that nobody can foresee who does not know the secret: SipHash-2-4 of a counter.
class MaskKeys {
 public:
  MaskKeys() {
    std::random_device random;
    for (std::uint64_t& half : secret_) half = std::uint64_t{random()} << 32 | random();
  }

  [[nodiscard]] MaskKey next() noexcept {
    const auto key = static_cast<std::uint32_t>(hash(secret_, ++count_));
    MaskKey out;
    std::memcpy(out.data(), &key, out.size());
    return out;
  }

  /// SipHash-2-4 of eight bytes.
  [[nodiscard]] static constexpr std::uint64_t hash(const std::array<std::uint64_t, 2>& key,
                                                    std::uint64_t message) noexcept {
    std::array<std::uint64_t, 4> v = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
                                      key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573};
    constexpr std::uint64_t kLength = std::uint64_t{8} << 56;
    for (const std::uint64_t word : {message, kLength}) {
      v[3] ^= word;
      round(v);
      round(v);
      v[0] ^= word;
    }
    v[2] ^= 0xff;
    for (int i = 0; i < 4; ++i) round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
  }

 private:
  static constexpr void round(std::array<std::uint64_t, 4>& v) noexcept {
    v[0] += v[1];
    v[1] = std::rotl(v[1], 13) ^ v[0];
    v[0] = std::rotl(v[0], 32);
    v[2] += v[3];
    v[3] = std::rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = std::rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = std::rotl(v[1], 17) ^ v[2];
    v[2] = std::rotl(v[2], 32);
  }

  std::array<std::uint64_t, 2> secret_{};
  std::uint64_t count_ = 0;
};

/// Copies `from` to `out`, masked. `at` is where in the frame's payload it begins.
inline void copy_masked(std::uint8_t* out, BytesView from, const MaskKey& key, std::size_t at) noexcept {
  std::array<std::uint8_t, 8> turned;
  for (std::size_t i = 0; i < turned.size(); ++i) turned[i] = key[(at + i) % key.size()];
  std::uint64_t mask;
  std::memcpy(&mask, turned.data(), sizeof mask);
  std::size_t i = 0;
  for (; i + sizeof mask <= from.size(); i += sizeof mask) {
    std::uint64_t word;
    std::memcpy(&word, from.data() + i, sizeof word);
    word ^= mask;
    std::memcpy(out + i, &word, sizeof word);
  }
  for (; i < from.size(); ++i) out[i] = static_cast<std::uint8_t>(from[i] ^ turned[i % turned.size()]);
}

}  // namespace simdrive::net
