// A block that is filled in steps: what is in it, and how much a step may do.
#include "simdrive/block_builder.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "simdrive/block.hpp"

namespace simdrive {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

bool cannot_grow(Block& /*block*/, std::uint64_t /*size*/) noexcept { return false; }

Bytes data_of(std::size_t size) {
  Bytes data(size);
  for (std::size_t i = 0; i < size; ++i) data[i] = static_cast<std::uint8_t>(i * 7 + i / 251);
  return data;
}

// Appends all of it; how many steps that took.
std::size_t append_all(BlockBuilder& builder, BytesView bytes) {
  std::size_t steps = 0;
  for (std::size_t at = 0; at < bytes.size(); ++steps) {
    const auto took = builder.append(bytes.subspan(at));
    if (!took) return 0;
    EXPECT_LE(*took, BlockBuilder::kStep);
    at += *took;
  }
  return steps;
}

class ABlockBuilder : public testing::TestWithParam<BlockBuilder::Grow> {};

TEST_P(ABlockBuilder, HasWhatWasAppendedWhateverThePieces) {
  const Bytes data = data_of(9 * kMiB + 12345);
  for (const std::size_t piece : {std::size_t{999}, std::size_t{65536}, kMiB, 3 * kMiB, data.size()}) {
    for (const bool reserved : {false, true}) {
      BlockBuilder builder(GetParam());
      if (reserved) {
        ASSERT_TRUE(builder.reserve(data.size()));
      }
      for (std::size_t at = 0; at < data.size(); at += piece) {
        ASSERT_NE(append_all(builder, BytesView(data).subspan(at, std::min(piece, data.size() - at))), 0U);
      }
      ASSERT_EQ(builder.size(), data.size());
      EXPECT_TRUE(std::equal(data.begin(), data.end(), builder.block().data()));
      EXPECT_TRUE(!reserved || builder.room().empty());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(GrowingOrMoving, ABlockBuilder, testing::Values(&BlockBuilder::grow_block, &cannot_grow));

TEST(BlockBuilder, MovesInStepsWhereABlockCannotGrow) {
  const Bytes data = data_of(16 * kMiB);
  BlockBuilder builder(&cannot_grow);
  ASSERT_TRUE(builder.reserve(data.size()));
  ASSERT_EQ(append_all(builder, data), 16U);
  // One to find the memory, one for each MiB that is there, and one for the piece.
  EXPECT_EQ(append_all(builder, data_of(10)), 1 + 16 + 1U);
  EXPECT_TRUE(std::equal(data.begin(), data.end(), builder.block().data()));
}

TEST(BlockBuilder, AppendsInStepsOfAMebibyte) {
  BlockBuilder builder;
  const Bytes data = data_of(5 * kMiB + 1);
  ASSERT_TRUE(builder.reserve(data.size()));
  EXPECT_EQ(append_all(builder, data), 6U);
}

TEST(BlockBuilder, HasRoomToWriteTo) {
  BlockBuilder builder;
  EXPECT_TRUE(builder.room().empty());
  ASSERT_TRUE(builder.reserve(10));
  EXPECT_EQ(builder.room().size(), 10U);
  std::fill_n(builder.room().data(), 4, std::uint8_t{1});
  builder.filled(4);
  EXPECT_EQ(builder.room().size(), 6U);
  EXPECT_EQ(builder.room().data(), builder.block().data() + 4);
  EXPECT_EQ(builder.append({}), 0U);
  EXPECT_EQ(builder.size(), 4U);
}

TEST(BlockBuilder, SaysThatThereIsNoMemory) {
  BlockBuilder builder;
  EXPECT_FALSE(builder.reserve(std::numeric_limits<std::uint64_t>::max()));
  EXPECT_FALSE(builder.reserve(std::uint64_t{1} << 60));
  const Bytes data = data_of(10);
  ASSERT_NE(append_all(builder, data), 0U);
  // Never read: there is no memory for a copy.
  const BytesView endless(data.data(), std::numeric_limits<std::size_t>::max() / 8);
  EXPECT_FALSE(builder.append(endless));
  EXPECT_EQ(builder.size(), 10U);
  EXPECT_TRUE(std::equal(data.begin(), data.end(), builder.block().data()));
}

TEST(Block, HasAtLeastWhatIsAskedFor) {
  for (const std::size_t size : {std::size_t{100}, Block::kLarge, 2 * kMiB + 1}) {
    Block::make(7 * kMiB).reset();  // that, too, where the reaper still has it
    const Block block = Block::make_at_least(size);
    ASSERT_TRUE(block);
    EXPECT_GE(block.size(), size);
    std::fill_n(block.data(), block.size(), std::uint8_t{1});
  }
  EXPECT_FALSE(Block::make_at_least(std::numeric_limits<std::uint64_t>::max()));
}

TEST(Block, GrowsWithWhatIsInIt) {
  Block small = Block::make(100);
  EXPECT_FALSE(small.grow(200));
  Block block = Block::make(2 * kMiB);
  const Bytes data = data_of(2 * kMiB);
  std::copy(data.begin(), data.end(), block.data());
  EXPECT_FALSE(block.grow(kMiB));
  EXPECT_FALSE(block.grow(std::numeric_limits<std::uint64_t>::max()));
  {
    const Block other = block;  // NOLINT(performance-unnecessary-copy-initialization): that is the question
    EXPECT_FALSE(block.grow(4 * kMiB));
  }
#ifdef __linux__
  ASSERT_TRUE(block.grow(64 * kMiB));
  EXPECT_EQ(block.size(), 64 * kMiB);
  block.data()[64 * kMiB - 1] = 1;
#endif
  EXPECT_TRUE(std::equal(data.begin(), data.end(), block.data()));
}

}  // namespace
}  // namespace simdrive
