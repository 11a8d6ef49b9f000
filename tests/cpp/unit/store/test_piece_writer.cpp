// Writes in pieces over system calls that take only a part.
#include "store/piece_writer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "store/file_bytes.hpp"

namespace simdrive::store {
namespace {

using testing_store::view_of;

/// A disk whose calls take at most `take` bytes, until `room` bytes are written.
struct Disk {
  std::string content;
  std::size_t take;
  std::size_t room = ~std::size_t{0};
  std::size_t calls = 0;

  Written write(std::uint64_t offset, const std::vector<std::string>& texts) {
    std::vector<BytesView> pieces(texts.size());
    std::transform(texts.begin(), texts.end(), pieces.begin(), [](const std::string& text) { return view_of(text); });
    return write_pieces("s", offset, pieces, [this](BytesView run, std::uint64_t at) -> WriteCall {
      ++calls;
      EXPECT_EQ(at, content.size()) << "in order, without gaps";
      if (content.size() >= room) return {0, ENOSPC};
      const std::size_t n = std::min({run.size(), take, room - content.size()});
      content.append(run.begin(), run.begin() + static_cast<std::ptrdiff_t>(n));
      return {n, 0};
    });
  }
};

std::vector<std::string> pieces_of(const std::vector<std::size_t>& sizes) {
  std::vector<std::string> texts;
  for (const std::size_t size : sizes) texts.emplace_back(size, static_cast<char>('a' + texts.size() % 26));
  return texts;
}

std::string joined(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += text;
  return all;
}

TEST(PieceWriterTest, AnyPartOfAnyPieceMayBeTaken) {
  const std::vector<std::vector<std::size_t>> cases = {
      {}, {0}, {0, 0, 5, 0}, {1, 2, 3}, {63, 100'000, 20}, {40'000, 1, 40'000, 32'768, 0, 7}, {32'767, 2}};
  for (const std::vector<std::size_t>& sizes : cases) {
    const std::vector<std::string> texts = pieces_of(sizes);
    const std::string all = joined(texts);
    for (const std::size_t take : {std::size_t{1}, std::size_t{19}, std::size_t{4096}, ~std::size_t{0}}) {
      if (take == 1 && all.size() > 1000) continue;
      Disk disk{.content = {}, .take = take};
      const Written w = disk.write(0, texts);
      EXPECT_TRUE(w.status.ok());
      EXPECT_EQ(w.bytes, all.size());
      EXPECT_EQ(disk.content, all);
    }
  }
}

TEST(PieceWriterTest, ShortPiecesShareACall) {
  Disk disk{.content = {}, .take = ~std::size_t{0}};
  ASSERT_TRUE(disk.write(0, pieces_of(std::vector<std::size_t>(300, 60))).status.ok());
  EXPECT_EQ(disk.calls, 1U);
  disk = {.content = {}, .take = ~std::size_t{0}};
  ASSERT_TRUE(disk.write(0, pieces_of({50, 10'000'000, 20})).status.ok());
  EXPECT_LE(disk.calls, 3U);
}

TEST(PieceWriterTest, AFailureTellsHowFarItGot) {
  const std::vector<std::string> texts = pieces_of({10, 20, 30});
  for (std::size_t room = 0; room < 60; ++room) {
    Disk disk{.content = "0123", .take = 7, .room = room + 4};
    const Written w = disk.write(4, texts);
    EXPECT_EQ(w.bytes, room);
    ASSERT_FALSE(w.status.ok());
    EXPECT_EQ(fault_of(w.status.error()), FileFault::no_room);
    EXPECT_EQ(w.status.error().offset, room + 4);
    EXPECT_EQ(disk.content, "0123" + joined(texts).substr(0, room));
  }
}

TEST(PieceWriterTest, ACallThatTakesNothingEndsIt) {
  Disk disk{.content = {}, .take = 0};
  const Written w = disk.write(0, {"abc"});
  EXPECT_EQ(w.bytes, 0U);
  EXPECT_EQ(fault_of(w.status.error()), FileFault::io);
}

TEST(PieceCursorTest, GivesAtMostSoManyRunsAndBytes) {
  const std::vector<std::string> texts = pieces_of({3, 0, 4, 5});
  std::vector<BytesView> pieces;
  for (const std::string& text : texts) pieces.push_back(view_of(text));
  PieceCursor cursor(pieces);
  const auto next = [&](std::size_t runs, std::size_t bytes) {
    std::string text;
    cursor.peek(runs, bytes, [&](BytesView run) { text += std::string(run.begin(), run.end()) + "|"; });
    return text;
  };
  EXPECT_EQ(next(9, 99), "aaa|cccc|ddddd|");
  EXPECT_EQ(next(2, 99), "aaa|cccc|");
  EXPECT_EQ(next(9, 5), "aaa|cc|");
  EXPECT_EQ(next(0, 9), "");
  cursor.skip(2);
  EXPECT_EQ(next(9, 3), "a|cc|");
  cursor.skip(1);
  EXPECT_EQ(next(1, 9), "cccc|");
  cursor.skip(9);
  EXPECT_EQ(next(9, 9), "");
}

}  // namespace
}  // namespace simdrive::store
