"""One client under test, driven over pipes: run by round_trip.py with the interpreter that has the client.

usage: worker.py simdrive|real|redis|glide|idle PORT
One JSON command a line on stdin, one JSON answer a line on the original stdout; end of file ends the process.
Only the standard library is used, because the other client's environment has nothing else to share.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import resource
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

TICK_S = 0.001


def cpu_us() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return (usage.ru_utime + usage.ru_stime) * 1e6


def peak_memory_kib() -> int:
    """VmHWM rather than ru_maxrss, which survives exec and so may still be the parent's."""
    with Path("/proc/self/status").open(encoding="ascii") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def open_client(kind: str, port: int) -> Any:
    if kind == "simdrive":
        return importlib.import_module("simdrive").connect(f"ws://127.0.0.1:{port}")
    if kind == "real":
        return importlib.import_module("simd_r_drive_ws_client").DataStoreWsClient("127.0.0.1", port)
    if kind in ("redis", "glide"):
        return importlib.import_module("other_clients").KINDS[kind](port)
    return None


class Ticker:
    """A thread that wakes every millisecond and remembers its longest delay."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._ticking = threading.Event()
        self._longest_s = 0.0
        self._thread = threading.Thread(target=self._tick, daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._ticking.wait()

    def _tick(self) -> None:
        last = time.perf_counter()
        while not self._stop.is_set():
            time.sleep(TICK_S)
            now = time.perf_counter()
            self._longest_s = max(self._longest_s, now - last - TICK_S)
            last = now
            self._ticking.set()

    def stop(self) -> float:
        """The longest delay in milliseconds; the gap that the stopping thread itself ended counts too."""
        self._stop.set()
        self._thread.join()
        return self._longest_s * 1e3


class Worker:
    def __init__(self, kind: str, port: int) -> None:
        self.kind, self.port = kind, port
        self.client = open_client(kind, port)
        self.values: dict[str, bytes] = {}
        self.batches: dict[str, list[tuple[bytes, bytes]]] = {}
        self.ticker: Ticker | None = None

    # -- values -----------------------------------------------------------------------------------------------------
    def cmd_value(self, key: str, size: int) -> dict[str, Any]:
        """Random bytes: the serialiser packs repetitive ones, so a constant payload would flatter everyone."""
        self.values[key] = os.urandom(size)
        return {}

    def cmd_batch(self, key: str, count: int, size: int) -> dict[str, Any]:
        self.batches[key] = [(f"{key}-{i}".encode(), os.urandom(size)) for i in range(count)]
        return {}

    def cmd_forget(self) -> dict[str, Any]:
        self.values.clear()
        self.batches.clear()
        return {}

    # -- one thread -------------------------------------------------------------------------------------------------
    def _call(self, op: str, key: str) -> tuple[Callable[[], Any], Any]:
        """The call and the answer that proves it did its work (None: the call returns nothing to check)."""
        name = key.encode()
        if op == "write":
            return functools.partial(self.client.write, name, self.values[key]), None
        if op == "read":
            return functools.partial(self.client.read, name), self.values[key]
        if op == "exists":
            return functools.partial(self.client.exists, name), True
        items = self.batches[key]
        if op == "batch_write":
            return functools.partial(self.client.batch_write, items), None
        if op == "batch_read":
            return functools.partial(self.client.batch_read, [k for k, _ in items]), [v for _, v in items]
        raise ValueError(f"no operation {op}")

    def cmd_run(self, op: str, key: str, secs: float, max_ops: int, warm: int) -> dict[str, Any]:
        call, expected = self._call(op, key)
        clock = time.perf_counter_ns
        for _ in range(warm):
            call()
        samples: list[int] = []
        cpu_start = cpu_us()
        end = clock() + int(secs * 1e9)
        answer: Any = None
        while len(samples) < max_ops:
            answer = None  # a large result is freed before the clock starts, not while it runs
            start = clock()
            answer = call()
            stop = clock()
            samples.append(stop - start)
            if stop >= end:
                break
        cpu = cpu_us() - cpu_start
        if expected is not None and answer != expected:
            raise ValueError(f"{op} of {key} gave a wrong answer")
        return {"samples_us": [n / 1e3 for n in samples], "cpu_us": cpu}

    # -- threads ----------------------------------------------------------------------------------------------------
    def _sends(self) -> int | None:
        stats = getattr(self.client, "_stats", None)
        return None if stats is None else int(stats()["sends"])

    def _in_threads(self, count: int, body: Callable[[int], int], secs: float | None) -> dict[str, Any]:
        """Runs body(i) in `count` threads until each returns its number of calls; `secs`: when to set self.stop."""
        calls = [0] * count
        errors: list[BaseException] = []
        gate = threading.Barrier(count + 1)
        self.stop = False

        def run(i: int) -> None:
            gate.wait()
            try:
                calls[i] = body(i)
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
        for thread in threads:
            thread.start()
        sends_start = self._sends()
        cpu_start = cpu_us()
        gate.wait()
        start = time.perf_counter()
        if secs is not None:
            time.sleep(secs)
            self.stop = True
        for thread in threads:
            thread.join()
        elapsed = time.perf_counter() - start
        if errors:
            raise errors[0]
        total = sum(calls)
        sends_end = self._sends()
        answer: dict[str, Any] = {"calls": total, "ops_s": total / elapsed, "cpu_us": (cpu_us() - cpu_start) / total}
        if sends_start is not None and sends_end is not None:
            answer["sends_per_call"] = (sends_end - sends_start) / total
        return answer

    def cmd_threads(self, op: str, key: str, threads: int, secs: float, each: bool = False) -> dict[str, Any]:
        """`each`: every thread has a client of its own, and `sends_per_call` says nothing."""
        value = self.values[key]
        self.client.write(key.encode(), value)
        clients = [open_client(self.kind, self.port) if each else self.client for _ in range(threads)]

        def read(i: int) -> int:
            n = 0
            name = key.encode()
            while not self.stop or n == 0:
                if clients[i].read(name) != value:
                    raise ValueError("a read gave a wrong answer")
                n += 1
            return n

        def write(i: int) -> int:
            n = 0
            name = f"{key}-{i}".encode()
            while not self.stop or n == 0:
                clients[i].write(name, value)
                n += 1
            return n

        answer = self._in_threads(threads, read if op == "read" else write, secs)
        if each:
            answer.pop("sends_per_call", None)
        return answer

    def cmd_mixed(self, threads: int, calls: int, prefix: str) -> dict[str, Any]:
        """Each thread writes, reads back and asks for keys of its own; every answer is compared."""
        noise = os.urandom(1 << 16)
        wrong = [0] * threads

        def body(i: int) -> int:
            value = b""
            for n in range(calls // threads):
                key = f"{prefix}-{i}-{n // 3 % 7}".encode()
                if n % 3 == 0:
                    value = noise[(n * 37 + i) % 60000 :][: 16 + n % 1009]
                    self.client.write(key, value)
                elif n % 3 == 1:
                    wrong[i] += self.client.read(key) != value
                else:
                    wrong[i] += self.client.exists(key) is not True
            return calls // threads

        return {**self._in_threads(threads, body, None), "wrong": sum(wrong)}

    # -- the process ------------------------------------------------------------------------------------------------
    def cmd_memory(self, key: str, size: int) -> dict[str, Any]:
        """For a fresh process only: the peak is the whole life's."""
        before = peak_memory_kib()
        value = os.urandom(size)
        self.client.write(key.encode(), value)
        if self.client.read(key.encode()) != value:
            raise ValueError("a large value came back wrong")
        return {"peak_mib": peak_memory_kib() / 1024, "before_mib": before / 1024}

    def cmd_stall(self, op: str, key: str) -> dict[str, Any]:
        call, expected = self._call(op, key)
        ticker = Ticker()
        ticker.start()
        start = time.perf_counter()
        answer = call()
        took = time.perf_counter() - start
        stall = ticker.stop()
        if expected is not None and answer != expected:
            raise ValueError(f"{op} of {key} gave a wrong answer")
        return {"stall_ms": stall, "took_ms": took * 1e3}

    def cmd_idle_start(self) -> dict[str, Any]:
        self.ticker = Ticker()
        self.ticker.start()
        return {}

    def cmd_idle_stop(self) -> dict[str, Any]:
        assert self.ticker is not None
        return {"stall_ms": self.ticker.stop()}


def main() -> None:
    out = os.fdopen(os.dup(1), "w", encoding="ascii", buffering=1)
    os.dup2(2, 1)  # whatever a client prints must not be taken for an answer
    try:
        worker = Worker(sys.argv[1], int(sys.argv[2]))
        out.write(json.dumps({"ready": True, "peak_mib": peak_memory_kib() / 1024}) + "\n")
    except BaseException as error:
        out.write(json.dumps({"error": f"{type(error).__name__}: {error}"}) + "\n")
        os._exit(1)
    for line in sys.stdin:
        command = json.loads(line)
        name = command.pop("cmd")
        try:
            answer = getattr(worker, f"cmd_{name}")(**command)
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        out.write(json.dumps(answer) + "\n")
    os._exit(0)  # the other client's runtime threads would keep a plain exit waiting


if __name__ == "__main__":
    main()
