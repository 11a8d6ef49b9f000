#include "codec/messages.hpp"

#include <exception>
#include <utility>

#include "codec/column_reader.hpp"
#include "codec/column_writer.hpp"

namespace simdrive::codec {

namespace {

Pieces keys_of(std::span<const KeyValue> entries) noexcept {
  return {entries.data(), entries.size(),
          [](const void* items, std::size_t i) { return &static_cast<const KeyValue*>(items)[i].key; }};
}

Pieces payloads_of(std::span<const KeyValue> entries) noexcept {
  return {entries.data(), entries.size(),
          [](const void* items, std::size_t i) { return &static_cast<const KeyValue*>(items)[i].payload; }};
}

Pieces pieces_of(std::span<const BytesView> keys) noexcept {
  return {keys.data(), keys.size(),
          [](const void* items, std::size_t i) { return &static_cast<const BytesView*>(items)[i]; }};
}

Pieces pieces_of(std::span<const std::optional<BytesView>> payloads) noexcept {
  return {payloads.data(), payloads.size(), [](const void* items, std::size_t i) -> const BytesView* {
            const auto& payload = static_cast<const std::optional<BytesView>*>(items)[i];
            return payload ? &*payload : nullptr;
          }};
}

BytesView bytes_of(std::string_view text) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

Bytes to_bytes(BytesView view) { return Bytes(view.begin(), view.end()); }

/// Runs a decoder; want of memory becomes an error like any other.
template <class T, class Read>
Result<T> decode(BytesView in, Read read) {
  try {
    ColumnReader reader(in);
    T out{};
    if (read(reader, out) && reader.end()) return Result<T>(std::move(out));
    return reader.error();
  } catch (const std::exception&) {
    // Only containers throw here, and they grow only to what the bytes present can hold.
    return Error{.code = Errc::out_of_memory, .detail = {}, .outcome = Outcome::unknown};
  }
}

}  // namespace

void encode_key_request(BytesView key, Gather& out, Packing packing) { write_value(key, out, packing); }

void encode_write_request(BytesView key, BytesView payload, Gather& out, Packing packing) {
  write_value(key, out, packing);
  write_value(payload, out, packing);
}

void encode_batch_write_request(std::span<const KeyValue> entries, Gather& out, Packing packing) {
  write_length(entries.size(), out);
  write_lengths(keys_of(entries), out);
  write_bytes(keys_of(entries), out, packing);
  write_lengths(payloads_of(entries), out);
  write_bytes(payloads_of(entries), out, packing);
}

void encode_batch_read_request(std::span<const BytesView> keys, Gather& out, Packing packing) {
  write_length(keys.size(), out);
  write_lengths(pieces_of(keys), out);
  write_bytes(pieces_of(keys), out, packing);
}

void encode_number_response(std::uint64_t value, Gather& out) { write_number(value, out); }

void encode_bool_response(bool value, Gather& out) { out.push(value ? 1 : 0); }

void encode_read_response(std::optional<BytesView> payload, Gather& out, Packing packing) {
  out.push(payload ? 1 : 0);
  if (payload) write_value(*payload, out, packing);
}

void encode_batch_read_response(std::span<const std::optional<BytesView>> payloads, Gather& out, Packing packing) {
  write_length(payloads.size(), out);
  write_presence(pieces_of(payloads), out);
  write_lengths(pieces_of(payloads), out);
  write_bytes(pieces_of(payloads), out, packing);
}

void encode_read_response_head(std::uint64_t size, Gather& out) {
  out.push(size != kAbsent ? 1 : 0);
  if (size == kAbsent) return;
  write_length(size, out);
  write_raw_header(size, out);
}

void encode_batch_read_response_head(std::span<const std::uint64_t> sizes, Gather& out) {
  write_length(sizes.size(), out);
  write_presence(sizes, out);
  write_lengths(sizes, out);
  std::uint64_t total = 0;
  for (const std::uint64_t size : sizes) total += size != kAbsent ? size : 0;
  write_raw_header(total, out);
}

void encode_error_payload(std::uint8_t code, std::string_view message, Gather& out) {
  out.push(code);
  write_length(message.size(), out);
  out.append(bytes_of(message));
}

Result<Bytes> decode_key_request(BytesView in) {
  return decode<Bytes>(in, [](ColumnReader& reader, Bytes& out) { return reader.value(out); });
}

Result<WriteRequest> decode_write_request(BytesView in) {
  return decode<WriteRequest>(
      in, [](ColumnReader& reader, WriteRequest& out) { return reader.value(out.key) && reader.value(out.payload); });
}

Result<BatchWriteRequest> decode_batch_write_request(BytesView in, std::uint64_t max_items) {
  return decode<BatchWriteRequest>(in, [max_items](ColumnReader& reader, BatchWriteRequest& out) {
    std::uint64_t n = 0;
    LengthColumn key_sizes;
    LengthColumn payload_sizes;
    ByteColumn keys;
    ByteColumn payloads;
    if (!reader.item_count(max_items, n) || !reader.lengths(n, key_sizes) || !reader.bytes(key_sizes.sum(), keys) ||
        !reader.lengths(n, payload_sizes) || !reader.bytes(payload_sizes.sum(), payloads) || !reader.end()) {
      return false;
    }
    out.entries.resize(static_cast<std::size_t>(n));
    for (WriteRequest& entry : out.entries) {
      entry.key = to_bytes(keys.next(key_sizes.next()));
      entry.payload = to_bytes(payloads.next(payload_sizes.next()));
    }
    return true;
  });
}

Result<std::vector<Bytes>> decode_batch_read_request(BytesView in, std::uint64_t max_items) {
  return decode<std::vector<Bytes>>(in, [max_items](ColumnReader& reader, std::vector<Bytes>& out) {
    std::uint64_t n = 0;
    LengthColumn sizes;
    ByteColumn keys;
    if (!reader.item_count(max_items, n) || !reader.lengths(n, sizes) || !reader.bytes(sizes.sum(), keys) ||
        !reader.end()) {
      return false;
    }
    out.resize(static_cast<std::size_t>(n));
    for (Bytes& key : out) key = to_bytes(keys.next(sizes.next()));
    return true;
  });
}

Result<std::uint64_t> decode_number_response(BytesView in) {
  return decode<std::uint64_t>(in, [](ColumnReader& reader, std::uint64_t& out) { return reader.number(out); });
}

Result<bool> decode_bool_response(BytesView in) {
  return decode<bool>(in, [](ColumnReader& reader, bool& out) {
    BytesView bits;
    if (!reader.bits(1, bits)) return false;
    out = (bits[0] & 1) != 0;
    return true;
  });
}

Result<std::optional<Bytes>> decode_read_response(BytesView in) {
  return decode<std::optional<Bytes>>(in, [](ColumnReader& reader, std::optional<Bytes>& out) {
    BytesView present;
    if (!reader.bits(1, present)) return false;
    return (present[0] & 1) == 0 || reader.value(out.emplace());
  });
}

Result<std::vector<std::optional<Bytes>>> decode_batch_read_response(BytesView in, std::uint64_t max_items) {
  using Values = std::vector<std::optional<Bytes>>;
  return decode<Values>(in, [max_items](ColumnReader& reader, Values& out) {
    std::uint64_t n = 0;
    BytesView present;
    if (!reader.item_count(max_items, n) || !reader.bits(n, present)) return false;
    const auto is_present = [&](std::uint64_t i) {
      return (present[static_cast<std::size_t>(i / 8)] >> (i % 8) & 1) != 0;
    };
    std::uint64_t present_count = 0;
    for (std::uint64_t i = 0; i < n; ++i) present_count += is_present(i) ? 1 : 0;

    LengthColumn sizes;
    ByteColumn payloads;
    if (!reader.lengths(present_count, sizes) || !reader.bytes(sizes.sum(), payloads) || !reader.end()) return false;
    out.resize(static_cast<std::size_t>(n));
    for (std::uint64_t i = 0; i < n; ++i) {
      if (is_present(i)) out[static_cast<std::size_t>(i)] = to_bytes(payloads.next(sizes.next()));
    }
    return true;
  });
}

Result<ErrorPayload> decode_error_payload(BytesView in) {
  return decode<ErrorPayload>(in, [](ColumnReader& reader, ErrorPayload& out) {
    BytesView text;
    if (!reader.variant_of_three(out.code) || !reader.text(text)) return false;
    out.message.assign(text.begin(), text.end());
    return true;
  });
}

}  // namespace simdrive::codec
