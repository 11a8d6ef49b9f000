// AsyncClient when things go wrong: deadlines, cancelled calls, lost connections, silence, fork().
#include <gtest/gtest.h>
#ifndef _WIN32
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <chrono>
#include <functional>
#include <latch>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "client/connection.hpp"
#include "event_loop.hpp"
#include "simdrive/async_client.hpp"
#include "test_peer.hpp"

namespace simdrive {
namespace {

using rpc::Dialect;
using rpc::Method;
using testing_loop::bytes_of;
using testing_loop::EventLoop;
using testing_loop::Job;
using testing_loop::payload_of;
using testing_peer::TestPeer;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kMebibyte = std::size_t{1} << 20;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Sends the first half of the next reply to `method`, or its first `bytes`; the rest on finish().
class HalfReply {
 public:
  HalfReply(TestPeer& peer, Method method, std::ptrdiff_t bytes = 0) : peer_(peer) {
    peer.set_rewrite([this, method, bytes](const rpc::Request& q, std::vector<Bytes>& frames) {
      if (q.method_id != static_cast<std::uint64_t>(method) || cut_) return;
      cut_ = true;
      if (bytes != 0) {
        frames.insert(frames.begin() + 1, Bytes(frames[0].begin() + bytes, frames[0].end()));
        frames[0].resize(static_cast<std::size_t>(bytes));
      }
      const auto half = bytes != 0 ? 1 : static_cast<std::ptrdiff_t>(frames.size() / 2);
      rest_.assign(frames.begin() + half, frames.end());
      frames.resize(static_cast<std::size_t>(half));
      has_rest_.count_down();
    });
  }
  HalfReply(const HalfReply&) = delete;
  HalfReply& operator=(const HalfReply&) = delete;
  ~HalfReply() {
    if (sender_.joinable()) sender_.join();
    peer_.set_rewrite({});
  }
  // On a thread: the client reads on the test's own.
  void finish() {
    sender_ = std::thread([this] {
      has_rest_.wait();  // the peer may not have come to the request yet
      for (const Bytes& frame : rest_) peer_.send_everywhere(2, frame);
    });
  }

 private:
  TestPeer& peer_;
  std::vector<Bytes> rest_;
  bool cut_ = false;
  std::latch has_rest_{1};
  std::thread sender_;
};

// Keeps the server from reading on until it is gone, from the next request on.
class DeafServer {
 public:
  explicit DeafServer(TestPeer& peer) {
    peer.set_rewrite([this](const rpc::Request& q, std::vector<Bytes>&) {
      if (q.method_id != static_cast<std::uint64_t>(Method::exists)) return;
      deaf_.count_down();
      listen_.wait();
    });
  }
  DeafServer(const DeafServer&) = delete;
  DeafServer& operator=(const DeafServer&) = delete;
  ~DeafServer() { listen(); }
  void wait_deaf() { deaf_.wait(); }
  void listen() {
    if (!std::exchange(listens_, true)) listen_.count_down();
  }

 private:
  std::latch deaf_{1};
  std::latch listen_{1};
  bool listens_ = false;
};

class AsyncTroubleTest : public testing::TestWithParam<Dialect> {
 protected:
  TestPeer peer{GetParam()};
  std::unique_ptr<AsyncClient> client;
  std::unique_ptr<EventLoop> owned_loop;

  EventLoop& connect(const std::function<void(Options&)>& change = {}) {
    Options o;
    o.url = peer.url();
    o.timeout = 15;
    o.retry = {.retries = 0, .base = 0.001, .cap = 0.01};
    o.reconnect_spread = 0;
    if (change) change(o);
    client.reset();
    auto c = AsyncClient::open(std::move(o));
    if (!c) throw std::runtime_error("not opened: " + c.error().detail);
    client = std::move(c).value();
    owned_loop = std::make_unique<EventLoop>(*client);
    owned_loop->connect();
    return *owned_loop;
  }

  /// A read whose value has come to its half.
  Job& read_half(EventLoop& loop, std::string_view key, const AsyncCallOptions& how) {
    Job& j = loop.read(key, how);
    loop.until([&] { return j.over || (!j.values.empty() && (*j.values[0])[j.values[0]->size() / 3] != 0); });
    return j;
  }

  /// A write that the socket does not take whole, behind a request that keeps the server busy.
  Job& write_half(EventLoop& loop, DeafServer& server, const AsyncCallOptions& how) {
    loop.exists("k");
    client->flush();
    server.wait_deaf();
    Job& j = loop.write("half", payload_of(16 * kMebibyte), how);
    client->flush();
    loop.until([&] { return j.told != 0 || (client->watch().writable && !client->watch().again); });
    return j;
  }
};

void retry(Options& o) { o.retry = {.retries = 3, .base = 0.001, .cap = 0.01}; }

// ---- deadlines

TEST_P(AsyncTroubleTest, DeadlineWithoutAConnection) {
  EventLoop& loop = connect(retry);
  peer.stop();
  loop.until([&] { return client->watch().socket == -1; });
  const auto start = Clock::now();
  Job& j = loop.finish(loop.read("k", {.timeout = 0.1}));
  EXPECT_EQ(j.code(), Errc::operation_timeout);
  EXPECT_EQ(j.error.outcome, Outcome::not_applied);
  EXPECT_FALSE(j.error.cause.empty());
  EXPECT_EQ(j.told, 1);
  EXPECT_GE(seconds_since(start), 0.099);
  const auto events = client->take_events();
  ASSERT_GE(events.size(), 2U);
  EXPECT_EQ(events[0].kind, Event::Kind::lost);
  EXPECT_EQ(events[1].kind, Event::Kind::retrying);
}

TEST_P(AsyncTroubleTest, DeadlineWithoutAReply) {
  EventLoop& loop = connect();
  loop.write("late", payload_of(5000));
  loop.write("next", payload_of(4500));
  loop.finish();
  for (int i = 0; i < 3; ++i) {
    peer.hold(Method::read);
    const auto start = Clock::now();
    Job& j = loop.finish(loop.read("late", {.timeout = 0.05}));
    EXPECT_EQ(j.code(), Errc::operation_timeout);
    EXPECT_EQ(j.error.outcome, Outcome::unknown);
    EXPECT_EQ(j.told, 1);
    EXPECT_GE(j.error.elapsed, 0.05);
    EXPECT_GE(seconds_since(start), 0.05);
    peer.wait_held(1);
    Job& next = loop.read("next");
    client->flush();
    peer.wait_held(2);
    peer.release();
    ASSERT_TRUE(loop.finish(next).value() == payload_of(4500));
    ASSERT_TRUE(loop.finish(loop.read("late")).value() == payload_of(5000));
  }
  EXPECT_EQ(client->counters().connections, 1U);
}

TEST_P(AsyncTroubleTest, TwoTimeoutsInARowReplaceTheConnection) {
  EventLoop& loop = connect();
  loop.finish(loop.write("k", bytes_of("v")));
  peer.hold(Method::read);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(loop.finish(loop.read("k", {.timeout = 0.02})).code(), Errc::operation_timeout);
  peer.release();
  EXPECT_TRUE(loop.finish(loop.read("k")).good());
  EXPECT_EQ(client->counters().connections, 2U);
}

// A loop that was busy elsewhere when the reply came: it came in time.
TEST_P(AsyncTroubleTest, AReplyThatIsHereIsNotLate) {
  EventLoop& loop = connect();
  Job& j = loop.size({.timeout = 0.05});
  peer.hold(Method::len);
  client->flush();
  peer.wait_held(1);
  peer.release();
  const auto start = Clock::now();
  while (seconds_since(start) < 0.1) std::this_thread::yield();
  loop.finish(j);
  EXPECT_TRUE(j.good()) << j.error.detail;
}

TEST_P(AsyncTroubleTest, DeadlineOfAHalfReceivedValue) {
  EventLoop& loop = connect();
  loop.write("small", bytes_of("s"));
  loop.write("big", payload_of(16 * kMebibyte));
  loop.finish();
  const auto start = Clock::now();
  loop.finish(loop.read("big"));
  const double enough = 0.2 + 4 * seconds_since(start);  // for the half of it, on this machine
  for (const bool cancel : {false, true}) {
    HalfReply half(peer, Method::read);
    Job& big = read_half(loop, "big", {.timeout = cancel ? 15 : enough});
    if (cancel) {
      EXPECT_EQ(loop.cancel(big), Outcome::unknown);
      loop.turn(0);
      EXPECT_EQ(big.told, 0);
    } else {
      loop.until([&] { return big.told != 0; });
      EXPECT_EQ(big.code(), Errc::operation_timeout);
    }
    ASSERT_FALSE(big.over);
    // Its memory is still in use, the connection too.
    EXPECT_TRUE(loop.finish(loop.size()).good());
    Job& small = loop.read("small");
    EXPECT_EQ(*loop.finish(small).value(), bytes_of("s"));
    half.finish();
    loop.finish(big);
    EXPECT_EQ(big.told, cancel ? 1 : 2);
    EXPECT_EQ(big.code(), cancel ? Errc::interrupted : Errc::operation_timeout);
    EXPECT_TRUE(loop.finish(loop.size()).good());
  }
  EXPECT_EQ(client->counters().connections, 1U);
}

// Told of its deadline and over in the same round, or before anybody asked: once is enough.
TEST_P(AsyncTroubleTest, HalfReceivedAndBrokenBeforeAnybodyLooks) {
  EventLoop& loop = connect();
  loop.finish(loop.write("big", payload_of(kMebibyte)));
  HalfReply half(peer, Method::read);
  Job& big = read_half(loop, "big", {.timeout = 0.2});
  const auto start = Clock::now();
  while (seconds_since(start) < 0.2) std::this_thread::yield();
  client->pump();  // late: it goes on without its caller
  peer.drop_connections();
  while (client->watch().socket != -1) client->pump();
  loop.finish(big);
  EXPECT_EQ(big.told, 1);
  EXPECT_EQ(big.code(), Errc::operation_timeout);
  EXPECT_TRUE(loop.finish(loop.size()).good());
  EXPECT_EQ(client->pending(), 0U);
}

TEST_P(AsyncTroubleTest, DeadlineOfAHalfSentValue) {
  for (const bool stays : {true, false}) {
    EventLoop& loop = connect();
    DeafServer server(peer);
    Job& j = write_half(loop, server, {.timeout = 0.1, .args_stay = stays});
    Job& behind = loop.size();
    loop.until([&] { return j.told != 0; });
    EXPECT_EQ(j.code(), Errc::operation_timeout);
    EXPECT_EQ(j.error.outcome, Outcome::unknown);
    EXPECT_EQ(j.over, !stays);
    server.listen();
    loop.finish();
    EXPECT_EQ(j.told, stays ? 2 : 1);
    if (stays) {
      EXPECT_TRUE(behind.good()) << behind.error.detail;
    } else {  // what was to follow cannot
      EXPECT_EQ(behind.code(), Errc::connection_lost);
      EXPECT_EQ(behind.error.outcome, Outcome::not_applied);
    }
    EXPECT_TRUE(loop.finish(loop.size()).good());
    EXPECT_EQ(client->counters().connections, stays ? 1U : 2U);
    peer.set_rewrite({});
  }
}

// ---- cancel

TEST_P(AsyncTroubleTest, CancelInEveryState) {
  EventLoop& loop = connect([](Options& o) { o.max_inflight = 3; });
  loop.finish(loop.write("k", payload_of(5000)));
  peer.hold(Method::read);
  Job& sent = loop.read("k");
  client->flush();
  peer.wait_held(1);
  Job& queued = loop.write("k", bytes_of("never"));
  Job& other = loop.read("k");
  Job& waiting = loop.write("k", bytes_of("never either"));
  EXPECT_EQ(loop.cancel(sent), Outcome::unknown);
  EXPECT_EQ(loop.cancel(queued), Outcome::not_applied);
  EXPECT_EQ(loop.cancel(waiting), Outcome::not_applied);
  EXPECT_EQ(loop.cancel(waiting), Outcome::not_applied);  // again: it was not handed out yet
  loop.hand_out();
  for (Job* j : {&sent, &queued, &waiting}) {
    EXPECT_TRUE(j->over);
    EXPECT_EQ(j->code(), Errc::interrupted);
    EXPECT_EQ(j->told, 1);
  }
  client->flush();
  peer.wait_held(2);
  peer.release();
  EXPECT_TRUE(loop.finish(other).value() == payload_of(5000));
  // Too late: it is done, and its value is handed out.
  Job& done = loop.read("k");
  loop.flushes = false;
  client->flush();
  while (client->watch().seconds != kNoLimit) client->pump();
  loop.cancel(done);
  EXPECT_TRUE(loop.finish(done).value() == payload_of(5000));
  EXPECT_EQ(client->counters().connections, 1U);
}

TEST_P(AsyncTroubleTest, CancelOfAHalfSentValue) {
  for (const bool stays : {true, false}) {
    EventLoop& loop = connect();
    DeafServer server(peer);
    Job& j = write_half(loop, server, {.args_stay = stays});
    EXPECT_EQ(loop.cancel(j), Outcome::unknown);
    loop.hand_out();
    EXPECT_EQ(j.over, !stays);
    server.listen();
    loop.finish();
    EXPECT_EQ(j.told, 1);
    EXPECT_EQ(j.code(), Errc::interrupted);
    EXPECT_TRUE(loop.finish(loop.size()).good());
    EXPECT_EQ(client->counters().connections, stays ? 1U : 2U);
    peer.set_rewrite({});
  }
}

TEST_P(AsyncTroubleTest, CancelWithoutAConnection) {
  EventLoop& loop = connect(retry);
  peer.hold(Method::write);
  Job& before = loop.write("k", bytes_of("v"));
  client->flush();
  peer.wait_held(1);
  peer.stop();
  loop.finish(before);
  EXPECT_EQ(before.error.outcome, Outcome::unknown);
  Job& after = loop.write("k", bytes_of("v"));
  EXPECT_EQ(loop.cancel(after), Outcome::not_applied);
  loop.hand_out();
  EXPECT_EQ(after.code(), Errc::interrupted);
}

// Nobody asks for the place of a value that nobody wants any more.
TEST_P(AsyncTroubleTest, CancelledCallsAskNoReceiver) {
  EventLoop& loop = connect();
  loop.finish(loop.write("k", payload_of(200'000)));
  HalfReply half(peer, Method::batch_read, 40);  // before the sizes of the values
  Job& batch = loop.batch_read({bytes_of("k"), bytes_of("k")});
  const auto pumps = loop.pumps;
  loop.until([&] { return loop.pumps != pumps; });
  ASSERT_EQ(batch.asked, 0);
  loop.cancel(batch);
  half.finish();
  loop.finish(batch);
  EXPECT_EQ(batch.asked, 0);
  EXPECT_EQ(batch.code(), Errc::interrupted);
  EXPECT_TRUE(loop.finish(loop.read("k")).good());
  EXPECT_EQ(client->counters().connections, 1U);
}

// ---- lost connections

TEST_P(AsyncTroubleTest, ReadsAreTriedAgainSentWritesAreNot) {
  EventLoop& loop = connect(retry);
  loop.finish(loop.write("k", payload_of(5000)));
  peer.hold(Method::read);
  Job& read = loop.read("k");
  Job& write = loop.write("w", bytes_of("v"));
  client->flush();
  peer.wait_held(1);
  Job& unsent = loop.write("u", bytes_of("1"));
  Job& later = loop.write("u", bytes_of("2"));
  peer.drop_connections();
  loop.finish(write);  // the server may have answered before
  if (write.failed) {
    EXPECT_EQ(write.code(), Errc::connection_lost);
    EXPECT_EQ(write.error.outcome, Outcome::unknown);
    EXPECT_EQ(write.error.attempts, 1U);
  }
  peer.release();
  loop.finish();
  EXPECT_TRUE(read.value() == payload_of(5000));
  EXPECT_EQ(read.told, 1);
  // Sent by the flush of a loop that did not know yet, or not at all.
  if (unsent.good() && later.good()) {
    EXPECT_EQ(*loop.finish(loop.read("u")).value(), bytes_of("2"));
  }
  EXPECT_GE(client->counters().connections, 2U);
}

TEST_P(AsyncTroubleTest, UnsentWritesAreTriedAgainInTheirOrder) {
  EventLoop& loop = connect(retry);
  for (int round = 0; round < 3; ++round) {
    DeafServer server(peer);
    Job& half = write_half(loop, server, {});
    std::vector<Job*> writes;
    for (int i = 0; i < 50; ++i) writes.push_back(&loop.write("k", bytes_of(std::to_string(i + 1))));
    EXPECT_EQ(loop.cancel(half), Outcome::unknown);
    server.listen();
    loop.finish();
    for (const Job* j : writes) ASSERT_TRUE(j->good()) << j->error.detail;
    EXPECT_EQ(*loop.finish(loop.read("k")).value(), bytes_of("50"));
    peer.set_rewrite({});
  }
}

// What an earlier try may have done stays unknown, however the last one ends.
TEST_P(AsyncTroubleTest, OutcomeRemembersEarlierTries) {
  EventLoop& loop = connect([](Options& o) {
    retry(o);
    o.retry.writes = RetryWrites::always;
  });
  peer.hold(Method::write);
  Job& cancelled = loop.write("k", bytes_of("1"));
  Job& late = loop.write("k", bytes_of("2"), {.timeout = 0.3});
  client->flush();
  peer.wait_held(2);
  peer.drop_connections();
  loop.until([&] { return client->counters().connections == 2 && client->watch().socket != -1; });
  peer.wait_held(2);
  peer.drop_connections();
  peer.stop();
  loop.until([&] { return client->watch().socket == -1; });
  EXPECT_EQ(loop.cancel(cancelled), Outcome::unknown);
  loop.finish();
  EXPECT_EQ(late.code(), Errc::operation_timeout);
  EXPECT_EQ(late.error.outcome, Outcome::unknown);
  EXPECT_GE(late.error.attempts, 2U);
}

// Also of a call whose next try has sent nothing yet.
TEST_P(AsyncTroubleTest, OutcomeRemembersEarlierTriesBeforeTheNextIsSent) {
  EventLoop& loop = connect([](Options& o) {
    retry(o);
    o.retry.writes = RetryWrites::always;
  });
  std::latch seen{3};
  peer.set_rewrite([&](const rpc::Request&, std::vector<Bytes>& frames) {
    frames.clear();
    seen.count_down();
  });
  loop.exists("k");
  Job& big = loop.write("big", payload_of(16 * kMebibyte), {.args_stay = true});
  Job& cancelled = loop.write("k", bytes_of("1"));
  loop.until([&] { return seen.try_wait(); });
  DeafServer server(peer);
  peer.drop_connections();
  loop.until([&] { return client->counters().connections == 2 && client->watch().writable; });
  server.wait_deaf();
  EXPECT_EQ(loop.cancel(cancelled), Outcome::unknown);
  loop.hand_out();
  EXPECT_TRUE(cancelled.over);
  EXPECT_EQ(cancelled.error.outcome, Outcome::unknown);
  server.listen();
  loop.finish();
  EXPECT_TRUE(big.good()) << big.error.detail;
  peer.set_rewrite({});
}

TEST_P(AsyncTroubleTest, WithoutRetriesWaitingCallsFailWithTheConnectError) {
  EventLoop& loop = connect();
  loop.finish(loop.size());
  peer.stop();
  loop.until([&] { return client->watch().socket == -1; });
  const auto start = Clock::now();
  Job& j = loop.finish(loop.size());
  EXPECT_EQ(j.code(), Errc::connect_failed);
  EXPECT_EQ(j.error.outcome, Outcome::not_applied);
  EXPECT_LT(seconds_since(start), 5);
}

TEST_P(AsyncTroubleTest, EveryLossIsFollowedByAConnection) {
  EventLoop& loop = connect();
  for (int i = 0; i < 5; ++i) {
    peer.drop_connections();
    loop.until([&] { return client->watch().socket == -1; });
    EXPECT_TRUE(loop.finish(loop.size()).good());
  }
  EXPECT_EQ(client->counters().connections, 6U);
}

TEST_P(AsyncTroubleTest, ReconnectsWhileNobodyCalls) {
  EventLoop& loop = connect();
  loop.finish(loop.size());
  peer.drop_connections();
  loop.until([&] { return client->counters().connections == 2 && client->watch().socket != -1; });
  const auto events = client->take_events();
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].kind, Event::Kind::lost);
  EXPECT_EQ(events[1].kind, Event::Kind::connected);
}

#ifndef _WIN32
TEST_P(AsyncTroubleTest, ADescriptorStaysOpenUntilItIsUnwatched) {
  EventLoop& loop = connect();
  loop.finish(loop.size());
  loop.unwatches = false;
  const AsyncWatch before = client->watch();
  peer.drop_connections();
  loop.until([&] { return client->counters().connections == 2 && client->watch().socket != -1; });
  const AsyncWatch after = client->watch();
  EXPECT_NE(before.generation, after.generation);
  EXPECT_NE(before.socket, after.socket);
  EXPECT_NE(::fcntl(static_cast<int>(before.socket), F_GETFD), -1);
  client->unwatched();
  EXPECT_EQ(::fcntl(static_cast<int>(before.socket), F_GETFD), -1);
  // The number comes back with another connection.
  bool reused = false;
  loop.unwatches = true;
  for (int i = 0; i < 20 && !reused; ++i) {
    const AsyncWatch old = client->watch();
    const auto connections = client->counters().connections;
    peer.drop_connections();
    loop.until([&] { return client->counters().connections > connections && client->watch().socket != -1; });
    const AsyncWatch now = client->watch();
    ASSERT_NE(now.generation, old.generation);
    reused = now.socket == before.socket || now.socket == old.socket;
    ASSERT_TRUE(loop.finish(loop.size()).good());
  }
  EXPECT_TRUE(reused);
}
#endif

TEST_P(AsyncTroubleTest, AConnectionWithoutIdsIsReplaced) {
  client::first_request_id = client::kRequestIdsEnd - 5;
  EventLoop& loop = connect([](Options& o) { o.max_inflight = 4; });
  client::first_request_id = client::kFirstRequestId;
  loop.finish(loop.write("k", payload_of(5000)));
  peer.hold(Method::read);
  std::vector<Job*> reads;
  for (int i = 0; i < 20; ++i) reads.push_back(&loop.read("k"));
  client->flush();
  peer.wait_held(4);  // the last ones of the old connection
  peer.release();
  loop.finish();
  for (const Job* j : reads) ASSERT_TRUE(j->good() && j->value() == payload_of(5000)) << j->error.detail;
  EXPECT_EQ(client->counters().connections, 2U);
  EXPECT_EQ(client->take_events().size(), 1U);  // connected; nothing was lost
}

TEST_P(AsyncTroubleTest, SilenceIsALostConnection) {
  EventLoop& loop = connect([](Options& o) { o.idle_timeout = 0.1; });
  loop.finish(loop.size());
  peer.hold(Method::len);
  const auto start = Clock::now();
  const auto pumps = loop.pumps;
  Job& j = loop.finish(loop.size());
  EXPECT_EQ(j.code(), Errc::connection_lost);
  EXPECT_GE(seconds_since(start), 0.099);
  EXPECT_LT(seconds_since(start), 5);
  EXPECT_LE(loop.pumps - pumps, 8U);
  peer.release();
  EXPECT_TRUE(loop.finish(loop.size()).good());
}

// The deadline and the silence in one round, with more calls than one.
TEST_P(AsyncTroubleTest, SilenceAndDeadlinesTogether) {
  EventLoop& loop = connect([](Options& o) {
    o.idle_timeout = 0.05;
    retry(o);
  });
  loop.finish(loop.write("big", payload_of(kMebibyte)));
  HalfReply half(peer, Method::read);
  read_half(loop, "big", {.timeout = 0.05});
  peer.hold(Method::len);
  for (int i = 0; i < 20; ++i) loop.size({.timeout = 0.01 * i});
  client->flush();
  const auto start = Clock::now();
  while (seconds_since(start) < 0.12) std::this_thread::yield();
  loop.finish();
  for (const auto& j : loop.jobs()) EXPECT_LE(j->told, 2);
  peer.release();
  EXPECT_EQ(client->pending(), 0U);
}

// The connection breaks while flush() sends, when the deadlines of its calls have passed.
TEST_P(AsyncTroubleTest, LostInFlushAndLate) {
  EventLoop& loop = connect();
  for (int round = 0; round < 5; ++round) {
    loop.until([&] { return client->watch().socket != -1; });
    peer.hold(Method::len);
    for (int i = 0; i < 5; ++i) loop.size({.timeout = 0.01});
    client->flush();
    peer.wait_held(5);
    peer.drop_connections();
    const auto start = Clock::now();
    while (seconds_since(start) < 0.02) {  // the second send finds the connection reset
      loop.exists("k", {.timeout = 0.01});
      client->flush();
      std::this_thread::yield();
    }
    peer.release();
    loop.finish();
  }
  EXPECT_EQ(client->pending(), 0U);
}

// ---- the end, in the middle

TEST_P(AsyncTroubleTest, CloseAndDestructionInTheMiddleOfTransfers) {
  for (const bool closes : {true, false}) {
    for (const bool gone : {true, false}) {  // whether the caller has left before
      EventLoop& loop = connect();
      loop.finish(loop.write("big", payload_of(kMebibyte)));
      {
        HalfReply half(peer, Method::read);
        Job& read = read_half(loop, "big", {});
        if (gone) loop.cancel(read);
      }
      DeafServer server(peer);
      Job& write = write_half(loop, server, {.args_stay = true});
      if (gone) loop.cancel(write);
      loop.write("k", bytes_of("queued"));
      if (closes) {
        client->close();
        loop.hand_out();
        EXPECT_EQ(loop.open(), 0U);
        for (const auto& j : loop.jobs()) EXPECT_LE(j->told, 1);
        EXPECT_EQ(write.code(), gone ? Errc::interrupted : Errc::closed);
        EXPECT_EQ(write.error.outcome, Outcome::unknown);
      }
      client.reset();
      server.listen();
      peer.set_rewrite({});
    }
  }
}

// ---- progress

struct Told {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> each;
  bool go_on = true;
  static bool report(void* context, std::uint64_t done, std::uint64_t total) {
    auto& self = *static_cast<Told*>(context);
    if (total == 0) return true;  // of a read whose reply has not begun, on a slow machine
    self.each.emplace_back(done, total);
    return self.go_on;
  }
};

TEST_P(AsyncTroubleTest, ProgressIsToldAndMayEndTheCall) {
  EventLoop& loop = connect();
  loop.finish(loop.write("big", payload_of(2 * kMebibyte)));
  for (const bool go_on : {true, false}) {
    Told told;
    told.go_on = go_on;
    HalfReply half(peer, Method::read);
    Job& j = read_half(loop, "big", {.progress = {&told, &Told::report}});
    loop.until([&] {
      client->wake();
      return (told.each.size() >= 2 && told.each.back().first > kMebibyte / 2) || j.told != 0;
    });
    ASSERT_FALSE(told.each.empty());
    EXPECT_EQ(told.each.back().second, 2 * kMebibyte);
    EXPECT_LT(told.each.back().first, 2 * kMebibyte);
    EXPECT_FALSE(j.over);
    half.finish();
    loop.finish(j);
    if (go_on) {
      EXPECT_TRUE(j.value() == payload_of(2 * kMebibyte));
    } else {
      EXPECT_EQ(j.code(), Errc::interrupted);
      EXPECT_EQ(j.error.outcome, Outcome::unknown);
      EXPECT_EQ(told.each.size(), 1U);
      EXPECT_EQ(j.told, 2);
    }
  }
  Told of_write;
  of_write.go_on = false;
  DeafServer server(peer);
  Job& write = write_half(loop, server, {.progress = {&of_write, &Told::report}, .args_stay = true});
  loop.until([&] {
    client->wake();
    return write.told != 0;
  });
  EXPECT_EQ(of_write.each.back().second, 16 * kMebibyte);
  EXPECT_LT(of_write.each.back().first, 16 * kMebibyte);
  EXPECT_GT(of_write.each.back().first, 0U);
  server.listen();
  loop.finish();
  peer.set_rewrite({});
}

// ---- storms

// Delays and reorders the replies of each connection, and mixes the frames of two.
class Shuffler {
 public:
  void operator()(const rpc::Request&, std::vector<Bytes>& frames) {
    Replies& kept = kept_[std::this_thread::get_id()];  // a thread for each connection
    kept.push_back(std::move(frames));
    frames.clear();
    while (kept.size() > random_() % 40) {
      std::vector<Bytes> a = take(kept);
      std::vector<Bytes> b = !kept.empty() && random_() % 2 == 0 ? take(kept) : std::vector<Bytes>{};
      for (std::size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
        if (i < a.size()) frames.push_back(std::move(a[i]));
        if (i < b.size()) frames.push_back(std::move(b[i]));
      }
    }
  }
  /// Of the only connection.
  std::vector<Bytes> rest() {
    std::vector<Bytes> out;
    for (Replies& kept = kept_.begin()->second; !kept.empty();) {
      std::vector<Bytes> a = take(kept);
      std::move(a.begin(), a.end(), std::back_inserter(out));
    }
    return out;
  }

 private:
  using Replies = std::vector<std::vector<Bytes>>;
  std::vector<Bytes> take(Replies& kept) {
    std::swap(kept[random_() % kept.size()], kept.back());
    std::vector<Bytes> out = std::move(kept.back());
    kept.pop_back();
    return out;
  }
  std::minstd_rand random_{7};
  std::map<std::thread::id, Replies> kept_;
};

constexpr std::size_t kKeys = 30;
Bytes value_of(std::size_t k) {
  const std::size_t size = k == 0 ? 70'000 : k == 1 ? 4097 : k == 2 ? 4096 : 50 + k * 40;
  return payload_of(size, static_cast<std::uint32_t>(k));
}

TEST_P(AsyncTroubleTest, EveryReadOfACancelStormGetsItsOwnValue) {
  EventLoop& loop = connect();
  std::vector<Bytes> values;
  for (std::size_t k = 0; k < kKeys; ++k) {
    values.push_back(value_of(k));
    loop.write("k" + std::to_string(k), values[k]);
  }
  loop.finish();
  Shuffler shuffler;
  peer.set_rewrite([&](const rpc::Request& q, std::vector<Bytes>& frames) { shuffler(q, frames); });
  std::minstd_rand random(3);
  std::vector<std::pair<Job*, std::size_t>> reads;
  std::size_t cancelled = 0;
  for (std::size_t i = 0; i < 10'000; ++i) {
    const std::size_t k = random() % 8 == 0 ? random() % kKeys : 3 + random() % (kKeys - 3);
    reads.emplace_back(&loop.read("k" + std::to_string(k)), k);
    if (random() % 3 == 0) {
      Job& victim = *reads[reads.size() - 1 - random() % std::min<std::size_t>(reads.size(), 60)].first;
      if (victim.call) {
        loop.cancel(victim);
        ++cancelled;
      }
    }
    if (random() % 8 == 0) loop.turn(0);
  }
  EXPECT_GT(cancelled, 1000U);
  client->flush();
  loop.until([&] { return loop.open() < 60; });
  peer.set_rewrite({});
  for (const Bytes& frame : shuffler.rest()) peer.send_everywhere(2, frame);
  loop.finish();
  std::size_t good = 0;
  for (const auto& [j, k] : reads) {
    ASSERT_TRUE(j->over);
    ASSERT_EQ(j->told, 1);
    if (j->failed) {
      ASSERT_EQ(j->code(), Errc::interrupted) << j->error.detail;
    } else {
      ASSERT_TRUE(j->value() == values[k]) << k;
      ++good;
    }
  }
  EXPECT_GT(good, 6000U);
  EXPECT_EQ(client->counters().connections, 1U);
  peer.set_rewrite({});
}

TEST_P(AsyncTroubleTest, StormOfEverything) {
  EventLoop& loop = connect([](Options& o) {
    retry(o);
    o.max_inflight = 50;
  });
  std::vector<Bytes> values;
  for (std::size_t k = 0; k < kKeys; ++k) {
    values.push_back(value_of(k));
    loop.write("k" + std::to_string(k), values[k]);
  }
  loop.finish();
  Shuffler shuffler;
  peer.set_rewrite([&](const rpc::Request& q, std::vector<Bytes>& frames) { shuffler(q, frames); });
  std::minstd_rand random(5);
  std::vector<std::pair<Job*, std::size_t>> reads;
  for (std::size_t i = 0; i < 4000; ++i) {
    const std::size_t k = random() % kKeys;
    const std::string key = "k" + std::to_string(k);
    AsyncCallOptions how;
    how.args_stay = random() % 2 == 0;
    if (random() % 16 == 0) how.timeout = static_cast<double>(random() % 30) * 1e-4;
    switch (random() % 8) {
      case 0: loop.write(key, values[k], how); break;  // the value that it has
      case 1: loop.exists(key, how); break;
      case 2: loop.batch_read({bytes_of(key), bytes_of("none")}, how, random() % 8 == 0); break;
      default: reads.emplace_back(&loop.read(key, how, random() % 16 == 0), k);
    }
    if (random() % 4 == 0) {
      const auto& all = loop.jobs();
      Job& victim = *all[all.size() - 1 - random() % std::min<std::size_t>(all.size(), 60)];
      if (victim.call) loop.cancel(victim);
    }
    if (random() % 8 == 0) loop.turn(0);
    if (random() % 500 == 0) peer.drop_connections();
  }
  peer.set_rewrite({});
  peer.drop_connections();
  loop.finish();
  for (const auto& [j, k] : reads) {
    ASSERT_TRUE(j->over);
    if (j->good()) {
      ASSERT_TRUE(j->value() == values[k]) << k;
    }
  }
  EXPECT_EQ(client->pending(), 0U);
  Job& last = loop.finish(loop.size());
  EXPECT_TRUE(last.good()) << last.error.detail;
}

// ---- fork

#if !defined(_WIN32) && !defined(__SANITIZE_THREAD__)  // which knows no threads in the child of a process with threads
TEST_P(AsyncTroubleTest, CallsOfTheChildEndAtTheirDeadline) {
  EventLoop& loop = connect(retry);
  loop.finish(loop.write("k", bytes_of("v")));
  peer.hold(Method::len);
  Job& j = loop.size({.timeout = 0.2});
  Job& cancelled = loop.size();
  client->flush();
  peer.wait_held(2);
  Job& unsent = loop.read("k", {.timeout = 0.3});
  const pid_t child = ::fork();
  ASSERT_NE(child, -1);
  if (child == 0) {
    ::alarm(10);
    bool ok = true;
    try {
      loop.cancel(cancelled);
      loop.hand_out();
      ok = cancelled.over;
      loop.finish(j);
      ok = ok && j.failed && j.told == 1;
      loop.finish(unsent);
      ok = ok && unsent.failed;
      // A connection of its own.
      Job& again = loop.finish(loop.read("k"));
      ok = ok && again.good() && *again.value() == bytes_of("v") && client->counters().connections == 2;
      client.reset();
    } catch (const std::exception&) {
      ok = false;
    }
    ::_exit(ok ? 0 : 1);
  }
  EXPECT_TRUE(loop.finish(unsent).good());
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  peer.release();
  loop.finish();
  EXPECT_TRUE(cancelled.good());
  EXPECT_EQ(client->counters().connections, 1U);
}
#endif

INSTANTIATE_TEST_SUITE_P(Dialects, AsyncTroubleTest, testing::Values(Dialect::d13, Dialect::d21),
                         [](const auto& p) { return p.param == Dialect::d13 ? "d13" : "d21"; });

}  // namespace
}  // namespace simdrive
