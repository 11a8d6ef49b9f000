# simdrive::Store for Python.
#
# The GIL is given away for whatever makes a system call, takes the append lock, or copies, hashes or checks more than
# kQuick bytes, and for batches. Looking one key up and copying less keeps it: 160 ns for 16 bytes. Giving it away and
# taking it back made that 1.1 to 1.6 times as long alone, and 2.6 times beside a thread that computes (CPython 3.11).
# What is waited for with it is a page of the file that is not in memory, and a writer that maps the file anew, which
# never waits for the GIL.

cimport cython
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
    cdef Outside outside
    cdef Py_ssize_t size = <Py_ssize_t> entry.size()
    cdef const uint8_t* data = entry.data()
    if size <= kQuick:
        return PyBytes_FromStringAndSize(<const char*> data, size)
    try:
        payload = PyBytes_FromStringAndSize(NULL, size)
    except MemoryError:
        raise _make_error(5, f"no memory for a value of {size} bytes", op="read") from None
    cdef char* target = PyBytes_AS_STRING(payload)
    with nogil:
        memcpy(target, data, <size_t> size)
        outside.back()
    return payload


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
        visit.arrived()
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
            visit.arrived()
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


cdef class Store:
    """The compiled part of :class:`simdrive.Store`."""

    cdef CStore* c_obj
    cdef object _options
    cdef str _path
    cdef Holder holder
    cdef cbool checks
    cdef object __weakref__

    def __cinit__(self, options):
        cdef Outside outside
        cdef CStoreOptions o = core_store_options(options)
        cdef cbool in_memory = options.path is None
        cdef string path
        cdef Error error
        self._options = options
        self._path = options.endpoint
        self.checks = options.verify
        if not in_memory:
            path = _os.fsencode(options.path)
        with nogil:
            self.c_obj = sd_store_memory(o, error) if in_memory else sd_store_open(path, o, error)
            outside.back()
        if self.c_obj == NULL:
            raise_store_error(error, "open", self._path, None)

    def __dealloc__(self):
        cdef Outside outside
        cdef CStore* c = self.c_obj
        self.c_obj = NULL
        if c != NULL:
            with nogil:
                del c
                outside.back()

    cdef int check_lock(self, str op) except -1:
        """Refuses what would wait for a lock that this very thread holds."""
        if self.holder.has(PyThread_get_thread_ident()):
            raise _make_error(23, "it was called within the source or the progress callback of a call that changes this "
                              "store, and would wait for it for ever", op=op, path=self._path)
        return 0

    # ---- Writing ----

    def write(self, key, data, *, progress=None):
        """Stores `data` under `key`, replacing what was there: one system call.

        Raises ``InvalidValueError`` (empty, or the single byte 00) before a byte is written, ``TypeError`` for ``str``.
        """
        cdef Outside outside
        cdef Error error
        cdef uint64_t hash = 0
        cdef Py_buffer v
        cdef cbool ok
        check_progress(progress)
        self.check_lock("write")
        hash_key(key, &hash, "key")
        get_buffer(data, &v, "data")
        try:
            with nogil:
                ok = sd_store_write(self.c_obj[0], hash, Flat(<const uint8_t*> v.buf, <size_t> v.len), error)
                outside.back()
        finally:
            PyBuffer_Release(&v)
        if not ok:
            raise_store_error(error, "write", self._path, key)
        if progress is not None:
            size = memoryview(data).nbytes
            progress(size, size)

    def batch_write(self, items, *, allow_null=False, progress=None):
        """Stores many pairs, which readers see at once; the last of equal keys wins.

        A crash of the system may leave the first ones only.

        Args:
            items: pairs of key and value, or a mapping. A refused item refuses the whole batch.
            allow_null: a value that is the single byte 00 deletes its key, whether or not it is there.
        """
        cdef Outside outside
        cdef Error error
        cdef vector[uint64_t] hashes
        cdef cbool nulls = allow_null
        cdef cbool ok
        check_progress(progress)
        pairs = list(items.items()) if isinstance(items, _Mapping) else list(items)
        cdef _Borrowed flat = _Borrowed(len(pairs))
        keys = []
        for index, pair in enumerate(pairs):
            if isinstance(pair, (str, bytes, bytearray)):
                raise TypeError(f"items must be pairs of key and value; item {index} is {type(pair).__name__}")
            key, value = pair
            flat.add(value, "value")
            keys.append(key)
        hash_keys(keys, &hashes, "key")
        self.check_lock("batch_write")
        with nogil:
            ok = sd_store_batch_write(self.c_obj[0], hashes, flat.flat, nulls, error)
            outside.back()
        if not ok:
            raise_store_error(error, "batch_write", self._path, refused_key(error, keys))
        if progress is not None:
            size = sum(memoryview(value).nbytes for _, value in pairs)
            progress(size, size)

    def _write_pieces(self, key, pieces):
        """Stores what the iterator gives; the number of bytes. What it raises passes unchanged."""
        cdef Outside outside
        cdef Error error
        cdef uint64_t hash = 0
        cdef CStreamSource source
        cdef cbool ok
        cdef _Feed feed = _Feed(pieces)
        self.check_lock("write_stream")
        hash_key(key, &hash, "key")
        feed.c.holder = &self.holder
        source.context = &feed.c
        source.read = &feed_store
        with nogil:
            ok = sd_store_write_stream(self.c_obj[0], hash, source, error)
            outside.back()
        feed.let_go()
        if feed.failure is not None:
            raise feed.failure
        if not ok:
            raise_store_error(error, "write_stream", self._path, key)
        return feed.c.done

    def delete(self, key):
        """Removes `key`. No error if it is absent."""
        self.erase("delete", [key])

    def batch_delete(self, keys, *, progress=None):
        """Removes those of the keys that are there, at once."""
        check_progress(progress)
        wanted = keys_of(keys)
        self.erase("batch_delete", wanted)
        if progress is not None:
            progress(len(wanted), len(wanted))

    cdef int erase(self, str op, list keys) except -1:
        cdef Outside outside
        cdef Error error
        cdef vector[uint64_t] hashes
        cdef cbool ok
        hash_keys(keys, &hashes, "key")
        self.check_lock(op)
        with nogil:
            ok = sd_store_erase(self.c_obj[0], hashes, error)
            outside.back()
        if not ok:
            raise_store_error(error, op, self._path, keys[0] if len(keys) == 1 else None)
        return 0

    def rename(self, old_key, new_key):
        """Moves the value of `old_key` to `new_key`, in one batch; a value that is there is replaced.

        Raises ``KeyNotFoundError``; ``InvalidKeyError`` if the keys are equal; ``StoreCorruptError`` if the checksum of
        the value is wrong. The keys are bytes, no hashes.
        """
        cdef Outside outside
        cdef Error error
        cdef Py_buffer old
        cdef Py_buffer new
        cdef cbool ok
        self.check_lock("rename")
        get_buffer(old_key, &old, "old_key")
        try:
            get_buffer(new_key, &new, "new_key")
            try:
                with nogil:
                    ok = sd_store_rename(
                        self.c_obj[0],
                        Flat(<const uint8_t*> old.buf, <size_t> old.len),
                        Flat(<const uint8_t*> new.buf, <size_t> new.len),
                        error,
                    )
                    outside.back()
            finally:
                PyBuffer_Release(&new)
        finally:
            PyBuffer_Release(&old)
        if not ok:
            raise_store_error(error, "rename", self._path, old_key)

    def copy(self, key, target):
        """Copies the value of `key` to another store.

        Raises ``KeyNotFoundError``; ``InvalidKeyError`` if `target` is this file; ``StoreCorruptError`` if the checksum
        of the value is wrong. The key is bytes, no hash.
        """
        self.copy_to("copy", key, target, False)

    def transfer(self, key, target):
        """Moves the value of `key` to another store: `copy`, then `delete`. If the delete fails both have it."""
        self.copy_to("transfer", key, target, True)

    cdef int copy_to(self, str op, object key, object target, cbool erase) except -1:
        cdef Outside outside
        cdef Error error
        cdef Py_buffer k
        cdef Store other
        cdef cbool ok
        if not isinstance(target, Store):
            raise TypeError(f"target must be a simdrive.Store, not {type(target).__name__}")
        other = target
        other.check_lock(op)
        if erase:
            self.check_lock(op)
        get_buffer(key, &k, "key")
        try:
            with nogil:
                ok = sd_store_copy(
                    self.c_obj[0], Flat(<const uint8_t*> k.buf, <size_t> k.len), other.c_obj[0], erase, error
                )
                outside.back()
        finally:
            PyBuffer_Release(&k)
        if not ok:
            raise_store_error(error, op, self._path, key)
        return 0

    # ---- Reading ----

    cdef int find(self, str op, object key, CEntry* entry) except -1:
        """Whether there is an entry."""
        cdef Outside outside
        cdef Error error
        cdef uint64_t hash = 0
        cdef int found
        hash_key(key, &hash, "key")
        if self.checks:
            with nogil:
                found = sd_store_read(self.c_obj[0], hash, entry[0], error)
                outside.back()
        else:
            found = sd_store_read(self.c_obj[0], hash, entry[0], error)
        if found < 0:
            raise_store_error(error, op, self._path, key)
        return found

    def read(self, key, *, default=None, out="bytes", progress=None):
        """The value under `key`, or `default` if there is none.

        Args:
            out: ``"bytes"`` for a new bytes object, ``"view"`` for an :class:`simdrive.Entry` without a copy, or a
                writable buffer to fill.

        Returns:
            bytes, an ``Entry``, or the number of bytes written to `out`.

        Raises:
            BufferTooSmallError: the value does not fit in `out` (a ``ValueError``).
            ConfigurationError: `out` is another string.
            StoreCorruptError: with ``verify``: the checksum of the value is wrong.
        """
        cdef CEntry entry
        cdef cbool view = False
        if progress is not None:
            check_progress(progress)
        if out is not "bytes":  # the default is this very object
            if isinstance(out, str):
                view = is_view(out)
            else:
                return self.read_to_buffer(key, default, out, progress)
        if not self.find("read", key, &entry):
            return default
        if progress is not None:
            progress(entry.size(), entry.size())
        return new_entry(entry) if view else payload_of(entry)

    cdef object read_to_buffer(self, object key, object default, object out, object progress):
        cdef Outside outside
        cdef CEntry entry
        cdef Py_buffer target
        get_target(out, &target)
        try:
            if not self.find("read", key, &entry):
                return default
            size = entry.size()
            if entry.size() > <uint64_t> target.len:
                raise _make_error(4, f"the value has {size} bytes, the out buffer {target.len}", op="read",
                                  path=self._path)
            if entry.size() <= <uint64_t> kQuick:
                memcpy(target.buf, entry.data(), <size_t> entry.size())
            else:
                with nogil:
                    memcpy(target.buf, entry.data(), <size_t> entry.size())
                    outside.back()
        finally:
            PyBuffer_Release(&target)
        if progress is not None:
            progress(size, size)
        return size

    def batch_read(self, keys, *, out="bytes", progress=None):
        """The values under `keys` as of one moment: a list in the same order, with ``None`` where a key is absent.

        Args:
            out: ``"bytes"``, or ``"view"`` for :class:`simdrive.Entry` objects.
        """
        cdef Outside outside
        cdef Error error
        cdef vector[uint64_t] hashes
        cdef Entries entries
        cdef size_t i
        cdef cbool ok
        check_progress(progress)
        cdef cbool view = is_view(out)
        wanted = keys_of(keys)
        hash_keys(wanted, &hashes, "key")
        with nogil:
            ok = sd_store_batch_read(self.c_obj[0], hashes, entries, error)
            outside.back()
        if not ok:
            raise_store_error(error, "batch_read", self._path, None)
        if view:
            values = [new_entry(sd_at(entries, i)) if sd_has(entries, i) else None for i in range(entries.size())]
        else:
            values = payloads_of(entries)
        if progress is not None:
            size = sum([len(value) for value in values if value is not None])
            progress(size, size)
        return values

    def read_entry(self, key):
        """The :class:`simdrive.Entry` under `key`, or ``None``: as ``read(key, out="view")``."""
        cdef CEntry entry
        return new_entry(entry) if self.find("read_entry", key, &entry) else None

    def read_last_entry(self):
        """The record at the end of the file, whatever its key and deletions included; ``None`` in an empty store."""
        cdef Outside outside
        cdef CEntry entry
        cdef Error error
        cdef int found
        with nogil:
            found = sd_store_read_last(self.c_obj[0], entry, error)
            outside.back()
        if found < 0:
            raise_store_error(error, "read_last_entry", self._path, None)
        return new_entry(entry) if found else None

    def metadata(self, key):
        """The :class:`simdrive.EntryMetadata` of `key`, or ``None``."""
        cdef CEntry entry
        if not self.find("metadata", key, &entry):
            return None
        return _EntryMetadata(_KeyHash(entry.key_hash()), entry.prev_offset(), entry.checksum(), entry.size())

    def iter_entries(self):
        """The live entries, as they are now: one a key, newest first. An iterator of :class:`simdrive.Entry`.

        Later writes do not change what it gives, nor does closing the store. With ``verify`` an entry with a wrong
        checksum raises ``StoreCorruptError``; ``next()`` goes on behind it.
        """
        cdef Outside outside
        cdef Error error
        cdef EntryIterator iterator = EntryIterator.__new__(EntryIterator)
        iterator.path = self._path
        with nogil:
            iterator.scan = sd_scan(self.c_obj[0], error)
            outside.back()
        if iterator.scan == NULL:
            raise_store_error(error, "iter_entries", self._path, None)
        return iterator

    def exists(self, key):
        """Whether there is a value under `key`."""
        cdef Error error
        cdef uint64_t hash = 0
        cdef uint64_t found = 0
        hash_key(key, &hash, "key")
        if not sd_store_exists(self.c_obj[0], hash, found, error):
            raise_store_error(error, "exists", self._path, key)
        return found != 0

    def __contains__(self, key):
        return self.exists(key)

    cdef uint64_t count(self, str op) except? 0:
        cdef Error error
        cdef uint64_t n = 0
        if not sd_store_size(self.c_obj[0], n, error):
            raise_store_error(error, op, self._path, None)
        return n

    def __len__(self):
        """The number of live keys."""
        return self.count("len")

    def __bool__(self):
        """Always true, as for a client."""
        return True

    def is_empty(self):
        """Whether the store has no key."""
        return self.count("is_empty") == 0

    def file_size(self):
        """Bytes of the file that the path names now."""
        cdef Outside outside
        cdef Error error
        cdef uint64_t n = 0
        cdef cbool ok
        with nogil:
            ok = sd_store_file_size(self.c_obj[0], n, error)
            outside.back()
        if not ok:
            raise_store_error(error, "file_size", self._path, None)
        return n

    def estimate_compaction_savings(self):
        """Bytes of the file that are no payload or metadata of a live entry.

        Padding counts, which `compact` cannot avoid.
        """
        cdef Outside outside
        cdef Error error
        cdef uint64_t n = 0
        cdef cbool ok
        with nogil:
            ok = sd_store_savings(self.c_obj[0], n, error)
            outside.back()
        if not ok:
            raise_store_error(error, "estimate_compaction_savings", self._path, None)
        return n

    # ---- Looking after the file ----

    def flush(self):
        """Forces everything written so far to the disk, whatever ``sync`` is. In mode ``"r"``: no effect."""
        cdef Outside outside
        cdef Error error
        cdef cbool ok
        self.check_lock("flush")
        with nogil:
            ok = sd_store_flush(self.c_obj[0], error)
            outside.back()
        if not ok:
            raise_store_error(error, "flush", self._path, None)

    def refresh(self):
        """In mode ``"r"``: shows what the writer has done since the store was opened or last refreshed.

        Returns:
            The new `tail`.
        """
        cdef Outside outside
        cdef Error error
        cdef uint64_t n = 0
        cdef cbool ok
        self.check_lock("refresh")
        with nogil:
            ok = sd_store_refresh(self.c_obj[0], n, error)
            outside.back()
        if not ok:
            raise_store_error(error, "refresh", self._path, None)
        return n

    cdef int fill_progress(self, CProgress* p, Told* told, object progress, cbool locked) except -1:
        check_progress(progress)
        told.progress = callback_of(progress)
        told.holder = &self.holder if locked else NULL
        p.context = told
        p.report = &tell_store
        return 0

    def verify(self, *, progress=None):
        """Checks the checksum of every record, live or not, and the chain from the last to the first.

        Args:
            progress: called as ``progress(done, total)`` in bytes. What it raises ends the call.

        Returns:
            A :class:`simdrive.VerifyReport`.
        """
        cdef Outside outside
        cdef CVerifyReport report
        cdef CProgress p
        cdef Told told
        cdef Error error
        cdef cbool ok
        self.fill_progress(&p, &told, progress, False)
        with nogil:
            ok = sd_store_verify(self.c_obj[0], p, report, error)
            outside.back()
        if not ok:
            raise_store_error(error, "verify", self._path, None)
        return _VerifyReport(report.ok, report.entries, tuple(report.bad), report.tail_offset, report.bad_count)

    def recover(self, *, progress=None):
        """Keeps every record whose checksum is right, leaves out everything else, and goes on with the repaired file.

        The old file is kept as ``<path>.damaged``. A healthy one is not touched. Writers wait; `progress` must not
        write to this store. For a file that cannot be opened: ``Store.recover_file``.

        Returns:
            A :class:`simdrive.RecoverReport`.

        Raises:
            StoreFormatError: there is not one good record.
        """
        cdef Outside outside
        cdef CRecoverReport report
        cdef CProgress p
        cdef Told told
        cdef Error error
        cdef cbool ok
        self.check_lock("recover")
        self.fill_progress(&p, &told, progress, True)
        with nogil:
            ok = sd_store_recover(self.c_obj[0], p, report, error)
            outside.back()
        if not ok:
            raise_store_error(error, "recover", self._path, None)
        return recover_report(report)

    def _compact(self, target, progress):
        cdef Outside outside
        cdef CCompactResult result
        cdef CProgress p
        cdef Told told
        cdef Error error
        cdef string path
        cdef cbool ok
        if target is None:
            self.check_lock("compact")
        else:
            path = _os.fsencode(target)
        self.fill_progress(&p, &told, progress, target is None)
        with nogil:
            ok = sd_store_compact(self.c_obj[0], path, p, result, error)
            outside.back()
        if not ok:
            raise_store_error(error, "compact", self._path, None)
        return _CompactResult(result.before, result.after, result.entries)

    def close(self):
        """Syncs, unless ``sync`` is ``"none"``, and lets go of the file. Entries and iterators stay valid.

        Closing twice is fine. Raises what the last sync raises; the store is closed all the same.
        """
        cdef Outside outside
        cdef Error error
        cdef cbool ok
        self.check_lock("close")
        with nogil:
            ok = sd_store_close(self.c_obj[0], error)
            outside.back()
        if not ok:
            raise_store_error(error, "close", self._path, None)

    @property
    def closed(self):
        """Whether close() was called."""
        return self.c_obj == NULL or self.c_obj.closed()

    @property
    def options(self):
        """The :class:`simdrive.StoreOptions` the store was opened with."""
        return self._options

    @property
    def path(self):
        """The absolute path of the file; ``None`` for a store in memory."""
        return self._options.path

    @property
    def opened(self):
        """What opening found: a :class:`simdrive.OpenReport`."""
        cdef const COpenReport* found = &self.c_obj.opened()
        cut = None if found.cut_path.empty() else found.cut_path.decode("utf-8", "surrogateescape")
        return _OpenReport(found.alignment, found.dropped_bytes, cut, found.damaged,
                           found.damaged_offset if found.damaged else None)

    @property
    def tail(self):
        """Offset in bytes behind the last record that readers see."""
        return self.c_obj.tail()

    @property
    def generation(self):
        """How often another file has taken the place of the first: by `compact`, `recover`, or found by `refresh`.

        Offsets of entries compare only within one generation.
        """
        return self.c_obj.generation()

    @property
    def read_only(self):
        """Whether writes are refused: mode ``"r"``, a failed write or sync that was not taken back, or a fork."""
        return self.c_obj.read_only()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()
