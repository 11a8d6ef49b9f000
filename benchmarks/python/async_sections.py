"""What async_round_trip.py measures: one function a section, called once a round with fresh servers each time."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from async_peers import OURS, PEERS, AsyncPeer, AsyncTools
from sections import MIB, Fields, Results, Stage

INFLIGHT = (1, 8, 64, 256, 1024)
MOST_BYTES = 64 * MIB  # under way at once
HELD = ("simdrive", "redis", "glide", "websockets", "picows")
HOLDS = ("write", "read", "view", "into", "write_stream", "read_stream")  # from "view" on simdrive's own


class AsyncStage(Stage):
    """A stage whose peers are those of asyncio."""

    tools: AsyncTools  # type: ignore[assignment]
    peers: dict[str, AsyncPeer]  # type: ignore[assignment]

    def __init__(
        self, section: str, rnd: int, tools: AsyncTools, results: Results, wanted: Sequence[str], quick: bool
    ) -> None:
        super().__init__(section, rnd, tools, results, wanted, quick)  # type: ignore[arg-type]

    def _open(self, name: str) -> None:
        spec = PEERS[name]
        helper = self.tools.start(spec, self.server(spec.server).port, self.folder / f"{name}.log")
        self.keep(helper)
        self.peers[name] = AsyncPeer(name, helper, spec)


def loads(s: AsyncStage, sizes: Mapping[int, Sequence[str]], secs: float, slices: int) -> None:
    """Every number of calls in flight in short slices, the peers taking turns."""
    s.open(list(PEERS))
    for size, ops in sizes.items():
        key = f"key-{size}"
        s.each(lambda peer, key=key, size=size: peer.value(key, size))  # type: ignore[misc]
        for op in ops:
            for inflight in INFLIGHT:
                if inflight == 1 or inflight * size <= MOST_BYTES:
                    load(s, op, size, inflight, secs, slices)


def load(s: AsyncStage, op: str, size: int, inflight: int, secs: float, slices: int) -> None:
    answers: dict[str, list[Fields]] = {}

    def run(i: int, peer: AsyncPeer) -> None:
        if i == 0:  # connections are made, memory is touched
            peer.load(op if size * inflight <= MIB else "exists", f"key-{size}", inflight, 0.01)
        answers.setdefault(peer.name, []).append(peer.load(op, f"key-{size}", inflight, secs))

    for i in range(slices):
        s.each(functools.partial(run, i))  # type: ignore[arg-type]
    for name, some in answers.items():
        calls = sum(each["calls"] for each in some)
        seconds = sum(each["calls"] / each["ops_s"] for each in some)
        used = sum(each["calls"] * each["cpu_us"] for each in some)
        s.add(f"{op}_{size}_x{inflight}", name, {"calls": calls, "ops_s": calls / seconds, "cpu_us": used / calls})


def small(s: AsyncStage) -> None:
    ops = ("read", "write", "exists")
    loads(s, {16: ops, 1024: ("read", "write")}, 0.05 if s.quick else 0.1, 1 if s.quick else 2)


def medium(s: AsyncStage) -> None:
    loads(s, {65536: ("read", "write")}, 0.05 if s.quick else 0.1, 1)


def large(s: AsyncStage) -> None:
    loads(s, {MIB: ("read", "write"), 16 * MIB: ("read", "write")}, 0.0, 1)


def hold(s: AsyncStage) -> None:
    """How long the loop stands still during one call of 64 MiB."""
    s.open([name for name, spec in PEERS.items() if spec.kind in HELD and spec.server != OURS])
    s.each(lambda peer: peer.value("hold", 64 * MIB))  # type: ignore[attr-defined]
    for op in HOLDS:

        def run(peer: Any, op: str = op) -> None:
            if op in HOLDS[:2] or peer.spec.kind == "simdrive":
                s.add(f"{op}_64MiB", peer.name, peer.command("hold", op=op, key=peer.key("hold")))

        s.each(run)


def memory(s: AsyncStage) -> None:
    """A fresh process writes and reads 64 MiB once: its peak is the price."""
    s.open(["simdrive@asyncio", "simdrive@uvloop", "real+nd2"])
    s.each(lambda peer: s.add("peak_64MiB", peer.name, peer.command("memory", key=peer.key("memory"), size=64 * MIB)))


SECTIONS: Mapping[str, Callable[[AsyncStage], None]] = {
    "small": small,
    "medium": medium,
    "large": large,
    "hold": hold,
    "memory": memory,
}
