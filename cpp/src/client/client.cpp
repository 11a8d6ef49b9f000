#include "simdrive/client.hpp"

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <new>

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

struct Client::Impl final : client::ForkAware {
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
    connecting = false;
  }

  void close() noexcept {
    std::shared_ptr<Connection> last;
    {
      const std::lock_guard lock(mutex);
      is_closed = true;
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

  /// The connection in use, or a new one. One thread connects, the others wait for it.
  Result<std::shared_ptr<Connection>> acquire(TimePoint deadline, const Interrupt& interrupt) {
    std::unique_lock lock(mutex);
    for (;;) {
      if (is_closed) return closed_error();
      if (connection && connection->usable()) return connection;
      if (!connecting) break;
      const TimePoint now = Clock::now();
      if (now >= deadline) return Error{Errc::operation_timeout, "still connecting when the deadline passed"};
      changed.wait_until(lock, std::min(deadline, now + std::chrono::milliseconds(100)));
      if (interrupt.requested) {
        lock.unlock();
        if (interrupt.requested(interrupt.context)) return Error{Errc::interrupted, "connecting was interrupted"};
        lock.lock();
      }
    }
    connecting = true;
    if (connection) past_sends += connection->sends();
    connection.reset();
    lock.unlock();
    const TimePoint limit = std::min(deadline, net::after(Clock::now(), options.connect_timeout));
    auto opened = Connection::open(endpoint, options, limit, interrupt);
    lock.lock();
    connecting = false;
    changed.notify_all();
    if (!opened) return std::move(opened).error();
    if (is_closed) {
      opened.value()->close(closed_error());
      return closed_error();
    }
    connection = opened.value();
    ++connections;
    client::keep_alive(connection);
    return connection;
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
    call.max_value_bytes = options.max_value_size;
    for (;;) {
      auto c = acquire(call.deadline, how.interrupt);
      if (!c) return std::move(c).error();
      if (c.value()->execute(call) == Connection::Ran::finished) break;
      if (Clock::now() >= call.deadline) return Error{Errc::operation_timeout, "no connection stayed open"};
    }
    if (call.failed) return std::move(call.error);
    return {};
  }

  Result<std::uint64_t> run_number(Method method, Reply reply, const Gather& args, const CallOptions& how) {
    Call call(method, reply, args);
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
  bool connecting = false;
  bool is_closed = false;
  std::atomic<std::uint64_t> calls{0};
  std::atomic<std::uint64_t> connections{0};
  std::atomic<std::uint64_t> past_sends{0};
};

Client::Client(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

Result<Client> Client::connect(Options options, Interrupt interrupt) {
  if (auto r = check_hash_backend(); !r) return std::move(r).error();
  if (auto r = check_options(options); !r) return std::move(r).error();
  auto endpoint = client::parse_url(options.url);
  if (!endpoint) return std::move(endpoint).error();
  auto impl = std::make_unique<Impl>(std::move(options), std::move(endpoint).value());
  auto c = impl->acquire(TimePoint::max(), interrupt);
  if (!c) return std::move(c).error();
  return Client(std::move(impl));
}

Result<void> Client::write(BytesView key, BytesView payload, const CallOptions& options) {
  if (auto r = impl_->check_key(key); !r) return r;
  if (auto r = impl_->check_payload(payload); !r) return r;
  Arguments arguments;
  Gather& args = arguments.get();
  codec::encode_write_request(key, payload, args);
  auto r = impl_->run_number(Method::write, Reply::number, args, options);
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
  auto r = impl_->run_number(Method::batch_write, Reply::number, args, options);
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
  return ServerInfo{c.value()->dialect() == rpc::Dialect::d13 ? "d13" : "d21"};
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

}  // namespace simdrive
