# Hashes of bytes-like objects. More than kHashNogilMin bytes are hashed without the GIL.
#
# Functions and methods are plain C functions of Python (binding=False), which the interpreter calls faster than
# Cython's own function type; "clinic" is the form of signature that inspect and help() find in those.
import sys as _sys

cimport cython
from cpython.buffer cimport PyBUF_CONTIG, PyBUF_FORMAT, PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_Clear, PyErr_Occurred
from cpython.long cimport PyLong_Check
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.memoryview cimport PyMemoryView_FromObject, PyMemoryView_GET_BUFFER
from cpython.number cimport PyIndex_Check, PyNumber_Index
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport strchr
from libcpp.string_view cimport string_view
from libcpp.vector cimport vector
from simdrive._cython.libsimdrive.hash cimport (
    CBytesView, CDone, CHashes, CViews, CXxh3Stream, c_check_hash_backend, c_cpu_features, c_crc32, c_hash_backend,
    c_hash_backends, c_set_hash_backend, c_xxh3_64, c_xxh3_64_many, c_xxh3_64_rows,
)

include "_cython/hash_glue.pxi"

cdef enum:
    KEYS_AT_ONCE = 4096  # enough for threads that give the GIL to each other, few enough for the nearer caches


cdef inline int borrow(object data, Py_buffer* view, str what) except -1:
    """get_buffer for short hashes; ends with sd_give_back."""
    return 0 if sd_borrow(data, view) else get_buffer(data, view, what)


cdef uint64_t unsigned_number(object value, int bits, str what) except? 0xFFFFFFFFFFFFFFFF:
    cdef uint64_t number
    if not PyIndex_Check(value):
        raise TypeError(f"{what} must be an int, not {type(value).__name__}")
    number = sd_uint64(value if PyLong_Check(value) else PyNumber_Index(value))
    if (number == 0xFFFFFFFFFFFFFFFF and PyErr_Occurred() != NULL) or (bits < 64 and number >> bits != 0):
        PyErr_Clear()
        raise OverflowError(f"{what} must be from 0 to 2**{bits} - 1")
    return number


cdef uint64_t xxh3_of(object data, uint64_t seed, str what) except? 0:
    """XXH3-64 of any buffer."""
    cdef Py_buffer view
    cdef uint64_t result
    borrow(data, &view, what)
    result = sd_xxh3_64(&view, seed)
    sd_give_back(&view)
    return result


@cython.binding(False)
@cython.embedsignature.format("clinic")
def xxh3_64(data, seed=0):
    """The XXH3-64 hash of a bytes-like object, as an int.

    XXH3 is Yann Collet's, as in xxHash 0.8; with seed 0 it is the hash of keys in SIMD R Drive. Not cryptographic.

    Args:
        data: any C-contiguous bytes-like object. Above 16 KiB the GIL is released meanwhile.
        seed: from 0 to 2**64 - 1.

    Raises:
        TypeError: `data` is a `str`, or no contiguous buffer.
        OverflowError: `seed` is out of range.
    """
    return xxh3_of(data, unsigned_number(seed, 64, "seed"), "data")


xxh3_64 = sd_with_entry(xxh3_64, __name__)


@cython.binding(False)
@cython.embedsignature.format("clinic")
def crc32(data, value=0):
    """The CRC-32 (IEEE 802.3, as `zlib.crc32`) of a bytes-like object, as an int.

    Args:
        data: any C-contiguous bytes-like object. Above 16 KiB the GIL is released meanwhile.
        value: the checksum of the bytes before, so that `crc32(b, crc32(a)) == crc32(a + b)`.

    Raises:
        TypeError: `data` is a `str`, or no contiguous buffer.
        OverflowError: `value` is not from 0 to 2**32 - 1.
    """
    cdef Outside outside
    cdef Py_buffer view
    cdef uint32_t result = <uint32_t>unsigned_number(value, 32, "value")
    borrow(data, &view, "data")
    if view.len > kHashNogilMin:
        with nogil:
            result = c_crc32(sd_bytes(&view), result)
            outside.back()
    else:
        result = c_crc32(sd_bytes(&view), result)
    sd_give_back(&view)
    return result


# ---- Many keys in one call ----------------------------------------------------------------------------------

cdef struct Rows:
    const uint8_t* first
    size_t width   # bytes of a key
    size_t stride  # bytes from the start of a key to the next
    size_t count


cdef char _NATIVE_ORDER = b"<" if _sys.byteorder == "little" else b">"


cdef bint is_bytes_format(const char* format) noexcept:
    """Whether a buffer's items are fixed-width bytes, such as NumPy's S16 ("16s") and V16 ("16x")."""
    if format == NULL:
        return False
    while b"0" <= format[0] <= b"9":
        format += 1
    return (format[0] == b"s" or format[0] == b"x") and format[1] == 0


cdef bint is_unsigned_format(const char* format) noexcept:
    """Whether a buffer's items are unsigned integers of 4 or 8 bytes in this machine's order."""
    if format == NULL:
        return False
    if format[0] == b"@" or format[0] == b"=" or format[0] == _NATIVE_ORDER:
        format += 1
    return (format[0] == b"Q" or format[0] == b"L") and format[1] == 0


cdef int find_rows(const Py_buffer* view, object width, str what, Rows* rows) except -1:
    """Says where the keys of an array are; TypeError where it is not plain which bytes are a key."""
    cdef Py_ssize_t wanted
    if view.format != NULL and (strchr(view.format, b"O") != NULL or strchr(view.format, b"{") != NULL):
        raise TypeError(f"{what} must be an array of plain items, not of objects or of items with several fields; "
                        "use a list of bytes, or view each item as bytes")
    rows.first = <const uint8_t*>view.buf
    if view.ndim == 2 and width is None:
        rows.width = <size_t>(view.shape[1] * view.itemsize)
        scattered = view.shape[1] > 1 and view.strides[1] != view.itemsize
    elif view.ndim == 1 and width is not None:
        if not PyIndex_Check(width):
            raise TypeError(f"width must be an int, not {type(width).__name__}")
        wanted = sd_clipped(width, NULL)
        if wanted < 1:
            raise ValueError(f"width must be at least 1, not {wanted}")
        if view.len % wanted != 0:
            raise ValueError(f"{what} must be a multiple of width={wanted} bytes long, not {view.len}")
        if view.suboffsets != NULL or (view.shape[0] > 1 and view.strides[0] != view.itemsize):
            raise TypeError(f"{what} must be contiguous; use numpy.ascontiguousarray or bytes() first")
        rows.width = rows.stride = <size_t>wanted
        rows.count = <size_t>(view.len // wanted)
        return 0
    elif view.ndim == 1 and is_bytes_format(view.format):
        rows.width = <size_t>view.itemsize
        scattered = False
    elif view.ndim == 1:
        raise TypeError(f"{what} must say how long a key is: give width= in bytes, or reshape to 2 dimensions, one row "
                        "a key")
    elif width is not None:
        raise TypeError(f"width= is for {what} with 1 dimension, not {view.ndim}")
    else:
        raise TypeError(f"{what} must have 1 or 2 dimensions, not {view.ndim}; reshape to 2, one row a key")
    if scattered or view.suboffsets != NULL or (view.shape[0] > 1 and view.strides[0] < 0):
        raise TypeError(f"{what} must have rows of contiguous bytes in ascending order; use numpy.ascontiguousarray "
                        "first")
    rows.count = <size_t>view.shape[0]
    rows.stride = <size_t>view.strides[0] if rows.count > 1 else rows.width
    return 0


cdef void hash_rows(const Rows* rows, uint64_t seed, uint64_t* out) noexcept:
    cdef Outside outside
    if rows.count > 0 and rows.width > <size_t>kHashNogilMin // rows.count:
        with nogil:
            c_xxh3_64_rows(rows.first, rows.width, rows.stride, CHashes(out, rows.count), seed)
            outside.back()
    else:
        c_xxh3_64_rows(rows.first, rows.width, rows.stride, CHashes(out, rows.count), seed)


cdef void hash_views(const CBytesView* views, size_t count, size_t total, uint64_t seed, uint64_t* out) noexcept:
    cdef Outside outside
    if total > <size_t>kHashNogilMin:
        with nogil:
            c_xxh3_64_many(CViews(views, count), CHashes(out, count), seed)
            outside.back()
    else:
        c_xxh3_64_many(CViews(views, count), CHashes(out, count), seed)


cdef int hash_part(object keys, uint64_t seed, str what, CBytesView* views, uint64_t* out) except -1:
    """Hashes a list or tuple that nobody else has, those keys together that are `bytes` and next to each other."""
    cdef Py_ssize_t first = 0, gathered, count = len(keys)
    cdef size_t total
    while first < count:
        gathered = sd_gather(sd_items(keys) + first, count - first, views, &total)
        hash_views(views, <size_t>gathered, total, seed, out + first)
        first += gathered
        if first < count:
            out[first] = xxh3_of(keys[first], seed, what)
            first += 1
    return 0


cdef int hash_sequence(object keys, Py_ssize_t count, uint64_t seed, str what, uint64_t* out) except -1:
    cdef Py_ssize_t first = 0, most = min(count, KEYS_AT_ONCE)
    cdef CBytesView* views = <CBytesView*>PyMem_Malloc(<size_t>most * sizeof(CBytesView))
    if views == NULL:
        raise MemoryError
    try:
        while first < count:
            part = keys[first:min(first + most, count)]  # keeps the keys alive, whatever happens to the list meanwhile
            hash_part(part, seed, what, views, out + first)
            first += len(part)
            if first < count and len(part) < most:
                raise RuntimeError(f"the list became shorter while each {what} of it was hashed")
    finally:
        PyMem_Free(views)
    return 0


@cython.final
@cython.no_gc
cdef class _Hashes:
    """Where hashes go: into an array, the caller's or NumPy's, or for None into memory of its own."""

    cdef uint64_t* values
    cdef Py_ssize_t count
    cdef object array
    cdef Py_buffer view

    def __cinit__(self, size_t count, array):
        self.count = <Py_ssize_t>count
        self.array = array
        if array is None:
            if count <= (<size_t>-1) // sizeof(uint64_t):
                self.values = <uint64_t*>PyMem_Malloc(count * sizeof(uint64_t))
            if self.values == NULL:
                raise MemoryError
            return
        if not PyObject_CheckBuffer(array):
            raise TypeError(f"out must be a writable array of 64-bit unsigned integers, not {type(array).__name__}")
        try:
            PyObject_GetBuffer(array, &self.view, PyBUF_CONTIG | PyBUF_FORMAT)
        except (BufferError, ValueError) as error:
            raise TypeError(f"out must be a writable C-contiguous array: {error}") from None
        if self.view.itemsize != sizeof(uint64_t) or not is_unsigned_format(self.view.format):
            raise TypeError("out must be an array of 64-bit unsigned integers, such as array('Q') or NumPy's uint64")
        if self.view.len // <Py_ssize_t>sizeof(uint64_t) != self.count:
            raise ValueError(f"out must have an element for each of the {count} hashes, not "
                             f"{self.view.len // <Py_ssize_t>sizeof(uint64_t)}")
        self.values = <uint64_t*>self.view.buf

    def __dealloc__(self):
        if self.array is None:
            PyMem_Free(self.values)
        else:
            PyBuffer_Release(&self.view)

    cdef object result(self, NamespaceHasher names, object numpy):
        cdef Py_ssize_t i
        if names is None:
            return sd_int_list(self.values, self.count) if self.array is None else self.array
        if numpy is not None:
            return names.join_array(self.array, numpy)
        return [names.join(self.values[i]) for i in range(self.count)]


cdef object numpy_of(object items):
    """The module NumPy if `items` is an array of it. Whoever has one has imported NumPy; we never do."""
    numpy = _sys.modules.get("numpy")
    kind = getattr(numpy, "ndarray", None)
    return numpy if kind is not None and isinstance(items, kind) else None


cdef _Hashes destination(size_t count, object out, object numpy):
    if out is None and numpy is not None:
        out = numpy.empty(count, numpy.uint64)
    return _Hashes(count, out)


cdef object hash_array(
    object array, uint64_t seed, object width, object out, str what, NamespaceHasher names, object numpy
):
    cdef Rows rows
    cdef _Hashes hashes
    try:
        # A memoryview has a shape and strides even where the array, such as one of ctypes, leaves them out.
        view = PyMemoryView_FromObject(array)
    except (BufferError, ValueError) as error:
        raise TypeError(f"{what} cannot be read as an array of bytes: {error}") from None
    find_rows(PyMemoryView_GET_BUFFER(view), width, what, &rows)
    hashes = destination(rows.count, out, numpy)
    hash_rows(&rows, seed, hashes.values)
    return hashes.result(names, numpy)


cdef object hash_many(
    object items, uint64_t seed, object width, object out, str what, str each, NamespaceHasher names
):
    cdef _Hashes hashes
    cdef bint is_sequence = type(items) is list or type(items) is tuple
    numpy = None if is_sequence else numpy_of(items)
    if numpy is not None and width is None and items.ndim == 1 and items.dtype.kind == "O":
        items = items.tolist()
        is_sequence = True
    if PyObject_CheckBuffer(items):
        return hash_array(items, seed, width, out, what, names, numpy)
    if isinstance(items, str):
        raise TypeError(f"{what} must be bytes-like objects, not a str; encode it first, for example with .encode()")
    if width is not None:
        raise TypeError(f"width= is for {what} in one flat bytes-like object, not in a {type(items).__name__}")
    if is_sequence:
        hashes = destination(<size_t>len(items), out, numpy)
        hash_sequence(items, hashes.count, seed, each, hashes.values)
        return hashes.result(names, numpy)
    if out is not None:
        raise TypeError(f"out= needs {what} in a list, a tuple or an array, not in a {type(items).__name__}")
    try:
        iterator = iter(items)
    except TypeError:
        raise TypeError(
            f"{what} must be an iterable of bytes-like objects or an array of rows, not {type(items).__name__}"
        ) from None
    # One by one: a generator may fill the same buffer again for the next item.
    results = []
    for item in iterator:
        key_hash = xxh3_of(item, seed, each)
        results.append(key_hash if names is None else names.join(key_hash))
    return results


@cython.binding(False)
@cython.embedsignature.format("clinic")
def xxh3_64_many(items, seed=0, *, width=None, out=None):
    """The XXH3-64 hashes of many keys in one call, in the order of the keys.

    An array of rows is by far the fastest, then a list or tuple of `bytes`; for these, making the ints of a result
    list takes most of the time, which `out` saves. The GIL is released while more than 16 KiB are hashed.

    Args:
        items: one of

            - an iterable of C-contiguous bytes-like objects;
            - an array with 2 dimensions (NumPy, or any buffer): each row is a key, all bytes of it as they lie in
              memory. The bytes of a row must be contiguous; rows may be apart, as in `a[:, :16]` and `a[::2]`;
            - an array with 1 dimension of fixed-width bytes (NumPy's `S16` or `V16`): each element is a key, all 16
              bytes of it. NumPy strips zeros from the end of an `S` element when it is read, this does not;
            - one flat bytes-like object, with `width=`.
        seed: from 0 to 2**64 - 1.
        width: the length of each key in bytes, where `items` is one flat bytes-like object.
        out: a writable array of 64-bit unsigned integers, such as `array("Q")` or NumPy's `uint64`, with an element for
            each key of a list, tuple or array; it takes the hashes.

    Returns:
        `out` if it is given, else a NumPy array of `uint64` if `items` is a NumPy array, else a list of int.

    Raises:
        TypeError: an item is a `str` or no contiguous buffer, it is not plain which bytes of an array are a key, or
            `out` is no such array.
        ValueError: `width` is below 1 or does not divide the length of `items`, or `out` has another length.
        OverflowError: `seed` is out of range.
    """
    return hash_many(items, unsigned_number(seed, 64, "seed"), width, out, "items", "item", None)


# ---- The implementation in use -----------------------------------------------------------------------------

cdef str text_of(string_view text):
    return PyBytes_FromStringAndSize(text.data(), <Py_ssize_t>text.size()).decode("utf-8")


cdef list texts_of(vector[string_view] texts):
    return [text_of(text) for text in texts]


@cython.binding(False)
@cython.embedsignature.format("clinic")
def hash_backend():
    """The name of the implementation in use: "scalar", or the vector instructions it uses, such as "avx2"."""
    return text_of(c_hash_backend())


@cython.binding(False)
@cython.embedsignature.format("clinic")
def hash_backends():
    """The names of the implementations that this CPU can run, as a tuple, the best first."""
    return tuple(texts_of(c_hash_backends()))


@cython.binding(False)
@cython.embedsignature.format("clinic")
def set_hash_backend(name=None):
    """Makes all threads go on with another implementation, for tests and measurements. All give the same hashes.

    Args:
        name: one of `backends()`; None or "" is the best one.

    Raises:
        ConfigurationError: `name` is unknown, or this CPU cannot run it. Nothing changes.
        TypeError: `name` is no str.
    """
    cdef bytes wanted
    cdef CDone done
    if name is not None and not isinstance(name, str):
        raise TypeError(f"name must be a str or None, not {type(name).__name__}")
    wanted = (name or "").encode("utf-8", "replace")
    done = c_set_hash_backend(string_view(<const char*>wanted, <size_t>len(wanted)))
    if not done.ok():
        raise_error(done.error(), "set_backend")


@cython.binding(False)
@cython.embedsignature.format("clinic")
def cpu_features():
    """The instructions of this CPU that matter to hashing, such as "avx2", "vpclmulqdq" or "pmull", as a frozenset."""
    return frozenset(texts_of(c_cpu_features()))


cdef int check_environment() except -1:
    """Raises for a SIMDRIVE_SIMD that cannot be obeyed: nobody reads a warning."""
    cdef CDone done = c_check_hash_backend()
    if not done.ok():
        raise_error(done.error(), "")
    return 0

check_environment()


# ---- Classes -----------------------------------------------------------------------------------------------

@cython.final
cdef class Hasher:
    """Hasher(seed=0)\n--\n\nXXH3-64 of bytes that come in pieces.

    Threads may share one: each call is carried out as a whole, in some order.

    Args:
        seed: from 0 to 2**64 - 1; an OverflowError otherwise.
    """

    cdef CXxh3Stream c_stream
    cdef SdLock c_lock

    def __cinit__(self, seed=0):
        cdef uint64_t number = unsigned_number(seed, 64, "seed")
        if number != 0:
            self.c_stream = CXxh3Stream(number)

    @property
    def seed(self):
        """The seed given at the start."""
        return self.c_stream.seed()

    @cython.binding(False)
    @cython.embedsignature.format("clinic")
    def update(self, data):
        """Append a bytes-like object to the bytes hashed. Above 16 KiB the GIL is released meanwhile.

        Raises:
            TypeError: `data` is a `str`, or no contiguous buffer.
        """
        cdef Outside outside
        cdef Py_buffer view
        borrow(data, &view, "data")
        self.c_lock.acquire()
        if view.len > kHashNogilMin:
            with nogil:
                self.c_stream.update(sd_bytes(&view))
                self.c_lock.release()
                outside.back()
        else:
            self.c_stream.update(sd_bytes(&view))
            self.c_lock.release()
        sd_give_back(&view)

    @cython.binding(False)
    @cython.embedsignature.format("clinic")
    def intdigest(self):
        """The hash of all bytes so far, as an int. More may follow."""
        cdef uint64_t result
        self.c_lock.acquire()
        result = self.c_stream.digest()
        self.c_lock.release()
        return result

    @cython.binding(False)
    @cython.embedsignature.format("clinic")
    def digest(self):
        """The hash of all bytes so far, as 8 bytes, most significant first (the canonical form of XXH3)."""
        return self.intdigest().to_bytes(8, "big")

    @cython.binding(False)
    @cython.embedsignature.format("clinic")
    def reset(self):
        """Forget all bytes; the seed stays."""
        self.c_lock.acquire()
        self.c_stream.reset()
        self.c_lock.release()

    @cython.binding(False)
    @cython.embedsignature.format("clinic")
    def copy(self):
        """A hasher that goes on by itself from the bytes so far."""
        cdef Hasher other = Hasher.__new__(Hasher)
        self.c_lock.acquire()
        other.c_stream = self.c_stream
        self.c_lock.release()
        return other

    def __reduce__(self):
        raise TypeError("a Hasher cannot be pickled; use copy()")


@cython.final
cdef class NamespaceHasher:
    """NamespaceHasher(prefix)\n--\n\nMakes 16-byte keys that keep the keys of different users of one store apart.

    A namespaced key is XXH3-64 of the prefix and XXH3-64 of the key, 8 little-endian bytes each. It separates
    names, not users who mean harm: colliding keys can be made on purpose.

    Args:
        prefix: any C-contiguous bytes-like object; a TypeError otherwise.
    """

    cdef uint64_t c_prefix_hash

    def __cinit__(self, prefix):
        self.c_prefix_hash = xxh3_of(prefix, 0, "prefix")

    @property
    def prefix_hash(self):
        """XXH3-64 of the prefix, as an int."""
        return self.c_prefix_hash

    cdef bytes join(self, uint64_t key_hash):
        cdef char key[16]
        cdef int i
        for i in range(8):
            key[i] = <char>(self.c_prefix_hash >> (8 * i))
            key[8 + i] = <char>(key_hash >> (8 * i))
        return PyBytes_FromStringAndSize(key, sizeof(key))

    cdef object join_array(self, object key_hashes, object numpy):
        words = numpy.empty((len(key_hashes), 2), "<u8")
        words[:, 0] = self.c_prefix_hash
        words[:, 1] = key_hashes
        return words.view(numpy.uint8)

    @cython.binding(False)
    @cython.embedsignature.format("clinic")
    def namespace(self, key):
        """The 16-byte key to use in the store for a bytes-like `key`.

        Raises:
            TypeError: `key` is a `str`, or no contiguous buffer.
        """
        return self.join(xxh3_of(key, 0, "key"))

    @cython.binding(False)
    @cython.embedsignature.format("clinic")
    def namespace_many(self, keys, *, width=None):
        """`namespace` of many keys in one call, in the order of the keys.

        `keys` and `width`, and what is raised, are as in `hashing.xxh3_64_many`.

        Returns:
            A NumPy array of `uint8` with 16 columns if `keys` is a NumPy array, else a list of `bytes`.
        """
        return hash_many(keys, 0, width, None, "keys", "key", self)

    def __reduce__(self):
        raise TypeError("a NamespaceHasher cannot be pickled: it does not keep its prefix")

    def __repr__(self):
        return f"<simdrive.NamespaceHasher prefix_hash={self.prefix_hash:#018x}>"
