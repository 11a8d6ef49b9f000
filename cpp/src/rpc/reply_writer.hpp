// The sending half of a server's connection: the frames of one reply, each written where it is sent from
// (docs/design/wire.md, sections 3.2 and 4.2). One frame is one WebSocket message.
//
//   for (ReplyWriter reply(...); !reply.done();) {
//     const ReplyFrame frame = reply.next();
//     std::uint8_t* room = ...;              // frame.size() bytes
//     reply.store_head(room, now);           // frame.head bytes, which may come with the body's beginning
//     ...                                    // frame.body bytes of the body to room + frame.head
//   }
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "rpc/frame.hpp"

namespace simdrive::rpc {

/// Frame header, RPC header and status.
inline constexpr std::size_t kReplyHeadMax = kFrameHeaderMax + kRpcHeader + 1;
/// The longest frame of a reply.
inline constexpr std::size_t kReplyFrameMax = kFrameHeaderMax + kChunk;

/// The `n`-th stream id that a server gives: those of D13 are told from a client's by bit 31.
[[nodiscard]] constexpr std::uint32_t reply_stream_id(Dialect d, std::uint32_t n) noexcept {
  return d == Dialect::d13 ? n | 0x8000'0000 : n;
}

struct ReplyFrame {
  std::size_t head = 0;  ///< bytes that ReplyWriter writes
  std::size_t body = 0;  ///< bytes of the reply's body that follow them

  [[nodiscard]] constexpr std::size_t size() const noexcept { return head + body; }
};

class ReplyWriter {
 public:
  /// Nothing to send.
  ReplyWriter() noexcept = default;
  /// `body` is the size of the whole body.
  ReplyWriter(Dialect dialect, std::uint32_t stream_id, std::uint32_t request_id, std::uint64_t method_id,
              Status status, std::uint64_t body) noexcept
      : dialect_(dialect),
        status_(status),
        step_(Step::open),
        stream_id_(stream_id),
        request_id_(request_id),
        method_id_(method_id),
        left_(body) {}

  /// All frames are written.
  [[nodiscard]] bool done() const noexcept { return step_ == Step::done; }
  /// Bytes of the body that are not in a frame yet.
  [[nodiscard]] std::uint64_t body_left() const noexcept { return left_; }

  /// The frame to be written. Not when done().
  [[nodiscard]] ReplyFrame next() const noexcept {
    const std::size_t rpc = step_ == Step::open ? kRpcHeader + 1 : 0;
    return {header_size(dialect_) + rpc, static_cast<std::size_t>(std::min<std::uint64_t>(left_, kChunk - rpc))};
  }

  /// Writes next().head bytes and goes on to the frame after it.
  void store_head(std::uint8_t* out, std::uint64_t timestamp_micros) noexcept {
    const ReplyFrame frame = next();
    const std::size_t header = header_size(dialect_);
    const Kind kind = step_ == Step::open ? Kind::open : step_ == Step::data ? Kind::data : Kind::end;
    store_frame_header(out, dialect_, static_cast<std::uint32_t>(frame.size() - header), stream_id_, seq_++, kind,
                       timestamp_micros);
    if (step_ == Step::open) {
      store_rpc_header(out + header, MessageType::response, request_id_, method_id_, 1);
      out[header + kRpcHeader] = static_cast<std::uint8_t>(status_);
    }
    left_ -= frame.body;
    step_ = step_ == Step::end ? Step::done : left_ != 0 ? Step::data : Step::end;
  }

 private:
  enum class Step : std::uint8_t { open, data, end, done };

  Dialect dialect_ = Dialect::d13;
  Status status_ = Status::success;
  Step step_ = Step::done;
  std::uint32_t stream_id_ = 0;
  std::uint32_t seq_ = 0;
  std::uint32_t request_id_ = 0;
  std::uint64_t method_id_ = 0;
  std::uint64_t left_ = 0;
};

}  // namespace simdrive::rpc
