// The vectors of real peers, read and written as a server does it.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <set>

#include "request_reading.hpp"
#include "rpc/frame_writer.hpp"
#include "rpc/reply_writer.hpp"
#include "support/json.hpp"

namespace simdrive::rpc {
namespace {

using test::JsonValue;

Dialect dialect_of(const JsonValue& v) { return v["dialect"].number() == 13 ? Dialect::d13 : Dialect::d21; }
std::uint64_t method_of(const JsonValue& v) { return std::stoull(v["method_id"].text(), nullptr, 16); }

struct Read {
  std::vector<Got> run{};
  std::vector<std::uint32_t> refused{};
  std::optional<Fault> fault{};
};

Read read_all(Dialect dialect, const std::vector<Bytes>& messages, std::size_t piece) {
  Bytes scratch(65536);
  RequestReader reader(dialect, {}, scratch);
  RememberingSink sink;
  Read out;
  for (const Bytes& m : messages) {
    if (const Fault* f = pour(reader, scratch, m, piece, sink)) {
      out.fault = *f;
      break;
    }
  }
  for (Got& got : sink.got) {
    if (got.refused.empty()) {
      out.run.push_back(std::move(got));
    } else {
      out.refused.push_back(got.request_id);
    }
  }
  std::sort(out.run.begin(), out.run.end());
  return out;
}

// What a stream of frames is to a server that is strict, told by looking at all of it at once.
struct Verdict {
  bool legal = true;
  bool cancels = false;
  std::set<std::uint32_t> only_in_end;  // requests whose arguments, or all of which, came in their End
};

Verdict judge(Dialect dialect, BytesView all) {
  struct Frame {
    bool end;
    BytesView payload;
  };
  Verdict out;
  std::map<std::uint32_t, std::map<std::uint32_t, Frame>> streams;
  const auto judge_stream = [&](std::uint32_t id, bool cancelled) {
    Bytes before;
    std::uint32_t next = 0;
    for (const auto& [seq, f] : streams[id]) {
      if (seq != next++) return;  // the rest never had its turn
      Bytes with = before;
      with.insert(with.end(), f.payload.begin(), f.payload.end());
      if (with.size() >= kRpcHeader) {
        const RpcHeader h = load_rpc_header(with.data());
        const bool whole_before = before.size() >= kRpcHeader + h.meta_len;
        if (h.type > kMessageTypeMax) out.legal = false;
        if (f.end && !cancelled && (!whole_before || (before.size() == kRpcHeader && !f.payload.empty()))) {
          out.only_in_end.insert(h.request_id);
        }
      }
      before = with;
    }
  };
  const std::size_t head = header_size(dialect);
  while (all.size() >= head) {
    const FrameHeader h = load_frame_header(all.data());
    if (all.size() - head < h.len) break;
    const BytesView payload = all.subspan(head, h.len);
    all = all.subspan(head + h.len);
    if (h.kind > kKindMax) {
      out.legal = false;
    } else if (h.kind == static_cast<std::uint8_t>(Kind::cancel)) {
      out.cancels = true;
      judge_stream(h.stream_id, true);
      streams.erase(h.stream_id);
    } else {
      streams[h.stream_id][h.seq] = {h.kind == static_cast<std::uint8_t>(Kind::end), payload};
    }
  }
  std::vector<std::uint32_t> ids;
  for (const auto& [id, frames] : streams) ids.push_back(id);
  for (const std::uint32_t id : ids) judge_stream(id, false);
  return out;
}

TEST(RequestVectors, RandomTrafficGivesTheRequestsThatRealServersRun) {
  const JsonValue vectors = JsonValue::wire_vectors("frames_decode.json");
  std::size_t compared = 0;
  std::size_t refused = 0;
  std::size_t faults = 0;
  for (const JsonValue& v : vectors.list()) {
    const std::string& note = v["note"].text();
    std::vector<Bytes> messages;
    for (const JsonValue& m : v["messages"].list()) messages.push_back(m.bytes());
    const Dialect dialect = dialect_of(v);
    const Verdict verdict = judge(dialect, joined(messages));
    const Read got = read_all(dialect, messages, ~std::size_t{0});
    for (const std::size_t piece : {1U, 7U, 40U}) {
      const Read again = read_all(dialect, messages, piece);
      EXPECT_EQ(again.run, got.run) << note;
      EXPECT_EQ(again.refused, got.refused) << note;
      EXPECT_EQ(again.fault.has_value(), got.fault.has_value()) << note;
    }
    EXPECT_EQ(got.fault.has_value(), !verdict.legal) << note << ": " << (got.fault ? got.fault->reason : "");
    if (got.fault) {
      EXPECT_EQ(got.fault->close_code, 1002) << note;
      ++faults;
      continue;
    }
    for (const std::uint32_t id : got.refused) EXPECT_TRUE(verdict.only_in_end.contains(id)) << note;
    refused += got.refused.size();
    std::vector<Got> want;
    for (const JsonValue& r : v["server"]["requests"].list()) {
      const auto id = static_cast<std::uint32_t>(r["request_id"].number());
      if (!verdict.only_in_end.contains(id)) want.push_back({id, method_of(r), r["args"].bytes(), ""});
    }
    std::sort(want.begin(), want.end());
    if (verdict.cancels) {
      // Real servers discard what comes behind a Cancel in its message.
      EXPECT_TRUE(std::ranges::includes(got.run, want)) << note;
    } else {
      EXPECT_EQ(got.run, want) << note;
    }
    compared += want.size();
  }
  EXPECT_GT(compared, 100U);
  EXPECT_GT(refused, 5U);
  EXPECT_GT(faults, 5U);
}

TEST(RequestVectors, RequestsOfTheRealEncoderAreReadAndRepliesOfTheRealEncoderAreWritten) {
  const JsonValue vectors = JsonValue::wire_vectors("frames_encode.json");
  for (const JsonValue& v : vectors.list()) {
    for (const Dialect dialect : {Dialect::d13, Dialect::d21}) {
      const bool is13 = dialect == Dialect::d13;
      const JsonValue& frames = v[is13 ? "frames13" : "frames21"];
      const auto id = static_cast<std::uint32_t>(v["request_id"].number());
      std::vector<Bytes> written;
      if (v["what"].text() == "request") {
        const auto stream = static_cast<std::uint32_t>(v["stream_id"].number());
        const Bytes args = v["args"].bytes();
        written = encode_request_frames(dialect, stream, id, method_of(v), args);
        for (const std::size_t piece : {std::size_t{1}, std::size_t{1000}, ~std::size_t{0}}) {
          EXPECT_EQ(read_all(dialect, written, piece).run, (std::vector<Got>{{id, method_of(v), args, ""}}));
        }
      } else {
        const auto stream = static_cast<std::uint32_t>(v[is13 ? "stream_id13" : "stream_id21"].number());
        EXPECT_EQ(reply_stream_id(dialect, stream & 0x7fff'ffff), stream);
        const Bytes body = v["body"].bytes();
        ReplyWriter reply(dialect, stream, id, method_of(v), static_cast<Status>(v["status"].number()), body.size());
        BytesView left(body);
        while (!reply.done()) {
          const ReplyFrame next = reply.next();
          Bytes& frame = written.emplace_back(next.size());
          reply.store_head(frame.data(), 0);
          std::copy_n(left.begin(), next.body, frame.begin() + static_cast<std::ptrdiff_t>(next.head));
          left = left.subspan(next.body);
          EXPECT_EQ(reply.body_left(), left.size());
        }
      }
      ASSERT_EQ(written.size(), frames.list().size());
      for (std::size_t i = 0; i < written.size(); ++i) {
        const JsonValue& want = frames.list()[i];
        if (want.has("hex")) {
          EXPECT_EQ(written[i], want["hex"].bytes());
          continue;
        }
        EXPECT_EQ(written[i].size(), want["len"].number());
        const Bytes head = want["header"].bytes();
        EXPECT_TRUE(std::equal(head.begin(), head.end(), written[i].begin()));
      }
    }
  }
}

TEST(RequestVectors, OddInputsOfRealServersHaveAnAnswerOrAnEnd) {
  // Stricter than they: what they ignore ends the connection. Answered by both are the same requests.
  const JsonValue vectors = JsonValue::wire_vectors("server_behaviour.json");
  for (const JsonValue& v : vectors.list()) {
    const std::string& name = v["name"].text();
    if (name == "text message") continue;  // not the reader's
    std::vector<Bytes> messages;
    for (const JsonValue& m : v["sent"].list()) messages.push_back(m.bytes());
    const Read got = read_all(dialect_of(v), messages, 1);
    const std::size_t answers = got.run.size() + got.refused.size();
    std::size_t received = 0;
    for (const JsonValue& m : v["received"].list()) {
      received += m.bytes().at(12) == static_cast<std::uint8_t>(Kind::open) ? 1 : 0;
    }
    EXPECT_TRUE(got.fault || answers >= received) << name;
    if (got.fault) {
      EXPECT_EQ(got.fault->close_code, name == "header claims 4GiB-1" ? 1009 : 1002) << name;
    }
  }
}

}  // namespace
}  // namespace simdrive::rpc
