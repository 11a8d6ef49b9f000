"""Values from and to files in asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import simdrive
from simdrive import _core, streams
from support.fault_peer import FaultPeer
from support.loops import LOOPS, run_in, until

DATA = bytes(range(1, 251)) * 10_000  # 2.4 MiB
PIECES = [DATA[i : i + 100_000] for i in range(0, len(DATA), 100_000)]


@pytest.fixture(params=LOOPS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def peer() -> Iterator[FaultPeer]:
    with FaultPeer() as running:
        yield running
    assert running.errors == []


def with_client(
    kind: str, peer: FaultPeer, main: Callable[[simdrive.AsyncClient], Awaitable[None]], **options: Any
) -> None:
    async def run() -> None:
        async with await simdrive.aconnect(peer.url, **options) as client:
            await main(client)

    run_in(kind, run())


class CoroutineFile:
    """A file whose methods are coroutines, and take less than they are offered."""

    def __init__(self, data: bytes = b"") -> None:
        self.file = io.BytesIO(data)

    async def read(self, size: int = -1) -> bytes:
        await asyncio.sleep(0)
        return self.file.read(min(size, 100_000))

    async def write(self, data: memoryview) -> int:
        await asyncio.sleep(0)
        return self.file.write(data[:100_000])


class OneThreadFile(io.BytesIO):
    """Says by which threads it was used."""

    def __init__(self, data: bytes = b"") -> None:
        super().__init__(data)
        self.threads: set[int] = set()

    def readinto(self, buffer: Any) -> int:
        self.threads.add(threading.get_ident())
        return super().readinto(buffer)

    def read(self, size: int | None = -1) -> bytes:
        self.threads.add(threading.get_ident())
        return super().read(size)

    def write(self, data: Any) -> int:
        self.threads.add(threading.get_ident())
        return super().write(data)


async def pieces() -> AsyncIterator[bytes]:
    for piece in PIECES:
        await asyncio.sleep(0)
        yield piece


SOURCES: dict[str, Callable[[Path], Any]] = {
    "BytesIO": lambda _: io.BytesIO(DATA),
    "buffered file": lambda path: path.open("rb"),
    "raw file": lambda path: path.open("rb", buffering=0),
    "coroutine read": lambda _: CoroutineFile(DATA),
    "iterable": lambda _: iter(PIECES),
    "asynchronous iterable": lambda _: pieces(),
}


@pytest.mark.parametrize("size", [None, len(DATA)])
@pytest.mark.parametrize("name", SOURCES)
def test_every_source(kind: str, peer: FaultPeer, tmp_path: Path, name: str, size: int | None) -> None:
    path = tmp_path / "data"
    path.write_bytes(DATA)

    async def main(client: simdrive.AsyncClient) -> None:
        source = SOURCES[name](path)
        with source if hasattr(source, "__exit__") else contextlib.nullcontext():
            assert await client.write_stream(b"key", source, size=size) == len(DATA)

    with_client(kind, peer, main)
    assert peer.store.entries == {b"key": DATA}


def test_files_are_used_by_other_threads(kind: str, peer: FaultPeer) -> None:
    async def main(client: simdrive.AsyncClient) -> None:
        for size in (None, len(DATA)):
            source = OneThreadFile(DATA)
            await client.write_stream(b"key", source, size=size)
            assert source.threads
            assert threading.get_ident() not in source.threads
        sink = OneThreadFile()
        assert await client.read_into(b"key", sink) == len(DATA)
        assert sink.getvalue() == DATA
        assert sink.threads
        assert threading.get_ident() not in sink.threads

    with_client(kind, peer, main)


def test_a_source_that_blocks_does_not_hold_the_loop(kind: str, peer: FaultPeer) -> None:
    async def main(client: simdrive.AsyncClient) -> None:
        near, far = os.pipe()
        with os.fdopen(near, "rb", buffering=0) as source, os.fdopen(far, "wb", buffering=0) as writer:
            writing = asyncio.create_task(client.write_stream(b"key", source))
            assert await client.read(b"another") is None
            writer.write(b"value")
            writer.close()
            assert await writing == 5

    with_client(kind, peer, main)
    assert peer.store.entries == {b"key": b"value"}


def test_an_iterable_of_many_pieces_lets_the_loop_go_on(kind: str, peer: FaultPeer) -> None:
    async def main(client: simdrive.AsyncClient) -> None:
        def endless() -> Iterator[bytes]:
            while not done.is_set():
                yield b"x"

        async def other() -> None:
            done.set()

        done = asyncio.Event()
        task = asyncio.create_task(other())
        assert await client.write_stream(b"key", endless()) > 0
        await task

    with_client(kind, peer, main)


def test_a_cancelled_write_stream_stores_nothing(kind: str, peer: FaultPeer) -> None:
    async def main(client: simdrive.AsyncClient) -> None:
        async def stuck() -> AsyncIterator[bytes]:
            yield b"part"
            waiting.set()
            await asyncio.Event().wait()

        waiting = asyncio.Event()
        task = asyncio.create_task(client.write_stream(b"key", stuck()))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await client.write(b"other", b"value")

    with_client(kind, peer, main)
    assert peer.store.entries == {b"other": b"value"}


REFUSED: dict[str, tuple[Callable[[], Any], dict[str, Any], type[Exception], str]] = {
    "text": (lambda: io.StringIO("text"), {}, TypeError, "binary mode"),
    "a value": (lambda: b"value", {}, TypeError, r"use write\(\)"),
    "nothing": (lambda: io.BytesIO(), {}, simdrive.InvalidValueError, "empty"),
    "no source": (lambda: 1, {}, TypeError, "open file or an iterable"),
    "too short": (lambda: [b"abc"], {"size": 4}, simdrive.InvalidValueError, "3 bytes, size says 4"),
    "too long": (lambda: [b"abc"], {"size": 2}, simdrive.InvalidValueError, "size says 2"),
    "above the limit": (lambda: pieces(), {}, simdrive.InvalidValueError, "max_value_size"),
    "a bad size": (lambda: [b"abc"], {"size": -1}, ValueError, "at least 0"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_as_by_the_sync_client(kind: str, peer: FaultPeer, name: str) -> None:
    make, arguments, error, words = REFUSED[name]

    async def main(client: simdrive.AsyncClient) -> None:
        with pytest.raises(error, match=words) as caught:
            await client.write_stream(b"key", make(), **arguments)
        if isinstance(caught.value, simdrive.SimdriveError) and name != "nothing":
            assert caught.value.op == "write_stream"

    with_client(kind, peer, main, max_value_size=1 << 20)
    if name != "above the limit":
        with (
            simdrive.connect(peer.url, max_value_size=1 << 20) as sync,
            pytest.raises(error, match=words),
        ):
            sync.write_stream(b"key", make(), **arguments)
    assert peer.store.entries == {}


def test_errors_of_the_source_pass(kind: str, peer: FaultPeer) -> None:
    class Broken(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, _buffer: Any) -> int:
            raise OSError("broken")

    async def main(client: simdrive.AsyncClient) -> None:
        with pytest.raises(OSError, match="broken"):
            await client.write_stream(b"key", Broken())

    with_client(kind, peer, main)


@pytest.mark.parametrize("method", ["read", "readinto", "write", "fileno"])
def test_stop_iteration_of_a_file(kind: str, peer: FaultPeer, method: str) -> None:
    """No future of a thread takes it."""
    peer.store.entries[b"key"] = DATA

    class File(io.RawIOBase):
        def write(self, _data: Any) -> None:
            return None  # nothing now: wait for the descriptor

    def stop(*_: Any) -> Any:
        raise StopIteration("the end")

    async def main(client: simdrive.AsyncClient) -> None:
        file: Any = File()
        setattr(file, method, stop)
        stream = (
            client.write_stream(b"new", file, size=3 if method == "readinto" else None)
            if method.startswith("read")
            else client.read_into(b"key", file)
        )
        with pytest.raises(RuntimeError, match="the end"):
            await asyncio.wait_for(stream, 5)

    with_client(kind, peer, main)


def test_read_stream(kind: str, peer: FaultPeer) -> None:
    peer.store.entries[b"key"] = DATA

    async def main(client: simdrive.AsyncClient) -> None:
        key = bytearray(b"key")
        stream = client.read_stream(key, chunk_size=1_000_000)
        key[:] = b"xxx"
        found = [bytes(piece) async for piece in stream]
        assert [len(piece) for piece in found] == [1_000_000, 1_000_000, 500_000]
        assert b"".join(found) == DATA
        with pytest.raises(simdrive.KeyNotFoundError) as caught:
            await anext(aiter(client.read_stream(b"absent")))
        assert caught.value.op == "read_stream"
        wrong: Any
        for wrong, error in ((0, ValueError), (True, TypeError), ("1", TypeError)):
            with pytest.raises(error, match="chunk_size"):
                client.read_stream(b"key", chunk_size=wrong)
        with pytest.raises(TypeError, match="key"):
            client.read_stream("key")  # type: ignore[arg-type]
        with simdrive.connect(peer.url) as sync:
            (expected,) = {type(piece) for piece in sync.read_stream(b"key")}
        assert {type(piece) async for piece in client.read_stream(b"key")} == {expected}

    with_client(kind, peer, main)


SINKS: dict[str, Callable[[Path], Any]] = {
    "BytesIO": lambda _: io.BytesIO(),
    "buffered file": lambda path: path.open("wb"),
    "raw file": lambda path: path.open("wb", buffering=0),
    "coroutine write": lambda _: CoroutineFile(),
}


@pytest.mark.parametrize("name", SINKS)
def test_every_sink(kind: str, peer: FaultPeer, tmp_path: Path, name: str) -> None:
    peer.store.entries[b"key"] = DATA
    path = tmp_path / "data"

    async def main(client: simdrive.AsyncClient) -> None:
        sink = SINKS[name](path)
        assert await client.read_into(b"key", sink) == len(DATA)
        if name == "BytesIO":
            assert sink.getvalue() == DATA
        elif name == "coroutine write":
            assert sink.file.getvalue() == DATA
        else:
            sink.close()
            assert path.read_bytes() == DATA

    with_client(kind, peer, main)


def test_streams_of_asyncio(kind: str, peer: FaultPeer) -> None:
    peer.store.entries[b"key"] = DATA

    async def main(client: simdrive.AsyncClient) -> None:
        near, far = socket.socketpair()
        _, writer = await asyncio.open_connection(sock=near)
        reader, other = await asyncio.open_connection(sock=far)
        copying = asyncio.create_task(client.write_stream(b"copy", reader))
        assert await client.read_into(b"key", writer) == len(DATA)
        writer.close()
        assert await copying == len(DATA)
        other.close()

    with_client(kind, peer, main)
    assert peer.store.entries[b"copy"] == DATA


def test_read_into_raises(kind: str, peer: FaultPeer) -> None:
    peer.store.entries[b"key"] = DATA

    class Full(io.BytesIO):
        def write(self, _data: Any) -> int:
            raise OSError(28, "no space")

    class Liar:
        async def write(self, data: memoryview) -> int:
            return len(data) + 1

    async def main(client: simdrive.AsyncClient) -> None:
        with pytest.raises(simdrive.KeyNotFoundError) as caught:
            await client.read_into(b"absent", io.BytesIO())
        assert caught.value.op == "read_into"
        with pytest.raises(TypeError, match="sink"):
            await client.read_into(b"key", b"no file")  # type: ignore[arg-type]
        with pytest.raises(OSError, match="no space"):
            await client.read_into(b"key", Full())
        with pytest.raises(OSError, match="says it took"):
            await client.read_into(b"key", Liar())

    with_client(kind, peer, main)


def test_a_non_blocking_sink_is_waited_for(kind: str, peer: FaultPeer) -> None:
    peer.store.entries[b"key"] = DATA

    async def main(client: simdrive.AsyncClient) -> None:
        near, far = os.pipe()
        os.set_blocking(far, False)
        with os.fdopen(near, "rb") as reader, os.fdopen(far, "wb", buffering=0) as sink:
            with pytest.raises(simdrive.OperationTimeout, match="sink took"):
                await client.read_into(b"key", sink, timeout=0.3)
            reading = asyncio.create_task(client.read_into(b"key", sink))
            await asyncio.to_thread(lambda: reader.read(len(DATA)))
            await asyncio.to_thread(lambda: reader.read(1 << 16))
            assert await reading == len(DATA)

    with_client(kind, peer, main)


def test_slow_consumers_get_all_and_keep_nobody_waiting(kind: str, peer: FaultPeer) -> None:
    peer.store.entries[b"key"] = DATA
    peer.store.entries[b"other"] = b"value"

    async def main(client: simdrive.AsyncClient) -> None:
        pieces: list[bytes] = []
        written = bytearray()
        calls = 0

        async def others_were_served() -> None:
            before = calls
            await until(lambda: calls > before)

        async def read_slowly() -> None:
            async for piece in client.read_stream(b"key", chunk_size=50_000):
                pieces.append(bytes(piece))
                await others_were_served()

        class SlowSink:
            async def write(self, data: memoryview) -> int:
                part = data[:50_000]
                written.extend(part)
                await others_were_served()
                return len(part)

        slow = [asyncio.ensure_future(read_slowly()), asyncio.ensure_future(client.read_into(b"key", SlowSink()))]
        await until(lambda: len(pieces) > 0 and len(written) > 0)
        while not all(task.done() for task in slow):
            await client.write(b"key", b"new")  # what they read is theirs
            assert await client.read(b"other") == b"value"
            calls += 1
        assert calls > 40
        await asyncio.gather(*slow)
        assert b"".join(pieces) == DATA
        assert written == DATA
        assert await client.read(b"key") == b"new"

    with_client(kind, peer, main)


def test_progress_and_timeout(kind: str, peer: FaultPeer) -> None:
    async def main(client: simdrive.AsyncClient) -> None:
        told: list[tuple[int, int]] = []

        def note(done: int, total: int) -> None:
            told.append((done, total))

        await client.write_stream(b"key", io.BytesIO(DATA), progress=note, timeout=5.0)
        await client.read_into(b"key", io.BytesIO(), progress=note, timeout=5.0)
        assert [piece async for piece in client.read_stream(b"key", progress=note, timeout=5.0)]
        assert told.count((len(DATA), len(DATA))) == 3

    with_client(kind, peer, main)


def test_the_pieces_are_those_of_the_sync_client() -> None:
    assert list(streams.cut(_core.make_value(b"abcde"), 2)) == [b"ab", b"cd", b"e"]
