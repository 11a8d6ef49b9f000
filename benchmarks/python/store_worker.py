"""Timed calls of a store from Python: store_worker.py simdrive|lmdb. The language of tests/interop/src/bench.rs, which
says what each command means. The time of the loop around the calls is part of each figure.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter_ns, process_time_ns
from typing import Any

SLACK = 1 << 20
FILL_BATCH = 1000
SEED = 20_240_501
MASK = (1 << 64) - 1
MAP_BYTES = 8 << 30
Samples = list[tuple[float, float | None]]  # by the clock, CPU time
LONG = 1 << 20  # single writes of so many bytes are long enough for the CPU clock
Pairs = list[tuple[bytes, bytes]]


def splitmix(state: int) -> Iterator[int]:
    while True:
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        yield z ^ (z >> 31)


class Watch:
    def __init__(self, *, cpu: bool) -> None:
        self._cpu = process_time_ns() if cpu else None
        self._wall = perf_counter_ns()

    def stop(self, calls: int) -> tuple[float, float | None]:
        wall = perf_counter_ns() - self._wall
        cpu = None if self._cpu is None else (process_time_ns() - self._cpu) / calls
        return wall / calls, cpu


class Simdrive:
    """Ours: `read` gives bytes, as the other does."""

    def __init__(self) -> None:
        module = importlib.import_module("simdrive")
        if not hasattr(module, "Store"):
            raise SystemExit("this simdrive has no Store")
        self._open = module.Store
        self._store: Any = None

    def create(self, path: str) -> None:
        for name in (path, path + ".mark"):
            Path(name).unlink(missing_ok=True)
        self.open(path)

    def open(self, path: str) -> None:
        self._store = self._open(path)
        self.write, self.batch = self._store.write, self._store.batch_write
        self.read, self.exists = self._store.read, self._store.exists

    def close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    def scan(self) -> int:
        count = 0
        for entry in self._store.iter_entries():
            entry[0]
            count += 1
        return count

    def __len__(self) -> int:
        return len(self._store)


class Lmdb:
    """LMDB in its fastest mode; a read renews a transaction, as one must to see what was written since."""

    def __init__(self) -> None:
        self._lmdb = importlib.import_module("lmdb")
        self._env: Any = None

    def create(self, path: str) -> None:
        for name in (path, path + "-lock"):
            Path(name).unlink(missing_ok=True)
        self.open(path)

    def open(self, path: str) -> None:
        self._env = self._lmdb.open(path, map_size=MAP_BYTES, subdir=False, sync=False, metasync=False, writemap=True)

    def close(self) -> None:
        if self._env is not None:
            self._env.close()
            self._env = None

    def write(self, key: bytes, data: bytes) -> None:
        with self._env.begin(write=True) as txn:
            txn.put(key, data)

    def batch(self, pairs: Pairs) -> None:
        with self._env.begin(write=True) as txn, txn.cursor() as cursor:
            cursor.putmulti(pairs)

    def read(self, key: bytes) -> bytes | None:
        with self._env.begin() as txn:
            found: bytes | None = txn.get(key)
            return found

    def exists(self, key: bytes) -> bool:
        with self._env.begin(buffers=True) as txn:
            return txn.get(key) is not None

    def scan(self) -> int:
        count = 0
        with self._env.begin(buffers=True) as txn, txn.cursor() as cursor:
            for value in cursor.iternext(keys=False, values=True):
                value[0]
                count += 1
        return count

    def __len__(self) -> int:
        return int(self._env.stat()["entries"])


class Bench:
    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.pool = b""
        self.next = 0

    def prepare(self, size: int) -> None:
        if len(self.pool) < size + SLACK:
            # A block of random bytes over and over: no store here looks for repetitions.
            words = splitmix(SEED)
            block = b"".join(next(words).to_bytes(8, "little") for _ in range(SLACK // 8))
            self.pool = (block * (size // SLACK + 2))[: size + SLACK]

    def payload(self, index: int, size: int) -> bytes:
        at = index * 0x9E3779B1 % SLACK
        return self.pool[at : at + size]

    def pairs(self, first: int, count: int, size: int) -> Pairs:
        return [(b"key:%010d" % i, self.payload(i, size)) for i in range(first, first + count)]

    def check(self, index: int, size: int) -> None:
        if self.engine.read(b"key:%010d" % index) != self.payload(index, size):
            raise ValueError(f"key {index} reads back as something else")

    def create(self, path: str) -> Samples:
        self.engine.close()
        self.next = 0
        watch = Watch(cpu=True)
        self.engine.create(path)
        return [watch.stop(1)]

    def open(self, path: str, count: str) -> Samples:
        samples: Samples = []
        for _ in range(int(count)):
            self.engine.close()
            watch = Watch(cpu=True)
            self.engine.open(path)
            samples.append(watch.stop(1))
        self.next = len(self.engine)
        return samples

    def close(self) -> Samples:
        self.engine.close()
        return []

    def write(self, size_text: str, count_text: str) -> Samples:
        size, count = int(size_text), int(count_text)
        self.prepare(size)
        warm = max(count // 10, 1)
        samples: Samples = []
        write = self.engine.write
        for _ in range(warm + count):
            ((key, data),) = self.pairs(self.next, 1, size)
            self.next += 1
            watch = Watch(cpu=size >= LONG)
            write(key, data)
            samples.append(watch.stop(1))
        self.check(self.next - 1, size)
        return samples[warm:]

    def batch(self, size_text: str, items_text: str, count_text: str) -> Samples:
        size, items = int(size_text), int(items_text)
        self.prepare(size)
        samples: Samples = []
        for _ in range(int(count_text) + 1):
            pairs = self.pairs(self.next, items, size)
            self.next += items
            watch = Watch(cpu=True)
            self.engine.batch(pairs)
            samples.append(watch.stop(items))
        self.check(self.next - 1, size)
        return samples[1:]

    def look_up(self, call: Callable[[bytes], Any], form: bytes, entries: int, windows: int, calls: int) -> Samples:
        random = splitmix(SEED + entries)
        warm = max(windows // 10, 1)
        samples: Samples = []
        expected = 0 if form.startswith(b"gone") else calls
        for _ in range(warm + windows):
            keys = [form % (next(random) % entries) for _ in range(calls)]
            found = 0
            watch = Watch(cpu=False)
            for key in keys:
                if call(key):
                    found += 1
            samples.append(watch.stop(calls))
            if found != expected:
                raise ValueError(f"{found} of {calls} keys were found")
        return samples[warm:]

    def read(self, *numbers: str) -> Samples:
        return self.look_up(self.engine.read, b"key:%010d", *map(int, numbers))

    def exists(self, *numbers: str) -> Samples:
        return self.look_up(self.engine.exists, b"key:%010d", *map(int, numbers))

    def absent(self, *numbers: str) -> Samples:
        return self.look_up(self.engine.exists, b"gone%010d", *map(int, numbers))

    def scan(self, count: str) -> Samples:
        samples: Samples = []
        for _ in range(int(count) + 1):
            watch = Watch(cpu=True)
            entries = self.engine.scan()
            samples.append(watch.stop(max(entries, 1)))
        return samples[1:]


COMMANDS = ("create", "open", "close", "write", "batch", "read", "exists", "absent", "scan")


def main() -> None:
    bench = Bench({"simdrive": Simdrive, "lmdb": Lmdb}[sys.argv[1]]())
    for line in sys.stdin:
        command, *words = line.split()
        try:
            if command not in COMMANDS:
                raise ValueError(f"unknown command {command}")
            samples: Samples = getattr(bench, command)(*words)
            answer: dict[str, Any] = {"ns": [wall for wall, _ in samples]}
            if cpu := [time for _, time in samples if time is not None]:
                answer["cpu"] = cpu
        except Exception as error:  # whatever an engine raises is its answer
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
    with contextlib.suppress(Exception):
        bench.close()


if __name__ == "__main__":
    main()
