#include "codec/values_decoder.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "codec_bytes.hpp"

namespace simdrive::codec {
namespace {

using Values = std::vector<std::optional<Bytes>>;
constexpr std::uint64_t kNoLimit = std::uint64_t{1} << 40;

/// The owner of a decoder: gives it bytes and memory, as a connection does.
struct Receiver {
  ValuesDecoder decoder;
  std::vector<Bytes> memory;
  std::vector<std::uint8_t*> targets;
  std::size_t direct_bytes = 0;

  void allocate() {
    for (std::uint64_t size : decoder.sizes())
      memory.emplace_back(size == kAbsent ? 0 : static_cast<std::size_t>(size));
    for (Bytes& bytes : memory) targets.push_back(bytes.data());
    decoder.set_targets(targets);
  }

  /// `direct`: bytes of raw columns go around feed().
  Result<void> receive(BytesView in, bool direct) {
    do {
      const MutableBytes room = decoder.direct();
      if (direct && !room.empty() && !in.empty()) {
        const std::size_t n = std::min(room.size(), in.size());
        std::copy_n(in.begin(), n, room.begin());
        decoder.commit(n);
        direct_bytes += n;
        in = in.subspan(n);
        continue;
      }
      Result<std::size_t> taken = decoder.feed(in);
      if (!taken.ok()) return taken.error();
      in = in.subspan(*taken);
      if (decoder.state() == ValuesDecoder::State::allocate) {
        allocate();
      } else if (!in.empty() && *taken == 0) {
        return Error{.detail = "no progress"};
      }
    } while (!in.empty());
    return {};
  }

  Values values() const {
    Values out;
    for (std::size_t i = 0; i < memory.size(); ++i) {
      out.push_back(decoder.sizes()[i] == kAbsent ? std::nullopt : std::optional(memory[i]));
    }
    return out;
  }
};

Bytes encode(const Values& values, Packing packing = Packing::canonical) {
  const std::vector<std::optional<BytesView>> views(values.begin(), values.end());
  Gather out;
  encode_batch_read_response(views, out, packing);
  return flatten(out);
}

Bytes encode_one(const std::optional<Bytes>& value) {
  Gather out;
  encode_read_response(value, out);
  return flatten(out);
}

std::vector<Values> samples() {
  Values digits;
  Values random;
  Values sparse;
  for (std::size_t i = 0; i < 21; ++i) {
    digits.push_back(i % 5 == 2 ? std::nullopt : std::optional(mixed(i * 3 % 11, 48, 4)));
    random.push_back(i % 5 == 2 ? std::nullopt : std::optional(mixed(i * 3 % 11, 0, 256)));
    sparse.push_back(i == 13 ? std::optional(mixed(5, 0, 256)) : std::nullopt);
  }
  return {
      {},
      {std::nullopt},
      {Bytes()},
      {std::nullopt, Bytes(), std::nullopt},
      {mixed(2, 0, 256)},
      {mixed(300, 0, 256), mixed(255, 0, 256), std::nullopt, mixed(3, 0, 256)},
      {mixed(256, 9, 2), mixed(257, 9, 2), mixed(258, 9, 2), mixed(259, 9, 2), mixed(260, 9, 2), mixed(261, 9, 2)},
      {Bytes(), mixed(2000, 65, 5), Bytes(), Bytes(), mixed(3, 65, 5), Bytes()},
      digits,
      random,
      sparse,
      Values(300, std::nullopt),
      Values(260, Bytes()),
  };
}

TEST(ValuesDecoder, BatchAtEverySplit) {
  for (const Values& values : samples()) {
    const Bytes whole = encode(values);
    ASSERT_EQ(*decode_batch_read_response(whole), values);
    for (bool direct : {false, true}) {
      for (std::size_t split = 0; split <= whole.size(); ++split) {
        Receiver receiver;
        receiver.decoder.start_batch(values.size(), kNoLimit);
        ASSERT_TRUE(receiver.receive(BytesView(whole).first(split), direct).ok());
        if (split < whole.size()) {
          ASSERT_FALSE(receiver.decoder.finish().ok()) << split;
        }
        ASSERT_TRUE(receiver.receive(BytesView(whole).subspan(split), direct).ok());
        ASSERT_TRUE(receiver.decoder.finish().ok());
        ASSERT_EQ(receiver.values(), values) << split;
      }
    }
  }
}

TEST(ValuesDecoder, BatchByteByByte) {
  for (const Values& values : samples()) {
    for (Packing packing : {Packing::canonical, Packing::automatic}) {
      const Bytes whole = encode(values, packing);
      Receiver receiver;
      receiver.decoder.start_batch(values.size(), kNoLimit);
      for (const std::uint8_t& byte : whole) ASSERT_TRUE(receiver.receive(BytesView(&byte, 1), false).ok());
      ASSERT_TRUE(receiver.decoder.finish().ok());
      EXPECT_EQ(receiver.values(), values);
    }
  }
}

TEST(ValuesDecoder, ReadAtEverySplit) {
  for (const std::optional<Bytes>& value :
       {std::optional<Bytes>(), std::optional(Bytes()), std::optional(mixed(1, 0, 256)),
        std::optional(mixed(2, 0, 256)), std::optional(mixed(3, 0, 256)), std::optional(mixed(254, 0, 256)),
        std::optional(mixed(255, 0, 256)), std::optional(mixed(700, 0, 256)), std::optional(mixed(700, 48, 10)),
        std::optional(mixed(9, 97, 2))}) {
    const Bytes whole = encode_one(value);
    Receiver receiver;
    for (std::size_t split = 0; split <= whole.size(); ++split) {
      receiver.memory.clear();
      receiver.targets.clear();
      receiver.decoder.start_read(kNoLimit);
      ASSERT_TRUE(receiver.receive(BytesView(whole).first(split), true).ok());
      ASSERT_TRUE(receiver.receive(BytesView(whole).subspan(split), true).ok());
      ASSERT_TRUE(receiver.decoder.finish().ok());
      ASSERT_EQ(receiver.values(), Values{value});
    }
  }
}

TEST(ValuesDecoder, StopsAtAllocateAndGoesOn) {
  const Bytes whole = from_hex("01 04 00 61626364");
  ValuesDecoder decoder;
  decoder.start_read(4);
  EXPECT_EQ(decoder.state(), ValuesDecoder::State::head);
  EXPECT_EQ(*decoder.feed(whole), 3U);
  ASSERT_EQ(decoder.state(), ValuesDecoder::State::allocate);
  ASSERT_EQ(decoder.sizes().size(), 1U);
  EXPECT_EQ(decoder.sizes()[0], 4U);
  EXPECT_TRUE(decoder.direct().empty());
  EXPECT_EQ(*decoder.feed(BytesView(whole).subspan(3)), 0U);

  Bytes value(4);
  std::uint8_t* const target = value.data();
  decoder.set_targets(std::span(&target, 1));
  EXPECT_EQ(decoder.state(), ValuesDecoder::State::body);
  EXPECT_EQ(decoder.direct().data(), value.data());
  EXPECT_EQ(decoder.direct().size(), 4U);
  EXPECT_EQ(*decoder.feed(BytesView(whole).subspan(3)), 4U);
  EXPECT_EQ(decoder.state(), ValuesDecoder::State::done);
  EXPECT_EQ(value, from_hex("61626364"));
}

TEST(ValuesDecoder, RawValuesArePointedAtOneAfterAnother) {
  const Values values{std::nullopt, mixed(300, 0, 256), Bytes(), std::nullopt, mixed(40, 0, 256), Bytes()};
  Receiver receiver;
  receiver.decoder.start_batch(values.size(), 340);
  ASSERT_TRUE(receiver.receive(encode(values), true).ok());
  EXPECT_EQ(receiver.direct_bytes, 340U);
  EXPECT_EQ(receiver.values(), values);
}

TEST(ValuesDecoder, RefusesWhatTheCallerDidNotAskFor) {
  const Bytes two = encode({mixed(5, 0, 256), mixed(6, 0, 256)});
  for (std::uint64_t count : {0U, 1U, 3U, 254U, 255U}) {
    Receiver receiver;
    receiver.decoder.start_batch(count, kNoLimit);
    const auto result = receiver.receive(two, false);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code, Errc::protocol_error);
    EXPECT_EQ(result.error().offset, 1U);
    EXPECT_TRUE(receiver.memory.empty());
  }
  Receiver receiver;
  receiver.decoder.start_batch(2, 10);
  EXPECT_FALSE(receiver.receive(two, false).ok());
  receiver.decoder.start_read(10);
  EXPECT_FALSE(receiver.receive(encode_one(mixed(11, 0, 256)), false).ok());
  EXPECT_TRUE(receiver.memory.empty());
}

TEST(ValuesDecoder, AFaultIsFinal) {
  const Bytes bad = from_hex("01 03 0b");
  ValuesDecoder decoder;
  decoder.start_read(kNoLimit);
  const auto first = decoder.feed(bad);
  ASSERT_FALSE(first.ok());
  EXPECT_EQ(first.error().offset, 2U);
  EXPECT_FALSE(decoder.feed(from_hex("00")).ok());
  EXPECT_FALSE(decoder.finish().ok());
  decoder.start_read(kNoLimit);
  EXPECT_EQ(*decoder.feed(from_hex("00")), 1U);
  EXPECT_EQ(decoder.sizes()[0], kAbsent);
}

TEST(ValuesDecoder, OneByteTooManyIsAnError) {
  for (const Values& values : samples()) {
    Bytes longer = encode(values);
    longer.push_back(0);
    Receiver receiver;
    receiver.decoder.start_batch(values.size(), kNoLimit);
    const auto result = receiver.receive(longer, true);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().offset, longer.size() - 1);
  }
}

TEST(ValuesDecoder, LengthBombsAreRefusedBeforeMemoryIsHad) {
  // Lengths up to 2^64 - 1, a wrapping minimum, and a sum past 2^64.
  for (const char* hex : {"01 ff 00 ffffffffffffffff", "01 ff 05 ffffffffffffff7f ff", "01 ff 00 ffffffffffff0700"}) {
    ValuesDecoder decoder;
    decoder.start_read(~std::uint64_t{0});
    EXPECT_FALSE(decoder.feed(from_hex(hex)).ok()) << hex;
  }
  ValuesDecoder decoder;
  decoder.start_batch(2, ~std::uint64_t{0});
  EXPECT_FALSE(decoder.feed(from_hex("02 03 ffff 00 0000000000000004 00000000000000fc")).ok());
  // A batch whose announced sizes wait for bytes that never come.
  decoder.start_batch(std::uint64_t{1} << 40, kNoLimit);
  EXPECT_EQ(*decoder.feed(from_hex("ff 00 0000000000010000 ff")), 11U);
  EXPECT_EQ(decoder.state(), ValuesDecoder::State::head);
  EXPECT_FALSE(decoder.finish().ok());
}

}  // namespace
}  // namespace simdrive::codec
