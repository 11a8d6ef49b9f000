// A session by itself, whose clock the test moves.
#include "server/session.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#ifdef __linux__
#include <sys/socket.h>
#endif

#include "raw_client.hpp"
#include "serving.hpp"

namespace simdrive::testing_server {
namespace {

class Surroundings final : public server::Shared {
 public:
  Surroundings(server::Backend& answers, const ServerOptions& options) : Shared(answers, options, 1, 1) {
    limits.max_unfinished_total = std::uint64_t{1} << 30;
  }
  std::string status_json() const override { return "{}"; }
};

class Host final : public server::SessionHost {
 public:
  using SessionHost::SessionHost;
  void work_done(server::Session&) noexcept override {}
};

struct Ends {
  net::Socket client;
  net::Socket server;
};

Ends connected() {
  const testing_net::Listener listener;
  auto made = net::connect_tcp("127.0.0.1", listener.port(), net::after(net::Clock::now(), 10), {});
  if (!made) throw std::runtime_error("cannot connect");
  return {std::move(made).value(), std::move(listener.accept().value())};
}

class SessionTest : public testing::Test {
 protected:
  explicit SessionTest(Ends ends = connected()) : client_(std::move(ends.client)) {
    testing_net::set_non_blocking(ends.server);
    session_.emplace(host_, net::Accepted{std::move(ends.server), "client"}, server::NoRoom::none, now_);
  }

  void upgrade() {
    say(testing_net::kUpgrade);
    const std::string answer = hear();
    ASSERT_TRUE(answer.starts_with("HTTP/1.1 101")) << answer;
  }
  void say(std::string_view bytes) {
    ASSERT_TRUE(testing_net::send_all(client_, testing_net::bytes_of(bytes)));
    ASSERT_TRUE(net::wait(session_->fd(), false, nullptr, net::after(net::Clock::now(), 10)).readable);
    session_->turn(true, now_);
  }
  /// The next bytes that come.
  std::string hear() {
    if (!net::wait(client_.fd(), false, nullptr, net::after(net::Clock::now(), 10)).readable) return {};
    std::string out(4096, '\0');
    net::IoPiece into = net::io_piece(out.data(), out.size());
    out.resize(client_.receive({&into, 1}).bytes);
    return out;
  }
  void pass(double seconds) {
    now_ = net::after(now_, seconds);
    session_->tick(now_);
  }
  /// How long it lives on, looked after as usual, in seconds; at most `most`.
  double lives_for(double most) {
    double lived = 0;
    for (; lived < most && !session_->dead(); lived += 0.25) pass(0.25);
    return lived;
  }

  net::TimePoint now_ = net::Clock::now();
  HeldBackend backend_;
  ServerOptions options_;
  Surroundings surroundings_{backend_, options_};
  Host host_{surroundings_};
  net::Socket client_;
  std::optional<server::Session> session_;
};

TEST_F(SessionTest, EndsInTheTimeOfItsLimits) {
  upgrade();
  const double lived = lives_for(100);
  EXPECT_GE(lived, options_.limits.silence_timeout);
  EXPECT_LE(lived, options_.limits.silence_timeout + 1);
}

TEST_F(SessionTest, AnIdleClientDoesNotDelayTheEnd) {
  upgrade();
  session_->drain(now_);
  EXPECT_EQ(hear().substr(0, 4), "\x88\x18\x03\xe9");  // Close 1001, which it does not answer
  EXPECT_FALSE(session_->dead());
  EXPECT_FALSE(session_->at_work());
  pass(0.25);
  EXPECT_TRUE(session_->dead());
}

TEST_F(SessionTest, APausedServerDoesNotTakeItsClientsForSilent) {
  upgrade();
  pass(3600);
  EXPECT_FALSE(session_->dead());
  pass(0.25);
  EXPECT_FALSE(session_->dead());
  // Its silence goes on where it was.
  EXPECT_GE(lives_for(100), options_.limits.silence_timeout - 3);
  EXPECT_TRUE(session_->dead());
}

TEST_F(SessionTest, APausedServerStillWaitsForTheUpgrade) {
  pass(3600);
  EXPECT_FALSE(session_->dead());
  upgrade();
  pass(3600);
  EXPECT_FALSE(session_->dead());
}

#ifdef __linux__
// A connection in which each send of the server arrives as one packet, so that they can be counted.
class SessionSendsTest : public SessionTest {
 protected:
  SessionSendsTest() : SessionTest(packet_pair()) {}

  static Ends packet_pair() {
    int fds[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) throw std::runtime_error("no socket pair");
    return {net::Socket(fds[0]), net::Socket(fds[1])};
  }
  void SetUp() override {
    ASSERT_TRUE(backend_.write(view("k"), payload_of(1024)).ok());
    upgrade();
    EXPECT_TRUE(packets().empty());
  }
  /// What has come so far, a packet each.
  std::vector<std::string> packets() {
    std::vector<std::string> out;
    for (;;) {
      std::string packet(std::size_t{1} << 20, '\0');
      const ssize_t n = ::recv(client_.fd(), packet.data(), packet.size(), MSG_DONTWAIT);
      if (n <= 0) return out;
      packet.resize(static_cast<std::size_t>(n));
      out.push_back(std::move(packet));
    }
  }
  static std::string reads(std::uint32_t first, std::uint32_t count) {
    std::string out;
    for (std::uint32_t id = first; id < first + count; ++id) {
      out += RawClient::request_text(rpc::Method::read, id, key_args(view("k")));
    }
    return out;
  }
  /// How many WebSocket frames there are one behind the other, none of them 64 KiB long or longer.
  static std::size_t frames_in(std::string_view bytes) {
    std::size_t count = 0;
    for (; bytes.size() >= 2; ++count) {
      const auto at = [&](std::size_t i) { return static_cast<std::size_t>(static_cast<unsigned char>(bytes[i])); };
      const bool is_long = at(1) == 126;
      const std::size_t size = is_long ? 4 + (at(2) << 8 | at(3)) : 2 + at(1);
      if (at(1) == 127 || size > bytes.size()) return 0;
      bytes.remove_prefix(size);
    }
    return bytes.empty() ? count : 0;
  }
};

TEST_F(SessionSendsTest, SendASmallReplyAtOnce) {
  say(reads(1, 1));
  const std::vector<std::string> sent = packets();
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(frames_in(sent[0]), 2U);  // Open and End
  EXPECT_GT(sent[0].size(), 1024U);
}

TEST_F(SessionSendsTest, SendTheRepliesToOneReadAtOnce) {
  std::string several = reads(1, 20);
  several += RawClient::request_text(rpc::Method::write, 21, write_args(view("k"), payload_of(2000)));
  several += RawClient::request_text(rpc::Method::len, 22, {});
  several += testing_net::frame_text({.opcode = 9, .payload = "ping"});
  several += RawClient::request_text(rpc::Method::erase, 23, key_args(view("k")));
  say(several);
  const std::vector<std::string> sent = packets();
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(frames_in(sent[0]), 2U * 23 + 1);
}

// They do not grow without end, either.
TEST_F(SessionSendsTest, SendManyRepliesInAsFewPiecesAsFit) {
  constexpr std::uint32_t kReads = 200;
  say(reads(1, kReads));
  const std::vector<std::string> sent = packets();
  ASSERT_GT(sent.size(), 1U);
  std::size_t frames = 0;
  for (std::size_t i = 0; i < sent.size(); ++i) {
    if (i + 1 < sent.size()) {
      EXPECT_GE(sent[i].size(), std::size_t{60} << 10);
    }
    EXPECT_LE(sent[i].size(), std::size_t{64} << 10);
    frames += frames_in(sent[i]);
  }
  EXPECT_EQ(frames, 2U * kReads);
}
#endif

TEST_F(SessionTest, SlowServersKeepTheirLimitsToo) {
  upgrade();
  for (int i = 0; i < 20 && !session_->dead(); ++i) pass(5);
  EXPECT_TRUE(session_->dead());
}

}  // namespace
}  // namespace simdrive::testing_server
