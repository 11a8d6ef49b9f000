"""Large bytes objects that a loop was given: they are freed off it, when nobody else has them."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import warnings
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import simdrive
from support.loops import LOOPS, run_in, until
from support.resident import MIB, data_of, on_linux, resident_bytes

SIZE = 64 * MIB
DATA = data_of(SIZE)
OTHERS = 1  # references that getrefcount() itself makes

pytestmark = on_linux

Read = Callable[[simdrive.AsyncClient], Awaitable[bytes | None]]


@pytest.fixture(params=LOOPS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with simdrive.MemoryStore() as store, simdrive.Server(store) as server:
        store.write(b"large", DATA)
        store.write(b"least", DATA[: 4 * MIB])
        store.write(b"small", DATA[: 4 * MIB - 1])
        yield server.url


def with_client(kind: str, url: str, main: Callable[[simdrive.AsyncClient], Awaitable[None]]) -> None:
    async def run() -> None:
        async with await simdrive.aconnect(url) as client:
            await main(client)

    run_in(kind, run())


async def by_batch(client: simdrive.AsyncClient) -> bytes | None:
    return (await client.batch_read([b"none", b"large"]))[1]


async def by_pipeline(client: simdrive.AsyncClient) -> bytes | None:
    async with client.pipeline() as pipeline:
        return await pipeline.read(b"large")


READS: dict[str, Read] = {
    "read": lambda client: client.read(b"large"),
    "batch_read": by_batch,
    "pipeline": by_pipeline,
}


def mapped(address: int) -> bool:
    """Whether the process has memory there."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        first, last = line.split(" ", 1)[0].split("-")
        if int(first, 16) <= address < int(last, 16):
            return True
    return False


@pytest.mark.parametrize("name", READS)
def test_they_are_freed_when_nobody_has_them(kind: str, url: str, name: str) -> None:
    async def main(client: simdrive.AsyncClient) -> None:
        value = await READS[name](client)
        assert value is not None
        await asyncio.sleep(0.05)  # it is looked at in between, and left alone
        assert value == DATA
        inside, full = id(value) + SIZE // 2, resident_bytes()
        del value
        await until(lambda: not mapped(inside), what="it is freed")
        assert resident_bytes() < full - SIZE // 2

    with_client(kind, url, main)


def test_whoever_has_them_keeps_them(kind: str, url: str) -> None:
    """Also after the client is closed: from then on they are as any other object."""
    kept: list[bytes | memoryview] = []

    async def main(client: simdrive.AsyncClient) -> None:
        for _ in range(3):
            value = await client.read(b"large")
            assert value is not None
            kept.append(value)
        kept.append(memoryview(kept.pop())[MIB:])
        await asyncio.sleep(0.1)
        assert kept[0] == kept[1] == DATA
        assert kept[2] == DATA[MIB:]

    with_client(kind, url, main)
    assert kept[0] == kept[1] == DATA
    assert kept[2] == DATA[MIB:]
    assert isinstance(kept[0], bytes)
    value = kept[0]
    kept.clear()
    assert sys.getrefcount(value) == 1 + OTHERS


def test_only_large_ones_of_its_own(kind: str, url: str) -> None:
    async def main(client: simdrive.AsyncClient) -> None:
        small = await client.read(b"small")
        await asyncio.sleep(0)  # what has woken this task has the result, too
        assert sys.getrefcount(small) == 1 + OTHERS
        default = bytes(8 * MIB)
        for _ in range(3):
            assert await client.read(b"none", default=default) is default
        await asyncio.sleep(0)
        assert sys.getrefcount(default) == 1 + OTHERS, "it is the caller's"

    with_client(kind, url, main)


def test_results_that_nobody_waits_for(kind: str, url: str) -> None:
    async def main(client: simdrive.AsyncClient) -> None:
        before = resident_bytes()
        for delay in range(20):
            reading = asyncio.ensure_future(client.read(b"large"))
            await asyncio.sleep(delay / 1000)
            reading.cancel()
        assert await client.read(b"small") is not None
        await until(lambda: resident_bytes() < before + 2 * SIZE, what="they are freed")

    with_client(kind, url, main)


def test_many_one_after_the_other(kind: str, url: str) -> None:
    async def main(client: simdrive.AsyncClient) -> None:
        before = resident_bytes()
        for _ in range(30):
            assert len(await client.read(b"large") or b"") == SIZE
        assert resident_bytes() < before + 4 * SIZE

    with_client(kind, url, main)


def test_results_in_quick_succession_put_off_nothing(kind: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(client: simdrive.AsyncClient) -> None:
        loop = asyncio.get_running_loop()
        later = loop.call_later
        looks: list[asyncio.TimerHandle] = []

        def call_later(delay: float, *args: Any, **named: Any) -> asyncio.TimerHandle:
            timer = later(delay, *args, **named)
            if delay == 0.005:  # others wait for longer
                looks.append(timer)
            return timer

        monkeypatch.setattr(loop, "call_later", call_later)
        async with client.pipeline() as pipeline:
            for _ in range(30):
                pipeline.read(b"least")
        assert looks
        assert not any(timer.cancelled() for timer in looks)

    with_client(kind, url, main)


def test_no_memory_for_a_timer(kind: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result is there all the same, and freed with the next one."""

    async def main(client: simdrive.AsyncClient) -> None:
        loop = asyncio.get_running_loop()
        later = loop.call_later

        def call_later(delay: float, *args: Any, **named: Any) -> Any:
            if delay == 0.005:
                raise MemoryError
            return later(delay, *args, **named)

        with monkeypatch.context() as patched:
            patched.setattr(loop, "call_later", call_later)
            value = await asyncio.wait_for(client.read(b"large"), 20)
        assert value == DATA
        assert client._core.pending == 0
        inside = id(value) + SIZE // 2
        del value
        assert await client.read(b"least") == DATA[: 4 * MIB]
        await until(lambda: not mapped(inside), what="it is freed")

    with_client(kind, url, main)


def test_a_client_that_is_dropped(kind: str, url: str) -> None:
    async def main() -> bytes | None:
        client = await simdrive.aconnect(url)
        value = await client.read(b"large")
        await client.close()
        del client
        gc.collect()
        return value

    value = run_in(kind, main())
    assert value == DATA
    assert sys.getrefcount(value) == 1 + OTHERS


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("action", ["ignore", "error"])
def test_a_client_that_was_not_closed(kind: str, url: str, action: Any) -> None:
    """Also where warnings are errors."""

    async def main() -> bytes | None:
        client = await simdrive.aconnect(url)
        value = await client.read(b"large")
        with warnings.catch_warnings():
            warnings.simplefilter(action)
            del client
            gc.collect()
        await until(
            lambda: sys.getrefcount(value) == 1 + OTHERS + 1, what="its reference is gone"
        )  # the lambda has one
        return value

    assert run_in(kind, main()) == DATA


def test_a_child_of_fork_has_its_own(kind: str, url: str) -> None:
    async def main(client: simdrive.AsyncClient) -> None:
        value = await client.read(b"large")
        dropped = await client.read(b"large")
        assert dropped is not None
        del dropped
        child = os.fork()
        if child == 0:
            os._exit(0 if value == DATA else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert value == DATA

    with_client(kind, url, main)
