// The wire protocol as pure functions, for tools and tests: no sockets, no clocks.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "simdrive/bytes.hpp"
#include "simdrive/error.hpp"

namespace simdrive::wire {

/// The frame dialects, by the size of their frame header.
enum class Dialect : std::uint8_t { d13 = 13, d21 = 21 };

/// The structs that travel.
enum class MessageType : std::uint8_t {
  write_request,
  batch_write_request,
  read_request,
  batch_read_request,
  delete_request,
  exists_request,
  len_request,
  is_empty_request,
  file_size_request,
  write_response,
  batch_write_response,
  read_response,
  batch_read_response,
  delete_response,
  exists_response,
  len_response,
  is_empty_response,
  file_size_response,
  error_payload,
};
inline constexpr int kMessageTypeCount = static_cast<int>(MessageType::error_payload) + 1;

/// The name of a type, as spelled above.
[[nodiscard]] std::string_view to_string(MessageType type) noexcept;
[[nodiscard]] std::optional<MessageType> parse_message_type(std::string_view name) noexcept;

/// The fields of any struct; each type uses some of them.
struct Fields {
  /// Requests: the keys.
  std::vector<Bytes> keys;
  /// Write requests: one payload for each key, none absent. Read responses: one value for each key asked for.
  std::vector<std::optional<Bytes>> payloads;
  /// `tail_offset`, `total_entries`, `file_size`.
  std::uint64_t number = 0;
  /// `exists`, `is_empty`.
  bool flag = false;
  /// Error payload: 0 Fail, 1 System, 2 NotFound.
  std::uint8_t code = 0;
  /// Error payload: the message, UTF-8.
  std::string text;
};

/// The bytes that the Rust encoder would make. Error: `invalid_value` if the fields do not suit the type.
Result<Bytes> encode(MessageType type, const Fields& fields);

/// The opposite. Error: `protocol_error` with the offset of the fault.
Result<Fields> decode(MessageType type, BytesView bytes);

/// The id of a method, by its name (`write`, `batch_write`, ...).
[[nodiscard]] std::optional<std::uint64_t> method_id(std::string_view name) noexcept;

/// A request as the frames that real clients send. `timestamp_micros` goes into every frame of dialect D21.
std::vector<Bytes> encode_request_frames(Dialect dialect, std::uint32_t stream_id, std::uint32_t request_id,
                                         std::uint64_t method_id, BytesView args, std::uint64_t timestamp_micros = 0);

/// A response as the frames that real servers send. Status: 0 Success, 1 Fail, 2 SystemError, 3 MethodNotFound.
std::vector<Bytes> encode_response_frames(Dialect dialect, std::uint32_t stream_id, std::uint32_t request_id,
                                          std::uint64_t method_id, std::uint8_t status, BytesView body,
                                          std::uint64_t timestamp_micros = 0);

/// What a decoder found in the frames.
struct Event {
  enum class Kind : std::uint8_t {
    header,
    payload,
    end,
    /// An invalid frame kind or message type.
    corrupt_frame,
    /// A Cancel after a complete RPC header.
    read_after_cancel,
    /// Follows the error that made the decoder discard the rest of the message.
    message_failed,
  };
  Kind kind = Kind::end;
  /// Header: 0 Call, 1 Response, 2 Event.
  std::uint8_t type = 0;
  std::uint32_t request_id = 0;
  std::uint64_t method_id = 0;
  /// The metadata of a header or the bytes of a payload.
  Bytes bytes;
};

/// A request that a server would run.
struct Request {
  std::uint32_t request_id = 0;
  std::uint64_t method_id = 0;
  Bytes args;
  /// Whether the arguments came as payload, not as metadata.
  bool from_payload = false;
};

/// Decodes one direction of one connection, exactly as real peers do. Not thread safe.
class FrameDecoder {
 public:
  /// `collect_requests`: also keep the books of a server.
  explicit FrameDecoder(Dialect dialect, bool collect_requests = false);
  ~FrameDecoder();
  FrameDecoder(FrameDecoder&&) noexcept;
  FrameDecoder& operator=(FrameDecoder&&) noexcept;

  /// Takes one binary message. Error `protocol_error`: a limit is exceeded, and the decoder is of no more use.
  Result<std::vector<Event>> feed(BytesView message);

  /// The requests that are complete since the last call, in the order in which a server would answer them.
  std::vector<Request> take_requests();

  /// The ids of the requests that a server still waits for, oldest first.
  [[nodiscard]] std::vector<std::uint32_t> open_requests() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// A message that servers of both dialects answer, each in its own.
[[nodiscard]] const std::array<std::uint8_t, 66>& probe() noexcept;

/// The dialect of the server whose first binary message this is. None: not a server of this protocol.
[[nodiscard]] std::optional<Dialect> judge_probe(BytesView first_message) noexcept;

}  // namespace simdrive::wire
