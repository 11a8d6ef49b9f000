// When what is retired is destroyed: not before its readers have left, and as soon as they have.
#include "store/epoch.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace simdrive::store {
namespace {

struct Thing : Epoch::Retired {
  explicit Thing(int& count) : destroyed(count) {
    bytes = 10;
    destroy = [](Epoch::Retired& retired) noexcept {
      auto* thing = static_cast<Thing*>(&retired);
      ++thing->destroyed;
      delete thing;
    };
  }
  int& destroyed;
};

TEST(Epoch, DestroysAtOnceWithoutReaders) {
  Epoch epoch;
  int destroyed = 0;
  epoch.retire(*new Thing(destroyed));
  EXPECT_EQ(destroyed, 1);
  EXPECT_EQ(epoch.retired_bytes(), 0U);
}

TEST(Epoch, KeepsWhatAnOlderGuardMaySee) {
  Epoch epoch;
  int destroyed = 0;
  std::optional<Epoch::Guard> guard(epoch.enter());
  epoch.retire(*new Thing(destroyed));
  epoch.retire(*new Thing(destroyed));
  for (int i = 0; i < 5; ++i) epoch.collect();
  EXPECT_EQ(destroyed, 0);
  EXPECT_EQ(epoch.retired_bytes(), 20U);
  guard.reset();
  epoch.collect();
  EXPECT_EQ(destroyed, 2);
  EXPECT_EQ(epoch.retired_bytes(), 0U);
}

TEST(Epoch, ReadersThatComeOneAfterTheOtherDoNotKeepThings) {
  Epoch epoch;
  int destroyed = 0;
  std::optional<Epoch::Guard> guards[2];
  guards[0].emplace(epoch.enter());
  for (int i = 0; i < 100; ++i) {
    epoch.retire(*new Thing(destroyed));
    guards[(i + 1) % 2].emplace(epoch.enter());  // there is always one
    guards[i % 2].reset();
    epoch.collect();
  }
  EXPECT_GE(destroyed, 97);
}

TEST(Epoch, GuardsNest) {
  Epoch epoch;
  int destroyed = 0;
  {
    const Epoch::Guard outer = epoch.enter();
    {
      const Epoch::Guard inner = epoch.enter();
      epoch.retire(*new Thing(destroyed));
    }
    epoch.collect();
    EXPECT_EQ(destroyed, 0);
  }
  epoch.collect();
  EXPECT_EQ(destroyed, 1);
}

TEST(Epoch, AGuardMayEndOnAnotherThread) {
  Epoch epoch;
  int destroyed = 0;
  Epoch::Guard guard = epoch.enter();
  epoch.retire(*new Thing(destroyed));
  std::thread([moved = std::move(guard)] { EXPECT_TRUE(true); }).join();
  epoch.collect();
  EXPECT_EQ(destroyed, 1);
}

TEST(Epoch, DestroysTheRestInItsDestructor) {
  int destroyed = 0;
  {
    Epoch epoch;
    {
      const Epoch::Guard guard = epoch.enter();
      epoch.retire(*new Thing(destroyed));
      epoch.retire(*new Thing(destroyed));
    }
    EXPECT_EQ(destroyed, 0);
  }
  EXPECT_EQ(destroyed, 2);
}

TEST(Epoch, ForgetsTheGuardsOfThreadsThatForkLeftBehind) {
  Epoch epoch;
  int destroyed = 0;
  // Never ended, as that of a thread which does not exist in the child.
  alignas(Epoch::Guard) std::byte lost[sizeof(Epoch::Guard)];
  std::thread([&] { ::new (static_cast<void*>(lost)) Epoch::Guard(epoch.enter()); }).join();
  epoch.retire(*new Thing(destroyed));
  epoch.collect();
  ASSERT_EQ(destroyed, 0);
  epoch.reset_after_fork();
  epoch.collect();
  EXPECT_EQ(destroyed, 1);
  {
    const Epoch::Guard guard = epoch.enter();
    epoch.retire(*new Thing(destroyed));
    EXPECT_EQ(destroyed, 1);
  }
  epoch.collect();
  EXPECT_EQ(destroyed, 2);
}

TEST(Epoch, TakesThingsFromManyThreads) {
  constexpr int kThreads = 4;
  constexpr int kThings = 2000;
  std::atomic<int> destroyed{0};
  struct Counted : Epoch::Retired {
    explicit Counted(std::atomic<int>& count) : destroyed(count) {
      bytes = 1;
      destroy = [](Epoch::Retired& retired) noexcept {
        ++static_cast<Counted&>(retired).destroyed;
        delete static_cast<Counted*>(&retired);
      };
    }
    std::atomic<int>& destroyed;
  };
  {
    Epoch epoch;
    std::vector<std::thread> threads;
    threads.reserve(kThreads);
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < kThings; ++i) {
          std::optional<Epoch::Guard> guard;
          if (i % 3 == 0) guard.emplace(epoch.enter());
          epoch.retire(*new Counted(destroyed));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    epoch.collect();
    EXPECT_EQ(destroyed, kThreads * kThings);
    EXPECT_EQ(epoch.retired_bytes(), 0U);
  }
  EXPECT_EQ(destroyed, kThreads * kThings);
}

struct Number : Epoch::Retired {
  explicit Number(std::uint64_t n) : value(n), twice(2 * n) {
    destroy = [](Epoch::Retired& retired) noexcept {
      auto* number = static_cast<Number*>(&retired);
      number->twice = 0;
      delete number;
    };
  }
  std::uint64_t value;
  std::uint64_t twice;
};

TEST(Epoch, ReadersSeeWholeThingsWhileTheyAreReplaced) {
  constexpr std::uint64_t kReplacements = 100000;
  Epoch epoch;
  std::atomic<Number*> current{new Number(0)};
  std::atomic<int> wrong{0};
  std::atomic<int> reading{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      std::uint64_t last = 0;
      ++reading;
      while (last != kReplacements) {
        const Epoch::Guard guard = epoch.enter();
        const Number& number = *current.load(std::memory_order_acquire);
        if (number.twice != 2 * number.value || number.value < last) ++wrong;
        last = number.value;
      }
    });
  }
  while (reading != 3) std::this_thread::yield();
  for (std::uint64_t n = 1; n <= kReplacements; ++n) {
    epoch.retire(*current.exchange(new Number(n), std::memory_order_acq_rel));
  }
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0);
  delete current.load();
}

}  // namespace
}  // namespace simdrive::store
