"""Values to and from files: ``write_stream``, ``read_stream`` and ``read_into`` of clients and namespaces."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable, Iterator
from types import EllipsisType
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Protocol, overload

from simdrive._core import Value
from simdrive.errors import Code, SimdriveError, make_error
from simdrive.mapping import key_not_found

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from simdrive.client import Options

__all__ = ["Progress", "Streams"]

Progress = Callable[[int, int], object]

_PIECE = 1 << 20


class _Calls(Protocol):
    """What a stream needs of a client or a namespace."""

    @property
    def options(self) -> Options: ...
    def write(self, key: Buffer, data: Buffer, *, timeout: float | None = ...) -> None: ...
    @overload
    def read(self, key: Buffer, *, timeout: float | None = ...) -> bytes | None: ...
    @overload
    def read(self, key: Buffer, *, out: Literal["view"], timeout: float | None = ...) -> Value | None: ...


class Streams:
    """The three methods, over `write` and `read`."""

    __slots__ = ()

    def write_stream(
        self: _Calls,
        key: Buffer,
        source: BinaryIO | Iterable[Buffer],
        *,
        size: int | None = None,
        timeout: float | EllipsisType | None = ...,
        progress: Progress | None = None,
    ) -> int:
        """Stores what `source` holds under `key`, as one value.

        The protocol has no streams, so the value is gathered in memory, once, and then written: it appears as a whole
        or not at all. What is longer than ``max_value_size`` is refused as soon as that is known.

        Args:
            key: as for `write`.
            source: a binary file (whatever has ``read``), or an iterable of bytes-like objects.
            size: the number of bytes. Memory is then taken once. Of a file just as many are read, and its position is
                left behind them; an iterable must give exactly as many.
            timeout: seconds for writing; the time that the source takes does not count.
            progress: called as ``progress(done, total)`` in bytes while the value is sent, as of `write`.

        Returns:
            The number of bytes stored.

        Raises:
            InvalidValueError: there are none, too many, or not `size` of them. Nothing was sent.
            TypeError: the source is in text mode, or is no source.
            BlockingIOError: the source is non-blocking and has nothing yet. Nothing was sent.
            OutOfMemoryError: there is no memory for `size` bytes.

        What the source itself raises passes unchanged. Else as `write`.
        """
        if size is not None:
            if isinstance(size, bool) or not isinstance(size, int):
                raise TypeError(f"size must be an int or None, not {type(size).__name__}")
            if size < 0:
                raise ValueError(f"size must be at least 0, not {size}")
        gathering = _Gathering(_checked(key), size, self.options)
        if hasattr(source, "read"):
            gathering.read_file(source)
        elif _is_one_value(source):
            raise TypeError(
                f"source must be a file or an iterable of buffers, not {type(source).__name__}; use write()"
            )
        else:
            try:
                pieces = iter(source)
            except TypeError:
                kind = type(source).__name__
                raise TypeError(f"source must be an open file or an iterable of buffers, not {kind}") from None
            for piece in pieces:
                gathering.add(piece)
        value = gathering.finish()
        self.write(key, value, **given(timeout, progress))
        return len(value)

    def read_stream(
        self: _Calls,
        key: Buffer,
        *,
        chunk_size: int = 1 << 20,
        timeout: float | EllipsisType | None = ...,
        progress: Progress | None = None,
    ) -> Iterator[Value]:
        """The value under `key` in pieces, read when the first is asked for.

        The protocol has no streams: the value is in memory as a whole, once, while any piece is.

        Args:
            key: as for `read`; copied at once.
            chunk_size: bytes in each piece but the last.
            timeout: seconds for reading, from the first piece asked for.
            progress: called as ``progress(done, total)`` in bytes while the value arrives, as of `read`.

        Returns:
            An iterator of :class:`simdrive.Value` objects, parts of the value in the same memory.

        Raises:
            KeyNotFoundError: there is no value, at the first piece.

        Else as `read`, at the first piece.
        """
        if isinstance(chunk_size, bool) or not isinstance(chunk_size, int):
            raise TypeError(f"chunk_size must be an int, not {type(chunk_size).__name__}")
        if chunk_size < 1:
            raise ValueError(f"chunk_size must be at least 1, not {chunk_size}")
        return _pieces(self, _checked(key).tobytes(), chunk_size, given(timeout, progress))

    def read_into(
        self: _Calls,
        key: Buffer,
        sink: BinaryIO,
        *,
        timeout: float | EllipsisType | None = ...,
        progress: Progress | None = None,
    ) -> int:
        """Reads the value under `key` and writes it to `sink`.

        Args:
            key: as for `read`.
            sink: a binary file (whatever has ``write``). Raw files that take a part are asked again; a non-blocking
                one that takes nothing is waited for, if it has a ``fileno``.
            timeout: seconds for reading and for waiting on a non-blocking sink together.
            progress: called as ``progress(done, total)`` in bytes while the value arrives, as of `read`.

        Returns:
            The number of bytes written to the sink.

        Raises:
            KeyNotFoundError: there is no value. Nothing was written.
            OperationTimeout: also when a non-blocking sink took too long.
            BlockingIOError: a non-blocking sink takes nothing, and has no ``fileno`` to wait for.

        What the sink itself raises, such as ``OSError``, passes unchanged. Else as `read`.
        """
        if not hasattr(sink, "write"):
            raise TypeError(f"sink must be a binary file, not {type(sink).__name__}")
        started = time.monotonic()
        value = self.read(key, **given(timeout, progress))
        if value is None:
            raise key_not_found("read_into", key, self.options.url)
        limit = self.options.timeout if isinstance(timeout, EllipsisType) else timeout
        done = 0
        view = memoryview(value)
        write: Callable[[memoryview], int | None] = sink.write
        while done < len(view):
            taken = write(view[done:])
            if taken is None and not isinstance(sink, io.RawIOBase):
                break  # no raw file, and says nothing: it has taken all, as many that only look like files do
            if taken is not None and not 0 < taken <= len(view) - done:
                raise OSError(f"read_into: the sink says it took {taken} of {len(view) - done} bytes")
            done += taken or 0
            if taken is None and not _wait_for(sink, None if limit is None else started + limit - time.monotonic()):
                raise make_error(
                    Code.operation_timeout,
                    f"the sink took {done} of {len(view)} bytes in time",
                    op="read_into",
                    endpoint=self.options.url,
                    key=bytes(_checked(key)[:16]),
                    elapsed=time.monotonic() - started,
                )
        return len(view)


def given(timeout: object, progress: Progress | None = None) -> dict[str, Any]:
    """The keyword arguments that a caller gave."""
    arguments: dict[str, Any] = {}
    if timeout is not ...:
        arguments["timeout"] = timeout
    if progress is not None:
        arguments["progress"] = progress
    return arguments


def _is_one_value(source: object) -> bool:
    if isinstance(source, str):
        return True
    try:
        memoryview(source).release()  # type: ignore[arg-type]  # that is the question
    except TypeError:
        return False
    return True


def _checked(key: object) -> memoryview:
    """The bytes of a key, before a source is read in vain."""
    if isinstance(key, str):
        raise TypeError("key must be bytes-like, not str; encode it first, for example with .encode()")
    try:
        return memoryview(key).cast("B")  # type: ignore[arg-type]  # that is the question
    except TypeError as error:
        raise TypeError(f"key must be a C-contiguous bytes-like object: {error}") from None


def _pieces(calls: _Calls, key: bytes, chunk_size: int, arguments: dict[str, Any]) -> Iterator[Value]:
    value = calls.read(key, out="view", **arguments)
    if value is None:
        raise key_not_found("read_stream", key, calls.options.url)
    for start in range(0, len(value), chunk_size):
        yield value[start : start + chunk_size]


def _wait_for(sink: Any, seconds: float | None) -> bool:
    """Waits until a non-blocking sink takes bytes; whether it does."""
    try:
        number = sink.fileno()
    except (AttributeError, io.UnsupportedOperation):
        raise BlockingIOError("read_into: the sink is non-blocking, and has no fileno to wait for") from None
    if seconds is not None and seconds <= 0:
        return False
    import selectors  # only here: rarely needed

    with selectors.DefaultSelector() as selector:
        selector.register(number, selectors.EVENT_WRITE)
        return bool(selector.select(seconds))


class _Gathering:
    """The one copy of a value that comes in pieces."""

    def __init__(self, key: memoryview, size: int | None, options: Options) -> None:
        self._hint = bytes(key[:16])
        self._endpoint = options.url
        self._limit = options.max_value_size
        self._size = size
        self._done = 0
        if size is not None and size > self._limit:
            raise self._refused(f"{size} bytes are more than max_value_size ({self._limit})")
        try:
            self._buffer = bytearray(size or 0)
        except (MemoryError, OverflowError):
            raise self._no_memory(size) from None

    def add(self, piece: object) -> None:
        if isinstance(piece, str):
            raise TypeError("the source gives str, not bytes; open a file in binary mode ('rb')")
        try:
            view = memoryview(piece).cast("B")  # type: ignore[arg-type]  # that is the question
        except TypeError as error:
            raise TypeError(f"the source must give C-contiguous bytes-like objects: {error}") from None
        end = self._done + len(view)
        if self._size is not None and end > self._size:
            raise self._refused(f"the source gave {end} bytes or more, size says {self._size}")
        if end > self._limit:
            raise self._refused(f"the source gave {end} bytes or more, max_value_size is {self._limit}")
        if self._size is None:
            try:
                self._buffer += view
            except MemoryError:
                raise self._no_memory(end) from None
        else:
            memoryview(self._buffer)[self._done : end] = view
        self._done = end

    def read_file(self, source: Any) -> None:
        if self._size is not None and hasattr(source, "readinto"):
            with memoryview(self._buffer) as target:
                while self._done < self._size:
                    count = source.readinto(target[self._done :])
                    if not self._went_on(count):
                        break
                    self._done += count
            return
        while self._size is None or self._done < self._size:
            wanted = _PIECE if self._size is None else min(_PIECE, self._size - self._done)
            piece = source.read(wanted)
            if not self._went_on(piece):
                break
            self.add(piece)

    @staticmethod
    def _went_on(result: object) -> bool:
        if result is None:
            raise BlockingIOError("write_stream: the source is non-blocking and has nothing yet; nothing was sent")
        return bool(result)

    def finish(self) -> bytearray:
        if self._size is not None and self._done != self._size:
            raise self._refused(f"the source gave {self._done} bytes, size says {self._size}")
        return self._buffer

    def _refused(self, why: str) -> SimdriveError:
        return self._error(Code.invalid_value, why)

    def _no_memory(self, size: int | None) -> SimdriveError:
        return self._error(Code.out_of_memory, f"no memory for a value of {size} bytes; nothing was sent")

    def _error(self, code: Code, why: str) -> SimdriveError:
        return make_error(code, why, op="write_stream", endpoint=self._endpoint, key=self._hint)
