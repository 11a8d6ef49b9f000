// The stream under Beast: it keeps one pending read and one pending write; the owner makes the system calls.
#pragma once

#include <array>
#include <boost/asio/async_result.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/beast/core/role.hpp>

#include "net/op_queue.hpp"
#include "net/read_ahead.hpp"
#include "net/socket.hpp"

namespace simdrive::net {

/// The pieces of one read or write.
struct IoPieces {
  template <class Buffers>
  void fill(const Buffers& buffers) {
    count = 0;
    for (auto it = boost::asio::buffer_sequence_begin(buffers); it != boost::asio::buffer_sequence_end(buffers); ++it) {
      const auto b = *it;
      if (b.size() == 0) continue;
      if (count == list.size()) break;
      list[count++] = io_piece(b.data(), b.size());
    }
  }

  std::array<IoPiece, 16> list{};
  std::size_t count = 0;
};

/// A plain socket, TCP or unix. TLS joins as another class of this shape. Guarded by the owner's mutex, except that
/// `send_pending` may run without it: nobody else touches a pending write.
class PlainTransport {
 public:
  using executor_type = QueueExecutor;

  PlainTransport(OpQueue& queue, Socket socket) noexcept : queue_(&queue), socket_(std::move(socket)) {}
  PlainTransport(const PlainTransport&) = delete;
  PlainTransport& operator=(const PlainTransport&) = delete;
  ~PlainTransport() {
    queue_->discard(read_op_);
    queue_->discard(write_op_);
  }

  executor_type get_executor() const noexcept { return QueueExecutor(*queue_); }
  [[nodiscard]] Socket& socket() noexcept { return socket_; }
  [[nodiscard]] bool reading() const noexcept { return read_op_ != nullptr; }
  [[nodiscard]] bool writing() const noexcept { return write_op_ != nullptr || !frame_.empty(); }

  template <class Buffers, class Handler>
  auto async_read_some(const Buffers& buffers, Handler&& handler) {
    return boost::asio::async_initiate<Handler, void(ErrorCode, std::size_t)>(
        [this](auto h, const Buffers& b) {
          read_.fill(b);
          Op* op = queue_->make_io(std::move(h));
          if (read_.count == 0) {
            queue_->push(op);  // an empty read completes with nothing
          } else {
            read_op_ = op;
          }
        },
        handler, buffers);
  }

  template <class Buffers, class Handler>
  auto async_write_some(const Buffers& buffers, Handler&& handler) {
    return boost::asio::async_initiate<Handler, void(ErrorCode, std::size_t)>(
        [this](auto h, const Buffers& b) {
          write_.fill(b);
          Op* op = queue_->make_io(std::move(h));
          if (write_.count == 0) {
            queue_->push(op);
          } else {
            write_op_ = op;
          }
        },
        handler, buffers);
  }

  /// Fills the pending read with what was received ahead, or by one receive.
  IoResult receive_pending() noexcept { return ahead_.receive(socket_, {read_.list.data(), read_.count}); }
  [[nodiscard]] const ReadAhead& ahead() const noexcept { return ahead_; }
  /// Whether the next receive may come before the read that asks for it.
  [[nodiscard]] bool may_receive_ahead() const noexcept {
    return read_op_ != nullptr && ahead_.fits({read_.list.data(), read_.count});
  }
  /// ReadAhead::receive_or_wait(). Needs no lock if nobody else receives meanwhile.
  bool receive_ahead() noexcept { return ahead_.receive_or_wait(socket_); }

  /// The owner's frame, which goes before a write that comes meanwhile. Not while a write is pending.
  void send_frame(std::span<const std::uint8_t> frame) noexcept { frame_ = frame; }
  [[nodiscard]] bool sending_frame() const noexcept { return !frame_.empty(); }
  /// Returns whether the frame is gone.
  bool frame_sent(std::size_t n) noexcept {
    frame_ = frame_.subspan(n);
    return frame_.empty();
  }
  /// One send of the frame, or of the pending write. Needs no lock.
  IoResult send_pending() noexcept {
    if (frame_.empty()) return socket_.send({write_.list.data(), write_.count});
    const IoPiece piece = io_piece(frame_.data(), frame_.size());
    return socket_.send({&piece, 1});
  }
  void complete_read(ErrorCode ec, std::size_t n) noexcept { complete(read_op_, ec, n); }
  void complete_write(ErrorCode ec, std::size_t n) noexcept { complete(write_op_, ec, n); }

 private:
  void complete(Op*& slot, ErrorCode ec, std::size_t n) noexcept {
    Op* op = std::exchange(slot, nullptr);
    if (!op) return;
    op->ec = ec;
    op->bytes = n;
    queue_->push(op);
  }

  OpQueue* queue_;
  Socket socket_;
  IoPieces read_;
  IoPieces write_;
  Op* read_op_ = nullptr;
  Op* write_op_ = nullptr;
  std::span<const std::uint8_t> frame_;
  ReadAhead ahead_;
};

// Beast looks these three up by argument.
inline void teardown(boost::beast::role_type, PlainTransport& t, ErrorCode& ec) {
  t.socket().shutdown();
  ec = {};
}

template <class Handler>
void async_teardown(boost::beast::role_type, PlainTransport& t, Handler&& handler) {
  t.socket().shutdown();
  t.get_executor().execute([h = std::forward<Handler>(handler)]() mutable { std::move(h)(ErrorCode{}); });
}

inline void beast_close_socket(PlainTransport& t) { t.socket().shutdown(); }

}  // namespace simdrive::net
