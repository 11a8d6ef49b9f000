#include "simdrive/client.hpp"

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <new>
#include <random>
#include <system_error>
#include <thread>

#include "client/call.hpp"
#include "client/connection.hpp"
#include "client/process.hpp"
#include "client/url.hpp"
#include "codec/messages.hpp"
#include "simdrive/hash.hpp"

namespace simdrive {

using client::Call;
using client::Connection;
using client::Reply;
using net::Clock;
using net::TimePoint;
using rpc::Method;

namespace {

constexpr std::uint32_t kInflightMax = 4000;
constexpr std::uint64_t kValueSizeMax = std::uint64_t{1} << 32;
constexpr std::chrono::milliseconds kSlice{100};
constexpr std::size_t kEventsMax = 64;
// After a connection that was lost so soon, even the first reconnect waits.
constexpr std::chrono::seconds kShortLived{1};

double uniform(double from, double to) {
  thread_local std::minstd_rand generator(std::random_device{}());
  return std::uniform_real_distribution<double>(from, std::max(from, to))(generator);
}

std::string dialect_name(const Connection& c) { return c.dialect() == rpc::Dialect::d13 ? "d13" : "d21"; }

bool changes_the_store(Method m) { return m == Method::write || m == Method::batch_write || m == Method::erase; }

Error bad_option(const char* name, const char* why) {
  return {Errc::configuration, std::string("option ") + name + ' ' + why};
}

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

// The argument bytes of a thread's call: recycled, so that no call allocates. A call from within another one's
// Interrupt or Receiver gets its own.
class Arguments {
 public:
  Arguments() : shared_(!slot().busy) {
    if (shared_) slot().busy = true;
    get().clear();
  }
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;
  ~Arguments() {
    if (shared_) slot().busy = false;
  }
  Gather& get() noexcept { return shared_ ? slot().gather : own_; }

 private:
  struct Slot {
    Gather gather;
    bool busy = false;
  };
  static Slot& slot() {
    thread_local Slot s;
    return s;
  }
  bool shared_;
  Gather own_;
};

}  // namespace

double Retry::limit(std::uint32_t failures) const noexcept {
  return std::min(cap, std::ldexp(base, static_cast<int>(std::min<std::uint32_t>(std::max(failures, 1U), 1000U)) - 1));
}

struct Client::Impl final : client::ForkAware, client::Ticked, std::enable_shared_from_this<Client::Impl> {
  Impl(Options o, client::Endpoint e) : options(std::move(o)), endpoint(std::move(e)), name(endpoint.text()) {
    client::register_fork_aware(*this);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    client::unregister_fork_aware(*this);
    close();
  }

  // The parent's threads are gone and so is whoever held these: fresh ones. The old connection is leaked on purpose,
  // its descriptor closed; a destructor would find locked mutexes.
  void after_fork_in_child() noexcept override {
    if (connection) connection->abandon_after_fork();
    ::new (&mutex) std::mutex;
    ::new (&changed) std::condition_variable;
    ::new (&connection) std::shared_ptr<Connection>();
    ::new (&events) std::deque<Event>();
    connecting = false;
    failures = 0;
    next_try = {};
  }

  void close() noexcept {
    std::shared_ptr<Connection> last;
    {
      const std::lock_guard lock(mutex);
      is_closed = true;
      stop_connecting.store(true);
      last = std::move(connection);
      connection.reset();
      changed.notify_all();
    }
    if (last) {
      past_sends += last->sends();
      last->close({Errc::closed, "the client was closed"});
    }
  }

  Error closed_error() const { return {Errc::closed, "the client is closed; open a new one"}; }

  /// The first connection, on the caller's thread and without a second try.
  Result<void> connect(const Interrupt& interrupt) {
    auto opened = Connection::open(endpoint, options, net::after(Clock::now(), options.connect_timeout), interrupt);
    if (!opened) return std::move(opened).error();
    {
      const std::lock_guard lock(mutex);
      take(std::move(opened).value());
    }
    client::look_after(shared_from_this());
    return {};
  }

  /// The connection in use, or the next one: another thread makes it, this one waits.
  Result<std::shared_ptr<Connection>> acquire(TimePoint deadline, const Interrupt& interrupt) {
    std::unique_lock lock(mutex);
    const std::uint64_t seen = failed_tries;
    for (;;) {
      if (is_closed) return closed_error();
      if (connection && connection->usable()) return connection;
      if (!connecting) {
        if (auto r = replace_connection(Clock::now()); !r) return std::move(r).error();
      }
      if (failed_tries != seen && !waits_through(last_failure.code)) return last_failure;
      const TimePoint now = Clock::now();
      if (now >= deadline) return no_connection();
      if (!interrupt.requested) {
        if (deadline == TimePoint::max()) {
          changed.wait(lock);
        } else {
          changed.wait_until(lock, deadline);
        }
        continue;
      }
      changed.wait_until(lock, std::min(deadline, now + kSlice));
      lock.unlock();
      const bool stop = interrupt.requested(interrupt.context);
      lock.lock();
      if (stop) return Error{Errc::interrupted, "waiting for a connection was interrupted"};
    }
  }

  /// Whether a call goes on waiting when connecting failed so. There was a good connection before: also a failed
  /// handshake, say with what stands in for a server that restarts, need not stay.
  [[nodiscard]] bool waits_through(Errc code) const {
    if (options.retry.retries == 0 || !options.retry.on_connect_failed) return false;
    return code == Errc::connect_failed || code == Errc::connect_timeout || code == Errc::connection_lost ||
           code == Errc::handshake_failed || code == Errc::protocol_mismatch || code == Errc::protocol_error;
  }

  Error no_connection() const {
    Error e{Errc::operation_timeout, "there was no connection until the deadline"};
    if (failures != 0) {
      e.cause = last_failure.detail;
      e.cause_code = last_failure.code;
    }
    return e;
  }

  // ---- reconnecting, under the mutex

  void take(std::shared_ptr<Connection> opened) {
    connection = std::move(opened);
    opened_at = Clock::now();
    ++connections;
  }

  void note(Event event) {
    if (events.size() == kEventsMax) events.pop_front();
    events.push_back(std::move(event));
    any_events.store(true, std::memory_order_relaxed);
  }

  /// Lets go of a connection that broke or has no request ids left, and starts the thread that makes the next.
  Result<void> replace_connection(TimePoint now) {
    if (connection) {
      past_sends += connection->sends();
      if (connection->broken()) {
        const Error& why = connection->broken_error();
        note({Event::Kind::lost, 0, 0, why.detail});
        last_failure = why;
        failures = connection->proven() ? 0 : failures + 1;
        const double spread = connection->ended_by_server() ? uniform(0, options.reconnect_spread) : 0;
        const double wait = now - opened_at < kShortLived ? wait_after(failures) : 0;
        next_try = net::after(now, std::max(spread, wait));
      }
      connection.reset();
    }
    try {
      std::thread([self = shared_from_this()] { self->reconnect(); }).detach();
    } catch (const std::system_error& e) {
      return Error{Errc::connect_failed, std::string("no thread could be started to reconnect: ") + e.what()};
    }
    connecting = true;
    return {};
  }

  double wait_after(std::uint32_t failed) const {
    const Retry& r = options.retry;
    return r.jitter ? uniform(r.base, r.limit(failed)) : r.limit(failed);
  }

  /// The thread between two connections. Ends with a connection, or with the client.
  void reconnect() noexcept {
    bool no_memory = false;
    try {
      reconnect_until_connected();
    } catch (const std::bad_alloc&) {
      no_memory = true;
    }
    const std::lock_guard lock(mutex);
    if (no_memory) {  // who waits is told; the next call starts another thread
      last_failure = {};
      last_failure.code = Errc::out_of_memory;
      ++failed_tries;
    }
    connecting = false;
    changed.notify_all();
  }

  void reconnect_until_connected() {
    const Interrupt stop{&stop_connecting, [](void* flag) { return static_cast<std::atomic<bool>*>(flag)->load(); }};
    std::unique_lock lock(mutex);
    for (;;) {
      while (!is_closed && Clock::now() < next_try) changed.wait_until(lock, next_try);
      if (is_closed) break;
      lock.unlock();
      auto opened = Connection::open(endpoint, options, net::after(Clock::now(), options.connect_timeout), stop);
      lock.lock();
      if (opened) {
        if (is_closed) {
          opened.value()->close(closed_error());
        } else {
          note({Event::Kind::connected, 0, 0, dialect_name(*opened.value())});
          take(std::move(opened).value());
        }
        break;
      }
      if (is_closed) break;
      ++failures;
      ++failed_tries;
      last_failure = std::move(opened).error();
      const double wait = wait_after(failures);
      note({Event::Kind::retrying, failures, wait, last_failure.detail});
      next_try = net::after(Clock::now(), wait);
      changed.notify_all();
    }
  }

  // Once a second: a connection that was lost while nobody called is replaced, too.
  void tick(TimePoint now) override {
    std::shared_ptr<Connection> c;
    {
      const std::unique_lock lock(mutex, std::try_to_lock);
      if (!lock.owns_lock() || is_closed || connecting || !connection) return;
      c = connection;
      if (c->broken()) {
        (void)replace_connection(now);  // without a thread the next call tries again, and says so
        return;
      }
    }
    c->tick(now);
  }

  Result<void> run(Call& call, const CallOptions& how) {
    calls.fetch_add(1, std::memory_order_relaxed);
    const TimePoint start = Clock::now();
    auto r = run_until(net::after(start, how.timeout < 0 ? options.timeout : how.timeout), call, how);
    if (!r) r.error().elapsed = std::chrono::duration<double>(Clock::now() - start).count();
    return r;
  }

  Result<void> run_until(TimePoint deadline, Call& call, const CallOptions& how) {
    call.deadline = deadline;
    call.interrupt = how.interrupt;
    call.progress = how.progress;
    call.max_value_bytes = options.max_value_size;
    std::uint32_t tries = 0;
    for (;;) {
      auto c = acquire(call.deadline, how.interrupt);
      if (!c) return after_tries(tries, call, std::move(c).error());
      call.next_look = Clock::now() + kSlice;
      if (c.value()->execute(call) == Connection::Ran::not_started) {
        if (Clock::now() < call.deadline) continue;
        return after_tries(tries, call, {Errc::operation_timeout, "no connection stayed open"});
      }
      ++tries;
      if (!call.failed) return {};
      call.error.attempts = tries;
      if (tries > options.retry.retries || !may_repeat(call) || Clock::now() >= call.deadline) {
        return std::move(call.error);
      }
    }
  }

  /// An error of waiting for the next try: what an earlier try may have done is still unknown.
  static Error after_tries(std::uint32_t tries, const Call& call, Error error) {
    if (tries == 0) return error;
    error.attempts = tries;
    if (call.error.outcome == Outcome::unknown) error.outcome = Outcome::unknown;
    if (error.cause.empty()) {
      error.cause = call.error.detail;
      error.cause_code = call.error.code;
    }
    return error;
  }

  /// Whether a call that its connection lost is tried again.
  [[nodiscard]] bool may_repeat(const Call& call) const {
    if (call.error.code != Errc::connection_lost || !options.retry.on_connection_lost) return false;
    if (!changes_the_store(call.method)) return true;
    switch (options.retry.writes) {
      case RetryWrites::never: return false;
      case RetryWrites::unsent: return call.error.outcome == Outcome::not_applied;
      case RetryWrites::always: return true;
    }
    return false;
  }

  Result<std::uint64_t> run_number(Method method, Reply reply, const Gather& args, const CallOptions& how,
                                   std::uint64_t payload_bytes = 0) {
    Call call(method, reply, args);
    call.payload_bytes = payload_bytes;
    if (auto r = run(call, how); !r) return std::move(r).error();
    return call.number;
  }

  Result<std::uint64_t> run_key(Method method, Reply reply, BytesView key, const CallOptions& how) {
    if (auto r = check_key(key); !r) return std::move(r).error();
    Arguments arguments;
    Gather& args = arguments.get();
    codec::encode_key_request(key, args);
    return run_number(method, reply, args, how);
  }

  [[nodiscard]] Result<void> check_key(BytesView key) const {
    if (key.size() <= options.max_key_size) return {};
    return Error{Errc::invalid_key, "the key has " + std::to_string(key.size()) + " bytes, more than max_key_size (" +
                                        std::to_string(options.max_key_size) + ")"};
  }

  [[nodiscard]] Result<void> check_payload(BytesView payload) const {
    if (payload.empty()) return Error{Errc::invalid_value, "the value is empty"};
    if (payload.size() == 1 && payload[0] == 0) {
      return Error{Errc::invalid_value, "the value is the single byte 00, which marks a deleted key"};
    }
    if (payload.size() <= options.max_value_size) return {};
    return Error{Errc::invalid_value, "the value has " + std::to_string(payload.size()) +
                                          " bytes, more than max_value_size (" +
                                          std::to_string(options.max_value_size) + ")"};
  }

  Options options;
  client::Endpoint endpoint;
  std::string name;
  std::mutex mutex;
  std::condition_variable changed;
  std::shared_ptr<Connection> connection;
  bool connecting = false;  // the thread of reconnect() runs
  bool is_closed = false;
  std::atomic<bool> stop_connecting{false};
  TimePoint opened_at{};
  TimePoint next_try{};
  std::uint32_t failures = 0;  // in a row
  std::uint64_t failed_tries = 0;
  Error last_failure;
  std::deque<Event> events;
  std::atomic<bool> any_events{false};
  std::atomic<std::uint64_t> calls{0};
  std::atomic<std::uint64_t> connections{0};
  std::atomic<std::uint64_t> past_sends{0};
};

Client::Client(std::shared_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&& other) noexcept {
  if (this != &other) {
    if (impl_) impl_->close();
    impl_ = std::move(other.impl_);
  }
  return *this;
}
Client::~Client() {
  if (impl_) impl_->close();
}

Result<Client> Client::connect(Options options, Interrupt interrupt) {
  if (auto r = check_hash_backend(); !r) return std::move(r).error();
  if (auto r = check_options(options); !r) return std::move(r).error();
  auto endpoint = client::parse_url(options.url);
  if (!endpoint) return std::move(endpoint).error();
  auto impl = std::make_shared<Impl>(std::move(options), std::move(endpoint).value());
  if (auto r = impl->connect(interrupt); !r) return std::move(r).error();
  return Client(std::move(impl));
}

Result<void> Client::write(BytesView key, BytesView payload, const CallOptions& options) {
  if (auto r = impl_->check_key(key); !r) return r;
  if (auto r = impl_->check_payload(payload); !r) return r;
  Arguments arguments;
  Gather& args = arguments.get();
  codec::encode_write_request(key, payload, args);
  auto r = impl_->run_number(Method::write, Reply::number, args, options, payload.size());
  if (!r) return std::move(r).error();
  return {};
}

Result<void> Client::batch_write(std::span<const KeyValue> entries, const CallOptions& options) {
  for (std::size_t i = 0; i < entries.size(); ++i) {
    auto ok = impl_->check_key(entries[i].key);
    if (ok) ok = impl_->check_payload(entries[i].payload);
    if (ok) continue;
    ok.error().offset = i;
    ok.error().detail = "item " + std::to_string(i) + ": " + ok.error().detail;
    return ok;
  }
  Arguments arguments;
  Gather& args = arguments.get();
  codec::encode_batch_write_request(entries, args);
  std::uint64_t bytes = 0;
  for (const KeyValue& entry : entries) bytes += entry.payload.size();
  auto r = impl_->run_number(Method::batch_write, Reply::number, args, options, bytes);
  if (!r) return std::move(r).error();
  return {};
}

Result<void> Client::read(BytesView key, const Receiver& receiver, ReadResult& result, const CallOptions& options) {
  if (auto r = impl_->check_key(key); !r) return r;
  Arguments arguments;
  Gather& args = arguments.get();
  codec::encode_key_request(key, args);
  Call call(Method::read, Reply::values, args);
  call.single = &result;
  call.receiver = receiver;
  auto r = impl_->run(call, options);
  if (!r && call.values_refused) r.error().code = Errc::buffer_too_small;
  return r;
}

Result<void> Client::batch_read(std::span<const BytesView> keys, const Receiver& receiver, const CallOptions& options) {
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (auto r = impl_->check_key(keys[i]); !r) {
      r.error().offset = i;
      r.error().detail = "key " + std::to_string(i) + ": " + r.error().detail;
      return r;
    }
  }
  Arguments arguments;
  Gather& args = arguments.get();
  codec::encode_batch_read_request(keys, args);
  Call call(Method::batch_read, Reply::values, args);
  call.batch_count = keys.size();
  call.receiver = receiver;
  if (auto r = impl_->run(call, options); !r) return r;
  // Nothing to receive, but the receiver still learns which keys were absent or empty.
  if (!call.placed && !call.allocate()) return Error{Errc::out_of_memory, "the values could not be placed in memory"};
  return {};
}

namespace {

struct OneValue {
  Bytes bytes;
  static bool allocate(void* context, const std::uint64_t* sizes, std::size_t, std::uint8_t** targets) noexcept {
    auto& self = *static_cast<OneValue*>(context);
    try {
      self.bytes.resize(static_cast<std::size_t>(sizes[0]));
    } catch (const std::bad_alloc&) {
      return false;
    }
    targets[0] = self.bytes.data();
    return true;
  }
};

struct ManyValues {
  std::vector<std::optional<Bytes>> values;
  static bool allocate(void* context, const std::uint64_t* sizes, std::size_t count, std::uint8_t** targets) noexcept {
    auto& self = *static_cast<ManyValues*>(context);
    try {
      self.values.resize(count);
      for (std::size_t i = 0; i < count; ++i) {
        if (sizes[i] == kAbsent) continue;
        targets[i] = self.values[i].emplace(static_cast<std::size_t>(sizes[i])).data();
      }
    } catch (const std::bad_alloc&) {
      return false;
    }
    return true;
  }
};

}  // namespace

Result<std::optional<Bytes>> Client::read(BytesView key, const CallOptions& options) {
  OneValue value;
  ReadResult result;
  if (auto r = read(key, {&value, &OneValue::allocate}, result, options); !r) {
    if (r.error().code == Errc::buffer_too_small) r.error().code = Errc::out_of_memory;
    return std::move(r).error();
  }
  if (!result.present) return std::optional<Bytes>{};
  if (result.in_place) value.bytes.assign(result.small, result.small + result.size);
  return std::optional<Bytes>(std::move(value.bytes));
}

Result<std::vector<std::optional<Bytes>>> Client::batch_read(std::span<const BytesView> keys,
                                                             const CallOptions& options) {
  ManyValues values;
  if (auto r = batch_read(keys, {&values, &ManyValues::allocate}, options); !r) return std::move(r).error();
  return std::move(values.values);
}

Result<void> Client::erase(BytesView key, const CallOptions& options) {
  auto r = impl_->run_key(Method::erase, Reply::number, key, options);
  if (!r) return std::move(r).error();
  return {};
}

Result<bool> Client::exists(BytesView key, const CallOptions& options) {
  auto r = impl_->run_key(Method::exists, Reply::flag, key, options);
  if (!r) return std::move(r).error();
  return r.value() != 0;
}

Result<std::uint64_t> Client::size(const CallOptions& options) {
  return impl_->run_number(Method::len, Reply::number, Arguments().get(), options);
}

Result<bool> Client::empty(const CallOptions& options) {
  auto r = impl_->run_number(Method::is_empty, Reply::flag, Arguments().get(), options);
  if (!r) return std::move(r).error();
  return r.value() != 0;
}

Result<std::uint64_t> Client::file_size(const CallOptions& options) {
  return impl_->run_number(Method::file_size, Reply::number, Arguments().get(), options);
}

Result<double> Client::ping(const CallOptions& options) {
  const auto start = Clock::now();
  if (auto r = empty(options); !r) return std::move(r).error();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

Result<ServerInfo> Client::server_info(const CallOptions& options) {
  const double seconds = options.timeout < 0 ? impl_->options.timeout : options.timeout;
  auto c = impl_->acquire(net::after(Clock::now(), seconds), options.interrupt);
  if (!c) return std::move(c).error();
  return ServerInfo{dialect_name(*c.value())};
}

void Client::close() noexcept { impl_->close(); }

bool Client::closed() const noexcept {
  const std::lock_guard lock(impl_->mutex);
  return impl_->is_closed;
}

const Options& Client::options() const noexcept { return impl_->options; }
const std::string& Client::endpoint() const noexcept { return impl_->name; }

ClientCounters Client::counters() const noexcept {
  const std::lock_guard lock(impl_->mutex);
  const std::uint64_t now = impl_->connection ? impl_->connection->sends() : 0;
  return {impl_->calls.load(), impl_->past_sends.load() + now, impl_->connections.load()};
}

bool Client::has_events() const noexcept { return impl_->any_events.load(std::memory_order_relaxed); }

std::vector<Event> Client::take_events() {
  const std::lock_guard lock(impl_->mutex);
  std::vector<Event> out(std::make_move_iterator(impl_->events.begin()), std::make_move_iterator(impl_->events.end()));
  impl_->events.clear();
  impl_->any_events.store(false, std::memory_order_relaxed);
  return out;
}

}  // namespace simdrive
