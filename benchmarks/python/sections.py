"""What is measured: one function a section, called once a round with a fresh store each time."""

from __future__ import annotations

import contextlib
import functools
import math
import operator
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import record
from peers import CLIENTS, PEERS, STOCK, Limits, Peer, Spec, Target, Tools
from processes import Child, PeerError, Server

MIB = 1 << 20
LATENCY = [
    Target(f"{op}_{size}", op, f"key-{size}", size)
    for size in (16, 1024, 65536)
    for op in ("write", "read", "exists")
    if op != "exists" or size < 65536
]
BATCH = [
    Target(f"{op}_{label}", op, f"batch-{label}", size, count)
    for count, size, label in ((1000, 100, "1000x100B"), (100, 65536, "100x64KiB"))
    for op in ("batch_write", "batch_read")
]
LARGE = [Target(f"{op}_{n}MiB", op, f"large-{n}", n * MIB) for n in (1, 16, 64) for op in ("write", "read")]
MIXED_CALLS, MIXED_THREADS = 20_000, 16
SEND_CALLS = "sendto,sendmsg,sendmmsg,writev"

Fields = dict[str, float]


class Results:
    """section -> metric -> peer -> round -> fields, and what went wrong."""

    def __init__(self) -> None:
        self.rounds: dict[str, dict[str, dict[str, dict[int, Fields]]]] = {}
        self.failures: dict[str, dict[str, str]] = {}
        self.notes: list[str] = []

    def add(self, section: str, metric: str, peer: str, rnd: int, fields: Fields) -> None:
        self.rounds.setdefault(section, {}).setdefault(metric, {}).setdefault(peer, {})[rnd] = fields

    def fail(self, section: str, peer: str, rnd: int, why: str) -> None:
        self.failures.setdefault(section, {}).setdefault(peer, f"round {rnd + 1}: {why}")

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


class Stage:
    """One section of one round: its servers, its peers in this round's order, and the end of all of them."""

    def __init__(self, section: str, rnd: int, tools: Tools, results: Results, wanted: Sequence[str], quick: bool):
        self.section, self.rnd, self.tools, self.results, self.quick = section, rnd, tools, results, quick
        self.wanted = list(wanted) if rnd % 2 == 0 else list(reversed(wanted))
        self.peers: dict[str, Peer] = {}
        self._servers: dict[str, Server] = {}
        self._children: list[Child] = []
        self.folder = Path(tempfile.mkdtemp(prefix="round.", dir=tools.scratch))

    def server(self, kind: str) -> Server:
        if kind not in self._servers:
            self._servers[kind] = self.tools.start_server(kind, self.folder)
        return self._servers[kind]

    def keep(self, child: Child) -> None:
        self._children.append(child)

    def open(self, names: Sequence[str]) -> None:
        for name in self.wanted:
            if name in names and name not in self.results.failures.get(self.section, {}):
                self.attempt(name, functools.partial(self._open, name))

    def _open(self, name: str) -> None:
        spec = PEERS[name]
        port = self.server(spec.server).port
        log = self.folder / f"{name}.log"
        client = name in CLIENTS
        helper = self.tools.worker(spec, port, log) if client else self.tools.native(spec, port, log)
        self.keep(helper)
        self.peers[name] = Peer(name, helper, spec)

    def attempt(self, name: str, action: Callable[[], Any]) -> Any:
        """The action's answer, or None once the peer has failed: it is reported, and leaves the section."""
        try:
            return action()
        except (PeerError, OSError, ValueError, KeyError) as error:
            self.results.fail(self.section, name, self.rnd, str(error) or type(error).__name__)
            if peer := self.peers.pop(name, None):
                peer.child.stop()
            return None

    def each(self, action: Callable[[Peer], Any], only: Sequence[str] | None = None) -> None:
        for name, peer in list(self.peers.items()):
            if only is None or name in only:
                self.attempt(name, functools.partial(action, peer))

    def add(self, metric: str, peer: str, fields: Fields) -> None:
        self.results.add(self.section, metric, peer, self.rnd, fields)

    def close(self) -> None:
        for child in [*self._children, *self._servers.values()]:
            child.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def stage(
    section: str, rnd: int, tools: Tools, results: Results, wanted: Sequence[str], quick: bool
) -> Iterator[Stage]:
    opened = Stage(section, rnd, tools, results, wanted, quick)
    try:
        yield opened
    finally:
        opened.close()


def summary(samples: Sequence[float], cpu: float, payload: int) -> Fields:
    ordered = sorted(samples)
    p50 = statistics.median(ordered)
    p99 = ordered[min(len(ordered) - 1, math.ceil(len(ordered) * 0.99) - 1)]
    return {"p50_us": p50, "p99_us": p99, "cpu_us": cpu / len(ordered), "n": len(ordered), "mb_s": payload / p50}


LimitsOf = Callable[[Peer, Target, int], Limits | None]


def timed(s: Stage, targets: Sequence[Target], slices: Callable[[Target], int], limits_of: LimitsOf) -> None:
    """Every target in short slices, the peers taking turns: the load of a shared machine falls on all alike."""
    prepared: set[str] = set()
    for target in targets:
        if target.key not in prepared:
            prepared.add(target.key)
            s.each(operator.methodcaller("prepare", target))
        measure(s, target, slices(target), limits_of)


def measure(s: Stage, target: Target, slices: int, limits_of: LimitsOf) -> None:
    samples: dict[str, list[float]] = {}
    cpu: dict[str, float] = {}

    def run(i: int, peer: Peer) -> None:
        limits = limits_of(peer, target, i)
        if limits is not None:
            some, used = peer.run(target, limits)
            samples.setdefault(peer.name, []).extend(some)
            cpu[peer.name] = cpu.get(peer.name, 0.0) + used

    for i in range(slices):
        s.each(functools.partial(run, i))
    for name, all_samples in samples.items():
        s.add(target.metric, name, summary(all_samples, cpu[name], target.payload))


def latency(s: Stage) -> None:
    def limits(peer: Peer, target: Target, i: int) -> Limits | None:
        if peer.name == "real":  # 88 ms a call: one slice must do
            return Limits(1.0, 4, 1) if i == 0 else None
        cap = 100 if target.op == "write" and target.size >= 65536 else 2000
        return Limits(0.04 if s.quick else 0.08, cap, 20 if i == 0 and target.size < 65536 else 2)

    s.open([*CLIENTS, "replay", "replay-join", "c-floor"])
    timed(s, LATENCY, lambda _: 2 if s.quick else 4, limits)


def batch(s: Stage) -> None:
    def limits(peer: Peer, target: Target, i: int) -> Limits | None:
        if peer.name == "real":
            return Limits(0.3, 2, 1) if i == 0 else None
        return Limits(0.08, 50 if target.size < 1000 else 6, 1)

    s.open([*CLIENTS, "replay"])
    timed(s, BATCH, lambda _: 1 if s.quick else 2, limits)


def large(s: Stage) -> None:
    def limits(peer: Peer, target: Target, i: int) -> Limits | None:
        if target.size == 64 * MIB and s.rnd > 0 and peer.name in ("real", "real+nd"):
            return None  # seconds a call, and no gate asks: one round of it is enough
        if peer.name == "real" and i > 0:
            return None
        if target.size == MIB:
            return Limits(0.1, 3 if peer.name == "real" else 10, 1 if i == 0 else 0)
        return Limits(0.0, 1, 1 if i == 0 and target.size < 64 * MIB else 0)

    s.open([*CLIENTS, "replay"])
    for size in (1, 16, 64):
        targets = [t for t in LARGE if t.size == size * MIB]
        timed(s, targets, lambda t: 1 if s.quick or t.size == 64 * MIB else 2, limits)
        s.each(lambda peer: peer.command("forget"), CLIENTS)


def threads(s: Stage) -> None:
    s.open(CLIENTS)
    s.each(lambda peer: peer.command("value", key=peer.key("shared"), size=1024))
    for op in ("read", "write"):
        for count in (1, 4, 16):

            def run(peer: Peer, op: str = op, count: int = count) -> None:
                secs = 0.15 if s.quick or peer.name == "real" else 0.3
                answer = peer.command("threads", op=op, key=peer.key("shared"), threads=count, secs=secs)
                s.add(f"{op}_1024_{count}t", peer.name, answer)

            s.each(run)


def sends(s: Stage) -> None:
    """Mixed calls from 16 threads on one client: are all answers right, and how many sends did they take?"""

    def run(peer: Peer) -> None:
        calls = MIXED_CALLS if peer.name == "simdrive" else MIXED_CALLS // 10
        answer = peer.command("mixed", threads=MIXED_THREADS, calls=calls, prefix=peer.key("mixed"))
        if "sends_per_call" not in answer:
            peer.child.stop()
            del s.peers[peer.name]
            traced = traced_sends(s, peer.name, calls)
            if traced is not None:
                answer["sends_per_call"] = traced
        s.add("mixed_16t", peer.name, answer)

    s.open([name for name in CLIENTS if name != "real"])
    s.each(run)


def traced_sends(s: Stage, name: str, calls: int) -> float | None:
    """Counts by strace what a client does not count by itself. Its timing is strace's, so nothing is timed here."""
    if shutil.which("strace") is None:
        s.results.note(f"sends a call of {name}: no client statistics and no strace, not measured")
        return None
    counts = s.folder / f"{name}.strace"
    spec = PEERS[name]
    # The shim belongs to the traced client, not to strace: -E sets it there alone.
    shim = [x for k, v in s.tools.shim(spec.nodelay, spec.quickack).items() for x in ("-E", f"{k}={v}")]
    prefix = ("strace", "-f", "-c", "-o", str(counts), "-e", f"trace={SEND_CALLS}", *shim)
    plain = Spec(spec.kind, spec.server)
    helper = s.tools.worker(plain, s.server(spec.server).port, s.folder / "strace.log", prefix)
    s.keep(helper)
    peer = Peer(name, helper, spec)
    total = peer.command("mixed", 120, threads=MIXED_THREADS, calls=calls, prefix=peer.key("traced"))["calls"]
    helper.stop()
    table = counts.read_text(encoding="ascii", errors="replace").splitlines()
    rows = [line.split() for line in table if line.split() and line.split()[-1] in SEND_CALLS.split(",")]
    if not rows or not total:
        raise PeerError("strace counted nothing: " + " ".join(table[-2:]))
    return sum(int(row[3]) for row in rows) / float(total)


def memory(s: Stage) -> None:
    """A fresh process writes and reads 64 MiB once: its peak is the price."""

    def run(peer: Peer) -> None:
        s.add("peak_64MiB", peer.name, peer.command("memory", key=peer.key("memory"), size=64 * MIB))

    s.open(["real+nd2", "simdrive"])
    s.each(run)


def stall(s: Stage) -> None:
    """How long another Python thread stands still during one call, beside an idle process at the same time."""
    s.open(["real+nd2", "simdrive"])
    idle = s.tools.worker(Spec("idle", STOCK), 0, s.folder / "idle.log")
    s.keep(idle)
    idle_peer = Peer("simdrive", idle, Spec("idle", STOCK))
    s.each(lambda peer: peer.command("value", key=peer.key("stall"), size=64 * MIB))
    for op in ("write", "read"):

        def run(peer: Peer, op: str = op) -> None:
            idle_peer.command("idle_start")
            answer = peer.command("stall", op=op, key=peer.key("stall"))
            beside = idle_peer.command("idle_stop")
            s.add(f"{op}_64MiB", peer.name, {**answer, "idle_ms": beside["stall_ms"]})

        s.each(run)


SECTIONS: Mapping[str, Callable[[Stage], None]] = {
    "latency": latency,
    "threads": threads,
    "sends": sends,
    "batch": batch,
    "large": large,
    "memory": memory,
    "stall": stall,
}


def record_requests(tools: Tools, sections: Sequence[str]) -> None:
    """Lets the real client do each operation once through a proxy, and keeps what it sent."""
    targets = [t for name, some in (("latency", LATENCY), ("batch", BATCH), ("large", LARGE)) if name in sections
               for t in some]  # fmt: skip
    if not targets:
        return
    folder = Path(tempfile.mkdtemp(prefix="record.", dir=tools.scratch))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        server = tools.start_server(STOCK, folder)
        stack.callback(server.stop)
        proxy = record.Proxy(server.port)
        stack.callback(proxy.close)
        spec = PEERS["real+nd"]
        helper = tools.worker(spec, proxy.port, folder / "record.log")
        stack.callback(helper.stop)
        peer = Peer("replay", helper, spec)
        known: set[str] = set()
        for target in targets:
            if target.key not in known:
                known.add(target.key)
                peer.prepare(target)
            proxy.up.payloads.clear()
            peer.run(target, Limits(0.0, 1, 0))
            record.save(tools.recordings / target.metric, proxy.up.payloads)
