"""What an attack costs: memory, time of the processor and descriptors of the server, and patience of a good client.

python -m support.hostile_watch PORT DIALECT     the good client, a process of its own: no attack shares its GIL
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType

from . import bitcode
from .ports import wait_until
from .wsraw import RawClient

PAUSE_S = 0.005
GIVES_UP_S = 10.0


class ProcessWatch:
    """Reads /proc of a process."""

    def __init__(self, pid: int) -> None:
        self._folder = Path("/proc") / str(pid)
        self._cpu = self.cpu_seconds()
        self._resident = self._status("VmRSS")
        (self._folder / "clear_refs").write_text("5", encoding="ascii")  # the peak is counted from here
        self.descriptors_before = self._settled()

    def _settled(self) -> int:
        """Descriptors once the server is done with connections that were closed before."""
        counts: list[int] = []

        def unchanged() -> bool:
            counts.append(self.descriptors())
            return len(counts) > 10 and len(set(counts[-10:])) == 1

        wait_until(unchanged, timeout=5, what="descriptors stay as they are")
        return counts[-1]

    def _status(self, field: str) -> int:
        text = (self._folder / "status").read_text(encoding="ascii")
        line = next(line for line in text.splitlines() if line.startswith(f"{field}:"))
        return int(line.split()[1]) * 1024

    def _stat(self) -> list[str]:
        """The fields from the third on: state, parent, ..."""
        text = (self._folder / "stat").read_text(encoding="utf-8", errors="replace")
        return text.rpartition(")")[2].split()

    def alive(self) -> bool:
        """Whether it has not ended; a child that nobody has waited for has."""
        return self._folder.exists() and self._stat()[0] not in "ZX"

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        fields = self._stat()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def cpu_used(self) -> float:
        return self.cpu_seconds() - self._cpu

    def peak_growth(self) -> int:
        """Bytes of memory in use at the highest, above those at the beginning."""
        return max(self._status("VmHWM") - self._resident, 0)

    def growth(self) -> int:
        """Bytes of memory in use now, above those at the beginning."""
        return self._status("VmRSS") - self._resident

    def descriptors(self) -> int:
        return len(list((self._folder / "fd").iterdir()))

    def descriptors_left(self, limit: float = 2.0) -> int:
        """Descriptors more than at the beginning, once the server had the time to close them."""
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: self.descriptors() <= self.descriptors_before, timeout=limit, what="descriptors")
        return self.descriptors() - self.descriptors_before


class GoodClient:
    """Calls `exists` again and again while the block runs; then `longest` has the seconds of the slowest.

    The time in which the client itself could run, and others had the processor, is left out: it is no server's fault.
    """

    def __init__(self, port: int, dialect: str) -> None:
        self._words = [sys.executable, "-m", "support.hostile_watch", str(port), dialect]
        self.longest = 0.0
        self.calls = 0

    def __enter__(self) -> GoodClient:
        tests = Path(__file__).resolve().parents[1]
        self._process = subprocess.Popen(
            self._words, cwd=tests, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="ascii"
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            self._process.kill()
            self._process.wait(timeout=10)
            raise ConnectionError("the good client was not served at all")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            said, _ = self._process.communicate(timeout=GIVES_UP_S + 10)
        finally:
            self._process.kill()
            self._process.wait(timeout=10)
        found = json.loads(said)
        self.longest, self.calls = found["longest"], found["calls"]


def own_clock() -> float:
    """Seconds, without those in which this thread waited for a processor."""
    waited = int(Path("/proc/thread-self/schedstat").read_text().split()[1])
    return time.perf_counter() - waited / 1e9


def call_until_told(port: int, dialect: str) -> None:
    """The good client; the end of its standard input ends it."""
    told = threading.Event()
    longest, calls = 0.0, 0
    with RawClient(port, timeout=GIVES_UP_S, quick_acks=True) as client:
        key = bitcode.byte_strings([b"absent"])
        client.call(dialect, "exists", key)
        print("ready", flush=True)

        def listen() -> None:
            sys.stdin.read()
            told.set()

        threading.Thread(target=listen, daemon=True).start()
        while not told.wait(PAUSE_S):
            began = own_clock()
            try:
                client.call(dialect, "exists", key)
            except (OSError, EOFError):  # not answered in time, or cut: as bad as it gets
                longest = max(GIVES_UP_S, longest)
                break
            longest = max(longest, own_clock() - began)
            calls += 1
    print(json.dumps({"longest": longest, "calls": calls}), flush=True)


if __name__ == "__main__":
    call_until_told(int(sys.argv[1]), sys.argv[2])
