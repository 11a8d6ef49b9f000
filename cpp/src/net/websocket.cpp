#include "net/websocket.hpp"

#include <algorithm>
#include <boost/beast/core/bind_handler.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/websocket/error.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <charconv>
#include <cstring>

#include "net/frame_header.hpp"
#include "net/mask.hpp"
#include "net/op_queue.hpp"
#include "net/transport.hpp"

namespace simdrive::net {

namespace asio = boost::asio;
namespace websocket = boost::beast::websocket;

namespace {

constexpr std::size_t kMessageMax = std::size_t{64} << 20;

// Which of the close codes (RFC 6455, 7.4 and its IANA registry) says something to a client that would come back.
Error closed_error(const websocket::close_reason& reason) {
  Error e{Errc::connection_lost, "the server closed the connection"};
  if (reason.code == websocket::close_code::service_restart) e.detail += ", since it restarts (close code 1012)";
  if (reason.code == websocket::close_code::try_again_later) {
    e.detail += ", since it is too busy now (close code 1013)";
    e.try_later = true;
  }
  if (!reason.reason.empty()) e.detail.append(": ").append(reason.reason.data(), reason.reason.size());
  return e;
}

Error broken_error(const ErrorCode& ec) {
  if (ec == asio::error::eof) return {Errc::connection_lost, "the server closed the connection"};
  // Beast's own codes are violations of RFC 6455 by the peer; the rest come from the socket.
  const bool protocol = ec.category() == make_error_code(websocket::error::closed).category();
  return {protocol ? Errc::protocol_error : Errc::connection_lost, ec.message()};
}

}  // namespace

struct WebSocket::Impl {
  Impl(Socket socket, Events& owner, const UpgradeHeaders& headers) : events(owner), stream(queue, std::move(socket)) {
    // Deadlines are the owner's; Beast's timer stays idle.
    stream.set_option(
        websocket::stream_base::timeout{websocket::stream_base::none(), websocket::stream_base::none(), false});
    stream.set_option(websocket::stream_base::decorator([headers](websocket::request_type& r) {
      r.set(boost::beast::http::field::user_agent, "simdrive");
      for (const auto& [name, value] : headers) r.set(name, value);
    }));
    stream.auto_fragment(false);
    stream.read_message_max(kMessageMax);
    stream.binary(true);
  }

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

  Error declined(const websocket::response_type& response) const {
    Error e{Errc::handshake_failed,
            "the server declined the WebSocket upgrade with HTTP status " + std::to_string(response.result_int())};
    const auto after = response[boost::beast::http::field::retry_after];
    std::uint32_t seconds = 0;
    const auto end = after.data() + after.size();
    if (after.empty() || std::from_chars(after.data(), end, seconds).ptr != end) return e;
    e.detail += ", and asks to wait " + std::to_string(seconds) + " s";
    e.try_later = true;
    e.retry_after = seconds;
    return e;
  }

  void on_handshake(ErrorCode ec, std::size_t) {
    handshake_done = true;
    handshake_error = ec;
  }

  void on_read(ErrorCode ec, std::size_t n) {
    read_armed = false;
    if (ec) return fail(ec);
    events.received(n, stream.got_binary(), stream.is_message_done());
  }

  void on_ping(ErrorCode ec, std::size_t) {
    if (ec) fail(ec);
  }

  void on_close(ErrorCode, std::size_t) {}

  void fail(ErrorCode ec) {
    if (failed) return;
    failed = true;
    events.broken(ec == websocket::error::closed ? closed_error(stream.reason()) : broken_error(ec));
  }

  void arm_read() {
    if (read_armed || failed) return;
    const MutableBytes space = events.need();
    if (space.empty()) return;
    read_armed = true;
    stream.async_read_some(asio::mutable_buffer(space.data(), space.size()), Handler<&Impl::on_read>{this});
  }

  PlainTransport& transport() { return stream.next_layer(); }

  /// One receive; false when nothing came.
  bool receive_once(std::size_t& total) {
    PlainTransport& t = transport();
    if (!t.reading() || (dry && !t.ahead().any())) return false;
    const IoResult r = t.receive_pending();
    switch (r.status) {
      case IoStatus::ok:
        // A short receive emptied the socket: no second call to learn that nothing is left.
        dry = t.ahead().drained();
        total += r.bytes;
        t.complete_read({}, r.bytes);
        return true;
      case IoStatus::would_block: dry = true; return false;
      case IoStatus::end: t.complete_read(asio::error::eof, 0); return true;
      case IoStatus::failed: t.complete_read(ErrorCode(r.error, boost::system::system_category()), 0); return true;
    }
    return false;
  }

  Result<void> upgrade(const std::string& authority, const std::string& path, TimePoint deadline,
                       const StopRequest& stop) {
    websocket::response_type response;
    stream.async_handshake(response, authority, path, Handler<&Impl::on_handshake>{this});
    PlainTransport& t = transport();
    while (!handshake_done) {
      queue.run();
      if (handshake_done) break;
      if (t.writing()) {
        const IoResult r = t.send_pending();
        if (r.status != IoStatus::would_block) {
          complete_send(r);
          continue;
        }
      }
      std::size_t got = 0;
      dry = false;
      if (receive_once(got)) continue;
      if (Clock::now() >= deadline) return Error{Errc::connect_timeout, "no answer to the WebSocket upgrade"};
      (void)wait(t.socket().fd(), t.writing(), nullptr, std::min(deadline, Clock::now() + kStopSlice));
      if (stop && stop()) return Error{Errc::interrupted, "connecting was interrupted"};
    }
    dry = false;
    if (!handshake_error) return {};
    if (handshake_error == websocket::error::upgrade_declined) return declined(response);
    return Error{Errc::handshake_failed,
                 "the answer to the WebSocket upgrade is not valid: " + handshake_error.message()};
  }

  // Messages are framed here, not by Beast: one copy, one piece to send, and nothing else to do for it.
  void write(std::span<const BytesView> pieces) {
    std::size_t size = 0;
    for (const BytesView p : pieces) size += p.size();
    const std::size_t header = frame_header_size(size);
    if (const std::size_t room = header + kMaskKeySize + size; frame.size() < room) frame.resize(room);
    const MaskKey key = keys.next();
    std::uint8_t* out = frame.data();
    write_frame_header(out, Opcode::binary, size);
    out[1] |= kMasked;
    out += header;
    std::memcpy(out, key.data(), key.size());
    out += key.size();
    std::size_t at = 0;
    for (const BytesView p : pieces) {
      copy_masked(out + at, p, key, at);
      at += p.size();
    }
    transport().send_frame(std::span(frame).first(header + kMaskKeySize + size));
  }

  void complete_send(const IoResult& r) {
    if (transport().sending_frame()) {
      if (r.status == IoStatus::would_block) return;
      if (r.status != IoStatus::ok) {
        transport().send_frame({});
        return fail(ErrorCode(r.error, boost::system::system_category()));
      }
      if (transport().frame_sent(r.bytes)) events.message_sent();
      return;
    }
    switch (r.status) {
      case IoStatus::ok: transport().complete_write({}, r.bytes); break;
      case IoStatus::would_block: break;
      case IoStatus::end:
      case IoStatus::failed: transport().complete_write(ErrorCode(r.error, boost::system::system_category()), 0); break;
    }
  }

  // The queue is declared first: operations in the stream live in its pool.
  OpQueue queue;
  Events& events;
  websocket::stream<PlainTransport, false> stream;
  MaskKeys keys;
  Bytes frame;  // the message that is being sent
  ErrorCode handshake_error;
  bool handshake_done = false;
  bool waits = false;  // the socket's receive_or_wait() does
  bool read_armed = false;
  bool failed = false;
  bool dry = false;
};

WebSocket::WebSocket(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

// Queued operations refer to the stream: they go first.
WebSocket::~WebSocket() {
  if (impl_) impl_->queue.clear();
}

Result<std::unique_ptr<WebSocket>> WebSocket::connect(const std::string& host, std::uint16_t port,
                                                      const std::string& path, TimePoint deadline,
                                                      const StopRequest& stop, Events& events,
                                                      const UpgradeHeaders& headers) {
  const bool v6 = host.find(':') != std::string::npos;
  const std::string authority = (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
  return upgrade(connect_tcp(host, port, deadline, stop), authority, path, deadline, stop, events, headers);
}

Result<std::unique_ptr<WebSocket>> WebSocket::connect_unix(const std::string& socket_path, const std::string& path,
                                                           TimePoint deadline, const StopRequest& stop, Events& events,
                                                           const UpgradeHeaders& headers) {
  return upgrade(net::connect_unix(socket_path, deadline, stop), "localhost", path, deadline, stop, events, headers);
}

Result<std::unique_ptr<WebSocket>> WebSocket::upgrade(Result<Socket> socket, const std::string& authority,
                                                      const std::string& path, TimePoint deadline,
                                                      const StopRequest& stop, Events& events,
                                                      const UpgradeHeaders& headers) {
  if (!socket) return std::move(socket).error();
  auto impl = std::make_unique<Impl>(std::move(socket).value(), events, headers);
  auto up = impl->upgrade(authority, path, deadline, stop);
  std::unique_ptr<WebSocket> ws(new WebSocket(std::move(impl)));
  if (!up) return std::move(up).error();
  ws->impl_->waits = ws->impl_->transport().socket().allow_waiting();
  return ws;
}

void WebSocket::write(std::span<const BytesView> pieces) {
  if (!impl_->failed) impl_->write(pieces);
}

void WebSocket::ping() { impl_->stream.async_ping({}, Impl::Handler<&Impl::on_ping>{impl_.get()}); }

std::size_t WebSocket::receive_all(std::size_t max, TimePoint until) {
  std::size_t total = 0;
  const auto enough = [&] {
    return total >= max || (total != 0 && until != TimePoint::max() && Clock::now() >= until);
  };
  do {
    impl_->queue.run();
    impl_->arm_read();
    impl_->queue.run();
  } while (!impl_->failed && !enough() &&
           (impl_->receive_once(total) || (!impl_->read_armed && !impl_->events.need().empty())));
  return total;
}

bool WebSocket::has_send() const noexcept { return impl_->transport().writing(); }
IoResult WebSocket::send_some() noexcept { return impl_->transport().send_pending(); }

void WebSocket::complete_send(const IoResult& result) {
  impl_->complete_send(result);
  impl_->queue.run();
}

void WebSocket::set_readable() noexcept { impl_->dry = false; }
bool WebSocket::may_receive_ahead() const noexcept { return impl_->waits && impl_->transport().may_receive_ahead(); }
bool WebSocket::receive_ahead() noexcept { return impl_->transport().receive_ahead(); }
SocketHandle WebSocket::fd() const noexcept { return impl_->transport().socket().fd(); }
void WebSocket::quick_ack() noexcept { impl_->transport().socket().quick_ack(); }
void WebSocket::shutdown() noexcept { impl_->transport().socket().shutdown(); }

bool WebSocket::say_close() noexcept {
  if (impl_->failed || impl_->transport().writing()) return false;
  impl_->stream.async_close(websocket::close_code::normal, Impl::Handler<&Impl::on_close>{impl_.get()});
  impl_->queue.run();
  if (impl_->transport().writing()) (void)impl_->transport().send_pending();
  impl_->transport().socket().finish();
  impl_->failed = true;
  return true;
}

bool WebSocket::ended() noexcept { return impl_->transport().socket().discard(); }

void WebSocket::abandon() noexcept { impl_->transport().socket().close(); }

}  // namespace simdrive::net
