// The receiving half of a client's connection: frames in, replies out. Pulled and sans-I/O: it says where the next
// bytes should land, so that a large body goes from the socket straight into the result.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "rpc/frame.hpp"
#include "simdrive/bytes.hpp"
#include "simdrive/error.hpp"

namespace simdrive::rpc {

/// Where one reply goes. Called from within ReplyReader's functions.
class ReplySink {
 public:
  /// The reply's head is known; body bytes follow.
  virtual void begin(std::uint8_t status) = 0;
  /// Takes body bytes; returns how many. Fewer than given: the sink is blocked until resume().
  virtual Result<std::size_t> feed(BytesView in) = 0;
  /// Where body bytes may be received without feed(); empty if nowhere.
  virtual MutableBytes direct() = 0;
  virtual void commit(std::size_t n) = 0;
  /// True as soon as no more body bytes are due: the call may return before its End frame is here.
  [[nodiscard]] virtual bool complete() const = 0;
  /// The End frame is here although complete() is not true: success if the sink is content with what it has.
  virtual Result<void> at_end() = 0;
  /// The reply is there, or can't be. The reader forgets the sink before this call.
  virtual void finished(Result<void> result) = 0;

 protected:
  ~ReplySink() = default;
};

/// Finds the call that waits for a reply, by request id. Null: nobody waits (any more), the reply is dropped.
class PendingCalls {
 public:
  virtual ReplySink* find(std::uint32_t request_id, std::uint64_t method_id) = 0;

 protected:
  ~PendingCalls() = default;
};

class ReplyReader {
 public:
  /// Streams that a server may have open at once.
  static constexpr std::size_t kStreamsMax = 1024;
  static constexpr std::size_t kBounce = 2048;

  ReplyReader(Dialect dialect, PendingCalls& calls) : dialect_(dialect), calls_(&calls) {}

  /// Where the next bytes of the stream should go: at least one byte, or none while a sink is blocked.
  MutableBytes need();
  /// `n` bytes landed in need(). An error means that the connection cannot be used any more.
  Result<void> commit(std::size_t n);
  /// The blocked sink can take bytes again (or was dropped).
  Result<void> resume();

  /// The sink that holds reading up, or null.
  [[nodiscard]] ReplySink* blocked() const noexcept { return blocked_; }
  /// Whether a part of this sink's reply has arrived: a pending read may point into it.
  [[nodiscard]] bool holds(const ReplySink* sink) const noexcept;
  /// Whether the stream stands in the middle of a frame.
  [[nodiscard]] bool mid_frame() const noexcept { return header_size_ != 0 || step_ == Step::payload; }
  /// Forgets a sink; the rest of its reply is dropped. Only while it is blocked, when no read is pending.
  void drop(const ReplySink* sink) noexcept;

 private:
  struct Stream {
    std::uint32_t id = 0;
    std::uint32_t next_seq = 0;
    std::uint32_t meta_left = 0;
    std::uint8_t head_size = 0;
    std::uint8_t status = 0;
    bool in_payload = false;
    bool began = false;
    bool finished = false;
    ReplySink* sink = nullptr;
    std::array<std::uint8_t, kRpcHeader> head{};
  };
  enum class Step : std::uint8_t { frame_header, payload };

  Result<void> process();
  Result<void> take_frame_header();
  Result<void> take_payload();
  Result<void> begin_frame();
  Result<void> end_frame();
  Result<void> take_rpc_header(Stream& s);
  Result<void> take_body(Stream& s);
  Result<void> begin_body(Stream& s);
  void finish_if_complete(Stream& s);
  Stream* find_stream(std::uint32_t id) noexcept;
  [[nodiscard]] Error fault(const char* what) const;

  Dialect dialect_;
  PendingCalls* calls_;
  Step step_ = Step::frame_header;
  std::array<std::uint8_t, kFrameHeaderMax> header_{};
  std::size_t header_size_ = 0;
  FrameHeader frame_;
  std::uint64_t frame_left_ = 0;
  std::size_t stream_ = 0;  // index of the frame's stream
  std::vector<Stream> streams_;
  ReplySink* blocked_ = nullptr;
  ReplySink* direct_ = nullptr;
  std::uint64_t consumed_ = 0;
  std::size_t pos_ = 0;
  std::size_t end_ = 0;
  std::array<std::uint8_t, kBounce> bounce_;
};

}  // namespace simdrive::rpc
