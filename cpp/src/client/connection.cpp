#include "client/connection.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "rpc/dialect.hpp"

namespace simdrive::client {

using net::Clock;
using net::TimePoint;
using std::chrono::milliseconds;

namespace {

// How long a wait may go on before the caller's Interrupt is asked.
constexpr milliseconds kSlice{100};

// Messages of others that a caller sends after its own call is over.
constexpr int kFavoursMax = 16;

// Bit 31 belongs to the server; the rest is left for calls that start while the connection retires.
constexpr std::uint32_t kIdsEnd = 0x7fff'0000U;

std::uint64_t now_micros() noexcept {
  const auto t = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(t).count());
}

std::string dialect_name(rpc::Dialect d) { return d == rpc::Dialect::d13 ? "d13" : "d21"; }

}  // namespace

// ---- opening

Result<std::shared_ptr<Connection>> Connection::open(const Endpoint& endpoint, const Options& options,
                                                     TimePoint deadline, const Interrupt& interrupt) {
  std::shared_ptr<Connection> c(new Connection(options));
  net::StopRequest stop;
  if (interrupt.requested) stop = [&interrupt] { return interrupt.requested(interrupt.context); };
  auto ws = net::WebSocket::connect(endpoint.host, endpoint.port, endpoint.path, deadline, stop, *c);
  if (!ws) return std::move(ws).error();
  c->ws_ = std::move(ws).value();
  c->out_.reserve(rpc::kChunk + 256);
  c->probe_answer_.resize(rpc::ReplyReader::kBounce);
  if (auto r = c->probe(deadline, interrupt); !r) return std::move(r).error();
  c->last_traffic_ = c->last_received_ = Clock::now();
  return c;
}

// Nobody else knows the connection yet: no lock is needed. The probe is small enough for one send into an empty socket.
Result<void> Connection::probe(TimePoint deadline, const Interrupt& interrupt) {
  const BytesView message = rpc::kProbe;
  ws_->write({&message, 1});
  std::size_t have = 0;
  while (!probe_answered_ && !broken()) {
    while (ws_->has_send()) {
      const net::IoResult r = ws_->send_some();
      if (r.status == net::IoStatus::would_block) break;
      ws_->complete_send(r);
    }
    ws_->set_readable();
    have += ws_->receive_all();
    if (probe_answered_ || broken()) break;
    if (ws_->has_send() && have != 0) continue;
    const TimePoint now = Clock::now();
    if (now >= deadline) {
      return Error{Errc::connect_timeout, "the server did not answer the dialect probe; is it a SIMD R Drive server?"};
    }
    (void)net::wait(ws_->fd(), ws_->has_send(), nullptr, std::min(deadline, now + kSlice));
    if (interrupt.requested && interrupt.requested(interrupt.context)) {
      return Error{Errc::interrupted, "connecting was interrupted"};
    }
  }
  if (reader_) return {};
  Error e = broken_error_;
  if (e.code == Errc::connection_lost) {
    e = {Errc::protocol_mismatch, "the server did not answer the dialect probe: " + e.detail};
  }
  return e;
}

Result<void> Connection::judge_probe() {
  const auto found = rpc::judge_probe_answer(probe_answer_);
  if (!found) {
    return Error{Errc::protocol_mismatch,
                 "the answer to the dialect probe is neither d13 nor d21; is it a SIMD R Drive server?"};
  }
  dialect_ = *found;
  if (options_.wire != "auto" && options_.wire != dialect_name(dialect_)) {
    return Error{Errc::protocol_mismatch,
                 "the server speaks " + dialect_name(dialect_) + ", but wire=\"" + options_.wire + "\" was asked for"};
  }
  reader_.emplace(dialect_, *this);
  BytesView rest = probe_answer_;
  while (!rest.empty()) {
    const MutableBytes to = reader_->need();
    const std::size_t n = std::min(to.size(), rest.size());
    std::memcpy(to.data(), rest.data(), n);
    if (auto r = reader_->commit(n); !r) return r;
    rest = rest.subspan(n);
  }
  return {};
}

// ---- what the WebSocket asks and tells

MutableBytes Connection::need() {
  if (broken()) return {};
  if (reader_) return reader_->need();
  return MutableBytes(probe_answer_);
}

void Connection::received(std::size_t n, bool binary, bool message_done) {
  if (!binary || broken()) return;
  if (reader_) {
    if (auto r = reader_->commit(n); !r) break_connection(r.error());
    return;
  }
  // The answer is a few dozen bytes; a longer or a split first message is no answer of a real server.
  if (n == 0) return;
  if (!message_done) {
    break_connection({Errc::protocol_mismatch, "the answer to the dialect probe came in pieces or is too long"});
    return;
  }
  probe_answer_.resize(n);
  probe_answered_ = true;
  if (auto r = judge_probe(); !r) break_connection(r.error());
}

void Connection::broken(Error error) {
  const bool by_server = error.code == Errc::connection_lost;
  if (by_server && !broken()) ended_by_server_.store(true, std::memory_order_release);
  break_connection(error);
}

rpc::ReplySink* Connection::find(std::uint32_t request_id, std::uint64_t) {
  Call* c = slots_[request_id % kSlots];
  return c && c->request_id == request_id ? c : nullptr;
}

// ---- calls

Connection::Ran Connection::execute(Call& call) {
  Lock lock(mutex_);
  if (!admit(lock, call)) return call.done ? Ran::finished : Ran::not_started;
  enroll(call);
  if (!sending_ && !send_blocked_) send_queued(lock, call);
  wait_for(lock, call);
  return Ran::finished;
}

// Back-pressure: waits until one more call fits the limits. False: broken, or the deadline passed.
bool Connection::admit(Lock& lock, Call& call) {
  const std::uint64_t bytes = call.args->size();
  const auto fits = [&] {
    return !usable() || inflight_ == 0 ||
           (inflight_ < options_.max_inflight && inflight_bytes_ + bytes <= options_.max_inflight_bytes);
  };
  while (!fits()) {
    const TimePoint now = Clock::now();
    if (now >= call.deadline) {
      call.done = call.failed = true;
      call.error = {Errc::overload, std::to_string(inflight_) + " calls are in flight already"};
      return false;
    }
    ++waiting_for_room_;
    room_.wait_until(lock, std::min(call.deadline, now + kSlice));
    --waiting_for_room_;
    if (call.interrupt.requested) {
      check_interrupt(lock, call);
      if (call.done) return false;
    }
  }
  return usable();
}

void Connection::enroll(Call& call) {
  if (inflight_ == 0) heard_ = false;  // the request will carry the acknowledgement
  // Ids count up and are not reused on a connection; the slot of a call that is still under way is skipped.
  while (slots_[next_id_ % kSlots]) ++next_id_;
  call.start(*this, next_id_++);
  slots_[call.request_id % kSlots] = &call;
  ++inflight_;
  inflight_bytes_ += call.args->size();
  call.prev_active = nullptr;
  call.next_active = active_;
  if (active_) active_->prev_active = &call;
  active_ = &call;
  call.queued = true;
  call.next_queued = nullptr;
  call.prev_queued = queue_tail_;
  (queue_tail_ ? queue_tail_->next_queued : queue_head_) = &call;
  queue_tail_ = &call;
  if (inflight_ == 1) last_traffic_ = Clock::now();
  if (next_id_ >= kIdsEnd) retired_.store(true, std::memory_order_release);
}

void Connection::release(Call& call) {
  if (call.queued) unqueue(call);
  slots_[call.request_id % kSlots] = nullptr;
  (call.prev_active ? call.prev_active->next_active : active_) = call.next_active;
  if (call.next_active) call.next_active->prev_active = call.prev_active;
  --inflight_;
  inflight_bytes_ -= call.args->size();
  call.done = true;
  if (waiting_for_room_ != 0) room_.notify_all();
}

void Connection::unqueue(Call& call) {
  (call.prev_queued ? call.prev_queued->next_queued : queue_head_) = call.next_queued;
  (call.next_queued ? call.next_queued->prev_queued : queue_tail_) = call.prev_queued;
  call.queued = false;
}

void Connection::on_finished(Call& call) {
  proven_.store(true, std::memory_order_relaxed);
  timeouts_in_a_row_ = 0;
  const bool cut_off = call.queued;  // answered before it was sent whole
  release(call);
  if (leader_ != &call) call.wake.notify_one();
  if (cut_off && call.sent_any) break_connection({Errc::connection_lost, "the server answered half a request"});
}

void Connection::fail(Call& call, Error error) {
  error.outcome = call.sent_any ? Outcome::unknown : Outcome::not_applied;
  call.error = std::move(error);
  call.failed = true;
  release(call);
  call.wake.notify_one();
}

// Ends one call early. The connection stays if nothing of the call is half done on it.
void Connection::abandon(Call& call, Error error) {
  const bool timed_out = error.code == Errc::operation_timeout;
  const bool half_sent = call.sent_any && !call.sent_all;
  const bool refused = reader_->blocked() == &call;
  // A frame that nobody else can be waiting for counts as this call's.
  const bool half_received = !refused && (reader_->holds(&call) || (inflight_ == 1 && reader_->mid_frame()));
  if (refused) {
    reader_->drop(&call);
    if (auto r = reader_->resume(); !r) break_connection(r.error());
    if (call.done) return;
  }
  // Calls that were under way together count as one.
  const bool counts = timed_out && call.sent_any && call.request_id >= timeout_mark_;
  fail(call, std::move(error));
  if (half_sent || half_received) {
    break_connection({Errc::connection_lost, "another call ended in the middle of its transfer"});
  } else if (counts) {
    timeout_mark_ = next_id_;
    if (++timeouts_in_a_row_ >= 2) {
      break_connection({Errc::connection_lost, "the server let two calls in a row time out"});
    }
  }
}

void Connection::fail_all(const Error& error) {
  if (!broken()) {
    broken_error_ = error;
    broken_flag_.store(true, std::memory_order_release);
  }
  while (active_) fail(*active_, error);
  room_.notify_all();
}

void Connection::break_connection(const Error& error) {
  fail_all(error);
  if (ws_) ws_->shutdown();
}

// Once it is broken nobody else touches the socket, except a leader's poll(), which must be woken.
void Connection::close(const Error& reason, TimePoint deadline) noexcept {
  bool said = false;
  bool answers = false;
  {
    const Lock lock(mutex_);
    answers = timeouts_in_a_row_ == 0 && inflight_ == 0;
    said = !broken() && !sending_ && ws_->say_close();
    fail_all(reason);
    if (leader_sleeps_) wake_up_.signal();
  }
  if (said && answers) ws_->wait_for_end(deadline);
  const Lock lock(mutex_);
  ws_->shutdown();
}

// ---- sending

std::size_t Connection::framed_size(const Call& call) const {
  return 2 * rpc::header_size(dialect_) + rpc::kRpcHeader + call.args->size();
}

void Connection::send_queued(Lock& lock, const Call& self) {
  sending_ = true;
  int favours = 0;
  if (inflight_ > 1 && queue_head_) {
    // Threads that are about to call get their turn to queue: one message for all.
    lock.unlock();
    std::this_thread::yield();
    lock.lock();
  }
  while (!broken()) {
    if (!ws_->has_send()) {
      if (ws_->write_under_way()) {
        ws_->run();
        if (!ws_->has_send() && ws_->write_under_way()) break;
      } else if (!compose()) {
        break;
      }
      continue;
    }
    lock.unlock();
    const net::IoResult r = ws_->send_some();
    lock.lock();
    sends_.fetch_add(1, std::memory_order_relaxed);
    if (broken()) break;
    if (r.status == net::IoStatus::would_block) {
      send_blocked_ = true;
      if (leader_sleeps_) wake_up_.signal();
      break;
    }
    last_traffic_ = Clock::now();
    ws_->complete_send(r);
    if (last_traffic_ >= self.deadline || (self.done && ++favours > kFavoursMax)) {
      // The rest is somebody else's to send: whoever waits finds the socket writable.
      send_blocked_ = ws_->has_send() || ws_->write_under_way() || queue_head_;
      if (send_blocked_ && leader_sleeps_) wake_up_.signal();
      if (send_blocked_ && !leader_) pass_leadership();
      break;
    }
  }
  sending_ = false;
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
  while (queue_head_ && out_.size() + framed_size(*queue_head_) <= rpc::kChunk) append_request(*queue_head_);
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

// ---- waiting

void Connection::wait_for(Lock& lock, Call& call) {
  while (!call.done) {
    const TimePoint now = Clock::now();
    if (now >= call.deadline) {
      abandon(call, {Errc::operation_timeout, call.sent_any ? "no complete reply from the server in time"
                                                            : "the request could not be sent in time"});
      break;
    }
    if (now >= call.next_look && (call.interrupt.requested || call.progress.report)) {
      attend(lock, call, now);
      continue;
    }
    if (!leader_) leader_ = &call;
    if (leader_ == &call) {
      lead(lock, call, now);
    } else {
      follow(lock, call, now);
    }
  }
  if (leader_ == &call) pass_leadership();
}

void Connection::receive() {
  if (ws_->receive_all() != 0) {
    last_traffic_ = last_received_ = Clock::now();
    ping_sent_ = false;
    heard_ = true;
  }
}

void Connection::lead(Lock& lock, Call& call, TimePoint now) {
  receive();
  if (call.done) return;
  if (ws_->has_send() && !sending_ && !send_blocked_) {
    send_queued(lock, call);
    if (call.done) return;
  }
  if (auto* held = static_cast<Call*>(reader_->blocked())) {
    if (held == &call) return allocate(lock, call);
    leader_ = held;  // only the caller makes its own objects
    held->wake.notify_one();
    return;
  }
  if (now >= net::after(last_traffic_, options_.idle_timeout)) {
    break_connection({Errc::connection_lost, "the connection was silent for longer than idle_timeout"});
    return;
  }
  sleep(lock, call, now);
}

void Connection::sleep(Lock& lock, Call& call, TimePoint now) {
  // The peer may hold its next segment back until it hears of the last one: the rest of this reply, or this reply
  // behind the End of the one before. After silence there is nothing to acknowledge, and this would be waste.
  if (heard_) ws_->quick_ack();
  heard_ = false;
  TimePoint until = std::min(call.deadline, net::after(last_traffic_, options_.idle_timeout));
  const bool sliced = call.interrupt.requested != nullptr;
  if (call.progress.report) until = std::min(until, now + kSlice);
  if (sliced) until = std::min(until, now + kSlice);
  const bool want_write = send_blocked_;
  leader_sleeps_ = true;
  lock.unlock();
  const net::PollResult p = net::wait(ws_->fd(), want_write, &wake_up_, until);
  lock.lock();
  leader_sleeps_ = false;
  if (p.woken) wake_up_.drain();
  if (broken()) return;
  if (p.readable) ws_->set_readable();
  if (p.writable) {
    send_blocked_ = false;
    if (!sending_) send_queued(lock, call);
  }
  const bool quiet = !p.readable && !p.writable && !p.woken;
  if (sliced && quiet && !call.done) {
    pass_leadership();
    check_interrupt(lock, call);
  }
}

void Connection::follow(Lock& lock, Call& call, TimePoint now) {
  const bool sliced = call.interrupt.requested != nullptr;
  const TimePoint until = sliced ? std::min(call.deadline, now + kSlice) : call.deadline;
  call.waiting = true;
  bool timed_out = false;
  if (until == TimePoint::max()) {
    call.wake.wait(lock);
  } else {
    timed_out = call.wake.wait_until(lock, until) == std::cv_status::timeout;
  }
  call.waiting = false;
  if (timed_out && sliced && !call.done && leader_ != &call) check_interrupt(lock, call);
}

void Connection::check_interrupt(Lock& lock, Call& call) {
  lock.unlock();
  const bool stop = call.interrupt.requested(call.interrupt.context);
  lock.lock();
  if (!stop || call.done) return;
  Error e{Errc::interrupted, "the call was interrupted"};
  if (call.request_id != 0) {
    abandon(call, std::move(e));
  } else {
    call.done = call.failed = true;
    call.error = std::move(e);
  }
}

void Connection::report_progress(Lock& lock, Call& call) {
  const Call::Moved moved = call.moved();
  lock.unlock();
  const bool go_on = call.progress.report(call.progress.context, moved.done, moved.total);
  lock.lock();
  if (!go_on && !call.done) abandon(call, {Errc::interrupted, "the progress callback ended the call"});
}

// While bytes keep moving, no wait of this call ends for want of them. The caller's code may call the client again, so
// somebody else leads meanwhile.
void Connection::attend(Lock& lock, Call& call, TimePoint now) {
  call.next_look = now + kSlice;
  if (leader_ == &call) pass_leadership();
  if (call.interrupt.requested) check_interrupt(lock, call);
  if (call.progress.report && !call.done) report_progress(lock, call);
}

// Leadership is kept meanwhile: nobody reads on while the place for this reply is made.
void Connection::allocate(Lock& lock, Call& call) {
  lock.unlock();
  const bool placed = call.allocate();
  lock.lock();
  if (call.done) return;
  if (!placed) {
    call.values_refused = true;
    abandon(call, {Errc::out_of_memory, "the values could not be placed in memory"});
    return;
  }
  if (auto r = reader_->resume(); !r) break_connection(r.error());
}

// To a caller that waits. One that sends, or asks its Interrupt, takes the lead itself when it comes back.
void Connection::pass_leadership() noexcept {
  leader_ = active_;
  while (leader_ && !leader_->waiting) leader_ = leader_->next_active;
  if (leader_) leader_->wake.notify_one();
}

// ---- idle

void Connection::tick(TimePoint now) {
  const Lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock() || broken() || sending_ || leader_ || active_) return;
  ws_->set_readable();
  receive();
  if (broken()) return;
  if (now >= net::after(last_received_, options_.ping_timeout)) {
    break_connection({Errc::connection_lost, "the server did not answer pings"});
    return;
  }
  if (!ping_sent_ && now >= net::after(last_received_, options_.ping_interval)) {
    ping_sent_ = true;
    ws_->ping();
  }
  while (ws_->has_send()) {
    const net::IoResult r = ws_->send_some();
    if (r.status == net::IoStatus::would_block) break;
    ws_->complete_send(r);
  }
}

}  // namespace simdrive::client
