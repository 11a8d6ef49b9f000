"""Servers at unix sockets: ``ws+unix:///path``."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import simdrive
from support.fault_peer import FaultPeer

if os.name == "nt":
    pytest.skip("simdrive has no unix sockets on Windows", allow_module_level=True)


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not tmp_path: a socket's path has 107 bytes at most.
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture(params=["d13", "d21"])
def peer(request: pytest.FixtureRequest, folder: Path) -> Iterator[FaultPeer]:
    with FaultPeer(request.param, unix_path=folder / "my s%.sock") as running:
        yield running
    assert running.errors == []


def test_calls(peer: FaultPeer) -> None:
    with simdrive.connect(peer.url) as client:
        large = os.urandom(300_000)
        client.batch_write({b"a": b"1", b"b": large})
        assert client.batch_read([b"a", b"b", b"c"]) == [b"1", large, None]
        assert client.server_info().dialect == peer.dialect
        assert client.options.url == peer.url
    (head,) = peer.requests
    assert head.startswith(b"GET /ws HTTP/1.1\r\n")
    assert b"\r\nHost: localhost\r\n" in head


def test_every_way_to_open(peer: FaultPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = simdrive.open_store(peer.url)
    assert isinstance(opened, simdrive.Client)
    opened.write(b"k", b"v")
    opened.close()
    monkeypatch.setenv("SIMDRIVE_URL", peer.url)
    with simdrive.connect() as client:
        assert client.read(b"k") == b"v"

    async def read() -> object:
        async with await simdrive.aconnect(peer.url) as client:
            return await client.read(b"k")

    assert asyncio.run(read()) == b"v"


def test_the_command(peer: FaultPeer) -> None:
    pytest.importorskip("click")
    from support import cli_calls

    assert cli_calls.run("len", "--url", peer.url).output == "0\n"


def test_a_lost_connection_is_replaced(peer: FaultPeer) -> None:
    with simdrive.connect(peer.url, retry=simdrive.Retry(base=0.001, cap=0.01), reconnect_spread=0.0) as client:
        client.write(b"k", b"v")
        peer.drop_connections()
        assert client.read(b"k") == b"v"
    assert peer.connections == 2


def test_nobody_is_there(folder: Path) -> None:
    url = f"ws+unix://{folder}/s.sock"
    with pytest.raises(simdrive.ConnectError, match=r"No such file") as caught:
        simdrive.connect(url)
    assert caught.value.endpoint == url
    (folder / "s.sock").write_bytes(b"")
    with pytest.raises(simdrive.ConnectError, match=r"refused"):
        simdrive.connect(url)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ws+unix://s.sock", "third slash"),
        ("ws+unix:///", "names a folder"),
        ("ws+unix:///s?path=/x", "query"),
        ("ws+unix:///a%0", "hexadecimal"),
        ("ws+unix:///" + "x" * 200, "longer than"),
        ("ws+unix://user:pw@/s", "user names"),
    ],
)
def test_bad_urls(url: str, says: str) -> None:
    with pytest.raises(simdrive.ConfigurationError, match=says) as caught:
        simdrive.connect(url)
    assert "pw" not in str(caught.value)
