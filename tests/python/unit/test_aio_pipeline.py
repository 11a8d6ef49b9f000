"""Pipelines of the asynchronous client."""

# ruff: noqa: PT012  # a pipeline raises when its block is left

from __future__ import annotations

import asyncio
import gc
import inspect
import pickle
import sys
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import simdrive
from simdrive import AsyncClient, AsyncPipeline, BatchError
from support.fault_peer import Behaviour, FaultPeer
from support.gate import Gate
from support.late_replies import Holder
from support.loops import LOOPS, run_in, turns, until

LARGE = bytes(range(1, 251)) * 1200


Work = Callable[[AsyncClient, FaultPeer], Awaitable[None]]
Runner = Callable[..., None]


@pytest.fixture(params=LOOPS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def with_client(kind: str) -> Runner:
    """Runs some work with a client in a loop of its own, which may not report anything."""

    def run(work: Work, *, gate: Gate | Holder | None = None, dialect: str = "d13", **options: Any) -> None:
        async def main(peer: FaultPeer) -> None:
            async with await simdrive.aconnect(peer.url, **options) as client:
                await work(client, peer)

        with FaultPeer(dialect, script=[gate.behaviour] if gate else []) as peer:
            run_in(kind, main(peer), timeout=60)
        assert peer.errors == []

    return run


async def arrived(peer: FaultPeer, count: int) -> None:
    await asyncio.to_thread(peer.wait_for_calls, count)


@pytest.mark.parametrize("dialect", ["d13", "d21"])
def test_every_method(with_client: Runner, dialect: str) -> None:
    async def work(client: AsyncClient, peer: FaultPeer) -> None:
        buffer = bytearray(len(LARGE))
        async with client.pipeline() as p:
            written = [p.write(b"a", b"1"), p.write(b"large", LARGE)]
            small, large, absent = p.read(b"a"), p.read(b"large"), p.read(b"nothing", default=0)
            view, size = p.read(b"large", out="view"), p.read(b"large", out=buffer)
            there, deleted, gone = p.exists(b"a"), p.delete(b"a"), p.exists(b"a")
            assert isinstance(small, asyncio.Future)
            assert await small == b"1"
        assert [f.result() for f in written] == [None, None]
        assert (large.result(), absent.result()) == (LARGE, 0)
        assert view.result() == LARGE
        assert size.result() == len(LARGE)
        assert buffer == LARGE
        assert (there.result(), deleted.result(), gone.result()) == (True, None, False)

    with_client(work, dialect=dialect)


def test_calls_of_one_round_leave_in_one_write(with_client: Runner) -> None:
    async def work(client: AsyncClient, peer: FaultPeer) -> None:
        async with client.pipeline() as p:
            first = p.exists(b"first")  # alone: it does not wait for others
            assert client._stats()["sends"] == 1
            await first
            before = client._stats()["sends"]
            for i in range(400):
                p.exists(b"%d" % i)
        assert client._stats()["sends"] - before == 2  # the first one of them was alone, too

    with_client(work)


def test_writes_of_one_key_keep_their_order(with_client: Runner) -> None:
    async def work(client: AsyncClient, peer: FaultPeer) -> None:
        async with client.pipeline() as p:
            for i in range(100):
                p.write(b"key", b"%d" % i)
            last = p.read(b"key")
        assert last.result() == b"99"
        assert [call.method for call in peer.calls] == ["write"] * 100 + ["read"]

    with_client(work)


def test_a_failure_that_nobody_awaits_is_told_by_the_block_alone(with_client: Runner) -> None:
    async def work(client: AsyncClient, peer: FaultPeer) -> None:
        with pytest.raises(BatchError) as caught:
            async with client.pipeline() as p:
                p.exists(b"a")
                p.write(b"b", b"")
                p.write(b"c", b"1", timeout=0.05)
        error = caught.value
        assert error.done == 1
        assert list(error.failed) == [1, 2]
        assert isinstance(error.failed[1], simdrive.InvalidValueError)
        assert isinstance(error.failed[2], simdrive.OperationTimeout)
        assert (error.op, error.endpoint, error.outcome) == ("pipeline", client.options.url, "unknown")

    with_client(work, gate=Gate("write"))


def test_wrong_arguments_are_raised_at_once(with_client: Runner) -> None:
    async def work(client: AsyncClient, peer: FaultPeer) -> None:
        async with client.pipeline() as p:
            with pytest.raises(TypeError):
                p.write("key", b"1")  # type: ignore[arg-type]
            with pytest.raises(simdrive.ConfigurationError):
                p.read(b"key", out="text")  # type: ignore[call-overload]
        with pytest.raises(simdrive.ConfigurationError):
            client.pipeline(max_inflight=0)
        with pytest.raises(simdrive.ClosedError, match="was left"):
            p.exists(b"key")
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(p)
        assert "left, 0 calls" in repr(p)

    with_client(work)


def test_max_inflight(with_client: Runner) -> None:
    gate = Gate("read")

    async def work(client: AsyncClient, peer: FaultPeer) -> None:
        async with client.pipeline(max_inflight=2) as p:
            futures = [p.read(b"%d" % i) for i in range(6)]
            late = p.read(b"late", timeout=0.1)
            await arrived(peer, 2)
            assert await client.exists(b"other") is False  # has no such limit
            with pytest.raises(simdrive.OverloadError):
                await late
            assert [call.method for call in peer.calls] == ["read", "read", "exists"]
            gate.open()
            assert await asyncio.gather(*futures) == [None] * 6
            p._failed.clear()

    with_client(work, gate=gate)


def test_an_exception_takes_back_what_was_not_sent(with_client: Runner) -> None:
    gate = Gate("read")

    async def work(client: AsyncClient, peer: FaultPeer) -> None:
        with pytest.raises(LookupError, match="of the body"):
            async with client.pipeline(max_inflight=1) as p:
                sent = p.read(b"sent")
                unsent = [p.write(b"%d" % i, b"1") for i in range(3)]
                p.write(b"refused", b"")
                raise LookupError("of the body")
        assert all(future.cancelled() for future in unsent)
        assert not sent.done()
        gate.open()
        assert await sent is None
        assert [call.method for call in peer.calls] == ["read"]

    with_client(work, gate=gate)


def test_cancelled_calls_are_no_failures(with_client: Runner) -> None:
    gate = Gate("read")

    async def work(client: AsyncClient, peer: FaultPeer) -> None:
        async with client.pipeline() as p:
            future = p.read(b"key")
            await arrived(peer, 1)
            future.cancel()
        assert future.cancelled()
        gate.open()
        assert await client.exists(b"key") is False
        assert peer.connections == 1

    with_client(work, gate=gate)


def notes_of(error: BaseException) -> str:
    """What it says besides its message, from Python 3.11 on."""
    return "; ".join(getattr(error, "__notes__", [])) if hasattr(error, "add_note") else "no notes before 3.11"


@pytest.mark.parametrize("op", ["write", "delete"])
@pytest.mark.parametrize("way", ["await", "await later", "result", "exception", "task", "gather", "timeout"])
def test_a_cancelled_write_tells_its_outcome(with_client: Runner, op: str, way: str) -> None:
    """Whoever looks at the future, in whichever way, hears that the write may have been applied."""
    holder = Holder(["write", "delete"])

    async def work(client: AsyncClient, peer: FaultPeer) -> None:
        async with client.pipeline() as p:
            future = p.write(b"key", b"value") if op == "write" else p.delete(b"key")
            await until(lambda: holder.held == 1, what="the peer has the call")
            error = await seen(future)
            assert future.cancelled()
            assert error.outcome == "unknown"  # type: ignore[attr-defined]
            if hasattr(error, "add_note"):
                assert notes_of(error) == f"simdrive: this {op} may or may not have been applied"
        holder.stop_holding()
        assert await client.exists(b"key") is (op == "write")
        assert client._stats()["connections"] == 1

    async def seen(future: asyncio.Future[Any]) -> BaseException:
        if way in ("task", "gather", "timeout"):
            waits: dict[str, Callable[[], Awaitable[Any]]] = {
                "task": lambda: awaiting(future),
                "gather": lambda: asyncio.gather(awaiting(future)),
                "timeout": lambda: asyncio.wait_for(awaiting(future), 0.01),
            }
            task = asyncio.ensure_future(waits[way]())
            if way != "timeout":
                await turns(2)
                task.cancel()
            with pytest.raises((asyncio.CancelledError, asyncio.TimeoutError)):
                await task
            return errors.pop()
        future.cancel()
        if way == "await later":
            await turns(3)
        with pytest.raises(asyncio.CancelledError) as caught:
            if way.startswith("await"):
                await future
            elif way == "result":
                future.result()
            else:
                future.exception()
        return caught.value

    errors: list[BaseException] = []

    async def awaiting(future: asyncio.Future[Any]) -> None:
        try:
            await future
        except asyncio.CancelledError as error:
            errors.append(error)
            raise

    with_client(work, gate=holder)


def test_what_was_not_applied_tells_nothing(with_client: Runner) -> None:
    """Cancelled before it was sent, a read, or one that had ended already."""
    gate = Gate("read")

    async def work(client: AsyncClient, peer: FaultPeer) -> None:
        async with client.pipeline() as p:
            written = p.write(b"key", b"value")
            await written
            assert not written.cancel()
            assert written.result() is None
            read = p.read(b"key")
            await arrived(peer, 2)
            unsent = p.write(b"other", b"value")  # there is room for one call
            for future in (read, unsent):
                assert future.cancel("the message")
                assert not future.cancel()
                with pytest.raises(asyncio.CancelledError, match="the message") as caught:
                    await future
                assert not hasattr(caught.value, "outcome")
            gate.open()
        assert b"other" not in peer.store.entries

    with_client(work, gate=gate, max_inflight=1)


@pytest.mark.parametrize("where", ["leaving", "in the block"])
def test_a_cancelled_block_tells_of_its_writes(with_client: Runner, where: str) -> None:
    gate = Gate("write", "delete", "read")

    async def work(client: AsyncClient, peer: FaultPeer) -> None:
        kept: list[asyncio.Future[Any]] = []

        async def block() -> None:
            async with client.pipeline(max_inflight=4) as p:
                kept.extend([p.write(b"a", b"1"), p.delete(b"b"), p.read(b"c"), p.write(b"d", b"1")])
                if where == "in the block":
                    await kept[3]
                kept.append(p.write(b"unsent", b"1"))

        task = asyncio.ensure_future(block())
        await arrived(peer, 4)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert caught.value.outcome == "unknown"  # type: ignore[attr-defined]
        if hasattr(caught.value, "add_note"):
            told = notes_of(caught.value)
            count = 3 if where == "leaving" else 2  # the one that was awaited told of itself
            assert f"{count} writes or deletes of this pipeline may or may not have been applied" in told
            assert ("this write may or may not" in told) is (where == "in the block")
        gate.open()
        assert await asyncio.gather(*kept[:3]) == [None, None, None]
        assert where != "leaving" or kept[4].cancelled()
        assert b"unsent" not in peer.store.entries

    with_client(work, gate=gate)


def test_a_cancelled_block_without_writes_tells_nothing(with_client: Runner) -> None:
    gate = Gate("read")

    async def work(client: AsyncClient, peer: FaultPeer) -> None:
        async def block() -> None:
            async with client.pipeline() as p:
                p.read(b"key")
                await p.write(b"other", b"1")

        task = asyncio.ensure_future(block())
        await arrived(peer, 2)
        await until(lambda: client._core.pending == 1, what="the write has ended")
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert not hasattr(caught.value, "outcome")
        gate.open()

    with_client(work, gate=gate)


def test_futures_keep_nothing(kind: str) -> None:
    """What is over keeps neither its pipeline nor the client."""

    async def main() -> None:
        async with await simdrive.aconnect(peer.url) as client, client.pipeline() as p:
            futures: list[asyncio.Future[Any]] = [p.write(b"key", b"value"), p.read(b"key"), p.exists(b"key")]
            futures[1].cancel()
            await asyncio.wait(futures)
            await turns(2)
            pipeline = weakref.ref(p)
        del p, client
        gc.collect()
        assert pipeline() is None
        assert [future.done() for future in futures] == [True] * 3

    with FaultPeer() as peer:
        run_in(kind, main())


def test_leaving_can_be_cancelled(with_client: Runner) -> None:
    gate = Gate("read")

    async def work(client: AsyncClient, peer: FaultPeer) -> None:
        kept: list[asyncio.Future[Any]] = []

        async def block() -> None:
            async with client.pipeline(max_inflight=1) as p:
                kept.extend(p.read(b"%d" % i) for i in range(2))

        task = asyncio.ensure_future(block())
        await arrived(peer, 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        gate.open()
        assert await kept[0] is None
        assert kept[1].cancelled()

    with_client(work, gate=gate)


def test_a_lost_connection(kind: str) -> None:
    behaviour = Behaviour(call=lambda connection, _: connection.reset(), methods=frozenset({"exists"}))

    async def main(peer: FaultPeer) -> None:
        async with await simdrive.aconnect(peer.url, reconnect_spread=0) as client, client.pipeline() as p:
            assert await p.exists(b"key") is True
            assert await p.read(b"key") == b"value"

    with FaultPeer(script=[behaviour]) as peer:
        peer.store.entries[b"key"] = b"value"
        run_in(kind, main(peer), timeout=60)
        assert peer.connections == 2


def test_closing_the_client(with_client: Runner) -> None:
    gate = Gate("read")

    async def work(client: AsyncClient, peer: FaultPeer) -> None:
        p = client.pipeline(max_inflight=1)
        futures = [p.read(b"key") for _ in range(4)]
        await arrived(peer, 1)
        await client.close()
        assert all(future.done() for future in futures), "also those that the pipeline held back"
        for future in futures:
            with pytest.raises(simdrive.ClosedError):
                await future
        with pytest.raises(simdrive.ClosedError):
            await p.read(b"key")

    with_client(work, gate=gate)


def test_another_loop(kind: str) -> None:
    with FaultPeer() as peer:

        async def first() -> AsyncPipeline:
            async with await simdrive.aconnect(peer.url) as client:
                return client.pipeline()

        pipeline = run_in(kind, first())

        async def second() -> None:
            with pytest.raises(simdrive.EventLoopError):
                pipeline.read(b"key")

        run_in(kind, second())


def test_namespaces(with_client: Runner) -> None:
    async def work(client: AsyncClient, peer: FaultPeer) -> None:
        users = client.namespace(b"users")
        async with users.pipeline() as p:
            p.write(b"alice", b"admin")
            there = p.exists(b"alice")
        assert there.result() is True
        assert await client.exists(b"alice") is False
        with pytest.raises(BatchError) as caught:
            async with users.pipeline() as p:
                p.write(b"bob", b"")
                p.read(b"carol", timeout=0.05)
        assert [e.key_hint for e in caught.value.exceptions] == [b"bob".hex(), b"carol".hex()]  # type: ignore[attr-defined]
        await users.batch_write({b"a": b"1", b"b": b"2"}, max_bytes=1)
        await users.batch_delete([b"a"])
        assert await users.batch_read([b"a", b"b"]) == [None, b"2"]
        await users.close()
        with pytest.raises(simdrive.ClosedError):
            users.pipeline()

    with_client(work, gate=Gate("read"))


def test_batches(with_client: Runner) -> None:
    async def work(client: AsyncClient, peer: FaultPeer) -> None:
        items = [(b"%03d" % i, b"v" * 97) for i in range(25)]
        told: list[tuple[int, int]] = []
        await client.batch_write(items, max_bytes=1000, progress=lambda done, total: told.append((done, total)))
        assert told == [(1000, 2500), (2000, 2500), (2500, 2500)]
        assert [call.method for call in peer.calls] == ["batch_write"] * 3
        await client.batch_delete(key for key, _ in items[1:])
        assert await client.size() == 1
        with pytest.raises(BatchError) as caught:
            await client.batch_write([(b"a", b"1"), (b"b", b""), (b"c", b"3")], max_bytes=2)
        assert (caught.value.done, list(caught.value.failed), caught.value.op) == (2, [1], "batch_write")
        with pytest.raises(BatchError) as caught:
            await client.batch_delete([b"a", b"longer than six", b"c"])
        assert (caught.value.done, list(caught.value.failed), caught.value.op) == (2, [1], "batch_delete")
        with pytest.raises(TypeError):
            await client.batch_delete([b"a", "b"])  # type: ignore[list-item]
        with pytest.raises(simdrive.ConfigurationError):
            await client.batch_write({b"a": b"1"}, max_bytes=0)

    with_client(work, max_key_size=6)


def test_batch_delete_tells_its_progress(with_client: Runner) -> None:
    holder = Holder(["delete"])

    async def work(client: AsyncClient, peer: FaultPeer) -> None:
        keys = [b"%d" % i for i in range(5)]
        peer.store.entries.update(dict.fromkeys(keys, b"1"))
        told: list[tuple[int, int]] = []

        def fail(done: int, total: int) -> None:
            raise LookupError("of progress")

        task = asyncio.ensure_future(client.batch_delete(keys, progress=lambda done, total: told.append((done, total))))
        await until(lambda: bool(told), what="the callback is told while nothing ends")
        holder.let_go(2)
        await until(lambda: (2, 5) in told, what="two are done")
        while not task.done():
            holder.let_go()
            await turns(1)
        await task
        assert told == sorted(told)
        assert (told[0], told[-1]) == ((0, 5), (5, 5))
        peer.store.entries.update(dict.fromkeys(keys, b"1"))
        with pytest.raises(LookupError, match="of progress"):
            await client.batch_delete(keys, progress=fail)
        assert peer.store.entries.keys() == set(keys[2:])  # two were sent, the others taken back
        with pytest.raises(TypeError, match="progress must be callable"):
            await client.batch_delete(iter([b"0"]), progress=1)  # type: ignore[arg-type]

    with_client(work, gate=holder, max_inflight=2)


@pytest.mark.parametrize("kind", ["batch_delete", "batch_write"])
def test_a_cancelled_batch_tells_its_outcome(with_client: Runner, kind: str) -> None:
    gate = Gate(kind.replace("batch_delete", "delete"))

    async def work(client: AsyncClient, peer: FaultPeer) -> None:
        items = {b"%d" % i: b"1" for i in range(5)}
        batch = client.batch_delete(items) if kind == "batch_delete" else client.batch_write(items, max_bytes=1)
        task = asyncio.ensure_future(batch)
        await arrived(peer, 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert caught.value.outcome == "unknown"  # type: ignore[attr-defined]
        if hasattr(caught.value, "__notes__"):
            assert "0 of 5 " in caught.value.__notes__[0]
        gate.open()

    with_client(work, gate=gate)


def test_a_batch_that_is_cancelled_before_anything_is_sent_was_not_applied(with_client: Runner) -> None:
    gate = Gate("read")

    async def work(client: AsyncClient, peer: FaultPeer) -> None:
        first = asyncio.ensure_future(client.read(b"key"))  # all that may be under way
        await arrived(peer, 1)
        task = asyncio.ensure_future(client.batch_delete([b"a", b"b"]))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert not hasattr(caught.value, "outcome")
        gate.open()
        assert await first is None
        assert [call.method for call in peer.calls] == ["read"]

    with_client(work, gate=gate, max_inflight=1)


def test_progress_of_a_batch_is_refused_before_anything_is_sent(with_client: Runner) -> None:
    async def work(client: AsyncClient, peer: FaultPeer) -> None:
        with pytest.raises(TypeError, match="progress must be callable"):
            await client.batch_write({b"a": b"1", b"b": b"2"}, max_bytes=1, progress=1)  # type: ignore[arg-type]
        assert peer.calls == []

    with_client(work)


def test_a_loop_that_is_missing_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs where uvloop has no wheel, such as Windows, skips its tests, and no other one fails for that."""
    monkeypatch.setitem(sys.modules, "uvloop", None)
    main = turns(1)
    with pytest.raises(pytest.skip.Exception):
        run_in("uvloop", main, timeout=1)
    assert inspect.getcoroutinestate(main) == inspect.CORO_CLOSED


def test_both_clients_have_the_same_signatures() -> None:
    def methods(kind: type) -> dict[str, list[str]]:
        return {
            name: [p.name for p in inspect.signature(getattr(kind, name)).parameters.values()]
            for name in ("pipeline", "batch_delete", "batch_write", "write", "read", "delete", "exists")
        }

    asynchronous = methods(simdrive.AsyncClient)
    assert methods(simdrive.NamespacedClient) == methods(simdrive.AsyncNamespacedClient) == asynchronous
    for name in ("pipeline", "batch_delete"):
        assert list(inspect.signature(getattr(simdrive.Client, name)).parameters) == asynchronous[name]
    for name in ("write", "read", "delete", "exists"):
        assert inspect.signature(getattr(simdrive.Pipeline, name)).parameters.keys() == (
            inspect.signature(getattr(AsyncPipeline, name)).parameters.keys()
        )
