#include "store/epoch.hpp"

namespace simdrive::store {

namespace {

std::atomic<std::size_t> g_threads{0};
constexpr std::size_t kNone = ~std::size_t{0};
constinit thread_local std::size_t t_stripe = kNone;

}  // namespace

std::size_t Epoch::thread_stripe() noexcept {
  if (t_stripe == kNone) t_stripe = g_threads.fetch_add(1, std::memory_order_relaxed) % kStripes;
  return t_stripe;
}

Epoch::~Epoch() {
  while (first_ != nullptr) {
    Retired& thing = *std::exchange(first_, first_->next);
    thing.destroy(thing);
  }
}

void Epoch::retire(Retired& thing) noexcept {
  // A reader that can still see it entered in this epoch or before: the next one begins after this.
  thing.epoch = epoch_.load(std::memory_order_relaxed);
  thing.next = nullptr;
  (last_ == nullptr ? first_ : last_->next) = &thing;
  last_ = &thing;
  retired_bytes_.store(retired_bytes() + thing.bytes, std::memory_order_relaxed);
  collect();
}

void Epoch::collect() noexcept {
  std::uint64_t epoch = epoch_.load(std::memory_order_relaxed);
  while (first_ != nullptr) {
    // Epoch e + 2 begins when e has no reader left, and e + 1 began when those before had none.
    if (first_->epoch + 2 <= epoch) {
      Retired& thing = *first_;
      first_ = thing.next;
      if (first_ == nullptr) last_ = nullptr;
      retired_bytes_.store(retired_bytes() - thing.bytes, std::memory_order_relaxed);
      thing.destroy(thing);
    } else if (none_left_of_last()) {
      epoch_.store(++epoch, std::memory_order_seq_cst);
    } else {
      return;
    }
  }
}

bool Epoch::none_left_of_last() const noexcept {
  const std::size_t last = (epoch_.load(std::memory_order_relaxed) + 1) & 1;
  for (const Stripe& stripe : stripes_) {
    if (stripe.readers[last].load(std::memory_order_seq_cst) != 0) return false;
  }
  return true;
}

void Epoch::reset_after_fork() noexcept {
  for (Stripe& stripe : stripes_) {
    for (auto& readers : stripe.readers) readers.store(0, std::memory_order_relaxed);
  }
}

}  // namespace simdrive::store
