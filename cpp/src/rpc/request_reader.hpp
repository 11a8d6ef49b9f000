// The receiving half of a server's connection: bytes in, whole requests out, in the order of their Ends
// (docs/design/wire.md, sections 3 and 4). Pulled: it says where the next bytes are to be received, so that a large
// request is received into its own memory.
//
// Stricter than the existing servers, which ignore in silence: whatever can be answered is, everything else ends the
// connection with a reason. Accepted as there: frames split over messages or sharing one, streams interleaved, frames
// out of order (a little), Open, Data, Ping and Pong frames alike, arguments as metadata or payload, any message type.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "rpc/frame.hpp"
#include "simdrive/bytes.hpp"
#include "simdrive/error.hpp"

namespace simdrive::rpc {

/// What one connection may make the reader keep.
struct RequestLimits {
  /// Payload bytes of one frame.
  std::uint64_t max_frame = std::uint64_t{16} << 20;
  /// Arguments of one request. One that is longer is answered with an error; the rest of its stream is dropped.
  std::uint64_t max_request = (std::uint64_t{1} << 30) + (std::uint64_t{2} << 20);
  /// Bytes received of all requests that are not complete, early frames included.
  std::uint64_t max_unfinished = (std::uint64_t{1} << 30) + (std::uint64_t{17} << 20);
  /// Streams that are begun and not ended.
  std::size_t max_streams = 1024;
  /// Payload bytes of frames that came before their turn, plus a fixed cost for each.
  std::uint64_t max_early_bytes = std::uint64_t{1} << 20;
  /// Frames with less than 1 KiB since the last request was answered: empty ones cost, too.
  std::uint64_t max_idle_frames = 100'000;
};

/// Why a connection must end.
struct Fault {
  std::uint16_t close_code = 1002;  ///< RFC 6455, 7.4: 1002 protocol error, 1008 policy, 1009 too big, 1013 later
  std::string_view reason{};        ///< static text, at most 123 bytes
  std::uint64_t offset = 0;         ///< bytes of the connection before the frame at fault
};

/// A request whose arguments are all there.
struct WholeRequest {
  static constexpr std::size_t kBegun = 4096;

  std::uint32_t request_id = 0;
  std::uint64_t method_id = 0;
  /// Real clients send calls alone.
  MessageType type = MessageType::call;
  /// Borrowed until the sink returns, unless it moves `*owner` away, which keeps them then.
  BytesView args{};
  /// Null for arguments that lie in the reader's own buffer: a sink that needs them longer copies them.
  std::shared_ptr<const void>* owner = nullptr;
  /// Not empty: it is refused for this reason (arguments too long, or in the frame that ends it), and is to be answered
  /// with an error. `args` is what is at hand of their beginning, at most `kBegun` bytes.
  std::string_view refused{};
};

class RequestSink {
 public:
  /// Called from within commit() and feed(), which are not to be called from here.
  virtual void request(const WholeRequest& request) = 0;

 protected:
  ~RequestSink() = default;
};

class RequestReader {
 public:
  /// `scratch`, of at least 4 KiB, is where small requests are received. It may be shared by all readers of a thread:
  /// nothing of it is kept between calls.
  RequestReader(Dialect dialect, const RequestLimits& limits, MutableBytes scratch);
  RequestReader(const RequestReader&) = delete;
  RequestReader& operator=(const RequestReader&) = delete;
  ~RequestReader();

  /// Where to receive next: never empty. Valid until the next call of commit() or feed().
  [[nodiscard]] MutableBytes need() noexcept;
  /// `n` bytes are in need(). Requests that they complete go to `sink`. A fault (not null) is final.
  [[nodiscard]] const Fault* commit(std::size_t n, RequestSink& sink);
  /// The same for bytes from elsewhere: those that were read before the dialect was known.
  [[nodiscard]] const Fault* feed(BytesView bytes, RequestSink& sink);

  /// Bytes received of requests that are not complete.
  [[nodiscard]] std::uint64_t unfinished_bytes() const noexcept;
  [[nodiscard]] std::size_t open_streams() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace simdrive::rpc
