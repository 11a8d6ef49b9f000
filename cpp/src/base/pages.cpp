#include "base/pages.hpp"

#include <cstdint>

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
void* map_huge_pages(std::size_t /*bytes*/) noexcept { return nullptr; }  // parts cannot be given back
void* grow_pages(void* /*start*/, std::size_t /*bytes*/, std::size_t /*more*/) noexcept { return nullptr; }
// Only fork() needs the addresses kept, and there is none.
void discard_pages(void* /*start*/, std::size_t /*bytes*/) noexcept {}
void unmap_pages(void* start, std::size_t /*bytes*/) noexcept { ::VirtualFree(start, 0, MEM_RELEASE); }

#else

void* map_pages(std::size_t bytes) noexcept {
  void* start = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return start == MAP_FAILED ? nullptr : start;
}
#ifdef __linux__
void* map_huge_pages(std::size_t bytes) noexcept {
  constexpr std::size_t kHuge = std::size_t{2} << 20;
  auto* const start = static_cast<std::byte*>(map_pages(bytes + kHuge));
  if (start == nullptr) return nullptr;
  // Only what begins where a huge page can begin becomes one.
  const std::size_t before = (kHuge - reinterpret_cast<std::uintptr_t>(start) % kHuge) % kHuge;
  if (before != 0) unmap_pages(start, before);
  if (before != kHuge) unmap_pages(start + before + bytes, kHuge - before);
  (void)::madvise(start + before, bytes, MADV_HUGEPAGE);  // where it is refused, small ones do
  return start + before;
}
void* grow_pages(void* start, std::size_t bytes, std::size_t more) noexcept {
  void* grown = ::mremap(start, bytes, more, MREMAP_MAYMOVE);
  return grown == MAP_FAILED ? nullptr : grown;
}
#else
void* map_huge_pages(std::size_t /*bytes*/) noexcept { return nullptr; }
void* grow_pages(void* /*start*/, std::size_t /*bytes*/, std::size_t /*more*/) noexcept { return nullptr; }
#endif
void discard_pages(void* start, std::size_t bytes) noexcept { ::madvise(start, bytes, MADV_DONTNEED); }
void unmap_pages(void* start, std::size_t bytes) noexcept { ::munmap(start, bytes); }

#endif

}  // namespace simdrive
