#include "server/workers.hpp"

#include <new>
#include <system_error>
#include <utility>

namespace simdrive::server {

bool Workers::post(Task& task) noexcept {
  const std::lock_guard lock(mutex_);
  if (stopping_) return false;
  try {
    tasks_.push_back(&task);
  } catch (const std::bad_alloc&) {
    return false;
  }
  if (idle_ < tasks_.size() && threads_.size() < most_ && !start_thread() && threads_.empty()) {
    tasks_.pop_back();
    return false;  // else one of those that there are will come to it
  }
  more_.notify_one();
  return true;
}

bool Workers::start_thread() noexcept {
  try {
    threads_.emplace_back(&Workers::work, this);
    return true;
  } catch (const std::system_error&) {
    return false;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

void Workers::stop() noexcept {
  std::vector<std::thread> threads;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    threads.swap(threads_);
  }
  more_.notify_all();
  for (std::thread& thread : threads) thread.join();
}

void Workers::work() noexcept {
  std::unique_lock lock(mutex_);
  for (;;) {
    while (tasks_.empty()) {
      if (stopping_) return;
      ++idle_;
      more_.wait(lock);
      --idle_;
    }
    Task* task = tasks_.front();
    tasks_.pop_front();
    lock.unlock();
    task->run();
    lock.lock();
  }
}

}  // namespace simdrive::server
