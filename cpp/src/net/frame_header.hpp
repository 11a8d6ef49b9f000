// The header of an unfragmented WebSocket frame (RFC 6455, 5.2). A client's has the mask's key behind it, and kMasked
// set in its second byte.
#pragma once

#include <cstddef>
#include <cstdint>

namespace simdrive::net {

enum class Opcode : std::uint8_t { text = 1, binary = 2, close = 8, ping = 9 };

inline constexpr std::size_t kFrameHeaderMax = 10;
inline constexpr std::size_t kMaskKeySize = 4;
inline constexpr std::uint8_t kMasked = 0x80;

[[nodiscard]] constexpr std::size_t frame_header_size(std::uint64_t payload) noexcept {
  if (payload < 126) return 2;
  return payload < 65536 ? 4 : kFrameHeaderMax;
}

/// Writes frame_header_size(payload) bytes.
constexpr void write_frame_header(std::uint8_t* out, Opcode opcode, std::uint64_t payload) noexcept {
  const std::size_t size = frame_header_size(payload);
  out[0] = static_cast<std::uint8_t>(0x80U | static_cast<unsigned>(opcode));
  out[1] = static_cast<std::uint8_t>(size == 2 ? payload : size == 4 ? 126 : 127);
  for (std::size_t i = size; i > 2; --i, payload >>= 8) out[i - 1] = static_cast<std::uint8_t>(payload);
}

}  // namespace simdrive::net
