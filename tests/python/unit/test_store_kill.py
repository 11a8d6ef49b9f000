"""A writer is killed at any moment: what it had acknowledged is there, and nothing that it had not begun."""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

import simdrive
from support.store_writer import KEYS, Step, steps, value_of

ROUNDS = 30
LARGEST = 96 << 20
TESTS = Path(__file__).resolve().parents[2]


def contents(path: Path) -> dict[bytes, bytes | None]:
    with simdrive.Store(path, mode="r", verify=True) as store:
        assert store.verify().ok
        return {key: store.read(key) for key in KEYS}


def applied(before: dict[bytes, bytes | None], some: list[Step]) -> dict[bytes, bytes | None]:
    made = {key: made for _, after in some for key, made in after.items()}
    return {**before, **{key: None if of is None else value_of(*of) for key, of in made.items()}}


def possible(before: dict[bytes, bytes | None], step: Step) -> list[dict[bytes, bytes | None]]:
    """What may be there when a call was cut short: the first ones of a batch, or nothing of it."""
    keys = list(step[1])
    return [applied(before, [("", {key: step[1][key] for key in keys[:n]})]) for n in range(len(keys) + 1)]


@pytest.mark.skipif(os.name == "nt", reason="kill is another thing there")
@pytest.mark.parametrize("sync", ["none", "batch", "always"])
def test_kill(sync: str, tmp_path: Path) -> None:
    path = tmp_path / "store.bin"
    simdrive.Store(path).close()
    state = contents(path)
    chance = random.Random(sync)
    for number in range(ROUNDS // 3):
        largest = LARGEST if number % 5 == 0 else 3 << 20
        command = [sys.executable, "-m", "support.store_writer", str(path), str(number), sync, str(largest)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=TESTS) as process:
            try:
                assert process.stdout is not None
                for _ in range(chance.randrange(1, 25)):
                    assert process.stdout.readline()
            finally:
                process.kill()
            rest = process.stdout.read()
        # Not read yet when it was killed, but acknowledged.
        done = int(rest.split()[-1]) + 1 if rest.split() else _ + 1
        calls = list(itertools.islice(steps(number, largest), done + 1))
        state = applied(state, calls[:done])
        with simdrive.Store(path) as store:  # whoever comes next repairs what is to be repaired
            assert store.verify().ok
        found = contents(path)
        assert any(found == wanted for wanted in possible(state, calls[done])), (number, done, calls[done][0])
        state = found
    names = {item.name for item in tmp_path.iterdir()}
    assert {name for name in names if ".cut-" not in name} <= {"store.bin", "store.bin.mark"}
