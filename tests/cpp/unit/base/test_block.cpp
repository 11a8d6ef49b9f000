// Counted memory: who keeps it, and what is left of it afterwards.
#include "simdrive/block.hpp"

#include <gtest/gtest.h>

#ifndef _WIN32
#include <sys/wait.h>
#include <unistd.h>
#endif

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <limits>
#include <thread>
#include <utility>
#include <vector>

namespace simdrive {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

template <class Condition>
bool soon(Condition condition) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > limit) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));  // the reaper tells nobody: asked again until the limit
  }
  return true;
}

bool nothing_waits() { return Block::waiting_bytes() == 0; }

TEST(Block, HasTheSizeAndAlignmentThatItWasMadeWith) {
  EXPECT_FALSE(Block());
  EXPECT_EQ(Block().size(), 0U);
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{4097}, Block::kLarge - 1, Block::kLarge,
                                 Block::kLarge + 1, 5 * kMiB + 3}) {
    const Block block = Block::make(size);
    ASSERT_TRUE(block);
    EXPECT_EQ(block.size(), size);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block.data()) % (size >= Block::kLarge ? 64 : 16), 0U);
    std::memset(block.data(), 0xA5, size);
  }
  EXPECT_TRUE(soon(nothing_waits));
}

TEST(Block, IsEmptyWhereThereIsNoMemory) {
  constexpr auto kMax = std::numeric_limits<std::uint64_t>::max();
  for (const std::uint64_t size : {kMax, kMax - 63, kMax - 64, kMax / 2}) EXPECT_FALSE(Block::make(size));
}

TEST(Block, LivesAsLongAsACopy) {
  for (const std::size_t size : {std::size_t{100}, 2 * kMiB}) {
    Block first = Block::make(size);
    std::memset(first.data(), 7, size);
    EXPECT_TRUE(first.alone());
    Block second = first;
    EXPECT_FALSE(first.alone());
    EXPECT_EQ(second.data(), first.data());
    const Block moved = std::move(first);
    EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): that is the question
    const Block& itself = second;
    second = itself;
    second.reset();
    second.reset();
    EXPECT_FALSE(second);
    EXPECT_TRUE(moved.alone());
    EXPECT_EQ(moved.data()[size - 1], 7);
  }
  EXPECT_TRUE(soon(nothing_waits));
}

TEST(Block, IsSharedBetweenThreads) {
  for (int round = 0; round < 50; ++round) {
    Block block = Block::make(round % 2 == 0 ? 64 : Block::kLarge);
    block.data()[0] = 5;
    std::vector<std::thread> threads;
    threads.reserve(4);
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([copy = block] {
        for (int j = 0; j < 200; ++j) {
          const Block another = copy;
          ASSERT_EQ(another.data()[0], 5);
        }
      });
    }
    block.reset();
    for (auto& t : threads) t.join();
  }
  EXPECT_TRUE(soon(nothing_waits));
}

TEST(Block, IsMadeOfWarmMemory) {
  EXPECT_TRUE(soon(nothing_waits));
  EXPECT_TRUE(soon([] {  // unless this thread was stopped for so long that it is gone
    Block block = Block::make(2 * kMiB);
    const std::uint8_t* data = block.data();
    block.reset();
    block = Block::make(2 * kMiB - 5);
    EXPECT_EQ(block.size(), 2 * kMiB - 5);
    return block.data() == data;
  }));
  EXPECT_TRUE(soon(nothing_waits));  // it is not kept for long
}

#ifdef __linux__
std::size_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::size_t total = 0;
  std::size_t resident = 0;
  file >> total >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

TEST(Block, GivesMemoryBackToTheSystem) {
  constexpr std::size_t kSize = 64 * kMiB;
  Block block = Block::make(kSize);
  std::memset(block.data(), 1, kSize);
  const std::size_t before = resident_bytes();
  block.reset();
  EXPECT_TRUE(soon([&] { return resident_bytes() + kSize - kMiB < before; }));
  EXPECT_TRUE(soon(nothing_waits));
}
#endif

// TSan ends what starts a thread after the fork of a process with several; ASan's allocator may be locked in the child.
#if !defined(_WIN32) && !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
// What a child of fork() has inherited is freed with the first block of its own. It is killed by its alarm if it hangs.
int free_in_child() {
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::alarm(30);
    Block::make(3 * kMiB).reset();
    ::_exit(soon(nothing_waits) ? 0 : 1);
  }
  int status = -1;
  ::waitpid(pid, &status, 0);
  return status;
}

TEST(Block, IsFreedInAChildOfFork) {
  const Block kept = Block::make(2 * kMiB);
  std::memset(kept.data(), 3, kept.size());
  for (int round = 0; round < 10; ++round) {
    std::vector<Block> blocks;
    for (std::size_t i = 0; i < 8; ++i) {
      blocks.push_back(Block::make((i + 1) * kMiB));
      std::memset(blocks.back().data(), 1, blocks.back().size());
    }
    blocks.clear();  // the fork finds the reaper at work
    EXPECT_EQ(free_in_child(), 0);
    EXPECT_EQ(kept.data()[2 * kMiB - 1], 3);
  }
  EXPECT_TRUE(soon(nothing_waits));
}

TEST(Block, IsFreedInAChildWhileOtherThreadsFree) {
  std::atomic<bool> stop{false};
  std::thread other([&] {
    while (!stop) Block::make(Block::kLarge).reset();
  });
  for (int round = 0; round < 20; ++round) EXPECT_EQ(free_in_child(), 0);
  stop = true;
  other.join();
  EXPECT_TRUE(soon(nothing_waits));
}
#endif

}  // namespace
}  // namespace simdrive
