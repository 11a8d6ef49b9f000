"""Values to and from files: ``write_stream``, ``read_stream`` and ``read_into`` of clients and namespaces."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable, Iterator
from types import EllipsisType
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Protocol, overload

from simdrive._core import Value, ValueBuilder
from simdrive.errors import Code, SimdriveError, make_error
from simdrive.mapping import key_not_found

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from simdrive.client import Options
    from simdrive.store_types import StoreOptions

__all__ = ["Filling", "Gathering", "Progress", "Streams"]

Progress = Callable[[int, int], object]

_PIECE = 1 << 20


class _Calls(Protocol):
    """What a stream needs of a client or a namespace."""

    @property
    def options(self) -> Options: ...
    def _check(self, op: str) -> None: ...
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
        self._check("write_stream")
        gathering = Gathering(key, size, self.options)
        if hasattr(source, "read"):
            gathering.read_file(source)
        else:
            for piece in pieces_of(source):
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
        check_chunk_size(chunk_size)
        return _pieces(self, checked_key(key).tobytes(), chunk_size, given(timeout, progress))

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
        filling = Filling(key, sink, timeout, self.options)
        value = self.read(key, **given(timeout, progress))
        if value is None:
            raise key_not_found("read_into", key, self.options.url)
        filling.begin(value)
        write: Callable[[memoryview], int | None] = sink.write
        while filling.rest:
            if not filling.took(write(filling.rest), len(filling.rest)) and not filling.wait(filling.seconds_left()):
                raise filling.too_slow()
        return filling.done


def given(timeout: object, progress: Progress | None = None) -> dict[str, Any]:
    """The keyword arguments that a caller gave."""
    arguments: dict[str, Any] = {}
    if timeout is not ...:
        arguments["timeout"] = timeout
    if progress is not None:
        arguments["progress"] = progress
    return arguments


def check_chunk_size(chunk_size: object) -> None:
    """Refuses what no piece can be long."""
    if isinstance(chunk_size, bool) or not isinstance(chunk_size, int):
        raise TypeError(f"chunk_size must be an int, not {type(chunk_size).__name__}")
    if chunk_size < 1:
        raise ValueError(f"chunk_size must be at least 1, not {chunk_size}")


def pieces_of(source: Any) -> Iterator[object]:
    """What a source gives that is no file."""
    if is_one_value(source):
        raise TypeError(f"source must be a file or an iterable of buffers, not {type(source).__name__}; use write()")
    try:
        return iter(source)
    except TypeError:
        kind = type(source).__name__
        raise TypeError(f"source must be an open file or an iterable of buffers, not {kind}") from None


def is_one_value(source: object) -> bool:
    """Whether it is a value itself, where a source of pieces is wanted."""
    if isinstance(source, str):
        return True
    try:
        memoryview(source).release()  # type: ignore[arg-type]  # that is the question
    except TypeError:
        return False
    return True


def checked_key(key: object) -> memoryview:
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
    yield from cut(value, chunk_size)


def cut(value: Value, chunk_size: int) -> Iterator[Value]:
    """A value in pieces that share its memory."""
    for start in range(0, len(value), chunk_size):
        yield value[start : start + chunk_size]


class Filling:
    """A value on its way into a sink."""

    def __init__(self, key: object, sink: Any, timeout: object, options: Options | StoreOptions) -> None:
        if not hasattr(sink, "write"):
            raise TypeError(f"sink must be a binary file, not {type(sink).__name__}")
        self._key = key
        self._sink = sink
        self._endpoint = options.endpoint
        self._started = time.monotonic()
        limit = getattr(options, "timeout", None) if isinstance(timeout, EllipsisType) else timeout
        self._limit: Any = limit
        self._size = self.done = 0
        self.rest = memoryview(b"")

    def begin(self, value: Buffer) -> None:
        self.rest = memoryview(value)
        self._size = len(self.rest)

    def took(self, taken: int | None, offered: int) -> bool:
        """Notes what the sink said to `offered` bytes. False: it is non-blocking and takes nothing now."""
        if taken is None:
            if isinstance(self._sink, io.RawIOBase):
                return False
            taken = offered  # no raw file, and says nothing: it has taken all, as many that only look like files do
        if not 0 < taken <= offered:
            raise OSError(f"read_into: the sink says it took {taken} of {offered} bytes")
        self.done += taken
        self.rest = self.rest[taken:]
        return True

    def seconds_left(self) -> float | None:
        return None if self._limit is None else float(self._started + self._limit - time.monotonic())

    def wait(self, seconds: float | None) -> bool:
        """Waits until a non-blocking sink takes bytes; whether it does."""
        try:
            number = self._sink.fileno()
        except (AttributeError, io.UnsupportedOperation):
            raise BlockingIOError("read_into: the sink is non-blocking, and has no fileno to wait for") from None
        if seconds is not None and seconds <= 0:
            return False
        import selectors  # only here: rarely needed

        with selectors.DefaultSelector() as selector:
            selector.register(number, selectors.EVENT_WRITE)
            return bool(selector.select(seconds))

    def too_slow(self) -> SimdriveError:
        return make_error(
            Code.operation_timeout,
            f"the sink took {self.done} of {self._size} bytes in time",
            op="read_into",
            endpoint=self._endpoint,
            key=bytes(checked_key(self._key)[:16]),
            elapsed=time.monotonic() - self._started,
        )


class Gathering:
    """The one copy of a value that comes in pieces."""

    def __init__(self, key: object, size: object, options: Options) -> None:
        if size is not None:
            if isinstance(size, bool) or not isinstance(size, int):
                raise TypeError(f"size must be an int or None, not {type(size).__name__}")
            if size < 0:
                raise ValueError(f"size must be at least 0, not {size}")
        self._hint = bytes(checked_key(key)[:16])
        self._endpoint = options.url
        self._limit = options.max_value_size
        self._size = size
        self._most = self._limit if size is None else size
        if size is not None and size > self._limit:
            raise self._refused(f"{size} bytes are more than max_value_size ({self._limit})")
        try:
            self._builder = ValueBuilder(size or 0)
        except (MemoryError, OverflowError):
            raise self._no_memory(size) from None

    def add(self, piece: object) -> None:
        if self.add_small(piece) >= 0:
            return
        view = self.checked(piece)
        size = len(view)
        at = self.copy(view, 0)
        while at < size:
            at = self.copy(view, at)

    def add_small(self, piece: object) -> int:
        """Copies a piece of a few KiB that fits; its length, or -1: it has to be `checked`, and copied in steps."""
        return self._builder.append_small(piece, self._most)

    def checked(self, piece: object) -> memoryview:
        """The bytes of a piece, which there is room for."""
        if isinstance(piece, str):
            raise TypeError("the source gives str, not bytes; open a file in binary mode ('rb')")
        try:
            view = memoryview(piece).cast("B")  # type: ignore[arg-type]  # that is the question
        except TypeError as error:
            raise TypeError(f"the source must give C-contiguous bytes-like objects: {error}") from None
        end = len(self._builder) + len(view)
        if self._size is not None and end > self._size:
            raise self._refused(f"the source gave {end} bytes or more, size says {self._size}")
        if end > self._limit:
            raise self._refused(f"the source gave {end} bytes or more, max_value_size is {self._limit}")
        return view

    def copy(self, view: memoryview, start: int) -> int:
        """Copies at most a MiB of what follows `start`, or moves as much of what is there; where to go on."""
        try:
            return self._builder.append(view, start)
        except MemoryError:
            raise self._no_memory(len(self._builder) + len(view) - start) from None

    def read_file(self, source: Any) -> None:
        while self.wanted() != 0 and self.read_some(source):
            pass

    def wanted(self) -> int:
        """How much to ask a file for; 0 when there is enough."""
        return _PIECE if self._size is None else min(_PIECE, self._size - len(self._builder))

    def read_some(self, source: Any) -> bool:
        """Asks a file once. False: it has no more."""
        if self._size is None or not hasattr(source, "readinto"):
            piece = source.read(self.wanted())
            if not self.went_on(piece):
                return False
            self.add(piece)
            return True
        wanted = self.wanted()
        with memoryview(self._builder) as room, room[:wanted] as target:
            count = source.readinto(target)
        if not self.went_on(count):
            return False
        if not 0 < count <= wanted:
            raise OSError(f"write_stream: the source says it gave {count} of {wanted} bytes")
        self._builder.filled(count)
        return True

    @staticmethod
    def went_on(result: object) -> bool:
        """Whether a file gave something; else it has no more."""
        if result is None:
            raise BlockingIOError("write_stream: the source is non-blocking and has nothing yet; nothing was sent")
        return bool(result)

    def finish(self) -> Value:
        done = len(self._builder)
        if self._size is not None and done != self._size:
            raise self._refused(f"the source gave {done} bytes, size says {self._size}")
        return self._builder.take()

    def _refused(self, why: str) -> SimdriveError:
        return self._error(Code.invalid_value, why)

    def _no_memory(self, size: int | None) -> SimdriveError:
        return self._error(Code.out_of_memory, f"no memory for a value of {size} bytes; nothing was sent")

    def _error(self, code: Code, why: str) -> SimdriveError:
        return make_error(code, why, op="write_stream", endpoint=self._endpoint, key=self._hint)
