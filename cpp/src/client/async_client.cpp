#include "simdrive/async_client.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <new>
#include <utility>

#include "client/connection.hpp"
#include "client/operation.hpp"
#include "client/operations.hpp"
#include "client/session.hpp"
#include "client/url.hpp"
#include "simdrive/hash.hpp"

namespace simdrive {

using client::Call;
using client::Connection;
using client::Operation;
using client::Reply;
using net::Clock;
using net::TimePoint;
using rpc::Method;
using Made = Result<AsyncCall*>;

namespace {

constexpr std::chrono::milliseconds kProgressInterval{100};

}  // namespace

// Everything belongs to the loop's thread, but for what Session has and for completed().
struct AsyncClient::Impl final : client::Session, client::Operations {
  Impl(Options o, client::Endpoint e) : Session(std::move(o), std::move(e)), Operations(static_cast<Session&>(*this)) {}
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  ~Impl() override {
    // The connections know operations of ours: they go first.
    if (closing) current_->end();
    if (const auto last = detach()) last->close(closed_error(), Clock::now());
    if (current_) current_->close(closed_error(), Clock::now());
  }

  // ---- from other threads

  // In this order: a pump() in between may be called once more, but no signal stays that nobody takes.
  void on_change() noexcept override {
    wake_up.signal();
    woken.store(true);
  }

  // Calls on the connection that was left behind never end by themselves: see on_this_side().
  void after_fork_in_child() noexcept override {
    if (current_) current_->abandon_after_fork();
    for (const auto& c : previous) c->abandon_after_fork();
    Session::after_fork_in_child();
    // The parent sleeps on the old one.
    wake_up.~WakeUp();
    ::new (&wake_up) net::WakeUp;
    ::new (&over_mutex_) std::mutex;
    ::new (&current_) std::shared_ptr<Connection>();
    ::new (&previous) std::vector<std::shared_ptr<Connection>>();
    closing = false;
    ++epoch_;
    ++generation;
  }

  void stir() noexcept override { on_change(); }

  void change_connection(std::shared_ptr<Connection> next) override {
    if (current_) previous.push_back(std::move(current_));
    Operations::change_connection(std::move(next));
    ++generation;
  }

  void close() {
    if (is_closed()) return;
    const auto last = detach();
    if (last && last != current_) last->close(closed_error(), Clock::now());
    if (current_) {
      closing = current_->begin_close({Errc::closed, "the client was closed"});
      if (!closing) end_current();
    }
    const TimePoint now = Clock::now();
    collect(now);  // first: it moves calls that a limit held to those that wait
    fail_waiting(closed_error(), now);
  }

  void hear_out() {
    if (closing && current_->ended()) end_current();
  }

  bool withdraw(Operation& op) {
    const TimePoint now = Clock::now();
    if (op.told || !take_away(op, {Errc::interrupted, "the call was withdrawn"}, now)) return false;
    collect(now);
    if (!waiting_.empty()) on_change();
    return true;
  }

  void end_current() {
    current_->end();
    closing = false;
    change_connection(nullptr);
  }

  // ---- rounds

  void flush() {
    move_waiting();
    if (current_) current_->flush();
  }

  void pump() {
    if (woken.exchange(false)) wake_up.drain();
    TimePoint now = Clock::now();
    again = false;
    if (closing) {
      hear_out();
      return;
    }
    collect(now);  // of a connection that flush() found broken: its calls are not to be ended twice
    adopt(now);
    if (current_) {
      again = current_->pump();
      now = Clock::now();
      collect(now);  // before deadlines are looked at: what is here is not late
    }
    expire(now);
    if (current_) {
      current_->check_silence(now);
      report_progress(now);
    }
    collect(now);
    if (current_ && !current_->usable()) adopt(now);
    if (!waiting_.empty() && current_) {
      flush();
      collect(now);
    }
  }

  [[nodiscard]] bool reports(const Operation& op) const noexcept {
    return op.state == Operation::State::active && !op.told && on_this_side(op);
  }

  void report_progress(TimePoint now) {
    for (std::size_t i = 0; i < progressing_.size();) {
      Operation& op = *progressing_[i++];
      if (now < op.progress_due || !reports(op)) continue;
      op.progress_due = now + kProgressInterval;
      const Call::Moved moved = current_->moved(*op.call);
      if (!op.call->progress.report(op.call->progress.context, moved.done, moved.total)) {
        leave(op, {Errc::interrupted, "the progress callback ended the call"}, now);
      }
    }
  }

  AsyncWatch watch() {
    AsyncWatch w;
    if (current_) {
      w.socket = static_cast<std::int64_t>(current_->socket());
      w.writable = !closing && current_->wants_write();
    }
    w.again = again;
    TimePoint until = current_ && !closing ? current_->silent_at() : TimePoint::max();
    for (const Operation* op : progressing_) {
      if (!closing && reports(*op)) until = std::min(until, op->progress_due);
    }
    if (!by_deadline_.empty()) until = std::min(until, by_deadline_.earliest().call->deadline);
    if (until != TimePoint::max()) {
      w.seconds = std::max(0.0, std::chrono::duration<double>(until - Clock::now()).count());
    }
    w.generation = generation;
    return w;
  }

  std::atomic<bool> woken{false};
  net::WakeUp wake_up;

  std::vector<std::shared_ptr<Connection>> previous;  // until nobody watches them
  std::uint64_t generation = 0;
  bool closing = false;
  bool again = false;
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
  return impl_->write(key, payload, options);
}
Made AsyncClient::batch_write(std::span<const KeyValue> entries, const AsyncCallOptions& options) {
  return impl_->batch_write(entries, options);
}
Made AsyncClient::read(BytesView key, const Receiver& receiver, const AsyncCallOptions& options) {
  return impl_->read(key, receiver, options);
}
Made AsyncClient::batch_read(std::span<const BytesView> keys, const Receiver& receiver,
                             const AsyncCallOptions& options) {
  return impl_->batch_read(keys, receiver, options);
}
Made AsyncClient::erase(BytesView key, const AsyncCallOptions& options) {
  return impl_->key_call(Method::erase, Reply::number, key, options);
}
Made AsyncClient::exists(BytesView key, const AsyncCallOptions& options) {
  return impl_->key_call(Method::exists, Reply::flag, key, options);
}
Made AsyncClient::size(const AsyncCallOptions& options) {
  return impl_->number_call(Method::len, Reply::number, options);
}
Made AsyncClient::empty(const AsyncCallOptions& options) {
  return impl_->number_call(Method::is_empty, Reply::flag, options);
}
Made AsyncClient::file_size(const AsyncCallOptions& options) {
  return impl_->number_call(Method::file_size, Reply::number, options);
}

Outcome AsyncClient::cancel(AsyncCall* call) { return impl_->cancel(static_cast<Operation&>(*call)); }
bool AsyncClient::withdraw(AsyncCall* call) { return impl_->withdraw(static_cast<Operation&>(*call)); }
void AsyncClient::flush() { impl_->flush(); }
void AsyncClient::pump() { impl_->pump(); }
AsyncWatch AsyncClient::watch() { return impl_->watch(); }

void AsyncClient::unwatched() noexcept {
  for (const auto& c : impl_->previous) c->end();
  impl_->previous.clear();
}

std::int64_t AsyncClient::wake_up() const noexcept { return static_cast<std::int64_t>(impl_->wake_up.fd()); }
void AsyncClient::wake() noexcept { impl_->on_change(); }
AsyncCall* AsyncClient::next_done() { return impl_->next_done(); }
void AsyncClient::recycle(AsyncCall* call) { impl_->recycle(static_cast<Operation&>(*call)); }
std::size_t AsyncClient::pending() const noexcept { return impl_->Operations::pending(); }
bool AsyncClient::lone() const noexcept { return impl_->Operations::lone(); }

void AsyncClient::close() noexcept { impl_->close(); }
bool AsyncClient::close_ended() noexcept {
  impl_->hear_out();
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
