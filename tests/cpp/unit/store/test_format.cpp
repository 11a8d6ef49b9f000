#include "store/format.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "store/crc_shift.hpp"
#include "store/store_files.hpp"

namespace simdrive {
namespace {

using store::kMalformed;
using store::kMaxFileBytes;
using store::Layout;
using store::SyncMark;
using store::Trailer;

constexpr std::uint64_t kHuge = std::numeric_limits<std::uint64_t>::max();

TEST(Format, TheWorkedExample) {
  test::StoreBuilder built;
  built.value(xxh3_64(test::text_bytes("key")), test::text_bytes("value"));
  EXPECT_EQ(built.bytes, test::vector_file("one.main.bin"));
  const Trailer trailer = store::read_trailer(built.bytes.data() + 5);
  EXPECT_EQ(trailer, (Trailer{.hash = 0xbbea0d63a05165e3U, .prev = 0, .checksum = 0x1d775834U}));
}

TEST(Format, Tombstones) {
  const auto record = store::tombstone_record(0x0123456789abcdefU, 574);
  test::StoreBuilder built;
  built.bytes.resize(574);
  built.tombstone(0x0123456789abcdefU);
  EXPECT_TRUE(std::equal(record.begin(), record.end(), built.bytes.begin() + 574, built.bytes.end()));
  EXPECT_EQ(store::kTombstoneChecksum, crc32(Bytes{0}));
}

TEST(Format, PadsFillUpToTheAlignment) {
  for (std::uint64_t tail = 0; tail < 300; ++tail) {
    EXPECT_EQ(store::pad_before(tail), store::align_up(tail, 64) - tail);
    EXPECT_EQ(store::align_up(tail, 64) % 64, 0U);
    EXPECT_EQ(store::align_up(tail, 1), tail);
    EXPECT_LE(store::pad_before(tail), store::zero_pad().size());
  }
  EXPECT_TRUE(std::all_of(store::zero_pad().begin(), store::zero_pad().end(), [](auto byte) { return byte == 0; }));
}

TEST(Format, StartOfAPayload) {
  EXPECT_EQ(store::payload_start(69, 25, 1, 64), 64U);
  EXPECT_EQ(store::payload_start(69, 25, 1, 16), 32U);
  EXPECT_EQ(store::payload_start(69, 25, 1, 1), 25U);
  EXPECT_EQ(store::payload_start(26, 25, 0, 64), 25U);         // a tombstone
  EXPECT_EQ(store::payload_start(26, 25, 1, 64), kMalformed);  // one byte, but not 00
  EXPECT_EQ(store::payload_start(65, 64, 1, 64), 64U);         // a value of one byte
  EXPECT_EQ(store::payload_start(64, 25, 1, 64), kMalformed);  // the pad leaves no payload
  EXPECT_EQ(store::payload_start(69, 69, 1, 64), kMalformed);
  EXPECT_EQ(store::payload_start(69, kHuge, 1, 64), kMalformed);  // rounding up would give 0
  EXPECT_EQ(store::payload_start(kMaxFileBytes, kMaxFileBytes - 1, 1, 64), kMalformed);
  EXPECT_TRUE(store::is_tombstone(25, 26, 0));
  EXPECT_FALSE(store::is_tombstone(25, 27, 0));
  EXPECT_FALSE(store::is_tombstone(25, 26, 7));
}

TEST(Format, PlacesNewRecords) {
  const auto first = store::place_value(0, 5);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->start, 0U);
  EXPECT_EQ(first->tail, 25U);
  const auto second = store::place_value(25, 1000);
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->start, 64U);
  EXPECT_EQ(second->offset, 1064U);
  EXPECT_EQ(second->tail, 1084U);
  const auto deletion = store::place_tombstone(25);
  ASSERT_TRUE(deletion.ok());
  EXPECT_EQ(deletion->start, 25U);
  EXPECT_EQ(deletion->tail, 46U);
}

TEST(Format, NoOffsetOverflows) {
  for (const std::uint64_t tail : {std::uint64_t{0}, std::uint64_t{25}, kMaxFileBytes - 100, kMaxFileBytes, kHuge}) {
    for (const std::uint64_t bytes : {kMaxFileBytes, kHuge - 64, kHuge}) {
      EXPECT_FALSE(store::place_value(tail, bytes).ok()) << tail << ' ' << bytes;
    }
    EXPECT_FALSE(store::place_value(tail, 0).ok());
  }
  EXPECT_FALSE(store::place_tombstone(kHuge).ok());
  EXPECT_FALSE(store::place_value(kHuge, 1).ok());
  EXPECT_TRUE(store::place_value(0, kMaxFileBytes - store::kTrailerBytes).ok());
  EXPECT_EQ(store::place_value(0, kMaxFileBytes).error().code, Errc::invalid_value);
}

TEST(Format, WhatMayBeStored) {
  EXPECT_FALSE(store::is_storable({}));
  EXPECT_FALSE(store::is_storable(Bytes{0}));
  EXPECT_TRUE(store::is_storable(Bytes{1}));
  EXPECT_TRUE(store::is_storable(Bytes{0, 0}));
}

TEST(Format, MarksAreReadBack) {
  for (const SyncMark& mark : {SyncMark{}, SyncMark{.tail = 25, .trailer = {.hash = kHuge, .prev = 0, .checksum = 7}},
                               SyncMark{.tail = kMaxFileBytes, .trailer = {.hash = 1, .prev = 2, .checksum = 3}}}) {
    const auto bytes = store::encode_mark(mark);
    SyncMark read{.tail = 99, .trailer = {}};
    ASSERT_TRUE(store::decode_mark(bytes, read));
    EXPECT_EQ(read, mark);
  }
}

TEST(Format, NoTornOrChangedMarkIsBelieved) {
  const auto good = store::encode_mark({.tail = 574, .trailer = {.hash = 1, .prev = 428, .checksum = 9}});
  SyncMark out{.tail = 99, .trailer = {}};
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(store::decode_mark(BytesView(good).first(size), out)) << size;
  }
  for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
    auto changed = good;
    changed[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    EXPECT_FALSE(store::decode_mark(changed, out)) << bit;
  }
  // A right checksum over what no engine writes.
  EXPECT_FALSE(store::decode_mark(store::encode_mark({.tail = 5, .trailer = {}}), out));
  EXPECT_FALSE(store::decode_mark(store::encode_mark({.tail = kHuge, .trailer = {}}), out));
  EXPECT_FALSE(store::decode_mark(store::encode_mark({.tail = 0, .trailer = {.hash = 1}}), out));
  EXPECT_EQ(out.tail, 99U);
}

TEST(Format, ChecksumsShift) {
  const Bytes data = test::generated_bytes(5, 70'000);
  for (const std::size_t split : {0, 1, 255, 256, 257, 4096, 65'535, 65'536, 70'000}) {
    const BytesView a = BytesView(data).first(split);
    const BytesView b = BytesView(data).subspan(split);
    EXPECT_EQ(store::crc_shift(crc32(a), b.size()) ^ crc32(b), crc32(data)) << split;
  }
  EXPECT_EQ(store::crc_shift(0, kHuge), 0U);
  // Far shifts are many near ones.
  std::uint32_t near = 0x12345678;
  for (int i = 0; i < 3 * 4096; ++i) near = store::crc_shift(near, 2047);
  EXPECT_EQ(store::crc_shift(0x12345678, std::uint64_t{3} * 4096 * 2047), near);
  for (unsigned bits = 1; bits < 63; ++bits) {
    const std::uint64_t half = (std::uint64_t{1} << bits) + bits;
    EXPECT_EQ(store::crc_shift(store::crc_shift(near, half), half), store::crc_shift(near, 2 * half)) << bits;
  }
}

}  // namespace
}  // namespace simdrive
