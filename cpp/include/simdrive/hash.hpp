// Hashes of keys (XXH3-64) and checksums of payloads (CRC-32), as SIMD R Drive defines them.
// The free functions may be called from any thread at once. Objects may be shared only while nobody changes them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "simdrive/bytes.hpp"

namespace simdrive {

/// XXH3 with 64 bits of result and the default secret. Not cryptographic: whoever chooses the keys can make
/// two of them collide, seed or no seed.
[[nodiscard]] std::uint64_t xxh3_64(BytesView data, std::uint64_t seed = 0) noexcept;

/// Hashes `items[i]` into `out[i]`. `out` must have at least as many elements as `items`.
void xxh3_64_many(std::span<const BytesView> items, std::span<std::uint64_t> out, std::uint64_t seed = 0) noexcept;

/// CRC-32 of IEEE 802.3 (zlib, PNG, gzip). To go on from earlier bytes, pass their checksum as `value`:
/// `crc32(b, crc32(a))` is the checksum of a followed by b.
[[nodiscard]] std::uint32_t crc32(BytesView data, std::uint32_t value = 0) noexcept;

/// The name of the implementation that runs: "scalar", or later the instruction set.
[[nodiscard]] std::string_view hash_backend() noexcept;

/// XXH3-64 of bytes that arrive in pieces. The size is fixed and nothing is allocated; a copy goes on by itself
/// from the bytes seen so far.
class Xxh3Stream {
 public:
  explicit Xxh3Stream(std::uint64_t seed = 0) noexcept;

  void update(BytesView data) noexcept;
  /// The hash of all bytes since the start or the last `reset`. More may follow.
  [[nodiscard]] std::uint64_t digest() const noexcept;
  /// Forgets the bytes and keeps the seed.
  void reset() noexcept;

  [[nodiscard]] std::uint64_t seed() const noexcept { return seed_; }
  /// Count of bytes since the start or the last `reset`.
  [[nodiscard]] std::uint64_t size() const noexcept { return total_bytes_; }

 private:
  static constexpr std::size_t kBufferBytes = 256;
  static constexpr std::size_t kStripeBytes = 64;
  static constexpr std::size_t kSecretBytes = 192;

  void consume(const std::uint8_t* data, std::size_t stripes) noexcept;

  // Bytes are consumed only when more follow, so that the buffer is never empty after the first byte and holds
  // everything while an input is short enough for the short forms of the hash.
  std::array<std::uint64_t, 8> acc_;
  std::array<std::uint8_t, kSecretBytes> secret_;
  std::array<std::uint8_t, kBufferBytes> buffer_;
  std::array<std::uint8_t, kStripeBytes> consumed_tail_;  // the last stripe consumed
  std::uint64_t seed_;
  std::uint64_t total_bytes_;
  std::size_t buffered_;
  std::size_t block_stripe_;  // stripes consumed of the current block
};

/// Makes 16-byte keys that keep the keys of different users of one store apart: XXH3-64 of the prefix and
/// XXH3-64 of the key, 8 little-endian bytes each. No security boundary: see `xxh3_64`.
class NamespaceHasher {
 public:
  explicit NamespaceHasher(BytesView prefix = {}) noexcept;

  /// The key to use in the store for `key`.
  [[nodiscard]] std::array<std::uint8_t, 16> key(BytesView key) const noexcept;

  [[nodiscard]] std::uint64_t prefix_hash() const noexcept { return prefix_hash_; }

 private:
  std::uint64_t prefix_hash_;
};

}  // namespace simdrive
