"""Many threads on one client: every answer goes to the one who asked."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

import simdrive
from support.real_server import RealServer

THREADS = 16
CALLS = 20_000


class Worker:
    """Mixed calls on keys of its own and on keys that all threads read; knows every right answer."""

    def __init__(self, client: simdrive.Client, number: int, shared: dict[bytes, bytes]) -> None:
        self._client = client
        self._number = number
        self._shared = shared
        self._names = list(shared)
        self._mine: dict[bytes, bytes] = {}
        self._random = random.Random(number)
        self.calls = 0

    def run(self, calls: int) -> None:
        steps: list[Callable[[], None]] = [self.write, self.read, self.read, self.read_shared, self.exists, self.delete]
        steps += [self.read_out, self.batch, self.count]
        weights = [20, 20, 10, 20, 15, 5, 5, 4, 1]
        for step in self._random.choices(steps, weights, k=calls):
            step()
            self.calls += 1

    def key(self) -> bytes:
        return b"thread %d key %d" % (self._number, self._random.randrange(20))

    def value(self) -> bytes:
        size = self._random.choice([2, 16, 16, 100, 300, 1000, 1000, 20_000])
        return self._random.randbytes(size)

    def write(self) -> None:
        key, value = self.key(), self.value()
        self._client.write(key, value)
        self._mine[key] = value

    def read(self) -> None:
        key = self.key()
        assert self._client.read(key) == self._mine.get(key)

    def read_shared(self) -> None:
        key = self._random.choice(self._names)
        assert self._client.read(key) == self._shared[key]

    def read_out(self) -> None:
        key, target = self.key(), bytearray(20_000)
        expected = self._mine.get(key)
        size = self._client.read(key, out=target)
        assert size == (None if expected is None else len(expected))
        assert expected is None or target[: len(expected)] == expected

    def exists(self) -> None:
        key = self.key()
        assert self._client.exists(key) is (key in self._mine)

    def delete(self) -> None:
        key = self.key()
        self._client.delete(key)
        self._mine.pop(key, None)

    def batch(self) -> None:
        pairs = {self.key(): self.value() for _ in range(5)}
        self._client.batch_write(pairs)
        self._mine.update(pairs)
        keys = [*pairs, self.key(), self._names[0]]
        expected = {**self._mine, **self._shared}
        assert self._client.batch_read(keys) == [expected.get(key) for key in keys]

    def count(self) -> None:
        assert len(self._client) >= len(self._shared)


def run_all(jobs: list[Callable[[], None]], timeout: float) -> None:
    """Each job in a thread; the first failure of any is raised here."""
    failures: list[BaseException] = []
    start = threading.Barrier(len(jobs))

    def run(job: Callable[[], None]) -> None:
        try:
            start.wait(timeout=10)
            job()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(job,), daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout)
        assert not thread.is_alive(), "a thread hangs"
    if failures:
        raise failures[0]


def test_mixed_calls(own_server: RealServer) -> None:
    rng = random.Random(0)
    shared = {b"shared %d" % i: rng.randbytes(size) for i, size in enumerate([2, 16, 255, 1024, 65_520, 300_000])}
    with simdrive.connect(own_server.url) as client:
        client.batch_write(shared)
        workers = [Worker(client, number, shared) for number in range(THREADS)]
        run_all([lambda w=worker: w.run(CALLS // THREADS) for worker in workers], timeout=60)  # type: ignore[misc]
        assert sum(worker.calls for worker in workers) == CALLS


def test_large_values_beside_small_calls(own_server: RealServer) -> None:
    with simdrive.connect(own_server.url) as client:

        def large(number: int) -> None:
            data = random.Random(number).randbytes(5 << 20)
            for _ in range(3):
                client.write(b"large %d" % number, data)
                assert client.read(b"large %d" % number) == data

        def small(number: int) -> None:
            for i in range(200):
                client.write(b"small %d" % number, b"value %d" % i)
                assert client.read(b"small %d" % number) == b"value %d" % i

        run_all(
            [lambda n=n: (large if n < 2 else small)(n) for n in range(6)],  # type: ignore[misc]
            timeout=60,
        )


def test_close_wakes_the_waiting(own_server: RealServer) -> None:
    client = simdrive.connect(own_server.url)
    own_server.stop()
    seen: list[BaseException] = []

    def wait() -> None:
        try:
            client.read(b"never answered", timeout=20)
        except simdrive.SimdriveError as error:
            seen.append(error)

    threads = [threading.Thread(target=wait, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    client.close(timeout=0.5)
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()
    assert [type(error) for error in seen] == [simdrive.ClosedError] * 4
