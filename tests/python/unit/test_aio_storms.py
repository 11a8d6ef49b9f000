"""Thousands of calls in asyncio that are cancelled at any moment: no reply goes astray, and nothing stays behind."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

import simdrive
from support.fault_peer import FaultPeer
from support.late_replies import Holder, Shuffler
from support.loops import LOOPS, Leaks, gathered, run_in, turns, until

CANCELS = 10_000
AT_ONCE = 60
DIALECTS = {"asyncio": "d13", "uvloop": "d21", "blind": "d13"}

# Every value says which key it is of. More than a frame, more than what arrives in the call itself, and small ones.
SIZES = {0: 300_000, 1: 70_000, 2: 4097, 3: 4096}


def value_of(number: int) -> bytes:
    size = SIZES.get(number, 50 + 40 * number)
    return (b"value of %d. " % number * (size // 12 + 1))[:size]


VALUES = {b"key %d" % number: value_of(number) for number in range(30)}
KEYS = list(VALUES)


@dataclass
class Storm:
    """Calls at random, of which most are cancelled: at once, some rounds later, or from a timer."""

    client: simdrive.AsyncClient
    random: random.Random
    allowed: tuple[type[BaseException], ...] = ()
    live: set[asyncio.Task[None]] = field(default_factory=set)
    came_to: Counter[str] = field(default_factory=Counter)
    cancelled: int = 0

    async def read(self, key: bytes) -> None:
        assert await self.client.read(key) == VALUES[key]

    async def read_view(self, key: bytes) -> None:
        value = await self.client.read(key, out="view")
        assert value is not None
        assert bytes(value) == VALUES[key]

    async def read_out(self, key: bytes) -> None:
        target = bytearray(len(VALUES[key]))
        assert await self.client.read(key, out=target) == len(target)
        assert target == VALUES[key]

    async def read_absent(self, key: bytes) -> None:
        assert await self.client.read(b"no " + key, default=key) == key

    async def batch_read(self, key: bytes) -> None:
        other = self.random.choice(KEYS)
        assert await self.client.batch_read([key, b"no", other]) == [VALUES[key], None, VALUES[other]]

    async def exists(self, key: bytes) -> None:
        there = self.random.random() < 0.5
        assert await self.client.exists(key if there else b"no " + key) is there

    async def write(self, key: bytes) -> None:
        await self.client.write(key, VALUES[key])

    async def write_what_changes(self, key: bytes) -> None:
        data = bytearray(VALUES[key])
        try:
            await self.client.write(key, data)
        finally:
            # The core has its own copy, or holds on to it: then it must not be changed.
            try:
                data.clear()
            except BufferError:
                self.came_to["still locked"] += 1

    async def batch_write(self, key: bytes) -> None:
        other = self.random.choice(KEYS)
        await self.client.batch_write({key: VALUES[key], other: VALUES[other]})

    async def delete_absent(self, key: bytes) -> None:
        await self.client.delete(b"no " + key)

    def start(self, weights: dict[str, int]) -> asyncio.Task[None]:
        name = self.random.choices(list(weights), list(weights.values()))[0]
        call: Callable[[bytes], Awaitable[None]] = getattr(self, name)

        async def run() -> None:
            await call(self.random.choice(KEYS))

        task = asyncio.create_task(run(), name=name)
        self.live.add(task)
        return task

    def cancel_one(self) -> None:
        self.cancelled += self.random.choice(list(self.live)).cancel()

    async def make_room(self, most: int) -> None:
        while len(self.live) > most:
            done, self.live = await asyncio.wait(self.live, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                self.note(task)

    def note(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            self.came_to["cancelled"] += 1
            return
        error = task.exception()
        if error is not None and not isinstance(error, self.allowed):
            raise error
        self.came_to[type(error).__name__ if error else "answered"] += 1

    async def run(self, weights: dict[str, int], cancels: int) -> None:
        loop = asyncio.get_running_loop()
        while self.cancelled < cancels:
            self.start(weights)
            moment = self.random.random()
            if moment < 0.6:
                self.cancel_one()
            elif moment < 0.62:
                loop.call_later(self.random.random() * 0.002, self.live.copy().pop().cancel)
            if self.random.random() < 0.2:
                await turns(self.random.randrange(1, 4))
            await self.make_room(AT_ONCE)
        while self.live:
            await self.client.size(timeout=20)  # has the peer send what it kept
            await self.make_room(len(self.live) - 1)


WEIGHTS = {
    "read": 50,
    "read_view": 5,
    "read_out": 5,
    "read_absent": 5,
    "batch_read": 5,
    "exists": 10,
    "write": 10,
    "write_what_changes": 5,
    "batch_write": 2,
    "delete_absent": 3,
}


@pytest.mark.parametrize("kind", LOOPS)
def test_ten_thousand_cancels(kind: str) -> None:
    """Every await point of calls on one connection, which has to last."""

    async def main() -> Counter[str]:
        async with await simdrive.aconnect(peer.url, timeout=30) as client:
            storm = Storm(client, random.Random(1))
            await storm.run(WEIGHTS, CANCELS)
            assert await client.size(timeout=20) == len(VALUES)
            assert client._core.pending == 0
            # Only what was sent in part, of memory that may change, ends a connection when it is cancelled.
            assert client._stats()["connections"] == 1
            return storm.came_to

    with Leaks(kind):
        with FaultPeer(DIALECTS[kind], then=Shuffler(3).behaviour) as peer:
            peer.store.entries.update(VALUES)
            came_to = run_in(kind, main())
        assert peer.errors == []
        assert peer.store.entries == VALUES
    assert came_to["cancelled"] > 5000
    assert came_to["answered"] > 5000


ALL = {**WEIGHTS, "write_large": 3, "write_large_that_changes": 2, "read_hastily": 10}
LARGE = {b"large %d" % number: (b"large %d. " % number) * 350_000 for number in range(3)}  # more than a socket takes


class RoughStorm(Storm):
    """With writes that leave in many parts, deadlines, and connections that break."""

    peer: FaultPeer

    async def write_large(self, _key: bytes) -> None:
        name = self.random.choice(list(LARGE))
        await self.client.write(name, LARGE[name])

    async def write_large_that_changes(self, _key: bytes) -> None:
        name = self.random.choice(list(LARGE))
        await self.client.write(name, bytearray(LARGE[name]))

    async def read_hastily(self, key: bytes) -> None:
        value = await self.client.read(key, timeout=self.random.random() * 0.01)
        assert value == VALUES[key]

    async def make_room(self, most: int) -> None:
        if self.random.random() < 0.01:
            self.peer.drop_connections()
        await super().make_room(most)


@pytest.mark.parametrize("kind", LOOPS)
def test_cancels_of_everything_with_lost_connections(kind: str) -> None:
    """Half-sent writes, half-received values, calls that wait for room or for a connection."""

    async def main() -> Counter[str]:
        retry = simdrive.Retry(base=0.001, cap=0.01)
        async with await simdrive.aconnect(
            peer.url, timeout=20, max_inflight=30, retry=retry, reconnect_spread=0.0
        ) as client:
            allowed = (simdrive.OperationTimeout, simdrive.ConnectionLostError, simdrive.OverloadError)
            storm = RoughStorm(client, random.Random(2), allowed)
            storm.peer = peer
            await storm.run(ALL, 1500)
            assert client._stats()["connections"] > 1
            assert await client.size(timeout=20) >= len(VALUES)
            await until(lambda: client._core.pending == 0, what="nothing is under way")
            return storm.came_to

    with Leaks(kind):
        with FaultPeer(DIALECTS[kind], then=Shuffler(4).behaviour) as peer:
            peer.store.entries.update(VALUES)
            came_to = run_in(kind, main())
        assert peer.errors == []
        for key, value in peer.store.entries.items():
            assert value == {**VALUES, **LARGE}[key]
    assert came_to["cancelled"] > 500
    assert came_to["answered"] > 500


# ---- thousands at once ----------------------------------------------------------------------------------------------

ROOM = {"calls": {"max_inflight": 4}, "bytes": {"max_inflight_bytes": 64_000}}
BLOCK = random.Random(5).randbytes(15_000)  # four fit


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("room", ROOM)
def test_thousands_at_once_take_turns(kind: str, room: str) -> None:
    """Five thousand calls with room for four: all come through, and the peer never has more than that."""
    holder = Holder()
    names = [b"key %d" % number for number in range(5000)]

    async def main() -> None:
        async with await simdrive.aconnect(peer.url, timeout=60, **ROOM[room]) as client:
            everything = asyncio.ensure_future(gathered([client.write(name, name + BLOCK) for name in names]))
            await until(lambda: holder.held == 4, what="the peer has calls")
            await turns(20)
            while len(peer.store.entries) < 1000:
                holder.let_go()
                await asyncio.sleep(0)
            holder.stop_holding()
            assert await everything == [None] * len(names)
            some = names[::500]
            assert await client.batch_read(some) == [name + BLOCK for name in some]
            assert client._core.pending == 0

    with Leaks(kind):
        with FaultPeer(then=holder.behaviour) as peer:
            run_in(kind, main())
        assert len(peer.store.entries) == 5000
        assert holder.most == 4


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("room", ROOM)
def test_no_room_until_the_deadline(kind: str, room: str) -> None:
    holder = Holder()

    async def main() -> None:
        async with await simdrive.aconnect(peer.url, timeout=30, **ROOM[room]) as client:
            first = [asyncio.create_task(client.write(b"key %d" % i, BLOCK)) for i in range(4)]
            await until(lambda: holder.held == 4, what="the peer has four calls")
            started = time.monotonic()
            results = await gathered([client.write(b"late %d" % i, BLOCK, timeout=0.2) for i in range(1000)])
            assert time.monotonic() - started >= 0.19
            for number, error in enumerate(results):
                assert isinstance(error, simdrive.OverloadError), repr(error)
                assert error.outcome == "not applied"
                assert error.key_hint == (b"late %d" % number).hex()
            holder.stop_holding()
            assert await asyncio.gather(*first) == [None] * 4
            assert await client.read(b"key 0") == BLOCK
            assert client._stats()["connections"] == 1

    with Leaks(kind):
        with FaultPeer(then=holder.behaviour) as peer:
            run_in(kind, main())
        assert len(peer.store.entries) == 4
