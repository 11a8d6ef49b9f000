"""A TCP proxy between a client and a real server that fails as networks do, when and how a test says.

One thread moves the bytes and alone touches the sockets. The faults are methods: each returns when the proxy has done
it, or works by it from now on. Direction "up" is from the client to the server, "down" the other way, "both" both.

TCP never loses bytes from the middle of a stream, and neither does this proxy: a direction that swallowed bytes passes
nothing more, and the end of the silence resets its connection, as a network does that has forgotten it.
"""

from __future__ import annotations

import contextlib
import errno
import selectors
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Literal

from .ports import HOST

Direction = Literal["up", "down", "both"]
Way = Literal["up", "down"]
Ending = Literal["reset", "close", "silence"]
Admission = Literal["forward", "refuse", "close", "reset", "hold"]

_WAYS: tuple[Way, ...] = ("up", "down")
_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
_PIECE = 1 << 16
_HIGH_WATER = 1 << 18  # bytes kept in one direction before its sender has to wait
_TICK = 0.02  # a limited bandwidth is given out in portions of this time


def _ways(direction: Direction) -> tuple[Way, ...]:
    return _WAYS if direction == "both" else (direction,)


@dataclass
class Faults:
    """What is done to the bytes of one direction."""

    latency: float = 0.0
    bandwidth: float | None = None
    slice_size: int | None = None
    silent: bool = False
    stalled: bool = False


@dataclass
class Traffic:
    """Bytes of one direction, and how many of its streams their sender has ended, over all connections."""

    received: int = 0
    passed: int = 0
    swallowed: int = 0
    ends: int = 0


@dataclass
class _Pipe:
    """One direction of one connection."""

    way: Way
    source: socket.socket
    target: socket.socket
    queue: deque[tuple[float, memoryview]] = field(default_factory=deque)
    queued: int = 0
    not_before: float = 0.0
    budget: int | None = None
    ending: Ending = "reset"
    ended: bool = False  # the source said that nothing more comes
    finished: bool = False  # and the target was told, or is gone
    lost: bool = False  # bytes were swallowed: nothing behind them may pass

    def wants_input(self, faults: Faults) -> bool:
        return not self.ended and not faults.stalled and (self.queued < _HIGH_WATER or self.lost)

    def due(self, now: float, faults: Faults) -> float | None:
        """Seconds until bytes may be sent; None: nothing to send."""
        if self.finished or faults.stalled or not self.queue:
            return None
        return max(0.0, self.queue[0][0] - now, self.not_before - now)

    def may_finish(self, faults: Faults) -> bool:
        held_back = faults.stalled or faults.silent or self.lost
        return self.ended and not self.finished and not self.queue and not held_back

    def is_broken(self) -> bool:
        """Whether bytes went or would go missing."""
        return self.lost or (self.finished and not self.ended)

    def take(self, size: int) -> None:
        due, data = self.queue.popleft()
        if size < len(data):
            self.queue.appendleft((due, data[size:]))
        self.queued -= size

    def drop(self) -> int:
        dropped, self.queued = self.queued, 0
        self.queue.clear()
        return dropped


class _Link:
    """One connection through the proxy."""

    def __init__(self, client: socket.socket, server: socket.socket | None) -> None:
        self.client = client
        self.server = server
        self.connecting = server is not None
        self.pipes: dict[Way, _Pipe] = {}
        if server is not None:
            self.pipes = {"up": _Pipe("up", client, server), "down": _Pipe("down", server, client)}

    def sockets(self) -> list[socket.socket]:
        return [self.client] if self.server is None else [self.client, self.server]


class FaultProxy:
    """Listens on a free port from entry to exit and passes connections on to `port`, with the faults of the moment."""

    def __init__(self, port: int, *, host: str = HOST) -> None:
        self._target = (host, port)
        self._faults: dict[Way, Faults] = {way: Faults() for way in _WAYS}
        self._traffic: dict[Way, Traffic] = {way: Traffic() for way in _WAYS}
        self._later_cut: tuple[Way, int, Ending] | None = None
        self._admission: Admission = "forward"
        self._links: list[_Link] = []
        self._accepted: list[float] = []
        self._changed = threading.Condition()
        self._orders: deque[Callable[[], None]] = deque()
        self._stopping = False
        self._error: BaseException | None = None
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = socket.socketpair()
        self._listener = _listen(0)
        self.port = int(self._listener.getsockname()[1])
        self.url = f"ws://{HOST}:{self.port}/ws"
        for sock in (self._wake_read, self._wake_write, self._listener):
            sock.setblocking(False)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="fault proxy", daemon=True)

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop, with every connection reset. Raises what went wrong in the proxy itself, if anything did."""
        if self._thread.is_alive():

            def stop() -> None:
                self._stopping = True

            self._order(stop)
            self._thread.join(timeout=5)
        if self._thread.is_alive():
            raise RuntimeError("the proxy's thread does not end")
        if self._error is not None:
            raise RuntimeError("the proxy failed") from self._error

    # ---- faults of the bytes ------------------------------------------------------------------------------------

    def set_latency(self, seconds: float, direction: Direction = "both") -> None:
        """Every byte arrives this much later."""
        self._set(direction, "latency", seconds)

    def set_bandwidth(self, bytes_per_second: float | None, direction: Direction = "both") -> None:
        """No more than this passes, on each connection. None: no limit."""
        self._set(direction, "bandwidth", bytes_per_second)

    def set_slicing(self, size: int | None, direction: Direction = "both") -> None:
        """Bytes pass in pieces of at most this size, each sent by itself. None: as they come."""
        self._set(direction, "slice_size", size)

    def silence(self, direction: Direction = "both") -> None:
        """Swallow everything, also the end of the stream, and keep the sockets open."""
        self._set(direction, "silent", True)

    def stall(self, direction: Direction = "both") -> None:
        """Pass nothing and take nothing until `heal`, when it goes on where it stopped: nothing is lost."""
        self._set(direction, "stalled", True)

    def cut_after(self, size: int, way: Way, *, then: Ending = "reset", later: bool = False) -> None:
        """End each open connection when `size` more bytes have passed in this direction; 0: with the next byte.

        `later`: every connection that is made from now on, too, counted from its start.
        """

        def act() -> None:
            for link in self._links:
                if way in link.pipes:
                    link.pipes[way].budget = size
                    link.pipes[way].ending = then
            if later:
                self._later_cut = (way, size, then)

        self._order(act)

    # ---- faults of the connections ------------------------------------------------------------------------------

    def reset(self) -> None:
        """RST to both ends of every open connection."""

        def act() -> None:
            for link in list(self._links):
                self._abort(link)

        self._order(act)

    def half_close(self, side: Literal["client", "server"]) -> None:
        """FIN to one side of every open connection; what that side says still arrives."""
        way: Way = "down" if side == "client" else "up"

        def act() -> None:
            for link in self._links:
                if way in link.pipes:
                    pipe = link.pipes[way]
                    self._traffic[way].swallowed += pipe.drop()
                    self._finish(pipe)

        self._order(act)

    def admit(self, how: Admission) -> None:
        """What becomes of new connections.

        "forward": passed on. "refuse": nobody listens. "close" and "reset": accepted and ended at once. "hold":
        accepted, and nothing else ever happens.
        """

        def act() -> None:
            if (how == "refuse") != (self._admission == "refuse"):
                if self._admission != "refuse":
                    self._selector.unregister(self._listener)
                self._listener.close()
                # A bound socket that does not listen refuses connections, and keeps the port for us.
                self._listener = _bind(self.port) if how == "refuse" else _listen(self.port)
                self._listener.setblocking(False)
                if how != "refuse":
                    self._selector.register(self._listener, selectors.EVENT_READ)
            self._admission = how

        self._order(act)

    def refuse(self) -> None:
        """Reset what is open, and let nobody in."""
        self.admit("refuse")
        self.reset()

    def heal(self) -> None:
        """The end of all faults. Connections that can never be whole again are reset."""
        self.admit("forward")

        def act() -> None:
            self._faults = {way: Faults() for way in _WAYS}
            self._later_cut = None
            for link in list(self._links):
                if link.server is None or any(pipe.is_broken() for pipe in link.pipes.values()):
                    self._abort(link)
                for pipe in link.pipes.values():
                    pipe.budget = None

        self._order(act)

    # ---- what has happened --------------------------------------------------------------------------------------

    @property
    def connections(self) -> int:
        """Connections accepted since the start."""
        return len(self._accepted)

    @property
    def accept_times(self) -> list[float]:
        """When, on the clock of `time.monotonic`."""
        return list(self._accepted)

    @property
    def open_connections(self) -> int:
        """Connections of this moment."""
        with self._changed:
            return len(self._links)

    def traffic(self, way: Way) -> Traffic:
        """The bytes so far, as a copy."""
        with self._changed:
            counted = self._traffic[way]
            return replace(counted)

    def wait_for_connections(self, count: int, *, timeout: float = 5.0) -> None:
        """Until so many were accepted since the start. Raises TimeoutError."""
        self._wait(lambda: self.connections >= count, timeout, f"{count} connections")

    def wait_for_open(self, count: int, *, timeout: float = 5.0) -> None:
        """Until exactly so many are open. Raises TimeoutError."""
        self._wait(lambda: len(self._links) == count, timeout, f"{count} open connections")

    def wait_for_bytes(self, count: int, way: Way = "up", *, timeout: float = 5.0, swallowed: bool = False) -> None:
        """Until so many bytes were passed on since the start, or swallowed ones included. Raises TimeoutError."""

        def enough() -> bool:
            counted = self._traffic[way]
            return counted.passed + (counted.swallowed if swallowed else 0) >= count

        self._wait(enough, timeout, f"{count} bytes {way}")

    def wait_for_ends(self, count: int, way: Way = "up", *, timeout: float = 5.0) -> None:
        """Until so many streams in this direction were ended by their sender. Raises TimeoutError."""
        self._wait(lambda: self._traffic[way].ends >= count, timeout, f"{count} ends {way}")

    def _wait(self, condition: Callable[[], bool], timeout: float, what: str) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: self._error is not None or condition(), timeout):
                raise TimeoutError(f"{what}: not within {timeout:g} s")
        if self._error is not None:
            raise RuntimeError("the proxy failed") from self._error

    # ---- orders to the thread -----------------------------------------------------------------------------------

    def _set(self, direction: Direction, name: str, value: object) -> None:
        def act() -> None:
            for way in _ways(direction):
                setattr(self._faults[way], name, value)

        self._order(act)

    def _order(self, act: Callable[[], None]) -> None:
        """Have the thread do something, and wait until it is done."""
        done = threading.Event()
        failed: list[BaseException] = []

        def carry_out() -> None:
            try:
                act()
            except BaseException as error:
                failed.append(error)
                raise
            finally:
                done.set()

        if not self._thread.is_alive():
            raise RuntimeError("the proxy does not run") from self._error
        self._orders.append(carry_out)
        with contextlib.suppress(BlockingIOError):
            self._wake_write.send(b"\0")
        if not done.wait(timeout=10):
            raise RuntimeError("the proxy's thread does not answer") from self._error
        if failed:
            raise RuntimeError("the proxy failed") from failed[0]

    # ---- the thread ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._turn()
        except BaseException as error:
            self._error = error
        finally:
            for link in list(self._links):
                self._abort(link)
            for sock in (self._listener, self._wake_read, self._wake_write):
                sock.close()
            self._selector.close()
            with self._changed:
                self._changed.notify_all()

    def _turn(self) -> None:
        for key, events in self._selector.select(self._arm()):
            if key.fileobj is self._wake_read:
                self._obey()
            elif key.fileobj is self._listener:
                self._accept()
            elif key.data in self._links:  # an earlier event of this turn may have ended it
                assert isinstance(key.fileobj, socket.socket)
                self._serve(key.data, key.fileobj, events)

    def _obey(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake_read.recv(4096)
        while self._orders:
            self._orders.popleft()()

    def _arm(self) -> float | None:
        """Ask the selector for what each link needs now; the time until one needs something else."""
        now = time.monotonic()
        soonest: float | None = None
        for link in list(self._links):
            for sock, events, wait in self._needs(link, now):
                if wait is not None and (soonest is None or wait < soonest):
                    soonest = wait
                self._register(sock, events, link)
        return soonest

    def _needs(self, link: _Link, now: float) -> Iterator[tuple[socket.socket, int, float | None]]:
        if link.connecting and link.server is not None:
            yield link.client, 0, None
            yield link.server, selectors.EVENT_WRITE, None
            return
        if link.server is None:
            yield link.client, selectors.EVENT_READ, None
            return
        for pipe, opposite in ((link.pipes["up"], link.pipes["down"]), (link.pipes["down"], link.pipes["up"])):
            events = selectors.EVENT_READ if pipe.wants_input(self._faults[pipe.way]) else 0
            wait = opposite.due(now, self._faults[opposite.way])
            if wait == 0 or opposite.may_finish(self._faults[opposite.way]):
                events |= selectors.EVENT_WRITE
                wait = None
            yield pipe.source, events, wait

    def _register(self, sock: socket.socket, events: int, link: _Link) -> None:
        known = self._selector.get_map().get(sock)
        if known is None:
            if events:
                self._selector.register(sock, events, link)
        elif not events:
            self._selector.unregister(sock)
        elif known.events != events:
            self._selector.modify(sock, events, link)

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        with self._changed:
            self._accepted.append(time.monotonic())
            if self._admission in {"forward", "hold"}:
                self._links.append(self._link(client))
            self._changed.notify_all()
        if self._admission == "close":
            client.close()
        elif self._admission == "reset":
            _reset(client)

    def _link(self, client: socket.socket) -> _Link:
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = _Link(client, None if self._admission == "hold" else self._connect())
        if self._later_cut is not None and link.pipes:
            way, size, ending = self._later_cut
            link.pipes[way].budget, link.pipes[way].ending = size, ending
        return link

    def _connect(self) -> socket.socket:
        server = socket.socket()
        server.setblocking(False)
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server.connect_ex(self._target)  # how it went is asked when the socket becomes writable
        return server

    def _serve(self, link: _Link, sock: socket.socket, events: int) -> None:
        if link.connecting and link.server is not None:
            if link.server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0:
                self._abort(link)
            link.connecting = False
            return
        try:
            if link.server is None:
                if not link.client.recv(_PIECE):
                    self._abort(link)
                return
            up, down = link.pipes["up"], link.pipes["down"]
            inward, outward = (up, down) if sock is link.client else (down, up)
            if events & selectors.EVENT_WRITE:
                self._send(link, outward)
            if events & selectors.EVENT_READ and link in self._links:
                self._receive(inward)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno not in {errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT, errno.ECONNABORTED, errno.ENOTCONN}:
                raise
            self._lose(link, sock)
            return
        if all(pipe.ended and pipe.finished for pipe in link.pipes.values()):
            self._close(link)

    def _lose(self, link: _Link, sock: socket.socket) -> None:
        """One end is gone with a reset. The other hears of it, unless silence swallows that, too."""
        way: Way = "up" if sock is link.client else "down"
        with self._changed:
            self._traffic[way].ends += not link.pipes[way].ended
            self._changed.notify_all()
        if self._faults[way].silent or link.pipes[way].lost:
            link.pipes[way].ended = link.pipes[way].lost = True
            back = link.pipes["down" if way == "up" else "up"]
            back.drop()
            back.finished = True
        else:
            self._abort(link)

    def _receive(self, pipe: _Pipe) -> None:
        data = pipe.source.recv(_PIECE)
        if _QUICKACK is not None:  # else a sender without TCP_NODELAY waits 40 ms for each acknowledgement
            pipe.source.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
        faults = self._faults[pipe.way]
        with self._changed:
            self._traffic[pipe.way].received += len(data)
            if not data:
                self._traffic[pipe.way].ends += 1
                pipe.ended = True
                pipe.lost = pipe.lost or faults.silent
            elif faults.silent or pipe.lost or pipe.finished:
                pipe.lost = pipe.lost or not pipe.finished
                self._traffic[pipe.way].swallowed += len(data)
            else:
                pipe.queue.append((time.monotonic() + faults.latency, memoryview(data)))
                pipe.queued += len(data)
            self._changed.notify_all()

    def _send(self, link: _Link, pipe: _Pipe) -> None:
        faults = self._faults[pipe.way]
        if faults.silent and pipe.queue:
            pipe.lost = True
            with self._changed:
                self._traffic[pipe.way].swallowed += pipe.drop()
                self._changed.notify_all()
        now = time.monotonic()
        sent_now = 0
        # One slice, or one portion of the bandwidth, for each turn; without either what the socket takes.
        while pipe.due(now, faults) == 0 and not (sent_now and (faults.slice_size or faults.bandwidth)):
            if pipe.budget == 0:
                self._cut(link, pipe)
                return
            with self._changed:  # whoever has seen the bytes finds them counted
                size = pipe.target.send(pipe.queue[0][1][: self._allowance(pipe, faults)])
                self._traffic[pipe.way].passed += size
                self._changed.notify_all()
            pipe.take(size)
            sent_now += size
            if pipe.budget is not None:
                pipe.budget -= size
            if faults.bandwidth:
                pipe.not_before = max(now, pipe.not_before) + size / faults.bandwidth
        if pipe.budget == 0 and sent_now:
            self._cut(link, pipe)
        elif pipe.may_finish(faults):
            self._finish(pipe)

    @staticmethod
    def _allowance(pipe: _Pipe, faults: Faults) -> int:
        sizes = [_PIECE]
        if faults.slice_size:
            sizes.append(faults.slice_size)
        if faults.bandwidth:
            sizes.append(max(1, int(faults.bandwidth * _TICK)))
        if pipe.budget is not None:
            sizes.append(pipe.budget)
        return min(sizes)

    def _cut(self, link: _Link, pipe: _Pipe) -> None:
        pipe.budget = None
        if pipe.ending == "silence":
            pipe.lost = True
            with self._changed:
                self._traffic[pipe.way].swallowed += pipe.drop()
                self._changed.notify_all()
        elif pipe.ending == "reset":
            self._abort(link)
        else:
            self._close(link)

    @staticmethod
    def _finish(pipe: _Pipe) -> None:
        pipe.finished = True
        with contextlib.suppress(OSError):
            pipe.target.shutdown(socket.SHUT_WR)

    def _abort(self, link: _Link) -> None:
        self._forget(link, _reset)

    def _close(self, link: _Link) -> None:
        self._forget(link, socket.socket.close)

    def _forget(self, link: _Link, end: Callable[[socket.socket], None]) -> None:
        for sock in link.sockets():
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(sock)
            end(sock)
        self._links.remove(link)
        self._note()

    def _note(self) -> None:
        with self._changed:
            self._changed.notify_all()


def _bind(port: int) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((HOST, port))
    return sock


def _listen(port: int) -> socket.socket:
    sock = _bind(port)
    sock.listen(128)
    return sock


def _reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
