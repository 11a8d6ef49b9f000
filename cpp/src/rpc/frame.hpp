// The frame and RPC headers of the wire protocol (docs/design/wire.md, sections 3 and 4). Pure layout.
//
//   frame:  u32 len | u32 stream_id | u32 seq | u8 kind | [u64 timestamp_micros: D21 only] | len bytes
//   rpc:    u8 type | u32 request_id | u64 method_id | u16 meta_len | meta_len bytes | payload
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/endian.hpp"

namespace simdrive::rpc {

/// The frame dialects, by the size of their frame header.
enum class Dialect : std::uint8_t { d13 = 13, d21 = 21 };

[[nodiscard]] constexpr std::size_t header_size(Dialect d) noexcept { return static_cast<std::size_t>(d); }

enum class Kind : std::uint8_t { open = 0, data = 1, end = 2, cancel = 3, pong = 4, ping = 5 };
inline constexpr std::uint8_t kKindMax = 5;

enum class MessageType : std::uint8_t { call = 0, response = 1, event = 2 };
inline constexpr std::uint8_t kMessageTypeMax = 2;

enum class Status : std::uint8_t { success = 0, fail = 1, system_error = 2, method_not_found = 3 };

/// The text of an error reply begins with it if the request may have taken effect all the same.
inline constexpr std::string_view kMayBeApplied = "may have been applied: ";

/// What real senders put in one frame.
inline constexpr std::size_t kChunk = 65536;
inline constexpr std::size_t kFrameHeaderMax = 21;
inline constexpr std::size_t kRpcHeader = 15;
/// Arguments shorter than this travel as metadata, longer ones as payload.
inline constexpr std::size_t kMetadataLimit = 65536;

struct FrameHeader {
  std::uint32_t len = 0;
  std::uint32_t stream_id = 0;
  std::uint32_t seq = 0;
  std::uint8_t kind = 0;
};

/// Writes a header of `header_size(d)` bytes; returns its size.
inline std::size_t store_frame_header(std::uint8_t* p, Dialect d, std::uint32_t len, std::uint32_t stream_id,
                                      std::uint32_t seq, Kind kind, std::uint64_t timestamp_micros) noexcept {
  store_le<std::uint32_t>(p, len);
  store_le<std::uint32_t>(p + 4, stream_id);
  store_le<std::uint32_t>(p + 8, seq);
  p[12] = static_cast<std::uint8_t>(kind);
  if (d == Dialect::d21) store_le<std::uint64_t>(p + 13, timestamp_micros);
  return header_size(d);
}

/// Reads a header from `header_size(d)` bytes; the timestamp has no meaning to a receiver.
[[nodiscard]] inline FrameHeader load_frame_header(const std::uint8_t* p) noexcept {
  return {load_le<std::uint32_t>(p), load_le<std::uint32_t>(p + 4), load_le<std::uint32_t>(p + 8), p[12]};
}

struct RpcHeader {
  std::uint8_t type = 0;
  std::uint32_t request_id = 0;
  std::uint64_t method_id = 0;
  std::uint16_t meta_len = 0;
};

inline void store_rpc_header(std::uint8_t* p, MessageType type, std::uint32_t request_id, std::uint64_t method_id,
                             std::uint16_t meta_len) noexcept {
  p[0] = static_cast<std::uint8_t>(type);
  store_le<std::uint32_t>(p + 1, request_id);
  store_le<std::uint64_t>(p + 5, method_id);
  store_le<std::uint16_t>(p + 13, meta_len);
}

[[nodiscard]] inline RpcHeader load_rpc_header(const std::uint8_t* p) noexcept {
  return {p[0], load_le<std::uint32_t>(p + 1), load_le<std::uint64_t>(p + 5), load_le<std::uint16_t>(p + 13)};
}

/// XXH3-64 of the method's name (docs/design/wire.md, section 5).
enum class Method : std::uint64_t {
  write = 0x3ec2ad5c308c53da,
  batch_write = 0xb0207c59d9b60457,
  read = 0x2c2622a151f2cdf2,
  batch_read = 0x01030b148b7284c2,
  erase = 0x42dbbac7f7e9defd,
  exists = 0xcb471c821989c086,
  len = 0xa41dbb760e96e3e3,
  is_empty = 0x34e05a9b282d0770,
  file_size = 0x720ea1f40d3468c2,
};

}  // namespace simdrive::rpc
