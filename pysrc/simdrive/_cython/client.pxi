# simdrive::Client for Python.
#
# Ownership: a caller's buffers are locked (Py_buffer, or a reference to immutable bytes) until the call returns, and
# the core borrows them for that long. Results are bytes objects that the core fills while nobody else knows them.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_CheckSignals
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.ref cimport Py_INCREF, PyObject
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy
from libcpp cimport bool as cbool

from simdrive._cython.libsimdrive.client cimport (
    CCallOptions, CClient, CCounters, CEvent, CEventKind, CInterrupt, COptions, CReadResult, CReceiver, CRetryWrites,
    kAbsent, kNoLimit,
)

import os as _os
import threading as _threading
from collections.abc import Mapping as _Mapping

import sys as _sys

from simdrive.errors import (
    ConfigurationError as _ConfigurationError, ConnectError as _ConnectError,
    ConnectionLostError as _ConnectionLostError,
)


cdef extern from "pythread.h":
    unsigned long PyThread_get_thread_ident() noexcept nogil


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


cdef double seconds(object value, str name) except -1:
    """A time option: a non-negative number, or None for no limit."""
    if value is None:
        return kNoLimit
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds or None, not {type(value).__name__}")
    cdef double s = value
    if not s >= 0:
        raise _ConfigurationError(f"{name} must be a number of seconds >= 0 or None, not {value!r}")
    return s


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


cdef class Client:
    """A client of one server, safe to share between threads. Made by :func:`simdrive.connect`.

    The interpreter lock is released while a call waits, sends or receives. Keys and values are any C-contiguous
    bytes-like objects; they are locked until the call returns. ``timeout`` is the deadline of one call in seconds, a
    reconnect included; ``None`` is no limit; left out, it is the client's own.

    Every network method may raise ``OperationTimeout``, ``ConnectionLostError``, ``ConnectError``, ``ConnectTimeout``,
    ``ClosedError``, ``ProtocolError``, ``ServerError`` or ``OverloadError`` of :mod:`simdrive`.
    """

    cdef CClient* c_obj
    cdef object _options
    cdef str _endpoint
    cdef object __weakref__

    def __cinit__(self, options):
        cdef Outside outside
        cdef COptions o = core_options(options)
        cdef CInterrupt interrupt
        cdef Error error
        self._options = options
        self._endpoint = options.url
        if PyThread_get_thread_ident() == _main_thread:
            interrupt.requested = &signal_pending
        with nogil:
            self.c_obj = sd_connect(o, interrupt, error)
            outside.back()
        if self.c_obj == NULL:
            raise_call_error(error, "connect", self._endpoint, None)
        self._endpoint = self.c_obj.endpoint().decode("utf-8")

    def __dealloc__(self):
        cdef Outside outside
        cdef CClient* c = self.c_obj
        self.c_obj = NULL
        if c != NULL:
            with nogil:
                del c
                outside.back()

    cdef int fill_options(self, CCallOptions* o, object timeout) except -1:
        if self.c_obj.has_events():
            self.log_events()
        if timeout is not ...:
            o.timeout = seconds(timeout, "timeout")
        if PyThread_get_thread_ident() == _main_thread:
            o.interrupt.requested = &signal_pending
        return 0

    cdef int fill_progress(self, CCallOptions* o, object progress) except -1:
        if progress is None:
            return 0
        if not callable(progress):
            raise TypeError(f"progress must be callable as progress(done, total), not {type(progress).__name__}")
        o.progress.context = <void*> progress
        o.progress.report = &tell_progress
        return 0

    cdef int log_events(self) except -1:
        for event in events_of(self.c_obj.take_events()):
            self._log_event(**event)
        return 0

    def _log_event(self, kind, *, detail="", attempt=0, delay=0.0):
        """Told, by the next call, what became of the connection: "connected" (detail: the dialect), "lost" (why) or
        "retrying" (failures in a row, seconds until the next try, why)."""

    def write(self, key, data, *, timeout=..., progress=None):
        """Stores `data` under `key`, replacing what was there.

        Raises ``InvalidKeyError`` and ``InvalidValueError`` (empty, the single byte 00, or too large) before a byte is
        sent, ``TypeError`` for ``str``.
        """
        cdef Outside outside
        cdef CCallOptions o
        cdef Error error
        cdef Py_buffer k
        cdef Py_buffer v
        cdef cbool ok
        self.fill_options(&o, timeout)
        self.fill_progress(&o, progress)
        get_buffer(key, &k, "key")
        try:
            get_buffer(data, &v, "data")
            try:
                with nogil:
                    ok = sd_write(
                        self.c_obj[0],
                        Flat(<const uint8_t*> k.buf, <size_t> k.len),
                        Flat(<const uint8_t*> v.buf, <size_t> v.len),
                        o, error,
                    )
                    outside.back()
            finally:
                PyBuffer_Release(&v)
        finally:
            PyBuffer_Release(&k)
        if not ok:
            raise_call_error(error, "write", self._endpoint, key)
        if progress is not None:
            size = memoryview(data).nbytes
            progress(size, size)

    def batch_write(self, items, *, timeout=..., progress=None):
        """Stores many pairs in one request; the last of equal keys wins.

        Args:
            items: pairs of key and value, or a mapping. A refused item refuses the whole batch.
        """
        cdef Outside outside
        cdef CCallOptions o
        cdef Error error
        cdef cbool ok
        self.fill_options(&o, timeout)
        self.fill_progress(&o, progress)
        pairs = list(items.items()) if isinstance(items, _Mapping) else list(items)
        cdef _Borrowed flat = _Borrowed(2 * len(pairs))
        keys = []
        for index, pair in enumerate(pairs):
            if isinstance(pair, (str, bytes, bytearray)):
                raise TypeError(f"items must be pairs of key and value; item {index} is {type(pair).__name__}")
            key, value = pair
            flat.add(key, "key")
            flat.add(value, "value")
            keys.append(key)
        with nogil:
            ok = sd_batch_write(self.c_obj[0], flat.flat, <size_t> flat.count // 2, o, error)
            outside.back()
        if not ok:
            raise_call_error(error, "batch_write", self._endpoint, refused_key(error, keys))
        if progress is not None:
            size = sum(memoryview(value).nbytes for _, value in pairs)
            progress(size, size)

    def read(self, key, *, default=None, out="bytes", timeout=..., progress=None):
        """The value under `key`, or `default` if there is none.

        Args:
            out: ``"bytes"`` for a new bytes object, or a writable buffer to fill.

        Returns:
            bytes, or the number of bytes written to `out`.

        Raises:
            BufferTooSmallError: the value does not fit in `out` (a ``ValueError``).
        """
        cdef Outside outside
        cdef CCallOptions o
        cdef CReadResult result
        cdef CReceiver receiver
        cdef Error error
        cdef Py_buffer k
        cdef PyObject* slot = NULL
        cdef cbool ok
        self.fill_options(&o, timeout)
        self.fill_progress(&o, progress)
        if not (isinstance(out, str) and out == "bytes"):
            return self.read_to_buffer(key, default, out, &o, progress)
        receiver.context = &slot
        receiver.allocate = &place_one
        get_buffer(key, &k, "key")
        try:
            with nogil:
                ok = sd_read(
                    self.c_obj[0], Flat(<const uint8_t*> k.buf, <size_t> k.len), receiver, result, o, error
                )
                outside.back()
        finally:
            PyBuffer_Release(&k)
        if not ok:
            Py_DECREF_slot(slot)
            if error.code == Errc.buffer_too_small:
                raise _make_error(5, f"no memory for a value of {result.size} bytes", op="read",
                                  endpoint=self._endpoint)
            raise_call_error(error, "read", self._endpoint, key)
        if progress is not None:
            progress(result.size, result.size)
        if not result.present:
            return default
        if result.in_place:
            return PyBytes_FromStringAndSize(<const char*> result.small, <Py_ssize_t> result.size)
        return take_reference(slot)

    cdef object read_to_buffer(self, object key, object default, object out, CCallOptions* o, object progress):
        cdef Outside outside
        cdef CReadResult result
        cdef CReceiver receiver
        cdef Error error
        cdef Py_buffer k
        cdef Py_buffer target
        cdef cbool ok
        if isinstance(out, str):
            raise _ConfigurationError(f"out must be 'bytes' or a writable buffer, not {out!r}")
        get_target(out, &target)
        receiver.context = &target
        receiver.allocate = &place_in_buffer
        try:
            get_buffer(key, &k, "key")
            try:
                with nogil:
                    ok = sd_read(
                        self.c_obj[0], Flat(<const uint8_t*> k.buf, <size_t> k.len), receiver, result, o[0], error
                    )
                    outside.back()
            finally:
                PyBuffer_Release(&k)
            size = result.size
            if ok and result.present and result.in_place:
                ok = size <= <uint64_t> target.len
                if ok:
                    memcpy(target.buf, result.small, result.size)
                else:
                    error.code = Errc.buffer_too_small
            if not ok and error.code == Errc.buffer_too_small:
                raise _make_error(4, f"the value has {size} bytes, the out buffer {target.len}", op="read",
                                  endpoint=self._endpoint)
        finally:
            PyBuffer_Release(&target)
        if not ok:
            raise_call_error(error, "read", self._endpoint, key)
        if progress is not None:
            progress(size, size)
        return size if result.present else default

    def batch_read(self, keys, *, timeout=..., progress=None):
        """The values under `keys` in one request: a list in the same order, with ``None`` where a key is absent."""
        cdef Outside outside
        cdef CCallOptions o
        cdef CReceiver receiver
        cdef Error error
        cdef PyObject* slot = NULL
        cdef cbool ok
        self.fill_options(&o, timeout)
        self.fill_progress(&o, progress)
        if isinstance(keys, (str, bytes, bytearray)):
            raise TypeError(f"keys must be an iterable of keys, not {type(keys).__name__}")
        wanted = list(keys)
        cdef _Borrowed flat = _Borrowed(len(wanted))
        for key in wanted:
            flat.add(key, "key")
        receiver.context = &slot
        receiver.allocate = &place_many
        with nogil:
            ok = sd_batch_read(self.c_obj[0], flat.flat, <size_t> flat.count, receiver, o, error)
            outside.back()
        if not ok:
            Py_DECREF_slot(slot)
            raise_call_error(error, "batch_read", self._endpoint, refused_key(error, wanted))
        values = take_reference(slot)
        if progress is not None:
            size = sum([len(value) for value in values if value is not None])
            progress(size, size)
        return values

    def batch_read_structured(self, data, *, timeout=...):
        """A dict, or a list of dicts, of the same shape as `data`, with each key replaced by the value stored under it.

        Raises ``TypeError`` for any other shape.
        """
        rows = list(data) if isinstance(data, list) else [data]
        if not all(isinstance(row, dict) for row in rows):
            raise TypeError(f"data must be a dict or a list of dicts, not {type(data).__name__}")
        # Taken once: other threads may change what the caller gave while the values are read.
        pairs = [list(row.items()) for row in rows]
        values = iter(self.batch_read([key for row in pairs for _, key in row], timeout=timeout))
        result = [{name: next(values) for name, _ in row} for row in pairs]
        return result[0] if isinstance(data, dict) else result

    def delete(self, key, *, timeout=...):
        """Removes `key`. No error if it is absent."""
        cdef Outside outside
        cdef CCallOptions o
        cdef Error error
        cdef Py_buffer k
        cdef cbool ok
        self.fill_options(&o, timeout)
        get_buffer(key, &k, "key")
        try:
            with nogil:
                ok = sd_erase(self.c_obj[0], Flat(<const uint8_t*> k.buf, <size_t> k.len), o, error)
                outside.back()
        finally:
            PyBuffer_Release(&k)
        if not ok:
            raise_call_error(error, "delete", self._endpoint, key)

    def exists(self, key, *, timeout=...):
        """Whether there is a value under `key`."""
        cdef Outside outside
        cdef CCallOptions o
        cdef Error error
        cdef Py_buffer k
        cdef uint64_t found = 0
        cdef cbool ok
        self.fill_options(&o, timeout)
        get_buffer(key, &k, "key")
        try:
            with nogil:
                ok = sd_exists(self.c_obj[0], Flat(<const uint8_t*> k.buf, <size_t> k.len), o, found, error)
                outside.back()
        finally:
            PyBuffer_Release(&k)
        if not ok:
            raise_call_error(error, "exists", self._endpoint, key)
        return found != 0

    def __contains__(self, key):
        return self.exists(key)

    def __len__(self):
        """The number of keys; a call to the server."""
        cdef Outside outside
        cdef CCallOptions o
        cdef Error error
        cdef uint64_t n = 0
        cdef cbool ok
        self.fill_options(&o, ...)
        with nogil:
            ok = sd_size(self.c_obj[0], o, n, error)
            outside.back()
        if not ok:
            raise_call_error(error, "len", self._endpoint, None)
        return n

    def __bool__(self):
        """Always true, and never a call to the server."""
        return True

    def is_empty(self, *, timeout=...):
        """Whether the store has no key."""
        cdef Outside outside
        cdef CCallOptions o
        cdef Error error
        cdef uint64_t n = 0
        cdef cbool ok
        self.fill_options(&o, timeout)
        with nogil:
            ok = sd_empty(self.c_obj[0], o, n, error)
            outside.back()
        if not ok:
            raise_call_error(error, "is_empty", self._endpoint, None)
        return n != 0

    def file_size(self, *, timeout=...):
        """Bytes of the server's store file."""
        cdef Outside outside
        cdef CCallOptions o
        cdef Error error
        cdef uint64_t n = 0
        cdef cbool ok
        self.fill_options(&o, timeout)
        with nogil:
            ok = sd_file_size(self.c_obj[0], o, n, error)
            outside.back()
        if not ok:
            raise_call_error(error, "file_size", self._endpoint, None)
        return n

    def ping(self, *, timeout=...):
        """Seconds that one round trip to the server takes."""
        cdef Outside outside
        cdef CCallOptions o
        cdef Error error
        cdef double t = 0
        cdef cbool ok
        self.fill_options(&o, timeout)
        with nogil:
            ok = sd_ping(self.c_obj[0], o, t, error)
            outside.back()
        if not ok:
            raise_call_error(error, "ping", self._endpoint, None)
        return t

    def _dialect(self, timeout):
        cdef Outside outside
        cdef CCallOptions o
        cdef Error error
        cdef string name
        cdef cbool ok
        self.fill_options(&o, timeout)
        with nogil:
            ok = sd_dialect(self.c_obj[0], o, name, error)
            outside.back()
        if not ok:
            raise_call_error(error, "server_info", self._endpoint, None)
        return name.decode("ascii")

    def server_info(self, *, timeout=...):
        """What is known of the server: a ``ServerInfo``."""
        from simdrive.client import ServerInfo
        return ServerInfo(version=None, dialect=self._dialect(timeout), extensions=frozenset(), max_message=None,
                          backend=None)

    def _stats(self):
        """Counters since the client was opened: calls, system calls that sent bytes, connections."""
        cdef CCounters c = self.c_obj.counters()
        return {"calls": c.calls, "sends": c.sends, "connections": c.connections}

    def close(self, *, timeout=None):
        """Ends the connection. Calls under way raise ``ClosedError``. Closing twice is fine.

        Args:
            timeout: seconds that the server gets to confirm; ``None`` is the option ``close_timeout``.
        """
        cdef Outside outside
        cdef double wait = -1 if timeout is None else seconds(timeout, "timeout")
        with nogil:
            self.c_obj.close(wait)
            outside.back()

    @property
    def options(self):
        """The ``Options`` the client was opened with."""
        return self._options

    @property
    def closed(self):
        """Whether close() was called."""
        return self.c_obj == NULL or self.c_obj.closed()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()

    def __reduce__(self):
        raise TypeError("a Client cannot be pickled; pickle its URL and connect again")

    def __repr__(self):
        state = "closed" if self.closed else "open"
        return f"<simdrive.Client {self._endpoint} ({state})>"
