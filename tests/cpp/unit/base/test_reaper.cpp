// Memory that is freed by a thread of the library's own: when, by whom, and after fork().
#include "base/reaper.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <cstring>
#include <thread>

#include "base/pages.hpp"

namespace simdrive {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

int g_starts = 0;

// A thread that never runs: what it is given waits.
bool pretend_to_start(Reaper& /*reaper*/) {
  ++g_starts;
  return true;
}
bool find_no_thread(Reaper& /*reaper*/) {
  ++g_starts;
  return false;
}

void* touched_pages(std::size_t bytes) {
  void* pages = map_pages(bytes);
  std::memset(pages, 1, bytes);
  return pages;
}

void give(Reaper& reaper, std::size_t bytes) { reaper.take(touched_pages(bytes), bytes); }

TEST(Reaper, StartsItsThreadOnce) {
  Reaper reaper(pretend_to_start, 100 * kMiB);
  g_starts = 0;
  EXPECT_EQ(reaper.waiting_bytes(), 0U);
  give(reaper, kMiB);
  give(reaper, 2 * kMiB + 1);
  EXPECT_EQ(g_starts, 1);
  EXPECT_EQ(reaper.waiting_bytes(), 3 * kMiB + 1);
  reaper.drain();
  EXPECT_EQ(reaper.waiting_bytes(), 0U);
}

TEST(Reaper, FreesAtOnceWhatWouldMakeTooMuchWait) {
  Reaper reaper(pretend_to_start, 4 * kMiB);
  give(reaper, 3 * kMiB);
  give(reaper, 2 * kMiB);
  EXPECT_EQ(reaper.waiting_bytes(), 3 * kMiB);
  give(reaper, kMiB);
  EXPECT_EQ(reaper.waiting_bytes(), 4 * kMiB);
  reaper.drain();
  give(reaper, 5 * kMiB);  // nothing waits: never mind its size
  give(reaper, kMiB);
  EXPECT_EQ(reaper.waiting_bytes(), 5 * kMiB);
  reaper.drain();
}

TEST(Reaper, FreesAtOnceWithoutAThread) {
  Reaper reaper(find_no_thread, 4 * kMiB);
  g_starts = 0;
  give(reaper, kMiB);
  give(reaper, kMiB);
  EXPECT_EQ(reaper.waiting_bytes(), 0U);
  EXPECT_EQ(g_starts, 2);  // asked again
}

TEST(Reaper, StartsAThreadInAChildOfFork) {
  Reaper reaper(pretend_to_start, 100 * kMiB);
  give(reaper, kMiB);
  g_starts = 0;
  reaper.before_fork();
  reaper.after_fork_in_child();  // on the mutex as the fork left it
  EXPECT_EQ(reaper.waiting_bytes(), kMiB);
  give(reaper, kMiB);
  EXPECT_EQ(g_starts, 1);
  EXPECT_EQ(reaper.waiting_bytes(), 2 * kMiB);
  reaper.drain();
  EXPECT_EQ(reaper.waiting_bytes(), 0U);
}

// Else a child that inherits a full queue would free everything itself for ever.
TEST(Reaper, StartsAThreadWhereThereIsNoRoom) {
  Reaper reaper(pretend_to_start, kMiB);
  give(reaper, kMiB);
  g_starts = 0;
  reaper.before_fork();
  reaper.after_fork_in_child();
  give(reaper, kMiB);
  EXPECT_EQ(g_starts, 1);
  EXPECT_EQ(reaper.waiting_bytes(), kMiB);
  reaper.drain();
}

TEST(Reaper, GivesWhatWaitsToWhoNeedsAsMuch) {
  Reaper reaper(pretend_to_start, 100 * kMiB);
  void* first = touched_pages(kMiB);
  void* second = touched_pages(2 * kMiB);
  reaper.take(first, kMiB);
  reaper.take(second, 2 * kMiB);
  EXPECT_EQ(reaper.reuse(3 * kMiB), nullptr);
  EXPECT_EQ(reaper.reuse(kMiB), first);
  EXPECT_EQ(reaper.reuse(kMiB), nullptr);
  EXPECT_EQ(reaper.waiting_bytes(), 2 * kMiB);
  EXPECT_EQ(reaper.reuse(2 * kMiB), second);
  EXPECT_EQ(reaper.waiting_bytes(), 0U);
  unmap_pages(first, kMiB);
  unmap_pages(second, 2 * kMiB);
}

TEST(Reaper, GivesTheLatestThatIsLargeEnough) {
  Reaper reaper(pretend_to_start, 100 * kMiB);
  void* first = touched_pages(4 * kMiB);
  void* second = touched_pages(3 * kMiB);
  reaper.take(first, 4 * kMiB);
  reaper.take(second, 3 * kMiB);
  EXPECT_EQ(reaper.reuse(5 * kMiB, 9 * kMiB).start, nullptr);
  EXPECT_EQ(reaper.reuse(kMiB, 2 * kMiB).start, nullptr);
  const Reaper::Pages latest = reaper.reuse(kMiB, 9 * kMiB);
  EXPECT_EQ(latest.start, second);
  EXPECT_EQ(latest.bytes, 3 * kMiB);
  EXPECT_EQ(reaper.waiting_bytes(), 4 * kMiB);
  EXPECT_EQ(reaper.reuse(kMiB, 9 * kMiB).bytes, 4 * kMiB);
  EXPECT_EQ(reaper.waiting_bytes(), 0U);
  unmap_pages(first, 4 * kMiB);
  unmap_pages(second, 3 * kMiB);
}

TEST(Reaper, LendsWhatItKeeps) {
  Reaper reaper(pretend_to_start, 100 * kMiB);
  void* pages = touched_pages(8 * kMiB);
  EXPECT_EQ(reaper.lend(kMiB).pages, nullptr);
  reaper.keep(pages, 8 * kMiB, 0);
  EXPECT_EQ(reaper.waiting_bytes(), 8 * kMiB);
  EXPECT_EQ(reaper.reuse(8 * kMiB), nullptr);
  EXPECT_EQ(reaper.lend(8 * kMiB + 1).pages, nullptr);
  EXPECT_EQ(reaper.lend(kMiB - 1).pages, nullptr);  // too little use of it
  const Reaper::Loan loan = reaper.lend(kMiB);
  EXPECT_EQ(loan.pages, pages);
  EXPECT_EQ(loan.bytes, 8 * kMiB);
  EXPECT_EQ(reaper.waiting_bytes(), 0U);
  EXPECT_EQ(reaper.lend(8 * kMiB).pages, nullptr);
  reaper.keep(loan.pages, loan.bytes, loan.bytes);
  EXPECT_EQ(reaper.lend(8 * kMiB).pages, pages);
  reaper.keep(pages, 8 * kMiB, 8 * kMiB);
  reaper.drain();
  EXPECT_EQ(reaper.waiting_bytes(), 0U);
}

// Who has borrowed much and uses little of it must not make others keep as much again.
TEST(Reaper, CountsWhatIsLentAsKept) {
  constexpr std::size_t kHalf = Reaper::kKeptMax / 2;
  Reaper reaper(pretend_to_start, 1);
  reaper.keep(map_pages(kHalf), kHalf, 0);
  const Reaper::Loan loan = reaper.lend(kHalf);
  ASSERT_NE(loan.pages, nullptr);
  reaper.keep(map_pages(kHalf + 1), kHalf + 1, 0);  // too much: waits to be freed
  EXPECT_EQ(reaper.lend(kHalf).pages, nullptr);
  EXPECT_EQ(reaper.waiting_bytes(), kHalf + 1);
  reaper.drain();
  reaper.keep(map_pages(kHalf), kHalf, 0);
  const Reaper::Loan other = reaper.lend(kHalf);
  EXPECT_NE(other.pages, nullptr);
  reaper.keep(map_pages(kMiB), kMiB, 0);
  EXPECT_EQ(reaper.lend(kMiB).pages, nullptr);
  reaper.drain();
  reaper.keep(loan.pages, kHalf, loan.bytes);
  EXPECT_EQ(reaper.lend(kHalf).pages, loan.pages);
  unmap_pages(loan.pages, kHalf);
  unmap_pages(other.pages, kHalf);
}

TEST(Reaper, KeepsNothingWithoutAThread) {
  Reaper reaper(find_no_thread, kMiB);
  reaper.keep(touched_pages(kMiB), kMiB, 0);
  EXPECT_EQ(reaper.waiting_bytes(), 0U);
  EXPECT_EQ(reaper.lend(kMiB).pages, nullptr);
}

TEST(Reaper, KeepsInAChildOfForkWhatItKept) {
  Reaper reaper(pretend_to_start, 100 * kMiB);
  void* pages = touched_pages(kMiB);
  reaper.keep(pages, kMiB, 0);
  g_starts = 0;
  reaper.before_fork();
  reaper.after_fork_in_child();
  const Reaper::Loan loan = reaper.lend(kMiB);
  EXPECT_EQ(loan.pages, pages);
  reaper.keep(loan.pages, loan.bytes, loan.bytes);
  EXPECT_EQ(g_starts, 1);
  reaper.drain();
}

TEST(Reaper, FreesWhatNobodyHasBorrowedForAWhile) {
  // Its thread does not end.
  static auto& reaper = *new Reaper(
      [](Reaper& each) {
        std::thread([&each] { each.run(); }).detach();
        return true;
      },
      100 * kMiB, std::chrono::milliseconds(1));
  for (int i = 0; i < 2; ++i) {
    reaper.keep(touched_pages(12 * kMiB), 12 * kMiB, 0);
    reaper.keep(touched_pages(kMiB), kMiB, 0);
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (reaper.waiting_bytes() != 0 && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
    EXPECT_EQ(reaper.waiting_bytes(), 0U);
  }
}

int g_unmapped = 0;

struct Region : Reaper::Mapped {
  Region() {
    start = touched_pages(kMiB);
    bytes = kMiB;
    unmap = [](Reaper::Mapped& mapped) noexcept {
      ++g_unmapped;
      unmap_pages(mapped.start, mapped.bytes);
      delete static_cast<Region*>(&mapped);
    };
  }
};

TEST(Reaper, UnmapsWhatIsMapped) {
  Reaper reaper(pretend_to_start, 1);
  g_unmapped = 0;
  reaper.take(*new Region);
  reaper.take(*new Region);
  EXPECT_EQ(g_unmapped, 0);
  EXPECT_EQ(reaper.reuse(kMiB), nullptr);
  EXPECT_EQ(reaper.waiting_bytes(), 0U);
  reaper.drain();
  EXPECT_EQ(g_unmapped, 2);
}

TEST(Reaper, UnmapsForWhoNeedsAddresses) {
  Reaper reaper(pretend_to_start, 1);
  g_unmapped = 0;
  reaper.take(*new Region);
  reaper.unmap_all();
  EXPECT_EQ(g_unmapped, 1);
  reaper.unmap_all();
  EXPECT_EQ(g_unmapped, 1);
}

TEST(Reaper, UnmapsAtOnceWithoutAThread) {
  Reaper reaper(find_no_thread, 1);
  g_unmapped = 0;
  reaper.take(*new Region);
  EXPECT_EQ(g_unmapped, 1);
}

TEST(Reaper, UnmapsInAChildOfForkWhatWaitsThere) {
  Reaper reaper(pretend_to_start, 1);
  g_unmapped = 0;
  reaper.take(*new Region);
  reaper.before_fork();
  reaper.after_fork_in_child();
  g_starts = 0;
  reaper.take(*new Region);
  EXPECT_EQ(g_starts, 1);
  EXPECT_EQ(g_unmapped, 0);
  reaper.drain();
  EXPECT_EQ(g_unmapped, 2);
}

TEST(Pages, AreZeroAndCanBeDiscarded) {
  auto* pages = static_cast<unsigned char*>(map_pages(3 * kMiB));
  ASSERT_NE(pages, nullptr);
  EXPECT_EQ(pages[3 * kMiB - 1], 0);
  std::memset(pages, 1, 3 * kMiB);
  discard_pages(pages, kMiB);
  EXPECT_EQ(pages[kMiB], 1);
  pages[0] = 2;  // the addresses are still there
  EXPECT_EQ(pages[0], 2);
  unmap_pages(pages, 3 * kMiB);
  EXPECT_EQ(map_pages(~std::size_t{0} / 2), nullptr);
}

}  // namespace
}  // namespace simdrive
