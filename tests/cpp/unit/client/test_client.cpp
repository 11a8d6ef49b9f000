#include "simdrive/client.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "client/url.hpp"
#include "test_peer.hpp"

namespace simdrive {
namespace {

using rpc::Dialect;
using rpc::Method;
using testing_peer::TestPeer;
using Clock = std::chrono::steady_clock;

BytesView view(std::string_view s) { return {reinterpret_cast<const std::uint8_t*>(s.data()), s.size()}; }

// Bytes that no column packing makes smaller, so that they travel raw; `flat` ones pack well.
Bytes payload_of(std::size_t n, bool flat = false) {
  Bytes out(n);
  std::uint32_t x = static_cast<std::uint32_t>(n) * 2654435761U + 1;
  for (auto& b : out) {
    x = x * 1664525U + 1013904223U;
    b = flat ? static_cast<std::uint8_t>(x >> 31) : static_cast<std::uint8_t>(x >> 24);
  }
  if (n == 1) out[0] = 7;
  return out;
}

Client connect_to(const TestPeer& peer, const std::function<void(Options&)>& change = {}) {
  Options o;
  o.url = peer.url();
  o.timeout = 20;
  o.retry = {.retries = 0, .base = 0.001, .cap = 0.01};
  o.reconnect_spread = 0;
  if (change) change(o);
  auto c = Client::connect(std::move(o));
  if (!c) throw std::runtime_error("no connection: " + c.error().detail);
  return std::move(c).value();
}

template <class T>
Errc code_of(const Result<T>& r) {
  return r.ok() ? Errc{} : r.error().code;
}

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

class ClientTest : public testing::TestWithParam<Dialect> {
 protected:
  TestPeer peer{GetParam()};
};

TEST_P(ClientTest, RoundTripsOfEverySize) {
  Client c = connect_to(peer);
  for (const std::size_t n : {1U,     2U,     100U,   1023U,  1024U,   2047U,          2048U,    4094U,
                              4095U,  4096U,  4097U,  8192U,  61000U,  65499U,         65500U,   65519U,
                              65520U, 65535U, 65536U, 65537U, 131072U, (1U << 20) - 1, 1U << 20, (1U << 20) + 1}) {
    for (const bool flat : {false, true}) {
      const std::string key = "key" + std::to_string(n);
      Bytes value = payload_of(n, flat);
      if (value == Bytes{0}) value[0] = 1;
      ASSERT_TRUE(c.write(view(key), value).ok()) << n;
      auto r = c.read(view(key));
      ASSERT_TRUE(r.ok()) << n << ": " << r.error().detail;
      ASSERT_TRUE(r->has_value()) << n;
      ASSERT_EQ(**r, value) << n;
    }
  }
  EXPECT_EQ(c.counters().connections, 1U);
}

TEST_P(ClientTest, EveryMethodAnswers) {
  Client c = connect_to(peer);
  EXPECT_EQ(c.server_info()->dialect, GetParam() == Dialect::d13 ? "d13" : "d21");
  EXPECT_TRUE(*c.empty());
  EXPECT_EQ(*c.size(), 0U);
  EXPECT_FALSE(*c.exists(view("a")));
  EXPECT_FALSE(c.read(view("a"))->has_value());
  ASSERT_TRUE(c.write(view("a"), view("one")).ok());
  ASSERT_TRUE(c.write(view(""), view("two")).ok());
  EXPECT_TRUE(*c.exists(view("a")));
  EXPECT_FALSE(*c.empty());
  EXPECT_EQ(*c.size(), 2U);
  EXPECT_EQ(*c.file_size(), 7U);
  EXPECT_GT(*c.ping(), 0.0);
  ASSERT_TRUE(c.erase(view("a")).ok());
  ASSERT_TRUE(c.erase(view("never there")).ok());
  EXPECT_FALSE(*c.exists(view("a")));
  EXPECT_EQ(*c.size(), 1U);
  const auto long_key = payload_of(70000);
  ASSERT_TRUE(c.write(long_key, view("long")).ok());
  EXPECT_EQ(**c.read(long_key), Bytes({'l', 'o', 'n', 'g'}));
}

TEST_P(ClientTest, BatchesKeepTheirOrder) {
  Client c = connect_to(peer);
  EXPECT_TRUE(c.batch_read(std::vector<BytesView>{})->empty());
  const std::vector<Bytes> keys = {{1}, {2, 2}, {3}, {4, 4, 4, 4}, {5}};
  const std::vector<std::size_t> sizes = {1, 5000, 70000, 4096, 1U << 20};
  std::vector<Bytes> values;
  std::vector<KeyValue> entries;
  for (const std::size_t n : sizes) values.push_back(payload_of(n, n == 4096));
  for (std::size_t i = 0; i < keys.size(); ++i) entries.push_back({keys[i], values[i]});
  ASSERT_TRUE(c.batch_write(entries).ok());
  EXPECT_EQ(peer.stored(), 5U);
  std::vector<BytesView> asked = {keys[4], view("absent"), keys[0], keys[2], keys[1], view(""), keys[3], keys[4]};
  auto r = c.batch_read(asked);
  ASSERT_TRUE(r.ok()) << r.error().detail;
  const std::vector<int> expected = {4, -1, 0, 2, 1, -1, 3, 4};
  ASSERT_EQ(r->size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    ASSERT_EQ((*r)[i].has_value(), expected[i] >= 0) << i;
    if (expected[i] >= 0) {
      EXPECT_EQ(*(*r)[i], values[static_cast<std::size_t>(expected[i])]) << i;
    }
  }
  asked = {view("x"), view("y")};
  auto none = c.batch_read(asked);
  ASSERT_TRUE(none.ok());
  EXPECT_EQ(*none, std::vector<std::optional<Bytes>>(2));
}

TEST_P(ClientTest, RefusedArgumentsSendNothing) {
  Client c = connect_to(peer, [](Options& o) {
    o.max_value_size = 100;
    o.max_key_size = 10;
  });
  const auto sends = c.counters().sends;
  const Bytes zero = {0};
  EXPECT_EQ(code_of(c.write(view("k"), {})), Errc::invalid_value);
  EXPECT_EQ(code_of(c.write(view("k"), zero)), Errc::invalid_value);
  EXPECT_EQ(code_of(c.write(view("k"), payload_of(101))), Errc::invalid_value);
  EXPECT_EQ(code_of(c.write(view("12345678901"), view("v"))), Errc::invalid_key);
  EXPECT_EQ(code_of(c.read(view("12345678901"))), Errc::invalid_key);
  const std::vector<KeyValue> entries = {{view("a"), view("v")}, {view("b"), {}}};
  const auto r = c.batch_write(entries);
  EXPECT_EQ(code_of(r), Errc::invalid_value);
  EXPECT_EQ(r.error().offset, 1U);
  EXPECT_EQ(c.counters().sends, sends);
  EXPECT_EQ(peer.stored(), 0U);
  EXPECT_TRUE(c.write(view("1234567890"), payload_of(100)).ok());
}

// A value that is larger than the caller can take ends that call and no other.
TEST_P(ClientTest, RefusedReceiverLeavesTheConnectionInUse) {
  Client c = connect_to(peer);
  ASSERT_TRUE(c.write(view("big"), payload_of(300000)).ok());
  ASSERT_TRUE(c.write(view("small"), view("s")).ok());
  Receiver refusing;
  refusing.allocate = [](void*, const std::uint64_t*, std::size_t, std::uint8_t**) { return false; };
  auto result = std::make_unique<ReadResult>();
  EXPECT_EQ(code_of(c.read(view("big"), refusing, *result)), Errc::buffer_too_small);
  EXPECT_EQ(**c.read(view("small")), Bytes{'s'});
  EXPECT_EQ(**c.read(view("big")), payload_of(300000));
  EXPECT_EQ(c.counters().connections, 1U);
}

TEST_P(ClientTest, TimeoutEndsTheCallAndTheLateReplyReachesNobody) {
  Client c = connect_to(peer);
  ASSERT_TRUE(c.write(view("late"), payload_of(5000)).ok());
  ASSERT_TRUE(c.write(view("next"), payload_of(4500)).ok());
  double least_delay = 10;  // a busy machine may delay one wake-up, not all of them
  for (int i = 0; i < 4; ++i) {
    peer.hold(Method::read);
    const auto start = Clock::now();
    const auto r = c.read(view("late"), {.timeout = 0.2, .interrupt = {}});
    const double took = seconds_since(start);
    ASSERT_EQ(code_of(r), Errc::operation_timeout);
    EXPECT_EQ(r.error().outcome, Outcome::unknown);
    EXPECT_GE(took, 0.2);
    EXPECT_GE(took, r.error().elapsed);
    least_delay = std::min(least_delay, took - 0.2);
    peer.wait_held(1);
    peer.release();
    ASSERT_EQ(**c.read(view("next")), payload_of(4500));
    ASSERT_EQ(**c.read(view("late")), payload_of(5000));
  }
  EXPECT_LE(least_delay, 0.1);
  EXPECT_EQ(c.counters().connections, 1U);
}

TEST_P(ClientTest, TwoTimeoutsInARowReplaceTheConnection) {
  Client c = connect_to(peer);
  ASSERT_TRUE(c.write(view("k"), view("v")).ok());
  peer.hold(Method::read);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(code_of(c.read(view("k"), {.timeout = 0.05, .interrupt = {}})), Errc::operation_timeout);
  }
  peer.release();
  EXPECT_EQ(**c.read(view("k")), Bytes{'v'});
  EXPECT_EQ(c.counters().connections, 2U);
}

TEST_P(ClientTest, SilenceIsALostConnection) {
  Client c = connect_to(peer, [](Options& o) { o.idle_timeout = 0.1; });
  peer.hold(Method::len);
  const auto r = c.size();
  EXPECT_EQ(code_of(r), Errc::connection_lost);
  peer.release();
  EXPECT_TRUE(c.size().ok());
}

TEST_P(ClientTest, TooManyCallsAreOverload) {
  Client c = connect_to(peer, [](Options& o) { o.max_inflight = 1; });
  peer.hold(Method::len);
  std::thread busy([&] { EXPECT_TRUE(c.size().ok()); });
  peer.wait_held(1);
  EXPECT_EQ(code_of(c.empty({.timeout = 0.1, .interrupt = {}})), Errc::overload);
  peer.release();
  busy.join();
  EXPECT_TRUE(c.empty().ok());
}

TEST_P(ClientTest, CloseEndsCallsUnderWay) {
  Client c = connect_to(peer);
  ASSERT_TRUE(c.write(view("k"), view("v")).ok());
  peer.hold(Method::read);
  constexpr int kThreads = 4;
  std::atomic<int> ended{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] { ended += code_of(c.read(view("k"))) == Errc::closed ? 1 : 0; });
  }
  peer.wait_held(kThreads);
  EXPECT_FALSE(c.closed());
  c.close();
  c.close();
  for (auto& t : threads) t.join();
  EXPECT_EQ(ended, kThreads);
  EXPECT_TRUE(c.closed());
  EXPECT_EQ(code_of(c.size()), Errc::closed);
}

// A thread whose call is the only one waits where nobody can wake it.
TEST_P(ClientTest, ThreadThatWaitsAloneKeepsNobodyWaiting) {
  Client c = connect_to(peer);
  peer.hold(Method::exists);
  std::optional<bool> found;
  std::thread first([&] {
    auto r = c.exists(view("k"));
    ASSERT_TRUE(r.ok()) << r.error().detail;
    found = r.value();
  });
  peer.wait_held(1);
  const Bytes large(std::size_t{32} << 20, 7);  // more than the socket takes at once
  const auto written = c.write(view("k"), large);
  EXPECT_TRUE(written.ok()) << written.error().detail;
  const auto size = c.size();
  ASSERT_TRUE(size.ok()) << size.error().detail;
  EXPECT_EQ(size.value(), 1U);
  peer.release();
  first.join();
  EXPECT_EQ(found, false);
}

TEST_P(ClientTest, LostConnectionIsReplacedByTheNextCall) {
  Client c = connect_to(peer);
  ASSERT_TRUE(c.write(view("k"), view("v")).ok());
  peer.hold(Method::read);
  std::thread waiting([&] {
    const auto r = c.read(view("k"));
    ASSERT_EQ(code_of(r), Errc::connection_lost);
    EXPECT_EQ(r.error().outcome, Outcome::unknown);
  });
  peer.wait_held(1);
  peer.drop_connections();
  waiting.join();
  peer.release();
  EXPECT_EQ(**c.read(view("k")), Bytes{'v'});
  EXPECT_EQ(c.counters().connections, 2U);
  peer.stop();
  const auto lost = c.read(view("k"));
  EXPECT_TRUE(code_of(lost) == Errc::connection_lost || code_of(lost) == Errc::connect_failed);
  EXPECT_EQ(code_of(c.read(view("k"))), Errc::connect_failed);
}

TEST_P(ClientTest, ReadsAreTriedAgainWritesOnlyWhenAsked) {
  const auto lose_one = [&](Client& c, Method method, auto call) {
    peer.hold(method);
    std::thread waiting([&] { call(c); });
    peer.wait_held(1);
    peer.drop_connections();
    peer.release();
    waiting.join();
  };
  const auto retrying = [](RetryWrites writes) {
    return [writes](Options& o) { o.retry = {.retries = 3, .base = 0.001, .cap = 0.01, .writes = writes}; };
  };
  Client c = connect_to(peer, retrying(RetryWrites::unsent));
  lose_one(c, Method::read, [](Client& client) { EXPECT_TRUE(client.read(view("k")).ok()); });
  EXPECT_EQ(c.counters().connections, 2U);
  lose_one(c, Method::write, [](Client& client) {
    const auto r = client.write(view("k"), view("v"));
    EXPECT_EQ(code_of(r), Errc::connection_lost);
    EXPECT_EQ(r.error().outcome, Outcome::unknown);
    EXPECT_EQ(r.error().attempts, 1U);
  });
  Client always = connect_to(peer, retrying(RetryWrites::always));
  lose_one(always, Method::write, [](Client& client) { EXPECT_TRUE(client.write(view("k"), view("v")).ok()); });
}

TEST_P(ClientTest, CallsWaitForAConnectionUntilTheirDeadline) {
  Client c = connect_to(peer, [](Options& o) { o.retry = {.retries = 3, .base = 0.001, .cap = 0.01}; });
  peer.stop();
  const auto start = Clock::now();
  const auto r = c.read(view("k"), {.timeout = 0.2, .interrupt = {}});
  EXPECT_EQ(code_of(r), Errc::operation_timeout);
  EXPECT_FALSE(r.error().cause.empty());
  EXPECT_GE(seconds_since(start), 0.19);
  const auto events = c.take_events();
  ASSERT_GE(events.size(), 2U);
  EXPECT_EQ(events[0].kind, Event::Kind::lost);
  EXPECT_EQ(events[1].kind, Event::Kind::retrying);
  EXPECT_GE(events[1].attempt, 1U);
}

TEST_P(ClientTest, ClosingEndsTheWaitForAConnection) {
  Client c = connect_to(peer, [](Options& o) { o.retry = {.retries = 3, .base = 0.001, .cap = 0.01}; });
  peer.stop();
  std::thread waiting([&] { EXPECT_EQ(code_of(c.size()), Errc::closed); });
  while (!c.has_events()) std::this_thread::yield();
  c.close();
  waiting.join();
}

TEST(RetryTest, WaitsDoubleUpToTheirCap) {
  const Retry r{.retries = 3, .base = 0.5, .cap = 3};
  EXPECT_EQ(r.limit(0), 0.5);
  EXPECT_EQ(r.limit(1), 0.5);
  EXPECT_EQ(r.limit(2), 1);
  EXPECT_EQ(r.limit(3), 2);
  EXPECT_EQ(r.limit(4), 3);
  EXPECT_EQ(r.limit(4'000'000'000U), 3);
}

TEST_P(ClientTest, ProgressIsTold) {
  Client c = connect_to(peer);
  struct Told {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> each;
    std::atomic<int> times{0};
    bool go_on = true;
    static bool report(void* context, std::uint64_t done, std::uint64_t total) {
      auto& self = *static_cast<Told*>(context);
      self.each.emplace_back(done, total);
      ++self.times;
      return self.go_on;
    }
  };
  Told told;
  peer.hold(Method::write);
  const Bytes data = payload_of(100'000);
  std::thread waiting([&] {
    EXPECT_TRUE(c.write(view("k"), data, {.timeout = 20, .interrupt = {}, .progress = {&told, &Told::report}}).ok());
  });
  peer.wait_held(1);
  while (told.times < 2) std::this_thread::yield();  // also while nothing moves
  peer.release();
  waiting.join();
  EXPECT_EQ(told.each.back(), std::pair(std::uint64_t{100'000}, std::uint64_t{100'000}));
  told.go_on = false;
  peer.hold(Method::read);
  const auto r = c.read(view("k"), {.timeout = 20, .interrupt = {}, .progress = {&told, &Told::report}});
  EXPECT_EQ(code_of(r), Errc::interrupted);
  peer.release();
}

TEST_P(ClientTest, ServerErrorsCarryTheirText) {
  Client c = connect_to(peer);
  const auto answer_with = [&](rpc::Status status, const std::string& text) {
    peer.set_rewrite([status, text](const rpc::Request& q, std::vector<Bytes>& frames) {
      frames = rpc::encode_response_frames(GetParam(), 0x90000000, q.request_id, q.method_id,
                                           static_cast<std::uint8_t>(status), view(text));
    });
  };
  answer_with(rpc::Status::system_error, "the disk is full");
  auto r = c.size();
  EXPECT_EQ(code_of(r), Errc::server_error);
  EXPECT_EQ(r.error().detail, "the disk is full");
  answer_with(rpc::Status::method_not_found, "");
  EXPECT_EQ(code_of(c.size()), Errc::unsupported);
  answer_with(rpc::Status::success, "");
  EXPECT_EQ(code_of(c.size()), Errc::protocol_error);
  peer.set_rewrite({});
  EXPECT_TRUE(c.size().ok());
  EXPECT_EQ(c.counters().connections, 2U);
}

// Two replies to one request, their frames mixed: whatever the call returns, it is not touched after its end.
TEST_P(ClientTest, SecondReplyToOneRequestHarmsNothing) {
  Client c = connect_to(peer);
  ASSERT_TRUE(c.write(view("k"), payload_of(100000)).ok());
  peer.set_rewrite([](const rpc::Request& q, std::vector<Bytes>& frames) {
    if (q.method_id != static_cast<std::uint64_t>(Method::read)) return;
    std::vector<Bytes> mixed;
    for (const Bytes& f : frames) {
      mixed.push_back(f);
      mixed.push_back(f);
      mixed.back()[4] = 0x77;  // the id of another stream
    }
    frames = std::move(mixed);
  });
  const auto r = c.read(view("k"));
  if (!r) {
    EXPECT_EQ(code_of(r), Errc::protocol_error);
  }
  peer.set_rewrite({});
  EXPECT_EQ(**c.read(view("k")), payload_of(100000));
}

// The Interrupt of a waiting call may use the client itself, as a signal handler in Python does.
TEST_P(ClientTest, CallFromWithinAnInterruptLeavesTheOuterCallAlone) {
  Client c = connect_to(peer, [](Options& o) { o.max_inflight_bytes = 1000; });
  struct Nested {
    Client* client;
    TestPeer* peer;
    int asked = 0;
  } nested{&c, &peer};
  Interrupt interrupt{&nested, [](void* p) {
                        auto& n = *static_cast<Nested*>(p);
                        if (n.asked++ == 0) {
                          EXPECT_TRUE(n.client->exists(view("some key of a few bytes")).ok());
                          n.peer->release();
                        }
                        return false;
                      }};
  peer.hold(Method::len);
  ASSERT_TRUE(c.size({.timeout = -1, .interrupt = interrupt}).ok());
  EXPECT_GE(nested.asked, 1);
  // The books of what is in flight must balance: two calls at once still fit.
  peer.hold(Method::len);
  std::thread busy([&] { EXPECT_TRUE(c.size().ok()); });
  peer.wait_held(1);
  EXPECT_TRUE(c.exists(view("x"), {.timeout = 2, .interrupt = {}}).ok());
  peer.release();
  busy.join();
}

TEST_P(ClientTest, InterruptEndsACall) {
  Client c = connect_to(peer);
  peer.hold(Method::len);
  const Interrupt stop{nullptr, [](void*) { return true; }};
  EXPECT_EQ(code_of(c.size({.timeout = -1, .interrupt = stop})), Errc::interrupted);
  peer.release();
  EXPECT_TRUE(c.size().ok());
  EXPECT_EQ(c.counters().connections, 1U);
}

TEST_P(ClientTest, ControlFramesAndCloseOfTheServer) {
  Client c = connect_to(peer);
  peer.send_everywhere(9, {1, 2, 3});
  EXPECT_TRUE(c.size().ok());
  peer.send_everywhere(1, {'h', 'i'});  // text is not for us
  EXPECT_TRUE(c.size().ok());
  peer.hold(Method::len);
  std::thread waiting([&] { EXPECT_EQ(code_of(c.size()), Errc::connection_lost); });
  peer.wait_held(1);
  peer.send_everywhere(8, {0x03, 0xe8});
  waiting.join();
  peer.release();
  EXPECT_TRUE(c.size().ok());
}

TEST_P(ClientTest, UnmatchedDialectOrUpgradeIsRefused) {
  Options o;
  o.url = peer.url();
  o.wire = GetParam() == Dialect::d13 ? "d21" : "d13";
  EXPECT_EQ(code_of(Client::connect(o)), Errc::protocol_mismatch);
  o.wire = GetParam() == Dialect::d13 ? "d13" : "d21";
  EXPECT_TRUE(Client::connect(o).ok());
  const TestPeer closed(GetParam(), "403 Forbidden");
  o.url = closed.url();
  EXPECT_EQ(code_of(Client::connect(o)), Errc::handshake_failed);
  o.max_inflight = 0;
  EXPECT_EQ(code_of(Client::connect(o)), Errc::configuration);
}

INSTANTIATE_TEST_SUITE_P(Dialects, ClientTest, testing::Values(Dialect::d13, Dialect::d21),
                         [](const auto& p) { return p.param == Dialect::d13 ? "d13" : "d21"; });

TEST(UrlTest, PartsAndDefaults) {
  const auto text = [](std::string_view url) {
    auto e = client::parse_url(url);
    return e ? e->text() : "refused";
  };
  EXPECT_EQ(text("ws://host"), "ws://host:34129/ws");
  EXPECT_EQ(text("ws://host/"), "ws://host:34129/ws");
  EXPECT_EQ(text("ws://host:1"), "ws://host:1/ws");
  EXPECT_EQ(text("ws://host:65535/a/b"), "ws://host:65535/a/b");
  EXPECT_EQ(text("ws://10.0.0.1:80/ws"), "ws://10.0.0.1:80/ws");
  EXPECT_EQ(text("WS://host"), "ws://host:34129/ws");
  EXPECT_EQ(text("Ws://Host/WS"), "ws://Host:34129/WS");
  EXPECT_EQ(text("ws://host/a%40b"), "ws://host:34129/a%40b");
  EXPECT_EQ(text("ws://[::1]"), "ws://[::1]:34129/ws");
  EXPECT_EQ(text("ws://[::1]:99/x"), "ws://[::1]:99/x");
  EXPECT_EQ(client::parse_url("ws://[::1]:99")->host, "::1");
}

TEST(UrlTest, BadOnesAreRefusedWithAReason) {
  for (const std::string_view url : {"",           "host",         "http://host",  "wss://host",  "WSS://host",
                                     "ws:/host",   "ws://",        "ws:///ws",     "ws://:80",    "ws://h:",
                                     "ws://h:0",   "ws://h:65536", "ws://h:-1",    "ws://h:8x",   "ws://h:8:9",
                                     "ws://u@h",   "ws://h?q",     "ws://h/ws?q",  "ws://h/ws#f", "ws://[::1",
                                     "ws://[]",    "ws://[::1]x",  "ws://[::1]80", "ws://a b",    "ws://h/\n",
                                     "ws://h\x80", "ws:",          "ws://h/a@b"}) {
    const auto e = client::parse_url(url);
    ASSERT_FALSE(e.ok()) << url;
    EXPECT_EQ(e.error().code, Errc::configuration);
    EXPECT_NE(e.error().detail.find("expected ws://host"), std::string::npos);
  }
  EXPECT_EQ(client::parse_url("ws://h/\n\xe4").error().detail.substr(0, 19), "'ws://h/\\x0a\\xe4' i");
}

TEST(UrlTest, UnixSockets) {
  if (net::max_unix_path() == 0) {
    EXPECT_EQ(client::parse_url("ws+unix:///s").error().code, Errc::configuration);
    GTEST_SKIP() << "there are none on this system";
  }
  const auto e = client::parse_url("ws+unix:///run/my%20store/%25%c3%BC.sock");
  ASSERT_TRUE(e.ok());
  EXPECT_EQ(e->socket_path, "/run/my store/%\xc3\xbc.sock");
  EXPECT_EQ(e->path, "/ws");
  EXPECT_EQ(e->text(), "ws+unix:///run/my%20store/%25%c3%bc.sock");
  EXPECT_EQ(client::parse_url("WS+Unix:///s")->text(), "ws+unix:///s");
  for (const std::string& url :
       {std::string("ws+unix://"), std::string("ws+unix://s"), std::string("ws+unix:///"), std::string("ws+unix:///a/"),
        std::string("ws+unix://host/s"), std::string("ws+unix:///s?path=/x"), std::string("ws+unix:///s#f"),
        std::string("ws+unix:///a b"), std::string("ws+unix:///a%"), std::string("ws+unix:///a%2"),
        std::string("ws+unix:///a%zz"), std::string("ws+unix:///a%00"), std::string("ws+unix:/s"),
        "ws+unix:///" + std::string(200, 'x')}) {
    const auto bad = client::parse_url(url);
    ASSERT_FALSE(bad.ok()) << url;
    EXPECT_EQ(bad.error().code, Errc::configuration);
    EXPECT_NE(bad.error().detail.find("ws+unix:///path/of/socket"), std::string::npos);
  }
  Options o;
  o.url = "ws+unix:///nowhere/s.sock";
  const auto nobody = Client::connect(o);
  ASSERT_FALSE(nobody.ok());
  EXPECT_EQ(nobody.error().code, Errc::connect_failed);
}

TEST(UrlTest, NoMessageHoldsAPassword) {
  for (const std::string_view url :
       {"ws://u:secret@h/ws", "ws://u:secret/w@127.0.0.1:1/ws", "ws://u:1@2/secret@h:1/ws", "//u:secret@h/ws",
        "ws:/u:secret@h/ws", "ws://secret@h", "WS://u:secret@h", "wss://u:secret@h", "http://u:secret@h", "u:secret@h",
        "secret://x@h", "ws://u:1/secret@h/ws", "ws://u:se\ncret@secret@h", "ws://h/?secret@h", "ws://u:#secret@h",
        "ws+unix://u:secret@/s"}) {
    const auto e = client::parse_url(url);
    ASSERT_FALSE(e.ok()) << url;
    EXPECT_EQ(e.error().detail.find("secret"), std::string::npos) << e.error().detail;
    EXPECT_NE(e.error().detail.find("***@"), std::string::npos) << e.error().detail;
  }
}

}  // namespace
}  // namespace simdrive
