#include "rpc/frame_writer.hpp"

#include <gtest/gtest.h>

namespace simdrive::rpc {
namespace {

constexpr std::uint64_t kLen = static_cast<std::uint64_t>(Method::len);

Bytes payload_of(const std::vector<Bytes>& frames, Dialect dialect) {
  Bytes out;
  for (const Bytes& f : frames) out.insert(out.end(), f.begin() + static_cast<long>(header_size(dialect)), f.end());
  return out;
}

TEST(FrameWriter, SmallRequestIsTwoFrames) {
  const auto frames = encode_request_frames(Dialect::d13, 0, 1, static_cast<std::uint64_t>(Method::is_empty), {});
  const Bytes open = {0x0f, 0, 0, 0, 0,    0,    0,    0,    0,    0,    0,    0,    0, 0,
                      0x01, 0, 0, 0, 0x70, 0x07, 0x2d, 0x28, 0x9b, 0x5a, 0xe0, 0x34, 0, 0};
  const Bytes end = {0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2};
  EXPECT_EQ(frames, (std::vector<Bytes>{open, end}));
}

TEST(FrameWriter, ResponseCarriesItsStatusAsMetadata) {
  const auto frames = encode_response_frames(Dialect::d21, 0x80000001, 5, kLen, 2, Bytes{'n', 'o'}, 0x0102);
  ASSERT_EQ(frames.size(), 2U);
  const Bytes want = {0x12, 0, 0, 0, 0x01, 0, 0,    0x80, 0,    0,    0,    0,    0,    0x02, 0x01, 0, 0, 0,   0,  0,
                      0,    1, 5, 0, 0,    0, 0xe3, 0xe3, 0x96, 0x0e, 0x76, 0xbb, 0x1d, 0xa4, 0x01, 0, 2, 'n', 'o'};
  EXPECT_EQ(frames[0], want);
  EXPECT_EQ(frames[1].size(), header_size(Dialect::d21));
  EXPECT_EQ(load_frame_header(frames[1].data()).kind, static_cast<std::uint8_t>(Kind::end));
}

struct Size {
  std::size_t args;
  std::size_t frames;
  std::uint16_t meta_len;
};

class FrameWriterSizes : public testing::TestWithParam<Size> {};

TEST_P(FrameWriterSizes, PiecesAreFullButTheLast) {
  const auto [size, count, meta_len] = GetParam();
  Bytes args(size);
  for (std::size_t i = 0; i < size; ++i) args[i] = static_cast<std::uint8_t>(i * 31);
  for (const Dialect dialect : {Dialect::d13, Dialect::d21}) {
    const auto frames = encode_request_frames(dialect, 1, 2, kLen, args, 77);
    ASSERT_EQ(frames.size(), count);
    for (std::size_t i = 0; i < count; ++i) {
      const FrameHeader h = load_frame_header(frames[i].data());
      EXPECT_EQ(h.seq, i);
      EXPECT_EQ(h.stream_id, 1U);
      EXPECT_EQ(h.len + header_size(dialect), frames[i].size());
      const Kind kind = i == 0 ? Kind::open : i + 1 == count ? Kind::end : Kind::data;
      EXPECT_EQ(h.kind, static_cast<std::uint8_t>(kind));
      if (i + 2 < count) {
        EXPECT_EQ(h.len, kChunk);
      }
    }
    const Bytes message = payload_of(frames, dialect);
    EXPECT_EQ(load_rpc_header(message.data()).meta_len, meta_len);
    EXPECT_EQ(Bytes(message.begin() + kRpcHeader, message.end()), args);
  }
}

INSTANTIATE_TEST_SUITE_P(Borders, FrameWriterSizes,
                         testing::Values(Size{0, 2, 0}, Size{1, 2, 1}, Size{65521, 2, 65521}, Size{65522, 3, 65522},
                                         Size{65535, 3, 65535}, Size{65536, 3, 0}, Size{131057, 3, 0},
                                         Size{131058, 4, 0}));

}  // namespace
}  // namespace simdrive::rpc
