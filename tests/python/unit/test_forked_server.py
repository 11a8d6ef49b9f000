"""The server that the tests fork is started, stopped and killed as any other, and does not outlive them."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest

import simdrive
from support.forked_server import AVAILABLE, ForkedServer
from support.ports import accepts, wait_until
from support.real_server import OURS, RealServer

TESTS = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(not AVAILABLE, reason="forks, and reads /proc")


def test_serves_until_it_is_killed() -> None:
    with RealServer(OURS) as server, simdrive.connect(server.url, reconnect_spread=0.0) as client:
        client.write(b"key", b"value")
        before = server.pid
        server.kill()
        assert not accepts(server.port)
        server.start()
        assert server.running()
        assert server.pid != before
        assert client.read(b"key", timeout=10) == b"value"


def test_has_no_pipe_of_the_process_that_forked_it() -> None:
    with RealServer(OURS) as server:
        descriptors = []
        for path in Path(f"/proc/{server.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                descriptors.append(str(path.readlink()))
        assert descriptors
        assert not [name for name in descriptors if name.startswith("pipe:")], descriptors


def test_stands_still_when_stopped() -> None:
    with RealServer(OURS) as server, simdrive.connect(server.url) as client:
        server.stop()
        with pytest.raises(simdrive.OperationTimeout):
            client.exists(b"key", timeout=0.05)
        server.resume()
        assert client.exists(b"key", timeout=10) is False


def test_ends_with_the_code_of_the_program(tmp_path: Path) -> None:
    output = tmp_path / "output"
    ended = ForkedServer(["serve", tmp_path / "store.bin", "--port", "70000"], output)
    assert ended.wait(10) == 2
    assert ended.poll() == 2
    assert "--port" in output.read_text()
    killed = ForkedServer(["serve", "memory://", "--port", "0"], output)
    killed.kill()
    assert killed.wait(10) == -9


LEFT = """
import os, signal
from support.real_server import OURS, RealServer
server = RealServer(OURS)
server.start()
print(server.port, server._directory, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_does_not_outlive_the_tests() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LEFT], cwd=TESTS, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == -9, ended.stderr
    port, folder = ended.stdout.split()
    wait_until(lambda: not accepts(int(port)), timeout=10, what="the server is gone")
    for left in Path(folder).iterdir():
        left.unlink()
    Path(folder).rmdir()
