# simdrive.Value: bytes that C++ owns, seen from Python without a copy.
#
# Ownership: each Value holds a reference to what its bytes are in, a C++ block (simdrive/block.hpp) or an entry of a
# store with its mapping (simdrive/store.hpp); slices the same one.
# Exported buffers (memoryviews, arrays) hold the Value. Work without the GIL holds a reference of its own meanwhile,
# since another thread may call release().

cimport cython
from cpython.buffer cimport (
    PyBUF_FORMAT, PyBUF_ND, PyBUF_SIMPLE, PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_Release, PyObject_CheckBuffer,
    PyObject_GetBuffer,
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.memoryview cimport PyMemoryView_FromObject
from cpython.number cimport PyIndex_Check, PyNumber_AsSsize_t
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcmp, memcpy
from libcpp.utility cimport move

from simdrive._cython.libsimdrive.block cimport CBlock, make_block

import importlib as _importlib
import pickle as _pickle


cdef extern from "Python.h":
    # The function behind hash(bytes), for any memory; it needs no GIL.
    ctypedef struct PyHash_FuncDef:
        Py_hash_t (*hash)(const void*, Py_ssize_t) noexcept nogil
    PyHash_FuncDef* PyHash_GetFuncDef() noexcept nogil
    int PySlice_Unpack(object, Py_ssize_t*, Py_ssize_t*, Py_ssize_t*) except -1
    Py_ssize_t PySlice_AdjustIndices(Py_ssize_t, Py_ssize_t*, Py_ssize_t*, Py_ssize_t) noexcept


cdef extern from *:
    """
    constexpr uint8_t kNothing = 0;  // where empty values are
    static char simdrive_format[] = "B";
    """
    const uint8_t kNothing
    char* simdrive_format


cdef Value new_value(CBlock block, const uint8_t* data, Py_ssize_t size):
    """A value of `size` bytes at `data`, which are in `block`."""
    return part_of(Owner(move(block)), data, size)


cdef Value part_of(Owner owner, const uint8_t* data, Py_ssize_t size):
    """A value of `size` bytes at `data`, which `owner` keeps."""
    cdef Value value = Value.__new__(Value)
    value.data = &kNothing if size == 0 else data
    value.size = size
    value.owner = move(owner)
    return value


cdef Value copy_to_value(const uint8_t* data, Py_ssize_t size):
    """A value with a copy of the bytes, which nobody may free meanwhile."""
    cdef Outside outside
    cdef CBlock block
    if size != 0:
        block = make_block(<uint64_t> size)
        if block.data() == NULL:
            raise _make_error(5, f"no memory for a value of {size} bytes")
        if size <= kQuick:
            memcpy(block.data(), data, <size_t> size)
        else:
            with nogil:
                memcpy(block.data(), data, <size_t> size)
                outside.back()
    return new_value(block, block.data(), size)


cdef object optional_package(str name, str method):
    try:
        return _importlib.import_module(name)  # Cython's own import overlooks what sys.modules refuses
    except ImportError as error:
        raise ImportError(f"Value.{method}() needs {name} (pip install {name}): {error}", name=name) from error


def make_value(data):
    """A :class:`Value` with a copy of `data`. Private: for unpickling, and tests."""
    cdef Py_buffer view
    get_buffer(data, &view, "data")
    try:
        return copy_to_value(<const uint8_t*> view.buf, view.len)
    finally:
        PyBuffer_Release(&view)


cdef int check_held(const uint8_t* data) except -1:
    if data == NULL:
        raise ValueError("this Value was released")
    return 0


cdef class Value:
    """The bytes of a value, read-only and without a copy: what ``out="view"`` and `read_stream` give.

    A buffer (``memoryview(v)``, ``file.write(v)``, and what else takes bytes-like objects), and much of ``bytes``:
    ``len(v)``, ``v[i]`` as an int, iteration, ``==`` with anything bytes-like, and ``hash(v) == hash(bytes(v))``, so that
    either finds the other in a dict. ``v[i:j]`` is a ``Value`` in the same memory; a step other than 1 is a
    ``ValueError``, since that is not contiguous: use ``v.view()[::2]``. ``bytes(v)`` copies. Pickling copies; ``copy``
    gives the same object.

    The memory is freed when the last value in it is gone, slices included, and every buffer exported by them: at once,
    or from 1 MiB on by a thread of the library's own, because the system takes milliseconds for it. `release`, or
    ``with``, does it sooner.

    The interpreter lock is released while more than 16 KiB are copied, compared or hashed. Values may be shared between
    threads.

    After `release` every access raises ``ValueError``, but for a hash that was asked for before, ``==`` (false, except
    with itself) and ``repr``: as of a ``memoryview``.
    """

    cdef Owner owner
    cdef const uint8_t* data  # NULL: released
    cdef Py_ssize_t size
    cdef Py_ssize_t exports
    cdef Py_hash_t known_hash
    cdef object __weakref__

    def __cinit__(self):
        self.data = NULL
        self.size = 0
        self.exports = 0
        self.known_hash = -1

    def __init__(self, *args, **kwargs):
        raise TypeError("a Value is made by a client or a store: read(key, out=\"view\"), "
                        "batch_read(keys, out=\"view\") or read_stream(key)")

    def __dealloc__(self):
        self.drop(move(self.owner))

    cdef void drop(self, Owner owner) noexcept:
        cdef Outside outside
        if owner.slow_to_free():  # for a slice, giving the GIL away would be the longer wait
            with nogil:
                owner.reset()
                outside.back()

    cdef Owner held(self, const uint8_t** data) noexcept:
        """A reference to what keeps the bytes, and where they are, whatever release() of another thread does."""
        cdef Owner owner
        with cython.critical_section(self):
            data[0] = self.data
            owner = self.owner
        return owner

    cdef int check(self) except -1:
        return check_held(self.data)

    def __getbuffer__(self, Py_buffer* view, int flags):
        if flags & PyBUF_WRITABLE:
            self.check()
            raise BufferError("a Value is read-only")
        with cython.critical_section(self):
            self.check()
            self.exports += 1
        view.obj = self
        view.buf = <void*> self.data
        view.len = self.size
        view.readonly = 1
        view.itemsize = 1
        view.format = simdrive_format if flags & PyBUF_FORMAT else NULL
        view.ndim = 1
        view.shape = &view.len if flags & PyBUF_ND else NULL
        view.strides = &view.itemsize if (flags & PyBUF_STRIDES) == PyBUF_STRIDES else NULL
        view.suboffsets = NULL
        view.internal = NULL

    def __releasebuffer__(self, Py_buffer* view):
        with cython.critical_section(self):
            self.exports -= 1

    def __len__(self):
        self.check()
        return self.size

    def __bytes__(self):
        cdef const uint8_t* data
        cdef Owner keep = self.held(&data)
        cdef Py_ssize_t size = self.size
        check_held(data)
        return bytes_of(data, size)

    def __eq__(self, other):
        cdef Outside outside
        cdef const uint8_t* data
        cdef Owner keep = self.held(&data)
        cdef Py_ssize_t size = self.size
        cdef Py_buffer view
        cdef cbool same
        if self is other:
            return True
        if not PyObject_CheckBuffer(other):
            return NotImplemented
        if data == NULL:
            return False
        try:
            PyObject_GetBuffer(other, &view, PyBUF_SIMPLE)
        except (BufferError, TypeError, ValueError):  # not contiguous, or a released memoryview
            return NotImplemented
        try:
            if view.len != size:
                same = False
            elif view.buf == data or size <= kQuick:
                same = view.buf == data or memcmp(view.buf, data, <size_t> size) == 0
            else:
                with nogil:
                    same = memcmp(view.buf, data, <size_t> size) == 0
                    outside.back()
        finally:
            PyBuffer_Release(&view)
        return same

    def __hash__(self):
        cdef Outside outside
        cdef const uint8_t* data
        cdef Owner keep = self.held(&data)
        cdef Py_ssize_t size = self.size
        cdef Py_hash_t result
        if self.known_hash != -1:
            return self.known_hash
        check_held(data)
        if size == 0:
            result = 0
        elif size <= kQuick:
            result = PyHash_GetFuncDef().hash(data, size)
        else:
            with nogil:
                result = PyHash_GetFuncDef().hash(data, size)
                outside.back()
        self.known_hash = -2 if result == -1 else result
        return self.known_hash

    def __getitem__(self, index):
        cdef Py_ssize_t start, stop, step, size
        cdef const uint8_t* data
        cdef Owner keep
        if isinstance(index, slice):
            PySlice_Unpack(index, &start, &stop, &step)
            keep = self.held(&data)
            check_held(data)
            if step != 1:
                raise ValueError(f"a slice of a Value has step 1, not {step}; use view()[i:j:{step}], which is no Value")
            size = PySlice_AdjustIndices(self.size, &start, &stop, step)
            return part_of(keep, data + start, size)
        if not PyIndex_Check(index):
            raise TypeError(f"indices of a Value must be integers or slices, not {type(index).__name__}")
        start = PyNumber_AsSsize_t(index, IndexError)
        keep = self.held(&data)
        check_held(data)
        if start < 0:
            start += self.size
        if not 0 <= start < self.size:
            raise IndexError("index of a Value out of range")
        return data[start]

    def __iter__(self):
        return iter(PyMemoryView_FromObject(self))

    def view(self):
        """The bytes as a read-only ``memoryview`` of format ``"B"``, which keeps them alive."""
        return PyMemoryView_FromObject(self)

    def to_numpy(self, dtype="u1", shape=None):
        """A read-only NumPy array of the bytes, without a copy; it keeps them alive.

        Args:
            dtype: type of the elements.
            shape: as for ``reshape``; left out: one dimension. It must take all bytes.

        Raises:
            ValueError: the bytes do not fit in with `dtype` or `shape`, or `dtype` holds Python objects.
            TypeError: `dtype` is no NumPy type.
            ImportError: NumPy is not installed.
        """
        self.check()
        numpy = optional_package("numpy", "to_numpy")
        kind = numpy.dtype(dtype)
        if kind.hasobject:
            raise ValueError(f"bytes of a store cannot be Python objects: dtype {dtype!r}")
        view = PyMemoryView_FromObject(self)  # ndarray() itself would not keep release() from freeing the memory
        if kind.itemsize == 0 or len(view) % kind.itemsize:
            raise ValueError(f"{len(view)} bytes are no whole number of elements of {kind.itemsize} bytes ({kind})")
        array = numpy.ndarray((len(view) // kind.itemsize,), kind, view)
        return array if shape is None else array.reshape(shape)

    def to_arrow(self):
        """The bytes as a ``pyarrow.Buffer``, without a copy; it keeps them alive.

        Raises:
            ImportError: pyarrow is not installed.
        """
        self.check()
        return optional_package("pyarrow", "to_arrow").py_buffer(self)

    def release(self):
        """Lets go of the memory now; other values that share it keep theirs. Releasing twice is fine.

        Raises:
            BufferError: a memoryview, an array or another buffer of this value is in use.
        """
        cdef Owner owner
        cdef Py_ssize_t exports
        with cython.critical_section(self):
            exports = self.exports
            if exports == 0:
                owner = move(self.owner)
                self.data = NULL
        if exports > 0:
            raise BufferError(f"a Value with {exports} exported buffer{'s' if exports > 1 else ''} in use cannot be "
                              "released")
        self.drop(move(owner))

    def __enter__(self):
        self.check()
        return self

    def __exit__(self, *exc_info):
        self.release()

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self

    def __reduce_ex__(self, protocol):
        self.check()
        return make_value, (_pickle.PickleBuffer(self) if protocol >= 5 else bytes(self),)

    def __repr__(self):
        cdef const uint8_t* data
        cdef Owner keep = self.held(&data)
        if data == NULL:
            return "<simdrive.Value (released)>"
        start = PyBytes_FromStringAndSize(<const char*> data, min(self.size, 16))
        dots = "..." if self.size > 16 else ""
        return f"<simdrive.Value of {self.size} byte{'' if self.size == 1 else 's'}: {start!r}{dots}>"
