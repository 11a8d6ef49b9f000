#include "rpc/dialect.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "rpc/frame_writer.hpp"
#include "rpc/reassembler.hpp"

namespace simdrive::rpc {
namespace {

constexpr std::uint64_t kUnknownMethod = 0x1122334455667788;
constexpr std::uint64_t kTime = 0x000660db00413bf4;

Bytes join(const std::vector<Bytes>& parts) {
  Bytes out;
  for (const Bytes& part : parts) out.insert(out.end(), part.begin(), part.end());
  return out;
}

std::optional<Dialect> detect(BytesView first_message) {
  DialectDetector detector;
  auto r = detector.feed(first_message);
  return r.ok() ? *r : std::nullopt;
}

class DialectTest : public testing::TestWithParam<Dialect> {};

TEST_P(DialectTest, ProbeIsReadToItsEnd) {
  Reassembler r(GetParam());
  auto events = r.feed(kProbe);
  ASSERT_TRUE(events.ok());
  ASSERT_EQ(events->size(), 3U);
  EXPECT_EQ((*events)[0].kind, Event::Kind::header);
  EXPECT_EQ((*events)[0].method_id, 0U);
  EXPECT_EQ((*events)[1].bytes.size(), 8U);
  EXPECT_EQ((*events)[2].kind, Event::Kind::end);
  EXPECT_EQ(r.buffered(), 0U);
  EXPECT_EQ(r.open_streams(), 0U);
}

TEST_P(DialectTest, AnswerIsJudgedAloneAndJoinedWithItsEnd) {
  const auto frames = encode_response_frames(GetParam(), 0x800000ee, 0, 0, 3, {}, kTime);
  EXPECT_EQ(judge_probe_answer(frames[0]), GetParam());
  EXPECT_EQ(judge_probe_answer(join(frames)), GetParam());
}

TEST_P(DialectTest, FirstFramesOfRequestsAreRecognised) {
  for (const std::uint64_t method : {static_cast<std::uint64_t>(Method::write), kUnknownMethod}) {
    for (const std::size_t size : {0U, 1U, 100U, 65521U, 65535U, 65536U, 327680U}) {
      const auto frames = encode_request_frames(GetParam(), 0, 1, method, Bytes(size, 7), kTime);
      EXPECT_EQ(detect(frames[0]), GetParam()) << size;
      EXPECT_EQ(detect(join(frames)), GetParam()) << size;
    }
  }
}

TEST_P(DialectTest, RequestInSingleBytesIsRecognisedAndKept) {
  const Bytes all = join(encode_request_frames(GetParam(), 0, 1, static_cast<std::uint64_t>(Method::len), {}, kTime));
  DialectDetector detector;
  ASSERT_TRUE(detector.feed({}).ok());
  std::optional<Dialect> found;
  std::size_t fed = 0;
  while (!found && fed < all.size()) {
    auto r = detector.feed(BytesView(all).subspan(fed++, 1));
    ASSERT_TRUE(r.ok());
    found = *r;
  }
  EXPECT_EQ(found, GetParam());
  EXPECT_EQ(Bytes(detector.collected().begin(), detector.collected().end()),
            Bytes(all.begin(), all.begin() + static_cast<long>(fed)));
}

TEST_P(DialectTest, LaterFrameDecidesAfterOneOfInvalidKind) {
  auto frames = encode_request_frames(GetParam(), 0, 1, static_cast<std::uint64_t>(Method::len), {}, kTime);
  Bytes bad(header_size(GetParam()));
  store_frame_header(bad.data(), GetParam(), 0, 9, 0, static_cast<Kind>(6), kTime);
  DialectDetector detector;
  auto first = detector.feed(bad);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(*first, std::nullopt);
  auto second = detector.feed(frames[0]);
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(*second, GetParam());
}

TEST_P(DialectTest, ProbeIsAnsweredInThePreferredDialect) {
  DialectDetector detector(GetParam());
  auto r = detector.feed(kProbe);
  ASSERT_TRUE(r.ok());
  EXPECT_EQ(*r, GetParam());
}

INSTANTIATE_TEST_SUITE_P(Both, DialectTest, testing::Values(Dialect::d13, Dialect::d21));

TEST(Dialect, NonsenseIsNoAnswer) {
  EXPECT_EQ(judge_probe_answer({}), std::nullopt);
  EXPECT_EQ(judge_probe_answer(Bytes(12)), std::nullopt);
  EXPECT_EQ(judge_probe_answer(Bytes(40)), std::nullopt);
  EXPECT_EQ(judge_probe_answer(Bytes(40, 0xff)), std::nullopt);
}

TEST(Dialect, UnknowableStreamIsGivenUpAtTheCap) {
  DialectDetector detector;
  const Bytes piece(1024, 0xff);
  std::size_t fed = 0;
  for (;;) {
    auto r = detector.feed(piece);
    fed += piece.size();
    if (!r.ok()) {
      EXPECT_EQ(r.error().code, Errc::protocol_error);
      break;
    }
    ASSERT_EQ(*r, std::nullopt);
    ASSERT_LE(fed, DialectDetector::kCap);
  }
  EXPECT_EQ(fed, DialectDetector::kCap + piece.size());
}

}  // namespace
}  // namespace simdrive::rpc
