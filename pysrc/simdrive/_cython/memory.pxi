# bytes objects of any size, made and filled.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t
from libc.string cimport memcpy


cdef extern from *:
    """
    // Work on more bytes than these is done without the GIL.
    constexpr Py_ssize_t kQuick = 16 << 10;
    """
    const Py_ssize_t kQuick


cdef object bytes_of(const uint8_t* data, Py_ssize_t size):
    """A bytes object with what is at `data`, which stays there until this returns. MemoryError."""
    cdef Outside outside
    if size <= kQuick:
        return PyBytes_FromStringAndSize(<const char*> data, size)
    copy = PyBytes_FromStringAndSize(NULL, size)
    cdef char* target = PyBytes_AS_STRING(copy)
    with nogil:
        memcpy(target, data, <size_t> size)
        outside.back()
    return copy
