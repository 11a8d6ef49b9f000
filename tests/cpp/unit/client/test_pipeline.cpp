// Calls that nobody waits for, on the connection of a Client.
#include "simdrive/pipeline.hpp"

#include <gtest/gtest.h>
#ifndef _WIN32
#include <sys/wait.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "test_peer.hpp"

namespace simdrive {
namespace {

using rpc::Dialect;
using rpc::Method;
using testing_peer::TestPeer;
using Clock = std::chrono::steady_clock;

BytesView view(std::string_view s) { return {reinterpret_cast<const std::uint8_t*>(s.data()), s.size()}; }
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

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

// One call: what it borrows, and what it came to.
struct Job {
  std::string key;
  Bytes payload;
  Bytes value;
  AsyncCall* call = nullptr;
  int told = 0;
  bool over = false;
  bool failed = false;
  Error error;
  std::uint64_t number = 0;
  std::optional<Bytes> found;

  static bool allocate(void* context, const std::uint64_t* sizes, std::size_t, std::uint8_t** targets) {
    auto& job = *static_cast<Job*>(context);
    job.value.resize(static_cast<std::size_t>(sizes[0]));
    targets[0] = job.value.data();
    return true;
  }
};

class PipelineTest : public testing::TestWithParam<Dialect> {
 protected:
  TestPeer peer{GetParam()};
  std::optional<Client> client;
  std::vector<std::unique_ptr<Job>> jobs;
  std::unique_ptr<Pipeline> pipeline;  // goes first: it borrows what the jobs have

  void connect(const std::function<void(Options&)>& change = {}) {
    client.emplace(connect_to(peer, change));
    pipeline = std::make_unique<Pipeline>(*client);
  }

  Job& job(std::string key) {
    jobs.push_back(std::make_unique<Job>());
    jobs.back()->key = std::move(key);
    return *jobs.back();
  }
  static Job& begun(Job& j, Result<AsyncCall*> r) {
    if (r) {
      j.call = r.value();
    } else {
      j.failed = j.over = true;
      j.told = 1;
      j.error = std::move(r).error();
    }
    return j;
  }
  static PipelineOptions with(Job& j, PipelineOptions o) {
    o.tag = &j;
    return o;
  }
  Job& write(std::string key, Bytes payload, const PipelineOptions& o = {}) {
    Job& j = job(std::move(key));
    j.payload = std::move(payload);
    return begun(j, pipeline->write(view(j.key), j.payload, with(j, o)));
  }
  Job& read(std::string key, const PipelineOptions& o = {}) {
    Job& j = job(std::move(key));
    return begun(j, pipeline->read(view(j.key), {&j, &Job::allocate}, with(j, o)));
  }
  Job& erase(std::string key) {
    Job& j = job(std::move(key));
    return begun(j, pipeline->erase(view(j.key), with(j, {})));
  }
  Job& exists(std::string key, const PipelineOptions& o = {}) {
    Job& j = job(std::move(key));
    return begun(j, pipeline->exists(view(j.key), with(j, o)));
  }

  void hand_out() {
    while (AsyncCall* c = pipeline->next_done()) {
      Job& j = *static_cast<Job*>(c->tag);
      if (j.told++ == 0) {
        j.failed = c->failed;
        j.error = c->error;
        j.number = c->number;
        if (!c->failed && c->result && c->result->present) {
          j.found = c->result->in_place ? Bytes(c->result->small, c->result->small + c->result->size) : j.value;
        }
      }
      if (!c->over) continue;
      j.over = true;
      pipeline->recycle(c);
    }
  }
  // Until `reached`; for 15 s at most.
  void until(const std::function<bool()>& reached) {
    const auto start = Clock::now();
    for (hand_out(); !reached(); hand_out()) {
      if (seconds_since(start) > 15) throw std::runtime_error("a call does not end");
      (void)pipeline->wait(1.0);
    }
  }
  Job& finish(Job& j) {
    until([&] { return j.told != 0; });
    return j;
  }
  void finish() {
    until([&] { return std::all_of(jobs.begin(), jobs.end(), [](const auto& j) { return j->over; }); });
  }
};

Bytes some(std::size_t n, std::size_t seed) {
  constexpr std::size_t kPeriod = 256;
  Bytes out(n);
  std::size_t filled = std::min(n, kPeriod);
  for (std::size_t i = 0; i < filled; ++i) out[i] = static_cast<std::uint8_t>(seed * 31 + i * 7 + 1);
  while (filled < n) {  // byte by byte, with each of them watched by TSan, this took longer than the calls
    const std::size_t more = std::min(filled, n - filled);
    std::memcpy(out.data() + filled, out.data(), more);
    filled += more;
  }
  return out;
}

TEST_P(PipelineTest, EveryMethodAnswers) {
  connect();
  const Bytes large = some(300'000, 3);
  EXPECT_FALSE(finish(write("a", some(10, 1))).failed);
  EXPECT_FALSE(finish(write("large", large)).failed);
  EXPECT_EQ(finish(read("a")).found, some(10, 1));
  EXPECT_EQ(finish(read("large")).found, large);
  EXPECT_EQ(finish(read("nothing")).found, std::nullopt);
  EXPECT_EQ(finish(exists("a")).number, 1U);
  EXPECT_FALSE(finish(erase("a")).failed);
  EXPECT_EQ(finish(exists("a")).number, 0U);
  EXPECT_EQ(pipeline->pending(), 0U);
  EXPECT_EQ(client->counters().connections, 1U);
}

TEST_P(PipelineTest, RefusesWhatNoServerTakes) {
  connect([](Options& o) { o.max_key_size = 5; });
  EXPECT_EQ(write("a", {}).error.code, Errc::invalid_value);
  EXPECT_EQ(read("longer").error.code, Errc::invalid_key);
  EXPECT_EQ(erase("longer").error.code, Errc::invalid_key);
  EXPECT_EQ(pipeline->pending(), 0U);
}

// Nothing but time can tell that a request was not kept back: the block never ends here, nor does another call come.
TEST_P(PipelineTest, ALoneCallLeavesAtOnce) {
  connect();
  peer.hold(Method::read);
  Job& lone = read("k");
  peer.wait_held(1);
  Job& second = read("k2");  // with one on its way
  peer.wait_held(2);
  peer.release();
  EXPECT_FALSE(finish(lone).failed);
  EXPECT_FALSE(finish(second).failed);
}

TEST_P(PipelineTest, ManySmallCallsShareSends) {
  connect();
  constexpr std::size_t kCalls = 20'000;
  const auto sends = client->counters().sends;
  for (std::size_t i = 0; i < kCalls; ++i) {
    exists("key " + std::to_string(i));
    if (i % 512 == 0) hand_out();
  }
  finish();
  for (const auto& j : jobs) ASSERT_FALSE(j->failed) << j->error.detail;
  EXPECT_LT(client->counters().sends - sends, kCalls / 2);
}

TEST_P(PipelineTest, CallsForOneKeyKeepTheirOrder) {
  connect();
  for (std::size_t i = 0; i < 2000; ++i) write("k" + std::to_string(i % 7), some(20, i));
  std::vector<Job*> reads;
  for (std::size_t k = 0; k < 7; ++k) reads.push_back(&read("k" + std::to_string(k)));
  finish();
  for (std::size_t k = 0; k < 7; ++k) {
    std::size_t last = 1999;
    while (last % 7 != k) --last;
    EXPECT_EQ(reads[k]->found, some(20, last)) << k;
  }
}

// What a thread writes with the client comes after what it has started before.
TEST_P(PipelineTest, KeepsTheOrderOfTheThreadsOtherCalls) {
  connect();
  for (std::size_t i = 0; i < 300; ++i) {
    write("k", some(10, 2 * i));
    ASSERT_TRUE(client->write(view("k"), some(10, 2 * i + 1)));
    Job& last = read("k");
    ASSERT_EQ(finish(last).found, some(10, 2 * i + 1)) << i;
  }
}

TEST_P(PipelineTest, WaitsForRoomOfTheClient) {
  connect([](Options& o) { o.max_inflight = 4; });
  peer.hold(Method::exists);
  for (int i = 0; i < 4; ++i) exists("k" + std::to_string(i));
  peer.wait_held(4);
  AsyncCall* none = nullptr;
  auto r = pipeline->exists(view("k"), {.may_wait = false});
  ASSERT_TRUE(r);
  EXPECT_EQ(r.value(), none);
  const auto start = Clock::now();
  Job& late = exists("late", {.timeout = 0.2});
  EXPECT_EQ(late.error.code, Errc::overload);
  EXPECT_EQ(late.error.outcome, Outcome::not_applied);
  EXPECT_GE(seconds_since(start), 0.19);
  std::thread releaser([&] { peer.release(); });
  Job& next = exists("next");
  releaser.join();
  EXPECT_FALSE(finish(next).failed) << next.error.detail;
  finish();
}

TEST_P(PipelineTest, WaitsForRoomInBytes) {
  connect([](Options& o) { o.max_inflight_bytes = 10'000; });
  peer.hold(Method::write);
  write("a", some(6000, 1));
  peer.wait_held(1);
  EXPECT_EQ(write("b", some(6000, 1), {.timeout = 0.05}).error.code, Errc::overload);
  peer.release();
  finish();
  EXPECT_FALSE(finish(write("alone", some(50'000, 1))).failed);
}

TEST_P(PipelineTest, ALimitHoldsForThoseThatAreGivenIt) {
  connect();
  peer.hold(Method::exists);
  const auto two = make_call_limit(2);
  exists("a", {.limit = two});
  exists("b", {.limit = two});
  exists("other");
  peer.wait_held(3);
  EXPECT_EQ(exists("c", {.timeout = 0.05, .limit = two}).error.code, Errc::overload);
  peer.release();
  EXPECT_FALSE(finish(exists("d", {.limit = two})).failed);
  finish();
}

// The client's other calls may take all the room: what was started waits, and goes when they end.
TEST_P(PipelineTest, RoomThatOthersLeaveIsUsed) {
  connect([](Options& o) { o.max_inflight = 1; });
  peer.hold(Method::len);
  std::thread other([&] { EXPECT_TRUE(client->size()); });
  peer.wait_held(1);
  Job& j = exists("k");
  Job& impatient = exists("k", {.timeout = 0.05});
  EXPECT_EQ(finish(impatient).error.code, Errc::overload);
  peer.release();
  EXPECT_FALSE(finish(j).failed);
  other.join();
}

TEST_P(PipelineTest, CallsEndAtTheirDeadlines) {
  connect();
  peer.hold(Method::write);
  const auto start = Clock::now();
  Job& longer = write("a", some(10, 1), {.timeout = 0.3});
  Job& shorter = write("b", some(10, 1), {.timeout = 0.1});
  finish(shorter);
  EXPECT_LT(seconds_since(start), 0.3);
  finish(longer);
  EXPECT_LT(seconds_since(start), 0.6);
  for (const Job* j : {&longer, &shorter}) {
    EXPECT_EQ(j->error.code, Errc::operation_timeout);
    EXPECT_EQ(j->error.outcome, Outcome::unknown);
  }
  finish();
}

TEST_P(PipelineTest, OnlyWhatWasNotSentCanBeWithdrawn) {
  connect([](Options& o) { o.max_inflight = 1; });
  peer.hold(Method::len);
  std::thread other([&] { EXPECT_TRUE(client->size()); });
  peer.wait_held(1);
  Job& unsent = write("k", some(10, 1));
  EXPECT_TRUE(pipeline->withdraw(unsent.call));
  EXPECT_FALSE(pipeline->withdraw(unsent.call));
  EXPECT_EQ(finish(unsent).error.code, Errc::interrupted);
  EXPECT_EQ(unsent.error.outcome, Outcome::not_applied);
  peer.release();
  other.join();
  peer.hold(Method::write);
  Job& sent = write("k", some(10, 2));
  peer.wait_held(1);
  EXPECT_FALSE(pipeline->withdraw(sent.call));
  peer.release();
  EXPECT_FALSE(finish(sent).failed);
  EXPECT_EQ(finish(read("k")).found, some(10, 2));
}

TEST_P(PipelineTest, ALostConnectionRepeatsReadsOnly) {
  connect([](Options& o) { o.retry.retries = 3; });
  EXPECT_FALSE(finish(write("k", some(10, 1))).failed);
  peer.hold(Method::write);
  Job& sent = write("w", some(10, 2));
  peer.wait_held(1);
  peer.hold(Method::read);
  Job& first = read("k");
  peer.wait_held(2);
  peer.drop_connections();
  finish(sent);
  EXPECT_EQ(sent.error.code, Errc::connection_lost);
  EXPECT_EQ(sent.error.outcome, Outcome::unknown);
  peer.wait_held(1);  // the read, again
  peer.release();
  EXPECT_EQ(finish(first).found, some(10, 1));
  EXPECT_EQ(client->counters().connections, 2U);
}

TEST_P(PipelineTest, CallsWaitForAConnectionAndForTheirDeadline) {
  connect([](Options& o) { o.retry.retries = 3; });
  EXPECT_FALSE(finish(exists("k")).failed);
  peer.stop();
  Job& j = write("k", some(10, 1), {.timeout = 0.3});
  finish(j);
  EXPECT_TRUE(j.error.code == Errc::operation_timeout || j.error.code == Errc::connection_lost) << j.error.detail;
}

TEST_P(PipelineTest, ClosingTheClientEndsItsCalls) {
  connect();
  peer.hold(Method::read);
  Job& sent = read("k");
  peer.wait_held(1);
  client->close(0);
  EXPECT_EQ(finish(sent).error.code, Errc::closed);
  EXPECT_EQ(exists("k").error.code, Errc::closed);
  client.reset();
  EXPECT_EQ(exists("k").error.code, Errc::closed);
}

// Whatever is half done: what the jobs have is not touched afterwards.
TEST_P(PipelineTest, CanGoWithCallsUnderWay) {
  connect();
  EXPECT_FALSE(finish(write("large", some(3'000'000, 1))).failed);
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 5; ++i) {
      write("w" + std::to_string(i), some(500'000, 1));
      read("large");
      exists("k");
    }
    pipeline.reset();
    jobs.clear();
    auto there = client->exists(view("large"));
    ASSERT_TRUE(there) << there.error().detail;
    ASSERT_TRUE(there.value()) << round;
    pipeline = std::make_unique<Pipeline>(*client);
  }
}

// Calls that wait and calls that do not, on several threads and several pipelines: each gets its own answer.
TEST_P(PipelineTest, SharesTheConnectionWithManyThreads) {
  connect([](Options& o) { o.max_inflight = 64; });
  constexpr int kThreads = 6;
  constexpr std::size_t kRounds = 60;
  for (std::size_t k = 0; k < 8; ++k) {
    ASSERT_TRUE(client->write(view("k" + std::to_string(k)), some(k < 4 ? 50 : 20'000 * k, k)));
  }
  std::atomic<int> bad{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      if (t % 2 == 0) {
        for (std::size_t i = 0; i < 20 * kRounds; ++i) {
          const std::size_t k = (i + static_cast<std::size_t>(t)) % 8;
          auto r = client->read(view("k" + std::to_string(k)));
          if (!r || *r.value() != some(k < 4 ? 50 : 20'000 * k, k)) ++bad;
        }
        return;
      }
      Pipeline mine(*client);
      for (std::size_t round = 0; round < kRounds; ++round) {
        std::vector<std::unique_ptr<Job>> own;
        std::size_t open = 0;
        for (std::size_t i = 0; i < 20; ++i) {
          own.push_back(std::make_unique<Job>());
          Job& j = *own.back();
          j.number = i % 8;
          j.key = "k" + std::to_string(i % 8);
          if (mine.read(view(j.key), {&j, &Job::allocate}, {.tag = &j})) ++open;
        }
        if (open != 20) ++bad;
        while (open != 0) {
          AsyncCall* c = mine.next_done();
          if (!c) {
            if (mine.wait(10.0) == Pipeline::Waited::timeout) break;
            continue;
          }
          Job& j = *static_cast<Job*>(c->tag);
          const std::size_t k = j.number;
          const bool good = !c->failed && (c->result->in_place ? Bytes(c->result->small, c->result->small + 50)
                                                               : j.value) == some(k < 4 ? 50 : 20'000 * k, k);
          if (!good) ++bad;
          mine.recycle(c);
          --open;
        }
        if (open != 0) ++bad;
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(bad.load(), 0);
  EXPECT_EQ(client->counters().connections, 1U);
}

TEST_P(PipelineTest, OneThreadWaitsAtATimeAndOneBehindIt) {
  connect();
  peer.hold(Method::exists);
  EXPECT_EQ(pipeline->wait_behind(0.01), Pipeline::Waited::timeout);
  EXPECT_EQ(pipeline->wait(0.01), Pipeline::Waited::timeout);
  exists("k");
  peer.wait_held(1);
  std::atomic<int> taken{0};
  std::atomic<int> done{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      const auto r = pipeline->wait(15.0);
      if (r == Pipeline::Waited::taken) ++taken;
      if (r == Pipeline::Waited::done) ++done;
    });
  }
  while (taken.load() != 2) std::this_thread::yield();
  peer.release();
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(done.load(), 1);
  pipeline->attend();
  EXPECT_EQ(pipeline->wait_behind(15.0), Pipeline::Waited::done);  // nobody took it
  pipeline->unattend();
  EXPECT_EQ(pipeline->wait_behind(15.0), Pipeline::Waited::done);
  finish();
}

#if !defined(_WIN32) && !defined(__SANITIZE_THREAD__)  // which knows no threads in the child of a process with threads
TEST_P(PipelineTest, TheChildOfAForkHasNoCalls) {
  connect();
  EXPECT_FALSE(finish(write("k", some(10, 1))).failed);
  peer.hold(Method::write);
  Job& sent = write("w", some(10, 2));
  peer.wait_held(1);
  const pid_t child = ::fork();
  ASSERT_NE(child, -1);
  if (child == 0) {
    ::alarm(10);
    bool ok = false;
    try {
      finish(sent);
      ok = sent.error.code == Errc::connection_lost && sent.error.outcome == Outcome::unknown;
      ok = ok && finish(read("k")).found == some(10, 1);  // on a connection of its own
      pipeline.reset();
    } catch (const std::exception&) {
      ok = false;
    }
    ::_exit(ok ? 0 : 1);
  }
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  peer.release();
  EXPECT_FALSE(finish(sent).failed);
  EXPECT_EQ(client->counters().connections, 1U);
}
#endif

INSTANTIATE_TEST_SUITE_P(Dialects, PipelineTest, testing::Values(Dialect::d13, Dialect::d21),
                         [](const auto& p) { return p.param == Dialect::d13 ? "d13" : "d21"; });

}  // namespace
}  // namespace simdrive
