// The sending half of Connection: one sender at a time, who takes what others have queued along.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

#include "client/connection.hpp"
#include "rpc/dialect.hpp"

namespace simdrive::client {

using net::Clock;
using net::TimePoint;

namespace {

// Messages of others that a caller sends after its own call is over.
constexpr int kFavoursMax = 16;
// Turns that a caller gives to others before it sends.
constexpr int kTurnsMax = 16;
// They are over sooner than this, or a program that has nothing to do with us took one: then no more for a while.
constexpr std::chrono::milliseconds kTurnsTime{2};
constexpr std::chrono::milliseconds kTurnsPause{100};

std::uint64_t now_micros() noexcept {
  const auto t = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(t).count());
}

}  // namespace

std::size_t Connection::framed_size(const Call& call) const {
  return 2 * rpc::header_size(dialect_) + rpc::kRpcHeader + call.args->size();
}

void Connection::send_queued(Lock& lock, const SendLimits& limits) {
  sending_ = true;
  int favours = 0;
  std::size_t sent = 0;
  // Threads that are about to call get their turn to queue, as long as there are such: one message for all. Not while
  // other programs take the turns.
  if (limits.self && inflight_ > 1 && queue_head_ && limits.now >= turns_from_) {
    const Call* last = nullptr;
    for (int turns = 0; turns < kTurnsMax && queue_tail_ != last; ++turns) {
      last = queue_tail_;
      lock.unlock();
      std::this_thread::yield();
      lock.lock();
    }
    if (const TimePoint now = Clock::now(); now - limits.now > kTurnsTime) turns_from_ = now + kTurnsPause;
  }
  while (!broken()) {
    if (!ws_->has_send()) {
      if (!compose()) break;
      continue;
    }
    lock.unlock();
    const net::IoResult r = ws_->send_some();
    lock.lock();
    sends_.fetch_add(1, std::memory_order_relaxed);
    if (broken()) break;
    if (r.status == net::IoStatus::would_block) {
      if (leader_receives_ && limits.self && wait_to_send(lock)) continue;
      send_blocked_ = true;
      if (leader_sleeps_) wake_up_.signal();
      break;
    }
    ws_->complete_send(r);
    sent += r.bytes;
    if (!ws_->has_send() && !queue_head_) {
      last_traffic_ = std::max(last_traffic_, limits.now);  // all went at once: no need to look again
      break;
    }
    last_traffic_ = Clock::now();
    const bool enough = limits.self ? limits.self->done && ++favours > kFavoursMax : sent >= limits.bytes;
    if (enough || last_traffic_ >= limits.until) {
      // The rest is somebody else's to send: whoever waits finds the socket writable.
      send_blocked_ = true;
      if (leader_sleeps_) wake_up_.signal();
      if (!leader_) pass_leadership();
      break;
    }
  }
  sending_ = false;
}

// Where the leader cannot be told that the socket is to become writable. False: it has not.
bool Connection::wait_to_send(Lock& lock) {
  lock.unlock();
  const bool writable = net::wait(ws_->fd(), true, nullptr, Clock::now() + net::kReceiveWait).writable;
  lock.lock();
  return writable;
}

// Makes the next message; false when nothing is queued.
bool Connection::compose() {
  if (!queue_head_) return false;
  out_.clear();
  if (framed_size(*queue_head_) <= rpc::kChunk) {
    compose_small();
  } else {
    compose_chunk(*queue_head_);
  }
  ws_->write(pieces_);
  return true;
}

void Connection::compose_small() {
  order_.begin();
  while (queue_head_ && out_.size() + framed_size(*queue_head_) <= rpc::kChunk && order_.admit(*queue_head_)) {
    append_request(*queue_head_);
  }
  pieces_.assign(1, BytesView(out_));
}

// Open and End of a small request share a message: one send.
void Connection::append_request(Call& call) {
  const std::size_t start = out_.size();
  const auto size = static_cast<std::uint32_t>(call.args->size());
  const std::uint64_t stamp = dialect_ == rpc::Dialect::d21 ? now_micros() : 0;
  out_.resize(start + framed_size(call));
  std::uint8_t* p = out_.data() + start;
  const auto len = static_cast<std::uint32_t>(rpc::kRpcHeader + size);
  p += rpc::store_frame_header(p, dialect_, len, call.request_id, 0, rpc::Kind::open, stamp);
  rpc::store_rpc_header(p, rpc::MessageType::call, call.request_id, static_cast<std::uint64_t>(call.method),
                        static_cast<std::uint16_t>(size));
  p += rpc::kRpcHeader;
  for (BytesView r = call.cursor.take(size); !r.empty(); r = call.cursor.take(size)) {
    std::memcpy(p, r.data(), r.size());
    p += r.size();
  }
  rpc::store_frame_header(p, dialect_, 0, call.request_id, 1, rpc::Kind::end, stamp);
  call.sent_any = call.sent_all = true;
  unqueue(call);
}

// One 64 KiB frame of a large request, from the caller's own memory; the last short one takes End along.
void Connection::compose_chunk(Call& call) {
  constexpr std::size_t kJoinMax = 4096;
  const std::size_t header = rpc::header_size(dialect_);
  const bool first = call.next_seq == 0;
  const std::size_t size = call.args->size();
  const std::size_t room = rpc::kChunk - (first ? rpc::kRpcHeader : 0);
  const std::size_t body = std::min(room, call.cursor.remaining());
  const bool last = body == call.cursor.remaining();
  const bool with_end = last && body <= kJoinMax;
  const bool only_end = !first && body == 0;
  const std::uint64_t stamp = dialect_ == rpc::Dialect::d21 ? now_micros() : 0;
  out_.resize(2 * header + rpc::kRpcHeader);
  std::uint8_t* p = out_.data();
  pieces_.clear();
  if (!only_end) {
    const auto len = static_cast<std::uint32_t>(body + (first ? rpc::kRpcHeader : 0));
    p += rpc::store_frame_header(p, dialect_, len, call.request_id, call.next_seq++,
                                 first ? rpc::Kind::open : rpc::Kind::data, stamp);
    if (first) {
      const std::size_t meta = size < rpc::kMetadataLimit ? size : 0;
      rpc::store_rpc_header(p, rpc::MessageType::call, call.request_id, static_cast<std::uint64_t>(call.method),
                            static_cast<std::uint16_t>(meta));
      p += rpc::kRpcHeader;
    }
    pieces_.emplace_back(out_.data(), static_cast<std::size_t>(p - out_.data()));
    for (std::size_t left = body; left != 0;) {
      const BytesView r = call.cursor.take(left);
      pieces_.push_back(r);
      left -= r.size();
    }
  }
  call.sent_any = true;
  if (!with_end) return;
  const std::size_t n =
      rpc::store_frame_header(p, dialect_, 0, call.request_id, call.next_seq++, rpc::Kind::end, stamp);
  pieces_.emplace_back(p, n);
  call.sent_all = true;
  unqueue(call);
}

}  // namespace simdrive::client
