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

std::string dialect_name(rpc::Dialect d) { return std::string(rpc::name_of(d)); }

}  // namespace

// ---- opening

Result<std::shared_ptr<Connection>> Connection::open(const Endpoint& endpoint, const Options& options,
                                                     TimePoint deadline, const Interrupt& interrupt) {
  std::shared_ptr<Connection> c(new Connection(options));
  net::StopRequest stop;
  if (interrupt.requested) stop = [&interrupt] { return interrupt.requested(interrupt.context); };
  net::UpgradeHeaders headers;
  if (options.wire != "auto") headers.emplace_back(rpc::kWireHeader, options.wire);
  auto ws = endpoint.socket_path.empty()
                ? net::WebSocket::connect(endpoint.host, endpoint.port, endpoint.path, deadline, stop, *c, headers)
                : net::WebSocket::connect_unix(endpoint.socket_path, endpoint.path, deadline, stop, *c, headers);
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

Connection::Ran Connection::execute(Call& call, TimePoint now) {
  Lock lock(mutex_);
  if (!admit(lock, call, now)) return call.done ? Ran::finished : Ran::not_started;
  enroll(call, now);
  if (!sending_ && !send_blocked_) send_queued(lock, {.self = &call, .until = call.deadline, .now = now});
  wait_for(lock, call, std::max(now, last_traffic_));
  return Ran::finished;
}

bool Connection::fits(const Call& call) const {
  return inflight_ == 0 ||
         (inflight_ < options_.max_inflight && inflight_bytes_ + call.args->size() <= options_.max_inflight_bytes);
}

// Back-pressure: waits until one more call fits the limits. False: broken, or the deadline passed.
bool Connection::admit(Lock& lock, Call& call, TimePoint& now) {
  for (; usable() && !fits(call); now = Clock::now()) {
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

void Connection::enroll(Call& call, TimePoint now) {
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
  if (inflight_ == 1) last_traffic_ = now;
  if (next_id_ >= kRequestIdsEnd) retired_.store(true, std::memory_order_release);
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
  if (starved_) {
    starved_ = false;
    end_services();
  }
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
  announce(call);
  if (cut_off && call.sent_any) break_connection({Errc::connection_lost, "the server answered half a request"});
}

void Connection::fail(Call& call, Error error) {
  error.outcome = call.may_be_applied() ? Outcome::unknown : Outcome::not_applied;
  call.error = std::move(error);
  call.failed = true;
  release(call);
  announce(call);
}

void Connection::announce(Call& call) {
  if (call.completions) {
    if (call.placing) return;  // another thread is in it: allocate() announces it
    call.completions->completed(call);
    end_services();
  } else if (leader_ != &call) {
    call.wake.notify_one();
  }
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
  fail(call, std::move(error));
  if (half_sent || half_received) {
    break_connection({Errc::connection_lost, "another call ended in the middle of its transfer"});
  } else if (timed_out) {
    count_timeout(call);
  }
}

// Calls that were under way together count as one.
void Connection::count_timeout(const Call& call) {
  if (!call.sent_any || call.request_id < timeout_mark_) return;
  timeout_mark_ = next_id_;
  if (++timeouts_in_a_row_ >= 2) {
    break_connection({Errc::connection_lost, "two calls in a row got no reply in time"});
  }
}

void Connection::fail_all(const Error& error) {
  if (!broken()) {
    broken_error_ = error;
    broken_flag_.store(true, std::memory_order_release);
  }
  while (active_) fail(*active_, error);
  end_services();
  room_.notify_all();
}

void Connection::break_connection(const Error& error) {
  fail_all(error);
  if (ws_) ws_->shutdown();
}

// Once it is broken nobody else touches the socket, except a leader's poll(), which must be woken.
void Connection::close(const Error& reason, TimePoint deadline) noexcept {
  if (begin_close(reason)) {
    while (!ended() && Clock::now() < deadline) {
      if (net::wait(ws_->fd(), false, nullptr, deadline).interrupted) break;  // by a signal: somebody wants to leave
    }
  }
  end();
}

bool Connection::begin_close(const Error& reason) noexcept {
  const Lock lock(mutex_);
  const bool answers = timeouts_in_a_row_ == 0 && inflight_ == 0;
  const bool said = !broken() && !sending_ && ws_->say_close();
  fail_all(reason);
  if (leader_sleeps_) wake_up_.signal();
  return said && answers;
}

void Connection::end() noexcept {
  const Lock lock(mutex_);
  ws_->shutdown();
}

// ---- waiting

void Connection::wait_for(Lock& lock, Call& call, TimePoint now) {
  for (; !call.done; now = Clock::now()) {
    if (now >= call.deadline) {
      abandon(call, {Errc::operation_timeout, call.sent_any ? "no complete reply from the server in time"
                                                            : "the request could not be sent in time"});
      break;
    }
    if (now >= call.next_look && (call.interrupt.requested || call.progress.report)) {
      attend(lock, call);
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
  while (call.placing) call.wake.wait(lock);  // somebody still uses it
}

std::size_t Connection::receive(std::size_t max, TimePoint until) {
  const std::size_t got = ws_->receive_all(max, until);
  if (got != 0) {
    last_traffic_ = last_received_ = Clock::now();
    ping_sent_ = false;
    heard_ = true;
  }
  return got;
}

void Connection::lead(Lock& lock, Call& call, TimePoint now) {
  receive();
  if (call.done) return;
  if (ws_->has_send() && !sending_ && !send_blocked_) {
    send_queued(lock, {.self = &call, .until = call.deadline, .now = now});
    if (call.done) return;
  }
  if (auto* held = static_cast<Call*>(reader_->blocked())) {
    if (held->orphan) return abandon(*held, {Errc::interrupted, "nobody wants its value any more"});
    if (held == &call || held->completions || held->attending) return allocate(lock, *held);
    leader_ = held;  // a caller that can makes its own objects
    held->wake.notify_one();
    return;
  }
  if (now >= net::after(last_traffic_, options_.idle_timeout)) {
    break_connection({Errc::connection_lost, "the connection was silent for longer than idle_timeout"});
    return;
  }
  sleep(lock, call, now);
  if (leader_ == &call && !broken()) receive();
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
  // Nobody has to wake a thread that is alone, nor tell it of a socket that becomes writable. Who comes meanwhile sends
  // by itself (wait_to_send()), and who breaks the connection ends the receive.
  const bool alone = inflight_ == 1 && !services_ && !want_write && until - now >= net::kReceiveWait;
  const bool receives = alone && !call.progress.report && ws_->may_receive_ahead();
  (receives ? leader_receives_ : leader_sleeps_) = true;
  lock.unlock();
  net::PollResult p;
  if (receives) {
    p.readable = ws_->receive_ahead();
  } else {
    p = net::wait(ws_->fd(), want_write, &wake_up_, until);
  }
  lock.lock();
  leader_receives_ = leader_sleeps_ = false;
  if (p.woken) wake_up_.drain();
  if (broken()) return;
  if (p.readable) ws_->set_readable();
  if (p.writable) {
    send_blocked_ = false;
    if (!sending_) send_queued(lock, {.self = &call, .until = call.deadline, .now = Clock::now()});
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
  call.attending = true;
  lock.unlock();
  const bool stop = call.interrupt.requested(call.interrupt.context);
  lock.lock();
  call.attending = false;
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
  call.attending = true;
  lock.unlock();
  const bool go_on = call.progress.report(call.progress.context, moved.done, moved.total);
  lock.lock();
  call.attending = false;
  if (!go_on && !call.done) abandon(call, {Errc::interrupted, "the progress callback ended the call"});
}

// While bytes keep moving, no wait of this call ends for want of them. The caller's code may call the client again, so
// somebody else leads meanwhile.
void Connection::attend(Lock& lock, Call& call) {
  if (leader_ == &call) pass_leadership();
  if (call.interrupt.requested) check_interrupt(lock, call);
  if (call.progress.report && !call.done) report_progress(lock, call);
  call.next_look = Clock::now() + kSlice;  // what they took does not count: the call goes on in between
}

// Leadership is kept meanwhile: nobody reads on while the place for this reply is made. For a call whose own thread is
// in the caller's code, which may wait for other calls, another thread does it.
void Connection::allocate(Lock& lock, Call& call) {
  call.placing = true;
  lock.unlock();
  const bool placed = call.allocate();
  lock.lock();
  call.placing = false;
  call.wake.notify_one();
  if (call.done) {
    if (call.completions) announce(call);
    return;
  }
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
  for (Service* s = services_; s && !leader_; s = s->next) {
    if (s->call.waiting) leader_ = &s->call;
  }
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
