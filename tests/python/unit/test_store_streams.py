"""write_stream, read_stream and read_into of a store: true streams, which leave nothing behind when they fail."""

from __future__ import annotations

import io
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import simdrive
from support.resident import on_linux, resident_bytes

SIZES = [2, 100, 65535, 65536, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 5_000_001]


@pytest.fixture(params=["store", "namespace"])
def calls(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    with simdrive.Store(tmp_path / "store.bin") as store:
        yield store if request.param == "store" else store.namespace(b"users")


class OnlyRead:
    """A source without readinto that gives what it likes."""

    def __init__(self, *pieces: Any) -> None:
        self._pieces = list(pieces)

    def read(self, _size: int = -1) -> Any:
        return self._pieces.pop(0) if self._pieces else b""


def pieces_of(value: bytes, *sizes: int) -> Iterator[bytes]:
    at = 0
    while at < len(value):
        for size in sizes:
            yield value[at : at + size]
            at += size


@pytest.mark.parametrize("size", SIZES)
def test_any_source(calls: Any, size: int, tmp_path: Path) -> None:
    value = os.urandom(size - 1) + b"x"
    (tmp_path / "source").write_bytes(value)
    with (tmp_path / "source").open("rb") as buffered, (tmp_path / "source").open("rb", buffering=0) as raw:
        sources = [
            io.BytesIO(value), buffered, raw, pieces_of(value, 1000, 0, 70_000, 1), [value], [bytearray(value)],
            (piece for piece in (b"", value, b"")), OnlyRead(value[:1], value[1:]),
        ]  # fmt: skip
        for number, source in enumerate(sources):
            assert calls.write_stream(b"%d" % number, source) == size
            assert calls.read(b"%d" % number) == value
    entry = calls.read_entry(b"0")
    assert entry.is_valid_checksum()
    for chunk_size in (65536, size, size + 1, 1 << 20):
        assert b"".join(calls.read_stream(b"0", chunk_size=chunk_size)) == value
    sink = io.BytesIO()
    assert calls.read_into(b"0", sink) == size
    assert sink.getvalue() == value


def test_size(calls: Any) -> None:
    source = io.BytesIO(b"0123456789")
    assert calls.write_stream(b"a", source, size=4) == 4
    assert source.tell() == 4
    assert calls.write_stream(b"b", [b"01", b"23"], size=4) == 4
    assert calls.batch_read([b"a", b"b"]) == [b"0123", b"0123"]
    for bad in (io.BytesIO(b"012"), [b"012"], [b"012", b"34"], iter([b"x" * 100_000])):
        with pytest.raises(simdrive.InvalidValueError, match="size says 4") as caught:
            calls.write_stream(b"a", bad, size=4)
        assert caught.value.op == "write_stream"
    with pytest.raises(ValueError, match="at least 0"):
        calls.write_stream(b"a", [], size=-1)
    assert calls.read(b"a") == b"0123"


@pytest.mark.parametrize("length", [0, 10, 200_000, 3_000_000])
def test_failures_leave_nothing(calls: Any, tmp_path: Path, length: int) -> None:
    calls.write(b"key", b"before")
    image = (tmp_path / "store.bin").read_bytes()

    class FailedError(Exception):
        pass

    def failing() -> Iterator[bytes]:
        yield from pieces_of(b"x" * length, 7000)
        raise FailedError

    def strange(last: Any) -> Iterator[Any]:
        yield from pieces_of(b"x" * length, 7000)
        yield last

    for kind, source in (
        (FailedError, failing()), (TypeError, strange("text")), (TypeError, strange(5)),
        (KeyboardInterrupt, interrupted()),
        (BlockingIOError, OnlyRead(b"x" * (length + 1), None)), (TypeError, OnlyRead(b"x" * (length + 1), "text")),
    ):  # fmt: skip
        with pytest.raises(kind):
            calls.write_stream(b"key", source)
        assert (tmp_path / "store.bin").read_bytes() == image
    refused: list[Any] = [[], [b""], io.BytesIO(), [b"\0"], OnlyRead(b"\0")]
    for source in refused:
        with pytest.raises(simdrive.InvalidValueError):
            calls.write_stream(b"key", source)
    assert calls.read(b"key") == b"before"
    assert calls.write_stream(b"key", [bytes(100)]) == 100  # zeros are fine, but for the single one
    assert calls.read(b"key") == bytes(100)


def interrupted() -> Iterator[bytes]:
    yield b"x"
    raise KeyboardInterrupt


def test_wrong_arguments(calls: Any, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("text", encoding="ascii")
    with (tmp_path / "text").open(encoding="ascii") as text:
        for source in (b"value", "value", 5, None, text):
            with pytest.raises(TypeError):
                calls.write_stream(b"key", source)
    with pytest.raises(TypeError):
        calls.write_stream("key", [b"1"])
    with pytest.raises(TypeError):
        calls.write_stream(b"key", [b"1"], progress=5)
    with pytest.raises(TypeError):
        calls.read_into(b"key", b"no sink")
    with pytest.raises(ValueError, match="chunk_size"):
        calls.read_stream(b"key", chunk_size=0)
    absent: list[Any] = [lambda: calls.read_into(b"key", io.BytesIO()), lambda: next(calls.read_stream(b"key"))]
    for call in absent:
        with pytest.raises(simdrive.KeyNotFoundError, match=r"store\.bin"):
            call()
    assert calls.read(b"key") is None


def test_sinks_that_take_a_part(calls: Any) -> None:
    value = os.urandom(300_000)
    calls.write(b"key", value)
    taken = bytearray()

    class Part(io.RawIOBase):
        def write(self, data: Any) -> int:
            taken.extend(data[:70_001])
            return min(len(data), 70_001)

    class Failing(io.RawIOBase):
        def write(self, _data: Any) -> int:
            raise OSError(5, "the sink fails")

    assert calls.read_into(b"key", Part()) == len(value)
    assert taken == value
    with pytest.raises(OSError, match="the sink fails"):
        calls.read_into(b"key", Failing())
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb", 0) as reader, os.fdopen(write_end, "wb", 0) as writer:
        calls.write(b"small", b"through a pipe")
        assert calls.read_into(b"small", writer) == 14
        assert reader.read(100) == b"through a pipe"


def test_progress(calls: Any) -> None:
    told: list[tuple[int, int]] = []

    def tell(done: int, total: int) -> None:
        told.append((done, total))

    calls.write_stream(b"key", pieces_of(b"x" * 100_000, 1000), progress=tell)
    calls.read_into(b"key", io.BytesIO(), progress=tell)
    list(calls.read_stream(b"key", progress=tell))
    assert told.count((100_000, 100_000)) == 3
    assert all(done <= 100_000 for done, _ in told)


@on_linux
def test_memory_stays_flat(tmp_path: Path) -> None:
    """256 MiB go in and out, and never are in the memory of the process (mapped pages of the file aside)."""
    piece = os.urandom(1 << 20)
    with simdrive.Store(tmp_path / "store.bin") as store:
        store.write_stream(b"key", [piece] * 2)
        tracemalloc.start()
        before = resident_bytes()
        try:
            assert store.write_stream(b"key", (piece for _ in range(256))) == 256 << 20
            written = resident_bytes() - before
            with Path(os.devnull).open("wb", buffering=0) as sink:
                assert store.read_into(b"key", sink) == 256 << 20
            assert sum(len(part) for part in store.read_stream(b"key")) == 256 << 20
            assert tracemalloc.get_traced_memory()[1] < 8 << 20
        finally:
            tracemalloc.stop()
        assert written < 48 << 20
