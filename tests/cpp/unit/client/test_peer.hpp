// A small server for tests, in this process: real sockets, a map for a store, and replies that a test can hold back,
// change or cut off.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/gather.hpp"
#include "codec/messages.hpp"
#include "handshake.hpp"
#include "net/loopback.hpp"
#include "net/socket.hpp"
#include "rpc/frame_writer.hpp"
#include "rpc/reassembler.hpp"
#include "rpc/request_table.hpp"

namespace simdrive::testing_peer {

using rpc::Dialect;
using rpc::Method;

struct Answer {
  rpc::Status status = rpc::Status::success;
  Bytes body;
};

inline Bytes flatten(const Gather& g) {
  Bytes out;
  GatherCursor cursor(g);
  for (BytesView r = cursor.take(g.size()); !r.empty(); r = cursor.take(g.size())) {
    out.insert(out.end(), r.begin(), r.end());
  }
  return out;
}

/// One accepted connection: WebSocket messages in, WebSocket messages out.
class PeerConnection {
 public:
  explicit PeerConnection(net::Socket socket) : socket_(std::move(socket)) {}
  PeerConnection(const PeerConnection&) = delete;
  PeerConnection& operator=(const PeerConnection&) = delete;

  bool upgrade(const std::string& status_line) {
    std::string head;
    while (head.find("\r\n\r\n") == std::string::npos) {
      std::uint8_t c = 0;
      if (!read_exactly({&c, 1})) return false;
      head.push_back(static_cast<char>(c));
    }
    constexpr std::string_view kName = "Sec-WebSocket-Key: ";
    const auto at = head.find(kName);
    if (at == std::string::npos) return false;
    const auto key = head.substr(at + kName.size(), head.find("\r\n", at) - at - kName.size());
    const std::string answer = "HTTP/1.1 " + status_line + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
                               "Content-Length: 0\r\nSec-WebSocket-Accept: " + accept_value(key) + "\r\n\r\n";
    return send_raw({reinterpret_cast<const std::uint8_t*>(answer.data()), answer.size()});
  }

  /// The next whole message; false at the end. Pings are answered, a Close is returned.
  bool next_message(Bytes& message) {
    message.clear();
    for (;;) {
      Bytes payload;
      bool fin = false;
      std::uint8_t opcode = 0;
      if (!next_frame(payload, fin, opcode)) return false;
      if (opcode == 8) {
        send_frame(8, payload);
        return false;
      }
      if (opcode == 9) send_frame(10, payload);
      if (opcode > 8) continue;
      message.insert(message.end(), payload.begin(), payload.end());
      if (fin) return true;
    }
  }

  /// One message per piece, in one system call if the kernel takes it.
  bool send_messages(const std::vector<Bytes>& pieces) {
    Bytes out;
    for (const Bytes& p : pieces) append_frame(out, 2, p);
    return send_raw(out);
  }

  bool send_frame(std::uint8_t opcode, const Bytes& payload) {
    Bytes out;
    append_frame(out, opcode, payload);
    return send_raw(out);
  }

  bool send_raw(BytesView out) {
    const std::lock_guard lock(write_mutex_);
    return testing_net::send_all(socket_, out);
  }

  void shutdown() noexcept { socket_.shutdown(); }

 private:
  static void append_frame(Bytes& out, std::uint8_t opcode, const Bytes& payload) {
    out.push_back(static_cast<std::uint8_t>(0x80 | opcode));
    const std::uint64_t n = payload.size();
    int bytes = 0;
    if (n < 126) {
      out.push_back(static_cast<std::uint8_t>(n));
    } else {
      bytes = n < 65536 ? 2 : 8;
      out.push_back(bytes == 2 ? 126 : 127);
    }
    for (int i = bytes - 1; i >= 0; --i) out.push_back(static_cast<std::uint8_t>(n >> (8 * i)));
    out.insert(out.end(), payload.begin(), payload.end());
  }

  bool next_frame(Bytes& payload, bool& fin, std::uint8_t& opcode) {
    std::array<std::uint8_t, 8> head{};
    if (!read_exactly(MutableBytes(head).first(2))) return false;
    fin = (head[0] & 0x80) != 0;
    opcode = head[0] & 0x0f;
    const bool masked = (head[1] & 0x80) != 0;
    std::uint64_t n = head[1] & 0x7f;
    if (n >= 126) {
      const std::size_t more = n == 126 ? 2 : 8;
      if (!read_exactly(MutableBytes(head).first(more))) return false;
      n = 0;
      for (std::size_t i = 0; i < more; ++i) n = n << 8 | head[i];
    }
    std::array<std::uint8_t, 4> mask{};
    // RFC 6455: a client masks everything.
    if (!masked || n > (std::uint64_t{1} << 30) || !read_exactly(mask)) return false;
    payload.resize(static_cast<std::size_t>(n));
    if (!read_exactly(payload)) return false;
    for (std::size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<std::uint8_t>(payload[i] ^ mask[i % 4]);
    return true;
  }

  bool read_exactly(MutableBytes out) {
    while (!out.empty()) {
      if (at_ == have_) {
        at_ = 0;
        have_ = testing_net::receive_some(socket_, buffer_);
        if (have_ == 0) return false;
      }
      const std::size_t n = std::min(out.size(), have_ - at_);
      std::copy_n(buffer_.begin() + static_cast<std::ptrdiff_t>(at_), n, out.begin());
      at_ += n;
      out = out.subspan(n);
    }
    return true;
  }

  net::Socket socket_;
  std::mutex write_mutex_;
  Bytes buffer_ = Bytes(65536);
  std::size_t at_ = 0;
  std::size_t have_ = 0;
};

/// The server. Safe to use from any thread; everything it started has ended when stop() returns.
class TestPeer {
 public:
  /// Changes the frames of a reply before they are sent.
  using Rewrite = std::function<void(const rpc::Request&, std::vector<Bytes>&)>;

  explicit TestPeer(Dialect dialect = Dialect::d13, std::string status_line = "101 Switching Protocols")
      : dialect_(dialect), status_line_(std::move(status_line)) {
    acceptor_ = std::thread([this] { accept_all(); });
  }
  TestPeer(const TestPeer&) = delete;
  TestPeer& operator=(const TestPeer&) = delete;
  ~TestPeer() { stop(); }

  [[nodiscard]] std::string url() const { return "ws://127.0.0.1:" + std::to_string(listener_.port()) + "/ws"; }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
      stopping_ = true;
    }
    wake_.signal();
    acceptor_.join();
    drop_connections();
    for (std::thread& t : threads_) t.join();
    listener_.close();
  }

  /// Cuts every connection off; new ones are welcome.
  void drop_connections() {
    const std::lock_guard lock(mutex_);
    for (const auto& c : connections_) c->shutdown();
    held_.clear();
  }

  /// Replies to `method` are kept from now on.
  void hold(Method method) {
    const std::lock_guard lock(mutex_);
    holding_ = method;
  }
  void wait_held(std::size_t n) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return held_.size() >= n; });
  }
  /// Sends what was kept, and keeps nothing any more.
  void release() {
    std::vector<Held> now;
    {
      const std::lock_guard lock(mutex_);
      holding_.reset();
      now.swap(held_);
    }
    for (const Held& h : now) (void)h.connection->send_messages(h.frames);
  }
  void set_rewrite(Rewrite rewrite) {
    const std::lock_guard lock(mutex_);
    rewrite_ = std::move(rewrite);
  }
  /// Sends a frame of the test's own making on every connection.
  void send_everywhere(std::uint8_t opcode, const Bytes& payload) {
    const std::lock_guard lock(mutex_);
    for (const auto& c : connections_) (void)c->send_frame(opcode, payload);
  }
  [[nodiscard]] std::size_t stored() {
    const std::lock_guard lock(mutex_);
    return store_.size();
  }

 private:
  struct Held {
    std::shared_ptr<PeerConnection> connection;
    std::vector<Bytes> frames;
  };

  void accept_all() {
    for (;;) {
      (void)net::wait(listener_.fd(), false, &wake_, net::TimePoint::max());
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
      auto socket = listener_.accept();
      if (!socket) continue;
      auto c = std::make_shared<PeerConnection>(std::move(*socket));
      connections_.push_back(c);
      threads_.emplace_back([this, c] { serve(c); });
    }
  }

  void serve(const std::shared_ptr<PeerConnection>& c) {
    converse(c);
    c->shutdown();
    const std::lock_guard lock(mutex_);
    connections_.remove(c);
    std::erase_if(held_, [&](const Held& h) { return h.connection == c; });
  }

  void converse(const std::shared_ptr<PeerConnection>& c) {
    if (!c->upgrade(status_line_)) return;
    rpc::Reassembler reassembler(dialect_);
    rpc::RequestTable table;
    std::uint32_t stream = 0x80000000U;
    Bytes message;
    while (c->next_message(message)) {
      auto events = reassembler.feed(message);
      if (!events) return;
      std::vector<rpc::Request> ready;
      if (!table.apply(*events, reassembler.message_failed(), ready)) return;
      std::vector<Bytes> out;
      for (const rpc::Request& request : ready) answer(c, request, stream++, out);
      if (!out.empty() && !c->send_messages(out)) return;
    }
  }

  void answer(const std::shared_ptr<PeerConnection>& c, const rpc::Request& request, std::uint32_t stream,
              std::vector<Bytes>& out) {
    const std::lock_guard lock(mutex_);
    const Answer a = run(request);
    auto frames = rpc::encode_response_frames(dialect_, stream, request.request_id, request.method_id,
                                              static_cast<std::uint8_t>(a.status), a.body, 1);
    if (rewrite_ && request.method_id != 0) rewrite_(request, frames);
    if (holding_ && static_cast<std::uint64_t>(*holding_) == request.method_id) {
      held_.push_back({c, std::move(frames)});
      changed_.notify_all();
    } else {
      std::move(frames.begin(), frames.end(), std::back_inserter(out));
    }
  }

  // Under mutex_.
  Answer run(const rpc::Request& request) {
    Gather g;
    switch (static_cast<Method>(request.method_id)) {
      case Method::write: {
        auto r = codec::decode_write_request(request.args);
        if (!r) return {rpc::Status::system_error, {}};
        store_[r->key] = std::move(r->payload);
        codec::encode_number_response(store_.size(), g);
        break;
      }
      case Method::batch_write: {
        auto r = codec::decode_batch_write_request(request.args);
        if (!r) return {rpc::Status::system_error, {}};
        for (auto& entry : r->entries) store_[entry.key] = std::move(entry.payload);
        codec::encode_number_response(store_.size(), g);
        break;
      }
      case Method::batch_read: {
        auto r = codec::decode_batch_read_request(request.args);
        if (!r) return {rpc::Status::system_error, {}};
        std::vector<std::optional<BytesView>> found;
        for (const Bytes& key : *r) found.push_back(look_up(key));
        codec::encode_batch_read_response(found, g);
        break;
      }
      case Method::len: codec::encode_number_response(store_.size(), g); break;
      case Method::is_empty: codec::encode_bool_response(store_.empty(), g); break;
      case Method::file_size: codec::encode_number_response(bytes_stored(), g); break;
      case Method::read:
      case Method::erase:
      case Method::exists: {
        auto key = codec::decode_key_request(request.args);
        if (!key) return {rpc::Status::system_error, {}};
        run_key(static_cast<Method>(request.method_id), *key, g);
        break;
      }
      default: return {rpc::Status::method_not_found, {}};
    }
    return {rpc::Status::success, flatten(g)};
  }

  void run_key(Method method, const Bytes& key, Gather& g) {
    if (method == Method::read) {
      codec::encode_read_response(look_up(key), g);
    } else if (method == Method::exists) {
      codec::encode_bool_response(store_.contains(key), g);
    } else {
      codec::encode_number_response(store_.erase(key), g);
    }
  }

  [[nodiscard]] std::optional<BytesView> look_up(const Bytes& key) const {
    const auto it = store_.find(key);
    if (it == store_.end()) return std::nullopt;
    return BytesView(it->second);
  }

  [[nodiscard]] std::uint64_t bytes_stored() const {
    std::uint64_t n = 0;
    for (const auto& [key, payload] : store_) n += key.size() + payload.size();
    return n;
  }

  const Dialect dialect_;
  const std::string status_line_;
  testing_net::Listener listener_;
  net::WakeUp wake_;
  std::thread acceptor_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::list<std::shared_ptr<PeerConnection>> connections_;
  std::vector<std::thread> threads_;  // added to by the acceptor only, joined after it
  std::map<Bytes, Bytes> store_;
  std::optional<Method> holding_;
  std::vector<Held> held_;
  Rewrite rewrite_;
  bool stopping_ = false;
};

}  // namespace simdrive::testing_peer
