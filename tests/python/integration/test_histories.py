"""Eight clients on five keys, the server killed and restarted: a register for each key explains what they see."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from math import inf
from pathlib import Path

import pytest

import simdrive
from support.histories import Operation, Recorder, check
from support.histories_porcupine import NotAvailableError, verdicts
from support.real_server import DIALECTS, OURS, RealServer, find_server, how_to_get

CLIENTS = 8
KEYS = [f"key {number}" for number in range(5)]
TIMEOUT = 0.5


class Worker:
    """One client's random calls, all of them recorded."""

    def __init__(self, url: str, number: int, recorder: Recorder) -> None:
        retry = simdrive.Retry(base=0.01, cap=0.05)
        self.client = simdrive.connect(url, timeout=TIMEOUT, reconnect_spread=0.0, retry=retry)
        self.calls = 0
        self.outcomes: Counter[str] = Counter()
        self._number = number
        self._recorder = recorder
        self._random = random.Random(number)

    def run(self, stop: threading.Event) -> None:
        steps = [self.read, self.read, self.batch_read, self.write, self.write, self.batch_write, self.delete]
        while not stop.is_set():
            self._random.choice(steps)()
            self.calls += 1

    def _key(self) -> str:
        return self._random.choice(KEYS)

    def _value(self) -> str:
        # Short: a longer entry takes the server several writes, and a kill between them costs it more than that entry.
        return f"{self._number}.{self.calls}.{self._random.randrange(1000)}"

    def read(self) -> None:
        key, start = self._key(), self._recorder.now()
        try:
            value = self.client.read(key.encode())
        except simdrive.OperationTimeout:
            self.outcomes["read failed"] += 1
            return
        end = self._recorder.now()
        self._recorder.add(self._number, key, "read", None if value is None else value.decode(), start, end)

    def batch_read(self) -> None:
        keys, start = self._random.sample(KEYS, 3), self._recorder.now()
        try:
            values = self.client.batch_read([key.encode() for key in keys])
        except simdrive.OperationTimeout:
            self.outcomes["read failed"] += 1
            return
        end = self._recorder.now()
        for key, value in zip(keys, values, strict=True):
            self._recorder.add(self._number, key, "read", None if value is None else value.decode(), start, end)

    def write(self) -> None:
        self._change({self._key(): self._value()})

    def batch_write(self) -> None:
        self._change({key: self._value() + key[-1] for key in self._random.sample(KEYS, 2)})

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
            self.outcomes["applied"] += 1
        except (simdrive.ConnectionLostError, simdrive.OperationTimeout) as error:
            self.outcomes[error.outcome] += 1
            if error.outcome == "not applied":
                return  # whoever reads such a value has read what nobody wrote
            end = inf
        for key, value in items.items():
            self._recorder.add(self._number, key, "delete" if value is None else "write", value, start, end)


def record(server: RealServer, *, seconds: float, kills: int) -> tuple[list[Operation], Counter[str]]:
    """The history of a run; kills in between, each after the clients have got on with their work."""
    recorder, stop = Recorder(), threading.Event()
    failures: list[BaseException] = []
    workers = [Worker(server.url, number, recorder) for number in range(CLIENTS)]

    def work(worker: Worker) -> None:
        try:
            worker.run(stop)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(worker,), daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        for _ in range(kills):
            pause(workers, failures, seconds / (kills + 1))
            server.kill()
            server.start()
        pause(workers, failures, seconds / (kills + 1))
    finally:
        stop.set()
        for thread in threads:
            thread.join(TIMEOUT + 10)
        for worker in workers:
            worker.client.close()
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
    if failures:
        raise failures[0]
    return recorder.history(), sum((worker.outcomes for worker in workers), Counter[str]())


def pause(workers: list[Worker], failures: list[BaseException], seconds: float) -> None:
    """Let the clients work, at least for a while, and at least so long that each has made calls."""
    wanted = [worker.calls + 5 for worker in workers]
    started = time.monotonic()
    while not failures:
        passed = time.monotonic() - started
        idle = [n for n, (worker, least) in enumerate(zip(workers, wanted, strict=True)) if worker.calls < least]
        if passed >= seconds and not idle:
            return
        assert passed < seconds + 15, f"clients {idle} get nowhere"
        time.sleep(0.01)  # the length of the run is what is asked for


def judge(history: list[Operation], scratch: Path) -> None:
    assert check(history) is None
    try:
        answers = verdicts(history, scratch)
    except NotAvailableError:
        return
    assert "Illegal" not in answers.values(), answers


@pytest.mark.timeout(120)
def test_kills_in_between(own_server: RealServer, tmp_path: Path) -> None:
    history, outcomes = record(own_server, seconds=3, kills=10)
    assert len(history) > 500, outcomes
    assert outcomes["unknown"] > 0, "the kills hit nothing"
    judge(history, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("version", [*DIALECTS, OURS])
def test_kills_in_between_many_times(version: str, tmp_path: Path) -> None:
    if find_server(version) is None:
        pytest.skip(f"no server {version}: {how_to_get(version)}")
    # Many short histories: what the checkers keep grows with the square of the length of one.
    for _ in range(30):
        with RealServer(version) as server:
            history, _ = record(server, seconds=1.5, kills=10)
        judge(history, tmp_path)


def test_porcupine_agrees_on_planted_violations(tmp_path: Path) -> None:
    def write(value: str, start: float, end: float) -> Operation:
        return Operation(0, "k", "write", value, start, end)

    def read(value: str | None, start: float, end: float) -> Operation:
        return Operation(1, "k", "read", value, start, end)

    good = [write("a", 0, 1), write("b", 2, inf), read("a", 3, 4), read("b", 5, 6)]
    bad = [write("a", 0, 1), write("b", 2, 3), read("a", 4, 5)]
    flicker = [write("a", 0, 1), write("b", 2, inf), read("b", 3, 4), read("a", 5, 6)]
    try:
        assert verdicts(good, tmp_path) == {"k": "Ok"}
    except NotAvailableError as reason:
        pytest.skip(str(reason))
    assert verdicts(bad, tmp_path) == {"k": "Illegal"}
    assert verdicts(flicker, tmp_path) == {"k": "Illegal"}
    assert check(good) is None
    assert check(bad) is not None
    assert check(flicker) is not None
