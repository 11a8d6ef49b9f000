#include "net/socket.hpp"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <thread>

#include "net/loopback.hpp"
#include "net/read_ahead.hpp"

namespace simdrive::net {
namespace {

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
  const std::array<IoPiece, 2> out = {io_piece(one, 3), io_piece(two, 5)};
  ASSERT_EQ(p.here.send(out).bytes, 8U);
  char first[2];
  char rest[10];
  std::array<IoPiece, 2> in = {io_piece(first, 2), io_piece(rest, 10)};
  ASSERT_TRUE(wait(p.there.fd(), false, nullptr, TimePoint::max()).readable);
  const IoResult r = p.there.receive(in);
  EXPECT_EQ(r.status, IoStatus::ok);
  ASSERT_EQ(r.bytes, 8U);
  EXPECT_EQ(std::string_view(first, 2), "ab");
  EXPECT_EQ(std::string_view(rest, 6), "cdefgh");
  EXPECT_EQ(p.there.receive(in).status, IoStatus::would_block);
  p.here.finish();
  ASSERT_TRUE(wait(p.there.fd(), false, nullptr, TimePoint::max()).readable);
  EXPECT_EQ(p.there.receive(in).status, IoStatus::end);
  p.there.close();
  EXPECT_EQ(p.here.send(out).status, IoStatus::failed);
}

TEST(SocketTest, WaitEndsForEachOfItsReasons) {
  Pair p;
  WakeUp wake_up;
  const PollResult late = wait(p.here.fd(), false, &wake_up, Clock::now());
  EXPECT_FALSE(late.readable || late.writable || late.woken);
  EXPECT_TRUE(wait(p.here.fd(), true, &wake_up, TimePoint::max()).writable);
  std::thread other([&] { wake_up.signal(); });
  EXPECT_TRUE(wait(p.here.fd(), false, &wake_up, TimePoint::max()).woken);
  other.join();
  wake_up.drain();
  EXPECT_FALSE(wait(p.here.fd(), false, &wake_up, Clock::now()).woken);
  char c = 'x';
  const std::array<IoPiece, 1> one = {io_piece(&c, 1)};
  ASSERT_EQ(p.there.send(one).bytes, 1U);
  EXPECT_TRUE(wait(p.here.fd(), false, &wake_up, TimePoint::max()).readable);
  p.here.shutdown();
  EXPECT_TRUE(wait(p.there.fd(), false, nullptr, TimePoint::max()).readable);
}

TEST(SocketTest, ConnectNamesItsFailure) {
  const auto deadline = after(Clock::now(), 10);
  const auto nobody = connect_tcp("127.0.0.1", 1, deadline, {});
  ASSERT_FALSE(nobody.ok());
  EXPECT_EQ(nobody.error().code, Errc::connect_failed);
  EXPECT_FALSE(nobody.error().detail.empty());
}

// Sends text, and waits until the other end can read.
void say(Pair& p, const std::string& text) {
  ASSERT_TRUE(testing_net::send_all(p.here, {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}));
  ASSERT_TRUE(wait(p.there.fd(), false, nullptr, TimePoint::max()).readable);
}

// What one read of `size` bytes gives, or "-" and the status.
std::string read_of(ReadAhead& ahead, Pair& p, std::size_t size) {
  std::string into(size, '-');
  const std::size_t first = size / 2;
  std::array<IoPiece, 2> pieces = {io_piece(into.data(), first), io_piece(into.data() + first, size - first)};
  const IoResult r = ahead.receive(p.there, pieces);
  return r.status == IoStatus::ok ? into.substr(0, r.bytes) : "-" + std::to_string(static_cast<int>(r.status));
}

TEST(ReadAheadTest, OneReceiveServesManySmallReadsInOrder) {
  Pair p;
  ReadAhead ahead;
  say(p, "abcdefgh");
  EXPECT_EQ(read_of(ahead, p, 3), "abc");
  EXPECT_TRUE(ahead.drained());
  EXPECT_TRUE(ahead.any());
  say(p, "ijk");  // comes behind what is here already
  EXPECT_EQ(read_of(ahead, p, 4), "defg");
  EXPECT_EQ(read_of(ahead, p, 9), "h");
  EXPECT_FALSE(ahead.any());
  EXPECT_EQ(read_of(ahead, p, 9), "ijk");
  EXPECT_EQ(read_of(ahead, p, 9), "-" + std::to_string(static_cast<int>(IoStatus::would_block)));
}

TEST(ReadAheadTest, TheEndComesBehindWhatIsHere) {
  Pair p;
  ReadAhead ahead;
  say(p, "abcd");
  p.here.finish();
  EXPECT_EQ(read_of(ahead, p, 1), "a");
  EXPECT_EQ(read_of(ahead, p, 8), "bcd");
  ASSERT_TRUE(wait(p.there.fd(), false, nullptr, TimePoint::max()).readable);
  EXPECT_EQ(read_of(ahead, p, 8), "-" + std::to_string(static_cast<int>(IoStatus::end)));
}

TEST(ReadAheadTest, BytesMayComeBeforeTheReadsThatTakeThem) {
  Pair p;
  ReadAhead ahead;
  if (!p.there.allow_waiting()) GTEST_SKIP() << "this system cannot wait in a receive";
  EXPECT_FALSE(ahead.receive_or_wait(p.there));  // its time is over
  const std::string nothing = "-" + std::to_string(static_cast<int>(IoStatus::would_block));
  EXPECT_EQ(read_of(ahead, p, 4), nothing);  // which never waits
  const Bytes text = {'a', 'b', 'c', 'd', 'e', 'f'};
  std::thread other([&] { EXPECT_TRUE(testing_net::send_all(p.here, text)); });
  while (!ahead.receive_or_wait(p.there)) {
  }
  other.join();
  std::array<IoPiece, 1> small = {io_piece(nullptr, 16)};
  EXPECT_FALSE(ahead.fits(small));  // what is here would be lost
  EXPECT_EQ(read_of(ahead, p, 2), "ab");
  EXPECT_EQ(read_of(ahead, p, 9), "cdef");
  EXPECT_TRUE(ahead.fits(small));
  std::array<IoPiece, 1> large = {io_piece(nullptr, 5000)};
  EXPECT_FALSE(ahead.fits(large));
  p.here.finish();
  EXPECT_TRUE(ahead.receive_or_wait(p.there));
  const std::string end = "-" + std::to_string(static_cast<int>(IoStatus::end));
  EXPECT_EQ(read_of(ahead, p, 4), end);
  EXPECT_EQ(read_of(ahead, p, 4), end);
}

TEST(ReadAheadTest, TheReadBehindALargeOneTakesNothingAhead) {
  Pair p;
  ReadAhead ahead;
  const std::string body(5000, 'x');
  say(p, body);
  EXPECT_EQ(read_of(ahead, p, 5000), body);
  EXPECT_FALSE(ahead.drained());
  say(p, "head" + body);
  EXPECT_EQ(read_of(ahead, p, 4), "head");
  EXPECT_FALSE(ahead.any());
  EXPECT_EQ(read_of(ahead, p, 5000), body);
  EXPECT_FALSE(ahead.any());
}

}  // namespace
}  // namespace simdrive::net
