#include "rpc/dialect.hpp"

#include "base/endian.hpp"

namespace simdrive::rpc {
namespace {

bool is_known(std::uint64_t method_id) noexcept {
  switch (static_cast<Method>(method_id)) {
    case Method::write:
    case Method::batch_write:
    case Method::read:
    case Method::batch_read:
    case Method::erase:
    case Method::exists:
    case Method::len:
    case Method::is_empty:
    case Method::file_size: return true;
  }
  return false;
}

// Whether a response to request 0 with one byte of metadata starts at `at`.
bool is_probe_response(BytesView m, std::size_t at) noexcept {
  return m.size() >= at + kRpcHeader && m[at] == static_cast<std::uint8_t>(MessageType::response) &&
         load_le<std::uint32_t>(m.data() + at + 1) == 0 && load_le<std::uint16_t>(m.data() + at + 13) == 1;
}

}  // namespace

std::optional<Dialect> judge_probe_answer(BytesView first_message) noexcept {
  if (first_message.size() < header_size(Dialect::d13)) return std::nullopt;
  const std::uint64_t len = load_le<std::uint32_t>(first_message.data());
  for (const Dialect d : {Dialect::d13, Dialect::d21}) {
    if (first_message.size() == len + header_size(d)) return d;
  }
  for (const Dialect d : {Dialect::d13, Dialect::d21}) {
    if (is_probe_response(first_message, header_size(d))) return d;
  }
  return std::nullopt;
}

Result<std::optional<Dialect>> DialectDetector::feed(BytesView piece, bool message_done) {
  collected_.insert(collected_.end(), piece.begin(), piece.end());
  if (collected_.empty()) return std::optional<Dialect>();
  if (!piece.empty()) {
    const Sign d13 = strong(Dialect::d13, frame13_);
    const Sign d21 = strong(Dialect::d21, frame21_);
    if (d13 == Sign::call) return std::optional(Dialect::d13);
    if (d21 == Sign::call) return std::optional(Dialect::d21);
    // Of this one the reader sees the kind as soon as it is there.
    if (d13 == Sign::unknown_kind && d21 == Sign::unknown_kind) return std::optional(Dialect::d13);
  }
  const bool in_first = !first_done_;
  first_done_ = first_done_ || message_done;
  // Bytes of several messages, or of a part of one, may look whole before they are: only the first message is judged by
  // its border.
  if (in_first && message_done) {
    const bool w13 = weak(Dialect::d13);
    const bool w21 = weak(Dialect::d21);
    if (w13 && w21) return std::optional(preferred_);
    if (w13) return std::optional(Dialect::d13);
    if (w21) return std::optional(Dialect::d21);
  }
  const std::size_t cap = first_done_ ? kCap : kCap + kFrameHeaderMax;
  if (collected_.size() > cap) {
    return Error{Errc::protocol_error, "the client's dialect cannot be told", Outcome::unknown, 0};
  }
  return std::optional<Dialect>();
}

DialectDetector::Sign DialectDetector::strong(Dialect dialect, std::size_t& frame) const noexcept {
  const std::size_t head = header_size(dialect);
  // The fields that load_frame_header() reads, and the kind above all, are in the same places in both dialects.
  while (frame < collected_.size() && collected_.size() - frame >= header_size(Dialect::d13)) {
    const std::uint8_t* p = collected_.data() + frame;
    const FrameHeader header = load_frame_header(p);
    if (header.kind > kKindMax) return Sign::unknown_kind;
    // A frame is passed only when it could be judged; later frames need more bytes still.
    if (collected_.size() - frame < head + kRpcHeader - 2) break;
    if (header.seq == 0 && header.kind == static_cast<std::uint8_t>(Kind::open) &&
        p[head] == static_cast<std::uint8_t>(MessageType::call) && is_known(load_le<std::uint64_t>(p + head + 5))) {
      return Sign::call;
    }
    frame += head + header.len;
  }
  return Sign::none;
}

bool DialectDetector::weak(Dialect dialect) const noexcept {
  const std::size_t head = header_size(dialect);
  std::size_t at = 0;
  while (collected_.size() - at >= head) {
    const FrameHeader header = load_frame_header(collected_.data() + at);
    if (header.kind > kKindMax || collected_.size() - at - head < header.len) return false;
    at += head + header.len;
  }
  return at == collected_.size();
}

}  // namespace simdrive::rpc
