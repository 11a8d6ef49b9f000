# cpp/include/simdrive/bytes.hpp and hash.hpp, as far as Python uses them.
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libcpp.string_view cimport string_view

cdef extern from "simdrive/bytes.hpp" namespace "simdrive" nogil:
    cdef cppclass CBytesView "simdrive::BytesView":
        CBytesView() noexcept
        CBytesView(const uint8_t* data, size_t size) noexcept

cdef extern from "<array>" namespace "std" nogil:
    cdef cppclass CNamespacedKey "std::array<std::uint8_t, 16>":
        const uint8_t* data() noexcept
        size_t size() noexcept

cdef extern from "simdrive/hash.hpp" namespace "simdrive" nogil:
    uint64_t c_xxh3_64 "simdrive::xxh3_64"(CBytesView data, uint64_t seed) noexcept
    uint32_t c_crc32 "simdrive::crc32"(CBytesView data, uint32_t value) noexcept
    string_view c_hash_backend "simdrive::hash_backend"() noexcept

    cdef cppclass CXxh3Stream "simdrive::Xxh3Stream":
        CXxh3Stream() noexcept
        CXxh3Stream(uint64_t seed) noexcept
        void update(CBytesView data) noexcept
        uint64_t digest() noexcept
        void reset() noexcept
        uint64_t seed() noexcept

    cdef cppclass CNamespaceHasher "simdrive::NamespaceHasher":
        CNamespaceHasher() noexcept
        CNamespaceHasher(CBytesView prefix) noexcept
        CNamespacedKey key(CBytesView key) noexcept
        uint64_t prefix_hash() noexcept
