"""simdrive.Entry: a value on the mapped file, which stays as it is whatever becomes of the store."""

from __future__ import annotations

import contextlib
import copy
import gc
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import simdrive
from simdrive import Entry, Value, hashing


@pytest.fixture
def store(tmp_path: Path) -> Iterator[simdrive.Store]:
    with simdrive.Store(tmp_path / "store.bin") as opened:
        yield opened


def entry_of(store: simdrive.Store, key: bytes) -> Entry:
    entry = store.read_entry(key)
    assert entry is not None
    return entry


def test_is_a_value(store: simdrive.Store) -> None:
    store.write(b"key", b"0123456789")
    found: list[Any] = [entry_of(store, b"key"), store.read(b"key", out="view")]
    for entry in found + store.batch_read([b"key"], out="view"):
        assert isinstance(entry, Entry)
        assert isinstance(entry, Value)
        assert (len(entry), bytes(entry), entry[3], entry[-1]) == (10, b"0123456789", ord("3"), ord("9"))
        assert entry == b"0123456789"
        assert memoryview(entry).tobytes() == b"0123456789"
        assert hash(entry) == hash(b"0123456789")
        assert {entry: "found"}[bytes(entry)] == "found"
        assert list(entry[2:4]) == [ord("2"), ord("3")]
        assert type(entry[2:4]) is Value
        assert memoryview(entry).readonly
        assert entry.to_numpy("<u2").tolist() == np.frombuffer(b"0123456789", "<u2").tolist()
        assert copy.copy(entry) is entry
        assert pickle.loads(pickle.dumps(entry)) == b"0123456789"  # noqa: S301  # ours
        assert repr(entry) == "<simdrive.Entry of 10 bytes at 0: b'0123456789'>"
    assert store.read_entry(b"nothing") is None
    base: Any = Entry
    with pytest.raises(TypeError):

        class Sub(base):  # type: ignore[misc]
            pass


def test_fields(store: simdrive.Store) -> None:
    store.write(b"a", b"x")
    store.write(b"key", b"value")
    entry = entry_of(store, b"key")
    assert entry.key_hash == hashing.xxh3_64(b"key")
    assert entry.checksum == hashing.crc32(b"value")
    assert entry.is_valid_checksum()
    assert entry.offset_range == (64, 69)
    assert (entry.prev_offset, entry.file_size, entry.is_tombstone) == (21, 25, False)
    store.delete(b"key")
    last = store.read_last_entry()
    assert last is not None
    assert (last.is_tombstone, last.key_hash) == (True, entry.key_hash)
    store.write(b"big", os.urandom(1 << 20))
    assert entry_of(store, b"big").is_valid_checksum()


def test_no_copy_and_aligned(store: simdrive.Store) -> None:
    store.write(b"key", np.arange(1 << 16, dtype="f8").tobytes())
    first, second = entry_of(store, b"key").to_numpy("f8"), entry_of(store, b"key").to_numpy("f8")
    assert np.shares_memory(first, second)
    assert first.ctypes.data % 64 == 0
    assert not first.flags.writeable


def test_arrow(store: simdrive.Store) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    store.write(b"key", bytes(range(256)) * 100)
    entry = entry_of(store, b"key")
    buffer = entry.to_arrow()
    assert isinstance(buffer, pyarrow.Buffer)
    assert buffer.address == entry.to_numpy().ctypes.data
    store.close()
    del entry
    assert buffer.to_pybytes() == bytes(range(256)) * 100


def test_outlives_everything(tmp_path: Path) -> None:
    """Later writes, compaction, close, and the file itself; slices and buffers outlive the entry."""
    path = tmp_path / "store.bin"
    store = simdrive.Store(path)
    values = {b"%d" % i: os.urandom(1 + 997 * i) + b"x" for i in range(200)}
    store.batch_write(values)
    entries = {key: entry_of(store, key) for key in values}
    part: Any = entries[b"7"][3:90]
    array = entries[b"8"].to_numpy()
    view: Any = memoryview(entries[b"9"])
    iterator = store.iter_entries()
    first = next(iterator)
    del entries[b"7"], entries[b"8"], entries[b"9"]
    for key in values:
        store.write(key, b"something else")
    store.write(b"large", bytes(32 << 20) + b"x")  # behind the first mapping
    store.compact()
    store.close()
    del store
    path.unlink()
    gc.collect()
    assert {key: bytes(entry) for key, entry in entries.items()} == {key: values[key] for key in entries}
    assert all(entry.is_valid_checksum() for entry in entries.values())
    assert (part, array.tobytes(), view) == (values[b"7"][3:90], values[b"8"], values[b"9"])
    assert first == values[b"199"]
    assert [bytes(entry) for entry in iterator] == [values[b"%d" % i] for i in reversed(range(199))]


def test_release(store: simdrive.Store) -> None:
    store.write(b"key", b"0123456789")
    entry = entry_of(store, b"key")
    part = entry[2:5]
    view = memoryview(entry)
    with pytest.raises(BufferError):
        entry.release()
    view.release()
    with entry as same:
        assert same is entry
    entry.release()
    fields = ("key_hash", "checksum", "offset_range", "prev_offset", "file_size", "is_tombstone")
    for field in fields:
        with pytest.raises(ValueError, match="released"):
            getattr(entry, field)
    for call in (entry.is_valid_checksum, lambda: len(entry), lambda: bytes(entry), lambda: entry[0]):
        with pytest.raises(ValueError, match="released"):
            call()
    assert repr(entry) == "<simdrive.Entry (released)>"
    assert part == b"234"
    empty: Any = Entry
    assert repr(empty.__new__(Entry)) == "<simdrive.Entry (released)>"


def test_iteration(store: simdrive.Store) -> None:
    assert list(store.iter_entries()) == []
    for i in range(1000):
        store.write(b"%d" % (i % 700), b"value %d" % i)
    store.batch_delete(b"%d" % i for i in range(0, 700, 7))
    live = [i for i in range(999, 299, -1) if (i % 700) % 7]
    iterator = store.iter_entries()
    assert iter(iterator) is iterator
    found = [next(iterator)]
    store.write(b"new", b"not seen")
    store.delete(b"1")
    found.extend(iterator)
    assert found == [b"value %d" % i for i in live]
    assert next(iterator, None) is None
    assert len(store) == len(live)
    with pytest.raises(TypeError):
        type(iterator)()


def step(iterator: Iterator[Entry]) -> Entry | simdrive.StoreCorruptError | None:
    try:
        return next(iterator, None)
    except simdrive.StoreCorruptError as error:
        return error


def test_iteration_with_verify_goes_on_behind_damage(tmp_path: Path) -> None:
    path = tmp_path / "store.bin"
    with simdrive.Store(path) as store:
        for i in range(600):
            store.write(b"%d" % i, b"value %d" % i)
        places = {i: entry_of(store, b"%d" % i).offset_range[0] for i in (0, 5, 300)}
    image = bytearray(path.read_bytes())
    for place in places.values():
        image[place] ^= 1
    path.write_bytes(image)
    with simdrive.Store(path, mode="r", verify=True) as store:
        iterator = store.iter_entries()
        good, bad = [], []
        while (found := step(iterator)) is not None:
            if isinstance(found, simdrive.StoreCorruptError):
                assert str(path) in str(found)
                assert found.offset is not None
                bad.append(found.offset)
            else:
                good.append(bytes(found))
        assert good == [b"value %d" % i for i in reversed(range(600)) if i not in places]
        assert len(bad) == 3
        assert sorted(bad) == list(store.verify().bad)
    with simdrive.Store(path, mode="r") as store:
        assert [entry.is_valid_checksum() for entry in store.iter_entries()].count(False) == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_fork(store: simdrive.Store) -> None:
    store.write(b"key", b"value")
    entry = entry_of(store, b"key")
    view = memoryview(entry)
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        said = b"failed"
        with contextlib.suppress(BaseException):
            assert entry == b"value"
            assert store.read(b"key") == b"value"
            assert [bytes(e) for e in store.iter_entries()] == [b"value"]
            for call in (lambda: store.write(b"key", b"child"), lambda: store.delete(b"key"), store.compact):
                with pytest.raises(simdrive.StoreReadOnlyError, match="fork"):
                    call()
            assert store.read_only
            store.close()
            assert bytes(view) == b"value"
            assert entry.is_valid_checksum()
            said = b"done"
        os.write(write_end, said)
        os._exit(0)
    os.close(write_end)
    try:
        with os.fdopen(read_end, "rb") as pipe:
            assert pipe.read() == b"done"
    finally:
        os.waitpid(child, 0)
    store.write(b"key", b"parent")
    assert store.read(b"key") == b"parent"
    with pytest.raises(simdrive.StoreLockedError):  # the child's close has left the lock to the parent
        simdrive.Store(store.path or "")
