#include "base/pages.hpp"

#ifdef _WIN32
#include <windows.h>
#else
#include <sys/mman.h>
#endif

namespace simdrive {

#ifdef _WIN32

void* map_pages(std::size_t bytes) noexcept {
  return ::VirtualAlloc(nullptr, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
}
// Only fork() needs the addresses kept, and there is none.
void discard_pages(void* /*start*/, std::size_t /*bytes*/) noexcept {}
void unmap_pages(void* start, std::size_t /*bytes*/) noexcept { ::VirtualFree(start, 0, MEM_RELEASE); }

#else

void* map_pages(std::size_t bytes) noexcept {
  void* start = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return start == MAP_FAILED ? nullptr : start;
}
void discard_pages(void* start, std::size_t bytes) noexcept { ::madvise(start, bytes, MADV_DONTNEED); }
void unmap_pages(void* start, std::size_t bytes) noexcept { ::munmap(start, bytes); }

#endif

}  // namespace simdrive
