// Arithmetic on finished CRC-32 values.
#pragma once

#include <cstdint>

namespace simdrive::store {

/// The part that bytes with checksum `crc` have in the checksum of them and `bytes` more:
/// crc32(a followed by b) = crc_shift(crc32(a), size of b) ^ crc32(b).
[[nodiscard]] std::uint32_t crc_shift(std::uint32_t crc, std::uint64_t bytes) noexcept;

}  // namespace simdrive::store
