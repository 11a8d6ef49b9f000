#include "rpc/reply_writer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "rpc/frame_writer.hpp"

namespace simdrive::rpc {
namespace {

constexpr std::uint64_t kTime = 0x000660db00413bf4;

std::vector<Bytes> write(Dialect dialect, Status status, const Bytes& body) {
  std::vector<Bytes> out;
  BytesView left(body);
  ReplyWriter reply(dialect, reply_stream_id(dialect, 7), 9, 0x0102030405060708, status, body.size());
  while (!reply.done()) {
    const ReplyFrame frame = reply.next();
    EXPECT_LE(frame.size(), kReplyFrameMax);
    EXPECT_LE(frame.head, kReplyHeadMax);
    Bytes& bytes = out.emplace_back(frame.size());
    reply.store_head(bytes.data(), kTime);
    std::copy_n(left.begin(), frame.body, bytes.begin() + static_cast<std::ptrdiff_t>(frame.head));
    left = left.subspan(frame.body);
  }
  EXPECT_TRUE(left.empty());
  return out;
}

class ReplyWriterInBothDialects : public testing::TestWithParam<Dialect> {};

TEST_P(ReplyWriterInBothDialects, WritesTheFramesOfTheEncoder) {
  // Around where the first frame and the second are full.
  for (const std::size_t size : {0U, 1U, 100U, 65519U, 65520U, 65521U, 131055U, 131056U, 131057U, 327680U}) {
    Bytes body(size);
    for (std::size_t i = 0; i < size; ++i) body[i] = static_cast<std::uint8_t>(i * 31 + (i >> 8));
    for (const Status status : {Status::success, Status::system_error, Status::method_not_found}) {
      EXPECT_EQ(write(GetParam(), status, body),
                encode_response_frames(GetParam(), reply_stream_id(GetParam(), 7), 9, 0x0102030405060708,
                                       static_cast<std::uint8_t>(status), body, kTime))
          << size;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Dialects, ReplyWriterInBothDialects, testing::Values(Dialect::d13, Dialect::d21));

TEST(ReplyWriter, StreamIdsOfD13AreToldFromAClients) {
  EXPECT_EQ(reply_stream_id(Dialect::d13, 5), 0x80000005U);
  EXPECT_EQ(reply_stream_id(Dialect::d21, 5), 5U);
  EXPECT_TRUE(ReplyWriter().done());
}

}  // namespace
}  // namespace simdrive::rpc
