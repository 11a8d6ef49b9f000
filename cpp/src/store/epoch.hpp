// Lets readers use what one writer replaces, without a lock: the writer takes a thing out of reach and retires it; it
// is destroyed once every reader that may still see it has left. Nobody waits for anybody.
//
// Reader, any thread:                             Writer, any thread:
//   const Epoch::Guard guard = epoch.enter();       Thing* old = current.exchange(fresh);
//   const Thing* thing = current.load();            epoch.retire(*old);
//
// enter() and the end of a guard are one atomic addition each, on a cache line that up to kStripes threads have for
// themselves. Guards may be nested, and moved to other threads. What is retired is kept for as long as a guard lives
// that was there before, so a guard is for a look-up, not for a wait; who needs a thing longer counts a reference to it
// under the guard.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace simdrive::store {

class Epoch {
 public:
  static constexpr std::size_t kStripes = 64;

  /// Base of what can be retired: it carries its own place in the list, so that retiring cannot fail.
  struct Retired {
    Retired* next = nullptr;
    std::uint64_t epoch = 0;
    std::size_t bytes = 0;                         ///< for retired_bytes(), set by the owner
    void (*destroy)(Retired&) noexcept = nullptr;  ///< set by the owner
  };

  class [[nodiscard]] Guard {
   public:
    Guard(Guard&& other) noexcept : readers_(std::exchange(other.readers_, nullptr)) {}
    Guard& operator=(Guard&&) = delete;
    ~Guard() {
      if (readers_ != nullptr) readers_->fetch_sub(1, std::memory_order_release);
    }

   private:
    friend class Epoch;
    explicit Guard(std::atomic<std::uint64_t>& readers) noexcept : readers_(&readers) {}

    std::atomic<std::uint64_t>* readers_;
  };

  Epoch() noexcept = default;
  Epoch(const Epoch&) = delete;
  Epoch& operator=(const Epoch&) = delete;
  /// Destroys what is retired. There must be no guard.
  ~Epoch();

  /// What can be reached after this stays whole until the guard ends.
  Guard enter() noexcept {
    Stripe& stripe = stripes_[thread_stripe()];
    for (;;) {
      const std::uint64_t epoch = epoch_.load(std::memory_order_acquire);
      std::atomic<std::uint64_t>& readers = stripe.readers[epoch & 1];
      readers.fetch_add(1, std::memory_order_seq_cst);
      // The writer moves the epoch on, then looks at the counts; this is the other way round. So it sees the count, or
      // this sees the new epoch.
      if (epoch_.load(std::memory_order_seq_cst) == epoch) return Guard(readers);
      readers.fetch_sub(1, std::memory_order_release);
    }
  }

  /// Destroys `thing` when no guard is left that is older than this call. The writer took it out of reach before.
  void retire(Retired& thing) noexcept;
  /// Destroys what can be by now, unless another thread is about it; retire() does it, too.
  void collect() noexcept;
  /// Bytes of what is retired and not destroyed yet. Any thread.
  [[nodiscard]] std::size_t retired_bytes() const noexcept { return retired_bytes_.load(std::memory_order_relaxed); }

  /// In the child of fork(), where the threads that held guards do not exist: forgets their guards, which would keep
  /// everything retired for ever. The thread that forks must hold no guard, and no other retire anything meanwhile.
  void reset_after_fork() noexcept;

 private:
  // The readers of the present epoch and of the one before, by the epoch's lowest bit. 128: processors fetch lines of
  // 64 bytes in pairs.
  struct alignas(128) Stripe {
    std::array<std::atomic<std::uint64_t>, 2> readers{};
  };

  static std::size_t thread_stripe() noexcept;
  [[nodiscard]] bool none_left_of_last() const noexcept;

  std::atomic<std::uint64_t> epoch_{0};
  std::atomic<Retired*> fresh_{nullptr};  // retired since the last collect(), newest first
  // Whose thread collects. Nobody waits for it: in a child of fork() it may never end.
  std::atomic<bool> collecting_{false};
  // Its own, oldest first.
  Retired* first_ = nullptr;
  Retired* last_ = nullptr;
  std::atomic<std::size_t> retired_bytes_{0};
  std::array<Stripe, kStripes> stripes_{};
};

}  // namespace simdrive::store
