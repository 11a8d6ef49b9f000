// One connection shared by many threads: whoever waits for a reply does the work of all who wait.
//
// Leader and follower (docs/design/threads.md): one waiting caller, the leader, receives for everybody and sleeps in
// poll() without the mutex; the others sleep on their call's condition. Whoever finds nobody sending becomes the
// sender, and sends what others have queued meanwhile. Everything below is under `mutex_` unless it says otherwise.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "client/call.hpp"
#include "client/message_order.hpp"
#include "client/url.hpp"
#include "net/websocket.hpp"
#include "rpc/reply_reader.hpp"
#include "simdrive/client.hpp"

namespace simdrive::client {

// Request ids of one connection. Bit 31 belongs to the server; the rest is left for calls that start while the
// connection retires.
inline constexpr std::uint32_t kFirstRequestId = 3;
inline constexpr std::uint32_t kRequestIdsEnd = 0x7fff'0000U;
/// A thread that receives and sends for calls with Completions, which nobody waits for.
struct Service {
  Gather none;
  Call call{rpc::Method::is_empty, Reply::flag, none};  // stands for it among those that wait; never sent
  std::atomic<bool> stirred{false};                     // its owner has something else for it to do
  // Under the mutex of the connection that it serves.
  bool called = false;
  Service* next = nullptr;
};

/// Of the next connections: tests let one run out of ids.
inline std::atomic<std::uint32_t> first_request_id{kFirstRequestId};

class Connection final : public net::Events, public rpc::PendingCalls {
 public:
  /// Connects, upgrades and probes the dialect within `deadline`.
  static Result<std::shared_ptr<Connection>> open(const Endpoint& endpoint, const Options& options,
                                                  net::TimePoint deadline, const Interrupt& interrupt);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// How a call ended on this connection; `not_started`: the connection had gone before, try another.
  enum class Ran : std::uint8_t { finished, not_started };

  /// Carries one call out on the calling thread. The result is in the call. `now`: the clock, read a moment ago.
  Ran execute(Call& call, net::TimePoint now);

  /// Ends the connection; calls under way fail with `reason`. A server that has answered so far gets until `deadline`
  /// to end its side. Any thread.
  void close(const Error& reason, net::TimePoint deadline) noexcept;

  // For calls with Completions: of an event loop, which calls pump(), or of a thread in serve().

  enum class Started : std::uint8_t { queued, no_room, not_usable, busy };
  /// Queues a call; pump(), flush() or serve() sends it. `busy`, unless it may wait: another thread is at work.
  Started start(Call& call, bool may_wait = true);
  /// Sends what is queued, as far as that goes at once.
  void flush();
  /// Receives and sends what goes at once, about `kPumpMax` bytes each. True: there is more, call again.
  bool pump();
  /// Whether bytes wait for the socket to become writable.
  [[nodiscard]] bool wants_write() const;
  /// Breaks a connection whose calls wait for bytes that do not come.
  void check_silence(net::TimePoint now);
  /// When that is due.
  [[nodiscard]] net::TimePoint silent_at() const;
  struct LetGo {
    bool over = false;
    bool may_be_applied = false;
  };
  /// The caller does not want the outcome any more. If the call is not over, it will be when what it has begun to send
  /// or to receive is through, and until then it keeps its memory.
  LetGo let_go(Call& call, Error error);
  /// The same, but only if no byte of it has left the process: else false, and nothing changes.
  bool withdraw(Call& call, Error error);
  /// Ends the call at once. What is half done of it breaks the connection.
  void discard(Call& call, Error error);
  /// Sends and receives for calls with Completions, beside those that wait for theirs. Returns when one of the former
  /// is over, when the service is stirred, at `until`, when the connection is broken, or, if that is wanted, when there
  /// may be room for a call that found none.
  void serve(Service& service, net::TimePoint until, bool wants_room);
  /// Ends serve().
  void stir(Service& service) noexcept;
  /// How far a call is.
  [[nodiscard]] Call::Moved moved(const Call& call) const;
  [[nodiscard]] std::uint32_t inflight() const;
  [[nodiscard]] net::SocketHandle socket() const noexcept { return ws_->fd(); }
  /// Begins to close: calls fail with `reason`. True: the server may be waited for, until ended() or the caller's
  /// deadline; then end().
  bool begin_close(const Error& reason) noexcept;
  [[nodiscard]] bool ended() noexcept { return ws_->ended(); }
  void end() noexcept;
  /// Whether new calls may start here. Needs no lock.
  [[nodiscard]] bool usable() const noexcept { return !broken() && !retired_.load(std::memory_order_acquire); }
  [[nodiscard]] bool broken() const noexcept { return broken_flag_.load(std::memory_order_acquire); }
  /// Why it broke, and whether the server ended it. Only once broken().
  [[nodiscard]] const Error& broken_error() const noexcept { return broken_error_; }
  [[nodiscard]] bool ended_by_server() const noexcept { return ended_by_server_.load(std::memory_order_acquire); }
  /// Whether any call got its reply here.
  [[nodiscard]] bool proven() const noexcept { return proven_.load(std::memory_order_relaxed); }
  [[nodiscard]] rpc::Dialect dialect() const noexcept { return dialect_; }
  [[nodiscard]] std::uint64_t sends() const noexcept { return sends_.load(std::memory_order_relaxed); }
  /// Once a second, from the process thread: answers pings, sends them, notices a dead peer. Never waits.
  void tick(net::TimePoint now);
  /// In the child of fork(): lets go of the descriptor, says nothing to the peer.
  void abandon_after_fork() noexcept { ws_->abandon(); }

  // net::Events
  MutableBytes need() override;
  void received(std::size_t n, bool binary, bool message_done) override;
  void message_sent() override {}
  void broken(Error error) override;
  // rpc::PendingCalls
  rpc::ReplySink* find(std::uint32_t request_id, std::uint64_t method_id) override;
  /// A call's reply is complete.
  void on_finished(Call& call);

 private:
  using Lock = std::unique_lock<std::mutex>;
  static constexpr std::size_t kSlots = 4096;
  // What a round of an event loop receives at most. Memory that a system has to find first takes longer to fill, a huge
  // page of it 4 to 5 ms at once: there the time is what ends a round.
  static constexpr std::size_t kPumpMax = std::size_t{1} << 20;
  static constexpr std::chrono::microseconds kPumpTime{250};

  explicit Connection(const Options& options) : options_(options), slots_(kSlots) {}
  Result<void> probe(net::TimePoint deadline, const Interrupt& interrupt);
  Result<void> judge_probe();

  // calls
  [[nodiscard]] net::TimePoint silence_limit() const;
  bool admit(Lock& lock, Call& call, net::TimePoint& now);
  void enroll(Call& call, net::TimePoint now);
  void release(Call& call);
  void fail(Call& call, Error error);
  bool end_early(Call& call, Error error);
  void abandon(Call& call, Error error);
  void break_connection(const Error& error);
  void fail_all(const Error& error);

  // sending
  struct SendLimits {
    const Call* self = nullptr;  // whose thread sends; null: an event loop's
    net::TimePoint until = net::TimePoint::max();
    std::size_t bytes = std::numeric_limits<std::size_t>::max();
    net::TimePoint now{};  // the clock, read a moment ago
  };
  void send_queued(Lock& lock, const SendLimits& limits);
  bool wait_to_send(Lock& lock);
  [[nodiscard]] bool fits(const Call& call) const;
  void announce(Call& call);
  void count_timeout(const Call& call);
  bool compose();
  void compose_small();
  void compose_chunk(Call& call);
  void append_request(Call& call);
  void unqueue(Call& call);
  [[nodiscard]] std::size_t framed_size(const Call& call) const;

  // waiting
  void wait_for(Lock& lock, Call& call, net::TimePoint now);
  void lead(Lock& lock, Call& call, net::TimePoint now);
  void follow(Lock& lock, Call& call, net::TimePoint now);
  void sleep(Lock& lock, Call& call, net::TimePoint now);
  void allocate(Lock& lock, Call& call);
  void pass_leadership() noexcept;
  void call(Service& service) noexcept;
  void end_services() noexcept;
  void check_interrupt(Lock& lock, Call& call);
  void report_progress(Lock& lock, Call& call);
  void attend(Lock& lock, Call& call);
  std::size_t receive(std::size_t max = std::numeric_limits<std::size_t>::max(),
                      net::TimePoint until = net::TimePoint::max());

  const Options options_;
  mutable std::mutex mutex_;
  std::unique_ptr<net::WebSocket> ws_;
  rpc::Dialect dialect_ = rpc::Dialect::d13;
  std::optional<rpc::ReplyReader> reader_;
  Bytes probe_answer_;
  bool probe_answered_ = false;

  std::vector<Call*> slots_;  // by request id
  Call* active_ = nullptr;    // every call under way
  Call* queue_head_ = nullptr;
  Call* queue_tail_ = nullptr;
  std::uint32_t next_id_ = first_request_id.load(std::memory_order_relaxed);
  std::uint32_t inflight_ = 0;
  std::uint64_t inflight_bytes_ = 0;
  std::uint32_t timeouts_in_a_row_ = 0;
  std::uint32_t timeout_mark_ = 0;  // the next id when a timeout was last counted
  std::condition_variable room_;
  std::uint32_t waiting_for_room_ = 0;
  bool starved_ = false;  // start() found no room since a call was over

  MessageOrder order_;  // of the message that is made
  Bytes out_;
  std::vector<BytesView> pieces_;
  bool sending_ = false;
  bool send_blocked_ = false;

  Call* leader_ = nullptr;
  bool leader_sleeps_ = false;    // in poll(), out of which wake_up_ brings it
  bool leader_receives_ = false;  // or so, for kReceiveWait at most
  Service* services_ = nullptr;
  bool heard_ = false;  // bytes came since the last wait
  net::WakeUp wake_up_;
  net::TimePoint last_traffic_{};
  net::TimePoint turns_from_{};  // when a sender may give turns to others again
  net::TimePoint last_received_{};
  bool ping_sent_ = false;

  Error broken_error_;
  std::atomic<bool> broken_flag_{false};
  std::atomic<bool> ended_by_server_{false};
  std::atomic<bool> proven_{false};
  std::atomic<bool> retired_{false};
  std::atomic<std::uint64_t> sends_{0};
};

}  // namespace simdrive::client
