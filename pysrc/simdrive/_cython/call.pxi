# What a call needs besides the client: signals, progress, the places of its values, borrowed buffers, errors.
#
# Ownership: a caller's buffers are locked (Py_buffer, or a reference to immutable bytes) until the call returns, and
# the core borrows them for that long. Results are bytes objects that the core fills while nobody else knows them, or
# blocks of C++ (value_glue.pxi).

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_CheckSignals
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.ref cimport Py_INCREF, PyObject
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.vector cimport vector

from simdrive._cython.libsimdrive.client cimport CReadResult, kAbsent, kNoLimit

import os as _os
import threading as _threading

from simdrive.errors import ConfigurationError as _ConfigurationError


cdef extern from "Python.h":
    PyObject* simdrive_new_bytes "PyBytes_FromStringAndSize"(const char*, Py_ssize_t)
    void simdrive_clear_error "PyErr_Clear"()
    void Py_DECREF_slot "Py_XDECREF"(PyObject*)
    PyObject* simdrive_call "PyObject_CallFunction"(PyObject*, const char*, ...)
    # Declared without `except`: a signal handler's exception stays set for the caller to find.
    int simdrive_check_signals "PyErr_CheckSignals"()


cdef unsigned long _main_thread = _threading.main_thread().ident


def _after_fork():
    global _main_thread
    _main_thread = _threading.main_thread().ident
    sd_nobody_comes_back()


if hasattr(_os, "register_at_fork"):
    _os.register_at_fork(after_in_child=_after_fork)


cdef cbool signal_pending(void* context) noexcept nogil:
    cdef Outside outside
    outside.back()
    with gil:
        return simdrive_check_signals() != 0


cdef cbool place_one(void* context, const uint64_t* sizes, size_t count, uint8_t** targets) noexcept nogil:
    cdef Outside outside
    outside.back()
    with gil:
        return make_one(context, sizes, targets)


cdef cbool place_many(void* context, const uint64_t* sizes, size_t count, uint8_t** targets) noexcept nogil:
    cdef Outside outside
    outside.back()
    with gil:
        return make_many(context, sizes, count, targets)


cdef cbool tell_progress(void* context, uint64_t done, uint64_t total) noexcept nogil:
    cdef Outside outside
    outside.back()
    with gil:
        return call_progress(<PyObject*> context, done, total)


cdef cbool call_progress(PyObject* callback, uint64_t done, uint64_t total) noexcept:
    """False: the callback's exception is set, for the caller of the method to find."""
    cdef PyObject* result = simdrive_call(callback, b"KK", <unsigned long long> done, <unsigned long long> total)
    Py_DECREF_slot(result)
    return result != NULL


cdef cbool make_one(void* context, const uint64_t* sizes, uint8_t** targets) noexcept:
    """Makes the bytes object of one value; the core fills it. A second try of the call makes its own."""
    cdef PyObject** slot = <PyObject**> context
    Py_DECREF_slot(slot[0])
    slot[0] = simdrive_new_bytes(NULL, <Py_ssize_t> sizes[0])
    if slot[0] == NULL:
        simdrive_clear_error()
        return False
    targets[0] = <uint8_t*> PyBytes_AS_STRING(<object> slot[0])
    return True


cdef cbool make_many(void* context, const uint64_t* sizes, size_t count, uint8_t** targets) noexcept:
    """Makes a list of bytes objects and None; the core fills the bytes. A second try of the call makes its own."""
    cdef PyObject** slot = <PyObject**> context
    Py_DECREF_slot(slot[0])
    slot[0] = NULL
    cdef size_t i
    try:
        values = PyList_New(<Py_ssize_t> count)
        for i in range(count):
            if sizes[i] == kAbsent:
                value = None
            else:
                value = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> sizes[i])
                targets[i] = <uint8_t*> PyBytes_AS_STRING(value)
            Py_INCREF(value)
            PyList_SET_ITEM(values, <Py_ssize_t> i, value)
    except MemoryError:
        return False
    Py_INCREF(values)
    slot[0] = <PyObject*> values
    return True


cdef cbool place_in_buffer(void* context, const uint64_t* sizes, size_t count, uint8_t** targets) noexcept nogil:
    cdef Py_buffer* view = <Py_buffer*> context
    targets[0] = <uint8_t*> view.buf
    return sizes[0] <= <uint64_t> view.len


cdef object take_reference(PyObject* owned):
    """The object whose reference the slot owned."""
    value = <object> owned
    Py_DECREF_slot(owned)
    return value


cdef int is_view(object out) except -1:
    """Whether results are to be values instead of bytes."""
    if not isinstance(out, str):
        raise TypeError(f"out must be 'bytes' or 'view', not {type(out).__name__}")
    if out not in ("bytes", "view"):
        raise _ConfigurationError(f"out must be 'bytes' or 'view', not {out!r}")
    return out == "view"


cdef object value_of(CBlock& block, CReadResult* result):
    """The value that sd_place_view() made a block for, or that is in the result itself."""
    if result.in_place:
        return copy_to_value(result.small, <Py_ssize_t> result.size)
    return new_value(block, block.data(), <Py_ssize_t> result.size)


cdef list values_of(vector[View]& views):
    """The values that sd_place_views() made blocks for, and None."""
    cdef View* view
    cdef size_t i
    values = []
    for i in range(views.size()):
        view = &views[i]
        values.append(None if view.size == kAbsent else new_value(view.block, view.data, <Py_ssize_t> view.size))
    return values


cdef double seconds(object value, str name) except -1:
    """A time option: a non-negative number, or None for no limit."""
    if value is None:
        return kNoLimit
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds or None, not {type(value).__name__}")
    cdef double s
    try:
        s = value
    except OverflowError:  # an int; repr() of it may be refused, too
        raise _ConfigurationError(f"{name} must be a number of seconds or None; this int is too large") from None
    if not s >= 0:
        raise _ConfigurationError(f"{name} must be a number of seconds >= 0 or None, not {value!r}")
    return s


def check_timeout(timeout):
    """Raises what a call raises whose timeout is no time; `...` stands for the client's own."""
    if timeout is not ...:
        seconds(timeout, "timeout")


def pairs_of(items):
    """A list of the items of a batch, pairs or a mapping."""
    if isinstance(items, _Mapping):
        return list(items.items())
    try:
        each = iter(items)
    except TypeError:
        raise TypeError(
            f"items must be pairs of key and value, or a mapping, not {type(items).__name__}"
        ) from None
    return list(each)


def checked_pair(pair, index):
    """Key and value of an item of a batch."""
    if not isinstance(pair, (str, bytes, bytearray)):
        try:
            key, value = pair
            return key, value
        except (TypeError, ValueError):
            pass
    shown = f"has {len(pair)} parts" if isinstance(pair, (tuple, list)) else f"is {type(pair).__name__}"
    raise TypeError(f"items must be pairs of key and value; item {index} {shown}")


cdef class _Borrowed:
    """Many caller's buffers as one array, held until release()."""
    cdef Flat* flat
    cdef Py_buffer* views
    cdef Py_ssize_t capacity, count, view_count
    cdef list keep

    def __cinit__(self, Py_ssize_t capacity):
        self.keep = []
        self.capacity = capacity
        self.flat = <Flat*> PyMem_Malloc(max(capacity, 1) * sizeof(Flat))
        self.views = NULL
        if self.flat == NULL:
            raise _make_error(5, f"no memory for a batch of {capacity} buffers")

    cdef int add(self, object obj, str what) except -1:
        cdef Flat* f = &self.flat[self.count]
        if PyBytes_CheckExact(obj):  # immutable: a reference is enough
            f.data = <const uint8_t*> PyBytes_AS_STRING(obj)
            f.size = <size_t> PyBytes_GET_SIZE(obj)
            self.keep.append(obj)
        else:
            if self.views == NULL:
                self.views = <Py_buffer*> PyMem_Malloc(self.capacity * sizeof(Py_buffer))
                if self.views == NULL:
                    raise _make_error(5, f"no memory for a batch of {self.capacity} buffers")
            get_buffer(obj, &self.views[self.view_count], what)
            f.data = <const uint8_t*> self.views[self.view_count].buf
            f.size = <size_t> self.views[self.view_count].len
            self.view_count += 1
        self.count += 1
        return 0

    def __dealloc__(self):
        cdef Py_ssize_t i
        for i in range(self.view_count):
            PyBuffer_Release(&self.views[i])
        PyMem_Free(self.views)
        PyMem_Free(self.flat)


cdef int raise_call_error(const Error& e, str op, str endpoint, object key) except -1:
    if e.code == Errc.interrupted:
        PyErr_CheckSignals()
        propagate_pending()
    hint = None if key is None else bytes(memoryview(key).cast("B")[:16])
    raise_error(e, op, endpoint, hint)
    return 0


cdef object refused_key(const Error& e, list keys):
    """The key of a batch that the core would not send."""
    if (e.code == Errc.invalid_key or e.code == Errc.invalid_value) and e.offset < <uint64_t> len(keys):
        return keys[e.offset]
    return None


cdef extern from *:
    """
    // -1 when a signal handler left its exception behind.
    static int simdrive_pending() { return PyErr_Occurred() ? -1 : 0; }
    """
    int propagate_pending "simdrive_pending"() except -1
