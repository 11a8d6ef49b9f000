#include "net/server_socket.hpp"

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/websocket/error.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <cstring>
#include <optional>

#include "net/frame_header.hpp"
#include "net/http_head.hpp"
#include "net/server_transport.hpp"

namespace simdrive::net {

namespace asio = boost::asio;
namespace websocket = boost::beast::websocket;

namespace {

constexpr std::size_t kAhead = std::size_t{64} << 10;
constexpr std::size_t kHeadPiece = 4096;
constexpr std::size_t kReasonMax = 123;

// What every connection of a thread receives into when its reads are small.
std::vector<std::uint8_t>& thread_memory() {
  thread_local std::vector<std::uint8_t> memory;
  if (memory.empty()) memory.resize(kAhead);  // at first, or since somebody has borrowed it for good
  return memory;
}

struct Borrowing {
  ReadAhead& ahead;
  std::vector<std::uint8_t>& memory;
  ~Borrowing() { ahead.give_back(memory); }
};

Error lost(const IoResult& r) {
  if (r.status == IoStatus::end) return {Errc::connection_lost, "the client ended the connection"};
  const ErrorCode ec(r.error, boost::system::system_category());
  Error e{Errc::connection_lost, "the connection to the client broke: " + ec.message()};
  e.system_code = r.error;
  return e;
}

Error closed_by_client(const websocket::close_reason& reason) {
  Error e{Errc::closed, "the client closed the connection"};
  if (reason.code != websocket::close_code::none) e.detail += " (close code " + std::to_string(reason.code) + ")";
  if (!reason.reason.empty()) e.detail += ": ";
  // It comes to stand in logs and on terminals: no line of its own, no control sequence.
  for (const char c : reason.reason) e.detail += c >= ' ' && c <= '~' ? c : '?';
  return e;
}

std::uint16_t violation_code(const ErrorCode& ec) noexcept {
  if (ec == websocket::error::message_too_big) return websocket::close_code::too_big;
  if (ec == websocket::error::bad_frame_payload) return websocket::close_code::bad_payload;
  return websocket::close_code::protocol_error;
}

}  // namespace

struct ServerSocket::Timers {
  // The first timer takes the descriptors.
  Timers() { const asio::steady_timer first(context); }
  asio::io_context context{1};
};

Result<std::shared_ptr<ServerSocket::Timers>> ServerSocket::make_timers() {
  try {
    return std::make_shared<Timers>();
  } catch (const boost::system::system_error& error) {
    Error e{Errc::bind_failed, "there is no descriptor left to serve connections with: " + error.code().message()};
    e.system_code = error.code().value();
    return e;
  }
}

struct ServerSocket::Impl {
  enum class Phase : std::uint8_t { http, upgrading, open, over };

  Impl(Socket s, const ServerSocketLimits& l, ServerEvents& e, std::shared_ptr<Timers> t)
      : events(e), limits(l), socket(std::move(s)), timers(std::move(t)), queue(timers->context) {
    head.emplace(limits);
  }
  // Queued operations refer to the stream: they go first.
  ~Impl() { queue.clear(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  /// Gives each operation the connection's recycled memory.
  template <void (Impl::*Member)(ErrorCode, std::size_t)>
  struct Handler {
    using allocator_type = PoolAllocator<void>;
    using executor_type = QueueExecutor;
    Impl* self;
    [[nodiscard]] allocator_type get_allocator() const noexcept { return allocator_type(self->queue.pool()); }
    [[nodiscard]] executor_type get_executor() const noexcept { return QueueExecutor(self->queue); }
    void operator()(ErrorCode ec, std::size_t n = 0) const { (self->*Member)(ec, n); }
  };

  void end(Error error) {
    if (phase == Phase::over) return;
    phase = Phase::over;
    events.ended(std::move(error));
  }

  IoResult receive_into(std::span<IoPiece> pieces) noexcept {
    const IoResult r = socket.receive(pieces);
    note(r);
    return r;
  }

  void note(const IoResult& r) noexcept {
    received += r.bytes;
    peer_ended = peer_ended || r.status == IoStatus::end;
    broken = broken || r.status == IoStatus::failed;
  }

  // ---- HTTP

  void receive_head(std::size_t max) {
    std::uint8_t piece[kHeadPiece];
    for (std::size_t total = 0; phase == Phase::http;) {
      if (total >= max) {
        more = true;
        return;
      }
      IoPiece into = io_piece(piece, sizeof piece);
      const IoResult r = receive_into({&into, 1});
      if (r.status == IoStatus::would_block) return;
      if (r.status != IoStatus::ok) return end(lost(r));
      total += r.bytes;
      const HttpHead::State state = head->add({piece, r.bytes});
      if (state == HttpHead::State::refused) answer(head->refusal());
      if (state == HttpHead::State::whole) serve();
      if (r.bytes < sizeof piece) return;
    }
  }

  void serve() {
    const HttpRequest& request = head->request();
    const HttpAnswer given = events.http(request);
    if (phase != Phase::http) return;  // closed meanwhile
    if (given.status != 101) return answer(given);
    if (request.upgrade) return upgrade();
    HttpAnswer refusal{.status = 426, .body = "this is a WebSocket server (RFC 6455, version 13)\n"};
    refusal.headers = {{"Upgrade", "websocket"}, {"Sec-WebSocket-Version", "13"}};
    answer(refusal);
  }

  void answer(const HttpAnswer& a) {
    const std::string text = http_answer_text(a, head->request().method == "HEAD");
    out.append(text.data(), text.size());
    http_status = a.status;
    end({Errc::handshake_failed, a.summary()});
  }

  void upgrade() {
    phase = Phase::upgrading;
    stream.emplace(queue, out);
    stream->set_option(websocket::stream_base::decorator(
        [](websocket::response_type& r) { r.set(boost::beast::http::field::server, "simdrive"); }));
    ahead.keep(head->rest());
    auto message = head->message();
    message.erase(boost::beast::http::field::expect);  // there is no body that a 100 could ask for
    stream->async_accept(message, Handler<&Impl::on_accept>{this});
    queue.run();
  }

  void on_accept(ErrorCode ec, std::size_t) {
    if (phase != Phase::upgrading) return;
    if (ec) return end({Errc::handshake_failed, "the upgrade failed: " + ec.message()});
    phase = Phase::open;
    upgraded = true;
    head.reset();
    events.opened();
  }

  // ---- WebSocket

  void on_read(ErrorCode ec, std::size_t n) {
    read_armed = false;
    if (phase != Phase::open) return;
    if (ec) return fail(ec);
    const bool done = stream->is_message_done();
    message_bytes = done ? 0 : message_bytes + n;
    events.received(n, stream->got_binary() ? MessageKind::binary : MessageKind::text, done);
  }

  void fail(ErrorCode ec) {
    if (ec == websocket::error::closed) {
      const websocket::close_reason reason = stream->reason();
      sent_close = reason.code;
      if (sent_close == websocket::close_code::none) sent_close = websocket::close_code::normal;
      return end(closed_by_client(reason));
    }
    if (peer_ended || broken) return end(lost(last));
    sent_close = violation_code(ec);
    end({Errc::protocol_error, ec.message()});
  }

  /// False: the owner wants nothing now.
  bool arm_read() {
    if (read_armed) return true;
    const MutableBytes space = events.need();
    if (space.empty() || phase != Phase::open) return false;
    read_armed = true;
    // Beast knows of messages only: the next frame may make this one so long.
    const std::uint64_t left = limits.max_message - std::min(message_bytes, limits.max_message);
    const std::uint64_t most = std::max<std::uint64_t>(message_bytes + std::min(limits.max_frame, left), 1);
    constexpr std::uint64_t kMost = std::numeric_limits<std::size_t>::max();
    stream->read_message_max(static_cast<std::size_t>(std::min(most, kMost)));
    stream->async_read_some(asio::mutable_buffer(space.data(), space.size()), Handler<&Impl::on_read>{this});
    return true;
  }

  /// One receive; false: nothing came.
  bool receive_once(std::vector<std::uint8_t>& memory) {
    ServerTransport& t = stream->next_layer();
    if (!ahead.any()) {
      if (dry) return false;
      ahead.borrow(memory);
    }
    const std::size_t had = ahead.left();
    last = ahead.receive(socket, t.wanted());
    if (had == 0) {
      note(last);
      received += ahead.left();
      // A short receive emptied the socket: no second call to learn that nothing is left.
      dry = last.status != IoStatus::ok || ahead.drained();
    }
    switch (last.status) {
      case IoStatus::ok: t.complete_read({}, last.bytes); return true;
      case IoStatus::would_block: return false;
      case IoStatus::end: t.complete_read(asio::error::eof, 0); return true;
      case IoStatus::failed: t.complete_read(ErrorCode(last.error, boost::system::system_category()), 0); return true;
    }
    return false;
  }

  void receive_messages(std::size_t max) {
    std::vector<std::uint8_t>& memory = thread_memory();
    const Borrowing borrowing{ahead, memory};
    const std::uint64_t start = received;
    dry = false;
    while (phase == Phase::open) {
      queue.run();
      if (phase != Phase::open) break;
      const bool wanted = received - start < max && arm_read();
      queue.run();
      if (phase != Phase::open) break;
      if (!wanted) {
        more = true;
        break;
      }
      if (read_armed && !receive_once(memory)) break;
    }
  }

  /// What comes after the end is of no interest, but must be taken: closing a socket with unread bytes resets the
  /// connection, and the peer may lose our last words.
  void discard(std::size_t max) noexcept {
    std::vector<std::uint8_t>& memory = thread_memory();
    for (std::size_t total = 0; !peer_ended && !broken;) {
      if (total >= max) {
        more = true;
        return;
      }
      IoPiece into = io_piece(memory.data(), memory.size());
      const IoResult r = receive_into({&into, 1});
      if (r.status != IoStatus::ok || r.bytes < memory.size()) return;
      total += r.bytes;
    }
  }

  // ---- sending

  [[nodiscard]] bool sends() const noexcept { return phase == Phase::open; }

  bool flush() {
    if (out.empty()) return true;
    const BytesView bytes = out.bytes();
    const IoPiece piece = io_piece(bytes.data(), bytes.size());
    const IoResult r = socket.send({&piece, 1});
    if (r.status == IoStatus::would_block) return false;
    if (r.status == IoStatus::ok) {
      sent += r.bytes;
      out.consume(r.bytes);
      return out.empty();
    }
    broken = true;
    out.clear();
    end(lost({IoStatus::failed, 0, r.error}));
    return true;
  }

  ServerEvents& events;
  const ServerSocketLimits limits;
  Socket socket;
  OutputBuffer out;
  ReadAhead ahead{0};
  IoResult last;
  std::uint64_t message_bytes = 0;  // of the message that is being received
  std::uint64_t received = 0;
  std::uint64_t sent = 0;
  std::size_t room_header = 0;  // that message_room() left for
  std::uint16_t sent_close = 0;
  unsigned http_status = 0;
  Phase phase = Phase::http;
  bool upgraded = false;
  bool read_armed = false;
  bool dry = false;
  bool more = false;
  bool peer_ended = false;
  bool broken = false;
  bool fin_sent = false;
  std::optional<HttpHead> head;
  // In this order: operations in the stream live in the queue's pool, the stream's timer in the context of all.
  std::shared_ptr<Timers> timers;
  OpQueue queue;
  std::optional<websocket::stream<ServerTransport, false>> stream;
};

ServerSocket::ServerSocket(Socket socket, const ServerSocketLimits& limits, ServerEvents& events,
                           std::shared_ptr<Timers> timers)
    : impl_(std::make_unique<Impl>(std::move(socket), limits, events,
                                   timers ? std::move(timers) : std::make_shared<Timers>())) {}
ServerSocket::~ServerSocket() = default;

std::size_t ServerSocket::receive(std::size_t max) {
  const std::uint64_t before = impl_->received;
  impl_->more = false;
  if (impl_->phase == Impl::Phase::http) impl_->receive_head(max);
  if (impl_->phase == Impl::Phase::open) impl_->receive_messages(max);
  if (impl_->phase == Impl::Phase::over) impl_->discard(max);
  return static_cast<std::size_t>(impl_->received - before);
}

bool ServerSocket::more_to_receive() const noexcept { return impl_->more; }

void ServerSocket::message(std::span<const BytesView> pieces, MessageKind kind) {
  if (!impl_->sends()) return;
  std::size_t size = 0;
  for (const BytesView p : pieces) size += p.size();
  const std::size_t header = frame_header_size(size);
  std::uint8_t* out = impl_->out.room(header + size);
  write_frame_header(out, kind == MessageKind::binary ? Opcode::binary : Opcode::text, size);
  out += header;
  for (const BytesView p : pieces) {
    if (!p.empty()) std::memcpy(out, p.data(), p.size());
    out += p.size();
  }
  impl_->out.commit(header + size);
}

MutableBytes ServerSocket::message_room(std::size_t n) {
  impl_->room_header = frame_header_size(n);
  return {impl_->out.room(impl_->room_header + n) + impl_->room_header, n};
}

void ServerSocket::message_written(std::size_t n) {
  OutputBuffer& out = impl_->out;
  if (!impl_->sends()) {
    if (out.empty()) out.clear();
    return;
  }
  const std::size_t header = frame_header_size(n);
  const std::size_t gap = impl_->room_header - header;
  std::uint8_t* const start = out.room(0);
  if (gap == 0 || out.empty()) {
    write_frame_header(start + gap, Opcode::binary, n);
    out.commit_behind(out.empty() ? gap : 0, header + n);
    return;
  }
  std::memmove(start + header, start + impl_->room_header, n);
  write_frame_header(start, Opcode::binary, n);
  out.commit(header + n);
}

void ServerSocket::ping() {
  if (!impl_->sends()) return;
  std::uint8_t frame[2];
  write_frame_header(frame, Opcode::ping, 0);
  impl_->out.append(frame, sizeof frame);
}

void ServerSocket::close(std::uint16_t code, std::string_view reason) {
  if (impl_->sends()) {
    const std::size_t size = std::min(reason.size(), kReasonMax);
    std::uint8_t frame[4];
    write_frame_header(frame, Opcode::close, 2 + size);
    frame[2] = static_cast<std::uint8_t>(code >> 8);
    frame[3] = static_cast<std::uint8_t>(code);
    impl_->out.append(frame, sizeof frame);
    impl_->out.append(reason.data(), size);
    impl_->sent_close = code;
  }
  impl_->phase = Impl::Phase::over;
}

bool ServerSocket::flush() { return impl_->flush(); }
std::size_t ServerSocket::unsent() const noexcept { return impl_->out.size(); }

void ServerSocket::finish() noexcept {
  impl_->out.clear();
  impl_->phase = Impl::Phase::over;
  impl_->fin_sent = true;
  impl_->socket.finish();
}

bool ServerSocket::finished() const noexcept { return impl_->broken || (impl_->fin_sent && impl_->peer_ended); }
bool ServerSocket::upgraded() const noexcept { return impl_->upgraded; }
std::uint16_t ServerSocket::close_code() const noexcept { return impl_->sent_close; }
unsigned ServerSocket::http_status() const noexcept { return impl_->http_status; }
SocketHandle ServerSocket::fd() const noexcept { return impl_->socket.fd(); }
std::uint64_t ServerSocket::bytes_received() const noexcept { return impl_->received; }
std::uint64_t ServerSocket::bytes_sent() const noexcept { return impl_->sent; }

}  // namespace simdrive::net
