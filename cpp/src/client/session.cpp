#include "client/session.hpp"

#include <algorithm>
#include <chrono>
#include <new>
#include <random>
#include <system_error>
#include <thread>
#include <utility>

#include "client/call.hpp"

namespace simdrive::client {

using net::Clock;
using net::TimePoint;

namespace {

constexpr std::uint32_t kInflightMax = 4000;
constexpr std::uint64_t kValueSizeMax = std::uint64_t{1} << 32;
constexpr std::size_t kEventsMax = 64;
// After a connection that was lost so soon, even the first reconnect waits.
constexpr std::chrono::seconds kShortLived{1};
// A server may ask for longer; who waits for it is not kept away for that long.
constexpr double kRetryAfterMax = 300.0;

double uniform(double from, double to) {
  thread_local std::minstd_rand generator(std::random_device{}());
  return std::uniform_real_distribution<double>(from, std::max(from, to))(generator);
}

Error was_closed() { return {Errc::closed, "the client was closed"}; }

Error bad_option(const char* name, const char* why) {
  return {Errc::configuration, std::string("option ") + name + ' ' + why};
}

}  // namespace

Result<void> check_options(const Options& o) {
  const std::pair<const char*, double> times[] = {
      {"connect_timeout", o.connect_timeout}, {"timeout", o.timeout},
      {"idle_timeout", o.idle_timeout},       {"close_timeout", o.close_timeout},
      {"ping_interval", o.ping_interval},     {"ping_timeout", o.ping_timeout}};
  for (const auto& [name, value] : times) {
    if (!(value > 0)) return bad_option(name, "must be a positive number of seconds, or None for no limit");
  }
  if (!(o.reconnect_spread >= 0 && o.reconnect_spread < 1e9)) {
    return bad_option("reconnect_spread", "must be 0 or a positive number of seconds");
  }
  if (!(o.retry.base > 0 && o.retry.base <= o.retry.cap && o.retry.cap < 1e9)) {
    return bad_option("retry", "must have 0 < base <= cap, in seconds");
  }
  if (o.max_inflight == 0 || o.max_inflight > kInflightMax) return bad_option("max_inflight", "must be 1 to 4000");
  if (o.max_value_size == 0 || o.max_value_size > kValueSizeMax) {
    return bad_option("max_value_size", "must be 1 byte to 4 GiB");
  }
  if (o.max_key_size > kValueSizeMax) return bad_option("max_key_size", "must be at most 4 GiB");
  if (o.max_inflight_bytes == 0) return bad_option("max_inflight_bytes", "must be at least 1");
  if (o.wire != "auto" && o.wire != "d13" && o.wire != "d21") {
    return bad_option("wire", "must be 'auto', 'd13' or 'd21'");
  }
  return {};
}

std::string dialect_name(const Connection& c) { return c.dialect() == rpc::Dialect::d13 ? "d13" : "d21"; }

Session::Session(Options o, Endpoint e) : options(std::move(o)), endpoint(std::move(e)), name(endpoint.text()) {
  register_fork_aware(*this);
}

Session::~Session() {
  unregister_fork_aware(*this);
  if (connection_) connection_->close(was_closed(), Clock::now());
}

// The parent's threads are gone and so is whoever held these: fresh ones. The old connection is leaked on purpose, its
// descriptor closed; a destructor would find locked mutexes.
void Session::after_fork_in_child() noexcept {
  if (connection_) connection_->abandon_after_fork();
  ::new (&mutex_) std::mutex;
  ::new (&changed_) std::condition_variable;
  ::new (&connection_) std::shared_ptr<Connection>();
  ::new (&events_) std::deque<Event>();
  if (connecting_ && !ever_connected_) {
    ::new (&last_failure_) Error{Errc::connect_failed, "the process was forked while its first connection was made"};
  }
  connecting_ = false;
  failures_ = 0;
  next_try_ = {};
}

void Session::announce() noexcept {
  changed_.notify_all();
  on_change();
}

std::shared_ptr<Connection> Session::detach() noexcept {
  const std::lock_guard lock(mutex_);
  stop_connecting_.store(true);
  auto last = std::move(connection_);
  connection_.reset();
  if (last) past_sends_ += last->sends();
  announce();
  return last;
}

void Session::close(double seconds) noexcept {
  if (const auto last = detach()) last->close(was_closed(), net::after(Clock::now(), seconds));
}

std::shared_ptr<Connection> Session::connection() const {
  const std::lock_guard lock(mutex_);
  return connection_;
}

Result<void> Session::connect(const Interrupt& interrupt) {
  auto opened = Connection::open(endpoint, options, net::after(Clock::now(), options.connect_timeout), interrupt);
  if (!opened) return std::move(opened).error();
  {
    const std::lock_guard lock(mutex_);
    take(std::move(opened).value());
  }
  look_after(shared_from_this());
  return {};
}

Result<void> Session::start_connecting() {
  {
    const std::lock_guard lock(mutex_);
    if (auto r = start_thread(&Session::connect_once); !r) return r;
  }
  look_after(shared_from_this());
  return {};
}

Result<bool> Session::connected() const {
  const std::lock_guard lock(mutex_);
  if (!ever_connected_ && !connecting_) return last_failure_;
  return ever_connected_;
}

void Session::take(std::shared_ptr<Connection> opened) {
  ever_connected_ = true;
  connection_ = std::move(opened);
  opened_at_ = Clock::now();
  ++connections_;
}

void Session::note(Event event) {
  if (events_.size() == kEventsMax) events_.pop_front();
  events_.push_back(std::move(event));
  any_events_.store(true, std::memory_order_relaxed);
}

// There was a good connection before: also a failed handshake, say with what stands in for a server that restarts, need
// not stay.
bool Session::waits_through(Errc code) const {
  if (options.retry.retries == 0 || !options.retry.on_connect_failed) return false;
  return code == Errc::connect_failed || code == Errc::connect_timeout || code == Errc::connection_lost ||
         code == Errc::handshake_failed || code == Errc::protocol_mismatch || code == Errc::protocol_error;
}

Error Session::no_connection() const {
  Error e{Errc::operation_timeout, "there was no connection until the deadline"};
  if (failures_ != 0) {
    e.cause = last_failure_.detail;
    e.cause_code = last_failure_.code;
  }
  return e;
}

bool Session::may_repeat(const Call& call) const {
  if (call.error.code != Errc::connection_lost || !options.retry.on_connection_lost) return false;
  if (!call.mutates()) return true;
  switch (options.retry.writes) {
    case RetryWrites::never: return false;
    case RetryWrites::unsent: return call.error.outcome == Outcome::not_applied;
    case RetryWrites::always: return true;
  }
  return false;
}

// ---- reconnecting

double Session::wait_after(std::uint32_t failed) const {
  const Retry& r = options.retry;
  return r.jitter ? uniform(r.base, r.limit(failed)) : r.limit(failed);
}

// When to try next. A server that sends its clients away because it is busy has not served well.
void Session::note_lost(TimePoint now) {
  const Connection& c = *connection_;
  last_failure_ = c.broken_error();
  note({Event::Kind::lost, 0, 0, last_failure_.detail});
  const bool busy = last_failure_.try_later;
  failures_ = c.proven() && !busy ? 0 : failures_ + 1;
  const double spread = c.ended_by_server() ? uniform(0, options.reconnect_spread) : 0;
  const double wait = busy || now - opened_at_ < kShortLived ? wait_after(failures_) : 0;
  next_try_ = net::after(now, std::max(spread, wait));
}

Result<void> Session::replace_connection(TimePoint now) {
  if (connection_) {
    past_sends_ += connection_->sends();
    if (connection_->broken()) note_lost(now);
    connection_.reset();
  }
  return start_thread(&Session::reconnect_until_connected);
}

Result<void> Session::start_thread(void (Session::*task)()) {
  try {
    std::thread([self = shared_from_this(), task] { self->work(task); }).detach();
  } catch (const std::system_error& e) {
    return Error{Errc::connect_failed, std::string("no thread could be started to connect: ") + e.what()};
  }
  connecting_ = true;
  return {};
}

// The thread between two connections. Ends with a connection, or with the client.
void Session::work(void (Session::*task)()) noexcept {
  bool no_memory = false;
  try {
    (this->*task)();
  } catch (const std::bad_alloc&) {
    no_memory = true;
  }
  const std::lock_guard lock(mutex_);
  if (no_memory) {  // who waits is told; the next call starts another thread
    last_failure_ = {};
    last_failure_.code = Errc::out_of_memory;
    ++failed_tries_;
  }
  connecting_ = false;
  announce();
}

void Session::connect_once() {
  auto opened = Connection::open(endpoint, options, net::after(Clock::now(), options.connect_timeout), stop_asked());
  const std::lock_guard lock(mutex_);
  if (!opened) {
    last_failure_ = std::move(opened).error();
  } else if (is_closed()) {
    opened.value()->close(closed_error(), Clock::now());
  } else {
    take(std::move(opened).value());
  }
}

Interrupt Session::stop_asked() noexcept {
  return {&stop_connecting_, [](void* flag) { return static_cast<std::atomic<bool>*>(flag)->load(); }};
}

void Session::reconnect_until_connected() {
  std::unique_lock lock(mutex_);
  for (;;) {
    while (!is_closed() && Clock::now() < next_try_) changed_.wait_until(lock, next_try_);
    if (is_closed()) break;
    lock.unlock();
    auto opened = Connection::open(endpoint, options, net::after(Clock::now(), options.connect_timeout), stop_asked());
    lock.lock();
    if (opened) {
      if (is_closed()) {
        opened.value()->close(closed_error(), Clock::now());
      } else {
        note({Event::Kind::connected, 0, 0, dialect_name(*opened.value())});
        take(std::move(opened).value());
      }
      break;
    }
    if (is_closed()) break;
    ++failures_;
    ++failed_tries_;
    last_failure_ = std::move(opened).error();
    const double wait = std::max(wait_after(failures_), std::min(last_failure_.retry_after, kRetryAfterMax));
    note({Event::Kind::retrying, failures_, wait, last_failure_.detail});
    next_try_ = net::after(Clock::now(), wait);
    announce();
  }
}

void Session::wait_for_connection(TimePoint until, const std::atomic<bool>& stop) {
  std::unique_lock lock(mutex_);
  const std::uint64_t seen = failed_tries_;
  const auto goes_on = [&] {
    return is_closed() || stop.load() || !connecting_ || failed_tries_ != seen ||
           (connection_ && connection_->usable());
  };
  if (until == TimePoint::max()) {
    changed_.wait(lock, goes_on);
  } else {
    changed_.wait_until(lock, until, goes_on);
  }
}

void Session::wake_waiting() noexcept {
  const std::lock_guard lock(mutex_);
  changed_.notify_all();
}

// Once a second: a connection that was lost while nobody called is replaced, too.
void Session::tick(TimePoint now) {
  std::shared_ptr<Connection> c;
  {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock.owns_lock() || is_closed() || connecting_ || !connection_) return;
    c = connection_;
    if (c->broken()) {
      (void)replace_connection(now);  // without a thread the next call tries again, and says so
      return;
    }
  }
  c->tick(now);
}

// ---- what is known

ClientCounters Session::counters() const noexcept {
  const std::lock_guard lock(mutex_);
  const std::uint64_t now = connection_ ? connection_->sends() : 0;
  return {calls_.load(), past_sends_.load() + now, connections_.load()};
}

std::vector<Event> Session::take_events() {
  const std::lock_guard lock(mutex_);
  std::vector<Event> out(std::make_move_iterator(events_.begin()), std::make_move_iterator(events_.end()));
  events_.clear();
  any_events_.store(false, std::memory_order_relaxed);
  return out;
}

}  // namespace simdrive::client
