// The executor under one connection: a plain queue that its owner runs, and recycled memory for what is queued.
// Nothing here is thread safe: the owner's mutex guards all of it.
#pragma once

#include <array>
#include <boost/asio/execution.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <new>
#include <optional>
#include <utility>

namespace simdrive::net {

using ErrorCode = boost::system::error_code;

/// Blocks of four sizes, kept for reuse: after a few calls nothing on the hot path reaches malloc.
class SlotPool {
 public:
  SlotPool() = default;
  SlotPool(const SlotPool&) = delete;
  SlotPool& operator=(const SlotPool&) = delete;
  ~SlotPool() {
    for (Slot* head : free_) {
      while (head) ::operator delete(std::exchange(head, head->next));
    }
  }

  [[nodiscard]] void* allocate(std::size_t n) {
    const std::size_t c = size_class(n);
    if (c == kClasses) return ::operator new(n);
    if (Slot* s = free_[c]) {
      free_[c] = s->next;
      return s;
    }
    return ::operator new(kSmallest << c);
  }

  void release(void* p, std::size_t n) noexcept {
    const std::size_t c = size_class(n);
    if (c == kClasses) {
      ::operator delete(p);
    } else {
      free_[c] = ::new (p) Slot{free_[c]};
    }
  }

 private:
  struct Slot {
    Slot* next;
  };
  static constexpr std::size_t kSmallest = 256;
  static constexpr std::size_t kClasses = 4;
  static std::size_t size_class(std::size_t n) noexcept {
    std::size_t c = 0;
    while (c < kClasses && (kSmallest << c) < n) ++c;
    return c;
  }
  std::array<Slot*, kClasses> free_{};
};

/// Hands a `SlotPool` to Asio and Beast as the allocator of their operations.
template <class T>
class PoolAllocator {
 public:
  using value_type = T;
  explicit PoolAllocator(SlotPool& pool) noexcept : pool_(&pool) {}
  template <class U>
  PoolAllocator(const PoolAllocator<U>& other) noexcept : pool_(other.pool()) {}
  [[nodiscard]] T* allocate(std::size_t n) { return static_cast<T*>(pool_->allocate(n * sizeof(T))); }
  void deallocate(T* p, std::size_t n) noexcept { pool_->release(p, n * sizeof(T)); }
  [[nodiscard]] SlotPool* pool() const noexcept { return pool_; }
  template <class U>
  bool operator==(const PoolAllocator<U>& other) const noexcept {
    return pool_ == other.pool();
  }

 private:
  SlotPool* pool_;
};

/// A queued function, or an input/output operation that waits for its result.
struct Op {
  Op* next = nullptr;
  void (*finish)(Op*, SlotPool&, bool run) = nullptr;
  ErrorCode ec;
  std::size_t bytes = 0;
};

/// First in, first out; run by whoever holds the connection.
class OpQueue {
 public:
  OpQueue() : own_(std::in_place, 1), context_(&*own_) {}
  /// `shared` must outlive the queue. A context with a timer has three descriptors of its own: too many for a server to
  /// have one for each connection.
  explicit OpQueue(boost::asio::io_context& shared) : context_(&shared) {}
  OpQueue(const OpQueue&) = delete;
  OpQueue& operator=(const OpQueue&) = delete;
  ~OpQueue() { clear(); }

  void push(Op* op) noexcept {
    op->next = nullptr;
    (head_ ? tail_->next : head_) = op;
    tail_ = op;
  }

  /// Runs until the queue is empty; returns whether anything ran.
  bool run() {
    bool ran = false;
    while (Op* op = pop()) {
      op->finish(op, pool_, true);
      ran = true;
    }
    return ran;
  }

  void clear() noexcept {
    while (Op* op = pop()) op->finish(op, pool_, false);
  }

  template <class F>
  [[nodiscard]] Op* make_function(F&& f) {
    using Function = FunctionOp<std::decay_t<F>>;
    return ::new (pool_.allocate(sizeof(Function))) Function(std::forward<F>(f));
  }

  template <class Handler>
  [[nodiscard]] Op* make_io(Handler&& h) {
    using Io = IoOp<std::decay_t<Handler>>;
    return ::new (pool_.allocate(sizeof(Io))) Io(std::forward<Handler>(h));
  }

  void discard(Op* op) noexcept {
    if (op) op->finish(op, pool_, false);
  }

  [[nodiscard]] SlotPool& pool() noexcept { return pool_; }
  /// Beast's stream owns a timer, which asks for a context. Nobody runs this one.
  [[nodiscard]] boost::asio::io_context& context() noexcept { return *context_; }

 private:
  template <class F>
  struct FunctionOp : Op {
    explicit FunctionOp(F&& fn) : f(std::move(fn)) { finish = &done; }
    explicit FunctionOp(const F& fn) : f(fn) { finish = &done; }
    static void done(Op* op, SlotPool& pool, bool run) {
      auto* self = static_cast<FunctionOp*>(op);
      F f(std::move(self->f));
      self->~FunctionOp();
      pool.release(self, sizeof(FunctionOp));
      if (run) std::move(f)();
    }
    F f;
  };
  template <class H>
  struct IoOp : Op {
    explicit IoOp(H&& handler) : h(std::move(handler)) { finish = &done; }
    explicit IoOp(const H& handler) : h(handler) { finish = &done; }
    static void done(Op* op, SlotPool& pool, bool run) {
      auto* self = static_cast<IoOp*>(op);
      H h(std::move(self->h));
      const ErrorCode ec = self->ec;
      const std::size_t n = self->bytes;
      self->~IoOp();
      pool.release(self, sizeof(IoOp));
      if (run) std::move(h)(ec, n);
    }
    H h;
  };

  Op* pop() noexcept {
    Op* op = head_;
    if (op) head_ = op->next;
    return op;
  }

  std::optional<boost::asio::io_context> own_;
  boost::asio::io_context* context_;
  SlotPool pool_;
  Op* head_ = nullptr;
  Op* tail_ = nullptr;
};

/// Asio's view of an `OpQueue`.
class QueueExecutor {
 public:
  explicit QueueExecutor(OpQueue& queue) noexcept : queue_(&queue) {}

  template <class F>
  void execute(F&& f) const {
    queue_->push(queue_->make_function(std::forward<F>(f)));
  }

  boost::asio::execution_context& query(boost::asio::execution::context_t) const noexcept { return queue_->context(); }
  // Answered at run time: a constexpr answer makes require() return a reference, which Asio cannot use.
  boost::asio::execution::blocking_t query(boost::asio::execution::blocking_t) const noexcept {
    return boost::asio::execution::blocking.never;
  }
  QueueExecutor require(boost::asio::execution::blocking_t::never_t) const noexcept { return *this; }

  bool operator==(const QueueExecutor& other) const noexcept { return queue_ == other.queue_; }
  bool operator!=(const QueueExecutor& other) const noexcept { return queue_ != other.queue_; }

 private:
  OpQueue* queue_;
};

}  // namespace simdrive::net
