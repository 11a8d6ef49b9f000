"""A peer that keeps to no rule: a connection that reads and writes at the same time, as much as the server lets it."""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from . import muxio, wsraw
from .ports import HOST

NO_MASK = bytes(4)  # legal, and costs neither side anything
_GONE = select.POLLHUP | select.POLLERR


@dataclass(frozen=True)
class End:
    """How the server ended a connection."""

    how: str  # "close": with a Close frame; "cut": without
    code: int | None
    at: float  # of time.monotonic()


def request_head(port: int, *headers: str, host: str | None = None) -> bytes:
    """The HTTP request that asks for a WebSocket, with headers of one's own."""
    lines = ["GET /ws HTTP/1.1", f"Host: {host or f'{HOST}:{port}'}", "Upgrade: websocket", "Connection: Upgrade"]
    lines += ["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def binary(data: bytes) -> bytes:
    """One message of one frame."""
    return wsraw.encode(wsraw.BINARY, data, mask_key=NO_MASK)


class Peer:
    """One connection. Not one of its waits lasts longer than it is told."""

    def __init__(self, port: int, *, dialect: str = "d13", pongs: bool = True, receive_buffer: int = 0) -> None:
        self.status: int | None = None
        self.end: End | None = None
        self.replies: list[muxio.Message] = []
        self.port = port
        self.sock = socket.socket()
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(5.0)
        self.sock.connect((HOST, port))
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._pongs = pongs
        self._reader = muxio.FrameReader(dialect)
        self._buffer = bytearray()

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sock.close()

    def upgrade(self, *headers: str, host: str | None = None, limit: float = 5.0) -> Peer:
        """Ask for the WebSocket and wait for the answer; `status` has it, or None."""
        self.push(request_head(self.port, *headers, host=host), limit=limit)
        return self.answer(limit)

    def answer(self, limit: float) -> Peer:
        """Wait for the answer to the handshake."""
        self.wait(limit, lambda: self.status is not None)
        return self

    @property
    def closing(self) -> bool:
        return self.end is not None

    def push(self, data: bytes, *, limit: float, read: bool = True) -> int:
        """Send until all is sent, the server ends the connection or the time is up: the bytes sent."""
        sent, view = 0, memoryview(data)
        deadline = time.monotonic() + limit
        while sent < len(view) and not self.end:
            events = self._poll(select.POLLOUT | (select.POLLIN if read else 0), deadline - time.monotonic())
            if not events:
                break
            if events & select.POLLIN:
                self._receive()
            elif events & _GONE:
                self._ended()
            elif events & select.POLLOUT:
                try:
                    sent += self.sock.send(view[sent : sent + (1 << 20)])
                except BlockingIOError:
                    continue
                except OSError:
                    self._ended()
            if time.monotonic() > deadline:
                break
        return sent

    def wait(self, limit: float, condition: Callable[[], bool] | None = None, *, read: bool = True) -> bool:
        """Until the condition holds (default: the connection is ended) or the time is up: whether it does."""
        done = condition or (lambda: self.closing)
        deadline = time.monotonic() + limit
        while not done() and not self.end:
            events = self._poll(select.POLLIN if read else 0, deadline - time.monotonic())
            if not events:
                break
            if events & select.POLLIN:
                self._receive()
            else:
                self._ended()
            if time.monotonic() > deadline:
                break
        return done()

    def call(self, method: str, arguments: bytes, *, request_id: int, kind: int = muxio.CALL) -> bytes:
        """The WebSocket bytes of one call, of one message a frame."""
        message = muxio.Message(kind, request_id, muxio.METHOD_IDS[method], b"", arguments)
        frames = muxio.stream_frames(self._reader.dialect, request_id, message.encode())
        return b"".join(map(binary, frames))

    def reply_to(self, request_id: int) -> muxio.Message | None:
        return next((reply for reply in self.replies if reply.request_id == request_id), None)

    def _poll(self, events: int, seconds: float) -> int:
        poller = select.poll()
        poller.register(self.sock, events)
        ready = poller.poll(max(seconds, 0) * 1000)
        return ready[0][1] if ready else 0

    def _ended(self, code: int | None = None, how: str = "cut") -> None:
        if self.end is None:
            self.end = End(how, code, time.monotonic())

    def _receive(self) -> None:
        try:
            data = self.sock.recv(1 << 20)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._ended()
            return
        self._buffer += data
        if self.status is None:
            head, mark, rest = bytes(self._buffer).partition(b"\r\n\r\n")
            if not mark:
                return
            words = head.split(b" ", 2)
            self.status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
            self._buffer = bytearray(rest)
        if self.status == 101:
            self._frames()

    def _frames(self) -> None:
        at = 0
        while len(self._buffer) - at >= 2:
            opcode, size, start = self._buffer[at] & 0x0F, self._buffer[at + 1] & 0x7F, at + 2
            if size >= 126:
                width = 2 if size == 126 else 8
                if len(self._buffer) < start + width:
                    break
                size = int.from_bytes(self._buffer[start : start + width], "big")
                start += width
            if len(self._buffer) < start + size:
                break
            self._frame(opcode, bytes(self._buffer[start : start + size]))
            at = start + size
        del self._buffer[:at]

    def _frame(self, opcode: int, data: bytes) -> None:
        if opcode == wsraw.CLOSE:
            self._ended(struct.unpack(">H", data[:2])[0] if len(data) >= 2 else 1005, "close")
        elif opcode == wsraw.PING and self._pongs:
            self.push(wsraw.encode(wsraw.PONG, data, mask_key=NO_MASK), limit=0.1, read=False)
        elif opcode in (0, wsraw.BINARY):
            self.replies += self._reader.messages(data)
