// Readers of the key index beside its writer.
#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include "store/epoch.hpp"
#include "store/index.hpp"
#include "store/index_peer.hpp"

namespace simdrive::store {
namespace {

// An offset tells whose it is, and how often it was set: none comes back.
constexpr unsigned kVersionBits = 28;
constexpr std::uint64_t kKeys = 4000;
constexpr std::uint64_t kStaying = 1000;  // the first of them are never erased

// So many that a step missing from the protocol was seen each time, on two busy processors. ThreadSanitizer does not
// need the bad moment to come.
#if defined(__SANITIZE_THREAD__)
constexpr int kTurns = 100000;
#else
constexpr int kTurns = 3000000;
#endif

std::uint64_t offset_of(std::uint64_t key, std::uint64_t version) { return (key + 1) << kVersionBits | version; }

class IndexThreads : public testing::Test {
 protected:
  // Calls read(random) on each of three threads for as long as write() runs here, and at least once.
  template <class Read, class Write>
  void run(Read&& read, Write&& write) {
    std::atomic<bool> done{false};
    std::atomic<int> reading{0};
    std::vector<std::thread> readers;
    for (unsigned i = 0; i < 3; ++i) {
      readers.emplace_back([&, i] {
        std::mt19937_64 random(i);
        ++reading;
        do read(random);
        while (!done.load(std::memory_order_relaxed));
      });
    }
    while (reading.load() < 3) std::this_thread::yield();
    write();
    done = true;
    for (std::thread& reader : readers) reader.join();
  }

  // All in four shards, which so become large.
  std::uint64_t hash_of(std::uint64_t key) const { return IndexPeer::hash_in_shard(index_, key % 4, key); }

  // What a reader may find for a key.
  void check(std::uint64_t key, std::uint64_t offset) {
    if (offset == 0 ? key < kStaying : offset >> kVersionBits != key + 1) ++wrong_;
  }

  void add_staying() {
    for (std::uint64_t key = 0; key < kStaying; ++key)
      ASSERT_TRUE(index_.set(hash_of(key), offset_of(key, ++version_)));
  }

  // Sets and erases, so that shards grow and shrink, and slots are used again.
  void write_at_random(int steps) {
    std::mt19937_64 random(99);
    for (int i = 0; i < steps; ++i) {
      const std::uint64_t key = random() % kKeys;
      const bool growing = i / 8192 % 2 == 0;
      if (key >= kStaying && random() % 8 < (growing ? 1 : 6)) {
        index_.erase(hash_of(key));
      } else {
        ASSERT_TRUE(index_.set(hash_of(key), offset_of(key, ++version_)));
      }
    }
  }

  Epoch epoch_;
  Index index_{epoch_, {.seed = 21}};
  std::uint64_t version_ = 0;
  std::atomic<int> wrong_{0};
};

TEST_F(IndexThreads, FindWhatIsThereAndNothingElse) {
  add_staying();
  run(
      [&](std::mt19937_64& random) {
        const std::uint64_t key = random() % kKeys;
        const std::uint64_t hash = hash_of(key);
        const Epoch::Guard guard = epoch_.enter();
        const std::uint64_t first = index_.find(hash, guard);
        const std::uint64_t second = index_.find(hash, guard);
        check(key, first);
        check(key, second);
        if (second != 0 && second < first) ++wrong_;  // back in time
      },
      [&] { write_at_random(300000); });
  EXPECT_EQ(wrong_, 0);
  epoch_.collect();
  EXPECT_EQ(epoch_.retired_bytes(), 0U);
}

TEST_F(IndexThreads, FindManyAtOnce) {
  add_staying();
  run(
      [&](std::mt19937_64& random) {
        std::vector<std::uint64_t> keys;
        std::vector<std::uint64_t> hashes;
        for (int i = 0; i < 50; ++i) {
          keys.push_back(random() % kKeys);
          hashes.push_back(hash_of(keys.back()));
        }
        std::vector<std::uint64_t> offsets(hashes.size());
        index_.find_many(hashes, offsets, epoch_.enter());
        for (std::size_t i = 0; i < keys.size(); ++i) check(keys[i], offsets[i]);
      },
      [&] { write_at_random(100000); });
  EXPECT_EQ(wrong_, 0);
}

TEST_F(IndexThreads, VisitWhatStaysExactlyOnce) {
  add_staying();
  run(
      [&](std::mt19937_64&) {
        std::vector<int> seen(kKeys);
        index_.for_each([&](Index::Entry entry) {
          const std::uint64_t key = (entry.offset >> kVersionBits) - 1;
          if (key >= kKeys || hash_of(key) != entry.hash) {
            ++wrong_;
          } else {
            ++seen[key];
          }
        });
        for (std::uint64_t key = 0; key < kStaying; ++key) {
          if (seen[key] != 1) ++wrong_;
        }
      },
      [&] { write_at_random(100000); });
  EXPECT_EQ(wrong_, 0);
}

TEST_F(IndexThreads, DoNotMistakeASlotThatChangesHands) {
  // Three hashes that take turns in one slot, with the same tag in its word.
  const std::uint64_t hashes[] = {IndexPeer::hash_of_mixed(index_, 1 << 16), IndexPeer::hash_of_mixed(index_, 2 << 16),
                                  IndexPeer::hash_of_mixed(index_, std::uint64_t{1} << 48)};
  const auto is_of = [](std::uint64_t offset, std::uint64_t key) { return offset >> kVersionBits == key + 1; };
  run(
      [&](std::mt19937_64& random) {
        const std::uint64_t key = random() % 3;
        const std::uint64_t offset = index_.find(hashes[key], epoch_.enter());
        if (offset != 0 && !is_of(offset, key)) ++wrong_;
        index_.for_each([&](Index::Entry entry) {
          bool known = false;
          for (std::uint64_t other = 0; other < 3; ++other) {
            known = known || (entry.hash == hashes[other] && is_of(entry.offset, other));
          }
          if (!known) ++wrong_;
        });
        for (int i = 0; i < 500; ++i) {
          const std::uint64_t again = index_.find(hashes[key], epoch_.enter());
          if (again != 0 && !is_of(again, key)) ++wrong_;
        }
      },
      [&] {
        for (int i = 0; i < kTurns; ++i) {
          const std::uint64_t key = static_cast<std::uint64_t>(i % 3);
          ASSERT_TRUE(index_.set(hashes[key], offset_of(key, ++version_)));
          index_.erase(hashes[key]);
        }
      });
  EXPECT_EQ(wrong_, 0);
}

TEST_F(IndexThreads, FindWhileItGrowsAndIsCleared) {
  run(
      [&](std::mt19937_64& random) {
        const std::uint64_t key = random() % 20000;
        const std::uint64_t offset = index_.find(hash_of(key), epoch_.enter());
        if (offset != 0 && offset >> kVersionBits != key + 1) ++wrong_;
      },
      [&] {
        for (int round = 0; round < 2; ++round) {
          std::vector<Index::Entry> entries;
          for (std::uint64_t key = 0; key < 20000; ++key) {
            entries.push_back({hash_of(key), offset_of(key, ++version_)});
            if (entries.size() == 500) {
              ASSERT_TRUE(index_.put_if_absent_many(entries));
              entries.clear();
            }
          }
          ASSERT_EQ(index_.size(), 20000U);
          index_.clear();
        }
      });
  EXPECT_EQ(wrong_, 0);
}

TEST_F(IndexThreads, AReaderThatStaysKeepsOldArraysButNobodyWaits) {
  add_staying();
  std::optional<Epoch::Guard> guard;
  std::thread([&] { guard.emplace(epoch_.enter()); }).join();
  write_at_random(20000);
  EXPECT_GT(epoch_.retired_bytes(), 0U);
  for (std::uint64_t key = 0; key < kStaying; ++key) check(key, index_.find(hash_of(key), *guard));
  EXPECT_EQ(wrong_, 0);
  guard.reset();
  epoch_.collect();
  EXPECT_EQ(epoch_.retired_bytes(), 0U);
}

}  // namespace
}  // namespace simdrive::store
