# Hashes of byte-like objects. Inputs above HASH_NOGIL_MIN are hashed without the GIL; below, giving it up and
# taking it again would cost more than the hash.
cimport cython
from cpython.buffer cimport PyBuffer_Release
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libcpp.string_view cimport string_view
from simdrive._cython.libsimdrive.hash cimport (
    CBytesView, CNamespacedKey, CNamespaceHasher, CXxh3Stream, c_crc32, c_hash_backend, c_xxh3_64,
)

cdef enum:
    HASH_NOGIL_MIN = 4096


cdef inline uint64_t _xxh3_view(CBytesView view, size_t size, uint64_t seed) noexcept:
    cdef uint64_t result
    if size > HASH_NOGIL_MIN:
        with nogil:
            result = c_xxh3_64(view, seed)
        return result
    return c_xxh3_64(view, seed)


cdef inline uint64_t _xxh3_object(object data, uint64_t seed, str what) except? 0:
    """XXH3-64 of any buffer; `bytes` skip the buffer protocol, which costs as much as a short hash."""
    cdef Py_buffer view
    cdef size_t size
    if PyBytes_CheckExact(data):
        size = <size_t>PyBytes_GET_SIZE(data)
        return _xxh3_view(CBytesView(<const uint8_t*>PyBytes_AS_STRING(data), size), size, seed)
    get_buffer(data, &view, what)
    try:
        size = <size_t>view.len
        return _xxh3_view(CBytesView(<const uint8_t*>view.buf, size), size, seed)
    finally:
        PyBuffer_Release(&view)


def xxh3_64(data, uint64_t seed=0):
    """The XXH3-64 hash of a bytes-like object, as an int.

    This is the hash of keys in SIMD R Drive (with seed 0). Not cryptographic. A `str` is a TypeError, a seed
    outside 0 .. 2**64 - 1 an OverflowError.
    """
    return _xxh3_object(data, seed, "data")


def xxh3_64_many(items, uint64_t seed=0):
    """The XXH3-64 hashes of all bytes-like objects of an iterable, as a list in the same order."""
    if isinstance(items, (str, bytes, bytearray, memoryview)):
        raise TypeError(f"items must be an iterable of bytes-like objects, not {type(items).__name__}")
    return [_xxh3_object(item, seed, "item") for item in items]


def crc32(data, uint32_t value=0):
    """The CRC-32 (IEEE, as `zlib.crc32`) of a bytes-like object, as an int.

    `value` is the checksum of the bytes before, so that `crc32(b, crc32(a)) == crc32(a + b)`.
    """
    cdef Py_buffer view
    cdef CBytesView span
    cdef uint32_t result
    get_buffer(data, &view, "data")
    try:
        span = CBytesView(<const uint8_t*>view.buf, <size_t>view.len)
        if view.len > HASH_NOGIL_MIN:
            with nogil:
                result = c_crc32(span, value)
        else:
            result = c_crc32(span, value)
    finally:
        PyBuffer_Release(&view)
    return result


def hash_backend():
    """The name of the implementation that hashes: "scalar", or the instruction set it is written for."""
    cdef string_view name = c_hash_backend()
    return PyBytes_FromStringAndSize(name.data(), <Py_ssize_t>name.size()).decode("ascii")


@cython.final
cdef class Hasher:
    """XXH3-64 of bytes that come in pieces.

    Threads may share one: each call is carried out as a whole, in some order.
    """

    cdef CXxh3Stream c_stream
    cdef cython.pymutex c_lock

    def __cinit__(self, uint64_t seed=0):
        self.c_stream = CXxh3Stream(seed)

    @property
    def seed(self):
        """The seed given at the start."""
        return self.c_stream.seed()

    def update(self, data):
        """Append a bytes-like object to the bytes hashed."""
        cdef Py_buffer view
        cdef CBytesView span
        get_buffer(data, &view, "data")
        try:
            span = CBytesView(<const uint8_t*>view.buf, <size_t>view.len)
            with self.c_lock:
                if view.len > HASH_NOGIL_MIN:
                    with nogil:
                        self.c_stream.update(span)
                else:
                    self.c_stream.update(span)
        finally:
            PyBuffer_Release(&view)

    def intdigest(self):
        """The hash of all bytes so far, as an int. More may follow."""
        with self.c_lock:
            return self.c_stream.digest()

    def digest(self):
        """The hash of all bytes so far, as 8 bytes, most significant first (the canonical form of XXH3)."""
        return self.intdigest().to_bytes(8, "big")

    def reset(self):
        """Forget all bytes; the seed stays."""
        with self.c_lock:
            self.c_stream.reset()

    def copy(self):
        """A hasher that goes on by itself from the bytes so far."""
        cdef Hasher other = Hasher.__new__(Hasher)
        with self.c_lock:
            other.c_stream = self.c_stream
        return other

    def __reduce__(self):
        raise TypeError("a Hasher cannot be pickled; use copy()")


@cython.final
cdef class NamespaceHasher:
    """Makes 16-byte keys that keep the keys of different users of one store apart.

    A namespaced key is XXH3-64 of the prefix and XXH3-64 of the key, 8 little-endian bytes each. It separates
    names, not users who mean harm: colliding keys can be made on purpose.
    """

    cdef CNamespaceHasher c_hasher

    def __cinit__(self, prefix):
        cdef Py_buffer view
        get_buffer(prefix, &view, "prefix")
        try:
            self.c_hasher = CNamespaceHasher(CBytesView(<const uint8_t*>view.buf, <size_t>view.len))
        finally:
            PyBuffer_Release(&view)

    @property
    def prefix_hash(self):
        """XXH3-64 of the prefix, as an int."""
        return self.c_hasher.prefix_hash()

    cdef bytes _key(self, object key):
        cdef Py_buffer view
        cdef CBytesView span
        cdef CNamespacedKey out
        get_buffer(key, &view, "key")
        try:
            span = CBytesView(<const uint8_t*>view.buf, <size_t>view.len)
            if view.len > HASH_NOGIL_MIN:
                with nogil:
                    out = self.c_hasher.key(span)
            else:
                out = self.c_hasher.key(span)
        finally:
            PyBuffer_Release(&view)
        return PyBytes_FromStringAndSize(<const char*>out.data(), <Py_ssize_t>out.size())

    def namespace(self, key):
        """The 16-byte key to use in the store for a bytes-like `key`."""
        return self._key(key)

    def namespace_many(self, keys):
        """`namespace` of all keys of an iterable, as a list in the same order."""
        if isinstance(keys, (str, bytes, bytearray, memoryview)):
            raise TypeError(f"keys must be an iterable of bytes-like objects, not {type(keys).__name__}")
        return [self._key(key) for key in keys]

    def __reduce__(self):
        raise TypeError("a NamespaceHasher cannot be pickled: it does not keep its prefix")

    def __repr__(self):
        return f"<simdrive.NamespaceHasher prefix_hash={self.prefix_hash:#018x}>"
