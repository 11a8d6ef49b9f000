"""The checker of histories accepts what a register can do, and finds what it cannot."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from math import inf

import pytest

from support.histories import Kind, Operation, check, check_key


def op(kind: Kind, value: str | None, start: float, end: float, *, client: int = 0, key: str = "k") -> Operation:
    return Operation(client, key, kind, value, start, end)


GOOD = {
    "nothing": [],
    "absent at first": [op("read", None, 0, 1)],
    "one after the other": [
        op("write", "a", 0, 1),
        op("read", "a", 2, 3),
        op("delete", None, 4, 5),
        op("read", None, 6, 7),
    ],
    "a read beside a write sees the old": [op("write", "a", 0, 9), op("read", None, 1, 2)],
    "a read beside a write sees the new": [op("write", "a", 0, 9), op("read", "a", 1, 2)],
    "two writes at once, in either order": [
        op("write", "a", 0, 9),
        op("write", "b", 0, 9),
        op("read", "b", 1, 2),
        op("read", "a", 3, 4),
    ],
    "an unknown write that nobody sees": [op("write", "a", 0, inf), op("read", None, 1, 2)],
    "an unknown write that is seen much later": [
        op("write", "a", 0, inf),
        op("write", "b", 1, 2),
        op("read", "b", 3, 4),
        op("read", "a", 50, 60),
    ],
    "an unknown delete that happens": [op("write", "a", 0, 1), op("delete", None, 2, inf), op("read", None, 3, 4)],
    "an unknown delete that does not": [op("write", "a", 0, 1), op("delete", None, 2, inf), op("read", "a", 3, 4)],
    "an unknown read says nothing": [op("write", "a", 0, 1), op("read", None, 2, inf), op("read", "a", 3, 4)],
    "keys do not touch each other": [op("write", "a", 0, 1), op("read", None, 2, 3, key="other")],
}

BAD = {
    "a stale read": [op("write", "a", 0, 1), op("write", "b", 2, 3), op("read", "a", 4, 5)],
    "a lost write": [op("write", "a", 0, 1), op("read", None, 2, 3)],
    "a value that nobody wrote": [op("write", "a", 0, 1), op("read", "z", 2, 3)],
    "a value before it was written": [op("read", "a", 0, 1), op("write", "a", 2, 3)],
    "a deleted value": [op("write", "a", 0, 1), op("delete", None, 2, 3), op("read", "a", 4, 5)],
    "there and back": [op("write", "a", 0, 9), op("read", "a", 1, 2), op("read", None, 3, 4)],
    "two readers disagree on the order": [
        op("write", "a", 0, 1),
        op("write", "b", 2, 9),
        op("read", "b", 3, 4, client=1),
        op("read", "a", 5, 6, client=2),
    ],
    "an order that turns round": [
        op("write", "a", 0, 2),
        op("write", "b", 0, 2),
        op("read", "a", 3, 4),
        op("read", "b", 5, 6),
    ],
    "an unknown write seen before its start": [op("read", "a", 0, 1), op("write", "a", 2, inf)],
    "an unknown write that comes and goes": [
        op("write", "a", 0, inf),
        op("write", "b", 1, 2),
        op("read", "a", 3, 4),
        op("read", "b", 5, 6),
    ],
    "an unknown delete happens once": [
        op("write", "a", 0, 1),
        op("delete", None, 2, inf),
        op("read", None, 3, 4),
        op("read", "a", 5, 6),
    ],
}


@pytest.mark.parametrize("name", GOOD)
def test_possible(name: str) -> None:
    assert check(GOOD[name]) is None


@pytest.mark.parametrize("name", BAD)
def test_impossible(name: str) -> None:
    assert check(BAD[name]) is not None


def brute_force(operations: Sequence[Operation]) -> bool:
    """All orders of all subsets that leave out open operations only."""
    closed = [operation for operation in operations if not operation.is_open]
    opened = [operation for operation in operations if operation.is_open and operation.kind != "read"]
    for size in range(len(opened) + 1):
        for chosen in itertools.combinations(opened, size):
            for order in itertools.permutations([*closed, *chosen]):
                if all(a.start <= b.end for a, b in itertools.combinations(order, 2)) and explains(order):
                    return True
    return False


def explains(order: Sequence[Operation]) -> bool:
    value: str | None = None
    for operation in order:
        if operation.kind == "read":
            if operation.value != value:
                return False
        else:
            value = operation.value
    return True


def random_history(rng: random.Random, size: int) -> list[Operation]:
    """Any times and any values read: about half of the histories are possible."""
    operations = []
    for number in range(size):
        start = rng.randrange(20)
        end = inf if rng.random() < 0.1 else start + rng.randrange(1, 5)
        kind: Kind = rng.choice(["read", "read", "write", "delete"])
        value = {"write": str(number), "delete": None, "read": rng.choice([None, *map(str, range(size))])}[kind]
        operations.append(op(kind, value, start + number / 100, end))
    written = {operation.value for operation in operations if operation.kind == "write"}
    return [o for o in operations if o.kind != "read" or o.value is None or o.value in written]


def test_agrees_with_trying_every_order() -> None:
    rng = random.Random(7)
    verdicts = []
    for _ in range(500):
        operations = sorted(random_history(rng, 6), key=lambda operation: operation.start)
        expected = brute_force(operations)
        assert (check_key(operations) is None) is expected, operations
        verdicts.append(expected)
    assert 100 < sum(verdicts) < 400, "the histories must be of both kinds"


def simulated(rng: random.Random, clients: int, calls: int) -> list[Operation]:
    """What clients of a true register record: each call takes effect at one moment between its start and end."""
    plan: list[tuple[float, float, float, int, Kind, str | None, bool]] = []
    for client in range(clients):
        now = rng.random()
        for number in range(calls):
            start = now + rng.expovariate(5)
            point = start + rng.expovariate(2)
            end = point + rng.expovariate(2)
            kind: Kind = rng.choice(["read", "read", "write", "write", "delete"])
            lost = kind != "read" and rng.random() < 0.05
            plan.append((point, start, end, client, kind, f"{client}.{number}" if kind == "write" else None, lost))
            now = end
    value: str | None = None
    history = []
    for _, start, end, client, kind, written, lost in sorted(plan):
        if kind != "read" and not (lost and rng.random() < 0.5):
            value = written
        history.append(op(kind, value if kind == "read" else written, start, inf if lost else end, client=client))
    return history


def test_long_histories_of_a_true_register() -> None:
    rng = random.Random(11)
    for _ in range(5):
        history = simulated(rng, clients=8, calls=150)
        assert check(history) is None


def test_one_wrong_read_in_a_long_history() -> None:
    rng = random.Random(13)
    found = 0
    for _ in range(20):
        history = simulated(rng, clients=4, calls=60)
        reads = [i for i, operation in enumerate(history) if operation.kind == "read"]
        at = rng.choice(reads[len(reads) // 2 :])
        early = next(operation.value for operation in history if operation.kind == "write")
        history[at] = op("read", early, history[at].start, history[at].end)
        found += check(history) is not None
    assert found == 20
