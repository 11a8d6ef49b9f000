#include "rpc/dialect.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>
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

// Waiting for more would leave the peer without an answer, which is the same in both dialects.
TEST_P(DialectTest, FirstFrameOfUnknownKindIsForAReaderAtOnce) {
  Bytes bad(header_size(GetParam()));
  store_frame_header(bad.data(), GetParam(), 0, 9, 0, static_cast<Kind>(6), kTime);
  const std::size_t kind_at = 12;
  for (const bool message_done : {false, true}) {
    DialectDetector detector(GetParam());
    auto early = detector.feed(BytesView(bad).first(kind_at), false);
    ASSERT_TRUE(early.ok());
    EXPECT_EQ(*early, std::nullopt);
    auto found = detector.feed(BytesView(bad).subspan(kind_at, 1), message_done);
    ASSERT_TRUE(found.ok());
    EXPECT_EQ(*found, Dialect::d13);
    EXPECT_EQ(detector.collected().size(), kind_at + 1);
  }
}

TEST_P(DialectTest, ProbeIsAnsweredInThePreferredDialect) {
  DialectDetector detector(GetParam());
  auto r = detector.feed(kProbe);
  ASSERT_TRUE(r.ok());
  EXPECT_EQ(*r, GetParam());
}

// What a detector makes of a first message that comes in pieces, and of how many bytes it did.
std::pair<std::optional<Dialect>, std::size_t> detect_in_pieces(BytesView message, std::size_t piece) {
  DialectDetector detector;
  for (std::size_t at = 0; at < message.size();) {
    const std::size_t n = std::min(piece, message.size() - at);
    at += n;
    auto r = detector.feed(message.subspan(at - n, n), at == message.size());
    if (!r.ok()) return {std::nullopt, at};
    if (*r) return {*r, at};
  }
  return {std::nullopt, message.size()};
}

TEST_P(DialectTest, PiecesOfAMessageGiveWhatTheWholeGives) {
  for (const std::uint64_t method : {static_cast<std::uint64_t>(Method::write), kUnknownMethod}) {
    for (const std::size_t size : {0U, 1U, 100U, 65521U, 65535U, 65536U, 327680U}) {
      const auto frames = encode_request_frames(GetParam(), 0, 1, method, Bytes(size, 7), kTime);
      for (const std::size_t piece : {std::size_t{1}, std::size_t{13}, std::size_t{4096}}) {
        const auto [found, used] = detect_in_pieces(frames[0], piece);
        EXPECT_EQ(found, GetParam()) << size << ' ' << piece;
        // A known method tells as soon as it is there, an unknown one only with the end of the message.
        const std::size_t told = method == kUnknownMethod ? frames[0].size() : header_size(GetParam()) + 13;
        EXPECT_EQ(used, std::min((told + piece - 1) / piece * piece, frames[0].size())) << size << ' ' << piece;
      }
    }
  }
}

TEST_P(DialectTest, EndOfTheFirstMessageMayComeWithoutBytes) {
  const auto frames = encode_request_frames(GetParam(), 0, 1, kUnknownMethod, Bytes(9, 7), kTime);
  DialectDetector detector;
  EXPECT_EQ(*detector.feed({}, true), std::nullopt);  // an empty message is not the first
  EXPECT_EQ(*detector.feed(frames[0], false), std::nullopt);
  EXPECT_EQ(*detector.feed({}, true), GetParam());
}

TEST_P(DialectTest, ProbeInSingleBytesIsRecognised) {
  DialectDetector detector(GetParam());
  for (std::size_t i = 0; i < kProbe.size(); ++i) {
    const bool last = i + 1 == kProbe.size();
    auto r = detector.feed(BytesView(kProbe).subspan(i, 1), last);
    ASSERT_TRUE(r.ok());
    EXPECT_EQ(*r, last ? std::optional(GetParam()) : std::nullopt);
  }
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
  const Bytes piece(1024, 0x01);  // a long frame of a known kind, in either dialect
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

  DialectDetector endless;
  std::size_t taken = 0;
  while (endless.feed(BytesView(piece).first(1), false).ok()) ++taken;
  EXPECT_EQ(taken, DialectDetector::kCap + kFrameHeaderMax);
}

}  // namespace
}  // namespace simdrive::rpc
