"""The peers of the comparison, each behind the same few calls."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from processes import Child, Helper, PeerError, Placement, Server, free_port

STOCK, NODELAY, FLOOR = "stock", "nodelay", "floor"
HERE = Path(__file__).resolve().parent


@dataclasses.dataclass(frozen=True)
class Spec:
    """What a peer is: the program kind, the server it talks to, what the shim forces on the client."""

    kind: str
    server: str
    nodelay: bool = False
    quickack: bool = False
    note: str = ""


PEERS: Mapping[str, Spec] = {
    "real": Spec("real", STOCK, note="real client as it is, stock server"),
    "real+nd": Spec("real", STOCK, True, True, note="real client with NODELAY and QUICKACK forced on it, stock server"),
    "real+nd2": Spec(
        "real", NODELAY, True, False, note="real client and server, NODELAY forced on both: the fair peer"
    ),
    "simdrive": Spec("simdrive", STOCK, note="simdrive, stock server"),
    "replay": Spec("frames", STOCK, note="recorded requests from C, one send each, stock server"),
    "replay-join": Spec("joined", STOCK, note="the same, all frames of a request in one WebSocket message"),
    "c-floor": Spec("floor", FLOOR, note="C ping-pong, no protocol, no store"),
}
CLIENTS = ("real", "real+nd", "real+nd2", "simdrive")
# Bytes that protocol and key add to a small request and reply: only the ping-pong needs to be told.
REQUEST_EXTRA, REPLY_EXTRA = 96, 80


@dataclasses.dataclass(frozen=True)
class Target:
    """One thing to measure: `metric` names it in tables, recordings and gates."""

    metric: str
    op: str
    key: str
    size: int
    count: int = 1

    @property
    def payload(self) -> int:
        return self.size * self.count

    def wire_sizes(self) -> tuple[int, int]:
        writes = "write" in self.op
        carries = self.op != "exists"
        return (
            REQUEST_EXTRA + (self.payload if writes else 0),
            REPLY_EXTRA + (self.payload if carries and not writes else 0),
        )


@dataclasses.dataclass(frozen=True)
class Limits:
    seconds: float
    max_ops: int
    warm: int
    timeout_s: float = 60.0


@dataclasses.dataclass(frozen=True)
class Tools:
    """Where everything is that a stage starts."""

    server: Path
    binaries: Path
    recordings: Path
    real_python: Path
    placement: Placement
    scratch: Path

    def shim(self, nodelay: bool, quickack: bool) -> dict[str, str]:
        if not nodelay and not quickack:
            return {}
        return {
            "LD_PRELOAD": str(self.binaries / "nodelay_shim.so"),
            "NODELAY_SHIM_NODELAY": str(int(nodelay)),
            "NODELAY_SHIM_QUICKACK": str(int(quickack)),
        }

    def start_server(self, kind: str, folder: Path) -> Server:
        port = free_port()
        if kind == FLOOR:
            argv = [str(self.binaries / "pingpong_server"), str(port)]
        else:
            argv = [str(self.server), str(folder / f"{kind}.store"), "--host", "127.0.0.1", "--port", str(port)]
        argv = Placement.command(self.placement.server, argv)
        return Server(argv, self.shim(kind == NODELAY, False), folder / f"{kind}.log", port)

    def worker(self, spec: Spec, port: int, log: Path, prefix: tuple[str, ...] = ()) -> Helper:
        python = str(self.real_python) if spec.kind == "real" else sys.executable
        argv = [*prefix, python, str(HERE / "worker.py"), spec.kind, str(port)]
        argv = Placement.command(self.placement.client, argv)
        helper = Helper(argv, self.shim(spec.nodelay, spec.quickack), log)
        try:
            helper.answer(30)
        except PeerError:
            helper.stop()
            raise
        return helper

    def native(self, spec: Spec, port: int, log: Path) -> Helper:
        if spec.kind == "floor":
            argv = [str(self.binaries / "pingpong_client"), str(port)]
        else:
            argv = [str(self.binaries / "replay"), str(port), str(self.recordings), spec.kind]
        return Helper(Placement.command(self.placement.client, argv), {}, log)


class Peer:
    def __init__(self, name: str, helper: Helper, spec: Spec) -> None:
        self.name = name
        self.spec = spec
        self.helper = helper

    @property
    def is_client(self) -> bool:
        return self.spec.kind in ("real", "simdrive")

    @property
    def child(self) -> Child:
        return self.helper

    def command(self, name: str, timeout_s: float = 60, /, **arguments: Any) -> dict[str, Any]:
        return self.helper.ask(json.dumps({"cmd": name, **arguments}), timeout_s)

    def key(self, key: str) -> str:
        """Each peer has keys of its own, all of one length: peers share a server."""
        return f"{list(PEERS).index(self.name)}-{key}"

    def prepare(self, target: Target) -> None:
        """Makes the value; the write of the same size, which comes first, stores it."""
        if not self.is_client:
            return
        if target.count > 1:
            self.command("batch", key=self.key(target.key), count=target.count, size=target.size)
        else:
            self.command("value", key=self.key(target.key), size=target.size)

    def run(self, target: Target, limits: Limits) -> tuple[list[float], float]:
        """Samples in microseconds and the client's CPU time for all of them."""
        amount = f"{limits.seconds} {limits.max_ops} {limits.warm}"
        if self.is_client:
            answer = self.command(
                "run", limits.timeout_s, op=target.op, key=self.key(target.key), secs=limits.seconds,
                max_ops=limits.max_ops, warm=limits.warm,
            )  # fmt: skip
        elif self.spec.kind == "floor":
            up, down = target.wire_sizes()
            answer = self.helper.ask(f"run {up} {down} {amount}", limits.timeout_s)
        else:
            answer = self.helper.ask(f"run {target.metric} {amount}", limits.timeout_s)
            if "read" in target.op and answer["reply_bytes"] < target.payload:
                raise PeerError("the replayed read was answered with too few bytes")
        return answer["samples_us"], answer["cpu_us"]
