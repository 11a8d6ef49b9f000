#include <cassert>

#include "hash/backend.hpp"
#include "simdrive/hash.hpp"

namespace simdrive {

std::uint32_t crc32(BytesView data, std::uint32_t value) noexcept {
  return ~hash::active_backend().crc32.update(~value, data.data(), data.size());
}

std::uint32_t copy_crc32(MutableBytes to, BytesView from, std::uint32_t value) noexcept {
  assert(to.size() >= from.size());
  return ~hash::active_backend().crc32.copy(~value, to.data(), from.data(), from.size());
}

}  // namespace simdrive
