"""A server as a child process with a store of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from .ports import HOST, accepts, free_port, wait_until

Self = TypeVar("Self", bound="ServerProcess")
Command = Callable[[Path, int], Sequence[str | Path]]


class ServerProcess:
    """Starts on entry, is gone with its store on exit. `kill` and `start` in between keep port and store."""

    def __init__(self, name: str, command: Command, directory: Path | None = None) -> None:
        """`command` gives the words that serve a store at a port; without a folder of the caller's it makes its own."""
        self.name = name
        self.port = free_port()
        self.url = f"ws://{HOST}:{self.port}/ws"
        self._command = command
        self._own = directory is None
        self._directory = Path(tempfile.mkdtemp(prefix="simdrive-test-")) if directory is None else directory
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self: Self) -> Self:
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
                self._command(store, self.port), stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        self._process = process

        def ready() -> bool:
            if process.poll() is not None:
                raise RuntimeError(f"{self.name} ended at once: {log.read_text(errors='replace')[-2000:]}")
            return accepts(self.port)

        wait_until(ready, timeout=timeout, what=f"{self.name} accepts connections")

    def running(self) -> bool:
        """Whether it has not ended by itself."""
        return self._process is not None and self._process.poll() is None

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
        if self._own:
            shutil.rmtree(self._directory, ignore_errors=True)
