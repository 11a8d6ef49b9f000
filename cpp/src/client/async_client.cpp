#include "simdrive/async_client.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <new>
#include <utility>

#include "client/connection.hpp"
#include "client/operation.hpp"
#include "client/session.hpp"
#include "client/url.hpp"
#include "codec/messages.hpp"
#include "simdrive/hash.hpp"

namespace simdrive {

using client::Call;
using client::Connection;
using client::Operation;
using client::OperationList;
using client::Reply;
using net::Clock;
using net::TimePoint;
using rpc::Method;
using Made = Result<AsyncCall*>;

namespace {

// Operations kept for the next calls.
constexpr std::size_t kKept = 256;
constexpr std::chrono::milliseconds kProgressInterval{100};

}  // namespace

// Everything belongs to the loop's thread, but for what Session has and for `over`.
struct AsyncClient::Impl final : client::Session, client::Completions {
  using Session::Session;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  ~Impl() override {
    // The connections know operations of ours: they go first.
    if (closing) current->end();
    if (const auto last = detach()) last->close(closed_error(), Clock::now());
    if (current) current->close(closed_error(), Clock::now());
  }

  // ---- from other threads

  // In this order: a pump() in between may be called once more, but no signal stays that nobody takes.
  void on_change() noexcept override {
    wake_up.signal();
    woken.store(true);
  }

  void completed(Call& call) noexcept override {
    const std::lock_guard lock(over_mutex);
    over.push_back(*call.operation);
  }

  // Calls on the connection that was left behind never end by themselves: see on_this_side().
  void after_fork_in_child() noexcept override {
    if (current) current->abandon_after_fork();
    for (const auto& c : previous) c->abandon_after_fork();
    Session::after_fork_in_child();
    // The parent sleeps on the old one.
    wake_up.~WakeUp();
    ::new (&wake_up) net::WakeUp;
    ::new (&over_mutex) std::mutex;
    ::new (&watched_mutex) std::mutex;
    ::new (&current) std::shared_ptr<Connection>();
    ::new (&watched) std::shared_ptr<Connection>();
    ::new (&previous) std::vector<std::shared_ptr<Connection>>();
    closing = false;
    ++epoch;
    ++generation;
  }

  [[nodiscard]] bool on_this_side(const Operation& op) const noexcept { return op.epoch == epoch && current; }

  // ---- starting

  template <class Encode>
  Made make(Method method, Reply reply, const AsyncCallOptions& how, std::uint64_t payload_bytes, Encode encode) {
    if (is_closed()) return closed_error();
    Operation* op = kept.pop_front();
    if (op) {
      --kept_count;
    } else {
      all.push_back(std::make_unique<Operation>());
      op = all.back().get();
      op->place = all.size() - 1;
    }
    encode(op->args);
    op->prepare(method, reply, payload_bytes);
    op->tag = how.tag;
    op->started = Clock::now();
    Call& call = *op->call;
    call.deadline = net::after(op->started, how.timeout < 0 ? options.timeout : how.timeout);
    call.completions = this;
    call.args_stay = how.args_stay;
    call.progress = how.progress;
    call.max_value_bytes = options.max_value_size;
    return op;
  }

  Made begin(Made made) {
    if (!made) return made;
    auto& op = static_cast<Operation&>(*made.value());
    calls_.fetch_add(1, std::memory_order_relaxed);
    by_deadline.add(op);
    ++pending;
    if (op.call->progress.report) {
      op.progress_due = op.started + kProgressInterval;
      progressing.push_back(&op);
    }
    if (!waiting.empty() || !put_on_connection(op)) {
      op.state = Operation::State::waiting;
      const bool none = !current || !current->usable();
      if (none && waiting.empty()) on_change();  // pump() knows whether a connection is being made
      waiting.push_back(op);
    }
    return made;
  }

  Made begin_key(Method method, Reply reply, BytesView key, const AsyncCallOptions& how) {
    if (auto r = client::check_key(key, options); !r) return std::move(r).error();
    return begin(make(method, reply, how, 0, [&](Gather& args) { codec::encode_key_request(key, args); }));
  }

  Made begin_number(Method method, Reply reply, const AsyncCallOptions& how) {
    return begin(make(method, reply, how, 0, [](Gather&) {}));
  }

  bool put_on_connection(Operation& op) {
    if (!current) return false;
    Call& call = *op.call;
    if (call.method == Method::read) {
      if (!op.room) op.room.reset(new ReadResult);
      call.single = op.result = op.room.get();
    }
    if (current->start(call) != Connection::Started::queued) return false;
    op.state = Operation::State::active;
    op.epoch = epoch;
    ++op.tries;
    ++active;
    return true;
  }

  void move_waiting() {
    while (!waiting.empty()) {
      Operation& op = *waiting.front();
      waiting.remove(op);
      if (put_on_connection(op)) continue;
      waiting.push_front(op);
      return;
    }
  }

  // ---- the connection

  /// Takes the connection that Session has, or lets go of a broken one and has the next made.
  void adopt(TimePoint now) {
    if (is_closed()) return;
    if (current && !current->broken() && (current->usable() || current->inflight() != 0)) return;
    Error failure;
    bool fails = false;
    {
      const std::lock_guard lock(mutex_);
      if (connection_ && connection_->usable()) {
        if (connection_ != current) let_go_of(connection_);
        seen_failures = failed_tries_;
        return;
      }
      if (current) let_go_of(nullptr);
      if (!connecting_) {
        if (!ever_connected_) {  // the first connection is not tried again
          failure = last_failure_;
          fails = true;
        } else if (auto r = replace_connection(now); !r) {
          failure = std::move(r).error();
          fails = true;
        }
      }
      if (failed_tries_ != seen_failures) {
        seen_failures = failed_tries_;
        if (!waits_through(last_failure_.code)) {
          failure = last_failure_;
          fails = true;
        }
      }
    }
    if (fails) fail_waiting(failure, now);
  }

  void let_go_of(std::shared_ptr<Connection> next) {
    if (current) previous.push_back(std::move(current));
    current = std::move(next);
    ++generation;
  }

  void fail_waiting(const Error& error, TimePoint now) {
    while (Operation* op = waiting.pop_front()) end_with(*op, error, now);
  }

  // ---- ending

  /// An operation that is on no connection.
  void end_with(Operation& op, Error error, TimePoint now) {
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

  void end(Operation& op, TimePoint now) {
    Call& call = *op.call;
    // Nothing to receive, but the receiver still learns which keys were absent or empty.
    if (!op.told && !call.failed && call.method == Method::batch_read && !call.placed && !call.allocate()) {
      call.failed = true;
      call.error = {Errc::out_of_memory, "the values could not be placed in memory"};
    }
    if (!op.told) {
      op.take_outcome();
      by_deadline.remove(op);
      stamp(op, now);
    } else {
      std::erase(lingering, &op);  // nobody asked in between: once is enough
    }
    op.over = true;
    op.state = Operation::State::done;
    done.push_back(op);
  }

  static void stamp(Operation& op, TimePoint now) {
    if (!op.failed) return;
    op.error.attempts = std::max(op.tries, 1U);
    op.error.elapsed = std::chrono::duration<double>(now - op.started).count();
  }

  /// What the connection is through with: tried again, or done.
  void collect(TimePoint now) {
    OperationList ended;
    {
      const std::lock_guard lock(over_mutex);
      std::swap(ended, over);
    }
    while (Operation* op = ended.pop_front()) {
      --active;
      const Call& call = *op->call;
      const bool repeat = call.failed && !op->told && op->tries <= options.retry.retries && may_repeat(call) &&
                          now < call.deadline && !is_closed();
      if (repeat) {
        op->state = Operation::State::waiting;
        waiting.push_front(*op);  // the newest comes first, so the oldest ends up in front
      } else {
        end(*op, now);
      }
    }
  }

  void expire(TimePoint now) {
    while (!by_deadline.empty() && by_deadline.earliest().call->deadline <= now) {
      Operation& op = by_deadline.earliest();
      if (op.state == Operation::State::waiting) {
        waiting.remove(op);
        end_with(op, late(), now);
        continue;
      }
      leave(op,
            {Errc::operation_timeout,
             op.call->sent_any ? "no complete reply from the server in time" : "the request could not be sent in time"},
            now);
    }
  }

  /// Ends an active operation for its caller; the operation itself may have to stay.
  void leave(Operation& op, Error error, TimePoint now, bool tell = true) {
    if (op.call->may_be_applied()) error.outcome = Outcome::unknown;
    by_deadline.remove(op);
    op.told = true;
    op.failed = true;
    op.error = error;
    stamp(op, now);
    if (!on_this_side(op)) {
      --active;
      if (op.error.code == Errc::operation_timeout) op.error.code = Errc::connection_lost;
      end(op, now);
    } else if (!current->let_go(*op.call, std::move(error))) {
      if (tell) lingering.push_back(&op);
    }
  }

  Error late() const {
    const std::uint32_t others = current && current->usable() ? current->inflight() : 0;
    if (others != 0) return {Errc::overload, std::to_string(others) + " calls are in flight already"};
    const std::lock_guard lock(mutex_);
    return no_connection();
  }

  Outcome cancel(Operation& op) {
    if (op.told || op.state == Operation::State::done) return op.failed ? op.error.outcome : Outcome::unknown;
    const TimePoint now = Clock::now();
    Error error{Errc::interrupted, "the call was cancelled"};
    if (op.state == Operation::State::waiting) {
      waiting.remove(op);
      end_with(op, std::move(error), now);
    } else {
      leave(op, std::move(error), now, false);
      collect(now);
    }
    if (!waiting.empty()) on_change();  // what it left room for can go
    return op.error.outcome;
  }

  void close() {
    if (is_closed()) return;
    const auto last = detach();
    if (last && last != current) last->close(closed_error(), Clock::now());
    if (current) {
      closing = current->begin_close({Errc::closed, "the client was closed"});
      if (!closing) end_current();
    }
    const TimePoint now = Clock::now();
    fail_waiting(closed_error(), now);
    collect(now);
  }

  void end_current() {
    current->end();
    closing = false;
    let_go_of(nullptr);
  }

  // ---- rounds

  void flush() {
    move_waiting();
    if (current) current->flush();
  }

  void pump() {
    if (woken.exchange(false)) wake_up.drain();
    TimePoint now = Clock::now();
    again = false;
    if (closing) {
      if (current->ended()) end_current();
      return;
    }
    collect(now);  // of a connection that flush() found broken: its calls are not to be ended twice
    adopt(now);
    if (current) {
      again = current->pump();
      now = Clock::now();
      collect(now);  // before deadlines are looked at: what is here is not late
    }
    expire(now);
    if (current) {
      current->check_silence(now);
      report_progress(now);
    }
    collect(now);
    if (current && !current->usable()) adopt(now);
    if (!waiting.empty() && current) {
      flush();
      collect(now);
    }
  }

  [[nodiscard]] bool reports(const Operation& op) const noexcept {
    return op.state == Operation::State::active && !op.told && on_this_side(op);
  }

  void report_progress(TimePoint now) {
    for (std::size_t i = 0; i < progressing.size();) {
      Operation& op = *progressing[i++];
      if (now < op.progress_due || !reports(op)) continue;
      op.progress_due = now + kProgressInterval;
      const Call::Moved moved = current->moved(*op.call);
      if (!op.call->progress.report(op.call->progress.context, moved.done, moved.total)) {
        leave(op, {Errc::interrupted, "the progress callback ended the call"}, now);
      }
    }
  }

  AsyncWatch watch() {
    AsyncWatch w;
    if (current) {
      w.socket = static_cast<std::int64_t>(current->socket());
      w.writable = !closing && current->wants_write();
    }
    w.again = again;
    TimePoint until = current && !closing ? current->silent_at() : TimePoint::max();
    for (const Operation* op : progressing) {
      if (!closing && reports(*op)) until = std::min(until, op->progress_due);
    }
    if (!by_deadline.empty()) until = std::min(until, by_deadline.earliest().call->deadline);
    if (until != TimePoint::max()) {
      w.seconds = std::max(0.0, std::chrono::duration<double>(until - Clock::now()).count());
    }
    w.generation = generation;
    const std::lock_guard lock(watched_mutex);
    watched = current;
    watched_write = w.writable;
    return w;
  }

  void wait(TimePoint until) {
    std::shared_ptr<Connection> c;
    bool writable = false;
    {
      const std::lock_guard lock(watched_mutex);
      c = watched;
      writable = watched_write;
    }
    if (c) {
      (void)net::wait(c->socket(), writable, &wake_up, until);
    } else {
      (void)net::wait(wake_up.fd(), false, nullptr, until);
    }
  }

  AsyncCall* next_done() {
    if (!lingering.empty()) {
      Operation* op = lingering.back();
      lingering.pop_back();
      return op;
    }
    return done.pop_front();
  }

  void recycle(Operation& op) {
    --pending;
    if (op.call->progress.report) std::erase(progressing, &op);
    op.reset();
    if (kept_count != kKept) {
      ++kept_count;
      kept.push_front(op);
      return;
    }
    const std::size_t place = op.place;
    std::swap(all[place], all.back());
    all[place]->place = place;
    all.pop_back();
  }

  std::atomic<bool> woken{false};
  net::WakeUp wake_up;
  std::mutex over_mutex;
  OperationList over;

  std::mutex watched_mutex;
  std::shared_ptr<Connection> watched;
  bool watched_write = false;

  std::shared_ptr<Connection> current;
  std::vector<std::shared_ptr<Connection>> previous;  // until nobody watches them
  std::uint64_t generation = 0;
  std::uint64_t seen_failures = 0;
  std::uint32_t epoch = 0;
  bool closing = false;
  bool again = false;

  std::vector<std::unique_ptr<Operation>> all;
  OperationList waiting;  // for a connection, or for room on it
  OperationList done;
  OperationList kept;
  std::size_t kept_count = 0;
  std::size_t pending = 0;
  std::size_t active = 0;
  client::Deadlines by_deadline;
  std::vector<Operation*> progressing;
  std::vector<Operation*> lingering;  // their callers are to be told before they are over
};

AsyncClient::AsyncClient(std::shared_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
AsyncClient::~AsyncClient() { impl_->close(); }

Result<std::unique_ptr<AsyncClient>> AsyncClient::open(Options options) {
  if (auto r = check_hash_backend(); !r) return std::move(r).error();
  if (auto r = client::check_options(options); !r) return std::move(r).error();
  auto endpoint = client::parse_url(options.url);
  if (!endpoint) return std::move(endpoint).error();
  auto impl = std::make_shared<Impl>(std::move(options), std::move(endpoint).value());
  if (auto r = impl->start_connecting(); !r) return std::move(r).error();
  return std::unique_ptr<AsyncClient>(new AsyncClient(std::move(impl)));
}

Result<bool> AsyncClient::connected() { return impl_->connected(); }

Made AsyncClient::write(BytesView key, BytesView payload, const AsyncCallOptions& options) {
  if (auto r = client::check_key(key, impl_->options); !r) return std::move(r).error();
  if (auto r = client::check_payload(payload, impl_->options); !r) return std::move(r).error();
  return impl_->begin(impl_->make(Method::write, Reply::number, options, payload.size(),
                                  [&](Gather& args) { codec::encode_write_request(key, payload, args); }));
}

Made AsyncClient::batch_write(std::span<const KeyValue> entries, const AsyncCallOptions& options) {
  if (auto r = client::check_entries(entries, impl_->options); !r) return std::move(r).error();
  std::uint64_t bytes = 0;
  for (const KeyValue& entry : entries) bytes += entry.payload.size();
  return impl_->begin(impl_->make(Method::batch_write, Reply::number, options, bytes,
                                  [&](Gather& args) { codec::encode_batch_write_request(entries, args); }));
}

Made AsyncClient::read(BytesView key, const Receiver& receiver, const AsyncCallOptions& options) {
  if (auto r = client::check_key(key, impl_->options); !r) return std::move(r).error();
  auto made =
      impl_->make(Method::read, Reply::values, options, 0, [&](Gather& args) { codec::encode_key_request(key, args); });
  if (made) static_cast<Operation*>(made.value())->call->receiver = receiver;
  return impl_->begin(std::move(made));
}

Made AsyncClient::batch_read(std::span<const BytesView> keys, const Receiver& receiver,
                             const AsyncCallOptions& options) {
  if (auto r = client::check_keys(keys, impl_->options); !r) return std::move(r).error();
  auto made = impl_->make(Method::batch_read, Reply::values, options, 0,
                          [&](Gather& args) { codec::encode_batch_read_request(keys, args); });
  if (made) {
    Call& call = *static_cast<Operation*>(made.value())->call;
    call.receiver = receiver;
    call.batch_count = keys.size();
  }
  return impl_->begin(std::move(made));
}

Made AsyncClient::erase(BytesView key, const AsyncCallOptions& options) {
  return impl_->begin_key(Method::erase, Reply::number, key, options);
}
Made AsyncClient::exists(BytesView key, const AsyncCallOptions& options) {
  return impl_->begin_key(Method::exists, Reply::flag, key, options);
}
Made AsyncClient::size(const AsyncCallOptions& options) {
  return impl_->begin_number(Method::len, Reply::number, options);
}
Made AsyncClient::empty(const AsyncCallOptions& options) {
  return impl_->begin_number(Method::is_empty, Reply::flag, options);
}
Made AsyncClient::file_size(const AsyncCallOptions& options) {
  return impl_->begin_number(Method::file_size, Reply::number, options);
}

Outcome AsyncClient::cancel(AsyncCall* call) { return impl_->cancel(static_cast<Operation&>(*call)); }
void AsyncClient::flush() { impl_->flush(); }
void AsyncClient::pump() { impl_->pump(); }
AsyncWatch AsyncClient::watch() { return impl_->watch(); }

void AsyncClient::unwatched() noexcept {
  for (const auto& c : impl_->previous) c->end();
  impl_->previous.clear();
}

std::int64_t AsyncClient::wake_up() const noexcept { return static_cast<std::int64_t>(impl_->wake_up.fd()); }
void AsyncClient::wait(double seconds) { impl_->wait(net::after(Clock::now(), seconds)); }
void AsyncClient::wake() noexcept { impl_->on_change(); }
AsyncCall* AsyncClient::next_done() { return impl_->next_done(); }
void AsyncClient::recycle(AsyncCall* call) { impl_->recycle(static_cast<Operation&>(*call)); }
std::size_t AsyncClient::pending() const noexcept { return impl_->pending; }
bool AsyncClient::lone() const noexcept { return impl_->active == 1 && impl_->waiting.empty(); }

void AsyncClient::close() noexcept { impl_->close(); }
bool AsyncClient::close_ended() noexcept {
  if (impl_->closing && impl_->current->ended()) impl_->end_current();
  return !impl_->closing;
}
bool AsyncClient::closed() const noexcept { return impl_->is_closed(); }

std::string AsyncClient::dialect() const {
  const auto c = impl_->connection();
  return c ? client::dialect_name(*c) : std::string();
}
const Options& AsyncClient::options() const noexcept { return impl_->options; }
const std::string& AsyncClient::endpoint() const noexcept { return impl_->name; }
ClientCounters AsyncClient::counters() const noexcept { return impl_->counters(); }
bool AsyncClient::has_events() const noexcept { return impl_->has_events(); }
std::vector<Event> AsyncClient::take_events() { return impl_->take_events(); }

}  // namespace simdrive
