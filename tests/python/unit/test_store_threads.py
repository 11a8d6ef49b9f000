"""A store shared between threads: readers beside writers, closing under calls, and locks that nobody waits for."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import simdrive
from support.resident import on_linux, resident_bytes, virtual_bytes

WAIT = 60.0


@pytest.fixture(autouse=True)
def quick_switches() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[simdrive.Store]:
    with simdrive.Store(tmp_path / "store.bin") as opened:
        yield opened


def at_once(*works: Callable[[], object]) -> None:
    """Each in a thread of its own. Raises what the first failure was."""
    failures: list[BaseException] = []

    def run(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
        assert not thread.is_alive()
    if failures:
        raise failures[0]


def for_ever(work: Callable[[], object]) -> None:
    while True:
        work()


def value_of(key: bytes, number: int) -> bytes:
    return b"%s %06d " % (key, number) * (1 + number % 3000)


def test_readers_beside_a_writer(store: simdrive.Store) -> None:
    """Values are whole, and never older than what was read before."""
    keys = [b"key %d" % i for i in range(5)]
    store.batch_write([(key, value_of(key, 0)) for key in keys])
    over = threading.Event()

    def write() -> None:
        try:
            for number in range(1, 400):
                if number % 3:
                    store.batch_write([(key, value_of(key, number)) for key in keys])
                else:
                    for key in keys:
                        store.write_stream(key, [value_of(key, number)])
                if number % 100 == 0:
                    store.compact()
        finally:
            over.set()

    def read() -> None:
        seen = dict.fromkeys(keys, 0)
        held: list[tuple[simdrive.Entry, bytes]] = []
        while not over.is_set():
            for key in keys:
                value = store.read(key)
                assert value is not None
                number = int(value[len(key) + 1 :][:6])
                assert value == value_of(key, number)
                assert number >= seen[key]
                seen[key] = number
            entry = store.read_entry(keys[0])
            assert entry is not None
            assert entry.is_valid_checksum()
            held = [*held[-20:], (entry, bytes(entry))]
            assert all(entry == value for entry, value in held)

    def scan() -> None:
        while not over.is_set():
            entries = list(store.iter_entries())
            assert len(entries) == len(keys) == len(store)
            assert all(entry.is_valid_checksum() for entry in entries)
            assert store.verify().ok

    at_once(write, read, read, scan)


def test_batches_are_read_as_of_one_moment(store: simdrive.Store) -> None:
    keys = [b"key %d" % i for i in range(10)]
    store.batch_write(dict.fromkeys(keys, b"0"))
    over = threading.Event()

    def write() -> None:
        for number in range(1, 1500):
            store.batch_write(dict.fromkeys(keys, b"%d" % number))
        over.set()

    def read() -> None:
        while not over.is_set():
            assert len(set(store.batch_read(keys))) == 1

    at_once(write, read, read)


def test_many_writers(store: simdrive.Store) -> None:
    def write(name: int) -> Callable[[], None]:
        def work() -> None:
            for number in range(300):
                store.write(b"%d %d" % (name, number), b"value %d" % number)

        return work

    at_once(*map(write, range(4)))
    assert len(store) == 1200
    assert store.verify().entries == 1200


def test_threads_share_an_iterator(store: simdrive.Store) -> None:
    store.batch_write([(b"%d" % i, b"value %d" % i) for i in range(20_000)])
    iterator = store.iter_entries()
    found: list[list[bytes]] = [[], [], []]
    at_once(*(lambda part=part: part.extend(map(bytes, iterator)) for part in found))
    assert sorted(itertools.chain(*found)) == sorted(b"value %d" % i for i in range(20_000))


def test_a_slow_source_keeps_no_reader_waiting(store: simdrive.Store) -> None:
    store.write(b"key", b"before")
    begun, go_on = threading.Event(), threading.Event()

    def source() -> Iterator[bytes]:
        yield b"x" * 100_000
        begun.set()
        assert go_on.wait(WAIT)
        yield b"y"

    def read() -> None:
        assert begun.wait(WAIT)
        for _ in range(100):
            assert store.read(b"key") == b"before"
        assert [bytes(entry) for entry in store.iter_entries()] == [b"before"]
        assert store.verify().ok
        waiting = threading.Thread(target=store.write, args=(b"other", b"waits"))
        waiting.start()
        go_on.set()
        waiting.join(WAIT)
        assert not waiting.is_alive()

    at_once(lambda: store.write_stream(b"key", source()), read)
    assert (store.read(b"key"), store.read(b"other")) == (b"x" * 100_000 + b"y", b"waits")


def test_close_under_calls(tmp_path: Path) -> None:
    for number in range(15):
        store = simdrive.Store(tmp_path / f"{number}.bin")
        store.batch_write([(b"%d" % i, b"value" * 5000) for i in range(20)])
        started = threading.Barrier(4)

        def until_closed(
            work: Callable[[], object], store: simdrive.Store = store, started: threading.Barrier = started
        ) -> None:
            started.wait(WAIT)
            with pytest.raises(simdrive.ClosedError):
                for_ever(work)
            assert store.closed

        def close(store: simdrive.Store = store, started: threading.Barrier = started) -> None:
            started.wait(WAIT)
            store.close()

        at_once(
            lambda: until_closed(lambda: store.read(b"7")),  # noqa: B023  # ends within the round
            lambda: until_closed(lambda: store.write(b"8", b"new")),  # noqa: B023
            lambda: until_closed(lambda: [bytes(e[:9]) for e in store.iter_entries()]),  # noqa: B023
            close,
        )


def test_values_are_released_under_readers(store: simdrive.Store) -> None:
    store.write(b"key", b"0123456789" * 10_000)
    for _ in range(50):
        entry = store.read_entry(b"key")
        assert entry is not None

        def use(entry: simdrive.Entry = entry) -> None:
            with contextlib.suppress(ValueError):  # released
                for _ in range(20):
                    assert bytes(entry) == b"0123456789" * 10_000
                    assert entry.is_valid_checksum()

        at_once(use, use, entry.release)


@pytest.mark.parametrize("sync", ["none", "batch"])
def test_exit_with_an_open_store_and_a_busy_daemon(tmp_path: Path, sync: str) -> None:
    """Python ends, with what was written, though a daemon thread is in a stream that never ends."""
    script = f"""
import atexit, itertools, simdrive, sys, threading
store = simdrive.Store(sys.argv[1], sync={sync!r})
store.write(b"key", b"value")
other = simdrive.Store(sys.argv[1] + "2")
begun = threading.Event()
def pieces():
    for number in itertools.count():
        if number == 100:
            begun.set()
        yield b"x" * 100_000 if number < 200 else b"x"
threading.Thread(target=lambda: other.write_stream(b"key", pieces()), daemon=True).start()
threading.Thread(target=lambda: [store.read(b"key") for _ in itertools.count()], daemon=True).start()
begun.wait()
atexit.register(lambda: store.write(b"last", b"words"))
"""
    command = [sys.executable, "-W", "ignore", "-c", script, str(tmp_path / "store.bin")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    with simdrive.Store(tmp_path / "store.bin") as store:
        assert store.batch_read([b"key", b"last"]) == [b"value", b"words"]
    with simdrive.Store(tmp_path / "store.bin2") as store:
        assert store.is_empty()


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@on_linux
def test_memory_stays_flat(tmp_path: Path) -> None:
    def rounds(count: int) -> None:
        for number in range(count):
            with simdrive.Store(tmp_path / "store.bin", sync="none") as store:
                store.write(b"key", b"value")
                store.batch_write([(b"%d" % i, b"x" * 100) for i in range(50)])
                for entry in store.iter_entries():
                    entry[1:3].view()
                store.read(b"key", out=bytearray(10))
                store.batch_read([b"key", b"none"], out="view")
                store.write_stream(b"s", [b"x" * 20_000] * 2)
                store.namespace(b"n").write(b"key", b"value")
                with pytest.raises(simdrive.InvalidValueError):
                    store.write(b"a", b"")
                with pytest.raises(simdrive.KeyNotFoundError):
                    store.rename(b"none", b"x")
                if number % 20 == 0:
                    store.compact()
        gc.collect()

    rounds(100)
    resident, virtual, files = resident_bytes(), virtual_bytes(), open_files()
    rounds(400)
    assert resident_bytes() - resident < 6 << 20
    assert virtual_bytes() - virtual < 64 << 20
    assert open_files() == files


def test_interrupt_ends_a_long_call(tmp_path: Path) -> None:
    """Ctrl-C ends what goes on for long, and nothing has changed."""
    with simdrive.Store(tmp_path / "store.bin") as store:
        store.write(b"key", b"value")
        tail = store.tail

        def pieces() -> Iterator[bytes]:
            for number in itertools.count():
                if number == 50:
                    os.kill(os.getpid(), 2) if os.name != "nt" else None
                yield b"x" * 1000 if number < 50_000_000 else b""

        if os.name == "nt":
            pytest.skip("no such signal")
        with pytest.raises(KeyboardInterrupt):
            store.write_stream(b"key", pieces())
        assert (store.tail, store.file_size(), store.read(b"key")) == (tail, tail, b"value")
