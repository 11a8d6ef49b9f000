"""The servers that a test of any server meets: the real ones, and ours."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import simdrive

from .real_server import DIALECTS, OURS, RealServer, find_server, how_to_get
from .server_process import ServerProcess

NAMES = (*DIALECTS, OURS)


@dataclass(frozen=True)
class Target:
    """A running server."""

    name: str
    dialects: frozenset[str]
    process: ServerProcess

    @property
    def port(self) -> int:
        return self.process.port


def our_server(*options: str, directory: Path | None = None) -> ServerProcess:
    """`simdrive serve` with options, its store in a folder; SIMDRIVE_SERVE names another program to be tested instead.

    That is a command with {store} and {port} in it. Skips the test while this build has no server.
    """
    named = shlex.split(os.environ.get("SIMDRIVE_SERVE", ""))
    if named:
        return ServerProcess(
            named[0], lambda store, port: [word.format(store=store, port=port) for word in named], directory
        )
    if not hasattr(simdrive, "Server"):
        pytest.skip("this simdrive has no server")
    words = [sys.executable, "-m", "simdrive", "serve"]
    return ServerProcess(
        "simdrive serve", lambda store, port: [*words, store, "--port", str(port), *options], directory
    )


def make_target(name: str) -> Target:
    """A server that is not started yet. Skips the test where it is missing, or fails it where it must not be."""
    if name == OURS:
        return Target(name, frozenset(DIALECTS.values()), our_server())
    if find_server(name) is None:
        reason = f"no simd-r-drive-ws-server {name}: {how_to_get(name)}"
        if os.environ.get("SIMDRIVE_REQUIRE_SERVERS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return Target(name, frozenset({DIALECTS[name]}), RealServer(name))
