"""Deadlines in asyncio: the option, asyncio's own, both at once, late replies, and loops that are busy."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

import pytest

import simdrive
from support.fault_peer import Behaviour, FaultPeer
from support.late_replies import Deaf, Holder
from support.loops import LOOPS, Leaks, gathered, run_in, until
from support.timing import SLACK, within

SHORT = 0.1
LONG = 20.0
BIG = bytes(range(1, 251)) * 60_000

newer: Any = asyncio  # what Python 3.10 has not
Main = Callable[[simdrive.AsyncClient], Awaitable[None]]


@pytest.fixture(scope="module", params=LOOPS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", autouse=True)
def nothing_stays(kind: str) -> Iterator[None]:
    with Leaks(kind):
        yield


def with_client(kind: str, peer: FaultPeer, main: Main, **options: Any) -> None:
    run_in(kind, one_client(peer, main, **options))


async def one_client(peer: FaultPeer, main: Main, **options: Any) -> None:
    options.setdefault("timeout", LONG)
    with peer:
        async with await simdrive.aconnect(peer.url, reconnect_spread=0.0, **options) as client:
            await main(client)
            await until(lambda: client._core.pending == 0, what="nothing is under way")
    assert peer.errors == []


async def all_of(cases: list[Coroutine[Any, Any, None]]) -> None:
    """At once, since they mostly wait; the first failure is the test's."""
    results = await asyncio.gather(*cases, return_exceptions=True)
    for result in results:
        if result is not None:
            raise result


# ---- two kinds of deadline ------------------------------------------------------------------------------------------


async def with_wait_for(call: Awaitable[Any], seconds: float) -> Any:
    return await asyncio.wait_for(call, seconds)


async def with_timeout(call: Awaitable[Any], seconds: float) -> Any:
    async with newer.timeout(seconds):
        return await call


OUTER = {"wait_for": with_wait_for}
if sys.version_info >= (3, 11):
    OUTER["timeout"] = with_timeout


def caused_by(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def test_the_shorter_of_two_deadlines_counts(kind: str) -> None:
    run_in(kind, all_of([two_deadlines(outer, method) for outer in OUTER for method in ("read", "write")]))


async def two_deadlines(outer: str, method: str) -> None:
    limited = OUTER[outer]
    holder = Holder(["read", "write"])

    def call(client: simdrive.AsyncClient, timeout: float | None) -> Awaitable[Any]:
        if method == "read":
            return client.read(b"key", timeout=timeout)
        return client.write(b"key", b"value", timeout=timeout)

    async def main(client: simdrive.AsyncClient) -> None:
        expected = None if method == "read" else "unknown"
        for own in (LONG, None):
            with within(SHORT, least=SHORT - 0.01), pytest.raises(TimeoutError) as caught:
                await limited(call(client, own), SHORT)
            assert not isinstance(caught.value, simdrive.SimdriveError)
            assert [getattr(e, "outcome", None) for e in caused_by(caught.value)][-1] == expected
        for whole in (LONG, None):
            with within(SHORT, least=SHORT - 0.01), pytest.raises(simdrive.OperationTimeout) as mine:
                await limited(call(client, SHORT), whole)  # type: ignore[arg-type]
            assert mine.value.outcome == "unknown"
            assert await client.exists(b"another") is False  # or two timeouts in a row replace the connection
        with within(SHORT, least=SHORT - 0.01), pytest.raises(TimeoutError):
            await limited(call(client, SHORT), SHORT)
        assert await client.exists(b"another") is False
        holder.stop_holding()
        assert await client.read(b"other") == b"other value"
        assert client._stats()["connections"] == 1

    peer = FaultPeer(then=holder.behaviour)
    peer.store.entries[b"other"] = b"other value"
    await one_client(peer, main)


@pytest.mark.parametrize("outer", OUTER)
def test_in_time_for_both(kind: str, outer: str) -> None:
    async def main(client: simdrive.AsyncClient) -> None:
        for _ in range(50):
            assert await OUTER[outer](client.write(b"key", b"value", timeout=LONG), LONG) is None
            assert await OUTER[outer](client.read(b"key", timeout=LONG), LONG) == b"value"

    with_client(kind, FaultPeer(), main)


def test_no_time_at_all(kind: str) -> None:
    """A deadline that has passed when the call begins: it fails, and leaves nothing behind."""
    holder = Holder(["read", "write"])  # else a reply may be there before the clock is looked at, and counts

    async def main(client: simdrive.AsyncClient) -> None:
        for _ in range(20):
            with pytest.raises(simdrive.OperationTimeout):
                await client.read(b"key", timeout=0)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.read(b"key"), 0)
        errors = await gathered([client.write(b"key", b"value", timeout=0) for _ in range(100)])
        assert {type(error) for error in errors} == {simdrive.OperationTimeout}
        assert await client.exists(b"other") is False

    with_client(kind, FaultPeer(then=holder.behaviour), main)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="no task groups")
def test_task_groups(kind: str) -> None:
    """One that fails cancels the others, whose replies are nobody's then."""
    holder = Holder(["read"])

    async def main(client: simdrive.AsyncClient) -> None:
        tasks: list[asyncio.Task[Any]] = []

        async def group_with_a_failure() -> None:
            async with newer.TaskGroup() as group:
                tasks.extend(group.create_task(client.read(b"key %d" % i)) for i in range(50))
                tasks.append(group.create_task(client.read(b"late", timeout=SHORT)))

        with pytest.raises(Exception, match="unhandled errors") as caught:
            await group_with_a_failure()
        assert [type(error) for error in getattr(caught.value, "exceptions", ())] == [simdrive.OperationTimeout]
        assert all(task.cancelled() for task in tasks[:-1])
        holder.stop_holding()
        async with newer.TaskGroup() as group:
            tasks = [group.create_task(client.read(b"key %d" % i)) for i in range(50)]
        assert [task.result() for task in tasks] == [b"value %d" % i for i in range(50)]
        assert client._stats()["connections"] == 1

    peer = FaultPeer(then=holder.behaviour)
    peer.store.entries.update({b"key %d" % i: b"value %d" % i for i in range(50)})
    with_client(kind, peer, main)


# ---- replies that come too late -------------------------------------------------------------------------------------


def test_a_late_reply_is_nobodys(kind: str) -> None:
    sizes = [10, 5000, 400_000]  # in the call itself, in one frame, in several
    run_in(kind, all_of([late_reply(size, out) for size in sizes for out in ("bytes", "view", "buffer")]))


async def late_reply(size: int, out: str) -> None:
    holder = Holder(["read", "batch_read"])

    async def main(client: simdrive.AsyncClient) -> None:
        target = bytearray(b"\xee" * size)
        where: Any = target if out == "buffer" else out
        with pytest.raises(simdrive.OperationTimeout):
            await client.read(b"key", out=where, timeout=SHORT)
        assert await client.exists(b"key") is True
        with pytest.raises(simdrive.OperationTimeout):
            await client.batch_read([b"key", b"key"], timeout=SHORT)
        nexts = [asyncio.create_task(client.read(b"next %d" % i)) for i in range(10)]
        await until(lambda: holder.held == 12, what="the peer has all calls")
        holder.stop_holding()
        assert await asyncio.gather(*nexts) == [b"next value %d" % i for i in range(10)]
        assert target == b"\xee" * size
        target.clear()
        assert client._stats()["connections"] == 1

    peer = FaultPeer(then=holder.behaviour)
    peer.store.entries[b"key"] = (b"late value " * (size // 11 + 1))[:size]
    peer.store.entries.update({b"next %d" % i: b"next value %d" % i for i in range(10)})
    await one_client(peer, main)


def test_many_late_replies(kind: str) -> None:
    """Several hundred at once, whose replies come among those of others."""
    holder = Holder(["read"])

    async def main(client: simdrive.AsyncClient) -> None:
        late = [client.read(b"key %d" % i, timeout=SHORT) for i in range(400)]
        patient = [asyncio.create_task(client.read(b"key %d" % i)) for i in range(400, 800)]
        with within(SHORT, least=SHORT - 0.01):
            errors = await gathered(late)
        assert {type(error) for error in errors} == {simdrive.OperationTimeout}
        holder.stop_holding()
        assert await asyncio.gather(*patient) == [b"value %d" % i for i in range(400, 800)]

    peer = FaultPeer(then=holder.behaviour)
    peer.store.entries.update({b"key %d" % i: b"value %d" % i for i in range(800)})
    # Whether two deadlines in a row replace the connection depends on what comes first: the patient are asked again.
    with_client(kind, peer, main)


# ---- loops that are busy --------------------------------------------------------------------------------------------


def test_a_reply_that_is_here_is_not_late(kind: str) -> None:
    """The loop was held past the deadline by something else: what came meanwhile counts."""
    holder = Holder(["read"])

    async def main(client: simdrive.AsyncClient) -> None:
        task = asyncio.create_task(client.read(b"key", timeout=SHORT))
        await until(lambda: holder.held == 1, what="the peer has the call")
        holder.let_go()
        time.sleep(2 * SHORT)  # a callback that holds the loop
        assert await task == b"value"

    peer = FaultPeer(then=holder.behaviour)
    peer.store.entries[b"key"] = b"value"
    with_client(kind, peer, main)


def test_other_tasks_that_are_slow(kind: str) -> None:
    """A loop with other work: large and small values come through, in the end and right."""

    async def main(client: simdrive.AsyncClient) -> None:
        stop = False

        async def work() -> None:
            while not stop:
                until_then = time.monotonic() + 0.01
                while time.monotonic() < until_then:
                    pass
                await asyncio.sleep(0)

        worker = asyncio.create_task(work())
        writes = [client.write(b"key %d" % i, b"value %d" % i) for i in range(100)]
        await asyncio.gather(client.write(b"big", BIG), *writes)
        reads = [client.read(b"key %d" % i) for i in range(100)]
        big, *small = await asyncio.gather(client.read(b"big"), *reads)
        assert big == BIG
        assert small == [b"value %d" % i for i in range(100)]
        stop = True
        await worker

    with_client(kind, FaultPeer(), main)


def test_pings_are_answered_between_two_calls(kind: str) -> None:
    """An idle client answers, and asks, as long as its loop runs."""

    async def main(client: simdrive.AsyncClient) -> None:
        await until(lambda: peer.pings >= 1, what="the client pings")
        assert await client.is_empty()
        assert client._stats()["connections"] == 1

    peer = FaultPeer()
    with_client(kind, peer, main, ping_interval=0.03, ping_timeout=10)


def test_a_dead_peer_is_noticed_while_nobody_calls(kind: str) -> None:
    deaf = Deaf()

    async def main(client: simdrive.AsyncClient) -> None:
        with pytest.raises(simdrive.OperationTimeout):
            await client.exists(b"key", timeout=0.05)
        await until(lambda: client._stats()["connections"] == 2, what="there is another connection")
        assert await client.exists(b"key") is False

    peer = FaultPeer(script=[deaf.behaviour])
    with_client(kind, peer, main, ping_interval=0.05, ping_timeout=0.2)


def test_silence_ends_a_call_that_has_no_deadline(kind: str) -> None:
    holder = Holder(["write"])

    async def main(client: simdrive.AsyncClient) -> None:
        started = time.monotonic()
        with pytest.raises(simdrive.ConnectionLostError) as caught:
            await client.write(b"key", b"value", timeout=None)
        assert caught.value.outcome == "unknown"
        assert 0.3 <= time.monotonic() - started <= 0.4 + SLACK
        assert await client.read(b"key") == b"value"

    peer = FaultPeer(script=[holder.behaviour], then=Behaviour())
    with_client(kind, peer, main, idle_timeout=0.3)
