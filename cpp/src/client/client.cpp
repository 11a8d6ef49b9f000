#include "simdrive/client.hpp"

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <new>

#include "client/call.hpp"
#include "client/connection.hpp"
#include "client/operation.hpp"
#include "client/session.hpp"
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

constexpr std::chrono::milliseconds kSlice{100};

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

struct Client::Impl final : client::Session {
  using Session::Session;

  /// The connection in use, or the next one: another thread makes it, this one waits. `now` is the clock, read a moment
  /// ago, and read again after a wait.
  Result<std::shared_ptr<Connection>> acquire(TimePoint deadline, const Interrupt& interrupt, TimePoint& now) {
    std::unique_lock lock(mutex_);
    const std::uint64_t seen = failed_tries_;
    for (;; now = Clock::now()) {
      if (is_closed()) return closed_error();
      if (connection_ && connection_->usable()) return connection_;
      if (!connecting_) {
        if (auto r = replace_connection(now); !r) return std::move(r).error();
      }
      if (failed_tries_ != seen && !waits_through(last_failure_.code)) return last_failure_;
      if (now >= deadline) return no_connection();
      if (!interrupt.requested) {
        if (deadline == TimePoint::max()) {
          changed_.wait(lock);
        } else {
          changed_.wait_until(lock, deadline);
        }
        continue;
      }
      changed_.wait_until(lock, std::min(deadline, now + kSlice));
      lock.unlock();
      const bool stop = interrupt.requested(interrupt.context);
      lock.lock();
      if (stop) return Error{Errc::interrupted, "waiting for a connection was interrupted"};
    }
  }

  Result<void> run(Call& call, const CallOptions& how) {
    calls_.fetch_add(1, std::memory_order_relaxed);
    const TimePoint start = Clock::now();
    auto r = run_until(start, net::after(start, how.timeout < 0 ? options.timeout : how.timeout), call, how);
    if (!r) r.error().elapsed = std::chrono::duration<double>(Clock::now() - start).count();
    return r;
  }

  Result<void> run_until(TimePoint now, TimePoint deadline, Call& call, const CallOptions& how) {
    call.deadline = deadline;
    call.interrupt = how.interrupt;
    call.progress = how.progress;
    call.max_value_bytes = options.max_value_size;
    std::uint32_t tries = 0;
    for (;; now = Clock::now()) {
      auto c = acquire(call.deadline, how.interrupt, now);
      if (!c) return after_tries(tries, call, std::move(c).error());
      call.next_look = now + kSlice;
      if (c.value()->execute(call, now) == Connection::Ran::not_started) {
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

  Result<std::uint64_t> run_number(Method method, Reply reply, const Gather& args, const CallOptions& how,
                                   std::uint64_t payload_bytes = 0) {
    Call call(method, reply, args);
    call.payload_bytes = payload_bytes;
    if (auto r = run(call, how); !r) return std::move(r).error();
    return call.number;
  }

  Result<std::uint64_t> run_key(Method method, Reply reply, BytesView key, const CallOptions& how) {
    if (auto r = client::check_key(key, options); !r) return std::move(r).error();
    Arguments arguments;
    Gather& args = arguments.get();
    codec::encode_key_request(key, args);
    return run_number(method, reply, args, how);
  }
};

std::shared_ptr<client::Session> Client::session() const { return impl_; }
Client::Client(std::shared_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&& other) noexcept {
  if (this != &other) {
    if (impl_) impl_->close(0);
    impl_ = std::move(other.impl_);
  }
  return *this;
}
Client::~Client() {
  if (impl_) impl_->close(0);
}

Result<Client> Client::connect(Options options, Interrupt interrupt) {
  if (auto r = check_hash_backend(); !r) return std::move(r).error();
  if (auto r = client::check_options(options); !r) return std::move(r).error();
  auto endpoint = client::parse_url(options.url);
  if (!endpoint) return std::move(endpoint).error();
  auto impl = std::make_shared<Impl>(std::move(options), std::move(endpoint).value());
  if (auto r = impl->connect(interrupt); !r) return std::move(r).error();
  return Client(std::move(impl));
}

Result<void> Client::write(BytesView key, BytesView payload, const CallOptions& options) {
  if (auto r = client::check_key(key, impl_->options); !r) return r;
  if (auto r = client::check_payload(payload, impl_->options); !r) return r;
  Arguments arguments;
  Gather& args = arguments.get();
  codec::encode_write_request(key, payload, args);
  auto r = impl_->run_number(Method::write, Reply::number, args, options, payload.size());
  if (!r) return std::move(r).error();
  return {};
}

Result<void> Client::batch_write(std::span<const KeyValue> entries, const CallOptions& options) {
  if (auto r = client::check_entries(entries, impl_->options); !r) return r;
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
  if (auto r = client::check_key(key, impl_->options); !r) return r;
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
  if (auto r = client::check_keys(keys, impl_->options); !r) return r;
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
  TimePoint now = Clock::now();
  auto c = impl_->acquire(net::after(now, seconds), options.interrupt, now);
  if (!c) return std::move(c).error();
  return ServerInfo{client::dialect_name(*c.value())};
}

void Client::close(double timeout) noexcept { impl_->close(timeout < 0 ? impl_->options.close_timeout : timeout); }

bool Client::closed() const noexcept { return impl_->is_closed(); }

const Options& Client::options() const noexcept { return impl_->options; }
const std::string& Client::endpoint() const noexcept { return impl_->name; }

ClientCounters Client::counters() const noexcept { return impl_->counters(); }
bool Client::has_events() const noexcept { return impl_->has_events(); }
std::vector<Event> Client::take_events() { return impl_->take_events(); }

}  // namespace simdrive
