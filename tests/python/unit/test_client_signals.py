"""Signals while a call waits."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from support.fault_peer import Behaviour, Call, Connection, FaultPeer

if sys.platform == "win32":
    pytest.skip("a process cannot be sent these signals", allow_module_level=True)


def no_reply(connection: Connection, call: Call) -> None:
    """Leaves the caller waiting."""


# The call is known to wait when the server has its request.
SILENT = Behaviour(call=no_reply, methods=frozenset(["read"]), times=None)

ALONE = """
import signal
import sys
import simdrive

# A background job inherits that SIGINT is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
client = simdrive.connect(sys.argv[1])
try:
    client.read(b"key", timeout=20)
except KeyboardInterrupt:
    print("interrupted", flush=True)
assert client.exists(b"key") is False
print("usable", flush=True)
"""

BESIDE_A_LEADER = """
import signal
import sys
import threading
import simdrive

# A background job inherits that SIGINT is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
client = simdrive.connect(sys.argv[1])
leader = threading.Thread(target=lambda: client.read(b"leader", timeout=20), daemon=True)
leader.start()
try:
    client.read(b"key", timeout=20)
except KeyboardInterrupt:
    print("interrupted", flush=True)
assert client.exists(b"key") is False
print("usable", flush=True)
"""

HANDLER_RETURNS = """
import signal
import sys
import simdrive

def handle(number, frame):
    print("handled", flush=True)
    assert client.exists(b"key") is False

signal.signal(signal.SIGUSR1, handle)
client = simdrive.connect(sys.argv[1])
try:
    client.read(b"key", timeout=1)
except simdrive.OperationTimeout:
    print("timed out", flush=True)
"""


@contextmanager
def running(script: str, peer: FaultPeer, calls: int) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", script, peer.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            peer.wait_for_calls(calls, timeout=20)
            yield child
            assert child.wait(timeout=10) == 0
        finally:
            child.kill()


@pytest.mark.parametrize(("script", "calls"), [(ALONE, 1), (BESIDE_A_LEADER, 2)])
def test_interrupt(script: str, calls: int) -> None:
    with FaultPeer(script=[SILENT]) as peer, running(script, peer, calls) as child:
        assert child.stdout is not None
        started = time.monotonic()
        child.send_signal(signal.SIGINT)
        assert child.stdout.readline() == "interrupted\n"
        assert time.monotonic() - started < 0.5
        assert child.stdout.readline() == "usable\n"


def test_a_handler_that_returns_does_not_end_the_call() -> None:
    with FaultPeer(script=[SILENT]) as peer, running(HANDLER_RETURNS, peer, 1) as child:
        assert child.stdout is not None
        started = time.monotonic()
        child.send_signal(signal.SIGUSR1)
        assert child.stdout.readline() == "handled\n"
        assert child.stdout.readline() == "timed out\n"
        assert 0.5 < time.monotonic() - started < 2


CONNECTING = """
import signal
import sys
import simdrive

signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    simdrive.connect(sys.argv[1], connect_timeout=20)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_interrupt_while_connecting() -> None:
    # The upgrade request has come: the client is past the TCP connect and waits for the answer.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"ws://127.0.0.1:{listener.getsockname()[1]}"
        with subprocess.Popen([sys.executable, "-c", CONNECTING, url], stdout=subprocess.PIPE, text=True) as process:
            try:
                listener.settimeout(20)
                accepted, _ = listener.accept()
                with accepted:
                    assert accepted.recv(4) == b"GET "
                    process.send_signal(signal.SIGINT)
                    sent = time.monotonic()
                    output, _ = process.communicate(timeout=20)
                    assert output == "interrupted\n"
                    assert time.monotonic() - sent < 2  # the interpreter's own exit included
            finally:
                process.kill()
