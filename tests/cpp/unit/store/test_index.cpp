// The key index: the same as a map, for hashes of any kind; what it needs; what it does without memory.
#include "store/index.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <list>
#include <memory>
#include <random>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "store/epoch.hpp"
#include "store/index_peer.hpp"

namespace simdrive::store {

namespace {

using Map = std::unordered_map<std::uint64_t, std::uint64_t>;

std::uint64_t find(Epoch& epoch, const Index& index, std::uint64_t hash) { return index.find(hash, epoch.enter()); }

// Everything that the map has, and nothing else.
void expect_same(Epoch& epoch, const Index& index, const Map& map) {
  ASSERT_EQ(index.size(), map.size());
  for (const auto& [hash, offset] : map) ASSERT_EQ(find(epoch, index, hash), offset) << std::hex << hash;
  Map seen;
  index.for_each([&](Index::Entry entry) { EXPECT_TRUE(seen.emplace(entry.hash, entry.offset).second); });
  ASSERT_EQ(seen, map);
}

// ---- The same as a map --------------------------------------------------------------------------------------

using Generator = std::function<std::uint64_t(std::mt19937_64&, const Index&)>;
struct Family {
  const char* name;
  Generator next;
};

const Family kFamilies[] = {
    {"Random", [](auto& random, auto&) { return std::mt19937_64(random() % 6000)(); }},
    {"Sequential", [](auto& random, auto&) { return random() % 6000; }},
    {"SequentialFromTheTop", [](auto& random, auto&) { return ~(random() % 6000); }},
    {"EqualTopBits", [](auto& random, auto&) { return 0xABCDEF0123000000 | random() % 6000; }},
    {"EqualLow48", [](auto& random, auto&) { return (random() % 6000) << 48 | 0x123456789ABC; }},
    {"OnlyTheTopTen", [](auto& random, auto&) { return random() << 54; }},
    {"MultiplesOf2To32", [](auto& random, auto&) { return (random() % 6000) << 32; }},
    {"OneBitOrTwo",
     [](auto& random, auto&) { return std::uint64_t{1} << random() % 64 | std::uint64_t{1} << random() % 64; }},
    {"OneShard", [](auto& random, auto& index) { return IndexPeer::hash_in_shard(index, 1023, random() % 6000); }},
    {"Extremes", [](auto& random, auto&) { return random() % 2 == 0 ? 0 : ~std::uint64_t{0}; }},
};

class IndexModel : public testing::TestWithParam<Family> {};

TEST_P(IndexModel, DoesWhatAMapDoes) {
  const Generator& next = GetParam().next;
  Epoch epoch;
  Index index(epoch, {.seed = 7});
  Map map;
  std::mt19937_64 random(1);
  std::uint64_t offset = 0;
  for (int phase = 0; phase < 6; ++phase) {
    const unsigned erasures_in_ten = phase % 2 == 0 ? 2 : 7;  // it grows and shrinks
    for (int i = 0; i < 10000; ++i) {
      const std::uint64_t hash = next(random, index);
      const auto found = map.find(hash);
      const std::uint64_t old = found == map.end() ? 0 : found->second;
      if (random() % 10 < erasures_in_ten) {
        ASSERT_EQ(index.erase(hash), old);
        map.erase(hash);
      } else if (random() % 4 == 0) {
        const auto change = index.put_if_absent(hash, ++offset);
        ASSERT_TRUE(change);
        ASSERT_EQ(change->inserted, old == 0);
        ASSERT_EQ(change->old_offset, old);
        map.emplace(hash, offset);
      } else {
        const auto change = index.set(hash, ++offset);
        ASSERT_TRUE(change);
        ASSERT_EQ(change->inserted, old == 0);
        ASSERT_EQ(change->old_offset, old);
        map[hash] = offset;
      }
      const std::uint64_t other = next(random, index);
      const auto expected = map.find(other);
      ASSERT_EQ(find(epoch, index, other), expected == map.end() ? 0 : expected->second);
    }
    expect_same(epoch, index, map);
  }
  index.clear();
  expect_same(epoch, index, {});
  EXPECT_EQ(index.memory_bytes(), sizeof(Index));
  ASSERT_TRUE(index.set(1, 2));
  expect_same(epoch, index, {{1, 2}});
}

INSTANTIATE_TEST_SUITE_P(All, IndexModel, testing::ValuesIn(kFamilies),
                         [](const auto& family) { return std::string(family.param.name); });

TEST(Index, IsEmptyAtFirst) {
  Epoch epoch;
  Index index(epoch);
  EXPECT_EQ(index.size(), 0U);
  EXPECT_EQ(find(epoch, index, 0), 0U);
  EXPECT_EQ(index.erase(0), 0U);
  index.prefetch(0);
  index.shrink_to_fit();
  index.clear();
  expect_same(epoch, index, {});
  EXPECT_NE(index.seed(), Index(epoch).seed());
}

TEST(Index, TellsHashesApartByEveryBit) {
  Epoch epoch;
  for (const std::uint64_t base : {std::uint64_t{0}, ~std::uint64_t{0}, std::uint64_t{0x2d06800538d394c2}}) {
    Index index(epoch);
    Map map{{base, 1}};
    ASSERT_TRUE(index.set(base, 1));
    for (unsigned bit = 0; bit < 64; ++bit) {
      const std::uint64_t hash = base ^ std::uint64_t{1} << bit;
      ASSERT_EQ(find(epoch, index, hash), 0U) << bit;
      ASSERT_TRUE(index.set(hash, bit + 2));
      map[hash] = bit + 2;
    }
    expect_same(epoch, index, map);
  }
}

TEST(Index, TellsEntriesOfOneBucketApartByEveryBit) {
  // Up to four entries of a shard share its only bucket; the shard's own bits are left out.
  Epoch epoch;
  for (unsigned bit = 0; bit < 54; ++bit) {
    for (const std::uint64_t base : {std::uint64_t{0}, std::uint64_t{0xFFFFFFFFFFFFFFFF}}) {
      Index index(epoch);
      const std::uint64_t a = IndexPeer::hash_of_mixed(index, base);
      const std::uint64_t b = IndexPeer::hash_of_mixed(index, base ^ std::uint64_t{1} << bit);
      ASSERT_TRUE(index.set(a, 1));
      ASSERT_EQ(find(epoch, index, b), 0U) << bit;
      ASSERT_TRUE(index.set(b, Index::kOffsetMax));
      ASSERT_EQ(IndexPeer::buckets(index), 1U);
      expect_same(epoch, index, {{a, 1}, {b, Index::kOffsetMax}});
      ASSERT_EQ(index.erase(a), 1U);
      expect_same(epoch, index, {{b, Index::kOffsetMax}});
    }
  }
}

TEST(Index, HoldsThousandsOfHashesWithOneHome) {
  // What nobody can craft without the seed: the shard and all bits that choose the bucket are equal, and the home is
  // the last bucket, so that what passes by begins again at the first.
  Epoch epoch;
  Index index(epoch, {.seed = 3});
  Map map;
  const auto hash_of = [&](std::uint64_t i) {
    return IndexPeer::hash_of_mixed(index, std::uint64_t{5} << 54 | std::uint64_t{0xFFFFFFFF} << 22 | i);
  };
  for (std::uint64_t i = 0; i < 3000; ++i) {
    ASSERT_TRUE(index.set(hash_of(i), i + 1));
    map[hash_of(i)] = i + 1;
  }
  expect_same(epoch, index, map);
  for (std::uint64_t i = 0; i < 3000; i += 3) {
    ASSERT_EQ(index.erase(hash_of(i)), i + 1);
    map.erase(hash_of(i));
  }
  expect_same(epoch, index, map);
  EXPECT_LE(index.memory_bytes(), sizeof(Index) + 3000 * 22);
}

TEST(Index, ForgetsWhatPassedByOnceItIsErased) {
  // A changing set of one size: without that every look-up of an absent hash would go on and on in the end.
  Epoch epoch;
  Index index(epoch, {.seed = 5});
  constexpr std::uint64_t kLive = 2000;
  const auto hash_of = [&](std::uint64_t i) { return IndexPeer::hash_in_shard(index, 0, i); };
  for (std::uint64_t i = 0; i < 50 * kLive; ++i) {
    ASSERT_TRUE(index.set(hash_of(i), i + 1));
    if (i >= kLive) {
      ASSERT_EQ(index.erase(hash_of(i - kLive)), i - kLive + 1);
    }
  }
  EXPECT_EQ(index.size(), kLive);
  EXPECT_LT(static_cast<double>(IndexPeer::buckets_passed_by(index)),
            0.75 * static_cast<double>(IndexPeer::buckets(index)));
}

// ---- Many at once -------------------------------------------------------------------------------------------

TEST(Index, TakesAndFindsManyAtOnce) {
  Epoch epoch;
  for (const std::size_t count : {0, 1, 15, 16, 17, 31, 1000, 5000}) {
    Index index(epoch);
    std::vector<Index::Entry> entries;
    Map map;
    for (std::size_t i = 0; i < count; ++i) {
      entries.push_back({i % (count - count / 4 + 1) * 1000003, i + 1});  // some twice: the first stays
      map.emplace(entries.back().hash, entries.back().offset);
    }
    auto added = index.put_if_absent_many(entries);
    ASSERT_TRUE(added);
    EXPECT_EQ(*added, map.size());
    expect_same(epoch, index, map);
    added = index.put_if_absent_many(entries);
    ASSERT_TRUE(added);
    EXPECT_EQ(*added, 0U);
    expect_same(epoch, index, map);

    std::vector<std::uint64_t> hashes;
    for (const Index::Entry& entry : entries) {
      hashes.push_back(entry.hash);
      hashes.push_back(entry.hash + 1);
    }
    std::vector<std::uint64_t> offsets(hashes.size(), 99);
    index.find_many(hashes, offsets, epoch.enter());
    for (std::size_t i = 0; i < hashes.size(); ++i) {
      const auto found = map.find(hashes[i]);
      EXPECT_EQ(offsets[i], found == map.end() ? 0 : found->second);
    }
  }
}

// ---- Memory -------------------------------------------------------------------------------------------------

TEST(Index, NeedsTwentyBytesAKey) {
  Epoch epoch;
  Index index(epoch, {.seed = 11});
  std::mt19937_64 random(2);
  for (std::uint64_t i = 1; i <= 1000000; ++i) {
    ASSERT_TRUE(index.set(random(), i));
    if (i >= 600000 && i % 10000 == 0) {
      ASSERT_LE(index.memory_bytes(), 20 * i) << i;
    }
  }
  EXPECT_EQ(index.size(), 1000000U);
  EXPECT_LE(index.memory_bytes(), 18 * index.size());
  EXPECT_EQ(epoch.retired_bytes(), 0U);
}

TEST(Index, GrowsToWhatIsExpectedAndGivesBackWhatWasTooMuch) {
  Epoch epoch;
  Index index(epoch);
  index.expect(400000);
  std::mt19937_64 random(3);
  Map map;
  for (std::uint64_t i = 1; i <= 100000; ++i) {
    const std::uint64_t hash = random();
    ASSERT_TRUE(index.put_if_absent(hash, i));
    map.emplace(hash, i);
  }
  EXPECT_GE(index.memory_bytes(), 400000U * 64 / 5);
  index.expect(0);
  index.shrink_to_fit();
  EXPECT_LE(index.memory_bytes(), sizeof(Index) + 100000 * 20);
  expect_same(epoch, index, map);

  for (const auto& [hash, offset] : map) ASSERT_EQ(index.erase(hash), offset);
  EXPECT_LE(index.memory_bytes(), sizeof(Index) + 1024 * 128 * 2);
  index.shrink_to_fit();
  EXPECT_EQ(index.memory_bytes(), sizeof(Index));
}

// Zeroed memory with room to begin at a multiple of 64.
class ZeroedChunk {
 public:
  explicit ZeroedChunk(std::size_t bytes) : bytes_(bytes + 64) {}
  [[nodiscard]] std::byte* data() { return bytes_.data(); }
  [[nodiscard]] const std::byte* data() const { return bytes_.data(); }
  [[nodiscard]] const std::byte* end() const { return bytes_.data() + bytes_.size(); }

 private:
  std::vector<std::byte> bytes_;
};

// Chunks, and what came back of them.
class ChunkMemory final : public IndexMemory {
 public:
  void* allocate(std::size_t bytes) noexcept override {
    ++alone;
    given += bytes;
    return IndexMemory::of_process().allocate(bytes);
  }
  void deallocate(void* start, std::size_t bytes) noexcept override {
    if (in_chunk(start)) {
      bytes = (bytes + 4095) / 4096 * 4096;
    } else {
      IndexMemory::of_process().deallocate(start, bytes);
    }
    given -= bytes;
  }
  void* allocate_chunk(std::size_t bytes) noexcept override {
    if (chunks.size() == most) return nullptr;
    chunks.emplace_back(bytes);
    given += bytes;
    auto* const start = chunks.back().data();
    return start + (64 - reinterpret_cast<std::uintptr_t>(start) % 64) % 64;
  }
  void deallocate_rest(void* start, std::size_t bytes) noexcept override {
    EXPECT_TRUE(in_chunk(start));
    given -= bytes;
  }

  std::size_t most = 0;
  std::size_t given = 0;
  std::size_t alone = 0;
  std::list<ZeroedChunk> chunks;

 private:
  bool in_chunk(const void* at) const {
    return std::any_of(chunks.begin(), chunks.end(), [&](const ZeroedChunk& chunk) {
      return std::less_equal<const void*>()(chunk.data(), at) && std::less<const void*>()(at, chunk.end());
    });
  }
};

TEST(Index, CutsArraysFromChunksWhileItIsFilled) {
  for (const std::size_t most : {std::size_t{0}, std::size_t{1}, std::size_t{100}}) {
    ChunkMemory memory;
    memory.most = most;
    {
      Epoch epoch;
      Index index(epoch, {.seed = 1, .memory = &memory});
      index.expect(2'000'000);  // arrays of 32 KiB, two chunks of them
      std::mt19937_64 random(5);
      Map map;
      for (std::uint64_t i = 1; i <= 20'000; ++i) {
        const std::uint64_t hash = random();
        ASSERT_TRUE(index.set(hash, i));
        map.emplace(hash, i);
      }
      EXPECT_EQ(memory.chunks.size(), std::min<std::size_t>(most, 2));
      EXPECT_EQ(memory.alone == 0, most == 100);
      index.expect(0);
      EXPECT_EQ(memory.given, (index.memory_bytes() - sizeof(Index) + 4095) / 4096 * 4096);  // without what was left
      expect_same(epoch, index, map);
      index.shrink_to_fit();  // each array by itself, out of the chunk
      expect_same(epoch, index, map);
      EXPECT_LE(memory.given, 20'000U * 40);
    }
    EXPECT_EQ(memory.given, 0U);
  }
}

// Gives so many arrays, then none.
class ScarceMemory final : public IndexMemory {
 public:
  void* allocate(std::size_t bytes) noexcept override {
    if (left == 0) return nullptr;
    --left;
    ++given;
    return IndexMemory::of_process().allocate(bytes);
  }
  void deallocate(void* start, std::size_t bytes) noexcept override {
    --given;
    IndexMemory::of_process().deallocate(start, bytes);
  }
  std::size_t left = 0;
  std::size_t given = 0;
};

// Small arrays of an index that is being filled share blocks, which go back once all of theirs were outgrown.
TEST(Index, SmallArraysShareBlocks) {
  for (const std::size_t left : {std::size_t{1'000'000}, std::size_t{3}}) {
    ScarceMemory memory;
    {
      Epoch epoch;
      Index index(epoch, {.seed = 1, .memory = &memory});
      memory.left = left;
      index.expect(1000);
      std::uint64_t added = 0;
      while (added < 1000 && index.put_if_absent(added * 977, added + 1).ok()) ++added;
      EXPECT_GT(added, 100U);
      EXPECT_EQ(added == 1000, left > 3);
      index.expect(0);
      EXPECT_LT(memory.given, 40U);
      memory.left = 1'000'000;
      for (std::uint64_t i = added; i < 50'000; ++i) ASSERT_TRUE(index.put_if_absent(i * 977, i + 1).ok());
      epoch.collect();
      epoch.collect();
      EXPECT_LE(memory.given, 1024U + 40U);
      const Epoch::Guard guard = epoch.enter();
      for (std::uint64_t i = 0; i < 50'000; ++i) ASSERT_EQ(index.find(i * 977, guard), i + 1);
    }
    EXPECT_EQ(memory.given, 0U);
  }
}

TEST(Index, SetsManyThatArePrepared) {
  Epoch epoch;
  Index index(epoch);
  std::vector<std::uint64_t> hashes;
  std::vector<std::uint64_t> offsets;
  for (std::uint64_t round = 0; round < 30; ++round) {
    hashes.clear();
    offsets.clear();
    for (std::uint64_t i = 0; i < 1000; ++i) {
      hashes.push_back((round * 700 + i) * 0x9E3779B97F4A7C15U);  // some are there, and one comes twice
      offsets.push_back(round * 1000 + i + 1);
    }
    hashes.back() = hashes.front();
    ASSERT_TRUE(index.prepare(hashes).ok());
    index.set_many_prepared(hashes, offsets);
    const Epoch::Guard guard = epoch.enter();
    EXPECT_EQ(index.find(hashes.front(), guard), offsets.back());
    for (std::size_t i = 1; i < hashes.size(); ++i) ASSERT_EQ(index.find(hashes[i], guard), offsets[i]);
  }
  EXPECT_EQ(index.size(), 30U * 700U + 299U);
}

TEST(Index, IsUnchangedWhereMemoryIsMissing) {
  ScarceMemory memory;
  {
    Epoch epoch;
    Index index(epoch, {.seed = 1, .memory = &memory});
    Map map;
    // One shard, so that every array is that of the entry at hand.
    const auto hash_of = [&](std::uint64_t i) { return IndexPeer::hash_in_shard(index, 9, i); };
    std::uint64_t next = 0;
    for (int refusals = 0; refusals < 20; ++refusals) {
      for (;;) {
        const std::uint64_t hash = hash_of(next);
        const auto change = index.set(hash, next + 1);
        if (!change) {
          EXPECT_EQ(change.error().code, Errc::out_of_memory);
          EXPECT_NE(change.error().detail.find("key index"), std::string::npos);
          expect_same(epoch, index, map);
          EXPECT_EQ(find(epoch, index, hash), 0U);
          const Index::Entry entry{hash, next + 1};
          EXPECT_FALSE(index.put_if_absent(hash, next + 1));
          EXPECT_FALSE(index.put_if_absent_many({&entry, 1}));
          EXPECT_FALSE(index.prepare({&hash, 1}));
          expect_same(epoch, index, map);
          break;
        }
        map[hash] = ++next;
      }
      // No slot is left, yet what is there can be changed, and erased and added again.
      if (!map.empty()) {
        EXPECT_EQ(map.size() % 5, 0U);
        ASSERT_TRUE(index.set(hash_of(0), next + 1000000));
        map[hash_of(0)] = next + 1000000;
        ASSERT_EQ(index.erase(hash_of(0)), next + 1000000);
        ASSERT_TRUE(index.set(hash_of(0), next + 2000000));
        map[hash_of(0)] = next + 2000000;
        expect_same(epoch, index, map);
      }
      memory.left = 1;
    }
    EXPECT_GT(map.size(), 100U);
    EXPECT_EQ(memory.given, 1U);
    // A smaller array than one would like is better than none.
    memory.left = 0;
    index.shrink_to_fit();
    for (std::uint64_t i = 0; i < next; ++i) ASSERT_NE(index.erase(hash_of(i)), 0U);
    expect_same(epoch, index, {});
  }
  EXPECT_EQ(memory.given, 0U);
}

TEST(Index, CannotFailAfterItIsPrepared) {
  ScarceMemory memory;
  Epoch epoch;
  Index index(epoch, {.seed = 1, .memory = &memory});
  std::mt19937_64 random(4);
  Map map;
  std::uint64_t offset = 0;
  for (const std::size_t count : {1, 2, 10, 100, 3000, 20000}) {
    std::vector<std::uint64_t> hashes;
    for (std::size_t i = 0; i < count; ++i) hashes.push_back(random());
    hashes.push_back(hashes.front());
    memory.left = 1000000;
    ASSERT_TRUE(index.prepare(hashes));
    expect_same(epoch, index, map);
    memory.left = 0;
    for (const std::uint64_t hash : hashes) {
      ASSERT_TRUE(index.set(hash, ++offset));
      map[hash] = offset;
    }
    expect_same(epoch, index, map);
    // Those that are there need no room.
    const std::size_t bytes = index.memory_bytes();
    memory.left = 1000000;
    ASSERT_TRUE(index.prepare(hashes));
    EXPECT_EQ(index.memory_bytes(), bytes);
  }
  EXPECT_TRUE(index.prepare({}));
}

TEST(Index, APreparationThatFailsLeavesNothingBehind) {
  ScarceMemory memory;
  Epoch epoch;
  Index index(epoch, {.seed = 1, .memory = &memory});
  std::vector<std::uint64_t> hashes;
  for (std::uint64_t i = 0; i < 5000; ++i) hashes.push_back(i * 77);
  memory.left = 100;
  const auto prepared = index.prepare(hashes);
  ASSERT_FALSE(prepared);
  EXPECT_EQ(prepared.error().code, Errc::out_of_memory);
  expect_same(epoch, index, {});
  // Had it kept count of those, this would make arrays for them.
  memory.left = 1000000;
  const std::size_t before = index.memory_bytes();
  ASSERT_TRUE(index.prepare({hashes.data(), 1}));
  EXPECT_LE(index.memory_bytes(), before + 2 * 64);
}

TEST(Index, DoesWithLessThanExpectedWhereMemoryIsMissing) {
  struct SmallMemory final : IndexMemory {
    void* allocate(std::size_t bytes) noexcept override {
      return bytes > 1000 ? nullptr : IndexMemory::of_process().allocate(bytes);
    }
    void deallocate(void* start, std::size_t bytes) noexcept override {
      IndexMemory::of_process().deallocate(start, bytes);
    }
  } memory;
  Epoch epoch;
  Index index(epoch, {.seed = 1, .memory = &memory});
  for (const std::uint64_t expected : {std::uint64_t{100000000}, ~std::uint64_t{0}}) {
    index.expect(expected);
    Map map;
    for (std::uint64_t i = 0; i < 10000; ++i) {
      ASSERT_TRUE(index.set(i, i + 1));
      map[i] = i + 1;
    }
    expect_same(epoch, index, map);
    index.clear();
  }
}

TEST(Index, TellsWhetherThereIsRoomWithoutLooking) {
  ScarceMemory memory;
  memory.left = 1000;
  Epoch epoch;
  Index index(epoch, {.seed = 1, .memory = &memory});
  std::mt19937_64 random(9);
  std::vector<std::uint64_t> hashes(500);
  for (std::uint64_t& hash : hashes) hash = random();
  EXPECT_TRUE(index.has_room({}));
  EXPECT_FALSE(index.has_room(hashes));
  ASSERT_TRUE(index.prepare(hashes));
  EXPECT_TRUE(index.has_room(hashes));
  EXPECT_TRUE(index.has_room(hashes));  // nothing was left behind
  memory.left = 0;
  for (const std::uint64_t hash : hashes) ASSERT_TRUE(index.set(hash, 1));
  const std::vector<std::uint64_t> one_shard(1000, hashes[0]);  // as if they were a thousand keys
  EXPECT_FALSE(index.has_room(one_shard));
  EXPECT_TRUE(index.prepare(one_shard));
}

TEST(Index, RefusesOffsetsThatDoNotFit) {
  Epoch epoch;
  Index index(epoch);
  for (const std::uint64_t offset : {std::uint64_t{0}, Index::kOffsetMax + 1, ~std::uint64_t{0}}) {
    const Index::Entry entry{1, offset};
    EXPECT_FALSE(index.put_if_absent(1, offset));
    EXPECT_FALSE(index.put_if_absent_many({&entry, 1}));
    const auto change = index.set(1, offset);
    ASSERT_FALSE(change);
    EXPECT_EQ(change.error().code, Errc::internal);
    EXPECT_NE(change.error().detail.find(std::to_string(offset)), std::string::npos);
  }
  expect_same(epoch, index, {});
}

}  // namespace
}  // namespace simdrive::store
