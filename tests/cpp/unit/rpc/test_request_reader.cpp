#include "rpc/request_reader.hpp"

#include <gtest/gtest.h>

#include <optional>

#include "base/growing_buffer.hpp"
#include "base/reaper.hpp"
#include "request_reading.hpp"
#include "rpc/dialect.hpp"
#include "rpc/frame_writer.hpp"

namespace simdrive::rpc {
namespace {

constexpr std::uint64_t kRead = static_cast<std::uint64_t>(Method::read);
constexpr std::size_t kWhole = ~std::size_t{0};

Bytes pattern(std::size_t n, std::uint32_t seed = 1) {
  Bytes out(n);
  for (std::uint8_t& b : out) b = static_cast<std::uint8_t>((seed = seed * 1664525U + 1013904223U) >> 24);
  return out;
}

class Reading {
 public:
  explicit Reading(Dialect dialect = Dialect::d13, const RequestLimits& limits = {}, std::size_t scratch = 65536)
      : scratch_(scratch), reader_(dialect, limits, scratch_) {}

  Reading& pour(BytesView in, std::size_t piece = kWhole) {
    if (const Fault* f = rpc::pour(reader_, scratch_, in, piece, sink_)) fault_ = *f;
    return *this;
  }
  Reading& feed(BytesView in) {
    if (const Fault* f = reader_.feed(in, sink_)) fault_ = *f;
    return *this;
  }
  [[nodiscard]] const std::vector<Got>& got() const { return sink_.got; }
  [[nodiscard]] RememberingSink& sink() { return sink_; }
  [[nodiscard]] RequestReader& reader() { return reader_; }
  [[nodiscard]] BytesView scratch() const { return scratch_; }
  /// 0: none.
  [[nodiscard]] unsigned code() const { return fault_ ? fault_->close_code : 0; }
  [[nodiscard]] std::string_view reason() const { return fault_ ? fault_->reason : std::string_view(); }
  [[nodiscard]] std::uint64_t offset() const { return fault_ ? fault_->offset : 0; }
  void expect_idle() {
    EXPECT_EQ(code(), 0U) << reason();
    EXPECT_EQ(reader_.unfinished_bytes(), 0U);
    EXPECT_EQ(reader_.open_streams(), 0U);
  }

 private:
  Bytes scratch_;
  RememberingSink sink_;
  RequestReader reader_;
  std::optional<Fault> fault_;
};

// D13, where the dialect makes no difference.
Bytes frame(std::uint32_t stream, std::uint32_t seq, std::uint8_t kind, const Bytes& payload = {}) {
  return frame_of(Dialect::d13, stream, seq, kind, payload);
}

class RequestReaderInBothDialects : public testing::TestWithParam<Dialect> {};

TEST_P(RequestReaderInBothDialects, TakesTheProbeAsOneRequestOfMethodZero) {
  for (std::size_t piece = 1; piece <= kProbe.size(); ++piece) {
    Reading r(GetParam());
    r.pour(kProbe, piece);
    ASSERT_EQ(r.got().size(), 1U);
    EXPECT_EQ(r.got()[0], (Got{0, 0, r.got()[0].args, ""}));
    EXPECT_EQ(r.got()[0].args.size(), 8U);
    r.expect_idle();
  }
}

TEST_P(RequestReaderInBothDialects, ReadsWhatRealClientsSendWhateverTheSizeAndTheSplit) {
  for (const std::size_t size : {0U, 1U, 100U, 4096U, 65505U, 65521U, 65522U, 65535U, 65536U, 131056U, 327680U}) {
    const Bytes args = pattern(size);
    const auto frames = encode_request_frames(GetParam(), 7, 9, kRead, args);
    const Bytes all = joined(frames);
    for (const std::size_t piece : {std::size_t{1}, std::size_t{13}, std::size_t{4099}, kWhole}) {
      for (const std::size_t scratch : {4096U, 65536U, 1U << 20}) {
        Reading r(GetParam(), {}, scratch);
        r.pour(all, piece);
        ASSERT_EQ(r.got().size(), 1U) << size << ' ' << piece;
        EXPECT_EQ(r.got()[0], (Got{9, kRead, args, ""})) << size << ' ' << piece << ' ' << scratch;
        r.expect_idle();
      }
    }
    Reading by_frame(GetParam());
    for (const Bytes& f : frames) by_frame.pour(f);
    Reading fed(GetParam());
    fed.feed(all);
    EXPECT_EQ(by_frame.got(), (std::vector<Got>{{9, kRead, args, ""}}));
    EXPECT_EQ(fed.got(), by_frame.got());
  }
}

TEST_P(RequestReaderInBothDialects, EverySplitInTwoGivesTheSame) {
  Bytes all;
  std::vector<Got> want;
  for (std::uint32_t i = 0; i < 4; ++i) {
    const Bytes args = pattern(i * 30, i + 1);
    const Bytes one = joined(encode_request_frames(GetParam(), i, 100 + i, kRead, args));
    all.insert(all.end(), one.begin(), one.end());
    want.push_back({100 + i, kRead, args, ""});
  }
  for (std::size_t at = 0; at <= all.size(); ++at) {
    Reading r(GetParam());
    r.pour(BytesView(all).first(at));
    if (at % 2 == 0) {
      r.pour(BytesView(all).subspan(at));
    } else {
      r.feed(BytesView(all).subspan(at));
    }
    EXPECT_EQ(r.got(), want) << at;
    r.expect_idle();
  }
}

TEST_P(RequestReaderInBothDialects, BothPlacesOfArgumentsServeAnySize) {
  for (const std::size_t size : {1U, 40U, 65535U}) {
    const Bytes args = pattern(size);
    const Bytes end = frame_of(GetParam(), 3, 1, 2, {});
    for (const bool in_metadata : {true, false}) {
      const Bytes message = in_metadata ? call_of(5, kRead, args) : call_of(5, kRead, {}, args);
      Reading r(GetParam());
      r.pour(joined({frame_of(GetParam(), 3, 0, 0, message), end}));
      EXPECT_EQ(r.got(), (std::vector<Got>{{5, kRead, args, ""}}));
      r.expect_idle();
    }
  }
}

TEST_P(RequestReaderInBothDialects, PayloadWinsOverMetadataHoweverTheyAreCut) {
  const Bytes message = call_of(5, kRead, pattern(50, 1), pattern(70, 2));
  for (std::size_t first = 0; first <= message.size(); ++first) {
    for (std::size_t second = first; second <= message.size(); second += 7) {
      const BytesView m(message);
      const Bytes all = joined({frame_of(GetParam(), 3, 0, 0, m.first(first)),
                                frame_of(GetParam(), 3, 1, 4, m.subspan(first, second - first)),
                                frame_of(GetParam(), 3, 2, 5, m.subspan(second)), frame_of(GetParam(), 3, 3, 2, {})});
      Reading r(GetParam());
      r.pour(all, first % 2 == 0 ? kWhole : 11);
      EXPECT_EQ(r.got(), (std::vector<Got>{{5, kRead, pattern(70, 2), ""}})) << first << ' ' << second;
      r.expect_idle();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Dialects, RequestReaderInBothDialects, testing::Values(Dialect::d13, Dialect::d21));

TEST(RequestReader, SmallWholeRequestsAreSeenWhereTheyWereReceived) {
  Reading r;
  r.pour(joined(encode_request_frames(Dialect::d13, 1, 2, kRead, pattern(1000))));
  ASSERT_EQ(r.sink().views.size(), 1U);
  const BytesView view = r.sink().views[0];
  EXPECT_GE(view.data(), r.scratch().data());
  EXPECT_LE(view.data() + view.size(), r.scratch().data() + r.scratch().size());
}

TEST(RequestReader, SmallRequestsInTwoMessagesUseTheSameMemory) {
  Reading r;
  r.sink().takes_owners = true;
  for (std::uint32_t i = 0; i < 10; ++i) {
    for (const Bytes& f : encode_request_frames(Dialect::d13, i, i, kRead, pattern(9000))) r.pour(f);
  }
  ASSERT_EQ(r.sink().views.size(), 10U);
  EXPECT_TRUE(r.sink().owners.empty());
  for (const BytesView view : r.sink().views) EXPECT_EQ(view.data(), r.sink().views[0].data());
}

TEST(RequestReader, LongArgumentsAreHandedOverWithTheirMemory) {
  const Bytes args = pattern(3'000'000);
  Reading r;
  r.sink().takes_owners = true;
  for (std::uint32_t i = 0; i < 2; ++i) {
    for (const Bytes& f : encode_request_frames(Dialect::d13, i, i, kRead, args)) r.pour(f);
  }
  ASSERT_EQ(r.sink().owners.size(), 2U);
  for (const BytesView view : r.sink().views) EXPECT_TRUE(std::ranges::equal(view, args));
  EXPECT_NE(r.sink().views[0].data(), r.sink().views[1].data());
  r.expect_idle();
}

TEST(RequestReader, LongRequestIsReceivedIntoItsOwnMemory) {
  const Bytes args = pattern(2'000'000);
  Bytes scratch(65536);
  RequestReader reader(Dialect::d13, {}, scratch);
  RememberingSink sink;
  std::size_t copied = 0;
  for (const Bytes& f : encode_request_frames(Dialect::d13, 1, 2, kRead, args)) {
    BytesView in(f);
    while (!in.empty()) {
      const MutableBytes to = reader.need();
      const std::size_t n = std::min(to.size(), in.size());
      if (to.data() == scratch.data()) copied += n;
      std::memcpy(to.data(), in.data(), n);
      in = in.subspan(n);
      ASSERT_EQ(reader.commit(n, sink), nullptr);
    }
  }
  ASSERT_EQ(sink.got.size(), 1U);
  EXPECT_EQ(sink.got[0].args, args);
  EXPECT_LT(copied, 65536 + 65536 + args.size() / 16);
}

TEST(RequestReader, RoomGrowsWithWhatCameAndNotWithWhatIsAnnounced) {
  RequestLimits limits;
  limits.max_frame = std::uint64_t{1} << 31;
  limits.max_request = limits.max_unfinished = std::uint64_t{1} << 32;
  Bytes scratch(4096);
  RequestReader reader(Dialect::d13, limits, scratch);
  RememberingSink sink;
  Bytes head = frame_of(Dialect::d13, 1, 0, 0, call_of(2, kRead, {}));
  store_le<std::uint32_t>(head.data(), 1U << 31);
  ASSERT_EQ(reader.feed(head, sink), nullptr);
  std::size_t came = 0;
  while (came < (std::size_t{20} << 20)) {
    const MutableBytes to = reader.need();
    ASSERT_FALSE(to.empty());
    // Twice as much, or memory of an earlier request that was lent instead.
    const std::size_t times = came < GrowingBuffer::kPages / 4 ? 2 : 2 * Reaper::kLendTimes;
    EXPECT_LE(to.size(), std::max<std::size_t>(came, 16384) * times) << came;
    const std::size_t n = std::min<std::size_t>(to.size(), 50'000);
    std::memset(to.data(), 7, n);
    came += n;
    ASSERT_EQ(reader.commit(n, sink), nullptr);
    EXPECT_EQ(reader.unfinished_bytes(), came);
  }
}

TEST(RequestReader, InterleavedStreamsEndInTheOrderOfTheirEnds) {
  const Bytes a = pattern(90'000, 1);
  const Bytes b = pattern(70'000, 2);
  const auto fa = encode_request_frames(Dialect::d13, 1, 11, kRead, a);
  const auto fb = encode_request_frames(Dialect::d13, 0x80000002, 11, kRead + 1, b);  // one id, two requests
  Bytes all;
  for (std::size_t i = 0; i < fa.size(); ++i) {
    if (i + 1 < fa.size()) all = joined({all, fa[i]});
    all = joined({all, fb[i]});
  }
  all = joined({all, fa.back()});
  for (const std::size_t piece : {std::size_t{1}, std::size_t{1000}, kWhole}) {
    Reading r;
    r.pour(all, piece);
    EXPECT_EQ(r.got(), (std::vector<Got>{{11, kRead + 1, b, ""}, {11, kRead, a, ""}}));
    r.expect_idle();
  }
}

TEST(RequestReader, FramesOutOfOrderArePutInOrder) {
  const Bytes m = call_of(5, kRead, {}, Bytes{1, 2, 3});
  const BytesView v(m);
  Reading r;
  r.pour(frame(8, 2, 2)).pour(frame_of(Dialect::d13, 8, 1, 1, v.subspan(15)));
  EXPECT_EQ(r.reader().unfinished_bytes(), 3U);
  EXPECT_EQ(r.reader().open_streams(), 1U);
  r.pour(frame_of(Dialect::d13, 8, 1, 1, v.subspan(16)));  // takes the other's place
  EXPECT_EQ(r.reader().unfinished_bytes(), 2U);
  r.pour(frame_of(Dialect::d13, 8, 0, 0, v.first(15)));
  EXPECT_EQ(r.got(), (std::vector<Got>{{5, kRead, Bytes{2, 3}, ""}}));
  r.expect_idle();
}

TEST(RequestReader, TooMuchOutOfOrderIsAFault) {
  RequestLimits limits;
  limits.max_early_bytes = 1000;
  Reading r(Dialect::d13, limits);
  r.pour(frame(8, 2, 1, Bytes(436))).pour(frame(8, 1, 1, Bytes(436)));
  EXPECT_EQ(r.code(), 0U);
  r.pour(frame(9, 5, 1));
  EXPECT_EQ(r.code(), 1002U);
  EXPECT_EQ(r.offset(), 2U * (13 + 436));
  // The announced length is enough.
  Reading s(Dialect::d13, limits);
  s.pour(BytesView(frame(8, 2, 1, Bytes(937))).first(13));
  EXPECT_EQ(s.code(), 1002U);
}

TEST(RequestReader, FaultsSayWhatAndWhere) {
  const auto expect = [](const Bytes& bad, unsigned code, std::string_view reason) {
    const Bytes before = joined(encode_request_frames(Dialect::d13, 1, 2, kRead, {}));
    for (const std::size_t piece : {std::size_t{1}, kWhole}) {
      Reading r;
      r.pour(joined({before, bad}), piece);
      EXPECT_EQ(r.code(), code);
      EXPECT_EQ(r.reason(), reason);
      EXPECT_LE(r.reason().size(), 123U);
      EXPECT_EQ(r.got().size(), 1U);
      const std::uint64_t offset = r.offset();
      EXPECT_GE(offset, before.size());
      r.feed(before);  // final
      EXPECT_EQ(r.code(), code);
      EXPECT_EQ(r.offset(), offset);
      EXPECT_EQ(r.got().size(), 1U);
      EXPECT_FALSE(r.reader().need().empty());
    }
  };
  expect(frame(4, 0, 6), 1002, "a frame of unknown kind");
  expect(frame(4, 0, 0, call_of(1, kRead, {}, {}, 3)), 1002, "a message of unknown type");
  expect(frame(4, 0, 2), 1002, "a request that ends within its header");
  expect(joined({frame(4, 0, 0, Bytes(14)), frame(4, 1, 2)}), 1002, "a request that ends within its header");
  Bytes short_meta = call_of(1, kRead, Bytes(20));
  short_meta.pop_back();
  expect(joined({frame(4, 0, 0, short_meta), frame(4, 1, 2)}), 1002, "a request that ends within its header");
  expect(joined({frame(4, 0, 0, call_of(1, kRead, {})), frame(4, 0, 1)}), 1002,
         "a frame whose sequence number was there before");
  expect(joined({frame(4, 2, 1), frame(4, 0, 0, call_of(1, kRead, {})), frame(4, 1, 2)}), 1002,
         "a frame behind the End of its stream");
  Bytes long_frame(13);
  store_frame_header(long_frame.data(), Dialect::d13, (16U << 20) + 1, 4, 0, Kind::open, 0);
  expect(long_frame, 1009, "a frame longer than the limit");
}

TEST(RequestReader, EveryMessageTypeUpToTwoIsARequest) {
  for (std::uint8_t type = 0; type <= kMessageTypeMax; ++type) {
    Reading r;
    r.pour(joined({frame(4, 0, 1, call_of(1, kRead, Bytes{9}, {}, type)), frame(4, 1, 2)}));
    EXPECT_EQ(r.got(), (std::vector<Got>{{1, kRead, Bytes{9}, ""}}));
  }
}

TEST(RequestReader, CancelGivesARequestUpInSilence) {
  const Bytes cancel = frame(4, 77, 3, Bytes(5));
  for (const Bytes& begun : {Bytes(), frame(4, 0, 0, Bytes(3)), frame(4, 0, 0, call_of(1, kRead, {}, Bytes(100))),
                             frame(4, 3, 1, Bytes(50))}) {
    for (const std::size_t piece : {std::size_t{1}, kWhole}) {
      Reading r;
      r.pour(joined({begun, cancel}), piece);
      EXPECT_TRUE(r.got().empty());
      r.expect_idle();
      r.pour(joined(encode_request_frames(Dialect::d13, 4, 6, kRead, Bytes{1})));
      EXPECT_EQ(r.got(), (std::vector<Got>{{6, kRead, Bytes{1}, ""}}));
    }
  }
}

TEST(RequestReader, BytesOfAnEndAreDroppedOrTheRequestIsRefused) {
  Reading dropped;
  dropped.pour(joined({frame(4, 0, 0, call_of(1, kRead, Bytes{9})), frame(4, 1, 2, Bytes(40))}));
  EXPECT_EQ(dropped.got(), (std::vector<Got>{{1, kRead, Bytes{9}, ""}}));
  dropped.expect_idle();

  const Bytes whole = call_of(1, kRead, Bytes{9}, Bytes{8});
  for (const Bytes& all : {frame(4, 0, 2, whole),
                           joined({frame(4, 0, 0, Bytes(whole.begin(), whole.begin() + 15)),
                                   frame(4, 1, 2, Bytes(whole.begin() + 15, whole.end()))}),
                           joined({frame(4, 0, 0, call_of(1, kRead, {})), frame(4, 1, 2, Bytes(3))})}) {
    for (const std::size_t piece : {std::size_t{1}, kWhole}) {
      Reading r;
      r.pour(all, piece);
      ASSERT_EQ(r.got().size(), 1U);
      EXPECT_EQ(r.got()[0].request_id, 1U);
      EXPECT_EQ(r.got()[0].method_id, kRead);
      EXPECT_TRUE(r.got()[0].args.empty());
      EXPECT_NE(r.got()[0].refused.find("the frame that ends"), std::string::npos);
      r.expect_idle();
    }
  }
}

TEST(RequestReader, TooLongARequestIsRefusedOnceAndItsRestDropped) {
  RequestLimits limits;
  limits.max_request = 20'000;
  for (const std::size_t piece : {std::size_t{1}, std::size_t{5000}, kWhole}) {
    Reading r(Dialect::d13, limits);
    const Bytes longest = pattern(20'000);
    r.pour(joined(encode_request_frames(Dialect::d13, 1, 2, kRead, longest)), piece);
    EXPECT_EQ(r.got(), (std::vector<Got>{{2, kRead, longest, ""}}));

    r.pour(frame(3, 0, 0, call_of(4, kRead, {}, Bytes(20'001))), piece);
    ASSERT_EQ(r.got().size(), 2U);
    EXPECT_EQ(r.got()[1].request_id, 4U);
    EXPECT_NE(r.got()[1].refused.find("longer than"), std::string::npos);
    EXPECT_EQ(r.reader().unfinished_bytes(), 0U);
    EXPECT_EQ(r.reader().open_streams(), 1U);
    for (std::uint32_t seq = 1; seq < 5; ++seq) r.pour(frame(3, seq, 1, Bytes(50'000)), piece);
    EXPECT_EQ(r.reader().unfinished_bytes(), 0U);
    r.pour(frame(3, 5, 2));
    EXPECT_EQ(r.got().size(), 2U);
    r.expect_idle();
  }
}

TEST(RequestReader, TooManyOpenStreamsAreAFault) {
  RequestLimits limits;
  limits.max_streams = 8;
  Reading r(Dialect::d13, limits);
  for (std::uint32_t i = 0; i < 8; ++i) r.pour(frame(100 - i, i % 2, 0, call_of(i, kRead, {})));
  EXPECT_EQ(r.code(), 0U);
  EXPECT_EQ(r.reader().open_streams(), 8U);
  r.pour(frame(99, 0, 3));
  r.pour(frame(1, 0, 0, call_of(9, kRead, {})));
  EXPECT_EQ(r.code(), 0U);
  r.pour(frame(2, 0, 0));
  EXPECT_EQ(r.code(), 1008U);
}

TEST(RequestReader, TooManyUnfinishedBytesAreAFault) {
  RequestLimits limits;
  limits.max_unfinished = 30'000;
  for (const std::size_t piece : {std::size_t{1}, std::size_t{5000}, kWhole}) {
    Reading r(Dialect::d13, limits);
    r.pour(frame(1, 0, 0, call_of(1, kRead, {}, Bytes(15'000))), piece);
    r.pour(frame(2, 3, 1, Bytes(10'000)), piece);
    r.pour(frame(3, 0, 0, call_of(1, kRead, {}, Bytes(5'000))), piece);
    EXPECT_EQ(r.code(), 0U);
    EXPECT_EQ(r.reader().unfinished_bytes(), 30'000U);
    r.pour(frame(3, 1, 1, Bytes(1)), piece);
    EXPECT_EQ(r.code(), 1013U);
  }
}

TEST(RequestReader, OfTwoLimitsTheOneCountsThatByteAfterByteReachesFirst) {
  RequestLimits limits;
  limits.max_request = 3000;
  limits.max_unfinished = 5000;
  for (const std::size_t piece : {std::size_t{1}, kWhole}) {
    Reading closed(Dialect::d13, limits);
    closed.pour(frame(1, 0, 0, call_of(1, kRead, {}, Bytes(2001))), piece);
    closed.pour(frame(2, 0, 0, call_of(2, kRead, {}, Bytes(3001))), piece);
    EXPECT_EQ(closed.code(), 1013U);
    EXPECT_TRUE(closed.got().empty());

    Reading refused(Dialect::d13, limits);
    refused.pour(frame(1, 0, 0, call_of(1, kRead, {}, Bytes(2000))), piece);
    refused.pour(frame(2, 0, 0, call_of(2, kRead, {}, Bytes(3001))), piece);
    EXPECT_EQ(refused.code(), 0U);
    EXPECT_EQ(refused.got().size(), 1U);
    EXPECT_EQ(refused.reader().unfinished_bytes(), 2000U);
  }
}

TEST(RequestReader, EmptyFramesEndTheConnection) {
  // 16 MiB of them would take more than a million: the reader does not even look at most.
  Bytes all;
  while (all.size() < (std::size_t{16} << 20)) {
    const Bytes one = frame(1, static_cast<std::uint32_t>(all.size() / 13), 1);
    all.insert(all.end(), one.begin(), one.end());
  }
  Reading r;
  r.pour(all);
  EXPECT_EQ(r.code(), 1008U);
  EXPECT_EQ(r.offset(), std::uint64_t{100'000} * 13);
}

TEST(RequestReader, AnsweredRequestsAndLongFramesKeepAConnectionFromBeingIdle) {
  RequestLimits limits;
  limits.max_idle_frames = 4;
  Reading r(Dialect::d13, limits);
  for (std::uint32_t i = 0; i < 10; ++i) r.pour(joined(encode_request_frames(Dialect::d13, i, i, kRead, {})));
  r.pour(frame(50, 0, 0, call_of(1, kRead, {})));
  for (std::uint32_t i = 1; i < 20; ++i) r.pour(frame(50, i, 1, Bytes(1024)));
  EXPECT_EQ(r.code(), 0U);
  for (std::uint32_t i = 20; i < 24; ++i) r.pour(frame(50, i, 1));
  EXPECT_EQ(r.code(), 1008U);
}

}  // namespace
}  // namespace simdrive::rpc
