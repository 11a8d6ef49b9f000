"""Read by mypy, never run: the types that a user of the package sees."""

from __future__ import annotations

from array import array
from mmap import mmap

from typing_extensions import assert_type

import simdrive


def opening() -> None:
    assert_type(simdrive.connect(), simdrive.Client)
    assert_type(simdrive.connect("ws://127.0.0.1:34129/ws", timeout=None, wire="d13"), simdrive.Client)
    with simdrive.connect(connect_timeout=1, max_inflight=4) as client:
        assert_type(client, simdrive.Client)
        assert_type(client.closed, bool)
        assert_type(client.close(), None)
    simdrive.connect(34129)  # type: ignore[arg-type]


def calls(client: simdrive.Client, buffer: bytearray, mapped: mmap, numbers: array[int]) -> None:
    assert_type(client.write(b"key", mapped), None)
    client.write(memoryview(b"key"), numbers, timeout=1)
    client.batch_write([(b"key", buffer), (buffer, b"value")])
    client.batch_write({b"key": b"value"}, timeout=None)
    assert_type(client.read(b"key"), bytes | None)
    assert_type(client.read(b"key", default=b""), bytes)
    assert_type(client.read(b"key", default=0), bytes | int)
    assert_type(client.read(b"key", out=buffer), int | None)
    assert_type(client.read(b"key", out="view"), simdrive.Value | None)
    assert_type(client.read(b"key", default=b"", out="view"), simdrive.Value | bytes)
    assert_type(client.batch_read([b"a", b"b"]), list[bytes | None])
    assert_type(client.batch_read([b"a", b"b"], out="view"), list[simdrive.Value | None])
    assert_type(client.batch_read_structured({"a": b"key"}), dict[str, bytes | None])
    assert_type(client.batch_read_structured([{1: b"key"}]), list[dict[int, bytes | None]])
    assert_type(client.exists(b"key"), bool)
    assert_type(b"key" in client, bool)
    assert_type(len(client), int)
    assert_type(client.is_empty(), bool)
    assert_type(client.file_size(), int)
    assert_type(client.ping(), float)
    client.write("key", b"value")  # type: ignore[arg-type]
    client.write(b"key", "value")  # type: ignore[arg-type]
    client.read("key")  # type: ignore[call-overload]


def values(client: simdrive.Client, value: simdrive.Value) -> None:
    assert_type(value[0], int)
    assert_type(value[1:3], simdrive.Value)
    assert_type(bytes(value), bytes)
    assert_type(list(value), list[int])
    assert_type(value.view(), memoryview)
    assert_type(value.release(), None)
    client.write(value, value)
    with value as same:
        assert_type(same, simdrive.Value)
    client.batch_read([b"a"], out=bytearray())  # type: ignore[call-overload]
    simdrive.Value(b"bytes")


def information(client: simdrive.Client) -> None:
    info = client.server_info()
    assert_type(info, simdrive.ServerInfo)
    assert_type(info.version, str | None)
    assert_type(info.extensions, frozenset[str])


def errors(caught: simdrive.OperationTimeout, answer: simdrive.ServerError) -> None:
    assert_type(caught.sent, bool)
    assert_type(caught.elapsed, float)
    assert_type(caught.attempts, int)
    assert_type(answer.message, str)
