"""Opening a client: URLs, options and :func:`connect`."""

from __future__ import annotations

import os
import re
import sys
import warnings
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from simdrive import _core
from simdrive._core import check_buffers
from simdrive.errors import Code, ConfigurationError, SimdriveError, make_error
from simdrive.mapping import StoreMapping
from simdrive.namespace import NamespacedClient, keys_and_values, list_of_keys
from simdrive.progress import Ticks, check_progress
from simdrive.retry import Retry
from simdrive.streams import Progress, Streams

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import EllipsisType

    from typing_extensions import Buffer, Self

    from simdrive.pipeline import Pipeline

__all__ = ["Client", "Options", "ServerInfo", "connect"]

_URL_VARIABLE = "SIMDRIVE_URL"

# What stands before the last @ may hold a password, wherever that has its slashes and colons. No other scheme is shown:
# it could be a part of one.
_USER_INFO = re.compile(r"^((?:wss?://|ws\+unix://)?).*@", re.DOTALL | re.IGNORECASE)


def mask_user_info(url: str) -> str:
    """The URL for people to see. An @ elsewhere is masked, too: a URL with one is refused in any case."""
    return _USER_INFO.sub(r"\1***@", url)


@dataclass(frozen=True)
class Options:
    """How to reach a server. Times are seconds (``None``: no limit), sizes are bytes.

    Attributes:
        url: ``ws://host[:port][/path]``; port 34129 and path ``/ws`` by default. Or ``ws+unix:///path/of/socket`` (not
            on Windows; a byte of the path may be written ``%xx``). A user and a password before the host are refused;
            they show as ``***`` here, and so in every message. So is any other @ (in a path it is %40).
        connect_timeout: name look-up, connect, upgrade and dialect probe together.
        timeout: one whole call, its retries and reconnects included.
        idle_timeout: the longest silence while a reply is due.
        close_timeout: longest wait of ``close()`` for the server to confirm.
        max_value_size: longer values are refused before a byte is sent, longer replies end the call.
        max_key_size: longer keys are refused.
        max_inflight: calls at once on the connection; more wait for their turn.
        max_inflight_bytes: request bytes at once on the connection.
        ping_interval: an idle connection is pinged after this much silence.
        ping_timeout: and dropped after this much.
        wire: the frame dialect, ``"auto"``, ``"d13"`` or ``"d21"``. Where the server speaks both, ``"auto"`` is
            ``"d13"``.
        retry: what is tried again, and the waits between connections: :class:`simdrive.Retry`.
        reconnect_spread: the longest random first wait before a reconnect after the server ended the connection, so
            that the clients of a restarted server do not come back in one moment.
    """

    url: str = "ws://127.0.0.1:34129/ws"
    connect_timeout: float | None = 5.0
    timeout: float | None = 30.0
    idle_timeout: float | None = 60.0
    close_timeout: float | None = 2.0
    max_value_size: int = 1 << 30
    max_key_size: int = 1 << 20
    max_inflight: int = 1024
    max_inflight_bytes: int = 256 << 20
    ping_interval: float | None = 20.0
    ping_timeout: float | None = 60.0
    wire: str = "auto"
    retry: Retry = field(default_factory=Retry)
    reconnect_spread: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.retry, Retry):
            raise TypeError(f"retry must be a simdrive.Retry, not {type(self.retry).__name__}")
        for name in ("url", "wire"):
            if not isinstance(getattr(self, name), str):
                raise TypeError(f"{name} must be a str, not {type(getattr(self, name)).__name__}")
        for name in ("max_value_size", "max_key_size", "max_inflight", "max_inflight_bytes"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{name} must be an int, not {type(value).__name__}")
            limit = 1 << 32 if name == "max_inflight" else 1 << 64
            if not 0 <= value < limit:
                raise ConfigurationError(f"{name} must be a number of at least 0 and below {limit}, not {value}")
        object.__setattr__(self, "url", mask_user_info(self.url))

    @property
    def endpoint(self) -> str:
        """What errors name: the URL."""
        return self.url

    def replace(self, **changes: Any) -> Options:
        """A copy with some options changed."""
        return replace(self, **changes)


@dataclass(frozen=True)
class ServerInfo:
    """What a server says of itself; ``None`` where it says nothing.

    Attributes:
        version: the server's version.
        dialect: ``"d13"`` or ``"d21"``, as probed.
        extensions: names of the methods beyond the nine basic ones.
        max_message: the longest WebSocket message it takes, in bytes.
        backend: where it keeps its data.
    """

    version: str | None
    dialect: str
    extensions: frozenset[str]
    max_message: int | None
    backend: str | None

    def to_dict(self) -> dict[str, Any]:
        """The same as a dict."""
        return asdict(self)


class Client(_core.Client, Streams):
    """A client of one server, safe to share between threads. Made by :func:`simdrive.connect`; ``with`` closes it.

    The interpreter lock is released while a call waits, sends or receives. Keys and values are any C-contiguous
    bytes-like objects; they are locked until the call returns. ``timeout`` is the deadline of one call in seconds, a
    reconnect included; ``None`` is no limit; left out, it is the client's own.

    Pickling a client pickles its options: it is opened again where it is unpickled, which may raise what `connect`
    raises. A client that is collected while it is open gives a ``ResourceWarning``.

    What a client does with its connection is logged by the logger ``simdrive.client`` of the module `logging`, if the
    program uses that.

    Every network method may raise ``OperationTimeout``, ``ConnectionLostError``, ``ConnectError``, ``ConnectTimeout``,
    ``ClosedError``, ``ProtocolError``, ``ServerError`` or ``OverloadError`` of :mod:`simdrive`.
    """

    __slots__ = ("_seen_dialect",)

    def __new__(cls, options: Options | None = None) -> Self:
        if not isinstance(options, Options):
            raise TypeError("Client takes simdrive.Options; use simdrive.connect(url)")
        return super().__new__(cls, options)

    def __init__(self, options: Options) -> None:  # noqa: ARG002  # used by __new__
        super().__init__()
        # Answered without the server, unless the connection is gone already.
        try:
            self._seen_dialect: str | None = self._dialect(0)
        except SimdriveError:
            self._seen_dialect = None
        self._log_event("connected", detail=self._seen_dialect or "")

    def namespace(self, prefix: Buffer) -> NamespacedClient:
        """A view of the keys under `prefix`, with the methods of a client, over the same connection.

        Raises:
            TypeError: `prefix` is not bytes-like.
        """
        return NamespacedClient(self, [prefix])

    def pipeline(self, *, max_inflight: int | None = None) -> Pipeline:
        """Many calls under way at once: a context manager whose `write`, `read`, `delete` and `exists` give futures.

        Args:
            max_inflight: how many of its calls may be under way at once; ``None`` is as many as the client's option.

        Raises:
            BatchError: on leaving the block: some calls failed.
            ClosedError: the client was closed.
            ConfigurationError: `max_inflight` is less than 1.
        """
        from simdrive.pipeline import Pipeline  # concurrent.futures takes longer to import than all of simdrive

        self._check("pipeline")
        return Pipeline(self, max_inflight)

    def batch_delete(
        self,
        keys: Iterable[Buffer],
        *,
        timeout: float | EllipsisType | None = ...,
        progress: Progress | None = None,
    ) -> None:
        """Removes many keys; no error for those that are absent. Requests share messages, but each key goes by itself.

        Args:
            timeout: the limit of all together.
            progress: called as ``progress(done, total)`` in keys, about ten times a second. What it raises ends the
                call; keys that were not sent then stay.

        Raises:
            BatchError: some keys were not removed, or may not have been; `failed` has their numbers.
        """
        from simdrive.pipeline import Pipeline, TimeLeft, wait_for

        self._check("batch_delete")
        ticks = Ticks(progress)
        wanted = list_of_keys(keys)
        check_buffers(wanted, "key")
        left = TimeLeft(timeout, self.options.timeout)
        calls = Pipeline(self)
        futures = []
        errors = []
        try:
            for key in wanted:
                futures.append(calls.delete(key, timeout=left()))
                ticks.at(calls._done, len(wanted))
            for future in futures:
                errors.append(wait_for(future))
                ticks.at(calls._done, len(wanted))
        except BaseException:
            calls._abandon()
            raise
        failed = {number: error for number, error in enumerate(errors) if isinstance(error, Exception)}
        if failed:
            raise calls._error("batch_delete", "keys", failed, len(errors) - len(failed))
        ticks.end(len(wanted))

    def _split_batch(self, items: Any, max_bytes: Any, timeout: Any, progress: Progress | None) -> None:
        """batch_write() in several requests."""
        from simdrive.pipeline import Parts, Pipeline, TimeLeft, check_max_bytes, wait_for

        self._check("batch_write")
        limit = check_max_bytes(max_bytes)
        check_progress(progress)
        keys, values = keys_and_values(items)
        check_buffers(keys, "key")
        check_buffers(values, "value")
        left = TimeLeft(timeout, self.options.timeout)
        parts = Parts(zip(keys, values, strict=True), limit)
        calls = Pipeline(self)
        try:
            futures = [calls._batch_write(part, left()) for _, part, _ in parts.parts]
            errors = []
            done = 0
            for (_, _, size), future in zip(parts.parts, futures, strict=True):
                errors.append(wait_for(future))
                done += 0 if errors[-1] else size
                if progress is not None:
                    progress(done, parts.size)
        except BaseException:
            calls._abandon()
            raise
        failed, stored = parts.failed(errors)
        if failed:
            raise calls._error("batch_write", "items", failed, stored)

    def _check(self, op: str) -> None:
        """Before a source or an iterable is read in vain."""
        if self.closed:
            raise closed_error(op, self.options.url)

    def mapping(self) -> StoreMapping:
        """The store as a ``MutableMapping`` of bytes to bytes; what needs a list of the keys is not supported."""
        return StoreMapping(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.options,)

    def __del__(self) -> None:
        # Without the slot it was never opened.
        if hasattr(self, "_seen_dialect") and not self.closed:
            warnings.warn(f"unclosed {self!r}; use with, or close()", ResourceWarning, source=self, stacklevel=1)

    def __repr__(self) -> str:
        dialect = f"{self._seen_dialect}, " if self._seen_dialect else ""
        return f"<simdrive.Client {self.options.url} ({dialect}{'closed' if self.closed else 'open'})>"

    def _log_event(self, kind: str, *, detail: str = "", attempt: int = 0, delay: float = 0.0) -> None:
        """Notes what became of the connection: ``"connected"``, ``"lost"`` or ``"retrying"``."""
        if kind == "connected" and detail:
            self._seen_dialect = detail
        log_connection(self.options.url, kind, detail, attempt, delay)


def connect(url: str | None = None, /, **options: Any) -> Client:
    """Opens a client and verifies that a SIMD R Drive server answers (one round trip).

    Args:
        url: ``ws://host[:port][/path]`` or ``ws+unix:///path/of/socket``. Left out: the variable ``SIMDRIVE_URL``, else
            ``ws://127.0.0.1:34129/ws``.
        options: the fields of :class:`Options`.

    Raises:
        ConfigurationError: a malformed URL, or an unknown or impossible option.
        ConnectError: nothing listens there, or the name is unknown.
        ConnectTimeout: no answer within ``connect_timeout``.
        HandshakeError: something else than a WebSocket server answered.
        ProtocolMismatchError: a WebSocket server of another kind, or another dialect than ``wire``.
    """
    return Client(options_for(url, options))


def options_for(url: str | None, options: dict[str, Any]) -> Options:
    """The options that the arguments of `connect` say."""
    if "url" in options:
        raise ConfigurationError('the URL is positional: connect("ws://127.0.0.1:34129/ws"), without url=')
    if url is None:
        url = os.environ.get(_URL_VARIABLE) or Options.url
    known = {field.name for field in fields(Options)} - {"url"}
    unknown = sorted(set(options) - known)
    if unknown:
        raise ConfigurationError(f"unknown option {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    return Options(url=url, **options)


def closed_error(op: str, url: str) -> SimdriveError:
    """What a call of a closed client raises."""
    return make_error(Code.closed, "the client is closed; open a new one", op=op, endpoint=url)


def log_connection(url: str, kind: str, detail: str, attempt: int, delay: float) -> None:
    """Logs what became of a connection: ``"connected"``, ``"lost"`` or ``"retrying"``."""
    if "logging" not in sys.modules:  # nobody can have asked for records, and importing it is slow
        return
    import logging

    root = logging.getLogger("simdrive")
    if not root.handlers:
        root.addHandler(logging.NullHandler())
    logger = logging.getLogger("simdrive.client")
    if kind == "connected":
        logger.info("connected to %s (%s)", url, detail or "dialect unknown")
    elif kind == "lost":
        logger.warning("lost the connection to %s: %s", url, detail)
    elif kind == "retrying":
        logger.info("connecting again to %s in %.3f s (attempt %d): %s", url, delay, attempt, detail)
