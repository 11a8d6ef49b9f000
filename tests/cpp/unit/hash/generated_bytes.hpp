// The byte generator of the vectors (tests/vectors/storage/README.md), for reproducible inputs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/endian.hpp"
#include "simdrive/bytes.hpp"

namespace simdrive::test {

inline Bytes generated_bytes(std::uint64_t state, std::size_t size) {
  Bytes out(size + 8);
  for (std::size_t i = 0; i < size; i += 8) {
    state += 0x9E3779B97F4A7C15U;
    std::uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    store_le(out.data() + i, z ^ (z >> 31));
  }
  out.resize(size);
  return out;
}

inline BytesView text_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace simdrive::test
