// The push decoder of one direction of one connection: WebSocket binary messages in, RPC events out
// (docs/design/wire.md, sections 3.3 and 3.4).
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <span>
#include <unordered_map>
#include <vector>

#include "rpc/frame.hpp"
#include "simdrive/bytes.hpp"
#include "simdrive/error.hpp"

namespace simdrive::rpc {

/// What a peer may make the decoder keep. A breach is a `protocol_error`.
struct ReassemblerLimits {
  /// Payload bytes of one frame.
  std::uint64_t max_frame = std::uint64_t{16} << 20;
  /// Streams that are begun and not ended.
  std::size_t max_streams = 4096;
  /// Payload bytes of all frames that wait for an earlier one, plus `kEarlyFrameCost` for each.
  std::uint64_t max_early_bytes = std::uint64_t{16} << 20;
  /// Bytes of one incomplete frame and of what arrived with its rest.
  std::uint64_t max_buffered = std::uint64_t{80} << 20;
};

/// What went wrong in a stream. The connection lives on.
enum class StreamError : std::uint8_t {
  none,
  /// An invalid frame kind or message type.
  corrupt_frame,
  /// A Cancel after a complete RPC header.
  read_after_cancel,
};

struct Event {
  enum class Kind : std::uint8_t {
    header,
    payload,
    end,
    /// A stream is broken; `error` says how.
    error,
    /// Follows the error that made the decoder discard the rest of the message.
    message_failed,
  };
  Kind kind = Kind::end;
  MessageType type = MessageType::call;
  StreamError error = StreamError::none;
  std::uint32_t request_id = 0;
  std::uint64_t method_id = 0;
  /// The metadata of a header or the bytes of a payload.
  BytesView bytes{};
};

/// Decodes exactly as the real peers do, oddities included. Cost: linear in the bytes fed. Not thread safe.
class Reassembler {
 public:
  static constexpr std::uint64_t kEarlyFrameCost = 64;

  explicit Reassembler(Dialect dialect, ReassemblerLimits limits = {}) : dialect_(dialect), limits_(limits) {}

  /// Takes one message. The events and their bytes are valid until the next call and while `message` is.
  /// After an error every later call fails in the same way.
  Result<std::span<const Event>> feed(BytesView message);

  /// Whether an event of the last message was `message_failed`.
  [[nodiscard]] bool message_failed() const noexcept { return failed_; }
  [[nodiscard]] Dialect dialect() const noexcept { return dialect_; }
  /// Bytes of an incomplete frame that were kept for the next message.
  [[nodiscard]] std::size_t buffered() const noexcept { return buffer_.size() - consumed_; }
  /// Streams about which something is remembered.
  [[nodiscard]] std::size_t open_streams() const noexcept;

 private:
  // A frame that passed the ordering of its stream, or the news of one that never will.
  struct Delivery {
    enum class What : std::uint8_t { frame, cancelled, invalid_kind };
    What what;
    bool end;
    std::uint32_t stream_id;
    BytesView payload;
  };
  struct EarlyFrame {
    bool end = false;
    std::uint64_t cost = 0;
    Bytes payload;
  };
  struct Stream {
    std::uint32_t next = 0;
    bool end_seen = false;
    std::map<std::uint32_t, EarlyFrame> early;
  };
  struct Message {
    bool in_payload = false;
    std::uint32_t request_id = 0;
    Bytes header;
  };

  Result<void> split(BytesView message);
  Result<std::size_t> take_frames(BytesView bytes);
  Result<void> take_frame(const FrameHeader& header, BytesView payload);
  Result<void> order(const FrameHeader& header, BytesView payload);
  void deliver_early(std::uint32_t stream_id, Stream& stream);
  void drop_early(Stream& stream);
  Result<void> assemble(const Delivery& delivery);
  void cancel(std::uint32_t stream_id);
  bool take_header(Message& message, BytesView& rest);
  void fail_message(StreamError error);
  Error poison(const char* what);

  Dialect dialect_;
  ReassemblerLimits limits_;
  Bytes buffer_;                // bytes of earlier messages, from `consumed_` on
  std::size_t consumed_ = 0;    // of `buffer_`; cut off by the next call, the events may point below it
  std::uint64_t position_ = 0;  // in the connection's byte stream, of the frame that is looked at
  std::unordered_map<std::uint32_t, Stream> streams_;
  std::unordered_map<std::uint32_t, Message> messages_;
  std::uint64_t early_bytes_ = 0;
  std::vector<Delivery> deliveries_;
  std::vector<Event> events_;
  std::deque<Bytes> kept_;  // what events point to and no other owner holds
  bool failed_ = false;
  Result<void> state_;
};

}  // namespace simdrive::rpc
