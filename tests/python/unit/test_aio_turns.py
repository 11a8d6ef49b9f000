"""How much a call does before other tasks of its loop have their turn, counted in turns and in bytes."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

import simdrive
from simdrive import AsyncPipeline
from support.fault_peer import FaultPeer
from support.loops import LOOPS, Turns, run_in
from support.resident import data_of

MIB = 1 << 20
MANY = 3000  # more calls than begin in a millisecond
SIZE = 16 * MIB
DATA = data_of(SIZE)


@pytest.fixture(params=LOOPS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def peer() -> Iterator[FaultPeer]:
    with FaultPeer() as running:
        yield running
    assert running.errors == []


Main = Callable[[simdrive.AsyncClient, Turns], Awaitable[None]]


def with_client(kind: str, peer: FaultPeer, main: Main) -> None:
    async def run() -> None:
        async with await simdrive.aconnect(peer.url, timeout=60) as client, Turns() as turns:
            await main(client, turns)

    run_in(kind, run())


class Looking:
    """Notes what was moved between two turns of the others."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._seen = turns.count
        self._moved = 0
        self.most = 0

    def moved(self, size: int) -> None:
        if self._turns.count != self._seen:
            self._seen = self._turns.count
            self._moved = 0
        self._moved += size
        self.most = max(self.most, self._moved)


# ---- what is sent and received --------------------------------------------------------------------------------------


async def read_into_a_buffer(client: simdrive.AsyncClient) -> Any:
    target = bytearray(SIZE)
    assert await client.read(b"key", out=target) == SIZE
    return target


async def read_into_a_file(client: simdrive.AsyncClient) -> Any:
    sink = io.BytesIO()
    assert await client.read_into(b"key", sink) == SIZE
    return sink.getvalue()


READS: dict[str, Callable[[simdrive.AsyncClient], Awaitable[Any]]] = {
    "bytes": lambda client: client.read(b"key"),
    "view": lambda client: client.read(b"key", out="view"),
    "buffer": read_into_a_buffer,
    "file": read_into_a_file,
}


@pytest.mark.parametrize("name", READS)
def test_reads(kind: str, peer: FaultPeer, name: str) -> None:
    """A round receives a MiB; there may be two to a turn, when the socket and the client itself ask for one."""
    peer.store.entries[b"key"] = DATA

    async def main(client: simdrive.AsyncClient, turns: Turns) -> None:
        before = turns.count
        assert await READS[name](client) == DATA
        assert turns.count - before >= SIZE // (2 * MIB)

    with_client(kind, peer, main)


@pytest.mark.parametrize("method", ["batch_delete", "batch_write"])
def test_calls_of_a_batch(kind: str, peer: FaultPeer, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """They begin in many turns, and have one deadline."""
    start = AsyncPipeline.delete if method == "batch_delete" else AsyncPipeline._batch_write
    timeouts: list[float] = []

    async def main(client: simdrive.AsyncClient, turns: Turns) -> None:
        looking = Looking(turns)

        def begin(self: AsyncPipeline, what: Any, timeout: float) -> asyncio.Future[None]:
            looking.moved(1)
            timeouts.append(timeout)
            return start(self, what, timeout=timeout)

        monkeypatch.setattr(AsyncPipeline, start.__name__, begin)
        items = {b"%d" % i: b"1" for i in range(MANY)}
        if method == "batch_delete":
            await client.batch_delete(items, timeout=30)
        else:
            await client.batch_write(items, max_bytes=1, timeout=30)
        assert looking.most < MANY
        assert timeouts == sorted(timeouts, reverse=True)
        assert 30 >= timeouts[0] > timeouts[-1]

    with_client(kind, peer, main)


def test_writes(kind: str, peer: FaultPeer) -> None:
    async def main(client: simdrive.AsyncClient, turns: Turns) -> None:
        for data in (DATA, bytearray(DATA)):
            before = turns.count
            await client.write(b"key", data)
            assert turns.count - before >= SIZE // (2 * MIB)

    with_client(kind, peer, main)
    assert peer.store.entries == {b"key": DATA}


# ---- streams --------------------------------------------------------------------------------------------------------

Source = Callable[[int, Looking], Any]


def iterable(length: int, looking: Looking) -> Iterator[bytes]:
    for start in range(0, SIZE, length):
        looking.moved(min(length, SIZE - start))
        yield DATA[start : start + length]


async def asynchronous(length: int, looking: Looking) -> AsyncIterator[bytes]:
    """Never waits."""
    for piece in iterable(length, looking):
        yield piece


class Ready:
    """A source to be awaited that has everything, and gives more than it is asked for."""

    def __init__(self, length: int, looking: Looking) -> None:
        self._pieces = iterable(length, looking)

    async def read(self, _size: int) -> bytes:
        return next(self._pieces, b"")


SOURCES: dict[str, Source] = {"iterable": iterable, "asynchronous iterable": asynchronous, "coroutine": Ready}


@pytest.mark.parametrize("size", [None, SIZE])
@pytest.mark.parametrize("length", [64 << 10, 100_000, MIB])
@pytest.mark.parametrize("name", SOURCES)
def test_pieces_of_a_write_stream(kind: str, peer: FaultPeer, name: str, length: int, size: int | None) -> None:
    """About a MiB is taken between two turns, from sources that never wait."""

    async def main(client: simdrive.AsyncClient, turns: Turns) -> None:
        looking = Looking(turns)
        assert await client.write_stream(b"key", SOURCES[name](length, looking), size=size) == SIZE
        # The piece that makes it a MiB, and the next, which is made before it is known that a turn is due.
        assert looking.most <= MIB + 2 * length

    with_client(kind, peer, main)
    assert peer.store.entries == {b"key": DATA}


@pytest.mark.parametrize("size", [None, SIZE])
@pytest.mark.parametrize("name", SOURCES)
def test_one_piece_of_a_write_stream(kind: str, peer: FaultPeer, name: str, size: int | None) -> None:
    """Is copied by the MiB."""

    async def main(client: simdrive.AsyncClient, turns: Turns) -> None:
        class Seen(Looking):
            def moved(self, size: int) -> None:
                asked.append(turns.count)
                super().moved(size)

        asked: list[int] = []
        source = SOURCES[name](SIZE, Seen(turns))
        began = asyncio.get_running_loop().create_task(client.write_stream(b"key", source, size=size))
        ended = asyncio.Event()
        client_write = client.write

        async def write(key: Any, data: Any, **options: Any) -> None:
            asked.append(turns.count)
            ended.set()
            await client_write(key, data, **options)

        client.write = write  # type: ignore[method-assign]  # called when all is copied
        assert await began == SIZE
        assert ended.is_set()
        assert asked[-1] - asked[0] >= SIZE // MIB - 1

    with_client(kind, peer, main)
    assert peer.store.entries == {b"key": DATA}


@pytest.mark.parametrize("size", [None, SIZE])
def test_files_of_a_write_stream(kind: str, peer: FaultPeer, size: int | None) -> None:
    async def main(client: simdrive.AsyncClient, turns: Turns) -> None:
        class File(io.BytesIO):
            def readinto(self, buffer: Any) -> int:
                asked.append(turns.count)
                return super().readinto(buffer)

            def read(self, size: int | None = -1) -> bytes:
                asked.append(turns.count)
                return super().read(size)

        asked: list[int] = []
        assert await client.write_stream(b"key", File(DATA), size=size) == SIZE
        assert len(asked) >= SIZE // MIB
        assert len(set(asked)) == len(asked)

    with_client(kind, peer, main)
    assert peer.store.entries == {b"key": DATA}


@pytest.mark.parametrize("length", [1000, 64 << 10, MIB])
def test_pieces_of_a_read_stream(kind: str, peer: FaultPeer, length: int) -> None:
    """About a MiB is given between two turns, to a reader that never waits."""
    peer.store.entries[b"key"] = DATA

    async def main(client: simdrive.AsyncClient, turns: Turns) -> None:
        looking = Looking(turns)
        async for piece in client.read_stream(b"key", chunk_size=length):
            looking.moved(len(piece))
        assert looking.most <= MIB + length

    with_client(kind, peer, main)


class TakesAll:
    """A sink to be awaited that never waits."""

    def __init__(self, looking: Looking) -> None:
        self._looking = looking

    async def write(self, data: memoryview) -> int:
        self._looking.moved(len(data))
        return len(data)


class Drained:
    """Another."""

    def __init__(self, looking: Looking) -> None:
        self._looking = looking

    def write(self, data: memoryview) -> None:
        self._looking.moved(len(data))

    async def drain(self) -> None:
        pass


@pytest.mark.parametrize("make", [TakesAll, Drained])
def test_sinks_that_never_wait(kind: str, peer: FaultPeer, make: Callable[[Looking], Any]) -> None:
    peer.store.entries[b"key"] = DATA

    async def main(client: simdrive.AsyncClient, turns: Turns) -> None:
        looking = Looking(turns)
        assert await client.read_into(b"key", make(looking)) == SIZE
        assert looking.most <= MIB

    with_client(kind, peer, main)
