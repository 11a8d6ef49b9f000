// The seam between the hash functions and what is written for one instruction set. An implementation fills in a
// table; nothing above knows which one runs. Only fixed-width integers here, since a file compiled with special
// flags includes this and must not emit inline functions that other files share.
#pragma once

#include <cstddef>
#include <cstdint>

namespace simdrive::hash {

/// Implementations are interchangeable bit for bit and keep no state.
struct Xxh3Kernels {
  /// Accumulates `stripes` stripes of 64 bytes into the 8 words of `acc`, scrambling at the end of each block of
  /// 16. `block_stripe` (below 16) stripes of the current block are done already; returns the new count.
  std::size_t (*stripes)(std::uint64_t* acc, const std::uint8_t* data, std::size_t stripes, std::size_t block_stripe,
                         const std::uint8_t* secret) noexcept;

  /// Fills in `acc` from a whole input of more than 240 bytes, last stripe included.
  void (*whole)(std::uint64_t* acc, const std::uint8_t* data, std::size_t size, const std::uint8_t* secret) noexcept;

  /// Hashes `count` items of `size` bytes each (at most 240) into `out`.
  void (*equal_sized)(const std::uint8_t* const* items, std::size_t count, std::size_t size, std::uint64_t seed,
                      std::uint64_t* out) noexcept;
};

struct Crc32Kernels {
  /// Takes the CRC register (the checksum with all bits inverted) over `size` bytes.
  std::uint32_t (*update)(std::uint32_t reg, const std::uint8_t* data, std::size_t size) noexcept;

  /// The same, copying the bytes to `to` on the way. The two do not overlap.
  std::uint32_t (*copy)(std::uint32_t reg, std::uint8_t* to, const std::uint8_t* from, std::size_t size) noexcept;
};

struct Backend {
  const char* name;        ///< the vector set
  const char* crc32_name;  ///< the instructions of the checksum, chosen apart
  Xxh3Kernels xxh3;
  Crc32Kernels crc32;
};

/// Plain C++, for every machine; the reference for the others.
extern const Xxh3Kernels kXxh3Scalar;
extern const Crc32Kernels kCrc32Scalar;

// Each defined in the one file that is compiled for it; absent on other architectures.
extern const Xxh3Kernels kXxh3Sse2;
extern const Xxh3Kernels kXxh3Avx2;
extern const Xxh3Kernels kXxh3Avx512;
extern const Xxh3Kernels kXxh3Neon;
extern const Crc32Kernels kCrc32Pclmul;
extern const Crc32Kernels kCrc32Vpclmul256;
extern const Crc32Kernels kCrc32Vpclmul512;
extern const Crc32Kernels kCrc32Crc;    // aarch64: the CRC-32 instructions
extern const Crc32Kernels kCrc32Pmull;  // aarch64: polynomial multiply

/// All that this CPU can run, the best first, scalar last.
struct BackendList {
  const Backend* first;
  std::size_t count;
};
[[nodiscard]] BackendList usable_backends() noexcept;

/// Every checksum that this CPU can run, also those that no backend uses, for tests.
struct NamedCrc32 {
  const char* name;
  Crc32Kernels kernels;
};
struct Crc32List {
  const NamedCrc32* first;
  std::size_t count;
};
[[nodiscard]] Crc32List usable_crc32() noexcept;

[[nodiscard]] const Backend& active_backend() noexcept;

}  // namespace simdrive::hash
