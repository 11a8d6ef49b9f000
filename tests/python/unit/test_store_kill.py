"""A writer is killed within its calls: what it had acknowledged is there, and nothing that it had not begun."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import simdrive
from support.amounts import amount
from support.store_writer import KEYS, Step, steps, value_of

pytestmark = pytest.mark.amounts

ROUNDS = amount(30, 1000)  # of all three ways to sync
LARGE, SMALL = 96 << 20, 3 << 20
TESTS = Path(__file__).resolve().parents[2]

State = dict[bytes, "bytes | None"]


def contents(path: Path) -> State:
    with simdrive.Store(path, mode="r", verify=True) as store:
        assert store.verify().ok
        return {key: store.read(key) for key in KEYS}


def applied(before: State, some: list[Step]) -> State:
    made = {key: made for _, after in some for key, made in after.items()}
    return {**before, **{key: None if of is None else value_of(*of) for key, of in made.items()}}


def possible(before: State, step: Step) -> list[State]:
    """What may be there when a call was cut short: the first ones of a batch, or nothing of it."""
    keys = list(step[1])
    return [applied(before, [("", {key: step[1][key] for key in keys[:n]})]) for n in range(len(keys) + 1)]


def sizes_of(calls: list[Step], held: dict[bytes, int]) -> Iterator[int]:
    """Bytes that each call writes, about."""
    held = dict(held)
    for kind, after in calls:
        yield sum(held.values()) if kind == "compact" else sum(made[1] for made in after.values() if made is not None)
        held.update({key: 0 if made is None else made[1] for key, made in after.items()})


def bytes_in(folder: Path) -> int:
    """The store, and what a compaction writes beside it."""
    total = 0
    for entry in os.scandir(folder):
        with contextlib.suppress(FileNotFoundError):  # a side file that has just taken the store's place
            total += entry.stat().st_size
    return total


class Writer:
    """The process, killed within a call of its own."""

    def __init__(self, path: Path, seed: int, sync: str, largest: int) -> None:
        self.folder = path.parent
        words = [sys.executable, "-m", "support.store_writer", str(path), str(seed), sync, str(largest)]
        # Without a buffer, so that select() sees each line.
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, cwd=TESTS, bufsize=0)
        assert self.process.stdout is not None
        self.output = self.process.stdout
        self.begun = self.done = 0

    def heard(self, line: bytes) -> None:
        what, _, number = line.decode().partition(" ")
        assert what in {"begin", "done"}, line
        if what == "begin":
            self.begun = int(number) + 1
        else:
            self.done = int(number) + 1

    def kill_within(self, number: int, growth: int) -> None:
        """When the files have grown by so much since that call began; at the latest when it has ended."""
        with self.process:
            try:
                while self.begun <= number:
                    before = bytes_in(self.folder)
                    self.heard(self.output.readline())
                deadline = time.monotonic() + 60
                while bytes_in(self.folder) < before + growth:
                    if select.select([self.output], [], [], 0)[0]:
                        break
                    assert time.monotonic() < deadline, "the call neither writes nor ends"
            finally:
                self.process.kill()
            for line in self.output.readlines():
                self.heard(line)


@pytest.mark.skipif(os.name == "nt", reason="kill is another thing there")
@pytest.mark.parametrize("sync", ["none", "batch", "always"])
def test_kill(sync: str, tmp_path: Path) -> None:
    path = tmp_path / "store.bin"
    simdrive.Store(path).close()
    state = contents(path)
    chance = random.Random(sync)
    rounds = ROUNDS // 3
    wanted = rounds // 2 - 1  # calls cut in the middle, else this would show nothing
    torn = number = 0
    while number < rounds or torn < wanted:
        assert number < 3 * rounds, f"only {torn} of {number} kills hit the middle of a call"
        large = number % 2 == 0 or number >= rounds
        largest = LARGE if large else SMALL
        calls = list(itertools.islice(steps(number, largest), 100 if large else 25))
        sizes = list(sizes_of(calls, {key: len(value or b"") for key, value in state.items()}))
        # The one that is to be cut short: the first with many bytes, or any.
        at = next(n for n, size in enumerate(sizes) if size >= LARGE) if large else chance.randrange(len(calls))
        writer = Writer(path, number, sync, largest)
        writer.kill_within(at, chance.randrange(1 + sizes[at]))
        side_files = {item.name for item in tmp_path.iterdir()} - {"store.bin", "store.bin.mark"}
        calls = list(itertools.islice(steps(number, largest), writer.begun))  # it may have come further than `at`
        state = applied(state, calls[: writer.done])
        cut_short = calls[writer.done] if writer.begun > writer.done else ("", {})
        with simdrive.Store(path) as store:  # whoever comes next repairs what is to be repaired
            assert store.verify().ok
            dropped, cut = store.opened.dropped_bytes, store.opened.cut_path
        torn += large and (dropped > 0 or len(side_files) > 0)
        if dropped > 0:
            assert cut is not None
            assert Path(cut).stat().st_size == dropped
            Path(cut).unlink()
        found = contents(path)
        assert found in possible(state, cut_short), (number, writer.done, cut_short[0])
        state = found
        number += 1
        assert {item.name for item in tmp_path.iterdir()} <= {"store.bin", "store.bin.mark"}
    path.unlink()  # it is large, and temporary folders are kept for a while
