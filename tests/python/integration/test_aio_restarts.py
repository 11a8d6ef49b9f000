"""Servers that come and go under the load of many tasks, and tasks checked against a model (Hypothesis)."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Coroutine
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

import simdrive
from support.amounts import amount
from support.loops import LOOPS, close_loop, new_loop, run_in, turns
from support.model import Model, Register, Value
from support.real_server import RealServer
from support.targets import NAMES, make_server

TASKS = 64
RESTARTS = 20
PATIENT = 20.0
HASTY = 0.25
LOST = (simdrive.ConnectionLostError, simdrive.OperationTimeout, simdrive.OverloadError)


# ---- restarts under load --------------------------------------------------------------------------------------------


class Load:
    """One task's calls on a key of its own; knows every value that it may see. Some are cancelled."""

    def __init__(self, client: simdrive.AsyncClient, number: int) -> None:
        self._client = client
        self._random = random.Random(number)
        self.key = b"task %d" % number
        self._timeout = PATIENT if number % 2 == 0 else HASTY
        self.register = Register()
        self.calls = 0
        self.errors: Counter[str] = Counter()

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self.calls += 1
            value = b"value %d of " % self.calls + self.key
            await self._change(value, self._client.write(self.key, value, timeout=self._timeout))
            await self._read()
            if self.calls % 5 == 0:
                await self._change(None, self._client.delete(self.key, timeout=self._timeout))
                await self._read()

    async def _change(self, value: Value, call: Coroutine[Any, Any, None]) -> None:
        if self._random.random() < 0.1:
            call = cancelled_after(call, self._random.randrange(6))
        try:
            await call
        except LOST as error:
            self.errors[f"{type(error).__name__}, {error.outcome}"] += 1
            if error.outcome == "unknown":
                self.register.unknown(value)
        except asyncio.CancelledError as error:
            if getattr(error, "outcome", None) == "unknown":
                self.register.unknown(value)
        else:
            self.register.applied(value)

    async def _read(self) -> None:
        try:
            value = await self._client.read(self.key, timeout=self._timeout)
        except (simdrive.OperationTimeout, simdrive.OverloadError):
            if self._timeout != HASTY:
                raise
            self.errors["read"] += 1
        else:
            self.register.saw(value)


async def cancelled_after(call: Coroutine[Any, Any, None], rounds: int) -> None:
    """Raises what the call itself raised: what awaits a task gets another CancelledError on some Pythons."""
    raised: list[BaseException] = []

    async def run() -> None:
        try:
            await call
        except BaseException as error:
            raised.append(error)

    task = asyncio.create_task(run())
    await turns(rounds)
    if not task.done() and rounds:
        task.cancel()
    await task
    if raised:
        raise raised[0]


async def restarts_under_load(server: RealServer) -> None:
    retry = simdrive.Retry(base=0.02, cap=0.1)
    async with await simdrive.aconnect(server.url, retry=retry, reconnect_spread=0.0, close_timeout=0.05) as client:
        stop = asyncio.Event()
        loads = [Load(client, number) for number in range(TASKS)]
        tasks = [asyncio.create_task(load.run(stop)) for load in loads]
        try:
            for number in range(RESTARTS + 1):
                await progress(loads, tasks)
                if number < RESTARTS:
                    # In a thread: the loop has to go on meanwhile.
                    await asyncio.to_thread(server.kill)
                    await asyncio.to_thread(server.start)
        finally:
            stop.set()
        await asyncio.wait_for(asyncio.gather(*tasks), PATIENT + 5)
        for load in loads:
            load.register.saw(await client.read(load.key))
        errors = sum((load.errors for load in loads), Counter[str]())
        # What waits for a connection when its deadline comes was not applied; nothing else fails but by a death.
        assert sum(errors.values()) <= 4 * RESTARTS * TASKS, errors
        assert not [name for name in errors if name.startswith("ConnectionLost") and name.endswith("not applied")]
        assert client._core.pending == 0


async def progress(loads: list[Load], tasks: list[asyncio.Task[None]]) -> None:
    """Until every task has made five more rounds, or one has failed."""
    wanted = [load.calls + 5 for load in loads]
    loop = asyncio.get_running_loop()
    deadline = loop.time() + 20
    while any(load.calls < least for load, least in zip(loads, wanted, strict=True)):
        for task in tasks:
            if task.done():
                task.result()
        assert loop.time() < deadline, f"no progress: {[load.calls for load in loads]}"
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("kind", LOOPS)
def test_restarts_under_load(own_server: RealServer, kind: str) -> None:
    run_in(kind, restarts_under_load(own_server))


# ---- a model --------------------------------------------------------------------------------------------------------

EXAMPLES = amount(100, 2500)  # half of what the other client has, with each server and two kinds of loops
KEYS = [b"", b"k", b"key two", b"\0\xff", b"long" * 8]
keys = st.sampled_from(KEYS)
values = st.one_of(
    st.binary(min_size=1, max_size=4).filter(lambda data: data != b"\0"),
    st.sampled_from([255, 4096, 70_000, 300_000]).map(lambda size: (b"value " * size)[:size]),
)
rounds = st.integers(0, 4)


@dataclass(eq=False)
class Writing:
    """A write of one key that is under way, and whether no other of that key was so at any time meanwhile."""

    value: Value
    alone: bool


def marked(key: bytes, value: bytes) -> bytes:
    """Values that say which key they are of."""
    return b"%d " % KEYS.index(key) + value


class InterleavedMachine(RuleBasedStateMachine):
    """Tasks of one client that run at the same time, and what the keys may hold.

    A rule begins a call, lets the loop go some rounds, or ends one of those under way: by waiting, or by cancelling it.
    A write that is under way may be there for every read that overlaps it, so a read is checked against all that was
    possible at any time from its begin to its end.
    """

    version = "0.17.5-alpha"
    kind = "asyncio"

    def __init__(self) -> None:
        super().__init__()
        self.model = Model(KEYS)
        self.server = RealServer(self.version)
        self.server.start()
        self.up = True
        self.loop = new_loop(self.kind)
        retry = simdrive.Retry(base=0.005, cap=0.02)
        options: dict[str, Any] = {"timeout": 10.0, "reconnect_spread": 0.0, "close_timeout": 0.05, "max_inflight": 4}
        self.client = self.wait(simdrive.aconnect(self.server.url, retry=retry, **options))
        self.under_way: list[asyncio.Task[None]] = []
        self.writing: dict[bytes, list[Writing]] = {key: [] for key in KEYS}
        self.looking: list[dict[bytes, set[Value]]] = []  # what each read that is under way may see
        self.unsettled = False  # a write that was given up may be under way in the server

    def wait(self, call: Awaitable[Any]) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(call, 30))

    def teardown(self) -> None:
        try:
            if not self.up:
                self.server.start()
            self.finish()
            self.wait(self.client.close())
        finally:
            for task in self.under_way:
                task.cancel()
            if self.under_way:
                self.loop.run_until_complete(asyncio.wait(self.under_way))
            close_loop(self.loop)
            self.server.close()

    def finish(self) -> None:
        tasks, self.under_way = self.under_way, []
        if tasks:
            self.wait(asyncio.gather(*tasks))

    # ---- what tasks do

    def possible(self, key: bytes) -> set[Value]:
        return {*self.model[key].possible, *(writing.value for writing in self.writing[key])}

    def note(self, key: bytes) -> None:
        """What is possible now is so for every read that is under way."""
        for seen in self.looking:
            if key in seen:
                seen[key] |= self.possible(key)

    async def change(self, items: dict[bytes, Value], call: Coroutine[Any, Any, None]) -> None:
        mine: dict[bytes, Writing] = {}
        for key, value in items.items():
            others = self.writing[key]
            mine[key] = Writing(value, alone=not others)
            for other in others:
                other.alone = False
            others.append(mine[key])
            self.note(key)
        outcome = "applied"
        try:
            await call
        except LOST as error:
            outcome = error.outcome
        except asyncio.CancelledError as error:
            outcome = getattr(error, "outcome", "not applied")
        for key, writing in mine.items():
            register = self.model[key]
            if outcome == "unknown":
                self.unsettled = True
                register.unknown(writing.value)
            elif outcome == "applied" and writing.alone:
                register.applied(writing.value)
            elif outcome == "applied":
                register.applied_or(writing.value)
            self.writing[key].remove(writing)
            self.note(key)

    async def look(self, wanted: list[bytes], call: Coroutine[Any, Any, list[Value]]) -> None:
        seen = {key: self.possible(key) for key in wanted}
        self.looking.append(seen)
        try:
            found = await call
        except (simdrive.OperationTimeout, simdrive.ConnectionLostError, asyncio.CancelledError):
            return
        finally:
            self.looking = [each for each in self.looking if each is not seen]
        for key, value in zip(wanted, found, strict=True):
            possible = [repr(each)[:60] for each in seen[key]]
            assert value in seen[key], f"{key!r}: read {value!r:.60}; possible are {possible}"

    def begin(self, call: Coroutine[Any, Any, None], turns_after: int) -> None:
        self.under_way.append(self.loop.create_task(call))
        self.loop.run_until_complete(turns(turns_after))

    # ---- rules

    @rule(key=keys, value=values, turns_after=rounds)
    def write(self, key: bytes, value: bytes, turns_after: int) -> None:
        data = marked(key, value)
        self.begin(self.change({key: data}, self.client.write(key, data)), turns_after)

    @rule(key=keys, turns_after=rounds)
    def delete(self, key: bytes, turns_after: int) -> None:
        self.begin(self.change({key: None}, self.client.delete(key)), turns_after)

    @rule(items=st.dictionaries(keys, values, min_size=1, max_size=5), turns_after=rounds)
    def batch_write(self, items: dict[bytes, bytes], turns_after: int) -> None:
        pairs = {key: marked(key, value) for key, value in items.items()}
        self.begin(self.change({**pairs}, self.client.batch_write(pairs)), turns_after)

    @rule(key=keys, turns_after=rounds, out=st.sampled_from(["bytes", "view", "buffer"]))
    def read(self, key: bytes, turns_after: int, out: str) -> None:
        async def one() -> list[Value]:
            if out == "view":
                view = await self.client.read(key, out="view")
                return [None if view is None else bytes(view)]
            if out == "buffer":
                target = bytearray(310_000)
                size = await self.client.read(key, out=target)
                return [None if size is None else bytes(target[:size])]
            return [await self.client.read(key)]

        self.begin(self.look([key], one()), turns_after)

    @rule(wanted=st.lists(keys, min_size=1, max_size=5), turns_after=rounds)
    def batch_read(self, wanted: list[bytes], turns_after: int) -> None:
        self.begin(self.look(wanted, self.client.batch_read(wanted)), turns_after)

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 1000))
    def cancel(self, which: int) -> None:
        task = self.under_way.pop(which % len(self.under_way))
        task.cancel()
        self.loop.run_until_complete(asyncio.wait([task]))
        if not task.cancelled():
            task.result()

    @precondition(lambda self: self.under_way and self.up)
    @rule(which=st.integers(0, 1000))
    def join(self, which: int) -> None:
        self.wait(asyncio.gather(self.under_way.pop(which % len(self.under_way))))

    @precondition(lambda self: self.up)
    @rule()
    def join_all(self) -> None:
        self.finish()
        assert self.client._core.pending == 0

    @precondition(lambda self: self.up)
    @rule()
    def kill(self) -> None:
        self.server.kill()
        self.model.server_gone()
        if self.unsettled or any(self.writing.values()):
            self.model.store_torn()
        self.unsettled = False
        for key in KEYS:
            self.note(key)
        self.up = False

    @precondition(lambda self: not self.up)
    @rule()
    def start(self) -> None:
        self.server.start()
        self.up = True

    @invariant()
    def is_open(self) -> None:
        assert not self.client.closed


def run(version: str, kind: str, examples: int) -> None:
    make_server(version)  # skips or fails where there is none
    close_loop(new_loop(kind))  # skips where there is no such loop
    attributes: dict[str, Any] = {"version": version, "kind": kind}
    machine = type("InterleavedMachine", (InterleavedMachine,), attributes)
    profile = settings(
        max_examples=examples,
        stateful_step_count=60,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=profile)


# Each server with two kinds of loops, and each kind with two servers.
PAIRS = [*zip(sorted(NAMES) * 2, [kind for kind in LOOPS for _ in range(2)], strict=True)]


@pytest.mark.amounts
@pytest.mark.timeout(180 + 3 * EXAMPLES)
@pytest.mark.parametrize(("version", "kind"), PAIRS)
def test_model(version: str, kind: str) -> None:
    run(version, kind, EXAMPLES)
