"""What server_speed.py measures: one function a section, called once a round with fresh servers each time."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import record
from peers import Limits, Peer, Target
from processes import Helper, PeerError, Placement
from sections import BATCH, LARGE, LATENCY, MIB, LimitsOf, Results, Stage, timed
from server_peers import PEERS, REDIS, PairPeer, PairTools, resident_kib

CONNECTIONS = (1, 10, 100, 1000)
HERE = Path(__file__).resolve().parent
CONNECTIONS_TARGET = Target("connections", "read", "connections", 1024)
RECORDING = CONNECTIONS_TARGET.metric


class PairStage(Stage):
    """A stage in which each peer has a server of its own."""

    tools: PairTools
    peers: dict[str, PairPeer]  # type: ignore[assignment]

    def __init__(
        self, section: str, rnd: int, tools: PairTools, results: Results, wanted: Sequence[str], quick: bool
    ) -> None:
        super().__init__(section, rnd, tools, results, wanted, quick)

    def _open(self, name: str) -> None:
        spec = PEERS[name]
        folder = self.folder / name
        folder.mkdir()
        server = self.tools.start_server(spec.server, folder)
        self.keep(server)
        log = folder / "client.log"
        start = self.tools.native if spec.kind == "floor" else self.tools.worker
        helper = start(spec, server.port, log)
        self.keep(helper)
        self.peers[name] = PairPeer(name, helper, spec, server)

    def close(self) -> None:
        self._children.reverse()  # clients before their servers
        super().close()


def pairs(s: PairStage, targets: Sequence[Target], slices: Callable[[Target], int], limits_of: LimitsOf) -> None:
    """As `timed`, with the server's CPU time a call besides."""
    timed(s, targets, slices, limits_of)
    for target in targets:
        for peer in s.peers.values():
            fields = s.results.rounds[s.section].get(target.metric, {}).get(peer.name, {}).get(s.rnd)
            if fields is not None:
                fields["server_cpu_us"] = peer.server_share(target.metric)


def latency(s: PairStage) -> None:
    def limits(_: Peer, target: Target, i: int) -> Limits:
        cap = 100 if target.op == "write" and target.size >= 65536 else 2000
        return Limits(0.04 if s.quick else 0.08, cap, 20 if i == 0 and target.size < 65536 else 2)

    s.open(list(PEERS))
    pairs(s, LATENCY, lambda _: 2 if s.quick else 4, limits)


def batch(s: PairStage) -> None:
    def limits(_: Peer, target: Target, __: int) -> Limits:
        return Limits(0.08, 50 if target.size < 1000 else 6, 1)

    s.open(list(PEERS))
    pairs(s, BATCH, lambda _: 1 if s.quick else 3, limits)


def large(s: PairStage) -> None:
    def limits(_: Peer, target: Target, i: int) -> Limits:
        if target.size == MIB:
            return Limits(0.1, 10, 1 if i == 0 else 0)
        return Limits(0.0, 1, 1 if i == 0 and target.size < 64 * MIB else 0)

    s.open(list(PEERS))
    for size in (1, 16, 64):
        targets = [t for t in LARGE if t.size == size * MIB]
        pairs(s, targets, lambda _: 1 if s.quick else 2, limits)
        s.each(lambda peer: peer.command("forget"), [name for name in PEERS if name != "c-floor"])


def threads(s: PairStage) -> None:
    s.open([name for name in PEERS if name != "c-floor"])
    s.each(lambda peer: peer.command("value", key=peer.key("shared"), size=1024))
    for op in ("read", "write"):
        for each in (False, True):
            for count in (1, 4, 16):

                def run(peer: Any, op: str = op, count: int = count, each: bool = each) -> None:
                    secs = 0.15 if s.quick else 0.3
                    answer = peer.threads(op=op, key=peer.key("shared"), threads=count, secs=secs, each=each)
                    s.add(f"{op}_1024_{count}t_{'each' if each else 'one'}", peer.name, answer)

                s.each(run)


def connections(s: PairStage) -> None:
    """Calls a second with one call under way on each connection, and the memory that the server has for each."""
    s.open([name for name in PEERS if name != "glide"])  # which has the server of `redis`
    s.each(lambda peer: peer.prepare(CONNECTIONS_TARGET))
    loads: dict[str, Helper] = {}
    first: dict[str, int] = {}

    def begin(peer: Any) -> None:
        if peer.is_client:
            peer.run(Target("fill", "write", CONNECTIONS_TARGET.key, CONNECTIONS_TARGET.size), Limits(0.0, 1, 0))
        kind = {REDIS: "redis", "floor": "floor"}.get(peer.spec.server, "ws")
        argv = [str(sys.executable), str(HERE / "many_connections.py"), kind, str(peer.server.port)]
        argv += [peer.key(CONNECTIONS_TARGET.key), str(s.tools.recordings / RECORDING)]
        argv = Placement.command(s.tools.placement.client, argv)
        loads[peer.name] = Helper(argv, {}, s.folder / f"{peer.name}.connections.log")
        s.keep(loads[peer.name])
        loads[peer.name].answer(30)

    def load(count: int, peer: Any) -> None:
        helper, pid = loads[peer.name], peer.server.process.pid
        helper.ask(json.dumps({"cmd": "open", "connections": count}), 60)
        before = peer.server_cpu_us()
        answer = helper.ask(json.dumps({"cmd": "load", "secs": 0.15 if s.quick else 0.4}), 60)
        answer["server_cpu_us"] = (peer.server_cpu_us() - before) / answer["calls"]
        kib = resident_kib(pid)
        if count == 1:
            first[peer.name] = kib
        else:
            answer["connection_kib"] = (kib - first[peer.name]) / (count - 1)
        s.add(f"read_1024_{count}c", peer.name, answer)

    s.each(begin)
    for count in CONNECTIONS:
        s.each(functools.partial(load, count))


SECTIONS: Mapping[str, Callable[[PairStage], None]] = {
    "latency": latency,
    "threads": threads,
    "connections": connections,
    "batch": batch,
    "large": large,
}


def record_connections(tools: PairTools) -> None:
    """Lets the existing client read the value once through a proxy, and keeps what it sent."""
    folder = tools.scratch / "record"
    folder.mkdir()
    spec = PEERS["real+nd2"]
    server = tools.start_server(spec.server, folder)
    proxy = record.Proxy(server.port)
    helper: Helper | None = None
    try:
        helper = tools.worker(spec, proxy.port, folder / "record.log")
        peer = PairPeer("real+nd2", helper, spec, server)
        peer.prepare(CONNECTIONS_TARGET)
        peer.run(Target("fill", "write", CONNECTIONS_TARGET.key, CONNECTIONS_TARGET.size), Limits(0.0, 1, 0))
        proxy.up.payloads.clear()
        peer.run(CONNECTIONS_TARGET, Limits(0.0, 1, 0))
        if not proxy.up.payloads:
            raise PeerError("the existing client's request was not seen")
        record.save(tools.recordings / RECORDING, proxy.up.payloads)
    finally:
        if helper is not None:
            helper.stop()
        proxy.close()
        server.stop()
