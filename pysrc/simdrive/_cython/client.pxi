# simdrive::Client for Python.

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.ref cimport PyObject
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy
from libcpp cimport bool as cbool
from libcpp.vector cimport vector

from simdrive._cython.libsimdrive.client cimport (
    CCallOptions, CClient, CCounters, CInterrupt, COptions, CReadResult, CReceiver,
)

from collections.abc import Mapping as _Mapping

from simdrive.errors import (
    ConfigurationError as _ConfigurationError, ConnectError as _ConnectError,
    ConnectionLostError as _ConnectionLostError,
)


cdef extern from "pythread.h":
    unsigned long PyThread_get_thread_ident() noexcept nogil


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
    cdef object _pipelines  # the PipelineCore, once there is a pipeline
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

    def _pipeline_core(self, make_thread):
        """The calls of this client's pipelines."""
        if self.c_obj.has_events():
            self.log_events()
        with cython.critical_section(self):
            if self._pipelines is None:
                self._pipelines = PipelineCore(self, make_thread)
            return self._pipelines

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

    def batch_write(self, items, *, max_bytes=None, timeout=..., progress=None):
        """Stores many pairs in one request; the last of equal keys wins.

        Args:
            items: pairs of key and value, or a mapping. A refused item refuses the whole batch.
            max_bytes: sends requests of at most so many bytes of keys and values (a larger item goes alone), one
                after the other: each is stored as a whole, but not all of them. The limit of the time is of all
                together, and `progress` is told of each request that is over.

        Raises:
            BatchError: with `max_bytes`: some items were not stored, or may not have been; `failed` has their numbers.
        """
        cdef Outside outside
        cdef CCallOptions o
        cdef Error error
        cdef cbool ok
        if max_bytes is not None:
            return self._split_batch(items, max_bytes, timeout, progress)
        self.fill_options(&o, timeout)
        self.fill_progress(&o, progress)
        pairs = pairs_of(items)
        cdef _Borrowed flat = _Borrowed(2 * len(pairs))
        keys = []
        for index, pair in enumerate(pairs):
            key, value = checked_pair(pair, index)
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
            out: ``"bytes"`` for a new bytes object, ``"view"`` for a :class:`simdrive.Value`, which is received without
                the interpreter lock and freed off the caller's thread if large, or a writable buffer to fill.

        Returns:
            bytes, a ``Value``, or the number of bytes written to `out`.

        Raises:
            BufferTooSmallError: the value does not fit in `out` (a ``ValueError``).
            ConfigurationError: `out` is another string.
            OutOfMemoryError: there is no memory for the value.
        """
        cdef CCallOptions o
        cdef CReadResult result
        cdef CReceiver receiver
        cdef CBlock block
        cdef PyObject* slot = NULL
        cdef cbool view = False
        self.fill_options(&o, timeout)
        self.fill_progress(&o, progress)
        if isinstance(out, str) and out == "view":
            view = True
            receiver.context = &block
            receiver.allocate = &sd_place_view
        elif isinstance(out, str) and out == "bytes":
            receiver.context = &slot
            receiver.allocate = &place_one
        else:
            return self.read_to_buffer(key, default, out, &o, progress)
        try:
            if not self.call_read(key, &receiver, &result, &o):
                raise _make_error(5, f"no memory for a value of {result.size} bytes", op="read",
                                  endpoint=self._endpoint)
            if progress is not None:
                progress(result.size, result.size)
        except:  # whatever it is: the value goes, and it is raised again
            Py_DECREF_slot(slot)
            raise
        if not result.present:
            return default
        if view:
            return value_of(block, &result)
        if result.in_place:
            return PyBytes_FromStringAndSize(<const char*> result.small, <Py_ssize_t> result.size)
        return take_reference(slot)

    cdef int call_read(self, object key, CReceiver* receiver, CReadResult* result, CCallOptions* o) except -1:
        """0: the receiver refused."""
        cdef Outside outside
        cdef Error error
        cdef Py_buffer k
        cdef cbool ok
        get_buffer(key, &k, "key")
        try:
            with nogil:
                ok = sd_read(
                    self.c_obj[0], Flat(<const uint8_t*> k.buf, <size_t> k.len), receiver[0], result[0], o[0], error
                )
                outside.back()
        finally:
            PyBuffer_Release(&k)
        if not ok:
            if error.code == Errc.buffer_too_small:
                return 0
            raise_call_error(error, "read", self._endpoint, key)
        return 1

    cdef object read_to_buffer(self, object key, object default, object out, CCallOptions* o, object progress):
        cdef CReadResult result
        cdef CReceiver receiver
        cdef Py_buffer target
        if isinstance(out, str):
            raise _ConfigurationError(f"out must be 'bytes', 'view' or a writable buffer, not {out!r}")
        get_target(out, &target)
        receiver.context = &target
        receiver.allocate = &place_in_buffer
        try:
            fits = self.call_read(key, &receiver, &result, o)
            if fits and result.present and result.in_place:
                fits = result.size <= <uint64_t> target.len
                if fits:
                    memcpy(target.buf, result.small, result.size)
            if not fits:
                raise _make_error(4, f"the value has {result.size} bytes, the out buffer {target.len}", op="read",
                                  endpoint=self._endpoint)
        finally:
            PyBuffer_Release(&target)
        if progress is not None:
            progress(result.size, result.size)
        return result.size if result.present else default

    def batch_read(self, keys, *, out="bytes", timeout=..., progress=None):
        """The values under `keys` in one request: a list in the same order, with ``None`` where a key is absent.

        Args:
            out: ``"bytes"``, or ``"view"`` for :class:`simdrive.Value` objects. Values of 64 KiB or more have memory of
                their own; smaller ones share blocks of at most 1 MiB, and each keeps its block alive: of a few to keep
                for long take ``bytes(value)``.

        Raises:
            ConfigurationError: `out` is another string.
            OutOfMemoryError: there is no memory for the values.
        """
        cdef Outside outside
        cdef CCallOptions o
        cdef CReceiver receiver
        cdef Error error
        cdef vector[View] views
        cdef PyObject* slot = NULL
        cdef cbool ok
        self.fill_options(&o, timeout)
        self.fill_progress(&o, progress)
        cdef cbool view = is_view(out)
        if isinstance(keys, (str, bytes, bytearray)):
            raise TypeError(f"keys must be an iterable of keys, not {type(keys).__name__}")
        wanted = list(keys)
        cdef _Borrowed flat = _Borrowed(len(wanted))
        for key in wanted:
            flat.add(key, "key")
        if view:
            receiver.context = &views
            receiver.allocate = &sd_place_views
        else:
            receiver.context = &slot
            receiver.allocate = &place_many
        with nogil:
            ok = sd_batch_read(self.c_obj[0], flat.flat, <size_t> flat.count, receiver, o, error)
            outside.back()
        if not ok:
            Py_DECREF_slot(slot)
            raise_call_error(error, "batch_read", self._endpoint, refused_key(error, wanted))
        values = values_of(views) if view else take_reference(slot)
        if progress is not None:
            size = sum([len(value) for value in values if value is not None])
            progress(size, size)
        return values

    def batch_read_structured(self, data, *, timeout=..., progress=None):
        """A dict, or a list of dicts, of the same shape as `data`, with each key replaced by the value stored under it.

        Raises ``TypeError`` for any other shape.
        """
        rows = list(data) if isinstance(data, list) else [data]
        if not all(isinstance(row, dict) for row in rows):
            raise TypeError(f"data must be a dict or a list of dicts, not {type(data).__name__}")
        # Taken once: other threads may change what the caller gave while the values are read.
        pairs = [list(row.items()) for row in rows]
        values = iter(self.batch_read([key for row in pairs for _, key in row], timeout=timeout, progress=progress))
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
