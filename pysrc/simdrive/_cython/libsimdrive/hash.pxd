# cpp/include/simdrive/bytes.hpp and hash.hpp, as far as Python uses them.
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.string_view cimport string_view
from libcpp.vector cimport vector

from simdrive._cython.libsimdrive.error cimport Error

cdef extern from "simdrive/bytes.hpp" namespace "simdrive" nogil:
    cdef cppclass CBytesView "simdrive::BytesView":
        CBytesView() noexcept
        CBytesView(const uint8_t* data, size_t size) noexcept

cdef extern from "<span>" namespace "std" nogil:
    cdef cppclass CViews "std::span<const simdrive::BytesView>":
        CViews(const CBytesView* data, size_t size) noexcept

    cdef cppclass CHashes "std::span<std::uint64_t>":
        CHashes(uint64_t* data, size_t size) noexcept

cdef extern from "simdrive/hash.hpp" namespace "simdrive" nogil:
    cdef cppclass CDone "simdrive::Result<void>":
        CDone() noexcept
        cbool ok() noexcept
        const Error& error() noexcept

    uint64_t c_xxh3_64 "simdrive::xxh3_64"(CBytesView data, uint64_t seed) noexcept
    void c_xxh3_64_many "simdrive::xxh3_64_many"(CViews items, CHashes out, uint64_t seed) noexcept
    void c_xxh3_64_rows "simdrive::xxh3_64_rows"(
        const uint8_t* rows, size_t width, size_t stride, CHashes out, uint64_t seed) noexcept
    uint32_t c_crc32 "simdrive::crc32"(CBytesView data, uint32_t value) noexcept

    string_view c_hash_backend "simdrive::hash_backend"() noexcept
    vector[string_view] c_hash_backends "simdrive::hash_backends"() except +
    CDone c_set_hash_backend "simdrive::set_hash_backend"(string_view name) except +
    CDone c_check_hash_backend "simdrive::check_hash_backend"() except +
    vector[string_view] c_cpu_features "simdrive::cpu_features"() except +

    cdef cppclass CXxh3Stream "simdrive::Xxh3Stream":
        CXxh3Stream() noexcept
        CXxh3Stream(uint64_t seed) noexcept
        void update(CBytesView data) noexcept
        uint64_t digest() noexcept
        void reset() noexcept
        uint64_t seed() noexcept
