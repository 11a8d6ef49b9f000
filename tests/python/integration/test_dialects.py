"""The dialect of the server is found, or taken on the caller's word."""

from __future__ import annotations

import pytest

import simdrive
from support.real_server import OURS, RealServer
from support.timing import within


def test_found(server: RealServer, key: bytes) -> None:
    with simdrive.connect(server.url, wire="auto") as client:
        assert client.server_info().dialect == server.dialect
        client.write(key, b"value")
        assert client.read(key) == b"value"


def test_forced_right(server: RealServer, key: bytes) -> None:
    with simdrive.connect(server.url, wire=server.dialect) as client:
        assert client.server_info().dialect == server.dialect
        client.write(key, b"value" * 20_000)
        assert client.read(key) == b"value" * 20_000


def test_forced_to_the_other(server: RealServer, key: bytes) -> None:
    wrong = "d21" if server.dialect == "d13" else "d13"
    if server.version == OURS:  # which speaks both
        with simdrive.connect(server.url, wire=wrong) as client:
            assert client.server_info().dialect == wrong
            client.write(key, b"value" * 20_000)
            assert client.read(key) == b"value" * 20_000
        return
    with within(1), pytest.raises((simdrive.ProtocolMismatchError, simdrive.ConnectTimeout)):
        simdrive.connect(server.url, wire=wrong, connect_timeout=1)
    with simdrive.connect(server.url) as client:
        assert client.exists(b"never written by anyone") is False


def test_wrong_path(server: RealServer) -> None:
    with within(2), pytest.raises(simdrive.HandshakeError, match="404"):
        simdrive.connect(server.url.removesuffix("/ws") + "/other", connect_timeout=2)
