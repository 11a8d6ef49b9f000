"""Many calls under way at once: :class:`Pipeline`, made by ``client.pipeline()``."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeoutError
from types import EllipsisType, TracebackType
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

from simdrive._core import CallLimit, PipelineCore, Value, check_timeout
from simdrive.errors import (
    BatchError,
    ClosedError,
    ConfigurationError,
    InvalidKeyError,
    InvalidValueError,
    SimdriveError,
    batch_error,
)

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self

    from simdrive.client import Client

__all__ = ["Pipeline", "PipelineFuture"]

_T = TypeVar("_T")
_Timeout = float | EllipsisType | None

TAKEN_SLICE = 0.1  # seconds that another thread is trusted to hand out what this one waits for


class PipelineFuture(Future[_T], Generic[_T]):
    """The outcome of a call of a :class:`Pipeline`: a ``concurrent.futures.Future``.

    A call ends at its deadline at the latest, and with it every wait for its future. `cancel` succeeds as long as no
    byte of the request has been sent; `running` is false until then and afterwards.

    Callbacks of `add_done_callback` run on a thread that waits for a future of the same client, or on one in the
    background. They should be quick. They may call the client and wait for futures by `result` and `exception`, but not
    by ``concurrent.futures.wait``, which would keep the thread that ends them.
    """

    def __init__(self, pipeline: Pipeline, number: int, core: PipelineCore) -> None:
        super().__init__()
        self._pipeline: Pipeline | None = pipeline
        self._number = number
        self._core: PipelineCore | None = core
        self._call: Any = None

    def result(self, timeout: float | None = None) -> _T:
        """The call's result; raises its error, ``CancelledError``, or ``TimeoutError`` after `timeout` seconds."""
        return super().result(self._wait(timeout))

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """The call's error or ``None``; raises ``CancelledError``, or ``TimeoutError`` after `timeout` seconds."""
        return super().exception(self._wait(timeout))

    def cancel(self) -> bool:
        """Takes the call back, if nothing of it has been sent. Returns whether it is cancelled."""
        if not self.done() and not self.running():  # nothing here has it run, but somebody else may have said so
            core, call = self._core, self._call
            if core is not None and call is not None and core.withdraw(call):
                self._take_back()
        return self.cancelled()

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a future of a pipeline belongs to its process and cannot be pickled; pickle its result")

    def _wait(self, timeout: float | None) -> float | None:
        """What is left of `timeout` when the call is over, or is another thread's to end."""
        core = self._core
        if core is None or self.done():
            return timeout
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if end is None else max(0.0, end - time.monotonic())
            taken = core.wait(self, left)
            if not taken or self.done() or left == 0:
                break
            # Whoever hands out may leave first, and the thread in the background may be this one, or in a callback.
            with contextlib.suppress(CancelledError, FutureTimeoutError):
                super().exception(TAKEN_SLICE if left is None else min(TAKEN_SLICE, left))
        return None if end is None else max(0.0, end - time.monotonic())

    # Each step may be taken twice: a signal handler's exception can come between any two.

    def _take_back(self) -> None:
        self._end(None)
        if not self.done() and super().cancel():
            self.set_running_or_notify_cancel()  # for concurrent.futures.wait

    def _settle(self, value: Any, error: BaseException | None) -> None:
        self._end(error, done=error is None)
        with contextlib.suppress(InvalidStateError):  # it is done already
            if error is None:
                self.set_result(value)
            else:
                self.set_exception(error)

    def _end(self, error: BaseException | None, *, done: bool = False) -> None:
        pipeline = self._pipeline
        if pipeline is not None:
            pipeline._ended(self._number, error, done)
        self._pipeline = self._core = self._call = None


class Pipeline:
    """Calls that are made one after the other, without waiting for the reply to the one before.

    Each method returns a future at once. Requests leave as fast as the connection takes them; small ones share
    messages. They travel on the client's connection, with its options, retries and limits, and those for one key take
    effect in the order in which they were made, also beside other calls that the same thread makes with the client, for
    as long as the connection lasts.

    Leaving the block waits for all calls, each of which has its deadline, and raises :class:`BatchError` if any failed.
    An exception that leaves the block takes back the calls of which nothing was sent; the others go on, and their
    futures end by themselves.

    A call that finds too many in flight waits for room, and fails with ``OverloadError`` at its deadline: a loop that
    makes many calls lasts for many deadlines if the server is gone, unless it looks at a future now and then. Errors of
    the call, a refused key or value included, are its future's; only wrong arguments (``TypeError``,
    ``ConfigurationError``) and a pipeline that was left (``ClosedError``) are raised at once. Keys and values are
    locked until the call is over.

    Safe to share between threads. In a child of ``fork()`` the calls of the parent have failed with
    ``ConnectionLostError``.
    """

    def __init__(
        self, client: Client, max_inflight: int | None = None, name: Callable[[Any], bytes] | None = None
    ) -> None:
        self._client = client
        self._limit = call_limit(max_inflight, client.options.max_inflight)
        self._name = name
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._pending: dict[int, PipelineFuture[Any]] = {}
        self._failed: dict[int, Exception] = {}
        self._done = 0
        self._left = False

    def write(self, key: Buffer, data: Buffer, *, timeout: _Timeout = ...) -> PipelineFuture[None]:
        """Stores `data` under `key`. The future's result is ``None``."""
        core, future = self._next("write")
        if self._name is None:
            return self._start(future, core.write, future, key, data, timeout, self._limit)
        return self._start(future, core.write, future, self._name(key), data, timeout, self._limit, key)

    @overload
    def read(
        self, key: Buffer, *, default: None = None, out: Literal["bytes"] = "bytes", timeout: _Timeout = ...
    ) -> PipelineFuture[bytes | None]: ...
    @overload
    def read(
        self, key: Buffer, *, default: _T, out: Literal["bytes"] = "bytes", timeout: _Timeout = ...
    ) -> PipelineFuture[bytes | _T]: ...
    @overload
    def read(
        self, key: Buffer, *, default: None = None, out: Literal["view"], timeout: _Timeout = ...
    ) -> PipelineFuture[Value | None]: ...
    @overload
    def read(
        self, key: Buffer, *, default: _T, out: Literal["view"], timeout: _Timeout = ...
    ) -> PipelineFuture[Value | _T]: ...
    @overload
    def read(
        self, key: Buffer, *, default: None = None, out: Buffer, timeout: _Timeout = ...
    ) -> PipelineFuture[int | None]: ...
    @overload
    def read(self, key: Buffer, *, default: _T, out: Buffer, timeout: _Timeout = ...) -> PipelineFuture[int | _T]: ...
    def read(self, key: Buffer, *, default: Any = None, out: Any = "bytes", timeout: _Timeout = ...) -> Any:
        """The value under `key`, or `default`; `out` as of ``Client.read``. A buffer is locked until the call is over.

        Large values are received without the interpreter lock; for ``"bytes"`` they are copied once more, for
        ``"view"`` and into a buffer they are not.
        """
        core, future = self._next("read")
        if self._name is None:
            return self._start(future, core.read, future, key, default, out, timeout, self._limit)
        return self._start(future, core.read, future, self._name(key), default, out, timeout, self._limit, key)

    def delete(self, key: Buffer, *, timeout: _Timeout = ...) -> PipelineFuture[None]:
        """Removes `key`. No error if it is absent."""
        core, future = self._next("delete")
        if self._name is None:
            return self._start(future, core.delete, future, key, timeout, self._limit)
        return self._start(future, core.delete, future, self._name(key), timeout, self._limit, key)

    def exists(self, key: Buffer, *, timeout: _Timeout = ...) -> PipelineFuture[bool]:
        """Whether there is a value under `key`."""
        core, future = self._next("exists")
        if self._name is None:
            return self._start(future, core.exists, future, key, timeout, self._limit)
        return self._start(future, core.exists, future, self._name(key), timeout, self._limit, key)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._abandon()
            return
        self._finish()
        if self._failed:
            raise self._error("pipeline", "calls", self._failed, self._done)

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a pipeline belongs to its process and cannot be pickled; pickle its client")

    def __repr__(self) -> str:
        state = "left" if self._left else "open"
        return f"<simdrive.Pipeline of {self._client!r} ({state}, {len(self._pending)} calls under way)>"

    # Used by the batch methods, too.

    def _batch_write(self, pairs: list[Any], timeout: _Timeout) -> PipelineFuture[None]:
        core, future = self._next("batch_write")
        return self._start(future, core.batch_write, future, pairs, timeout, self._limit)

    def _error(self, op: str, what: str, failed: dict[int, Exception], done: int) -> BatchError:
        return batch_error(op, self._client.options.url, what, failed, done)

    def _next(self, op: str) -> tuple[PipelineCore, PipelineFuture[Any]]:
        if self._left:
            raise self._left_error(op)
        core = self._client._pipeline_core(_new_thread)
        return core, PipelineFuture(self, next(self._numbers), core)

    def _left_error(self, op: str) -> ClosedError:
        error = ClosedError(f"{op} on {self._client.options.url}: this pipeline was left; make another one")
        error.op = op
        error.endpoint = self._client.options.url
        return error

    def _start(self, future: PipelineFuture[_T], start: Callable[..., Any], *arguments: Any) -> PipelineFuture[_T]:
        number = future._number
        self._pending[number] = future  # from here on another thread that leaves waits for it
        if self._left:  # one has left, and may have looked before
            future._take_back()
            raise self._left_error(start.__name__)
        try:
            future._call = start(*arguments)
        except ConfigurationError:
            future._take_back()
            raise
        except SimdriveError as error:
            if self._name is not None:
                error.key_hint = memoryview(arguments[-1]).cast("B")[:16].hex()
            future._settle(None, error)
        except BaseException:
            future._take_back()
            raise
        if future._pipeline is None:  # it was over before its call was known here
            future._call = None
        return future

    def _ended(self, number: int, error: BaseException | None, done: bool) -> None:
        with self._lock:
            if isinstance(error, Exception):
                self._failed[number] = error
            if self._pending.pop(number, None) is not None and done:
                self._done += 1

    def _finish(self) -> None:
        """Waits for all calls; those that callbacks make meanwhile included."""
        try:
            while True:
                while pending := list(self._pending.values()):
                    for future in pending:
                        wait_for(future)
                if self._left:
                    break
                self._left = True  # and once more: another thread may have made a call meanwhile
        except BaseException:
            self._abandon()
            raise

    def _abandon(self) -> None:
        self._left = True
        for future in reversed(list(self._pending.values())):  # what is taken back makes no room for the next
            future.cancel()


def wait_for(future: PipelineFuture[Any]) -> BaseException | None:
    """The error of a future that is over now, if it has one."""
    try:
        return future.exception()
    except CancelledError:
        return None


def call_limit(max_inflight: int | None, most: int) -> CallLimit | None:
    """What a pipeline is limited to besides its client."""
    if max_inflight is None:
        return None
    if isinstance(max_inflight, bool) or not isinstance(max_inflight, int):
        raise TypeError(f"max_inflight must be an int or None, not {type(max_inflight).__name__}")
    if max_inflight < 1:
        raise ConfigurationError(f"max_inflight must be at least 1, not {max_inflight}")
    return CallLimit(min(max_inflight, most))


def check_max_bytes(max_bytes: object) -> int:
    """Refuses what no request can be limited to."""
    if isinstance(max_bytes, bool) or not isinstance(max_bytes, int):
        raise TypeError(f"max_bytes must be an int or None, not {type(max_bytes).__name__}")
    if max_bytes < 1:
        raise ConfigurationError(f"max_bytes must be at least 1, not {max_bytes}")
    return max_bytes


class Parts:
    """A batch cut into requests of at most `max_bytes` bytes of keys and values, or of one item.

    Attributes:
        parts: for each request the number of its first item, its items, and their bytes.
        size: bytes in all.
    """

    def __init__(self, pairs: Iterable[tuple[Any, Any]], max_bytes: int) -> None:
        self.parts: list[tuple[int, list[tuple[Any, Any]], int]] = []
        self.size = 0
        part: list[tuple[Any, Any]] = []
        room = 0
        for number, (key, value) in enumerate(pairs):
            size = memoryview(key).nbytes + memoryview(value).nbytes
            if not part or size > room:
                part = []
                room = max_bytes
                self.parts.append((number, part, 0))
            first, items, before = self.parts[-1]
            items.append((key, value))
            self.parts[-1] = (first, items, before + size)
            room -= size
            self.size += size

    def failed(self, errors: Iterable[BaseException | None]) -> tuple[dict[int, Exception], int]:
        """The error of each item, by that of its request, and how many items have none."""
        failed: dict[int, Exception] = {}
        done = 0
        for (first, items, _), error in zip(self.parts, errors, strict=True):
            if isinstance(error, Exception):
                if isinstance(error, (InvalidKeyError, InvalidValueError)):  # which name an item of the request
                    before, word, rest = str(error).partition(": item ")
                    number, colon, why = rest.partition(": ")
                    if number.isdigit():
                        error.args = (f"{before}{word}{int(number) + first}{colon}{why}",)
                failed.update(dict.fromkeys(range(first, first + len(items)), error))
            else:
                done += len(items)
        return failed, done


class TimeLeft:
    """The deadline of several calls that are one to their caller."""

    def __init__(self, timeout: _Timeout, default: float | None) -> None:
        check_timeout(timeout)
        limit = default if timeout is ... else timeout
        self._end = None if limit is None else time.monotonic() + limit

    def __call__(self) -> float | None:
        return None if self._end is None else max(0.0, self._end - time.monotonic())


# Of the clients that have had pipelines, for children of fork().
_cores: weakref.WeakSet[PipelineCore] = weakref.WeakSet()


def _new_thread(core: PipelineCore) -> None:
    _cores.add(core)
    threading.Thread(target=core.serve, name="simdrive-futures", daemon=True).start()


def _after_fork() -> None:
    for core in list(_cores):
        core.be_served()  # somebody may wait there for futures of the parent, which have failed


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
