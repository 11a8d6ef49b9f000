"""Mixed load for minutes, through faults and restarts: memory, descriptors and threads of the process must stay flat.

usage: python benchmarks/python/soak.py [--seconds 600] [--threads 8] [--json FILE]

Threads share one client, one more opens and closes clients, and every few seconds the fault proxy between them and the
real server misbehaves for a moment. Samples are taken each second. After the warm-up (a quarter of the time) the median
of the last third must not be more than 5 % above that of the first third; exit 1 otherwise, or after a wrong answer.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

import simdrive
from support.fault_proxy import FaultProxy
from support.real_server import DIALECTS, RealServer, find_server, how_to_get

TOLERANCE = 0.05
KEYS = [b"soak key %d" % number for number in range(200)]
FAULTS: dict[str, Callable[[FaultProxy], None]] = {
    "latency": lambda proxy: proxy.set_latency(0.02),
    "bandwidth": lambda proxy: proxy.set_bandwidth(500_000),
    "slices": lambda proxy: proxy.set_slicing(100),
    "reset": lambda proxy: proxy.reset(),
    "cut up": lambda proxy: proxy.cut_after(1000, "up"),
    "cut down": lambda proxy: proxy.cut_after(1000, "down", then="close"),
    "half-close": lambda proxy: proxy.half_close("client"),
    "silence": lambda proxy: proxy.silence(),
    "stall": lambda proxy: proxy.stall("down"),
    "refused": lambda proxy: proxy.refuse(),
}


@dataclass(frozen=True)
class Sample:
    """The process at one moment; the counters are those since the sample before."""

    seconds: float
    rss_kib: int
    descriptors: int
    threads: int
    calls: int
    errors: int


class Load:
    """The calls of one thread; a value names its key, so that a wrong answer shows."""

    def __init__(self, client: simdrive.Client, number: int) -> None:
        self._client = client
        self._random = random.Random(number)
        self.calls = 0
        self.errors: Counter[str] = Counter()
        self.wrong: list[str] = []

    def step(self) -> None:
        key = self._random.choice(KEYS)
        kind = self._random.random()
        self.calls += 1
        try:
            if kind < 0.15:
                self._client.write(key, self.value(key))
            elif kind < 0.2:
                self._client.batch_write({name: self.value(name) for name in self._random.sample(KEYS, 3)})
            elif kind < 0.22:
                self._client.delete(key)
            elif kind < 0.3:
                names = self._random.sample(KEYS, 5)
                for name, value in zip(names, self._client.batch_read(names), strict=True):
                    self.judge(name, value)
            elif kind < 0.35:
                self._client.exists(key)
            elif kind < 0.4:
                self.judge(key, self._client.read(key, timeout=0.0005))  # a storm of calls given up
            else:
                self.judge(key, self._client.read(key))
        except simdrive.SimdriveError as error:
            self.errors[type(error).__name__] += 1

    def value(self, key: bytes) -> bytes:
        size = 50_000 if self._random.random() < 0.002 else self._random.randrange(20, 200)
        return key + b" " + self._random.randbytes(size)

    def judge(self, key: bytes, value: bytes | None) -> None:
        if value is not None and not value.startswith(key + b" "):
            self.wrong.append(f"{key!r} gave {value[:40]!r}")


def sample(started: float, calls: int, errors: int) -> Sample:
    status = dict(
        line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines() if ":" in line
    )
    descriptors = sum(1 for _ in Path("/proc/self/fd").iterdir())
    passed = time.monotonic() - started
    return Sample(passed, int(status["VmRSS"].split()[0]), descriptors, int(status["Threads"]), calls, errors)


class Soak:
    """The run: load, faults, restarts, samples."""

    def __init__(self, server: RealServer, proxy: FaultProxy, threads: int) -> None:
        self._server = server
        self._proxy = proxy
        self._stop = threading.Event()
        self._failures: list[BaseException] = []
        self.client = simdrive.connect(proxy.url, timeout=2.0, reconnect_spread=0.1)
        self.loads = [Load(self.client, number) for number in range(threads)]
        self.churn = Load(self.client, threads)
        self.samples: list[Sample] = []
        self.faults: Counter[str] = Counter()

    def run(self, seconds: float) -> None:
        workers = [threading.Thread(target=self._guard, args=(self._work, load), daemon=True) for load in self.loads]
        workers.append(threading.Thread(target=self._guard, args=(self._come_and_go,), daemon=True))
        workers.append(threading.Thread(target=self._guard, args=(self._misbehave,), daemon=True))
        for worker in workers:
            worker.start()
        try:
            self._watch(seconds)
        finally:
            self._stop.set()
            for worker in workers:
                worker.join(15)
            self._proxy.heal()
            self.client.close()
        if any(worker.is_alive() for worker in workers):
            raise RuntimeError("a thread hangs")
        if self._failures:
            raise self._failures[0]

    @property
    def wrong(self) -> list[str]:
        return [text for load in self.loads for text in load.wrong]

    def _guard(self, target: Callable[..., None], *arguments: object) -> None:
        try:
            target(*arguments)
        except BaseException as error:
            self._failures.append(error)
            self._stop.set()

    def _work(self, load: Load) -> None:
        while not self._stop.is_set():
            load.step()

    def _come_and_go(self) -> None:
        while not self._stop.wait(0.1):
            try:
                with simdrive.connect(self._proxy.url, connect_timeout=1.0, timeout=1.0) as client:
                    client.exists(KEYS[0])
            except simdrive.SimdriveError as error:
                self.churn.errors[type(error).__name__] += 1
            self.churn.calls += 1

    def _misbehave(self) -> None:
        rng = random.Random(1)
        count = 0
        while not self._stop.wait(rng.uniform(1.0, 4.0)):
            name = rng.choice(list(FAULTS))
            FAULTS[name](self._proxy)
            self.faults[name] += 1
            self._stop.wait(rng.uniform(0.1, 0.8))
            self._proxy.heal()
            count += 1
            if count % 10 == 0:
                self._server.kill()
                self._server.start()
                self.faults["restart"] += 1

    def _watch(self, seconds: float) -> None:
        started = time.monotonic()
        calls = errors = 0
        while not self._stop.wait(1.0) and time.monotonic() - started < seconds:
            now_calls = sum(load.calls for load in self.loads)
            now_errors = sum(load.errors.total() for load in self.loads)
            self.samples.append(sample(started, now_calls - calls, now_errors - errors))
            calls, errors = now_calls, now_errors


def growth(samples: Sequence[Sample], of: Callable[[Sample], int]) -> float:
    """How much the median of the last third is above that of the first, after the warm-up; 0.05 is 5 %."""
    steady = samples[len(samples) // 4 :]
    third = max(1, len(steady) // 3)
    first = statistics.median(of(one) for one in steady[:third])
    last = statistics.median(of(one) for one in steady[-third:])
    return last / first - 1


def table(samples: Sequence[Sample]) -> None:
    print(f"{'to second':>10} {'RSS MiB':>9} {'descriptors':>12} {'threads':>8} {'calls/s':>9} {'errors/s':>9}")
    step = max(1, len(samples) // 12)
    for at in range(0, len(samples), step):
        part = samples[at : at + step]
        rss, files, threads = (
            statistics.median(getattr(one, name) for one in part) for name in ("rss_kib", "descriptors", "threads")
        )
        calls, errors = (sum(getattr(one, name) for one in part) / len(part) for name in ("calls", "errors"))
        print(f"{part[-1].seconds:10.0f} {rss / 1024:9.1f} {files:12.0f} {threads:8.0f} {calls:9.0f} {errors:9.1f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--version", default="0.17.5-alpha", choices=list(DIALECTS), help="of the server")
    parser.add_argument("--json", type=Path, help="where to put all samples")
    options = parser.parse_args()
    if not sys.platform.startswith("linux"):
        sys.exit("the soak reads /proc; run it on Linux")
    if options.seconds < 12:
        parser.error("--seconds must be at least 12, to have thirds to compare")
    if find_server(options.version) is None:
        sys.exit(f"no server {options.version}: {how_to_get(options.version)}")
    with RealServer(options.version) as server, FaultProxy(server.port) as proxy:
        soak = Soak(server, proxy, options.threads)
        soak.run(options.seconds)
    table(soak.samples)
    calls = sum(load.calls for load in soak.loads)
    errors = sum((load.errors for load in soak.loads), Counter[str]())
    print(f"{calls} calls, {soak.churn.calls} clients opened and closed")
    print("faults: " + ", ".join(f"{name} {count}" for name, count in sorted(soak.faults.items())))
    print("errors: " + (", ".join(f"{name} {count}" for name, count in sorted(errors.items())) or "none"))
    measures: dict[str, Callable[[Sample], int]] = {
        "RSS": lambda one: one.rss_kib,
        "descriptors": lambda one: one.descriptors,
        "threads": lambda one: one.threads,
    }
    grown = {name: growth(soak.samples, of) for name, of in measures.items()}
    for name, part in grown.items():
        print(f"{'ok' if part <= TOLERANCE else 'FAILED':>6}: {name} {part:+.1%} (limit +{TOLERANCE:.0%})")
    if soak.wrong:
        print(f"FAILED: {len(soak.wrong)} wrong answers, such as {soak.wrong[0]}")
    if options.json is not None:
        result = {"samples": [asdict(one) for one in soak.samples], "growth": grown, "errors": errors, "calls": calls}
        options.json.write_text(json.dumps(result), encoding="utf-8")
    return int(bool(soak.wrong) or any(part > TOLERANCE for part in grown.values()))


if __name__ == "__main__":
    sys.exit(main())
