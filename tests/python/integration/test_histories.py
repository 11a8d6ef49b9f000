"""Eight clients on five keys, the server killed, the network at fault: a register for each key explains what they see.

The clients meet the server through a proxy. A round is a history of its own, with keys of its own: it has all of the
proxy's faults once and some kills, in a random order, each followed by a time in which all is well.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from math import inf
from pathlib import Path
from typing import Any

import pytest

import simdrive
from support.amounts import amount
from support.fault_proxy import FaultProxy
from support.histories import Operation, Recorder, check
from support.histories_porcupine import NotAvailableError, verdicts
from support.real_server import RealServer
from support.targets import NAMES, REQUIRED, make_server, missing
from support.toxics import TOXICS

SECONDS = amount(20, 20 * 60)  # with each server
CLIENTS = 8
KEYS = 5
KILLS = 6  # in each round
PATIENT, HASTY = 0.6, 0.1  # of every other client: one gives up what another waits for
ILL, WELL = (0.02, 0.4), (0.02, 0.2)  # seconds that a fault lasts, and the time after it
GONE = (simdrive.ConnectionLostError, simdrive.OperationTimeout)


class Worker:
    """One client's random calls, all of them recorded."""

    def __init__(self, url: str, number: int, keys: list[str], recorder: Recorder) -> None:
        retry = simdrive.Retry(base=0.01, cap=0.05)
        options: dict[str, Any] = {"reconnect_spread": 0.0, "close_timeout": 0.05}
        self.client = simdrive.connect(url, timeout=HASTY if number % 2 else PATIENT, retry=retry, **options)
        self.calls = self.answers = 0
        self.outcomes: Counter[str] = Counter()
        self._keys = keys
        self._number = number
        self._recorder = recorder
        self._random = random.Random(number)

    def run(self, stop: threading.Event) -> None:
        steps = [self.read, self.read, self.batch_read, self.write, self.write, self.batch_write, self.delete]
        while not stop.is_set():
            self._random.choice(steps)()
            self.calls += 1

    def _key(self) -> str:
        return self._random.choice(self._keys)

    def _value(self) -> str:
        # Short: a longer entry takes the server several writes, and a kill between them costs it more than that entry.
        return f"{self._number}.{self.calls}.{self._random.randrange(1000)}"

    def read(self) -> None:
        key, start = self._key(), self._recorder.now()
        try:
            value = self.client.read(key.encode())
        except GONE:
            self.outcomes["read failed"] += 1
            return
        end = self._recorder.now()
        self.answers += 1
        self._recorder.add(self._number, key, "read", None if value is None else value.decode(), start, end)

    def batch_read(self) -> None:
        keys, start = self._random.sample(self._keys, 3), self._recorder.now()
        try:
            values = self.client.batch_read([key.encode() for key in keys])
        except GONE:
            self.outcomes["read failed"] += 1
            return
        end = self._recorder.now()
        self.answers += 1
        for key, value in zip(keys, values, strict=True):
            self._recorder.add(self._number, key, "read", None if value is None else value.decode(), start, end)

    def write(self) -> None:
        self._change({self._key(): self._value()})

    def batch_write(self) -> None:
        self._change({key: self._value() + key[-1] for key in self._random.sample(self._keys, 2)})

    def delete(self) -> None:
        self._change({self._key(): None})

    def _change(self, items: dict[str, str | None]) -> None:
        start = self._recorder.now()
        try:
            if None in items.values():
                self.client.delete(next(iter(items)).encode())
            elif len(items) == 1:
                ((key, value),) = items.items()
                self.client.write(key.encode(), str(value).encode())
            else:
                self.client.batch_write({key.encode(): str(value).encode() for key, value in items.items()})
            end = self._recorder.now()
            self.answers += 1
            self.outcomes["applied"] += 1
        except GONE as error:
            self.outcomes[error.outcome] += 1
            if error.outcome == "not applied":
                return  # whoever reads such a value has read what nobody wrote
            end = inf
        for key, value in items.items():
            self._recorder.add(self._number, key, "delete" if value is None else "write", value, start, end)


def record(server: RealServer, proxy: FaultProxy, number: int) -> tuple[list[Operation], Counter[str]]:
    """The history of a round, and how many calls ended how."""
    recorder, stop = Recorder(), threading.Event()
    failures: list[BaseException] = []
    keys = [f"round {number}, key {key}" for key in range(KEYS)]
    workers = [Worker(proxy.url, client, keys, recorder) for client in range(CLIENTS)]

    def work(worker: Worker) -> None:
        try:
            worker.run(stop)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(worker,), daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        for _ in trouble(server, proxy, random.Random(number)):
            pause(workers, failures)
    finally:
        stop.set()
        for thread in threads:
            thread.join(PATIENT + 10)
        for worker in workers:
            worker.client.close()
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
    if failures:
        raise failures[0]
    return recorder.history(), sum((worker.outcomes for worker in workers), Counter[str]())


def trouble(server: RealServer, proxy: FaultProxy, chance: random.Random) -> Iterator[str]:
    """Every fault and some kills; each is over when it is told."""
    never = threading.Event()
    coming = [*TOXICS, *["kill"] * KILLS]
    chance.shuffle(coming)
    for name in coming:
        never.wait(chance.uniform(*WELL))  # how long things are well, and ill, is what is varied here
        if name == "kill":
            server.kill()
            server.start()
        else:
            TOXICS[name](proxy, chance)
            never.wait(chance.uniform(*ILL))
            proxy.heal()
        yield name


def pause(workers: list[Worker], failures: list[BaseException]) -> None:
    """Until each client has been answered."""
    wanted = [worker.answers + 3 for worker in workers]
    started = time.monotonic()
    while not failures:
        idle = [n for n, (worker, least) in enumerate(zip(workers, wanted, strict=True)) if worker.answers < least]
        if not idle:
            return
        assert time.monotonic() < started + 15, f"clients {idle} get nowhere"
        time.sleep(0.005)  # the clients are busy in their calls: asked again until the deadline


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where porcupine is built, once."""
    return tmp_path_factory.mktemp("porcupine")


def judge(history: list[Operation], scratch: Path) -> None:
    assert check(history) is None
    try:
        answers = verdicts(history, scratch)
    except NotAvailableError as reason:
        if REQUIRED:
            pytest.fail(str(reason))
        return  # the check of our own has been made
    assert "Illegal" not in answers.values(), answers


def run(name: str, seconds: float, scratch: Path) -> None:
    """Many short histories: what the checkers keep grows with the square of the length of one."""
    spent, number, outcomes = 0.0, 0, Counter[str]()
    with make_server(name) as server, FaultProxy(server.port) as proxy:
        while spent < seconds:
            began = time.monotonic()
            history, ended = record(server, proxy, number)
            spent += time.monotonic() - began
            judge(history, scratch)
            assert len(history) > 500, ended
            number, outcomes = number + 1, outcomes + ended
    for outcome in ("applied", "unknown", "not applied", "read failed"):
        assert outcomes[outcome] > 0, f"the faults hit nothing: {outcomes}"


@pytest.mark.amounts
@pytest.mark.timeout(60 + 4 * SECONDS)  # checking takes a quarter of the time of recording
@pytest.mark.parametrize("name", NAMES)
def test_kills_and_faults_in_between(name: str, scratch: Path) -> None:
    run(name, SECONDS, scratch)


def test_porcupine_agrees_on_planted_violations(scratch: Path) -> None:
    def write(value: str, start: float, end: float) -> Operation:
        return Operation(0, "k", "write", value, start, end)

    def read(value: str | None, start: float, end: float) -> Operation:
        return Operation(1, "k", "read", value, start, end)

    good = [write("a", 0, 1), write("b", 2, inf), read("a", 3, 4), read("b", 5, 6)]
    bad = [write("a", 0, 1), write("b", 2, 3), read("a", 4, 5)]
    flicker = [write("a", 0, 1), write("b", 2, inf), read("b", 3, 4), read("a", 5, 6)]
    try:
        assert verdicts(good, scratch) == {"k": "Ok"}
    except NotAvailableError as reason:
        missing(str(reason))
    assert verdicts(bad, scratch) == {"k": "Illegal"}
    assert verdicts(flicker, scratch) == {"k": "Illegal"}
    assert check(good) is None
    assert check(bad) is not None
    assert check(flicker) is not None
