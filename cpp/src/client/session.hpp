// What a client has besides its calls: one connection at a time, the thread that makes the next one, and the waits
// between them. Everything is under `mutex` unless it says otherwise.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "client/connection.hpp"
#include "client/process.hpp"
#include "client/url.hpp"
#include "simdrive/client.hpp"

namespace simdrive::client {

/// Refuses options that no client can work with. Errc::configuration.
Result<void> check_options(const Options& options);

[[nodiscard]] std::string dialect_name(const Connection& connection);

class Session : public ForkAware, public Ticked, public std::enable_shared_from_this<Session> {
 public:
  Session(Options o, Endpoint e);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  virtual ~Session();

  /// The first connection, on the caller's thread and without a second try. Takes the mutex.
  Result<void> connect(const Interrupt& interrupt);
  /// The same on a thread of its own; on_change() tells that it has ended.
  Result<void> start_connecting();
  /// Whether start_connecting() got a connection, or its error.
  Result<bool> connected() const;
  /// Ends the connection; calls under way fail. The server gets `seconds` to say goodbye. Takes the mutex.
  void close(double seconds) noexcept;

  [[nodiscard]] std::shared_ptr<Connection> connection() const;

  // Any thread, no mutex needed.
  [[nodiscard]] bool is_closed() const noexcept { return stop_connecting_.load(); }
  [[nodiscard]] ClientCounters counters() const noexcept;
  [[nodiscard]] bool has_events() const noexcept { return any_events_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::vector<Event> take_events();

  /// Of a call that is made.
  void count_call() noexcept { calls_.fetch_add(1, std::memory_order_relaxed); }
  [[nodiscard]] Error closed_error() const { return {Errc::closed, "the client is closed; open a new one"}; }
  /// Sleeps while there is no connection in use and none can be tried, until `until` or while `stop` is false.
  void wait_for_connection(net::TimePoint until, const std::atomic<bool>& stop);
  /// Makes it look at `stop`.
  void wake_waiting() noexcept;

  const Options options;
  const Endpoint endpoint;
  const std::string name;

 protected:
  friend class Operations;

  void after_fork_in_child() noexcept override;
  void tick(net::TimePoint now) override;
  /// The connection came, went, or could not be made.
  virtual void on_change() noexcept {}

  /// No more connections; the last one is the caller's to end.
  std::shared_ptr<Connection> detach() noexcept;
  /// Lets go of a connection that broke or has no request ids left, and starts the thread that makes the next.
  Result<void> replace_connection(net::TimePoint now);
  /// Whether a call goes on waiting when connecting failed so.
  [[nodiscard]] bool waits_through(Errc code) const;
  /// Of a call that waited for a connection until its deadline.
  [[nodiscard]] Error no_connection() const;
  /// Whether a call that its connection lost is tried again.
  [[nodiscard]] bool may_repeat(const Call& call) const;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::shared_ptr<Connection> connection_;
  bool connecting_ = false;  // the thread of reconnect() runs
  std::uint64_t failed_tries_ = 0;
  Error last_failure_;
  bool ever_connected_ = false;
  std::atomic<std::uint64_t> calls_{0};

 private:
  void take(std::shared_ptr<Connection> opened);
  void note(Event event);
  void note_lost(net::TimePoint now);
  [[nodiscard]] double wait_after(std::uint32_t failed) const;
  Result<void> start_thread(void (Session::*task)());
  void work(void (Session::*task)()) noexcept;
  void connect_once();
  void reconnect_until_connected();
  [[nodiscard]] Interrupt stop_asked() noexcept;
  void announce() noexcept;

  std::atomic<bool> stop_connecting_{false};
  net::TimePoint opened_at_{};
  net::TimePoint next_try_{};
  std::uint32_t failures_ = 0;  // in a row
  std::deque<Event> events_;
  std::atomic<bool> any_events_{false};
  std::atomic<std::uint64_t> connections_{0};
  std::atomic<std::uint64_t> past_sends_{0};
};

}  // namespace simdrive::client
