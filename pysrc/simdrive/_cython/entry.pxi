# simdrive.Entry: an entry of a store, a Value on the mapped file, and iterating over them.

from libc.stdint cimport uint8_t, uint64_t
from libcpp.utility cimport move

from simdrive._cython.libsimdrive.store cimport CEntry

from simdrive.key_hash import KeyHash as _KeyHash


cdef extern from *:
    """
    static void simdrive_forbid_subclasses(PyObject* type) {
      reinterpret_cast<PyTypeObject*>(type)->tp_flags &= ~Py_TPFLAGS_BASETYPE;
    }
    """
    void forbid_subclasses "simdrive_forbid_subclasses"(object) noexcept


cdef Entry new_entry(CEntry& entry):
    """Takes over `entry`."""
    cdef Entry made = Entry.__new__(Entry)
    if not made.owner.hold(move(entry)):
        raise _make_error(5, "no memory for an entry")
    made.data = made.owner.entry().data()
    made.size = <Py_ssize_t> made.owner.entry().size()
    return made


@cython.final
cdef class Entry(Value):
    """An entry of a store, read-only and without a copy: a :class:`Value` on the mapped file, which knows its place.

    What ``store.read_entry(key)``, ``store.read(key, out="view")`` and ``store.iter_entries()`` give. The bytes stay as
    they are for as long as the entry, a slice or a buffer of it lives: across later writes, ``compact()`` and
    ``close()`` of the store. Slices are values on the same mapping. Pickling gives a ``Value`` with a copy.

    After `release` every access raises ``ValueError``, as of a ``Value``.
    """

    def __init__(self, *args, **kwargs):
        raise TypeError("an Entry is made by a store: read_entry(key), iter_entries() or read(key, out=\"view\")")

    @property
    def key_hash(self):
        """The hash of the key, as a :class:`simdrive.KeyHash`, which the store takes as a key."""
        cdef const uint8_t* data
        cdef Owner keep = self.held(&data)
        check_held(data)
        return _KeyHash(keep.entry().key_hash())

    @property
    def checksum(self):
        """CRC-32 of the payload when it was written, as stored."""
        cdef const uint8_t* data
        cdef Owner keep = self.held(&data)
        check_held(data)
        return keep.entry().checksum()

    def is_valid_checksum(self):
        """Computes the checksum of the payload and tells whether it is the stored one."""
        cdef Outside outside
        cdef const uint8_t* data
        cdef Owner keep = self.held(&data)
        cdef cbool valid
        check_held(data)
        if self.size <= kQuick:
            return keep.entry().is_valid_checksum()
        with nogil:
            valid = keep.entry().is_valid_checksum()
            outside.back()
        return valid

    @property
    def offset_range(self):
        """Where in the file the payload begins and ends, in bytes. Comparable within one ``store.generation``."""
        cdef const uint8_t* data
        cdef Owner keep = self.held(&data)
        check_held(data)
        return keep.entry().offset(), keep.entry().end_offset()

    @property
    def prev_offset(self):
        """End of the record before this one, in bytes from the start of the file."""
        cdef const uint8_t* data
        cdef Owner keep = self.held(&data)
        check_held(data)
        return keep.entry().prev_offset()

    @property
    def file_size(self):
        """Bytes of payload and metadata; the padding before the payload is not counted."""
        cdef const uint8_t* data
        cdef Owner keep = self.held(&data)
        check_held(data)
        return keep.entry().file_size()

    @property
    def is_tombstone(self):
        """Whether this marks a deletion. Only ``store.read_last_entry()`` gives such."""
        cdef const uint8_t* data
        cdef Owner keep = self.held(&data)
        check_held(data)
        return keep.entry().is_tombstone()

    def __repr__(self):
        cdef const uint8_t* data
        cdef Owner keep = self.held(&data)
        if data == NULL:
            return "<simdrive.Entry (released)>"
        start = PyBytes_FromStringAndSize(<const char*> data, min(self.size, 16))
        dots = "..." if self.size > 16 else ""
        return (f"<simdrive.Entry of {self.size} byte{'' if self.size == 1 else 's'} at {keep.entry().offset()}: "
                f"{start!r}{dots}>")


# Entry is the only kind of Value that there is: from here on a subclass is a TypeError, as if Value were final.
forbid_subclasses(Value)


@cython.final
cdef class EntryIterator:
    """The live entries of a store as they were when it was made, one a key, newest first.

    Later writes do not change it, nor does closing the store. Threads may share it: each entry goes to one of them.
    With ``verify`` an entry with a wrong checksum raises ``StoreCorruptError``; the iteration can go on behind it.
    """

    cdef Scan* scan
    cdef str path

    def __cinit__(self):
        self.scan = NULL

    def __init__(self, *args, **kwargs):
        raise TypeError("an iterator over entries is made by a store: iter_entries()")

    def __dealloc__(self):
        cdef Outside outside
        cdef Scan* scan = self.scan
        self.scan = NULL
        if scan != NULL:
            with nogil:
                del scan
                outside.back()

    def __iter__(self):
        return self

    def __next__(self):
        cdef Outside outside
        cdef CEntry entry
        cdef Error error
        if self.scan == NULL:
            raise StopIteration
        cdef int got = self.scan.next(entry, error)
        if got == 2:
            with nogil:
                got = self.scan.fetch(entry, error)
                outside.back()
        if got < 0:
            raise_store_error(error, "iter_entries", self.path, None)
        if got == 0:
            raise StopIteration
        return new_entry(entry)
