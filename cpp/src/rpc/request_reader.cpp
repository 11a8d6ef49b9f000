#include "rpc/request_reader.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <new>
#include <utility>
#include <vector>

#include "base/growing_buffer.hpp"

namespace simdrive::rpc {

namespace {

constexpr std::uint16_t kProtocolError = 1002;
constexpr std::uint16_t kPolicy = 1008;
constexpr std::uint16_t kTooBig = 1009;
constexpr std::uint16_t kTryLater = 1013;

constexpr std::string_view kTooLong = "the arguments are longer than the server's limit for one request";
constexpr std::string_view kNoMemory = "the server has no memory for the arguments";
constexpr std::string_view kInEnd = "the request came in the frame that ends it, whose bytes do not count";
constexpr std::string_view kArgsInEnd =
    "the arguments came in the frame that ends the request, whose bytes do not count";

// What a frame that waits costs beside its bytes.
constexpr std::uint64_t kEarlyCost = 64;
// A frame that brings as much as this costs no more than its bytes do.
constexpr std::uint32_t kIdleFrame = 1024;
// Memory that an idle connection keeps for the arguments of the next request.
constexpr std::size_t kKeep = std::size_t{16} << 10;
// Arguments in more memory than this are handed over with it.
constexpr std::size_t kHandOver = std::size_t{64} << 10;
// What is shorter is received into the scratch buffer, together with what comes after it, and copied.
constexpr std::uint64_t kDirectMin = 4096;
constexpr std::uint64_t kDirectRoom = std::size_t{16} << 10;
// While a long request comes in, of which the next frame will be too: its header, and little that must be copied.
constexpr std::size_t kBounce = 2048;
constexpr std::size_t kLong = std::size_t{32} << 10;

struct EarlyFrame {
  bool end = false;
  std::uint64_t cost = 0;
  Bytes payload{};
};

enum class Phase : std::uint8_t { header, metadata, payload, refused };

struct Stream {
  std::uint32_t id = 0;
  std::uint32_t next = 0;
  Phase phase = Phase::header;
  bool header_in_end = false;
  bool has_payload = false;  // so that the arguments are no metadata
  std::uint8_t head_size = 0;
  std::uint32_t meta_left = 0;
  std::array<std::uint8_t, kRpcHeader> head{};
  BytesView borrowed{};  // the arguments, as long as they lie in the bytes being read, else they are in `args`
  GrowingBuffer args{};
  std::map<std::uint32_t, EarlyFrame> early{};

  [[nodiscard]] std::size_t size() const noexcept { return borrowed.size() + args.size(); }
  [[nodiscard]] BytesView begun() const noexcept { return borrowed.empty() ? args.view() : borrowed; }
  [[nodiscard]] RpcHeader header() const noexcept { return load_rpc_header(head.data()); }
};

using StreamPtr = std::unique_ptr<Stream>;

}  // namespace

struct RequestReader::Impl {
  enum class Into : std::uint8_t { stream, early, nothing };

  Impl(Dialect d, const RequestLimits& l, MutableBytes s) : dialect(d), limits(l), scratch(s) {}

  const Dialect dialect;
  const RequestLimits limits;
  const MutableBytes scratch;
  bool faulty = false;
  Fault fault{};
  RequestSink* sink = nullptr;  // while bytes are read

  std::uint64_t position = 0;
  std::uint64_t frame_start = 0;
  std::array<std::uint8_t, kFrameHeaderMax> header{};
  std::size_t header_size = 0;  // of an incomplete one
  bool in_frame = false;
  FrameHeader frame{};
  std::uint32_t frame_left = 0;
  Into into = Into::nothing;
  Stream* current = nullptr;       // of the frame, or of the last one
  EarlyFrame* waiting = nullptr;   // what the frame becomes
  Stream* borrower = nullptr;      // whose arguments lie in the bytes being read
  Stream* direct = nullptr;        // whose arguments need() pointed into
  std::vector<StreamPtr> streams;  // by id
  StreamPtr spare;
  std::uint64_t unfinished = 0;
  std::uint64_t early_bytes = 0;
  std::uint64_t idle_frames = 0;

  bool fail(std::uint16_t code, std::string_view reason) noexcept {
    faulty = true;
    fault = {code, reason, frame_start};
    return false;
  }

  [[nodiscard]] bool is_end() const noexcept { return frame.kind == static_cast<std::uint8_t>(Kind::end); }

  // Sorted, so that no choice of ids makes looking one up slow.
  [[nodiscard]] auto place_of(std::uint32_t id) noexcept {
    return std::lower_bound(streams.begin(), streams.end(), id,
                            [](const StreamPtr& s, std::uint32_t wanted) { return s->id < wanted; });
  }

  MutableBytes need() noexcept;
  void commit(std::size_t n);
  void read(BytesView in);
  bool take_header(BytesView& in) noexcept;
  bool begin_frame();
  bool begin_early(Stream& s);
  bool end_frame();
  bool end_stream_frame(Stream& s, bool end, std::size_t size);
  bool take(Stream& s, BytesView bytes, bool end, bool may_borrow);
  bool take_rpc_header(Stream& s, BytesView& bytes, bool end, bool may_borrow);
  bool append(Stream& s, BytesView bytes, bool may_borrow);
  void settle();
  void forget_args(Stream& s) noexcept;
  void answer(Stream& s);
  void refuse(Stream& s, std::string_view why, BytesView begun = {});
  void drop(Stream& s) noexcept;
};

MutableBytes RequestReader::Impl::need() noexcept {
  direct = nullptr;
  if (faulty) return scratch;
  if (!in_frame) {
    // The End of a long request is short, and its other frames are mostly long.
    const bool is_long = current != nullptr && current->args.size() >= kLong;
    return is_long ? scratch.first(std::min(kBounce, scratch.size())) : scratch;
  }
  if (into != Into::stream || is_end() || frame_left < kDirectMin) return scratch;
  Stream& s = *current;
  if (s.phase != Phase::payload || (!s.has_payload && s.size() != 0)) return scratch;
  const std::uint64_t allowed =
      std::min({std::uint64_t{frame_left}, limits.max_request - s.size(), limits.max_unfinished - unfinished});
  // Without room, the next bytes are one too many, and are to be told so.
  if (allowed == 0 || !s.args.reserve(static_cast<std::size_t>(std::min(allowed, kDirectRoom)))) return scratch;
  direct = &s;
  const MutableBytes room = s.args.room();
  return room.first(static_cast<std::size_t>(std::min<std::uint64_t>(room.size(), allowed)));
}

void RequestReader::Impl::commit(std::size_t n) {
  if (n == 0) return;
  if (direct == nullptr) return read(scratch.first(n));
  Stream& s = *std::exchange(direct, nullptr);
  s.args.written(n);
  s.has_payload = true;
  unfinished += n;
  position += n;
  frame_left -= static_cast<std::uint32_t>(n);
  if (frame_left == 0) end_frame();
}

void RequestReader::Impl::read(BytesView in) {
  for (;;) {
    if (!in_frame && (!take_header(in) || !begin_frame())) break;
    const std::size_t n = std::min<std::size_t>(frame_left, in.size());
    const BytesView piece = in.first(n);
    in = in.subspan(n);
    position += n;
    frame_left -= static_cast<std::uint32_t>(n);
    if (n != 0) {
      if (into == Into::stream && !take(*current, piece, is_end(), true)) break;
      if (into == Into::early) {
        if (n > limits.max_unfinished - unfinished) {
          fail(kTryLater, "too many bytes of requests that are not complete");
          break;
        }
        waiting->payload.insert(waiting->payload.end(), piece.begin(), piece.end());
        unfinished += n;
      }
    }
    if (frame_left != 0 || !end_frame()) break;
  }
  settle();
}

// False: more bytes are needed.
bool RequestReader::Impl::take_header(BytesView& in) noexcept {
  const std::size_t size = rpc::header_size(dialect);
  if (header_size == 0 && in.size() >= size) {
    frame = load_frame_header(in.data());
    in = in.subspan(size);
    position += size;
  } else {
    const std::size_t n = std::min(size - header_size, in.size());
    if (n != 0) std::memcpy(header.data() + header_size, in.data(), n);
    in = in.subspan(n);
    position += n;
    header_size += n;
    if (header_size < size) return false;
    header_size = 0;
    frame = load_frame_header(header.data());
  }
  frame_start = position - size;
  frame_left = frame.len;
  in_frame = true;
  return true;
}

bool RequestReader::Impl::begin_frame() {
  if (frame.kind > kKindMax) return fail(kProtocolError, "a frame of unknown kind");
  if (frame.len > limits.max_frame) return fail(kTooBig, "a frame longer than the limit");
  if (frame.len < kIdleFrame && ++idle_frames > limits.max_idle_frames) {
    return fail(kPolicy, "too many short frames without a complete request");
  }
  into = Into::nothing;
  current = nullptr;
  auto place = place_of(frame.stream_id);
  const bool known = place != streams.end() && (*place)->id == frame.stream_id;
  if (frame.kind == static_cast<std::uint8_t>(Kind::cancel)) {
    if (known) drop(**place);
    return true;
  }
  if (!known) {
    if (streams.size() >= limits.max_streams) return fail(kPolicy, "too many open streams");
    place = streams.insert(place, spare ? std::move(spare) : std::make_unique<Stream>());
    (*place)->id = frame.stream_id;
  }
  Stream& s = **place;
  current = &s;
  if (frame.seq < s.next) return fail(kProtocolError, "a frame whose sequence number was there before");
  if (frame.seq > s.next) return begin_early(s);
  into = Into::stream;
  return true;
}

bool RequestReader::Impl::begin_early(Stream& s) {
  EarlyFrame& slot = s.early[frame.seq];
  early_bytes -= slot.cost;
  unfinished -= slot.payload.size();
  // As in the existing servers, the later of two copies counts.
  slot = {.end = is_end(), .cost = frame.len + kEarlyCost};
  early_bytes += slot.cost;
  if (early_bytes > limits.max_early_bytes) return fail(kProtocolError, "a gap in the sequence numbers of a stream");
  waiting = &slot;
  into = Into::early;
  return true;
}

bool RequestReader::Impl::end_frame() {
  in_frame = false;
  if (into != Into::stream) return true;
  Stream& s = *current;
  if (is_end()) return end_stream_frame(s, true, frame.len);
  if (!end_stream_frame(s, false, frame.len)) return false;
  for (auto it = s.early.begin(); it != s.early.end() && it->first == s.next; it = s.early.begin()) {
    const EarlyFrame early = std::move(it->second);
    s.early.erase(it);
    early_bytes -= early.cost;
    unfinished -= early.payload.size();
    if (!take(s, early.payload, early.end, false)) return false;
    if (early.end) return end_stream_frame(s, true, early.payload.size());
    ++s.next;
  }
  return true;
}

bool RequestReader::Impl::end_stream_frame(Stream& s, bool end, std::size_t size) {
  ++s.next;
  if (!end) return true;
  if (!s.early.empty()) return fail(kProtocolError, "a frame behind the End of its stream");
  if (s.phase == Phase::header || s.phase == Phase::metadata) {
    return fail(kProtocolError, "a request that ends within its header");
  }
  if (s.phase == Phase::payload) {
    if (s.header_in_end) {
      refuse(s, kInEnd);
    } else if (s.size() == 0 && size != 0) {
      refuse(s, kArgsInEnd);
    } else {
      answer(s);
    }
  }
  drop(s);
  return true;
}

// Bytes of a stream, in order.
bool RequestReader::Impl::take(Stream& s, BytesView bytes, bool end, bool may_borrow) {
  if (s.phase < Phase::payload && !take_rpc_header(s, bytes, end, may_borrow)) return false;
  // Bytes in an End frame are dropped by every real decoder.
  if (s.phase != Phase::payload || end || bytes.empty()) return true;
  if (!s.has_payload) forget_args(s);
  s.has_payload = true;
  return append(s, bytes, may_borrow);
}

bool RequestReader::Impl::take_rpc_header(Stream& s, BytesView& bytes, bool end, bool may_borrow) {
  if (s.phase == Phase::header) {
    const std::size_t n = std::min(kRpcHeader - s.head_size, bytes.size());
    if (n != 0) std::memcpy(s.head.data() + s.head_size, bytes.data(), n);
    s.head_size = static_cast<std::uint8_t>(s.head_size + n);
    bytes = bytes.subspan(n);
    if (s.head_size < kRpcHeader) return true;
    if (s.head[0] > kMessageTypeMax) return fail(kProtocolError, "a message of unknown type");
    s.meta_left = s.header().meta_len;
    s.phase = Phase::metadata;
  }
  const std::size_t n = std::min<std::size_t>(s.meta_left, bytes.size());
  const BytesView metadata = bytes.first(n);
  bytes = bytes.subspan(n);
  s.meta_left -= static_cast<std::uint32_t>(n);
  if (s.meta_left == 0) {
    s.phase = Phase::payload;
    s.header_in_end = end;
  }
  return append(s, metadata, may_borrow);
}

bool RequestReader::Impl::append(Stream& s, BytesView bytes, bool may_borrow) {
  if (bytes.empty()) return true;
  // Whichever limit the bytes would reach first if they came one by one.
  const std::uint64_t request_room = limits.max_request - s.size();
  const std::uint64_t unfinished_room = limits.max_unfinished - unfinished;
  if (bytes.size() > std::min(request_room, unfinished_room)) {
    if (unfinished_room < request_room) {
      return fail(kTryLater, "too many bytes of requests that are not complete");
    }
    refuse(s, kTooLong, s.size() == 0 ? bytes : s.begun());
    return true;
  }
  unfinished += bytes.size();
  if (may_borrow && s.size() == 0) {
    settle();
    s.borrowed = bytes;
    borrower = &s;
    return true;
  }
  if (borrower == &s) settle();
  if (s.phase == Phase::refused) return true;
  if (s.args.append(bytes)) return true;
  unfinished -= bytes.size();
  refuse(s, kNoMemory, s.begun());
  return true;
}

// The bytes being read go away, or more are to come behind those that were borrowed.
void RequestReader::Impl::settle() {
  Stream* s = std::exchange(borrower, nullptr);
  if (s == nullptr) return;
  const BytesView borrowed = std::exchange(s->borrowed, {});
  if (s->args.append(borrowed)) return;
  unfinished -= borrowed.size();
  refuse(*s, kNoMemory);
}

void RequestReader::Impl::forget_args(Stream& s) noexcept {
  unfinished -= s.size();
  s.args.clear();
  s.borrowed = {};
  if (borrower == &s) borrower = nullptr;
}

void RequestReader::Impl::answer(Stream& s) {
  const RpcHeader head = s.header();
  unfinished -= s.size();
  idle_frames = 0;
  WholeRequest request{
      .request_id = head.request_id, .method_id = head.method_id, .type = static_cast<MessageType>(head.type)};
  request.args = s.begun();
  borrower = borrower == &s ? nullptr : borrower;
  s.borrowed = {};
  std::shared_ptr<const void> owner;
  if (s.args.capacity() > kHandOver && s.args.size() != 0) {
    owner = s.args.release();
    request.owner = &owner;
  }
  sink->request(request);
  s.args.clear();
}

// `begun`: what there is of the arguments, kept or not.
void RequestReader::Impl::refuse(Stream& s, std::string_view why, BytesView begun) {
  const RpcHeader head = s.header();
  s.phase = Phase::refused;
  idle_frames = 0;
  sink->request({.request_id = head.request_id,
                 .method_id = head.method_id,
                 .type = static_cast<MessageType>(head.type),
                 .args = begun.first(std::min(begun.size(), WholeRequest::kBegun)),
                 .refused = why});
  forget_args(s);
  s.args.reset();
}

void RequestReader::Impl::drop(Stream& s) noexcept {
  forget_args(s);
  for (const auto& [seq, early] : s.early) {
    early_bytes -= early.cost;
    unfinished -= early.payload.size();
  }
  if (current == &s) current = nullptr;
  const auto place = place_of(s.id);
  StreamPtr gone = std::move(*place);
  streams.erase(place);
  if (spare) return;
  GrowingBuffer args = std::move(gone->args);
  if (args.capacity() > kKeep) args.reset();
  *gone = {};
  gone->args = std::move(args);
  spare = std::move(gone);
}

RequestReader::RequestReader(Dialect dialect, const RequestLimits& limits, MutableBytes scratch)
    : impl_(std::make_unique<Impl>(dialect, limits, scratch)) {}

RequestReader::~RequestReader() = default;

MutableBytes RequestReader::need() noexcept { return impl_->need(); }

const Fault* RequestReader::commit(std::size_t n, RequestSink& sink) {
  Impl& impl = *impl_;
  if (impl.faulty) return &impl.fault;
  impl.sink = &sink;
  try {
    impl.commit(n);
  } catch (const std::bad_alloc&) {
    impl.fail(kTryLater, "the server has no memory for the connection's requests");
  }
  return impl.faulty ? &impl.fault : nullptr;
}

const Fault* RequestReader::feed(BytesView bytes, RequestSink& sink) {
  Impl& impl = *impl_;
  if (impl.faulty) return &impl.fault;
  impl.sink = &sink;
  impl.direct = nullptr;
  try {
    impl.read(bytes);
  } catch (const std::bad_alloc&) {
    impl.fail(kTryLater, "the server has no memory for the connection's requests");
  }
  return impl.faulty ? &impl.fault : nullptr;
}

std::uint64_t RequestReader::unfinished_bytes() const noexcept { return impl_->unfinished; }

std::size_t RequestReader::open_streams() const noexcept { return impl_->streams.size(); }

}  // namespace simdrive::rpc
