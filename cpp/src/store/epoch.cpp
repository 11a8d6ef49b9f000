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
  for (Retired* thing = first_; thing != nullptr;) thing->destroy(*std::exchange(thing, thing->next));
  for (Retired* thing = fresh_.load(std::memory_order_acquire); thing != nullptr;) {
    thing->destroy(*std::exchange(thing, thing->next));
  }
}

void Epoch::retire(Retired& thing) noexcept {
  retired_bytes_.fetch_add(thing.bytes, std::memory_order_relaxed);
  thing.next = fresh_.load(std::memory_order_relaxed);
  while (!fresh_.compare_exchange_weak(thing.next, &thing)) {
  }
  collect();
}

void Epoch::collect() noexcept {
  do {
    if (collecting_.exchange(true)) return;
    std::uint64_t epoch = epoch_.load(std::memory_order_relaxed);
    Retired* added = nullptr;
    for (Retired* thing = fresh_.exchange(nullptr); thing != nullptr;) {
      // A reader that can still see it entered in this epoch or before: the next one begins after this.
      thing->epoch = epoch;
      added = std::exchange(thing, std::exchange(thing->next, added));
    }
    if (added != nullptr) {
      (last_ == nullptr ? first_ : last_->next) = added;
      for (last_ = added; last_->next != nullptr;) last_ = last_->next;
    }
    Retired* const oldest = first_;
    // Epoch e + 2 begins when e has no reader left, and e + 1 began when those before had none.
    while (first_ != nullptr) {
      if (first_->epoch + 2 <= epoch) {
        first_ = first_->next;
      } else if (none_left_of_last()) {
        epoch_.store(++epoch, std::memory_order_seq_cst);
      } else {
        break;
      }
    }
    Retired* const left = first_;
    if (left == nullptr) last_ = nullptr;
    collecting_.store(false);
    for (Retired* thing = oldest; thing != left;) {
      retired_bytes_.fetch_sub(thing->bytes, std::memory_order_relaxed);
      thing->destroy(*std::exchange(thing, thing->next));
    }
  } while (fresh_.load() != nullptr);  // of those who found it taken
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
