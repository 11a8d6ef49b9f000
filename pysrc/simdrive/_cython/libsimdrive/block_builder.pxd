from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint64_t
from libcpp cimport bool as cbool

from simdrive._cython.libsimdrive.block cimport CBlock

cdef extern from "simdrive/block_builder.hpp" namespace "simdrive" nogil:
    cdef cppclass CBlockBuilder "simdrive::BlockBuilder":
        CBlockBuilder() noexcept
        cbool reserve(uint64_t size) noexcept
        void filled(size_t n) noexcept
        size_t size() noexcept
        const CBlock& block() noexcept
