"""Mappings and namespaces of a store, and that they are those of a client."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest

import simdrive


@pytest.fixture
def store(tmp_path: Path) -> Iterator[simdrive.Store]:
    with simdrive.Store(tmp_path / "store.bin") as opened:
        yield opened


def test_mapping(store: simdrive.Store) -> None:
    mapping = store.mapping()
    assert isinstance(mapping, MutableMapping)
    mapping[b"a"] = b"1"
    mapping.update({b"b": b"2", b"c": b"3"})
    assert (mapping[b"a"], mapping.get(b"x"), mapping.get(b"x", b"d"), len(mapping)) == (b"1", None, b"d", 3)
    assert b"b" in mapping
    assert mapping.pop(b"b") == b"2"
    assert mapping.setdefault(b"b", b"4") == b"4"
    del mapping[b"c"]
    assert store.batch_read([b"a", b"b", b"c"]) == [b"1", b"4", None]
    calls: list[Any] = [lambda: mapping[b"c"], lambda: mapping.pop(b"c"), lambda: mapping.__delitem__(b"c")]
    for call in calls:
        with pytest.raises(KeyError, match=r"store\.bin") as caught:
            call()
        assert isinstance(caught.value, simdrive.KeyNotFoundError)
        assert caught.value.endpoint == store.path
    for call in (mapping.keys, mapping.items, mapping.values, mapping.clear, lambda: iter(mapping)):
        with pytest.raises(simdrive.UnsupportedOperationError, match="cannot list keys"):
            call()
    with mapping:
        pass
    assert not store.closed


def test_namespace(store: simdrive.Store) -> None:
    users, others = store.namespace(b"users"), store.namespace(b"others")
    users.write(b"a", b"1")
    others.write(b"a", b"2")
    assert (users.read(b"a"), others.read(b"a"), store.read(b"a")) == (b"1", b"2", None)
    name = simdrive.NamespaceHasher(b"users").namespace(b"a")
    assert store.read(name) == b"1"
    inner = users.namespace(b"inner")
    inner.batch_write({b"x": b"3", b"y": b"4"})
    assert inner.batch_read([b"x", b"a", b"y"]) == [b"3", None, b"4"]
    assert inner.batch_read_structured({"one": b"x"}) == {"one": b"3"}
    inner.rename(b"x", b"z")
    assert (b"x" in inner, inner.exists(b"z"), b"z" in users) == (False, True, False)
    inner.batch_delete([b"y", b"z"])
    entry = users.read_entry(b"a")
    assert entry is not None
    assert entry == b"1" == users.read(b"a", out="view")
    found = users.metadata(b"a")
    assert found is not None
    assert found.key_hash == entry.key_hash
    users.mapping()[b"m"] = b"5"
    assert users.read(b"m") == b"5"
    assert bool(users)
    assert users.file_size() == store.file_size()
    users.delete(b"m")
    with pytest.raises(simdrive.KeyNotFoundError, match=r"under KeyHash\(0x0{15}1\)") as absent:
        store.mapping()[simdrive.KeyHash(1)]  # type: ignore[index]
    assert absent.value.key_hint is None
    users.flush()
    assert len(store) == 2
    counts: list[Any] = [lambda: len(users), users.is_empty]
    for call in counts:
        with pytest.raises(simdrive.UnsupportedOperationError, match="of a namespace"):
            call()
    with pytest.raises(TypeError):
        users.read(simdrive.KeyHash(1))  # type: ignore[call-overload]
    with pytest.raises(simdrive.InvalidValueError) as caught:
        users.batch_write([(b"fine", b"1"), (b"bad", b"")])
    assert caught.value.key_hint == b"bad".hex()
    with pytest.raises(simdrive.KeyNotFoundError) as missing:
        users.rename(b"nothing", b"x")
    assert missing.value.key_hint == b"nothing".hex()
    with users:
        pass
    assert users.closed
    assert not store.closed
    with pytest.raises(simdrive.ClosedError, match="namespace was closed"):
        users.read(b"a")


def test_unpickled_namespace_owns_its_store(tmp_path: Path) -> None:
    simdrive.Store(tmp_path / "store.bin").close()
    with simdrive.Store(tmp_path / "store.bin", mode="r") as store:
        view = store.namespace(b"a").namespace(b"b")
        with pickle.loads(pickle.dumps(view)) as again:  # noqa: S301  # ours
            assert repr(again) == repr(view)
            assert again.read(b"key") is None
        with pytest.raises(simdrive.ClosedError):
            again.read(b"key")
        assert not store.closed


def test_a_namespace_has_the_arguments_of_its_store() -> None:
    for name in dir(simdrive.NamespacedStore):
        if not name.startswith("_") and callable(getattr(simdrive.NamespacedStore, name)):
            ours = inspect.signature(getattr(simdrive.NamespacedStore, name)).parameters.values()
            theirs = inspect.signature(getattr(simdrive.Store, name)).parameters.values()
            assert [(p.name, p.kind, p.default) for p in ours] == [(p.name, p.kind, p.default) for p in theirs], name


def test_keys_are_those_of_a_client_namespace() -> None:
    with simdrive.MemoryStore() as store:
        store.namespace(b"p").namespace(b"q").write(b"key", b"value")
        inner = simdrive.NamespaceHasher(b"q").namespace(b"key")
        assert store.read(simdrive.NamespaceHasher(b"p").namespace(inner)) == b"value"
