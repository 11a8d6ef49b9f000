# bytes objects of any size, made and filled.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t
from libc.string cimport memcpy


cdef extern from *:
    """
    #include <cstddef>
    #include <cstdint>

    #ifdef __linux__
    #include <sys/mman.h>
    #endif

    // Work on more bytes than these is done without the GIL.
    constexpr Py_ssize_t kQuick = 16 << 10;

    namespace {

    // A bytes object is freed wherever its last reference goes, and that takes as long as it has pages: 32 MiB in small
    // ones take 2.5 ms of a loop. From there on glibc gives each block a mapping of its own, so that the advice is about
    // nothing else.
    constexpr std::size_t kSmallPagesMax = std::size_t{32} << 20;

    // Asks for huge pages behind the first `kSmallPagesMax` bytes.
    void sd_prefer_huge_pages([[maybe_unused]] void* start, [[maybe_unused]] std::size_t size) noexcept {
    #ifdef MADV_HUGEPAGE
      if (size <= kSmallPagesMax) return;
      constexpr std::uintptr_t kHuge = std::uintptr_t{2} << 20;
      const auto at = reinterpret_cast<std::uintptr_t>(start);
      const std::uintptr_t from = (at + kSmallPagesMax + kHuge - 1) / kHuge * kHuge;
      const std::uintptr_t to = (at + size) / kHuge * kHuge;
      if (from < to) (void)::madvise(reinterpret_cast<void*>(from), to - from, MADV_HUGEPAGE);  // refused: small ones do
    #endif
    }

    }  // namespace
    """
    const Py_ssize_t kQuick
    void sd_prefer_huge_pages(void* start, size_t size) noexcept nogil


cdef object bytes_of(const uint8_t* data, Py_ssize_t size):
    """A bytes object with what is at `data`, which stays there until this returns. MemoryError."""
    cdef Outside outside
    if size <= kQuick:
        return PyBytes_FromStringAndSize(<const char*> data, size)
    copy = PyBytes_FromStringAndSize(NULL, size)
    cdef char* target = PyBytes_AS_STRING(copy)
    with nogil:
        memcpy(target, data, <size_t> size)
        outside.back()
    return copy
