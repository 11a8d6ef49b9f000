// A session by itself, whose clock the test moves.
#include "server/session.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "net/loopback.hpp"
#include "net/server_end.hpp"
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

class SessionTest : public testing::Test {
 protected:
  SessionTest() {
    const testing_net::Listener listener;
    auto connected = net::connect_tcp("127.0.0.1", listener.port(), net::after(net::Clock::now(), 10), {});
    if (!connected) throw std::runtime_error("cannot connect");
    client_ = std::move(connected).value();
    net::Socket ours = std::move(listener.accept().value());
    testing_net::set_non_blocking(ours);
    session_.emplace(host_, net::Accepted{std::move(ours), "client"}, server::NoRoom::none, now_);
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

TEST_F(SessionTest, SlowServersKeepTheirLimitsToo) {
  upgrade();
  for (int i = 0; i < 20 && !session_->dead(); ++i) pass(5);
  EXPECT_TRUE(session_->dead());
}

}  // namespace
}  // namespace simdrive::testing_server
