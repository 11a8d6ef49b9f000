"""What the client accepts, refuses and says, against a well-behaved server of our own."""

from __future__ import annotations

import builtins
import gc
import inspect
import os
import socket
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

import simdrive
from support import wsraw
from support.fault_peer import Behaviour, Connection, FaultPeer
from support.ports import HOST, free_port, wait_until
from support.timing import within


@pytest.fixture(params=["d13", "d21"])
def peer(request: pytest.FixtureRequest) -> Iterator[FaultPeer]:
    with FaultPeer(request.param) as running:
        yield running
    assert running.errors == []


@pytest.fixture
def client(peer: FaultPeer) -> Iterator[simdrive.Client]:
    with simdrive.connect(peer.url) as opened:
        yield opened


# ---- opening --------------------------------------------------------------------------------------------------------


def test_connect_verifies_with_one_round_trip(peer: FaultPeer) -> None:
    with simdrive.connect(peer.url) as client:
        assert client.server_info().dialect == peer.dialect
        assert peer.probes == 1
        assert peer.calls == []
    (head,) = peer.requests
    assert head.startswith(b"GET /ws HTTP/1.1\r\n")
    names = {line.split(b":")[0].lower() for line in head.split(b"\r\n")[1:] if line}
    assert {b"host", b"upgrade", b"connection", b"sec-websocket-key", b"sec-websocket-version"} <= names
    assert b"sec-websocket-extensions" not in names
    assert b"origin" not in names


@pytest.mark.parametrize("form", ["ws://127.0.0.1:{}/ws", "ws://127.0.0.1:{}", "ws://localhost:{}/ws"])
def test_url_forms(peer: FaultPeer, form: str) -> None:
    with simdrive.connect(form.format(peer.port)) as client:
        assert client.is_empty()
    assert peer.requests[0].startswith(b"GET /ws ")


def test_url_from_the_environment(peer: FaultPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMDRIVE_URL", peer.url)
    with simdrive.connect() as client:
        assert client.is_empty()


def test_argument_wins_over_the_environment(peer: FaultPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMDRIVE_URL", f"ws://{HOST}:1/ws")
    with simdrive.connect(peer.url) as client:
        assert client.is_empty()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ws://",
        "ws:///ws",
        "http://127.0.0.1:34129/ws",
        "127.0.0.1:34129",
        "ws://127.0.0.1:port/ws",
        "ws://127.0.0.1:99999/ws",
        "ws://127.0.0.1:-1/ws",
        "ws://127.0.0.1:34129:1/ws",
        "ws://[::1/ws",
        "ws://127.0.0.1/a b",
        "ws://127.0.0.1/ws\r\nX-Evil: 1",
        "ws://127.0.0.1\0.example/ws",
        # Where there are unix sockets, test_unix_sockets.py has more.
        "ws+unix:///run/s.sock" if os.name == "nt" else "ws+unix://run/s.sock",
    ],
)
def test_bad_urls(url: str) -> None:
    with within(0.2), pytest.raises(simdrive.ConfigurationError) as caught:
        simdrive.connect(url)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("url", [5, b"ws://127.0.0.1:1/ws", ["ws://127.0.0.1:1/ws"]])
def test_url_must_be_text(url: Any) -> None:
    with pytest.raises(TypeError):
        simdrive.connect(url)


@pytest.mark.parametrize(
    "options",
    [
        {"wire": "d14"},
        {"wire": ""},
        {"timeout": -1},
        {"timeout": float("nan")},
        pytest.param({"timeout": 10**5000}, id="huge timeout"),  # an int of which str() is refused, too
        {"connect_timeout": -0.5},
        {"idle_timeout": -1},
        {"max_value_size": 0},
        {"max_key_size": -1},
        {"max_inflight": 0},
        {"max_inflight_bytes": -5},
        {"ping_interval": -1},
    ],
)
def test_bad_options(options: dict[str, Any]) -> None:
    with within(0.2), pytest.raises(simdrive.ConfigurationError) as caught:
        simdrive.connect(f"ws://{HOST}:1/ws", **options)
    assert next(iter(options)) in str(caught.value)


def test_unknown_option() -> None:
    with pytest.raises((TypeError, simdrive.ConfigurationError), match="tiemout"):
        simdrive.connect(f"ws://{HOST}:1/ws", tiemout=3)


def test_options_must_be_of_their_type() -> None:
    wrong: list[dict[str, Any]] = [{"timeout": "3"}, {"max_inflight": 1.5}, {"wire": 13}]
    for options in wrong:
        with pytest.raises((TypeError, simdrive.ConfigurationError)):
            simdrive.connect(f"ws://{HOST}:1/ws", **options)


def test_no_limits(peer: FaultPeer) -> None:
    with simdrive.connect(peer.url, timeout=None, connect_timeout=None, idle_timeout=None) as client:
        client.write(b"key", b"value", timeout=None)
        assert client.read(b"key", timeout=None) == b"value"


def test_refused_port() -> None:
    port = free_port()
    with within(1), pytest.raises(simdrive.ConnectError) as caught:
        simdrive.connect(f"ws://{HOST}:{port}/ws")
    error = caught.value
    assert isinstance(error, builtins.ConnectionError)
    assert f"{HOST}:{port}" in str(error)
    assert f"{HOST}:{port}" in str(error.endpoint)
    assert error.op == "connect"


def test_full_backlog_is_a_timeout() -> None:
    with socket.create_server((HOST, 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        with within(0.3, least=0.28), pytest.raises(simdrive.ConnectTimeout) as caught:
            simdrive.connect(f"ws://{HOST}:{port}/ws", connect_timeout=0.3)
    assert isinstance(caught.value, builtins.TimeoutError)
    assert str(port) in str(caught.value)


# ---- closing --------------------------------------------------------------------------------------------------------

CALLS: dict[str, Callable[[simdrive.Client], object]] = {
    "write": lambda client: client.write(b"key", b"value"),
    "batch_write": lambda client: client.batch_write([(b"key", b"value")]),
    "read": lambda client: client.read(b"key"),
    "batch_read": lambda client: client.batch_read([b"key"]),
    "batch_read_structured": lambda client: client.batch_read_structured({"a": b"key"}),
    "delete": lambda client: client.delete(b"key"),
    "exists": lambda client: client.exists(b"key"),
    "contains": lambda client: b"key" in client,
    "len": len,
    "is_empty": lambda client: client.is_empty(),
    "file_size": lambda client: client.file_size(),
    "ping": lambda client: client.ping(),
}


@pytest.mark.parametrize("call", CALLS)
def test_closed(peer: FaultPeer, call: str) -> None:
    client = simdrive.connect(peer.url)
    assert client.closed is False
    client.close()
    assert client.closed is True
    client.close()
    with within(0.1), pytest.raises(simdrive.ClosedError):
        CALLS[call](client)
    assert peer.calls == []
    assert bool(client) is True


def test_context_manager(peer: FaultPeer) -> None:
    client = simdrive.connect(peer.url)
    with client as entered:
        assert entered is client
        client.write(b"key", b"value")
    assert client.closed is True
    with pytest.raises(LookupError, match="mine"), simdrive.connect(peer.url) as client:
        raise LookupError("mine")
    assert client.closed is True


def test_close_says_so(peer: FaultPeer) -> None:
    client = simdrive.connect(peer.url)
    with within(0.2):
        client.close()
    # The peer's thread has the frame in its socket by now, but may not have read it yet.
    wait_until(lambda: peer.closes == 1, timeout=5, what="the Close frame")


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_dropped_clients_leave_nothing_open(peer: FaultPeer) -> None:
    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        pytest.skip("counts descriptors in /proc")
    simdrive.connect(peer.url).close()
    before = len(list(descriptors.iterdir()))
    for _ in range(20):
        simdrive.connect(peer.url).exists(b"key")
    gc.collect()
    peer.close()
    assert len(list(descriptors.iterdir())) <= before + 1


# ---- arguments ------------------------------------------------------------------------------------------------------


def test_truth_asks_nobody(peer: FaultPeer, client: simdrive.Client) -> None:
    assert bool(client) is True
    assert peer.calls == []


@pytest.mark.parametrize("wrong", ["text", 5, None, 1.5, ["a"], object()])
def test_keys_and_values_are_bytes(peer: FaultPeer, client: simdrive.Client, wrong: Any) -> None:
    attempts: list[Callable[[], object]] = [
        lambda: client.write(wrong, b"value"),
        lambda: client.write(b"key", wrong),
        lambda: client.read(wrong),
        lambda: client.exists(wrong),
        lambda: wrong in client,
        lambda: client.delete(wrong),
        lambda: client.batch_write([(b"key", b"value"), (b"key", wrong)]),
        lambda: client.batch_write([(wrong, b"value")]),
        lambda: client.batch_read([b"key", wrong]),
        lambda: client.batch_read_structured({"a": wrong}),
    ]
    for attempt in attempts:
        with pytest.raises(TypeError):
            attempt()
    assert peer.calls == []


@pytest.mark.parametrize("what", ["key", "value"])
def test_the_message_for_text_says_what_to_do(client: simdrive.Client, what: str) -> None:
    with pytest.raises(TypeError, match="bytes"):
        client.write("text" if what == "key" else b"key", b"value" if what == "key" else "text")  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [5, None, b"key", [b"key"], [(b"key",)], [(b"a", b"b", b"c")], "ab"])
def test_batch_write_takes_pairs(peer: FaultPeer, client: simdrive.Client, wrong: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        client.batch_write(wrong)
    assert peer.calls == []


@pytest.mark.parametrize("wrong", [5, None, b"bytes are no list of keys", "text"])
def test_batch_read_takes_keys(peer: FaultPeer, client: simdrive.Client, wrong: Any) -> None:
    with pytest.raises(TypeError):
        client.batch_read(wrong)
    assert peer.calls == []


@pytest.mark.parametrize("wrong", [5, None, b"key", "text", [b"key"], (b"key",)])
def test_structured_takes_dicts(peer: FaultPeer, client: simdrive.Client, wrong: Any) -> None:
    with pytest.raises(TypeError):
        client.batch_read_structured(wrong)
    assert peer.calls == []


def test_an_iterable_that_fails(peer: FaultPeer, client: simdrive.Client) -> None:
    def pairs() -> Iterator[tuple[bytes, bytes]]:
        yield b"key", b"value"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        client.batch_write(pairs())
    with pytest.raises(ZeroDivisionError):
        client.batch_read(key for key, _ in pairs())
    assert peer.calls == []
    assert client.read(b"key") is None


@pytest.mark.parametrize("value", [b"", b"\0", bytearray(), memoryview(b"\0")])
def test_refused_values(peer: FaultPeer, client: simdrive.Client, value: bytes) -> None:
    attempts: list[Callable[[], object]] = [
        lambda: client.write(b"key", value),
        lambda: client.batch_write([(b"a", b"good"), (b"key", value)]),
    ]
    for attempt in attempts:
        with pytest.raises(simdrive.InvalidValueError) as caught:
            attempt()
        assert isinstance(caught.value, ValueError)
        assert caught.value.key_hint == b"key".hex()
    assert peer.calls == []


def test_sizes_are_checked_here(peer: FaultPeer) -> None:
    with simdrive.connect(peer.url, max_value_size=1000, max_key_size=10) as client:
        client.write(b"0123456789", bytes([1]) * 1000)
        with pytest.raises(simdrive.InvalidValueError, match="1000"):
            client.write(b"key", bytes([1]) * 1001)
        for attempt in (
            lambda: client.write(b"0123456789a", b"value"),
            lambda: client.read(b"0123456789a"),
            lambda: client.exists(b"0123456789a"),
            lambda: client.delete(b"0123456789a"),
            lambda: client.batch_read([b"a", b"0123456789a"]),
            lambda: client.batch_write([(b"0123456789a", b"value")]),
        ):
            with pytest.raises(simdrive.InvalidKeyError, match="10") as caught:
                attempt()
            assert isinstance(caught.value, ValueError)
        assert [call.method for call in peer.calls] == ["write"]


def test_a_megabyte_of_key(peer: FaultPeer, client: simdrive.Client) -> None:
    client.write(b"k" * (1 << 20), b"value")
    assert client.read(b"k" * (1 << 20)) == b"value"
    with pytest.raises(simdrive.InvalidKeyError):
        client.read(b"k" * ((1 << 20) + 1))


def test_a_value_larger_than_allowed_comes_back(peer: FaultPeer) -> None:
    peer.store.entries[b"large"] = b"x" * 5000
    peer.store.entries[b"small"] = b"x" * 1000
    with simdrive.connect(peer.url, max_value_size=1000) as client:
        with pytest.raises(simdrive.ProtocolError, match="max_value_size"):
            client.read(b"large")
        assert client.read(b"small") == b"x" * 1000


@pytest.mark.parametrize("timeout", [-1, float("nan"), "3", pytest.param(10**5000, id="huge")])
def test_bad_timeout_of_a_call(peer: FaultPeer, client: simdrive.Client, timeout: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        client.read(b"key", timeout=timeout)
    assert peer.calls == []


@pytest.mark.parametrize("out", ["bytearray", None, 5, "views"])
def test_bad_out(peer: FaultPeer, client: simdrive.Client, out: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        client.read(b"key", out=out)
    assert peer.calls == []


# ---- results --------------------------------------------------------------------------------------------------------


def test_good_replies(peer: FaultPeer, client: simdrive.Client) -> None:
    assert client.is_empty() is True
    client.write(b"key", b"value" * 30_000)
    client.batch_write({b"": b"of the empty key", b"other": b"12"})
    assert client.read(b"key") == b"value" * 30_000
    assert client.batch_read([b"", b"other", b"absent"]) == [b"of the empty key", b"12", None]
    assert client.batch_read_structured([{"x": b"other"}]) == [{"x": b"12"}]
    assert len(client) == 3
    assert b"other" in client
    client.delete(b"other")
    assert client.exists(b"other") is False
    assert client.file_size() == peer.store.size
    assert client.ping() > 0


def test_one_call_is_one_request(peer: FaultPeer, client: simdrive.Client) -> None:
    for call in ("write", "batch_write", "read", "batch_read", "delete", "exists", "len", "is_empty", "file_size"):
        CALLS[call](client)
    assert [call.method for call in peer.calls] == [
        "write",
        "batch_write",
        "read",
        "batch_read",
        "delete",
        "exists",
        "len",
        "is_empty",
        "file_size",
    ]
    ids = [call.request_id for call in peer.calls]
    assert len(set(ids)) == len(ids)
    assert all(number < 1 << 31 for number in ids)


def test_pings_of_the_server_are_answered() -> None:
    def ping(connection: Connection, call: object) -> None:
        connection.send(b"are you there", opcode=wsraw.PING)

    with FaultPeer(script=[Behaviour(call=ping, methods=frozenset(["exists"]))]) as peer:
        client = simdrive.connect(peer.url)
        with pytest.raises(simdrive.OperationTimeout):
            client.exists(b"key", timeout=0.1)
        assert client.is_empty() is True
        client.close()
        peer.close()
        assert peer.pongs == 1


# ---- exceptions -----------------------------------------------------------------------------------------------------

PARENTS: dict[str, tuple[type[BaseException], ...]] = {
    "ConfigurationError": (simdrive.SimdriveError, ValueError),
    "InvalidKeyError": (simdrive.SimdriveError, ValueError),
    "InvalidValueError": (simdrive.SimdriveError, ValueError),
    "BindError": (simdrive.SimdriveError, OSError),
    "KeyNotFoundError": (simdrive.SimdriveError, KeyError),
    "UnsupportedOperationError": (simdrive.SimdriveError, NotImplementedError),
    "ConnectionError": (simdrive.SimdriveError, builtins.ConnectionError, OSError),
    "ConnectError": (simdrive.ConnectionError,),
    "ConnectionLostError": (simdrive.ConnectionError,),
    "ClosedError": (simdrive.ConnectionError,),
    "HandshakeError": (simdrive.ConnectionError,),
    "ProtocolMismatchError": (simdrive.ConnectionError,),
    "TimeoutError": (simdrive.SimdriveError, builtins.TimeoutError),
    "ConnectTimeout": (simdrive.TimeoutError,),
    "OperationTimeout": (simdrive.TimeoutError,),
    "ProtocolError": (simdrive.SimdriveError,),
    "ServerError": (simdrive.SimdriveError, OSError),
    "OverloadError": (simdrive.SimdriveError,),
    "StoreError": (simdrive.SimdriveError, OSError),
    "StoreNotFoundError": (simdrive.StoreError,),
    "StoreReadOnlyError": (simdrive.StoreError,),
    "StoreLockedError": (simdrive.StoreError,),
    "StoreCorruptError": (simdrive.StoreError,),
    "StoreFormatError": (simdrive.StoreError,),
    "StorageFullError": (simdrive.SimdriveError, OSError),
}


@pytest.mark.parametrize("name", PARENTS)
def test_hierarchy(name: str) -> None:
    kind = getattr(simdrive, name)
    assert kind.__name__ == name
    assert kind.__module__.partition(".")[0] == "simdrive"
    assert kind.__doc__
    for parent in PARENTS[name]:
        assert issubclass(kind, parent)


def test_attributes(client: simdrive.Client, peer: FaultPeer) -> None:
    client.close()
    with pytest.raises(simdrive.SimdriveError) as caught:
        client.read(b"a key of more than sixteen bytes")
    error = caught.value
    assert error.op == "read"
    assert error.key_hint == b"a key of more th".hex()
    assert str(peer.port) in str(error.endpoint)
    assert error.attempts >= 0
    assert 0 <= error.elapsed < 1
    assert "read" in str(error)
    assert str(peer.port) in str(error)


# ---- the package ----------------------------------------------------------------------------------------------------


def test_star_import_hides_no_builtin() -> None:
    names: dict[str, object] = {}
    exec("from simdrive import *", names)  # noqa: S102
    names.pop("__builtins__")
    assert "connect" in names
    assert set(names).isdisjoint(dir(builtins))


def test_everything_public_is_documented() -> None:
    for name in simdrive.__all__:
        assert inspect.getdoc(getattr(simdrive, name)), name
    for name, member in vars(simdrive.Client).items():
        if not name.startswith("_"):
            assert inspect.getdoc(member), name


def test_signatures() -> None:
    methods = ["write", "batch_write", "read", "batch_read", "batch_read_structured", "delete", "exists", "is_empty"]
    for name in [*methods, "file_size", "ping", "server_info", "close"]:
        parameters = inspect.signature(getattr(simdrive.Client, name)).parameters
        assert parameters["timeout"].kind is inspect.Parameter.KEYWORD_ONLY, name
    read = inspect.signature(simdrive.Client.read).parameters
    assert list(read) == ["self", "key", "default", "out", "timeout", "progress"]
    assert read["default"].default is None
    assert read["out"].default == "bytes"
    connect = inspect.signature(simdrive.connect).parameters
    assert next(iter(connect.values())).kind is inspect.Parameter.POSITIONAL_ONLY


def test_version() -> None:
    assert simdrive.__version__ == version("simdrive")


def test_repr_names_the_endpoint(client: simdrive.Client, peer: FaultPeer) -> None:
    assert str(peer.port) in repr(client)
