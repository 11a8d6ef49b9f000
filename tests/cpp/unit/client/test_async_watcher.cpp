#include "simdrive/async_watcher.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "event_loop.hpp"
#include "test_peer.hpp"

namespace simdrive {
namespace {

using testing_loop::EventLoop;
using testing_loop::Job;
using testing_loop::payload_of;
using testing_peer::TestPeer;

constexpr std::chrono::seconds kSoon{20};

std::unique_ptr<AsyncClient> open_client(const std::string& url) {
  Options o;
  o.url = url;
  o.timeout = 15;
  o.retry = {.retries = 0, .base = 0.001, .cap = 0.01};
  o.reconnect_spread = 0;
  auto c = AsyncClient::open(std::move(o));
  if (!c) throw std::runtime_error("not opened: " + c.error().detail);
  return std::move(c).value();
}

/// What a loop is told by the watcher's thread.
class Inbox {
 public:
  void put(std::uint64_t number) {
    const std::lock_guard lock(mutex_);
    due_.push_back(number);
    changed_.notify_all();
  }
  /// The next client that is due; 0 after `limit`.
  std::uint64_t take(std::chrono::duration<double> limit) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, limit, [&] { return !due_.empty(); })) return 0;
    const std::uint64_t number = due_.front();
    due_.pop_front();
    return number;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::uint64_t> due_;
};

/// A watcher with its thread, which ends when the last client was forgotten.
class Watching {
 public:
  Watching() : watcher(AsyncWatcher::make().value()) {}
  Watching(const Watching&) = delete;
  Watching& operator=(const Watching&) = delete;
  ~Watching() {
    if (thread_.joinable()) thread_.join();
  }
  std::uint64_t add(Inbox& inbox) {
    const std::lock_guard lock(mutex_);
    const std::uint64_t number = ++newest_;
    inboxes_[number] = &inbox;
    watcher->add(number);
    if (number == 1) thread_ = std::thread([this] { run(); });
    return number;
  }
  /// wait() may already have given it: then nobody is told.
  void forget(std::uint64_t number) {
    watcher->forget(number);
    const std::lock_guard lock(mutex_);
    inboxes_.erase(number);
  }

  std::unique_ptr<AsyncWatcher> watcher;

 private:
  void run() {
    std::vector<std::uint64_t> due;
    for (;;) {
      watcher->wait(due);
      if (due.empty()) return;
      const std::lock_guard lock(mutex_);
      for (const std::uint64_t number : due) {
        if (const auto found = inboxes_.find(number); found != inboxes_.end()) found->second->put(number);
      }
    }
  }

  std::mutex mutex_;
  std::map<std::uint64_t, Inbox*> inboxes_;
  std::uint64_t newest_ = 0;
  std::thread thread_;
};

/// A client in a loop that cannot watch descriptors.
class Watched {
 public:
  Watched(Watching& watching, Inbox& inbox, const std::string& url)
      : watching_(watching), client(open_client(url)), loop(*client), number(watching.add(inbox)) {}
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;
  ~Watched() { watching_.forget(number); }

  void arm() {
    const AsyncWatch w = client->watch();
    if (handed_out) {
      generation_ = w.generation;
      writable_ = w.writable;
      client->unwatched();
      handed_out = false;
      watching_.watcher->watch(number, w, client->wake_up());
    } else if (w.generation != generation_ || w.writable != writable_) {
      client->wake();
    }
    again = w.again;
  }
  void pump() {
    client->pump();
    loop.hand_out();
    client->flush();
    loop.hand_out();
    arm();
  }

 private:
  Watching& watching_;
  std::uint64_t generation_ = 0;
  bool writable_ = false;

 public:
  std::unique_ptr<AsyncClient> client;
  EventLoop loop;
  const std::uint64_t number;
  bool handed_out = true;
  bool again = false;
};

class BlindLoop {
 public:
  BlindLoop(Watching& watching, const std::string& url, std::size_t clients) {
    for (std::size_t i = 0; i < clients; ++i) {
      auto w = std::make_unique<Watched>(watching, inbox, url);
      w->pump();
      all[w->number] = std::move(w);
    }
  }
  Watched& at(std::size_t i) { return *std::next(all.begin(), static_cast<std::ptrdiff_t>(i))->second; }
  /// One round of one client.
  void turn() {
    for (auto& [number, w] : all) {
      if (!w->again) continue;
      w->pump();
      return;
    }
    const std::uint64_t number = inbox.take(kSoon);
    if (number == 0) throw std::runtime_error("the loop waited in vain");
    Watched& w = *all.at(number);
    w.handed_out = true;
    w.pump();
    ++rounds;
  }
  void finish() {
    for (auto& [number, w] : all) {
      w->pump();
      while (w->loop.open() > 0) turn();
    }
  }

  Inbox inbox;
  std::map<std::uint64_t, std::unique_ptr<Watched>> all;
  std::size_t rounds = 0;
};

TEST(AsyncWatcherTest, OneThreadForAllClientsOfAllLoops) {
  constexpr std::size_t kClients = 20;
  constexpr std::uint32_t kCalls = 20;
  TestPeer peer;
  Watching watching;
  std::vector<std::thread> loops;
  for (std::uint32_t l = 0; l < 3; ++l) {
    loops.emplace_back([&, l] {
      BlindLoop loop(watching, peer.url(), kClients);
      for (std::uint32_t i = 0; i < kCalls; ++i) {
        std::vector<Job*> jobs;
        for (std::size_t c = 0; c < kClients; ++c) {
          const std::string key = std::to_string(l) + " " + std::to_string(c);
          loop.at(c).loop.write(key, payload_of(1 + i * 1000, l));
          jobs.push_back(&loop.at(c).loop.read(key));
        }
        loop.finish();
        for (const Job* j : jobs) EXPECT_TRUE(j->value() == payload_of(1 + i * 1000, l));
      }
    });
  }
  for (std::thread& t : loops) t.join();
}

TEST(AsyncWatcherTest, LargeValuesBothWays) {
  TestPeer peer;
  Watching watching;
  BlindLoop loop(watching, peer.url(), 1);
  loop.at(0).loop.write("k", payload_of(16U << 20U));
  loop.finish();
  const Job& j = loop.at(0).loop.read("k");
  loop.finish();
  EXPECT_TRUE(j.value() == payload_of(16U << 20U));
}

TEST(AsyncWatcherTest, ALoneCallNeedsFewRounds) {
  TestPeer peer;
  Watching watching;
  BlindLoop loop(watching, peer.url(), 1);
  loop.at(0).loop.size();
  loop.finish();
  loop.rounds = 0;
  for (int i = 0; i < 200; ++i) {
    loop.at(0).loop.size();
    loop.finish();
  }
  EXPECT_LE(loop.rounds, 600U);
}

TEST(AsyncWatcherTest, ConnectionThatGoes) {
  TestPeer peer;
  Watching watching;
  BlindLoop loop(watching, peer.url(), 2);
  for (std::uint64_t made = 1; made <= 5; ++made) {
    for (std::size_t i = 0; i < 2; ++i) {
      loop.at(i).loop.size();
      loop.finish();
      EXPECT_EQ(loop.at(i).client->counters().connections, made);
    }
    peer.drop_connections();
    for (std::size_t i = 0; i < 2; ++i) {
      while (loop.at(i).client->watch().socket != -1) loop.turn();  // it is seen, and let go of
    }
  }
}

TEST(AsyncWatcherTest, WakeAndCloseMakeAClientDue) {
  TestPeer peer;
  Watching watching;
  BlindLoop loop(watching, peer.url(), 1);
  Watched& w = loop.at(0);
  w.loop.size();
  loop.finish();
  w.client->wake();
  EXPECT_EQ(loop.inbox.take(kSoon), w.number);
  w.handed_out = true;
  w.pump();
  w.client->close();
  while (!w.client->close_ended()) loop.turn();
}

// A client that was given is given again only once its loop has asked for it, and keeps nobody else waiting.
TEST(AsyncWatcherTest, GivenOnce) {
  TestPeer peer;
  const auto watcher = AsyncWatcher::make().value();
  const auto first = open_client(peer.url());
  const auto second = open_client(peer.url());
  watcher->add(1);
  watcher->add(2);
  EXPECT_FALSE(watcher->empty());
  std::vector<std::uint64_t> due;
  const AsyncWatch nothing;
  watcher->watch(1, nothing, first->wake_up());
  first->wake();
  watcher->wait(due);
  EXPECT_EQ(due, std::vector<std::uint64_t>{1});
  watcher->watch(2, nothing, second->wake_up());
  second->wake();
  first->wake();
  watcher->wait(due);
  EXPECT_EQ(due, std::vector<std::uint64_t>{2});
  watcher->watch(2, nothing, second->wake_up());
  watcher->watch(1, nothing, first->wake_up());
  watcher->wait(due);  // both in one
  std::sort(due.begin(), due.end());
  EXPECT_EQ(due, (std::vector<std::uint64_t>{1, 2}));
  watcher->watch(2, nothing, second->wake_up());
  watcher->forget(2);  // although it is ready
  watcher->forget(2);
  watcher->watch(2, nothing, second->wake_up());
  watcher->watch(1, nothing, first->wake_up());
  watcher->wait(due);
  EXPECT_EQ(due, std::vector<std::uint64_t>{1});
  watcher->forget(1);
  EXPECT_TRUE(watcher->empty());
  watcher->wait(due);  // nobody is left
  EXPECT_TRUE(due.empty());
}

// While the thread sleeps: when forget() returns, the descriptors may be closed, and others get their numbers.
TEST(AsyncWatcherTest, ForgottenWhileTheThreadSleeps) {
  TestPeer peer;
  Watching watching;
  BlindLoop stays(watching, peer.url(), 1);
  for (int i = 0; i < 50; ++i) {
    {
      BlindLoop goes(watching, peer.url(), 3);
      goes.at(0).loop.size();
      if (i % 2 == 0) goes.finish();
    }
    stays.at(0).loop.size();
    stays.finish();
  }
}

TEST(AsyncWatcherTest, WaitEndsWithTheLastClient) {
  TestPeer peer;
  for (int i = 0; i < 50; ++i) {
    Watching watching;  // whose thread is waited for
    const BlindLoop loop(watching, peer.url(), 2);
  }
}

}  // namespace
}  // namespace simdrive
