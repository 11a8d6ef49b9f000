// The calls of one client that no thread waits for, from their start to their end, over as many connections as that
// takes: of an event loop (AsyncClient) or of a Pipeline.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "client/connection.hpp"
#include "client/operation.hpp"
#include "client/session.hpp"
#include "simdrive/async_client.hpp"

namespace simdrive {

/// Touched as the operations that name it are.
struct CallLimit {
  explicit CallLimit(std::uint32_t n) noexcept : most(n) {}
  const std::uint32_t most;
  std::uint32_t used = 0;
  client::OperationList held;  // until one of the others is over
};

}  // namespace simdrive

namespace simdrive::client {

/// For one thread at a time, the loop's or who has the pipeline's lock, but for completed().
class Operations : public Completions {
 public:
  using Made = Result<AsyncCall*>;

  explicit Operations(Session& session) noexcept : session_(session) {}
  Operations(const Operations&) = delete;
  Operations& operator=(const Operations&) = delete;

  void completed(Call& call) noexcept override;

  // ---- starting

  Made write(BytesView key, BytesView payload, const AsyncCallOptions& how);
  Made batch_write(std::span<const KeyValue> entries, const AsyncCallOptions& how);
  Made read(BytesView key, const Receiver& receiver, const AsyncCallOptions& how);
  Made batch_read(std::span<const BytesView> keys, const Receiver& receiver, const AsyncCallOptions& how);
  Made key_call(rpc::Method method, Reply reply, BytesView key, const AsyncCallOptions& how);
  Made number_call(rpc::Method method, Reply reply, const AsyncCallOptions& how);

  // ---- ending

  /// Nobody wants its outcome any more.
  Outcome cancel(Operation& op);
  /// A call that is over, or null. What its error says was known before may be handed out again when it is over.
  Operation* next_done();
  void recycle(Operation& op);

  /// Calls started and not recycled.
  [[nodiscard]] std::size_t pending() const noexcept { return pending_; }
  /// Whether one call is under way, and none waits.
  [[nodiscard]] bool lone() const noexcept { return active_ == 1 && waiting_.empty(); }

 protected:
  ~Operations() = default;

  /// Somebody must look after the operations, and soon.
  virtual void stir() noexcept = 0;
  /// Leaves the connection for the next one, if any.
  virtual void change_connection(std::shared_ptr<Connection> next) { current_ = std::move(next); }

  /// Takes the connection that the session has, or lets go of a broken one and has the next made.
  void adopt(net::TimePoint now);
  void move_waiting();
  void fail_waiting(const Error& error, net::TimePoint now);
  /// What the connection is through with: tried again, or done.
  void collect(net::TimePoint now);
  void expire(net::TimePoint now);
  /// Ends an operation of which no byte has left the process; else false.
  bool take_away(Operation& op, Error error, net::TimePoint now);
  /// Ends an operation, whatever that costs the connection. Its memory is not used any more.
  void discard(Operation& op);
  /// In the child of fork(): ends all operations, and touches nothing that another thread may have been writing.
  void lose_all(const Error& error, net::TimePoint now);
  /// Ends an active operation for its caller; the operation itself may have to stay.
  void leave(Operation& op, Error error, net::TimePoint now, bool tell = true);
  /// An operation that is on no connection.
  void end_with(Operation& op, Error error, net::TimePoint now);
  [[nodiscard]] bool on_this_side(const Operation& op) const noexcept { return op.epoch == epoch_ && current_; }
  [[nodiscard]] std::size_t active() const noexcept { return active_; }
  /// Those whose outcome is not known.
  [[nodiscard]] std::size_t unknown() const noexcept { return unknown_; }
  [[nodiscard]] bool has_done() const noexcept { return !lingering_.empty() || !done_.empty(); }

  Session& session_;
  std::shared_ptr<Connection> current_;
  std::uint32_t epoch_ = 0;  // forks
  std::mutex over_mutex_;
  OperationList over_;  // by completed()

  std::vector<std::unique_ptr<Operation>> all_;
  OperationList waiting_;  // for a connection, or for room on it
  OperationList done_;
  Deadlines by_deadline_;
  std::vector<Operation*> progressing_;
  bool may_wait_ = true;  // where false, starting an operation gives null instead of waiting for another thread
  std::uint64_t pending_bytes_ = 0;  // of requests whose outcome is not known

 private:
  template <class Encode>
  Operation* make(rpc::Method method, Reply reply, const AsyncCallOptions& how, std::uint64_t payload_bytes,
                  Encode encode);
  Made begin(Operation& op);
  Connection::Started put_on_connection(Operation& op, bool may_wait = true);
  void give_up(Operation& op);
  void take_back(Operation& op);
  void end(Operation& op, net::TimePoint now);
  void outcome_known(Operation& op);
  [[nodiscard]] Error late(std::uint32_t others) const;

  OperationList kept_;
  std::size_t kept_count_ = 0;
  std::size_t pending_ = 0;
  std::size_t active_ = 0;
  std::size_t unknown_ = 0;
  std::uint64_t seen_failures_ = 0;
  std::vector<Operation*> lingering_;  // their callers are to be told before they are over
};

}  // namespace simdrive::client
