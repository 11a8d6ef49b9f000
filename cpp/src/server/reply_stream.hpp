// An answer as frames, one WebSocket message each, composed in the socket's own buffer.
#pragma once

#include <cstddef>
#include <cstdint>

#include "net/server_socket.hpp"
#include "rpc/frame.hpp"
#include "rpc/reply_writer.hpp"
#include "server/backend.hpp"
#include "server/calls.hpp"
#include "simdrive/error.hpp"

namespace simdrive::server {

class ReplyStream {
 public:
  /// `answer` and `payloads` must outlive the object. `payloads` may be null for an answer without any.
  ReplyStream(rpc::Dialect dialect, std::uint32_t stream_id, std::uint32_t request_id, std::uint64_t method_id,
              const Answer& answer, Payloads* payloads) noexcept
      : dialect_(dialect),
        frames_(dialect, stream_id, request_id, method_id, answer.status, answer.body_bytes()),
        answer_(answer),
        payloads_(answer.payloads ? payloads : nullptr) {}

  /// The last frame is written.
  [[nodiscard]] bool done() const noexcept { return frames_.done(); }
  /// The first one is.
  [[nodiscard]] bool started() const noexcept { return started_; }
  /// The payload that next() was at.
  [[nodiscard]] std::size_t item() const noexcept { return item_; }
  /// Writes the next frame; returns the bytes of body in it. An error of the store, or a payload
  /// that is no longer what was checked: nothing is written.
  Result<std::size_t> next(net::ServerSocket& socket);

 private:
  Result<void> fill(MutableBytes out);

  rpc::Dialect dialect_;
  rpc::ReplyWriter frames_;
  const Answer& answer_;
  Payloads* payloads_;
  std::size_t head_at_ = 0;
  std::size_t item_ = 0;
  std::uint64_t item_at_ = 0;
  std::uint32_t sum_ = 0;  // of what was read of the item
  bool started_ = false;
};

}  // namespace simdrive::server
