// Requests as views of their bytes: what a server reads them with (docs/design/wire.md, section 6).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "codec/column_reader.hpp"
#include "codec/messages.hpp"
#include "simdrive/bytes.hpp"
#include "simdrive/error.hpp"

namespace simdrive::codec {

struct DecodeLimits {
  /// Keys or entries of one request.
  std::uint64_t max_items = kItemsMax;
  /// Keys and payloads of one request together, as far as they came packed: each byte may stand for eight.
  std::uint64_t max_unpacked = ~std::uint64_t{0};
  /// Asked before memory is taken for what is packed, and for lists of items.
  MemoryAccount* account = nullptr;
};

/// Decodes requests one after another; the memory it takes is used again. Keys and payloads of raw columns are views of
/// the request, those of packed ones views of the decoder: valid until its next call, and while the request's bytes
/// are. Every byte must be consumed. Errors are `protocol_error` with the byte offset, and `out_of_memory`. Not thread
/// safe.
class RequestDecoder {
 public:
  explicit RequestDecoder(const DecodeLimits& limits = {}) noexcept : limits_(limits) {}

  /// `read`, `delete`, `exists`.
  Result<BytesView> key(BytesView in);
  Result<KeyValue> write(BytesView in);
  Result<std::span<const KeyValue>> batch_write(BytesView in);
  Result<std::span<const BytesView>> batch_read(BytesView in);

  /// Gives back what an unusually large request took. The views are invalid then.
  void trim() noexcept;

 private:
  template <class T, class Read>
  Result<T> decode(BytesView in, Read read);

  DecodeLimits limits_;
  ByteColumn keys_;
  ByteColumn payloads_;
  LengthColumn key_sizes_;
  LengthColumn payload_sizes_;
  std::vector<KeyValue> entries_;
  std::vector<BytesView> list_;
};

}  // namespace simdrive::codec
