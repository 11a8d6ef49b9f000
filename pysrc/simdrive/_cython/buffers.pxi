# Borrowed input: any C-contiguous bytes-like object, locked until it is released.

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer


cdef int get_buffer(object obj, Py_buffer* view, str what) except -1:
    """Fills `view` with the bytes of `obj`; TypeError for anything else. Release it with PyBuffer_Release."""
    if isinstance(obj, str):
        raise TypeError(f"{what} must be bytes-like, not str; encode it first, for example with .encode()")
    if not PyObject_CheckBuffer(obj):
        raise TypeError(f"{what} must be bytes-like, not {type(obj).__name__}")
    try:
        PyObject_GetBuffer(obj, view, PyBUF_SIMPLE)
    except (BufferError, ValueError) as error:
        raise TypeError(f"{what} must be a C-contiguous bytes-like object: {error}") from None
    return 0


def check_buffers(list objects, str what):
    """Raises the TypeError of the first one that is not bytes-like."""
    cdef Py_buffer view
    for obj in objects:
        get_buffer(obj, &view, what)
        PyBuffer_Release(&view)


cdef int get_target(object out, Py_buffer* view) except -1:
    """Fills `view` with a buffer that a result goes to. Release it with PyBuffer_Release."""
    try:
        PyObject_GetBuffer(out, view, PyBUF_WRITABLE)
    except (BufferError, TypeError, ValueError) as problem:
        raise TypeError(f"out must be 'bytes', 'view' or a writable C-contiguous buffer: {problem}") from None
    return 0
