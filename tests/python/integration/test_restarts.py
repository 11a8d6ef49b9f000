"""The server comes and goes, the client stays: restarts under load, reconnecting, keepalive, and its own end."""

from __future__ import annotations

import gc
import pickle
import subprocess
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import simdrive
from support.fault_peer import GOOD, Behaviour, Connection, FaultPeer
from support.fault_proxy import FaultProxy
from support.fault_proxy_timing import LagMeter
from support.model import Register
from support.ports import free_port
from support.real_server import RealServer

THREADS = 8
RESTARTS = 20
PATIENT = 20.0
HASTY = 0.25


def connect_quickly(url: str, **options: Any) -> simdrive.Client:
    """A client without the random first wait."""
    return simdrive.connect(url, reconnect_spread=0.0, **options)


class Load:
    """One thread's calls on a key of its own; knows every value that it may see, and every deadline."""

    def __init__(self, client: simdrive.Client, number: int, meter: LagMeter) -> None:
        self._client = client
        self._meter = meter
        self._key = b"thread %d" % number
        # Half of the threads have the patience to outlast a restart, half have not.
        self.timeout = PATIENT if number % 2 == 0 else HASTY
        self.register = Register()
        self.calls = 0
        self.errors: Counter[str] = Counter()
        self.finished_at = 0.0

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self.calls += 1
            value = b"value %d of " % self.calls + self._key
            self._write("write", value, partial(self._client.write, self._key, value, timeout=self.timeout))
            self._read()
            if self.calls % 5 == 0:
                self._write("delete", None, partial(self._client.delete, self._key, timeout=self.timeout))
                self._read()
        self.finished_at = time.monotonic()

    def _timed(self, name: str, call: Callable[[], object]) -> object:
        started = time.monotonic()
        try:
            return call()
        finally:
            self._meter.check(name, started, time.monotonic(), self.timeout)

    def _write(self, name: str, value: bytes | None, call: Callable[[], object]) -> None:
        try:
            self._timed(name, call)
        except (simdrive.ConnectionLostError, simdrive.OperationTimeout) as error:
            self.errors[f"{name}: {type(error).__name__}, {error.outcome}"] += 1
            # A lost connection is the server's death here, so that nothing is on its way any more: but nobody tells
            # this thread when, and a longer list of possible values is only a weaker test.
            if error.outcome == "unknown":
                self.register.unknown(value)
        else:
            self.register.applied(value)

    def _read(self) -> None:
        try:
            value = self._timed("read", partial(self._client.read, self._key, timeout=self.timeout))
        except simdrive.OperationTimeout:
            if self.timeout != HASTY:
                raise
            self.errors["read: OperationTimeout"] += 1
        else:
            assert value is None or isinstance(value, bytes)
            self.register.saw(value)


def test_restarts_under_load(own_server: RealServer) -> None:
    stop = threading.Event()
    failures: list[BaseException] = []
    # Connections that live so shortly count as failures, and the waits between them grow: here to less than `HASTY`.
    retry = simdrive.Retry(base=0.02, cap=0.1)
    with LagMeter() as meter, connect_quickly(own_server.url, retry=retry) as client:
        loads = [Load(client, number, meter) for number in range(THREADS)]

        def work(load: Load) -> None:
            try:
                load.run(stop)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(load,), daemon=True) for load in loads]
        for thread in threads:
            thread.start()
        try:
            for _ in range(RESTARTS):
                wait_for_calls(loads, failures)
                own_server.kill()
                own_server.start()
            wait_for_calls(loads, failures)
        finally:
            stop.set()
        for thread in threads:
            thread.join(PATIENT + 5)
            assert not thread.is_alive(), "a thread hangs"
        if failures:
            raise failures[0]
        for number, load in enumerate(loads):
            load.register.saw(client.read(b"thread %d" % number))
    errors = sum((load.errors for load in loads), Counter[str]())
    # Only what was under way when the server died may fail: one call of a thread for each death.
    assert sum(errors.values()) <= RESTARTS * THREADS, errors
    assert not [name for name in errors if name.endswith("Error, not applied")], errors


def wait_for_calls(loads: list[Load], failures: list[BaseException], *, timeout: float = 20.0) -> None:
    """Until every thread has made ten more rounds, or one has failed."""
    wanted = [load.calls + 10 for load in loads]
    deadline = time.monotonic() + timeout
    while not failures and any(load.calls < least for load, least in zip(loads, wanted, strict=True)):
        assert time.monotonic() < deadline, f"no progress: {[load.calls for load in loads]}"
        time.sleep(0.005)  # the threads are busy in their calls; asked again until the deadline
    if failures:
        raise failures[0]


def test_long_outage(own_server: RealServer) -> None:
    """Calls wait for the server as long as their own timeout allows."""
    with LagMeter() as meter, simdrive.connect(own_server.url, reconnect_spread=0.0) as client:
        client.write(b"key", b"value")
        own_server.kill()
        started = time.monotonic()
        with pytest.raises(simdrive.OperationTimeout):
            client.read(b"key", timeout=0.6)
        meter.check("read", started, time.monotonic(), 0.6)
        answers: list[object] = []

        def patient() -> None:
            try:
                answers.append(client.read(b"key", timeout=PATIENT))
            except simdrive.SimdriveError as error:
                answers.append(error)

        threads = [threading.Thread(target=patient, daemon=True) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        own_server.start()
        for thread in threads:
            thread.join(PATIENT + 5)
        assert answers == [b"value"] * THREADS


# ---- reconnecting ---------------------------------------------------------------------------------------------------


def count_attempts(connections: Callable[[], int], client: simdrive.Client, seconds: float) -> int:
    """Connections in a span in which all threads want one; the span is their timeouts, one after the other."""
    before = connections()

    def call() -> None:
        for _ in range(4):
            with pytest.raises(simdrive.SimdriveError):
                client.exists(b"key", timeout=seconds / 4)

    threads = [threading.Thread(target=call, daemon=True) for _ in range(THREADS)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds * 4)
        assert not thread.is_alive()
    assert time.monotonic() - started >= seconds - 0.1, "the calls do not wait for a connection"
    return connections() - before


@pytest.mark.parametrize("how", ["close", "reset"])
def test_no_tight_loop_of_refused_connections(one_server: RealServer, how: str) -> None:
    retry = simdrive.Retry(base=0.05, cap=0.5)
    with FaultProxy(one_server.port) as proxy, connect_quickly(proxy.url, retry=retry) as client:
        client.write(b"key", b"value")
        proxy.admit("close" if how == "close" else "reset")
        proxy.reset()
        attempts = count_attempts(lambda: proxy.connections, client, 1.6)
        # Waits of up to 0.05, 0.1, 0.2, 0.4, 0.5, 0.5 ...: about eight attempts; one each `base` would be 32.
        assert 2 <= attempts <= 20, attempts
        proxy.heal()
        assert client.read(b"key", timeout=PATIENT) == b"value"


def test_no_tight_loop_of_connections_that_end_after_the_probe() -> None:
    def answer_and_end(connection: Connection) -> None:
        connection.answer_probe(connection.dialect)
        connection.finish()

    retry = simdrive.Retry(base=0.05, cap=0.5)
    peer = FaultPeer(script=[GOOD], then=Behaviour(probe=answer_and_end))
    with peer, connect_quickly(peer.url, retry=retry) as client:
        peer.drop_connections()
        before = peer.connections
        started = time.monotonic()
        # Each such connection looks whole for a moment, so that calls fail on it, and use up their tries.
        while time.monotonic() - started < 1.6:
            with pytest.raises((simdrive.ConnectionLostError, simdrive.OperationTimeout)):
                client.exists(b"key", timeout=0.4)
        # One for each `base` would be 32.
        assert 2 <= peer.connections - before <= 32
    assert peer.errors == []


def test_reconnects_without_being_asked(one_server: RealServer) -> None:
    with FaultProxy(one_server.port) as proxy, simdrive.connect(proxy.url, reconnect_spread=0.0) as client:
        client.write(b"key", b"value")
        for again in range(3):
            proxy.reset()
            proxy.wait_for_connections(2 + again, timeout=PATIENT)
        assert client.read(b"key") == b"value"
        assert proxy.connections == 4


def test_never_gives_up(one_server: RealServer) -> None:
    retry = simdrive.Retry(retries=1, base=0.01, cap=0.05)
    with FaultProxy(one_server.port) as proxy, connect_quickly(proxy.url, retry=retry) as client:
        client.write(b"key", b"value")
        proxy.admit("close")
        proxy.reset()
        proxy.wait_for_connections(20, timeout=PATIENT)
        proxy.heal()
        assert client.read(b"key", timeout=PATIENT) == b"value"


def test_many_clients_come_back_spread_out(one_server: RealServer) -> None:
    """After a shared loss the first waits are random; not all clients dial at once."""
    with FaultProxy(one_server.port) as proxy:
        clients = [simdrive.connect(proxy.url, reconnect_spread=0.5) for _ in range(12)]
        try:
            proxy.reset()
            proxy.wait_for_connections(24, timeout=PATIENT)
            times = proxy.accept_times[12:24]
            assert times[-1] - times[0] >= 0.1, "all at once"
            assert clients[0].read(b"absent") is None
        finally:
            for client in clients:
                client.close()


# ---- idle clients ---------------------------------------------------------------------------------------------------


def test_idle_client_is_kept_alive(one_server: RealServer) -> None:
    with FaultProxy(one_server.port) as proxy, simdrive.connect(proxy.url, ping_interval=0.1) as client:
        client.write(b"key", b"value")
        up, down = proxy.traffic("up").passed, proxy.traffic("down").passed
        # A masked ping has at least 6 bytes, its pong 2, and nobody makes a call.
        proxy.wait_for_bytes(up + 12, "up", timeout=PATIENT)
        proxy.wait_for_bytes(down + 4, "down", timeout=PATIENT)
        assert proxy.connections == 1
        assert client.read(b"key") == b"value"


def test_idle_client_finds_out_about_silence(one_server: RealServer) -> None:
    with (
        FaultProxy(one_server.port) as proxy,
        connect_quickly(proxy.url, ping_interval=0.1, ping_timeout=0.3) as client,
    ):
        client.write(b"key", b"value")
        proxy.silence()
        proxy.wait_for_connections(2, timeout=PATIENT)
        proxy.heal()
        assert client.read(b"key", timeout=PATIENT) == b"value"


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_idle_client_is_still_connected_after_a_minute(one_server: RealServer) -> None:
    with FaultProxy(one_server.port) as proxy, simdrive.connect(proxy.url) as client:
        client.write(b"key", b"value")
        threading.Event().wait(62)  # the passing of time itself is what is tested
        assert proxy.connections == proxy.open_connections == 1
        assert client.read(b"key") == b"value"
        assert proxy.connections == 1


# ---- the end of a client --------------------------------------------------------------------------------------------


def test_collected_open_client_warns_and_closes(one_server: RealServer) -> None:
    with FaultProxy(one_server.port) as proxy:
        clients = [simdrive.connect(proxy.url)]

        def collect() -> None:
            clients.clear()
            gc.collect()

        with pytest.warns(ResourceWarning, match=str(proxy.port)):
            collect()
        proxy.wait_for_ends(1, "up")


def test_collected_closed_client_is_quiet(one_server: RealServer) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        client = simdrive.connect(one_server.url)
        client.close()
        del client
        gc.collect()


def test_pickling_pickles_the_options(one_server: RealServer) -> None:
    with simdrive.connect(one_server.url, timeout=7.5, max_value_size=1000, reconnect_spread=0.0) as client:
        client.write(b"key", b"value")
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            data = pickle.dumps(client, protocol)
            with pickle.loads(data) as copy:  # noqa: S301
                assert type(copy) is type(client)
                assert copy.options == client.options
                assert copy.read(b"key") == b"value"
                with pytest.raises(simdrive.InvalidValueError):
                    copy.write(b"key", bytes(1001))
            assert client.read(b"key") == b"value"


EXIT = """
import sys, threading
import simdrive

client = simdrive.connect(sys.argv[1], timeout=None, idle_timeout=None, ping_interval=None)
client.write(b"key", b"value")
print("ready", flush=True)
sys.stdin.readline()
started = threading.Barrier(9)
def call(method):
    started.wait()
    method()
methods = [lambda: client.read(b"key"), lambda: client.write(b"key", bytes(8 << 20)), lambda: len(client),
           lambda: client.batch_read([b"key"] * 3)] * 2
for method in methods:
    threading.Thread(target=call, args=(method,), daemon=True).start()
started.wait()
"""


@pytest.mark.parametrize("server_is", ["stopped", "gone", "busy"])
def test_interpreter_ends_with_calls_in_flight(own_server: RealServer, server_is: str) -> None:
    command = [sys.executable, "-W", "ignore::ResourceWarning", "-c", EXIT, own_server.url]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            if server_is == "stopped":
                own_server.stop()
            elif server_is == "gone":
                own_server.kill()
            started = time.monotonic()
            _, errors = child.communicate("\n", timeout=20)
            assert time.monotonic() - started < 5
        finally:
            child.kill()
            if server_is == "stopped":
                own_server.resume()
    assert child.returncode == 0, errors
    assert "Fatal" not in errors


CHILDREN = """
import multiprocessing, sys, threading
import simdrive

def work(client, number):
    for i in range(20):
        client.write(b"child %d" % number, b"value %d" % i)
        assert client.read(b"child %d" % number) == b"value %d" % i
    assert client.read(b"parent") == b"before"
    client.close()

if __name__ == "__main__":
    method, url = sys.argv[1:]
    context = multiprocessing.get_context(method)
    client = simdrive.connect(url, reconnect_spread=0.0)
    client.write(b"parent", b"before")
    stop = threading.Event()
    def traffic():
        while not stop.is_set():
            assert client.exists(b"parent")
    busy = threading.Thread(target=traffic)
    busy.start()
    try:
        children = [context.Process(target=work, args=(client, number)) for number in range(3)]
        for child in children:
            child.start()
        for child in children:
            child.join(30)
        assert [child.exitcode for child in children] == [0, 0, 0], children
        for number in range(3):
            assert client.read(b"child %d" % number) == b"value 19"
    finally:
        stop.set()
        busy.join()
    client.close()
    print("done")
"""


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_client_given_to_a_process(one_server: RealServer, method: str, tmp_path: Path) -> None:
    script = tmp_path / "children.py"
    script.write_text(CHILDREN, encoding="utf-8")
    command = [sys.executable, "-W", "ignore::DeprecationWarning", str(script), method, one_server.url]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (0, "done\n"), ended.stderr


def test_connecting_to_nobody_is_not_tried_again() -> None:
    started = time.monotonic()
    with pytest.raises(simdrive.ConnectError):
        simdrive.connect(f"ws://127.0.0.1:{free_port()}/ws", retry=simdrive.Retry(retries=50))
    assert time.monotonic() - started < 1
