"""Every method against the real servers, at the sizes where something changes on the wire."""

from __future__ import annotations

import random

import pytest

import simdrive
from support.real_server import RealServer

MIB = 1 << 20
# Around: no header (2), lengths in one byte (255), metadata or payload (65536 less the argument's head), frames.
SIZES = [1, 2, 3, 4, 5, 6, 15, 16, 17, 100, 253, 254, 255, 256, 257, 1024, 4096, 16384]
BORDER_SIZES = [*range(65480, 65551), 131056, 131072, 131073, 140000]
LARGE_SIZES = [MIB, 17 * MIB, 64 * MIB + 1]


def payload(size: int, seed: int = 1) -> bytes:
    """Random bytes, the same in every run; never the one refused value."""
    return random.Random(seed * 1_000_003 + size).randbytes(size) if size > 1 else b"\x07"


@pytest.mark.parametrize("size", SIZES)
def test_write_and_read(client: simdrive.Client, key: bytes, size: int) -> None:
    data = payload(size)
    assert client.write(key, data) is None
    read = client.read(key)
    assert type(read) is bytes
    assert read == data


def test_sizes_around_one_frame(client: simdrive.Client, key: bytes) -> None:
    for size in BORDER_SIZES:
        data = payload(size)
        client.write(key, data)
        assert client.read(key) == data, size


@pytest.mark.parametrize("size", LARGE_SIZES)
def test_large(client: simdrive.Client, key: bytes, size: int) -> None:
    data = payload(size)
    client.write(key, data)
    read = client.read(key)
    assert read is not None
    assert len(read) == size
    assert read == data
    client.write(key, b"small again")
    assert client.read(key) == b"small again"


@pytest.mark.parametrize("size", [2, 3, 5, 6, 7, 254, 255, 256, 65519, 65520, 65536, 200_000])
@pytest.mark.parametrize(
    ("least", "values"), [(0, 1), (0, 2), (0, 3), (0, 4), (0, 6), (0, 16), (97, 2), (97, 6), (240, 16), (255, 1)]
)
def test_packable(client: simdrive.Client, key: bytes, size: int, least: int, values: int) -> None:
    rng = random.Random(size + least + values)
    data = bytes(least + rng.randrange(values) for _ in range(size))
    client.write(key, data)
    assert client.read(key) == data


def test_large_zeros(client: simdrive.Client, key: bytes) -> None:
    data = bytes(3 * MIB)
    client.write(key, data)
    assert client.read(key) == data


def test_mixed_column_that_packs_late(client: simdrive.Client, key: bytes) -> None:
    data = bytes(70_000) + b"\xff"
    client.write(key, data)
    assert client.read(key) == data


@pytest.mark.parametrize("size", [0, 1, 2, 3, 254, 255, 256, 1000, 65510, 65536, MIB])
def test_key_sizes(client: simdrive.Client, size: int) -> None:
    name, data = payload(size, seed=2) if size else b"", f"value of {size}".encode()
    client.write(name, data)
    assert client.read(name) == data
    assert client.exists(name) is True
    assert client.batch_read([name, name]) == [data, data]
    client.delete(name)
    assert client.exists(name) is False


def test_overwrite(client: simdrive.Client, key: bytes) -> None:
    for data in (b"first", payload(70_000), b"x"):
        client.write(key, data)
        assert client.read(key) == data


def test_absent(client: simdrive.Client, key: bytes) -> None:
    marker = object()
    assert client.read(key) is None
    assert client.read(key, default=marker) is marker
    assert client.exists(key) is False
    assert key not in client
    assert client.delete(key) is None


def test_exists_and_delete(client: simdrive.Client, key: bytes) -> None:
    client.write(key, b"value")
    assert client.exists(key) is True
    assert key in client
    assert client.delete(key) is None
    assert client.exists(key) is False
    assert client.read(key) is None


def test_counts(own_server: RealServer) -> None:
    with simdrive.connect(own_server.url) as client:
        assert client.is_empty() is True
        assert len(client) == 0
        assert bool(client) is True
        before = client.file_size()
        for i in range(300):
            client.write(b"key %d" % i, b"value %d" % i)
            if i in (0, 254, 255, 256):
                assert len(client) == i + 1
        assert client.is_empty() is False
        assert client.file_size() >= before + sum(len(b"value %d" % i) for i in range(300))
        client.delete(b"key 7")
        assert len(client) == 299


def test_ping_and_server_info(client: simdrive.Client, server: RealServer) -> None:
    assert 0 < client.ping() < 5
    info = client.server_info()
    assert info.dialect == server.dialect
    assert info.version is None
    assert info.max_message is None
    assert info.backend is None
    assert info.extensions == frozenset()


def test_two_clients(server: RealServer, key: bytes) -> None:
    with simdrive.connect(server.url) as one, simdrive.connect(server.url) as two:
        one.write(key, b"by one")
        assert two.read(key) == b"by one"
        two.delete(key)
        assert one.read(key) is None
        one.close()
        assert two.exists(key) is False


def test_persistence(own_server: RealServer) -> None:
    with simdrive.connect(own_server.url) as client:
        client.batch_write({b"a": b"1", b"b": payload(100_000)})
    own_server.kill()
    own_server.start()
    with simdrive.connect(own_server.url) as client:
        assert client.batch_read([b"a", b"b"]) == [b"1", payload(100_000)]
