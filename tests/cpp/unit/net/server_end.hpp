// A ServerSocket over the loopback address, what it told its owner, and raw bytes at the other end.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/loopback.hpp"
#include "net/server_socket.hpp"

namespace simdrive::testing_net {

inline BytesView bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

inline std::string text_of(BytesView bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

struct Frame {
  unsigned opcode = 2;
  std::string payload{};
  bool fin = true;
  bool mask = true;
  unsigned rsv = 0;  ///< of the first byte: 0x40, 0x20, 0x10
};

/// As a client sends it. `announced`: a length other than the payload's.
inline std::string frame_text(const Frame& f, std::uint64_t announced = ~std::uint64_t{0}) {
  const std::uint64_t size = announced == ~std::uint64_t{0} ? f.payload.size() : announced;
  const char key[4] = {'\x12', '\x34', '\x56', '\x78'};
  std::string out(1, static_cast<char>((f.fin ? 0x80U : 0U) | f.rsv | f.opcode));
  const unsigned masked = f.mask ? 0x80U : 0U;
  const int more = size < 126 ? 0 : size < 65536 ? 2 : 8;
  out += static_cast<char>(masked | (more == 0 ? static_cast<unsigned>(size) : more == 2 ? 126U : 127U));
  for (int i = more - 1; i >= 0; --i) out += static_cast<char>(size >> (8 * i));
  if (!f.mask) return out + f.payload;
  out.append(key, 4);
  for (std::size_t i = 0; i < f.payload.size(); ++i) out += static_cast<char>(f.payload[i] ^ key[i % 4]);
  return out;
}

/// As a server sends it.
inline std::string reply_text(unsigned opcode, const std::string& payload) {
  return frame_text({.opcode = opcode, .payload = payload, .mask = false});
}

/// Header and two bytes of code.
inline std::string close_text(unsigned code, const std::string& reason = {}) {
  return reply_text(8, std::string{static_cast<char>(code >> 8), static_cast<char>(code)} + reason);
}

inline const std::string kUpgrade =
    "GET /ws?x=1 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// Owner and peer of one ServerSocket.
class ServerEnd : public net::ServerEvents {
 public:
  struct Message {
    std::string bytes;
    net::MessageKind kind;
    bool operator==(const Message&) const = default;
  };

  explicit ServerEnd(const net::ServerSocketLimits& limits = {}, std::size_t most_wanted = 1 << 20)
      : buffer(most_wanted), wanted(most_wanted) {
    const Listener listener;
    auto connected = net::connect_tcp("127.0.0.1", listener.port(), net::after(net::Clock::now(), 10), {});
    if (!connected) throw std::runtime_error("cannot connect");
    client = std::move(connected).value();
    net::Socket accepted = std::move(listener.accept().value());
    set_non_blocking(accepted);
    server = std::make_unique<net::ServerSocket>(std::move(accepted), limits, *this);
  }

  net::HttpAnswer http(const net::HttpRequest& request) override {
    ++requests;
    target = request.target;
    method = request.method;
    upgrade = request.upgrade;
    for (const auto& [name, value] : request.headers) headers.emplace_back(name, value);
    return answer;
  }
  void opened() override { ++openings; }
  MutableBytes need() override { return MutableBytes(buffer).first(wanted); }
  void received(std::size_t n, net::MessageKind kind, bool message_done) override {
    pieces.push_back(n);
    partial += text_of(BytesView(buffer).first(n));
    if (!message_done) return;
    messages.push_back({std::exchange(partial, {}), kind});
    if (on_message) on_message(messages.back());
  }
  void ended(Error error) override {
    ++ends;
    end = std::move(error);
  }

  /// The client sends; the server takes all of it.
  void say(std::string_view bytes) {
    ASSERT_TRUE(send_all(client, bytes_of(bytes)));
    said += bytes.size();
    take();
  }
  void take() {
    while (server->bytes_received() < said && !server->finished()) {
      ASSERT_TRUE(server->more_to_receive() || readable());
      const auto before = server->bytes_received();
      server->receive();
      if (server->bytes_received() == before && server->more_to_receive() && wanted == 0) return;
    }
  }
  [[nodiscard]] bool readable() const {
    return net::wait(server->fd(), false, nullptr, net::after(net::Clock::now(), 10)).readable;
  }

  /// Sends what is buffered, and receives it at the other end.
  std::string heard() {
    std::string got;
    for (std::size_t want = server->unsent(); got.size() < want;) {
      server->flush();
      std::vector<std::uint8_t> piece(std::min<std::size_t>(want - got.size(), 1 << 16));
      if (!net::wait(client.fd(), false, nullptr, net::after(net::Clock::now(), 10)).readable) return got + " (late)";
      net::IoPiece into = net::io_piece(piece.data(), piece.size());
      const net::IoResult r = client.receive({&into, 1});
      if (r.status == net::IoStatus::end || r.status == net::IoStatus::failed) return got + " (ended)";
      got.append(reinterpret_cast<const char*>(piece.data()), r.bytes);
    }
    return got;
  }

  void open() {
    say(kUpgrade);
    ASSERT_EQ(openings, 1);
    ASSERT_NE(heard().find("101"), std::string::npos);
  }
  /// One binary message of the server.
  void reply(const std::string& payload, net::MessageKind kind = net::MessageKind::binary) {
    const BytesView piece = bytes_of(payload);
    server->message({&piece, 1}, kind);
  }
  /// The client's end is over, and so is the server's, in order.
  void expect_finishes() {
    EXPECT_TRUE(server->flush());
    server->finish();
    client.finish();
    while (!server->finished()) {
      ASSERT_TRUE(readable());
      server->receive();
    }
  }

  net::Socket client;
  std::vector<std::uint8_t> buffer;
  std::size_t wanted;
  net::HttpAnswer answer{};
  std::function<void(const Message&)> on_message;
  int requests = 0, openings = 0, ends = 0;
  std::string target, method;
  bool upgrade = false;
  std::vector<std::pair<std::string, std::string>> headers;
  std::vector<Message> messages;
  std::vector<std::size_t> pieces;
  std::string partial;
  Error end;
  std::size_t said = 0;
  std::unique_ptr<net::ServerSocket> server;
};

}  // namespace simdrive::testing_net
