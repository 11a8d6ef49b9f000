#include "simdrive/page_discard.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>

#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>

#include <vector>
#endif

namespace simdrive {
namespace {

struct Free {
  void operator()(unsigned char* memory) const noexcept { std::free(memory); }
};
using Memory = std::unique_ptr<unsigned char, Free>;

Memory filled(std::size_t size) {
  Memory memory(static_cast<unsigned char*>(std::malloc(size)));
  std::memset(memory.get(), 7, size);
  return memory;
}

void wait_for(const PageDiscard& discard) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!discard.done()) {
    ASSERT_LT(std::chrono::steady_clock::now(), until);
    std::this_thread::yield();
  }
}

TEST(PageDiscard, NothingIsDoneAtOnce) {
  EXPECT_TRUE(PageDiscard().done());
  const Memory memory = filled(1000);
  EXPECT_TRUE(PageDiscard::begin(memory.get(), 1000).done());
  EXPECT_EQ(memory.get()[999], 7);  // no whole page: nothing is given back
}

TEST(PageDiscard, MemoryCanBeUsedAndFreedWhenItIsDone) {
  constexpr std::size_t kSize = std::size_t{8} << 20;
  const Memory memory = filled(kSize);
  const PageDiscard discard = PageDiscard::begin(memory.get() + 100, kSize - 200);
  wait_for(discard);
  EXPECT_TRUE(discard.done());
  for (const std::size_t i : {0U, 99U}) {
    EXPECT_EQ(memory.get()[i], 7);
    EXPECT_EQ(memory.get()[kSize - 1 - i], 7);
  }
  std::memset(memory.get(), 8, kSize);
  EXPECT_EQ(memory.get()[kSize / 2], 8);
}

#ifdef __linux__
TEST(PageDiscard, GivesThePagesBack) {
  constexpr std::size_t kSize = std::size_t{8} << 20;
  void* const start = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(start, MAP_FAILED);
  std::memset(start, 7, kSize);
  wait_for(PageDiscard::begin(start, kSize));
  std::vector<unsigned char> there(kSize / static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)));
  ASSERT_EQ(::mincore(start, kSize, there.data()), 0);
  std::size_t left = 0;
  for (const unsigned char page : there) left += page & 1U;
  EXPECT_LE(left, there.size() / 64);
  EXPECT_EQ(::munmap(start, kSize), 0);
}
#endif

}  // namespace
}  // namespace simdrive
