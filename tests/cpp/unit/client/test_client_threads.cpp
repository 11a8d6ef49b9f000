// Many threads on one client: every answer is checked, and the sanitizers watch.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <functional>
#include <latch>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "simdrive/client.hpp"
#include "test_peer.hpp"

namespace simdrive {
namespace {

using rpc::Dialect;
using rpc::Method;
using testing_peer::TestPeer;

constexpr std::size_t kThreads = 16;
constexpr std::size_t kCalls = 20'000;

BytesView view(std::string_view s) { return {reinterpret_cast<const std::uint8_t*>(s.data()), s.size()}; }

Client connect_to(const TestPeer& peer) {
  Options o;
  o.url = peer.url();
  o.timeout = 60;
  o.retry = {.retries = 0, .base = 0.001, .cap = 0.01};
  o.reconnect_spread = 0;
  auto c = Client::connect(std::move(o));
  if (!c) throw std::runtime_error("no connection: " + c.error().detail);
  return std::move(c).value();
}

// Small numbers that depend on nothing but the seed.
class Dice {
 public:
  explicit Dice(std::size_t seed) : state_(static_cast<std::uint32_t>(seed) * 747796405U + 2891336453U) {}
  std::size_t roll(std::size_t n) {
    state_ = state_ * 1664525U + 1013904223U;
    return (state_ >> 8) % n;
  }

 private:
  std::uint32_t state_;
};

Bytes payload_of(std::size_t seed, std::size_t n) {
  Dice dice(seed);
  Bytes out(n);
  for (auto& b : out) b = static_cast<std::uint8_t>(dice.roll(255) + 1);
  return out;
}

std::size_t some_size(Dice& dice) {
  constexpr std::array<std::size_t, 8> kSizes = {1, 20, 300, 2000, 4096, 4097, 9000, 70000};
  const std::size_t i = dice.roll(40);
  return i < kSizes.size() ? kSizes[i] : 16 + dice.roll(100);
}

struct Tally {
  std::atomic<std::size_t> good{0};
  std::atomic<std::size_t> timed_out{0};
  std::atomic<std::size_t> lost{0};
  std::atomic<std::size_t> closed{0};
  std::atomic<std::size_t> bad{0};
  std::atomic<std::int64_t> latest_us{0};  // the longest that a call outlived its deadline

  void count(const Error& e) {
    if (e.code == Errc::operation_timeout) {
      ++timed_out;
    } else if (e.code == Errc::connection_lost) {
      ++lost;
    } else if (e.code == Errc::closed) {
      ++closed;
    } else {
      ++bad;
      ADD_FAILURE() << to_string(e.code) << ": " << e.detail;
    }
  }
};

// One thread's share: it alone writes its keys, so it knows what every one of them may hold.
class Worker {
 public:
  static constexpr std::size_t kKeys = 8;

  Worker(Client& client, Tally& tally, std::size_t id, bool impatient)
      : client_(client), tally_(tally), id_(id), impatient_(impatient), dice_(id + 1) {}

  void step(std::size_t i) {
    const std::size_t k = dice_.roll(kKeys);
    const std::string key = "t" + std::to_string(id_) + "k" + std::to_string(k);
    CallOptions how;
    if (impatient_ && dice_.roll(64) == 0) how.timeout = static_cast<double>(dice_.roll(20)) * 1e-5;
    const auto start = std::chrono::steady_clock::now();
    switch (dice_.roll(8)) {
      case 0:
      case 1: write(key, k, i, how); break;
      case 2: batch(how); break;
      case 3: exists(key, k, how); break;
      case 4: take(client_.size(how), [](std::uint64_t n) { return n <= kThreads * kKeys; }); break;
      default: read(key, k, how); break;
    }
    if (how.timeout < 0) return;
    const auto over = std::chrono::steady_clock::now() - start - std::chrono::duration<double>(how.timeout);
    const auto us = std::chrono::duration_cast<std::chrono::microseconds>(over).count();
    for (auto seen = tally_.latest_us.load(); us > seen && !tally_.latest_us.compare_exchange_weak(seen, us);) {
    }
  }

 private:
  template <class R, class Check>
  void take(R result, Check check) {
    if (!result) return tally_.count(result.error());
    if (check(result.value())) {
      ++tally_.good;
    } else {
      ++tally_.bad;
      ADD_FAILURE() << "a wrong answer";
    }
  }

  [[nodiscard]] bool fits(std::size_t k, const std::optional<Bytes>& got) {
    const Bytes value = got.value_or(Bytes{});
    return value == held_[k] || std::find(unknown_[k].begin(), unknown_[k].end(), value) != unknown_[k].end();
  }

  void write(const std::string& key, std::size_t k, std::size_t i, const CallOptions& how) {
    Bytes value = payload_of(id_ * 1'000'003 + i, some_size(dice_));
    const auto r = client_.write(view(key), value, how);
    if (r) {
      ++tally_.good;
      held_[k] = std::move(value);
    } else {
      tally_.count(r.error());
      // The server may still carry it out, on a connection that we have left even after later writes.
      if (r.error().outcome == Outcome::unknown) unknown_[k].push_back(std::move(value));
    }
  }

  void read(const std::string& key, std::size_t k, const CallOptions& how) {
    take(client_.read(view(key), how), [&](const std::optional<Bytes>& got) { return fits(k, got); });
  }

  void exists(const std::string& key, std::size_t k, const CallOptions& how) {
    take(client_.exists(view(key), how),
         [&](bool there) { return there ? !held_[k].empty() || !unknown_[k].empty() : held_[k].empty(); });
  }

  void batch(const CallOptions& how) {
    std::array<std::string, kKeys> names;
    std::vector<BytesView> keys;
    for (std::size_t k = 0; k < kKeys; ++k) {
      names[k] = "t" + std::to_string(id_) + "k" + std::to_string(k);
      keys.push_back(view(names[k]));
    }
    take(client_.batch_read(keys, how), [&](const std::vector<std::optional<Bytes>>& got) {
      bool right = got.size() == kKeys;
      for (std::size_t k = 0; right && k < kKeys; ++k) right = fits(k, got[k]);
      return right;
    });
  }

  Client& client_;
  Tally& tally_;
  std::size_t id_;
  bool impatient_;
  Dice dice_;
  std::array<Bytes, kKeys> held_;                  // empty: absent
  std::array<std::vector<Bytes>, kKeys> unknown_;  // of writes that may or may not have happened
};

void run_all(Client& client, Tally& tally, bool impatient, const std::function<void()>& halfway = {}) {
  std::latch ready(kThreads);
  std::atomic<std::size_t> done{0};
  std::latch half(1);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      Worker worker(client, tally, t, impatient);
      ready.arrive_and_wait();
      for (std::size_t i = 0; i < kCalls / kThreads; ++i) {
        worker.step(i);
        if (done.fetch_add(1) + 1 == kCalls / 2) half.count_down();
      }
    });
  }
  half.wait();
  if (halfway) halfway();
  for (auto& t : threads) t.join();
}

void report(const char* what, const Client& client, const Tally& tally) {
  const ClientCounters n = client.counters();
  std::printf("%s: %zu good, %zu timed out, %zu lost, %zu closed, %llu connections, %.3f sends a call, %.1f ms late\n",
              what, tally.good.load(), tally.timed_out.load(), tally.lost.load(), tally.closed.load(),
              static_cast<unsigned long long>(n.connections),
              static_cast<double>(n.sends) / static_cast<double>(n.calls),
              static_cast<double>(tally.latest_us.load()) / 1000);
}

class ClientThreadsTest : public testing::TestWithParam<Dialect> {
 protected:
  TestPeer peer{GetParam()};
};

TEST_P(ClientThreadsTest, EveryAnswerIsRight) {
  Client client = connect_to(peer);
  Tally tally;
  run_all(client, tally, false);
  report("patient", client, tally);
  EXPECT_EQ(tally.good, kCalls);
  const ClientCounters n = client.counters();
  EXPECT_EQ(n.calls, kCalls);
  EXPECT_EQ(n.connections, 1U);
  EXPECT_LE(n.sends, n.calls);
}

TEST_P(ClientThreadsTest, TinyTimeoutsSpoilNoOtherAnswer) {
  Client client = connect_to(peer);
  Tally tally;
  run_all(client, tally, true);
  report("impatient", client, tally);
  EXPECT_EQ(tally.good + tally.timed_out + tally.lost, kCalls);
  EXPECT_GT(tally.timed_out, 0U);
  EXPECT_GT(tally.good, kCalls / 2);
}

TEST_P(ClientThreadsTest, CloseInTheMiddleEndsEveryCall) {
  Client client = connect_to(peer);
  Tally tally;
  run_all(client, tally, false, [&] { client.close(); });
  report("closed", client, tally);
  EXPECT_EQ(tally.good + tally.closed, kCalls);
  EXPECT_GT(tally.closed, 0U);
  EXPECT_GE(tally.good, kCalls / 2 - kThreads);
}

// Connections cut off again and again under load: calls fail or answer rightly, and the client recovers each time.
TEST_P(ClientThreadsTest, LostConnectionsAreReplacedUnderLoad) {
  Client client = connect_to(peer);
  Tally tally;
  run_all(client, tally, false, [&] { peer.drop_connections(); });
  report("cut off", client, tally);
  EXPECT_EQ(tally.good + tally.lost, kCalls);
  EXPECT_GE(client.counters().connections, 2U);
  EXPECT_LE(tally.lost, 2 * kThreads);
}

INSTANTIATE_TEST_SUITE_P(Dialects, ClientThreadsTest, testing::Values(Dialect::d13, Dialect::d21),
                         [](const auto& p) { return p.param == Dialect::d13 ? "d13" : "d21"; });

}  // namespace
}  // namespace simdrive
