#include "rpc/reply_reader.hpp"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

namespace simdrive::rpc {

MutableBytes ReplyReader::need() {
  direct_ = nullptr;
  if (blocked_) return {};
  if (step_ == Step::payload && frame_left_ != 0) {
    Stream& s = streams_[stream_];
    if (s.in_payload && s.sink && frame_.kind != static_cast<std::uint8_t>(Kind::end)) {
      const MutableBytes d = s.sink->direct();
      // Short values are copied, many from one read: one of its own for each costs more.
      if (d.size() >= std::min<std::uint64_t>(kBounce, frame_left_) && !d.empty()) {
        direct_ = s.sink;
        return d.first(static_cast<std::size_t>(std::min<std::uint64_t>(d.size(), frame_left_)));
      }
    }
  }
  return bounce_;
}

Result<void> ReplyReader::commit(std::size_t n) {
  consumed_ += n;
  if (direct_) {
    direct_ = nullptr;
    Stream& s = streams_[stream_];
    s.sink->commit(n);
    frame_left_ -= n;
    finish_if_complete(s);
    if (frame_left_ == 0) return end_frame();
    return {};
  }
  pos_ = 0;
  end_ = n;
  return process();
}

Result<void> ReplyReader::resume() {
  blocked_ = nullptr;
  return process();
}

bool ReplyReader::holds(const ReplySink* sink) const noexcept {
  return std::any_of(streams_.begin(), streams_.end(), [sink](const Stream& s) { return s.sink == sink; });
}

void ReplyReader::drop(const ReplySink* sink) noexcept {
  for (Stream& s : streams_) {
    if (s.sink == sink) s.sink = nullptr;
  }
  if (direct_ == sink) direct_ = nullptr;
}

Result<void> ReplyReader::process() {
  while (!blocked_) {
    if (step_ == Step::frame_header) {
      if (pos_ == end_) return {};
      if (auto r = take_frame_header(); !r) return r;
    } else {
      if (frame_left_ != 0 && pos_ == end_) return {};
      if (auto r = take_payload(); !r) return r;
    }
  }
  return {};
}

Result<void> ReplyReader::take_frame_header() {
  const std::size_t want = header_size(dialect_);
  const std::size_t n = std::min(want - header_size_, end_ - pos_);
  std::memcpy(header_.data() + header_size_, bounce_.data() + pos_, n);
  header_size_ += n;
  pos_ += n;
  if (header_size_ < want) return {};
  header_size_ = 0;
  frame_ = load_frame_header(header_.data());
  return begin_frame();
}

// A server sends the frames of a stream in order over an ordered transport: anything else means that the two ends
// are out of step, and no later byte can be trusted.
Result<void> ReplyReader::begin_frame() {
  if (frame_.kind > kKindMax) return fault("a frame of unknown kind");
  Stream* s = find_stream(frame_.stream_id);
  if (!s) {
    if (streams_.size() == kStreamsMax) return fault("too many open streams");
    streams_.push_back({});
    s = &streams_.back();
    s->id = frame_.stream_id;
  }
  if (frame_.kind == static_cast<std::uint8_t>(Kind::cancel)) return fault("a cancelled reply");
  if (frame_.seq != s->next_seq) return fault("a frame out of order");
  ++s->next_seq;
  stream_ = static_cast<std::size_t>(s - streams_.data());
  frame_left_ = frame_.len;
  step_ = Step::payload;
  return {};
}

Result<void> ReplyReader::take_payload() {
  Stream& s = streams_[stream_];
  if (frame_left_ != 0) {
    if (!s.in_payload) {
      if (auto r = take_rpc_header(s); !r) return r;
    } else if (frame_.kind == static_cast<std::uint8_t>(Kind::end)) {
      // Bytes in an End frame are dropped by every real decoder.
      const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(frame_left_, end_ - pos_));
      pos_ += n;
      frame_left_ -= n;
    } else if (auto r = take_body(s); !r) {
      return r;
    }
  }
  if (frame_left_ == 0 && !blocked_) return end_frame();
  return {};
}

Result<void> ReplyReader::take_rpc_header(Stream& s) {
  const auto here = [&] { return static_cast<std::size_t>(std::min<std::uint64_t>(frame_left_, end_ - pos_)); };
  if (s.head_size < kRpcHeader) {
    const std::size_t n = std::min<std::size_t>(here(), kRpcHeader - s.head_size);
    std::memcpy(s.head.data() + s.head_size, bounce_.data() + pos_, n);
    s.head_size = static_cast<std::uint8_t>(s.head_size + n);
    pos_ += n;
    frame_left_ -= n;
    if (s.head_size < kRpcHeader) return {};
    if (s.head[0] != static_cast<std::uint8_t>(MessageType::response)) return fault("a message that is no response");
    s.meta_left = load_rpc_header(s.head.data()).meta_len;
    s.status = static_cast<std::uint8_t>(Status::success);
    s.began = false;
  }
  if (s.meta_left != 0 && here() != 0) {
    const std::size_t n = std::min<std::size_t>(here(), s.meta_left);
    if (!s.began) s.status = bounce_[pos_];  // the first byte of the metadata
    s.began = true;
    pos_ += n;
    frame_left_ -= n;
    s.meta_left -= static_cast<std::uint32_t>(n);
  }
  if (s.meta_left == 0) return begin_body(s);
  return {};
}

Result<void> ReplyReader::begin_body(Stream& s) {
  const RpcHeader h = load_rpc_header(s.head.data());
  s.in_payload = true;
  ReplySink* sink = calls_->find(h.request_id, h.method_id);
  if (!sink) return {};
  if (holds(sink)) return fault("two replies to one request");
  s.sink = sink;
  sink->begin(s.status);
  finish_if_complete(s);
  return {};
}

Result<void> ReplyReader::take_body(Stream& s) {
  const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(frame_left_, end_ - pos_));
  if (s.finished) return fault("bytes behind a complete reply");
  if (!s.sink) {
    pos_ += n;
    frame_left_ -= n;
    return {};
  }
  auto fed = s.sink->feed({bounce_.data() + pos_, n});
  if (!fed) {
    Error e = std::move(fed).error();
    ReplySink* sink = std::exchange(s.sink, nullptr);
    sink->finished(e);
    return e;
  }
  pos_ += fed.value();
  frame_left_ -= fed.value();
  if (fed.value() < n) {
    blocked_ = s.sink;
    return {};
  }
  finish_if_complete(s);
  return {};
}

void ReplyReader::finish_if_complete(Stream& s) {
  if (!s.sink || !s.sink->complete()) return;
  s.finished = true;
  std::exchange(s.sink, nullptr)->finished({});
}

Result<void> ReplyReader::end_frame() {
  step_ = Step::frame_header;
  if (frame_.kind != static_cast<std::uint8_t>(Kind::end)) return {};
  Stream& s = streams_[stream_];
  if (!s.in_payload) return fault("a reply that ends within its header");
  ReplySink* sink = s.sink;
  streams_.erase(streams_.begin() + static_cast<std::ptrdiff_t>(stream_));
  if (!sink) return {};
  Result<void> r = sink->at_end();
  sink->finished(r);
  return r;
}

ReplyReader::Stream* ReplyReader::find_stream(std::uint32_t id) noexcept {
  for (Stream& s : streams_) {
    if (s.id == id) return &s;
  }
  return nullptr;
}

Error ReplyReader::fault(const char* what) const {
  return {Errc::protocol_error, std::string("the server sent ") + what, Outcome::unknown, consumed_};
}

}  // namespace simdrive::rpc
