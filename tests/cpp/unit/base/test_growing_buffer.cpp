#include "base/growing_buffer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "base/pages.hpp"
#include "base/reaper.hpp"

namespace simdrive {
namespace {

Bytes pattern(std::size_t n, std::uint32_t seed) {
  Bytes out(n);
  for (std::uint8_t& b : out) b = static_cast<std::uint8_t>((seed = seed * 1664525U + 1013904223U) >> 24);
  return out;
}

TEST(GrowingBuffer, KeepsItsBytesAsItGrowsFromTheHeapToPages) {
  GrowingBuffer buffer;
  Bytes want;
  for (std::uint32_t i = 0; want.size() < GrowingBuffer::kPages * 5; ++i) {
    const Bytes piece = pattern(i % 7 == 0 ? i * 100 + 1 : 60'000, i);
    ASSERT_TRUE(buffer.append(piece));
    want.insert(want.end(), piece.begin(), piece.end());
    // Twice as much, or what was lent instead.
    EXPECT_LE(buffer.capacity(), std::max<std::size_t>(256, want.size() * 2 * Reaper::kLendTimes));
  }
  EXPECT_TRUE(std::ranges::equal(buffer.view(), want));
  const std::uint8_t* data = buffer.view().data();
  const BytesView view = buffer.view();
  const std::shared_ptr<const void> owner = buffer.release();
  EXPECT_EQ(owner.get(), data);
  EXPECT_EQ(buffer.size() + buffer.capacity(), 0U);
  ASSERT_TRUE(buffer.append(pattern(100, 1)));
  EXPECT_TRUE(std::ranges::equal(view, want));
}

TEST(GrowingBuffer, TakesBytesInPlaceAndIsUsedAgain) {
  GrowingBuffer buffer;
  ASSERT_TRUE(buffer.reserve(1000));
  ASSERT_GE(buffer.room().size(), 1000U);
  std::memset(buffer.room().data(), 9, 1000);
  buffer.written(1000);
  EXPECT_EQ(Bytes(buffer.view().begin(), buffer.view().end()), Bytes(1000, 9));
  const std::size_t capacity = buffer.capacity();
  buffer.clear();
  EXPECT_EQ(buffer.size(), 0U);
  EXPECT_EQ(buffer.capacity(), capacity);
  GrowingBuffer other = std::move(buffer);
  EXPECT_EQ(other.capacity(), capacity);
  other.reset();
  EXPECT_EQ(other.capacity(), 0U);
}

TEST(GrowingBuffer, TakesTheMemoryOfAnEarlierOne) {
  constexpr std::size_t kBytes = GrowingBuffer::kPages * 12;
  const Bytes begin = pattern(1000, 1);
  bool same = false;
  // Somebody else may have been faster, or the time in which memory is kept over.
  for (int i = 0; i < 100 && !same; ++i) {
    GrowingBuffer first;
    ASSERT_TRUE(first.reserve(kBytes));
    const std::uint8_t* data = first.room().data();
    std::shared_ptr<const void> owner = first.release();
    GrowingBuffer second;
    ASSERT_TRUE(second.append(begin));
    owner.reset();
    ASSERT_TRUE(second.reserve(kBytes / 2));
    EXPECT_GE(second.capacity(), kBytes / 2);
    EXPECT_TRUE(std::ranges::equal(second.view(), begin));
    same = second.view().data() == data;
    GrowingBuffer third = std::move(second);  // with the loan
    ASSERT_TRUE(third.reserve(kBytes * 3));   // more than was lent
    EXPECT_TRUE(std::ranges::equal(third.view(), begin));
  }
  EXPECT_TRUE(same);
}

TEST(GrowingBuffer, WantOfMemoryChangesNothing) {
  GrowingBuffer buffer;
  ASSERT_TRUE(buffer.append(Bytes(10, 3)));
  EXPECT_FALSE(buffer.reserve(~std::size_t{0}));
  EXPECT_FALSE(buffer.reserve(~std::size_t{0} / 4));
  EXPECT_EQ(Bytes(buffer.view().begin(), buffer.view().end()), Bytes(10, 3));
}

#ifdef __linux__
TEST(Pages, GrowWithTheirContents) {
  constexpr std::size_t kBytes = std::size_t{1} << 20;
  auto* start = static_cast<std::uint8_t*>(map_pages(kBytes));
  ASSERT_NE(start, nullptr);
  std::memset(start, 5, kBytes);
  auto* grown = static_cast<std::uint8_t*>(grow_pages(start, kBytes, 8 * kBytes));
  ASSERT_NE(grown, nullptr);
  EXPECT_EQ(std::count(grown, grown + kBytes, 5), static_cast<std::ptrdiff_t>(kBytes));
  EXPECT_EQ(std::count(grown + kBytes, grown + 8 * kBytes, 0), static_cast<std::ptrdiff_t>(7 * kBytes));
  EXPECT_EQ(grow_pages(grown, 8 * kBytes, ~std::size_t{0} / 2), nullptr);
  unmap_pages(grown, 8 * kBytes);
}
#endif

}  // namespace
}  // namespace simdrive
