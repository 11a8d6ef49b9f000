// Memory straight from the system, in whole pages.
#pragma once

#include <cstddef>

namespace simdrive {

/// Zeroed memory at the start of a page; null if there is none. The system finds the pages when they are touched.
[[nodiscard]] void* map_pages(std::size_t bytes) noexcept;

/// The same in huge pages, as far as the system has them: `bytes` are a multiple of 2 MiB, and parts of whole small
/// pages may be given back by themselves, with unmap_pages(). Null where there is no such thing, too.
[[nodiscard]] void* map_huge_pages(std::size_t bytes) noexcept;

/// Makes more of what map_pages() gave, elsewhere if need be: its contents move along without being copied. Null, and
/// nothing is changed, where the system cannot do that.
[[nodiscard]] void* grow_pages(void* start, std::size_t bytes, std::size_t more) noexcept;

/// Gives back what is in whole pages of map_pages(), but keeps their addresses. What is in them is undefined then.
void discard_pages(void* start, std::size_t bytes) noexcept;

/// Gives back all that map_pages() gave.
void unmap_pages(void* start, std::size_t bytes) noexcept;

}  // namespace simdrive
