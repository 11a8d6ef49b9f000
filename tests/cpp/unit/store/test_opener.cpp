// Opening: what the index takes while it is filled.
#include "store/opener.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "store/epoch.hpp"
#include "store/index.hpp"

namespace simdrive::store {
namespace {

// Large values, with many small records behind them: what opening takes is bounded by what it has met.
TEST(IndexFiller, TakesMemoryForWhatWasMet) {
  struct PeakMemory final : IndexMemory {
    void* allocate(std::size_t bytes) noexcept override {
      peak = std::max(peak, given += bytes);
      return of_process().allocate(bytes);
    }
    void deallocate(void* start, std::size_t bytes) noexcept override {
      given -= bytes;
      of_process().deallocate(start, bytes);
    }
    std::size_t given = 0;
    std::size_t peak = 0;
  };
  for (const bool large : {false, true}) {
    PeakMemory memory;
    Epoch epoch;
    Index index(epoch, {.seed = 1, .memory = &memory});
    constexpr std::uint64_t kBytes = 256 << 20;
    IndexFiller filler(index, kBytes);
    std::vector<RecordRef> batch(1024, RecordRef{.hash = 99'999, .offset = kBytes - 30'000, .tombstone = 0});
    ASSERT_TRUE(filler.records(batch).ok());
    filler.restart();
    std::uint64_t count = 0;
    for (int i = 0; i < 4; ++i) {
      for (RecordRef& record : batch) {
        record = {.hash = count, .offset = (kBytes - 20 - 21 * count) & Index::kOffsetMax, .tombstone = count & 1};
        ++count;
      }
      ASSERT_TRUE(filler.records(batch).ok());
    }
    const RecordRef first{.hash = count, .offset = 200 << 20, .tombstone = 0};
    ASSERT_TRUE(filler.records({&first, large ? 1U : 0U}).ok());
    std::unique_ptr<Index> dead;
    ASSERT_TRUE(filler.finish(epoch, dead).ok());
    EXPECT_EQ(index.size(), count / 2 + (large ? 1 : 0));
    EXPECT_EQ(dead->size(), count / 2);
    EXPECT_LE(memory.peak, std::size_t{2} << 20);
  }
}

}  // namespace
}  // namespace simdrive::store
