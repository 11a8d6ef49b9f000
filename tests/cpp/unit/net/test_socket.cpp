#include "net/socket.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <limits>
#include <string_view>
#include <thread>

namespace simdrive::net {
namespace {

struct Pair {
  Socket near;
  Socket far;
  Pair() {
    std::array<int, 2> fds{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds.data()), 0);
    near = Socket(fds[0]);
    far = Socket(fds[1]);
  }
};

TEST(SocketTest, DeadlinesHaveAnEnd) {
  const TimePoint now = Clock::now();
  EXPECT_EQ(after(now, std::numeric_limits<double>::infinity()), TimePoint::max());
  EXPECT_EQ(after(now, 1e300), TimePoint::max());
  EXPECT_EQ(after(now, std::numeric_limits<double>::quiet_NaN()), TimePoint::max());
  EXPECT_EQ(after(now, -5), now);
  EXPECT_EQ(after(now, 1.5), now + std::chrono::milliseconds(1500));
}

TEST(SocketTest, PiecesGoOutAndComeInInOrder) {
  Pair p;
  char one[] = "abc";
  char two[] = "defgh";
  const std::array<iovec, 2> out = {{{one, 3}, {two, 5}}};
  ASSERT_EQ(p.near.send(out).bytes, 8U);
  char first[2];
  char rest[10];
  std::array<iovec, 2> in = {{{first, 2}, {rest, 10}}};
  const IoResult r = p.far.receive(in);
  EXPECT_EQ(r.status, IoStatus::ok);
  ASSERT_EQ(r.bytes, 8U);
  EXPECT_EQ(std::string_view(first, 2), "ab");
  EXPECT_EQ(std::string_view(rest, 6), "cdefgh");
  EXPECT_EQ(p.far.receive(in).status, IoStatus::would_block);
  p.near.finish();
  EXPECT_EQ(p.far.receive(in).status, IoStatus::end);
  p.far.close();
  EXPECT_EQ(p.near.send(out).status, IoStatus::failed);
}

TEST(SocketTest, WaitEndsForEachOfItsReasons) {
  Pair p;
  WakeUp wake_up;
  const PollResult late = wait(p.near.fd(), false, &wake_up, Clock::now());
  EXPECT_FALSE(late.readable || late.writable || late.woken);
  EXPECT_TRUE(wait(p.near.fd(), true, &wake_up, TimePoint::max()).writable);
  std::thread other([&] { wake_up.signal(); });
  EXPECT_TRUE(wait(p.near.fd(), false, &wake_up, TimePoint::max()).woken);
  other.join();
  wake_up.drain();
  EXPECT_FALSE(wait(p.near.fd(), false, &wake_up, Clock::now()).woken);
  char c = 'x';
  const std::array<iovec, 1> one = {{{&c, 1}}};
  ASSERT_EQ(p.far.send(one).bytes, 1U);
  EXPECT_TRUE(wait(p.near.fd(), false, &wake_up, TimePoint::max()).readable);
  p.near.shutdown();
  EXPECT_TRUE(wait(p.far.fd(), false, nullptr, TimePoint::max()).readable);
}

TEST(SocketTest, ConnectNamesItsFailure) {
  const auto deadline = after(Clock::now(), 10);
  const auto nobody = connect_tcp("127.0.0.1", 1, deadline, {});
  ASSERT_FALSE(nobody.ok());
  EXPECT_EQ(nobody.error().code, Errc::connect_failed);
  EXPECT_FALSE(nobody.error().detail.empty());
}

}  // namespace
}  // namespace simdrive::net
