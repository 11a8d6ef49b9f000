// Recovery is linear whatever the bytes are: counted in bytes read and checksummed and in steps of walks, not timed.
#include <gtest/gtest.h>

#include <functional>
#include <ostream>
#include <string>

#include "store/candidates.hpp"
#include "store/chain_memo.hpp"
#include "store/salvage.hpp"
#include "store/store_files.hpp"

namespace simdrive {
namespace {

using store::Action;
using store::Refusal;
using test::StoreBuilder;

struct Case {
  const char* name;
  std::function<StoreBuilder(std::size_t size)> make;  // of about `size` bytes
};
void PrintTo(const Case& each, std::ostream* out) { *out << each.name; }

StoreBuilder small_records(std::size_t size) { return test::build_store(size / 64, 20); }

void append(StoreBuilder& store, const Bytes& more) { store.bytes.insert(store.bytes.end(), more.begin(), more.end()); }

StoreBuilder with_tail(const Bytes& tail) {
  StoreBuilder store = test::build_store(100);
  append(store, tail);
  return store;
}

// 64-bit numbers, as a torn array of them is.
Bytes numbers(std::size_t size, const std::function<std::uint64_t(std::size_t)>& number) {
  Bytes out(size / 8 * 8);
  for (std::size_t i = 0; i < out.size(); i += 8) store_le(out.data() + i, number(i / 8));
  return out;
}

const Case kCases[] = {
    {"first_link_broken",
     [](std::size_t size) {
       StoreBuilder store = small_records(size);
       store_le(store.bytes.data() + store.tails[1] - 12, std::uint64_t{7});
       return store;
     }},
    {"every_checksum_wrong",
     [](std::size_t size) {
       StoreBuilder store = small_records(size);
       for (const std::uint64_t start : store.starts) store.bytes[start] ^= 1;
       return store;
     }},
    {"every_link_broken",
     [](std::size_t size) {
       StoreBuilder store = small_records(size);
       for (std::size_t i = 1; i < store.tails.size(); ++i) {
         store_le(store.bytes.data() + store.tails[i] - 12, store.tails[i - 1] + 1);
       }
       return store;
     }},
    {"zero_tail", [](std::size_t size) { return with_tail(Bytes(size)); }},
    {"random_tail", [](std::size_t size) { return with_tail(test::generated_bytes(9, size)); }},
    {"ones", [](std::size_t size) { return with_tail(Bytes(size, 1)); }},
    {"sparse_numbers", [](std::size_t size) { return with_tail(numbers(size, [](std::size_t i) { return i % 3; })); }},
    {"small_numbers",  // most places are candidates, and many of them lead into the store
     [](std::size_t size) {
       std::uint64_t state = 1;
       return with_tail(numbers(size, [&](std::size_t) {
         state = state * 6364136223846793005U + 1442695040888963407U;
         return (state >> 33) % 1000;
       }));
     }},
    {"numbers_within_the_file",
     [](std::size_t size) {
       std::uint64_t state = 2;
       return with_tail(numbers(size, [&](std::size_t) {
         state = state * 6364136223846793005U + 1442695040888963407U;
         return (state >> 33) % size;
       }));
     }},
    {"numbers_that_are_tails",
     [](std::size_t size) {
       StoreBuilder store = test::build_store(100);
       const auto tails = store.tails;
       append(store, numbers(size, [&](std::size_t i) { return tails[i % tails.size()]; }));
       return store;
     }},
    {"numbers_that_lead_down",
     [](std::size_t size) {
       StoreBuilder store = test::build_store(100);
       const std::uint64_t base = store.tail();
       append(store, numbers(size, [&](std::size_t i) { return i < 8 ? 0 : base + 8 * (i / 2) + 4; }));
       return store;
     }},
};

class RecoveryWork : public ::testing::TestWithParam<Case> {};

TEST_P(RecoveryWork, IsLinear) {
  std::uint64_t bytes_before = 0;
  std::uint64_t steps_before = 0;
  for (const std::size_t size : {std::size_t{1} << 18, std::size_t{1} << 19, std::size_t{1} << 20}) {
    SCOPED_TRACE(size);
    const StoreBuilder store = GetParam().make(size);
    for (const bool with_mark : {false, true}) {
      test::CopySource source(store.bytes);
      test::Collector visitor;
      auto plan = store::recover(source, with_mark ? std::optional(store.mark_at(0)) : std::nullopt, visitor);
      ASSERT_TRUE(plan.ok());
      EXPECT_NE(plan->action, Action::open);
      if (with_mark) continue;
      // All layouts in one scan, then what lies behind, each scanned, walked and checksummed. Where links lead
      // anywhere, a few dozen bytes are read for each.
      EXPECT_LE(plan->search_bytes, 100 * store.bytes.size());
      EXPECT_LE(plan->search_steps, store.bytes.size());
      if (bytes_before != 0) {
        EXPECT_LE(plan->search_bytes, bytes_before * 5 / 2 + (std::size_t{4} << 20));
        EXPECT_LE(plan->search_steps, steps_before * 5 / 2 + size / 8);
      }
      bytes_before = plan->search_bytes;
      steps_before = plan->search_steps;
    }
  }
}

TEST_P(RecoveryWork, TheOriginalRuleIsLinearToo) {
  const StoreBuilder store = GetParam().make(std::size_t{1} << 18);
  test::CopySource source(store.bytes);
  test::Collector visitor;
  auto plan = store::recover(source, {}, visitor, {.rule = store::Rule::original});
  ASSERT_TRUE(plan.ok());
  EXPECT_LE(plan->search_steps, 2 * store.bytes.size());
  EXPECT_LE(plan->search_bytes, 8 * store.bytes.size());
}

TEST_P(RecoveryWork, SalvageFindsWhatIsWhole) {
  const StoreBuilder store = GetParam().make(std::size_t{1} << 18);
  for (const store::Layout layout : {store::Layout::aligned64, store::Layout::mixed}) {
    test::CopySource source(store.bytes);
    std::uint64_t records = 0;
    std::uint64_t above = store.bytes.size();
    auto report = store::salvage(source, {.layout = layout}, [&](std::span<const store::Record> found) -> Result<void> {
      for (const store::Record& record : found) {
        EXPECT_LE(record.tail(), above);
        above = record.start;
        EXPECT_EQ(crc32(BytesView(store.bytes).subspan(record.start, record.offset - record.start)),
                  record.trailer.checksum);
        ++records;
      }
      return {};
    });
    ASSERT_TRUE(report.ok());
    EXPECT_EQ(report->records, records);
    EXPECT_LE(source.bytes_read, (layout == store::Layout::mixed ? 80 : 12) * store.bytes.size() + (1 << 20));
    const std::string name = GetParam().name;
    if (name == "first_link_broken") {
      EXPECT_EQ(records, store.starts.size() - 1);
    } else if (name == "every_checksum_wrong") {
      EXPECT_EQ(records, 0U);
    } else if (name != "every_link_broken") {
      EXPECT_EQ(records, 100U);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, RecoveryWork, ::testing::ValuesIn(kCases),
                         [](const auto& each) { return std::string(each.param.name); });

TEST(ChainMemo, KeepsASampleWithinItsBound) {
  store::ChainMemo memo(1000);
  std::vector<std::uint64_t> tails;
  for (std::uint64_t i = 1; i <= 100'000; ++i) tails.push_back(64 * i + 11);
  for (std::size_t i = 0; i < tails.size(); i += 100) {
    memo.add(std::span(tails).subspan(i, 100), i % 200 == 0);
    ASSERT_LE(memo.size(), 1100U);
  }
  std::size_t known = 0;
  for (std::size_t i = 0; i < tails.size(); ++i) {
    const auto found = memo.find(tails[i]);
    if (!memo.samples(tails[i])) continue;
    ++known;
    ASSERT_EQ(found, i / 100 % 2 == 0 ? store::ChainMemo::Known::holds : store::ChainMemo::Known::broken) << i;
  }
  EXPECT_GT(known, 300U);
  EXPECT_EQ(memo.find(12), store::ChainMemo::Known::no);
}

// All ways to compute the checksums of a batch agree with the plain one.
TEST(ChecksumTest, AnyOverlapGivesTheRightChecksums) {
  const Bytes data = test::generated_bytes(77, 1 << 20);
  std::uint64_t state = 1;
  const auto random = [&](std::uint64_t below) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    return (state >> 33) % below;
  };
  for (const bool view : {true, false}) {
    test::CopySource pieces(data);
    store::MemorySource memory(data);
    store::Reader reader(view ? static_cast<store::ByteSource&>(memory) : pieces);
    store::ChecksumTest test(reader);
    for (const std::uint64_t starts : {1, 1, 2, 5, 300}) {
      std::vector<store::Candidate> batch;
      std::vector<std::uint64_t> choices{0};
      for (std::uint64_t i = 1; i < starts; ++i) choices.push_back(random(data.size() / 2));
      for (int i = 0; i < 200; ++i) {
        const std::uint64_t start = choices[random(starts)];
        const std::uint64_t offset = start + 1 + random(data.size() - start - 1);
        const std::uint32_t wrong = i % 4 == 0 ? 1 : 0;
        const std::uint32_t checksum = crc32(BytesView(data).subspan(start, offset - start)) ^ wrong;
        batch.push_back({start, offset, {.hash = wrong, .prev = 0, .checksum = checksum}, false});
      }
      ASSERT_TRUE(test.run(batch).ok());
      for (const store::Candidate& each : batch) ASSERT_EQ(each.good, each.trailer.hash == 0);
    }
  }
}

}  // namespace
}  // namespace simdrive
