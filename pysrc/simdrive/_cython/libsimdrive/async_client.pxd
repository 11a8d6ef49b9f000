from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.memory cimport shared_ptr
from libcpp.string cimport string
from libcpp.vector cimport vector

from simdrive._cython.libsimdrive.client cimport CCounters, CEvent, CProgress, CReadResult
from simdrive._cython.libsimdrive.error cimport Error, Outcome

cdef extern from "simdrive/async_client.hpp" namespace "simdrive" nogil:
    cdef cppclass CAsyncCall "simdrive::AsyncCall":
        void* tag
        cbool over
        cbool failed
        Error error
        uint64_t number
        CReadResult* result

    cdef cppclass CCallLimit "simdrive::CallLimit":
        pass

    shared_ptr[CCallLimit] make_call_limit(uint32_t) except +

    cdef cppclass CAsyncCallOptions "simdrive::AsyncCallOptions":
        double timeout
        void* tag
        CProgress progress
        cbool args_stay
        shared_ptr[CCallLimit] limit

    cdef cppclass CAsyncWatch "simdrive::AsyncWatch":
        int64_t socket
        cbool writable
        cbool again
        double seconds
        uint64_t generation

    cdef cppclass CAsyncClient "simdrive::AsyncClient":
        Outcome cancel(CAsyncCall*) except +
        cbool withdraw(CAsyncCall*) except +
        void flush() except +
        void pump() except +
        CAsyncWatch watch() except +
        void unwatched() noexcept
        int64_t wake_up() noexcept
        void wake() noexcept
        CAsyncCall* next_done() noexcept
        void recycle(CAsyncCall*) noexcept
        size_t pending() noexcept
        cbool lone() noexcept
        void close() noexcept
        cbool close_ended() noexcept
        cbool closed() noexcept
        string dialect() except +
        const string& endpoint() noexcept
        CCounters counters() noexcept
        cbool has_events() noexcept
        vector[CEvent] take_events() except +
