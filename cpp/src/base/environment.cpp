#include "base/environment.hpp"

#ifdef _WIN32
#include <windows.h>
#else
#include <algorithm>
#include <cstdlib>
#endif

namespace simdrive {

std::string_view environment_variable(const char* name, std::span<char> buffer) noexcept {
#ifdef _WIN32
  // Not getenv: each C library of a process has a copy of its own, and the one linked in here never hears of what
  // Python sets. A value that does not fit gives the size that it needs and leaves the buffer undefined.
  const DWORD size = GetEnvironmentVariableA(name, buffer.data(), static_cast<DWORD>(buffer.size()));
  if (size < buffer.size()) return {buffer.data(), size};
  return "(too long)";
#else
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nothing here changes it
  if (value == nullptr) return {};
  const std::string_view text(value);
  const std::size_t size = std::min(text.size(), buffer.size());
  std::copy_n(text.begin(), size, buffer.begin());
  return {buffer.data(), size};
#endif
}

}  // namespace simdrive
