// One connection of a server: who may open it, which dialect it speaks, what its requests do, and what it may cost.
// Requests take effect in the order in which they were sent, one at a time; what would take long is done by another
// thread meanwhile, and those that follow wait. One thread at a time, except run().
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "net/listener.hpp"
#include "net/server_socket.hpp"
#include "rpc/dialect.hpp"
#include "rpc/request_reader.hpp"
#include "server/calls.hpp"
#include "server/charge.hpp"
#include "server/metrics.hpp"
#include "server/reply_stream.hpp"
#include "server/shared.hpp"
#include "server/workers.hpp"

namespace simdrive::server {

class Session;

/// Why a connection that was accepted is only told that there is no room for it.
enum class NoRoom : std::uint8_t { none, connections, descriptors };

/// The thread that serves a session, and what all its sessions use in turn.
class SessionHost {
 public:
  /// Without `timers` each session makes its own.
  explicit SessionHost(Shared& shared, std::shared_ptr<net::ServerSocket::Timers> timers = {});
  SessionHost(const SessionHost&) = delete;
  SessionHost& operator=(const SessionHost&) = delete;

  /// A worker has done what `session` gave it: to be followed by session.work_done() on the host's thread. Any thread.
  virtual void work_done(Session& session) noexcept = 0;

  [[nodiscard]] Payloads& payloads();

  // In the order that needs the least padding.
  Shared& shared;
  std::shared_ptr<net::ServerSocket::Timers> timers;
  std::unique_ptr<Payloads> spare_payloads;
  net::TimePoint replied_at;  // when the last answer was made
  Calls calls;
  Bytes receive_buffer;
  Answer answer;
  Scratch scratch;
  Metrics metrics;

 protected:
  ~SessionHost() = default;
};

class Session final : private net::ServerEvents, private rpc::RequestSink, private Task {
 public:
  Session(SessionHost& host, net::Accepted accepted, NoRoom no_room, net::TimePoint now);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  /// Receives (if `readable`), carries out, answers and sends, as far as it goes without waiting and without keeping
  /// others waiting.
  void turn(bool readable, net::TimePoint now);
  /// A worker has finished.
  void work_done(net::TimePoint now);
  /// Looks at the clock; about four times a second.
  void tick(net::TimePoint now);
  /// No more requests: what has begun is answered, then the connection closed with 1001.
  void drain(net::TimePoint now);
  /// Ends it at once; a worker may still be at it.
  void abandon() noexcept;

  [[nodiscard]] bool wants_read() const noexcept;
  [[nodiscard]] bool wants_write() const noexcept;
  /// There is more to do without waiting for the socket.
  [[nodiscard]] bool wants_turn() const noexcept;
  /// Requests of it are being carried out, or their replies sent.
  [[nodiscard]] bool at_work() const noexcept;
  /// Over; may be destroyed.
  [[nodiscard]] bool over() const noexcept { return dead_ && !working_; }
  [[nodiscard]] bool dead() const noexcept { return dead_; }
  [[nodiscard]] net::SocketHandle fd() const noexcept { return socket_.fd(); }
  [[nodiscard]] const std::string& peer() const noexcept { return peer_; }

  /// How the poller knows it; kept here for its owner.
  struct Watch {
    bool added = false;
    bool read = false;
    bool write = false;
    bool broken = false;  // nothing more comes or goes
    bool listed = false;  // for another turn
  } watch;

 private:
  /// A request that waits or is being carried out. `args` lies in what `owner` keeps.
  struct Request {
    std::uint32_t request_id = 0;
    std::uint64_t method_id = 0;
    BytesView args{};
    std::shared_ptr<const void> owner{};
    std::string_view refused{};
    net::TimePoint arrived{};
  };
  /// What another thread does for the session, or has done.
  struct Work {
    Work(const ServerLimits& limits, Charge& charge) : scratch(limits, &charge) {}
    Request request;
    Call call = Call::unknown;
    bool everything = true;  // else only the payloads of `answer` are to be checked
    Scratch scratch;
    Answer answer;
    std::unique_ptr<Payloads> payloads;
  };
  /// An answer that is sent piece by piece.
  struct Production {
    Production(Answer from, rpc::Dialect dialect, std::uint32_t stream_id, const Request& request,
               std::unique_ptr<Payloads>* found, Charge& memory)
        : charge(memory),
          answer(std::move(from)),
          payloads(found != nullptr ? std::move(*found) : nullptr),
          stream(dialect, stream_id, request.request_id, request.method_id, answer, payloads.get()) {
      charge.set(answer.head.capacity() + (payloads ? payloads->memory() : 0));
    }
    Production(const Production&) = delete;
    Production& operator=(const Production&) = delete;
    ~Production() { charge.set(0); }
    Charge& charge;
    Answer answer;
    std::unique_ptr<Payloads> payloads;
    ReplyStream stream;
  };

  // ServerEvents
  net::HttpAnswer http(const net::HttpRequest& request) override;
  void opened() override;
  MutableBytes need() override;
  void received(std::size_t n, net::MessageKind kind, bool message_done) override;
  void ended(Error error) override;
  // RequestSink
  void request(const rpc::WholeRequest& request) override;
  // Task, on another thread
  void run() noexcept override;

  void skip_pause(net::TimePoint now) noexcept;
  [[nodiscard]] bool may_read() const noexcept;
  [[nodiscard]] bool busy() const noexcept { return working_ || production_ != nullptr; }
  void detect(BytesView bytes, bool message_done);
  void enqueue(const rpc::WholeRequest& request);
  void carry_out(Request request);
  static void own_args(Request& request);
  void stop_answering() noexcept { unheard_.store(true, std::memory_order_relaxed); }
  void hand_over(Request request, Call call, bool everything);
  void reply(const Request& request, Call call, Answer& answer, std::unique_ptr<Payloads>* payloads);
  void send_now(ReplyStream& frames, const Request& request, std::uint32_t stream, Answer& answer);
  void lose(const Error& error);
  void produce();
  bool send_some();
  void go_on();
  void fail(const rpc::Fault& fault);
  void count_traffic() noexcept;
  void count_unfinished() noexcept;
  void give_back(std::unique_ptr<Payloads> payloads) noexcept;
  /// Sends a Close frame; nothing is read or answered after it.
  void close(std::uint16_t code, std::string_view reason);
  /// Counts and logs a breach.
  void breach(Limit limit, std::string_view text);
  /// Ends the connection for a breach, with a Close frame if it can still be sent.
  void cut(Limit limit, std::uint16_t code, std::string_view text);
  void die() noexcept;

  SessionHost& host_;
  Shared& shared_;
  std::string peer_;
  net::ServerSocket socket_;
  rpc::Dialect preferred_ = rpc::Dialect::d13;  // where the first frames are of either
  std::optional<rpc::DialectDetector> detector_;
  std::unique_ptr<rpc::RequestReader> reader_;
  rpc::Dialect dialect_ = rpc::Dialect::d13;
  std::deque<Request> waiting_;
  Charge charge_;  // for what is being carried out or answered, besides its own bytes
  std::unique_ptr<Work> work_;
  std::unique_ptr<Production> production_;
  std::uint64_t waiting_bytes_ = 0;
  std::uint64_t working_bytes_ = 0;
  std::uint64_t counted_unfinished_ = 0;
  std::uint64_t counted_received_ = 0;
  std::uint64_t counted_sent_ = 0;
  std::int64_t budget_ = 0;  // bytes that may still be answered in this turn
  std::uint32_t next_stream_ = 0;
  std::uint32_t logged_ = 0;  // limits that were, one bit each
  bool turn_begins_ = false;  // nothing has come in it yet

  net::TimePoint now_;
  net::TimePoint ticked_at_;
  net::TimePoint accepted_at_;
  net::TimePoint chunk_at_;
  net::TimePoint last_sign_;  // of life
  net::TimePoint last_ping_;
  net::TimePoint stalled_since_;
  net::TimePoint short_since_;  // of memory for all connections
  net::TimePoint closing_until_ = net::TimePoint::max();
  std::uint64_t sent_at_tick_ = 0;

  NoRoom no_room_ = NoRoom::none;
  bool http_answered_ = false;  // with something else than an upgrade
  bool draining_ = false;
  bool closing_ = false;   // a Close frame of ours is written
  bool ended_ = false;     // nothing that comes means anything
  bool lost_ = false;      // nothing comes
  bool finished_ = false;  // finish() was called
  bool blocked_ = false;   // the socket is full
  bool short_ = false;     // paused for max_unfinished_total
  bool working_ = false;
  bool dead_ = false;

  // For run(), which then begins nothing that is of no use any more.
  std::atomic<bool> unheard_{false};  // no answer is taken
  std::atomic<bool> cut_{false};      // dead_
};

}  // namespace simdrive::server
