"""The real, unmodified server, or ours, as a child process with a store of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .forked_server import AVAILABLE, ForkedServer
from .ports import HOST
from .server_process import Program, ServerProcess

PROGRAM = "simd-r-drive-ws-server"
DIALECTS = {"0.16.2-alpha": "d21", "0.17.5-alpha": "d13"}
NEWEST = "0.17.5-alpha"
OURS = "simdrive"  # `simdrive serve` of the package under test, which answers our client's probe in d13


def cache_dir() -> Path:
    """Where the servers are installed, outside the checkout."""
    named = os.environ.get("SIMDRIVE_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "simdrive"


def find_server(version: str) -> Path | None:
    """The program of a version: SIMDRIVE_SERVER_0_16_2 and the like first, then the cache; None if absent."""
    if version == OURS:
        return Path(sys.executable)
    variable = "SIMDRIVE_SERVER_" + version.removesuffix("-alpha").replace(".", "_")
    named = os.environ.get(variable)
    path = Path(named) if named else cache_dir() / "servers" / version / "bin" / PROGRAM
    return path if path.is_file() and os.access(path, os.X_OK) else None


def how_to_get(version: str) -> str:
    """The command that installs a version where `find_server` looks."""
    root = cache_dir() / "servers" / version
    return f"cargo install simd-r-drive-ws-server --version ={version} --locked --root {root}"


class RealServer(ServerProcess):
    """Starts on entry, is gone with its store on exit. `kill` and `start` in between keep port and store."""

    def __init__(self, version: str) -> None:
        program = find_server(version)
        if program is None:
            raise FileNotFoundError(f"no {PROGRAM} {version}; {how_to_get(version)}")
        forked = version == OURS and AVAILABLE
        words: list[str | Path] = [program] if version != OURS else [program, "-m", "simdrive", "serve"]
        words = ["serve"] if forked else words
        super().__init__(
            f"{PROGRAM} {version}",
            lambda store, port: [*words, store, "--host", HOST, "--port", str(port)],
            launch=ForkedServer if forked else Program,
        )
        self.version = version
        self.dialect = DIALECTS.get(version, "d13")
