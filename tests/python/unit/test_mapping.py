"""A store as a mapping."""

from __future__ import annotations

import pickle
from collections import UserDict
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import pytest

import simdrive
from simdrive import KeyNotFoundError, StoreMapping
from support.fault_peer import FaultPeer


@pytest.fixture(params=["d13", "d21"])
def peer(request: pytest.FixtureRequest) -> Iterator[FaultPeer]:
    with FaultPeer(request.param) as running:
        yield running
    assert running.errors == []


@pytest.fixture(params=["client", "namespace"])
def mapping(request: pytest.FixtureRequest, peer: FaultPeer) -> Iterator[StoreMapping]:
    with simdrive.connect(peer.url) as client:
        yield client.mapping() if request.param == "client" else client.namespace(b"users").mapping()


def methods(peer: FaultPeer) -> list[str]:
    return [call.method for call in peer.calls]


def test_items(peer: FaultPeer, mapping: StoreMapping) -> None:
    mapping[b"key"] = b"value"
    mapping[bytearray(b"other")] = memoryview(b"more")
    assert mapping[b"key"] == b"value"
    assert mapping[memoryview(b"other")] == b"more"
    assert b"key" in mapping
    del mapping[b"key"]
    assert b"key" not in mapping
    assert methods(peer) == ["write", "write", "read", "read", "exists", "exists", "delete", "exists"]
    assert isinstance(mapping, MutableMapping)


@pytest.mark.parametrize(
    ("op", "attempt"),
    [
        ("read", lambda m: m[b"a key of more than 16 bytes"]),
        ("delete", lambda m: m.__delitem__(b"a key of more than 16 bytes")),
        ("pop", lambda m: m.pop(b"a key of more than 16 bytes")),
    ],
)
def test_an_absent_key(
    peer: FaultPeer, mapping: StoreMapping, op: str, attempt: Callable[[StoreMapping], object]
) -> None:
    with pytest.raises(KeyError) as caught:
        attempt(mapping)
    error = caught.value
    assert isinstance(error, KeyNotFoundError)
    assert isinstance(error, simdrive.SimdriveError)
    assert str(error) == f"{op} on {peer.url}: there is no value under the key b'a key of more th'..."
    assert (error.op, error.key_hint, error.endpoint) == (op, b"a key of more th".hex(), peer.url)
    assert error.outcome == "not applied"
    assert "delete" not in methods(peer)


def test_get(peer: FaultPeer, mapping: StoreMapping) -> None:
    mapping[b"key"] = b"value"
    assert mapping.get(b"key") == b"value"
    assert mapping.get(b"absent") is None
    assert mapping.get(b"absent", 5) == 5
    assert methods(peer) == ["write", "read", "read", "read"]


def test_pop(peer: FaultPeer, mapping: StoreMapping) -> None:
    mapping[b"key"] = b"value"
    assert mapping.pop(b"key") == b"value"
    assert mapping.pop(b"key", None) is None
    assert mapping.pop(b"key", b"default") == b"default"
    assert methods(peer) == ["write", "read", "delete", "read", "read"]


def test_setdefault(peer: FaultPeer, mapping: StoreMapping) -> None:
    assert mapping.setdefault(b"key", bytearray(b"first")) == b"first"
    assert mapping.setdefault(b"key", b"second") == b"first"
    assert methods(peer) == ["read", "write", "read"]


class OnlyKeys:
    def keys(self) -> list[bytes]:
        return [b"a", b"b"]

    def __getitem__(self, key: bytes) -> bytes:
        return key + b"!"


@pytest.mark.parametrize(
    "other",
    [
        lambda: {b"a": b"a!", b"b": b"b!"},
        lambda: UserDict({b"a": b"a!", b"b": b"b!"}),
        lambda: [(b"a", b"old"), (b"a", b"a!"), (b"b", b"b!")],
        lambda: ((key, key + b"!") for key in (b"a", b"b")),
        OnlyKeys,
    ],
)
def test_update_is_one_request(peer: FaultPeer, other: Callable[[], Any]) -> None:
    with simdrive.connect(peer.url) as client:
        mapping = client.mapping()
        mapping.update(other())
        assert methods(peer) == ["batch_write"]
        assert [mapping[b"a"], mapping[b"b"]] == [b"a!", b"b!"]


def test_update_of_nothing(peer: FaultPeer, mapping: StoreMapping) -> None:
    mapping.update()
    mapping.update({})
    assert methods(peer) == []


def test_a_refused_update_stores_nothing(peer: FaultPeer, mapping: StoreMapping) -> None:
    with pytest.raises(simdrive.InvalidValueError) as caught:
        mapping.update({b"good": b"value", b"bad": b""})
    assert caught.value.key_hint == b"bad".hex()
    with pytest.raises(TypeError, match="str"):
        mapping.update(name=b"value")
    with pytest.raises(TypeError):
        mapping.update({"name": b"value"})
    assert methods(peer) == []


@pytest.mark.parametrize(
    ("other", "kind", "says"),
    [
        ([(b"a", b"1"), (b"b",)], ValueError, r"^item 1 must be a pair of key and value; it has 1 part$"),
        ([(b"a", b"1", b"2")], ValueError, r"^item 0 must be a pair of key and value; it has 3 parts$"),
        ([(b"a", b"1"), 5], TypeError, r"^item 1 must be a pair of key and value, not int$"),
        ([b"ab"], TypeError, r"^item 0 must be a pair of key and value, not bytes$"),
        (b"ab", TypeError, r"^update takes a mapping, or pairs of key and value, not bytes$"),
        ("ab", TypeError, r"^update takes a mapping, or pairs of key and value, not str$"),
        (5, TypeError, "not iterable"),
    ],
)
def test_an_update_of_no_pairs(
    peer: FaultPeer, mapping: StoreMapping, other: Any, kind: type[Exception], says: str
) -> None:
    with pytest.raises(kind, match=says):
        mapping.update(other)
    assert methods(peer) == []


def test_closing_closes_nothing(peer: FaultPeer) -> None:
    with simdrive.connect(peer.url) as client:
        for owner in (client, client.namespace(b"a")):
            with owner.mapping() as mapping:
                mapping[b"key"] = b"value"
            assert mapping[b"key"] == b"value"
            with pickle.loads(pickle.dumps(mapping)) as other:  # noqa: S301
                assert other[b"key"] == b"value"
            with pytest.raises(simdrive.ClosedError):
                other[b"key"]
            assert mapping[b"key"] == b"value"


# ---- what needs a list of the keys ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("op", "attempt"),
    [
        ("iterate", iter),
        ("iterate", list),
        ("keys", lambda m: m.keys()),
        ("keys", dict),
        ("values", lambda m: m.values()),
        ("items", lambda m: m.items()),
        ("popitem", lambda m: m.popitem()),
        ("clear", lambda m: m.clear()),
        ("==", lambda m: m == {b"key": b"value"}),
        ("==", lambda m: m != {}),
        ("==", lambda m: {} == m),  # noqa: SIM300  # the other one is asked first
    ],
)
def test_listing_is_not_supported(
    peer: FaultPeer, mapping: StoreMapping, op: str, attempt: Callable[[StoreMapping], object]
) -> None:
    mapping[b"key"] = b"value"
    with pytest.raises(simdrive.UnsupportedOperationError, match=r"cannot list keys \(.*\)") as caught:
        attempt(mapping)
    assert isinstance(caught.value, NotImplementedError)
    assert (caught.value.op, caught.value.endpoint) == (op, peer.url)
    assert mapping[b"key"] == b"value"
    with pytest.raises(simdrive.UnsupportedOperationError):
        mapping.update(mapping)


def test_what_can_be_compared(peer: FaultPeer) -> None:
    with simdrive.connect(peer.url) as client:
        mapping = client.mapping()
        assert mapping == mapping
        assert mapping == client.mapping()
        assert mapping != 5
        assert mapping != [b"key"]
        with pytest.raises(simdrive.UnsupportedOperationError):
            assert mapping == client.namespace(b"users").mapping()
        with pytest.raises(TypeError):
            hash(mapping)
    assert peer.calls == []


def test_length(peer: FaultPeer) -> None:
    with simdrive.connect(peer.url) as client:
        mapping = client.mapping()
        assert len(mapping) == 0
        assert not mapping
        mapping[b"key"] = b"value"
        assert len(mapping) == 1
        assert mapping
        for attempt in (len, bool):
            with pytest.raises(simdrive.UnsupportedOperationError, match="namespace"):
                attempt(client.namespace(b"users").mapping())


def test_text_is_refused(peer: FaultPeer, mapping: Any) -> None:
    for attempt in (
        lambda: mapping["key"],
        lambda: "key" in mapping,
        lambda: mapping.get("key"),
        lambda: mapping.pop("key", None),
        lambda: mapping.__delitem__("key"),
        lambda: mapping.__setitem__("key", b"value"),
        lambda: mapping.__setitem__(b"key", "value"),
    ):
        with pytest.raises(TypeError, match="str"):
            attempt()
    assert peer.calls == []


def test_repr(peer: FaultPeer) -> None:
    with simdrive.connect(peer.url) as client:
        assert repr(client.mapping()) == f"StoreMapping({client!r})"
