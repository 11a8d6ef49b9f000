// Gives memory and mapped files back to the system on a thread of its own, since that takes long: 5 ms for 64 MiB. Any
// thread may use it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>

namespace simdrive {

class Reaper {
 public:
  /// Starts a thread that calls run(); false if there is none to be had.
  using Start = bool (*)(Reaper& reaper);

  /// As much as this is kept for kLinger. What is more goes at once.
  static constexpr std::size_t kWarm = std::size_t{16} << 20;
  static constexpr std::chrono::milliseconds kLinger{100};
  /// As much as this, what is lent and what can be taken together, is kept for kKeepFor after its last use.
  static constexpr std::size_t kKeptMax = sizeof(std::size_t) > 4 ? std::size_t{128} << 20 : std::size_t{16} << 20;
  static constexpr std::chrono::seconds kKeepFor{5};
  /// So many times what is asked for is lent at the most: little use is not to keep much memory from the system.
  static constexpr std::size_t kLendTimes = 8;
  using Clock = std::chrono::steady_clock;

  /// Pages that are to come back by keep(), or none.
  struct Loan {
    void* pages = nullptr;
    std::size_t bytes = 0;
  };

  /// Pages that are the caller's, or none.
  struct Pages {
    void* start = nullptr;
    std::size_t bytes = 0;
  };

  /// Part of what describes mapped addresses: what the thread has to know to give them back.
  struct Mapped {
    void* start = nullptr;
    std::size_t bytes = 0;
    /// Unmaps them, and destroys what this is part of. Called with a lock held: nothing else.
    void (*unmap)(Mapped& mapped) noexcept = nullptr;
    Mapped* next = nullptr;  // the reaper's
  };

  /// What would make more than `waiting_max` bytes wait is freed by whoever brings it, unless nothing waits.
  Reaper(Start start, std::size_t waiting_max, Clock::duration keep_for = kKeepFor) noexcept
      : start_(start), waiting_max_(waiting_max), keep_for_(keep_for) {}
  Reaper(const Reaper&) = delete;
  Reaper& operator=(const Reaper&) = delete;

  /// The one of this process: it survives fork() and is never destroyed.
  static Reaper& of_process() noexcept;

  /// Takes what map_pages() gave. The thread is started by the first call, and again after fork() or a failure.
  void take(void* pages, std::size_t bytes) noexcept;
  /// Takes the mapping of a file, to unmap it soon; it is not for reuse, and counts for no limit.
  void take(Mapped& mapped) noexcept;
  /// Unmaps what waits of those, and returns when all are gone: for who finds no more addresses.
  void unmap_all() noexcept;
  /// Just so many bytes that were taken and are not freed yet, or null. Their contents are undefined.
  [[nodiscard]] void* reuse(std::size_t bytes) noexcept { return reuse(bytes, bytes).start; }
  /// The latest of these that has `least` to `most` bytes.
  [[nodiscard]] Pages reuse(std::size_t least, std::size_t most) noexcept;
  /// Takes what map_pages() gave, or what was lent, to be lent: as far as kKeptMax allows, else as take(). `lent` is
  /// what lend() gave of it, 0 for what is no loan; it may have grown since.
  void keep(void* pages, std::size_t bytes, std::size_t lent) noexcept;
  /// At least so many bytes of what is kept, for the caller until keep(). Their contents are undefined.
  [[nodiscard]] Loan lend(std::size_t bytes) noexcept;
  /// Frees what comes, for ever.
  [[noreturn]] void run() noexcept;
  /// Frees what waits. Not while run() does.
  void drain() noexcept;
  /// Bytes taken or kept, and not freed yet.
  [[nodiscard]] std::size_t waiting_bytes() noexcept;

  void before_fork() noexcept { mutex_.lock(); }
  void after_fork_in_parent() noexcept { mutex_.unlock(); }
  void after_fork_in_child() noexcept;

 private:
  // At the start of memory that waits.
  struct Waiting {
    Waiting* next;
    std::size_t bytes;
    Clock::time_point until{};  // when it is kept
  };

  void let_go(Clock::time_point now) noexcept;
  [[nodiscard]] Clock::time_point next_deadline() const noexcept;
  void free_one(std::unique_lock<std::mutex>& lock) noexcept;
  void unmap_one(std::unique_lock<std::mutex>& lock) noexcept;

  const Start start_;
  const std::size_t waiting_max_;
  const Clock::duration keep_for_;
  std::mutex mutex_;
  std::condition_variable more_;
  Waiting* waiting_ = nullptr;  // the latest first
  std::size_t waiting_bytes_ = 0;
  Waiting* kept_ = nullptr;  // the latest first
  std::size_t kept_bytes_ = 0;
  std::size_t lent_bytes_ = 0;
  void* current_ = nullptr;  // being freed
  std::size_t current_bytes_ = 0;
  std::condition_variable unmapped_;
  Mapped* mapped_ = nullptr;          // those that wait, the latest first
  Mapped* current_mapped_ = nullptr;  // being unmapped
  bool running_ = false;
  bool asleep_ = false;  // until more comes
};

}  // namespace simdrive
