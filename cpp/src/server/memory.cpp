#include "server/memory.hpp"

#ifdef _WIN32
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
#else
#include <unistd.h>
#endif

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <system_error>

namespace simdrive::server {
namespace {

constexpr std::uint64_t kUnknown = std::uint64_t{4} << 30;

#ifdef __linux__
// A limit of control groups: a number, or a word for none. 0: there is none.
std::uint64_t limit_in(const char* path) noexcept {
  std::FILE* const file = std::fopen(path, "re");
  if (file == nullptr) return 0;
  std::array<char, 32> text{};
  const std::size_t size = std::fread(text.data(), 1, text.size(), file);
  (void)std::fclose(file);
  std::uint64_t bytes = 0;
  const auto read = std::from_chars(text.data(), text.data() + size, bytes);
  return read.ec == std::errc() ? bytes : 0;
}
#endif

}  // namespace

std::uint64_t machine_memory() noexcept {
#ifdef _WIN32
  MEMORYSTATUSEX status{};
  status.dwLength = sizeof status;
  return ::GlobalMemoryStatusEx(&status) != 0 ? status.ullTotalPhys : kUnknown;
#else
  const long pages = ::sysconf(_SC_PHYS_PAGES);
  const long page = ::sysconf(_SC_PAGESIZE);
  if (pages <= 0 || page <= 0) return kUnknown;
  std::uint64_t memory = static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page);
#ifdef __linux__
  for (const char* path : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    if (const std::uint64_t limit = limit_in(path); limit != 0) memory = std::min(memory, limit);
  }
#endif
  return memory;
#endif
}

}  // namespace simdrive::server
