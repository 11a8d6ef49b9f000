"""The peer of the attacks sees how a server ends a connection, whatever it is sending at the time."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from support import muxio, wsraw
from support.hostile import Outcome
from support.hostile_peer import Peer, binary
from support.ports import HOST

if not hasattr(__import__("select"), "poll"):
    pytest.skip("needs poll()", allow_module_level=True)

LIMIT_S = 5.0
ACCEPT = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
CLOSE_1009 = wsraw.encode(wsraw.CLOSE, struct.pack(">H", 1009) + b"too big")


@contextmanager
def served(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port whose first connection is given to the function, its handshake read."""
    with socket.create_server((HOST, 0)) as listener:

        def run() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(LIMIT_S)
                wsraw.Stream(connection).read_until(b"\r\n\r\n")
                serve(connection)

        thread = threading.Thread(target=run)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(timeout=LIMIT_S)
        assert not thread.is_alive()


def test_close_while_sending() -> None:
    """The server says Close and reads no more: what is left cannot be sent."""
    release = threading.Event()

    def serve(connection: socket.socket) -> None:
        connection.sendall(ACCEPT + CLOSE_1009)
        release.wait(LIMIT_S)

    with served(serve) as port, Peer(port) as peer:
        assert peer.upgrade().status == 101
        data = bytes(64 << 20)
        assert peer.push(data, limit=LIMIT_S) < len(data)
        release.set()
        assert peer.end is not None
        assert (peer.end.how, peer.end.code) == ("close", 1009)


def test_cut() -> None:
    with served(lambda connection: connection.sendall(ACCEPT)) as port, Peer(port) as peer:
        peer.upgrade()
        assert peer.wait(LIMIT_S)
        assert peer.end is not None
        assert (peer.end.how, peer.end.code) == ("cut", None)


def test_refused() -> None:
    with served(lambda connection: connection.sendall(b"HTTP/1.1 503 Busy\r\n\r\n")) as port, Peer(port) as peer:
        assert peer.upgrade().status == 503
        assert peer.wait(LIMIT_S)


def test_full_server_ends_the_wait() -> None:
    """Nobody reads: pushing gives up when its time is over, and says how far it came."""
    release = threading.Event()

    def serve(connection: socket.socket) -> None:
        connection.sendall(ACCEPT)
        release.wait(LIMIT_S)

    with served(serve) as port, Peer(port) as peer:
        peer.upgrade()
        sent = peer.push(bytes(64 << 20), limit=0.2)
        release.set()
        assert 0 < sent < 64 << 20
        assert peer.end is None


@pytest.mark.parametrize("dialect", ["d13", "d21"])
def test_replies_and_pings(dialect: str) -> None:
    """A reply in pieces is put together, and a Ping is answered in between."""
    pongs: list[tuple[int, bool, bytes]] = []
    reply = muxio.Message(muxio.RESPONSE, 7, 1, b"\0", b"body" * 300)
    frames = b"".join(wsraw.encode(wsraw.BINARY, data) for data in muxio.stream_frames(dialect, 1, reply.encode()))

    def serve(connection: socket.socket) -> None:
        connection.sendall(ACCEPT + frames[:100])
        connection.sendall(frames[100:] + wsraw.encode(wsraw.PING, b"p"))
        pongs.append(wsraw.Stream(connection).read_frame())

    with served(serve) as port, Peer(port, dialect=dialect) as peer:
        peer.upgrade()
        peer.wait(LIMIT_S)
        assert peer.reply_to(7) == reply
        assert peer.reply_to(8) is None
    assert pongs == [(wsraw.PONG, True, b"p")]


def test_lies_about_lengths() -> None:
    assert binary(b"ab") == bytes([0x82, 0x82, 0, 0, 0, 0]) + b"ab"
    head = wsraw.encode(0, b"", mask_key=bytes(4), announce=1 << 24, final=False)
    assert head == bytes([0x00, 0xFF]) + struct.pack(">Q", 1 << 24) + bytes(4)


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (Outcome("close", 1009, 0.0123), "Close 1009 after 0.01 s"),
        (Outcome("http", 403), "HTTP 403"),
        (Outcome("cut", None, 15.04, "3 of 3"), "cut after 15.0 s; 3 of 3"),
        (Outcome("nothing"), "nothing"),
    ],
)
def test_outcomes_in_words(outcome: Outcome, text: str) -> None:
    assert str(outcome) == text
