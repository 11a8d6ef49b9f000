"""The servers that a test of any server meets: the real ones, and ours."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

import simdrive

from .real_server import DIALECTS, OURS, RealServer, find_server, how_to_get
from .server_process import ServerProcess

NAMES = (*DIALECTS, OURS)
REQUIRED = os.environ.get("SIMDRIVE_REQUIRE_SERVERS") == "1"  # what a test needs has to be there


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


def missing(what: str) -> NoReturn:
    """Skips the test that needs what is not there, or fails it where everything has to be."""
    if REQUIRED:
        pytest.fail(what)
    pytest.skip(what)


def make_server(name: str) -> RealServer:
    """A server that is not started yet. Skips the test where it is missing, or fails it where it must not be."""
    if find_server(name) is None:
        missing(f"no simd-r-drive-ws-server {name}: {how_to_get(name)}")
    return RealServer(name)


def make_target(name: str) -> Target:
    """The same, as a target; ours is the program as it is started."""
    if name == OURS:
        return Target(name, frozenset(DIALECTS.values()), our_server())
    return Target(name, frozenset({DIALECTS[name]}), make_server(name))
