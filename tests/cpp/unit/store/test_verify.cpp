#include <gtest/gtest.h>

#include <vector>

#include "store/salvage.hpp"
#include "store/store_files.hpp"
#include "store/walk.hpp"

namespace simdrive {
namespace {

using store::Layout;
using test::build_store;
using test::CopySource;
using test::StoreBuilder;

store::VerifyReport verified(BytesView bytes, std::uint64_t tail, Layout layout = Layout::aligned64) {
  store::MemorySource memory(bytes);
  CopySource pieces(bytes);
  auto report = store::verify(memory, tail, layout);
  auto again = store::verify(pieces, tail, layout);
  EXPECT_TRUE(report.ok() && again.ok());
  EXPECT_EQ(report->bad, again->bad);
  EXPECT_EQ(report->records, again->records);
  return *report;
}

TEST(Verify, CountsWhatIsThere) {
  StoreBuilder store;
  store.value(1, 40).value(2, 3'000'000).tombstone(1).value(3, 1);
  const store::VerifyReport report = verified(store.bytes, store.tail());
  EXPECT_TRUE(report.complete);
  EXPECT_EQ(report.records, 4U);
  EXPECT_EQ(report.tombstones, 1U);
  EXPECT_EQ(report.payload_bytes, 3'000'042U);
  EXPECT_EQ(report.bad_count, 0U);
  EXPECT_TRUE(verified({}, 0).complete);
}

TEST(Verify, NamesEveryBadRecord) {
  StoreBuilder store = build_store(50);
  std::vector<std::uint64_t> bad;
  for (const std::size_t i : {49, 20, 3, 0}) {
    store.bytes[store.starts[i] + 2] ^= 8;
    bad.push_back(store.tails[i + 1] - store::kTrailerBytes);
  }
  const store::VerifyReport report = verified(store.bytes, store.tail());
  EXPECT_EQ(report.bad, bad);
  EXPECT_TRUE(report.first_is_bad);
  store::MemorySource source(store.bytes);
  auto few = store::verify(source, store.tail(), Layout::aligned64, {}, 2);
  ASSERT_TRUE(few.ok());
  EXPECT_EQ(few->bad.size(), 2U);
  EXPECT_EQ(few->bad_count, 4U);
}

TEST(Verify, SaysWhereTheChainBreaks) {
  StoreBuilder store = build_store(50);
  store_le(store.bytes.data() + store.tails[31] - 12, store.bytes.size());
  const store::VerifyReport report = verified(store.bytes, store.tail());
  EXPECT_FALSE(report.complete);
  EXPECT_EQ(report.broken_at, store.tails[31]);
  EXPECT_EQ(report.records, 19U);
  EXPECT_FALSE(verified(store.bytes, store.tail() + 1).complete);  // behind the end
  EXPECT_FALSE(verified(store.bytes, 12).complete);
}

TEST(Verify, ReadsEveryLayout) {
  StoreBuilder store(Layout::unaligned);
  store.value(1, 100).value(2, 33).tombstone(1).value(4, 70);
  EXPECT_EQ(verified(store.bytes, store.tail(), Layout::unaligned).bad_count, 0U);
  store.as(Layout::aligned64).value(5, 99).value(6, 1);
  EXPECT_EQ(verified(store.bytes, store.tail(), Layout::mixed).bad_count, 0U);
  EXPECT_EQ(verified(store.bytes, store.tail(), Layout::unaligned).bad_count, 2U);
}

TEST(Verify, CanBeCancelled) {
  StoreBuilder store;
  for (std::uint64_t i = 0; i < 50; ++i) store.value(i, Bytes(2 << 20, 1));
  store::MemorySource source(store.bytes);
  int calls = 0;
  auto report =
      store::verify(source, store.tail(), Layout::aligned64, [&](std::uint64_t, std::uint64_t) { return ++calls < 2; });
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, Errc::interrupted);
  EXPECT_EQ(calls, 2);
}

TEST(Walk, StopsAtABreakWithNothingLeft) {
  StoreBuilder store = build_store(9000);
  test::Collector visitor;
  store::MemorySource source(store.bytes);
  auto whole = store::walk(source, store.tail(), Layout::aligned64, visitor);
  ASSERT_TRUE(whole.ok());
  EXPECT_TRUE(whole->complete);
  EXPECT_EQ(visitor.refs.size(), 9000U);
  auto part = store::walk(source, store.tails[5000], Layout::aligned64, visitor);
  ASSERT_TRUE(part.ok());
  EXPECT_EQ(visitor.refs.size(), 5000U);
  store_le(store.bytes.data() + store.tails[100] - 12, std::uint64_t{13});
  auto broken = store::walk(source, store.tail(), Layout::aligned64, visitor);
  ASSERT_TRUE(broken.ok());
  EXPECT_FALSE(broken->complete);
  EXPECT_EQ(broken->broken_at, 13U);
  EXPECT_TRUE(visitor.refs.empty());
}

std::vector<store::Record> salvaged(BytesView bytes, const store::SalvageOptions& options = {}) {
  std::vector<store::Record> out;
  store::MemorySource source(bytes);
  auto report = store::salvage(source, options, [&](std::span<const store::Record> found) -> Result<void> {
    out.insert(out.end(), found.begin(), found.end());
    return {};
  });
  EXPECT_TRUE(report.ok());
  EXPECT_EQ(report->records, out.size());
  return out;
}

TEST(Salvage, FindsRecordsOnBothSidesOfDamage) {
  StoreBuilder store = build_store(40, 200);
  store_le(store.bytes.data() + store.tails[11] - 12, std::uint64_t{1});                                   // a link
  store.bytes[store.starts[25]] ^= 1;                                                                      // a payload
  std::fill_n(store.bytes.begin() + static_cast<std::ptrdiff_t>(store.starts[30]), 500, std::uint8_t{0});  // some pages
  const std::vector<store::Record> found = salvaged(store.bytes);
  std::vector<std::size_t> indexes;
  for (auto record = found.rbegin(); record != found.rend(); ++record) {
    const auto at = std::find(store.starts.begin(), store.starts.end(), record->start);
    ASSERT_NE(at, store.starts.end());
    indexes.push_back(static_cast<std::size_t>(at - store.starts.begin()));
  }
  EXPECT_GE(indexes.size(), 35U);
  for (const std::size_t lost : {10, 25, 30}) {
    EXPECT_EQ(std::count(indexes.begin(), indexes.end(), lost), 0) << lost;
  }
  const std::vector<store::Record> part = salvaged(store.bytes, {.from = store.tails[26], .to = store.tails[29]});
  EXPECT_EQ(part.size(), 3U);
}

// No checksum covers a link. One that is wrong, but leads to the same start, must not hide the record before it.
TEST(Salvage, AWrongLinkIntoTheRecordBeforeHidesNothing) {
  for (const int wrong : {-1, -16, 1, 9}) {
    SCOPED_TRACE(wrong);
    StoreBuilder store;
    store.value(1, 20).value(2, 27).value(3, 64).value(4, 5);
    const std::uint64_t before = store.tails[2];  // of the second record
    const std::uint64_t link = before + static_cast<std::uint64_t>(wrong);
    ASSERT_EQ(store::align_up(link, 64), store.starts[2]);
    store_le(store.bytes.data() + store.tails[3] - 12, link);
    const std::vector<store::Record> found = salvaged(store.bytes);
    ASSERT_EQ(found.size(), 4U);
    for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(found[3 - i].start, store.starts[i]);
  }
}

TEST(Salvage, WhatLiesInAnIntactPayloadIsNoRecord) {
  const Bytes inner = build_store(5, 20).bytes;
  StoreBuilder store;
  store.value(1, inner).value(2, 50).tombstone(1);  // the payload lies at 0, where the inner offsets are right
  EXPECT_EQ(salvaged(store.bytes).size(), 3U);
  store.bytes[3] ^= 1;
  EXPECT_GE(salvaged(store.bytes).size(), 2U);
}

TEST(Salvage, FindsOlderLayouts) {
  StoreBuilder store(Layout::unaligned);
  for (std::uint64_t i = 0; i < 30; ++i) store.value(i, 10 + i).tombstone(i);
  EXPECT_EQ(salvaged(store.bytes, {.layout = Layout::unaligned}).size(), 60U);
}

TEST(Salvage, TheSinkCanFail) {
  const StoreBuilder store = build_store(3);
  store::MemorySource source(store.bytes);
  auto report = store::salvage(source, {}, [](std::span<const store::Record>) -> Result<void> {
    return Error{.code = Errc::out_of_memory, .detail = "full"};
  });
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, Errc::out_of_memory);
}

}  // namespace
}  // namespace simdrive
