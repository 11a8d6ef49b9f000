// Any bytes through every decoder of the codec: no crash, decode(encode(decode(x))) == decode(x), and the incremental
// decoder agrees with the whole one however the bytes are split. The decoder of views agrees with that of copies.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <utility>

#include "codec/messages.hpp"
#include "codec/request_decoder.hpp"
#include "codec/values_decoder.hpp"

namespace {

using namespace simdrive;
using namespace simdrive::codec;

constexpr std::uint64_t kItems = 1 << 16;
constexpr std::uint64_t kTotal = 1 << 20;

void require(bool holds) {
  if (!holds) std::abort();
}

Bytes flatten(const Gather& gather) {
  Bytes out;
  for (std::size_t i = 0; i < gather.run_count(); ++i) {
    const BytesView run = gather.run(i);
    out.insert(out.end(), run.begin(), run.end());
  }
  require(out.size() == gather.size());
  return out;
}

bool same(const WriteRequest& a, const WriteRequest& b) { return a.key == b.key && a.payload == b.payload; }
bool same(const BatchWriteRequest& a, const BatchWriteRequest& b) {
  if (a.entries.size() != b.entries.size()) return false;
  for (std::size_t i = 0; i < a.entries.size(); ++i) {
    if (!same(a.entries[i], b.entries[i])) return false;
  }
  return true;
}
bool same(const ErrorPayload& a, const ErrorPayload& b) { return a.code == b.code && a.message == b.message; }
template <class T>
bool same(const T& a, const T& b) {
  return a == b;
}

template <class Decode, class Encode>
void round_trip(BytesView in, Decode decode, Encode encode) {
  const auto first = decode(in);
  if (!first.ok()) {
    require(first.error().offset <= in.size());
    return;
  }
  for (Packing packing : {Packing::canonical, Packing::automatic}) {
    Gather out;
    encode(*first, out, packing);
    const Bytes bytes = flatten(out);
    const auto second = decode(bytes);
    require(second.ok() && same(*first, *second));
  }
}

/// Feeds `in` in pieces cut by `seed`, some of them around feed().
bool decode_in_pieces(ValuesDecoder& decoder, BytesView in, std::uint32_t seed, std::vector<Bytes>& values) {
  std::vector<std::uint8_t*> targets;
  const auto draw = [&seed](std::size_t most) {
    seed = seed * 1664525U + 1013904223U;
    return 1 + (seed >> 16) % most;
  };
  for (;;) {
    if (decoder.state() == ValuesDecoder::State::allocate) {
      for (std::uint64_t size : decoder.sizes()) values.emplace_back(size == kAbsent ? 0 : size);
      for (Bytes& value : values) targets.push_back(value.data());
      decoder.set_targets(targets);
    }
    if (in.empty()) return decoder.finish().ok();
    std::size_t n = std::min<std::size_t>(in.size(), draw(seed % 3 == 0 ? 100 : 3));
    const MutableBytes room = decoder.direct();
    if (!room.empty() && draw(2) == 1) {
      n = std::min(n, room.size());
      std::copy_n(in.begin(), n, room.begin());
      decoder.commit(n);
    } else {
      const auto taken = decoder.feed(in.first(n));
      if (!taken.ok()) return false;
      require(*taken == n || decoder.state() == ValuesDecoder::State::allocate);
      n = *taken;
    }
    in = in.subspan(n);
  }
}

void compare(ValuesDecoder& decoder, BytesView in, std::uint32_t seed, const std::vector<std::optional<Bytes>>* whole) {
  std::vector<Bytes> values;
  const bool ok = decode_in_pieces(decoder, in, seed, values);
  if (!whole) {
    require(!ok);
    return;
  }
  std::uint64_t total = 0;
  for (const auto& value : *whole) total += value ? value->size() : 0;
  require(ok == (total <= kTotal));
  if (!ok) return;
  require(values.size() == whole->size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    require((*whole)[i].has_value() == (decoder.sizes()[i] != kAbsent));
    require(!(*whole)[i] || *(*whole)[i] == values[i]);
  }
}

void check_read_response(BytesView in, std::uint32_t seed) {
  round_trip(in, decode_read_response, [](const auto& value, Gather& out, Packing packing) {
    encode_read_response(value ? std::optional<BytesView>(*value) : std::nullopt, out, packing);
  });
  const auto whole = decode_read_response(in);
  std::vector<std::optional<Bytes>> values;
  if (whole.ok()) values.push_back(*whole);
  ValuesDecoder decoder;
  decoder.start_read(kTotal);
  compare(decoder, in, seed, whole.ok() ? &values : nullptr);
}

void check_batch_read_response(BytesView in, std::uint32_t seed) {
  const auto decode = [](BytesView bytes) { return decode_batch_read_response(bytes, kItems); };
  round_trip(in, decode, [](const auto& values, Gather& out, Packing packing) {
    const std::vector<std::optional<BytesView>> views(values.begin(), values.end());
    encode_batch_read_response(views, out, packing);
  });
  const auto whole = decode(in);
  ValuesDecoder decoder;
  if (whole.ok()) {
    decoder.start_batch(whole->size(), kTotal);
    compare(decoder, in, seed, &*whole);
    decoder.start_batch(whole->size() + 1, kTotal);
    compare(decoder, in, seed, nullptr);
  } else if (!in.empty()) {
    // The count that the first byte announces gets the furthest.
    decoder.start_batch(in[0], kTotal);
    compare(decoder, in, seed, nullptr);
  }
}

bool same_bytes(BytesView view, const Bytes& bytes) {
  return std::equal(view.begin(), view.end(), bytes.begin(), bytes.end());
}

template <class A, class B>
bool same_verdict(const Result<A>& views, const Result<B>& copies) {
  require(views.ok() == copies.ok());
  if (!views.ok()) require(views.error().offset == copies.error().offset);
  return views.ok();
}

/// One decoder for all inputs: what an earlier one left must not show.
void check_views(unsigned type, BytesView in) {
  static RequestDecoder decoder({.max_items = kItems});
  const auto same_entry = [](const KeyValue& view, const WriteRequest& entry) {
    return same_bytes(view.key, entry.key) && same_bytes(view.payload, entry.payload);
  };
  switch (type) {
    case 0: {
      const auto views = decoder.key(in);
      const auto copies = decode_key_request(in);
      if (same_verdict(views, copies)) require(same_bytes(*views, *copies));
      break;
    }
    case 1: {
      const auto views = decoder.write(in);
      const auto copies = decode_write_request(in);
      if (same_verdict(views, copies)) require(same_entry(*views, *copies));
      break;
    }
    case 2: {
      const auto views = decoder.batch_write(in);
      const auto copies = decode_batch_write_request(in, kItems);
      if (!same_verdict(views, copies)) break;
      require(std::equal(views->begin(), views->end(), copies->entries.begin(), copies->entries.end(), same_entry));
      break;
    }
    default: {
      const auto views = decoder.batch_read(in);
      const auto copies = decode_batch_read_request(in, kItems);
      if (!same_verdict(views, copies)) break;
      require(std::equal(views->begin(), views->end(), copies->begin(), copies->end(), same_bytes));
    }
  }
}

void check_requests(unsigned type, BytesView in) {
  check_views(type, in);
  switch (type) {
    case 0:
      return round_trip(in, decode_key_request,
                        [](const Bytes& key, Gather& out, Packing packing) { encode_key_request(key, out, packing); });
    case 1:
      return round_trip(in, decode_write_request, [](const WriteRequest& request, Gather& out, Packing packing) {
        encode_write_request(request.key, request.payload, out, packing);
      });
    case 2:
      return round_trip(
          in, [](BytesView bytes) { return decode_batch_write_request(bytes, kItems); },
          [](const BatchWriteRequest& request, Gather& out, Packing packing) {
            std::vector<KeyValue> entries;
            for (const WriteRequest& entry : request.entries) entries.push_back({entry.key, entry.payload});
            encode_batch_write_request(entries, out, packing);
          });
    default:
      return round_trip(
          in, [](BytesView bytes) { return decode_batch_read_request(bytes, kItems); },
          [](const std::vector<Bytes>& keys, Gather& out, Packing packing) {
            const std::vector<BytesView> views(keys.begin(), keys.end());
            encode_batch_read_request(views, out, packing);
          });
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const unsigned type = data[0] % 9;
  const std::uint32_t seed = data[1];
  const BytesView in(data + 2, size - 2);
  switch (type) {
    case 4: check_read_response(in, seed); break;
    case 5: check_batch_read_response(in, seed); break;
    case 6:
      round_trip(in, decode_number_response,
                 [](std::uint64_t value, Gather& out, Packing) { encode_number_response(value, out); });
      break;
    case 7:
      round_trip(in, decode_bool_response, [](bool value, Gather& out, Packing) { encode_bool_response(value, out); });
      break;
    case 8:
      round_trip(in, decode_error_payload, [](const ErrorPayload& error, Gather& out, Packing) {
        encode_error_payload(error.code, error.message, out);
      });
      break;
    default: check_requests(type, in);
  }
  return 0;
}
