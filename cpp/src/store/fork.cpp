#include "store/fork.hpp"

#ifndef _WIN32
#include <pthread.h>
#endif

#include <atomic>

namespace simdrive::store {

#ifdef _WIN32

std::uint64_t fork_count() noexcept { return 0; }

#else

namespace {

std::atomic<std::uint64_t> g_forks{0};

}  // namespace

std::uint64_t fork_count() noexcept {
  static const int installed =
      ::pthread_atfork(nullptr, nullptr, [] { g_forks.fetch_add(1, std::memory_order_relaxed); });
  (void)installed;
  return g_forks.load(std::memory_order_relaxed);
}

#endif

}  // namespace simdrive::store
