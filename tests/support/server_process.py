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
from typing import Protocol, TypeVar

from .ports import HOST, accepts, free_port, wait_until

Self = TypeVar("Self", bound="ServerProcess")
Command = Callable[[Path, int], Sequence[str | Path]]


class Process(Protocol):
    """What is needed of a child process."""

    pid: int

    def poll(self) -> int | None: ...
    def kill(self) -> None: ...
    def wait(self, timeout: float) -> int: ...
    def wait_until_stopped(self) -> None: ...


class Program(subprocess.Popen[bytes]):
    """A program that was started, with its output appended to a file."""

    def __init__(self, words: Sequence[str | Path], output: Path) -> None:
        with output.open("ab") as file:
            super().__init__(words, stdin=subprocess.DEVNULL, stdout=file, stderr=file)

    def wait_until_stopped(self) -> None:
        """After SIGSTOP, until it stands still."""
        os.waitid(os.P_PID, self.pid, os.WSTOPPED)


class ServerProcess:
    """Starts on entry, is gone with its store on exit. `kill` and `start` in between keep port and store."""

    def __init__(
        self,
        name: str,
        command: Command,
        directory: Path | None = None,
        *,
        launch: Callable[[Sequence[str | Path], Path], Process] = Program,
    ) -> None:
        """`command` gives the words that serve a store at a port; without a folder of the caller's it makes its own.

        `launch` starts them, with a file for the output.
        """
        self.name = name
        self.port = free_port()
        self.url = f"ws://{HOST}:{self.port}/ws"
        self._command = command
        self._own = directory is None
        self._directory = Path(tempfile.mkdtemp(prefix="simdrive-test-")) if directory is None else directory
        self._launch = launch
        self._process: Process | None = None

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
        self._process = process = self._launch(self._command(store, self.port), log)

        def ready() -> bool:
            if accepts(self.port):
                return True
            if process.poll() is not None:
                raise RuntimeError(f"{self.name} ended at once: {log.read_text(errors='replace')[-2000:]}")
            return False

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
        if self._process is None:
            raise RuntimeError("the server is not running")
        os.kill(self._process.pid, signal.SIGSTOP)
        # The signal is handled asynchronously: wait for the kernel to say that the process stands still.
        self._process.wait_until_stopped()

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        self.kill()
        if self._own:
            shutil.rmtree(self._directory, ignore_errors=True)
