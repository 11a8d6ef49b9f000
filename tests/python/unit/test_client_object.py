"""The client as an object: options, repr, pickling, collection, records of logging."""

from __future__ import annotations

import copy
import gc
import logging
import pickle
import re
import subprocess
import sys
import warnings
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

import simdrive
from simdrive import _core
from support.fault_peer import FaultPeer
from support.ports import HOST, free_port, wait_until

SECRET = "pa55word"  # noqa: S105  # nobody's


@pytest.fixture(params=["d13", "d21"])
def peer(request: pytest.FixtureRequest) -> Iterator[FaultPeer]:
    with FaultPeer(request.param) as running:
        yield running
    assert running.errors == []


@pytest.fixture
def client(peer: FaultPeer) -> Iterator[simdrive.Client]:
    with simdrive.connect(peer.url) as opened:
        yield opened


def test_the_class(client: simdrive.Client) -> None:
    assert type(client) is simdrive.Client
    assert isinstance(client, _core.Client)
    assert simdrive.Client.__module__ == "simdrive.client"
    # Not wrapped: a call costs what it costs in the core.
    for name in ("write", "read", "batch_write", "batch_read", "delete", "exists", "__len__", "__contains__"):
        assert getattr(simdrive.Client, name) is getattr(_core.Client, name) or name.startswith("__")
        assert name not in vars(simdrive.Client)
    with pytest.raises(AttributeError):
        client.anything = 1  # type: ignore[attr-defined]


def test_options(peer: FaultPeer) -> None:
    with simdrive.connect(peer.url, timeout=7, max_inflight=3) as client:
        assert client.options == simdrive.Options(url=peer.url, timeout=7, max_inflight=3)
        assert client.namespace(b"p").options is client.options


@pytest.mark.parametrize("arguments", [(), ("ws://127.0.0.1:1/ws",), (None,), ({"url": "ws://127.0.0.1:1/ws"},)])
def test_a_client_is_made_by_connect(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError, match=r"^Client takes simdrive\.Options; use simdrive\.connect\(url\)$"):
        simdrive.Client(*arguments)


def test_the_url_is_positional() -> None:
    with pytest.raises(simdrive.ConfigurationError, match="the URL is positional"):
        simdrive.connect(url="ws://127.0.0.1:1/ws")


# ---- secrets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"ws://user:{SECRET}@host:1/ws", "ws://***@host:1/ws"),
        (f"ws://{SECRET}@host", "ws://***@host"),
        (f"ws://user:{SECRET}@{SECRET}@host/ws", "ws://***@host/ws"),
        (f"ws://user:a/{SECRET}@host/ws", "ws://***@host/ws"),
        (f"ws://user:{SECRET}#1@host/ws", "ws://***@host/ws"),
        (f"ws://user:{SECRET}\n1@host/ws", "ws://***@host/ws"),
        (f"wss://user:{SECRET}@[::1]:80/ab", "wss://***@[::1]:80/ab"),
        (f"WS://user:{SECRET}@host", "WS://***@host"),
        (f"user:{SECRET}@host", "***@host"),
        (f"ws+unix://user:{SECRET}@/s", "ws+unix://***@/s"),
        (f"ws://user:p@{SECRET}/w@127.0.0.1:1/ws", "ws://***@127.0.0.1:1/ws"),
        (f"ws://user:1@2/{SECRET}@host:1/ws", "ws://***@host:1/ws"),
        (f"ws://user:1/{SECRET}@host/ws", "ws://***@host/ws"),
        (f"//user:{SECRET}@host/ws", "***@host/ws"),
        (f"ws:/user:{SECRET}@host/ws", "***@host/ws"),
        (f"{SECRET}://x@host", "***@host"),
        (f"ws://host/?{SECRET}@host", "ws://***@host"),
        ("ws://***@host", "ws://***@host"),
        ("ws://host:80", "ws://host:80"),
        ("host:80", "host:80"),
        ("", ""),
    ],
)
def test_user_info_is_masked(url: str, shown: str) -> None:
    options = simdrive.Options(url=url)
    assert options.url == shown
    assert options.replace(timeout=1).url == shown
    for text in (repr(options), str(options), repr(pickle.loads(pickle.dumps(options)))):  # noqa: S301
        assert SECRET not in text


def test_no_message_holds_user_info(monkeypatch: pytest.MonkeyPatch) -> None:
    end = f"@{HOST}:{free_port()}/ws"
    for start in (
        f"ws://user:{SECRET}",
        f"WS://u:1@2/{SECRET}",
        f"//user:{SECRET}",
        f"ws:/u:{SECRET}",
        f"ws://u:1/{SECRET}",
    ):
        monkeypatch.setenv("SIMDRIVE_URL", start + end)
        for arguments in ([start + end], []):
            refusal = "user names are not supported" if start.lower().startswith("ws://") else "the scheme is not ws://"
            with pytest.raises(simdrive.ConfigurationError, match=rf"\*\*\*@.*{refusal}") as caught:
                simdrive.connect(*arguments)
            assert SECRET not in str(caught.value)
            assert SECRET not in str(caught.value.endpoint)


def test_the_scheme_in_capitals(peer: FaultPeer) -> None:
    with simdrive.connect(peer.url.replace("ws:", "WS:")) as client:
        assert client.ping() > 0


def test_a_url_in_a_message_is_one_line() -> None:
    with pytest.raises(simdrive.ConfigurationError) as caught:
        simdrive.connect("ws://a\nb/ws")
    assert str(caught.value).startswith(r"connect on 'ws://a\nb/ws': 'ws://a\x0ab/ws' is not a usable URL")
    assert caught.value.endpoint == "ws://a\nb/ws"


# ---- repr -----------------------------------------------------------------------------------------------------------


def test_repr(peer: FaultPeer) -> None:
    with simdrive.connect(peer.url) as client:
        assert repr(client) == f"<simdrive.Client {peer.url} ({peer.dialect}, open)>"
    assert repr(client) == f"<simdrive.Client {peer.url} ({peer.dialect}, closed)>"
    assert peer.calls == []
    assert peer.probes == 1


def test_repr_asks_nobody(peer: FaultPeer, client: simdrive.Client) -> None:
    peer.close()
    assert str(peer.port) in repr(client)


# ---- pickling -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_holds_the_options(peer: FaultPeer, protocol: int) -> None:
    with simdrive.connect(peer.url, timeout=7, wire=peer.dialect) as client:
        client.write(b"key", b"value")
        data = pickle.dumps(client, protocol)
    with pickle.loads(data) as other:  # noqa: S301
        assert type(other) is simdrive.Client
        assert other.options == client.options
        assert other.read(b"key") == b"value"
    assert peer.connections == 2


def test_a_copy_has_a_connection_of_its_own(peer: FaultPeer, client: simdrive.Client) -> None:
    with copy.copy(client) as other:
        assert other is not client
    assert client.exists(b"key") is False
    assert peer.connections == 2


def test_unpickling_connects() -> None:
    with FaultPeer() as peer, simdrive.connect(peer.url) as client:
        data = pickle.dumps(client)
    with pytest.raises(simdrive.ConnectError, match=str(peer.port)):
        pickle.loads(data)  # noqa: S301


# ---- collection -----------------------------------------------------------------------------------------------------


def test_an_open_client_that_is_collected_is_told(peer: FaultPeer) -> None:
    def use() -> None:
        simdrive.connect(peer.url).exists(b"key")
        gc.collect()

    with pytest.warns(ResourceWarning, match=rf"unclosed <simdrive\.Client {re.escape(peer.url)}"):
        use()


def test_a_closed_client_is_not(peer: FaultPeer) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        client = simdrive.connect(peer.url)
        alive = weakref.ref(client)
        client.close()
        del client
        with pytest.raises(simdrive.ConnectError):
            simdrive.connect(f"ws://{HOST}:{free_port()}")
        gc.collect()
    assert alive() is None
    assert caught == []


# ---- logging --------------------------------------------------------------------------------------------------------


def test_connections_are_logged(peer: FaultPeer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "simdrive")
    with simdrive.connect(peer.url):
        pass
    assert caplog.record_tuples == [
        ("simdrive.client", logging.INFO, f"connected to {peer.url} ({peer.dialect})"),
    ]


def test_a_loss_is_logged_by_the_next_calls(peer: FaultPeer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "simdrive")
    with simdrive.connect(peer.url, reconnect_spread=0) as client:
        caplog.clear()
        peer.drop_connections()

        def connected_again() -> bool:
            assert client.exists(b"key") is False
            return any(record.getMessage().startswith("connected to") for record in caplog.records)

        wait_until(connected_again, timeout=5, what="the record of it")
    assert {record.name for record in caplog.records} == {"simdrive.client"}
    first, *_, last = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert first[0] == "WARNING"
    assert first[1].startswith(f"lost the connection to {peer.url}: ")
    assert last == ("INFO", f"connected to {peer.url} ({peer.dialect})")


def test_what_is_logged(peer: FaultPeer, client: simdrive.Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "simdrive")
    client._log_event("lost", detail="the peer closed the connection")
    client._log_event("retrying", detail="refused", attempt=2, delay=0.1)
    client._log_event("connected", detail="d21")
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", f"lost the connection to {peer.url}: the peer closed the connection"),
        ("INFO", f"connecting again to {peer.url} in 0.100 s (attempt 2): refused"),
        ("INFO", f"connected to {peer.url} (d21)"),
    ]
    assert "(d21, open)" in repr(client)


QUIET = """
import sys
import simdrive
with simdrive.connect(sys.argv[1]) as client:
    assert "logging" not in sys.modules
    import logging
    client._log_event("lost", detail="nobody configured logging")
assert [type(h).__name__ for h in logging.getLogger("simdrive").handlers] == ["NullHandler"]
"""


def test_logging_is_neither_imported_nor_loud(peer: FaultPeer) -> None:
    command = [sys.executable, "-c", QUIET, peer.url]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
