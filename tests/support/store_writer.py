"""Writes a store until it is killed: python -m support.store_writer PATH SEED SYNC LARGEST.

Says on standard output, a line each, that it begins with a call, whose values it has ready, and that the call was
acknowledged: ``begin`` or ``done`` and the number. `steps` says what the call of a number is, so that whoever has
killed it knows what must be in the store.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from typing import Any

import simdrive

Step = tuple[str, dict[bytes, "tuple[int, int] | None"]]  # what is done, and the value of each key afterwards
Values = list[tuple[bytes, bytes]]

KEYS = [b"key %d" % i for i in range(12)]
BATCH = 4


def value_of(seed: int, size: int) -> bytes:
    """A value that a part or a mixture of others is not."""
    pattern = random.Random(seed).randbytes(min(size, 1 << 20))
    return (pattern * (size // len(pattern) + 1))[:size]


def steps(seed: int, largest: int) -> Iterator[Step]:
    """What is done, without end: the same for the same seed."""
    chance = random.Random(seed)
    number = 0
    while True:
        number += 1
        kind = chance.choice(["write", "write", "stream", "batch", "delete", "compact"])
        size = chance.choice([2, 50, 4096, 70_000, 1 << 20, largest])
        keys = chance.sample(KEYS, BATCH if kind == "batch" else 1)
        size = min(size, max(1 << 20, largest // BATCH)) if kind == "batch" else size
        after: Any = dict.fromkeys(keys, None if kind == "delete" else (seed * 1_000_000 + number, size))
        yield kind, {} if kind == "compact" else after


def values_of(step: Step) -> Values:
    """What is to be written."""
    return [(key, value_of(*made)) for key, made in step[1].items() if made is not None]


def carry_out(store: simdrive.Store, step: Step, values: Values) -> None:
    kind, after = step
    if kind == "write":
        store.write(*values[0])
    elif kind == "stream":
        key, value = values[0]
        store.write_stream(key, (value[at : at + 300_000] for at in range(0, len(value), 300_000)))
    elif kind == "batch":
        store.batch_write(values)
    elif kind == "delete":
        store.batch_delete(after)
    else:
        store.compact()


def say(what: str, number: int) -> None:
    """In one write, so that a kill leaves a whole line or none, whether or not the output has a buffer."""
    os.write(1, f"{what} {number}\n".encode())


def main(path: str, seed: str, sync: str, largest: str) -> None:
    """Write until killed."""
    with simdrive.Store(path, sync=sync, sync_interval=0.01) as store:
        for number, step in enumerate(steps(int(seed), int(largest))):
            values = values_of(step)
            say("begin", number)
            carry_out(store, step, values)
            say("done", number)


if __name__ == "__main__":
    main(*sys.argv[1:])
