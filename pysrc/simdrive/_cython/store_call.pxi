# What a call of a store needs: options, errors, hashes of keys, the places of payloads, progress, the source of a stream.

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.ref cimport Py_INCREF, PyObject
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy
from libcpp cimport bool as cbool
from libcpp.string cimport string
from libcpp.vector cimport vector

from simdrive._cython.libsimdrive.client cimport CProgress
from simdrive._cython.libsimdrive.hash cimport CBytesView, c_xxh3_64
from simdrive._cython.libsimdrive.store cimport (
    CCompactResult, CEntry, COpenReport, CRecoverReport, CStore, CStoreMode, CStoreOptions, CStoreSync, CStreamSource,
    CVerifyReport,
)

from simdrive.key_hash import KeyHash as _KeyHash
from simdrive.store_types import (
    CompactResult as _CompactResult, EntryMetadata as _EntryMetadata, OpenReport as _OpenReport,
    RecoverReport as _RecoverReport, VerifyReport as _VerifyReport,
)


cdef CStoreOptions core_store_options(object options) except *:
    cdef CStoreOptions o
    o.mode = CStoreMode.read if options.mode == "r" else CStoreMode.append
    o.create = options.create
    o.sync = (
        CStoreSync.always if options.sync == "always" else CStoreSync.batch if options.sync == "batch"
        else CStoreSync.none
    )
    o.sync_interval = options.sync_interval
    o.lock = options.lock
    o.verify = options.verify
    return o


cdef int raise_store_error(const Error& e, str op, str path, object key) except -1:
    if e.code == Errc.interrupted:
        PyErr_CheckSignals()
        propagate_pending()
    hint = None
    if key is not None and not isinstance(key, _KeyHash):
        hint = bytes(memoryview(key).cast("B")[:16])
    raise _make_error(
        <int> e.code,
        e.detail.decode("utf-8", "surrogateescape"),
        op=op,
        path=path,
        key=hint,
        outcome_unknown=e.outcome == Outcome.unknown,
        system_code=e.system_code,
        offset=e.offset,
    )


cdef int hash_key(object key, uint64_t* hash, str what) except -1:
    """The hash of a key, or what a KeyHash says."""
    cdef Outside outside
    cdef Py_buffer k
    if PyBytes_CheckExact(key) and PyBytes_GET_SIZE(key) <= kQuick:
        hash[0] = c_xxh3_64(CBytesView(<const uint8_t*> PyBytes_AS_STRING(key), <size_t> PyBytes_GET_SIZE(key)), 0)
        return 0
    if isinstance(key, _KeyHash):
        hash[0] = key
        return 0
    get_buffer(key, &k, what)
    if k.len <= kQuick:
        hash[0] = c_xxh3_64(CBytesView(<const uint8_t*> k.buf, <size_t> k.len), 0)
    else:
        with nogil:
            hash[0] = c_xxh3_64(CBytesView(<const uint8_t*> k.buf, <size_t> k.len), 0)
            outside.back()
    PyBuffer_Release(&k)
    return 0


cdef int hash_keys(list keys, vector[uint64_t]* hashes, str what) except -1:
    cdef uint64_t hash = 0
    hashes.reserve(<size_t> len(keys))
    for key in keys:
        hash_key(key, &hash, what)
        hashes.push_back(hash)
    return 0


cdef list keys_of(object keys):
    if isinstance(keys, (str, bytes, bytearray)):
        raise TypeError(f"keys must be an iterable of keys, not {type(keys).__name__}")
    return list(keys)


cdef object payload_of(CEntry& entry):
    """The payload as bytes."""
    try:
        return bytes_of(entry.data(), <Py_ssize_t> entry.size())
    except MemoryError:
        raise _make_error(5, f"no memory for a value of {entry.size()} bytes", op="read") from None


cdef list payloads_of(Entries& entries):
    """The payloads of a batch as bytes, and None."""
    cdef Outside outside
    cdef Py_ssize_t count = <Py_ssize_t> entries.size()
    cdef vector[char*] targets
    cdef Py_ssize_t i
    cdef uint64_t total = 0
    targets.resize(<size_t> count, NULL)
    try:
        payloads = PyList_New(count)
        for i in range(count):
            if sd_has(entries, i):
                payload = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> sd_at(entries, i).size())
                targets[i] = PyBytes_AS_STRING(payload)
                total += sd_at(entries, i).size()
            else:
                payload = None
            Py_INCREF(payload)
            PyList_SET_ITEM(payloads, i, payload)
    except MemoryError:
        raise _make_error(5, f"no memory for a batch of {count} values", op="batch_read") from None
    if total <= <uint64_t> kQuick:
        sd_copy_entries(entries, targets.data())
    else:
        with nogil:
            sd_copy_entries(entries, targets.data())
            outside.back()
    return payloads


cdef int check_progress(object progress) except -1:
    if progress is not None and not callable(progress):
        raise TypeError(f"progress must be callable as progress(done, total), not {type(progress).__name__}")
    return 0


cdef PyObject* callback_of(object progress) noexcept:
    if progress is None:
        return NULL
    return <PyObject*> progress


cdef struct Told:
    PyObject* progress  # NULL: nobody
    Holder* holder  # of the store whose append lock the call holds, or NULL


cdef cbool tell_store(void* context, uint64_t done, uint64_t total) noexcept nogil:
    """False: an exception is set, for the caller of the method to find, or Python ends."""
    cdef Visit visit
    cdef cbool go_on
    cdef Told* told = <Told*> context
    if told.progress == NULL and PyThread_get_thread_ident() != _main_thread:
        return True
    if not visit.begin():
        return False
    with gil:
        if told.holder != NULL:
            told.holder.enter(PyThread_get_thread_ident())
        go_on = PyThread_get_thread_ident() != _main_thread or simdrive_check_signals() == 0
        if go_on and told.progress != NULL:
            go_on = call_progress(told.progress, done, total)
        if told.holder != NULL:
            told.holder.leave()
    return go_on


cdef struct Feeding:
    PyObject* feed
    Holder* holder  # of the store
    const uint8_t* at  # in the piece
    size_t left
    uint64_t done


cdef class _Feed:
    """The pieces of a stream on their way into a store."""
    cdef object pieces  # an iterator of buffers that stay as they are until the next is asked for
    cdef object failure
    cdef Feeding c
    cdef Py_buffer piece
    cdef cbool has_piece

    def __cinit__(self, pieces):
        self.pieces = pieces
        self.failure = None
        self.has_piece = False
        self.c.feed = <PyObject*> self
        self.c.left = 0
        self.c.done = 0

    def __dealloc__(self):
        self.let_go()

    cdef void let_go(self) noexcept:
        if self.has_piece:
            self.has_piece = False
            PyBuffer_Release(&self.piece)

    cdef int64_t more(self, uint8_t* buffer, size_t size) noexcept:
        """Copies small pieces, as many as fit; a larger one is left at `at`. -1: the source failed."""
        cdef size_t filled = 0
        try:
            while self.c.left == 0:
                self.let_go()
                try:
                    piece = next(self.pieces)
                except StopIteration:
                    break
                PyObject_GetBuffer(piece, &self.piece, PyBUF_SIMPLE)
                self.has_piece = True
                self.c.at = <const uint8_t*> self.piece.buf
                self.c.left = <size_t> self.piece.len
                if self.c.left > <size_t> kQuick or self.c.left > size - filled:
                    break
                memcpy(buffer + filled, self.c.at, self.c.left)
                filled += self.c.left
                self.c.left = 0
        except BaseException as failure:
            self.failure = failure
            return -1
        return <int64_t> filled


cdef int64_t feed_store(void* context, uint8_t* buffer, size_t size) noexcept nogil:
    cdef Visit visit
    cdef Feeding* c = <Feeding*> context
    cdef int64_t got = 0
    cdef size_t count
    if c.left == 0:
        if not visit.begin():
            return -1
        with gil:
            c.holder.enter(PyThread_get_thread_ident())
            got = (<_Feed> c.feed).more(buffer, size)
            c.holder.leave()
        if got != 0:
            c.done += <uint64_t> max(got, <int64_t> 0)
            return got
    count = min(c.left, size)
    if count != 0:
        memcpy(buffer, c.at, count)
        c.at += count
        c.left -= count
        c.done += count
    return <int64_t> count


cdef object recover_report(const CRecoverReport& report):
    backup = report.backup_path.decode("utf-8", "surrogateescape") if not report.backup_path.empty() else None
    return _RecoverReport(report.kept_bytes, report.dropped_bytes, report.entries, backup)


def recover_file(options, progress=None):
    """See ``Store.recover_file``."""
    cdef Outside outside
    cdef CStoreOptions o = core_store_options(options)
    cdef string path = _os.fsencode(options.path)
    cdef CRecoverReport report
    cdef CProgress p
    cdef Told told
    cdef Error error
    cdef cbool ok
    check_progress(progress)
    told.progress = callback_of(progress)
    told.holder = NULL
    p.context = &told
    p.report = &tell_store
    with nogil:
        ok = sd_store_recover_file(path, o, p, report, error)
        outside.back()
    if not ok:
        raise_store_error(error, "recover", options.path, None)
    return recover_report(report)
