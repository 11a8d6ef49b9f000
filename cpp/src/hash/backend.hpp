// The seam between the hash functions and what is written for one instruction set. An implementation fills in one
// table; nothing above knows which one runs. Only fixed-width integers here, since a file compiled with special
// flags includes this and must not emit inline functions that other files share.
#pragma once

#include <cstddef>
#include <cstdint>

namespace simdrive::hash {

/// Implementations are interchangeable bit for bit and keep no state.
struct Backend {
  const char* name;

  /// Accumulates `stripes` stripes of 64 bytes into the 8 words of `acc`, scrambling at the end of each block of
  /// 16. `block_stripe` (below 16) stripes of the current block are done already; returns the new count.
  std::size_t (*xxh3_stripes)(std::uint64_t* acc, const std::uint8_t* data, std::size_t stripes,
                              std::size_t block_stripe, const std::uint8_t* secret) noexcept;

  /// Fills in `acc` from a whole input of more than 240 bytes, last stripe included.
  void (*xxh3_long)(std::uint64_t* acc, const std::uint8_t* data, std::size_t size,
                    const std::uint8_t* secret) noexcept;

  /// Takes the CRC register (the checksum with all bits inverted) over `size` bytes.
  std::uint32_t (*crc32)(std::uint32_t reg, const std::uint8_t* data, std::size_t size) noexcept;
};

/// Plain C++, for every machine; the reference for the others.
extern const Backend kScalarBackend;

/// All that this CPU can run, the active one first.
struct BackendList {
  const Backend* const* first;
  std::size_t count;
};
[[nodiscard]] BackendList usable_backends() noexcept;

[[nodiscard]] const Backend& active_backend() noexcept;

}  // namespace simdrive::hash
