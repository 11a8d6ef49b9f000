// Connection for an event loop: nobody leads, nobody waits, the loop's thread calls pump().
#include <utility>

#include "client/connection.hpp"

namespace simdrive::client {

using net::TimePoint;

Connection::Started Connection::start(Call& call) {
  const Lock lock(mutex_);
  if (!usable()) return Started::not_usable;
  if (!fits(call)) return Started::no_room;
  enroll(call);
  return Started::queued;
}

void Connection::flush() {
  Lock lock(mutex_);
  if (!broken() && !sending_ && !send_blocked_) send_queued(lock, {.bytes = kPumpMax});
}

bool Connection::pump() {
  Lock lock(mutex_);
  if (broken()) return false;
  ws_->set_readable();
  std::size_t got = 0;
  for (;;) {
    got += receive(kPumpMax - got);
    auto* held = static_cast<Call*>(reader_->blocked());
    if (broken() || !held) break;
    if (held->orphan) {
      abandon(*held, {Errc::interrupted, "nobody wants its value any more"});
    } else {
      allocate(lock, *held);
    }
    if (broken() || got >= kPumpMax) break;
  }
  send_blocked_ = false;
  if (!broken() && !sending_) send_queued(lock, {.bytes = kPumpMax});
  if (broken()) return false;
  if (heard_ && active_) ws_->quick_ack();  // as in sleep()
  heard_ = false;
  return got >= kPumpMax;
}

bool Connection::wants_write() const {
  const Lock lock(mutex_);
  return send_blocked_ && !broken();
}

TimePoint Connection::silence_limit() const {
  if (broken() || !active_) return TimePoint::max();
  return net::after(last_traffic_, options_.idle_timeout);
}

TimePoint Connection::silent_at() const {
  const Lock lock(mutex_);
  return silence_limit();
}

void Connection::check_silence(TimePoint now) {
  const Lock lock(mutex_);
  if (now < silence_limit()) return;
  break_connection({Errc::connection_lost, "the connection was silent for longer than idle_timeout"});
}

// What is half done on the connection goes on, if the caller's memory allows that: others use it, too.
bool Connection::let_go(Call& call, Error error) {
  const Lock lock(mutex_);
  if (call.done) return true;
  const bool timed_out = error.code == Errc::operation_timeout;
  const bool half_sent = call.sent_any && !call.sent_all;
  const bool refused = reader_->blocked() == &call;
  if (refused || (half_sent && !call.args_stay)) {
    abandon(call, std::move(error));
    return true;
  }
  if (half_sent || reader_->holds(&call)) {
    call.orphan = true;
    if (timed_out) count_timeout(call);
    return call.done;
  }
  fail(call, std::move(error));
  if (timed_out) count_timeout(call);
  return true;
}

Call::Moved Connection::moved(const Call& call) const {
  const Lock lock(mutex_);
  return call.moved();
}

std::uint32_t Connection::inflight() const {
  const Lock lock(mutex_);
  return inflight_;
}

}  // namespace simdrive::client
