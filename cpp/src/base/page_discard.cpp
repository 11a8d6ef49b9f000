#include "simdrive/page_discard.hpp"

#include <atomic>
#include <cstdint>
#include <new>
#include <utility>

#include "base/reaper.hpp"

namespace simdrive {

struct PageDiscard::State : Reaper::Mapped {
  std::atomic<bool> done = false;
  std::shared_ptr<State> self;  // as long as the reaper has it
};

#ifdef __linux__

namespace {

constexpr std::uintptr_t kPage = std::uintptr_t{64} << 10;  // no system has larger ones

}  // namespace

PageDiscard PageDiscard::begin(void* start, std::size_t size) noexcept {
  PageDiscard made;
  const auto at = reinterpret_cast<std::uintptr_t>(start);
  const std::uintptr_t from = (at + kPage - 1) / kPage * kPage;
  const std::uintptr_t to = (at + size) / kPage * kPage;
  if (from >= to) return made;
  try {
    made.state_ = std::make_shared<State>();
  } catch (const std::bad_alloc&) {
    return made;
  }
  State& state = *made.state_;
  state.start = reinterpret_cast<void*>(from);  // NOLINT(performance-no-int-to-ptr): of the same memory
  state.bytes = to - from;
  state.unmap = [](Reaper::Mapped& mapped) noexcept {
    State& done = static_cast<State&>(mapped);
    const std::shared_ptr<State> last = std::move(done.self);
    done.done.store(true, std::memory_order_release);
  };
  state.self = made.state_;
  Reaper::of_process().take(state);
  return made;
}

#else

PageDiscard PageDiscard::begin(void* /*start*/, std::size_t /*size*/) noexcept { return {}; }

#endif

bool PageDiscard::done() const noexcept { return state_ == nullptr || state_->done.load(std::memory_order_acquire); }

}  // namespace simdrive
