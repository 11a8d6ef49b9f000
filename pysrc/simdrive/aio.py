"""The client for asyncio: :func:`aconnect` and :class:`AsyncClient`."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
import warnings
from collections.abc import Iterable, Mapping
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from simdrive._core import AsyncCore, check_buffers, check_timeout
from simdrive.aio_namespace import AsyncNamespacedClient
from simdrive.aio_streams import AsyncStreams, Pace
from simdrive.client import Options, ServerInfo, closed_error, log_connection, options_for
from simdrive.namespace import Rows, keys_and_values, list_of_keys
from simdrive.progress import Ticks, check_progress
from simdrive.streams import Progress

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self

    from simdrive._core import AsyncWatcher, LoopRounds, Value
    from simdrive.aio_pipeline import AsyncPipeline

__all__ = ["AsyncClient", "aconnect"]

_K = TypeVar("_K")
_T = TypeVar("_T")
_Timeout = float | EllipsisType | None


async def aconnect(url: str | None = None, /, **options: Any) -> AsyncClient:
    """Opens an asynchronous client and verifies that a SIMD R Drive server answers (one round trip).

    Args:
        url: ``ws://host[:port][/path]`` or ``ws+unix:///path/of/socket``. Left out: the variable ``SIMDRIVE_URL``, else
            ``ws://127.0.0.1:34129/ws``.
        options: the fields of :class:`simdrive.Options`.

    Raises:
        ConfigurationError: a malformed URL, or an unknown or impossible option.
        ConnectError: nothing listens there, or the name is unknown.
        ConnectTimeout: no answer within ``connect_timeout``.
        HandshakeError: something else than a WebSocket server answered.
        ProtocolMismatchError: a WebSocket server of another kind, or another dialect than ``wire``.
    """
    client = AsyncClient(options_for(url, options))
    try:
        await client._core.start()
    except BaseException:
        client._core.stop()
        raise
    client._note_events("connected")
    return client


class AsyncClient(AsyncStreams):
    """A client of one server for one event loop, of asyncio or uvloop. Made by :func:`aconnect`; ``async with`` closes.

    The methods are those of :class:`simdrive.Client`, as coroutines, with the same arguments, results and errors. For
    ``len(client)`` and ``key in client`` are ``await client.size()`` and ``await client.exists(key)``; there is no
    ``mapping()``, since the operations of a ``MutableMapping`` cannot be awaited. No
    thread stands between: the loop watches the connection, and its thread sends and receives. Requests that are made
    in one round of the loop leave together. More than ``max_inflight`` calls wait for their turn.

    A client belongs to the loop that it was opened in; other threads open their own in theirs. Elsewhere its methods
    raise ``EventLoopError``.

    A call can be cancelled at any time, by ``asyncio.timeout`` too: its reply is dropped when it comes, and the
    connection goes on. A cancelled write or delete may have been applied, unless nothing of it was sent: then the
    ``CancelledError`` has an attribute ``outcome``, ``"unknown"``, and a note. The rest of a write that was half
    sent is sent, too, from the memory that the caller gave: buffers stay locked until then, and what is changed in
    them meanwhile may be stored. The buffer of a cancelled read may still be filled, and is locked until it is.

    Every network method may raise ``OperationTimeout``, ``ConnectionLostError``, ``ConnectError``, ``ConnectTimeout``,
    ``ClosedError``, ``ProtocolError``, ``ServerError``, ``OverloadError`` or ``EventLoopError`` of :mod:`simdrive`.
    """

    def __init__(self, options: Options) -> None:
        loop = asyncio.get_running_loop()
        self._options = options
        self._dialect = ""
        self._pid = os.getpid()
        self._core = AsyncCore(options, loop, _new_watcher_thread)

    async def write(
        self, key: Buffer, data: Buffer, *, timeout: _Timeout = ..., progress: Progress | None = None
    ) -> None:
        """Stores `data` under `key`, replacing what was there.

        Both are locked until the call is over; if it was cancelled or came to its deadline half sent, until the rest is
        sent or the connection gone. ``bytes`` cannot change meanwhile.

        Raises ``InvalidKeyError`` and ``InvalidValueError`` (empty, the single byte 00, or too large) before a byte is
        sent, ``TypeError`` for ``str``.
        """
        call = self._calls.write(key, data, timeout, progress)
        try:
            await call.future
        except BaseException as error:
            self._core.leave(call, error)
            raise

    async def batch_write(
        self,
        items: Iterable[tuple[Buffer, Buffer]] | Mapping[Any, Buffer],
        *,
        max_bytes: int | None = None,
        timeout: _Timeout = ...,
        progress: Progress | None = None,
    ) -> None:
        """Stores many pairs in one request; the last of equal keys wins.

        Args:
            items: pairs of key and value, or a mapping. A refused item refuses the whole batch.
            max_bytes: several requests of at most so many bytes, as of ``Client.batch_write``.

        Raises:
            BatchError: with `max_bytes`: some items were not stored, or may not have been; `failed` has their numbers.
        """
        if max_bytes is not None:
            return await self._split_batch(items, max_bytes, timeout, progress)
        call = self._calls.batch_write(items, timeout, progress)
        try:
            await call.future
        except BaseException as error:
            self._core.leave(call, error)
            raise

    @overload
    async def read(
        self,
        key: Buffer,
        *,
        default: None = None,
        out: Literal["bytes"] = "bytes",
        timeout: _Timeout = ...,
        progress: Progress | None = None,
    ) -> bytes | None: ...
    @overload
    async def read(
        self,
        key: Buffer,
        *,
        default: _T,
        out: Literal["bytes"] = "bytes",
        timeout: _Timeout = ...,
        progress: Progress | None = None,
    ) -> bytes | _T: ...
    @overload
    async def read(
        self,
        key: Buffer,
        *,
        default: None = None,
        out: Literal["view"],
        timeout: _Timeout = ...,
        progress: Progress | None = None,
    ) -> Value | None: ...
    @overload
    async def read(
        self,
        key: Buffer,
        *,
        default: _T,
        out: Literal["view"],
        timeout: _Timeout = ...,
        progress: Progress | None = None,
    ) -> Value | _T: ...
    @overload
    async def read(
        self,
        key: Buffer,
        *,
        default: None = None,
        out: Buffer,
        timeout: _Timeout = ...,
        progress: Progress | None = None,
    ) -> int | None: ...
    @overload
    async def read(
        self,
        key: Buffer,
        *,
        default: _T,
        out: Buffer,
        timeout: _Timeout = ...,
        progress: Progress | None = None,
    ) -> int | _T: ...
    async def read(
        self,
        key: Buffer,
        *,
        default: Any = None,
        out: Any = "bytes",
        timeout: _Timeout = ...,
        progress: Progress | None = None,
    ) -> Any:
        """The value under `key`, or `default` if there is none.

        Args:
            out: ``"bytes"`` for a new bytes object, ``"view"`` for a :class:`simdrive.Value`, whose memory is freed off
                the loop, or a writable buffer to fill. A buffer stays locked until the call ends;
                after a timeout or a cancellation until the rest of a reply that has begun is there.

        Returns:
            bytes, a Value, or the number of bytes written to `out`.

        Raises:
            BufferTooSmallError: the value does not fit in `out` (a ``ValueError``).
        """
        call = self._calls.read(key, default, out, timeout, progress)
        try:
            return await call.future
        except BaseException as error:
            self._core.leave(call, error)
            raise

    @overload
    async def batch_read(
        self,
        keys: Iterable[Buffer],
        *,
        out: Literal["bytes"] = "bytes",
        timeout: _Timeout = ...,
        progress: Progress | None = None,
    ) -> list[bytes | None]: ...
    @overload
    async def batch_read(
        self,
        keys: Iterable[Buffer],
        *,
        out: Literal["view"],
        timeout: _Timeout = ...,
        progress: Progress | None = None,
    ) -> list[Value | None]: ...
    async def batch_read(
        self,
        keys: Iterable[Buffer],
        *,
        out: Literal["bytes", "view"] = "bytes",
        timeout: _Timeout = ...,
        progress: Progress | None = None,
    ) -> Any:
        """The values under `keys` in one request: a list in the same order, with ``None`` where a key is absent.

        Args:
            out: ``"bytes"``, or ``"view"`` for :class:`simdrive.Value` objects, as of ``Client.batch_read``.
        """
        call = self._calls.batch_read(keys, out, timeout, progress)
        try:
            return await call.future
        except BaseException as error:
            self._core.leave(call, error)
            raise

    @overload
    async def batch_read_structured(
        self, data: dict[_K, Any], *, timeout: _Timeout = ..., progress: Progress | None = None
    ) -> dict[_K, bytes | None]: ...
    @overload
    async def batch_read_structured(
        self, data: list[dict[_K, Any]], *, timeout: _Timeout = ..., progress: Progress | None = None
    ) -> list[dict[_K, bytes | None]]: ...
    async def batch_read_structured(
        self, data: Any, *, timeout: _Timeout = ..., progress: Progress | None = None
    ) -> Any:
        """A dict, or a list of dicts, of the same shape as `data`, with each key replaced by the value stored under it.

        Raises ``TypeError`` for any other shape.
        """
        rows = Rows(data)
        return rows.filled(await self.batch_read(rows.keys(), timeout=timeout, progress=progress))

    async def delete(self, key: Buffer, *, timeout: _Timeout = ...) -> None:
        """Removes `key`. No error if it is absent."""
        await self._outcome(self._calls.delete(key, timeout))

    async def exists(self, key: Buffer, *, timeout: _Timeout = ...) -> bool:
        """Whether there is a value under `key`."""
        call = self._calls.exists(key, timeout)
        try:
            found: bool = await call.future
        except BaseException as error:
            self._core.leave(call, error)
            raise
        return found

    async def size(self, *, timeout: _Timeout = ...) -> int:
        """The number of keys."""
        return int(await self._outcome(self._calls.size(timeout)))

    async def is_empty(self, *, timeout: _Timeout = ...) -> bool:
        """Whether the store has no key."""
        return bool(await self._outcome(self._calls.is_empty(timeout)))

    async def file_size(self, *, timeout: _Timeout = ...) -> int:
        """Bytes of the server's store file."""
        return int(await self._outcome(self._calls.file_size(timeout)))

    async def ping(self, *, timeout: _Timeout = ...) -> float:
        """Seconds that one round trip to the server takes."""
        started = time.perf_counter()
        await self._outcome(self._calls.ping(timeout))
        return time.perf_counter() - started

    async def server_info(self, *, timeout: _Timeout = ...) -> ServerInfo:
        """What is known of the server: a ``ServerInfo``."""
        check_timeout(timeout)
        self._check("server_info")
        if not self._calls.dialect:
            await self._outcome(self._calls.server_info(timeout))  # it is known once there is a connection again
        return ServerInfo(
            version=None, dialect=self._core.dialect, extensions=frozenset(), max_message=None, backend=None
        )

    async def batch_delete(
        self, keys: Iterable[Buffer], *, timeout: _Timeout = ..., progress: Progress | None = None
    ) -> None:
        """Removes many keys; no error for those that are absent. Requests share messages, but each key goes by itself.

        Where they are many, the rest of the loop goes on while they begin.

        Args:
            timeout: the limit of all together.
            progress: called as ``progress(done, total)`` in keys, about ten times a second. What it raises ends the
                call; keys that were not sent then stay.

        Raises:
            BatchError: some keys were not removed, or may not have been; `failed` has their numbers.
        """
        from simdrive.aio_pipeline import AsyncPipeline
        from simdrive.pipeline import TimeLeft

        self._check("batch_delete")
        check_timeout(timeout)
        ticks = Ticks(progress)
        wanted = list_of_keys(keys)
        check_buffers(wanted, "key")
        left, pace = TimeLeft(timeout, self._options.timeout), Pace()
        calls = AsyncPipeline(self)
        try:
            for key in wanted:
                calls.delete(key, timeout=left())
                if pace.is_due(0):
                    await pace.turn()
                    ticks.at(calls._done, len(wanted))
            await calls._finish(None if progress is None else lambda: ticks.at(calls._done, len(wanted)))
        except BaseException as error:
            calls._abandon()
            calls._mark(error, "batch_delete", "keys", len(wanted))
            raise
        if calls._failed:
            raise calls._error("batch_delete", "keys", calls._failed, calls._done)
        ticks.end(len(wanted))

    async def _split_batch(self, items: Any, max_bytes: int, timeout: _Timeout, progress: Progress | None) -> None:
        from simdrive.aio_pipeline import AsyncPipeline
        from simdrive.pipeline import Parts, TimeLeft, check_max_bytes

        self._check("batch_write")
        check_timeout(timeout)
        limit = check_max_bytes(max_bytes)
        check_progress(progress)
        keys, values = keys_and_values(items)
        check_buffers(keys, "key")
        check_buffers(values, "value")
        left, pace = TimeLeft(timeout, self._options.timeout), Pace()
        parts = Parts(zip(keys, values, strict=True), limit)
        calls = AsyncPipeline(self)
        futures = []
        errors: list[BaseException | None] = []
        done = 0
        try:
            for _, part, _ in parts.parts:
                futures.append(calls._batch_write(part, left()))
                if pace.is_due(0):
                    await pace.turn()
            for (_, _, size), future in zip(parts.parts, futures, strict=True):
                await asyncio.wait([future])
                errors.append(future.exception())
                done += 0 if errors[-1] else size
                if progress is not None:
                    progress(done, parts.size)
        except BaseException as error:
            calls._abandon()
            calls._mark(error, "batch_write", "requests", len(parts.parts))
            raise
        failed, stored = parts.failed(errors)
        if failed:
            raise calls._error("batch_write", "items", failed, stored)

    def pipeline(self, *, max_inflight: int | None = None) -> AsyncPipeline:
        """Many calls under way at once: an asynchronous context manager with `write`, `read`, `delete` and `exists`.

        These are no coroutines: they start a call, and give an ``asyncio.Future``.

        Args:
            max_inflight: how many of its calls may be under way at once; ``None`` is as many as the client's option.

        Raises:
            BatchError: on leaving the block: some calls failed.
            ClosedError: the client was closed.
            ConfigurationError: `max_inflight` is less than 1.
        """
        from simdrive.aio_pipeline import AsyncPipeline

        self._check("pipeline")
        return AsyncPipeline(self, max_inflight)

    def namespace(self, prefix: Buffer) -> AsyncNamespacedClient:
        """A view of the keys under `prefix`, with the methods of a client, over the same connection.

        Raises:
            TypeError: `prefix` is not bytes-like.
        """
        return AsyncNamespacedClient(self, [prefix])

    async def close(self, *, timeout: float | None = None) -> None:
        """Ends the connection. Calls under way raise ``ClosedError``. Closing twice is fine.

        Args:
            timeout: seconds that the server gets to confirm; ``None`` is the option ``close_timeout``.
        """
        self._in_loop("close")
        check_timeout(timeout)
        ended = self._core.close()
        try:
            if ended is not None:
                limit = self._options.close_timeout if timeout is None else timeout
                await asyncio.wait([ended], timeout=limit)
        finally:
            self._core.stop()

    async def __aenter__(self) -> Self:
        self._in_loop("async with")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    @property
    def options(self) -> Options:
        """The ``Options`` the client was opened with."""
        return self._options

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._core.closed

    def __bool__(self) -> Literal[True]:
        """Always true."""
        return True

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("an AsyncClient belongs to its event loop and cannot be pickled; pickle its options")

    def __repr__(self) -> str:
        dialect = f"{self._dialect}, " if self._dialect else ""
        return f"<simdrive.AsyncClient {self._options.url} ({dialect}{'closed' if self.closed else 'open'})>"

    def __del__(self) -> None:
        core = getattr(self, "_core", None)
        if core is None or not core.is_watched or os.getpid() != self._pid:
            return
        try:
            warnings.warn(
                f"unclosed {self!r}; use async with, or await close()", ResourceWarning, source=self, stacklevel=1
            )
        finally:  # also where warnings are errors
            core.let_go()

    @property
    def _calls(self) -> AsyncCore:
        if self._core.has_events():
            self._note_events()
        return self._core

    async def _outcome(self, call: Any) -> Any:
        try:
            return await call.future
        except BaseException as error:
            self._core.leave(call, error)
            raise

    def _in_loop(self, op: str) -> None:
        self._core.check_loop(op)

    def _check(self, op: str) -> None:
        """Before a source or an iterable is read in vain."""
        self._core.check_loop(op)
        if self._core.closed:
            raise closed_error(op, self._options.url)

    def _note_events(self, first: str = "") -> None:
        if first:
            self._dialect = self._core.dialect
            log_connection(self._options.url, first, self._dialect, 0, 0.0)
        for event in self._core.take_events():
            if event["kind"] == "connected":
                self._dialect = event["detail"]
            log_connection(self._options.url, **event)

    def _stats(self) -> dict[str, int]:
        return self._core.stats()


def _new_watcher_thread(watcher: AsyncWatcher) -> None:
    threading.Thread(target=_watch, args=(watcher,), name="simdrive-watcher", daemon=True).start()


def _watch(watcher: AsyncWatcher) -> None:
    """Watches for all loops that cannot watch descriptors, until their last client is gone."""
    while (due := watcher.wait()) is not None:
        while due:  # nothing here keeps a loop while the thread sleeps
            _wake(due.pop())


def _wake(rounds: LoopRounds) -> None:
    try:
        rounds.loop.call_soon_threadsafe(rounds.run)
    except Exception:
        if not rounds.loop.is_closed():  # else nobody waits for its clients any more
            logging.getLogger("asyncio").critical(
                "%r could not be woken: its clients wait for their deadlines", rounds.loop, exc_info=True
            )
