#include "base/endian.hpp"
#include "simdrive/hash.hpp"

namespace simdrive {

NamespaceHasher::NamespaceHasher(BytesView prefix) noexcept : prefix_hash_(xxh3_64(prefix)) {}

std::array<std::uint8_t, 16> NamespaceHasher::key(BytesView key) const noexcept {
  std::array<std::uint8_t, 16> out;
  store_le(out.data(), prefix_hash_);
  store_le(out.data() + 8, xxh3_64(key));
  return out;
}

}  // namespace simdrive
