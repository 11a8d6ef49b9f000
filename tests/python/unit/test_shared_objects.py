"""Objects that threads share, with and without the GIL: the cases that docs/threads.md says are safe."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import simdrive
from simdrive import _wire, compat, hashing
from support.fault_peer import Behaviour, Call, Connection, FaultPeer

THREADS = 4


@pytest.fixture(autouse=True)
def quick_switches() -> Iterator[None]:
    """Where there is a GIL, other threads come in between as often as can be."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def at_once(*works: Callable[[], object]) -> None:
    """Each in a thread of its own, all from the same moment on. Raises what the first failure was."""
    start = threading.Barrier(len(works))
    failures: list[BaseException] = []

    def run(work: Callable[[], object]) -> None:
        start.wait()
        try:
            work()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def test_one_decoder() -> None:
    decoder = _wire.FrameDecoder(13, requests=True)
    calls = 2000
    ended: list[int] = []
    taken: list[_wire.Request] = []

    def feed(number: int) -> None:
        for index in range(calls):
            request = number * calls + index + 1
            for frame in _wire.request_frames(13, request, request, 7, b"arguments %d" % request):
                ended.extend(event[1] for event in decoder.feed(frame) if event[0] == "end")

    def take() -> None:
        while len(taken) < THREADS * calls and feeders_left():
            decoder.open_requests()
            taken.extend(decoder.take_requests())

    left = [THREADS]
    lock = threading.Lock()

    def feeders_left() -> bool:
        with lock:
            return left[0] > 0

    def feeder(number: int) -> None:
        try:
            feed(number)
        finally:
            with lock:
                left[0] -= 1

    at_once(take, take, *[lambda number=number: feeder(number) for number in range(THREADS)])
    taken.extend(decoder.take_requests())
    everything = list(range(1, THREADS * calls + 1))
    assert sorted(ended) == everything
    assert sorted(request.request_id for request in taken) == everything
    assert all(request.args == b"arguments %d" % request.request_id for request in taken)
    assert decoder.open_requests() == []


def test_one_hasher() -> None:
    hasher, block = hashing.Hasher(7), b"\x5a" * 40_000
    rounds = 100

    def update() -> None:
        for _ in range(rounds):
            hasher.update(block)
            hasher.update(block[:100])

    def look() -> None:
        for _ in range(rounds):
            hasher.copy().intdigest()
            assert hasher.seed == 7
            hasher.digest()

    at_once(look, *[update] * THREADS)
    assert hasher.intdigest() == hashing.xxh3_64(b"\x5a" * (THREADS * rounds * 40_100), 7)


def test_one_hasher_is_reset() -> None:
    hasher = hashing.Hasher()

    def use() -> None:
        for _ in range(300):
            hasher.update(b"x" * 300)
            hasher.reset()

    at_once(*[use] * THREADS)
    assert hasher.intdigest() == hashing.xxh3_64(b"")


@pytest.mark.parametrize("many", [hashing.xxh3_64_many, hashing.NamespaceHasher(b"p").namespace_many])
def test_a_list_that_changes_while_it_is_hashed(many: Callable[[list[bytes]], list[Any]]) -> None:
    keys = [b"%d" % n for n in range(5000)]
    known = dict(zip(keys, many(keys), strict=True))
    known.update(zip(new := [b"new %d" % n for n in range(5000)], many(new), strict=True))
    right = frozenset(known.values())
    done = threading.Event()

    def change() -> None:
        while not done.is_set():
            keys[:] = new
            del keys[2500:]
            keys.extend(bytes(key) for key in new[2500:])

    def read() -> None:
        try:
            for _ in range(50):
                with contextlib.suppress(RuntimeError):  # the list became shorter
                    assert right.issuperset(many(keys))
        finally:
            done.set()

    at_once(change, read, read)


def test_a_backend_that_changes_while_it_is_used() -> None:
    before, data = hashing.backend(), bytes(range(256)) * 100
    expected = hashing.xxh3_64(data), hashing.crc32(data)

    def change() -> None:
        for _ in range(500):
            for name in hashing.backends():
                hashing.set_backend(name)

    def use() -> None:
        hasher = hashing.Hasher()
        for _ in range(500):
            assert (hashing.xxh3_64(data), hashing.crc32(data)) == expected
            hasher.reset()
            hasher.update(data)
            assert hasher.intdigest() == expected[0]

    try:
        at_once(change, use, use)
    finally:
        hashing.set_backend(before)


def test_batches_that_change_while_they_are_sent() -> None:
    with FaultPeer() as peer, simdrive.connect(peer.url) as client:
        items: list[Any] = [[b"key %d" % n, b"value"] for n in range(50)]
        keys = [b"key %d" % n for n in range(50)]
        mapping = {b"key": bytearray(b"value")}
        done = threading.Event()

        def change() -> None:
            n = 0
            while not done.is_set():
                n += 1
                items[n % 50] = [b"key %d" % n, b"another %d" % n]
                items[(n + 25) % 50][1] = b"value %d" % n
                keys[n % 50] = b"key %d" % n
                keys.append(keys.pop(0))
                mapping[b"key"] = bytearray(b"another %d" % n)

        def call() -> None:
            try:
                for _ in range(50):
                    client.batch_write(items)
                    client.batch_write(mapping)
                    assert len(client.batch_read(keys)) in (49, 50)
            finally:
                done.set()

        at_once(change, call, call)


class Changing(simdrive.Client):
    """Stands for another thread that changes what a call was given, while that waits for its reply."""

    __slots__ = ("change",)
    change: Callable[[], object]

    def batch_read(self, keys: Any, **options: Any) -> Any:
        values = super().batch_read(keys, **options)
        self.change()
        return values


class AsyncChanging(simdrive.AsyncClient):
    """The same for asyncio, where another task does that."""

    change: Callable[[], object]

    async def batch_read(self, keys: Any, **options: Any) -> Any:
        values = await super().batch_read(keys, **options)
        self.change()
        return values


def test_structures_that_another_task_changes() -> None:
    async def main(url: str) -> None:
        simple = await simdrive.aconnect(url)
        async with simple as client:
            client.__class__ = AsyncChanging
            assert isinstance(client, AsyncChanging)
            await client.batch_write([(b"1", b"one"), (b"2", b"two")])
            row: dict[str, Any] = {"first": b"1", "second": b"2"}
            client.change = lambda: row.update(first=row.pop("first"), third=b"3")
            assert await client.batch_read_structured(row) == {"first": b"one", "second": b"two"}

    with FaultPeer() as peer:
        asyncio.run(main(peer.url))


@pytest.mark.parametrize("kind", ["client", "namespace", "compat"])
def test_structures_that_change_while_their_values_are_read(kind: str) -> None:
    with FaultPeer() as peer, Changing(simdrive.Options(url=peer.url)) as client:
        caller: Any = client
        if kind == "namespace":
            caller = client.namespace(b"users")
        elif kind == "compat":
            caller = object.__new__(compat.DataStoreWsClient)
            caller._client = client
        caller.batch_write([(b"1", b"one"), (b"2", b"two")])

        row: dict[str, Any] = {"first": b"1", "second": b"2"}

        def reorder() -> None:
            row["first"] = row.pop("first")
            row["third"] = b"3"

        client.change = reorder
        assert caller.batch_read_structured(row) == {"first": b"one", "second": b"two"}

        rows = [{"a": b"1"}, {"b": b"2"}]
        client.change = lambda: rows.insert(0, {"c": b"2"})
        assert caller.batch_read_structured(rows) == [{"a": b"one"}, {"b": b"two"}]


def test_one_client_and_its_views() -> None:
    with FaultPeer() as peer, simdrive.connect(peer.url) as client:
        view = client.namespace(b"users")

        def use(number: int) -> None:
            key, value = b"%d" % number, bytes([number + 65]) * 5000
            out = bytearray(5000)
            for _ in range(50):
                view.write(key, value)
                assert view.read(key) == value
                assert view.read(key, out=out) == 5000
                assert out == value
                assert client.mapping().get(b"absent") is None
                assert repr(client)
                assert client._stats()["connections"] == 1

        def views() -> None:
            for _ in range(50):
                with client.namespace(b"others").namespace(b"more") as inner:
                    assert not inner.closed

        at_once(views, *[lambda number=number: use(number) for number in range(THREADS)])


def test_a_client_that_is_closed_while_it_is_used() -> None:
    for _ in range(10):
        with FaultPeer() as peer:
            client = simdrive.connect(peer.url)
            used = threading.Event()

            def use(client: simdrive.Client = client, used: threading.Event = used) -> None:
                with contextlib.suppress(simdrive.ClosedError):
                    while True:
                        client.write(b"key", b"value")
                        used.set()

            def close(client: simdrive.Client = client, used: threading.Event = used) -> None:
                assert used.wait(20)
                client.close()

            at_once(close, close, use, use)


def test_the_environment_is_read_once() -> None:
    script = """
import os, sys, simdrive
os.environ["SIMDRIVE_SIMD"] = "nonsense"  # as another thread may, while connect() runs without the GIL
simdrive.connect(sys.argv[1]).close()
"""
    with FaultPeer() as peer:
        process = subprocess.run(
            [sys.executable, "-c", script, peer.url], capture_output=True, text=True, timeout=60, check=False
        )
    assert (process.returncode, process.stderr) == (0, "")


def no_reply(connection: Connection, call: Call) -> None:
    """Leaves the caller waiting."""


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_coroutine_that_is_thrown_away(elsewhere: bool) -> None:
    async def main(url: str) -> int:
        async with await simdrive.aconnect(url) as client:
            reading = client.read(b"key")
            reading.send(None)
            assert client._core.pending == 1
            if elsewhere:
                at_once(reading.close)
            else:
                reading.close()
            return client._core.pending

    with FaultPeer(script=[Behaviour(call=no_reply, times=None)]) as peer:
        left = asyncio.run(main(peer.url))
    assert left == (1 if elsewhere else 0)  # on its own thread it is cancelled at once


def test_only_one_callback_is_set() -> None:
    for _ in range(50):
        refused: list[Exception] = []

        def set_up(refused: list[Exception] = refused) -> None:
            try:
                compat.setup_logging(lambda _: None)
            except RuntimeError as error:
                refused.append(error)

        handlers, level = list(compat._logger.handlers), compat._logger.level
        try:
            at_once(*[set_up] * THREADS)
            assert len(refused) == THREADS - 1
            assert len(compat._logger.handlers) == len(handlers) + 1
        finally:
            compat._logger.handlers[:] = handlers
            compat._logger.setLevel(level)


def test_only_one_finder_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(50):
        monkeypatch.setattr(sys, "meta_path", [finder for finder in sys.meta_path if finder is not compat._finder])
        at_once(*[compat.install] * THREADS)
        assert sys.meta_path.count(compat._finder) == 1
