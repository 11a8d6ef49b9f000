// The portable kernels, as the scalar backend's table names them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace simdrive::hash {

std::size_t xxh3_stripes_scalar(std::uint64_t* acc, const std::uint8_t* data, std::size_t stripes,
                                std::size_t block_stripe, const std::uint8_t* secret) noexcept;
void xxh3_long_scalar(std::uint64_t* acc, const std::uint8_t* data, std::size_t size,
                      const std::uint8_t* secret) noexcept;
void xxh3_equal_sized_scalar(const std::uint8_t* const* items, std::size_t count, std::size_t size, std::uint64_t seed,
                             std::uint64_t* out) noexcept;
std::uint32_t crc32_scalar(std::uint32_t reg, const std::uint8_t* data, std::size_t size) noexcept;

/// Copies with the `update` of any implementation that has no copy of its own.
using Crc32Update = std::uint32_t (*)(std::uint32_t reg, const std::uint8_t* data, std::size_t size) noexcept;
std::uint32_t crc32_copy_in_pieces(Crc32Update update, std::uint32_t reg, std::uint8_t* to, const std::uint8_t* from,
                                   std::size_t size) noexcept;

}  // namespace simdrive::hash
