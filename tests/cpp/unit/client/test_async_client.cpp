#include "simdrive/async_client.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "event_loop.hpp"
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

BytesView view(std::string_view s) { return {reinterpret_cast<const std::uint8_t*>(s.data()), s.size()}; }

std::unique_ptr<AsyncClient> open_client(const std::string& url, const std::function<void(Options&)>& change = {}) {
  Options o;
  o.url = url;
  o.timeout = 15;
  o.retry = {.retries = 0, .base = 0.001, .cap = 0.01};
  o.reconnect_spread = 0;
  if (change) change(o);
  auto c = AsyncClient::open(std::move(o));
  if (!c) throw std::runtime_error("not opened: " + c.error().detail);
  return std::move(c).value();
}

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

class AsyncClientTest : public testing::TestWithParam<Dialect> {
 protected:
  TestPeer peer{GetParam()};
  std::unique_ptr<AsyncClient> client;
  std::unique_ptr<EventLoop> owned_loop;

  EventLoop& connect(const std::function<void(Options&)>& change = {}) {
    client = open_client(peer.url(), change);
    owned_loop = std::make_unique<EventLoop>(*client);
    owned_loop->connect();
    return *owned_loop;
  }
};

TEST_P(AsyncClientTest, EveryMethodAnswers) {
  EventLoop& loop = connect();
  EXPECT_EQ(client->dialect(), GetParam() == Dialect::d13 ? "d13" : "d21");
  const auto number = [&](Job& j) {
    loop.finish(j);
    EXPECT_TRUE(j.good()) << j.error.detail;
    return j.number;
  };
  EXPECT_EQ(number(loop.empty()), 1U);
  EXPECT_EQ(number(loop.size()), 0U);
  EXPECT_EQ(number(loop.exists("a")), 0U);
  EXPECT_EQ(loop.finish(loop.read("a")).value(), std::nullopt);
  EXPECT_TRUE(loop.finish(loop.write("a", bytes_of("one"))).good());
  EXPECT_TRUE(loop.finish(loop.write("", bytes_of("two"))).good());
  EXPECT_TRUE(loop.finish(loop.batch_write({bytes_of("b"), bytes_of("c")}, {bytes_of("3"), bytes_of("4")})).good());
  EXPECT_EQ(number(loop.exists("a")), 1U);
  EXPECT_EQ(number(loop.empty()), 0U);
  EXPECT_EQ(number(loop.size()), 4U);
  EXPECT_EQ(number(loop.file_size()), 11U);
  EXPECT_EQ(*loop.finish(loop.read("a")).value(), bytes_of("one"));
  number(loop.erase("a"));
  number(loop.erase("never there"));
  EXPECT_EQ(number(loop.exists("a")), 0U);
  Job& batch = loop.finish(loop.batch_read({bytes_of("c"), bytes_of("a"), bytes_of(""), bytes_of("c")}));
  EXPECT_EQ(batch.values, (std::vector<std::optional<Bytes>>{bytes_of("4"), {}, bytes_of("two"), bytes_of("4")}));
  EXPECT_EQ(client->counters().calls, 16U);
  EXPECT_EQ(client->pending(), 0U);
}

TEST_P(AsyncClientTest, RoundTripsOfEverySize) {
  EventLoop& loop = connect();
  std::vector<std::size_t> sizes = {1, 2, 100, 4095, 4096, 4097, 65499, 65500, 65519, 65520, 65536, 131072, 1U << 20};
  for (std::size_t i = 0; i < sizes.size(); ++i) loop.write("k" + std::to_string(sizes[i]), payload_of(sizes[i]));
  std::vector<Job*> reads;
  std::vector<Bytes> keys;
  for (const std::size_t n : sizes) {
    const std::string key = "k" + std::to_string(n);
    reads.push_back(&loop.read(key));
    keys.push_back(bytes_of(key));
  }
  Job& batch = loop.batch_read(std::move(keys));
  loop.finish();
  ASSERT_EQ(batch.values.size(), sizes.size());
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    ASSERT_TRUE(reads[i]->good()) << sizes[i] << ": " << reads[i]->error.detail;
    EXPECT_TRUE(reads[i]->value() == payload_of(sizes[i])) << sizes[i];
    EXPECT_TRUE(batch.values[i] == payload_of(sizes[i])) << sizes[i];
    EXPECT_EQ(reads[i]->asked, sizes[i] > ReadResult::kSmall ? 1 : 0);
    EXPECT_EQ(reads[i]->told, 1);
  }
  EXPECT_EQ(client->counters().connections, 1U);
}

TEST_P(AsyncClientTest, SixteenMebibytesBothWays) {
  EventLoop& loop = connect();
  const Bytes value = payload_of(std::size_t{16} << 20);
  loop.write("big", value);
  Job& small = loop.write("small", bytes_of("s"));
  Job& read = loop.read("big");
  loop.finish();
  EXPECT_TRUE(small.good());
  ASSERT_TRUE(read.good()) << read.error.detail;
  EXPECT_TRUE(read.value() == value);
}

TEST_P(AsyncClientTest, BatchesOfNothingAbsentAndEmpty) {
  EventLoop& loop = connect();
  Job& nothing = loop.finish(loop.batch_read({}));
  EXPECT_TRUE(nothing.good());
  EXPECT_TRUE(nothing.values.empty());
  EXPECT_EQ(nothing.asked, 1);
  EXPECT_TRUE(loop.finish(loop.batch_write({}, {})).good());
  Job& absent = loop.finish(loop.batch_read({bytes_of("x"), bytes_of("y")}));
  EXPECT_EQ(absent.values, std::vector<std::optional<Bytes>>(2));
  EXPECT_EQ(absent.asked, 1);
  Job& refused = loop.finish(loop.batch_read({bytes_of("x")}, {}, true));
  EXPECT_EQ(refused.code(), Errc::out_of_memory);
  // No client writes empty values, but a store may hold one.
  peer.set_rewrite([](const rpc::Request& q, std::vector<Bytes>& frames) {
    Gather g;
    const std::vector<std::optional<BytesView>> found = {BytesView{}, std::nullopt};
    codec::encode_batch_read_response(found, g);
    frames =
        rpc::encode_response_frames(GetParam(), 0x90000000, q.request_id, q.method_id, 0, testing_peer::flatten(g));
  });
  Job& empty = loop.finish(loop.batch_read({bytes_of("x"), bytes_of("y")}));
  EXPECT_EQ(empty.values, (std::vector<std::optional<Bytes>>{Bytes{}, std::nullopt}));
}

TEST_P(AsyncClientTest, RefusedArgumentsStartNothing) {
  connect([](Options& o) {
    o.max_value_size = 100;
    o.max_key_size = 10;
  });
  const auto before = client->counters();
  const auto code = [](const Result<AsyncCall*>& r) { return r.ok() ? Errc{} : r.error().code; };
  Job sink;
  EXPECT_EQ(code(client->write(view("k"), {})), Errc::invalid_value);
  EXPECT_EQ(code(client->write(view("k"), Bytes{0})), Errc::invalid_value);
  EXPECT_EQ(code(client->write(view("k"), payload_of(101))), Errc::invalid_value);
  EXPECT_EQ(code(client->write(view("12345678901"), view("v"))), Errc::invalid_key);
  EXPECT_EQ(code(client->read(view("12345678901"), sink.receiver())), Errc::invalid_key);
  EXPECT_EQ(code(client->erase(view("12345678901"))), Errc::invalid_key);
  EXPECT_EQ(code(client->exists(view("12345678901"))), Errc::invalid_key);
  const std::vector<BytesView> keys = {view("a"), view("12345678901")};
  EXPECT_EQ(code(client->batch_read(keys, sink.receiver())), Errc::invalid_key);
  const std::vector<KeyValue> entries = {{view("a"), view("v")}, {view("b"), {}}};
  const auto r = client->batch_write(entries);
  EXPECT_EQ(code(r), Errc::invalid_value);
  EXPECT_EQ(r.error().offset, 1U);
  client->flush();
  EXPECT_EQ(client->pending(), 0U);
  EXPECT_EQ(client->next_done(), nullptr);
  EXPECT_EQ(client->counters().sends, before.sends);
  EXPECT_EQ(client->counters().calls, before.calls);
}

TEST_P(AsyncClientTest, OneFlushIsOneSend) {
  EventLoop& loop = connect();
  auto sends = client->counters().sends;
  Job& first = loop.size();
  EXPECT_TRUE(client->lone());
  client->flush();
  EXPECT_EQ(client->counters().sends, sends + 1);
  loop.finish(first);
  sends = client->counters().sends;
  for (int i = 0; i < 200; ++i) {
    loop.write("k" + std::to_string(i), payload_of(20, static_cast<std::uint32_t>(i)));
    EXPECT_EQ(client->lone(), i == 0);
  }
  EXPECT_EQ(client->counters().sends, sends);
  client->flush();
  EXPECT_EQ(client->counters().sends, sends + 1);
  loop.finish();
  EXPECT_EQ(*loop.finish(loop.read("k199")).value(), payload_of(20, 199));
}

// The existing servers carry the requests of one message out in any order.
TEST_P(AsyncClientTest, WhatMustStayInOrderDoesNotShareAMessage) {
  EventLoop& loop = connect();
  loop.finish(loop.size());
  const auto sends_of = [&](const std::function<void()>& start) {
    const auto before = client->counters().sends;
    start();
    client->flush();
    loop.finish();
    return client->counters().sends - before;
  };
  EXPECT_EQ(sends_of([&] {
              for (std::uint32_t i = 0; i < 5; ++i) loop.write("k", payload_of(20, i));
            }),
            5U);
  EXPECT_EQ(*loop.finish(loop.read("k")).value(), payload_of(20, 4));
  EXPECT_EQ(sends_of([&] {
              loop.read("k");
              loop.exists("k");
              loop.read("other");
              loop.write("k", bytes_of("x"));
              loop.write("other", bytes_of("x"));
            }),
            2U);
  EXPECT_EQ(sends_of([&] {
              loop.write("k", bytes_of("y"));
              loop.size();
              loop.batch_write({bytes_of("a")}, {bytes_of("b")});
            }),
            3U);
}

TEST_P(AsyncClientTest, CallsWaitForRoomInTheirOrder) {
  EventLoop& loop = connect([](Options& o) { o.max_inflight = 7; });
  peer.hold(Method::write);
  for (int i = 0; i < 3000; ++i) loop.write("k" + std::to_string(i % 3), payload_of(9, static_cast<std::uint32_t>(i)));
  EXPECT_EQ(client->pending(), 3000U);
  client->flush();
  peer.wait_held(7);
  EXPECT_EQ(client->counters().calls, 3000U);
  peer.release();
  loop.finish();
  for (std::size_t i = 0; i < 3000; ++i) {
    ASSERT_EQ(loop.ended()[i], loop.jobs()[i].get());
    ASSERT_TRUE(loop.jobs()[i]->good());
  }
  EXPECT_EQ(*loop.finish(loop.read("k2")).value(), payload_of(9, 2999));
  EXPECT_EQ(client->pending(), 0U);
}

TEST_P(AsyncClientTest, BytesInFlightAreLimited) {
  EventLoop& loop = connect([](Options& o) { o.max_inflight_bytes = 10'000; });
  for (int i = 0; i < 2000; ++i) loop.write("k", payload_of(i % 100 == 50 ? 30'000 : 3000));
  loop.finish();
  for (const auto& j : loop.jobs()) ASSERT_TRUE(j->good()) << j->error.detail;
  peer.hold(Method::write);
  loop.write("k", payload_of(6000));
  Job& second = loop.write("k", payload_of(6000), {.timeout = 0.05});
  EXPECT_EQ(loop.finish(second).code(), Errc::overload);
  EXPECT_EQ(second.error.outcome, Outcome::not_applied);
  EXPECT_EQ(second.told, 1);
  peer.wait_held(1);
  peer.release();
  loop.finish();
}

TEST_P(AsyncClientTest, NoRoomUntilTheDeadlineIsOverload) {
  EventLoop& loop = connect([](Options& o) { o.max_inflight = 1; });
  peer.hold(Method::len);
  Job& first = loop.size();
  Job& second = loop.empty({.timeout = 0.05});
  Job& third = loop.exists("k");
  EXPECT_EQ(loop.finish(second).code(), Errc::overload);
  EXPECT_GE(second.error.elapsed, 0.05);
  peer.wait_held(1);
  EXPECT_FALSE(third.over);
  peer.release();
  loop.finish();
  EXPECT_TRUE(first.good());
  EXPECT_TRUE(third.good());
}

// What a cancelled call leaves room for goes on, although nothing happens on the socket.
TEST_P(AsyncClientTest, CancelMakesRoom) {
  EventLoop& loop = connect([](Options& o) { o.max_inflight = 1; });
  peer.hold(Method::len);
  Job& first = loop.size();
  Job& second = loop.exists("k");
  client->flush();
  peer.wait_held(1);
  loop.flushes = false;  // nothing was started
  EXPECT_EQ(loop.cancel(first), Outcome::unknown);
  const auto start = Clock::now();
  loop.finish(second);
  EXPECT_LT(seconds_since(start), 5);
  EXPECT_TRUE(second.good());
  peer.release();
}

TEST_P(AsyncClientTest, RefusingReceiversLeaveTheConnectionInUse) {
  EventLoop& loop = connect();
  loop.write("big", payload_of(300'000));
  loop.finish();
  Job& read = loop.read("big", {}, true);
  Job& batch = loop.batch_read({bytes_of("big"), bytes_of("none")}, {}, true);
  Job& next = loop.read("big");
  loop.finish();
  EXPECT_EQ(read.code(), Errc::buffer_too_small);
  EXPECT_EQ(batch.code(), Errc::out_of_memory);
  ASSERT_TRUE(next.good());
  EXPECT_TRUE(next.value() == payload_of(300'000));
  EXPECT_EQ(client->counters().connections, 1U);
}

// A reply larger than one round takes several, and the loop gets its turns in between.
TEST_P(AsyncClientTest, OneRoundReceivesAboutAMebibyte) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr std::size_t kSize = std::size_t{8} << 20;
#else
  constexpr std::size_t kSize = std::size_t{32} << 20;
#endif
  EventLoop& loop = connect();
  loop.finish(loop.write("huge", payload_of(kSize)));
  Job& j = loop.read("huge");
  std::size_t had = 0;
  std::size_t most = 0;
  bool again = false;
  while (!j.over) {
    loop.turn(1);
    again |= client->watch().again;
    if (j.values.empty()) continue;
    const Bytes& v = *j.values[0];  // zeroed when it was placed, and no byte of the value is 0
    const auto end = std::partition_point(v.begin() + static_cast<std::ptrdiff_t>(had), v.end(),
                                          [](std::uint8_t b) { return b != 0; });
    const auto now = static_cast<std::size_t>(end - v.begin());
    most = std::max(most, now - had);
    had = now;
  }
  ASSERT_TRUE(j.good()) << j.error.detail;
  EXPECT_TRUE(j.value() == payload_of(kSize));
  EXPECT_LE(most, (std::size_t{1} << 20) + 65536 + 4096);
  EXPECT_TRUE(again || most < std::size_t{1} << 20);  // a slow peer may never be that far ahead
}

TEST_P(AsyncClientTest, ServerErrorsCarryTheirText) {
  EventLoop& loop = connect();
  const auto answer_with = [&](rpc::Status status, const std::string& text) {
    peer.set_rewrite([status, text](const rpc::Request& q, std::vector<Bytes>& frames) {
      frames = rpc::encode_response_frames(GetParam(), 0x90000000, q.request_id, q.method_id,
                                           static_cast<std::uint8_t>(status), view(text));
    });
  };
  answer_with(rpc::Status::system_error, "the disk is full");
  Job& j = loop.finish(loop.size());
  EXPECT_EQ(j.code(), Errc::server_error);
  EXPECT_EQ(j.error.detail, "the disk is full");
  answer_with(rpc::Status::method_not_found, "");
  EXPECT_EQ(loop.finish(loop.size()).code(), Errc::unsupported);
  answer_with(rpc::Status::success, "");
  EXPECT_EQ(loop.finish(loop.size()).code(), Errc::protocol_error);
  peer.set_rewrite({});
  EXPECT_TRUE(loop.finish(loop.size()).good());
  EXPECT_EQ(client->counters().connections, 2U);
}

// ---- close

TEST_P(AsyncClientTest, CloseEndsCallsInEveryState) {
  EventLoop& loop = connect([](Options& o) { o.max_inflight = 2; });
  peer.hold(Method::write);
  Job& active = loop.write("k", bytes_of("v"));
  client->flush();
  peer.wait_held(1);
  Job& queued = loop.write("k", bytes_of("v"));
  Job& waiting = loop.write("k", bytes_of("v"));
  client->close();
  client->close();
  EXPECT_TRUE(client->closed());
  loop.hand_out();
  for (Job* j : {&active, &queued, &waiting}) {
    EXPECT_TRUE(j->over);
    EXPECT_EQ(j->code(), Errc::closed);
    EXPECT_EQ(j->error.outcome, j == &active ? Outcome::unknown : Outcome::not_applied);
  }
  EXPECT_EQ(client->size().error().code, Errc::closed);
  loop.until([&] { return client->close_ended(); });
  EXPECT_EQ(client->watch().socket, -1);
}

// A limit's next call takes the place of each one that ends: also of those that end with the connection.
TEST_P(AsyncClientTest, CloseEndsCallsThatALimitHolds) {
  EventLoop& loop = connect([](Options& o) { o.max_inflight = 2; });
  peer.hold(Method::write);
  const auto one = make_call_limit(1);
  for (int i = 0; i < 4; ++i) loop.write("k", bytes_of("v"), {.limit = one});
  client->flush();
  peer.wait_held(1);
  client->close();
  loop.hand_out();
  EXPECT_EQ(loop.open(), 0U);
  for (const auto& j : loop.jobs()) {
    EXPECT_EQ(j->code(), Errc::closed);
    EXPECT_EQ(j->error.outcome, j == loop.jobs().front() ? Outcome::unknown : Outcome::not_applied);
  }
  EXPECT_EQ(client->pending(), 0U);
}

TEST_P(AsyncClientTest, CloseHearsTheServerOut) {
  EventLoop& loop = connect();
  loop.finish(loop.size());
  client->close();
  EXPECT_NE(client->watch().socket, -1);
  loop.until([&] { return client->close_ended(); });
  EXPECT_EQ(client->watch().socket, -1);
}

// The loop that never asks does not spin either: pump() takes what the server still says.
TEST_P(AsyncClientTest, PumpAloneEndsAClose) {
  EventLoop& loop = connect();
  loop.finish(loop.size());
  client->close();
  const auto pumps = loop.pumps;
  loop.until([&] { return client->watch().socket == -1; });
  EXPECT_LE(loop.pumps - pumps, 5U);
  EXPECT_TRUE(client->close_ended());
}

TEST_P(AsyncClientTest, DestructionForgetsCallsInEveryState) {
  for (int variant = 0; variant < 6; ++variant) {
    connect([](Options& o) { o.max_inflight = 3; });
    EventLoop& loop = *owned_loop;
    peer.hold(Method::len);
    if (variant == 0) {
      client->close();
    }
    if (variant >= 1) {
      loop.size();                  // active
      loop.size({.timeout = 0.0});  // late
      loop.turn(0);
    }
    if (variant >= 2) loop.read("k");  // queued, or done
    if (variant >= 3) {
      for (int i = 0; i < 5; ++i) loop.read("k");  // waiting
    }
    if (variant >= 4) client->flush();
    if (variant >= 5) {
      client->cancel(loop.jobs()[3]->call);
      client->close();
    }
    client.reset();
    peer.release();
  }
}

TEST_P(AsyncClientTest, DestructionWhileConnecting) {
  for (int i = 0; i < 5; ++i) {
    client = open_client(peer.url());
    EventLoop loop(*client);
    loop.size();
    if (i % 2 == 0) loop.turn(0);
    client.reset();
  }
  const testing_net::Listener deaf;  // accepts, and says nothing
  client = open_client("ws://127.0.0.1:" + std::to_string(deaf.port()));
  EventLoop loop(*client);
  loop.size();
  loop.turn(0.01);
  const auto start = Clock::now();
  client.reset();
  EXPECT_LT(seconds_since(start), 1);
}

INSTANTIATE_TEST_SUITE_P(Dialects, AsyncClientTest, testing::Values(Dialect::d13, Dialect::d21),
                         [](const auto& p) { return p.param == Dialect::d13 ? "d13" : "d21"; });

// ---- without a server, without descriptors

TEST(AsyncClientOpenTest, NobodyThere) {
  std::string url;
  {
    const testing_net::Listener gone;
    url = "ws://127.0.0.1:" + std::to_string(gone.port());
  }
  const auto client = open_client(url);
  EventLoop loop(*client);
  Job& early = loop.size();
  loop.until([&] { return !client->connected().ok(); });
  EXPECT_EQ(client->connected().error().code, Errc::connect_failed);
  // There will be no second try: nobody waits for one.
  const auto start = Clock::now();
  EXPECT_EQ(loop.finish(early).code(), Errc::connect_failed);
  EXPECT_EQ(loop.finish(loop.size()).code(), Errc::connect_failed);
  EXPECT_LT(seconds_since(start), 5);
}

TEST(AsyncClientOpenTest, BadOptions) {
  Options o;
  o.max_inflight = 0;
  EXPECT_EQ(AsyncClient::open(o).error().code, Errc::configuration);
  o = {};
  o.url = "http://x";
  EXPECT_EQ(AsyncClient::open(o).error().code, Errc::configuration);
}

// A wake-up that comes while pump() takes the one before is neither lost nor left standing.
TEST(AsyncClientWakeTest, WakeUpsDoNotStay) {
  TestPeer peer;
  const auto client = open_client(peer.url());
  EventLoop loop(*client);
  loop.connect();
  std::atomic<bool> stop{false};
  std::thread other([&] {
    for (int i = 0; i < 50'000; ++i) client->wake();
    stop = true;
  });
  while (!stop) client->pump();
  other.join();
  client->pump();
  client->pump();
  EXPECT_EQ(client->watch().seconds, kNoLimit);
  const auto pumps = loop.pumps;
  loop.turn(0);
  EXPECT_EQ(loop.pumps, pumps);
}

}  // namespace
}  // namespace simdrive
