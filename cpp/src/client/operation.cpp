#include "client/operation.hpp"

#include <string>
#include <utility>

namespace simdrive::client {

namespace {

std::string bytes_more_than(std::size_t size, const char* limit_name, std::uint64_t limit) {
  return std::to_string(size) + " bytes, more than " + limit_name + " (" + std::to_string(limit) + ")";
}

Error at(std::size_t index, const char* what, Error error) {
  error.offset = index;
  error.detail = std::string(what) + ' ' + std::to_string(index) + ": " + error.detail;
  return error;
}

// A Result is dear to return for each item of a batch that is in order.
inline bool fits_key(BytesView key, const Options& options) noexcept { return key.size() <= options.max_key_size; }

inline bool fits_payload(BytesView payload, const Options& options) noexcept {
  return payload.size() > 1 ? payload.size() <= options.max_value_size
                            : options.max_value_size != 0 && !payload.empty() && payload[0] != 0;
}

}  // namespace

Result<void> check_key(BytesView key, const Options& options) {
  if (fits_key(key, options)) return {};
  return Error{Errc::invalid_key, "the key has " + bytes_more_than(key.size(), "max_key_size", options.max_key_size)};
}

Result<void> check_payload(BytesView payload, const Options& options) {
  if (fits_payload(payload, options)) return {};
  if (payload.empty()) return Error{Errc::invalid_value, "the value is empty"};
  if (payload.size() == 1 && payload[0] == 0) {
    return Error{Errc::invalid_value, "the value is the single byte 00, which marks a deleted key"};
  }
  return Error{Errc::invalid_value,
               "the value has " + bytes_more_than(payload.size(), "max_value_size", options.max_value_size)};
}

Result<void> check_keys(std::span<const BytesView> keys, const Options& options) {
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (fits_key(keys[i], options)) continue;
    if (auto r = check_key(keys[i], options); !r) return at(i, "key", std::move(r).error());
  }
  return {};
}

Result<void> check_entries(std::span<const KeyValue> entries, const Options& options) {
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (fits_key(entries[i].key, options) && fits_payload(entries[i].payload, options)) continue;
    auto ok = check_key(entries[i].key, options);
    if (ok) ok = check_payload(entries[i].payload, options);
    if (!ok) return at(i, "item", std::move(ok).error());
  }
  return {};
}

void Operation::prepare(rpc::Method method, Reply reply, std::uint64_t payload_bytes) {
  call.emplace(method, reply, args);
  call->payload_bytes = payload_bytes;
  call->operation = this;
  failed = over = told = false;
  tries = 0;
  number = 0;
}

void Operation::reset() noexcept {
  args.clear();
  call.reset();
  limit.reset();
  result = nullptr;
  error = {};
  tag = nullptr;
  state = State::idle;
}

void Operation::take_outcome() {
  number = call->number;
  failed = call->failed;
  if (!failed) return;
  error = std::move(call->error);
  if (call->values_refused && call->single) error.code = Errc::buffer_too_small;
}

void OperationList::push_back(Operation& op) noexcept {
  op.next = nullptr;
  op.prev = tail_;
  (tail_ ? tail_->next : head_) = &op;
  tail_ = &op;
}

void OperationList::push_front(Operation& op) noexcept {
  op.prev = nullptr;
  op.next = head_;
  (head_ ? head_->prev : tail_) = &op;
  head_ = &op;
}

void OperationList::remove(Operation& op) noexcept {
  (op.prev ? op.prev->next : head_) = op.next;
  (op.next ? op.next->prev : tail_) = op.prev;
  op.next = op.prev = nullptr;
}

Operation* OperationList::pop_front() noexcept {
  Operation* op = head_;
  if (op) remove(*op);
  return op;
}

void Deadlines::add(Operation& op) {
  heap_.push_back(&op);
  op.heap_index = heap_.size() - 1;
  rise(op.heap_index);
}

void Deadlines::remove(Operation& op) noexcept {
  const std::size_t at = op.heap_index;
  Operation* last = heap_.back();
  heap_.pop_back();
  if (last == &op) return;
  put(at, last);
  rise(at);
  sink(last->heap_index);
}

void Deadlines::put(std::size_t at, Operation* op) noexcept {
  heap_[at] = op;
  op->heap_index = at;
}

void Deadlines::rise(std::size_t at) noexcept {
  Operation* op = heap_[at];
  while (at != 0) {
    const std::size_t parent = (at - 1) / 2;
    if (!before(*op, *heap_[parent])) break;
    put(at, heap_[parent]);
    at = parent;
  }
  put(at, op);
}

void Deadlines::sink(std::size_t at) noexcept {
  Operation* op = heap_[at];
  for (;;) {
    std::size_t child = 2 * at + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && before(*heap_[child + 1], *heap_[child])) ++child;
    if (!before(*heap_[child], *op)) break;
    put(at, heap_[child]);
    at = child;
  }
  put(at, op);
}

}  // namespace simdrive::client
