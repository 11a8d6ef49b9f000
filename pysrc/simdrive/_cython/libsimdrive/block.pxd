from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint64_t
from libcpp cimport bool as cbool

cdef extern from "simdrive/block.hpp" namespace "simdrive" nogil:
    cdef cppclass CBlock "simdrive::Block":
        CBlock() noexcept
        void reset() noexcept
        uint8_t* data() noexcept
        size_t size() noexcept
        cbool alone() noexcept

    const size_t kLargeBlock "simdrive::Block::kLarge"
    CBlock make_block "simdrive::Block::make"(uint64_t size) noexcept
