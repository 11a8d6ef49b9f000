// One call: a record on the caller's stack, and the sink of its reply.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <string>
#include <vector>

#include "base/gather.hpp"
#include "codec/values_decoder.hpp"
#include "net/socket.hpp"
#include "rpc/frame.hpp"
#include "rpc/reply_reader.hpp"
#include "simdrive/client.hpp"

namespace simdrive::client {

class Connection;
struct Operation;

/// Which keys a request is about.
enum class Touches : std::uint8_t { any_key, one_key };

/// What the body of a successful reply holds.
enum class Reply : std::uint8_t { number, flag, values };

class Call;

/// Told that calls are over that no thread waits for. Under the connection's mutex: it may only note them.
class Completions {
 public:
  virtual void completed(Call& call) noexcept = 0;

 protected:
  ~Completions() = default;
};

class Call final : public rpc::ReplySink {
 public:
  /// `args` is borrowed until the call is over.
  Call(rpc::Method m, Reply kind, const Gather& arguments) : method(m), reply(kind), args(&arguments) {}
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  /// Makes ready for one try on a connection.
  void start(Connection& connection, std::uint32_t id);

  // rpc::ReplySink
  void begin(std::uint8_t status) override;
  Result<std::size_t> feed(BytesView in) override;
  MutableBytes direct() override;
  void commit(std::size_t n) override;
  [[nodiscard]] bool complete() const override;
  Result<void> at_end() override;
  void finished(Result<void> result) override;

  /// How far its transfer is. Under the connection's mutex.
  struct Moved {
    std::uint64_t done = 0;
    std::uint64_t total = 0;
  };
  [[nodiscard]] Moved moved() const;
  /// Whether a byte of it left the process, in this try or an earlier one.
  [[nodiscard]] bool may_be_applied() const noexcept { return sent_any || sent_before; }
  /// Whether it changes what the store holds.
  [[nodiscard]] bool mutates() const noexcept {
    return method == rpc::Method::write || method == rpc::Method::batch_write || method == rpc::Method::erase;
  }

  /// Places the values; called without locks, on the thread of the call. False: they can't be taken.
  bool allocate();

  const rpc::Method method;
  const Reply reply;
  const Gather* args;
  net::TimePoint deadline;
  Interrupt interrupt;
  Progress progress;
  net::TimePoint next_look{};          // at what the caller's Interrupt and Progress want
  Completions* completions = nullptr;  // null: a thread waits
  Operation* operation = nullptr;      // whose call it is, with completions
  Touches touches = Touches::any_key;  // with completions
  std::uint64_t key_hash = 0;          // of the one key
  bool args_stay = false;              // unchanged and alive until the call is over, also one that nobody waits for
  // values: where they go
  Receiver receiver;
  ReadResult* single = nullptr;  // `read`; null for `batch_read`
  std::uint64_t batch_count = 0;
  std::uint64_t max_value_bytes = 0;
  std::uint64_t payload_bytes = 0;  // of a write

  // Under the connection's mutex.
  std::uint32_t request_id = 0;
  std::uint32_t next_seq = 0;
  GatherCursor cursor;
  bool queued = false;
  bool sent_any = false;
  bool sent_all = false;
  bool sent_before = false;  // in an earlier try
  bool done = false;
  bool waiting = false;    // asleep on `wake`
  bool attending = false;  // its thread runs the caller's Interrupt or Progress
  bool placing = false;    // allocate() runs
  bool orphan = false;     // nobody wants its outcome: it only ends what it has begun
  bool placed = false;     // allocate() was called
  bool values_refused = false;
  Error error;
  bool failed = false;
  std::condition_variable wake;
  Call* next_queued = nullptr;
  Call* prev_queued = nullptr;
  Call* next_active = nullptr;
  Call* prev_active = nullptr;

  std::uint64_t number = 0;

 private:
  Result<std::size_t> feed_values(BytesView in);
  Result<std::size_t> feed_small(BytesView in);

  Connection* connection_ = nullptr;
  std::uint8_t status_ = 0;
  std::uint8_t small_have_ = 0;
  std::array<std::uint8_t, 24> small_{};
  std::string text_;
  codec::ValuesDecoder values_;
  std::vector<std::uint8_t*> targets_;
  std::uint8_t* target_ = nullptr;
  std::uint64_t values_total_ = 0;
  std::uint64_t values_received_ = 0;
};

}  // namespace simdrive::client
