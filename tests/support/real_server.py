"""A server as a child process with a store of its own: the real one, unmodified, or ours."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType

from .ports import HOST, accepts, free_port, wait_until

PROGRAM = "simd-r-drive-ws-server"
DIALECTS = {"0.16.2-alpha": "d21", "0.17.5-alpha": "d13"}
OURS = "ours"  # `simdrive serve` of the package under test, which answers our client's probe in d13
TARGETS = [*DIALECTS, OURS]


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


class RealServer:
    """Starts on entry, is gone with its store on exit. `kill` and `start` in between keep port and store."""

    def __init__(self, version: str) -> None:
        program = find_server(version)
        if program is None:
            raise FileNotFoundError(f"no {PROGRAM} {version}; {how_to_get(version)}")
        self.version = version
        self.dialect = DIALECTS.get(version, "d13")
        self.port = free_port()
        self.url = f"ws://{HOST}:{self.port}/ws"
        self._program = [str(program), "-m", "simdrive", "serve"] if version == OURS else [str(program)]
        self._directory = Path(tempfile.mkdtemp(prefix="simdrive-test-"))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> RealServer:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("the server is not running")
        return self._process.pid

    def start(self, *, timeout: float = 10.0) -> None:
        store, log = self._directory / "store.bin", self._directory / "server.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [*self._program, store, "--host", HOST, "--port", str(self.port)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self._process = process

        def ready() -> bool:
            if process.poll() is not None:
                raise RuntimeError(f"{PROGRAM} {self.version} ended at once: {log.read_text(errors='replace')[-2000:]}")
            return accepts(self.port)

        wait_until(ready, timeout=timeout, what=f"{PROGRAM} {self.version} accepts connections")

    def kill(self) -> None:
        """End the process by its id, as a crash would."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(timeout=10)

    def stop(self) -> None:
        """SIGSTOP: the server keeps its sockets and answers nothing."""
        os.kill(self.pid, signal.SIGSTOP)
        # The signal is handled asynchronously: wait for the kernel to say that the process stands still.
        os.waitid(os.P_PID, self.pid, os.WSTOPPED)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self._directory, ignore_errors=True)
