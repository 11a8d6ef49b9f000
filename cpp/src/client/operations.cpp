#include "client/operations.hpp"

#include <algorithm>
#include <chrono>

#include "codec/messages.hpp"
#include "simdrive/hash.hpp"

namespace simdrive {

std::shared_ptr<CallLimit> make_call_limit(std::uint32_t most) {
  return std::make_shared<CallLimit>(std::max<std::uint32_t>(most, 1));
}

}  // namespace simdrive

namespace simdrive::client {

using net::Clock;
using net::TimePoint;
using rpc::Method;
using Made = Operations::Made;

namespace {

// Operations kept for the next calls.
constexpr std::size_t kKept = 256;
constexpr std::chrono::milliseconds kProgressInterval{100};

}  // namespace

void Operations::completed(Call& call) noexcept {
  const std::lock_guard lock(over_mutex_);
  over_.push_back(*call.operation);
}

// ---- starting

template <class Encode>
Operation* Operations::make(Method method, Reply reply, const AsyncCallOptions& how, std::uint64_t payload_bytes,
                            Encode encode) {
  Operation* op = kept_.pop_front();
  if (op) {
    --kept_count_;
  } else {
    all_.push_back(std::make_unique<Operation>());
    op = all_.back().get();
    op->place = all_.size() - 1;
  }
  encode(op->args);
  op->prepare(method, reply, payload_bytes);
  op->tag = how.tag;
  op->limit = how.limit;
  op->started = Clock::now();
  Call& call = *op->call;
  call.deadline = net::after(op->started, how.timeout < 0 ? session_.options.timeout : how.timeout);
  call.completions = this;
  call.args_stay = how.args_stay;
  call.progress = how.progress;
  call.max_value_bytes = session_.options.max_value_size;
  return op;
}

Made Operations::begin(Operation& op) {
  using Started = Connection::Started;
  by_deadline_.add(op);
  op.state = Operation::State::waiting;
  const bool held = op.limit && op.limit->used >= op.limit->most;
  const bool comes_next = !held && waiting_.empty();
  const Started started = comes_next ? put_on_connection(op, may_wait_) : Started::no_room;
  if (started == Started::busy) {
    give_up(op);
    return nullptr;
  }
  session_.count_call();
  ++pending_;
  ++unknown_;
  pending_bytes_ += op.args.size();
  if (op.call->progress.report) {
    op.progress_due = op.started + kProgressInterval;
    progressing_.push_back(&op);
  }
  if (held) {
    op.state = Operation::State::held;
    op.limit->held.push_back(op);
    return &op;
  }
  if (op.limit) ++op.limit->used;
  if (started != Started::queued) {
    waiting_.push_back(op);
    // Its thread knows whether a connection is being made.
    if (comes_next && (!current_ || !current_->usable())) stir();
  }
  return &op;
}

// As if it had never been made.
void Operations::give_up(Operation& op) {
  by_deadline_.remove(op);
  op.reset();
  ++kept_count_;
  kept_.push_front(op);
}

Made Operations::write(BytesView key, BytesView payload, const AsyncCallOptions& how) {
  if (session_.is_closed()) return session_.closed_error();
  if (auto r = check_key(key, session_.options); !r) return std::move(r).error();
  if (auto r = check_payload(payload, session_.options); !r) return std::move(r).error();
  Operation* op = make(Method::write, Reply::number, how, payload.size(),
                       [&](Gather& args) { codec::encode_write_request(key, payload, args); });
  op->call->touches = Touches::one_key;
  op->call->key_hash = xxh3_64(key);
  return begin(*op);
}

Made Operations::batch_write(std::span<const KeyValue> entries, const AsyncCallOptions& how) {
  if (session_.is_closed()) return session_.closed_error();
  if (auto r = check_entries(entries, session_.options); !r) return std::move(r).error();
  std::uint64_t bytes = 0;
  for (const KeyValue& entry : entries) bytes += entry.payload.size();
  return begin(*make(Method::batch_write, Reply::number, how, bytes,
                     [&](Gather& args) { codec::encode_batch_write_request(entries, args); }));
}

Made Operations::read(BytesView key, const Receiver& receiver, const AsyncCallOptions& how) {
  if (session_.is_closed()) return session_.closed_error();
  if (auto r = check_key(key, session_.options); !r) return std::move(r).error();
  Operation* op =
      make(Method::read, Reply::values, how, 0, [&](Gather& args) { codec::encode_key_request(key, args); });
  op->call->touches = Touches::one_key;
  op->call->key_hash = xxh3_64(key);
  op->call->receiver = receiver;
  return begin(*op);
}

Made Operations::batch_read(std::span<const BytesView> keys, const Receiver& receiver, const AsyncCallOptions& how) {
  if (session_.is_closed()) return session_.closed_error();
  if (auto r = check_keys(keys, session_.options); !r) return std::move(r).error();
  Operation* op = make(Method::batch_read, Reply::values, how, 0,
                       [&](Gather& args) { codec::encode_batch_read_request(keys, args); });
  op->call->receiver = receiver;
  op->call->batch_count = keys.size();
  return begin(*op);
}

Made Operations::key_call(Method method, Reply reply, BytesView key, const AsyncCallOptions& how) {
  if (session_.is_closed()) return session_.closed_error();
  if (auto r = check_key(key, session_.options); !r) return std::move(r).error();
  Operation* op = make(method, reply, how, 0, [&](Gather& args) { codec::encode_key_request(key, args); });
  op->call->touches = Touches::one_key;
  op->call->key_hash = xxh3_64(key);
  return begin(*op);
}

Made Operations::number_call(Method method, Reply reply, const AsyncCallOptions& how) {
  if (session_.is_closed()) return session_.closed_error();
  return begin(*make(method, reply, how, 0, [](Gather&) {}));
}

Connection::Started Operations::put_on_connection(Operation& op, bool may_wait) {
  using Started = Connection::Started;
  if (!current_) return Started::not_usable;
  Call& call = *op.call;
  if (call.method == Method::read) {
    if (!op.room) op.room.reset(new ReadResult);
    call.single = op.result = op.room.get();
  }
  op.epoch = epoch_;
  const Started started = current_->start(call, may_wait);
  if (started != Started::queued) return started;
  op.state = Operation::State::active;
  ++op.tries;
  ++active_;
  return started;
}

void Operations::move_waiting() {
  while (!waiting_.empty()) {
    Operation& op = *waiting_.front();
    waiting_.remove(op);
    if (put_on_connection(op) == Connection::Started::queued) continue;
    waiting_.push_front(op);
    return;
  }
}

// ---- the connection

void Operations::adopt(TimePoint now) {
  if (session_.is_closed()) return;
  if (current_ && (current_->usable() || active_ != 0)) return;
  Error failure;
  bool fails = false;
  {
    const std::lock_guard lock(session_.mutex_);
    if (session_.connection_ && session_.connection_->usable()) {
      if (session_.connection_ != current_) change_connection(session_.connection_);
      seen_failures_ = session_.failed_tries_;
      return;
    }
    if (current_) change_connection(nullptr);
    if (!session_.connecting_) {
      if (!session_.ever_connected_) {  // the first connection is not tried again
        failure = session_.last_failure_;
        fails = true;
      } else if (auto r = session_.replace_connection(now); !r) {
        failure = std::move(r).error();
        fails = true;
      }
    }
    if (session_.failed_tries_ != seen_failures_) {
      seen_failures_ = session_.failed_tries_;
      if (!session_.waits_through(session_.last_failure_.code)) {
        failure = session_.last_failure_;
        fails = true;
      }
    }
  }
  if (fails) fail_waiting(failure, now);
}

void Operations::fail_waiting(const Error& error, TimePoint now) {
  while (Operation* op = waiting_.pop_front()) end_with(*op, error, now);
}

// ---- ending

// From a list of those that are on no connection.
void Operations::take_back(Operation& op) {
  if (op.state == Operation::State::held) {
    op.limit->held.remove(op);
  } else {
    waiting_.remove(op);
  }
}

// Whoever is held by the same limit comes next.
void Operations::outcome_known(Operation& op) {
  by_deadline_.remove(op);
  --unknown_;
  pending_bytes_ -= op.args.size();
  if (!op.limit || op.state == Operation::State::held) return;
  CallLimit& limit = *op.limit;
  --limit.used;
  if (Operation* next = limit.held.pop_front()) {
    ++limit.used;
    next->state = Operation::State::waiting;
    waiting_.push_back(*next);
  }
}

void Operations::end_with(Operation& op, Error error, TimePoint now) {
  Call& call = *op.call;
  if (op.tries != 0) {
    if (call.may_be_applied()) error.outcome = Outcome::unknown;
    if (error.cause.empty()) {
      error.cause = call.error.detail;
      error.cause_code = call.error.code;
    }
  }
  call.error = std::move(error);
  call.failed = true;
  end(op, now);
}

namespace {

void stamp(Operation& op, TimePoint now) {
  if (!op.failed) return;
  op.error.attempts = std::max(op.tries, 1U);
  op.error.elapsed = std::chrono::duration<double>(now - op.started).count();
}

}  // namespace

void Operations::end(Operation& op, TimePoint now) {
  Call& call = *op.call;
  // Nothing to receive, but the receiver still learns which keys were absent or empty.
  if (!op.told && !call.failed && call.method == Method::batch_read && !call.placed && !call.allocate()) {
    call.failed = true;
    call.error = {Errc::out_of_memory, "the values could not be placed in memory"};
  }
  if (!op.told) {
    op.take_outcome();
    outcome_known(op);
    stamp(op, now);
  } else {
    std::erase(lingering_, &op);  // nobody asked in between: once is enough
  }
  op.over = true;
  op.state = Operation::State::done;
  done_.push_back(op);
}

void Operations::collect(TimePoint now) {
  OperationList ended;
  {
    const std::lock_guard lock(over_mutex_);
    std::swap(ended, over_);
  }
  while (Operation* op = ended.pop_front()) {
    --active_;
    const Call& call = *op->call;
    const bool repeat = call.failed && !op->told && op->tries <= session_.options.retry.retries &&
                        session_.may_repeat(call) && now < call.deadline && !session_.is_closed();
    if (repeat) {
      op->state = Operation::State::waiting;
      waiting_.push_front(*op);  // the newest comes first, so the oldest ends up in front
    } else {
      end(*op, now);
    }
  }
}

void Operations::expire(TimePoint now) {
  // Those that end here were in the way of others until now.
  const std::uint32_t others = current_ && current_->usable() ? current_->inflight() : 0;
  while (!by_deadline_.empty() && by_deadline_.earliest().call->deadline <= now) {
    Operation& op = by_deadline_.earliest();
    if (op.state != Operation::State::active) {
      Error error = late(others);
      take_back(op);
      end_with(op, std::move(error), now);
      continue;
    }
    leave(op,
          {Errc::operation_timeout,
           op.call->sent_any ? "no complete reply from the server in time" : "the request could not be sent in time"},
          now);
  }
}

void Operations::leave(Operation& op, Error error, TimePoint now, bool tell) {
  outcome_known(op);
  op.told = true;
  op.failed = true;
  if (!on_this_side(op)) {
    --active_;
    if (op.call->may_be_applied()) error.outcome = Outcome::unknown;
    op.error = std::move(error);
    stamp(op, now);
    if (op.error.code == Errc::operation_timeout) op.error.code = Errc::connection_lost;
    end(op, now);
    return;
  }
  const Connection::LetGo gone = current_->let_go(*op.call, error);
  if (gone.may_be_applied) error.outcome = Outcome::unknown;
  op.error = std::move(error);
  stamp(op, now);
  if (!gone.over && tell) lingering_.push_back(&op);
}

Error Operations::late(std::uint32_t others) const {
  if (others != 0) return {Errc::overload, std::to_string(others) + " calls are in flight already"};
  const std::lock_guard lock(session_.mutex_);
  return session_.no_connection();
}

Outcome Operations::cancel(Operation& op) {
  if (op.told || op.state == Operation::State::done) return op.failed ? op.error.outcome : Outcome::unknown;
  const TimePoint now = Clock::now();
  Error error{Errc::interrupted, "the call was cancelled"};
  if (op.state == Operation::State::active) {
    leave(op, std::move(error), now, false);
    collect(now);
  } else {
    take_back(op);
    end_with(op, std::move(error), now);
  }
  if (!waiting_.empty()) stir();  // what it left room for can go
  return op.error.outcome;
}

bool Operations::take_away(Operation& op, Error error, TimePoint now) {
  switch (op.state) {
    case Operation::State::held:
    case Operation::State::waiting:
      if (op.call->may_be_applied()) return false;
      take_back(op);
      end_with(op, std::move(error), now);
      return true;
    case Operation::State::active: return on_this_side(op) && current_->withdraw(*op.call, std::move(error));
    default: return false;
  }
}

void Operations::discard(Operation& op) {
  const Error error{Errc::interrupted, "the pipeline was ended"};
  if (op.state == Operation::State::active) {
    if (on_this_side(op)) current_->discard(*op.call, error);
  } else {
    (void)take_away(op, error, Clock::now());
  }
}

void Operations::lose_all(const Error& error, TimePoint now) {
  over_ = {};
  for (const auto& each : all_) {
    Operation& op = *each;
    if (op.state == Operation::State::held || op.state == Operation::State::waiting) {
      take_back(op);
      end_with(op, error, now);
    } else if (op.state == Operation::State::active) {
      --active_;
      // A thread of the parent may have been writing to the call.
      const Method method = op.call->method;
      const Reply reply = op.call->reply;
      const TimePoint deadline = op.call->deadline;
      ::new (&op.call) std::optional<Call>();
      op.call.emplace(method, reply, op.args);
      op.call->deadline = deadline;
      op.call->error = error;
      op.call->failed = true;
      op.call->placed = true;
      end(op, now);
    }
  }
}

Operation* Operations::next_done() {
  if (!lingering_.empty()) {
    Operation* op = lingering_.back();
    lingering_.pop_back();
    return op;
  }
  return done_.pop_front();
}

void Operations::recycle(Operation& op) {
  --pending_;
  if (op.call->progress.report) std::erase(progressing_, &op);
  op.reset();
  if (kept_count_ != kKept) {
    ++kept_count_;
    kept_.push_front(op);
    return;
  }
  const std::size_t place = op.place;
  std::swap(all_[place], all_.back());
  all_[place]->place = place;
  all_.pop_back();
}

}  // namespace simdrive::client
