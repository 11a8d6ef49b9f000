"""Hostile peers: our server takes the action that is promised, for a bounded price, and serves others meanwhile."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from support.hostile import ATTACKS, KIB, MIB, Amounts, Outcome, Row, run_attack, title
from support.real_server import RealServer
from support.server_process import ServerProcess
from support.targets import our_server
from support.timing import BUSY, SLACK

if sys.platform != "linux":
    pytest.skip("reads /proc of the server", allow_module_level=True)

DIALECT = "d13"
GOOD_CLIENT_S = 0.05
CPU_S = 1.0  # beside what is named: the good client's calls, and the clock's steps
# What a server needs of memory for an attack is what its limits let one client keep: a long request's memory stays for
# 5 s when it is over (Reaper::kKeptMax), but was counted while it grew. Beside that, a request that moved into memory
# kept of an earlier one leaves its own there, and every attack takes some MiB of the server's own: what a thread
# receives in a turn, frames that came early (both 1 MiB at the most), the allocator's heaps.
WARM = 16 * MIB
MEMORY = 4 * MIB
MAX_REQUEST, MAX_MESSAGE = (1 << 30) + 2 * MIB, 64 * MIB
CONNECTION = 16 * KIB
AMOUNTS = Amounts()


@dataclass(frozen=True)
class Promise:
    """What the server does about an attack, as (action, code), when (seconds), and its price at the most."""

    actions: frozenset[tuple[str, int | None]]
    least: float = 0.0
    most: float = 2.0
    memory: int = 0
    cpu: float = 0.0
    detail: str = ""


def promise(
    *actions: str | int, least: float = 0.0, most: float = 2.0, memory: int = 0, cpu: float = 0.0, detail: str = ""
) -> Promise:
    """Any of these actions; numbers are codes of Close frames from 1000 on, of HTTP below."""
    pairs = [(("close" if a >= 1000 else "http"), a) if isinstance(a, int) else (a, None) for a in actions]
    return Promise(frozenset(pairs), least, most, memory, cpu, detail)


PROMISES = {
    "quiet": promise("nothing"),
    "false_length": promise(1002, 1008, 1009),
    "long_request": promise("error reply", most=60, memory=MAX_REQUEST + WARM, cpu=5),
    "stall": promise("answered", most=AMOUNTS.patience + 2),
    "unfinished": promise("nothing", memory=AMOUNTS.unfinished * AMOUNTS.unfinished_connections + WARM, cpu=1),
    "empty_frames": promise(1008),
    "fragments": promise("answered", 1008),
    "gap": promise(1002),
    "streams": promise(1008),
    "long_frame": promise(1009),
    "long_message": promise(1009, memory=MAX_MESSAGE + WARM),
    "slow_reader": promise("cut", 1013, least=8, most=AMOUNTS.slow_wait),  # large replies are made as they are taken
    "silent": promise(1011, least=13, most=AMOUNTS.silent_wait, detail="3 of 3"),
    "half_handshakes": promise("cut", 408, least=3, most=AMOUNTS.handshake_wait, detail="200 of 200"),
    "idle": promise("served", memory=AMOUNTS.idle * CONNECTION),
    "connections": promise(503, memory=AMOUNTS.connections * CONNECTION),
    "header_bytes": promise(431, "cut"),
    "headers": promise(431, "cut"),
    "origin": promise(403),
    "host": promise(403),
    "keys": promise("error reply"),
    "inflation": promise("error reply"),
    "descriptors": promise("served"),
    "garbage_http": promise(400, "cut"),
    "garbage_websocket": promise(1002),
    "garbage_frames": promise(1002, 1008),
    "response": promise("error reply", 1002, detail="not carried out"),
    "invalid_kind": promise("error reply", 1002),
    "invalid_type": promise("error reply", 1002),
}


def broken(row: Row, kept: Promise, good_limit: float) -> list[str]:
    """The parts of a promise that were not kept."""
    found, problems = row.outcome, []
    if not row.alive:
        problems.append("the server ended")
    if (found.action, found.code) not in kept.actions:
        problems.append(f"did: {found}; promised: {sorted(kept.actions, key=str)}")
    if found.after is not None and not kept.least <= found.after <= kept.most + SLACK:
        problems.append(f"after {found.after:.2f} s, not {kept.least:g} to {kept.most:g} s")
    if kept.detail not in found.detail:
        problems.append(f"{found.detail!r} lacks {kept.detail!r}")
    if row.peak_bytes > kept.memory + MEMORY:
        problems.append(f"{row.peak_bytes / MIB:.1f} MiB of memory")
    if row.cpu_seconds > kept.cpu + CPU_S + SLACK:
        problems.append(f"{row.cpu_seconds:.2f} s of the processor")
    if row.descriptors_left > 0:
        problems.append(f"{row.descriptors_left} descriptors left")
    if row.good_longest > good_limit:
        problems.append(f"the good client waited {row.good_longest * 1e3:.0f} ms")
    if row.good_calls == 0:
        problems.append("the good client was not served")
    return problems


@pytest.fixture(scope="module")
def victim() -> Iterator[ServerProcess]:
    """Our server with its defaults."""
    with our_server() as process:
        yield process


def test_every_attack_has_its_promise() -> None:
    assert PROMISES.keys() == ATTACKS.keys()


@pytest.mark.timeout(150)
@pytest.mark.parametrize("name", list(PROMISES))
def test_promise(victim: ServerProcess, name: str) -> None:
    if not victim.running():
        victim.kill()
        victim.start()
    row = run_attack(name, victim.port, victim.pid, DIALECT, AMOUNTS)
    if name == "descriptors":  # its limit stays
        victim.kill()
    assert broken(row, PROMISES[name], GOOD_CLIENT_S + BUSY) == [], title(name, AMOUNTS)


def test_the_check_bites() -> None:
    """Each field of a row is looked at."""
    kept = promise(1009, least=1, most=2, memory=MIB, detail="all")
    good = Row("x", Outcome("close", 1009, 1.5, "all"), MIB, 0.1, 0, 0.01, 5, True)
    assert broken(good, kept, 0.05) == []
    fields = vars(good)
    worse: dict[str, list[Any]] = {
        "outcome": [
            Outcome("cut", None, 1.5, "all"),
            Outcome("close", 1008, 1.5, "all"),
            Outcome("close", 1009, 9.0, "all"),
            Outcome("close", 1009, 0.5, "all"),
            Outcome("close", 1009, 1.5, "some"),
        ],
        "peak_bytes": [64 * MIB],
        "cpu_seconds": [60.0],
        "descriptors_left": [1],
        "good_longest": [1.0],
        "good_calls": [0],
        "alive": [False],
    }
    for name, values in worse.items():
        for value in values:
            assert len(broken(Row(**{**fields, name: value}), kept, 0.05)) == 1, (name, value)


SMALL = Amounts(patience=0.5, fed=32 * MIB, early=32 * MIB, idle=200, descriptor_wait=0.5)
# What the harness finds in the servers that exist: what is there, and what is not. Of the memory, half must show: they
# keep all that is sent, 130 KiB a connection, and 120 bytes a key, but the last of it may still be in the system's
# buffers, or in memory that the server had before.
KNOWN = {
    "false_length": ("nothing", SMALL.fed // 2),
    "gap": ("nothing", SMALL.early // 2),
    "idle": ("served", SMALL.idle * 65 * KIB),
    "origin": ("served", 0),
    "response": ("answered", 0),
    "keys": ("answered", SMALL.keys * 60),
}


@pytest.mark.parametrize("name", list(KNOWN))
def test_harness_at_a_real_server(own_real_server: RealServer, name: str) -> None:
    action, least = KNOWN[name]
    amounts = SMALL if action == "nothing" else replace(SMALL, patience=30)  # ends with the answer
    row = run_attack(name, own_real_server.port, own_real_server.pid, own_real_server.dialect, amounts)
    assert row.alive
    assert row.outcome.action == action
    assert row.peak_bytes >= least
    assert row.good_calls > 0
