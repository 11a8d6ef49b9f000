"""Read by mypy, never run: the types of namespaces, mappings and streams."""

from __future__ import annotations

import io
from collections.abc import Iterator, MutableMapping
from typing import BinaryIO

from typing_extensions import assert_type

import simdrive
from simdrive.mapping import StoreMapping
from simdrive.namespace import NamespacedClient


def views(client: simdrive.Client) -> None:
    users = client.namespace(b"users")
    assert_type(users, NamespacedClient)
    assert_type(users.namespace(bytearray(b"inner")), NamespacedClient)
    assert_type(users.read(b"key"), bytes | None)
    assert_type(users.read(b"key", default=0), bytes | int)
    assert_type(users.read(b"key", out=bytearray(5), timeout=None), int | None)
    assert_type(users.batch_read([b"key"]), list[bytes | None])
    assert_type(users.batch_read_structured({"a": b"key"}, progress=print), dict[str, bytes | None])
    assert_type(users.write(b"key", memoryview(b"value"), progress=print), None)
    assert_type(users.options, simdrive.Options)
    with users as entered:
        assert_type(entered, NamespacedClient)
    client.namespace("users")  # type: ignore[arg-type]
    users.read("key")  # type: ignore[call-overload]


def mappings(client: simdrive.Client) -> None:
    mapping = client.mapping()
    assert_type(mapping, StoreMapping)
    assert_type(client.namespace(b"users").mapping(), StoreMapping)
    plain: MutableMapping[bytes, bytes] = mapping
    assert_type(plain[b"key"], bytes)
    assert_type(mapping[b"key"], bytes)
    assert_type(mapping.get(b"key"), bytes | None)
    assert_type(mapping.get(b"key", 5), bytes | int)
    assert_type(mapping.pop(b"key"), bytes)
    assert_type(mapping.setdefault(b"key", b"value"), bytes)
    mapping[b"key"] = bytearray(b"value")
    mapping[b"key"] = "value"  # type: ignore[assignment]


def streams(client: simdrive.Client, file: BinaryIO, pieces: list[bytearray]) -> None:
    for each in (client, client.namespace(b"users")):
        assert_type(each.write_stream(b"key", file, size=5), int)
        assert_type(each.write_stream(b"key", pieces, progress=lambda done, total: done < total), int)
        assert_type(each.read_into(b"key", file, timeout=None), int)
        each.write_stream(b"key", 5)  # type: ignore[arg-type]
        each.read_into(b"key", io.StringIO())  # type: ignore[arg-type]
    read: Iterator[simdrive.Value] = client.read_stream(b"key", chunk_size=4096)
    assert_type(next(read)[0], int)
