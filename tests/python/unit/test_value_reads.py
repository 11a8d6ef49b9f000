"""``out="view"``: the values that clients and namespaces give."""

from __future__ import annotations

import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import simdrive
from simdrive import Value
from support.fault_peer import Behaviour, Call, Connection, FaultPeer
from support.resident import MIB, data_of, on_linux, virtual_bytes

SIZES = [1, 16, 4095, 4096, 4097, 65535, 65536, 100_000, MIB, 3 * MIB + 1]


@pytest.fixture(params=["d13", "d21"])
def peer(request: pytest.FixtureRequest) -> Iterator[FaultPeer]:
    with FaultPeer(request.param) as running:
        yield running
    assert running.errors == []


@pytest.fixture(params=["client", "namespace"])
def client(request: pytest.FixtureRequest, peer: FaultPeer) -> Iterator[Any]:
    with simdrive.connect(peer.url) as opened:
        yield opened if request.param == "client" else opened.namespace(b"prefix")


def given_by(peer: FaultPeer, key: bytes, value: bytes) -> None:
    """Also values that no client can store."""
    peer.store.entries[key] = value


@pytest.mark.parametrize("size", SIZES)
def test_read(client: Any, size: int) -> None:
    data = data_of(size)
    client.write(b"key", data)
    value = client.read(b"key", out="view")
    assert type(value) is Value
    assert value == data
    assert client.read(b"key", out="view") is not value
    client.write(b"key", b"another")
    assert bytes(value) == data


def test_read_what_is_absent(client: Any) -> None:
    assert client.read(b"absent", out="view") is None
    assert client.read(b"absent", out="view", default=5) == 5


def test_read_an_empty_value(peer: FaultPeer) -> None:
    given_by(peer, b"key", b"")
    with simdrive.connect(peer.url) as client:
        value = client.read(b"key", out="view")
        assert value is not None
        assert (type(value), bytes(value)) == (Value, b"")


def test_values_outlive_the_client(peer: FaultPeer) -> None:
    with simdrive.connect(peer.url) as client:
        client.write(b"key", data_of(MIB))
        value = client.read(b"key", out="view")
    assert value == data_of(MIB)


def test_values_can_be_written(client: Any) -> None:
    client.write(b"key", data_of(100_000))
    value = client.read(b"key", out="view")
    client.write(value[:5], value[10:])
    client.batch_write({value[1:7]: value[:1000]})
    assert client.read(data_of(5)) == data_of(100_000)[10:]
    assert client.read(data_of(7)[1:]) == data_of(1000)
    value.release()


@pytest.mark.parametrize("out", ["value", "VIEW", "", "byte"])
def test_wrong_strings(client: Any, out: str) -> None:
    for method, key in ((client.read, b"key"), (client.batch_read, [b"key"])):
        with pytest.raises(simdrive.ConfigurationError, match=r"'bytes'.*'view'"):
            method(key, out=out)
    with pytest.raises(TypeError, match="'bytes' or 'view', not bytearray"):
        client.batch_read([b"key"], out=bytearray(5))


def test_batch_read(client: Any) -> None:
    sizes = [1, 5, 65535, 65536, 1000, 2 * MIB, 7, 4096, *([60_000] * 40), 3]
    data = {b"%d" % i: data_of(size) for i, size in enumerate(sizes)}
    client.batch_write(data)
    keys = [b"absent", *data, b"absent", b"0"]
    values = client.batch_read(keys, out="view")
    assert [type(value) for value in values] == [type(None), *([Value] * len(data)), type(None), Value]
    assert values == client.batch_read(keys, out="bytes") == client.batch_read(keys)
    for value in values[3:-1]:
        if value is not None:
            value.release()
    assert (values[1], values[2], values[-1]) == (data[b"0"], data[b"1"], data[b"0"])
    numbers = client.batch_read([b"1", b"4", b"7"], out="view")
    assert [value.to_numpy()[0] for value in numbers] == [1, 1, 1]


def test_batch_read_of_little(peer: FaultPeer, client: Any) -> None:
    assert client.batch_read([], out="view") == []
    assert client.batch_read([b"absent", b"gone"], out="view") == [None, None]


def test_batch_read_of_empty_values(peer: FaultPeer) -> None:
    with simdrive.connect(peer.url) as client:
        for others in ([], [b"x", data_of(70_000)]):
            wanted = [b"", b"", *others, b""]
            for i, data in enumerate(wanted):
                given_by(peer, b"%d" % i, data)
            values = client.batch_read([b"%d" % i for i in range(len(wanted))], out="view")
            assert values == wanted


def test_progress(client: Any) -> None:
    client.write(b"key", data_of(MIB))
    seen: list[tuple[int, int]] = []
    client.read(b"key", out="view", progress=lambda *told: seen.append(told))
    assert seen[-1] == (MIB, MIB)
    client.batch_read([b"key", b"key", b"absent"], out="view", progress=lambda *told: seen.append(told))
    assert seen[-1] == (2 * MIB, 2 * MIB)


def test_read_stream_shares_memory(client: Any) -> None:
    numpy = pytest.importorskip("numpy")
    client.write(b"key", data_of(10_000))
    pieces = list(client.read_stream(b"key", chunk_size=3000))
    assert [len(piece) for piece in pieces] == [3000, 3000, 3000, 1000]
    addresses = [piece.to_numpy().__array_interface__["data"][0] for piece in pieces]
    assert numpy.diff(addresses).tolist() == [3000] * 3


def test_threads(peer: FaultPeer) -> None:
    with simdrive.connect(peer.url) as client:
        for i in range(4):
            client.write(b"%d" % i, data_of(100_000 + i))
        failures: list[BaseException] = []

        def read(i: int) -> None:
            try:
                for _ in range(20):
                    assert client.read(b"%d" % i, out="view") == data_of(100_000 + i)
                    values = client.batch_read([b"%d" % i, b"0"], out="view")
                    assert values == [data_of(100_000 + i), data_of(100_000)]
            except BaseException as error:  # told by the main thread
                failures.append(error)

        threads = [threading.Thread(target=read, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert failures == []


# ---- memory ---------------------------------------------------------------------------------------------------------


@on_linux
@pytest.mark.parametrize("method", ["read", "batch_read"])
def test_tries_that_fail_leave_nothing_behind(method: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "support.lost_tries", method],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr


@on_linux
@pytest.mark.parametrize("batch", [False, True])
def test_no_memory(batch: bool) -> None:
    import resource

    def announce(connection: Connection, call: Call) -> None:
        length = b"\xff\0" + struct.pack("<Q", 3 << 30)
        for data in connection.reply_frames(
            call, (b"\x01\x01" if batch else b"\x01") + length + b"\0" + b"x" * 100_000
        ):
            connection.send(data)

    now = resource.getrlimit(resource.RLIMIT_AS)
    with (
        FaultPeer(script=[Behaviour(call=announce)]) as peer,
        simdrive.connect(peer.url, max_value_size=4 << 30, timeout=5) as client,
    ):
        read: Any = client.batch_read if batch else client.read
        resource.setrlimit(resource.RLIMIT_AS, (virtual_bytes() + (1 << 30), now[1]))
        try:
            with pytest.raises(simdrive.OutOfMemoryError):
                read([b"key"] if batch else b"key", out="view")
        finally:
            resource.setrlimit(resource.RLIMIT_AS, now)
        assert client.read(b"absent", out="view") is None
