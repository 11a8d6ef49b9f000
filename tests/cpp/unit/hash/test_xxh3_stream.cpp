#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>

#include "generated_bytes.hpp"
#include "on_backend.hpp"
#include "simdrive/hash.hpp"

namespace simdrive {
namespace {

using test::generated_bytes;

using Xxh3StreamOnBackend = test::OnBackend;
SIMDRIVE_ON_EVERY_BACKEND(Xxh3StreamOnBackend);

TEST_P(Xxh3StreamOnBackend, EverySplitInTwoGivesTheOneShotHash) {
  const Bytes data = generated_bytes(42, 1400);
  for (const std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{0x123456789abcdefU}}) {
    for (const std::size_t size : {1U, 64U, 240U, 241U, 255U, 256U, 257U, 320U, 513U, 1024U, 1025U, 1400U}) {
      const BytesView whole = BytesView(data).first(size);
      const std::uint64_t expected = xxh3_64(whole, seed);
      for (std::size_t cut = 0; cut <= size; ++cut) {
        Xxh3Stream stream(seed);
        stream.update(whole.first(cut));
        EXPECT_EQ(stream.digest(), xxh3_64(whole.first(cut), seed));
        stream.update(whole.subspan(cut));
        ASSERT_EQ(stream.digest(), expected) << "size " << size << " cut " << cut;
        ASSERT_EQ(stream.size(), size);
      }
    }
  }
}

TEST_P(Xxh3StreamOnBackend, PiecesOfOneSize) {
  const Bytes data = generated_bytes(9, 20000);
  const std::uint64_t expected = xxh3_64(data, 5);
  for (std::size_t piece = 1; piece < 1100; piece = piece < 70 ? piece + 1 : piece + 37) {
    Xxh3Stream stream(5);
    for (std::size_t at = 0; at < data.size(); at += piece) {
      stream.update(BytesView(data).subspan(at, std::min(piece, data.size() - at)));
    }
    ASSERT_EQ(stream.digest(), expected) << "piece " << piece;
  }
}

TEST_P(Xxh3StreamOnBackend, ByteByByteIsRightAtEveryLength) {
  const Bytes data = generated_bytes(10, 2200);
  Xxh3Stream stream;
  EXPECT_EQ(stream.digest(), xxh3_64({}));
  for (std::size_t i = 0; i < data.size(); ++i) {
    stream.update(BytesView(data).subspan(i, 1));
    ASSERT_EQ(stream.digest(), xxh3_64(BytesView(data).first(i + 1))) << "length " << i + 1;
  }
}

TEST(Xxh3Stream, CopyGoesOnByItself) {
  const Bytes data = generated_bytes(1, 3000);
  Xxh3Stream stream(8);
  stream.update(BytesView(data).first(1000));
  Xxh3Stream copy = stream;
  copy.update(BytesView(data).subspan(1000));
  EXPECT_EQ(stream.digest(), xxh3_64(BytesView(data).first(1000), 8));
  EXPECT_EQ(copy.digest(), xxh3_64(data, 8));
}

TEST(Xxh3Stream, ResetKeepsTheSeed) {
  const Bytes data = generated_bytes(2, 700);
  Xxh3Stream stream(6);
  stream.update(data);
  stream.reset();
  EXPECT_EQ(stream.seed(), 6U);
  EXPECT_EQ(stream.size(), 0U);
  EXPECT_EQ(stream.digest(), xxh3_64({}, 6));
  stream.update({});
  stream.update(data);
  EXPECT_EQ(stream.digest(), xxh3_64(data, 6));
}

}  // namespace
}  // namespace simdrive
