"""One thread that keeps a call under way on each of many connections, whatever the server speaks.

usage: many_connections.py ws|redis|floor PORT KEY REQUEST_FILE
`ws` replays the recorded request (see record.py); the others make their own: read the value of KEY, 1 KiB.
One JSON command a line on stdin, one JSON answer a line on stdout: {"cmd": "open", "connections": N}, {"cmd": "load",
"secs": S}. End of file ends it.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import sys
import time
from pathlib import Path
from typing import Any

from record import FrameTap

VALUE_BYTES = 1024
TIMEOUT_S = 30
HANDSHAKE = (
    "GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
END_KIND, KIND_AT = 2, 12  # as in native/replay.c


def masked(payload: bytes) -> bytes:
    """One binary message; the mask of zeros leaves the bytes as they are."""
    size = len(payload)
    if size < 126:
        return struct.pack(">BB4x", 0x82, 0x80 | size) + payload
    return struct.pack(">BBH4x", 0x82, 0x80 | 126, size) + payload


def recorded(path: Path) -> bytes:
    data, out = path.read_bytes(), b""
    while data:
        (size,) = struct.unpack_from("<I", data)
        out += masked(data[4 : 4 + size])
        data = data[4 + size :]
    return out


class Load:
    def __init__(self, kind: str, port: int, key: bytes, recording: Path) -> None:
        self.kind = kind
        self.port = port
        self.sockets: list[socket.socket] = []
        self.reply_bytes = 0
        if kind == "ws":
            self.request = recorded(recording)
        elif kind == "redis":
            self.request = b"*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n" % (len(key), key)
            self.reply_bytes = len(b"$%d\r\n" % VALUE_BYTES) + VALUE_BYTES + 2
        else:
            self.reply_bytes = VALUE_BYTES + 80
            self.request = struct.pack("II", 96, self.reply_bytes) + bytes(96)

    def connect(self) -> socket.socket:
        made = socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT_S)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.kind == "ws":
            made.sendall(HANDSHAKE.format(port=self.port).encode())
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += self.some(made)
            if not answer.startswith(b"HTTP/1.1 101"):
                raise ValueError("the upgrade was refused: " + answer[:80].decode("latin-1"))
            if self.reply_bytes == 0:
                self.learn(made)
        return made

    @staticmethod
    def some(of: socket.socket) -> bytes:
        piece = of.recv(1 << 16)
        if not piece:
            raise ValueError("the server ended a connection")
        return piece

    def learn(self, made: socket.socket) -> None:
        """How long the reply is: up to and with the End frame."""
        tap = FrameTap()
        tap.feed(b"\r\n\r\n")
        made.sendall(self.request)
        total = 0
        while not tap.payloads or tap.payloads[-1][KIND_AT] != END_KIND:
            piece = self.some(made)
            total += len(piece)
            tap.feed(piece)
        if total < VALUE_BYTES:
            raise ValueError("the reply is shorter than the value")
        self.reply_bytes = total

    def cmd_open(self, connections: int) -> dict[str, Any]:
        while len(self.sockets) < connections:
            self.sockets.append(self.connect())
        return {}

    def cmd_load(self, secs: float) -> dict[str, Any]:
        left = {}
        by_fd = {made.fileno(): made for made in self.sockets}
        request, size = self.request, self.reply_bytes
        with select.epoll() as poller:
            for fd, made in by_fd.items():
                poller.register(fd, select.EPOLLIN)
                left[fd] = size
                made.send(request)
            calls = 0
            start = time.perf_counter()
            end, now = start + secs, start
            waiting = len(left)  # each connection is taken to the end of its last reply
            while waiting:
                events = poller.poll(TIMEOUT_S, 64)
                if not events:
                    raise ValueError(f"no reply within {TIMEOUT_S} s")
                now = time.perf_counter()
                for fd, _ in events:
                    left[fd] -= len(self.some(by_fd[fd]))
                    if left[fd] > 0:
                        continue
                    calls += 1
                    if now < end:
                        left[fd] = size
                        by_fd[fd].send(request)
                    else:
                        waiting -= 1
        if any(left.values()):
            raise ValueError("a reply was longer than expected")
        return {"calls": calls, "ops_s": calls / (time.perf_counter() - start)}


def main() -> None:
    kind, port, key, recording = sys.argv[1:]
    load = Load(kind, int(port), key.encode(), Path(recording))
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = getattr(load, "cmd_" + command.pop("cmd"))(**command)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
