from libcpp cimport bool as cbool
from libcpp.string cimport string
from libc.stdint cimport uint32_t, uint64_t

cdef extern from "simdrive/error.hpp" namespace "simdrive" nogil:
    cdef enum class Errc "simdrive::Errc":
        invalid_key
        invalid_value
        buffer_too_small
        connect_failed
        closed
        interrupted
        internal
        out_of_memory

    cdef enum class Outcome "simdrive::Outcome":
        not_applied
        unknown

    cdef cppclass Error "simdrive::Error":
        Error() except +
        Errc code
        string detail
        Outcome outcome
        uint64_t offset
        double elapsed
        uint32_t attempts
        string cause
        Errc cause_code
        int system_code
