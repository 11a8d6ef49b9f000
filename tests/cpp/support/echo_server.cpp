// A server that sends every message back, made of the connection class of the real one: for suites that test how a
// server speaks WebSocket. `echo_server [PORT]` prints the URL and serves until it is ended.
#include <array>
#include <charconv>
#include <cstdio>
#include <iostream>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "net/listener.hpp"
#include "net/poller.hpp"
#include "net/server_socket.hpp"

namespace simdrive {
namespace {

constexpr std::size_t kPiece = std::size_t{64} << 10;
constexpr std::size_t kMostUnsent = std::size_t{64} << 20;
constexpr std::chrono::seconds kLinger{2};

class Echo final : private net::ServerEvents {
 public:
  explicit Echo(net::Socket socket) : socket_(std::move(socket), {}, *this) {}

  void turn(bool readable) {
    if (readable || socket_.more_to_receive()) socket_.receive();
    blocked_ = !socket_.flush();
    if (ended_ && !blocked_ && !finished_) {
      socket_.finish();
      finished_ = true;
      until_ = net::Clock::now() + kLinger;
    }
  }
  [[nodiscard]] bool wants_read() const { return finished_ || (!ended_ && socket_.unsent() < kMostUnsent); }
  [[nodiscard]] bool wants_write() const { return blocked_; }
  [[nodiscard]] bool wants_turn() const { return socket_.more_to_receive() && wants_read(); }
  [[nodiscard]] bool over(net::TimePoint now) const { return socket_.finished() || (finished_ && now >= until_); }
  [[nodiscard]] net::SocketHandle fd() const { return socket_.fd(); }

 private:
  net::HttpAnswer http(const net::HttpRequest&) override { return {}; }
  void opened() override {}
  MutableBytes need() override {
    if (socket_.unsent() >= kMostUnsent) return {};
    message_.resize(size_ + kPiece);
    return MutableBytes(message_).subspan(size_);
  }
  void received(std::size_t n, net::MessageKind kind, bool message_done) override {
    size_ += n;
    if (!message_done) return;
    const BytesView whole = BytesView(message_).first(size_);
    socket_.message({&whole, 1}, kind);
    size_ = 0;
  }
  void ended(Error) override { ended_ = true; }

  net::ServerSocket socket_;
  Bytes message_;
  std::size_t size_ = 0;
  bool ended_ = false;
  bool blocked_ = false;
  bool finished_ = false;
  net::TimePoint until_;
};

int serve(net::Listener listener) {
  auto made = net::Poller::make();
  if (!made) return 1;
  net::Poller& poller = **made;
  if (!poller.add(listener.fd(), &listener, true, false)) return 1;
  std::vector<std::unique_ptr<Echo>> connections;
  std::array<net::Poller::Ready, 64> ready{};
  bool again = false;
  for (;;) {
    const auto now = net::Clock::now();
    for (const auto& each : poller.wait(ready, again ? now : now + std::chrono::seconds(1))) {
      if (each.tag != &listener) {
        static_cast<Echo*>(each.tag)->turn(each.readable);
        continue;
      }
      while (auto next = listener.accept()) {
        if (!next->has_value()) break;
        auto echo = std::make_unique<Echo>(std::move((*next)->socket));
        if (poller.add(echo->fd(), echo.get(), true, false)) connections.push_back(std::move(echo));
      }
    }
    again = false;
    std::erase_if(connections, [&](const std::unique_ptr<Echo>& echo) {
      if (echo->wants_turn()) echo->turn(false);
      if (echo->over(net::Clock::now())) {
        poller.remove(echo->fd());
        return true;
      }
      poller.change(echo->fd(), echo.get(), echo->wants_read(), echo->wants_write());
      again = again || echo->wants_turn();
      return false;
    });
  }
}

int run(int argc, char** argv) {
  std::uint16_t port = 0;
  if (argc > 1) {
    const std::string_view text = argv[1];
    if (std::from_chars(text.data(), text.data() + text.size(), port).ec != std::errc()) {
      std::cerr << "usage: echo_server [PORT]\n";
      return 2;
    }
  }
  auto listener = net::Listener::tcp("127.0.0.1", port);
  if (!listener) {
    std::cerr << listener.error().detail << '\n';
    return 1;
  }
  std::cout << "ws://" << listener->address() << ':' << listener->port() << '/' << std::endl;
  return serve(std::move(listener).value());
}

}  // namespace
}  // namespace simdrive

int main(int argc, char** argv) { return simdrive::run(argc, argv); }
