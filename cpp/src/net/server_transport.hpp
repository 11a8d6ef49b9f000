// The stream under Beast at the server's end: reads wait for the owner's system calls, writes go into its buffer.
#pragma once

#include <boost/asio/async_result.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/beast/core/role.hpp>
#include <utility>

#include "net/op_queue.hpp"
#include "net/output_buffer.hpp"
#include "net/transport.hpp"

namespace simdrive::net {

/// Borrows the queue and the buffer of its owner. What Beast writes (the answer to the upgrade, pongs, Close frames) is
/// whole when it comes here, and so takes its place among the owner's frames.
class ServerTransport {
 public:
  using executor_type = QueueExecutor;

  ServerTransport(OpQueue& queue, OutputBuffer& out) noexcept : queue_(&queue), out_(&out) {}
  ServerTransport(const ServerTransport&) = delete;
  ServerTransport& operator=(const ServerTransport&) = delete;
  ~ServerTransport() { queue_->discard(read_op_); }

  executor_type get_executor() const noexcept { return QueueExecutor(*queue_); }

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

  /// Completes through the queue: Asio does not allow it from here.
  template <class Buffers, class Handler>
  auto async_write_some(const Buffers& buffers, Handler&& handler) {
    return boost::asio::async_initiate<Handler, void(ErrorCode, std::size_t)>(
        [this](auto h, const Buffers& b) {
          Op* op = queue_->make_io(std::move(h));
          for (auto it = boost::asio::buffer_sequence_begin(b); it != boost::asio::buffer_sequence_end(b); ++it) {
            const auto piece = *it;
            out_->append(piece.data(), piece.size());
            op->bytes += piece.size();
          }
          queue_->push(op);
        },
        handler, buffers);
  }

  [[nodiscard]] bool reading() const noexcept { return read_op_ != nullptr; }
  /// What the pending read is to be filled with.
  [[nodiscard]] std::span<IoPiece> wanted() noexcept { return {read_.list.data(), read_.count}; }
  void complete_read(ErrorCode ec, std::size_t n) noexcept {
    Op* op = std::exchange(read_op_, nullptr);
    if (!op) return;
    op->ec = ec;
    op->bytes = n;
    queue_->push(op);
  }

 private:
  OpQueue* queue_;
  OutputBuffer* out_;
  IoPieces read_;
  Op* read_op_ = nullptr;
};

// Beast looks these up by argument. The socket is the owner's to end, when what is in the buffer is sent.
inline void teardown(boost::beast::role_type, ServerTransport&, ErrorCode& ec) { ec = {}; }

template <class Handler>
void async_teardown(boost::beast::role_type, ServerTransport& t, Handler&& handler) {
  t.get_executor().execute([h = std::forward<Handler>(handler)]() mutable { std::move(h)(ErrorCode{}); });
}

inline void beast_close_socket(ServerTransport&) {}

}  // namespace simdrive::net
