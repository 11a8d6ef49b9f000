"""The server from Python: its life, options, errors, figures, log, and what a fork or the end of Python does to it."""

from __future__ import annotations

import contextlib
import errno
import gc
import json
import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

import simdrive
from simdrive import Server, ServerLimits
from support.ports import HOST, wait_until
from support.wsraw import reluctant


@pytest.fixture
def store() -> Iterator[simdrive.MemoryStore]:
    with simdrive.MemoryStore() as opened:
        yield opened


@pytest.fixture
def server(store: simdrive.MemoryStore) -> Iterator[Server]:
    with Server(store) as running:
        yield running


@pytest.mark.parametrize(("wire", "dialect"), [("auto", "d13"), ("d13", "d13"), ("d21", "d21")])
def test_serves_a_store(store: simdrive.MemoryStore, server: Server, wire: str, dialect: str) -> None:
    with simdrive.connect(server.url, wire=wire) as client:
        assert client.server_info().dialect == dialect
        client.write(b"key", b"value")
        assert store.read(b"key") == b"value"
        store.write(b"other", b"written here")
        assert client.batch_read([b"other", b"nothing", b"key"]) == [b"written here", None, b"value"]
        assert len(client) == 2
        client.delete(b"key")
        assert b"key" not in store
        large = os.urandom(5_000_000)
        client.write(b"large", large)
        assert client.read(b"large") == large
        assert store.read(b"large") == large


def test_by_path(tmp_path: Path) -> None:
    path = tmp_path / "store.bin"
    with Server(path) as server, simdrive.connect(server.url) as client:
        client.write(b"key", b"value")
        with pytest.raises(simdrive.StoreLockedError):
            simdrive.Store(path)
    with simdrive.Store(path) as store:
        assert store.read(b"key") == b"value"


def test_life(store: simdrive.MemoryStore) -> None:
    server = Server(store)
    assert "not started" in repr(server)
    assert not server.running
    with pytest.raises(simdrive.SimdriveError, match="not started"):
        _ = server.url
    server.stop()
    assert server.start() is server
    assert server.running
    assert server.url == f"ws://127.0.0.1:{server.port}/ws"
    assert "running" in repr(server)
    with pytest.raises(simdrive.SimdriveError, match="started already"):
        server.start()
    assert server.wait(0.01) is False
    server.stop()
    server.stop()
    assert server.wait(5) is True
    assert not server.running
    assert "stopped" in repr(server)
    assert not store.closed
    with pytest.raises(simdrive.ConnectError):
        simdrive.connect(server.url, retry=simdrive.Retry.NONE)


def test_no_thread_for_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        if thread.name == "simdrive-server-log":
            raise RuntimeError("can't start new thread")
        begin(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    server = Server(tmp_path / "store.bin")
    with pytest.raises(simdrive.SimdriveError, match="for the log: can't start new thread"):
        server.start()
    assert not server.running
    simdrive.Store(tmp_path / "store.bin").close()  # nobody has it
    monkeypatch.undo()
    with server:
        assert server.running


def test_restart_at_the_same_port(store: simdrive.MemoryStore) -> None:
    with Server(store) as first:
        port = first.port
    with Server(store, port=port) as second, simdrive.connect(second.url) as client:
        assert second.port == port
        client.write(b"key", b"value")


def test_taken_port(server: Server, store: simdrive.MemoryStore) -> None:
    with pytest.raises(simdrive.BindError, match=str(server.port)) as caught:
        Server(store, port=server.port).start()
    assert isinstance(caught.value, OSError)
    assert caught.value.errno == errno.EADDRINUSE


@pytest.mark.parametrize("timeout", [None, float("inf"), 10**400])
@pytest.mark.timeout(60)
def test_waiting_for_the_end(server: Server, timeout: float | None) -> None:
    stopper = threading.Thread(target=server.stop)
    stopper.start()
    assert server.wait(timeout)
    stopper.join()


@pytest.mark.parametrize(
    ("timeout", "error"),
    [
        (float("nan"), simdrive.ConfigurationError),
        (-1, simdrive.ConfigurationError),
        ("x", TypeError),
        (True, TypeError),
    ],
)
@pytest.mark.parametrize("method", ["wait", "stop"])
@pytest.mark.timeout(60)
def test_wrong_timeouts(server: Server, method: str, timeout: object, error: type[Exception]) -> None:
    arguments = {"timeout": timeout}
    with pytest.raises(error, match="timeout must be"):
        getattr(server, method)(**arguments)
    assert server.running


def test_other_addresses_need_a_word(store: simdrive.MemoryStore) -> None:
    with pytest.raises(simdrive.ConfigurationError, match="insecure"):
        Server(store, host="0.0.0.0").start()  # noqa: S104
    with (
        pytest.warns(UserWarning, match="nobody is asked"),
        Server(store, host="0.0.0.0", insecure=True) as open_to_all,  # noqa: S104
    ):
        assert open_to_all.running


def test_the_warning_comes_before_anybody_can_connect(tmp_path: Path) -> None:
    path = tmp_path / "store.bin"
    server = Server(path, host="0.0.0.0", insecure=True)  # noqa: S104
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="nobody is asked"):
            server.start()
    assert not server.running
    assert "not started" in repr(server)
    assert not path.exists()


def test_messages_name_the_options_of_python(store: simdrive.MemoryStore) -> None:
    with pytest.raises(simdrive.ConfigurationError, match="give insecure=True"):
        Server(store, host="0.0.0.0").start()  # noqa: S104


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
def test_an_address_in_brackets(store: simdrive.MemoryStore) -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 on this machine")
    with Server(store, host="[::1]") as server, simdrive.connect(server.url) as client:
        assert server.url == f"ws://[::1]:{server.port}/ws"
        client.write(b"key", b"value")


@pytest.mark.skipif(sys.platform == "win32", reason="no unix sockets")
def test_a_relative_unix_path(store: simdrive.MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    with Server(store, unix_path="socket") as server:
        assert server.options.unix_path == str(tmp_path / "socket")
        monkeypatch.chdir(tmp_path / "other")
        with simdrive.connect(server.url) as client:
            client.write(b"key", b"value")
    assert not (tmp_path / "socket").exists()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"port": 65536}, simdrive.ConfigurationError),
        ({"port": -1}, simdrive.ConfigurationError),
        ({"port": True}, TypeError),
        ({"port": "80"}, TypeError),
        ({"host": b"127.0.0.1"}, TypeError),
        ({"threads": 0}, simdrive.ConfigurationError),
        ({"origins": "http://localhost"}, TypeError),
        ({"hosts": [1]}, TypeError),
        ({"insecure": 1}, TypeError),
        ({"status": None}, TypeError),
        ({"limits": {}}, TypeError),
        ({"max_connections": 0}, simdrive.ConfigurationError),
        ({"nothing": 1}, TypeError),
        ({"unix_path": ""}, simdrive.ConfigurationError),
        ({"unix_path": "a\0b"}, simdrive.ConfigurationError),
        ({"unix_path": 1}, TypeError),
        ({"host": "\udc80"}, simdrive.ConfigurationError),
        ({"host": "127.0.0.1\0.example.org"}, simdrive.ConfigurationError),
        ({"path": "/\udc80"}, simdrive.ConfigurationError),
        ({"origins": ["\udc80"]}, simdrive.ConfigurationError),
        ({"hosts": ["\udc80"]}, simdrive.ConfigurationError),
    ],
)
def test_wrong_options(store: simdrive.MemoryStore, options: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        Server(store, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("store", [1, None, b"bytes"])
def test_wrong_store(store: object) -> None:
    with pytest.raises(TypeError, match="store must be"):
        Server(store)  # type: ignore[arg-type]


def test_a_servers_url_is_no_store(server: Server) -> None:
    with pytest.raises(simdrive.ConfigurationError, match="no store"):
        Server(server.url).start()


@pytest.mark.parametrize(
    "limits",
    [
        {"max_frame": 0},
        {"stall_timeout": 0},
        {"ping_interval": 1e9},
        {"max_streams": 2**40},
        {"max_message": -1},
        {"reserved_descriptors": 2**32},
    ],
)
def test_limits_out_of_range(limits: dict[str, float]) -> None:
    with pytest.raises(simdrive.ConfigurationError, match=next(iter(limits))):
        ServerLimits(**limits)  # type: ignore[arg-type]


def test_a_request_holds_what_clients_send() -> None:
    client = simdrive.Options()
    around = 64
    assert ServerLimits().max_request >= client.max_value_size + client.max_key_size + around


@pytest.mark.slow
def test_the_longest_value() -> None:
    with simdrive.MemoryStore() as store, Server(store) as server, simdrive.connect(server.url) as client:
        value = bytearray(client.options.max_value_size)
        value[-1] = 7
        client.write(b"long", value)
        del value
        found = client.read(b"long", out="view")
        assert found is not None
        assert len(found) == client.options.max_value_size
        assert found[-1] == 7


def fetch(url: str, code: int = 200) -> str:
    """The body of the answer, whose status must be `code`."""
    try:
        answer = urllib.request.urlopen(url, timeout=10)  # noqa: S310
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        assert answer.status == code
        return str(answer.read().decode())


def test_status_and_health(server: Server) -> None:
    base = f"http://{HOST}:{server.port}"
    with simdrive.connect(server.url) as client:
        client.write(b"secret key", b"secret value")
        assert fetch(f"{base}/healthz") == "ok\n"
        body = fetch(f"{base}/status")
    status = json.loads(body)
    assert status["store"]["entries"] == 1
    assert "secret" not in body
    assert fetch(f"{base}/nothing", 404)


def test_no_status(store: simdrive.MemoryStore) -> None:
    with Server(store, status=False) as server:
        for path in ("status", "healthz"):
            fetch(f"http://{HOST}:{server.port}/{path}", 404)


@pytest.mark.parametrize("header", ["Origin: http://example.org", "Host: example.org"])
def test_web_pages_are_refused(server: Server, header: str) -> None:
    host = "" if header.startswith("Host") else f"Host: {HOST}:{server.port}\r\n"
    request = (
        f"GET /ws HTTP/1.1\r\n{host}{header}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    with socket.create_connection((HOST, server.port), timeout=10) as sock:
        sock.sendall(request.encode())
        assert sock.recv(4096).startswith(b"HTTP/1.1 403")
    assert server.stats().refused == 1


def test_stats(server: Server, store: simdrive.MemoryStore) -> None:
    with simdrive.connect(server.url) as client:
        client.write(b"key", b"value")
        assert client.read(b"key") == b"value"
        stats = server.stats()
        assert stats.connections == 1
    assert stats.entries == 1
    assert stats.requests >= 2
    assert stats.errors <= 1  # the probe for the dialect names no method
    assert stats.bytes_received > 0
    assert stats.bytes_sent > 0
    assert stats.file_size == store.file_size()
    assert 0 < stats.latency_p50 <= stats.latency_p99 < 10
    assert stats.to_dict()["accepted"] == 1


def test_log(store: simdrive.MemoryStore, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="simdrive.server"):
        with Server(store) as server, simdrive.connect(server.url) as client:
            client.write(b"key", b"value")
        wait_until(
            lambda: any(getattr(record, "event", "") == "connected" for record in caplog.records),
            timeout=10,
            what="the connection is logged",
        )
    events = {getattr(record, "event", "") for record in caplog.records}
    assert "listening" in events
    assert all(record.name == "simdrive.server" for record in caplog.records if hasattr(record, "event"))
    assert "value" not in caplog.text


@pytest.mark.timeout(60)
def test_a_log_handler_may_stop_the_server(store: simdrive.MemoryStore) -> None:
    class Stopper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if getattr(record, "event", "") == "connected":
                stopped.stop(timeout=30)

    logger = logging.getLogger("simdrive.server")
    level, handler = logger.level, Stopper()
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        with Server(store) as stopped:
            with contextlib.suppress(simdrive.SimdriveError):  # it may be stopped before the client is ready
                simdrive.connect(stopped.url).close()
            assert stopped.wait(30)
        assert not stopped.running
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


@pytest.mark.timeout(60)
def test_a_log_filter_that_raises_is_told_of_once(store: simdrive.MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    class Fails(logging.Filter):
        calls = 0

        def filter(self, record: logging.LogRecord) -> bool:
            self.calls += 1
            if self.calls < 3:
                raise ValueError(record.getMessage())
            return True

    class Keeps(logging.Handler):
        def __init__(self) -> None:
            super().__init__()
            self.events: list[str] = []

        def emit(self, record: logging.LogRecord) -> None:
            self.events.append(getattr(record, "event", ""))

    told: list[type[BaseException] | None] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: told.append(args.exc_type))
    logger = logging.getLogger("simdrive.server")
    level, fails, keeps = logger.level, Fails(), Keeps()
    logger.addFilter(fails)
    logger.addHandler(keeps)
    logger.setLevel(logging.DEBUG)
    try:
        with Server(store) as server:
            for _ in range(4):
                simdrive.connect(server.url).close()
        wait_until(lambda: "stopped" in keeps.events, timeout=10, what="what came after the failures is logged")
    finally:
        logger.setLevel(level)
        logger.removeHandler(keeps)
        logger.removeFilter(fails)
    assert "connected" in keeps.events
    assert told == [ValueError]


SLOW = ServerLimits(stall_timeout=3600, ping_interval=3600, silence_timeout=3600)


@pytest.mark.timeout(120)
def test_a_second_stop_cuts_the_first_short(store: simdrive.MemoryStore) -> None:
    store.write(b"large", os.urandom(32 << 20))
    with Server(store, limits=SLOW) as server, reluctant(server.port, b"large"):
        outcomes: list[BaseException] = []

        def stop() -> None:
            try:
                server.stop(timeout=3600)
            except BaseException as error:
                outcomes.append(error)

        first = threading.Thread(target=stop)
        first.start()
        wait_until(lambda: not server.running, timeout=30, what="the first one has begun")
        with pytest.raises(simdrive.OperationTimeout):
            server.stop(timeout=0)
        first.join(30)
        assert not first.is_alive()
        assert [type(error) for error in outcomes] == [simdrive.OperationTimeout]


@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
@pytest.mark.timeout(120)
def test_ctrl_c_cuts_a_stop_short(store: simdrive.MemoryStore) -> None:
    store.write(b"large", os.urandom(32 << 20))
    server = Server(store, limits=SLOW).start()

    def interrupt() -> None:
        wait_until(lambda: not server.running, timeout=30, what="it stops")
        os.kill(os.getpid(), signal.SIGINT)

    with reluctant(server.port, b"large"):
        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            server.stop(timeout=3600)
        assert server.wait(0)
        thread.join(30)


def test_an_unstopped_server_is_stopped(store: simdrive.MemoryStore) -> None:
    server = Server(store).start()
    server.itself = server  # type: ignore[attr-defined]  # so that collecting it takes the collector
    port = server.port
    del server
    with pytest.warns(ResourceWarning, match="unstopped"):
        gc.collect()
    with socket.socket() as probe:
        assert probe.connect_ex((HOST, port)) != 0


def test_is_not_pickled(server: Server) -> None:
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(server)


def test_a_closed_store_under_a_server() -> None:
    store = simdrive.MemoryStore()
    with Server(store) as server, simdrive.connect(server.url) as client:
        client.write(b"key", b"value")
        store.close()
        with pytest.raises(simdrive.ServerError, match="closed"):
            client.read(b"key")
        with pytest.raises(simdrive.ServerError, match="closed"):
            client.write(b"key", b"value")


def test_stop_while_clients_call(store: simdrive.MemoryStore) -> None:
    failures: list[BaseException] = []
    written: list[bytes] = []
    server = Server(store).start()
    begun = threading.Event()

    def work(name: bytes) -> None:
        try:
            with simdrive.connect(server.url, retry=simdrive.Retry.NONE) as client:
                for i in range(1_000_000):
                    key = b"%s %d" % (name, i)
                    client.write(key, key)
                    written.append(key)
                    begun.set()
        except (simdrive.ConnectionError, simdrive.ServerError):
            pass
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(b"%d" % i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    assert begun.wait(30)
    server.stop()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert failures == []
    assert store.batch_read(written) == written


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_fork_leaves_the_server_to_the_parent() -> None:
    script = """
import os, simdrive
store = simdrive.MemoryStore()
server = simdrive.Server(store).start()
child = os.fork()
if child == 0:
    assert not server.running
    try:
        server.stats()
    except simdrive.ClosedError:
        pass
    else:
        os._exit(3)
    del server
    os._exit(0)
_, status = os.waitpid(child, 0)
assert status == 0, status
with simdrive.connect(server.url) as client:
    client.write(b"key", b"value")
server.stop()
print("done")
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stdout) == (0, "done\n"), ran.stderr


@pytest.mark.parametrize("how", ["", "sys.exit(0)", "raise SystemExit(0)"])
def test_the_end_of_python(how: str) -> None:
    script = f"""
import sys, warnings
import simdrive
warnings.simplefilter("ignore")
store = simdrive.MemoryStore()
server = simdrive.Server(store).start()
client = simdrive.connect(server.url)
client.write(b"key", b"value")
print("ready")
{how}
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "ready\n", "")


def test_many_servers(store: simdrive.MemoryStore) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for i in range(30):
            with Server(store, threads=1) as server, simdrive.connect(server.url) as client:
                client.write(b"%d" % i, b"value")
    assert len(store) == 30
