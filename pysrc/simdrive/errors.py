"""The exceptions of simdrive: one root, and under it what a caller may want to tell apart.

Each is also the built-in exception that fits, so ``except OSError`` or ``except ValueError`` works too.
"""

from __future__ import annotations

import builtins
import re
import sys
from collections.abc import Mapping, Sequence
from enum import IntEnum
from errno import ENOSPC
from typing import Any

if sys.version_info >= (3, 11):
    _Group = builtins.ExceptionGroup[Exception]
else:

    class _Group(Exception):
        """What is used of an ``ExceptionGroup``, which Python 3.10 lacks."""

        def __init__(self, message: str, exceptions: Sequence[Exception]) -> None:
            super().__init__(message, exceptions)
            self.message = message
            self.exceptions = tuple(exceptions)

        def __str__(self) -> str:
            count = len(self.exceptions)
            return f"{self.message} ({count} sub-exception{'s' if count != 1 else ''})"


__all__ = [
    "BatchError",
    "BindError",
    "BufferTooSmallError",
    "ClosedError",
    "ConfigurationError",
    "ConnectError",
    "ConnectTimeout",
    "ConnectionLostError",
    "EventLoopError",
    "HandshakeError",
    "InvalidKeyError",
    "InvalidValueError",
    "KeyNotFoundError",
    "OperationTimeout",
    "OutOfMemoryError",
    "OverloadError",
    "ProtocolError",
    "ProtocolMismatchError",
    "ServerError",
    "SimdriveError",
    "StorageFullError",
    "StoreCorruptError",
    "StoreError",
    "StoreFormatError",
    "StoreLockedError",
    "StoreNotFoundError",
    "StoreReadOnlyError",
    "UnsupportedOperationError",
]


class SimdriveError(Exception):
    """The root of all errors that simdrive raises.

    Attributes:
        op: the operation that failed, such as ``"write"``; empty when there was none.
        key_hint: the first 16 bytes of the key in hexadecimal, or ``None``.
        attempts: how often the request was tried.
        elapsed: seconds from the start of the call to the failure.
        endpoint: the server's URL, the path of a store, or ``None``.
        outcome: ``"not applied"`` when the operation did certainly not happen, else ``"unknown"``.
    """

    op: str = ""
    key_hint: str | None = None
    attempts: int = 1
    elapsed: float = 0.0
    endpoint: str | None = None
    outcome: str = "not applied"


class ConfigurationError(SimdriveError, ValueError):
    """A URL or an option is malformed, unknown or out of range."""


class EventLoopError(SimdriveError, RuntimeError):
    """An asynchronous client was used outside the event loop that it was opened in."""


class InvalidKeyError(SimdriveError, ValueError):
    """A key is longer than ``max_key_size``, or that of the other side of a `rename` or `copy`. Nothing happened."""


class InvalidValueError(SimdriveError, ValueError):
    """A value is empty, the single byte 00, or longer than ``max_value_size``. Nothing was sent or stored."""


class KeyNotFoundError(SimdriveError, KeyError):
    """There is no value under the key."""

    def __str__(self) -> str:
        return Exception.__str__(self)  # a KeyError shows its message in quotes


class BufferTooSmallError(SimdriveError, ValueError):
    """The value does not fit in the ``out`` buffer."""


class OutOfMemoryError(SimdriveError, MemoryError):
    """There was no memory for a request or a result."""


class UnsupportedOperationError(SimdriveError, NotImplementedError):
    """The server does not know the method."""


class ConnectionError(SimdriveError, builtins.ConnectionError):
    """The connection could not be made, or is gone."""


class ConnectError(ConnectionError):
    """The server could not be reached."""


class ConnectionLostError(ConnectionError):
    """The connection broke during a call; see ``outcome``. The next call opens a new one."""


class ClosedError(ConnectionError):
    """The client or the store was closed."""


class HandshakeError(ConnectionError):
    """The peer did not accept the WebSocket upgrade."""


class ProtocolMismatchError(ConnectionError):
    """The peer speaks another dialect, or is no SIMD R Drive server."""


class TimeoutError(SimdriveError, builtins.TimeoutError):
    """A deadline passed."""


class ConnectTimeout(TimeoutError):
    """No connection within ``connect_timeout``."""


class OperationTimeout(TimeoutError):
    """A call did not end within its ``timeout``.

    Attributes:
        sent: whether any byte of the request left the process. If so, the outcome is unknown.
    """

    sent: bool = False


class ProtocolError(SimdriveError):
    """The peer sent bytes that the protocol does not allow."""


class ServerError(SimdriveError, OSError):
    """The server answered with an error, which may be one of its store: the protocol has a text for it and no code.

    Attributes:
        code: ``"server_error"``.
        message: the server's own words.
    """

    code: str = "server_error"
    message: str = ""


class _FileError(SimdriveError, OSError):
    # An OSError keeps its errno when it is pickled only if that was an argument, and then says it in its message.
    def __reduce__(self) -> tuple[object, ...]:
        return type(self), self.args, {**self.__dict__, "errno": self.errno}


class BindError(_FileError):
    """A server cannot listen at its address: it is taken, not permitted, or not one of this machine.

    ``errno`` says why, where the system refused it.
    """


class StoreError(_FileError):
    """Reading or writing a store failed; ``errno`` says why, where the system refused something."""


class StoreNotFoundError(StoreError):
    """There is no store at the path."""


class StoreLockedError(StoreError):
    """Another handle, of this process or another, has the store open for writing."""


class StoreCorruptError(StoreError):
    """A checksum or a link of the store does not match, or the file ends early.

    Attributes:
        offset: where in the file, in bytes, or ``None``.
    """

    offset: int | None = None


class StoreFormatError(StoreError):
    """The file is no store, or one of an older layout. It was not changed."""


class StoreReadOnlyError(StoreError):
    """The store was opened for reading, or stopped writing after a failure that it could not take back."""


class StorageFullError(_FileError):
    """The disk, a quota or a limit on file sizes leaves no room. Nothing was stored; ``errno`` is ``ENOSPC``."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self.errno = ENOSPC


class OverloadError(SimdriveError):
    """Too many calls were in flight until the deadline of this one."""


class BatchError(SimdriveError, _Group):
    """Some calls of a pipeline, or some items of a batch that was sent in parts, failed.

    From Python 3.11 on it is an ``ExceptionGroup``, so that ``except*`` sees the errors in it; on 3.10 it only has the
    same attribute `exceptions`.

    Attributes:
        done: how many calls or items succeeded.
        failed: the error of each one that failed, by its number from 0: the number of the call in its pipeline, or of
            the item in its batch. Several items may share an error. Cancelled calls are in neither.
        exceptions: the errors, each once, in the order of `failed`.
        outcome: ``"not applied"`` if that is so of every one that failed, else ``"unknown"``.
    """

    def __new__(cls, message: str, failed: Mapping[int, Exception], done: int = 0) -> BatchError:  # noqa: ARG004
        return super().__new__(cls, message, _each_once(failed))

    def __init__(self, message: str, failed: Mapping[int, Exception], done: int = 0) -> None:
        super().__init__(message, _each_once(failed))
        self.done = done
        self.failed = dict(failed)
        if any(getattr(error, "outcome", "unknown") == "unknown" for error in self.failed.values()):
            self.outcome = "unknown"

    def derive(self, excs: Sequence[Exception]) -> BatchError:  # type: ignore[override, unused-ignore]
        """The part of it with these errors; for ``except*``."""
        wanted = {id(error) for error in excs}
        part = BatchError(self.message, {n: e for n, e in self.failed.items() if id(e) in wanted}, self.done)
        part.op = self.op
        part.endpoint = self.endpoint
        return part

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message, self.failed, self.done), self.__dict__.copy()


def _each_once(failed: Mapping[int, Exception]) -> list[Exception]:
    return list({id(error): error for error in failed.values()}.values())


def batch_error(op: str, endpoint: str, what: str, failed: Mapping[int, Exception], done: int) -> BatchError:
    """The error of a pipeline or a batch of which some failed; `what` they are, such as ``"calls"``."""
    number, first = min(failed.items())
    error = BatchError(
        f"{op} on {endpoint}: {len(failed)} of {len(failed) + done} {what} failed; the first, number {number}: {first}",
        dict(sorted(failed.items())),
        done,
    )
    error.op = op
    error.endpoint = endpoint
    return error


class Code(IntEnum):
    """The C++ core's ``simdrive::Errc``, value for value."""

    configuration = 1
    invalid_key = 2
    invalid_value = 3
    buffer_too_small = 4
    out_of_memory = 5
    connect_failed = 6
    connect_timeout = 7
    handshake_failed = 8
    protocol_mismatch = 9
    connection_lost = 10
    closed = 11
    operation_timeout = 12
    protocol_error = 13
    server_error = 14
    unsupported = 15
    overload = 16
    interrupted = 17
    store_not_found = 18
    store_locked = 19
    store_corrupt = 20
    store_format = 21
    storage_full = 22
    store_error = 23
    store_read_only = 24
    key_not_found = 25
    bind_failed = 26
    internal = 27


# What is raised for each code, and what to do about it.
EXCEPTIONS: dict[Code, tuple[type[SimdriveError], str]] = {
    Code.configuration: (ConfigurationError, ""),
    Code.invalid_key: (InvalidKeyError, "use a shorter key, or raise max_key_size"),
    Code.invalid_value: (InvalidValueError, "nothing was sent"),
    Code.buffer_too_small: (BufferTooSmallError, "give a larger buffer"),
    Code.out_of_memory: (OutOfMemoryError, "free memory, or read less at a time"),
    Code.connect_failed: (ConnectError, "check that the server runs and that the URL names it"),
    Code.connect_timeout: (ConnectTimeout, "check the URL and the network, or raise connect_timeout"),
    Code.handshake_failed: (HandshakeError, "check that the URL's port and path are those of a SIMD R Drive server"),
    Code.protocol_mismatch: (ProtocolMismatchError, "use wire='auto' and a SIMD R Drive server of 0.10 or later"),
    Code.connection_lost: (ConnectionLostError, "the next call connects again"),
    Code.closed: (ClosedError, ""),
    Code.operation_timeout: (OperationTimeout, "raise timeout=, or check the server's load"),
    Code.protocol_error: (ProtocolError, ""),
    Code.server_error: (ServerError, ""),
    Code.unsupported: (UnsupportedOperationError, "use a server that knows it"),
    Code.overload: (OverloadError, "make fewer calls at once, or raise max_inflight and max_inflight_bytes"),
    Code.interrupted: (SimdriveError, ""),
    Code.store_not_found: (StoreNotFoundError, "check the path, or create the store"),
    Code.store_locked: (StoreLockedError, "close the other writer, or open for reading only"),
    Code.store_corrupt: (StoreCorruptError, "see verify() and recover()"),
    Code.store_format: (StoreFormatError, "check the path"),
    Code.storage_full: (StorageFullError, "free some space and try again"),
    Code.store_error: (StoreError, ""),
    Code.store_read_only: (StoreReadOnlyError, "open it for appending; after a failed write or sync, open it anew"),
    Code.key_not_found: (KeyNotFoundError, ""),
    Code.bind_failed: (BindError, "check host and port, or unix_path"),
    Code.internal: (SimdriveError, "this is a bug in simdrive; please report it"),
}

# Where a store says something else than a client.
STORE_ADVICE: dict[Code, str] = {
    Code.invalid_key: "",
    Code.invalid_value: "nothing was stored",
}

# What the core advises at the end of a message, and what that is in Python.
OPEN_ADVICE: dict[str, str] = {
    ": mode read reads what is there, recover() repairs it": ': mode "r" reads what is there, '
    "Store.recover_file(path) repairs it",
    ": recover() keeps what is intact": ": Store.recover_file(path) keeps what is intact",
    ": open it with mode read, compact_to() makes a new one of it": ': open it with mode "r", compact(target) makes a '
    "new one of it",
}

_NAMES_OUTCOME = frozenset({Code.connection_lost, Code.operation_timeout, Code.protocol_error, Code.closed})


def _store_text(code: Code, detail: str, op: str, path: str, offset: int | None) -> str:
    """What failed on a store. The core's words often name the operation and the path already."""
    text = detail.removeprefix(f"{op}: ") or code.name.replace("_", " ")
    for words, ours in OPEN_ADVICE.items():
        if text.endswith(words):
            text = text.removesuffix(words) + ours
    if path not in text:
        text = f"{op} on {path if path.isprintable() else repr(path)}: {text}"
    elif not text.startswith(f"{op} "):
        text = f"{op}: {text}"
    if code is Code.store_corrupt and offset and str(offset) not in re.findall(r"\d+", detail.replace(path, "")):
        what, advice, rest = text.partition("; it is left as it is")
        text = f"{what}, at offset {offset}{advice}{rest}"
    return text


def make_error(
    code: int,
    detail: str,
    *,
    op: str = "",
    endpoint: str | None = None,
    key: bytes | None = None,
    outcome_unknown: bool = False,
    elapsed: float = 0.0,
    attempts: int = 1,
    cause: SimdriveError | None = None,
    system_code: int = 0,
    offset: int | None = None,
    path: str | None = None,
) -> SimdriveError:
    """The exception for a failure that the core reported.

    Args:
        code: a value of ``Code``.
        detail: the core's words.
        op: the operation that failed.
        endpoint: the server's URL.
        key: the key, of which a hint is kept.
        outcome_unknown: whether a byte of the request had left the process.
        elapsed: seconds that the call took.
        attempts: how often the request was tried.
        cause: the failure behind this one; becomes its ``__cause__``.
        system_code: the errno of the system call on a file that failed, or 0.
        offset: where in the file a store is damaged.
        path: the store's; in the place of `endpoint`.
    """
    known = Code(code)
    kind, advice = EXCEPTIONS[known]
    if path is None:
        where = op or "simdrive"
        if endpoint:
            where += f" on {endpoint if endpoint.isprintable() else repr(endpoint)}"
        text = f"{where}: {detail}"
    else:
        endpoint = path
        advice = STORE_ADVICE.get(known, advice)
        text = _store_text(known, detail, op, path, offset)
        if text.endswith(tuple(OPEN_ADVICE.values())):
            advice = ""
    if cause is not None:
        text += f"; before: {cause.args[0]}"
    if attempts > 1:
        text += f"; tried {attempts} times"
    if op in ("write", "batch_write", "delete") and known in _NAMES_OUTCOME:
        text += "; it may or may not have been applied" if outcome_unknown else "; it was not applied"
    if advice:
        text += f" ({advice})"
    error = kind(text)
    error.op = op
    error.endpoint = endpoint
    error.key_hint = None if key is None else key[:16].hex()
    error.elapsed = elapsed
    error.attempts = attempts
    error.__cause__ = cause
    error.outcome = "unknown" if outcome_unknown else "not applied"
    if isinstance(error, OperationTimeout):
        error.sent = outcome_unknown
    if isinstance(error, ServerError):
        error.message = detail
    if isinstance(error, (StoreError, BindError)):
        error.errno = system_code or None
    if isinstance(error, StoreCorruptError):
        error.offset = offset or None  # the core's word for none is 0, where no metadata can be
    return error
