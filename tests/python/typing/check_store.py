"""Read by mypy, never run: the types that a user of the embedded store sees."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from typing_extensions import assert_type

import simdrive


def opening(path: Path) -> None:
    with simdrive.Store(path, mode="r", sync="batch", sync_interval=0.5, verify=True) as store:
        assert_type(store, simdrive.Store)
    simdrive.Store("store.bin")
    simdrive.Store(b"store.bin", create=False, lock=False)
    with simdrive.MemoryStore(verify=True) as memory:
        assert_type(memory, simdrive.MemoryStore)
    assert_type(simdrive.open_store("memory://"), simdrive.Store | simdrive.Client)
    assert_type(simdrive.open_store(path, mode="r"), simdrive.Store | simdrive.Client)
    assert_type(simdrive.Store.recover_file(path), simdrive.RecoverReport)
    simdrive.Store(5)  # type: ignore[arg-type]
    simdrive.Store(path, timeout=1)  # type: ignore[call-arg]


def calls(store: simdrive.Store, other: simdrive.MemoryStore, buffer: bytearray) -> None:
    assert_type(store.write(b"key", buffer), None)
    store.write(simdrive.KeyHash(1), b"value")
    store.batch_write([(b"key", buffer), (simdrive.KeyHash(1), b"value")])
    store.batch_write({b"key": b"value"}, allow_null=True)
    assert_type(store.read(b"key"), bytes | None)
    assert_type(store.read(b"key", default=0), bytes | int)
    assert_type(store.read(b"key", out=buffer), int | None)
    assert_type(store.read(b"key", out="view"), simdrive.Entry | None)
    assert_type(store.batch_read([b"a", simdrive.KeyHash(1)]), list[bytes | None])
    assert_type(store.batch_read([b"a"], out="view"), list[simdrive.Entry | None])
    assert_type(store.batch_read_structured({"a": b"key"}), dict[str, bytes | None])
    assert_type(store.read_entry(b"key"), simdrive.Entry | None)
    assert_type(store.read_last_entry(), simdrive.Entry | None)
    assert_type(list(store.iter_entries()), list[simdrive.Entry])
    assert_type(store.metadata(b"key"), simdrive.EntryMetadata | None)
    assert_type(store.exists(b"key"), bool)
    assert_type(b"key" in store, bool)
    assert_type(len(store), int)
    store.batch_delete([b"a", b"b"])
    store.rename(b"a", b"b")
    store.copy(b"a", other)
    store.transfer(b"a", other)
    assert_type(store.verify(), simdrive.VerifyReport)
    assert_type(store.recover(), simdrive.RecoverReport)
    assert_type(store.compact(), simdrive.CompactResult)
    assert_type(store.compact("other.bin", progress=print), simdrive.CompactResult)
    assert_type(store.opened, simdrive.OpenReport)
    assert_type(store.options, simdrive.StoreOptions)
    assert_type(store.path, str | None)
    assert_type(store.mapping(), simdrive.StoreMapping)
    assert_type(store.namespace(b"users"), simdrive.NamespacedStore)
    store.write("key", b"value")  # type: ignore[arg-type]
    store.read(5)  # type: ignore[call-overload]
    store.rename(simdrive.KeyHash(1), b"b")  # type: ignore[arg-type]


def streams(store: simdrive.Store, view: simdrive.NamespacedStore, file: BinaryIO) -> None:
    assert_type(store.write_stream(b"key", file, size=5), int)
    assert_type(view.write_stream(b"key", [b"a", bytearray(b"b")]), int)
    assert_type(store.read_stream(b"key"), Iterator[simdrive.Value])
    assert_type(view.read_into(b"key", file), int)
    assert_type(view.read(b"key", out="view"), simdrive.Entry | None)


def entries(entry: simdrive.Entry) -> None:
    value: simdrive.Value = entry
    assert_type(entry[1:2], simdrive.Value)
    assert_type(entry.key_hash, simdrive.KeyHash)
    assert_type(entry.offset_range, tuple[int, int])
    assert_type(entry.is_valid_checksum(), bool)
    assert_type(value.view(), memoryview)
