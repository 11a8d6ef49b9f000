"""The one thread that watches for all event loops which cannot watch descriptors themselves."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import simdrive
from support.fault_peer import FaultPeer
from support.late_replies import Holder
from support.loops import BlindLoop, Leaks, close_loop, gathered, run_in, turns, until
from support.ports import wait_until


class CountingLoop(BlindLoop):
    """Notes which callbacks other threads wake it for, and can refuse."""

    def __init__(self) -> None:
        self.woken_for: list[Any] = []
        self.refuses = False
        super().__init__()

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: Any = None
    ) -> asyncio.Handle:
        if isinstance(getattr(callback, "__self__", None), simdrive._core.LoopRounds):
            if self.refuses:
                raise OSError("the loop cannot be woken")
            self.woken_for.append(callback.__self__)  # type: ignore[attr-defined]
        return super().call_soon_threadsafe(callback, *args, context=context)


def watchers() -> int:
    return [thread.name for thread in threading.enumerate()].count("simdrive-watcher")


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    with Leaks("blind"):
        yield
        wait_until(lambda: watchers() == 0, timeout=10, what="the watcher ends with its last client")


@pytest.fixture
def holder() -> Holder:
    return Holder(["read"])


@pytest.fixture
def peer(holder: Holder) -> Iterator[FaultPeer]:
    with FaultPeer(then=holder.behaviour) as running:
        running.store.entries[b"key"] = b"value"
        yield running
    assert running.errors == []


def test_one_thread_for_all_clients_of_all_loops(peer: FaultPeer) -> None:
    together = threading.Barrier(4)
    failures: list[BaseException] = []
    seen: list[int] = []

    async def work(number: int) -> None:
        clients = [await simdrive.aconnect(peer.url, timeout=30) for _ in range(5)]
        together.wait(20)
        seen.append(watchers())
        for i in range(20):
            keys = [b"%d %d %d" % (number, i, c) for c in range(5)]
            await asyncio.gather(*[client.write(key, key) for client, key in zip(clients, keys, strict=True)])
            for client, key in zip(clients, keys, strict=True):
                assert await client.batch_read([key]) == [key]
        together.wait(20)
        for client in clients:
            await client.close()

    def run(number: int) -> None:
        try:
            run_in("blind", work(number))
        except BaseException as failure:
            failures.append(failure)
            together.abort()

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert failures == []
    assert seen == [1] * 4


def test_one_wake_up_for_all_that_is_due(peer: FaultPeer, holder: Holder) -> None:
    loop = CountingLoop()

    async def main() -> None:
        clients = [await simdrive.aconnect(peer.url) for _ in range(10)]
        reads = [asyncio.create_task(client.read(b"key")) for client in clients]
        await until(lambda: holder.held == 10, what="the peer has the calls")
        await turns(3)
        loop.woken_for.clear()
        holder.let_go()
        # The loop stands still meanwhile.
        wait_until(lambda: bool(loop.woken_for), timeout=10, what="the loop is woken")
        wait_until(lambda: loop.woken_for[0].pending == 10, timeout=10, what="all are due")
        assert len(loop.woken_for) == 1
        assert await asyncio.gather(*reads) == [b"value"] * 10
        for client in clients:
            await client.close()

    try:
        loop.run_until_complete(main())
    finally:
        close_loop(loop)


def test_a_lone_call_wakes_its_loop_once(peer: FaultPeer, holder: Holder) -> None:
    holder.stop_holding()
    loop = CountingLoop()

    async def main() -> None:
        async with await simdrive.aconnect(peer.url) as client:
            await client.read(b"key")
            loop.woken_for.clear()
            for _ in range(100):
                await client.read(b"key")
            assert len(loop.woken_for) <= 200  # head and end of a reply may come apart

    try:
        loop.run_until_complete(main())
    finally:
        close_loop(loop)


def test_the_thread_ends_and_comes_again(peer: FaultPeer) -> None:
    for _ in range(20):

        async def main() -> None:
            async with await simdrive.aconnect(peer.url) as client:
                assert watchers() >= 1
                assert await client.exists(b"key")

        run_in("blind", main())


def test_a_loop_that_is_closed_leaves_the_others_alone(peer: FaultPeer, holder: Holder) -> None:
    """Its client is due when the loop is closed, and again afterwards."""
    other, closed = BlindLoop(), BlindLoop()
    stays = other.run_until_complete(simdrive.aconnect(peer.url))

    async def begin() -> tuple[simdrive.AsyncClient, asyncio.Task[Any]]:
        client = await simdrive.aconnect(peer.url)
        task = asyncio.create_task(client.read(b"key"))
        await until(lambda: holder.held == 1, what="the peer has the call")
        return client, task

    client, task = closed.run_until_complete(begin())
    holder.stop_holding()  # its loop stands still, and may be closed before or after it is woken
    closed.close()
    peer.drop_connections()
    assert other.run_until_complete(stays.batch_read([b"key"])) == [b"value"]
    gone = weakref.ref(client)
    del client, task
    with pytest.warns(ResourceWarning, match="unclosed <simdrive.AsyncClient"):
        gc.collect()
    assert gone() is None
    assert watchers() == 1
    assert other.run_until_complete(stays.batch_read([b"key"])) == [b"value"]
    other.run_until_complete(stays.close())
    close_loop(other)


@pytest.mark.filterwarnings("ignore:unclosed")
def test_a_loop_that_nobody_closes_can_be_collected(peer: FaultPeer) -> None:
    """The thread keeps neither loop nor client."""
    loop = BlindLoop()
    client = loop.run_until_complete(simdrive.aconnect(peer.url))
    assert loop.run_until_complete(client.exists(b"key")) is True
    client.cycle = loop.client = client  # type: ignore[attr-defined]
    gone = weakref.ref(loop)
    del client, loop
    gc.collect()
    wait_until(lambda: bool(gc.collect() or gone() is None), timeout=10, what="the loop is collected")


def test_a_loop_that_cannot_be_woken_is_told_of(
    peer: FaultPeer, holder: Holder, caplog: pytest.LogCaptureFixture
) -> None:
    """The others go on, and its clients look for themselves at their deadlines."""
    loop, other = CountingLoop(), BlindLoop()
    stays = other.run_until_complete(simdrive.aconnect(peer.url))
    client = loop.run_until_complete(simdrive.aconnect(peer.url))
    holder.stop_holding()
    loop.refuses = True
    with caplog.at_level(logging.CRITICAL, "asyncio"):
        assert loop.run_until_complete(client.read(b"key", timeout=0.2)) == b"value"  # seen when it is overdue
        assert "could not be woken: its clients wait for their deadlines" in caplog.text
    caplog.clear()  # the record's traceback keeps the watcher
    assert other.run_until_complete(stays.read(b"key")) == b"value"
    for each, its in ((loop, client), (other, stays)):
        each.run_until_complete(its.close(timeout=0.1))
        close_loop(each)


def test_no_thread_to_be_had(peer: FaultPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "simdrive-watcher":
            raise RuntimeError("can't start new thread")
        start(thread)

    async def main() -> None:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refuse)
            for _ in range(3):
                with pytest.raises(simdrive.ConnectError, match="no thread could be started to watch") as caught:
                    await simdrive.aconnect(peer.url)
                assert caught.value.endpoint == peer.url
        async with await simdrive.aconnect(peer.url) as client:
            assert await client.exists(b"key") is True

    run_in("blind", main())


def test_clients_come_and_go_while_others_work(peer: FaultPeer, holder: Holder) -> None:
    """Descriptors are closed while the thread sleeps, and others get their numbers."""
    holder.stop_holding()

    async def come_and_go() -> None:
        for i in range(20):
            client = await simdrive.aconnect(peer.url)
            if i % 2:
                await client.read(b"key")
            tasks = [asyncio.create_task(client.read(b"key")) for _ in range(i % 4)]
            await turns(i % 3)
            await client.close()
            await gathered(tasks)

    async def main() -> None:
        async with await simdrive.aconnect(peer.url) as client:
            others = [asyncio.create_task(come_and_go()) for _ in range(4)]
            while not all(other.done() for other in others):
                assert await client.read(b"key") == b"value"
            await asyncio.gather(*others)

    run_in("blind", main())


def test_a_connection_that_goes_while_the_thread_watches_it(peer: FaultPeer, holder: Holder) -> None:
    holder.stop_holding()
    options: dict[str, Any] = {"retry": simdrive.Retry(base=0.001, cap=0.01), "reconnect_spread": 0}

    async def main() -> None:
        async with await simdrive.aconnect(peer.url, timeout=20, **options) as client:
            for made in range(1, 6):
                assert await client.read(b"key") == b"value"
                assert client._stats()["connections"] == made
                peer.drop_connections()
                # Its successor may be there before anybody looks.
                gone = lambda made=made: client._core.dialect == "" or client._stats()["connections"] > made  # noqa: E731
                await until(gone, what="it is seen")

    run_in("blind", main())
