from libc.stdint cimport int64_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.vector cimport vector

from simdrive._cython.libsimdrive.async_client cimport CAsyncWatch

cdef extern from "simdrive/async_watcher.hpp" namespace "simdrive" nogil:
    cdef cppclass CAsyncWatcher "simdrive::AsyncWatcher":
        void add(uint64_t) except +
        void watch(uint64_t, const CAsyncWatch&, int64_t) except +
        void forget(uint64_t) noexcept
        cbool empty() noexcept
        void wait(vector[uint64_t]&) except +
