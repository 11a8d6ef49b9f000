// Little-endian loads and stores at any alignment.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace simdrive {

template <std::unsigned_integral T>
[[nodiscard]] constexpr T byte_swap(T v) noexcept {
  T r = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    r = static_cast<T>((r << 8) | static_cast<T>((v >> (8 * i)) & 0xff));
  }
  return r;
}

template <std::unsigned_integral T>
[[nodiscard]] inline T load_le(const std::uint8_t* p) noexcept {
  T v;
  std::memcpy(&v, p, sizeof v);
  if constexpr (std::endian::native == std::endian::big && sizeof(T) > 1) {
    v = byte_swap(v);
  }
  return v;
}

template <std::unsigned_integral T>
inline void store_le(std::uint8_t* p, T v) noexcept {
  if constexpr (std::endian::native == std::endian::big && sizeof(T) > 1) {
    v = byte_swap(v);
  }
  std::memcpy(p, &v, sizeof v);
}

}  // namespace simdrive
