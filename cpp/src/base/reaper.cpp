#include "base/reaper.hpp"

#ifndef _WIN32
#include <pthread.h>
#endif

#include <algorithm>
#include <exception>
#include <new>
#include <thread>
#include <utility>

#include "base/pages.hpp"

namespace simdrive {

namespace {

constexpr std::size_t kWaitingMax = sizeof(std::size_t) > 4 ? std::size_t{1} << 30 : std::size_t{1} << 28;
// While the system takes pages back, other threads of the process cannot change their memory maps: not for long at a
// time.
constexpr std::size_t kStep = std::size_t{4} << 20;

void discard_in_steps(void* start, std::size_t bytes) noexcept {
  for (std::size_t at = 0; at < bytes; at += kStep) {
    discard_pages(static_cast<unsigned char*>(start) + at, std::min(kStep, bytes - at));
  }
}

bool start_thread(Reaper& reaper) {
  try {
    std::thread([&reaper] { reaper.run(); }).detach();
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace

Reaper& Reaper::of_process() noexcept {
  // Never destroyed: the thread may outlive static destruction. In static memory, so that getting it cannot fail.
  alignas(Reaper) static unsigned char memory[sizeof(Reaper)];
  static Reaper& instance = *::new (memory) Reaper(start_thread, kWaitingMax);
#ifndef _WIN32
  static const int watched =
      ::pthread_atfork([] { of_process().before_fork(); }, [] { of_process().after_fork_in_parent(); },
                       [] { of_process().after_fork_in_child(); });
  (void)watched;
#endif
  return instance;
}

void Reaper::take(void* pages, std::size_t bytes) noexcept {
  {
    const std::lock_guard lock(mutex_);
    const bool room = waiting_bytes_ == 0 || (waiting_bytes_ < waiting_max_ && bytes <= waiting_max_ - waiting_bytes_);
    // Also without room: what a child of fork() inherited makes some.
    running_ = running_ || start_(*this);
    if (running_ && room) {
      waiting_ = ::new (pages) Waiting{waiting_, bytes};
      waiting_bytes_ += bytes;
      if (asleep_ || waiting_bytes_ > kWarm) more_.notify_one();
      return;
    }
  }
  unmap_pages(pages, bytes);
}

void Reaper::keep(void* pages, std::size_t bytes, std::size_t lent) noexcept {
  {
    const std::lock_guard lock(mutex_);
    lent_bytes_ -= lent;
    const std::size_t held = kept_bytes_ + lent_bytes_;
    running_ = running_ || start_(*this);
    if (running_ && held <= kKeptMax && bytes <= kKeptMax - held) {
      // With others there, the thread wakes up in time by itself.
      if (asleep_ && kept_ == nullptr) more_.notify_one();
      kept_ = ::new (pages) Waiting{kept_, bytes, Clock::now() + keep_for_};
      kept_bytes_ += bytes;
      return;
    }
  }
  take(pages, bytes);
}

Reaper::Loan Reaper::lend(std::size_t bytes) noexcept {
  const std::lock_guard lock(mutex_);
  for (Waiting** at = &kept_; *at != nullptr; at = &(*at)->next) {
    if ((*at)->bytes < bytes || (*at)->bytes / kLendTimes > bytes) continue;
    Waiting* const found = std::exchange(*at, (*at)->next);
    kept_bytes_ -= found->bytes;
    lent_bytes_ += found->bytes;
    return {found, found->bytes};
  }
  return {};
}

// What has been kept for long enough waits to be freed.
void Reaper::let_go(Clock::time_point now) noexcept {
  for (Waiting** at = &kept_; *at != nullptr;) {
    if ((*at)->until > now) {
      at = &(*at)->next;
      continue;
    }
    Waiting* const gone = std::exchange(*at, (*at)->next);
    gone->next = std::exchange(waiting_, gone);
    kept_bytes_ -= gone->bytes;
    waiting_bytes_ += gone->bytes;
  }
}

Reaper::Clock::time_point Reaper::next_deadline() const noexcept {
  const Waiting* oldest = kept_;
  while (oldest->next != nullptr) oldest = oldest->next;
  return oldest->until;
}

void Reaper::take(Mapped& mapped) noexcept {
  {
    const std::lock_guard lock(mutex_);
    running_ = running_ || start_(*this);
    if (running_) {
      mapped.next = std::exchange(mapped_, &mapped);
      more_.notify_one();
      return;
    }
  }
  mapped.unmap(mapped);
}

void Reaper::unmap_all() noexcept {
  std::unique_lock lock(mutex_);
  while (mapped_ != nullptr) {
    Mapped& mapped = *std::exchange(mapped_, mapped_->next);
    mapped.unmap(mapped);
  }
  unmapped_.wait(lock, [this] { return current_mapped_ == nullptr; });
}

Reaper::Pages Reaper::reuse(std::size_t least, std::size_t most) noexcept {
  const std::lock_guard lock(mutex_);
  // No more are warm than these; more wait only while the thread is at work.
  int left = kWarm >> 20;
  for (Waiting** at = &waiting_; *at != nullptr && left-- > 0; at = &(*at)->next) {
    if ((*at)->bytes < least || (*at)->bytes > most) continue;
    Waiting* const found = std::exchange(*at, (*at)->next);
    waiting_bytes_ -= found->bytes;
    return {found, found->bytes};
  }
  return {};
}

void Reaper::run() noexcept {
  std::unique_lock lock(mutex_);
  for (;;) {
    let_go(Clock::now());
    if (mapped_ != nullptr) {
      unmap_one(lock);
    } else if (waiting_bytes_ > kWarm) {
      free_one(lock);
    } else if (waiting_ != nullptr) {
      if (more_.wait_for(lock, kLinger) != std::cv_status::timeout) continue;
      while (waiting_ != nullptr) free_one(lock);
    } else {
      asleep_ = true;
      if (kept_ == nullptr) {
        more_.wait(lock);
      } else {
        more_.wait_until(lock, next_deadline());
      }
      asleep_ = false;
    }
  }
}

void Reaper::drain() noexcept {
  std::unique_lock lock(mutex_);
  let_go(Clock::time_point::max());
  while (mapped_ != nullptr) unmap_one(lock);
  while (waiting_ != nullptr) free_one(lock);
}

void Reaper::free_one(std::unique_lock<std::mutex>& lock) noexcept {
  current_ = waiting_;
  current_bytes_ = waiting_->bytes;
  waiting_ = waiting_->next;
  lock.unlock();
  discard_in_steps(current_, current_bytes_);
  lock.lock();
  // Locked: a child of fork() finds all of it or nothing, and never frees addresses that are somebody else's by then.
  unmap_pages(current_, current_bytes_);
  waiting_bytes_ -= current_bytes_;
  current_ = nullptr;
}

void Reaper::unmap_one(std::unique_lock<std::mutex>& lock) noexcept {
  current_mapped_ = std::exchange(mapped_, mapped_->next);
  lock.unlock();
  discard_in_steps(current_mapped_->start, current_mapped_->bytes);
  lock.lock();
  current_mapped_->unmap(*current_mapped_);  // locked, for the same reason
  current_mapped_ = nullptr;
  unmapped_.notify_all();
}

std::size_t Reaper::waiting_bytes() noexcept {
  const std::lock_guard lock(mutex_);
  return waiting_bytes_ + kept_bytes_;
}

void Reaper::after_fork_in_child() noexcept {
  // The thread is the parent's, and so is whoever slept: new ones, in place. What waited waits for the next thread.
  ::new (&mutex_) std::mutex;
  ::new (&more_) std::condition_variable;
  ::new (&unmapped_) std::condition_variable;
  running_ = asleep_ = false;
  if (current_ != nullptr) waiting_ = ::new (current_) Waiting{waiting_, current_bytes_};
  current_ = nullptr;
  if (current_mapped_ != nullptr) {
    current_mapped_->next = mapped_;
    mapped_ = std::exchange(current_mapped_, nullptr);
  }
}

}  // namespace simdrive
