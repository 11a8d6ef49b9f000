"""Records, through a small proxy, the requests that the real client sends, for the native replay.

The file of an operation is a run of muxio frames, unmasked, each behind its length as a little-endian u32.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from pathlib import Path

BINARY = 2


class FrameTap:
    """Follows one direction of a WebSocket connection, piece by piece, and keeps its binary payloads."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._upgraded = False
        self.payloads: list[bytes] = []

    def feed(self, piece: bytes) -> None:
        self._bytes += piece
        if not self._upgraded:
            end = self._bytes.find(b"\r\n\r\n")
            if end < 0:
                return
            del self._bytes[: end + 4]
            self._upgraded = True
        while self._take_frame():
            pass

    def _take_frame(self) -> bool:
        b = self._bytes
        if len(b) < 2:
            return False
        opcode, masked, length, at = b[0] & 15, b[1] >> 7, b[1] & 127, 2
        if length >= 126:
            form = ">H" if length == 126 else ">Q"
            if len(b) < 2 + struct.calcsize(form):
                return False
            (length,) = struct.unpack_from(form, b, 2)
            at += struct.calcsize(form)
        key = bytes(b[at : at + 4]) if masked else b""
        at += len(key)
        if len(b) < at + length or (masked and len(key) < 4):
            return False
        if opcode == BINARY:
            self.payloads.append(unmask(bytes(b[at : at + length]), key))
        del b[: at + length]
        return True


def unmask(payload: bytes, key: bytes) -> bytes:
    if not key or not payload:
        return payload
    size = len(payload)
    pad = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(pad, "little")).to_bytes(size, "little")


class Proxy:
    """Stands between one client and the server; `up` sees what the client sends before the server does."""

    def __init__(self, server_port: int) -> None:
        self.up = FrameTap()
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(20)
        self.port = int(self._listener.getsockname()[1])
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()

    def _serve(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return  # closed, or nobody came: the recording client reports its own failure
        server = socket.create_connection(("127.0.0.1", self._server_port))
        self._sockets += [client, server]
        for s in (client, server):
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        down = threading.Thread(target=self._pump, args=(server, client, None), daemon=True)
        self._threads.append(down)
        down.start()
        self._pump(client, server, self.up)

    @staticmethod
    def _pump(source: socket.socket, target: socket.socket, tap: FrameTap | None) -> None:
        with contextlib.suppress(OSError):  # a closed end is how a recording ends
            while piece := source.recv(1 << 18):
                if tap is not None:
                    tap.feed(piece)
                target.sendall(piece)

    def close(self) -> None:
        self._listener.close()
        for s in self._sockets:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for s in self._sockets:
            s.close()


def save(path: Path, payloads: list[bytes]) -> None:
    with path.open("wb") as out:
        for payload in payloads:
            out.write(struct.pack("<I", len(payload)))
            out.write(payload)
