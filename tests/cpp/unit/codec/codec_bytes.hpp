// Byte strings for the tests of the codec.
#pragma once

#include <string>
#include <string_view>

#include "base/gather.hpp"
#include "simdrive/bytes.hpp"

namespace simdrive::codec {

inline Bytes from_hex(std::string_view hex) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  Bytes out;
  for (std::size_t i = 0; i < hex.size(); ++i) {
    if (hex[i] == ' ') continue;
    out.push_back(static_cast<std::uint8_t>(digit(hex[i]) * 16 + digit(hex[i + 1])));
    ++i;
  }
  return out;
}

inline Bytes flatten(const Gather& gather) {
  Bytes out;
  for (std::size_t i = 0; i < gather.run_count(); ++i) {
    const BytesView run = gather.run(i);
    out.insert(out.end(), run.begin(), run.end());
  }
  return out;
}

/// Values base ... base + spread - 1, in no order that a packing could profit from.
inline Bytes mixed(std::size_t n, unsigned base, unsigned spread, std::uint32_t seed = 1) {
  Bytes out(n);
  for (std::uint8_t& byte : out) {
    seed = seed * 1664525U + 1013904223U;
    byte = static_cast<std::uint8_t>(base + (seed >> 16) % spread);
  }
  return out;
}

}  // namespace simdrive::codec
