"""simdrive.hashing against the `xxhash` package, zlib and the vectors of the original engine."""

from __future__ import annotations

import array
import copy
import itertools
import json
import mmap
import os
import pickle
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from simdrive import hashing

LENGTH_MAX = 4096
SEEDS = (0, 1, 0x9E3779B97F4A7C15, 2**64 - 1)
MASK = 2**64 - 1
NOGIL_MIN = 4096


def generated_bytes(state: int, size: int) -> bytes:
    """The byte generator of the vectors (tests/vectors/storage/README.md)."""
    out = bytearray()
    while len(out) < size:
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        out += (z ^ (z >> 31)).to_bytes(8, "little")
    return bytes(out[:size])


DATA = generated_bytes(2024, 3 * LENGTH_MAX)


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
    data = generated_bytes(vectors["buffer"]["gen"], vectors["buffer"]["len"])
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
        assert hashing.NamespaceHasher(prefix.encode()).namespace(key.encode()).hex() == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_xxh3_64_equals_the_official_library_at_every_length(seed: int) -> None:
    whole = memoryview(DATA)
    for size in range(LENGTH_MAX + 1):
        part = whole[size % 5 : size % 5 + size]
        assert hashing.xxh3_64(part, seed) == xxhash.xxh3_64_intdigest(part, seed), size


def test_xxh3_64_of_long_inputs() -> None:
    for size in (65535, 65536, 65537, 1_000_003):
        data = generated_bytes(size, size)
        for seed in SEEDS:
            assert hashing.xxh3_64(data, seed) == xxhash.xxh3_64_intdigest(data, seed)


def test_crc32_equals_zlib_at_every_length() -> None:
    whole = memoryview(DATA)
    for size in range(LENGTH_MAX + 1):
        part = whole[size % 7 : size % 7 + size]
        assert hashing.crc32(part) == zlib.crc32(part), size
        assert hashing.crc32(part, 0xDEADBEEF) == zlib.crc32(part, 0xDEADBEEF), size


@given(st.binary(max_size=2000), st.binary(max_size=2000))
def test_crc32_continues(first: bytes, second: bytes) -> None:
    assert hashing.crc32(second, hashing.crc32(first)) == zlib.crc32(first + second)


def test_many_equals_one_by_one() -> None:
    items = [DATA[:size] for size in range(0, 6000, 13)]
    assert hashing.xxh3_64_many(items) == [xxhash.xxh3_64_intdigest(item) for item in items]
    assert hashing.xxh3_64_many(iter(items), seed=9) == [xxhash.xxh3_64_intdigest(item, 9) for item in items]
    assert hashing.xxh3_64_many([]) == []
    assert hashing.xxh3_64_many([bytearray(b"a"), memoryview(b"b")]) == [
        hashing.xxh3_64(b"a"),
        hashing.xxh3_64(b"b"),
    ]


@given(
    size=st.integers(0, len(DATA)),
    cuts=st.lists(st.integers(0, len(DATA)), max_size=20),
    seed=st.integers(0, MASK),
)
def test_hasher_does_not_care_how_the_bytes_are_cut(size: int, cuts: list[int], seed: int) -> None:
    hasher = hashing.Hasher(seed)
    edges = [0, *sorted(cut for cut in cuts if cut < size), size]
    for begin, end in itertools.pairwise(edges):
        hasher.update(DATA[begin:end])
        assert hasher.intdigest() == xxhash.xxh3_64_intdigest(DATA[:end], seed)


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
    for key in (b"", b"42", DATA):
        expected = hasher.prefix_hash.to_bytes(8, "little") + xxhash.xxh3_64_intdigest(key).to_bytes(8, "little")
        assert hasher.namespace(key) == expected
    keys: list[Any] = [b"a", bytearray(b"b"), memoryview(DATA)]
    assert hasher.namespace_many(keys) == [hasher.namespace(key) for key in keys]
    assert hasher.namespace_many(iter(())) == []
    assert f"{hasher.prefix_hash:#018x}" in repr(hasher)


def byte_sources() -> Iterator[tuple[str, Any]]:
    for size in (100, NOGIL_MIN, NOGIL_MIN + 1):
        raw = DATA[:size]
        yield f"bytearray-{size}", bytearray(raw)
        yield f"memoryview-{size}", memoryview(raw)
        yield f"array-{size}", array.array("B", raw)
        mapped = mmap.mmap(-1, size)
        mapped.write(raw)
        yield f"mmap-{size}", mapped


@pytest.mark.parametrize("source", [pytest.param(source, id=name) for name, source in byte_sources()])
def test_any_contiguous_buffer_will_do(source: Any) -> None:
    raw = bytes(memoryview(source))
    expected = hashing.xxh3_64(raw)
    hasher = hashing.Hasher()
    hasher.update(source)
    assert hashing.xxh3_64(source) == hasher.intdigest() == hashing.xxh3_64_many([source])[0] == expected
    assert hashing.crc32(source) == zlib.crc32(raw)
    assert hashing.NamespaceHasher(source).prefix_hash == expected
    assert hashing.NamespaceHasher(b"p").namespace(source) == hashing.NamespaceHasher(b"p").namespace(raw)


def test_items_wider_than_a_byte_are_hashed_as_their_bytes() -> None:
    numbers = array.array("d", [1.5, -2.25, 1e300])
    assert hashing.xxh3_64(numbers) == hashing.xxh3_64(numbers.tobytes())


def test_buffers_are_given_back() -> None:
    data = bytearray(DATA)
    hashing.xxh3_64(data)
    hashing.xxh3_64_many([data])
    hashing.crc32(data)
    hashing.Hasher().update(data)
    hashing.NamespaceHasher(data).namespace(data)
    data.append(0)  # BufferError while anyone holds the buffer


TAKES_BYTES: list[Callable[[Any], object]] = [
    hashing.xxh3_64,
    hashing.crc32,
    lambda x: hashing.xxh3_64_many([b"ok", x]),
    lambda x: hashing.Hasher().update(x),
    hashing.NamespaceHasher,
    lambda x: hashing.NamespaceHasher(b"").namespace(x),
    lambda x: hashing.NamespaceHasher(b"").namespace_many([b"ok", x]),
]


@pytest.mark.parametrize("call", TAKES_BYTES)
@pytest.mark.parametrize("wrong", ["text", "", 5, None, [1, 2]])
def test_what_is_no_buffer_is_a_type_error(call: Callable[[Any], object], wrong: object) -> None:
    with pytest.raises(TypeError):
        call(wrong)


@pytest.mark.parametrize("call", TAKES_BYTES)
def test_scattered_bytes_are_refused(call: Callable[[Any], object]) -> None:
    with pytest.raises((TypeError, BufferError)):
        call(memoryview(b"abcdef")[::2])


@pytest.mark.parametrize("wrong", ["abc", b"abc", bytearray(b"abc"), memoryview(b""), "", b"", 7, None])
def test_many_wants_several_items_not_one(wrong: Any) -> None:
    with pytest.raises(TypeError):
        hashing.xxh3_64_many(wrong)
    with pytest.raises(TypeError):
        hashing.NamespaceHasher(b"").namespace_many(wrong)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_seed_out_of_range(seed: int) -> None:
    with pytest.raises(OverflowError):
        hashing.xxh3_64(b"", seed)
    with pytest.raises(OverflowError):
        hashing.xxh3_64_many([], seed)
    with pytest.raises(OverflowError):
        hashing.Hasher(seed)


@pytest.mark.parametrize("value", [-1, 2**32])
def test_crc32_value_out_of_range(value: int) -> None:
    with pytest.raises(OverflowError):
        hashing.crc32(b"", value)


def test_seed_must_be_an_integer() -> None:
    with pytest.raises(TypeError):
        hashing.xxh3_64(b"", "0")  # type: ignore[arg-type]


@pytest.mark.parametrize("thing", [hashing.Hasher(), hashing.NamespaceHasher(b"x")])
def test_no_pickling(thing: object) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(thing)
    with pytest.raises(TypeError):
        copy.copy(thing)


def test_threads_may_share_a_hasher() -> None:
    block = b"\x5a" * 50_000
    hasher = hashing.Hasher()
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        for _ in range(50):
            hasher.update(block)
            hasher.update(block[:100])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # All bytes are equal, so the order of the updates does not show, but a lost or torn one does.
    assert hasher.intdigest() == xxhash.xxh3_64_intdigest(b"\x5a" * (4 * 50 * 50_100))


def gil_given_up_by(call: Callable[[], object], attempts: int) -> bool:
    """Whether another thread gets to run while `call` does, with the interpreter never switching by itself."""
    ran = False
    wake = threading.Lock()
    wake.acquire()

    def other() -> None:
        nonlocal ran
        with wake:
            ran = True

    thread = threading.Thread(target=other)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000.0)
    try:
        thread.start()
        wake.release()
        for _ in range(attempts):
            call()
            if ran:
                return True
        return False
    finally:
        sys.setswitchinterval(interval)
        thread.join()


@pytest.mark.skipif(not getattr(sys, "_is_gil_enabled", lambda: True)(), reason="this interpreter has no GIL")
@pytest.mark.parametrize("name", ["xxh3_64", "xxh3_64_many", "crc32", "update", "namespace"])
def test_gil_is_given_up_for_long_inputs_only(name: str) -> None:
    hasher = hashing.Hasher()
    calls: dict[str, Callable[[bytes], object]] = {
        "xxh3_64": hashing.xxh3_64,
        "xxh3_64_many": lambda data: hashing.xxh3_64_many([data]),
        "crc32": hashing.crc32,
        "update": hasher.update,
        "namespace": hashing.NamespaceHasher(b"n").namespace,
    }
    call = calls[name]
    long_input = bytes(8 << 20)
    assert gil_given_up_by(lambda: call(long_input), attempts=500)
    assert not gil_given_up_by(lambda: call(DATA[:NOGIL_MIN]), attempts=200)


def test_backend_and_names() -> None:
    assert hashing.backend() == "scalar"
    assert all(hasattr(hashing, name) for name in hashing.__all__)
