// A call that no stack holds: of an event loop, or of a pipeline. Its request, its reply and its place in a list.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/gather.hpp"
#include "client/call.hpp"
#include "simdrive/async_client.hpp"

namespace simdrive {

struct CallLimit;

}  // namespace simdrive

namespace simdrive::client {

/// Checks of what a caller wants to send, before a byte of it is. `invalid_key`, `invalid_value`.
Result<void> check_key(BytesView key, const Options& options);
Result<void> check_payload(BytesView payload, const Options& options);
Result<void> check_keys(std::span<const BytesView> keys, const Options& options);
Result<void> check_entries(std::span<const KeyValue> entries, const Options& options);

struct Operation final : AsyncCall {
  enum class State : std::uint8_t { idle, held, waiting, active, done };

  /// Makes the call of `args`, which the caller has encoded.
  void prepare(rpc::Method method, Reply reply, std::uint64_t payload_bytes);
  /// Makes ready for reuse; keeps moderate memory.
  void reset() noexcept;
  /// Copies what the call came to, for the caller to see.
  void take_outcome();

  Gather args;
  std::optional<Call> call;
  std::unique_ptr<ReadResult> room;  // for a small value, while the call is on a connection
  State state = State::idle;
  std::uint32_t tries = 0;
  std::uint32_t epoch = 0;  // forks of the process when it came to its connection
  std::shared_ptr<CallLimit> limit;
  bool told = false;  // the caller knows or does not want its outcome
  net::TimePoint started{};
  net::TimePoint progress_due{};
  std::size_t heap_index = 0;
  std::size_t place = 0;  // among its owner's operations
  Operation* next = nullptr;
  Operation* prev = nullptr;
};

/// Operations in order, each in one list at most.
class OperationList {
 public:
  [[nodiscard]] bool empty() const noexcept { return head_ == nullptr; }
  [[nodiscard]] Operation* front() const noexcept { return head_; }
  void push_back(Operation& op) noexcept;
  void push_front(Operation& op) noexcept;
  void remove(Operation& op) noexcept;
  Operation* pop_front() noexcept;

 private:
  Operation* head_ = nullptr;
  Operation* tail_ = nullptr;
};

/// Operations by their deadlines, the earliest first.
class Deadlines {
 public:
  [[nodiscard]] bool empty() const noexcept { return heap_.empty(); }
  [[nodiscard]] Operation& earliest() const noexcept { return *heap_.front(); }
  void add(Operation& op);
  void remove(Operation& op) noexcept;

 private:
  [[nodiscard]] static bool before(const Operation& a, const Operation& b) noexcept {
    return a.call->deadline < b.call->deadline;
  }
  void put(std::size_t at, Operation* op) noexcept;
  void rise(std::size_t at) noexcept;
  void sink(std::size_t at) noexcept;

  std::vector<Operation*> heap_;
};

}  // namespace simdrive::client
