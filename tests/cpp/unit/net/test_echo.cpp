// The client's WebSocket against the server's socket, by way of listener and poller.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "net/listener.hpp"
#include "net/poller.hpp"
#include "net/server_socket.hpp"
#include "net/websocket.hpp"
#include "support/temporary_folder.hpp"

namespace simdrive::net {
namespace {

/// Sends back what it is sent, on a thread of its own.
class EchoServer {
 public:
  explicit EchoServer(Listener listener) : listener_(std::move(listener)), poller_(std::move(Poller::make()).value()) {
    EXPECT_TRUE(poller_->add(listener_.fd(), this, true, false).ok());
    thread_ = std::thread([this] { run(); });
  }
  ~EchoServer() {
    stop_ = true;
    poller_->wake();
    thread_.join();
  }
  [[nodiscard]] std::uint16_t port() const { return listener_.port(); }
  std::atomic<int> ended{0};

 private:
  struct Session final : ServerEvents {
    Session(Socket socket, EchoServer& s) : server(s), ws(std::move(socket), {}, *this) {}
    HttpAnswer http(const HttpRequest& request) override { return {.status = request.target == "/ws" ? 101U : 404U}; }
    void opened() override {}
    MutableBytes need() override {
      if (message.size() - have < 65536) message.resize(std::max(2 * message.size(), have + 65536));
      return MutableBytes(message).subspan(have);
    }
    void received(std::size_t n, MessageKind kind, bool message_done) override {
      have += n;
      if (!message_done) return;
      const BytesView piece = BytesView(message).first(std::exchange(have, 0));
      ws.message({&piece, 1}, kind);
    }
    void ended(Error) override { ++server.ended; }

    EchoServer& server;
    Bytes message;
    std::size_t have = 0;
    bool wants_write = false;
    bool told = false;
    ServerSocket ws;
  };

  void run() {
    std::array<Poller::Ready, 16> ready;
    while (!stop_) {
      for (const Poller::Ready& r : poller_->wait(ready, TimePoint::max())) {
        if (r.tag == this) {
          take();
        } else {
          serve(*static_cast<Session*>(r.tag));
        }
      }
      std::erase_if(sessions_, [](const auto& s) { return s->ws.finished(); });
    }
  }

  void take() {
    for (auto got = listener_.accept(); got && got.value(); got = listener_.accept()) {
      sessions_.push_back(std::make_unique<Session>(std::move(got.value()->socket), *this));
      EXPECT_TRUE(poller_->add(sessions_.back()->ws.fd(), sessions_.back().get(), true, false).ok());
    }
  }

  void serve(Session& s) {
    const int before = ended;
    do s.ws.receive(1 << 20);
    while (s.ws.more_to_receive() && !s.ws.finished());
    s.told = s.told || ended != before;
    const bool sent = s.ws.flush();
    if (sent && s.told) s.ws.finish();
    if (!sent != s.wants_write) poller_->change(s.ws.fd(), &s, true, s.wants_write = !sent);
    if (s.ws.finished()) poller_->remove(s.ws.fd());
  }

  Listener listener_;
  std::unique_ptr<Poller> poller_;
  std::vector<std::unique_ptr<Session>> sessions_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

class EchoClient final : Events {
 public:
  TimePoint until = TimePoint::max();  // of each receive_all()
  std::size_t most = 0;                // bytes of one

  Result<void> connect(const std::string& unix_path, std::uint16_t port, const std::string& path = "/ws") {
    const TimePoint deadline = after(Clock::now(), 10);
    auto made = unix_path.empty() ? WebSocket::connect("127.0.0.1", port, path, deadline, {}, *this)
                                  : WebSocket::connect_unix(unix_path, path, deadline, {}, *this);
    if (!made) return std::move(made).error();
    ws_ = std::move(made).value();
    return {};
  }
  std::string echo(const std::string& text) {
    const BytesView piece(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
    ws_->write({&piece, 1});
    got_.clear();
    done_ = false;
    while (!done_ && !failed_) {
      while (ws_->has_send()) {
        const IoResult r = ws_->send_some();
        if (r.status == IoStatus::would_block) break;
        ws_->complete_send(r);
      }
      ws_->set_readable();
      const std::size_t received = ws_->receive_all(std::numeric_limits<std::size_t>::max(), until);
      most = std::max(most, received);
      if (received != 0 || done_) continue;
      if (!wait(ws_->fd(), ws_->has_send(), nullptr, after(Clock::now(), 10)).readable && !ws_->has_send()) break;
    }
    return got_;
  }
  void close() {
    EXPECT_TRUE(ws_->say_close());
    while (!ws_->ended()) {
      ASSERT_TRUE(wait(ws_->fd(), false, nullptr, after(Clock::now(), 10)).readable);
    }
  }

  static constexpr std::size_t kBuffer = 100'000;

 private:
  MutableBytes need() override { return buffer_; }
  void received(std::size_t n, bool, bool message_done) override {
    got_.append(reinterpret_cast<const char*>(buffer_.data()), n);
    done_ = message_done;
  }
  void message_sent() override {}
  void broken(Error error) override { failed_ = std::move(error); }

  std::unique_ptr<WebSocket> ws_;
  Bytes buffer_ = Bytes(kBuffer);
  std::string got_;
  bool done_ = false;
  std::optional<Error> failed_;
};

void expect_echoes(EchoServer& server, const std::string& unix_path, std::uint16_t port) {
  std::vector<std::unique_ptr<EchoClient>> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(std::make_unique<EchoClient>());
    ASSERT_TRUE(clients.back()->connect(unix_path, port).ok());
  }
  for (const std::size_t n : {0U, 1U, 125U, 126U, 1000U, 65535U, 65536U, 100'000U, 3'000'000U}) {
    for (const auto& c : clients) {
      std::string text(n, '\0');
      for (std::size_t i = 0; i < n; ++i) text[i] = static_cast<char>(i * 7 + (i >> 10));
      EXPECT_TRUE(c->echo(text) == text) << n;
    }
  }
  for (const auto& c : clients) c->close();
  EXPECT_EQ(server.ended, 3);
  EchoClient refused;
  const auto r = refused.connect(unix_path, port, "/other");
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.error().code, Errc::handshake_failed);
  EXPECT_NE(r.error().detail.find("404"), std::string::npos);
}

TEST(EchoTest, OverTcp) {
  auto listener = Listener::tcp("127.0.0.1", 0);
  ASSERT_TRUE(listener.ok());
  EchoServer server(std::move(listener).value());
  expect_echoes(server, {}, server.port());
}

TEST(EchoTest, OverAUnixSocket) {
  if (max_unix_path() == 0) GTEST_SKIP() << "there are none on this system";
  const testing_store::TemporaryFolder folder;
  auto listener = Listener::unix_path(folder.file("s.sock"));
  ASSERT_TRUE(listener.ok());
  EchoServer server(std::move(listener).value());
  expect_echoes(server, folder.file("s.sock"), 0);
}

// Filling memory can take long: what is asked for a time ends with the receive that the time is over in.
TEST(EchoTest, ATimeThatIsOverLeavesOneReceive) {
  auto listener = Listener::tcp("127.0.0.1", 0);
  ASSERT_TRUE(listener.ok());
  EchoServer server(std::move(listener).value());
  EchoClient client;
  ASSERT_TRUE(client.connect({}, server.port()).ok());
  client.until = TimePoint::min();
  const std::string text(3'000'000, 't');
  EXPECT_TRUE(client.echo(text) == text);
  EXPECT_LE(client.most, EchoClient::kBuffer + 16);  // a head, and one buffer full
  EXPECT_GT(client.most, 0U);
  client.close();
}

}  // namespace
}  // namespace simdrive::net
