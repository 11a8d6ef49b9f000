// Requests and responses as bitcode bytes (docs/design/wire.md, section 6). Pure: no files, no sockets.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/gather.hpp"
#include "simdrive/bytes.hpp"
#include "simdrive/error.hpp"

namespace simdrive::codec {

/// How an encoder writes BYTES columns.
enum class Packing : std::uint8_t {
  /// Byte-identical with the Rust encoder, whatever the scan costs.
  canonical,
  /// Canonical up to `kScanMax` bytes in a column; raw, unscanned and borrowed above.
  automatic,
};
inline constexpr std::size_t kScanMax = 64 * 1024;

/// Where sizes are listed: there is no value.
inline constexpr std::uint64_t kAbsent = ~std::uint64_t{0};

// Requests. `out` is appended to; runs may be borrowed from the arguments.
void encode_key_request(BytesView key, Gather& out, Packing packing = Packing::automatic);
void encode_write_request(BytesView key, BytesView payload, Gather& out, Packing packing = Packing::automatic);
void encode_batch_write_request(std::span<const KeyValue> entries, Gather& out, Packing packing = Packing::automatic);
void encode_batch_read_request(std::span<const BytesView> keys, Gather& out, Packing packing = Packing::automatic);

// Responses.
void encode_number_response(std::uint64_t value, Gather& out);
void encode_bool_response(bool value, Gather& out);
void encode_read_response(std::optional<BytesView> payload, Gather& out, Packing packing = Packing::automatic);
void encode_batch_read_response(std::span<const std::optional<BytesView>> payloads, Gather& out,
                                Packing packing = Packing::automatic);
// The same without the payloads: their bytes, raw and one after another, complete the response.
/// `kAbsent` for none.
void encode_read_response_head(std::uint64_t size, Gather& out);
/// One size for each key, `kAbsent` for none.
void encode_batch_read_response_head(std::span<const std::uint64_t> sizes, Gather& out);
/// `code`: 0 Fail, 1 System, 2 NotFound.
void encode_error_payload(std::uint8_t code, std::string_view message, Gather& out);

struct WriteRequest {
  Bytes key;
  Bytes payload;
};
struct BatchWriteRequest {
  std::vector<WriteRequest> entries;
};
struct ErrorPayload {
  std::uint8_t code = 0;
  std::string message;
};

// Decoders of whole messages: every byte must be consumed. Errors are `protocol_error` with the byte offset.
// No allocation exceeds what the bytes present can hold (a count is checked against them first).
// `max_items` bounds the number of keys or entries.
inline constexpr std::uint64_t kItemsMax = 16'777'216;
Result<Bytes> decode_key_request(BytesView in);
Result<WriteRequest> decode_write_request(BytesView in);
Result<BatchWriteRequest> decode_batch_write_request(BytesView in, std::uint64_t max_items = kItemsMax);
Result<std::vector<Bytes>> decode_batch_read_request(BytesView in, std::uint64_t max_items = kItemsMax);
Result<std::uint64_t> decode_number_response(BytesView in);
Result<bool> decode_bool_response(BytesView in);
Result<std::optional<Bytes>> decode_read_response(BytesView in);
Result<std::vector<std::optional<Bytes>>> decode_batch_read_response(BytesView in, std::uint64_t max_items = kItemsMax);
Result<ErrorPayload> decode_error_payload(BytesView in);

}  // namespace simdrive::codec
