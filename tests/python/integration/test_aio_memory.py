"""The asyncio client's memory stays flat, over many calls of all kinds of which some are cancelled or too late."""

from __future__ import annotations

import asyncio
import gc
import random

import pytest

import simdrive
from support.loops import LOOPS, open_descriptors, run_in, tracked
from support.real_server import RealServer
from support.resident import MIB, on_linux, resident_bytes

TASKS = 64
VALUES = {b"key %d" % number: random.Random(number).randbytes(20 + 97 * number) for number in range(60)}
KEYS = list(VALUES)

pytestmark = on_linux


class Calls:
    """Tasks that make so many calls together."""

    def __init__(self, client: simdrive.AsyncClient) -> None:
        self._client = client
        self._random = random.Random(0)
        self._left = 0
        self._one_at_a_time = asyncio.Lock()
        self.late = 0

    async def make(self, count: int) -> None:
        self._left = count
        await asyncio.gather(*[self._work() for _ in range(TASKS)])

    async def _work(self) -> None:
        while self._left > 0:
            self._left -= 1
            key = self._random.choice(KEYS)
            kind = self._random.random()
            if kind < 0.6:
                assert await self._client.read(key) == VALUES[key]
            elif kind < 0.7:
                view = await self._client.read(key, out="view")
                assert view is not None
                assert len(view) == len(VALUES[key])
            elif kind < 0.8:
                assert await self._client.exists(b"no " + key) is False
            elif kind < 0.85:
                await self._client.write(key, bytearray(VALUES[key]))
            elif kind < 0.9:
                assert await self._client.batch_read([key, b"no"]) == [VALUES[key], None]
            elif kind < 0.99:
                await self._cancelled(key)
            else:
                await self._late(key)

    async def _cancelled(self, key: bytes) -> None:
        task = asyncio.create_task(self._client.read(key))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    async def _late(self, key: bytes) -> None:
        async with self._one_at_a_time:  # two in a row would replace the connection
            try:
                value = await self._client.read(key, timeout=0.0)
            except simdrive.OperationTimeout:
                self.late += 1
            else:
                assert value == VALUES[key]
            assert await self._client.exists(key) is True


async def memory_stays_flat(url: str, calls: int) -> None:
    async with await simdrive.aconnect(url, timeout=60, reconnect_spread=0.0) as client:
        await client.batch_write(VALUES)
        load = Calls(client)
        await load.make(30_000)  # what caches and the allocator keep is there then
        gc.collect()
        resident, descriptors, objects = resident_bytes(), open_descriptors(), tracked("AsyncCall", "Future", "Task")
        await load.make(calls)
        gc.collect()
        grown = resident_bytes() - resident
        assert grown < 3 * MIB, f"{grown} bytes after {calls} calls"
        assert open_descriptors() == descriptors
        assert tracked("AsyncCall", "Future", "Task") == objects
        assert client._core.pending == 0
        assert client._stats()["connections"] == 1
        assert load.late > 0


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_a_hundred_thousand_calls(one_server: RealServer, kind: str) -> None:
    run_in(kind, memory_stays_flat(one_server.url, 100_000))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", LOOPS)
def test_a_million_calls(one_server: RealServer, kind: str) -> None:
    run_in(kind, memory_stays_flat(one_server.url, 1_000_000))
