// What opening decides, case by case.
#include "store/recovery.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "store/store_files.hpp"

namespace simdrive {
namespace {

using store::Action;
using store::Check;
using store::Layout;
using store::MarkState;
using store::Refusal;
using store::SyncMark;
using test::build_store;
using test::generated_bytes;
using test::open_bytes;
using test::open_checked;
using test::Opened;
using test::StoreBuilder;

void append(Bytes& bytes, const Bytes& more) { bytes.insert(bytes.end(), more.begin(), more.end()); }

// Changes a byte of the payload of record `i`.
void spoil(StoreBuilder& store, std::size_t i) { store.bytes[store.starts[i]] ^= 0x40; }

void set_prev(StoreBuilder& store, std::size_t record, std::uint64_t prev) {
  store_le(store.bytes.data() + store.tails[record + 1] - 12, prev);
}

TEST(Recovery, EmptyFiles) {
  const Opened plain = open_checked({});
  EXPECT_EQ(plain.plan.action, Action::open);
  EXPECT_EQ(plain.plan.mark, MarkState::none);
  EXPECT_EQ(open_checked({}, SyncMark{}).plan.mark, MarkState::matched);
  const Opened lost = open_checked({}, build_store(3).mark(2));
  EXPECT_EQ(lost.plan.action, Action::open);
  EXPECT_EQ(lost.plan.mark, MarkState::mismatched);
}

TEST(Recovery, GivesRecordsNewestFirst) {
  StoreBuilder store;
  store.value(1, 40).value(2, 1).tombstone(1).value(3, 5000).tombstone(9).tombstone(2).value(1, 44);
  const Opened opened = open_checked(store.bytes);
  EXPECT_EQ(opened.plan.action, Action::open);
  EXPECT_EQ(opened.plan.records, 7U);
  EXPECT_EQ(opened.plan.checked, 7U);
  std::vector<std::uint64_t> hashes;
  std::vector<int> deletions;
  for (const auto& ref : opened.chain.refs) {
    hashes.push_back(ref.hash);
    deletions.push_back(static_cast<int>(ref.tombstone));
  }
  EXPECT_EQ(hashes, (std::vector<std::uint64_t>{1, 2, 9, 3, 1, 2, 1}));
  EXPECT_EQ(deletions, (std::vector<int>{0, 1, 1, 0, 1, 0, 0}));
}

TEST(Recovery, ForeignFilesAreRefused) {
  const std::string text(31'000, 'x');
  for (const Bytes& bytes : {Bytes(text.begin(), text.end()), Bytes(5), Bytes(19, 1), Bytes(20), Bytes(21), Bytes(5000),
                             generated_bytes(3, 10'000), Bytes(5000, 0xff)}) {
    const Opened opened = open_checked(bytes);
    EXPECT_EQ(opened.plan.refusal, Refusal::format);
    EXPECT_EQ(opened.plan.tail, 0U);
    // Even recover() leaves them alone.
    EXPECT_EQ(open_checked(bytes, {}, {.permit_loss = true}).plan.refusal, Refusal::format);
  }
}

TEST(Recovery, ATornFirstWriteOpensEmptyIfTheMarkSaysSo) {
  const StoreBuilder store = build_store(1, 300);
  for (const std::size_t cut : {1, 19, 20, 21, 100, 300, 319}) {
    const Opened opened = open_checked(BytesView(store.bytes).first(cut), SyncMark{});
    EXPECT_EQ(opened.plan.action, Action::cut) << cut;
    EXPECT_EQ(opened.plan.tail, 0U);
    EXPECT_EQ(open_checked(BytesView(store.bytes).first(cut)).plan.refusal, Refusal::format);
  }
}

TEST(Recovery, TornEndsAreCut) {
  const StoreBuilder whole = build_store(8);
  for (const std::uint64_t seed : {1, 2, 3}) {
    for (const std::size_t size : {1, 12, 16, 20, 63, 64, 65, 500, 8192}) {
      for (const bool zeros : {false, true}) {
        Bytes bytes = whole.bytes;
        append(bytes, zeros ? Bytes(size) : generated_bytes(seed, size));
        for (const std::optional<SyncMark>& mark :
             {std::optional<SyncMark>{}, std::optional(whole.mark(5)), std::optional(whole.mark(8))}) {
          const Opened opened = open_checked(bytes, mark);
          EXPECT_EQ(opened.plan.action, Action::cut);
          EXPECT_EQ(opened.plan.tail, whole.tail());
          EXPECT_EQ(opened.plan.cut_bytes(), size);
          EXPECT_EQ(opened.plan.records, 8U);
        }
      }
    }
  }
}

TEST(Recovery, ADamagedNewestRecordWithoutAMarkIsCut) {
  StoreBuilder store = build_store(6);
  spoil(store, 5);
  const Opened opened = open_checked(store.bytes);
  EXPECT_EQ(opened.plan.action, Action::cut);
  EXPECT_EQ(opened.plan.tail, store.tails[5]);
  EXPECT_EQ(opened.plan.dropped_records, 1U);
}

TEST(Recovery, ADamagedNewestRecordThatTheMarkCoversStays) {
  StoreBuilder store = build_store(6);
  const SyncMark mark = store.mark(6);
  spoil(store, 5);
  const Opened opened = open_checked(store.bytes, mark);
  EXPECT_EQ(opened.plan.action, Action::open);
  EXPECT_EQ(opened.plan.bad_checksums, 1U);
  EXPECT_EQ(opened.plan.bad_offset, store.tails[6] - store::kTrailerBytes);
  EXPECT_EQ(opened.chain.refs.size(), 6U);
  // Also with a torn write behind it.
  append(store.bytes, Bytes(100));
  const Opened torn = open_checked(store.bytes, mark);
  EXPECT_EQ(torn.plan.action, Action::cut);
  EXPECT_EQ(torn.plan.tail, mark.tail);
  EXPECT_EQ(torn.plan.records, 6U);
}

TEST(Recovery, ADamagedTrailerThatTheMarkCoversIsNeverCut) {
  const StoreBuilder whole = build_store(6);
  for (std::size_t byte = 0; byte < store::kTrailerBytes; ++byte) {
    StoreBuilder store = whole;
    store.bytes[store.tails[6] - store::kTrailerBytes + byte] ^= 0x04;
    const Opened opened = open_checked(store.bytes, whole.mark(6));
    EXPECT_EQ(opened.plan.mark, MarkState::mismatched);
    EXPECT_NE(opened.plan.action, Action::cut) << byte;
    if (byte >= 8) {
      EXPECT_EQ(opened.plan.refusal, Refusal::corrupt) << byte;
    }
  }
}

TEST(Recovery, AFileThatEndsBeforeTheMarkIsNotWhole) {
  const StoreBuilder store = build_store(6);
  for (const std::size_t left : {1, 3, 5}) {
    const BytesView bytes = BytesView(store.bytes).first(store.tails[left]);
    const Opened opened = open_checked(bytes, store.mark(6));
    EXPECT_EQ(opened.plan.refusal, Refusal::corrupt);
    EXPECT_EQ(opened.plan.tail, store.tails[left]);
    EXPECT_EQ(opened.plan.fault_offset, store.tails[left]);
    const Opened forced = open_checked(bytes, store.mark(6), {.permit_loss = true});
    EXPECT_EQ(forced.plan.action, Action::open);
    EXPECT_EQ(forced.plan.mark, MarkState::mismatched);
  }
}

TEST(Recovery, ADamagedRecordInTheMiddleDoesNotStopTheStore) {
  for (const std::size_t bad : {0, 3, 4}) {
    StoreBuilder store = build_store(6);
    spoil(store, bad);
    const Opened plain = open_checked(store.bytes);
    EXPECT_EQ(plain.plan.action, Action::open);
    EXPECT_EQ(plain.plan.bad_checksums, 1U);
    EXPECT_EQ(plain.plan.first_is_bad, bad == 0);
    EXPECT_EQ(plain.chain.refs.size(), 6U);
    const Opened marked = open_checked(store.bytes, store.mark(5));
    EXPECT_EQ(marked.plan.action, Action::open);
    EXPECT_EQ(marked.plan.checked, bad == 0 ? 2U : 2U);  // the newest, and the oldest
    EXPECT_EQ(open_checked(store.bytes, store.mark(5), {.check = Check::all}).plan.bad_checksums, 1U);
  }
}

// Pages reach the disk in any order: what was written after a record that is missing goes with it.
TEST(Recovery, BehindTheMarkAPrefixIsKept) {
  for (const std::size_t bad : {4, 5, 6}) {
    StoreBuilder store = build_store(8);
    const SyncMark mark = store.mark(4);
    spoil(store, bad);
    if (bad != 6) spoil(store, 6);
    const Opened opened = open_checked(store.bytes, mark);
    EXPECT_EQ(opened.plan.action, Action::cut);
    EXPECT_EQ(opened.plan.tail, store.tails[bad]);
    EXPECT_EQ(opened.plan.records, bad);
    EXPECT_EQ(opened.plan.dropped_records, 8 - bad);
    // And with a torn write at the end.
    append(store.bytes, Bytes(77));
    const Opened torn = open_checked(store.bytes, mark);
    EXPECT_EQ(torn.plan.action, Action::cut);
    EXPECT_EQ(torn.plan.tail, store.tails[bad]);
  }
  // A mark of a store that was never synced: nothing of it need be left.
  StoreBuilder store = build_store(8);
  spoil(store, 0);
  const Opened none = open_checked(store.bytes, SyncMark{});
  EXPECT_EQ(none.plan.action, Action::cut);
  EXPECT_EQ(none.plan.tail, 0U);
}

TEST(Recovery, BrokenLinksBehindTheMarkCostWhatIsBehindThem) {
  for (const std::size_t bad : {4, 5, 7}) {
    StoreBuilder store = build_store(8);
    const SyncMark mark = store.mark(4);
    set_prev(store, bad, 77);
    const Opened opened = open_checked(store.bytes, mark);
    EXPECT_EQ(opened.plan.action, Action::cut);
    EXPECT_EQ(opened.plan.tail, store.tails[bad]);
  }
}

TEST(Recovery, BrokenLinksBeforeTheMarkAreRefused) {
  for (const std::size_t bad : {1, 2, 3}) {
    StoreBuilder store = build_store(8);
    const SyncMark mark = store.mark(6);
    set_prev(store, bad, 77);
    const Opened opened = open_checked(store.bytes, mark);
    EXPECT_EQ(opened.plan.refusal, Refusal::corrupt);
    EXPECT_EQ(opened.plan.tail, store.tails[bad]);
    const Opened forced = open_checked(store.bytes, mark, {.permit_loss = true});
    EXPECT_EQ(forced.plan.refusal, Refusal::none);
    EXPECT_EQ(forced.plan.tail, store.tails[bad]);
    EXPECT_EQ(forced.chain.refs.size(), bad);
  }
}

// Found by fuzzing: the cut before the mark left a file that then opened as one of an older layout.
TEST(Recovery, OlderLayoutsAreTriedBeforeACutBeforeTheMark) {
  StoreBuilder store(Layout::unaligned);
  for (std::uint64_t i = 0; i < 3; ++i) store.value(i, 150 + i);
  store.as(Layout::aligned64);
  for (std::uint64_t i = 3; i < 8; ++i) store.value(i, 150 + i);
  const SyncMark mark = store.mark(8);
  set_prev(store, 6, 77);
  EXPECT_EQ(open_checked(store.bytes, mark).plan.refusal, Refusal::corrupt);
  const Opened forced = open_checked(store.bytes, mark, {.permit_loss = true});
  EXPECT_EQ(forced.plan.action, Action::read_only);
  EXPECT_EQ(forced.plan.layout, Layout::mixed);
  EXPECT_EQ(forced.plan.tail, store.tails[6]);
  EXPECT_EQ(forced.plan.bad_checksums, 0U);
  EXPECT_EQ(forced.chain.refs.size(), 6U);
}

TEST(Recovery, WithoutAMarkOneRecordMayGoAndNoMore) {
  for (std::size_t bad = 0; bad < 8; ++bad) {
    StoreBuilder store = build_store(8);
    set_prev(store, bad, 77);
    const Opened opened = open_checked(store.bytes);
    EXPECT_EQ(opened.plan.tail, store.tails[bad]);
    EXPECT_EQ(opened.plan.action, bad == 7 ? Action::cut : Action::refuse);
    if (bad != 7) {
      EXPECT_EQ(opened.plan.refusal, Refusal::corrupt);
      EXPECT_GE(opened.plan.dropped_records, bad == 0 ? 1U : 2U);
    }
  }
  StoreBuilder two = build_store(8);
  spoil(two, 7);
  spoil(two, 6);
  const Opened opened = open_checked(two.bytes);
  EXPECT_EQ(opened.plan.refusal, Refusal::corrupt);
  EXPECT_EQ(opened.plan.tail, two.tails[6]);
  EXPECT_EQ(opened.plan.dropped_records, 2U);
}

TEST(Recovery, ADamagedFirstRecordForbidsCuts) {
  StoreBuilder store = build_store(8);
  spoil(store, 0);
  append(store.bytes, Bytes(30));
  const Opened opened = open_checked(store.bytes);
  EXPECT_EQ(opened.plan.refusal, Refusal::corrupt);
  EXPECT_EQ(opened.plan.tail, store.tails[8]);
}

TEST(Recovery, RecordsHiddenByAZeroedLinkAreNotForgotten) {
  for (const std::size_t zeroed : {1, 2, 5, 6}) {
    StoreBuilder store = build_store(8);
    const SyncMark mark = store.mark(8);
    set_prev(store, zeroed, 0);
    EXPECT_EQ(open_checked(store.bytes).plan.refusal, Refusal::corrupt) << zeroed;
    EXPECT_EQ(open_checked(store.bytes, mark).plan.refusal, Refusal::corrupt) << zeroed;
  }
  StoreBuilder store = build_store(8);
  set_prev(store, 7, 0);
  EXPECT_EQ(open_checked(store.bytes).plan.tail, store.tails[7]);
}

TEST(Recovery, AMarkOfAnotherFileIsNoMark) {
  const StoreBuilder other = build_store(5, 100);
  StoreBuilder store = build_store(8);
  const Opened healthy = open_checked(store.bytes, other.mark(2));
  EXPECT_EQ(healthy.plan.action, Action::open);
  EXPECT_EQ(healthy.plan.mark, MarkState::mismatched);
  EXPECT_EQ(healthy.plan.checked, 8U);
  // A cut would have to be behind what that mark covers.
  append(store.bytes, Bytes(40));
  EXPECT_EQ(open_checked(store.bytes, other.mark(2)).plan.action, Action::cut);
  EXPECT_EQ(open_checked(store.bytes, SyncMark{.tail = 1 << 20, .trailer = {.hash = 1}}).plan.refusal,
            Refusal::corrupt);
}

TEST(Recovery, AMarkThatMatchesMustBeOnTheChain) {
  StoreBuilder store = build_store(4);
  const SyncMark mark = store.mark(4);
  // A payload that was torn, and holds a record that claims to be the first and has the right checksum.
  StoreBuilder forged = store;
  forged.bytes.resize(store::align_up(forged.tail(), 64));
  append(forged.bytes, Bytes(64, 0x55));
  const std::uint32_t checksum = crc32(forged.bytes);
  store::TrailerBytes trailer;
  store::write_trailer(trailer.data(), {.hash = 666, .prev = 0, .checksum = checksum});
  forged.bytes.insert(forged.bytes.end(), trailer.begin(), trailer.end());
  const Opened opened = open_checked(forged.bytes, mark);
  EXPECT_EQ(opened.plan.action, Action::cut);
  EXPECT_EQ(opened.plan.tail, store.tail());
}

TEST(Recovery, OlderLayoutsShowInTheChecksums) {
  for (const Layout layout : {Layout::aligned16, Layout::unaligned}) {
    StoreBuilder store(layout);
    for (std::uint64_t i = 0; i < 20; ++i) store.value(i, 150 + i);  // longer than any shift: the chain holds
    const Opened opened = open_checked(store.bytes);
    EXPECT_EQ(opened.plan.action, Action::read_only);
    EXPECT_EQ(opened.plan.layout, layout);
    EXPECT_EQ(opened.plan.bad_checksums, 0U);
    EXPECT_EQ(open_checked(store.bytes, {}, {.check = Check::newest}).plan.layout, layout);
    spoil(store, 7);
    EXPECT_EQ(open_checked(store.bytes).plan.layout, layout);
    EXPECT_EQ(open_checked(store.bytes).plan.bad_checksums, 1U);
    append(store.bytes, generated_bytes(1, 100));
    const Opened torn = open_checked(store.bytes);
    EXPECT_EQ(torn.plan.action, Action::read_only);
    EXPECT_EQ(torn.plan.layout, layout);
    EXPECT_EQ(torn.plan.tail, store.tails[20]);
    store.as(Layout::aligned64);
  }
}

TEST(Recovery, AFileOfTwoLayoutsIsRead) {
  StoreBuilder store(Layout::unaligned);
  for (std::uint64_t i = 0; i < 5; ++i) store.value(i, 150 + i);
  store.as(Layout::aligned64);
  for (std::uint64_t i = 5; i < 12; ++i) store.value(i, 150 + i);
  const Opened opened = open_checked(store.bytes);
  EXPECT_EQ(opened.plan.action, Action::read_only);
  EXPECT_EQ(opened.plan.layout, Layout::mixed);
  EXPECT_EQ(opened.plan.bad_checksums, 0U);
  store::MemorySource source(store.bytes);
  store::Reader reader(source);
  for (std::size_t i = 0; i < 12; ++i) {
    store::Record record;
    auto found = store::record_at(reader, store.tails[i + 1], Layout::mixed, record);
    ASSERT_TRUE(found.ok() && *found);
    EXPECT_EQ(record.start, store.starts[i]);
  }
}

TEST(Recovery, AnAllZeroTrailerIsNeverARecord) {
  StoreBuilder store = build_store(3);
  append(store.bytes, Bytes(1 << 16));
  EXPECT_EQ(open_checked(store.bytes).plan.tail, store.tails[3]);
}

TEST(Recovery, ErrorsOfTheSourceArePassedOn) {
  StoreBuilder store = build_store(200, 3000);
  append(store.bytes, generated_bytes(2, 3000));
  for (const std::optional<SyncMark>& mark :
       {std::optional<SyncMark>{}, std::optional(store.mark_at(store.tails[100]))}) {
    test::CopySource whole(store.bytes);
    test::Collector visitor;
    ASSERT_TRUE(store::recover(whole, mark, visitor).ok());
    // Windows, not records: 200 of them, and several passes.
    EXPECT_LT(whole.reads, 60U);
    for (std::uint64_t n = 1; n <= whole.reads; ++n) {
      test::CopySource source(store.bytes);
      source.fail_at = n;
      const auto plan = store::recover(source, mark, visitor);
      ASSERT_FALSE(plan.ok());
      EXPECT_EQ(plan.error().detail, "no more");
      EXPECT_EQ(source.reads, n);  // and nothing is read after it
    }
  }
}

TEST(Recovery, ErrorsOfTheVisitorEndIt) {
  class Full final : public store::RecordVisitor {
   public:
    void restart() override {}
    [[nodiscard]] Result<void> records(std::span<const store::RecordRef>) override {
      ++calls;
      return Error{.code = Errc::out_of_memory, .detail = "full"};
    }
    int calls = 0;
  };
  const StoreBuilder store = build_store(10'000, 5);
  store::MemorySource source(store.bytes);
  Full full;
  const auto plan = store::recover(source, {}, full);
  ASSERT_FALSE(plan.ok());
  EXPECT_EQ(plan.error().code, Errc::out_of_memory);
  EXPECT_EQ(full.calls, 1);
}

TEST(Recovery, CanBeCancelled) {
  StoreBuilder store;
  for (int i = 0; i < 40; ++i) store.value(static_cast<std::uint64_t>(i), Bytes(1 << 20, 7));
  int calls = 0;
  const store::RecoverOptions options{.progress = [&](std::uint64_t done, std::uint64_t total) {
    EXPECT_LE(done, total);
    return ++calls < 1;
  }};
  store::MemorySource source(store.bytes);
  test::Collector visitor;
  const auto plan = store::recover(source, {}, visitor, options);
  ASSERT_FALSE(plan.ok());
  EXPECT_EQ(plan.error().code, Errc::interrupted);
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace simdrive
