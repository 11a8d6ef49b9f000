"""Servers, clients and helpers as child processes: placement, bounded waits, and an end for each of them."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
REAL_CLIENT = "simd-r-drive-ws-client"
REAL_CLIENT_VERSION = "0.11.1a0"
SERVER_VERSION = "0.16.2-alpha"
PR_SET_PDEATHSIG = 1


class PeerError(Exception):
    """A peer could not be started, measured or understood; its row becomes FAILED."""


def cache_dir() -> Path:
    if named := os.environ.get("SIMDRIVE_CACHE"):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "simdrive"


def default_server() -> Path:
    return cache_dir() / "servers" / SERVER_VERSION / "bin" / "simd-r-drive-ws-server"


def build_native() -> Path:
    out = cache_dir() / "bench" / "bin"
    subprocess.run([str(HERE.parent / "native" / "build.sh"), str(out)], check=True, timeout=120)
    return out


def real_python(named: str | None) -> Path:
    """The interpreter that has the real client: the one named, or a virtual environment made in the cache."""
    if named:
        return Path(named)
    venv = cache_dir() / "bench" / "venv-real"
    done = venv / f".{REAL_CLIENT}-{REAL_CLIENT_VERSION}"
    if not done.exists():
        shutil.rmtree(venv, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True, timeout=120)
        pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, f"{REAL_CLIENT}=={REAL_CLIENT_VERSION}"], check=True, timeout=300)
        done.touch()
    return venv / "bin" / "python"


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def _die_with_parent() -> Callable[[], None] | None:
    """Even a killed benchmark leaves no server behind (Linux)."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def ask() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)

    return ask


class Placement:
    """Which core the servers and which core the clients run on."""

    def __init__(self, mode: str) -> None:
        cores = sorted(os.sched_getaffinity(0))
        self.mode = mode
        self.server = self.client = ""
        if mode == "no":
            return
        if shutil.which("taskset") is None:
            raise SystemExit("taskset (util-linux) is needed for --pin same|split; or use --pin no")
        if mode == "split" and len(cores) < 2:
            raise SystemExit("--pin split needs two cores")
        self.server = str(cores[0])
        self.client = str(cores[0] if mode == "same" else cores[1])

    @staticmethod
    def command(core: str, argv: Sequence[str]) -> list[str]:
        return ["taskset", "-c", core, *argv] if core else list(argv)


class Child:
    """A process of ours with its log; `stop()` ends it by its own id, whatever state it is in."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], log: Path, pipes: bool) -> None:
        self.log = log
        with log.open("ab") as sink:
            self.process = subprocess.Popen(
                argv,
                env={**os.environ, **env},
                stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
                stdout=subprocess.PIPE if pipes else sink,
                stderr=sink,
                preexec_fn=_die_with_parent(),
                start_new_session=True,  # Ctrl-C reaches the benchmark alone, which then stops each child
            )

    def log_tail(self) -> str:
        text = self.log.read_text(encoding="utf-8", errors="replace").strip()
        return " | ".join(text.splitlines()[-3:])[-300:]

    def stop(self) -> None:
        process = self.process
        if process.stdin is not None:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                process.stdin.close()  # a helper ends by itself at the end of its input
                process.wait(2)
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(3)
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


class Server(Child):
    def __init__(self, argv: Sequence[str], env: Mapping[str, str], log: Path, port: int) -> None:
        super().__init__(argv, env, log, pipes=False)
        self.port = port
        deadline = time.monotonic() + 10
        with socket.socket() as probe:
            probe.settimeout(0.5)
            while probe.connect_ex(("127.0.0.1", port)) != 0:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    raise PeerError(f"the server does not listen on port {port}: {self.log_tail()}")
                time.sleep(0.02)


class Helper(Child):
    """A child that answers each line with one JSON line."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        super().__init__(argv, env, log, pipes=True)
        self._rest = b""

    def ask(self, line: str, timeout_s: float) -> dict[str, Any]:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()
        except OSError:
            raise PeerError(f"the process is gone: {self.log_tail()}") from None
        return self.answer(timeout_s)

    def answer(self, timeout_s: float) -> dict[str, Any]:
        assert self.process.stdout is not None
        fd = self.process.stdout.fileno()
        deadline = time.monotonic() + timeout_s
        parts = [self._rest]
        with selectors.DefaultSelector() as selector:
            selector.register(fd, selectors.EVENT_READ)
            while b"\n" not in parts[-1]:
                left = deadline - time.monotonic()
                if left <= 0 or not selector.select(left):
                    raise PeerError(f"no answer within {timeout_s:.0f} s")
                piece = os.read(fd, 1 << 20)
                if not piece:
                    raise PeerError(f"the process ended: {self.log_tail()}")
                parts.append(piece)
        line, self._rest = b"".join(parts).split(b"\n", 1)
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PeerError(str(answer["error"]))
        return answer
