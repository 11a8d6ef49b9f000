"""Batches of every shape against the real servers."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

import simdrive


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 6, 7, 8, 9, 254, 255, 256, 1000])
def test_counts(client: simdrive.Client, key: bytes, count: int) -> None:
    rng = random.Random(count)
    pairs = [(key + b"%d" % i, rng.randbytes(rng.randrange(2, 400))) for i in range(count)]
    assert client.batch_write(pairs) is None
    assert client.batch_read([name for name, _ in pairs]) == [data for _, data in pairs]


def test_all_missing(client: simdrive.Client, key: bytes) -> None:
    for count in (1, 2, 8, 9, 1000):
        assert client.batch_read([key + b"%d" % i for i in range(count)]) == [None] * count


def test_order_duplicates_and_missing(client: simdrive.Client, key: bytes) -> None:
    a, b, absent = key + b"a", key + b"b", key + b"absent"
    client.batch_write([(a, b"value a"), (b, b"value b")])
    assert client.batch_read([b, absent, a, a, absent, b]) == [
        b"value b",
        None,
        b"value a",
        b"value a",
        None,
        b"value b",
    ]


def test_last_duplicate_wins(client: simdrive.Client, key: bytes) -> None:
    client.batch_write([(key, b"first"), (key, b"second"), (key, b"last")])
    assert client.read(key) == b"last"


def test_mapping_and_iterators(client: simdrive.Client, key: bytes) -> None:
    client.batch_write({key + b"1": b"one", key + b"2": b"two"})

    def pairs() -> Iterator[tuple[bytes, bytes]]:
        yield key + b"3", b"three"
        yield key + b"4", b"four"

    client.batch_write(pairs())
    assert client.batch_read(key + b"%d" % i for i in range(1, 6)) == [b"one", b"two", b"three", b"four", None]


@pytest.mark.parametrize("alphabet", [b"\0", b"\0\1", b"abc", bytes(range(16)), bytes(range(256))])
def test_payloads_of_mixed_sizes(client: simdrive.Client, key: bytes, alphabet: bytes) -> None:
    rng = random.Random(len(alphabet))
    sizes = [2, 3, 254, 255, 256, 65536, 2, 100_000, 65521, 7]
    pairs = [(key + b"%d" % i, bytes(rng.choices(alphabet, k=size))) for i, size in enumerate(sizes)]
    client.batch_write(pairs)
    assert client.batch_read([name for name, _ in pairs]) == [data for _, data in pairs]


def test_megabytes(client: simdrive.Client, key: bytes) -> None:
    rng = random.Random(5)
    pairs = {key + b"%d" % i: rng.randbytes(1 << 20) for i in range(18)}
    client.batch_write(pairs)
    assert client.batch_read(pairs) == list(pairs.values())


def test_structured(client: simdrive.Client, key: bytes) -> None:
    client.batch_write([(key + b"1", b"one"), (key + b"2", b"two")])
    shape = {"first": key + b"1", 2: key + b"2", None: key + b"absent", "again": key + b"1"}
    assert client.batch_read_structured(shape) == {"first": b"one", 2: b"two", None: None, "again": b"one"}
    assert client.batch_read_structured([{"a": key + b"2"}, {}, {"a": key + b"absent", "b": key + b"1"}]) == [
        {"a": b"two"},
        {},
        {"a": None, "b": b"one"},
    ]
    assert client.batch_read_structured({}) == {}
    assert client.batch_read_structured([]) == []
    assert shape["first"] == key + b"1"


@pytest.mark.parametrize("refused", [b"", b"\0"])
def test_one_refused_value_refuses_the_batch(client: simdrive.Client, key: bytes, refused: bytes) -> None:
    with pytest.raises(simdrive.InvalidValueError):
        client.batch_write([(key + b"1", b"good"), (key + b"2", refused), (key + b"3", b"good")])
    assert client.batch_read([key + b"1", key + b"2", key + b"3"]) == [None, None, None]
    client.write(key, b"usable")
    assert client.read(key) == b"usable"
