"""The peers of server_speed.py: clients together with their servers, each on a server of its own."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from peers import Limits, Peer, Spec, Target, Tools
from processes import Helper, PeerError, Placement, Server, free_port

OURS, NODELAY, REDIS, FLOOR = "ours", "nodelay", "redis", "floor"

PEERS: Mapping[str, Spec] = {
    "simdrive": Spec("simdrive", OURS, note="simdrive's client and `simdrive serve`"),
    "real+nd2": Spec("real", NODELAY, True, note="the existing client and server, TCP_NODELAY forced on both"),
    "redis": Spec("redis", REDIS, note="redis-py with hiredis, redis-server (nothing saved)"),
    "glide": Spec("glide", REDIS, note="valkey-glide-sync, redis-server (nothing saved)"),
    "c-floor": Spec("floor", FLOOR, note="C ping-pong of as many bytes, no protocol, no store"),
}


def cpu_us(pid: int) -> float:
    """What all threads of a process have used of their cores, by the scheduler's own clock (Linux)."""
    return sum(map(_thread_ns, Path("/proc", str(pid), "task").iterdir())) / 1e3


def _thread_ns(task: Path) -> int:
    try:
        return int((task / "schedstat").read_text(encoding="ascii").split()[0])
    except FileNotFoundError:
        return 0  # it has ended meanwhile


def resident_kib(pid: int) -> int:
    """VmRSS of a process, in KiB."""
    with Path("/proc", str(pid), "status").open(encoding="ascii") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    raise PeerError(f"process {pid} tells nothing of its memory")


@dataclasses.dataclass(frozen=True)
class PairTools(Tools):
    """Starts each peer's server and client."""

    def start_server(self, kind: str, folder: Path) -> Server:
        if kind in (NODELAY, FLOOR):
            return super().start_server(kind, folder)
        port = free_port()
        at = ["--port", str(port)]
        if kind == OURS:
            argv = [sys.executable, "-m", "simdrive", "serve", str(folder / "ours.store"), *at]
        else:
            binary = shutil.which("redis-server") or shutil.which("valkey-server")
            if binary is None:
                raise PeerError("neither redis-server nor valkey-server is installed")
            argv = [binary, *at, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder)]
        return Server(Placement.command(self.placement.server, argv), {}, folder / f"{kind}.log", port)


class PairPeer(Peer):
    """A client with a server of its own, whose CPU time is counted, too."""

    def __init__(self, name: str, helper: Helper, spec: Spec, server: Server) -> None:
        super().__init__(name, helper, spec)
        self.server = server
        self.server_us: dict[str, float] = {}
        self.server_calls: dict[str, int] = {}

    @property
    def is_client(self) -> bool:
        return self.spec.kind != "floor"

    def key(self, key: str) -> str:
        return f"1-{key}"  # as long as in round_trip.py

    def server_cpu_us(self) -> float:
        return cpu_us(self.server.process.pid)

    def run(self, target: Target, limits: Limits) -> tuple[list[float], float]:
        before = self.server_cpu_us()
        samples, used = super().run(target, limits)
        spent = self.server_cpu_us() - before
        metric = target.metric
        self.server_us[metric] = self.server_us.get(metric, 0.0) + spent
        self.server_calls[metric] = self.server_calls.get(metric, 0) + len(samples) + limits.warm
        return samples, used

    def server_share(self, metric: str) -> float:
        """CPU time of the server for one call, in microseconds."""
        return self.server_us[metric] / self.server_calls[metric]

    def threads(self, **arguments: Any) -> dict[str, Any]:
        before = self.server_cpu_us()
        answer = self.command("threads", **arguments)
        answer["server_cpu_us"] = (self.server_cpu_us() - before) / answer["calls"]
        return answer
