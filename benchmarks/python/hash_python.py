"""The Python half of hash_speed.py, a process of its own: one JSON document with the samples, in nanoseconds a call.

python hash_python.py ROUNDS SLICE_MS PACKAGES     PACKAGES: folder with the other packages, may be empty
"""

from __future__ import annotations

import importlib
import itertools
import json
import random
import sys
import time
import zlib
from collections.abc import Callable
from typing import Any

from simdrive import hashing

SIZES = (8, 16, 32, 64, 240, 1 << 10, 4 << 10, 64 << 10, 1 << 20, 16 << 20, 256 << 20)
KEYS = 1000
KEY_SIZES = (8, 16, 32, 64)

Call = Callable[[Any], object]
Samples = dict[str, dict[str, dict[int, list[float]]]]


def random_bytes(size: int) -> bytes:
    source = random.Random(1)
    piece = min(size, 64 << 20)
    return b"".join(source.randbytes(piece) for _ in range(size // piece))


def time_calls(call: Call, data: object, count: int) -> float:
    """Nanoseconds for one of `count` calls, the loop included."""
    start = time.perf_counter_ns()
    for _ in itertools.repeat(None, count):
        call(data)
    return (time.perf_counter_ns() - start) / count


def calls_in(call: Call, data: object, slice_ms: float) -> int:
    count = 1
    while (took := time_calls(call, data, count) * count) < slice_ms * 5e5 and count < 1 << 24:
        count *= 2
    return max(1, round(count * slice_ms * 1e6 / took))


def measure(calls: dict[str, tuple[Call, object]], rounds: int, slice_ms: float) -> dict[str, list[float]]:
    """The implementations take turns in short slices, in reverse every other round."""
    counts = {name: calls_in(call, data, slice_ms) for name, (call, data) in calls.items()}
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds):
        for name in list(calls)[:: 1 if turn % 2 == 0 else -1]:
            call, data = calls[name]
            samples[name].append(time_calls(call, data, counts[name]))
    return samples


def loop_of(call: Call) -> Call:
    return lambda items: [call(item) for item in items]


def same(calls: dict[str, tuple[Call, object]], what: str) -> None:
    answers = {name: call(data) for name, (call, data) in calls.items()}
    plain = {name: answer if isinstance(answer, int) else list(answer) for name, answer in answers.items()}  # type: ignore[call-overload]
    first = next(iter(plain.values()))
    for name, answer in plain.items():
        if answer != first:
            raise SystemExit(f"hash_python: {name} gives another result: {what}")


class Packages:
    def __init__(self) -> None:
        self.missing: dict[str, str] = {}

    def function(self, module: str, name: str) -> Call | None:
        try:
            found: Call = getattr(importlib.import_module(module), name)
        except ImportError as error:
            self.missing[module] = f"Python: {error}"
            return None
        return found


def main() -> None:
    rounds, slice_ms, folder = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
    if folder:
        sys.path.append(folder)
    packages = Packages()
    xxhash = packages.function("xxhash", "xxh3_64_intdigest")
    hashes = {"simdrive": hashing.xxh3_64, "xxhash": xxhash}
    checksums = {
        "simdrive": hashing.crc32,
        "zlib": zlib.crc32,
        "zlib_ng": packages.function("zlib_ng.zlib_ng", "crc32"),
        "isal": packages.function("isal.isal_zlib", "crc32"),
    }
    samples: Samples = {}

    def take(group: str, size: int, calls: dict[str, tuple[Call, object]]) -> None:
        same(calls, f"{group} {size}")
        for name, values in measure(calls, rounds, slice_ms).items():
            samples.setdefault(group, {}).setdefault(name, {})[size] = values

    everything = random_bytes(max(SIZES))
    for size in SIZES:
        data = everything[:size]
        for group, functions in (("py_xxh3", hashes), ("py_crc32", checksums)):
            take(group, size, {name: (call, data) for name, call in functions.items() if call})

    as_array = packages.function("numpy", "frombuffer")
    for size in KEY_SIZES:
        keys = [everything[i * size : (i + 1) * size] for i in range(KEYS)]
        many: dict[str, tuple[Call, object]] = {"simdrive_list": (hashing.xxh3_64_many, keys)}
        if as_array is not None:
            rows: Any = importlib.import_module("numpy").frombuffer(everything[: KEYS * size], dtype="u1")
            many["simdrive_array"] = (hashing.xxh3_64_many, rows.reshape(KEYS, size))
        many["simdrive_loop"] = (loop_of(hashing.xxh3_64), keys)
        if xxhash is not None:
            many["xxhash_loop"] = (loop_of(xxhash), keys)
        take("py_many", size, many)
    json.dump({"samples": samples, "missing": packages.missing, "backend": hashing.backend()}, sys.stdout)


if __name__ == "__main__":
    main()
