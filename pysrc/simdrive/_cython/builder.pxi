# simdrive::BlockBuilder for Python: the one copy of a value that comes in pieces.
#
# Ownership: the builder has the memory until take(), and then the Value has. An exported buffer holds the builder, which
# keeps the memory as long as there is one.

from simdrive._cython.libsimdrive.block_builder cimport CBlockBuilder


cdef extern from *:
    """
    #include "simdrive/block_builder.hpp"

    namespace {

    // -1: no memory.
    Py_ssize_t sd_append(simdrive::BlockBuilder& builder, const uint8_t* data, size_t size) noexcept {
      const auto took = builder.append({data, size});
      return took ? static_cast<Py_ssize_t>(*took) : -1;
    }
    uint8_t* sd_room(const simdrive::BlockBuilder& builder) noexcept { return builder.room().data(); }
    size_t sd_room_size(const simdrive::BlockBuilder& builder) noexcept { return builder.room().size(); }

    }  // namespace
    """
    Py_ssize_t sd_append(CBlockBuilder&, const uint8_t* data, size_t size) noexcept nogil
    uint8_t* sd_room(const CBlockBuilder&) noexcept
    size_t sd_room_size(const CBlockBuilder&) noexcept


@cython.final
cdef class ValueBuilder:
    """Memory that a value is gathered in: not zeroed, never copied but in steps, freed off the caller's thread. A
    writable buffer of what is reserved and not filled. Private, of the streams; for one thread at a time."""

    cdef CBlockBuilder c_obj
    cdef Py_ssize_t exports

    def __cinit__(self, uint64_t size):
        """Reserves `size` bytes; 0: it grows. MemoryError."""
        if size != 0 and not self.c_obj.reserve(size):
            raise MemoryError

    def __len__(self):
        return <Py_ssize_t> self.c_obj.size()

    def append_small(self, piece, uint64_t most):
        """Has the few bytes of `piece` behind the others, if there is memory for them, and at most `most` are there then:
        how many they are. -1, and nothing is done: that is not so, or it is no buffer."""
        cdef Py_buffer view
        cdef Py_ssize_t size
        cdef uint64_t done = self.c_obj.size()
        if self.exports != 0 or not PyObject_CheckBuffer(piece):
            return -1
        try:
            PyObject_GetBuffer(piece, &view, PyBUF_SIMPLE)
        except (BufferError, TypeError, ValueError):
            return -1
        size = view.len
        if size > kQuick or done + <uint64_t> size > most or done + <uint64_t> size > self.c_obj.block().size():
            size = -1
        else:
            sd_append(self.c_obj, <const uint8_t*> view.buf, <size_t> size)
        PyBuffer_Release(&view)
        return size

    def append(self, piece, Py_ssize_t start):
        """One step of at most a MiB towards having what follows `start` in `piece`; where the next is to start, which may
        be there again. MemoryError."""
        cdef Outside outside
        cdef Py_buffer view
        cdef Py_ssize_t size, took
        if self.exports != 0:
            raise BufferError("a part of the value's memory is in use")
        get_buffer(piece, &view, "piece")
        try:
            size = view.len - start
            if start < 0 or size < 0:
                raise ValueError(f"start must be in the piece, not {start}")
            if size <= kQuick and self.c_obj.size() <= <size_t> kQuick:
                took = sd_append(self.c_obj, <const uint8_t*> view.buf + start, <size_t> size)
            else:
                with nogil:
                    took = sd_append(self.c_obj, <const uint8_t*> view.buf + start, <size_t> size)
                    outside.back()
        finally:
            PyBuffer_Release(&view)
        if took < 0:
            raise MemoryError
        return start + took

    def __getbuffer__(self, Py_buffer* view, int flags):
        if sd_room_size(self.c_obj) == 0:
            raise BufferError("no memory is reserved, or all is filled")
        self.exports += 1
        view.obj = self
        view.buf = sd_room(self.c_obj)
        view.len = <Py_ssize_t> sd_room_size(self.c_obj)
        view.readonly = 0
        view.itemsize = 1
        view.format = simdrive_format if flags & PyBUF_FORMAT else NULL
        view.ndim = 1
        view.shape = &view.len if flags & PyBUF_ND else NULL
        view.strides = &view.itemsize if (flags & PyBUF_STRIDES) == PyBUF_STRIDES else NULL
        view.suboffsets = NULL
        view.internal = NULL

    def __releasebuffer__(self, Py_buffer* view):
        self.exports -= 1

    def filled(self, size_t count):
        """That many bytes of the buffer are."""
        if count > sd_room_size(self.c_obj):
            raise ValueError(f"{count} bytes are more than there is room for")
        self.c_obj.filled(count)

    def take(self):
        """The value. The builder is at its end."""
        cdef CBlock block = self.c_obj.block()
        return new_value(block, block.data(), <Py_ssize_t> self.c_obj.size())
