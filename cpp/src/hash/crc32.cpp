#include "hash/backend.hpp"
#include "simdrive/hash.hpp"

namespace simdrive {

std::uint32_t crc32(BytesView data, std::uint32_t value) noexcept {
  return ~hash::active_backend().crc32(~value, data.data(), data.size());
}

}  // namespace simdrive
