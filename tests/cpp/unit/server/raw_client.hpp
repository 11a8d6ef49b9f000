// The client's end of a connection to a server under test, byte by byte: what a good client would not send, and exactly
// what came back.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#ifndef _WIN32
#include <sys/time.h>
#endif

#include "base/gather.hpp"
#include "codec/messages.hpp"
#include "net/loopback.hpp"
#include "net/server_end.hpp"
#include "net/socket.hpp"
#include "net/socket_os.hpp"
#include "rpc/frame_writer.hpp"

namespace simdrive::testing_server {

inline Bytes flat(const Gather& gathered) {
  Bytes out;
  GatherCursor cursor(gathered);
  for (BytesView run = cursor.take(gathered.size()); !run.empty(); run = cursor.take(gathered.size())) {
    out.insert(out.end(), run.begin(), run.end());
  }
  return out;
}

inline Bytes key_args(BytesView key) {
  Gather out;
  codec::encode_key_request(key, out);
  return flat(out);
}

inline Bytes write_args(BytesView key, BytesView payload) {
  Gather out;
  codec::encode_write_request(key, payload, out);
  return flat(out);
}

struct RawReply {
  std::uint32_t request_id = 0;
  std::uint64_t method_id = 0;
  rpc::Status status = rpc::Status::success;
  Bytes body;
  [[nodiscard]] std::string text() const { return {body.begin(), body.end()}; }
};

class RawClient {
 public:
  explicit RawClient(std::uint16_t port) {
    auto connected = net::connect_tcp("127.0.0.1", port, net::after(net::Clock::now(), 30), {});
    if (!connected) throw std::runtime_error(connected.error().detail);
    socket_ = std::move(connected).value();
    set_blocking();
  }
  explicit RawClient(net::Socket socket) : socket_(std::move(socket)) { set_blocking(); }

  /// Sends a request for `path` and returns the answer's head and body, up to the end of the connection; of a 101 the
  /// head alone.
  std::string http(const std::string& path, const std::string& headers = "Host: localhost\r\n",
                   const std::string& method = "GET") {
    send(method + " " + path + " HTTP/1.1\r\n" + headers + "\r\n");
    return receive_http();
  }
  std::string receive_http() {
    std::string head;
    std::uint8_t byte = 0;
    while (testing_net::receive_some(socket_, {&byte, 1}) == 1) {
      head.push_back(static_cast<char>(byte));
      if (head.starts_with("HTTP/1.1 101") && head.ends_with("\r\n\r\n")) break;
    }
    return head;
  }
  RawClient& upgrade() {
    send(testing_net::kUpgrade);
    if (!receive_http().starts_with("HTTP/1.1 101")) throw std::runtime_error("no upgrade");
    return *this;
  }

  void send(std::string_view bytes) {
    if (!testing_net::send_all(socket_, testing_net::bytes_of(bytes))) throw std::runtime_error("cannot send");
  }
  /// Whether all of it could be sent.
  bool try_send(std::string_view bytes) { return testing_net::send_all(socket_, testing_net::bytes_of(bytes)); }
  void message(BytesView payload, unsigned opcode = 2) {
    send(testing_net::frame_text({.opcode = opcode, .payload = testing_net::text_of(payload)}));
  }
  /// A request as real clients send it: one message for each frame. Request ids are stream ids, too.
  void request(rpc::Method method, std::uint32_t id, BytesView args, rpc::Dialect dialect = rpc::Dialect::d13) {
    send(request_text(method, id, args, dialect));
  }
  static std::string request_text(rpc::Method method, std::uint32_t id, BytesView args,
                                  rpc::Dialect dialect = rpc::Dialect::d13) {
    std::string out;
    for (const Bytes& frame : rpc::encode_request_frames(dialect, id, id, static_cast<std::uint64_t>(method), args)) {
      out += testing_net::frame_text({.payload = testing_net::text_of(frame)});
    }
    return out;
  }

  struct Message {
    unsigned opcode = 0;
    Bytes payload;
  };
  /// The next WebSocket frame; nothing at the end of the connection.
  std::optional<Message> next() {
    std::uint8_t head[10];
    if (!read_exactly({head, 2})) return std::nullopt;
    std::uint64_t size = head[1] & 0x7f;
    if (size >= 126) {
      const std::size_t more = size == 126 ? 2 : 8;
      if (!read_exactly({head + 2, more})) return std::nullopt;
      size = 0;
      for (std::size_t i = 0; i < more; ++i) size = size << 8 | head[2 + i];
    }
    Message out{head[0] & 0x0fU, Bytes(static_cast<std::size_t>(size))};
    if (!read_exactly(out.payload)) return std::nullopt;
    return out;
  }
  /// The next reply; control frames on the way are left out. Nothing: a Close, kept for close_code(), or the end.
  std::optional<RawReply> reply(rpc::Dialect dialect = rpc::Dialect::d13) {
    RawReply out;
    bool begun = false;
    const std::size_t header = rpc::header_size(dialect);
    while (auto message = next()) {
      if (message->opcode == 8) {
        note_close(*message);
        return std::nullopt;
      }
      if (message->opcode != 2) continue;
      const Bytes& m = message->payload;
      const rpc::FrameHeader frame = rpc::load_frame_header(m.data());
      if (frame.kind == static_cast<std::uint8_t>(rpc::Kind::end)) return out;
      std::size_t at = header;
      if (!begun) {
        const rpc::RpcHeader rpc = rpc::load_rpc_header(m.data() + header);
        out.request_id = rpc.request_id;
        out.method_id = rpc.method_id;
        out.status = static_cast<rpc::Status>(m[header + rpc::kRpcHeader]);
        at += rpc::kRpcHeader + 1;
        begun = true;
      }
      out.body.insert(out.body.end(), m.begin() + static_cast<std::ptrdiff_t>(at), m.end());
    }
    return std::nullopt;
  }
  /// Reads on until a Close frame or the end; 0: there was none.
  unsigned close_code() {
    while (close_code_ == 0) {
      auto message = next();
      if (!message) break;
      if (message->opcode == 8) note_close(*message);
    }
    return close_code_;
  }
  [[nodiscard]] const std::string& close_reason() const { return close_reason_; }
  /// Whether the server ends the connection, whatever comes before.
  bool ends() {
    Bytes rest(65536);
    while (testing_net::receive_some(socket_, rest) != 0) {
    }
    return true;
  }
  void close() { socket_.close(); }
  [[nodiscard]] const net::Socket& socket() const { return socket_; }

 private:
  void set_blocking() {
#ifndef _WIN32
    (void)::fcntl(socket_.fd(), F_SETFL, ::fcntl(socket_.fd(), F_GETFL) & ~O_NONBLOCK);
    const timeval limit{30, 0};  // no test hangs for ever
    (void)::setsockopt(socket_.fd(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    (void)::setsockopt(socket_.fd(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
#else
    u_long off = 0;
    (void)::ioctlsocket(socket_.fd(), static_cast<long>(FIONBIO), &off);
    const DWORD limit = 30000;
    (void)::setsockopt(socket_.fd(), SOL_SOCKET, SO_RCVTIMEO, reinterpret_cast<const char*>(&limit), sizeof limit);
    (void)::setsockopt(socket_.fd(), SOL_SOCKET, SO_SNDTIMEO, reinterpret_cast<const char*>(&limit), sizeof limit);
#endif
  }
  bool read_exactly(MutableBytes out) {
    while (!out.empty()) {
      const std::size_t n = testing_net::receive_some(socket_, out);
      if (n == 0) return false;
      out = out.subspan(n);
    }
    return true;
  }
  void note_close(const Message& message) {
    if (message.payload.size() < 2) return;
    close_code_ = static_cast<unsigned>(message.payload[0]) << 8 | message.payload[1];
    close_reason_.assign(message.payload.begin() + 2, message.payload.end());
  }

  net::Socket socket_;
  unsigned close_code_ = 0;
  std::string close_reason_;
};

}  // namespace simdrive::testing_server
