#include "rpc/reply_reader.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "rpc/frame.hpp"

namespace simdrive::rpc {
namespace {

constexpr std::uint64_t kMethod = static_cast<std::uint64_t>(Method::read);
constexpr std::size_t kNever = ~std::size_t{0};

// A reply's destination that does what the test says, and counts what is done to it.
struct Sink final : ReplySink {
  std::size_t size = kNever;         // of the body; kNever: whatever comes until End
  std::size_t direct_from = kNever;  // from here on bytes may be received in place
  std::size_t direct_most = kNever;  // at a time, as where one value of a batch ends
  std::size_t block_at = kNever;     // holds up once
  std::size_t fail_at = kNever;      // refuses bytes from here on
  bool refuses = false;              // is dropped when it blocks

  Bytes body;
  std::size_t taken = 0;
  std::size_t taken_directly = 0;
  int begins = 0;
  int finishes = 0;
  int touches_after_finish = 0;
  std::uint8_t status = 0xee;
  bool dropped = false;
  bool good = false;

  void touch() const { const_cast<Sink*>(this)->touches_after_finish += finishes != 0 || dropped ? 1 : 0; }
  [[nodiscard]] bool until_end() const { return size == kNever || status != 0; }
  void make_room(std::size_t n) { body.resize(std::max(body.size(), n)); }

  void begin(std::uint8_t s) override {
    touch();
    ++begins;
    status = s;
  }
  Result<std::size_t> feed(BytesView in) override {
    touch();
    if (fail_at != kNever && taken + in.size() > fail_at) return Error{Errc::protocol_error, "not to the sink's taste"};
    std::size_t n = in.size();
    if (!until_end()) {
      if (taken + n > size) return Error{Errc::protocol_error, "too long"};
    }
    if (block_at != kNever) n = std::min(n, block_at - taken);
    make_room(taken + n);
    std::copy_n(in.begin(), n, body.begin() + static_cast<std::ptrdiff_t>(taken));
    taken += n;
    return n;
  }
  MutableBytes direct() override {
    touch();
    if (until_end() || taken < direct_from || taken >= size) return {};
    make_room(size);
    return MutableBytes(body).subspan(taken, std::min(direct_most, size - taken));
  }
  void commit(std::size_t n) override {
    touch();
    taken += n;
    taken_directly += n;
  }
  [[nodiscard]] bool complete() const override {
    touch();
    return !until_end() && taken == size;
  }
  Result<void> at_end() override {
    touch();
    if (until_end()) return {};
    return Error{Errc::protocol_error, "too short"};
  }
  void finished(Result<void> result) override {
    ++finishes;
    good = result.ok();
  }
};

struct Calls final : PendingCalls {
  std::map<std::uint32_t, Sink> sinks;
  ReplySink* find(std::uint32_t id, std::uint64_t method) override {
    const auto it = sinks.find(id);
    if (it == sinks.end() || method != kMethod || it->second.finishes != 0 || it->second.dropped) return nullptr;
    return &it->second;
  }
};

struct Frame {
  std::uint32_t stream = 0;
  std::uint32_t seq = 0;
  std::uint8_t kind = 0;
  Bytes payload;
};
using Frames = std::vector<Frame>;

Bytes pattern(std::size_t n, std::uint32_t seed) {
  Bytes out(n);
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<std::uint8_t>(i * 31 + seed * 101 + (i >> 8));
  return out;
}

// The frames of one reply whose body is cut at `cuts`.
Frames reply(std::uint32_t id, std::uint8_t status, std::uint16_t meta, const Bytes& body,
             const std::vector<std::size_t>& cuts = {}) {
  Bytes message(kRpcHeader);
  store_rpc_header(message.data(), MessageType::response, id, kMethod, meta);
  message.insert(message.end(), meta, status);
  const std::size_t head = message.size();
  message.insert(message.end(), body.begin(), body.end());
  Frames out;
  std::size_t from = 0;
  const auto add = [&](std::size_t to) {
    const auto seq = static_cast<std::uint32_t>(out.size());
    const auto kind = static_cast<std::uint8_t>(seq == 0 ? Kind::open : Kind::data);
    const auto at = [&](std::size_t i) { return message.begin() + static_cast<std::ptrdiff_t>(i); };
    out.push_back({id | 0x80000000U, seq, kind, Bytes(at(from), at(to))});
    from = to;
  };
  for (const std::size_t c : cuts) add(head + c);
  add(message.size());
  const auto seq = static_cast<std::uint32_t>(out.size());
  out.push_back({id | 0x80000000U, seq, static_cast<std::uint8_t>(Kind::end), {}});
  return out;
}

constexpr std::size_t kHead = 10;
constexpr std::size_t kValue = 5000;
enum Id : std::uint32_t { number = 1, value, error, blocking, refusing, long_meta, no_meta, last, unknown = 99 };

struct Plan {
  std::uint32_t id;
  std::uint8_t status;
  std::uint16_t meta;
  std::size_t body;
  std::vector<std::size_t> cuts;
};

const std::vector<Plan>& plans() {
  static const std::vector<Plan> all = {{number, 0, 1, 5, {}},       {value, 0, 1, kHead + kValue, {4, 1000, 4200}},
                                        {error, 1, 1, 90, {30}},     {unknown, 0, 1, 300, {100}},
                                        {blocking, 0, 1, 200, {70}}, {refusing, 0, 1, 120, {60}},
                                        {long_meta, 0, 3, 7, {}},    {no_meta, 0, 0, 2, {}},
                                        {last, 0, 1, 9, {}}};
  return all;
}

void fill(Calls& calls) {
  for (const Plan& p : plans()) {
    if (p.id != unknown) calls.sinks[p.id].size = p.body;
  }
  calls.sinks[value].direct_from = kHead;
  calls.sinks[blocking].block_at = 50;
  calls.sinks[refusing].block_at = 20;
  calls.sinks[refusing].refuses = true;
}

// Every reply; frames of the middle ones take turns.
Frames scenario() {
  std::vector<Frames> replies;
  for (const Plan& p : plans()) replies.push_back(reply(p.id, p.status, p.meta, pattern(p.body, p.id), p.cuts));
  Frames out;
  for (std::size_t turn = 0, left = 1; left != 0; ++turn) {
    left = 0;
    for (const Frames& r : replies) {
      if (turn < r.size()) out.push_back(r[turn]);
      left += turn + 1 < r.size() ? 1 : 0;
    }
  }
  return out;
}

Bytes encode(Dialect dialect, const Frames& frames) {
  Bytes out;
  for (const Frame& f : frames) {
    const std::size_t at = out.size();
    out.resize(at + header_size(dialect));
    store_frame_header(out.data() + at, dialect, static_cast<std::uint32_t>(f.payload.size()), f.stream, f.seq,
                       static_cast<Kind>(f.kind), 77);
    out.insert(out.end(), f.payload.begin(), f.payload.end());
  }
  return out;
}

// Feeds as a connection does: blocked sinks are unblocked or dropped when nothing can be read.
class Driver {
 public:
  Driver(Dialect dialect, Calls& sinks) : calls(sinks), reader(dialect, sinks) {}

  Result<void> unblock() {
    while (auto* held = static_cast<Sink*>(reader.blocked())) {
      held->block_at = kNever;
      if (held->refuses) {
        reader.drop(held);
        held->dropped = true;
        EXPECT_FALSE(reader.holds(held));
      }
      if (auto r = reader.resume(); !r) return r;
    }
    return {};
  }

  Result<void> feed(BytesView in, std::size_t step = kNever) {
    while (!in.empty()) {
      const MutableBytes to = reader.need();
      if (to.empty()) {
        ADD_FAILURE() << "nowhere to read to, and nobody is blocked";
        return {};
      }
      const std::size_t n = std::min({to.size(), in.size(), step});
      std::memcpy(to.data(), in.data(), n);
      if (auto r = reader.commit(n); !r) return r;
      if (auto r = unblock(); !r) return r;
      in = in.subspan(n);
    }
    return {};
  }

  // No call may end twice, nor be touched once it has ended.
  void check_calls() const {
    for (const auto& [id, s] : calls.sinks) {
      EXPECT_LE(s.finishes, 1) << id;
      EXPECT_LE(s.begins, 1) << id;
      EXPECT_EQ(s.touches_after_finish, 0) << id;
    }
  }

  Calls& calls;
  ReplyReader reader;
};

void expect_delivered(const Driver& d) {
  for (const Plan& p : plans()) {
    if (p.id == unknown) continue;
    const Sink& s = d.calls.sinks[p.id];
    EXPECT_EQ(s.begins, 1) << p.id;
    EXPECT_EQ(s.status, p.status) << p.id;
    EXPECT_EQ(s.finishes, s.refuses ? 0 : 1) << p.id;
    EXPECT_EQ(s.good, !s.refuses) << p.id;
    if (!s.refuses) {
      EXPECT_EQ(s.body, pattern(p.body, p.id)) << p.id;
    }
  }
  EXPECT_TRUE(d.calls.sinks[refusing].dropped);
  EXPECT_FALSE(d.reader.mid_frame());
  d.check_calls();
}

// Runs `frames` whole and byte by byte; both must end in exactly one protocol_error.
void expect_fault(Dialect dialect, const Frames& frames, const std::function<void(Calls&)>& arrange = {}) {
  const Bytes stream = encode(dialect, frames);
  for (const std::size_t step : {kNever, std::size_t{1}}) {
    Calls calls;
    fill(calls);
    if (arrange) arrange(calls);
    Driver d(dialect, calls);
    auto r = d.feed(stream, step);
    ASSERT_FALSE(r.ok()) << "step " << step;
    EXPECT_EQ(r.error().code, Errc::protocol_error);
    d.check_calls();
  }
}

class ReplyReaderTest : public testing::TestWithParam<Dialect> {};

TEST_P(ReplyReaderTest, EverySplitDeliversTheSame) {
  const Bytes stream = encode(GetParam(), scenario());
  for (std::size_t cut = 0; cut <= stream.size() && !HasFailure(); ++cut) {
    Calls calls;
    fill(calls);
    Driver d(GetParam(), calls);
    ASSERT_TRUE(d.feed(BytesView(stream).first(cut)).ok()) << "cut " << cut;
    ASSERT_TRUE(d.feed(BytesView(stream).subspan(cut)).ok()) << "cut " << cut;
    expect_delivered(d);
  }
}

TEST_P(ReplyReaderTest, SmallStepsDeliverTheSame) {
  const Bytes stream = encode(GetParam(), scenario());
  for (std::size_t step = 1; step < 70; ++step) {
    Calls calls;
    fill(calls);
    Driver d(GetParam(), calls);
    ASSERT_TRUE(d.feed(stream, step).ok()) << "step " << step;
    expect_delivered(d);
    // In single bytes no byte of the value has an excuse to pass through the reader's own buffer.
    if (step == 1) {
      EXPECT_EQ(calls.sinks[value].taken_directly, kValue);
    }
  }
}

TEST_P(ReplyReaderTest, LargeValueLandsDirectly) {
  Calls calls;
  fill(calls);
  Driver d(GetParam(), calls);
  ASSERT_TRUE(d.feed(encode(GetParam(), reply(value, 0, 1, pattern(kHead + kValue, value)))).ok());
  EXPECT_GE(calls.sinks[value].taken_directly, kValue - ReplyReader::kBounce);
  EXPECT_EQ(calls.sinks[value].body, pattern(kHead + kValue, value));
}

TEST_P(ReplyReaderTest, ShortValuesAreReceivedTogether) {
  constexpr std::size_t kShort = 100;
  constexpr std::size_t kBody = kHead + 20'000;
  Calls calls;
  Sink& sink = calls.sinks[value];
  sink.size = kBody;
  sink.direct_from = kHead;
  sink.direct_most = kShort;
  Driver d(GetParam(), calls);
  const Bytes stream = encode(GetParam(), reply(value, 0, 1, pattern(kBody, value)));
  std::size_t reads = 0;
  for (BytesView in = stream; !in.empty(); ++reads) {
    const std::size_t n = std::min(d.reader.need().size(), in.size());
    ASSERT_TRUE(d.feed(in.first(n)).ok());
    in = in.subspan(n);
  }
  EXPECT_LE(reads, stream.size() / ReplyReader::kBounce + 2);
  EXPECT_EQ(sink.body, pattern(kBody, value));
  EXPECT_TRUE(sink.good);
}

TEST_P(ReplyReaderTest, EveryPrefixLeavesNoCallEndedTwice) {
  const Bytes stream = encode(GetParam(), scenario());
  for (std::size_t cut = 0; cut < stream.size(); ++cut) {
    Calls calls;
    fill(calls);
    Driver d(GetParam(), calls);
    ASSERT_TRUE(d.feed(BytesView(stream).first(cut)).ok());
    d.check_calls();
  }
}

TEST_P(ReplyReaderTest, FrameHeadersOutOfOrderAreFaults) {
  const Frames frames = scenario();
  for (std::size_t i = 0; i < frames.size(); ++i) {
    SCOPED_TRACE(i);
    const auto with = [&](const std::function<void(Frame&)>& change) {
      Frames changed = frames;
      change(changed[i]);
      expect_fault(GetParam(), changed);
    };
    for (const int kind : {6, 7, 255}) with([&](Frame& f) { f.kind = static_cast<std::uint8_t>(kind); });
    with([](Frame& f) { f.kind = static_cast<std::uint8_t>(Kind::cancel); });
    with([](Frame& f) { f.seq += 1; });
    with([](Frame& f) { f.seq -= 1; });
    Frames twice = frames;
    twice.insert(twice.begin() + static_cast<std::ptrdiff_t>(i), frames[i]);
    // A repeated first frame cannot come before its own; a repeated last one opens a stream that is not there.
    expect_fault(GetParam(), twice);
  }
}

TEST_P(ReplyReaderTest, MessageThatIsNoResponseIsAFault) {
  for (const Plan& p : plans()) {
    for (const int type : {0, 2, 3, 255}) {
      Frames frames = scenario();
      const auto first = std::find_if(frames.begin(), frames.end(),
                                      [&](const Frame& f) { return f.stream == (p.id | 0x80000000U) && f.seq == 0; });
      ASSERT_NE(first, frames.end());
      first->payload[0] = static_cast<std::uint8_t>(type);
      expect_fault(GetParam(), frames);
    }
  }
}

TEST_P(ReplyReaderTest, ReplyThatEndsEarlyIsAFaultAtEveryOffset) {
  for (const Plan& p : plans()) {
    if (p.id == unknown || p.id == refusing) continue;
    const Bytes body = pattern(p.body, p.id);
    const std::size_t head = kRpcHeader + p.meta;
    const std::size_t stride = p.id == value ? 97 : 1;
    for (std::size_t n = 0; n < head + p.body; n += stride) {
      Frames frames = reply(p.id, p.status, p.meta, body);
      frames[0].payload.resize(n);
      const bool in_header = n < kRpcHeader || n < head;
      if (!in_header && p.status != 0) continue;  // an error text may end anywhere
      SCOPED_TRACE(testing::Message() << "reply " << p.id << " of " << n << " bytes");
      expect_fault(GetParam(), frames);
    }
  }
}

TEST_P(ReplyReaderTest, SurplusBytesAreAFault) {
  for (const Plan& p : plans()) {
    if (p.id == unknown || p.id == refusing || p.status != 0) continue;
    for (const bool own_frame : {false, true}) {
      Bytes body = pattern(p.body, p.id);
      body.push_back(0xaa);
      expect_fault(GetParam(), reply(p.id, p.status, p.meta, body, own_frame ? std::vector{p.body} : p.cuts));
    }
  }
}

TEST_P(ReplyReaderTest, SinkErrorAtEveryOffsetEndsThatCallOnce) {
  for (const Plan& p : plans()) {
    if (p.id == unknown || p.id == refusing) continue;
    for (std::size_t at = 0; at < p.body; at += p.id == value ? 83 : 1) {
      Calls calls;
      fill(calls);
      Sink& s = calls.sinks[p.id];
      s.fail_at = at;
      s.direct_from = kNever;
      Driver d(GetParam(), calls);
      auto r = d.feed(encode(GetParam(), scenario()), 1 + at % 7);
      ASSERT_FALSE(r.ok());
      EXPECT_EQ(r.error().code, Errc::protocol_error);
      EXPECT_EQ(s.finishes, 1);
      EXPECT_FALSE(s.good);
      EXPECT_FALSE(d.reader.holds(&s));
      d.check_calls();
    }
  }
}

TEST_P(ReplyReaderTest, AnyByteChangedEndsNoCallTwice) {
  const Bytes stream = encode(GetParam(), scenario());
  for (std::size_t at = 0; at < stream.size(); ++at) {
    for (const int flip : {0x01, 0x80, 0xff}) {
      Bytes changed = stream;
      changed[at] = static_cast<std::uint8_t>(changed[at] ^ flip);
      Calls calls;
      fill(calls);
      Driver d(GetParam(), calls);
      const auto r = d.feed(changed, flip == 1 ? kNever : 64);
      if (!r) {
        ASSERT_EQ(r.error().code, Errc::protocol_error) << at;
      }
      d.check_calls();
      ASSERT_FALSE(HasFailure()) << "byte " << at;
    }
  }
}

// A second stream with the id of a call that is being answered must not keep a hold on that call.
TEST_P(ReplyReaderTest, SecondReplyToOneRequestNeverReachesAnEndedCall) {
  const Bytes body = pattern(8, 1);
  for (std::size_t cut = 0; cut < body.size(); ++cut) {
    Frames first = reply(number, 0, 1, body, {cut});
    Frames second = reply(number, 0, 1, body, {cut});
    for (Frame& f : second) f.stream ^= 0x1000;
    const Frames mixed = {first[0], second[0], first[1], second[1], first[2], second[2]};
    Calls calls;
    calls.sinks[number].size = body.size();
    Driver d(GetParam(), calls);
    const auto r = d.feed(encode(GetParam(), mixed));
    if (!r) {
      EXPECT_EQ(r.error().code, Errc::protocol_error);
    }
    d.check_calls();
    EXPECT_FALSE(calls.sinks[number].finishes == 1 && d.reader.holds(&calls.sinks[number])) << "cut " << cut;
  }
}

TEST_P(ReplyReaderTest, TooManyOpenStreamsAreAFault) {
  Calls calls;
  Driver d(GetParam(), calls);
  for (std::uint32_t i = 0; i < ReplyReader::kStreamsMax; ++i) {
    ASSERT_TRUE(d.feed(encode(GetParam(), {{i, 0, 0, {}}})).ok());
  }
  EXPECT_FALSE(d.feed(encode(GetParam(), {{ReplyReader::kStreamsMax, 0, 0, {}}})).ok());
}

TEST_P(ReplyReaderTest, SaysWhereItStands) {
  Calls calls;
  fill(calls);
  Driver d(GetParam(), calls);
  const Bytes stream = encode(GetParam(), reply(blocking, 0, 1, pattern(200, blocking)));
  const std::size_t body_at = header_size(GetParam()) + kRpcHeader + 1;
  EXPECT_FALSE(d.reader.mid_frame());
  ASSERT_TRUE(d.feed(BytesView(stream).first(1)).ok());
  EXPECT_TRUE(d.reader.mid_frame());
  EXPECT_FALSE(d.reader.holds(&calls.sinks[blocking]));
  ASSERT_TRUE(d.feed(BytesView(stream).subspan(1, body_at - 1)).ok());
  EXPECT_TRUE(d.reader.holds(&calls.sinks[blocking]));
  const MutableBytes to = d.reader.need();
  std::copy_n(stream.begin() + static_cast<std::ptrdiff_t>(body_at), 60, to.begin());
  ASSERT_TRUE(d.reader.commit(60).ok());
  EXPECT_EQ(d.reader.blocked(), &calls.sinks[blocking]);
  EXPECT_TRUE(d.reader.need().empty());
  ASSERT_TRUE(d.unblock().ok());
  EXPECT_EQ(d.reader.blocked(), nullptr);
  ASSERT_TRUE(d.feed(BytesView(stream).subspan(body_at + 60)).ok());
  EXPECT_FALSE(d.reader.holds(&calls.sinks[blocking]));
  EXPECT_FALSE(d.reader.mid_frame());
  EXPECT_TRUE(calls.sinks[blocking].good);
}

INSTANTIATE_TEST_SUITE_P(Dialects, ReplyReaderTest, testing::Values(Dialect::d13, Dialect::d21),
                         [](const auto& p) { return p.param == Dialect::d13 ? "d13" : "d21"; });

}  // namespace
}  // namespace simdrive::rpc
