#include "rpc/reassembler.hpp"

#include <algorithm>
#include <utility>

namespace simdrive::rpc {
namespace {

// Moves bytes from the front of `from` to the end of `to` until that holds `want`; says whether it does.
bool top_up(Bytes& to, std::size_t want, BytesView& from) {
  const std::size_t n = to.size() < want ? std::min(want - to.size(), from.size()) : 0;
  to.insert(to.end(), from.begin(), from.begin() + static_cast<std::ptrdiff_t>(n));
  from = from.subspan(n);
  return to.size() >= want;
}

}  // namespace

Result<std::span<const Event>> Reassembler::feed(BytesView message) {
  events_.clear();
  deliveries_.clear();
  kept_.clear();
  failed_ = false;
  if (!state_.ok()) return state_.error();
  // Every frame of a message is put in its place before the first one is read: what a failure discards
  // still counts for the order of its stream.
  if (auto r = split(message); !r.ok()) return std::move(r).error();
  for (const Delivery& delivery : deliveries_) {
    if (auto r = assemble(delivery); !r.ok()) return std::move(r).error();
    if (failed_) break;
  }
  return std::span<const Event>(events_);
}

std::size_t Reassembler::open_streams() const noexcept {
  std::size_t count = streams_.size();
  for (const auto& entry : messages_) count += streams_.contains(entry.first) ? 0 : 1;
  return count;
}

Error Reassembler::poison(const char* what) {
  Error error;
  error.code = Errc::protocol_error;
  error.detail = what;
  error.outcome = Outcome::unknown;
  error.offset = position_;
  state_ = error;
  events_.clear();
  return error;
}

Result<void> Reassembler::split(BytesView message) {
  if (consumed_ != 0) {
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(consumed_));
    consumed_ = 0;
    if (buffer_.empty() && buffer_.capacity() > 2 * kChunk) Bytes().swap(buffer_);
  }
  if (buffer_.empty()) {
    auto taken = take_frames(message);
    if (!taken.ok()) return std::move(taken).error();
    const BytesView rest = message.subspan(*taken);
    if (rest.size() > limits_.max_buffered) return poison("too many bytes of an incomplete frame");
    buffer_.assign(rest.begin(), rest.end());
    return {};
  }
  if (message.size() > limits_.max_buffered || buffer_.size() > limits_.max_buffered - message.size()) {
    return poison("too many bytes of an incomplete frame");
  }
  buffer_.insert(buffer_.end(), message.begin(), message.end());
  auto taken = take_frames(buffer_);
  if (!taken.ok()) return std::move(taken).error();
  // What is left of a buffer after a frame came with this message, so cutting the front off costs no more
  // than this message did.
  consumed_ = *taken;
  return {};
}

Result<std::size_t> Reassembler::take_frames(BytesView bytes) {
  const std::size_t head = header_size(dialect_);
  std::size_t at = 0;
  while (bytes.size() - at >= sizeof(std::uint32_t)) {
    const std::uint32_t len = load_le<std::uint32_t>(bytes.data() + at);
    if (len > limits_.max_frame) return poison("frame longer than the limit");
    const std::size_t left = bytes.size() - at;
    if (left < head || left - head < len) break;
    const FrameHeader header = load_frame_header(bytes.data() + at);
    if (auto r = take_frame(header, bytes.subspan(at + head, len)); !r.ok()) return std::move(r).error();
    at += head + len;
    position_ += head + len;
  }
  return at;
}

Result<void> Reassembler::take_frame(const FrameHeader& header, BytesView payload) {
  if (header.kind > kKindMax) {
    deliveries_.push_back({Delivery::What::invalid_kind, false, header.stream_id, {}});
    return {};
  }
  if (static_cast<Kind>(header.kind) == Kind::cancel) {
    if (auto it = streams_.find(header.stream_id); it != streams_.end()) {
      drop_early(it->second);
      streams_.erase(it);
    }
    deliveries_.push_back({Delivery::What::cancelled, false, header.stream_id, {}});
    return {};
  }
  return order(header, payload);
}

Result<void> Reassembler::order(const FrameHeader& header, BytesView payload) {
  const bool end = static_cast<Kind>(header.kind) == Kind::end;
  auto it = streams_.find(header.stream_id);
  if (it == streams_.end()) {
    if (end && header.seq == 0) {  // the whole life of a stream in one frame
      deliveries_.push_back({Delivery::What::frame, true, header.stream_id, payload});
      return {};
    }
    if (streams_.size() >= limits_.max_streams) return poison("too many open streams");
    it = streams_.try_emplace(header.stream_id).first;
  }
  Stream& stream = it->second;
  stream.end_seen = stream.end_seen || end;
  if (header.seq == stream.next) {
    deliveries_.push_back({Delivery::What::frame, end, header.stream_id, payload});
    ++stream.next;
    deliver_early(header.stream_id, stream);
  } else {
    EarlyFrame& slot = stream.early[header.seq];
    if (slot.cost != 0) early_bytes_ -= slot.cost;
    slot.cost = payload.size() + kEarlyFrameCost;
    early_bytes_ += slot.cost;
    if (early_bytes_ > limits_.max_early_bytes) return poison("too many bytes out of order");
    slot.end = end;
    slot.payload.assign(payload.begin(), payload.end());
  }
  if (stream.end_seen && stream.early.empty()) streams_.erase(it);
  return {};
}

void Reassembler::deliver_early(std::uint32_t stream_id, Stream& stream) {
  for (auto it = stream.early.find(stream.next); it != stream.early.end(); it = stream.early.find(stream.next)) {
    early_bytes_ -= it->second.cost;
    const Bytes& payload = kept_.emplace_back(std::move(it->second.payload));
    deliveries_.push_back({Delivery::What::frame, it->second.end, stream_id, payload});
    stream.early.erase(it);
    ++stream.next;
  }
}

void Reassembler::drop_early(Stream& stream) {
  for (const auto& entry : stream.early) early_bytes_ -= entry.second.cost;
  stream.early.clear();
}

Result<void> Reassembler::assemble(const Delivery& delivery) {
  if (delivery.what == Delivery::What::invalid_kind) {
    events_.push_back({.kind = Event::Kind::error, .error = StreamError::corrupt_frame});
    return {};
  }
  if (delivery.what == Delivery::What::cancelled) {
    cancel(delivery.stream_id);
    return {};
  }
  auto it = messages_.find(delivery.stream_id);
  if (it == messages_.end()) {
    if (messages_.size() >= limits_.max_streams) return poison("too many open streams");
    it = messages_.try_emplace(delivery.stream_id).first;
  }
  Message& message = it->second;
  if (message.in_payload) {
    if (delivery.end) {
      events_.push_back({.kind = Event::Kind::end, .request_id = message.request_id});
    } else {
      events_.push_back({.kind = Event::Kind::payload, .request_id = message.request_id, .bytes = delivery.payload});
    }
  } else {
    BytesView rest = delivery.payload;
    if (!take_header(message, rest)) {
      messages_.erase(it);
      fail_message(StreamError::corrupt_frame);
      return {};
    }
    if (message.in_payload && !rest.empty()) {
      events_.push_back({.kind = Event::Kind::payload, .request_id = message.request_id, .bytes = rest});
    }
  }
  if (delivery.end) messages_.erase(it);
  return {};
}

void Reassembler::cancel(std::uint32_t stream_id) {
  const auto it = messages_.find(stream_id);
  if (it == messages_.end()) return;
  const bool complete = it->second.in_payload;
  messages_.erase(it);
  if (complete) fail_message(StreamError::read_after_cancel);
}

// Returns false for an invalid message type. `rest` becomes the payload behind the header, if that is whole.
bool Reassembler::take_header(Message& message, BytesView& rest) {
  const bool fresh = message.header.empty() && rest.size() >= kRpcHeader;
  if (!fresh && !top_up(message.header, kRpcHeader, rest)) return true;
  BytesView head = fresh ? rest : BytesView(message.header);
  const RpcHeader header = load_rpc_header(head.data());
  if (header.type > kMessageTypeMax) return false;
  const std::size_t want = kRpcHeader + header.meta_len;
  if (fresh && rest.size() >= want) {
    rest = rest.subspan(want);
  } else {
    if (!top_up(message.header, want, rest)) return true;
    head = kept_.emplace_back(std::exchange(message.header, {}));
  }
  message.in_payload = true;
  message.request_id = header.request_id;
  events_.push_back({.kind = Event::Kind::header,
                     .type = static_cast<MessageType>(header.type),
                     .request_id = header.request_id,
                     .method_id = header.method_id,
                     .bytes = head.subspan(kRpcHeader, header.meta_len)});
  return true;
}

void Reassembler::fail_message(StreamError error) {
  failed_ = true;
  events_.push_back({.kind = Event::Kind::error, .error = error});
  events_.push_back({.kind = Event::Kind::message_failed, .error = error});
}

}  // namespace simdrive::rpc
