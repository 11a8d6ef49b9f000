"""Ctrl-C while a loop runs the asyncio client, also where it comes in the middle of the client's own work."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import simdrive
from support.fault_peer import FaultPeer
from support.late_replies import Holder
from support.loops import LOOPS, Leaks, close_loop, new_loop, until

VALUE = bytes(range(1, 251)) * 1600


@pytest.fixture
def holder() -> Holder:
    return Holder(["read", "write"])


@pytest.fixture
def peer(holder: Holder) -> Iterator[FaultPeer]:
    for kind in LOOPS[1:]:
        new_loop(kind).close()  # opens what stays
    with Leaks("asyncio"):
        with FaultPeer(then=holder.behaviour) as running:
            yield running
        assert running.errors == []


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signals for threads")
def test_keyboard_interrupt(kind: str, peer: FaultPeer, holder: Holder) -> None:
    """Ctrl-C ends run_until_complete(); the loop can go on, and so do the client and its calls."""
    loop = new_loop(kind)
    main_thread = threading.main_thread().ident
    assert main_thread is not None
    clients: list[simdrive.AsyncClient] = []
    tasks: list[asyncio.Task[Any]] = []

    async def begin() -> None:
        clients.append(await simdrive.aconnect(peer.url, timeout=20))
        tasks.extend(asyncio.create_task(clients[0].read(b"key")) for _ in range(20))
        await until(lambda: holder.held == 20, what="the peer has the calls")
        threading.Timer(0.05, signal.pthread_kill, (main_thread, signal.SIGINT)).start()

    async def rest() -> None:
        holder.stop_holding()
        assert await asyncio.gather(*tasks) == [b"value"] * 20
        assert await clients[0].read(b"key") == b"value"
        await clients[0].close()

    peer.store.entries[b"key"] = b"value"
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        loop.run_until_complete(begin())
        with pytest.raises(KeyboardInterrupt):
            loop.run_forever()
        loop.run_until_complete(rest())
    finally:
        signal.signal(signal.SIGINT, before)
        close_loop(loop)


class InterruptedLoop(asyncio.SelectorEventLoop):
    """Raises KeyboardInterrupt in one of its methods, as a signal that comes right then."""

    where = ""

    def _maybe(self, name: str) -> None:
        if self.where == name:
            self.where = ""
            raise KeyboardInterrupt

    def create_future(self) -> Any:
        self._maybe("create_future")
        return super().create_future()

    def call_soon(self, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        self._maybe("call_soon")
        return super().call_soon(*args, **kwargs)

    def call_at(self, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        self._maybe("call_at")
        return super().call_at(*args, **kwargs)


@pytest.fixture
def interrupted_loop(peer: FaultPeer) -> Iterator[InterruptedLoop]:
    loop = InterruptedLoop()
    yield loop
    close_loop(loop)


@pytest.mark.parametrize("where", ["create_future", "call_soon", "call_at"])
def test_interrupted_while_a_call_begins(
    interrupted_loop: InterruptedLoop, peer: FaultPeer, holder: Holder, where: str
) -> None:
    """Nothing refers to a call that is not there, and the next ones are sent and end in time."""
    loop = interrupted_loop

    async def main() -> None:
        client = await simdrive.aconnect(peer.url, timeout=20)
        others = []
        if where != "call_at":  # a lone call is sent at once, others at the end of the round
            others.append(asyncio.ensure_future(client.read(b"key")))
            await until(lambda: holder.held == 1, what="the peer has a call")
        loop.where = where
        buffer = bytearray(b"value")
        with pytest.raises(KeyboardInterrupt):
            await client.write(b"other", buffer, timeout=0.05)
        gc.collect()
        with pytest.raises(simdrive.OperationTimeout):
            await client.read(b"key", timeout=0.1)
        holder.stop_holding()
        assert await asyncio.gather(*others) == [b"value"] * len(others)
        assert await client.read(b"key") == b"value"
        await until(lambda: client._core.pending == 0, what="nothing is under way")
        buffer.clear()
        await client.close()

    peer.store.entries[b"key"] = b"value"
    loop.run_until_complete(main())


def test_interrupted_while_an_error_is_made(
    interrupted_loop: InterruptedLoop, peer: FaultPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call ends with what the signal handler raised."""

    def interrupt(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    async def main() -> None:
        async with await simdrive.aconnect(peer.url) as client:
            with monkeypatch.context() as patched:
                patched.setattr(simdrive._core, "_make_error", interrupt)
                with pytest.raises(KeyboardInterrupt):
                    await client.read(b"key", timeout=0.05)
            await until(lambda: client._core.pending == 0, what="nothing is under way")

    interrupted_loop.run_until_complete(main())


def test_interrupted_while_a_reply_is_handed_out(
    interrupted_loop: InterruptedLoop, peer: FaultPeer, holder: Holder
) -> None:
    """asyncio forgets to wake the task then; what the call had is free all the same."""
    loop = interrupted_loop
    targets = [bytearray(400_000) for _ in range(3)]
    clients: list[simdrive.AsyncClient] = []
    tasks: list[asyncio.Task[Any]] = []

    async def begin() -> None:
        clients.append(await simdrive.aconnect(peer.url, timeout=20))
        tasks.extend(asyncio.ensure_future(clients[0].read(b"key", out=target)) for target in targets)
        await until(lambda: holder.held == 3, what="the peer has the calls")
        loop.call_later(0.01, interrupt)

    def interrupt() -> None:
        loop.where = "call_soon"
        holder.stop_holding()

    async def rest() -> None:
        client = clients[0]
        await until(lambda: client._core.pending == 0, what="nothing is under way")
        for target in targets:
            target.clear()
        done, lost = await asyncio.wait(tasks, timeout=0.1)
        assert len(lost) <= 1
        assert [task.result() for task in done] == [len(VALUE)] * len(done)
        assert await client.read(b"key") == VALUE
        await client.close()

    loop.set_exception_handler(lambda _loop, _context: None)  # of the task that is lost
    peer.store.entries[b"key"] = VALUE
    loop.run_until_complete(begin())
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    loop.run_until_complete(rest())
