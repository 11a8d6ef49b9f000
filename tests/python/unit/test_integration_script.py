"""tools/integration.sh leaves nothing behind, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.ports import accepts, wait_until

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "tools" / "integration.sh"
if sys.platform == "win32" or not SCRIPT.is_file():
    pytest.skip("no checkout around the tests, or no bash", allow_module_level=True)

FAKE_SERVER = """
import os, socket, sys
store, port = sys.argv[1], int(sys.argv[sys.argv.index("--port") + 1])
open(store, "wb").close()
listener = socket.create_server(("127.0.0.1", port))
with open(os.environ["FAKE_STATE"], "w") as state:
    print(os.getpid(), port, os.path.dirname(store), file=state)
while True:
    listener.accept()[0].close()
"""

# Says that it runs, and its id; then ends as told, or waits for the end.
FAKE_PYTEST = """
import os, pathlib, signal, sys, threading
blocks = pathlib.Path(os.environ["SIMDRIVE_README_BLOCKS"])
assert "def test_block_1" in blocks.read_text()
assert os.environ["SIMDRIVE_URL"].startswith("ws://127.0.0.1:")
print("running", os.getpid(), *sys.argv[2:], flush=True)
if sys.argv[1] == "crash":
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[1] == "wait":
    threading.Event().wait(60)
sys.exit(int(sys.argv[1]))
"""


def heed_signals() -> None:
    """A shell cannot trap what its parent ignores, and under nohup or in the background that is SIGHUP or SIGINT."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


class Run:
    """One run of the script with a fake server and a fake pytest."""

    def __init__(self, directory: Path, ending: str) -> None:
        (directory / "server.py").write_text(FAKE_SERVER)
        (directory / "pytest.py").write_text(FAKE_PYTEST)
        (directory / "temporary").mkdir()
        self.state = directory / "state"
        self.blocks = directory / "blocks.py"
        self.temporary = directory / "temporary"
        environment = {
            **os.environ,
            "PYTHON": sys.executable,
            "PYTEST": f"{sys.executable} {directory / 'pytest.py'} {ending}",
            "SIMDRIVE_SERVER_CMD": f"{sys.executable} {directory / 'server.py'}",
            "SIMDRIVE_README_BLOCKS": str(self.blocks),
            "FAKE_STATE": str(self.state),
            "TMPDIR": str(self.temporary),
        }
        self.process = subprocess.Popen(
            [SCRIPT, "-q", "two words"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=heed_signals,
        )
        self.tests_pid = 0

    def wait_for_tests(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("running "):
                assert line.endswith(" -q two words\n")
                self.tests_pid = int(line.split()[1])
                return
        raise AssertionError("the tests were not run")

    def assert_gone(self) -> None:
        server_pid, port, store = self.state.read_text().split()
        assert Path(store).parent == self.temporary
        wait_until(
            lambda: not (running(int(server_pid)) or running(self.tests_pid) or accepts(int(port))),
            timeout=10,
            what="server and tests are gone",
        )
        wait_until(lambda: not list(self.temporary.iterdir()), timeout=10, what="the files are removed")
        wait_until(lambda: not self.blocks.exists(), timeout=10, what="the blocks are removed")


def running(pid: int) -> bool:
    """Whether a process lives; one that only waits to be reaped does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[list[Run]]:
    runs: list[Run] = []
    yield runs
    for run in runs:
        run.process.kill()
        run.process.wait(timeout=10)
        assert run.process.stdout is not None
        run.process.stdout.close()


@pytest.mark.parametrize(("ending", "code"), [("0", 0), ("1", 1), ("5", 5), ("crash", 128 + signal.SIGKILL)])
def test_tests_end(start: list[Run], tmp_path: Path, ending: str, code: int) -> None:
    run = Run(tmp_path, ending)
    start.append(run)
    run.wait_for_tests()
    assert run.process.wait(timeout=20) == code
    run.assert_gone()


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, 130),
        (signal.SIGTERM, 143),
        (signal.SIGHUP, 143),
        (signal.SIGKILL, -signal.SIGKILL),
    ],
)
def test_script_is_stopped(start: list[Run], tmp_path: Path, number: int, code: int) -> None:
    run = Run(tmp_path, "wait")
    start.append(run)
    run.wait_for_tests()
    run.process.send_signal(number)
    assert run.process.wait(timeout=20) == code
    run.assert_gone()


def test_server_that_does_not_start(start: list[Run], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    environment = {
        **os.environ,
        "PYTHON": sys.executable,
        "SIMDRIVE_SERVER_CMD": "false",
        "SIMDRIVE_README_BLOCKS": str(tmp_path / "blocks.py"),
        "TMPDIR": str(tmp_path / "empty"),
    }
    ended = subprocess.run(
        [SCRIPT], env=environment, capture_output=True, text=True, timeout=20, check=False, stdin=subprocess.DEVNULL
    )
    assert ended.returncode == 1
    assert "does not accept" in ended.stderr
    assert list((tmp_path / "empty").iterdir()) == []
