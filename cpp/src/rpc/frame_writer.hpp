// One RPC message as a list of frames (docs/design/wire.md, sections 3.2, 4.1 and 4.2), byte-identical with what
// real peers send. For tools, tests and the server; the client's connection frames without copying.
#pragma once

#include <cstdint>
#include <vector>

#include "rpc/frame.hpp"
#include "simdrive/bytes.hpp"

namespace simdrive::rpc {

/// A request whose arguments are `args`. Every frame gets the one `timestamp_micros` (D21 only).
std::vector<Bytes> encode_request_frames(Dialect dialect, std::uint32_t stream_id, std::uint32_t request_id,
                                         std::uint64_t method_id, BytesView args, std::uint64_t timestamp_micros = 0);

/// A response. `status` is a `Status`, or any byte a test wants to send.
std::vector<Bytes> encode_response_frames(Dialect dialect, std::uint32_t stream_id, std::uint32_t request_id,
                                          std::uint64_t method_id, std::uint8_t status, BytesView body,
                                          std::uint64_t timestamp_micros = 0);

}  // namespace simdrive::rpc
