"""`simdrive serve` without the time that an interpreter takes to start: forked from one that has loaded everything.

A server that is killed and started hundreds of times is ready within milliseconds this way, as the real ones are,
which are native programs. What runs in the forked process is the program itself, from its `main` on.

python -m support.forked_server     the process that forks: one JSON request a line, one JSON answer each
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

AVAILABLE = sys.platform == "linux"
_TESTS = Path(__file__).resolve().parents[1]


class ForkedServer:
    """A process of `simdrive` with these words as its arguments; `output` is appended to."""

    def __init__(self, words: Sequence[str | Path], output: Path) -> None:
        self.returncode: int | None = None
        self.pid = int(_ask("start", words=[str(word) for word in words], output=str(output)))

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        if self.returncode is None:
            self.returncode = _ask("poll", pid=self.pid)
        return self.returncode

    def kill(self) -> None:
        if self.returncode is None:  # until then the number is this process's, ended or not
            os.kill(self.pid, signal.SIGKILL)

    def wait(self, timeout: float) -> int:
        """Until it has ended. Raises subprocess.TimeoutExpired."""
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"simdrive, process {self.pid}", timeout)
            time.sleep(0.001)  # its end is told to the process that forked it: asked again until the deadline
        return code

    def wait_until_stopped(self) -> None:
        """After SIGSTOP, until it stands still."""
        _ask("stopped", pid=self.pid)


# ---- the process that forks, from this side -------------------------------------------------------------------------

_lock = threading.Lock()
_forking: subprocess.Popen[str] | None = None


def _ask(what: str, **more: Any) -> Any:
    global _forking
    with _lock:
        if _forking is None:
            _forking = subprocess.Popen(
                [sys.executable, "-m", "support.forked_server"],
                cwd=_TESTS,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                encoding="ascii",
            )
            atexit.register(_end, _forking)
        assert _forking.stdin is not None
        assert _forking.stdout is not None
        _forking.stdin.write(json.dumps({"what": what, **more}) + "\n")
        _forking.stdin.flush()
        answer = _forking.stdout.readline()
    if not answer:
        raise RuntimeError("the process that forks servers has ended")
    return json.loads(answer)


def _end(forking: subprocess.Popen[str]) -> None:
    """The end of its input ends it, and it its servers."""
    forking.communicate(timeout=30)


# ---- and itself -----------------------------------------------------------------------------------------------------


def _serve_requests() -> None:
    # What takes so long.
    import logging  # noqa: F401

    import simdrive._cli.app  # noqa: F401

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests, which end it
    running: set[int] = set()
    for line in sys.stdin:
        request = json.loads(line)
        answer: int | None = None
        if request["what"] == "start":
            if len(list(Path("/proc/self/task").iterdir())) != 1:
                raise RuntimeError("a thread runs here: what is forked from this is no server as it is started")
            answer = os.fork()
            if answer == 0:
                _become_server(request["words"], request["output"])
            running.add(answer)
        elif request["what"] == "stopped":
            os.waitid(os.P_PID, request["pid"], os.WSTOPPED)
        else:
            pid, status = os.waitpid(request["pid"], os.WNOHANG)
            if pid:
                running.remove(pid)
                answer = os.waitstatus_to_exitcode(status)
        print(json.dumps(answer), flush=True)
    for pid in running:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _become_server(words: list[str], output: str) -> NoReturn:
    code = 70
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        opened = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (opened, 1), (opened, 2)):
            os.dup2(source, target)
        os.close(opened)
        os.close(nothing)
        sys.argv = ["simdrive", *words]
        from simdrive.__main__ import main  # not before: it is the main program's

        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve_requests()
