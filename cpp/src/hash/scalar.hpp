// The portable kernels, as the scalar backend's table names them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace simdrive::hash {

std::size_t xxh3_stripes_scalar(std::uint64_t* acc, const std::uint8_t* data, std::size_t stripes,
                                std::size_t block_stripe, const std::uint8_t* secret) noexcept;
void xxh3_long_scalar(std::uint64_t* acc, const std::uint8_t* data, std::size_t size,
                      const std::uint8_t* secret) noexcept;
std::uint32_t crc32_scalar(std::uint32_t reg, const std::uint8_t* data, std::size_t size) noexcept;

}  // namespace simdrive::hash
