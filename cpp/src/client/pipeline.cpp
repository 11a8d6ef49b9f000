#include "simdrive/pipeline.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <utility>

#include "client/connection.hpp"
#include "client/operations.hpp"
#include "client/session.hpp"

namespace simdrive {

using client::Call;
using client::Connection;
using client::Operation;
using client::Operations;
using client::Reply;
using client::Service;
using client::Session;
using net::Clock;
using net::TimePoint;
using rpc::Method;
using std::chrono::milliseconds;
using Made = Result<AsyncCall*>;

namespace {

// How long the thread stays for the next call.
constexpr std::chrono::seconds kLinger{1};
// How long what is done is left to those who attend.
constexpr milliseconds kGrace{5};
constexpr milliseconds kSlice{100};
constexpr double kBehindMax = 3600;

}  // namespace

// The mutex guards all that Operations has. It is held for steps in memory only, and never while Python's lock is asked
// for. Order: this one, then those of the session and the connection, then over_mutex_.
struct Pipeline::Impl final : Operations, client::ForkAware, std::enable_shared_from_this<Impl> {
  using Lock = std::unique_lock<std::mutex>;

  explicit Impl(std::shared_ptr<Session> s) : Operations(*s), owner(std::move(s)), service(new Service) {
    register_fork_aware(*this);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() { unregister_fork_aware(*this); }

  // Under the mutex of the connection.
  void completed(Call& call) noexcept override {
    Operations::completed(call);
    service->stirred.store(true);
  }

  void stir() noexcept override {
    service->stirred.store(true);
    if (current_) {
      current_->stir(*service);
    } else {
      session_.wake_waiting();
    }
  }

  // ---- fork()

  void before_fork() noexcept override {
    mutex.lock();
    over_mutex_.lock();
    spent_mutex.lock();
  }

  void after_fork_in_parent() noexcept override {
    spent_mutex.unlock();
    over_mutex_.unlock();
    mutex.unlock();
  }

  // The parent goes on with the calls. Here nobody will: they end, and what the other threads of the parent may have
  // been writing to is left alone.
  void after_fork_in_child() noexcept override {
    ::new (&mutex) std::mutex;
    ::new (&over_mutex_) std::mutex;
    ::new (&spent_mutex) std::mutex;
    for (auto* c : {&more, &room, &attended, &behind}) ::new (c) std::condition_variable;
    if (current_) current_->abandon_after_fork();
    ::new (&current_) std::shared_ptr<Connection>();
    ::new (&service) std::unique_ptr<Service>(std::make_unique<Service>());
    running = idle = false;
    waiter.store(false);
    attending.store(0);
    room_waiters = 0;
    const Error lost{Errc::connection_lost, "the process was forked while the call was under way", Outcome::unknown};
    lose_all(lost, Clock::now());
    any_done.store(has_done());
  }

  // ---- starting

  // `fits`: what is wrong with the arguments is told without waiting for room.
  template <class Start>
  Made start(std::uint64_t bytes, const PipelineOptions& how, Result<void> fits, Start begin) {
    if (!fits && !session_.is_closed()) return std::move(fits).error();
    const TimePoint now = Clock::now();
    AsyncCallOptions options{.timeout = how.timeout < 0 ? session_.options.timeout : how.timeout,
                             .tag = how.tag,
                             .args_stay = how.args_stay,
                             .limit = how.limit};
    const TimePoint deadline = net::after(now, options.timeout);
    Lock lock(mutex, std::defer_lock);
    if (how.may_wait) {
      lock.lock();
    } else if (!lock.try_lock()) {
      return nullptr;
    }
    if (!has_room(bytes, how)) {
      if (!how.may_wait) return nullptr;
      if (auto r = wait_for_room(lock, bytes, how, deadline); !r) {
        r.error().elapsed = std::chrono::duration<double>(Clock::now() - now).count();
        return std::move(r).error();
      }
      options.timeout = std::max(0.0, std::chrono::duration<double>(deadline - Clock::now()).count());
      if (deadline == TimePoint::max()) options.timeout = kNoLimit;
    }
    if (auto r = start_thread(); !r) return std::move(r).error();
    // Here, so that no call of the client's that this thread makes next comes first.
    if (waiting_.empty() && !(current_ && current_->usable())) {
      if (!how.may_wait) return nullptr;
      adopt(now);
    }
    take_spent();
    may_wait_ = how.may_wait;
    Made made = begin(options);
    may_wait_ = true;
    if (!made || !made.value()) return made;
    // The thread sleeps until the earliest deadline that it knows of.
    auto& op = static_cast<Operation&>(*made.value());
    if (&by_deadline_.earliest() == &op) stir();
    if (idle) more.notify_one();
    return made;
  }

  [[nodiscard]] Result<void> fits(BytesView key) const { return client::check_key(key, session_.options); }
  [[nodiscard]] Result<void> fits(BytesView key, BytesView payload) const {
    auto ok = fits(key);
    return ok ? client::check_payload(payload, session_.options) : ok;
  }

  [[nodiscard]] bool has_room(std::uint64_t bytes, const PipelineOptions& how) const {
    if (session_.is_closed() || unknown() == 0) return true;
    if (how.limit && how.limit->used >= how.limit->most) return false;
    return unknown() < session_.options.max_inflight && pending_bytes_ + bytes <= session_.options.max_inflight_bytes;
  }

  Result<void> wait_for_room(Lock& lock, std::uint64_t bytes, const PipelineOptions& how, TimePoint deadline) {
    ++room_waiters;
    Result<void> out;
    while (!has_room(bytes, how)) {
      const TimePoint now = Clock::now();
      if (now >= deadline) {
        out = Error{Errc::overload, std::to_string(unknown()) + " calls are in flight already"};
        break;
      }
      room.wait_until(lock, std::min(deadline, now + kSlice));
      if (!how.interrupt.requested || has_room(bytes, how)) continue;
      lock.unlock();
      const bool stop = how.interrupt.requested(how.interrupt.context);
      lock.lock();
      if (!stop) continue;
      out = Error{Errc::interrupted, "waiting for room for another call was interrupted"};
      break;
    }
    --room_waiters;
    return out;
  }

  Result<void> start_thread() {
    if (running) return {};
    try {
      std::thread([self = shared_from_this()] { self->run(); }).detach();
    } catch (const std::system_error& e) {
      return Error{Errc::out_of_memory, std::string("no thread could be started to send and receive: ") + e.what()};
    }
    running = true;
    return {};
  }

  // ---- the thread

  void run() noexcept {
    Lock lock(mutex);
    for (;;) {
      service->stirred.store(false);
      try {
        look_around(Clock::now());
      } catch (const std::bad_alloc&) {
        // What there was no memory for is tried again in a moment.
        more.wait_for(lock, milliseconds(10));
        continue;
      }
      if (ended) break;
      if (active() == 0 && waiting_.empty()) {
        idle = true;
        const bool called =
            more.wait_for(lock, kLinger, [this] { return ended || active() != 0 || !waiting_.empty(); });
        idle = false;
        if (called) continue;
        break;
      }
      const TimePoint until = by_deadline_.empty() ? TimePoint::max() : by_deadline_.earliest().call->deadline;
      const auto connection = current_;
      if (connection && connection->broken()) {  // another thread is about to let go of a call of ours
        more.wait_for(lock, milliseconds(1));
        continue;
      }
      const bool wants_room = !waiting_.empty();
      Service& mine = *service;
      lock.unlock();
      if (connection) {
        connection->serve(mine, until, wants_room);
      } else {
        session_.wait_for_connection(until, mine.stirred);
      }
      lock.lock();
    }
    running = false;
  }

  void look_around(TimePoint now) {
    collect(now);
    if (session_.is_closed()) fail_waiting(session_.closed_error(), now);
    adopt(now);
    expire(now);
    move_waiting();
    collect(now);
    tell();
  }

  void tell() {
    if (room_waiters != 0) room.notify_all();
    any_done.store(has_done());
    if (!has_done()) return;
    if (waiter.load()) {
      attended.notify_one();
    } else {
      behind.notify_one();
    }
  }

  // ---- ending

  bool withdraw(Operation& op) {
    const Lock lock(mutex);
    const TimePoint now = Clock::now();
    if (op.told || !take_away(op, {Errc::interrupted, "the call was withdrawn"}, now)) return false;
    collect(now);
    if (!waiting_.empty()) stir();
    tell();
    return true;
  }

  std::size_t take(std::span<Done> out) {
    const Lock lock(mutex);
    take_spent();
    ++handed_out;
    std::size_t n = 0;
    while (n != out.size()) {
      Operation* op = next_done();
      if (!op) break;
      out[n++] = {op, op->over};
    }
    any_done.store(has_done());
    return n;
  }

  void take_spent() {
    client::OperationList list;
    {
      const std::lock_guard lock(spent_mutex);
      std::swap(list, spent);
    }
    while (Operation* op = list.pop_front()) recycle(*op);
  }

  Waited wait(double seconds) {
    Lock lock(mutex);
    if (waiter.load()) return Waited::taken;
    const TimePoint until = net::after(Clock::now(), seconds);
    waiter.store(true);
    nudged = false;
    while (!has_done() && !nudged) {
      if (until == TimePoint::max()) {
        attended.wait(lock);
      } else if (attended.wait_until(lock, until) == std::cv_status::timeout) {
        break;
      }
    }
    waiter.store(false);
    return has_done() || nudged ? Waited::done : Waited::timeout;
  }

  void nudge() {
    const Lock lock(mutex);
    nudged = true;
    attended.notify_one();
  }

  Waited wait_behind(double seconds) {
    Lock lock(mutex);
    const TimePoint until = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                               std::chrono::duration<double>(std::min(seconds, kBehindMax)));
    for (;;) {
      while (!has_done()) {
        if (behind.wait_until(lock, until) == std::cv_status::timeout && !has_done()) return Waited::timeout;
      }
      if (attending.load() == 0) return Waited::done;
      const std::uint64_t before = handed_out;
      behind.wait_for(lock, kGrace, [this] { return attending.load() == 0; });
      if (has_done() && handed_out == before) return Waited::done;
      if (Clock::now() >= until) return has_done() ? Waited::done : Waited::timeout;
    }
  }

  void end() {
    Lock lock(mutex);
    ended = true;
    for (const auto& op : all_) discard(*op);
    stir();
    more.notify_all();
  }

  const std::shared_ptr<Session> owner;
  mutable std::mutex mutex;
  std::condition_variable more;  // calls, for the thread
  std::condition_variable room;
  std::condition_variable attended;
  std::condition_variable behind;
  std::unique_ptr<Service> service;
  bool running = false;
  bool ended = false;
  bool idle = false;  // the thread waits for calls
  bool nudged = false;
  std::atomic<bool> waiter{false};  // somebody sleeps on `attended`
  std::atomic<bool> any_done{false};
  std::atomic<std::uint32_t> attending{0};
  std::uint32_t room_waiters = 0;
  std::uint64_t handed_out = 0;
  std::mutex spent_mutex;
  client::OperationList spent;  // recycled by their callers
};

Pipeline::Pipeline(const Client& client) : impl_(std::make_shared<Impl>(client.session())) {}
Pipeline::~Pipeline() { impl_->end(); }

Made Pipeline::write(BytesView key, BytesView payload, const PipelineOptions& options) {
  return impl_->start(key.size() + payload.size(), options, impl_->fits(key, payload),
                      [&](const AsyncCallOptions& how) { return impl_->Operations::write(key, payload, how); });
}

Made Pipeline::batch_write(std::span<const KeyValue> entries, const PipelineOptions& options) {
  std::uint64_t bytes = 0;
  for (const KeyValue& entry : entries) bytes += entry.key.size() + entry.payload.size();
  return impl_->start(bytes, options, client::check_entries(entries, impl_->owner->options),
                      [&](const AsyncCallOptions& how) { return impl_->Operations::batch_write(entries, how); });
}

Made Pipeline::read(BytesView key, const Receiver& receiver, const PipelineOptions& options) {
  return impl_->start(key.size(), options, impl_->fits(key),
                      [&](const AsyncCallOptions& how) { return impl_->Operations::read(key, receiver, how); });
}

Made Pipeline::batch_read(std::span<const BytesView> keys, const Receiver& receiver, const PipelineOptions& options) {
  std::uint64_t bytes = 0;
  for (const BytesView& key : keys) bytes += key.size();
  return impl_->start(bytes, options, client::check_keys(keys, impl_->owner->options),
                      [&](const AsyncCallOptions& how) { return impl_->Operations::batch_read(keys, receiver, how); });
}

Made Pipeline::erase(BytesView key, const PipelineOptions& options) {
  return impl_->start(key.size(), options, impl_->fits(key), [&](const AsyncCallOptions& how) {
    return impl_->key_call(Method::erase, Reply::number, key, how);
  });
}

Made Pipeline::exists(BytesView key, const PipelineOptions& options) {
  return impl_->start(key.size(), options, impl_->fits(key), [&](const AsyncCallOptions& how) {
    return impl_->key_call(Method::exists, Reply::flag, key, how);
  });
}

bool Pipeline::withdraw(AsyncCall* call) { return impl_->withdraw(static_cast<Operation&>(*call)); }

AsyncCall* Pipeline::next_done() {
  Done one;
  return take_done({&one, 1}) == 0 ? nullptr : one.call;
}

std::size_t Pipeline::take_done(std::span<Done> out) { return impl_->take(out); }
bool Pipeline::any_done() const noexcept { return impl_->any_done.load(); }

// The other mutex may be held for as long as another thread receives.
void Pipeline::recycle(AsyncCall* call) noexcept {
  const std::lock_guard lock(impl_->spent_mutex);
  impl_->spent.push_back(static_cast<Operation&>(*call));
}

std::size_t Pipeline::pending() const {
  const std::lock_guard lock(impl_->mutex);
  impl_->take_spent();
  return impl_->Operations::pending();
}

Pipeline::Waited Pipeline::wait(double seconds) { return impl_->wait(seconds); }
Pipeline::Waited Pipeline::wait_behind(double seconds) { return impl_->wait_behind(seconds); }

bool Pipeline::waited_for() const noexcept { return impl_->waiter.load(); }
void Pipeline::nudge() { impl_->nudge(); }

void Pipeline::attend() noexcept { ++impl_->attending; }

// wait_behind() looks again after a few milliseconds anyway: it is not asked for its mutex.
void Pipeline::unattend() noexcept {
  if (--impl_->attending == 0) impl_->behind.notify_one();
}

}  // namespace simdrive
