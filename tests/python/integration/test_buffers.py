"""Whatever holds contiguous bytes is a key or a value, and a writable one takes a result."""

from __future__ import annotations

import array
import mmap
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import simdrive

DATA = bytes(range(256)) * 300


def mapped(path: Path, data: bytes) -> mmap.mmap:
    # A file of its own for each: truncating one that is mapped would be a bus error.
    with tempfile.TemporaryFile(dir=path) as file:
        file.write(data)
        file.flush()
        return mmap.mmap(file.fileno(), len(data))


KINDS: dict[str, Callable[[Any, Path], Any]] = {
    "bytes": lambda data, _path: data,
    "bytearray": lambda data, _path: bytearray(data),
    "memoryview": lambda data, _path: memoryview(data),
    "slice of a memoryview": lambda data, _path: memoryview(b"--" + data + b"---")[2:-3],
    "memoryview of shorts": lambda data, _path: memoryview(data).cast("H"),
    "array of bytes": lambda data, _path: array.array("B", data),
    "array of doubles": lambda data, _path: array.array("d", data),
    "mmap": lambda data, path: mapped(path, data),
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds(client: simdrive.Client, key: bytes, kind: str, tmp_path: Path) -> None:
    name = key + b"\0" * (-len(key) % 8)
    make = KINDS[kind]
    client.write(make(name, tmp_path), make(DATA, tmp_path))
    assert client.read(make(name, tmp_path)) == DATA
    assert client.exists(make(name, tmp_path))
    assert make(name, tmp_path) in client
    client.delete(make(name, tmp_path))
    client.batch_write([(make(name, tmp_path), make(DATA, tmp_path))])
    assert client.batch_read([make(name, tmp_path)]) == [DATA]
    assert client.batch_read_structured({"x": make(name, tmp_path)}) == {"x": DATA}


@pytest.mark.parametrize("kind", ["bytearray", "memoryview", "array of bytes", "array of doubles", "mmap"])
@pytest.mark.parametrize("size", [8, 256, 4096, 65536, 76800])
def test_out(client: simdrive.Client, key: bytes, kind: str, size: int, tmp_path: Path) -> None:
    client.write(key, DATA[:size])
    target = KINDS[kind](bytearray(size), tmp_path)
    assert client.read(key, out=target) == size
    assert bytes(memoryview(target).cast("B")) == DATA[:size]


def test_out_larger_than_the_value(client: simdrive.Client, key: bytes) -> None:
    client.write(key, DATA)
    target = bytearray(b"\xee" * (len(DATA) + 10))
    assert client.read(key, out=target) == len(DATA)
    assert target == DATA + b"\xee" * 10
    view = memoryview(target)[5 : 5 + len(DATA)]
    assert client.read(key, out=view) == len(DATA)
    assert target[5 : 5 + len(DATA)] == DATA


@pytest.mark.parametrize("size", [1, 3, 300, 76800])
@pytest.mark.parametrize("zeros", [False, True])
def test_out_too_small(client: simdrive.Client, key: bytes, size: int, zeros: bool) -> None:
    data = bytes(size + 1) if zeros else DATA[:size] + b"\xff"
    client.write(key, data)
    target = bytearray(size)
    with pytest.raises(ValueError, match=str(size + 1)):
        client.read(key, out=target)
    assert client.read(key) == data
    target.append(0)
    assert client.read(key, out=target) == size + 1
    assert target == data


def test_out_of_an_absent_key(client: simdrive.Client, key: bytes) -> None:
    target = bytearray(b"untouched")
    assert client.read(key, out=target) is None
    assert client.read(key, out=target, default=-1) == -1
    assert target == b"untouched"


def test_out_packed(client: simdrive.Client, key: bytes) -> None:
    for data in (bytes(100_000), b"ab" * 50_000, bytes(range(16)) * 5000):
        client.write(key, data)
        target = bytearray(len(data))
        assert client.read(key, out=target) == len(data)
        assert target == data


def test_out_large(client: simdrive.Client, key: bytes) -> None:
    data = DATA * 200
    client.write(key, data)
    target = bytearray(len(data))
    assert client.read(key, out=target) == len(data)
    assert target == data


@pytest.mark.parametrize("target", [b"read-only", memoryview(b"read-only")])
def test_out_must_be_writable(client: simdrive.Client, key: bytes, target: Any) -> None:
    client.write(key, b"x")
    with pytest.raises((TypeError, BufferError)):
        client.read(key, out=target)
    assert client.read(key) == b"x"


def test_not_contiguous(client: simdrive.Client, key: bytes) -> None:
    strided = memoryview(bytearray(DATA))[::2]
    attempts: list[Callable[[], object]] = [
        lambda: client.write(key, strided),
        lambda: client.write(strided, b"x"),
        lambda: client.read(key, out=strided),
    ]
    for attempt in attempts:
        with pytest.raises((TypeError, BufferError)):
            attempt()
    assert client.read(key) is None


def test_a_buffer_is_free_after_the_call(client: simdrive.Client, key: bytes) -> None:
    name, data = bytearray(key), bytearray(DATA)
    client.write(name, data)
    target = bytearray(len(DATA))
    client.read(name, out=target)
    client.batch_write([(name, data)])
    for buffer in (name, data, target):
        buffer.append(1)


def test_numpy(client: simdrive.Client, key: bytes) -> None:
    numpy = pytest.importorskip("numpy")
    values = numpy.arange(30_000, dtype="<f8").reshape(100, 300)
    client.write(key, values)
    assert client.read(key) == values.tobytes()
    target = numpy.zeros_like(values)
    assert client.read(key, out=target) == values.nbytes
    assert (target == values).all()
    client.batch_write([(key, values[3])])
    assert client.read(key) == values[3].tobytes()
    with pytest.raises((TypeError, BufferError, ValueError)):
        client.write(key, values[:, ::2])
    assert client.read(key) == values[3].tobytes()
