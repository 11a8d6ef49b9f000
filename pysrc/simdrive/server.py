"""The server: :class:`Server`, its limits and figures."""

from __future__ import annotations

import atexit
import os
import threading
import time
import warnings
import weakref
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from simdrive import _core
from simdrive.errors import ConfigurationError, SimdriveError
from simdrive.store import Store, open_store

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["Server", "ServerLimits", "ServerOptions", "ServerStats"]

_LOGGER = "simdrive.server"
_KIB, _MIB, _GIB = 1 << 10, 1 << 20, 1 << 30
# Longest time in one call of the core, so that signals are seen.
_SLICE = 0.1


def _number(owner: object, name: str, *, least: float, most: float, whole: bool) -> None:
    value = getattr(owner, name)
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise TypeError(f"{name} must be {'an int' if whole else 'a number'}, not {type(value).__name__}")
    if not least <= value <= most:
        raise ConfigurationError(f"{name} must be from {least:g} to {most:g}, not {value!r}")


@dataclass(frozen=True)
class ServerLimits:
    """What clients may make a server spend. Sizes are bytes, times seconds.

    Attributes:
        max_frame: of a WebSocket frame. Beyond it: Close 1009, before anything is allocated.
        max_message: of a WebSocket message. Beyond it: Close 1009.
        max_request: keys and values of one request. Beyond it: an error reply.
        max_batch_items: keys or entries of a batch. Beyond it: an error reply.
        max_unfinished: received of requests that are not complete, on one connection. Beyond it: Close 1013.
        max_unfinished_total: the same on all connections; ``None``: a quarter of the machine's memory.
        max_streams: requests begun and not ended on one connection. Beyond it: Close 1008.
        max_early_bytes: of frames that came before their turn on one connection. Beyond it: Close 1002.
        max_idle_frames: frames without a request among them. Beyond it: Close 1008.
        reply_queue_soft: replies that wait for one client; beyond it its requests are not read on.
        reply_queue_hard: and beyond this, or when no byte was taken for `stall_timeout`: Close 1013.
        stall_timeout: see there.
        max_connections: at once. Beyond it: HTTP 503.
        reserved_descriptors: left to the rest of the process.
        handshake_timeout: from the first byte to the upgrade. Beyond it: closed.
        max_header_bytes: of the HTTP request. Beyond it: HTTP 431.
        max_headers: of the HTTP request. Beyond it: HTTP 431.
        ping_interval: a client is pinged after this much silence.
        silence_timeout: and cut after this much, with Close 1011.
    """

    max_frame: int = 16 * _MIB
    max_message: int = 64 * _MIB
    max_request: int = _GIB
    max_batch_items: int = 1_000_000
    max_unfinished: int = _GIB + 16 * _MIB
    max_unfinished_total: int | None = None
    max_streams: int = 1024
    max_early_bytes: int = _MIB
    max_idle_frames: int = 100_000
    reply_queue_soft: int = 16 * _MIB
    reply_queue_hard: int = 64 * _MIB
    stall_timeout: float = 10.0
    max_connections: int = 1024
    reserved_descriptors: int = 32
    handshake_timeout: float = 5.0
    max_header_bytes: int = 16 * _KIB
    max_headers: int = 64
    ping_interval: float = 5.0
    silence_timeout: float = 15.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name == "max_unfinished_total" and self.max_unfinished_total is None:
                continue
            if field.type == "float":
                _number(self, field.name, least=0.001, most=86400.0, whole=False)
            else:
                small = field.name in ("max_streams", "max_connections", "max_header_bytes", "max_headers")
                least = 0 if field.name == "reserved_descriptors" else 1
                _number(self, field.name, least=least, most=2**31 - 1 if small else 2**62, whole=True)


@dataclass(frozen=True)
class ServerOptions:
    """Where and how a server listens.

    Attributes:
        host: a name or an address. Any but a loopback address needs `insecure`.
        port: 0: a free one.
        unix_path: listen at this path instead, for ``ws+unix://`` URLs; not on Windows.
        path: of the WebSocket.
        insecure: serve others than this machine, though nobody is asked who they are; warns on every start.
        origins: values of ``Origin`` that are let in; requests of other web pages are refused.
        hosts: names that ``Host`` may have besides those of this machine, while bound to a loopback address.
        threads: that serve; ``None``: as many as the machine has cores, at most 8.
        status: answer ``/healthz`` and ``/status``.
        limits: see :class:`ServerLimits`.
    """

    host: str = "127.0.0.1"
    port: int = 0
    unix_path: str | None = None
    path: str = "/ws"
    insecure: bool = False
    origins: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    threads: int | None = None
    status: bool = True
    limits: ServerLimits = ServerLimits()

    def __post_init__(self) -> None:
        for name in ("host", "path"):
            if not isinstance(getattr(self, name), str):
                raise TypeError(f"{name} must be a str, not {type(getattr(self, name)).__name__}")
        for name in ("insecure", "status"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} must be a bool, not {type(getattr(self, name)).__name__}")
        for name in ("origins", "hosts"):
            if not all(isinstance(item, str) for item in getattr(self, name)):
                raise TypeError(f"{name} must be strings")
        if not isinstance(self.limits, ServerLimits):
            raise TypeError(f"limits must be ServerLimits, not {type(self.limits).__name__}")
        _number(self, "port", least=0, most=65535, whole=True)
        if self.threads is not None:
            _number(self, "threads", least=1, most=256, whole=True)


@dataclass(frozen=True)
class ServerStats:
    """Of a server since its start, or now.

    Attributes:
        connections: now.
        accepted: connections since the start.
        refused: of them, before the upgrade: 403, 404, 503 and the like.
        cut: of them, for a limit.
        requests: calls answered.
        errors: of them, with an error.
        bytes_received: HTTP and WebSocket included.
        bytes_sent: the same.
        entries: live keys of the store.
        file_size: bytes of the store's file.
        uptime: seconds since the start.
        latency_p50: seconds from the last byte of a request to its reply's being ready, lately: half took less.
        latency_p99: 99 of 100 took less.
    """

    connections: int
    accepted: int
    refused: int
    cut: int
    requests: int
    errors: int
    bytes_received: int
    bytes_sent: int
    entries: int
    file_size: int
    uptime: float
    latency_p50: float
    latency_p99: float

    def to_dict(self) -> dict[str, Any]:
        """The same as a dict."""
        return asdict(self)


class Server:
    """Serves a store to clients of SIMD R Drive, of both frame dialects at once; safe to share between threads.

    The threads that serve never touch Python. What happens is logged to the logger ``simdrive.server`` by one thread of
    Python's, whose handlers may call `stop`. Values are never logged, keys only as their first 16 bytes in an error.

    Nobody is asked who they are: a server listens to this machine only, unless `insecure` says otherwise, and refuses
    web pages. After ``fork()`` the server is the parent's alone. One that is collected while it runs gives a
    ``ResourceWarning``; when Python ends, servers stop.

    Args:
        store: an open :class:`simdrive.Store` or :class:`simdrive.MemoryStore`, which may be used here meanwhile, or
            the path or URL of one, which is opened by `start` and closed by `stop`.
        host: a name or an address to listen at.
        port: 0: a free one, see `port`.
        max_connections: at once; overrides the limit of that name.
        options: those of :class:`ServerOptions`.

    Raises:
        ConfigurationError: an option is out of range.

    >>> with simdrive.MemoryStore() as store, simdrive.Server(store) as server:  # doctest: +SKIP
    ...     client = simdrive.connect(server.url)
    """

    def __init__(
        self,
        store: Store | str | os.PathLike[str],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        unix_path: str | os.PathLike[str] | None = None,
        path: str = "/ws",
        insecure: bool = False,
        origins: Iterable[str] = (),
        hosts: Iterable[str] = (),
        threads: int | None = None,
        status: bool = True,
        max_connections: int | None = None,
        limits: ServerLimits | None = None,
    ) -> None:
        self._core: _core.Server | None = None
        self._owned: Store | None = None
        self._lock = threading.Lock()
        for name, value in (("origins", origins), ("hosts", hosts)):
            if isinstance(value, (str, bytes)):
                raise TypeError(f"{name} must be several strings, not one")
        limits = ServerLimits() if limits is None else limits
        if max_connections is not None:
            limits = replace(limits, max_connections=max_connections)
        if not isinstance(store, (Store, str, os.PathLike)):
            raise TypeError(f"store must be a Store, a path or a URL, not {type(store).__name__}")
        self._store = store
        self.options = ServerOptions(
            host=host,
            port=port,
            unix_path=None if unix_path is None else os.fsdecode(unix_path),
            path=path,
            insecure=insecure,
            origins=tuple(origins),
            hosts=tuple(hosts),
            threads=threads,
            status=status,
            limits=limits,
        )

    def start(self) -> Self:
        """Opens the store, if it was given by name, and listens. ``with`` does so, too.

        Raises:
            BindError: the address is taken, not permitted, or not one of this machine.
            ConfigurationError: an address that needs `insecure`, or a path that is none.
            StoreError: and its subclasses, as of :class:`simdrive.Store`.
        """
        with self._lock:
            if self._core is not None:
                raise SimdriveError(f"serve: this server was started already, at {self._core.url}; make another one")
            store, owned = self._opened()
            try:
                self._core = _core.Server(store, self.options)
            except BaseException:
                if owned is not None:
                    owned.close()
                raise
            self._owned = owned
        if self.options.insecure:
            warnings.warn(
                f"{self._core.url} is served to whoever reaches it: nobody is asked who they are",
                UserWarning,
                stacklevel=2,
            )
        _running.add(self)
        core = self._core
        threading.Thread(target=_log, args=(core,), name="simdrive-server-log", daemon=True).start()
        return self

    def _opened(self) -> tuple[Store, Store | None]:
        if isinstance(self._store, Store):
            return self._store, None
        opened = open_store(self._store)
        if not isinstance(opened, Store):
            opened.close()
            raise ConfigurationError(f"serve: {os.fspath(self._store)} is no store but another server's URL")
        return opened, opened

    def stop(self, *, timeout: float = 5.0) -> None:
        """Takes no more requests, answers those that were begun, flushes the store, and says goodbye to the clients.

        Idempotent. A store that was given open stays open.

        Args:
            timeout: seconds, after which connections are cut.

        Raises:
            OperationTimeout: some had to be cut. The server has stopped all the same.
        """
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
            raise TypeError(f"timeout must be a number of seconds, not {type(timeout).__name__}")
        if not 0 <= timeout <= 86400:
            raise ConfigurationError(f"stop: timeout must be from 0 to 86400 seconds, not {timeout!r}")
        core = self._core
        if core is None:
            return
        _running.discard(self)
        try:
            core.stop(timeout)
        finally:
            with self._lock:
                owned, self._owned = self._owned, None
            if owned is not None:
                owned.close()

    def __enter__(self) -> Self:
        return self if self._core is not None else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def wait(self, timeout: float | None = None) -> bool:
        """Sleeps until the server has stopped, at most `timeout` seconds: whether it has. Signals are handled."""
        core = self._started()
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            left = _SLICE if until is None else min(_SLICE, until - time.monotonic())
            if core.wait(max(left, 0.0)):
                return True
            if until is not None and time.monotonic() >= until:
                return False

    @property
    def url(self) -> str:
        """``ws://127.0.0.1:34129/ws``, for :func:`simdrive.connect`, also after the server has stopped."""
        return self._started().url

    @property
    def port(self) -> int:
        """The port; 0 for a path."""
        return self._started().port

    @property
    def running(self) -> bool:
        """Whether it was started and has not stopped."""
        return self._core is not None and self._core.running

    def stats(self) -> ServerStats:
        """What it has done so far."""
        return ServerStats(*self._started().stats())

    def _started(self) -> _core.Server:
        if self._core is None:
            raise SimdriveError("this server was not started: use with, or start()")
        return self._core

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a Server cannot be pickled: it runs in this process")

    def __del__(self) -> None:
        if getattr(self, "_core", None) is not None and self.running:
            warnings.warn(f"unstopped {self!r}; use with, or stop()", ResourceWarning, source=self, stacklevel=1)
            self.stop(timeout=1.0)

    def __repr__(self) -> str:
        if self._core is None:
            return f"<simdrive.Server of {self._store} (not started)>"
        return f"<simdrive.Server {self._core.url} ({'running' if self.running else 'stopped'})>"


_running: weakref.WeakSet[Server] = weakref.WeakSet()


@atexit.register
def _stop_all() -> None:
    for server in list(_running):
        if server.running:
            try:
                server.stop(timeout=1.0)
            except SimdriveError:
                continue  # those who were cut will see it


def _log(core: _core.Server) -> None:
    import logging

    levels = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)
    logger = logging.getLogger(_LOGGER)
    while True:
        line = core.take_log(_SLICE * 10)
        if line == ():
            return
        if not line:
            continue
        level, event, message, peer = line
        logger.log(
            levels[level], "%s%s", f"{peer}: " if peer else "", message, extra={"event": event, "peer": peer or None}
        )
