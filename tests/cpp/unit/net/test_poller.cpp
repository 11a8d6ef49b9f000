#include "net/poller.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <set>
#include <thread>
#include <vector>

#include "net/loopback.hpp"

namespace simdrive::net {
namespace {

using Ready = Poller::Ready;

struct Pair {
  Socket here;
  Socket there;
  Pair() {
    const testing_net::Listener listener;
    auto connected = connect_tcp("127.0.0.1", listener.port(), after(Clock::now(), 10), {});
    EXPECT_TRUE(connected.ok());
    here = std::move(connected).value();
    there = std::move(listener.accept().value());
    testing_net::set_non_blocking(there);
  }
  void say(std::size_t n) const {
    const std::vector<std::uint8_t> bytes(n, 'x');
    EXPECT_TRUE(testing_net::send_all(there, bytes));
  }
};

class PollerTest : public testing::Test {
 protected:
  void SetUp() override {
    auto made = Poller::make();
    ASSERT_TRUE(made.ok());
    poller = std::move(made).value();
  }
  /// What is ready of one socket within 10 s, which has its own address as tag.
  std::vector<Ready> wait() {
    const auto got = poller->wait(ready, after(Clock::now(), 10));
    return {got.begin(), got.end()};
  }
  std::vector<Ready> look() {
    const auto got = poller->wait(ready, Clock::now());
    return {got.begin(), got.end()};
  }

  std::unique_ptr<Poller> poller;
  std::array<Ready, 64> ready;
};

TEST_F(PollerTest, TellsWhatCanBeRead) {
  Pair p;
  ASSERT_TRUE(poller->add(p.here.fd(), &p, true, false).ok());
  EXPECT_TRUE(look().empty());
  p.say(2);
  auto got = wait();
  ASSERT_EQ(got.size(), 1U);
  EXPECT_EQ(got[0].tag, &p);
  EXPECT_TRUE(got[0].readable);
  EXPECT_FALSE(got[0].writable);
  EXPECT_FALSE(got[0].broken);
  char c = 0;
  IoPiece piece = io_piece(&c, 1);
  ASSERT_EQ(p.here.receive({&piece, 1}).bytes, 1U);
  EXPECT_EQ(wait().size(), 1U) << "level-triggered: one byte is still there";
  ASSERT_EQ(p.here.receive({&piece, 1}).bytes, 1U);
  EXPECT_TRUE(look().empty());
}

TEST_F(PollerTest, TellsWhatCanBeWritten) {
  Pair p;
  ASSERT_TRUE(poller->add(p.here.fd(), &p, true, false).ok());
  const std::vector<std::uint8_t> bytes(1 << 16);
  const IoPiece piece = io_piece(bytes.data(), bytes.size());
  while (p.here.send({&piece, 1}).status == IoStatus::ok) {
  }
  poller->change(p.here.fd(), &p, true, true);
  EXPECT_TRUE(look().empty());
  std::vector<std::uint8_t> drained(1 << 20);
  std::vector<Ready> got;
  while (got.empty()) {
    IoPiece into = io_piece(drained.data(), drained.size());
    (void)p.there.receive({&into, 1});
    got = look();
  }
  EXPECT_TRUE(got[0].writable);
  EXPECT_FALSE(got[0].readable);
  poller->change(p.here.fd(), &p, true, false);
  EXPECT_TRUE(look().empty());
}

TEST_F(PollerTest, LooksAtNothingThatWasNotAskedFor) {
  Pair p;
  p.say(1);
  ASSERT_TRUE(poller->add(p.here.fd(), &p, false, false).ok());
  EXPECT_TRUE(look().empty());
  int other = 0;
  poller->change(p.here.fd(), &other, true, true);
  bool readable = false;
  bool writable = false;
  for (const Ready& r : wait()) {  // one for both, or one for each
    EXPECT_EQ(r.tag, &other);
    readable = readable || r.readable;
    writable = writable || r.writable;
  }
  EXPECT_TRUE(readable);
  EXPECT_TRUE(writable);
  poller->remove(p.here.fd());
  EXPECT_TRUE(look().empty());
}

TEST_F(PollerTest, TheEndCanBeRead) {
  Pair p;
  ASSERT_TRUE(poller->add(p.here.fd(), &p, true, false).ok());
  p.there.finish();
  const auto got = wait();
  ASSERT_EQ(got.size(), 1U);
  EXPECT_TRUE(got[0].readable);
  EXPECT_FALSE(got[0].broken);
}

TEST_F(PollerTest, ABrokenConnectionIsTold) {
  Pair p;
  ASSERT_TRUE(poller->add(p.here.fd(), &p, true, true).ok());
  const linger now{1, 0};
  ASSERT_EQ(::setsockopt(p.there.fd(), SOL_SOCKET, SO_LINGER, reinterpret_cast<const char*>(&now), sizeof now), 0);
  p.there.close();
  const TimePoint until = after(Clock::now(), 10);
  bool broken = false;
  while (!broken && Clock::now() < until) {
    for (const Ready& r : wait()) broken = broken || r.broken;
  }
  EXPECT_TRUE(broken);
}

TEST_F(PollerTest, WakesAndSleeps) {
  Pair p;
  ASSERT_TRUE(poller->add(p.here.fd(), &p, true, false).ok());
  std::thread other([&] { poller->wake(); });
  EXPECT_TRUE(poller->wait(ready, TimePoint::max()).empty());
  other.join();
  poller->wake();
  poller->wake();
  EXPECT_TRUE(poller->wait(ready, TimePoint::max()).empty()) << "the next wait ends, too";
  const TimePoint until = after(Clock::now(), 0.02);
  while (Clock::now() < until) EXPECT_TRUE(poller->wait(ready, until).empty());
  p.say(1);
  poller->wake();
  std::vector<Ready> got;
  while (got.empty()) got = wait();  // the wake-up may come alone
  EXPECT_EQ(got[0].tag, &p);
}

// The time may be the same for many waits, come nearer, and have been there before.
TEST_F(PollerTest, EveryTimeIsKept) {
  Pair p;
  ASSERT_TRUE(poller->add(p.here.fd(), &p, true, false).ok());
  p.say(1);
  const TimePoint far = after(Clock::now(), 600);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(poller->wait(ready, far).size(), 1U);
  char c = 0;
  IoPiece piece = io_piece(&c, 1);
  ASSERT_EQ(p.here.receive({&piece, 1}).bytes, 1U);
  for (int i = 0; i < 3; ++i) {
    const TimePoint near = after(Clock::now(), 0.01);
    while (Clock::now() < near) EXPECT_TRUE(poller->wait(ready, near).empty());
    EXPECT_TRUE(poller->wait(ready, near).empty()) << "it is over";
    EXPECT_TRUE(poller->wait(ready, near, near - std::chrono::seconds(1)).empty()) << "also for an old clock";
  }
}

TEST_F(PollerTest, NoneOfManyIsPassedOver) {
  std::vector<std::unique_ptr<Pair>> pairs;
  for (int i = 0; i < 100; ++i) {
    pairs.push_back(std::make_unique<Pair>());
    ASSERT_TRUE(poller->add(pairs.back()->here.fd(), pairs.back().get(), true, false).ok());
    pairs.back()->say(1);
  }
  std::set<void*> seen;
  for (int round = 0; round < 1000 && seen.size() < pairs.size(); ++round) {
    for (const Ready& r : poller->wait(std::span(ready).first(7), after(Clock::now(), 10))) seen.insert(r.tag);
  }
  EXPECT_EQ(seen.size(), pairs.size());
  for (std::size_t i = 0; i < pairs.size(); i += 2) {
    poller->remove(pairs[i]->here.fd());
    seen.erase(pairs[i].get());
    pairs[i]->here.close();
  }
  std::set<void*> rest;
  for (int round = 0; round < 1000 && rest.size() < seen.size(); ++round) {
    for (const Ready& r : wait()) rest.insert(r.tag);
  }
  EXPECT_EQ(rest, seen);
}

}  // namespace
}  // namespace simdrive::net
