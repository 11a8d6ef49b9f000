"""The server: :class:`Server`, its limits and figures."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import time
import warnings
import weakref
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
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
_DAY, _AGES, _NO_END = 86400.0, 1e9, float("inf")


def _number(owner: object, name: str, *, least: float, most: float, whole: bool) -> None:
    value = getattr(owner, name)
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise TypeError(f"{name} must be {'an int' if whole else 'a number'}, not {type(value).__name__}")
    if not least <= value <= most:
        raise ConfigurationError(f"{name} must be from {least:g} to {most:g}, not {value!r}")


def _seconds(op: str, timeout: object, most: float) -> float:
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise TypeError(f"timeout must be a number of seconds, not {type(timeout).__name__}")
    if not 0 <= timeout <= most:  # nor not-a-number
        upto = "at least 0 seconds" if most == _NO_END else f"from 0 to {most:g} seconds"
        raise ConfigurationError(f"{op}: timeout must be {upto}, not {timeout!r}")
    return timeout


def _text(name: str, value: str) -> None:
    """Refuses what no name, address or header can be: the core takes UTF-8, and the system stops at a zero byte."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(f"{name} must be text that can be written as UTF-8, not {value!r}") from None
    if "\0" in value:
        raise ConfigurationError(f"{name} must not have a zero byte: {value!r}")


# Limits that have 32 bits.
_SMALL = ("max_streams", "max_connections", "reserved_descriptors", "max_header_bytes", "max_headers")


@dataclass(frozen=True)
class ServerLimits:
    """What clients may make a server spend. Sizes are bytes, times seconds.

    Attributes:
        max_frame: of a WebSocket frame. Beyond it: Close 1009, before anything is allocated.
        max_message: of a WebSocket message. Beyond it: Close 1009.
        max_request: keys and values of one request. Beyond it: an error reply.
        max_batch_items: keys or entries of a batch. Beyond it: an error reply.
        max_unfinished: received of requests that are not complete, on one connection. Beyond it: Close 1013.
        max_unfinished_total: the same on all connections, with what requests stand for when they are unpacked, and what
            is kept of large ones until their replies are taken; ``None``: a quarter of the machine's memory. Beyond it:
            not read on, then Close 1013, or an error reply.
        max_streams: requests begun and not ended on one connection. Beyond it: Close 1008.
        max_early_bytes: of frames that came before their turn on one connection. Beyond it: Close 1002.
        max_idle_frames: frames without a request among them. Beyond it: Close 1008.
        reply_queue_soft: replies that wait for one client. Beyond it: its requests are not read on, nor carried out.
        reply_queue_hard: the same. Beyond it: cut. Must not be less, and more than 1.2 MiB more is never made: equal to
            `reply_queue_soft`, it cuts clients that take nothing before `stall_timeout` does.
        stall_timeout: without a byte of a waiting reply taken. Beyond it: cut.
        max_connections: at once. Beyond it: HTTP 503.
        reserved_descriptors: left to the rest of the process.
        handshake_timeout: from the connection to its upgrade. Beyond it: closed.
        max_header_bytes: of the HTTP request. Beyond it: HTTP 431.
        max_headers: of the HTTP request. Beyond it: HTTP 431.
        ping_interval: a client is pinged after this much silence.
        silence_timeout: and cut after this much, with Close 1011.
    """

    max_frame: int = 16 * _MIB
    max_message: int = 64 * _MIB
    max_request: int = _GIB + 2 * _MIB
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
                small = field.name in _SMALL
                least = 0 if field.name == "reserved_descriptors" else 1
                _number(self, field.name, least=least, most=2**31 - 1 if small else 2**62, whole=True)


@dataclass(frozen=True)
class ServerOptions:
    """Where and how a server listens.

    Attributes:
        host: a name or an address, IPv6 ones also in brackets. Any but a loopback address needs `insecure`.
        port: 0: a free one.
        unix_path: listen at this path instead, for ``ws+unix://`` URLs; not on Windows. It is made absolute.
        path: of the WebSocket.
        insecure: serve others than this machine, though nobody is asked who they are; warns on every start, unless it
            listens at a `unix_path`, which is its owner's alone.
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
            _text(name, getattr(self, name))
        for name in ("insecure", "status"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} must be a bool, not {type(getattr(self, name)).__name__}")
        for name in ("origins", "hosts"):
            if not all(isinstance(item, str) for item in getattr(self, name)):
                raise TypeError(f"{name} must be strings")
            for item in getattr(self, name):
                _text(name, item)
        if not isinstance(self.limits, ServerLimits):
            raise TypeError(f"limits must be ServerLimits, not {type(self.limits).__name__}")
        _number(self, "port", least=0, most=65535, whole=True)
        if self.threads is not None:
            _number(self, "threads", least=1, most=256, whole=True)
        if self.host.startswith("[") and self.host.endswith("]"):  # as in a URL
            object.__setattr__(self, "host", self.host[1:-1])
        if self.unix_path is not None:
            self._check_unix_path(self.unix_path)

    def _check_unix_path(self, path: str) -> None:
        if not isinstance(path, str):
            raise TypeError(f"unix_path must be a str or None, not {type(path).__name__}")
        if not path or "\0" in path:
            raise ConfigurationError(
                f"unix_path must be the path of a socket, not {path!r}; leave it out to listen at a port"
            )
        # Clients are told of it, who may be in other folders.
        object.__setattr__(self, "unix_path", str(Path(path).absolute()))


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
        file_size: bytes of the file that the store has, also once its path leads elsewhere.
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
        self._lock = threading.RLock()  # a signal's handler may stop what is being started
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
            options = self.options
            if options.insecure and options.unix_path is None:
                warnings.warn(  # before anybody can connect: it may be an exception
                    f"{options.host}:{options.port} is served to whoever reaches it: nobody is asked who they are",
                    UserWarning,
                    stacklevel=2,
                )
            store, owned = self._opened()
            try:
                self._core = _core.Server(store, options)
            except BaseException as error:
                if owned is not None:
                    owned.close()
                if isinstance(error, ConfigurationError):  # the option's name in C++
                    error.args = (str(error).replace("set insecure_bind", "give insecure=True"),)
                raise
            self._owned = owned
            core = self._core
        _running.add(self)
        try:
            threading.Thread(target=_log, args=(core,), name="simdrive-server-log", daemon=True).start()
        except BaseException as error:
            with contextlib.suppress(SimdriveError):
                self._end(0.0, interruptible=False)
            self._core = None
            if isinstance(error, RuntimeError):
                raise SimdriveError(
                    f"serve: no thread can be had for the log: {error}; end some and try again"
                ) from error
            raise
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

        Idempotent. Calls at the same time end together, after the shortest of their timeouts. An exception that a
        signal raises meanwhile, such as ``KeyboardInterrupt``, cuts the connections at once, and comes when the server
        has stopped. A store that was given open stays open.

        Args:
            timeout: seconds, after which connections are cut; from 0 to 86400.

        Raises:
            OperationTimeout: some had to be cut. The server has stopped all the same.
            ConfigurationError: `timeout` is out of range. The server goes on.
            StorageFullError, StoreError: it has stopped, but what was written last may not be on the disk.
        """
        seconds = _seconds("stop", timeout, _DAY)
        if self._core is not None:
            self._end(seconds, interruptible=threading.current_thread() is threading.main_thread())

    def _end(self, timeout: float, *, interruptible: bool) -> None:
        core = self._started()
        _running.discard(self)
        try:
            if interruptible:
                _stop_interruptibly(core, timeout)
            else:
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
        if not self._started().wait(0.0):  # else whoever stopped it was told how that went
            self.stop()

    def wait(self, timeout: float | None = None) -> bool:
        """Sleeps until the server has stopped: whether it has. Signals are handled.

        Args:
            timeout: at most so many seconds, 0 or more; ``None``: as long as it takes.

        Raises:
            ConfigurationError: `timeout` is out of range.
            SimdriveError: the server was not started.
        """
        core = self._started()
        until = None if timeout is None else time.monotonic() + min(_seconds("wait", timeout, _NO_END), _AGES)
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
            self._end(1.0, interruptible=False)

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
                server._end(1.0, interruptible=False)
            except SimdriveError:
                continue  # those who were cut will see it


def _stop_interruptibly(core: _core.Server, timeout: float) -> None:
    """For the main thread, which handles signals between calls of the core: another one makes the call that waits."""
    failed: list[BaseException] = []
    ended = threading.Event()

    def run() -> None:
        try:
            core.stop(timeout)
        except BaseException as error:
            failed.append(error)
        finally:
            ended.set()

    try:
        try:
            threading.Thread(target=run, name="simdrive-server-stop", daemon=True).start()
        except RuntimeError:  # no more threads, or none any more because Python ends
            run()
        while not ended.wait(_SLICE):  # on Windows a signal is seen only in between
            pass
    except BaseException:
        with contextlib.suppress(SimdriveError):
            core.stop(0.0)
        raise
    if failed:
        raise failed.pop()


def _log(core: _core.Server) -> None:
    import logging

    levels = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)
    logger = logging.getLogger(_LOGGER)
    told = False
    while True:
        line = core.take_log(_SLICE * 10)
        if line == ():
            return
        if not line:
            continue
        level, event, message, peer = line
        try:
            logger.log(
                levels[level],
                "%s%s",
                f"{peer}: " if peer else "",
                message,
                extra={"event": event, "peer": peer or None},
            )
        except BaseException:  # of a filter or a handler of the program's: the next record may go well
            if not told:
                told = True
                _tell_of_failure()


def _tell_of_failure() -> None:
    """What Python does about an exception that ends a thread, for one that goes on."""
    args = threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread()))
    with contextlib.suppress(Exception):  # the program's own hook fails, too: there is nobody left to tell
        threading.excepthook(args)
