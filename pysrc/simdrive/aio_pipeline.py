"""Many calls under way at once, in asyncio: :class:`AsyncPipeline`, made by ``client.pipeline()``."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Generator
from types import EllipsisType, TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from simdrive.errors import BatchError, ClosedError, ConfigurationError, SimdriveError, batch_error
from simdrive.pipeline import call_limit
from simdrive.progress import TOLD_EVERY

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self

    from simdrive._core import AsyncCall, Value
    from simdrive.aio import AsyncClient

__all__ = ["AsyncPipeline"]

_T = TypeVar("_T")
_Timeout = float | EllipsisType | None

WRITES = frozenset({"write", "batch_write", "delete"})


class CallFuture(asyncio.Future[Any]):
    """The future of a call, whose ``CancelledError`` says whether the call may have been applied."""

    _pipeline: AsyncPipeline | None = None  # while the call is under way
    _left: Any = None

    def cancel(self, msg: Any | None = None) -> bool:
        """Leaves the call at once: whoever is told of it next hears what became of it."""
        pipeline = self._pipeline
        if pipeline is None or self.done():
            return super().cancel(msg)
        self._left = asyncio.CancelledError()
        try:
            pipeline._leave(self, self._left)
        finally:  # whatever a signal handler raised, nothing will end the future any more
            cancelled = super().cancel(msg)
        return cancelled

    def result(self) -> Any:
        if self.cancelled():
            raise self._make_cancelled_error()
        return super().result()

    def exception(self) -> BaseException | None:
        if self.cancelled():
            raise self._make_cancelled_error()
        return super().exception()

    def __await__(self) -> Generator[Any, None, Any]:
        if self.cancelled():  # later a task asks for the result
            raise self._make_cancelled_error()
        return super().__await__()

    __iter__ = __await__

    def _make_cancelled_error(self) -> asyncio.CancelledError:
        error: asyncio.CancelledError = super()._make_cancelled_error()  # type: ignore[misc]  # not in its stub
        left = self._left
        if hasattr(left, "outcome"):
            error.outcome = left.outcome  # type: ignore[attr-defined]
            if notes := getattr(left, "__notes__", None):
                error.__notes__ = [*notes]  # type: ignore[attr-defined]
        return error


class AsyncPipeline:
    """Calls that are made one after the other, without waiting for the reply to the one before.

    Each method returns an ``asyncio.Future`` at once, to be awaited or not. Requests that are made in one round of the
    loop leave together; those for one key take effect in the order in which they were made, for as long as the
    connection lasts.

    Leaving the block waits for all calls, each of which has its deadline, and raises :class:`BatchError` if any failed:
    an error that nobody has awaited is not lost, and not reported in other ways. An exception that leaves the block
    takes back the calls of which nothing was sent; the others go on, and their futures end by themselves.

    Calls beyond `max_inflight`, of the pipeline or of the client, wait for their turn, and fail with ``OverloadError``
    at their deadline: nothing but awaiting some of them keeps a loop from making more. Errors of the call, a refused
    key or value included, are its future's; only wrong arguments (``TypeError``, ``ConfigurationError``), a pipeline
    that was left (``ClosedError``) and another loop (``EventLoopError``) are raised at once. Keys and values are locked
    until the call is over.

    A future can be cancelled at any time: what was not sent is taken back, and a write or delete that was sent may have
    been applied. Then the ``CancelledError`` of its future has an attribute ``outcome``, ``"unknown"``, and a note, as
    has one that leaves the block while such calls are under way.
    """

    def __init__(
        self, client: AsyncClient, max_inflight: int | None = None, name: Callable[[Any], bytes] | None = None
    ) -> None:
        self._client = client
        self._limit = call_limit(max_inflight, client.options.max_inflight)
        self._name = name
        self._numbers = itertools.count()
        self._pending: dict[CallFuture, tuple[int, AsyncCall, bytes | None]] = {}
        self._failed: dict[int, Exception] = {}
        self._done = 0
        self._left = False

    def write(self, key: Buffer, data: Buffer, *, timeout: _Timeout = ...) -> asyncio.Future[None]:
        """Stores `data` under `key`. The future's result is ``None``."""
        core = self._calls("write")
        return self._start(key, lambda sent, future: core.write(sent, data, timeout, None, self._limit, future))

    @overload
    def read(
        self, key: Buffer, *, default: None = None, out: Literal["bytes"] = "bytes", timeout: _Timeout = ...
    ) -> asyncio.Future[bytes | None]: ...
    @overload
    def read(
        self, key: Buffer, *, default: _T, out: Literal["bytes"] = "bytes", timeout: _Timeout = ...
    ) -> asyncio.Future[bytes | _T]: ...
    @overload
    def read(
        self, key: Buffer, *, default: None = None, out: Literal["view"], timeout: _Timeout = ...
    ) -> asyncio.Future[Value | None]: ...
    @overload
    def read(
        self, key: Buffer, *, default: _T, out: Literal["view"], timeout: _Timeout = ...
    ) -> asyncio.Future[Value | _T]: ...
    @overload
    def read(
        self, key: Buffer, *, default: None = None, out: Buffer, timeout: _Timeout = ...
    ) -> asyncio.Future[int | None]: ...
    @overload
    def read(self, key: Buffer, *, default: _T, out: Buffer, timeout: _Timeout = ...) -> asyncio.Future[int | _T]: ...
    def read(self, key: Buffer, *, default: Any = None, out: Any = "bytes", timeout: _Timeout = ...) -> Any:
        """The value under `key`, or `default`; `out` as of ``AsyncClient.read``."""
        core = self._calls("read")
        return self._start(key, lambda sent, future: core.read(sent, default, out, timeout, None, self._limit, future))

    def delete(self, key: Buffer, *, timeout: _Timeout = ...) -> asyncio.Future[None]:
        """Removes `key`. No error if it is absent."""
        core = self._calls("delete")
        return self._start(key, lambda sent, future: core.delete(sent, timeout, self._limit, future))

    def exists(self, key: Buffer, *, timeout: _Timeout = ...) -> asyncio.Future[bool]:
        """Whether there is a value under `key`."""
        core = self._calls("exists")
        return self._start(key, lambda sent, future: core.exists(sent, timeout, self._limit, future))

    async def __aenter__(self) -> Self:
        self._client._in_loop("pipeline")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client._in_loop("pipeline")
        if error is not None:
            self._abandon()
            self._mark_block(error)
            return
        try:
            await self._finish()
        except BaseException as interruption:
            self._abandon()
            self._mark_block(interruption)
            raise
        if self._failed:
            raise self._error("pipeline", "calls", self._failed, self._done)

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a pipeline belongs to its event loop and cannot be pickled")

    def __repr__(self) -> str:
        state = "left" if self._left else "open"
        return f"<simdrive.AsyncPipeline of {self._client!r} ({state}, {len(self._pending)} calls under way)>"

    # Used by the batch methods, too.

    def _batch_write(self, pairs: list[Any], timeout: _Timeout) -> asyncio.Future[None]:
        core = self._calls("batch_write")
        return self._start(None, lambda _, future: core.batch_write(pairs, timeout, None, self._limit, future))

    def _error(self, op: str, what: str, failed: dict[int, Exception], done: int) -> BatchError:
        return batch_error(op, self._client.options.url, what, failed, done)

    async def _finish(self, tell: Callable[[], None] | None = None) -> None:
        """Waits for all calls; `tell` is called now and then."""
        while self._pending:
            await asyncio.wait(list(self._pending), timeout=None if tell is None else TOLD_EVERY)
            if tell is not None:
                tell()
        self._left = True

    def _abandon(self) -> None:
        self._left = True
        core = self._client._core
        for future, (_, call, _) in reversed(list(self._pending.items())):
            if core.withdraw(call):
                future.cancel()

    def _mark(self, error: BaseException, op: str, what: str, of: int) -> None:
        """Has the cancellation of a batch of writes tell that some of it may have been applied."""
        if not isinstance(error, asyncio.CancelledError):
            return
        unsure = sum(not future.cancelled() for future in self._pending)
        unsure += sum(getattr(failure, "outcome", "unknown") == "unknown" for failure in self._failed.values())
        if not self._done and not unsure:
            return
        error.outcome = "unknown"  # type: ignore[attr-defined]
        if hasattr(error, "add_note"):
            error.add_note(
                f"simdrive: {self._done} of {of} {what} of this {op} were done, "
                f"{unsure} more may or may not have been applied"
            )

    def _mark_block(self, error: BaseException) -> None:
        """Has the cancellation of a block tell of the writes in it that may have been applied."""
        if not isinstance(error, asyncio.CancelledError):
            return
        going = sum(call.op in WRITES and not future.cancelled() for future, (_, call, _) in self._pending.items())
        failed = [failure for failure in self._failed.values() if getattr(failure, "op", "") in WRITES]
        unsure = going + sum(getattr(failure, "outcome", "unknown") == "unknown" for failure in failed)
        if unsure:
            error.outcome = "unknown"  # type: ignore[attr-defined]
            if hasattr(error, "add_note"):
                error.add_note(
                    f"simdrive: {unsure} writes or deletes of this pipeline may or may not have been applied"
                )

    def _leave(self, future: CallFuture, error: asyncio.CancelledError) -> None:
        _, call, _ = self._pending[future]
        self._client._core.leave(call, error)

    def _calls(self, op: str) -> Any:
        if self._left:
            error = ClosedError(f"{op} on {self._client.options.url}: this pipeline was left; make another one")
            error.op = op
            error.endpoint = self._client.options.url
            raise error
        core = self._client._calls
        core.check_loop(op)
        return core

    def _start(self, key: Any, start: Callable[[Any, CallFuture], AsyncCall]) -> asyncio.Future[Any]:
        hint: bytes | None = None
        sent = key
        if self._name is not None and key is not None:
            sent = self._name(key)
            hint = memoryview(key).cast("B")[:16].tobytes()
        number = next(self._numbers)
        future = CallFuture(loop=asyncio.get_running_loop())
        try:
            call = start(sent, future)
        except ConfigurationError:
            raise
        except SimdriveError as error:
            _show(error, hint)
            self._failed[number] = error
            future.set_exception(error)
            future.exception()  # the pipeline tells it, if nobody else does
            return future
        future._pipeline = self
        self._pending[future] = (number, call, hint)
        future.add_done_callback(self._ended)
        return future

    def _ended(self, future: CallFuture) -> None:
        number, call, hint = self._pending.pop(future)
        future._pipeline = None
        if future.cancelled():
            self._client._core.leave(call, asyncio.CancelledError())  # if a signal handler came in between
            return
        error = future.exception()
        if error is None:
            self._done += 1
            return
        _show(error, hint)
        if isinstance(error, Exception):
            self._failed[number] = error


def _show(error: BaseException, hint: bytes | None) -> None:
    if hint is not None and isinstance(error, SimdriveError):
        error.key_hint = hint.hex()
