// The server's end of one connection: HTTP first, then WebSocket, pumped by its owner. No Boost type shows here.
// One thread at a time.
//
// What is sent is written into one buffer, messages and control frames alike, and leaves with flush(): many small
// messages in one system call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/socket.hpp"
#include "simdrive/bytes.hpp"
#include "simdrive/error.hpp"

namespace simdrive::net {

struct HttpRequest {
  std::string_view method;                                                 ///< "GET"
  std::string_view target;                                                 ///< as sent: path and query
  bool upgrade = false;                                                    ///< asks for a WebSocket, in a valid way
  std::span<const std::pair<std::string_view, std::string_view>> headers;  ///< names in lower case
};

struct HttpAnswer {
  unsigned status = 101;  ///< 101: upgrade. Anything else is sent, and the connection closed after it.
  std::string content_type = "text/plain; charset=utf-8";
  std::string body{};
  std::vector<std::pair<std::string, std::string>> headers{};

  /// For logs: "HTTP 404: " and the body without its line break; "HTTP 200" where nothing is wrong.
  [[nodiscard]] std::string summary() const;
};

enum class MessageKind : std::uint8_t { binary, text };

/// What the owner is told and asked; always from within receive() or flush(). The socket must outlive the call.
class ServerEvents {
 public:
  /// Called once, for a request that is well-formed and has no body; others are answered without asking (400, 413,
  /// 431), and so is a 101 for one without `upgrade` (426).
  virtual HttpAnswer http(const HttpRequest& request) = 0;
  /// The upgrade is done.
  virtual void opened() = 0;
  /// Where the next bytes of messages go. Empty: do not read now. The place is lent until received() or the end, also
  /// from one receive() to the next: who wants nothing any more does not call that.
  virtual MutableBytes need() = 0;
  /// `n` bytes of a message are in need(). May be 0, for an empty message.
  virtual void received(std::size_t n, MessageKind kind, bool message_done) = 0;
  /// Nothing more will come; said once, and not after ServerSocket::close(). What was written before can still be
  /// flushed. `closed`: a Close frame, which has been answered. `connection_lost`: the end of the stream, or a failure.
  /// `handshake_failed`: an HTTP answer other than 101, see ServerSocket::http_status(). `protocol_error`: against the
  /// protocol or a limit, see ServerSocket::close_code().
  virtual void ended(Error error) = 0;

 protected:
  ~ServerEvents() = default;
};

struct ServerSocketLimits {
  std::size_t max_header_bytes = 16 << 10;
  std::size_t max_headers = 64;
  std::uint64_t max_frame = std::uint64_t{16} << 20;
  std::uint64_t max_message = std::uint64_t{64} << 20;
};

class ServerSocket {
 public:
  /// Timers that the sockets of one thread share. They have descriptors: `bind_failed` where none are left.
  struct Timers;
  static Result<std::shared_ptr<Timers>> make_timers();

  /// `events` must outlive the object. Without `timers` it makes its own, which may throw.
  ServerSocket(Socket socket, const ServerSocketLimits& limits, ServerEvents& events,
               std::shared_ptr<Timers> timers = {});
  ServerSocket(const ServerSocket&) = delete;
  ServerSocket& operator=(const ServerSocket&) = delete;
  ~ServerSocket();

  /// Receives until the socket is dry, need() is empty, or about `max` bytes have come; returns their number. Pings and
  /// a Close are answered, into the buffer. Frames that break the protocol or a limit are answered with the Close code
  /// that fits (1002, 1007, 1009) before any memory is allocated for them, and end the connection.
  std::size_t receive(std::size_t max = std::numeric_limits<std::size_t>::max());
  /// receive() stopped for another reason than a dry socket: call it again without waiting for the socket.
  [[nodiscard]] bool more_to_receive() const noexcept;

  /// Appends one unfragmented message. `pieces` are copied.
  void message(std::span<const BytesView> pieces, MessageKind kind = MessageKind::binary);
  /// The same without a copy: room for one message of up to `n` bytes, to be filled and confirmed with
  /// message_written() before anything else is called.
  [[nodiscard]] MutableBytes message_room(std::size_t n);
  void message_written(std::size_t n);
  /// An empty ping.
  void ping();
  /// Close frame with a code and at most 123 bytes of reason. Nothing is sent after it; what comes is dropped. Before
  /// the upgrade there is no such frame: the connection just ends.
  void close(std::uint16_t code, std::string_view reason);

  /// Sends what is buffered. True: all of it is gone. False: the socket is full, wait until it is writable.
  bool flush();
  /// Bytes that wait for flush().
  [[nodiscard]] std::size_t unsent() const noexcept;
  /// After the last flush: says that nothing more follows (FIN). receive() then only waits for the peer's end.
  void finish() noexcept;
  /// Both sides have ended, or the connection is broken: to be destroyed.
  [[nodiscard]] bool finished() const noexcept;

  [[nodiscard]] bool upgraded() const noexcept;
  /// Of the Close frame that was sent, by close() or on what came: 1002, 1007 and 1009 are violations by the peer; 0:
  /// none was.
  [[nodiscard]] std::uint16_t close_code() const noexcept;
  /// Of the answer that was given instead of an upgrade; 0: none was.
  [[nodiscard]] unsigned http_status() const noexcept;
  [[nodiscard]] SocketHandle fd() const noexcept;
  /// Of the whole connection, control frames and HTTP included.
  [[nodiscard]] std::uint64_t bytes_received() const noexcept;
  [[nodiscard]] std::uint64_t bytes_sent() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace simdrive::net
