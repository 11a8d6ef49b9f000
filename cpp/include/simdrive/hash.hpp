// Hashes of keys (XXH3-64) and checksums of payloads (CRC-32), as SIMD R Drive defines them.
// The free functions may be called from any thread at once. Objects may be shared only while nobody changes them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "simdrive/bytes.hpp"
#include "simdrive/error.hpp"

namespace simdrive {

/// XXH3 with 64 bits of result and the default secret. Not cryptographic: whoever chooses the keys can make
/// two of them collide, seed or no seed.
[[nodiscard]] std::uint64_t xxh3_64(BytesView data, std::uint64_t seed = 0) noexcept;

/// Hashes `items[i]` into `out[i]`. `out` must have at least as many elements as `items`.
void xxh3_64_many(std::span<const BytesView> items, std::span<std::uint64_t> out, std::uint64_t seed = 0) noexcept;

/// Hashes `out.size()` rows of `width` bytes each into `out`; row i begins at `rows + i * stride`.
void xxh3_64_rows(const std::uint8_t* rows, std::size_t width, std::size_t stride, std::span<std::uint64_t> out,
                  std::uint64_t seed = 0) noexcept;

/// CRC-32 of IEEE 802.3 (zlib, PNG, gzip). To go on from earlier bytes, pass their checksum as `value`:
/// `crc32(b, crc32(a))` is the checksum of a followed by b.
[[nodiscard]] std::uint32_t crc32(BytesView data, std::uint32_t value = 0) noexcept;

/// Copies `from` to the start of `to`, which must be as long at least and must not overlap it, and returns
/// `crc32(from, value)`: one pass over memory instead of two.
[[nodiscard]] std::uint32_t copy_crc32(MutableBytes to, BytesView from, std::uint32_t value = 0) noexcept;

// All functions and objects here run on one backend, the same hashes on each: "scalar" is plain C++, "sse2", "avx2",
// "avx512" and "neon" are the vector instructions of that name. The first use in the process takes the best that the
// CPU can run, or what the environment variable SIMDRIVE_SIMD names.

/// The backend that runs.
[[nodiscard]] std::string_view hash_backend() noexcept;

/// The backends that this CPU can run, the best first.
[[nodiscard]] std::vector<std::string_view> hash_backends();

/// Makes all threads go on with this backend; an empty name is the best one. `Errc::configuration` when the name is
/// none of `hash_backends()`, and nothing changes.
[[nodiscard]] Result<void> set_hash_backend(std::string_view name);

/// `Errc::configuration` when SIMDRIVE_SIMD names none of `hash_backends()`. The functions that cannot fail run on
/// the best backend then; everything of this library that connects or opens calls this first and fails. Once it was
/// good, the environment is not read again.
[[nodiscard]] Result<void> check_hash_backend();

/// The instructions that matter here and that CPU and operating system support, such as "avx2" or "pmull".
[[nodiscard]] std::vector<std::string_view> cpu_features();

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
