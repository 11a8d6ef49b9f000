"""Values of a store to and from files: ``write_stream``, ``read_stream`` and ``read_into`` of stores and namespaces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from simdrive._core import Entry, Value
from simdrive.errors import Code, SimdriveError, make_error
from simdrive.key_hash import KeyHash
from simdrive.mapping import key_not_found
from simdrive.progress import Ticks
from simdrive.streams import Filling, Progress, check_chunk_size, checked_key, cut, pieces_of

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from simdrive.store_types import StoreOptions

__all__ = ["Pieces", "StoreStreams"]

_PIECE = 1 << 20


class _Calls(Protocol):
    """What a stream needs of a store or a namespace."""

    @property
    def options(self) -> StoreOptions: ...
    def read_entry(self, key: Any) -> Entry | None: ...
    def _write_pieces(self, key: Any, pieces: Iterator[Buffer]) -> int: ...


class StoreStreams:
    """The three methods, over entries and pieces."""

    __slots__ = ()

    def write_stream(
        self: _Calls,
        key: Buffer | KeyHash,
        source: BinaryIO | Iterable[Buffer],
        *,
        size: int | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Stores what `source` holds under `key`, as one value, a piece at a time.

        The value is never in memory as a whole. Readers see all of it when it is complete; if the source or the store
        fails before that, nothing has changed. While it lasts other writers of this store wait, so the source should
        be quick. It must not write to this store: that is refused with a ``StoreError``.

        Args:
            key: as for `write`.
            source: a binary file (whatever has ``read``), or an iterable of bytes-like objects.
            size: the number of bytes. Of a file just as many are read, and its position is left behind them; an
                iterable must give exactly as many.
            progress: called as ``progress(done, total)`` in bytes about ten times a second; total is 0 if it is not
                known. What it raises ends the call.

        Returns:
            The number of bytes stored.

        Raises:
            InvalidValueError: there are none, only the single byte 00, or not `size` of them.
            TypeError: the source is in text mode, or is no source.
            BlockingIOError: the source is non-blocking and has nothing yet.

        What the source itself raises passes unchanged. Else as `write`.
        """
        pieces = Pieces(key, size, progress, self.options.endpoint)
        given = pieces.of_file(source) if hasattr(source, "read") else pieces.of_iterable(pieces_of(source))
        done = self._write_pieces(key, given)
        if progress is not None:
            progress(done, done)
        return done

    def read_stream(
        self: _Calls, key: Buffer | KeyHash, *, chunk_size: int = 1 << 20, progress: Progress | None = None
    ) -> Iterator[Value]:
        """The value under `key` in pieces, looked up when the first is asked for.

        Args:
            key: as for `read`; copied at once.
            chunk_size: bytes in each piece but the last.
            progress: called as ``progress(done, total)`` in bytes about ten times a second while pieces are taken.

        Returns:
            An iterator of :class:`simdrive.Value` objects on the mapped file, without a copy.

        Raises:
            KeyNotFoundError: there is no value, at the first piece.

        Else as `read`, at the first piece.
        """
        check_chunk_size(chunk_size)
        wanted = key if isinstance(key, KeyHash) else checked_key(key).tobytes()
        return _pieces(self, wanted, chunk_size, Ticks(progress))

    def read_into(self: _Calls, key: Buffer | KeyHash, sink: BinaryIO, *, progress: Progress | None = None) -> int:
        """Writes the value under `key` to `sink`, from the mapped file.

        Args:
            key: as for `read`.
            sink: a binary file (whatever has ``write``). Raw files that take a part are asked again; a non-blocking
                one that takes nothing is waited for, if it has a ``fileno``.
            progress: called as ``progress(done, total)`` in bytes about ten times a second.

        Returns:
            The number of bytes written to the sink.

        Raises:
            KeyNotFoundError: there is no value. Nothing was written.
            BlockingIOError: a non-blocking sink takes nothing, and has no ``fileno`` to wait for.

        What the sink itself raises, such as ``OSError``, passes unchanged. Else as `read`.
        """
        filling = Filling(key, sink, None, self.options)
        ticks = Ticks(progress)
        entry = self.read_entry(key)
        if entry is None:
            raise key_not_found("read_into", key, self.options.endpoint)
        size = len(entry)
        filling.begin(entry)
        write: Callable[[memoryview], int | None] = sink.write
        while filling.rest:
            piece = filling.rest[:_PIECE]
            if not filling.took(write(piece), len(piece)):
                filling.wait(None)
            ticks.at(filling.done, size)
        ticks.end(size)
        return filling.done


def _pieces(calls: _Calls, key: bytes | KeyHash, chunk_size: int, ticks: Ticks) -> Iterator[Value]:
    entry = calls.read_entry(key)
    if entry is None:
        raise key_not_found("read_stream", key, calls.options.endpoint)
    size = len(entry)
    done = 0
    for piece in cut(entry, chunk_size):
        yield piece
        done += len(piece)
        ticks.at(done, size)
    ticks.end(size)


class Pieces:
    """The pieces of a value that goes into a store, none of them empty."""

    def __init__(self, key: object, size: object, progress: Progress | None, endpoint: str) -> None:
        if size is not None:
            if isinstance(size, bool) or not isinstance(size, int):
                raise TypeError(f"size must be an int or None, not {type(size).__name__}")
            if size < 0:
                raise ValueError(f"size must be at least 0, not {size}")
        self._hint = None if isinstance(key, KeyHash) else bytes(checked_key(key)[:16])
        self._endpoint = endpoint
        self._ticks = Ticks(progress)
        self._size: Any = size
        self._done = 0

    def of_iterable(self, source: Iterator[object]) -> Iterator[memoryview]:
        for piece in source:
            view = self._view(piece)
            if view:
                yield view
        self._check_end()

    def of_file(self, source: Any) -> Iterator[memoryview]:
        if hasattr(source, "readinto"):
            # One buffer for all pieces: the next is asked for when this one has been copied.
            buffer = memoryview(bytearray(min(_PIECE, self._wanted())))
            while self._wanted():
                count = source.readinto(buffer[: self._wanted()])
                if not self._went_on(count):
                    break
                if not 0 < count <= len(buffer):
                    raise OSError(f"write_stream: the source says it gave {count} of {len(buffer)} bytes")
                yield self._view(buffer[:count])
        else:
            while self._wanted():
                piece = source.read(self._wanted())
                if not self._went_on(piece):
                    break
                yield self._view(piece)
        self._check_end()

    def _wanted(self) -> int:
        """How much to ask a file for; 0 when there is enough."""
        return _PIECE if self._size is None else min(_PIECE, self._size - self._done)

    def _view(self, piece: object) -> memoryview:
        if isinstance(piece, str):
            raise TypeError("the source gives str, not bytes; open a file in binary mode ('rb')")
        try:
            view = memoryview(piece).cast("B")  # type: ignore[arg-type]  # that is the question
        except TypeError as error:
            raise TypeError(f"the source must give C-contiguous bytes-like objects: {error}") from None
        self._done += len(view)
        if self._size is not None and self._done > self._size:
            raise self._refused(f"the source gave {self._done} bytes or more, size says {self._size}")
        self._ticks.at(self._done - len(view), self._size or 0)
        return view

    @staticmethod
    def _went_on(result: object) -> bool:
        if result is None:
            raise BlockingIOError("write_stream: the source is non-blocking and has nothing yet; nothing was stored")
        return bool(result)

    def _check_end(self) -> None:
        if self._size is not None and self._done != self._size:
            raise self._refused(f"the source gave {self._done} bytes, size says {self._size}")

    def _refused(self, why: str) -> SimdriveError:
        return make_error(Code.invalid_value, why, op="write_stream", path=self._endpoint, key=self._hint)
