"""Views of a client that keep keys apart."""

from __future__ import annotations

import copy
import gc
import inspect
import pickle
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import simdrive
from simdrive import NamespaceHasher
from simdrive.namespace import NamespacedClient
from support.fault_peer import Behaviour, Call, Connection, FaultPeer


@pytest.fixture(params=["d13", "d21"])
def peer(request: pytest.FixtureRequest) -> Iterator[FaultPeer]:
    with FaultPeer(request.param) as running:
        yield running
    assert running.errors == []


@pytest.fixture
def client(peer: FaultPeer) -> Iterator[simdrive.Client]:
    with simdrive.connect(peer.url) as opened:
        yield opened


@pytest.fixture
def view(client: simdrive.Client) -> NamespacedClient:
    return client.namespace(b"users")


NAMES = NamespaceHasher(b"users")


def test_the_same_methods(client: simdrive.Client) -> None:
    public = {name for name in dir(simdrive.Client) if not name.startswith("_")}
    assert public <= set(dir(NamespacedClient))
    for name in sorted(public - {"closed", "options"}):
        ours = inspect.signature(getattr(NamespacedClient, name)).parameters
        theirs = inspect.signature(getattr(simdrive.Client, name)).parameters
        for parameter in theirs.values():
            assert ours[parameter.name].kind is parameter.kind, name
            assert ours[parameter.name].default == parameter.default, name
        assert set(ours) == set(theirs), name


def test_keys_are_hashed(peer: FaultPeer, client: simdrive.Client, view: NamespacedClient) -> None:
    view.write(b"alice", b"1")
    view.batch_write({b"bob": b"2"})
    view.batch_write([(bytearray(b"carol"), memoryview(b"3"))])
    assert peer.store.entries == {
        NAMES.namespace(b"alice"): b"1",
        NAMES.namespace(b"bob"): b"2",
        NAMES.namespace(b"carol"): b"3",
    }
    assert view.read(b"alice") == b"1"
    assert view.read(b"nobody", default=5) == 5
    buffer = bytearray(1)
    assert view.read(memoryview(b"bob"), out=buffer) == 1
    assert buffer == b"2"
    assert view.batch_read([b"carol", b"nobody", bytearray(b"alice")]) == [b"3", None, b"1"]
    assert view.batch_read(iter([b"bob"])) == [b"2"]
    assert view.batch_read([]) == []
    assert view.batch_read_structured({"x": b"alice", "y": b"nobody"}) == {"x": b"1", "y": None}
    assert view.batch_read_structured([{1: b"bob"}, {}]) == [{1: b"2"}, {}]
    assert view.exists(b"alice") is True
    assert b"alice" in view
    assert b"alice" not in client
    view.delete(b"alice")
    assert view.exists(b"alice") is False
    assert client.namespace(b"others").read(b"bob") is None
    assert len(client) == 2


def test_one_call_is_one_request(peer: FaultPeer, view: NamespacedClient) -> None:
    view.batch_write({b"%d" % i: b"value" for i in range(50)})
    view.batch_read([b"%d" % i for i in range(50)])
    assert [call.method for call in peer.calls] == ["batch_write", "batch_read"]


def test_keys_of_any_length(peer: FaultPeer) -> None:
    with simdrive.connect(peer.url, max_key_size=16) as client:
        view = client.namespace(b"")
        view.write(b"", b"empty")
        view.write(b"k" * 1000, b"long")
        assert view.batch_read([b"", b"k" * 1000]) == [b"empty", b"long"]


def test_nesting(peer: FaultPeer, client: simdrive.Client) -> None:
    outer, inner = NamespaceHasher(b"a"), NamespaceHasher(b"b")
    view = client.namespace(b"a").namespace(bytearray(b"b"))
    view.write(b"key", b"value")
    view.batch_write({b"other": b"more"})
    assert set(peer.store.entries) == {
        outer.namespace(inner.namespace(b"key")),
        outer.namespace(inner.namespace(b"other")),
    }
    assert view.batch_read([b"key", b"other"]) == [b"value", b"more"]
    # What was written under `a` alone, or with the prefixes joined or changed over, is something else.
    for other in (client.namespace(b"a"), client.namespace(b"ab"), client.namespace(b"b").namespace(b"a")):
        assert other.read(b"key") is None
    # A namespace of a namespace is one of the names that it makes.
    assert client.namespace(b"a").read(inner.namespace(b"key")) == b"value"
    assert view.namespace(b"c").read(b"key") is None


def test_the_server_is_the_same(peer: FaultPeer, client: simdrive.Client, view: NamespacedClient) -> None:
    view.write(b"key", b"value")
    assert view.file_size() == client.file_size()
    assert view.ping() > 0
    assert view.server_info() == client.server_info()
    assert view.options is client.options
    assert peer.connections == 1


@pytest.mark.parametrize("attempt", [len, lambda view: view.is_empty(), lambda view: view.is_empty(timeout=1)])
def test_nothing_is_counted(
    peer: FaultPeer, view: NamespacedClient, attempt: Callable[[NamespacedClient], object]
) -> None:
    with pytest.raises(simdrive.UnsupportedOperationError, match="under a prefix") as caught:
        attempt(view)
    assert caught.value.op in {"len", "is_empty"}
    assert caught.value.endpoint == peer.url
    assert bool(view) is True
    assert peer.calls == []


@pytest.mark.parametrize("prefix", ["text", 5, None])
def test_prefixes_are_bytes(client: simdrive.Client, prefix: Any) -> None:
    with pytest.raises(TypeError):
        client.namespace(prefix)
    with pytest.raises(TypeError):
        client.namespace(b"a").namespace(prefix)


@pytest.mark.parametrize("wrong", ["text", 5, None, ["a"]])
def test_keys_are_bytes(peer: FaultPeer, view: NamespacedClient, wrong: Any) -> None:
    nested = view.namespace(b"inner")
    attempts: list[Callable[[], object]] = [
        lambda: view.write(wrong, b"value"),
        lambda: view.write(b"key", wrong),
        lambda: view.read(wrong),
        lambda: nested.read(wrong),
        lambda: wrong in view,
        lambda: view.delete(wrong),
        lambda: view.batch_write([(b"key", wrong)]),
        lambda: view.batch_write([(wrong, b"value")]),
        lambda: view.batch_write([b"kv"]),  # type: ignore[list-item]
        lambda: view.batch_write(5),  # type: ignore[arg-type]
        lambda: view.batch_read([b"key", wrong]),
        lambda: nested.batch_read([b"key", wrong]),
        lambda: view.batch_read(b"key"),  # type: ignore[arg-type]
        lambda: view.batch_read_structured({"a": wrong}),
        lambda: view.batch_read_structured([b"key"]),  # type: ignore[arg-type]
    ]
    for attempt in attempts:
        with pytest.raises(TypeError):
            attempt()
    assert peer.calls == []


# ---- errors ---------------------------------------------------------------------------------------------------------


def no_reply(connection: Connection, call: Call) -> None:
    """Leaves the caller waiting."""


@pytest.mark.parametrize(
    ("op", "attempt"),
    [
        ("write", lambda view: view.write(b"a key of more than 16", b"value", timeout=0.05)),
        ("read", lambda view: view.read(b"a key of more than 16", timeout=0.05)),
        ("delete", lambda view: view.delete(b"a key of more than 16", timeout=0.05)),
        ("exists", lambda view: view.exists(b"a key of more than 16", timeout=0.05)),
    ],
)
def test_an_error_tells_the_callers_key(op: str, attempt: Callable[[NamespacedClient], object]) -> None:
    silent = Behaviour(call=no_reply, times=None)
    with FaultPeer(script=[silent]) as peer, simdrive.connect(peer.url) as client:
        for view in (client.namespace(b"users"), client.namespace(b"users").namespace(b"inner")):
            with pytest.raises(simdrive.OperationTimeout) as caught:
                attempt(view)
            assert caught.value.op == op
            assert caught.value.key_hint == b"a key of more th".hex()


@pytest.mark.parametrize("nested", [False, True])
def test_a_refused_item_is_told(peer: FaultPeer, view: NamespacedClient, nested: bool) -> None:
    if nested:
        view = view.namespace(b"inner")
    attempts: list[Callable[[], object]] = [
        lambda: view.write(b"bad", b""),
        lambda: view.batch_write({b"good": b"value", b"bad": b"", b"worse": b"\0"}),
    ]
    for attempt in attempts:
        with pytest.raises(simdrive.InvalidValueError) as caught:
            attempt()
        assert caught.value.key_hint == b"bad".hex()
    assert peer.calls == []


def test_a_small_buffer(view: NamespacedClient) -> None:
    view.write(b"key", b"value")
    with pytest.raises(simdrive.BufferTooSmallError) as caught:
        view.read(b"key", out=bytearray(2))
    assert caught.value.key_hint == b"key".hex()


# ---- closing --------------------------------------------------------------------------------------------------------

CALLS: dict[str, Callable[[NamespacedClient], object]] = {
    "write": lambda view: view.write(b"key", b"value"),
    "batch_write": lambda view: view.batch_write([(b"key", b"value")]),
    "read": lambda view: view.read(b"key"),
    "batch_read": lambda view: view.batch_read([b"key"]),
    "delete": lambda view: view.delete(b"key"),
    "exists": lambda view: view.exists(b"key"),
    "contains": lambda view: b"key" in view,
    "file_size": lambda view: view.file_size(),
    "ping": lambda view: view.ping(),
    "server_info": lambda view: view.server_info(),
    "write_stream": lambda view: view.write_stream(b"key", [b"value"]),
    "read_stream": lambda view: list(view.read_stream(b"key")),
    "mapping": lambda view: view.mapping()[b"key"],
}


@pytest.mark.parametrize("call", CALLS)
def test_a_closed_view(peer: FaultPeer, client: simdrive.Client, call: str) -> None:
    with client.namespace(b"users") as view:
        assert view.closed is False
        nested = view.namespace(b"inner")
    view.close()
    assert view.closed is True
    assert nested.closed is False
    assert client.closed is False
    with pytest.raises(simdrive.ClosedError, match="namespace was closed"):
        CALLS[call](view)
    with pytest.raises(simdrive.ClosedError):
        view.namespace(b"more")
    assert peer.calls == []
    assert client.exists(b"key") is False
    assert nested.exists(b"key") is False


@pytest.mark.parametrize("call", [call for call in CALLS if call != "server_info"])
def test_a_view_of_a_closed_client(peer: FaultPeer, client: simdrive.Client, call: str) -> None:
    view = client.namespace(b"users")
    client.close()
    assert view.closed is True
    with pytest.raises(simdrive.ClosedError):
        CALLS[call](view)
    assert peer.calls == []


def test_pickling(peer: FaultPeer, client: simdrive.Client) -> None:
    view = client.namespace(b"users").namespace(b"inner")
    view.write(b"key", b"value")
    other: NamespacedClient
    first, other, third = pickle.loads(pickle.dumps((client, view, client.namespace(b"users"))))  # noqa: S301
    with first:
        assert other.read(b"key") == b"value"
        assert third.read(b"key") is None
        assert peer.connections == 2  # of three objects: one client
    assert other.closed is True


def reopened(thing: Any) -> Any:
    return pickle.loads(pickle.dumps(thing))  # noqa: S301


@pytest.mark.parametrize("mapping", [False, True])
def test_what_was_unpickled_owns_its_client(peer: FaultPeer, client: simdrive.Client, mapping: bool) -> None:
    """Nobody else can close it."""
    view, inner = client.namespace(b"a"), client.namespace(b"a").namespace(b"b")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with reopened(view.mapping() if mapping else view) as first:
            assert b"key" not in first
        second = reopened(inner.mapping() if mapping else inner)
        assert b"key" not in second
        for each in (first, second):
            each.close()
            each.close()
            with pytest.raises(simdrive.ClosedError):
                b"key" in each  # noqa: B015
        del first, second, each
        gc.collect()
    assert client.exists(b"key") is False


def test_copies_share_the_client(peer: FaultPeer, client: simdrive.Client) -> None:
    with reopened(client.namespace(b"a")) as owner:
        view = client.namespace(b"a")
        for thing in (view, owner, view.mapping(), owner.mapping(), client.mapping()):
            with copy.copy(thing) as other:
                assert type(other) is type(thing)
                assert b"key" not in other
            assert b"key" not in thing
        with owner.namespace(b"b"):
            pass
        assert b"key" not in owner
        with copy.deepcopy(owner) as other:
            assert b"key" not in other
        assert b"key" not in owner
    assert client.closed is False
    assert peer.connections == 3


def test_repr(peer: FaultPeer, client: simdrive.Client) -> None:
    view = client.namespace(b"a").namespace(b"b")
    assert repr(view) == f"<{client!r}.namespace(b'a').namespace(b'b')>"
    view.close()
    assert repr(view).endswith("(closed)>")
