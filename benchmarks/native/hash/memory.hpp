// What memory allows: the ceiling of everything that reads.
#pragma once

#include <cstddef>
#include <cstdint>

/// Reads `size` bytes, rounded down to a multiple of 256, with the widest loads there are and adds them up.
std::uint64_t read_sum(const std::uint8_t* data, std::size_t size) noexcept;
