# simdrive::Store for Python.
#
# The GIL is given away for whatever makes a system call, takes the append lock, or copies, hashes or checks more than
# kQuick bytes, and for batches. Looking one key up and copying less keeps it: 70 ns for 16 bytes. Giving it away makes
# that 1.2 to 1.6 times as long alone, and 24 us beside a thread that computes (CPython 3.11, two cores). What is waited
# for with it is a page of the file that is not in memory, and a writer that maps the file anew, which never waits for
# the GIL.

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
        """Stores many pairs, which readers of this store see at once; the last of equal keys wins.

        A crash of the system may leave the first ones only. `refresh` in another process may show these while they are
        written. If that fails they are taken back, which may end a process that reads a view of one; so on Linux and
        Windows room for all of a batch above 256 KiB is found first, where the file system can do that.

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
        pairs = pairs_of(items)
        cdef _Borrowed flat = _Borrowed(len(pairs))
        keys = []
        for index, pair in enumerate(pairs):
            key, value = checked_pair(pair, index)
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
        """Removes those of the keys that are there, at once. `progress` is told the number of keys at the end."""
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
        """Moves the value of `key` to another store: `copy`, `flush` of the target, then `delete`.

        The flush is left out if one of the two is a `MemoryStore`. What others put under the key meanwhile is copied,
        too, before it is deleted: at the fourth time they wait for it. If they delete the key, `target` has the value,
        and ``KeyNotFoundError`` is raised. If the flush or the delete fails both have it.
        """
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

        Of a batch that is being written it may show a part.

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
        """Forces what was written to the disk, whatever ``sync`` is, and lets go of the file.

        Entries and iterators stay valid.

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
                           found.damaged_offset if found.damaged and found.damaged_offset else None, found.incomplete)

    @property
    def tail(self):
        """Offset in bytes behind the last record that readers see."""
        return self.c_obj.tail()

    @property
    def generation(self):
        """How often another file has taken the place of the first: by `compact`, `recover`, or found by `refresh`.

        What `refresh` has shown and a writer has taken back counts, too.
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
