#include "rpc/frame_writer.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace simdrive::rpc {
namespace {

struct Parts {
  std::array<BytesView, 3> runs;  // RPC header, metadata, payload
};

// Moves `out.size()` bytes from the front of the parts, which hold at least as many.
void take(Parts& parts, MutableBytes out) {
  for (BytesView& run : parts.runs) {
    const std::size_t n = std::min(run.size(), out.size());
    if (n == 0) continue;
    std::memcpy(out.data(), run.data(), n);
    run = run.subspan(n);
    out = out.subspan(n);
  }
}

std::vector<Bytes> cut(Dialect dialect, std::uint32_t stream_id, Parts parts, std::uint64_t timestamp) {
  std::size_t left = 0;
  for (const BytesView& run : parts.runs) left += run.size();
  const std::size_t head = header_size(dialect);
  std::vector<Bytes> frames;
  frames.reserve((left + kChunk - 1) / kChunk + 1);
  std::uint32_t seq = 0;
  const auto add = [&](Kind kind, std::size_t len) {
    Bytes& frame = frames.emplace_back(head + len);
    store_frame_header(frame.data(), dialect, static_cast<std::uint32_t>(len), stream_id, seq++, kind, timestamp);
    take(parts, MutableBytes(frame).subspan(head));
  };
  while (left != 0) {
    const std::size_t len = std::min(left, kChunk);
    add(seq == 0 ? Kind::open : Kind::data, len);
    left -= len;
  }
  add(Kind::end, 0);
  return frames;
}

}  // namespace

std::vector<Bytes> encode_request_frames(Dialect dialect, std::uint32_t stream_id, std::uint32_t request_id,
                                         std::uint64_t method_id, BytesView args, std::uint64_t timestamp_micros) {
  const bool in_metadata = args.size() < kMetadataLimit;
  std::array<std::uint8_t, kRpcHeader> header{};
  store_rpc_header(header.data(), MessageType::call, request_id, method_id,
                   static_cast<std::uint16_t>(in_metadata ? args.size() : 0));
  // On the wire metadata and payload follow one another, so only the announced length differs.
  return cut(dialect, stream_id, {{header, args, {}}}, timestamp_micros);
}

std::vector<Bytes> encode_response_frames(Dialect dialect, std::uint32_t stream_id, std::uint32_t request_id,
                                          std::uint64_t method_id, std::uint8_t status, BytesView body,
                                          std::uint64_t timestamp_micros) {
  std::array<std::uint8_t, kRpcHeader> header{};
  store_rpc_header(header.data(), MessageType::response, request_id, method_id, 1);
  return cut(dialect, stream_id, {{header, BytesView(&status, 1), body}}, timestamp_micros);
}

}  // namespace simdrive::rpc
