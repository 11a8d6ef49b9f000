# cpp/include/simdrive/server.hpp, as far as Python uses it.
from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.string cimport string
from libcpp.vector cimport vector

cdef extern from "simdrive/server.hpp" namespace "simdrive" nogil:
    cdef cppclass CServerLimits "simdrive::ServerLimits":
        uint64_t max_frame
        uint64_t max_message
        uint64_t max_request
        uint64_t max_batch_items
        uint64_t max_unfinished
        uint64_t max_unfinished_total
        uint32_t max_streams
        uint64_t max_early_bytes
        uint64_t max_idle_frames
        uint64_t reply_queue_soft
        uint64_t reply_queue_hard
        double stall_timeout
        uint32_t max_connections
        uint32_t reserved_descriptors
        double handshake_timeout
        uint32_t max_header_bytes
        uint32_t max_headers
        double ping_interval
        double silence_timeout

    cdef cppclass CServerOptions "simdrive::ServerOptions":
        CServerOptions() noexcept
        string host
        uint16_t port
        string unix_path
        string path
        cbool insecure_bind
        vector[string] origins
        vector[string] hosts
        uint32_t threads
        cbool status
        CServerLimits limits

    cdef cppclass CServerStats "simdrive::ServerStats":
        CServerStats() noexcept
        uint64_t connections
        uint64_t accepted
        uint64_t refused
        uint64_t cut
        uint64_t requests
        uint64_t errors
        uint64_t bytes_received
        uint64_t bytes_sent
        uint64_t entries
        uint64_t file_size
        double uptime
        double latency_p50
        double latency_p99
