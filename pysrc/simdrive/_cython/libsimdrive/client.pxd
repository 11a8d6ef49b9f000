from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.string cimport string
from libcpp.vector cimport vector

from simdrive._cython.libsimdrive.error cimport Error

cdef extern from "simdrive/client.hpp" namespace "simdrive" nogil:
    const uint64_t kAbsent
    const double kNoLimit

    cdef enum class CRetryWrites "simdrive::RetryWrites"(uint8_t):
        unsent
        always
        never

    cdef cppclass CRetry "simdrive::Retry":
        uint32_t retries
        double base
        double cap
        cbool jitter
        CRetryWrites writes
        cbool on_connect_failed
        cbool on_connection_lost

    cdef cppclass COptions "simdrive::Options":
        COptions() except +
        string url
        double connect_timeout
        double timeout
        double idle_timeout
        double close_timeout
        double ping_interval
        double ping_timeout
        uint64_t max_value_size
        uint64_t max_key_size
        uint32_t max_inflight
        uint64_t max_inflight_bytes
        string wire
        CRetry retry
        double reconnect_spread

    cdef cppclass CInterrupt "simdrive::Interrupt":
        void* context
        cbool (*requested)(void*) noexcept nogil

    cdef cppclass CProgress "simdrive::Progress":
        void* context
        cbool (*report)(void*, uint64_t, uint64_t) noexcept nogil

    cdef cppclass CCallOptions "simdrive::CallOptions":
        double timeout
        CInterrupt interrupt
        CProgress progress

    cdef cppclass CReceiver "simdrive::Receiver":
        void* context
        cbool (*allocate)(void*, const uint64_t*, size_t, uint8_t**) noexcept nogil

    cdef cppclass CReadResult "simdrive::ReadResult":
        cbool present
        cbool in_place
        uint64_t size
        uint8_t small[4096]

    cdef cppclass CCounters "simdrive::ClientCounters":
        uint64_t calls
        uint64_t sends
        uint64_t connections

    cdef enum class CEventKind "simdrive::Event::Kind"(uint8_t):
        connected
        lost
        retrying

    cdef cppclass CEvent "simdrive::Event":
        CEventKind kind
        uint32_t attempt
        double delay
        string detail

    cdef cppclass CClient "simdrive::Client":
        void close(double timeout) noexcept
        cbool closed() noexcept
        CCounters counters() noexcept
        cbool has_events() noexcept
        vector[CEvent] take_events() except +
        const string& endpoint() noexcept
