"""Calls of the asyncio client that are cancelled, in every state they can be in."""

from __future__ import annotations

import asyncio
import gc
import random
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import simdrive
from simdrive import AsyncClient, Retry, aconnect
from support import bitcode
from support.fault_peer import Behaviour, Call, Connection, FaultPeer
from support.loops import Runner, memory, turns, until
from support.timing import within

LARGE = bytes(range(256)) * (1 << 14)  # 4 MiB: more than the sockets take
FAST = Retry(base=0.001, cap=0.002)


def no_reply(connection: Connection, call: Call) -> None:
    """Leaves the caller waiting."""


class Gate:
    """A behaviour that holds back what the peer does until it is opened."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def deaf(self, connection: Connection, call: Call) -> None:
        """Reads nothing more."""
        self.reached.set()
        self.opened.wait(20)

    def late(self, connection: Connection, call: Call) -> None:
        self.deaf(connection, call)
        connection.answer_well(call)

    def half(self, connection: Connection, call: Call) -> None:
        """Half of a large reply, and the other half when it is opened."""
        frames = connection.reply_frames(call, bitcode.option(LARGE))
        for data in frames[: len(frames) // 2]:
            connection.send(data)
        self.deaf(connection, call)
        for data in frames[len(frames) // 2 :]:
            connection.send(data)


async def cancel(task: asyncio.Future[Any]) -> asyncio.CancelledError:
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    return caught.value


async def seen(awaitable: Awaitable[object]) -> BaseException:
    """What the awaiting task itself gets: a task that awaits another may get another CancelledError."""
    try:
        await awaitable
    except BaseException as error:
        return error
    raise AssertionError("no error")


async def is_idle(client: AsyncClient) -> None:
    await until(lambda: client._core.pending == 0, "nothing is under way")


WRITES: dict[str, Callable[[AsyncClient], Any]] = {
    "write": lambda client: client.write(b"key", b"value"),
    "batch_write": lambda client: client.batch_write({b"key": b"value"}),
    "delete": lambda client: client.delete(b"key"),
}


def outcome(error: BaseException) -> object:
    return getattr(error, "outcome", None)


# ---- one call, in each state ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WRITES)
def test_before_it_starts(run: Runner, name: str) -> None:
    async def main() -> None:
        async with await aconnect(peer.url) as client:
            assert outcome(await cancel(asyncio.ensure_future(WRITES[name](client)))) is None
            assert client._core.pending == 0
            assert await client.is_empty()

    with FaultPeer() as peer:
        run(main(), collect=True)
        assert [call.method for call in peer.calls] == ["is_empty"]


@pytest.mark.parametrize("name", WRITES)
def test_waiting_for_the_reply(run: Runner, name: str) -> None:
    async def main() -> None:
        async with await aconnect(peer.url) as client:
            task = asyncio.ensure_future(seen(WRITES[name](client)))
            await until(gate.reached.is_set, "the call arrives")
            task.cancel()
            error = await task
            assert isinstance(error, asyncio.CancelledError)
            assert outcome(error) == "unknown"
            if sys.version_info >= (3, 11):
                assert any("may or may not" in note for note in error.__notes__)
            assert client._core.pending == 0
            gate.opened.set()
            assert await client.exists(b"key") is (name != "delete")  # the late reply is not taken for this one
            assert client._stats()["connections"] == 1

    gate = Gate()
    with FaultPeer(script=[Behaviour(call=gate.late)]) as peer:
        run(main(), collect=True)


@pytest.mark.parametrize("name", WRITES)
def test_queued_behind_max_inflight(run: Runner, name: str) -> None:
    async def main() -> None:
        async with await aconnect(peer.url, max_inflight=1) as client:
            first = asyncio.ensure_future(client.exists(b"first"))
            await until(gate.reached.is_set, "the first call arrives")
            tasks = [asyncio.ensure_future(seen(WRITES[name](client))) for _ in range(10)]
            await turns(2)
            assert client._core.pending == 11
            for task in tasks:
                task.cancel()
            for task in tasks:
                error = await task
                assert isinstance(error, asyncio.CancelledError)
                assert outcome(error) is None  # nothing of it was sent
            assert client._core.pending == 1
            gate.opened.set()
            assert await first is False
            assert await client.is_empty()

    gate = Gate()
    with FaultPeer(script=[Behaviour(call=gate.late)]) as peer:
        run(main(), collect=True)
        assert [call.method for call in peer.calls] == ["exists", "is_empty"]


@pytest.mark.parametrize("mutable", [False, True], ids=["bytes", "bytearray"])
def test_in_the_middle_of_a_large_write(run: Runner, mutable: bool) -> None:
    """What cannot change is sent to its end; what can is not, which costs the connection."""

    async def main() -> None:
        async with await aconnect(peer.url, reconnect_spread=0, retry=FAST) as client:
            value = bytearray(LARGE) * 4 if mutable else LARGE * 4
            hold = asyncio.ensure_future(client.exists(b"other"))
            await until(gate.reached.is_set, "the server reads nothing any more")
            task = asyncio.ensure_future(seen(client.write(b"key", value)))
            await turns(50)
            assert not task.done()
            task.cancel()
            error = await task
            assert isinstance(error, asyncio.CancelledError)
            assert outcome(error) == "unknown"
            if isinstance(value, bytearray):
                value.append(1)
            gate.opened.set()
            assert await hold is False
            assert await client.exists(b"key") is not mutable
            assert client._stats()["connections"] == (2 if mutable else 1)
            await is_idle(client)

    gate = Gate()
    with FaultPeer(script=[Behaviour(call=gate.late, methods=frozenset(["exists"]))]) as peer:
        run(main(), collect=True)
        assert peer.store.entries == ({} if mutable else {b"key": LARGE * 4})


@pytest.mark.parametrize("out", [False, True], ids=["bytes", "out"])
def test_in_the_middle_of_a_large_reply(run: Runner, out: bool) -> None:
    async def main() -> None:
        target = bytearray(len(LARGE))
        async with await aconnect(peer.url) as client:
            task = asyncio.ensure_future(seen(client.read(b"key", out=target) if out else client.read(b"key")))
            await until(gate.reached.is_set, "half of the reply is sent")
            await turns(100)
            task.cancel()
            assert isinstance(await task, asyncio.CancelledError)
            assert client._core.pending == 1
            if out:
                with pytest.raises(BufferError):
                    target.append(1)  # the rest of the reply goes there
            gate.opened.set()
            assert await client.read(b"key") == LARGE
            assert client._stats()["connections"] == 1
            await is_idle(client)
            target.append(1)

    gate = Gate()
    with FaultPeer(script=[Behaviour(call=gate.half)]) as peer:
        peer.store.entries[b"key"] = LARGE
        run(main(), collect=True)


@pytest.mark.parametrize("name", WRITES)
def test_in_the_round_in_which_it_ends(run: Runner, name: str) -> None:
    """The reply is there, the caller does not know yet: that says something else than that nothing was sent."""

    async def main() -> None:
        async with await aconnect(peer.url) as client:
            task = asyncio.ensure_future(seen(WRITES[name](client)))
            while client._core.pending or not peer.calls:
                assert not task.done()
                await asyncio.sleep(0)
            if task.done():
                pytest.skip("the loop ran the caller first")
            task.cancel()
            error = await task
            assert isinstance(error, asyncio.CancelledError)
            assert outcome(error) == "unknown"

    # The task that polls runs after the reply is settled and before the caller only on some rounds.
    for _ in range(20):
        with FaultPeer() as peer:
            try:
                run(main(), collect=False)
            except (AssertionError, pytest.skip.Exception):
                continue
            return
    pytest.skip("the caller was always first")


@pytest.mark.parametrize("name", WRITES)
def test_cancelled_and_then_settled(run: Runner, name: str) -> None:
    """Cancelled while the reply lies in the socket, which is read before the caller runs."""

    async def main() -> None:
        async with await aconnect(peer.url) as client:
            task = asyncio.ensure_future(seen(WRITES[name](client)))
            await turns(2)
            assert answered.wait(10)
            task.cancel()
            client._core._ready()
            error = await task
            assert isinstance(error, asyncio.CancelledError)
            assert outcome(error) == "unknown"
            assert client._core.pending == 0
            assert client._stats()["connections"] == 1

    answered = threading.Event()

    def answer(connection: Connection, call: Call) -> None:
        connection.answer_well(call)
        answered.set()

    with FaultPeer(script=[Behaviour(call=answer)]) as peer:
        run(main(), collect=True)


def test_while_reconnecting(run: Runner) -> None:
    def refuse(connection: Connection) -> None:
        connection.send_raw(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        connection.finish()

    async def main() -> None:
        rng = random.Random(1)
        async with await aconnect(peer.url, reconnect_spread=0, retry=FAST) as client:
            peer.drop_connections()
            for _ in range(300):
                calls = [client.read(b"key"), client.write(b"key", bytearray(b"value")), client.delete(b"key")]
                tasks = [asyncio.ensure_future(call) for call in calls]
                await turns(rng.randrange(4))
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            assert await client.read(b"other", timeout=20) is None
            assert client._core.pending == 0

    script = [Behaviour(), *[Behaviour(upgrade=refuse) for _ in range(30)]]
    with FaultPeer(script=script) as peer:
        run(main(), collect=True)
        assert len(peer.requests) == 32


def test_a_write_whose_first_try_was_lost_stays_unknown(run: Runner) -> None:
    def refuse(connection: Connection) -> None:
        connection.reset()

    async def main() -> None:
        always = Retry(base=0.001, cap=0.002, retry_writes="always")
        async with await aconnect(peer.url, reconnect_spread=0, retry=always) as client:
            task = asyncio.ensure_future(seen(client.write(b"key", b"value", timeout=20)))
            await until(lambda: len(peer.requests) > 2, "it waits for a connection")
            task.cancel()
            assert outcome(await task) == "unknown"

    then = Behaviour(upgrade=refuse)
    with FaultPeer(script=[Behaviour(call=lambda connection, call: connection.reset())], then=then) as peer:
        run(main(), collect=True)


# ---- aconnect -------------------------------------------------------------------------------------------------------


def descriptors() -> int:
    path = Path("/proc/self/fd")
    return len(list(path.iterdir())) if path.is_dir() else 0


def test_aconnect(run: Runner) -> None:
    """Cancelled at every stage of connecting: nothing stays open, and nothing is watched."""

    async def main() -> None:
        rng = random.Random(2)
        await (await aconnect(peer.url)).close()
        before = descriptors()
        opened = 0
        for i in range(200):
            task = asyncio.ensure_future(aconnect(peer.url))
            await turns(i % 3)
            if i % 2:
                await asyncio.sleep(rng.random() * 0.003)
            task.cancel()
            try:
                client = await task
            except asyncio.CancelledError:
                continue
            opened += 1
            assert await client.exists(b"key") is False
            await client.close()
        assert opened < 200
        gc.collect()
        await until(lambda: descriptors() <= before + 1, "all descriptors are closed", timeout=20)

    with FaultPeer() as peer:
        run(main(), collect=True)
        peer.close()


@pytest.mark.parametrize("stage", ["accepted", "upgrade", "probe"])
def test_aconnect_to_a_silent_server(run: Runner, stage: str) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(aconnect(peer.url, connect_timeout=20))
        await until(lambda: reached.is_set(), "the connection is at this stage")
        with within(0.5):
            await cancel(task)

    reached = threading.Event()

    def hold(connection: Connection) -> None:
        reached.set()
        connection.hold()

    with FaultPeer(script=[Behaviour(**{stage: hold})]) as peer:  # type: ignore[arg-type]
        run(main(), collect=True)


# ---- timeouts of asyncio --------------------------------------------------------------------------------------------


def test_wait_for(run: Runner) -> None:
    async def main() -> None:
        async with await aconnect(peer.url, timeout=20) as client:
            with within(0.1, least=0.08), pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.read(b"key"), 0.1)
            assert client._core.pending == 0
            # Whichever is first.
            with within(0.1, least=0.08), pytest.raises(simdrive.OperationTimeout):
                await asyncio.wait_for(client.read(b"key", timeout=0.1), 5)
            assert await client.is_empty()

    with FaultPeer(script=[Behaviour(call=no_reply, methods=frozenset(["read"]), times=None)]) as peer:
        run(main(), collect=True)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.timeout and TaskGroup are of Python 3.11")
def test_timeout_and_task_group(run: Runner) -> None:
    async def main() -> None:
        async with await aconnect(peer.url, timeout=20) as client:
            with within(0.1, least=0.08), pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(0.1):
                    await client.write(b"key", b"value")
            assert outcome(caught.value.__cause__ or caught.value) == "unknown"
            for inner, outer, kind in [(0.05, 5.0, simdrive.OperationTimeout), (5.0, 0.05, TimeoutError)]:
                with within(0.05), pytest.raises(kind):
                    async with asyncio.timeout(outer):
                        await client.write(b"key", b"value", timeout=inner)
            for same in range(10):  # both at once
                with within(0.05), pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.01 + same / 1000):
                        await client.read(b"never", timeout=0.01 + same / 1000)
            with within(1), pytest.raises(BaseExceptionGroup) as group:
                async with asyncio.TaskGroup() as tasks:
                    for _ in range(20):
                        tasks.create_task(client.read(b"never"))
                    tasks.create_task(client.read(b"never", timeout=0.1))
            assert [type(error) for error in group.value.exceptions] == [simdrive.OperationTimeout]
            assert client._core.pending == 0
            async with asyncio.TaskGroup() as tasks:
                found = [tasks.create_task(client.exists(b"key %d" % i)) for i in range(20)]
            assert {task.result() for task in found} == {False}

    silent = Behaviour(call=no_reply, methods=frozenset(["read", "write"]), times=None)
    with FaultPeer(then=silent) as peer:
        run(main(), collect=True)


# ---- coroutines that nobody runs any more ---------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["here", "in another thread", "by the collector"])
def test_a_coroutine_that_is_closed(run: Runner, where: str) -> None:
    async def main() -> None:
        async with await aconnect(peer.url) as client:
            out = bytearray(100)
            held: list[Any] = [client.read(b"key", out=out)]
            held[0].send(None)
            await until(lambda: len(peer.calls) == 1, "the call arrives")
            if where == "here":
                held.pop().close()
            elif where == "by the collector":
                held.append(held)
                del held
                gc.collect()
            else:
                thread = threading.Thread(target=held.clear)
                thread.start()
                thread.join(10)
            await is_idle(client)
            out.append(1)
            assert await client.exists(b"key") is False
            assert client._stats()["connections"] == 1

    with FaultPeer(script=[Behaviour(call=no_reply, methods=frozenset(["read"]), times=None)]) as peer:
        run(main(), collect=True)


def test_a_coroutine_that_was_never_run(run: Runner) -> None:
    async def main() -> None:
        async with await aconnect(peer.url) as client:
            client.read(b"key").close()
            with pytest.warns(RuntimeWarning, match="never awaited"):
                client.read(b"key")  # type: ignore[unused-coroutine]
                gc.collect()
            assert client._core.pending == 0

    with FaultPeer() as peer:
        run(main(), collect=True)
        assert peer.calls == []


# ---- back-pressure --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"max_inflight": 16}, {"max_inflight_bytes": 200}])
def test_many_calls_wait_for_their_turn(run: Runner, options: dict[str, int]) -> None:
    count = 2000  # the peer is Python; 20 000 against a real server are in the integration tests

    async def main() -> None:
        async with await aconnect(peer.url, **options) as client:
            await asyncio.gather(*(client.write(b"key %d" % i, b"value %d" % i) for i in range(count)))
            assert client._core.pending == 0

    with FaultPeer() as peer:
        run(main(), collect=True)
        assert peer.store.entries == {b"key %d" % i: b"value %d" % i for i in range(count)}
        # And in the order in which they were made.
        assert [call.request_id for call in peer.calls] == sorted(call.request_id for call in peer.calls)


def test_overload(run: Runner) -> None:
    async def main() -> None:
        async with await aconnect(peer.url, max_inflight=2) as client:
            held = [asyncio.ensure_future(client.read(b"key", timeout=20)) for _ in range(2)]
            await until(lambda: len(peer.calls) == 2, "two calls arrive")
            with within(0.2, least=0.18), pytest.raises(simdrive.OverloadError, match="2 calls are in flight") as caught:
                await client.write(b"key", b"value", timeout=0.2)
            assert caught.value.outcome == "not applied"
            for task in held:
                await cancel(task)
            assert await client.exists(b"key") is False

    with FaultPeer(script=[Behaviour(call=no_reply, methods=frozenset(["read"]), times=None)]) as peer:
        run(main(), collect=True)
        assert [call.method for call in peer.calls] == ["read", "read", "exists"]


# ---- the storm ------------------------------------------------------------------------------------------------------


def test_storm(run: Runner) -> None:
    """Calls cancelled at random moments, on one connection with a few in flight: no reply goes astray."""
    rng = random.Random(3)
    cancelled = 0

    async def call(client: AsyncClient, number: int, buffers: list[bytearray]) -> None:
        key = b"key %d" % (number % 50)
        value = key * (200_000 if number % 50 == 7 else 3)
        kind = rng.randrange(6)
        if kind == 0:
            await client.write(key, value)
        elif kind == 1:
            out = bytearray(len(value))
            buffers.append(out)
            size = await client.read(key, out=out)
            assert size is None or out == value
        elif kind == 2:
            found = await client.batch_read([key, b"absent", key])
            assert found in ([None] * 3, [value, None, value])
        elif kind == 3:
            await client.delete(key)
        elif kind == 4:
            assert await client.exists(b"absent") is False
        else:
            assert await client.read(key) in (None, value)

    async def one(client: AsyncClient, number: int, buffers: list[bytearray]) -> None:
        nonlocal cancelled
        task = asyncio.ensure_future(call(client, number, buffers))
        moment = rng.randrange(8)
        if moment < 5:
            await turns(moment)
        else:
            await asyncio.sleep(rng.random() * 0.004)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            cancelled += 1

    async def main() -> None:
        buffers: list[bytearray] = []
        async with await aconnect(peer.url, max_inflight=8, timeout=20) as client:

            async def work(first: int) -> None:
                for number in range(first, 600, 12):
                    await one(client, number, buffers)

            await asyncio.gather(*(work(first) for first in range(12)))
            await is_idle(client)
            assert client._stats()["connections"] == 1
        for buffer in buffers:
            buffer.append(1)
        assert cancelled > 200

    before = memory()
    with FaultPeer() as peer:
        run(main(), collect=True)
    assert peer.errors == []
    assert memory() - before < 64 << 20
