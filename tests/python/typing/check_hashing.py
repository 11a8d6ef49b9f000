"""Read by mypy, never run: the types of the hashing functions."""

from __future__ import annotations

from array import array
from mmap import mmap

import numpy as np
from numpy.typing import NDArray
from typing_extensions import assert_type

import simdrive
from simdrive import hashing


def one(mapped: mmap, numbers: array[int]) -> None:
    assert_type(hashing.xxh3_64(b"key"), int)
    assert_type(hashing.xxh3_64(mapped, 7), int)
    assert_type(hashing.xxh3_64(data=numbers, seed=7), int)
    assert_type(hashing.crc32(b"key", value=1), int)
    hashing.xxh3_64("key")  # type: ignore[arg-type]
    hashing.crc32(5)  # type: ignore[arg-type]


def many(keys: list[bytes], mixed: list[bytes | bytearray], rows: NDArray[np.uint8], names: NDArray[np.bytes_]) -> None:
    assert_type(hashing.xxh3_64_many(keys), list[int])
    assert_type(hashing.xxh3_64_many(tuple(mixed), 1), list[int])
    assert_type(hashing.xxh3_64_many(iter(keys), seed=1), list[int])
    assert_type(hashing.xxh3_64_many({b"a": 1, b"b": 2}), list[int])
    assert_type(hashing.xxh3_64_many(b"".join(keys), width=16), list[int])
    assert_type(hashing.xxh3_64_many(memoryview(b"".join(keys)), width=16), list[int])
    assert_type(hashing.xxh3_64_many(rows), NDArray[np.uint64])
    assert_type(hashing.xxh3_64_many(names), NDArray[np.uint64])
    assert_type(hashing.xxh3_64_many(rows.ravel(), width=16), NDArray[np.uint64])
    numbers = array("Q", bytes(8 * len(keys)))
    assert_type(hashing.xxh3_64_many(keys, out=numbers), "array[int]")
    hashes = np.empty(len(keys), np.uint64)
    assert_type(hashing.xxh3_64_many(rows, out=hashes) is hashes, bool)
    assert_type(hashing.xxh3_64_many(keys, out=hashes).dtype, np.dtype[np.uint64])
    hashing.xxh3_64_many(["key"])  # type: ignore[list-item]
    hashing.xxh3_64_many(keys, width="16")  # type: ignore[call-overload]


def names(users: simdrive.NamespaceHasher, keys: list[bytes], rows: NDArray[np.uint8]) -> None:
    assert_type(users.prefix_hash, int)
    assert_type(users.namespace(bytearray(b"key")), bytes)
    assert_type(users.namespace_many(keys), list[bytes])
    assert_type(users.namespace_many(b"".join(keys), width=16), list[bytes])
    assert_type(users.namespace_many(rows), NDArray[np.uint8])
    simdrive.NamespaceHasher("users")  # type: ignore[arg-type]


def pieces(hasher: hashing.Hasher) -> None:
    assert_type(hasher.update(b"piece"), None)
    assert_type(hasher.copy(), hashing.Hasher)
    assert_type(hasher.intdigest(), int)
    assert_type(hasher.digest(), bytes)
    assert_type(hasher.seed, int)
    hasher.update("piece")  # type: ignore[arg-type]


def implementation() -> None:
    assert_type(hashing.cpu_features(), frozenset[str])
    assert_type(hashing.backends(), tuple[str, ...])
    assert_type(hashing.backend(), str)
    assert_type(hashing.set_backend("scalar"), None)
    assert_type(hashing.set_backend(), None)
    hashing.set_backend(1)  # type: ignore[arg-type]
