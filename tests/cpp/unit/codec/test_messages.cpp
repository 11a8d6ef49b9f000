#include "codec/messages.hpp"

#include <gtest/gtest.h>

#include "codec_bytes.hpp"

namespace simdrive::codec {
namespace {

Bytes key_request(BytesView key, Packing packing = Packing::canonical) {
  Gather out;
  encode_key_request(key, out, packing);
  return flatten(out);
}

Bytes write_request(BytesView key, BytesView payload) {
  Gather out;
  encode_write_request(key, payload, out);
  return flatten(out);
}

Bytes read_response(std::optional<BytesView> payload) {
  Gather out;
  encode_read_response(payload, out);
  return flatten(out);
}

Bytes batch_read_response(const std::vector<std::optional<Bytes>>& payloads, Packing packing) {
  std::vector<std::optional<BytesView>> views(payloads.begin(), payloads.end());
  Gather out;
  encode_batch_read_response(views, out, packing);
  return flatten(out);
}

Bytes batch_read_request(const std::vector<Bytes>& keys, Packing packing = Packing::canonical) {
  const std::vector<BytesView> views(keys.begin(), keys.end());
  Gather out;
  encode_batch_read_request(views, out, packing);
  return flatten(out);
}

Bytes number_response(std::uint64_t value) {
  Gather out;
  encode_number_response(value, out);
  return flatten(out);
}

template <class T>
void expect_protocol_error(const Result<T>& result, std::uint64_t offset) {
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, Errc::protocol_error);
  EXPECT_EQ(result.error().offset, offset) << result.error().detail;
  EXPECT_FALSE(result.error().detail.empty());
}

TEST(Messages, WritesTheWorkedExamples) {
  EXPECT_EQ(key_request(from_hex("616263")), from_hex("03 00 616263"));
  EXPECT_EQ(key_request({}), from_hex("00"));
  EXPECT_EQ(write_request(from_hex("61"), from_hex("000102")), from_hex("01 61 03 08 15"));
  EXPECT_EQ(read_response(std::nullopt), from_hex("00"));
  EXPECT_EQ(read_response(from_hex("7676")), from_hex("01 02 7676"));
  EXPECT_EQ(number_response(31), from_hex("06 1f"));
  EXPECT_EQ(batch_read_response({std::nullopt, std::nullopt, std::nullopt}, Packing::canonical), from_hex("03 00"));
  EXPECT_EQ(batch_read_request({}), from_hex("00"));
  Gather error;
  encode_error_payload(2, "h\xc3\xa9", error);
  EXPECT_EQ(flatten(error), from_hex("02 03 68c3a9"));
}

TEST(Messages, ReadsTheWorkedExamples) {
  EXPECT_EQ(*decode_key_request(from_hex("03 00 616263")), from_hex("616263"));
  EXPECT_EQ(*decode_key_request(from_hex("00")), Bytes());
  const auto write = decode_write_request(from_hex("01 61 03 08 15"));
  ASSERT_TRUE(write.ok());
  EXPECT_EQ(write->key, from_hex("61"));
  EXPECT_EQ(write->payload, from_hex("000102"));
  EXPECT_EQ(*decode_read_response(from_hex("00")), std::nullopt);
  EXPECT_EQ(*decode_read_response(from_hex("01 02 7676")), from_hex("7676"));
  EXPECT_EQ(*decode_number_response(from_hex("06 1f")), 31U);
  EXPECT_EQ(decode_batch_read_response(from_hex("03 00"))->size(), 3U);
  EXPECT_TRUE(decode_batch_read_request(from_hex("00"))->empty());
  const auto error = decode_error_payload(from_hex("02 03 68c3a9"));
  ASSERT_TRUE(error.ok());
  EXPECT_EQ(error->code, 2);
  EXPECT_EQ(error->message, "h\xc3\xa9");
}

TEST(Messages, PicksTheFormByRangeAndCount) {
  // 6.1: the minimum is subtracted from six values on, and only when that is denser.
  EXPECT_EQ(key_request(from_hex("6162636465")), from_hex("05 00 6162636465"));
  EXPECT_EQ(key_request(from_hex("616161616161")), from_hex("06 09 61 00"));
  // 0 + 1 * 6 + 2 * 36 = 78, 3 + 4 * 6 + 5 * 36 = 207.
  EXPECT_EQ(key_request(from_hex("616263646566")), from_hex("06 03 61 4e cf"));
  EXPECT_EQ(key_request(from_hex("0001000100010001 01")), from_hex("09 0a aa 01"));
  for (unsigned base : {0U, 1U, 5U, 97U, 239U, 250U}) {
    for (unsigned spread : {1U, 2U, 3U, 4U, 5U, 6U, 7U, 15U, 16U, 17U, 200U}) {
      for (std::size_t n = 0; n < 40; ++n) {
        const Bytes key = mixed(n, base, spread);
        EXPECT_EQ(*decode_key_request(key_request(key)), key) << base << ' ' << spread << ' ' << n;
      }
    }
  }
}

TEST(Messages, WritesNumbersInTheNarrowestWidth) {
  EXPECT_EQ(number_response(0), from_hex("06 00"));
  EXPECT_EQ(number_response(255), from_hex("06 ff"));
  EXPECT_EQ(number_response(256), from_hex("04 0001"));
  EXPECT_EQ(number_response(65536), from_hex("02 00000100"));
  EXPECT_EQ(number_response(~std::uint64_t{0}), from_hex("00 ffffffffffffffff"));
  for (unsigned bit = 0; bit < 64; ++bit) {
    const std::uint64_t value = std::uint64_t{1} << bit;
    EXPECT_EQ(*decode_number_response(number_response(value)), value);
    EXPECT_EQ(*decode_number_response(number_response(value - 1)), value - 1);
  }
}

TEST(Messages, TakesEveryFormOfANumber) {
  EXPECT_EQ(*decode_number_response(from_hex("00 2200000000000000")), 0x22U);
  EXPECT_EQ(*decode_number_response(from_hex("05 0100000000000000 ff")), 256U);
  EXPECT_EQ(*decode_number_response(from_hex("03 ffffffffffffffff 0300")), 2U);
  expect_protocol_error(decode_number_response(from_hex("07 00")), 0);
  expect_protocol_error(decode_number_response(from_hex("04 00")), 1);
  expect_protocol_error(decode_number_response(from_hex("06 1f 00")), 2);
  expect_protocol_error(decode_number_response({}), 0);
}

TEST(Messages, TakesEveryFormOfAByteColumn) {
  // Digits modulo the base, surplus digits and unused bits ignored, a minimum at any count, sums modulo 256.
  EXPECT_EQ(*decode_key_request(from_hex("03 08 ff")), from_hex("000101"));
  EXPECT_EQ(*decode_key_request(from_hex("03 09 ff 02")), from_hex("ff00ff"));
  EXPECT_EQ(*decode_key_request(from_hex("03 0a ff")), from_hex("010101"));
  EXPECT_TRUE(*decode_bool_response(from_hex("ff")));
  EXPECT_FALSE(*decode_bool_response(from_hex("02")));
  expect_protocol_error(decode_key_request(from_hex("03 0b ff")), 1);
  expect_protocol_error(decode_key_request(from_hex("03 01")), 2);
  expect_protocol_error(decode_key_request(from_hex("03 00 6162")), 2);
  expect_protocol_error(decode_key_request(from_hex("01 61 62")), 2);
  expect_protocol_error(decode_bool_response({}), 0);
}

TEST(Messages, LengthsAroundTheLargePart) {
  for (std::size_t n : {253U, 254U, 255U, 256U, 257U, 65535U, 65536U, 65537U}) {
    const Bytes value = mixed(n, 0, 256);
    EXPECT_EQ(*decode_key_request(key_request(value)), value) << n;
  }
  // A large length below 255 is legal, and a length of two then needs no header.
  EXPECT_EQ(*decode_key_request(from_hex("ff 06 02 6162")), from_hex("6162"));
}

TEST(Messages, BatchesRoundTripInBothPackings) {
  // Counts and sizes that reach every form of the LENGTH column, the packed INT part included.
  for (std::size_t first : {0U, 1U, 250U, 255U, 300U, 70000U}) {
    for (std::size_t spread : {1U, 3U, 12U, 300U}) {
      for (std::size_t n : {1U, 2U, 3U, 5U, 6U, 20U}) {
        std::vector<std::optional<Bytes>> values;
        std::vector<Bytes> keys;
        for (std::size_t i = 0; i < n; ++i) {
          keys.push_back(mixed(first + i * 7 % spread, 48, 10));
          values.push_back(i % 4 == 1 ? std::nullopt : std::optional(keys.back()));
        }
        for (Packing packing : {Packing::canonical, Packing::automatic}) {
          EXPECT_EQ(*decode_batch_read_response(batch_read_response(values, packing)), values);
          EXPECT_EQ(*decode_batch_read_request(batch_read_request(keys, packing)), keys);
        }
      }
    }
  }
}

TEST(Messages, BatchWriteRoundTrip) {
  std::vector<Bytes> keys;
  std::vector<Bytes> payloads;
  std::vector<KeyValue> entries;
  for (std::size_t i = 0; i < 300; ++i) {
    keys.push_back(mixed(i % 17, 97, 26));
    payloads.push_back(mixed(i * 5, 0, 256));
  }
  for (std::size_t i = 0; i < keys.size(); ++i) entries.push_back({keys[i], payloads[i]});
  Gather out;
  encode_batch_write_request(entries, out);
  const auto decoded = decode_batch_write_request(flatten(out));
  ASSERT_TRUE(decoded.ok());
  ASSERT_EQ(decoded->entries.size(), keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    EXPECT_EQ(decoded->entries[i].key, keys[i]);
    EXPECT_EQ(decoded->entries[i].payload, payloads[i]);
  }
  EXPECT_FALSE(decode_batch_write_request(flatten(out), 299).ok());
}

TEST(Messages, LargeColumnsAreBorrowedUnscanned) {
  const Bytes digits = mixed(kScanMax + 1, 48, 2);
  Gather automatic;
  encode_key_request(digits, automatic);
  EXPECT_EQ(automatic.size(), 7 + digits.size());
  EXPECT_EQ(automatic.run(automatic.run_count() - 1).data(), digits.data());
  EXPECT_EQ(*decode_key_request(flatten(automatic)), digits);

  EXPECT_LT(key_request(digits, Packing::canonical).size(), digits.size() / 7);
  const BytesView at_limit = BytesView(digits).first(kScanMax);
  EXPECT_EQ(key_request(at_limit, Packing::automatic), key_request(at_limit, Packing::canonical));
}

TEST(Messages, EveryTruncationAndEverySurplusByteIsRefused) {
  const Bytes whole = batch_read_response(
      {mixed(300, 48, 10), std::nullopt, mixed(256, 48, 10), Bytes(), mixed(7, 48, 10)}, Packing::canonical);
  ASSERT_TRUE(decode_batch_read_response(whole).ok());
  for (std::size_t n = 0; n < whole.size(); ++n) {
    const auto cut = decode_batch_read_response(BytesView(whole).first(n));
    ASSERT_FALSE(cut.ok()) << n;
    EXPECT_LE(cut.error().offset, n);
  }
  Bytes longer = whole;
  longer.push_back(0);
  expect_protocol_error(decode_batch_read_response(longer), whole.size());
}

TEST(Messages, AnnouncedCountsAreNotBelieved) {
  // 2^40 keys, of which nothing follows; then the same within the limit on items.
  expect_protocol_error(decode_batch_read_request(from_hex("ff 00 0000000000010000")), 10);
  expect_protocol_error(decode_batch_read_request(from_hex("ff 00 0000000000010000 0a"), ~std::uint64_t{0}), 11);
  expect_protocol_error(decode_batch_read_response(from_hex("ff 00 0000000000010000 ff"), ~std::uint64_t{0}), 10);
  // One value of 2^50 bytes.
  expect_protocol_error(decode_key_request(from_hex("ff 00 0000000000000400 00 00")), 11);
  expect_protocol_error(decode_key_request(from_hex("ff 00 0000000000000400 0a 00")), 11);
  // Lengths that sum up to the limit, past it, and past 2^64.
  expect_protocol_error(decode_key_request(from_hex("ff 00 ffffffffffff0700")), 10);
  EXPECT_STREQ(decode_key_request(from_hex("ff 00 ffffffffffff0700")).error().detail.c_str(), "length overflow");
  const auto sum = decode_batch_read_request(from_hex("02 ffff 00 ffffffffffffffff 0200000000000000"));
  ASSERT_FALSE(sum.ok());
  EXPECT_EQ(sum.error().detail, "length overflow");
}

TEST(Messages, ItemsAreBounded) {
  // 4096 empty keys in 512 bytes of packed lengths.
  Bytes many = from_hex("ff 04 0010 0a");
  many.resize(many.size() + 512);
  EXPECT_EQ(decode_batch_read_request(many, 4096)->size(), 4096U);
  expect_protocol_error(decode_batch_read_request(many, 4095), 4);
}

TEST(Messages, ErrorTextMustBeUtf8) {
  for (std::string_view good : {"", "a", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
                                "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    Gather out;
    encode_error_payload(1, good, out);
    const auto decoded = decode_error_payload(flatten(out));
    ASSERT_TRUE(decoded.ok()) << good;
    EXPECT_EQ(decoded->message, good);
  }
  for (std::string_view bad : {"\x80", "\xc1\xbf", "\xc2", "\xc2\x41", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xe1\x80",
                               "\xe1\x80\xc0", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff"}) {
    Gather out;
    encode_error_payload(1, bad, out);
    expect_protocol_error(decode_error_payload(flatten(out)), 2);
  }
  EXPECT_EQ(decode_error_payload(from_hex("cb 01 61"))->code, 0xcb % 3);
}

}  // namespace
}  // namespace simdrive::codec
