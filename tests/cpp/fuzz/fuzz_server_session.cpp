// A client's bytes after the upgrade, in random pieces, into a session of the server with a store in memory: it ends or
// waits, what it keeps is bounded by what was sent, all that it says is WebSocket frames with whole frames of the
// protocol in them, and the replies are the same whatever the pieces.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/endian.hpp"
#include "base/gather.hpp"
#include "codec/messages.hpp"
#include "rpc/dialect.hpp"
#include "rpc/frame_writer.hpp"
#include "rpc/reassembler.hpp"
#include "served_session.hpp"

namespace {

using namespace simdrive;
using namespace simdrive::fuzzing;

constexpr std::string_view kUpgrade =
    "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

BytesView view(std::string_view s) { return {reinterpret_cast<const std::uint8_t*>(s.data()), s.size()}; }

// How the first byte says that it goes.
struct How {
  rpc::Dialect dialect;
  bool composed;     // of requests and frames that we make of the bytes
  bool small;        // limits that are reached
  bool narrow;       // little is sent at once
  bool lazy;         // the client does not read while it sends
  bool held;         // other threads take their time
  std::uint8_t end;  // 0: the client ends; 1: it falls silent; 2: the server stops; 3: cut
};

How how_of(std::uint8_t flags) {
  return {(flags & 1) != 0 ? rpc::Dialect::d21 : rpc::Dialect::d13,
          (flags & 2) != 0,
          (flags & 4) != 0,
          (flags & 8) != 0,
          (flags & 16) != 0,
          (flags & 32) != 0,
          static_cast<std::uint8_t>(flags >> 6)};
}

ServerOptions options_of(bool small) {
  ServerOptions options;
  ServerLimits& limits = options.limits;
  limits.max_unfinished_total = std::uint64_t{1} << 30;
  limits.reply_queue_soft = std::uint64_t{256} << 10;
  limits.reply_queue_hard = std::uint64_t{4} << 20;
  if (!small) return options;
  limits.max_frame = 20'000;
  limits.max_message = 50'000;
  limits.max_request = 9000;
  limits.max_batch_items = 20;
  limits.max_unfinished = 15'000;
  limits.max_unfinished_total = 10'000;
  limits.max_streams = 3;
  limits.max_early_bytes = 1000;
  limits.max_idle_frames = 100;
  limits.reply_queue_soft = 1000;
  limits.reply_queue_hard = 5000;
  return options;
}

// The fuzzer's bytes, used up one by one; zeros at the end.
class Source {
 public:
  explicit Source(BytesView in) : in_(in) {}
  std::uint8_t next() {
    if (in_.empty()) return 0;
    const std::uint8_t b = in_[0];
    in_ = in_.subspan(1);
    return b;
  }
  BytesView take(std::size_t n) {
    const BytesView out = in_.first(std::min(n, in_.size()));
    in_ = in_.subspan(out.size());
    return out;
  }
  [[nodiscard]] bool empty() const { return in_.empty(); }

 private:
  BytesView in_;
};

void append(Bytes& out, BytesView bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); }

/// As a client sends it.
void append_frame(Bytes& out, unsigned opcode, bool fin, BytesView payload) {
  constexpr std::array<std::uint8_t, 4> kMask{0x12, 0x34, 0x56, 0x78};
  out.push_back(static_cast<std::uint8_t>((fin ? 0x80U : 0U) | opcode));
  const std::size_t size = payload.size();
  const int more = size < 126 ? 0 : size < 65536 ? 2 : 8;
  out.push_back(static_cast<std::uint8_t>(0x80U | (more == 0 ? size : more == 2 ? 126U : 127U)));
  for (int i = more - 1; i >= 0; --i) out.push_back(static_cast<std::uint8_t>(size >> (8 * i)));
  append(out, kMask);
  for (std::size_t i = 0; i < size; ++i) out.push_back(payload[i] ^ kMask[i % 4]);
}

/// Arguments of one of the nine methods.
struct Request {
  rpc::Method method;
  Bytes args;
};

Request request_of(Source& source) {
  constexpr std::array kMethods = {rpc::Method::write,      rpc::Method::batch_write, rpc::Method::read,
                                   rpc::Method::batch_read, rpc::Method::erase,       rpc::Method::exists,
                                   rpc::Method::len,        rpc::Method::is_empty,    rpc::Method::file_size};
  constexpr std::array<std::string_view, 4> kKeys = {"a", "key", "", "a longer key than the others are"};
  Request out{kMethods[source.next() % kMethods.size()], {}};
  const auto key = [&] { return view(kKeys[source.next() % kKeys.size()]); };
  std::vector<Bytes> kept;
  kept.reserve(64);
  const auto payload = [&] {
    const std::uint8_t how = source.next();
    const BytesView given = source.take(how % 32);
    kept.emplace_back(given.begin(), given.end());
    kept.back().resize(given.size() + (how >= 240   ? std::size_t{how} << 10
                                       : how >= 128 ? std::size_t{how} * 3
                                                    : 0),
                       how);
    return BytesView(kept.back());
  };
  Gather args;
  switch (out.method) {
    case rpc::Method::write: {
      const BytesView k = key();
      codec::encode_write_request(k, payload(), args);
      break;
    }
    case rpc::Method::batch_write: {
      std::vector<KeyValue> entries;
      for (unsigned n = source.next() % 32; n != 0; --n) {
        const BytesView k = key();
        entries.push_back({k, payload()});
      }
      codec::encode_batch_write_request(entries, args);
      break;
    }
    case rpc::Method::batch_read: {
      const std::uint8_t n = source.next();
      std::vector<BytesView> keys;
      for (unsigned i = n % 16; i != 0; --i) keys.push_back(key());
      if (n >= 192) keys.resize(keys.size() * 16, view("a"));  // an answer that is much longer
      codec::encode_batch_read_request(keys, args);
      break;
    }
    case rpc::Method::len:
    case rpc::Method::is_empty:
    case rpc::Method::file_size: break;
    default: codec::encode_key_request(key(), args);
  }
  GatherCursor cursor(args);
  for (BytesView run = cursor.take(args.size()); !run.empty(); run = cursor.take(args.size())) append(out.args, run);
  return out;
}

/// What a client says that knows most of the rules, and keeps to them most of the time.
Bytes composed(Source& source, rpc::Dialect dialect) {
  constexpr std::size_t kMost = std::size_t{3} << 20;
  Bytes out;
  std::uint32_t id = 0;
  std::vector<Bytes> unsaid;  // frames of requests that are interleaved
  while (!source.empty() && out.size() < kMost) {
    const std::uint8_t what = source.next();
    switch (what % 16) {
      default: {
        const Request request = request_of(source);
        ++id;
        const auto method = static_cast<std::uint64_t>(request.method) ^ (what == 0xff ? 1U : 0U);
        std::vector<Bytes> frames = rpc::encode_request_frames(dialect, id * 2, id, method, request.args);
        if ((what & 0x10) != 0) {  // as one message
          Bytes message;
          for (const Bytes& frame : frames) append(message, frame);
          append_frame(out, 2, true, message);
        } else if ((what & 0x20) != 0) {  // its first frame now, the others later
          append_frame(out, 2, true, frames.front());
          for (std::size_t i = 1; i < frames.size(); ++i) unsaid.push_back(std::move(frames[i]));
        } else {
          for (const Bytes& frame : frames) append_frame(out, 2, true, frame);
        }
        break;
      }
      case 10:
        while (!unsaid.empty()) {
          const std::size_t which = (what & 0x10) != 0 ? 0 : unsaid.size() - 1;
          append_frame(out, 2, true, unsaid[which]);
          unsaid.erase(unsaid.begin() + static_cast<std::ptrdiff_t>(which));
          if ((what & 0x20) != 0) break;
        }
        break;
      case 11: append_frame(out, 2, (what & 0x10) == 0, source.take(source.next())); break;
      case 12: append_frame(out, 0, (what & 0x10) == 0, source.take(source.next())); break;
      case 13: append_frame(out, what < 0x20 ? 8 : what < 0x80 ? 9 : 10, true, source.take(source.next() % 126)); break;
      case 14: append(out, source.take(source.next() % 16)); break;
      case 15: append_frame(out, 1, true, source.take(source.next() % 32)); break;
    }
  }
  return out;
}

/// What the server said: split into WebSocket frames, their messages read as the library's client would.
class Heard {
 public:
  /// Takes all of a connection's bytes; `whole`: it has ended in order, so that there is no beginning of another frame.
  Heard(BytesView bytes, bool whole) {
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const auto head = text.find("\r\n\r\n");
    require(head != std::string_view::npos && text.starts_with("HTTP/1.1 101 "));
    bytes = bytes.subspan(head + 4);
    while (take_frame(bytes)) {
    }
    require(bytes.empty() || !whole);
  }

  /// The replies that are complete, in their order.
  std::vector<std::string> replies;
  bool closed = false;
  std::size_t begun = 0;

 private:
  bool take_frame(BytesView& bytes) {
    if (bytes.size() < 2) return false;
    const unsigned opcode = bytes[0] & 15U;
    require((bytes[0] & 0x70) == 0 && (bytes[0] & 0x80) != 0);  // one that is not in pieces
    require((bytes[1] & 0x80) == 0 && !closed);
    std::uint64_t size = bytes[1];
    const std::size_t header = size < 126 ? 2 : size == 126 ? 4 : 10;
    if (bytes.size() < header) return false;
    if (header != 2) {
      size = 0;
      for (std::size_t i = 2; i < header; ++i) size = size << 8 | bytes[i];
      require(header == 4 ? size >= 126 : size >= 65536);
    }
    require(size <= rpc::kChunk + rpc::kFrameHeaderMax);
    if (bytes.size() - header < size) return false;
    const BytesView payload = bytes.subspan(header, static_cast<std::size_t>(size));
    bytes = bytes.subspan(header + payload.size());
    switch (opcode) {
      case 2: take_message(payload); break;
      case 8:
        require(payload.size() != 1 && payload.size() < 126);
        closed = true;
        break;
      default: require((opcode == 9 || opcode == 10) && payload.size() < 126);
    }
    return true;
  }

  void take_message(BytesView message) {
    if (!reader_) {
      require(message.size() >= 13);
      const std::size_t header = message.size() - load_le<std::uint32_t>(message.data());
      require(header == 13 || header == 21);
      reader_.emplace(header == 13 ? rpc::Dialect::d13 : rpc::Dialect::d21);
    }
    const auto events = reader_->feed(message);
    require(events.ok() && reader_->buffered() == 0);
    for (const rpc::Event& event : *events) {
      std::string& reply = open_[event.request_id];
      switch (event.kind) {
        case rpc::Event::Kind::header:
          require(event.type == rpc::MessageType::response && event.bytes.size() == 1 && event.bytes[0] <= 3);
          ++begun;
          reply = std::to_string(event.request_id) + ' ' + std::to_string(event.method_id) + ' ' +
                  std::to_string(event.bytes[0]) + ' ';
          break;
        case rpc::Event::Kind::payload: reply.append(event.bytes.begin(), event.bytes.end()); break;
        case rpc::Event::Kind::end: replies.push_back(std::move(reply)); break;
        default: require(false);
      }
    }
  }

  std::optional<rpc::Reassembler> reader_;
  std::map<std::uint32_t, std::string> open_;
};

/// The replies to `in`, which goes in pieces of `sizes`, by turns (0 or none: all at once).
std::vector<std::string> run(const How& how, BytesView in, BytesView sizes) {
  ServedSession session(options_of(how.small), how.narrow);
  require(session.say(view(kUpgrade), true));
  for (std::size_t turn = 0; !in.empty() && !session.dead(); ++turn) {
    const std::uint8_t size = sizes.empty() ? 0 : sizes[turn % sizes.size()];
    if (how.held && !sizes.empty()) session.hold_work(size % 5);
    const std::size_t n = size == 0 ? in.size() : std::min<std::size_t>(in.size(), size >= 250 ? size * 40U : size);
    if (!session.say(in.first(n), !how.lazy)) break;
    if (size == 249) session.pass(1);
    if (how.lazy && size % 8 == 7) session.hear(size * 16U);
    in = in.subspan(n);
  }
  bool whole = false;
  if (how.end == 3) {
    session.abandon();
  } else if (how.end == 1 && !sizes.empty()) {
    // Neither replies nor pings are taken: it is cut within the longest of the limits' times.
    session.expect_end(60);
  } else {
    session.talk();
    if (how.end == 2) session.drain();
    if (how.end == 0) session.end_of_client();
    session.talk();
    if (how.end == 2) {
      require(session.heard_end || session.full());
      session.end_of_client();
      session.talk();
    }
    whole = session.heard_end;
    session.expect_end(60);
  }
  session.hear();
  const Heard heard(session.heard, whole);
  // A client that only ends its side may have ended in the middle of anything; all that was begun is completed unless
  // a Close frame says that it is not.
  if (whole && !heard.closed && how.end == 2) require(heard.begun == heard.replies.size());
  return heard.replies;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 10) return 0;
  const BytesView sizes(data, 8);
  const How how = how_of(data[8]);
  const BytesView raw(data + 9, size - 9);
  Source source(raw);
  const Bytes in = how.composed ? composed(source, how.dialect) : Bytes(raw.begin(), raw.end());
  How plain = how;
  plain.lazy = plain.narrow = plain.held = false;
  const std::vector<std::string> whole = run(plain, in, {});
  const std::vector<std::string> cut = run(how, in, sizes);
  // A connection that ends early leaves the last requests without a reply.
  const auto both = static_cast<std::ptrdiff_t>(std::min(whole.size(), cut.size()));
  require(std::equal(whole.begin(), whole.begin() + both, cut.begin()));
  return 0;
}
