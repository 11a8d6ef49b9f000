"""Values to and from files in asyncio: the streams of :mod:`simdrive.streams`, as coroutines."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from types import EllipsisType
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Protocol, TypeVar

from simdrive.mapping import key_not_found
from simdrive.streams import Filling, Gathering, Progress, check_chunk_size, checked_key, cut, given, pieces_of

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from simdrive._core import Value
    from simdrive.client import Options

__all__ = ["AsyncReads", "AsyncStreams", "AsyncWrites", "Drains", "Pace"]

_T = TypeVar("_T")

# What a thread is asked for in one go: a cancelled stream ends with it.
_PIECE = 1 << 20
# How long a coroutine that need not wait holds the loop.
_TURN = 0.001
# How long a thread waits for a non-blocking sink before it is asked whether anybody still wants that.
_WAIT = 1.0


class Pace:
    """When a coroutine that need not wait lets the rest of the loop have a turn: after a MiB, or a millisecond."""

    def __init__(self) -> None:
        self._moved = 0
        self._since = time.monotonic()

    def is_due(self, moved: int) -> bool:
        """Whether a turn is due, after `moved` bytes more."""
        self._moved += moved
        return self._moved >= _PIECE or time.monotonic() - self._since > _TURN

    async def turn(self) -> None:
        await asyncio.sleep(0)
        self._moved = 0
        self._since = time.monotonic()


class AsyncReads(Protocol):
    """A source to be awaited, such as ``asyncio.StreamReader``."""

    def read(self, n: int, /) -> Awaitable[bytes]: ...


class AsyncWrites(Protocol):
    """A sink to be awaited."""

    def write(self, data: Any, /) -> Awaitable[int | None]: ...


class Drains(Protocol):
    """A sink that says when it has taken what was written, such as ``asyncio.StreamWriter``."""

    def write(self, data: Any, /) -> None: ...
    def drain(self) -> Awaitable[None]: ...


class _Calls(Protocol):
    """What a stream needs of a client or a namespace."""

    @property
    def options(self) -> Options: ...
    def _check(self, op: str) -> None: ...
    async def write(self, key: Buffer, data: Buffer, *, timeout: float | None = ...) -> None: ...
    async def read(self, key: Buffer, *, out: Literal["view"], timeout: float | None = ...) -> Value | None: ...


class AsyncStreams:
    """The three methods, over `write` and `read`."""

    __slots__ = ()

    async def write_stream(
        self: _Calls,
        key: Buffer,
        source: BinaryIO | AsyncReads | Iterable[Buffer] | AsyncIterable[Buffer],
        *,
        size: int | None = None,
        timeout: float | EllipsisType | None = ...,
        progress: Progress | None = None,
    ) -> int:
        """Stores what `source` holds under `key`, as one value.

        As ``Client.write_stream``. Files are read by threads (``asyncio.to_thread``), a MiB at a time, so that the loop
        goes on; a read that is under way when the call is cancelled ends by itself. Iterables run in the loop.

        Args:
            key: as for `write`.
            source: a binary file, an object with a coroutine ``read`` (``asyncio.StreamReader``), or an iterable or
                asynchronous iterable of bytes-like objects.
            size: the number of bytes, as of ``Client.write_stream``.
            timeout: seconds for writing; the time that the source takes does not count.
            progress: called as ``progress(done, total)`` in bytes while the value is sent, as of `write`.

        Returns:
            The number of bytes stored.

        Raises:
            InvalidValueError: there are none, too many, or not `size` of them. Nothing was sent.
            TypeError: the source is in text mode, or is no source.
            BlockingIOError: the source is non-blocking and has nothing yet. Nothing was sent.
            OutOfMemoryError: there is no memory for `size` bytes.

        What the source itself raises passes unchanged, but for ``StopIteration``, which becomes ``RuntimeError``. Else
        as `write`.
        """
        self._check("write_stream")
        gathering = Gathering(key, size, self.options)
        pace = Pace()
        read = getattr(source, "read", None)
        if inspect.iscoroutinefunction(read):
            while (wanted := gathering.wanted()) != 0 and gathering.went_on(piece := await read(wanted)):
                await _add(gathering, piece, pace)
        elif read is not None:
            while gathering.wanted() != 0 and await _in_thread(gathering.read_some, source):
                pass
        elif hasattr(source, "__aiter__"):
            async for piece in source:
                await _add(gathering, piece, pace)
        else:
            for piece in pieces_of(source):
                await _add(gathering, piece, pace)
        value = gathering.finish()
        await self.write(key, value, **given(timeout, progress))
        return len(value)

    def read_stream(
        self: _Calls,
        key: Buffer,
        *,
        chunk_size: int = 1 << 20,
        timeout: float | EllipsisType | None = ...,
        progress: Progress | None = None,
    ) -> AsyncIterator[Value]:
        """The value under `key` in pieces, read when the first is asked for: ``async for piece in ...``.

        The protocol has no streams: the value is in memory as a whole while any piece is.

        Args:
            key: as for `read`; copied at once.
            chunk_size: bytes in each piece but the last.
            timeout: seconds for reading, from the first piece asked for.
            progress: called as ``progress(done, total)`` in bytes while the value arrives, as of `read`.

        Returns:
            An asynchronous iterator of read-only :class:`simdrive.Value` objects, which share the memory of the whole.

        Raises:
            KeyNotFoundError: there is no value, at the first piece.

        Else as `read`, at the first piece.
        """
        check_chunk_size(chunk_size)
        return _pieces(self, checked_key(key).tobytes(), chunk_size, given(timeout, progress))

    async def read_into(
        self: _Calls,
        key: Buffer,
        sink: BinaryIO | AsyncWrites | Drains,
        *,
        timeout: float | EllipsisType | None = ...,
        progress: Progress | None = None,
    ) -> int:
        """Reads the value under `key` and writes it to `sink`.

        As ``Client.read_into``. Files are written by threads (``asyncio.to_thread``), a MiB at a time, so that the loop
        goes on; a write that is under way when the call is cancelled ends by itself.

        Args:
            key: as for `read`.
            sink: a binary file, an object with a coroutine ``write``, or one with a coroutine ``drain``
                (``asyncio.StreamWriter``), which is awaited after each piece.
            timeout: seconds for reading and for waiting on a non-blocking sink together.
            progress: called as ``progress(done, total)`` in bytes while the value arrives, as of `read`.

        Returns:
            The number of bytes written to the sink.

        Raises:
            KeyNotFoundError: there is no value. Nothing was written.
            OperationTimeout: also when a non-blocking sink took too long.
            BlockingIOError: a non-blocking sink takes nothing, and has no ``fileno`` to wait for.

        What the sink itself raises, such as ``OSError``, passes unchanged, but for ``StopIteration``, which becomes
        ``RuntimeError``. Else as `read`.
        """
        filling = Filling(key, sink, timeout, self.options)
        value = await self.read(key, out="view", **given(timeout, progress))
        if value is None:
            raise key_not_found("read_into", key, self.options.url)
        filling.begin(value)
        pace = Pace()
        while filling.rest:
            piece = filling.rest[:_PIECE]
            if not filling.took(await _written(sink, piece), len(piece)):
                await _until_writable(filling)
            if pace.is_due(len(piece)):
                await pace.turn()
        return filling.done


async def _in_thread(run: Callable[..., _T], *arguments: Any) -> _T:
    """``asyncio.to_thread``, but for StopIteration, which would never end its future."""

    def guarded() -> _T:
        try:
            return run(*arguments)
        except StopIteration as error:
            raise RuntimeError(f"a file raised {error!r}") from error

    return await asyncio.to_thread(guarded)


async def _add(gathering: Gathering, piece: object, pace: Pace) -> None:
    took = gathering.add_small(piece)
    if took >= 0:
        if pace.is_due(took):
            await pace.turn()
        return
    view = gathering.checked(piece)
    at = 0
    while at < len(view):
        start, at = at, gathering.copy(view, at)
        if pace.is_due((at - start) or _PIECE):
            await pace.turn()


async def _written(sink: Any, piece: memoryview) -> int | None:
    """What a sink says to a piece."""
    if inspect.iscoroutinefunction(sink.write):
        taken: int | None = await sink.write(piece)
    elif inspect.iscoroutinefunction(getattr(sink, "drain", None)):  # a transport of the loop: no other thread's
        taken = sink.write(piece)
        await sink.drain()
    else:
        taken = await _in_thread(sink.write, piece)
    return taken


async def _until_writable(filling: Filling) -> None:
    while True:
        left = filling.seconds_left()
        if await _in_thread(filling.wait, _WAIT if left is None else min(left, _WAIT)):
            return
        left = filling.seconds_left()
        if left is not None and left <= 0:
            raise filling.too_slow()


async def _pieces(calls: _Calls, key: bytes, chunk_size: int, arguments: dict[str, Any]) -> AsyncIterator[Value]:
    value = await calls.read(key, out="view", **arguments)
    if value is None:
        raise key_not_found("read_stream", key, calls.options.url)
    pace = Pace()
    for piece in cut(value, chunk_size):
        yield piece
        if pace.is_due(len(piece)):
            await pace.turn()
