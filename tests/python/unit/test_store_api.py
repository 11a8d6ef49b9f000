"""simdrive.Store: calls, arguments and results, as of a client where a client has them."""

from __future__ import annotations

import asyncio
import copy
import gc
import inspect
import json
import os
import pickle
import warnings
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import simdrive
from simdrive import KeyHash, hashing

BUFFERS = [bytearray(b"k\0\xff"), memoryview(b"k\0\xff"), array("B", b"k\0\xff"), np.frombuffer(b"k\0\xff", "u1")]

SPREAD = np.zeros((3, 3))[:, 1]  # not contiguous


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[simdrive.Store]:
    with simdrive.Store(tmp_path / "store.bin") if request.param == "file" else simdrive.MemoryStore() as opened:
        yield opened


def test_write_and_read(store: simdrive.Store) -> None:
    nothing: Any = store.write
    assert nothing(b"key", b"value") is None
    assert store.read(b"key") == b"value"
    assert store.read(b"nothing") is None
    assert store.read(b"nothing", default=b"d") == b"d"
    store.write(b"key", b"other")
    assert store.read(b"key") == b"other"
    assert (len(store), store.is_empty(), bool(store)) == (1, False, True)
    assert b"key" in store
    assert store.exists(b"key")
    assert not store.exists(b"nothing")
    store.delete(b"key")
    store.delete(b"key")  # no error
    assert (len(store), store.is_empty(), store.read(b"key")) == (0, True, None)
    assert store.file_size() == store.tail > 0


@pytest.mark.parametrize("key", BUFFERS)
def test_buffers(store: simdrive.Store, key: Any) -> None:
    store.write(key, key)
    assert store.read(b"k\0\xff") == bytes(key)
    assert store.batch_read([key]) == [bytes(key)]
    assert key in store
    store.batch_delete([key])
    assert store.is_empty()


@pytest.mark.parametrize("size", [1, 16, 4096, 16 << 10, (16 << 10) + 1, 100_000, 5_000_000])
def test_sizes(store: simdrive.Store, size: int) -> None:
    value = os.urandom(size - 1) + b"x"
    store.write(b"key", value)
    assert store.read(b"key") == value
    assert store.batch_read([b"key", b"none"]) == [value, None]
    assert store.read(b"key", out="view") == value
    target = bytearray(size + 3)
    assert store.read(b"key", out=target) == size
    assert target[:size] == value
    assert target[size:] == bytes(3)


def test_long_keys(store: simdrive.Store) -> None:
    key = os.urandom(1 << 20)
    store.write(key, b"value")
    assert store.read(bytearray(key)) == b"value"
    assert store.read(b"") is None
    store.write(b"", b"empty key")
    assert store.read(b"") == b"empty key"


def test_batches(store: simdrive.Store) -> None:
    store.batch_write({b"a": b"1", b"b": b"2"})
    store.batch_write([(b"c", b"3"), (b"a", b"4"), (b"a", b"5")])
    store.batch_write([])
    assert store.batch_read([b"a", b"nothing", b"b", b"c", b"a"]) == [b"5", None, b"2", b"3", b"5"]
    assert store.batch_read(iter([b"c"])) == [b"3"]
    assert store.batch_read([]) == []
    assert store.batch_read([b"a", b"nothing"], out="view") == [b"5", None]
    store.batch_delete(iter([b"a", b"nothing", b"b"]))
    assert len(store) == 1
    store.batch_write([(b"c", b"\0"), (b"d", b"4")], allow_null=True)
    assert store.batch_read([b"c", b"d"]) == [None, b"4"]
    assert store.batch_read_structured({"x": b"d", "y": b"c"}) == {"x": b"4", "y": None}
    assert store.batch_read_structured([{1: b"d"}, {}]) == [{1: b"4"}, {}]


def test_refused_batch_changes_nothing(store: simdrive.Store) -> None:
    store.write(b"a", b"1")
    tail = store.tail
    for value in (b"", b"\0"):
        with pytest.raises(simdrive.InvalidValueError, match="nothing was stored") as caught:
            store.batch_write([(b"a", b"2"), (b"bad", value)])
        assert caught.value.key_hint == b"bad".hex()
    assert (store.read(b"a"), store.tail) == (b"1", tail)


def test_key_hashes(store: simdrive.Store) -> None:
    store.write(b"key", b"value")
    hashed = KeyHash(hashing.xxh3_64(b"key"))
    assert store.read(hashed) == b"value"
    assert hashed in store
    assert store.batch_read([hashed, b"key", KeyHash(1)]) == [b"value", b"value", None]
    store.write(KeyHash((1 << 64) - 1), b"last")
    store.batch_write([(KeyHash(0), b"first")])
    store.write_stream(KeyHash(7), [b"se", b"ven"])
    assert {entry.key_hash: bytes(entry) for entry in store.iter_entries()} == {
        hashed: b"value", (1 << 64) - 1: b"last", 0: b"first", 7: b"seven",
    }  # fmt: skip
    for entry in store.iter_entries():
        assert store.read(entry.key_hash) == bytes(entry)
        store.delete(entry.key_hash)
    assert store.is_empty()


def test_key_hash_class() -> None:
    assert KeyHash(5) == 5
    assert repr(KeyHash(0xAB)) == "KeyHash(0x00000000000000ab)"
    assert json.dumps(KeyHash(5)) == "5"
    assert pickle.loads(pickle.dumps(KeyHash(5))) == KeyHash(5)  # noqa: S301  # ours
    for wrong in (-1, 1 << 64):
        with pytest.raises(ValueError, match="below 2"):
            KeyHash(wrong)
    for what in (True, 1.0, "1", b"1"):
        with pytest.raises(TypeError):
            KeyHash(what)  # type: ignore[arg-type]


def test_wrong_types(store: simdrive.Store) -> None:
    s: Any = store
    made: Any = simdrive.Store
    memory: Any = simdrive.MemoryStore
    entry: Any = simdrive.Entry
    opened: Any = simdrive.open_store
    calls: list[Any] = [
        lambda: s.write("key", b"v"), lambda: s.write(b"key", "v"), lambda: s.write(5, b"v"), lambda: s.write(b"k", 5),
        lambda: s.read("key"), lambda: s.read(5), lambda: s.exists(None), lambda: s.delete("key"),
        lambda: s.batch_read("key"), lambda: s.batch_read(b"key"), lambda: s.batch_read([5]), lambda: s.batch_read(5),
        lambda: s.batch_write([b"ab"]), lambda: s.batch_write([(b"a", "b")]), lambda: s.batch_delete(b"key"),
        lambda: s.read(b"key", out=b"read-only"), lambda: s.read(b"key", out=5), lambda: s.batch_read([], out=b""),
        lambda: s.read(b"key", progress=5), lambda: s.write(b"key", b"v", timeout=1), lambda: s.rename(b"a", "b"),
        lambda: s.rename(KeyHash(1), b"b"), lambda: s.copy(b"a", object()), lambda: s.write(SPREAD, b"v"),
        lambda: s.batch_read_structured([b"a"]), lambda: s.namespace("users"), lambda: s.verify(progress="x"),
        lambda: made(5), lambda: made("x", mode=5), lambda: made("x", lock=1), lambda: made("x", sync_interval="1"),
        lambda: made(), lambda: memory("x"), lambda: entry(b"x"), lambda: opened(5),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(TypeError):
            call()
    for out in ("text", ""):
        with pytest.raises(simdrive.ConfigurationError):
            s.read(b"key", out=out)
    assert store.tail == 0


def test_rename_copy_transfer(store: simdrive.Store, tmp_path: Path) -> None:
    store.write(b"a", b"1")
    store.rename(b"a", b"b")
    assert store.batch_read([b"a", b"b"]) == [None, b"1"]
    with simdrive.Store(tmp_path / "other.bin") as other:
        store.copy(b"b", other)
        assert (store.read(b"b"), other.read(b"b")) == (b"1", b"1")
        store.write(b"b", b"2")
        store.transfer(b"b", other)
        assert (store.read(b"b"), other.read(b"b")) == (None, b"2")
        for call in (store.copy, store.transfer):
            with pytest.raises(simdrive.KeyNotFoundError) as caught:
                call(b"nothing", other)
            assert isinstance(caught.value, KeyError)
            with pytest.raises(simdrive.InvalidKeyError):
                call(b"b", store)
    with pytest.raises(simdrive.KeyNotFoundError):
        store.rename(b"nothing", b"c")
    with pytest.raises(simdrive.InvalidKeyError):
        store.rename(b"b", b"b")


def test_compact_verify_recover(store: simdrive.Store) -> None:
    for i in range(100):
        store.write(b"key", b"%d" % i * 100)
    store.write(b"other", b"x")
    entry: Any = store.read_entry(b"key")
    before = store.file_size()
    told: list[tuple[int, int]] = []
    report = store.verify(progress=lambda done, total: told.append((done, total)))
    assert (report.ok, report.entries, report.bad, report.bad_count, report.tail_offset) == (True, 101, (), 0, before)
    assert told
    assert told[-1][0] <= told[-1][1] == before
    savings = store.estimate_compaction_savings()
    result = store.compact(progress=lambda _done, _total: None)
    assert (result.before, result.after, result.entries) == (before, store.file_size(), 2)
    assert result.before - result.after <= savings
    assert (store.generation, entry) == (1, b"99" * 100)
    assert store.read(b"key") == b"99" * 100
    store.write(b"key", b"on it goes")
    assert store.recover().to_dict() == {
        "kept_bytes": store.file_size(), "dropped_bytes": 0, "entries": 3, "backup_path": None,
    }  # fmt: skip
    assert json.loads(json.dumps(report.to_dict()))["tail_offset"] == before


def test_compact_to_a_target(tmp_path: Path) -> None:
    with simdrive.Store(tmp_path / "a.bin") as store:
        store.write(b"a", b"1")
        store.write(b"a", b"2")
        tail = store.tail
        result = store.compact(tmp_path / "b.bin")
        assert (result.entries, store.tail, store.generation) == (1, tail, 0)
        with pytest.raises(simdrive.StoreError, match="compact"):
            store.compact(tmp_path / "b.bin")
    with simdrive.Store(tmp_path / "b.bin", mode="r") as other:
        assert other.read(b"a") == b"2"


def test_readers_see_what_is_new_after_refresh(tmp_path: Path) -> None:
    path = tmp_path / "store.bin"
    with simdrive.Store(path) as writer, simdrive.Store(path, mode="r") as reader:
        writer.write(b"a", b"1")
        assert reader.read(b"a") is None
        assert reader.refresh() == writer.tail == writer.refresh()
        assert reader.read(b"a") == b"1"
        writer.write(b"a", b"2")
        writer.compact()
        assert reader.refresh() == writer.tail
        assert (reader.read(b"a"), reader.generation) == (b"2", 1)
        with pytest.raises(simdrive.StoreReadOnlyError, match=r"write .*store\.bin") as caught:
            reader.write(b"b", b"1")
        assert caught.value.endpoint == str(path)
        assert (reader.read_only, writer.read_only) == (True, False)
        reader.flush()


def test_sync_modes(tmp_path: Path) -> None:
    for sync in ("none", "batch", "always"):
        path = tmp_path / f"{sync}.bin"
        with simdrive.Store(path, sync=sync, sync_interval=0.01) as store:
            store.write(b"a", b"1")
            store.flush()
        with simdrive.Store(path) as store:
            assert store.read(b"a") == b"1"
            assert store.opened == simdrive.OpenReport(64, 0, None, False, None)


def test_metadata(store: simdrive.Store) -> None:
    store.write(b"a", b"1")
    store.write(b"key", b"value")
    found = store.metadata(b"key")
    assert found is not None
    assert found == simdrive.EntryMetadata(KeyHash(hashing.xxh3_64(b"key")), 21, hashing.crc32(b"value"), 5)
    assert store.metadata(b"nothing") is None
    assert list(found.to_dict()) == ["key_hash", "prev_offset", "checksum", "size"]


def test_progress_of_single_calls(store: simdrive.Store) -> None:
    told: list[tuple[int, int]] = []

    def tell(done: int, total: int) -> None:
        told.append((done, total))

    store.write(b"a", b"12345", progress=tell)
    store.batch_write([(b"b", b"12"), (b"c", b"3")], progress=tell)
    store.read(b"a", progress=tell)
    store.batch_read([b"a", b"b"], progress=tell)
    store.batch_read_structured([{"x": b"a"}, {"y": b"c"}], progress=tell)
    store.batch_delete([b"a"], progress=tell)
    assert told == [(5, 5), (3, 3), (5, 5), (7, 7), (6, 6), (1, 1)]
    view = store.namespace(b"users")
    view.write(b"a", b"12")
    told.clear()
    view.batch_read_structured({"x": b"a"}, progress=tell)
    view.batch_delete([b"a", b"b"], progress=tell)
    assert told == [(2, 2), (2, 2)]


def test_close(store: simdrive.Store) -> None:
    store.write(b"a", b"1")
    view = store.namespace(b"n")
    store.close()
    store.close()
    assert store.closed
    assert view.closed
    assert "(closed)" in repr(store)
    calls: list[Any] = [
        lambda: store.read(b"a"), lambda: store.write(b"a", b"1"), lambda: store.batch_read([b"a"]),
        lambda: store.batch_write([(b"a", b"1")]), lambda: store.delete(b"a"), lambda: b"a" in store,
        lambda: len(store), store.is_empty, store.file_size, store.iter_entries, store.read_last_entry,
        store.verify, store.compact, store.recover, store.flush, store.refresh,
        store.estimate_compaction_savings, lambda: store.metadata(b"a"),
        lambda: store.write_stream(b"a", [b"1"]), lambda: next(store.read_stream(b"a")),
        lambda: store.rename(b"a", b"b"), lambda: view.read(b"a"),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(simdrive.ClosedError):
            call()


def test_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paths: list[Any] = ["a.bin", b"b.bin", Path("c.bin"), "d \u00e9?#.bin"]
    for i, path in enumerate(paths):
        with simdrive.Store(path) as store:
            store.write(b"a", b"%d" % i)
            assert store.path == str(tmp_path / os.fsdecode(path))
            with simdrive.open_store(store.options.replace(mode="r").url) as again:
                assert again.read(b"a") == b"%d" % i
    with simdrive.Store("e.bin") as store:
        (tmp_path / "folder").mkdir()
        monkeypatch.chdir(tmp_path / "folder")
        store.write(b"a", b"1")
        store.compact()
        assert store.file_size() == (tmp_path / "e.bin").stat().st_size
    for wrong in ("", "a\0b"):
        with pytest.raises(simdrive.ConfigurationError):
            simdrive.Store(wrong)


@pytest.mark.skipif(os.name == "nt", reason="names of files are text there")
def test_paths_that_are_no_text(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff\xfe.bin"
    with simdrive.Store(path) as store:
        store.write(b"a", b"1")
        with pytest.raises(simdrive.StoreLockedError):
            simdrive.Store(path)
        with simdrive.open_store(store.options.replace(mode="r").url) as again:
            assert again.read(b"a") == b"1"


def test_options_and_pickling(tmp_path: Path) -> None:
    path = tmp_path / "store.bin"
    simdrive.Store(path).close()
    with simdrive.Store(path, mode="r", verify=True) as store:
        assert store.options == simdrive.StoreOptions(str(path), mode="r", verify=True)
        with pickle.loads(pickle.dumps(store)) as again, copy.copy(store) as third:  # noqa: S301  # ours
            assert type(again) is simdrive.Store
            assert again.options == third.options == store.options
    with simdrive.MemoryStore() as memory, pytest.raises(TypeError, match="pickled"):
        pickle.dumps(memory)


@pytest.mark.filterwarnings("always::ResourceWarning")
def test_forgotten_store_warns_and_unlocks(tmp_path: Path) -> None:
    path = tmp_path / "store.bin"
    stores = [simdrive.Store(path)]
    with pytest.warns(ResourceWarning, match=r"unclosed.*store\.bin"):
        stores.clear()
    gc.collect()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store = simdrive.Store(path)
        store.close()
        del store
        with pytest.raises(simdrive.StoreNotFoundError):
            simdrive.Store(tmp_path / "none", create=False)
        gc.collect()


@pytest.mark.parametrize(
    ("target", "mode"),
    [("file://{}", "a"), ("file:{}?mode=r", "r"), ("FILE://localhost{}?mode=r&verify=1&lock=off", "r"), ("{}", "a")],
)
def test_open_store(tmp_path: Path, target: str, mode: str) -> None:
    path = tmp_path / "a store.bin"
    simdrive.Store(path).close()
    shown = str(path).replace(" ", "%20") if ":" in target else str(path)
    with simdrive.open_store(target.format(shown)) as store:
        assert isinstance(store, simdrive.Store)
        assert (store.path, store.options.mode) == (str(path), mode)
    with simdrive.open_store(path, sync="batch") as store:
        assert isinstance(store, simdrive.Store)
        assert store.options.sync == "batch"
    with simdrive.open_store(f"file:{path}?sync=none&sync_interval=2.5", sync="always") as store:
        assert isinstance(store, simdrive.Store)
        assert (store.options.sync, store.options.sync_interval) == ("always", 2.5)


def test_open_store_in_memory() -> None:
    for target in ("memory://", "memory:", "memory://?verify=1"):
        with simdrive.open_store(target) as store:
            assert isinstance(store, simdrive.MemoryStore)
            store.write(b"a", b"1")
            assert (len(store), store.path) == (1, None)


@pytest.mark.parametrize(
    "target",
    [
        "redis://host", "http://host/store", "file://other/path", "file:", "file://", "file:///x?unknown=1",
        "file:///x?mode=q", "file:///x?lock=maybe", "file:///x?mode=r&mode=a", "file:///x?mode", "file:///x#y",
        "file:///x?sync_interval=soon", "file:///x?sync_interval=0", "memory://name", "memory://?mode=r", "ws://",
        "ws://host:port", "file:///%00", "file:///x?sync_interval=nan",
    ],
)  # fmt: skip
def test_open_store_refuses(target: str) -> None:
    with pytest.raises(simdrive.ConfigurationError):
        simdrive.open_store(target)
    with pytest.raises(simdrive.ConfigurationError, match="unknown option"):
        simdrive.open_store("memory://", nonsense=1)


def test_open_store_hides_passwords() -> None:
    with pytest.raises(simdrive.ConfigurationError) as caught:
        simdrive.open_store("redis://user:secret@host")
    assert "secret" not in str(caught.value)


def test_methods_are_those_of_a_client() -> None:
    """Same names and arguments, but for `timeout` and what only requests to a server have."""
    other = {"ping", "server_info", "pipeline"}
    for name in set(dir(simdrive.Client)) - set(dir(object)):
        if name.startswith("_") or name in other or not callable(getattr(simdrive.Client, name)):
            continue
        theirs = inspect.signature(getattr(simdrive.Client, name)).parameters
        ours = inspect.signature(getattr(simdrive.Store, name)).parameters
        ours_alone = {"allow_null"}
        assert [p for p in theirs if p not in {"timeout", "max_bytes"}] == [p for p in ours if p not in ours_alone], (
            name
        )
        for parameter in ours.values():
            if parameter.name in theirs:
                assert parameter.default == theirs[parameter.name].default
                assert parameter.kind == theirs[parameter.name].kind


@pytest.mark.parametrize(
    ("items", "words"),
    [
        (5, "or a mapping, not int"),
        ([5], "item 0 is int"),
        ([(b"a", b"b"), b"ab"], "item 1 is bytes"),
        ([(b"a",)], "item 0 has 1 parts"),
        ([[b"a", b"b", b"c"]], "item 0 has 3 parts"),
    ],
)
def test_batches_of_what_is_no_pair(items: Any, words: str) -> None:
    async def asynchronous(url: str) -> None:
        async with await simdrive.aconnect(url) as client:
            for target in (client, client.namespace(b"n")):
                with pytest.raises(TypeError, match=f"^items must be pairs of key and value.*{words}"):
                    await target.batch_write(items)

    with simdrive.MemoryStore() as store, simdrive.Server(store) as server, simdrive.connect(server.url) as client:
        targets: list[Any] = [store, store.namespace(b"n"), client, client.namespace(b"n")]
        for target in targets:
            with pytest.raises(TypeError, match=f"^items must be pairs of key and value.*{words}"):
                target.batch_write(items)
        asyncio.run(asynchronous(server.url))
        assert len(store) == 0
