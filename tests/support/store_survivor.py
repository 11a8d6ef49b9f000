"""Writes a store while system calls fail, and goes on: python -m support.store_survivor PATH SEED SYNC CALLS.

Says on standard output what came of each call of `store_writer.steps`: ``ok``, ``not applied`` or ``unknown``, a tab,
and the error; and at the end how many writing system calls that were. A store that is read-only since a sync failed is
opened again. Any other error ends it.
"""

from __future__ import annotations

import itertools
import re
import sys
from pathlib import Path

import simdrive
from support.store_writer import Step, carry_out, steps, values_of

LARGEST = 300_000
TRIES = 200

FAILURES = (simdrive.StoreError, simdrive.StorageFullError)


def attempt(path: str, sync: str) -> simdrive.Store | None:
    """The store, unless it does not open this time."""
    try:
        return simdrive.Store(path, sync=sync, sync_interval=0.01)
    except FAILURES as error:
        print(f"# opening: {error}")
        return None


def opened(path: str, sync: str) -> simdrive.Store:
    """The store, however often it has to be tried."""
    for _ in range(TRIES):
        store = attempt(path, sync)
        if store is not None:
            return store
    raise RuntimeError(f"{path} did not open in {TRIES} tries")


def closed(store: simdrive.Store) -> None:
    """Close it; what that finds out about the disk is said."""
    try:
        store.close()
    except FAILURES as error:
        print(f"# closing: {error}")


def outcome(store: simdrive.Store, step: Step) -> str:
    """What came of it."""
    try:
        carry_out(store, step, values_of(step))
    except FAILURES as error:
        return f"{error.outcome}\t{type(error).__name__}: {error}"
    return "ok\t"


def written() -> int:
    """Writing system calls of this process."""
    found = re.search(r"^syscw: (\d+)$", Path("/proc/self/io").read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


def main(path: str, seed: str, sync: str, calls: str) -> None:
    """Carry out so many calls."""
    before = written()
    store = opened(path, sync)
    for step in itertools.islice(steps(int(seed), LARGEST), int(calls)):
        print(outcome(store, step))
        if store.read_only:
            closed(store)
            store = opened(path, sync)
    closed(store)
    print(f"# writes: {written() - before}")


if __name__ == "__main__":
    main(*sys.argv[1:])
