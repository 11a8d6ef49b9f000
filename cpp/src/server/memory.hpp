// How much memory there is.
#pragma once

#include <cstdint>

namespace simdrive::server {

/// Bytes of memory that this machine, or the container that the process runs in, has. 4 GiB if nobody says.
[[nodiscard]] std::uint64_t machine_memory() noexcept;

}  // namespace simdrive::server
