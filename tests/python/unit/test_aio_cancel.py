"""A call in asyncio that is cancelled at each point where it can wait, and what is known of it then."""

from __future__ import annotations

import asyncio
import contextlib
import io
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Any

import pytest

import simdrive
from support import wsraw
from support.fault_peer import Behaviour, Call, Connection, FaultPeer
from support.late_replies import Deaf, Holder
from support.loops import LOOPS, Leaks, gathered, run_in, turns, until

LARGE = bytes(range(1, 251)) * 60_000  # 15 MB: more than a socket takes at once
SEVERAL_FRAMES = LARGE[:400_000]

Main = Callable[[simdrive.AsyncClient], Awaitable[None]]


@pytest.fixture(scope="module", params=LOOPS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", autouse=True)
def nothing_stays(kind: str) -> Iterator[None]:
    with Leaks(kind):
        yield


def with_client(kind: str, peer: FaultPeer, main: Main, **options: Any) -> None:
    async def run() -> None:
        options.setdefault("timeout", 20)
        async with await simdrive.aconnect(peer.url, reconnect_spread=0.0, **options) as client:
            await main(client)
            await until(lambda: client._core.pending == 0, what="nothing is under way")

    with peer:
        run_in(kind, run())
    assert peer.errors == []


async def cancel(task: asyncio.Task[Any]) -> asyncio.CancelledError:
    """Cancels a call that waits; what it raised."""
    assert task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    return caught.value


def begin(call: Coroutine[Any, Any, Any]) -> tuple[asyncio.Task[Any], list[BaseException]]:
    """A task, and the error that its call raised in it: what awaits a task gets another object on some Pythons."""
    raised: list[BaseException] = []

    async def run() -> Any:
        try:
            return await call
        except BaseException as error:
            raised.append(error)
            raise

    return asyncio.create_task(run()), raised


def outcome_of(error: BaseException) -> str | None:
    return getattr(error, "outcome", None)


CHANGES: dict[str, Callable[[simdrive.AsyncClient], Coroutine[Any, Any, Any]]] = {
    "write": lambda client: client.write(b"key", b"new"),
    "batch_write": lambda client: client.batch_write({b"key": b"new"}),
    "delete": lambda client: client.delete(b"key"),
    "write_stream": lambda client: client.write_stream(b"key", [b"n", b"ew"]),
    "namespace": lambda client: client.namespace(b"").write(b"key", b"new"),
}
QUESTIONS: dict[str, Callable[[simdrive.AsyncClient], Coroutine[Any, Any, Any]]] = {
    "read": lambda client: client.read(b"key"),
    "read view": lambda client: client.read(b"key", out="view"),
    "read out": lambda client: client.read(b"key", out=bytearray(10)),
    "batch_read": lambda client: client.batch_read([b"key", b"no"]),
    "batch_read view": lambda client: client.batch_read([b"key", b"no"], out="view"),
    "batch_read_structured": lambda client: client.batch_read_structured({1: b"key"}),
    "exists": lambda client: client.exists(b"key"),
    "size": lambda client: client.size(),
    "is_empty": lambda client: client.is_empty(),
    "file_size": lambda client: client.file_size(),
    "ping": lambda client: client.ping(),
}
CALLS = {**CHANGES, **QUESTIONS}


def test_before_they_are_sent(kind: str) -> None:
    """What waits behind a large request leaves nothing behind when it is cancelled, and says nothing."""
    deaf = Deaf()

    async def main(client: simdrive.AsyncClient) -> None:
        asked = asyncio.create_task(client.exists(b"key"))
        await until(deaf.is_deaf.is_set, what="the peer reads nothing more")
        writing = asyncio.create_task(client.write(b"large", LARGE))
        await turns(5)
        queued = [begin(call(client)) for call in CALLS.values()]
        await turns(5)
        for task, raised in queued:
            await cancel(task)
            assert outcome_of(raised[0]) is None
        deaf.listen()
        assert await asked is False
        assert await writing is None
        assert await client.read(b"key") is None
        assert client._stats()["connections"] == 1

    peer = FaultPeer(script=[deaf.behaviour])
    with_client(kind, peer, main)
    assert [call.method for call in peer.calls] == ["exists", "write", "read"]


@pytest.mark.parametrize("name", CALLS)
def test_in_the_round_in_which_it_begins(kind: str, name: str) -> None:
    """It may have been sent, and then it says so: what it says is checked against what the peer got."""
    holder = Holder(["is_empty"])

    async def main(client: simdrive.AsyncClient) -> None:
        asked = asyncio.create_task(client.is_empty())  # a lone call would be sent at once
        await until(lambda: holder.held == 1, what="the peer has a call")
        task, raised = begin(CALLS[name](client))
        task.get_loop().call_soon(task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
        holder.stop_holding()
        assert await asked is False
        await client.file_size()
        if name in CHANGES and outcome_of(raised[0]) is None:
            assert peer.store.entries == {b"key": b"old"}

    peer = FaultPeer(then=holder.behaviour)
    peer.store.entries[b"key"] = b"old"
    with_client(kind, peer, main)


@pytest.mark.parametrize("name", CALLS)
def test_before_its_reply(kind: str, name: str) -> None:
    """The late reply is nobody's, the connection stays."""
    holder = Holder()

    async def main(client: simdrive.AsyncClient) -> None:
        task, raised = begin(CALLS[name](client))
        await until(lambda: holder.held == 1, what="the peer has the call")
        await cancel(task)
        assert outcome_of(raised[0]) == ("unknown" if name in CHANGES else None)
        if sys.version_info >= (3, 11):
            notes = getattr(raised[0], "__notes__", [])
            assert ["may or may not have been applied" in note for note in notes] == [True] * (name in CHANGES)
        others = [asyncio.create_task(client.read(b"another %d" % i)) for i in range(5)]
        await until(lambda: holder.held == 6, what="the peer has other calls")
        holder.stop_holding()
        assert await asyncio.gather(*others) == [b"%d" % i for i in range(5)]
        assert client._stats()["connections"] == 1

    peer = FaultPeer(then=holder.behaviour)
    peer.store.entries.update({b"another %d" % i: b"%d" % i for i in range(5)})
    with_client(kind, peer, main)


TARGETS: dict[str, Callable[[], Any]] = {
    "bytes": lambda: "bytes",
    "view": lambda: "view",
    "buffer": lambda: bytearray(len(SEVERAL_FRAMES)),
}


@pytest.mark.parametrize("out", TARGETS)
def test_in_the_middle_of_its_reply(kind: str, out: str) -> None:
    """A buffer stays locked until the rest is there, and the rest does not hurt anybody."""
    holder = Holder(["read"])

    async def main(client: simdrive.AsyncClient) -> None:
        target = TARGETS[out]()
        seen: list[tuple[int, int]] = []
        task, _ = begin(client.read(b"key", out=target, progress=lambda *moved: seen.append(moved)))
        await until(lambda: holder.held == 1, what="the peer has the call")
        holder.send_first_frames()
        await until(lambda: bool(seen), what="a part of the value is there")
        await cancel(task)
        if out == "buffer":
            with pytest.raises(BufferError):
                target.clear()
        assert await client.exists(b"key") is True
        holder.let_go()
        await until(lambda: client._core.pending == 0, what="the rest is there")
        if out == "buffer":
            target.clear()
        assert client._stats()["connections"] == 1
        holder.stop_holding()
        assert await client.read(b"key") == SEVERAL_FRAMES

    peer = FaultPeer(then=holder.behaviour)
    peer.store.entries[b"key"] = SEVERAL_FRAMES
    with_client(kind, peer, main)


LargeWrite = Callable[[simdrive.AsyncClient, Callable[[int, int], None]], Coroutine[Any, Any, Any]]


@contextlib.asynccontextmanager
async def half_sent(client: simdrive.AsyncClient, deaf: Deaf, write: LargeWrite) -> AsyncIterator[None]:
    """A large write was cancelled while the peer does not read; afterwards the peer reads again."""
    asked = asyncio.create_task(client.exists(b"key"))
    await until(deaf.is_deaf.is_set, what="the peer reads nothing more")
    others = [asyncio.create_task(client.write(b"before", b"value"))]
    await turns(5)  # they are on their way
    seen: list[tuple[int, int]] = []
    task, raised = begin(write(client, lambda *moved: seen.append(moved)))
    await until(lambda: bool(seen) and seen[-1][0] > 0, what="a part was sent")
    await turns(5)
    assert seen[-1][0] < len(LARGE)
    others.append(asyncio.create_task(client.write(b"behind", b"value")))
    await turns(5)
    await cancel(task)
    assert outcome_of(raised[0]) == "unknown"
    yield
    deaf.listen()
    assert await asked is False
    assert await asyncio.gather(*others) == [None, None]


LARGE_WRITES: dict[str, LargeWrite] = {
    "bytes": lambda client, told: client.write(b"large", LARGE, progress=told),
    "bytearray": lambda client, told: client.write(b"large", bytearray(LARGE), progress=told),
    "memoryview": lambda client, told: client.write(b"large", memoryview(LARGE), progress=told),
    "a key that may change": lambda client, told: client.write(bytearray(b"large"), LARGE, progress=told),
    "batch": lambda client, told: client.batch_write({b"large": bytearray(LARGE)}, progress=told),
    "stream": lambda client, told: client.write_stream(b"large", [LARGE], progress=told),
    "stream of known size": lambda client, told: client.write_stream(
        b"large", io.BytesIO(LARGE), size=len(LARGE), progress=told
    ),
}


@pytest.mark.parametrize("name", LARGE_WRITES)
def test_half_sent(kind: str, name: str) -> None:
    """What was begun is sent to its end; the connection, and what others have on it, stays."""
    deaf = Deaf()

    async def main(client: simdrive.AsyncClient) -> None:
        async with half_sent(client, deaf, LARGE_WRITES[name]):
            pass
        assert await client.read(b"large") == LARGE
        assert client._stats()["connections"] == 1

    with_client(kind, FaultPeer(script=[deaf.behaviour]), main)


def test_a_buffer_that_is_half_sent(kind: str) -> None:
    """It is locked until the rest is sent, and then the caller's again."""
    deaf = Deaf()
    data = bytearray(LARGE)

    async def main(client: simdrive.AsyncClient) -> None:
        async with half_sent(client, deaf, lambda _, told: client.write(b"large", data, progress=told)):
            with pytest.raises(BufferError):
                data.clear()
        await until(lambda: client._core.pending == 0, what="the rest is sent")
        data.clear()
        assert await client.read(b"large") == LARGE

    with_client(kind, FaultPeer(script=[deaf.behaviour]), main)


def test_a_buffer_that_is_half_sent_when_the_client_is_closed(kind: str) -> None:
    deaf = Deaf()
    data = bytearray(LARGE)

    async def main(client: simdrive.AsyncClient) -> None:
        asked = asyncio.create_task(client.exists(b"key"))
        await until(deaf.is_deaf.is_set, what="the peer reads nothing more")
        task = asyncio.create_task(client.write(b"large", data))
        await turns(5)
        await cancel(task)
        with pytest.raises(BufferError):
            data.clear()
        await client.close(timeout=0)
        data.clear()
        deaf.listen()
        with pytest.raises(simdrive.ClosedError):
            await asked

    with_client(kind, FaultPeer(script=[deaf.behaviour]), main)


def test_a_buffer_that_is_half_sent_when_the_connection_is_lost(kind: str) -> None:
    deaf = Deaf()
    data = bytearray(LARGE)

    async def main(client: simdrive.AsyncClient) -> None:
        asked = asyncio.create_task(client.exists(b"key"))
        await until(deaf.is_deaf.is_set, what="the peer reads nothing more")
        task = asyncio.create_task(client.write(b"large", data))
        await turns(5)
        await cancel(task)
        peer.drop_connections()
        deaf.listen()
        assert await asked is False
        await until(lambda: client._core.pending == 0, what="nothing is under way")
        data.clear()
        assert await client.read(b"large") is None

    peer = FaultPeer(script=[deaf.behaviour])
    with_client(kind, peer, main)


def test_while_it_waits_for_room(kind: str) -> None:
    holder = Holder()

    async def main(client: simdrive.AsyncClient) -> None:
        first, second = (asyncio.create_task(client.write(b"key %d" % i, b"value")) for i in range(2))
        waiting = [begin(call(client)) for call in CALLS.values()]
        await until(lambda: holder.held == 2, what="the peer has two calls")
        for task, raised in waiting:
            await cancel(task)
            assert outcome_of(raised[0]) is None
        # What one call left room for goes to the next, in its order.
        others = [asyncio.create_task(client.write(b"other %d" % i, b"value")) for i in range(3)]
        await cancel(first)
        await turns(5)
        holder.stop_holding()
        assert await asyncio.gather(second, *others) == [None] * 4
        assert client._stats()["connections"] == 1

    peer = FaultPeer(then=holder.behaviour)
    with_client(kind, peer, main, max_inflight=2)
    assert len(peer.calls) == 5


def test_while_it_waits_for_a_connection(kind: str) -> None:
    let_in = threading.Event()

    def turn_away(connection: Connection) -> None:
        if let_in.is_set():
            connection.behaviour = Behaviour()
            connection.run()
        connection.reset()

    async def main(client: simdrive.AsyncClient) -> None:
        assert await client.exists(b"key") is False
        peer.drop_connections()
        await until(lambda: peer.connections > 2, what="the client has tried to connect")
        waiting = [begin(call(client)) for call in CALLS.values()]
        await turns(5)
        for task, raised in waiting:
            await cancel(task)
            assert outcome_of(raised[0]) is None
        let_in.set()
        assert await client.read(b"key") is None

    peer = FaultPeer(script=[Behaviour()], then=Behaviour(accepted=turn_away))
    with_client(kind, peer, main, retry=simdrive.Retry(base=0.01, cap=0.02))
    assert [call.method for call in peer.calls] == ["exists", "read"]


def test_while_it_connects(kind: str) -> None:
    """A cancelled aconnect() leaves no connection behind."""

    async def main() -> None:
        task = asyncio.create_task(simdrive.aconnect(peer.url))
        await until(lambda: peer.connections == 1, what="there is a connection")
        await cancel(task)
        hasty = asyncio.create_task(simdrive.aconnect(peer.url))
        await turns(1)
        if hasty.done():  # the peer was faster
            await hasty.result().close()
        else:
            await cancel(hasty)
        async with await simdrive.aconnect(peer.url) as client:
            assert await client.is_empty()

    with FaultPeer(script=[Behaviour(accepted=lambda connection: connection.hold())]) as peer:
        run_in(kind, main())


def test_while_it_closes(kind: str) -> None:
    """The client is closed all the same."""

    def answer_and_hold(connection: Connection, call: Call) -> None:
        connection.answer_well(call)
        connection.send(b"", opcode=wsraw.PING)
        while next(connection.messages)[0] != wsraw.PONG:  # then the client has seen the end of the reply
            pass
        holds.set()
        while connection.peer.pause(1):  # and does not end its side
            pass

    async def main() -> None:
        client = await simdrive.aconnect(peer.url, close_timeout=20)
        assert await client.exists(b"key") is False
        await until(holds.is_set, what="nothing is under way")
        closing = asyncio.create_task(client.close())
        await turns(5)
        assert not closing.done()
        await cancel(closing)
        assert client.closed
        with pytest.raises(simdrive.ClosedError):
            await client.read(b"key")
        await client.close()

    holds = threading.Event()
    with FaultPeer(script=[Behaviour(call=answer_and_hold)]) as peer:
        run_in(kind, main())


def test_twice_and_too_late(kind: str) -> None:
    """cancel() of a call that has ended, or in the round in which it ends."""
    holder = Holder(["write"])

    async def main(client: simdrive.AsyncClient) -> None:
        done = await client.read(b"key")
        assert done == b"value"
        for rounds in range(8):
            task, _ = begin(client.write(b"other", b"%d" % rounds))
            await until(lambda: holder.held == 1, what="the peer has the call")
            holder.let_go()
            await turns(rounds)
            task.cancel()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        assert await client.read(b"key") == b"value"

    peer = FaultPeer(then=holder.behaviour)
    peer.store.entries[b"key"] = b"value"
    with_client(kind, peer, main)


@pytest.mark.parametrize("raises", [False, True])
def test_by_its_own_last_progress(kind: str, raises: bool) -> None:
    async def main(client: simdrive.AsyncClient) -> None:
        def end(*_: int) -> None:
            task.cancel()
            if raises:
                raise LookupError("of progress")

        task = asyncio.ensure_future(client.read(b"key", progress=end))
        others = [asyncio.ensure_future(client.exists(b"key")) for _ in range(3)]  # ended in the same round
        await asyncio.wait([task])
        assert task.cancelled()
        assert await gathered(others) == [True] * 3

    peer = FaultPeer()
    peer.store.entries[b"key"] = b"value"
    with_client(kind, peer, main)


def test_coroutines_that_never_ran(kind: str) -> None:
    async def main(client: simdrive.AsyncClient) -> None:
        tasks = [asyncio.create_task(call(client)) for call in CALLS.values()]
        for task in tasks:
            task.cancel()
        assert all(isinstance(error, asyncio.CancelledError) for error in await gathered([*tasks]))
        assert await client.size() == 0

    peer = FaultPeer()
    with_client(kind, peer, main)
    assert [call.method for call in peer.calls] == ["len"]
