# cpp/include/simdrive/store.hpp, as far as Python uses it.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.string cimport string
from libcpp.vector cimport vector

from simdrive._cython.libsimdrive.client cimport CProgress

cdef extern from "simdrive/store.hpp" namespace "simdrive" nogil:
    cdef enum class CStoreMode "simdrive::StoreMode"(uint8_t):
        read
        append

    cdef enum class CStoreSync "simdrive::StoreSync"(uint8_t):
        none
        batch
        always

    cdef cppclass CStoreOptions "simdrive::StoreOptions":
        CStoreOptions() noexcept
        CStoreMode mode
        cbool create
        CStoreSync sync
        double sync_interval
        cbool lock
        cbool verify

    cdef cppclass CEntry "simdrive::Entry":
        CEntry() noexcept
        const uint8_t* data() noexcept
        uint64_t size() noexcept
        uint64_t file_size() noexcept
        uint64_t offset() noexcept
        uint64_t end_offset() noexcept
        uint64_t prev_offset() noexcept
        uint64_t key_hash() noexcept
        uint32_t checksum() noexcept
        cbool is_valid_checksum() noexcept
        cbool is_tombstone() noexcept

    cdef cppclass CStreamSource "simdrive::StreamSource":
        void* context
        int64_t (*read)(void*, uint8_t*, size_t) noexcept nogil

    cdef cppclass COpenReport "simdrive::OpenReport":
        uint32_t alignment
        uint64_t dropped_bytes
        string cut_path
        cbool damaged
        uint64_t damaged_offset
        cbool incomplete

    cdef cppclass CVerifyReport "simdrive::VerifyReport":
        cbool ok
        uint64_t entries
        vector[uint64_t] bad
        uint64_t bad_count
        uint64_t tail_offset

    cdef cppclass CRecoverReport "simdrive::RecoverReport":
        uint64_t kept_bytes
        uint64_t dropped_bytes
        uint64_t entries
        string backup_path

    cdef cppclass CCompactResult "simdrive::CompactResult":
        uint64_t before
        uint64_t after
        uint64_t entries

    cdef cppclass CStore "simdrive::Store":
        cbool closed() noexcept
        const COpenReport& opened() noexcept
        uint64_t tail() noexcept
        uint64_t generation() noexcept
        cbool read_only() noexcept
