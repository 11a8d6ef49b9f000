#include "codec/request_decoder.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "codec_bytes.hpp"
#include "support/json.hpp"

namespace simdrive::codec {
namespace {

using test::JsonValue;

Bytes owned(BytesView view) { return {view.begin(), view.end()}; }

bool lies_in(BytesView part, BytesView whole) {
  return part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size();
}

// Both decoders of one request: the same verdict, the same offset, the same values.
void expect_same(RequestDecoder& decoder, const std::string& type, BytesView in) {
  const auto same_end = [&](const auto& got, const auto& want) {
    ASSERT_EQ(got.ok(), want.ok()) << type;
    if (want.ok()) return;
    EXPECT_EQ(got.error().code, want.error().code) << type;
    EXPECT_EQ(got.error().offset, want.error().offset) << type;
    EXPECT_EQ(got.error().detail, want.error().detail) << type;
  };
  if (type == "write_request") {
    const auto got = decoder.write(in);
    const auto want = decode_write_request(in);
    same_end(got, want);
    if (!got.ok() || !want.ok()) return;
    EXPECT_EQ(owned(got->key), want->key);
    EXPECT_EQ(owned(got->payload), want->payload);
  } else if (type == "batch_write_request") {
    const auto got = decoder.batch_write(in);
    const auto want = decode_batch_write_request(in);
    same_end(got, want);
    if (!got.ok() || !want.ok()) return;
    ASSERT_EQ(got->size(), want->entries.size());
    for (std::size_t i = 0; i < got->size(); ++i) {
      EXPECT_EQ(owned((*got)[i].key), want->entries[i].key);
      EXPECT_EQ(owned((*got)[i].payload), want->entries[i].payload);
    }
  } else if (type == "batch_read_request") {
    const auto got = decoder.batch_read(in);
    const auto want = decode_batch_read_request(in);
    same_end(got, want);
    if (!got.ok() || !want.ok()) return;
    ASSERT_EQ(got->size(), want->size());
    for (std::size_t i = 0; i < got->size(); ++i) EXPECT_EQ(owned((*got)[i]), (*want)[i]);
  } else {
    const auto got = decoder.key(in);
    const auto want = decode_key_request(in);
    same_end(got, want);
    if (!got.ok() || !want.ok()) return;
    EXPECT_EQ(owned(*got), *want);
  }
}

bool is_request(const std::string& type) {
  return type.ends_with("_request") && type != "len_request" && type != "is_empty_request" &&
         type != "file_size_request";
}

TEST(RequestDecoder, VectorsOfTheRealDecoder) {
  RequestDecoder decoder;  // one for all, so that nothing of one request may show in the next
  std::size_t accepted = 0;
  std::size_t refused = 0;
  const JsonValue vectors = JsonValue::wire_vectors("bitcode_decode.json");
  for (const JsonValue& v : vectors.list()) {
    const std::string& type = v["type"].text();
    if (!is_request(type)) continue;
    const Bytes in = v["hex"].bytes();
    expect_same(decoder, type, in);
    const bool accept = v["accept"].boolean();
    ++(accept ? accepted : refused);
    if (type == "write_request") {
      const auto got = decoder.write(in);
      ASSERT_EQ(got.ok(), accept);
      if (!accept) continue;
      EXPECT_EQ(owned(got->key), v["value"]["key"].bytes());
      EXPECT_EQ(owned(got->payload), v["value"]["payload"].bytes());
    } else if (type == "batch_write_request") {
      const auto got = decoder.batch_write(in);
      ASSERT_EQ(got.ok(), accept);
      if (!accept) continue;
      const auto& want = v["value"]["entries"].list();
      ASSERT_EQ(got->size(), want.size());
      for (std::size_t i = 0; i < want.size(); ++i) {
        EXPECT_EQ(owned((*got)[i].key), want[i].list()[0].bytes());
        EXPECT_EQ(owned((*got)[i].payload), want[i].list()[1].bytes());
      }
    } else if (type == "batch_read_request") {
      const auto got = decoder.batch_read(in);
      ASSERT_EQ(got.ok(), accept);
      if (!accept) continue;
      const auto& want = v["value"]["keys"].list();
      ASSERT_EQ(got->size(), want.size());
      for (std::size_t i = 0; i < want.size(); ++i) EXPECT_EQ(owned((*got)[i]), want[i].bytes());
    } else {
      const auto got = decoder.key(in);
      ASSERT_EQ(got.ok(), accept);
      if (!accept) continue;
      EXPECT_EQ(owned(*got), v["value"]["key"].bytes());
    }
  }
  EXPECT_GT(accepted, 100U);
  EXPECT_GT(refused, 100U);
}

TEST(RequestDecoder, VectorsOfTheRealEncoderAndWhatIsLeftOfThemWhenBytesChange) {
  RequestDecoder decoder;
  std::uint32_t seed = 5;
  std::size_t tried = 0;
  const JsonValue vectors = JsonValue::wire_vectors("bitcode_encode.json");
  for (const JsonValue& v : vectors.list()) {
    const std::string& type = v["type"].text();
    if (!is_request(type) || !v["encoded"].has("hex")) continue;
    Bytes in = v["encoded"]["hex"].bytes();
    expect_same(decoder, type, in);
    for (int round = 0; round < 8 && !in.empty(); ++round) {
      seed = seed * 1664525U + 1013904223U;
      Bytes changed = in;
      changed[(seed >> 8) % changed.size()] = static_cast<std::uint8_t>(seed >> 24);
      if (round % 4 == 3) changed.resize((seed >> 12) % (in.size() + 3));
      expect_same(decoder, type, changed);
      ++tried;
    }
  }
  EXPECT_GT(tried, 1000U);
}

TEST(RequestDecoder, RawColumnsAreNotCopied) {
  const Bytes key = mixed(20, 0, 256);
  const Bytes payload = mixed(5000, 0, 256);
  Gather out;
  encode_write_request(key, payload, out);
  const Bytes in = flatten(out);
  RequestDecoder decoder;
  const auto write = decoder.write(in);
  ASSERT_TRUE(write.ok());
  EXPECT_TRUE(lies_in(write->key, in) && lies_in(write->payload, in));

  const std::vector<KeyValue> entries = {{key, payload}, {payload, key}};
  out.clear();
  encode_batch_write_request(entries, out);
  const Bytes batch = flatten(out);
  const auto got = decoder.batch_write(batch);
  ASSERT_TRUE(got.ok());
  for (const KeyValue& entry : *got) EXPECT_TRUE(lies_in(entry.key, batch) && lies_in(entry.payload, batch));
}

TEST(RequestDecoder, MemoryIsUsedAgainUntilItIsGivenBack) {
  const Bytes digits = mixed(100'000, 48, 4);
  std::vector<BytesView> keys;
  for (std::size_t i = 0; i < 10'000; ++i) keys.push_back(BytesView(digits).subspan(i * 10, 10));
  Gather out;
  encode_batch_read_request(keys, out, Packing::canonical);
  const Bytes in = flatten(out);
  RequestDecoder decoder;
  auto got = decoder.batch_read(in);
  ASSERT_TRUE(got.ok());
  const void* list = got->data();
  const void* bytes = got->front().data();
  EXPECT_FALSE(lies_in(got->front(), in));
  got = decoder.batch_read(in);
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(got->data(), list);
  EXPECT_EQ(got->front().data(), bytes);
  decoder.trim();
  got = decoder.batch_read(in);
  ASSERT_TRUE(got.ok());
  ASSERT_EQ(got->size(), keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) EXPECT_TRUE(std::ranges::equal((*got)[i], keys[i]));
}

TEST(RequestDecoder, LimitsHold) {
  const Bytes zeros(1000);
  Gather out;
  encode_write_request(zeros, zeros, out, Packing::canonical);
  const Bytes packed = flatten(out);
  ASSERT_LT(packed.size(), 300U);
  EXPECT_TRUE(RequestDecoder({.max_unpacked = 2000}).write(packed).ok());
  const auto refused = RequestDecoder({.max_unpacked = 1999}).write(packed);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Errc::protocol_error);
  EXPECT_EQ(refused.error().detail, "packed bytes are more than the limit");
  // What is raw is there already.
  out.clear();
  const Bytes raw = mixed(3000, 0, 256);
  encode_write_request(raw, raw, out);
  EXPECT_TRUE(RequestDecoder({.max_unpacked = 0}).write(flatten(out)).ok());

  Bytes many = from_hex("ff 04 0010 0a");  // 4096 empty keys in 512 bytes
  many.resize(many.size() + 512);
  EXPECT_EQ(RequestDecoder({.max_items = 4096}).batch_read(many)->size(), 4096U);
  EXPECT_FALSE(RequestDecoder({.max_items = 4095}).batch_read(many).ok());
  // 2^40 keys, and a key of 2^50 bytes, of which nothing follows.
  EXPECT_FALSE(RequestDecoder({.max_items = ~std::uint64_t{0}}).batch_read(from_hex("ff 00 0000000000010000 0a")).ok());
  EXPECT_FALSE(RequestDecoder().key(from_hex("ff 00 0000000000000400 0a 00")).ok());
}

TEST(ResponseHeads, FollowedByThePayloadsTheyAreTheResponse) {
  for (const std::size_t size : {0U, 1U, 2U, 3U, 254U, 255U, 256U, 65535U, 65536U, 200'000U}) {
    const Bytes payload = mixed(size, 0, 256);
    Gather out;
    encode_read_response_head(size, out);
    EXPECT_LE(out.size(), 12U);
    Bytes response = flatten(out);
    response.insert(response.end(), payload.begin(), payload.end());
    const auto got = decode_read_response(response);
    ASSERT_TRUE(got.ok()) << size;
    EXPECT_EQ(*got, payload);
    // Where the real encoder does not pack, not a bit differs.
    Gather real;
    encode_read_response(payload, real, Packing::canonical);
    EXPECT_TRUE((size >= 3 && size <= 250) || response == flatten(real)) << size;
  }
  Gather none;
  encode_read_response_head(kAbsent, none);
  EXPECT_EQ(flatten(none), from_hex("00"));
}

TEST(ResponseHeads, OfBatches) {
  for (const std::size_t count : {0U, 1U, 2U, 3U, 7U, 8U, 9U, 300U}) {
    for (const std::size_t most : {0U, 1U, 5U, 300U, 70'000U}) {
      if (count * most > 1'000'000) continue;
      for (const std::size_t present_of_four : {0U, 3U, 4U}) {
        std::vector<std::uint64_t> sizes;
        std::vector<std::optional<Bytes>> values;
        std::vector<std::optional<BytesView>> views;
        Bytes rest;
        for (std::size_t i = 0; i < count; ++i) {
          values.emplace_back();
          if (i % 4 < present_of_four) values.back() = mixed(most == 0 ? 0 : i * 7919 % (most + 1), 0, 256, 3);
          sizes.push_back(values.back() ? values.back()->size() : kAbsent);
          if (values.back()) rest.insert(rest.end(), values.back()->begin(), values.back()->end());
        }
        for (const auto& value : values) views.push_back(value ? std::optional<BytesView>(*value) : std::nullopt);
        Gather out;
        encode_batch_read_response_head(sizes, out);
        Bytes response = flatten(out);
        response.insert(response.end(), rest.begin(), rest.end());
        const auto got = decode_batch_read_response(response);
        ASSERT_TRUE(got.ok()) << count << ' ' << most;
        EXPECT_EQ(*got, values);
        Gather real;
        encode_batch_read_response(views, real, Packing::canonical);
        const bool may_be_packed = rest.size() >= 3 && rest.size() <= 250;
        EXPECT_TRUE(may_be_packed || response == flatten(real)) << count << ' ' << most;
      }
    }
  }
}

}  // namespace
}  // namespace simdrive::codec
