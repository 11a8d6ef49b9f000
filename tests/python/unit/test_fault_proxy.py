"""The proxy of the fault tests does to connections what it says, and counts it."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from support.fault_proxy import FaultProxy, Way
from support.ports import HOST, free_port

DATA = random.Random(1).randbytes(300_000)


class Echo:
    """Sends back what it receives; `received` is all of it, `endings` how its connections ended."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.endings: list[str] = []
        self._changed = threading.Condition()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server((HOST, 0))
        self.port = int(self._listener.getsockname()[1])
        self._start(self._accept)

    def close(self) -> None:
        for sock in [self._listener, *self._sockets]:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join(5)
            assert not thread.is_alive()

    def wait_for_ending(self, timeout: float = 5.0) -> str:
        with self._changed:
            assert self._changed.wait_for(lambda: bool(self.endings), timeout), "no connection ended"
            return self.endings[-1]

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(sock)
            self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        ending = "end"
        try:
            while data := sock.recv(1 << 16):
                with self._changed:
                    self.received += data
                    self._changed.notify_all()
                sock.sendall(data)
            sock.sendall(b"bye")
        except OSError as error:
            ending = type(error).__name__
        with self._changed:
            self.endings.append(ending)
            self._changed.notify_all()
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_WR)


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[FaultProxy]:
    with FaultProxy(echo.port) as running:
        yield running


def dial(proxy: FaultProxy) -> socket.socket:
    sock = socket.create_connection((HOST, proxy.port), timeout=5)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def receive(sock: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise EOFError(f"{len(data)} of {size} bytes")
        data += piece
    return bytes(data)


def exchange(sock: socket.socket, data: bytes) -> bytes:
    """Send and receive at once, as neither the proxy nor the server keeps everything."""
    sender = threading.Thread(target=sock.sendall, args=(data,))
    sender.start()
    answer = receive(sock, len(data))
    sender.join(5)
    return answer


def is_silent(sock: socket.socket, seconds: float = 0.1) -> bool:
    sock.settimeout(seconds)
    try:
        return not sock.recv(1) and False
    except TimeoutError:
        return True
    finally:
        sock.settimeout(5)


def test_passes_everything_on_and_counts(proxy: FaultProxy, echo: Echo) -> None:
    with dial(proxy) as one, dial(proxy) as two:
        assert exchange(one, DATA) == DATA
        assert exchange(two, b"two") == b"two"
        proxy.wait_for_connections(2)
        assert proxy.open_connections == 2
        size = len(DATA) + 3
        for way in ("up", "down"):
            counted = proxy.traffic(way)
            assert (counted.received, counted.passed, counted.swallowed) == (size, size, 0)
    proxy.wait_for_open(0)
    assert proxy.traffic("up").ends == proxy.traffic("down").ends == 2
    assert echo.wait_for_ending() == "end"
    assert proxy.connections == len(proxy.accept_times) == 2


def test_end_of_the_client_still_gets_the_answer(proxy: FaultProxy) -> None:
    with dial(proxy) as sock:
        sock.sendall(b"hello")
        sock.shutdown(socket.SHUT_WR)
        assert receive(sock, 8) == b"hellobye"
        assert sock.recv(1) == b""


def test_latency(proxy: FaultProxy) -> None:
    with dial(proxy) as sock:
        proxy.set_latency(0.1)
        started = time.monotonic()
        assert exchange(sock, b"slow") == b"slow"
        assert time.monotonic() - started >= 0.2
        proxy.set_latency(0.1, "down")
        proxy.set_latency(0.0, "up")
        started = time.monotonic()
        # Latency is no bandwidth: much takes as long as little.
        assert exchange(sock, DATA[:100_000]) == DATA[:100_000]
        assert 0.1 <= time.monotonic() - started < 2


def test_bandwidth(proxy: FaultProxy) -> None:
    with dial(proxy) as sock:
        proxy.set_bandwidth(200_000, "up")
        started = time.monotonic()
        assert exchange(sock, DATA[:40_000]) == DATA[:40_000]
        assert time.monotonic() - started >= 0.15
        proxy.set_bandwidth(None)
        assert exchange(sock, DATA) == DATA


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_slicing(proxy: FaultProxy, size: int) -> None:
    data = DATA[: size * 200]
    with dial(proxy) as sock:
        proxy.set_slicing(size)
        sock.sendall(data)
        assert 0 < len(sock.recv(len(data))) < len(data)
    with dial(proxy) as sock:
        assert exchange(sock, data) == data


def test_reset(proxy: FaultProxy, echo: Echo) -> None:
    with dial(proxy) as sock:
        exchange(sock, b"x")
        proxy.reset()
        assert proxy.open_connections == 0
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
        assert echo.wait_for_ending() == "ConnectionResetError"
    with dial(proxy) as sock:
        assert exchange(sock, b"again") == b"again"


def test_half_close_of_the_client_side(proxy: FaultProxy, echo: Echo) -> None:
    with dial(proxy) as sock:
        exchange(sock, b"x")
        proxy.half_close("client")
        assert sock.recv(1) == b""
        sock.sendall(b"one way")
        proxy.wait_for_bytes(8, "up")
        assert proxy.open_connections == 1
    assert echo.wait_for_ending() == "end"
    assert echo.received == b"xone way"
    proxy.wait_for_open(0)


def test_half_close_of_the_server_side(proxy: FaultProxy, echo: Echo) -> None:
    with dial(proxy) as sock:
        exchange(sock, b"x")
        proxy.half_close("server")
        assert echo.wait_for_ending() == "end"
        assert receive(sock, 3) == b"bye"
        assert sock.recv(1) == b""


@pytest.mark.parametrize("direction", ["up", "down", "both"])
def test_silence(proxy: FaultProxy, echo: Echo, direction: str) -> None:
    with dial(proxy) as sock:
        exchange(sock, b"x")
        proxy.silence(direction)  # type: ignore[arg-type]
        sock.sendall(b"lost")
        assert is_silent(sock)
        assert proxy.open_connections == 1
        way: Way = "down" if direction == "down" else "up"
        proxy.wait_for_bytes(5, way, swallowed=True)
        assert proxy.traffic(way).swallowed == 4
        assert bytes(echo.received) == (b"xlost" if direction == "down" else b"x")
        assert echo.endings == []
        # A stream with a hole in it is of no use to anybody.
        proxy.heal()
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    with dial(proxy) as sock:
        assert exchange(sock, b"again") == b"again"


def test_silence_swallows_the_end_as_well(proxy: FaultProxy, echo: Echo) -> None:
    with dial(proxy) as sock:
        exchange(sock, b"x")
        proxy.silence()
    with dial(proxy) as sock:
        proxy.wait_for_connections(2)
        assert echo.endings == []
        assert proxy.open_connections == 2
    proxy.heal()
    assert echo.wait_for_ending() == "ConnectionResetError"


def test_silence_without_loss_leaves_the_connection_whole(proxy: FaultProxy) -> None:
    with dial(proxy) as sock:
        exchange(sock, b"x")
        proxy.silence()
        proxy.heal()
        assert exchange(sock, b"whole") == b"whole"


@pytest.mark.parametrize("direction", ["up", "down", "both"])
def test_stall(proxy: FaultProxy, direction: str) -> None:
    with dial(proxy) as sock:
        exchange(sock, b"x")
        proxy.stall(direction)  # type: ignore[arg-type]
        sock.sendall(b"late")
        assert is_silent(sock)
        proxy.heal()
        assert receive(sock, 4) == b"late"


@pytest.mark.parametrize("size", [0, 1, 1000])
def test_cut_going_up(proxy: FaultProxy, echo: Echo, size: int) -> None:
    with dial(proxy) as sock:
        exchange(sock, b"x")
        proxy.cut_after(size, "up", then="close")
        sock.sendall(DATA[:5000])
        echo.wait_for_ending()
        assert bytes(echo.received) == b"x" + DATA[:size]
        assert proxy.traffic("up").passed == 1 + size
    with dial(proxy) as sock:
        assert exchange(sock, DATA) == DATA


@pytest.mark.parametrize("size", [0, 1, 1000])
def test_cut_coming_down(proxy: FaultProxy, size: int) -> None:
    with dial(proxy) as sock:
        exchange(sock, b"x")
        proxy.cut_after(size, "down", then="reset")
        sock.sendall(DATA[:5000])
        got = bytearray()
        with contextlib.suppress(ConnectionResetError):
            while piece := sock.recv(10_000):
                got += piece
        assert bytes(got) == DATA[:size]
        assert proxy.traffic("down").passed == 1 + size


def test_cut_into_silence(proxy: FaultProxy) -> None:
    with dial(proxy) as sock:
        proxy.wait_for_open(1)
        proxy.cut_after(3, "down", then="silence")
        sock.sendall(b"abcdef")
        assert receive(sock, 3) == b"abc"
        assert is_silent(sock)


def test_later_connections_are_cut_too(proxy: FaultProxy) -> None:
    proxy.cut_after(3, "down", then="close", later=True)
    for _ in range(2):
        with dial(proxy) as sock:
            sock.sendall(b"abcdef")
            assert receive(sock, 3) == b"abc"
            with contextlib.suppress(ConnectionResetError):
                assert sock.recv(1) == b""
    proxy.heal()
    with dial(proxy) as sock:
        assert exchange(sock, DATA) == DATA


def test_refuse(proxy: FaultProxy) -> None:
    with dial(proxy) as sock:
        exchange(sock, b"x")
        proxy.admit("refuse")
        for _ in range(2):
            with pytest.raises(ConnectionRefusedError):
                dial(proxy)
        assert exchange(sock, b"open as before") == b"open as before"
        proxy.refuse()
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    assert proxy.connections == 1
    proxy.heal()
    with dial(proxy) as sock:
        assert exchange(sock, b"again") == b"again"


def test_close_and_reset_at_once(proxy: FaultProxy) -> None:
    proxy.admit("close")
    with dial(proxy) as sock:
        assert sock.recv(1) == b""
    proxy.admit("reset")
    with pytest.raises(ConnectionResetError), dial(proxy) as sock:
        sock.recv(1)
    assert proxy.connections == 2


def test_hold(proxy: FaultProxy, echo: Echo) -> None:
    proxy.admit("hold")
    with dial(proxy) as sock:
        sock.sendall(b"hello?")
        assert is_silent(sock)
        assert proxy.open_connections == 1
        proxy.heal()
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    assert echo.received == b""


def test_nobody_behind_the_proxy() -> None:
    with FaultProxy(free_port()) as proxy, pytest.raises(ConnectionResetError), dial(proxy) as sock:
        sock.recv(1)


def test_conditions_have_deadlines(proxy: FaultProxy) -> None:
    waits: list[Callable[[], None]] = [
        lambda: proxy.wait_for_connections(1, timeout=0.02),
        lambda: proxy.wait_for_open(1, timeout=0.02),
        lambda: proxy.wait_for_bytes(1, timeout=0.02),
        lambda: proxy.wait_for_ends(1, timeout=0.02),
    ]
    for wait in waits:
        with pytest.raises(TimeoutError, match=r"not within 0\.02 s"):
            wait()


def test_close_ends_connections_and_thread(echo: Echo) -> None:
    threads = threading.active_count()
    with FaultProxy(echo.port) as proxy:
        sock = dial(proxy)
        exchange(sock, b"x")
        proxy.stall()
    with sock, pytest.raises(ConnectionResetError):
        sock.recv(1)
    with pytest.raises(ConnectionRefusedError):
        dial(proxy)
    with pytest.raises(RuntimeError, match="does not run"):
        proxy.reset()
    echo.wait_for_ending()
    assert threading.active_count() <= threads + 2
