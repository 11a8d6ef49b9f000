"""WebSocket by hand: frame bytes for any purpose, and a client that can send whatever a test wants."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from . import bitcode, muxio
from .ports import HOST

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept_key(key: bytes) -> bytes:
    """The answer to a Sec-WebSocket-Key."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


def mask(data: bytes, key: bytes) -> bytes:
    """XOR with a key of four bytes, repeated."""
    if not data or not any(key):
        return data
    repeated = (key * (len(data) // 4 + 1))[: len(data)]
    mixed = int.from_bytes(data, "little") ^ int.from_bytes(repeated, "little")
    return mixed.to_bytes(len(data), "little")


def encode(
    opcode: int, data: bytes, *, mask_key: bytes | None = None, announce: int | None = None, final: bool = True
) -> bytes:
    """One WebSocket frame, the last of its message if `final`; `announce` lies about its length."""
    size = len(data) if announce is None else announce
    flag = 0x80 if mask_key is not None else 0
    first = (0x80 if final else 0) | opcode
    if size < 126:
        head = struct.pack(">BB", first, flag | size)
    elif size < 65536:
        head = struct.pack(">BBH", first, flag | 126, size)
    else:
        head = struct.pack(">BBQ", first, flag | 127, size)
    return head + data if mask_key is None else head + mask_key + mask(data, mask_key)


class Stream:
    """Buffered reading from a socket, and WebSocket messages on top.

    `quick_acks` (Linux): what comes in is acknowledged at once. Else a peer that sends a reply in two pieces, with
    Nagle's algorithm on, has to wait 40 ms for our kernel.
    """

    def __init__(self, sock: socket.socket, *, quick_acks: bool = False) -> None:
        self.sock = sock
        self.quick_acks = quick_acks
        self._buffer = bytearray()

    def _fill(self) -> None:
        if self.quick_acks and sys.platform == "linux":
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)  # holds for one wait
        data = self.sock.recv(1 << 18)
        if not data:
            raise EOFError("the other side closed")
        self._buffer += data

    def read_exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._fill()
        data = bytes(memoryview(self._buffer)[:size])
        del self._buffer[:size]
        return data

    def read_until(self, mark: bytes, *, limit: int = 65536) -> bytes:
        while mark not in self._buffer:
            if len(self._buffer) > limit:
                raise ValueError("no end of the head in sight")
            self._fill()
        return self.read_exactly(self._buffer.index(mark) + len(mark))

    def read_frame(self) -> tuple[int, bool, bytes]:
        """Opcode, whether it is the last of its message, and the payload without mask."""
        first, second = self.read_exactly(2)
        size = second & 0x7F
        if size == 126:
            size = struct.unpack(">H", self.read_exactly(2))[0]
        elif size == 127:
            size = struct.unpack(">Q", self.read_exactly(8))[0]
        key = self.read_exactly(4) if second & 0x80 else None
        data = self.read_exactly(size)
        return first & 0x0F, bool(first & 0x80), data if key is None else mask(data, key)

    def messages(self) -> Iterator[tuple[int, bytes]]:
        """Opcode and bytes of each message and control frame, fragments joined, until the other side closes."""
        opcode, parts = 0, []
        while True:
            try:
                code, final, data = self.read_frame()
            except (EOFError, ConnectionError):
                return
            if code >= CLOSE:
                yield code, data
                continue
            opcode = code or opcode
            parts.append(data)
            if final:
                yield opcode, b"".join(parts)
                parts = []


class RawClient:
    """A WebSocket connection without any of our library in it."""

    def __init__(self, port: int, *, path: str = "/ws", timeout: float = 10.0, quick_acks: bool = False) -> None:
        self.sock = socket.create_connection((HOST, port), timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = Stream(self.sock, quick_acks=quick_acks)
        key = base64.b64encode(os.urandom(16)).decode()
        self.sock.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self.head = self.stream.read_until(b"\r\n\r\n")
        self._messages = self.stream.messages()
        self._ids = 0

    def __enter__(self) -> RawClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sock.close()

    def send(self, data: bytes, *, opcode: int = BINARY) -> None:
        self.sock.sendall(encode(opcode, data, mask_key=os.urandom(4)))

    def receive(self) -> bytes:
        """The next binary message; Pings are answered on the way."""
        for opcode, data in self._messages:
            if opcode == PING:
                self.send(data, opcode=PONG)
            elif opcode == BINARY:
                return data
        raise EOFError("the server closed")

    def probe(self) -> str:
        """The dialect, found as the wire protocol recommends."""
        self.send(muxio.PROBE)
        answer = self.receive()
        dialect = {13: "d13", 21: "d21"}[len(answer) - struct.unpack_from("<I", answer)[0]]
        self.receive()
        return dialect

    def call(self, dialect: str, method: str, arguments: bytes = b"") -> muxio.Message:
        """One call; its reply, whole."""
        self._ids += 2
        request = muxio.Message(muxio.CALL, self._ids, muxio.METHOD_IDS[method], b"", arguments)
        for data in muxio.stream_frames(dialect, self._ids + 1, request.encode()):
            self.send(data)
        reader = muxio.FrameReader(dialect)
        while True:
            for reply in reader.messages(self.receive()):
                if reply.request_id == self._ids:
                    return reply


@contextmanager
def reluctant(port: int, key: bytes) -> Iterator[RawClient]:
    """A client that has asked for a value, and takes the first piece of it and no more.

    If the value is larger than what the system's buffers hold, the server is at work for it as long as this lasts.
    """
    with RawClient(port) as client:
        dialect = client.probe()
        arguments = bitcode.byte_strings([key])
        request = muxio.Message(muxio.CALL, 2, muxio.METHOD_IDS["read"], b"", arguments)
        for data in muxio.stream_frames(dialect, 3, request.encode()):
            client.send(data)
        client.receive()
        yield client
