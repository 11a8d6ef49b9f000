#include "server/workers.hpp"

#include <system_error>
#include <utility>

namespace simdrive::server {

bool Workers::post(Task& task) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return false;
  if (idle_ <= tasks_.size() && threads_.size() < most_) {
    try {
      threads_.emplace_back(&Workers::work, this);
    } catch (const std::system_error&) {
      if (threads_.empty()) return false;  // else one of those that there are will come to it
    }
  }
  tasks_.push_back(&task);
  more_.notify_one();
  return true;
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
