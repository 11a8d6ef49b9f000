"""Python ends while other threads are in the core."""

from __future__ import annotations

import subprocess
import sys

import pytest

from support.fault_peer import Behaviour, Call, Connection, FaultPeer


def no_reply(connection: Connection, call: Call) -> None:
    """Leaves the caller waiting."""


BUSY = """
import sys, threading
import simdrive
from simdrive import hashing

client = simdrive.connect(sys.argv[1])
client.write(b"key", b"v" * 100_000)  # more than the core keeps in place: the reading thread makes a bytes object
data = bytes(1 << 20)
once = [threading.Event() for _ in range(4)]

def for_ever(event, work):
    while True:
        work()
        event.set()

for event, work in zip(once, [
    lambda: client.read(b"key"),
    lambda: client.read(b"key", out=bytearray(100_000)),
    lambda: hashing.xxh3_64(data),
    lambda: hashing.xxh3_64_many([data, data]) and hashing.crc32(data),
]):
    threading.Thread(target=for_ever, args=(event, work), daemon=True).start()
for event in once:
    assert event.wait(20)
"""

WAITING = """
import sys, threading
import simdrive

client = simdrive.connect(sys.argv[1])
threads = [threading.Thread(target=client.read, args=(b"key",), daemon=True) for _ in range(3)]
for thread in threads:
    thread.start()
input()
"""


def ended(script: str, peer: FaultPeer, said: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, peer.url], input=said, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("again", range(5))
def test_exit_with_busy_daemon_threads(again: int) -> None:
    with FaultPeer() as peer:
        process = ended(BUSY, peer)
    assert (process.returncode, process.stderr) == (0, "")


def test_exit_with_calls_that_wait() -> None:
    with FaultPeer(script=[Behaviour(call=no_reply, methods=frozenset(["read"]), times=None)]) as peer:
        command = [sys.executable, "-c", WAITING, peer.url]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as child:
            try:
                peer.wait_for_calls(3, timeout=20)
                _, err = child.communicate("\n", timeout=20)
            finally:
                child.kill()
    assert (child.returncode, err) == (0, "")


HASHING = """
import atexit, threading

def look():
    print(hasher.intdigest() != 0, flush=True)

atexit.register(look)  # before the handler of simdrive, and so called after it
from simdrive import hashing

hasher = hashing.Hasher()
data = bytes(32 << 20)
once = threading.Event()

def for_ever():
    while True:
        hasher.update(data)
        once.set()

for _ in range(3):
    threading.Thread(target=for_ever, daemon=True).start()
assert once.wait(20)
"""


def test_a_hasher_is_free_when_threads_that_used_it_have_stopped() -> None:
    command = [sys.executable, "-c", HASHING]
    process = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (process.returncode, process.stderr, process.stdout) == (0, "", "True\n")
