// Connection for calls that no thread waits for. In an event loop nobody leads, the loop's thread calls pump(); beside
// calls that wait, a thread in serve() leads and follows as they do.
#include <utility>

#include "client/connection.hpp"

namespace simdrive::client {

using net::TimePoint;

Connection::Started Connection::start(Call& call, bool may_wait) {
  Lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock()) {
    if (!may_wait) return Started::busy;
    lock.lock();
  }
  if (!usable()) return Started::not_usable;
  if (!fits(call)) {
    starved_ = true;
    return Started::no_room;
  }
  enroll(call, inflight_ == 0 ? net::Clock::now() : last_traffic_);
  if (services_) this->call(*services_);
  return Started::queued;
}

void Connection::flush() {
  Lock lock(mutex_);
  if (broken() || sending_ || send_blocked_) return;
  send_queued(lock, {.bytes = kPumpMax, .now = net::Clock::now()});
}

bool Connection::pump() {
  Lock lock(mutex_);
  if (broken()) return false;
  ws_->set_readable();
  std::size_t got = 0;
  bool enough = false;
  const TimePoint until = net::Clock::now() + kPumpTime;
  for (;;) {
    got += receive(kPumpMax - got, until);
    enough = got >= kPumpMax || (got != 0 && net::Clock::now() >= until);
    auto* held = static_cast<Call*>(reader_->blocked());
    if (broken() || !held) break;
    if (held->orphan) {
      abandon(*held, {Errc::interrupted, "nobody wants its value any more"});
    } else {
      allocate(lock, *held);
    }
    if (broken() || enough) break;
  }
  send_blocked_ = false;
  if (!broken() && !sending_) send_queued(lock, {.bytes = kPumpMax, .now = net::Clock::now()});
  if (broken()) return false;
  if (heard_ && active_) ws_->quick_ack();  // as in sleep()
  heard_ = false;
  return enough;
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
Connection::LetGo Connection::let_go(Call& call, Error error) {
  const Lock lock(mutex_);
  LetGo out{.may_be_applied = call.may_be_applied()};
  out.over = end_early(call, std::move(error));
  return out;
}

bool Connection::withdraw(Call& call, Error error) {
  const Lock lock(mutex_);
  if (call.done || call.may_be_applied()) return false;
  fail(call, std::move(error));
  return true;
}

void Connection::discard(Call& call, Error error) {
  Lock lock(mutex_);
  while (call.placing) call.wake.wait(lock);
  if (!call.done) abandon(call, std::move(error));
}

bool Connection::end_early(Call& call, Error error) {
  if (call.done) return !call.placing;
  const bool timed_out = error.code == Errc::operation_timeout;
  const bool half_sent = call.sent_any && !call.sent_all;
  if (call.placing) {  // by another thread: the call ends when it is through
    call.orphan = true;
    if (timed_out) count_timeout(call);
    return false;
  }
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

void Connection::serve(Service& service, TimePoint until, bool wants_room) {
  Lock lock(mutex_);
  if (wants_room && !starved_) return;
  Call& self = service.call;
  self.deadline = until;
  self.done = service.stirred.load();
  service.next = services_;
  services_ = &service;
  while (!self.done && !broken()) {
    service.called = false;
    if (queue_head_ && !sending_ && !send_blocked_) {
      send_queued(lock, {.self = &self, .until = until, .now = net::Clock::now()});
      continue;
    }
    const TimePoint now = net::Clock::now();
    if (now >= until) break;
    if (!leader_) leader_ = &self;
    if (leader_ == &self) {
      lead(lock, self, now);
    } else {
      follow(lock, self, now);
    }
  }
  Service** at = &services_;
  while (*at != &service) at = &(*at)->next;
  *at = service.next;
  if (leader_ == &self) pass_leadership();
}

// Out of its sleep, to look at what there is to do.
void Connection::call(Service& service) noexcept {
  const bool leads = leader_ == &service.call && leader_sleeps_;
  if (service.called || !(leads || service.call.waiting)) return;
  service.called = true;
  if (leads) {
    wake_up_.signal();
  } else {
    service.call.wake.notify_one();
  }
}

void Connection::stir(Service& service) noexcept {
  const Lock lock(mutex_);
  service.stirred.store(true);
  service.call.done = true;
  call(service);
}

void Connection::end_services() noexcept {
  for (Service* s = services_; s; s = s->next) {
    s->call.done = true;
    call(*s);
  }
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
