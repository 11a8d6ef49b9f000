"""The results of simdrive.hashing: as of the `xxhash` package, zlib and the original engine, on every backend."""

from __future__ import annotations

import itertools
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simdrive import hashing
from support.hash_data import BACKENDS, DATA, LENGTH_MAX, NOGIL_MIN, SEEDS, running_on
from support.vectors import generated

xxhash = pytest.importorskip("xxhash")

LONG = (NOGIL_MIN - 1, NOGIL_MIN, NOGIL_MIN + 1, 65535, 65536, 65537, 1_000_003)


@pytest.fixture(params=BACKENDS, autouse=True)
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    with running_on(request.param) as name:
        yield name


# The same backend for all examples of a test is what is wanted.
on_this_backend = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.fixture(scope="module")
def vectors() -> dict[str, Any]:
    other = os.environ.get("SIMDRIVE_VECTORS")
    root = Path(other) if other else Path(__file__).resolve().parents[2] / "vectors"
    for folder in (root / "storage", root, root.parent / "storage"):
        file = folder / "hash_vectors.json"
        if file.is_file():
            loaded: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            return loaded
    if other is None:
        pytest.fail(f"hash_vectors.json is missing under {root}")
    pytest.skip("SIMDRIVE_VECTORS names a set without hash vectors")


def test_vector_prefixes(vectors: dict[str, Any]) -> None:
    data = generated(vectors["buffer"]["gen"], vectors["buffer"]["len"], 0, 256)
    assert vectors["prefix_len_xxh3_crcbytes"]
    for size, key_hash, stored_crc in vectors["prefix_len_xxh3_crcbytes"]:
        assert f"{hashing.xxh3_64(data[:size]):016x}" == key_hash, size
        assert hashing.crc32(data[:size]).to_bytes(4, "little").hex() == stored_crc, size


def test_vector_texts(vectors: dict[str, Any]) -> None:
    assert vectors["text_xxh3_crcbytes"]
    for text, key_hash, stored_crc in vectors["text_xxh3_crcbytes"]:
        assert f"{hashing.xxh3_64(text.encode()):016x}" == key_hash, text
        assert hashing.crc32(text.encode()).to_bytes(4, "little").hex() == stored_crc, text


def test_vector_namespaces(vectors: dict[str, Any]) -> None:
    assert vectors["namespace_key_16bytes"]
    for prefix, key, expected in vectors["namespace_key_16bytes"]:
        hasher = hashing.NamespaceHasher(prefix.encode())
        assert hasher.namespace(key.encode()).hex() == expected
        assert hasher.namespace_many([key.encode()])[0].hex() == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_xxh3_64_equals_the_official_library_at_every_length(seed: int) -> None:
    whole = memoryview(DATA)
    for size in range(LENGTH_MAX + 1):
        part = whole[size % 64 : size % 64 + size]
        assert hashing.xxh3_64(part, seed) == xxhash.xxh3_64_intdigest(part, seed), size


def test_xxh3_64_of_bytes_equals_the_official_library_at_every_length() -> None:
    for size in range(LENGTH_MAX + 1):
        assert hashing.xxh3_64(DATA[:size]) == xxhash.xxh3_64_intdigest(DATA[:size]), size


@pytest.mark.parametrize("size", LONG)
def test_long_inputs(size: int) -> None:
    data = generated(size, size, 0, 256)
    for seed in SEEDS:
        assert hashing.xxh3_64(data, seed) == xxhash.xxh3_64_intdigest(data, seed)
        assert hashing.xxh3_64_many([data, data[1:]], seed) == [
            xxhash.xxh3_64_intdigest(data, seed),
            xxhash.xxh3_64_intdigest(data[1:], seed),
        ]
    assert hashing.xxh3_64(data) == xxhash.xxh3_64_intdigest(data)
    assert hashing.crc32(data) == zlib.crc32(data)
    assert hashing.crc32(memoryview(data)[1:], 0xDEADBEEF) == zlib.crc32(data[1:], 0xDEADBEEF)


def test_crc32_equals_zlib_at_every_length() -> None:
    whole = memoryview(DATA)
    for size in range(LENGTH_MAX + 1):
        part = whole[size % 64 : size % 64 + size]
        assert hashing.crc32(part) == zlib.crc32(part), size
        assert hashing.crc32(part, 0xDEADBEEF) == zlib.crc32(part, 0xDEADBEEF), size


@on_this_backend
@given(st.binary(max_size=2000), st.binary(max_size=2000))
def test_crc32_continues(first: bytes, second: bytes) -> None:
    assert hashing.crc32(second, hashing.crc32(first)) == zlib.crc32(first + second)


def test_many_at_every_length() -> None:
    for seed in (0, SEEDS[-1]):
        for size in range(600):
            keys = [DATA[begin : begin + size] for begin in range(0, 19 * 7, 7)]
            assert hashing.xxh3_64_many(keys, seed) == [xxhash.xxh3_64_intdigest(key, seed) for key in keys], size
            rows = memoryview(DATA[: 19 * size]) if size else memoryview(b"")
            assert hashing.xxh3_64_many(rows, seed, width=max(size, 1)) == [
                xxhash.xxh3_64_intdigest(rows[begin : begin + size], seed)
                for begin in range(0, len(rows), max(size, 1))
            ], size


@on_this_backend
@given(st.lists(st.binary(max_size=300), max_size=100), st.integers(0, 2**64 - 1))
def test_many_of_any_lengths(keys: list[bytes], seed: int) -> None:
    assert hashing.xxh3_64_many(keys, seed) == [xxhash.xxh3_64_intdigest(key, seed) for key in keys]


@on_this_backend
@given(
    size=st.integers(0, len(DATA)),
    cuts=st.lists(st.integers(0, len(DATA)), max_size=20),
    seed=st.integers(0, 2**64 - 1),
)
def test_hasher_does_not_care_how_the_bytes_are_cut(size: int, cuts: list[int], seed: int) -> None:
    hasher = hashing.Hasher(seed)
    edges = [0, *sorted(cut for cut in cuts if cut < size), size]
    for begin, end in itertools.pairwise(edges):
        hasher.update(DATA[begin:end])
        assert hasher.intdigest() == xxhash.xxh3_64_intdigest(DATA[:end], seed)


def test_hasher_in_pieces_of_every_length() -> None:
    for size in (*range(1, 300), 1024, 4096):
        hasher = hashing.Hasher()
        for begin in range(0, 4 * size, size):
            hasher.update(DATA[begin : begin + size])
        assert hasher.intdigest() == xxhash.xxh3_64_intdigest(DATA[: 4 * size]), size


def test_hasher_digest_is_most_significant_byte_first() -> None:
    hasher = hashing.Hasher()
    hasher.update(b"abc")
    assert hasher.digest() == xxhash.xxh3_64_digest(b"abc")
    assert hasher.digest() == hasher.intdigest().to_bytes(8, "big")


def test_hasher_copy_and_reset() -> None:
    hasher = hashing.Hasher(seed=7)
    hasher.update(DATA[:500])
    other = hasher.copy()
    other.update(DATA[500:5000])
    assert hasher.intdigest() == xxhash.xxh3_64_intdigest(DATA[:500], 7)
    assert other.intdigest() == xxhash.xxh3_64_intdigest(DATA[:5000], 7)
    other.reset()
    assert (other.seed, other.intdigest()) == (7, xxhash.xxh3_64_intdigest(b"", 7))


def test_namespace_keys() -> None:
    hasher = hashing.NamespaceHasher(b"users")
    assert hasher.prefix_hash == xxhash.xxh3_64_intdigest(b"users")
    keys: list[bytes] = [b"", b"42", DATA]
    expected = [
        xxhash.xxh3_64_intdigest(b"users").to_bytes(8, "little") + xxhash.xxh3_64_intdigest(key).to_bytes(8, "little")
        for key in keys
    ]
    assert [hasher.namespace(key) for key in keys] == expected
    assert hasher.namespace_many(keys) == expected
    assert f"{hasher.prefix_hash:#018x}" in repr(hasher)
