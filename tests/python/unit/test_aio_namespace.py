"""Views of an asynchronous client that keep keys apart."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Awaitable, Callable, Iterator

import pytest

import simdrive
from simdrive import AsyncNamespacedClient, NamespaceHasher
from support.fault_peer import Behaviour, Call, Connection, FaultPeer
from support.loops import LOOPS, run_in

NAMES = NamespaceHasher(b"users")


@pytest.fixture
def peer() -> Iterator[FaultPeer]:
    with FaultPeer() as running:
        yield running
    assert running.errors == []


Runner = Callable[[FaultPeer, Callable[[AsyncNamespacedClient], Awaitable[None]]], None]


@pytest.fixture(params=LOOPS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def with_view(kind: str) -> Runner:
    def run(peer: FaultPeer, main: Callable[[AsyncNamespacedClient], Awaitable[None]]) -> None:
        async def whole() -> None:
            async with await simdrive.aconnect(peer.url) as client:
                await main(client.namespace(b"users"))

        run_in(kind, whole())

    return run


def test_keys_are_hashed(with_view: Runner, peer: FaultPeer) -> None:
    async def main(view: AsyncNamespacedClient) -> None:
        await view.write(b"alice", b"1")
        await view.batch_write({b"bob": b"2"})
        await view.batch_write([(bytearray(b"carol"), memoryview(b"3"))])
        assert peer.store.entries == {
            NAMES.namespace(b"alice"): b"1",
            NAMES.namespace(b"bob"): b"2",
            NAMES.namespace(b"carol"): b"3",
        }
        assert await view.read(b"alice") == b"1"
        assert await view.read(b"nobody", default=5) == 5
        buffer = bytearray(1)
        assert await view.read(memoryview(b"bob"), out=buffer) == 1
        assert buffer == b"2"
        assert await view.batch_read([b"carol", b"nobody", bytearray(b"alice")]) == [b"3", None, b"1"]
        assert await view.batch_read(iter([b"bob"])) == [b"2"]
        assert await view.batch_read_structured({"x": b"alice", "y": b"nobody"}) == {"x": b"1", "y": None}
        assert await view.batch_read_structured([{1: b"bob"}, {}]) == [{1: b"2"}, {}]
        assert await view.exists(b"alice") is True
        await view.delete(b"alice")
        assert await view.exists(b"alice") is False
        assert await view.file_size() > 0
        assert await view.ping() > 0
        assert (await view.server_info()).dialect == "d13"

    with_view(peer, main)


def test_streams_and_nested_ones(with_view: Runner, peer: FaultPeer) -> None:
    async def main(view: AsyncNamespacedClient) -> None:
        inner = view.namespace(b"settings")
        await inner.write_stream(b"key", io.BytesIO(b"value"))
        sink = io.BytesIO()
        assert await inner.read_into(b"key", sink) == 5
        assert sink.getvalue() == b"value"
        assert [bytes(piece) async for piece in inner.read_stream(b"key", chunk_size=3)] == [b"val", b"ue"]

    with_view(peer, main)
    with simdrive.connect(peer.url) as client:
        assert client.namespace(b"users").namespace(b"settings").read(b"key") == b"value"


def test_errors_tell_the_callers_key(with_view: Runner) -> None:
    def fail(connection: Connection, call: Call) -> None:
        connection.reply(call, b"no", status=2)

    async def main(view: AsyncNamespacedClient) -> None:
        for failing in (
            lambda: view.write(b"alice", b"1"),
            lambda: view.read(b"alice"),
            lambda: view.delete(b"alice"),
            lambda: view.exists(b"alice"),
            lambda: view.batch_write([(b"bob", b"1"), (b"alice", b"")]),
        ):
            with pytest.raises(simdrive.SimdriveError) as caught:
                await failing()
            assert caught.value.key_hint == b"alice".hex()
        with pytest.raises(TypeError, match="not str"):
            await view.read("alice")  # type: ignore[call-overload]
        with pytest.raises(TypeError, match="item 0"):
            await view.batch_write([b"ab"])  # type: ignore[list-item]
        with pytest.raises(TypeError, match="keys"):
            await view.batch_read(b"ab")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="dict"):
            await view.batch_read_structured(5)  # type: ignore[call-overload]

    with FaultPeer(then=Behaviour(call=fail, times=None)) as peer:
        with_view(peer, main)


def test_closing_ends_the_view_alone(kind: str, peer: FaultPeer) -> None:
    async def run() -> None:
        client = await simdrive.aconnect(peer.url)
        async with client.namespace(b"users") as view:
            await view.write(b"key", b"value")
            other = copy.copy(view)
        assert view.closed
        assert not client.closed
        await view.close()
        for ended in (view.read(b"key"), view.write(b"key", b"1"), view.ping()):
            with pytest.raises(simdrive.ClosedError, match="this namespace was closed"):
                await ended
        with pytest.raises(simdrive.ClosedError):
            view.namespace(b"inner")
        assert await other.read(b"key") == b"value"
        await client.close()
        assert other.closed
        with pytest.raises(simdrive.ClosedError, match="client is closed"):
            await other.read(b"key")

    run_in(kind, run())


def test_what_a_view_cannot_do(with_view: Runner, peer: FaultPeer) -> None:
    async def main(view: AsyncNamespacedClient) -> None:
        for op, refused in (("size", view.size), ("is_empty", view.is_empty)):
            with pytest.raises(simdrive.UnsupportedOperationError) as caught:
                await refused()
            assert caught.value.op == op
        with pytest.raises(TypeError, match="pickled"):
            pickle.dumps(view)
        assert bool(view)
        assert ".namespace(b'users')>" in repr(view)
        assert not hasattr(view, "mapping")
        with pytest.raises(TypeError):
            view.namespace("text")  # type: ignore[arg-type]

    with_view(peer, main)
