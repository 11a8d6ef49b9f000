"""Histories of concurrent calls, and whether a single register for each key could have given them.

The search is that of Wing and Gong, with the memory of Lowe: it takes the operations in an order that their times
allow, and never tries the same set of operations twice that left the same value. The keys are checked apart, which
loses nothing: linearizability is local.

Every written value is unique. That makes operations of unknown outcome cheap: one whose value nobody read can be left
out, and one whose value was read took effect before that read ended.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from math import inf
from pathlib import Path
from typing import Literal

Kind = Literal["read", "write", "delete"]


@dataclass(frozen=True)
class Operation:
    """One call on one key. `value` is what was written or read; None is absent. `end` is inf when the outcome is
    unknown: then it may take effect at any time from `start` on, or never."""

    client: int
    key: str
    kind: Kind
    value: str | None
    start: float
    end: float

    @property
    def is_open(self) -> bool:
        return self.end == inf


class Recorder:
    """Collects operations from many threads."""

    def __init__(self) -> None:
        self._operations: list[Operation] = []
        self._lock = threading.Lock()

    @staticmethod
    def now() -> float:
        return time.monotonic()

    def add(self, client: int, key: str, kind: Kind, value: str | None, start: float, end: float) -> None:
        """A call that ended, or with `end` inf, one of unknown outcome. What was not applied is not recorded."""
        operation = Operation(client, key, kind, value, start, end)
        with self._lock:
            self._operations.append(operation)

    def history(self) -> list[Operation]:
        with self._lock:
            return list(self._operations)


def save(history: Iterable[Operation], path: Path) -> None:
    """As JSON: a list of operations; an unknown outcome has the end null."""
    rows = [{**asdict(operation), "end": None if operation.is_open else operation.end} for operation in history]
    path.write_text(json.dumps(rows), encoding="utf-8")


def by_key(history: Iterable[Operation]) -> dict[str, list[Operation]]:
    """The operations of each key, in the order of their starts."""
    parts: dict[str, list[Operation]] = {}
    for operation in sorted(history, key=lambda operation: operation.start):
        parts.setdefault(operation.key, []).append(operation)
    return parts


def check(history: Iterable[Operation]) -> str | None:
    """None when every key's history is linearizable, starting absent; else what is wrong with one of them."""
    for key, operations in by_key(history).items():
        trouble = check_key(operations)
        if trouble is not None:
            return f"key {key}: {trouble}"
    return None


def check_key(operations: Sequence[Operation]) -> str | None:
    """The same for the operations of one key."""
    written = [operation.value for operation in operations if operation.kind == "write"]
    if len(set(written)) != len(written):
        raise ValueError("the values written must be unique")
    for read in operations:
        if read.kind == "read" and not read.is_open and read.value is not None and read.value not in written:
            return f"client {read.client} read {read.value!r}, which nobody wrote"
    stuck = _search(list(_that_happened(operations)), sorted(o.start for o in operations if _is_open_delete(o)))
    if stuck is None:
        return None
    value = "nothing" if stuck.value is None else repr(stuck.value)
    return (
        f"no order explains the {stuck.kind} of {value} by client {stuck.client} at {stuck.start:.6f} (or one before)"
    )


def _is_open_delete(operation: Operation) -> bool:
    return operation.kind == "delete" and operation.is_open


def _that_happened(operations: Sequence[Operation]) -> Iterator[Operation]:
    """Those that must be in the order, each with an end."""
    first_seen: dict[str, float] = {}
    for operation in operations:
        if operation.kind == "read" and not operation.is_open and operation.value is not None:
            first_seen[operation.value] = min(first_seen.get(operation.value, inf), operation.end)
    for operation in sorted(operations, key=lambda operation: operation.start):
        if not operation.is_open:
            yield operation
        elif operation.kind == "write" and operation.value in first_seen:
            yield replace(operation, end=first_seen[operation.value])


@dataclass(frozen=True)
class _State:
    """What has been put in order: all operations before `first`, and those behind it whose bit is set."""

    first: int
    done: int
    value: str | None
    deletes: int  # how many of the open ones

    def after(self, operations: Sequence[Operation], index: int) -> _State:
        operation = operations[index]
        value = {"write": operation.value, "delete": None, "read": self.value}[operation.kind]
        first, done = self.first, self.done | 1 << (index - self.first)
        while done & 1:
            first, done = first + 1, done >> 1
        return _State(first, done, value, self.deletes)


def _search(operations: Sequence[Operation], open_deletes: Sequence[float]) -> Operation | None:
    """None when there is an order; else the operation that none of the orders tried got past.

    Open deletes are alike but for their starts. One is needed only right before a read that finds nothing: followed by
    a write it might as well not have happened.
    """
    furthest = 0
    seen: set[_State] = set()
    stack = [_State(0, 0, None, 0)]
    while stack:
        state = stack.pop()
        if state.first == len(operations):
            return None
        if state in seen:
            continue
        seen.add(state)
        furthest = max(furthest, state.first)
        stack.extend(_next(operations, open_deletes, state))
    return operations[furthest]


def _next(operations: Sequence[Operation], open_deletes: Sequence[float], state: _State) -> list[_State]:
    # Whoever comes next must have started before the first end among those that are still to come.
    waiting: list[int] = []
    deadline = inf
    index = state.first
    while index < len(operations) and operations[index].start <= deadline:
        if not state.done >> (index - state.first) & 1:
            waiting.append(index)
            deadline = min(deadline, operations[index].end)
        index += 1
    waiting = [index for index in waiting if operations[index].start <= deadline]
    for index in waiting:
        # A read that fits now changes nothing and is never better placed later.
        if operations[index].kind == "read" and operations[index].value == state.value:
            return [state.after(operations, index)]
    found = [state.after(operations, index) for index in waiting if operations[index].kind != "read"]
    finds_nothing = any(operations[index].kind == "read" and operations[index].value is None for index in waiting)
    may_delete = state.deletes < len(open_deletes) and open_deletes[state.deletes] <= deadline
    if finds_nothing and may_delete:
        found.append(_State(state.first, state.done, None, state.deletes + 1))
    return found
