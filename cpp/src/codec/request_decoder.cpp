#include "codec/request_decoder.hpp"

#include <exception>

namespace simdrive::codec {

namespace {

// What trim() leaves of each part.
constexpr std::size_t kKeepBytes = std::size_t{64} << 10;
// Of a length, at most: its byte, and what does not fit in one.
constexpr std::size_t kLengthBytes = 1 + sizeof(std::uint64_t);

}  // namespace

template <class T, class Read>
Result<T> RequestDecoder::decode(BytesView in, Read read) {
  try {
    ColumnReader reader(in, limits_.max_unpacked, limits_.account);
    T out{};
    if (read(reader, out)) return out;
    return reader.error();
  } catch (const std::exception&) {
    // Only containers throw here, and they grow only to what the bytes present can hold.
    return Error{.code = Errc::out_of_memory, .detail = {}, .outcome = Outcome::unknown};
  }
}

Result<BytesView> RequestDecoder::key(BytesView in) {
  return decode<BytesView>(in, [this](ColumnReader& reader, BytesView& out) {
    if (!reader.value(keys_) || !reader.end()) return false;
    out = keys_.values;
    return true;
  });
}

Result<KeyValue> RequestDecoder::write(BytesView in) {
  return decode<KeyValue>(in, [this](ColumnReader& reader, KeyValue& out) {
    if (!reader.value(keys_) || !reader.value(payloads_) || !reader.end()) return false;
    out = {keys_.values, payloads_.values};
    return true;
  });
}

Result<std::span<const KeyValue>> RequestDecoder::batch_write(BytesView in) {
  return decode<std::span<const KeyValue>>(in, [this](ColumnReader& reader, std::span<const KeyValue>& out) {
    std::uint64_t n = 0;
    if (!reader.item_count(limits_.max_items, n) || !reader.room_for(n, 2 * kLengthBytes + sizeof(KeyValue)) ||
        !reader.lengths(n, key_sizes_) || !reader.bytes(key_sizes_.sum(), keys_) ||
        !reader.lengths(n, payload_sizes_) || !reader.bytes(payload_sizes_.sum(), payloads_) || !reader.end()) {
      return false;
    }
    entries_.resize(static_cast<std::size_t>(n));
    for (KeyValue& entry : entries_) {
      entry.key = keys_.next(key_sizes_.next());
      entry.payload = payloads_.next(payload_sizes_.next());
    }
    out = entries_;
    return true;
  });
}

Result<std::span<const BytesView>> RequestDecoder::batch_read(BytesView in) {
  return decode<std::span<const BytesView>>(in, [this](ColumnReader& reader, std::span<const BytesView>& out) {
    std::uint64_t n = 0;
    if (!reader.item_count(limits_.max_items, n) || !reader.room_for(n, kLengthBytes + sizeof(BytesView)) ||
        !reader.lengths(n, key_sizes_) || !reader.bytes(key_sizes_.sum(), keys_) || !reader.end()) {
      return false;
    }
    list_.resize(static_cast<std::size_t>(n));
    for (BytesView& key : list_) key = keys_.next(key_sizes_.next());
    out = list_;
    return true;
  });
}

void RequestDecoder::trim() noexcept {
  const auto is_large = [](const auto& part) { return part.capacity() * sizeof(*part.data()) > kKeepBytes; };
  for (ByteColumn* column : {&keys_, &payloads_}) {
    if (is_large(column->storage)) *column = {};
  }
  for (LengthColumn* column : {&key_sizes_, &payload_sizes_}) {
    if (column->memory() > kKeepBytes) *column = {};
  }
  if (is_large(entries_)) std::vector<KeyValue>().swap(entries_);
  if (is_large(list_)) std::vector<BytesView>().swap(list_);
}

}  // namespace simdrive::codec
