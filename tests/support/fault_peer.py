"""A WebSocket server in plain Python that serves well, or fails in the way a test asks for.

Every connection takes the next `Behaviour` of the script; when the script is used up, connections behave well. A
behaviour replaces one stage of a connection: the HTTP answer, the answer to the dialect probe, or the replies to some
calls. All threads are daemons and every blocking call of theirs ends when `close` shuts the sockets down.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from . import bitcode, muxio, wsraw
from .ports import HOST, wait_until


@dataclass(frozen=True)
class Call:
    """A call as it came in."""

    method: str
    request_id: int
    arguments: bytes


@dataclass
class Behaviour:
    """What one connection does. A hook that is None stands for good behaviour."""

    # Instead of reading the upgrade request at all.
    accepted: Callable[[Connection], None] | None = None
    # Instead of the 101 answer, after the upgrade request was read.
    upgrade: Callable[[Connection], None] | None = None
    # Instead of the answer to the probe.
    probe: Callable[[Connection], None] | None = None
    # Instead of the reply to the calls named below, the first `times` of them (None: all).
    call: Callable[[Connection, Call], None] | None = None
    methods: frozenset[str] = frozenset(muxio.METHOD_IDS)
    times: int | None = 1


GOOD = Behaviour()


class Connection:
    """One connection of the peer, as seen by the hooks of a behaviour."""

    def __init__(self, peer: FaultPeer, sock: socket.socket, behaviour: Behaviour) -> None:
        self.peer = peer
        self.dialect = peer.dialect
        self.sock = sock
        self.behaviour = behaviour
        self._stream = wsraw.Stream(sock)
        self._reader = muxio.FrameReader(peer.dialect)
        self.messages = self._stream.messages()
        self._faults = 0
        self._next_stream = 0x80000000 if peer.dialect == "d13" else 0
        if sock.family != getattr(socket, "AF_UNIX", None):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    # What a hook may do.

    def send_raw(self, data: bytes) -> None:
        self.sock.sendall(data)

    def send(self, data: bytes, *, opcode: int = wsraw.BINARY) -> None:
        self.sock.sendall(wsraw.encode(opcode, data))

    def new_stream(self) -> int:
        self._next_stream += 1
        return self._next_stream

    def reply_frames(
        self, call: Call, body: bytes, *, status: int = muxio.SUCCESS, request_id: int | None = None
    ) -> list[bytes]:
        """The muxio frames of a reply on a fresh stream."""
        number = call.request_id if request_id is None else request_id
        method = muxio.METHOD_IDS.get(call.method, 0)
        message = muxio.Message(muxio.RESPONSE, number, method, bytes([status]), body)
        return muxio.stream_frames(self.dialect, self.new_stream(), message.encode())

    def reply(self, call: Call, body: bytes, *, status: int = muxio.SUCCESS, request_id: int | None = None) -> None:
        for data in self.reply_frames(call, body, status=status, request_id=request_id):
            self.send(data)

    def answer_probe(self, dialect: str) -> None:
        message = muxio.Message(muxio.RESPONSE, 0, 0, bytes([muxio.METHOD_NOT_FOUND]), b"")
        for data in muxio.stream_frames(dialect, self.new_stream(), message.encode()):
            self.send(data)

    def finish(self) -> None:
        """End the connection politely: everything sent arrives, then FIN."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)
        self.hold()

    def reset(self) -> None:
        """End the connection with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
        raise ConnectionResetError

    def hold(self) -> None:
        """Say nothing more, swallow what comes, until the client closes or the peer stops."""
        while self.sock.recv(1 << 16):
            pass

    # What the peer does.

    def run(self) -> None:
        if self.behaviour.accepted is not None:
            self.behaviour.accepted(self)
            return
        head = self._stream.read_until(b"\r\n\r\n")
        self.peer.requests.append(head)
        if self.behaviour.upgrade is not None:
            self.behaviour.upgrade(self)
            return
        self.send_raw(upgrade_answer(head))
        for opcode, data in self.messages:
            if opcode == wsraw.PING:
                self.peer.pings += 1
                self.send(data, opcode=wsraw.PONG)
            elif opcode == wsraw.PONG:
                self.peer.pongs += 1
            elif opcode == wsraw.CLOSE:
                self.peer.closes += 1
                return
            elif opcode == wsraw.BINARY:
                self._serve(data)

    def _serve(self, data: bytes) -> None:
        if data == muxio.PROBE:
            self.peer.probes += 1
            if self.behaviour.probe is None:
                self.answer_probe(self.dialect)
            else:
                self.behaviour.probe(self)
            return
        for message in self._reader.messages(data):
            name = muxio.METHOD_NAMES.get(message.method_id, "unknown")
            call = Call(name, message.request_id, message.arguments)
            self.peer.calls.append(call)
            if self._is_faulty(call):
                assert self.behaviour.call is not None
                self.behaviour.call(self, call)
            else:
                self.answer_well(call)

    def _is_faulty(self, call: Call) -> bool:
        if self.behaviour.call is None or call.method not in self.behaviour.methods:
            return False
        self._faults += 1
        return self.behaviour.times is None or self._faults <= self.behaviour.times

    def answer_well(self, call: Call) -> None:
        try:
            self.reply(call, self.peer.store.run(call))
        except StoreError as error:
            self.reply(call, str(error).encode(), status=muxio.SYSTEM_ERROR)
        except LookupError:
            self.reply(call, b"", status=muxio.METHOD_NOT_FOUND)


def upgrade_answer(head: bytes) -> bytes:
    """The 101 answer to an upgrade request."""
    fields = dict(line.split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line)
    key = {name.strip().lower(): value.strip() for name, value in fields.items()}[b"sec-websocket-key"]
    accept = wsraw.accept_key(key)
    start = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    return start + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"


class StoreError(Exception):
    """Reported to the client as a SystemError."""


@dataclass
class MemoryStore:
    """The nine methods over a dict."""

    entries: dict[bytes, bytes] = field(default_factory=dict)
    size: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, call: Call) -> bytes:
        handler = getattr(self, f"_{call.method}", None)
        if handler is None:
            raise LookupError(call.method)
        reader = bitcode.Reader(call.arguments)
        try:
            with self.lock:
                reply: bytes = handler(reader)
            return reply
        except bitcode.DecodeError:
            raise StoreError("bitcode error") from None

    def _put(self, key: bytes, data: bytes) -> None:
        self.entries[key] = data
        self.size += len(data) + 20

    @staticmethod
    def _check(data: bytes) -> None:
        if not data:
            raise StoreError("Payload cannot be empty.")
        if data == b"\0":
            raise StoreError("NULL-byte payloads cannot be written directly.")

    def _write(self, reader: bitcode.Reader) -> bytes:
        (key,), (data,) = reader.byte_strings(1), reader.byte_strings(1)
        reader.finish()
        self._check(data)
        self._put(key, data)
        return bitcode.int_column([self.size])

    def _batch_write(self, reader: bitcode.Reader) -> bytes:
        (count,) = reader.length_column(1)
        keys, values = reader.byte_strings(count), reader.byte_strings(count)
        reader.finish()
        for data in values:
            self._check(data)
        for key, data in zip(keys, values, strict=True):
            self._put(key, data)
        return bitcode.int_column([self.size])

    def _read(self, reader: bitcode.Reader) -> bytes:
        (key,) = reader.byte_strings(1)
        reader.finish()
        return bitcode.option(self.entries.get(key))

    def _batch_read(self, reader: bitcode.Reader) -> bytes:
        (count,) = reader.length_column(1)
        keys = reader.byte_strings(count)
        reader.finish()
        return bitcode.options([self.entries.get(key) for key in keys])

    def _delete(self, reader: bitcode.Reader) -> bytes:
        (key,) = reader.byte_strings(1)
        reader.finish()
        if self.entries.pop(key, None) is not None:
            self.size += 21
        return bitcode.int_column([self.size])

    def _exists(self, reader: bitcode.Reader) -> bytes:
        (key,) = reader.byte_strings(1)
        reader.finish()
        return bitcode.bool_column([key in self.entries])

    def _len(self, _reader: bitcode.Reader) -> bytes:
        return bitcode.int_column([len(self.entries)])

    def _is_empty(self, _reader: bitcode.Reader) -> bytes:
        return bitcode.bool_column([not self.entries])

    def _file_size(self, _reader: bitcode.Reader) -> bytes:
        return bitcode.int_column([self.size])


class FaultPeer:
    """Listens on a free port, or at the path of a unix socket, from entry to exit, and keeps what it received."""

    def __init__(
        self,
        dialect: str = "d13",
        script: Iterable[Behaviour] = (),
        *,
        then: Behaviour = GOOD,
        unix_path: Path | None = None,
    ) -> None:
        self.dialect = dialect
        self.store = MemoryStore()
        self.requests: list[bytes] = []
        self.calls: list[Call] = []
        self.probes = self.pings = self.pongs = self.closes = 0
        self.connections = 0
        # Faults of the peer itself, so that a test does not blame the client for them.
        self.errors: list[BaseException] = []
        self._script = iter(script)
        self._then = then
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()
        if unix_path:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(unix_path))
            self._listener.listen(64)
            self.port = 0
            self.url = f"ws+unix://{quote(str(unix_path))}"
            return
        self._listener = socket.create_server((HOST, 0), backlog=64)
        self.port = int(self._listener.getsockname()[1])
        self.url = f"ws://{HOST}:{self.port}/ws"

    def __enter__(self) -> FaultPeer:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    def pause(self, seconds: float) -> bool:
        """Wait, but not past `close`; whether the peer goes on."""
        return not self._stopping.wait(seconds)

    def wait_for_calls(self, count: int, *, timeout: float = 5.0) -> None:
        wait_until(lambda: len(self.calls) >= count, timeout=timeout, what=f"{count} calls arrive")

    def drop_connections(self) -> None:
        """Break every open connection from this side."""
        with self._lock:
            sockets = list(self._sockets)
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop_connections()
        for thread in self._threads:
            thread.join(timeout=5)
        alive = [thread.name for thread in self._threads if thread.is_alive()]
        if alive:
            raise RuntimeError(f"threads of the peer do not end: {alive}")

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.stopping:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._sockets.add(sock)
                self.connections += 1
            self._start(self._serve, sock, next(self._script, self._then))

    def _serve(self, sock: socket.socket, behaviour: Behaviour) -> None:
        try:
            Connection(self, sock, behaviour).run()
        except (EOFError, OSError):
            # The client went away, or the behaviour ended the connection on purpose.
            pass
        except Exception as error:
            self.errors.append(error)
        finally:
            with self._lock:
                self._sockets.discard(sock)
            sock.close()
