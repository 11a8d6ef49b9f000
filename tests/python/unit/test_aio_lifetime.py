"""Clients in asyncio that nobody closed, whose loop ended or was interrupted, and that meet other loops and threads."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import io
import re
import select
import threading
import warnings
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import simdrive
from support.fault_peer import FaultPeer
from support.late_replies import Deaf, Holder
from support.loops import LOOPS, Leaks, close_loop, new_loop, run_in, turns, until
from support.ports import wait_until

LARGE = bytes(range(1, 251)) * 60_000


@pytest.fixture(scope="module", params=LOOPS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def nothing_stays(kind: str) -> Iterator[None]:
    with Leaks(kind):
        yield


@pytest.fixture
def holder() -> Holder:
    return Holder(["read", "batch_read", "write"])


@pytest.fixture
def peer(holder: Holder) -> Iterator[FaultPeer]:
    with FaultPeer(then=holder.behaviour) as running:
        yield running
    assert running.errors == []


def nobody_watches() -> bool:
    return not any(thread.name == "simdrive-watcher" for thread in threading.enumerate())


def warned_of(block: Callable[[], object]) -> list[str]:
    """What ResourceWarnings said in the block, and in the collection of what it left."""
    said: list[str] = []

    def note(message: Warning | str, category: type[Warning], *_: Any) -> None:
        if issubclass(category, ResourceWarning):
            said.append(str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = note  # type: ignore[assignment]  # a list of what was recorded would keep the clients
        block()
        for _ in range(3):
            gc.collect()
        if not said:  # the thread that watches for a loop without add_reader lets go of its client within a second
            wait_until(nobody_watches, timeout=10, what="watchers end")
            gc.collect()
    return said


# ---- never opened ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["add_reader", "epoll"])
def test_no_descriptors_for_the_loop(kind: str, peer: FaultPeer, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """What the loop watches already is taken back, however long the error is kept."""
    if where == "epoll" and not (kind == "uvloop" and hasattr(select, "epoll")):
        pytest.skip("this loop has no use for it")
    watched: list[int] = []
    forgotten: list[int] = []

    def refuse(*_: Any) -> Any:
        raise OSError(errno.EMFILE, "too many open files")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        add, remove = loop.add_reader, loop.remove_reader

        def add_reader(fd: int, *args: Any) -> None:
            watched.append(fd)
            with contextlib.suppress(NotImplementedError):
                add(fd, *args)
            if where == "add_reader":
                refuse()

        def remove_reader(fd: int) -> Any:
            forgotten.append(fd)
            return remove(fd)

        with monkeypatch.context() as patched:
            patched.setattr(loop, "add_reader", add_reader)
            patched.setattr(loop, "remove_reader", remove_reader)
            patched.setattr(select, "epoll", refuse, raising=False)
            with pytest.raises(OSError, match="too many") as caught:
                await simdrive.aconnect(peer.url)
        assert watched == forgotten
        await until(lambda: not peer._sockets, what="the connection is closed")
        assert caught.value.errno == errno.EMFILE

    run_in(kind, main())


# ---- thrown away ----------------------------------------------------------------------------------------------------


def test_thrown_away_while_idle(kind: str, peer: FaultPeer) -> None:
    async def main() -> None:
        client = await simdrive.aconnect(peer.url)
        assert await client.exists(b"key") is False
        gone = weakref.ref(client)
        del client
        gc.collect()
        assert gone() is None
        await until(lambda: peer.closes == 1, what="the connection is closed")

    said = warned_of(lambda: run_in(kind, main()))
    assert len(said) == 1
    assert "unclosed <simdrive.AsyncClient" in said[0]


def test_thrown_away_with_calls_under_way(kind: str, peer: FaultPeer, holder: Holder) -> None:
    """A task that waits keeps its client; once the task is gone, so is the client, and the buffers are free."""
    target, data = bytearray(400_000), bytearray(b"data")

    async def main() -> None:
        client = await simdrive.aconnect(peer.url)
        tasks = [
            asyncio.create_task(client.read(b"key", out=target)),
            asyncio.create_task(client.write(b"other", data)),
            asyncio.create_task(client.batch_read([b"key"], out="view")),
        ]
        await until(lambda: holder.held == 3, what="the peer has the calls")
        holder.send_first_frames()
        gone = weakref.ref(client)
        del client
        await turns(3)
        gc.collect()
        assert gone() is not None
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        tasks.clear()
        del task
        gc.collect()
        assert gone() is None
        await until(lambda: peer.closes == 1, what="the connection is closed")

    peer.store.entries[b"key"] = LARGE[:400_000]
    said = warned_of(lambda: run_in(kind, main()))
    assert [message for message in said if "unclosed <simdrive.AsyncClient" in message]
    target.clear()
    data.clear()


def test_coroutines_thrown_away_with_calls_under_way(kind: str, peer: FaultPeer, holder: Holder) -> None:
    """close() of a coroutine, as its collection does, and in another thread as well."""

    async def main() -> None:
        async with await simdrive.aconnect(peer.url) as client:
            for elsewhere in (False, True):
                running = [client.read(b"key"), client.write(b"other", bytearray(b"data")), client.batch_read([b"key"])]
                for coroutine in running:
                    coroutine.send(None)  # up to where it waits
                await turns(2)
                if elsewhere:
                    thread = threading.Thread(target=lambda: [each.close() for each in running])  # noqa: B023
                    thread.start()
                    thread.join()
                else:
                    for coroutine in running:
                        coroutine.close()
            await turns(2)
            holder.stop_holding()
            assert await client.read(b"key") == b"value"
            await until(lambda: client._core.pending == 0, what="nothing is under way")
            assert client._stats()["connections"] == 1

    peer.store.entries[b"key"] = b"value"
    run_in(kind, main())


# ---- the loop ends --------------------------------------------------------------------------------------------------


def left_open(kind: str, peer: FaultPeer, holder: Holder, *, close: bool) -> tuple[Any, list[Any]]:
    """A client and its tasks, whose loop has stopped, and is closed or not."""
    loop = new_loop(kind)
    loop.set_exception_handler(lambda _loop, _context: None)  # of tasks that are destroyed while they wait

    async def main() -> tuple[simdrive.AsyncClient, list[asyncio.Task[Any]]]:
        client = await simdrive.aconnect(peer.url, timeout=20)
        tasks: list[asyncio.Task[Any]] = [
            asyncio.create_task(client.read(b"key", out=bytearray(400_000))),
            asyncio.create_task(client.write(b"other", bytearray(LARGE))),
            asyncio.create_task(client.batch_read([b"key"])),
        ]
        await until(lambda: holder.held >= 2, what="the peer has calls")
        holder.send_first_frames()
        await turns(2)
        return client, tasks

    client, tasks = loop.run_until_complete(main())
    if close:
        close_loop(loop)
    return client, tasks


def test_its_loop_is_closed(kind: str, peer: FaultPeer, holder: Holder) -> None:
    peer.store.entries[b"key"] = LARGE[:400_000]

    def block() -> None:
        client, tasks = left_open(kind, peer, holder, close=True)
        assert not client.closed

        async def elsewhere() -> None:
            with pytest.raises(simdrive.EventLoopError):
                await client.read(b"key")
            with pytest.raises(simdrive.EventLoopError):
                await client.close()

        run_in(kind, elsewhere())
        assert not tasks[0].done()
        assert not tasks[2].done()

    said = warned_of(block)
    assert [message for message in said if "unclosed <simdrive.AsyncClient" in message]


def test_its_loop_only_stopped(kind: str, peer: FaultPeer, holder: Holder) -> None:
    """A loop may go on later, and the calls with it."""
    peer.store.entries[b"key"] = LARGE[:400_000]
    client, tasks = left_open(kind, peer, holder, close=False)
    loop = tasks[0].get_loop()
    holder.stop_holding()

    async def rest() -> list[Any]:
        results = await asyncio.gather(*tasks)
        assert await client.read(b"other") == LARGE
        await client.close()
        return results

    try:
        assert loop.run_until_complete(rest()) == [400_000, None, [LARGE[:400_000]]]
    finally:
        close_loop(loop)


def test_thrown_away_between_two_runs(kind: str, peer: FaultPeer, holder: Holder) -> None:
    """The loop stands still, but will go on: what belonged to the client is gone then."""
    loop = new_loop(kind)

    async def main() -> None:
        client = await simdrive.aconnect(peer.url)
        assert await client.exists(b"key") is False

    try:
        said = warned_of(lambda: loop.run_until_complete(main()))
        assert len(said) == 1
        loop.run_until_complete(until(lambda: peer.closes == 1, what="the connection is closed"))
        for _ in range(3):
            loop.run_until_complete(turns(3))
    finally:
        close_loop(loop)


# ---- other loops ----------------------------------------------------------------------------------------------------


def unread() -> Iterator[Any]:
    raise AssertionError("a source was read for a call that nobody may make here")
    yield


def calls_of(client: Any) -> dict[str, Callable[[], Any]]:
    """A call of every method that has to be made in the client's loop."""
    return {
        "write": lambda: client.write(b"key", b"value"),
        "batch_write": lambda: client.batch_write(unread()),
        "batch_write in parts": lambda: client.batch_write(unread(), max_bytes=10),
        "batch_write of nothing": lambda: client.batch_write({}, max_bytes=10),
        "read": lambda: client.read(b"key"),
        "batch_read": lambda: client.batch_read(unread()),
        "batch_read of nothing": lambda: client.batch_read([]),
        "batch_read_structured": lambda: client.batch_read_structured({1: b"key"}),
        "delete": lambda: client.delete(b"key"),
        "batch_delete": lambda: client.batch_delete(unread()),
        "batch_delete of nothing": lambda: client.batch_delete([]),
        "exists": lambda: client.exists(b"key"),
        "size": client.size,
        "is_empty": client.is_empty,
        "file_size": client.file_size,
        "ping": client.ping,
        "server_info": client.server_info,
        "write_stream": lambda: client.write_stream(b"key", unread()),
        "read_stream": lambda: anext_of(client.read_stream(b"key")),
        "read_into": lambda: client.read_into(b"key", io.BytesIO()),
        "pipeline": client.pipeline,
        "async with": client.__aenter__,
        "close": client.close,
    }


async def anext_of(pieces: AsyncIterator[Any]) -> Any:
    return await pieces.__anext__()


# What an error names where that is not the method.
OP_OF = {"batch_read_structured": "batch_read", "read_stream": "read", "read_into": "read"}


@pytest.mark.parametrize("which", ["client", "namespace"])
def test_another_loop(kind: str, peer: FaultPeer, which: str) -> None:
    """Each method says so before it reads or sends anything; the client itself is not hurt."""
    loop = new_loop(kind)
    client = loop.run_until_complete(simdrive.aconnect(peer.url))
    view: Any = client if which == "client" else client.namespace(b"users")
    pipeline = loop.run_until_complete(made_here(view.pipeline))
    calls = calls_of(view)
    methods = {name for name in dir(view) if not name.startswith("_")}
    assert methods - {"options", "closed", "namespace"} <= set(calls)
    calls |= {
        "pipeline, entered": pipeline.__aenter__,
        "pipeline, left": lambda: pipeline.__aexit__(None, None, None),
        "pipeline, abandoned": lambda: pipeline.__aexit__(LookupError, LookupError(), None),
    }

    async def elsewhere() -> None:
        for name, call in calls.items():
            with pytest.raises(simdrive.EventLoopError, match="another event loop") as caught:
                await call()
            method = re.split(",? ", name)[0] if name != "async with" else name
            assert caught.value.op == OP_OF.get(method, method)
            assert caught.value.endpoint == peer.url, name
            assert caught.value.outcome == "not applied"
        for started in (pipeline.read, pipeline.delete, pipeline.exists, lambda key: pipeline.write(key, b"value")):
            with pytest.raises(simdrive.EventLoopError, match="another event loop"):
                started(b"key")

    async def here() -> None:
        assert not client.closed
        assert not view.closed
        assert await client.size() == 0
        async with pipeline as p:
            there = p.exists(b"key")
        assert there.result() is False
        await client.close()

    try:
        run_in(kind, elsewhere())
        for call in calls.values():  # no loop runs at all
            with pytest.raises(simdrive.EventLoopError):
                call().send(None)
        assert peer.calls == []
        loop.run_until_complete(here())
    finally:
        close_loop(loop)


async def made_here(make: Callable[[], Any]) -> Any:
    return make()


def test_several_loops_in_several_threads(kind: str) -> None:
    failures: list[BaseException] = []

    async def work(number: int) -> None:
        async with await simdrive.aconnect(shared.url, timeout=30) as client:
            keys = [b"%d %d" % (number, i) for i in range(100)]
            for _ in range(5):
                await asyncio.gather(*[client.write(key, key + b" value") for key in keys])
                tasks = [asyncio.create_task(client.read(key)) for key in keys]
                for task in tasks[::3]:
                    task.cancel()
                for key, value in zip(keys, await asyncio.gather(*tasks, return_exceptions=True), strict=True):
                    assert isinstance(value, asyncio.CancelledError) or value == key + b" value"

    def run(number: int) -> None:
        try:
            run_in(kind, work(number))
        except BaseException as failure:
            failures.append(failure)

    with FaultPeer() as shared:
        threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
    assert failures == []
    assert shared.errors == []


def test_closed_with_calls_in_every_state(kind: str) -> None:
    """They all end with ClosedError, and what they borrowed is free again."""
    deaf = Deaf()
    data, target = bytearray(LARGE), bytearray(10)

    async def main() -> None:
        client = await simdrive.aconnect(running.url, max_inflight=3, close_timeout=0.1)
        asked = asyncio.create_task(client.exists(b"key"))
        await until(deaf.is_deaf.is_set, what="the peer reads nothing more")
        tasks: list[asyncio.Task[Any]] = [
            asked,
            asyncio.create_task(client.write(b"half-sent", data)),
            asyncio.create_task(client.read(b"unsent", out=target)),
            asyncio.create_task(client.read(b"without room")),
        ]
        await turns(5)
        await client.close()
        errors = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(error) for error in errors] == [simdrive.ClosedError] * 4
        assert [getattr(error, "outcome", "") for error in errors][1:] == ["unknown", "not applied", "not applied"]
        assert client._core.pending == 0
        data.clear()
        target.clear()
        with pytest.raises(simdrive.ClosedError):
            await client.read(b"key")
        await client.close()

    with FaultPeer(script=[deaf.behaviour]) as running:
        run_in(kind, main())
        deaf.listen()
