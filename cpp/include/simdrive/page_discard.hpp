// Memory of others given back to the system before they free it, off the caller's thread.
#pragma once

#include <cstddef>
#include <memory>

namespace simdrive {

/// The pages of memory that nobody will look at any more, such as that of a `bytes` object that is to be freed: to give
/// back 64 MiB takes the system about 5 ms, and a thread of the library's own does it. To free it then takes almost
/// nothing. Any thread.
class PageDiscard {
 public:
  /// Of nothing; done.
  PageDiscard() noexcept = default;
  /// Begins to give back the whole pages within `size` bytes from `start` on. Until done() nobody may touch them or
  /// free them; from here on they have undefined contents. Of nothing where the system has no such thing, or no memory.
  [[nodiscard]] static PageDiscard begin(void* start, std::size_t size) noexcept;

  [[nodiscard]] bool done() const noexcept;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace simdrive
