#!/usr/bin/env python3
"""A first use of an installed simdrive, with nothing but Python: hashes, and a client against a small peer.

    cd "$(mktemp -d)" && python -I /path/to/tools/smoke_wheel.py [--dry-run] [--version VERSION]

Prints what the build says of itself and, at the end, "smoke: ok ..."; exits with 1 when anything is wrong, also when
simdrive comes from a source tree instead of an installation. Every wait has a deadline.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import faulthandler
import hashlib
import socket
import struct
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

DEADLINE = 120.0  # seconds for everything; generous, since an emulator may run this
WAIT = 30.0  # for one step of the peer or of the client
HOST = "127.0.0.1"


class SmokeError(Exception):
    """Something is not as it should be."""


def check(condition: bool, what: str) -> None:
    if not condition:
        raise SmokeError(what)


def equal(found: object, expected: object, what: str) -> None:
    if found != expected:
        raise SmokeError(f"{what}: expected {expected!r:.200}, got {found!r:.200}")


# ---- where it comes from -------------------------------------------------------------------------------------------


def import_installed() -> Any:
    try:
        import simdrive
        import simdrive._core
    except ImportError as error:
        raise SmokeError(f"simdrive cannot be imported by {sys.executable}: {error}; install the wheel first") from None
    package = Path(str(simdrive.__file__)).resolve().parent
    core = Path(str(simdrive._core.__file__)).resolve()
    project = [folder for folder in (package.parent, package.parent.parent) if (folder / "pyproject.toml").is_file()]
    if project or core.parent != package or (package / "_core.pyx").exists():
        raise SmokeError(
            f"simdrive is imported from the source tree or from an editable install ({package}), not from a wheel: "
            "run this from an empty folder, with -I, by a Python that has the wheel installed"
        )
    print(f"simdrive from {package}")
    return simdrive


# ---- hashes -------------------------------------------------------------------------------------------------------

SEED = 0x9E3779B185EBCA87
# Length of pattern(n) -> its XXH3-64 without a seed and with SEED, as of the xxHash library 0.8. The lengths are on
# both sides of the limits at which the algorithm changes.
XXH3 = {
    0: (0x2D06800538D394C2, 0x07F70F819703314D),
    1: (0xC44BDFF4074EECDB, 0x719AE0FC4EB5DB08),
    9: (0x03688DCAD730D826, 0x37A4CD6CDD4F83EF),
    17: (0xF34C3C9CF5A112D1, 0x6F592F36FE656A73),
    129: (0x28065C6EC25F5B25, 0x64F48A3811D20C14),
    240: (0x4917A75C0EF8EED7, 0xD703E47F2AA5C7A3),
    241: (0x541B19226F0052E8, 0x0190F591BC57435F),
    1024: (0x71BEE625238ADDB4, 0xF3FDBD404D40B03B),
    1025: (0xD9B414F4E1BBF7AD, 0xFB1F6B953AF08FC5),
    100_000: (0xB25CEA78018497FF, 0x7A2E255DBB564E54),
}


def pattern(size: int) -> bytes:
    return bytes((i * 7 + (i >> 8)) & 255 for i in range(size))


def check_hashes(hashing: Any) -> list[str]:
    """Known results on every backend that this CPU can run; their names."""
    before = hashing.backend()
    for name in hashing.backends():
        hashing.set_backend(name)
        equal(hashing.crc32(b"123456789"), 0xCBF43926, f"crc32 on {name}")
        for size, (plain, seeded) in XXH3.items():
            data = pattern(size)
            equal(hashing.xxh3_64(data), plain, f"xxh3_64 of {size} bytes on {name}")
            equal(hashing.xxh3_64(data, SEED), seeded, f"xxh3_64 of {size} bytes with a seed on {name}")
            equal(hashing.xxh3_64_many([data, data[1:]])[0], plain, f"xxh3_64_many of {size} bytes on {name}")
            equal(hashing.crc32(data), zlib.crc32(data), f"crc32 of {size} bytes on {name}")
            stream = hashing.Hasher(SEED)
            for piece in (data[: size // 3], data[size // 3 :]):
                stream.update(piece)
            equal(stream.intdigest(), seeded, f"Hasher of {size} bytes on {name}")
    hashing.set_backend(before)
    equal(hashing.NamespaceHasher(b"users").namespace(b"read")[8:].hex(), "f2cdf251a122262c", "NamespaceHasher")
    return list(hashing.backends())


# ---- a peer that speaks the protocol ------------------------------------------------------------------------------

METHODS = {
    0x3EC2AD5C308C53DA: "write",
    0xB0207C59D9B60457: "batch_write",
    0x2C2622A151F2CDF2: "read",
    0x01030B148B7284C2: "batch_read",
    0x42DBBAC7F7E9DEFD: "delete",
    0xCB471C821989C086: "exists",
    0xA41DBB760E96E3E3: "len",
    0x34E05A9B282D0770: "is_empty",
    0x720EA1F40D3468C2: "file_size",
}
OPEN, DATA, END = 0, 1, 2
SUCCESS, SYSTEM_ERROR, NOT_FOUND = 0, 2, 3
CHUNK = 65536
FAILING = b"key that fails"
SILENT = b"key without an answer"


class Columns:
    """Reads the few packings that the calls below travel in: raw bytes, and whole integers."""

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def take(self, size: int) -> bytes:
        check(size <= len(self.rest), f"arguments end {size - len(self.rest)} bytes early")
        taken, self.rest = self.rest[:size], self.rest[size:]
        return taken

    def raw(self, count: int) -> bytes:
        if count > 2:
            equal(self.take(1), b"\0", "header of a column of bytes")
        return self.take(count)

    def strings(self, count: int) -> list[bytes]:
        lengths = []
        for short in self.raw(count):
            if short < 255:
                lengths.append(short)
            else:
                check(count == 1, "the peer understands long values only by themselves")
                size = {0: 8, 2: 4, 4: 2}[self.take(1)[0]]
                lengths.append(int.from_bytes(self.take(size), "little"))
        joined = self.raw(sum(lengths))
        ends = [sum(lengths[: i + 1]) for i in range(count)]
        return [joined[end - length : end] for end, length in zip(ends, lengths, strict=True)]


def number(value: int) -> bytes:
    return b"\0" + value.to_bytes(8, "little")


def strings(values: list[bytes]) -> bytes:
    """As `Columns.strings` reads them."""
    lengths = bytes(min(len(value), 255) for value in values)
    large = [len(value) for value in values if len(value) >= 255]
    joined = b"".join(values)
    head = b"\0" * (len(lengths) > 2) + lengths
    if large:
        head += b"\0" + struct.pack(f"<{len(large)}Q", *large)
    return head + b"\0" * (len(joined) > 2) + joined


def optional(values: list[bytes | None]) -> bytes:
    flags = sum((value is not None) << i for i, value in enumerate(values))
    return flags.to_bytes((len(values) + 7) // 8, "little") + strings([value for value in values if value is not None])


class Store:
    """What the peer keeps, and its answers."""

    def __init__(self) -> None:
        self.entries: dict[bytes, bytes] = {}

    def size(self) -> int:
        return sum(map(len, self.entries.values()))

    def answer(self, method: str, arguments: bytes) -> bytes:
        columns = Columns(arguments)
        if method in {"write", "read", "delete", "exists"}:
            (key,) = columns.strings(1)
            if key == FAILING:
                raise LookupError("the peer was told to fail")
            if method == "write":
                (self.entries[key],) = columns.strings(1)
                return number(self.size())
            if method == "delete":
                self.entries.pop(key, None)
                return number(self.size())
            found = self.entries.get(key)
            return bytes([found is not None]) + (strings([found]) if found and method == "read" else b"")
        if method.startswith("batch_"):
            (count,) = columns.raw(1)
            keys = columns.strings(count)
            if method == "batch_read":
                return bytes([count]) + optional([self.entries.get(key) for key in keys])
            self.entries.update(zip(keys, columns.strings(count), strict=True))
            return number(self.size())
        if method == "is_empty":
            return bytes([not self.entries])
        return number(len(self.entries) if method == "len" else self.size())


class Peer:
    """A WebSocket server for one dialect of the protocol, on a free port, until the end of the `with` block."""

    def __init__(self, dialect: str) -> None:
        self.extra = {"d13": 0, "d21": 8}[dialect]  # bytes at the end of a frame header
        self.store = Store()
        self.faults: list[str] = []
        self.streams = 0
        self.ending = False
        self.listener = socket.create_server((HOST, 0))
        self.url = f"ws://{HOST}:{self.listener.getsockname()[1]}/ws"
        self.threads = [threading.Thread(target=self.accept, daemon=True)]
        self.sockets: list[socket.socket] = []

    def __enter__(self) -> Peer:
        self.threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ending = True
        # On Windows closing a socket does not wake up the thread that accepts on it; a last connection does.
        with contextlib.suppress(OSError), socket.create_connection(self.listener.getsockname()[:2], timeout=WAIT):
            pass
        for sock in self.sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(WAIT)
            if thread.is_alive():
                self.faults.append(f"a thread of the peer does not end: {thread.name}")
        self.listener.close()

    def accept(self) -> None:
        while True:
            sock, _ = self.listener.accept()
            sock.settimeout(WAIT)
            if self.ending:
                sock.close()
                return
            self.sockets.append(sock)
            thread = threading.Thread(target=self.serve, args=(sock,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def serve(self, sock: socket.socket) -> None:
        try:
            with sock, sock.makefile("rb") as stream:
                self.upgrade(sock, stream)
                self.converse(sock, stream)
        except (ConnectionError, EOFError):
            pass  # the client has gone
        except Exception as error:
            self.faults.append(f"{type(error).__name__}: {error}")

    @staticmethod
    def read(stream: Any, size: int) -> bytes:
        data: bytes = stream.read(size)
        if len(data) < size:
            raise EOFError
        return data

    def upgrade(self, sock: socket.socket, stream: Any) -> None:
        key = b""
        while (line := stream.readline(4096)) not in (b"\r\n", b""):
            name, _, value = line.partition(b":")
            if name.lower() == b"sec-websocket-key":
                key = value.strip()
        if not key:
            raise EOFError
        digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest()
        sock.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
        )

    def messages(self, sock: socket.socket, stream: Any) -> Iterator[bytes]:
        """The binary messages that come; pings are answered, a close ends them."""
        whole = b""
        while True:
            first, size = self.read(stream, 2)
            check(size >= 128, "a client must mask its frames")
            size &= 127
            if size > 125:
                size = int.from_bytes(self.read(stream, 2 if size == 126 else 8), "big")
            mask = self.read(stream, 4)
            data = self.read(stream, size)
            long_mask = (mask * (size // 4 + 1))[:size]
            plain = (int.from_bytes(data, "little") ^ int.from_bytes(long_mask, "little")).to_bytes(size, "little")
            opcode = first & 15
            if opcode == 8:
                return
            if opcode == 9:
                sock.sendall(bytes([0x8A, size]) + plain)
            elif opcode < 8:
                whole += plain
                if first & 128:
                    yield whole
                    whole = b""

    def converse(self, sock: socket.socket, stream: Any) -> None:
        buffer = b""
        parts: dict[int, bytes] = {}
        probed = False
        head = 13 + self.extra
        for message in self.messages(sock, stream):
            if not probed:
                # The first message is a call of no method that both dialects can read.
                check(len(message) == 66, "the first message is no dialect probe")
                probed = True
                self.reply(sock, 0, 0, NOT_FOUND, b"")
                continue
            buffer += message
            while len(buffer) >= head:
                size, number_, _, kind = struct.unpack_from("<IIIB", buffer)
                if len(buffer) < head + size:
                    break
                payload, buffer = buffer[head : head + size], buffer[head + size :]
                if kind in (OPEN, DATA):
                    parts[number_] = parts.get(number_, b"") + payload
                elif kind == END:
                    self.call(sock, parts.pop(number_))

    def call(self, sock: socket.socket, data: bytes) -> None:
        _, request, method, meta = struct.unpack_from("<BIQH", data)
        arguments = data[15 + meta :] or data[15 : 15 + meta]
        if SILENT in arguments:
            return
        try:
            body, status = self.store.answer(METHODS[method], arguments), SUCCESS
        except LookupError as error:
            body, status = str(error).encode(), SYSTEM_ERROR
        self.reply(sock, request, method, status, body)

    def reply(self, sock: socket.socket, request: int, method: int, status: int, body: bytes) -> None:
        self.streams += 1
        data = struct.pack("<BIQHB", 1, request, method, 1, status) + body
        pieces = [data[i : i + CHUNK] for i in range(0, len(data), CHUNK)]
        for seq, piece in enumerate([*pieces, b""]):
            kind = END if seq == len(pieces) else DATA if seq else OPEN
            frame = struct.pack("<IIIB", len(piece), self.streams, seq, kind) + bytes(self.extra) + piece
            size = len(frame)
            length = struct.pack(">BB", 0x82, size) if size < 126 else b""
            length = length or (struct.pack(">BBH", 0x82, 126, size) if size < 65536 else b"")
            sock.sendall((length or struct.pack(">BBQ", 0x82, 127, size)) + frame)


# ---- the client ---------------------------------------------------------------------------------------------------


def expect(kind: type[BaseException], call: Callable[[], object], what: str) -> BaseException:
    """The error that the call must raise, in good time."""
    began = time.monotonic()
    try:
        result = call()
    except kind as error:
        check(time.monotonic() - began < WAIT, f"{what}: {kind.__name__} came only after {WAIT:g} s")
        return error
    raise SmokeError(f"{what}: {kind.__name__} was expected, got {result!r:.200}")


def check_client(simdrive: Any, dialect: str) -> int:
    """One client through its methods; the count of calls."""
    long_value = pattern(300_000)
    with Peer(dialect) as peer:
        with simdrive.connect(peer.url, timeout=WAIT, connect_timeout=WAIT) as client:
            equal(client.server_info().dialect, dialect, "dialect found")
            equal(client.is_empty(), True, "is_empty of an empty store")
            client.write(b"first key", b"first value")
            client.write(b"long key", long_value)
            client.batch_write({b"key A": b"value A", b"key B": b"value B"})
            equal(client.read(b"first key"), b"first value", "read")
            equal(client.read(b"long key"), long_value, "read of a long value")
            room = bytearray(len(long_value))
            equal(client.read(b"long key", out=room), len(long_value), "read into a buffer")
            equal(bytes(room), long_value, "what read put into a buffer")
            equal(client.read(b"absent key"), None, "read of a key that is not there")
            equal(client.batch_read([b"key B", b"absent key"]), [b"value B", None], "batch_read")
            equal(client.exists(b"key A"), True, "exists")
            client.delete(b"key A")
            equal(client.exists(b"key A"), False, "exists after delete")
            equal(b"key B" in client, True, "in")
            equal(len(client), 3, "len")
            equal(client.is_empty(), False, "is_empty")
            check(client.file_size() >= len(long_value), "file_size is less than what was written")
            check(client.ping() >= 0, "ping took no time at all")

            error = expect(simdrive.ServerError, lambda: client.read(FAILING), "read that the server refuses")
            check("told to fail" in str(error), f"the server's words are missing in {error}")
            expect(simdrive.InvalidValueError, lambda: client.write(b"first key", b""), "write of nothing")
            expect(TypeError, lambda: client.read("text"), "read with a str")
            expect(simdrive.OperationTimeout, lambda: client.read(SILENT, timeout=0.25), "read without an answer")
            equal(client.read(b"first key"), b"first value", "read after a timeout")
        equal(client.closed, True, "closed")
        expect(simdrive.ClosedError, lambda: client.read(b"first key"), "read of a closed client")
    equal(peer.faults, [], "faults of the peer")
    connect = lambda: simdrive.connect(peer.url, connect_timeout=WAIT)  # noqa: E731
    expect(simdrive.ConnectError, connect, "connect where nobody listens")
    return peer.streams


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--version", help="the version that must be installed")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    wanted = parser.parse_args()
    if wanted.dry_run:
        print("+ import simdrive, hash known bytes, run a client against a peer of each dialect")
        return 0
    faulthandler.dump_traceback_later(DEADLINE, exit=True)
    try:
        simdrive = import_installed()
        info = simdrive.build_info()
        print(info)
        equal(info.version, wanted.version or simdrive.__version__, "version")
        backends = check_hashes(simdrive.hashing)
        calls = [check_client(simdrive, dialect) for dialect in info.dialects]
    except SmokeError as error:
        print(f"smoke: FAILED: {error}", file=sys.stderr)
        return 1
    finally:
        faulthandler.cancel_dump_traceback_later()
    python = ".".join(map(str, sys.version_info[:3]))
    print(
        f"smoke: ok: simdrive {info.version} on Python {python}, {info.system} {info.architecture}: "
        f"hashes on {', '.join(backends)}; {sum(calls)} replies in {', '.join(info.dialects)}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
