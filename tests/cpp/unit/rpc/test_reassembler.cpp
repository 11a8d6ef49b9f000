#include "rpc/reassembler.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "rpc/frame_writer.hpp"
#include "rpc/request_table.hpp"

namespace simdrive::rpc {
namespace {

constexpr std::uint64_t kRead = static_cast<std::uint64_t>(Method::read);
constexpr std::uint64_t kLen = static_cast<std::uint64_t>(Method::len);

Bytes frame(std::uint32_t stream, std::uint32_t seq, std::uint8_t kind, const Bytes& payload,
            Dialect dialect = Dialect::d13) {
  Bytes out(header_size(dialect));
  store_frame_header(out.data(), dialect, static_cast<std::uint32_t>(payload.size()), stream, seq,
                     static_cast<Kind>(kind), 0);
  out.insert(out.end(), payload.begin(), payload.end());
  return out;
}

Bytes call(std::uint32_t request_id, std::uint64_t method_id, const Bytes& meta, const Bytes& payload = {},
           std::uint8_t type = 0) {
  Bytes out(kRpcHeader);
  store_rpc_header(out.data(), static_cast<MessageType>(type), request_id, method_id,
                   static_cast<std::uint16_t>(meta.size()));
  out.insert(out.end(), meta.begin(), meta.end());
  out.insert(out.end(), payload.begin(), payload.end());
  return out;
}

Bytes join(const std::vector<Bytes>& parts) {
  Bytes out;
  for (const Bytes& part : parts) out.insert(out.end(), part.begin(), part.end());
  return out;
}

std::string hex(BytesView bytes) {
  constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (const std::uint8_t b : bytes) {
    out += digits[b >> 4];
    out += digits[b & 15];
  }
  return out;
}

std::string describe(const Event& e) {
  switch (e.kind) {
    case Event::Kind::header: return "H" + std::to_string(e.request_id) + ":" + hex(e.bytes);
    case Event::Kind::payload: return "P" + std::to_string(e.request_id) + ":" + hex(e.bytes);
    case Event::Kind::end: return "E" + std::to_string(e.request_id);
    case Event::Kind::error: return e.error == StreamError::corrupt_frame ? "corrupt" : "cancelled";
    case Event::Kind::message_failed: return "failed";
  }
  return "?";
}

// The events of one message as a line of words.
std::string feed(Reassembler& r, BytesView message) {
  auto events = r.feed(message);
  if (!events.ok()) return "error: " + events.error().detail;
  std::string out;
  for (const Event& e : *events) out += (out.empty() ? "" : " ") + describe(e);
  return out;
}

class ReassemblerInBothDialects : public testing::TestWithParam<Dialect> {};

TEST_P(ReassemblerInBothDialects, WholeRequest) {
  Reassembler r(GetParam());
  EXPECT_EQ(feed(r, join(encode_request_frames(GetParam(), 4, 7, kRead, Bytes{0xab, 0xcd}))), "H7:abcd E7");
  EXPECT_EQ(r.open_streams(), 0U);
  EXPECT_EQ(r.buffered(), 0U);
}

TEST_P(ReassemblerInBothDialects, BytesOneByOneGiveTheSameEvents) {
  const Bytes all = join(encode_request_frames(GetParam(), 1, 9, kRead, Bytes(70000, 0x5a)));
  Reassembler r(GetParam());
  std::size_t bytes = 0;
  std::string kinds;
  for (const std::uint8_t b : all) {
    auto events = r.feed(BytesView(&b, 1));
    ASSERT_TRUE(events.ok());
    for (const Event& e : *events) {
      kinds += describe(e)[0];
      if (e.kind == Event::Kind::payload) bytes += e.bytes.size();
    }
  }
  EXPECT_EQ(kinds, "HPPE");
  EXPECT_EQ(bytes, 70000U);
  EXPECT_EQ(r.buffered(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Dialects, ReassemblerInBothDialects, testing::Values(Dialect::d13, Dialect::d21));

TEST(Reassembler, HeaderSplitOverFramesIsEmittedWhenItsMetadataIsThere) {
  const Bytes m = call(3, kRead, {1, 2}, {9});
  Reassembler r(Dialect::d13);
  EXPECT_EQ(feed(r, frame(0, 0, 0, Bytes(m.begin(), m.begin() + 7))), "");
  EXPECT_EQ(feed(r, frame(0, 1, 1, {})), "");
  EXPECT_EQ(feed(r, frame(0, 2, 1, Bytes(m.begin() + 7, m.begin() + 16))), "");
  EXPECT_EQ(feed(r, frame(0, 3, 5, Bytes(m.begin() + 16, m.end()))), "H3:0102 P3:09");
  EXPECT_EQ(feed(r, frame(0, 4, 2, {0xff})), "E3");
}

TEST(Reassembler, TypeIsCheckedBeforeTheMetadataIsComplete) {
  Bytes m = call(3, kRead, {1, 2}, {}, 3);
  m.resize(kRpcHeader);
  Reassembler r(Dialect::d13);
  EXPECT_EQ(feed(r, frame(0, 0, 0, m)), "corrupt failed");
  EXPECT_TRUE(r.message_failed());
}

TEST(Reassembler, FramesOutOfOrderArePutInOrder) {
  Reassembler r(Dialect::d13);
  EXPECT_EQ(feed(r, frame(8, 2, 2, {})), "");
  EXPECT_EQ(feed(r, frame(8, 1, 1, {2})), "");
  EXPECT_EQ(feed(r, frame(8, 1, 1, {3})), "");  // replaces the one that waits
  EXPECT_EQ(feed(r, frame(8, 0, 0, call(5, kRead, {}, {1}))), "H5: P5:01 P5:03 E5");
  EXPECT_EQ(r.open_streams(), 0U);
}

TEST(Reassembler, RepeatedFrameIsDroppedAndItsStreamRemembered) {
  Reassembler r(Dialect::d13);
  EXPECT_EQ(feed(r, frame(8, 0, 0, call(5, kRead, {}))), "H5:");
  EXPECT_EQ(feed(r, frame(8, 0, 0, call(6, kRead, {}))), "");
  EXPECT_EQ(feed(r, frame(8, 1, 2, {})), "E5");
  EXPECT_EQ(r.open_streams(), 1U);
  EXPECT_EQ(feed(r, frame(8, 0, 0, call(7, kRead, {}))), "");
}

TEST(Reassembler, MessageInOneEndFrameNeverEnds) {
  Reassembler r(Dialect::d13);
  EXPECT_EQ(feed(r, frame(8, 0, 2, call(5, kRead, {}, {1}))), "H5: P5:01");
  EXPECT_EQ(r.open_streams(), 0U);
  EXPECT_EQ(feed(r, frame(8, 0, 0, call(6, kRead, {}))), "H6:");
}

TEST(Reassembler, EndForgetsAnIncompleteHeader) {
  Reassembler r(Dialect::d13);
  EXPECT_EQ(feed(r, frame(8, 0, 0, {0, 1})), "");
  EXPECT_EQ(feed(r, frame(8, 1, 2, {})), "");
  EXPECT_EQ(feed(r, frame(8, 0, 0, call(6, kRead, {}))), "H6:");
}

TEST(Reassembler, InvalidKindLosesOnlyItsFrame) {
  Reassembler r(Dialect::d13);
  const Bytes m = join({frame(1, 0, 6, call(1, kRead, {})), frame(1, 1, 2, {}), frame(2, 0, 0, call(2, kRead, {}))});
  EXPECT_EQ(feed(r, m), "corrupt H2:");
  EXPECT_FALSE(r.message_failed());
}

TEST(Reassembler, InvalidTypeDiscardsTheRestButCountsIt) {
  Reassembler r(Dialect::d13);
  const Bytes good = frame(2, 1, 1, {7});
  EXPECT_EQ(feed(r, join({frame(1, 0, 0, call(1, kRead, {}, {}, 3)), frame(2, 0, 0, call(2, kRead, {})),
                          Bytes(good.begin(), good.begin() + 5)})),
            "corrupt failed");
  // The discarded frame was seq 0 of stream 2; the incomplete one is carried on and is read as a new header.
  EXPECT_EQ(feed(r, Bytes(good.begin() + 5, good.end())), "");
  EXPECT_EQ(feed(r, frame(2, 2, 1, {})), "");
  Bytes rest = call(0, 0, {});
  rest.erase(rest.begin());
  EXPECT_EQ(feed(r, frame(2, 3, 1, rest)), "corrupt failed");  // its type is the 7 above
}

TEST(Reassembler, CancelIsSilentBeforeTheHeaderAndFailsAfterIt) {
  Reassembler r(Dialect::d13);
  EXPECT_EQ(feed(r, join({frame(1, 0, 0, {0, 1}), frame(1, 9, 3, {5}), frame(2, 0, 0, call(2, kRead, {}))})), "H2:");
  EXPECT_EQ(feed(r, join({frame(2, 9, 3, {5}), frame(3, 0, 0, call(3, kRead, {}))})), "cancelled failed");
  EXPECT_EQ(feed(r, frame(2, 0, 0, call(4, kRead, {}))), "H4:");  // begins again at 0
}

TEST(Reassembler, LimitsEndTheConnection) {
  ReassemblerLimits limits;
  limits.max_frame = 10;
  Reassembler frames(Dialect::d13, limits);
  EXPECT_EQ(feed(frames, Bytes{11, 0, 0, 0}), "error: frame longer than the limit");
  EXPECT_EQ(feed(frames, Bytes{}), "error: frame longer than the limit");

  limits = {};
  limits.max_streams = 2;
  Reassembler streams(Dialect::d13, limits);
  EXPECT_EQ(feed(streams, join({frame(1, 1, 1, {}), frame(2, 1, 1, {})})), "");
  EXPECT_EQ(feed(streams, frame(3, 1, 1, {})), "error: too many open streams");

  limits = {};
  limits.max_early_bytes = 2 * Reassembler::kEarlyFrameCost;
  Reassembler early(Dialect::d13, limits);
  EXPECT_EQ(feed(early, join({frame(1, 1, 1, {}), frame(1, 2, 1, {})})), "");
  EXPECT_EQ(feed(early, frame(1, 3, 1, {})), "error: too many bytes out of order");

  limits = {};
  limits.max_buffered = 8;
  Reassembler buffered(Dialect::d13, limits);
  EXPECT_EQ(feed(buffered, Bytes{9, 0, 0, 0, 1, 0, 0, 0}), "");
  const auto r = buffered.feed(Bytes{0});
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.error().code, Errc::protocol_error);
}

TEST(Reassembler, EarlyBytesAreGivenBack) {
  ReassemblerLimits limits;
  limits.max_early_bytes = 2 * Reassembler::kEarlyFrameCost;
  Reassembler r(Dialect::d13, limits);
  for (std::uint32_t i = 0; i < 10; ++i) {
    EXPECT_EQ(feed(r, join({frame(i, 1, 2, {}), frame(i, 0, 0, call(i, kLen, {}))})),
              "H" + std::to_string(i) + ": E" + std::to_string(i));
    EXPECT_EQ(feed(r, join({frame(i, 1, 1, {}), frame(i, 2, 1, {}), frame(i, 0, 3, {})})), "");
  }
}

// What a server runs after one message, as "id:args" words.
std::string serve(Reassembler& r, RequestTable& table, const Bytes& message) {
  auto events = r.feed(message);
  if (!events.ok()) return "error";
  std::vector<Request> ready;
  if (!table.apply(*events, r.message_failed(), ready).ok()) return "breach";
  std::string out;
  for (const Request& q : ready) {
    out += (out.empty() ? "" : " ") + std::to_string(q.request_id) + (q.from_payload ? "p" : "m") + hex(q.args);
  }
  return out;
}

TEST(RequestTable, PayloadWinsOverMetadataAndOrderIsThatOfHeaders) {
  Reassembler r(Dialect::d13);
  RequestTable table;
  EXPECT_EQ(serve(r, table,
                  join({frame(1, 0, 0, call(1, kRead, {1}, {2})), frame(2, 0, 0, call(2, kRead, {3})),
                        frame(2, 1, 2, {}), frame(1, 1, 2, {})})),
            "1p02 2m03");
  EXPECT_TRUE(table.open().empty());
}

TEST(RequestTable, EventsOfAFailedMessageWaitForAGoodOne) {
  Reassembler r(Dialect::d13);
  RequestTable table;
  const std::vector<Bytes> good = encode_request_frames(Dialect::d13, 1, 1, kLen, {});
  EXPECT_EQ(serve(r, table, join({good[0], good[1], frame(2, 0, 0, call(2, kRead, {}, {}, 9))})), "");
  EXPECT_TRUE(table.open().empty());
  EXPECT_EQ(serve(r, table, {}), "1m");
}

TEST(RequestTable, TwoRequestsWithOneIdAreMixedUpAsInRealServers) {
  Reassembler r(Dialect::d13);
  RequestTable table;
  EXPECT_EQ(serve(r, table, join({frame(1, 0, 0, call(5, kRead, {1})), frame(2, 0, 0, call(5, kRead, {2}))})), "");
  EXPECT_EQ(serve(r, table, join({frame(2, 1, 2, {}), frame(1, 1, 2, {})})), "5m01");
  EXPECT_EQ(table.open(), std::vector<std::uint32_t>{5});
}

TEST(RequestTable, LimitsAreBreaches) {
  RequestTable entries({.max_entries = 1, .max_bytes = 100});
  Reassembler r(Dialect::d13);
  EXPECT_EQ(serve(r, entries, frame(1, 0, 0, call(1, kRead, {}))), "");
  EXPECT_EQ(serve(r, entries, frame(2, 0, 0, call(2, kRead, {}))), "breach");

  RequestTable bytes({.max_entries = 10, .max_bytes = 3});
  Reassembler s(Dialect::d13);
  EXPECT_EQ(serve(s, bytes, join({frame(1, 0, 0, call(1, kRead, {1, 2}, {3})), frame(1, 1, 2, {})})), "1p03");
  EXPECT_EQ(serve(s, bytes, frame(1, 0, 0, call(2, kRead, {1, 2}, {3}))), "");
  EXPECT_EQ(serve(s, bytes, frame(1, 1, 1, {4})), "breach");
}

}  // namespace
}  // namespace simdrive::rpc
