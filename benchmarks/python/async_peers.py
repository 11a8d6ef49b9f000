"""The peers of the asyncio comparison, and how each is started."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from peers import HERE, Tools
from processes import Child, Helper, PeerError, Placement, Server, cache_dir, free_port

SERVER_VERSION = "0.17.5-alpha"  # the native client speaks to no other
STOCK, NODELAY, REDIS, ECHO, OURS = "stock", "nodelay", "redis", "echo", "simdrive serve"
LOOPS = ("asyncio", "uvloop")
NATIVE = HERE.parent / "native" / "rust_client"


@dataclasses.dataclass(frozen=True)
class AsyncSpec:
    """A client, its event loop, its server, and what the shim forces on it."""

    kind: str
    loop: str
    server: str
    note: str
    nodelay: bool = False
    quickack: bool = False


KINDS = {
    "simdrive": (STOCK, "simdrive.aconnect, the real server as it is"),
    "redis": (REDIS, "redis.asyncio with hiredis, 64 connections, redis-server"),
    "glide": (REDIS, "valkey-glide, redis-server"),
    "websockets": (ECHO, "echo of messages as large, no store"),
    "picows": (ECHO, "echo of messages as large, no store"),
}
PEERS: Mapping[str, AsyncSpec] = {
    **{f"{kind}@{loop}": AsyncSpec(kind, loop, *of) for kind, of in KINDS.items() for loop in LOOPS},
    **{f"simdrive+serve@{loop}": AsyncSpec("simdrive", loop, OURS, "simdrive.aconnect, simdrive serve")
       for loop in LOOPS},
    "real+nd2": AsyncSpec("real", "asyncio", NODELAY, "the existing Python client in 64 threads, and its server, "
                          "NODELAY forced on both", nodelay=True),
    "native+nd": AsyncSpec("native", "", STOCK, "the existing client in native Rust with NODELAY and QUICKACK, "
                           "the real server as it is", nodelay=True, quickack=True),
}  # fmt: skip


def default_server() -> Path:
    return cache_dir() / "servers" / SERVER_VERSION / "bin" / "simd-r-drive-ws-server"


def build_rust_client() -> Path:
    """Builds a copy in the cache."""
    folder = cache_dir() / "bench" / "rust_client"
    binary = folder / "target" / "release" / "rust_client"
    if shutil.which("cargo") is None:
        raise PeerError("cargo is missing, which builds the native client")
    shutil.copytree(NATIVE, folder, dirs_exist_ok=True)
    subprocess.run(["cargo", "build", "--quiet", "--release"], cwd=folder, check=True, timeout=900)
    return binary


@dataclasses.dataclass(frozen=True)
class AsyncTools:
    """Where everything is that a stage starts."""

    stock: Path
    tools: Tools  # `server` is the one for the existing Python client
    native: Path | None

    @property
    def scratch(self) -> Path:
        return self.tools.scratch

    def start_server(self, kind: str, folder: Path) -> Server:
        port = free_port()
        at = ["--port", str(port)]
        if kind == REDIS:
            binary = shutil.which("redis-server") or shutil.which("valkey-server")
            if binary is None:
                raise PeerError("neither redis-server nor valkey-server is installed")
            argv = [binary, *at, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder)]
        elif kind == ECHO:
            argv = [sys.executable, str(HERE / "echo_server.py"), str(port)]
        elif kind == OURS:
            argv = [sys.executable, "-m", "simdrive", "serve", str(folder / "ours.store"), *at]
        else:
            binary = str(self.tools.server if kind == NODELAY else self.stock)
            argv = [binary, str(folder / f"{kind}.store"), "--host", "127.0.0.1", *at]
        argv = Placement.command(self.tools.placement.server, argv)
        return Server(argv, self.tools.shim(kind == NODELAY, False), folder / f"{kind}.log", port)

    def start(self, spec: AsyncSpec, port: int, log: Path) -> Helper:
        if spec.kind == "native":
            if self.native is None:
                raise PeerError("it was not built")
            argv = [str(self.native), str(port)]
        else:
            python = str(self.tools.real_python) if spec.kind == "real" else sys.executable
            argv = [python, str(HERE / "async_worker.py"), spec.kind, spec.loop, str(port)]
        argv = Placement.command(self.tools.placement.client, argv)
        helper = Helper(argv, self.tools.shim(spec.nodelay, spec.quickack), log)
        try:
            helper.answer(30)
        except PeerError:
            helper.stop()
            raise
        return helper


class AsyncPeer:
    def __init__(self, name: str, helper: Helper, spec: AsyncSpec) -> None:
        self.name = name
        self.spec = spec
        self.helper = helper

    @property
    def child(self) -> Child:
        return self.helper

    def command(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        return self.helper.ask(json.dumps({"cmd": name, **arguments}), 120)

    def key(self, key: str) -> str:
        """Each peer has keys of its own, all of one length: peers share servers."""
        return f"{list(PEERS).index(self.name):02}-{key}"

    def value(self, key: str, size: int) -> None:
        if self.spec.kind == "native":
            self.helper.ask(f"value {self.key(key)} {size}", 120)
        else:
            self.command("value", key=self.key(key), size=size)

    def load(self, op: str, key: str, inflight: int, secs: float) -> dict[str, Any]:
        if self.spec.kind == "native":
            return self.helper.ask(f"load {op} {self.key(key)} {inflight} {secs}", 120)
        return self.command("load", op=op, key=self.key(key), inflight=inflight, secs=secs)
