"""fork, signals and the end of the interpreter, each in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

import simdrive
from support.real_server import RealServer

FORK = """
import os, sys, threading
import simdrive

client = simdrive.connect(sys.argv[1])
client.write(b"fork", b"before")
stop = threading.Event()
def traffic():
    while not stop.is_set():
        assert client.read(b"fork") is not None
busy = threading.Thread(target=traffic)
if sys.argv[2] == "busy":
    busy.start()
children = []
for number in range(3):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            for i in range(50):
                client.write(b"child %d" % number, b"value %d" % i)
                assert client.read(b"child %d" % number) == b"value %d" % i
            assert client.read(b"fork") == b"before"
            client.close()
            code = 0
        finally:
            os._exit(code)
    children.append(pid)
for i in range(50):
    client.write(b"parent", b"value %d" % i)
    assert client.read(b"parent") == b"value %d" % i
codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
assert codes == [0, 0, 0], codes
stop.set()
if sys.argv[2] == "busy":
    busy.join()
for number in range(3):
    assert client.read(b"child %d" % number) == b"value 49"
client.close()
print("done")
"""

INTERRUPT = """
import signal
import sys
import simdrive

# A background job inherits that SIGINT is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
client = simdrive.connect(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
try:
    print("waiting", flush=True)
    client.read(b"key", timeout=20)
except KeyboardInterrupt:
    print("interrupted", flush=True)
sys.stdin.readline()
assert client.exists(b"key") is True
print("usable", flush=True)
"""

EXIT = """
import sys, threading
import simdrive

client = simdrive.connect(sys.argv[1])
client.write(b"exit", b"value")
for i in range(3):
    threading.Thread(target=lambda: client.read(b"exit", timeout=1), daemon=True).start()
"""


def run(script: str, *arguments: str) -> str:
    # Forking with threads warns on newer Pythons; that the client survives it is the point here.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script, *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize("parent", ["idle", "busy"])
def test_fork(own_server: RealServer, parent: str) -> None:
    assert run(FORK, own_server.url, parent) == "done\n"


def test_exit_with_an_open_client(own_server: RealServer) -> None:
    started = time.monotonic()
    assert run(EXIT, own_server.url) == ""
    assert time.monotonic() - started < 5


def test_interrupt(own_server: RealServer) -> None:
    with simdrive.connect(own_server.url) as client:
        client.write(b"key", b"value")
    command = [sys.executable, "-c", INTERRUPT, own_server.url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            assert child.stdout.readline() == "ready\n"
            own_server.stop()
            child.stdin.write("\n")
            child.stdin.flush()
            assert child.stdout.readline() == "waiting\n"
            started = time.monotonic()
            child.send_signal(signal.SIGINT)
            assert child.stdout.readline() == "interrupted\n"
            assert time.monotonic() - started < 0.5
            own_server.resume()
            child.stdin.write("\n")
            child.stdin.flush()
            assert child.stdout.readline() == "usable\n"
            assert child.wait(timeout=10) == 0
        finally:
            child.kill()
