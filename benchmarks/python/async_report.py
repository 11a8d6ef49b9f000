"""Gates, tables and the JSON form of a run of async_round_trip.py."""

from __future__ import annotations

from typing import Any

import report
from async_peers import LOOPS, PEERS, SERVER_VERSION
from async_sections import HOLDS
from report import Gate, median, ratio
from sections import Results

PACKAGES = ("redis", "hiredis", "valkey-glide", "picows", "websockets", "uvloop")
LOAD_SECTIONS = ("small", "medium", "large")
# field, heading, decimals
COLUMNS: dict[str, list[tuple[str, str, int]]] = {
    **{section: [("ops_s", "calls/s", 0), ("cpu_us", "CPU us/call", 1)] for section in LOAD_SECTIONS},
    "hold": [
        ("hold_ms", "hold ms", 2),
        ("wall_ms", "by clock", 2),
        ("hold_cpu_ms", "CPU ms", 2),
        ("took_ms", "call ms", 0),
    ],
    "memory": [("peak_mib", "peak MiB", 1), ("before_mib", "before MiB", 1)],
}
GATED = "read_1024_x64"


def gates(results: Results) -> list[Gate]:
    """The figures that issue 7 asks for, from one run."""
    found: list[Gate] = []

    def add(section: str, name: str, figure: float | None, bound: float, unit: str, *, at_least: bool = False) -> None:
        failed = results.failures.get(section, {})
        blame = "FAILED" if failed or section in results.rounds else "NOT MEASURED"
        found.append(Gate(name, figure, bound, at_least, unit, blame))

    for loop in LOOPS:
        ours = f"simdrive@{loop}"
        faster = ratio(results, "small", GATED, "ops_s", (ours,), "native+nd")
        add("small", f"{loop}: read 1 KiB, 64 in flight: calls/s, of native+nd's", faster, 1.0, "x", at_least=True)
        used = ratio(results, "small", GATED, "cpu_us", (ours,), f"picows@{loop}")
        add("small", f"{loop}: the same: client CPU, of picows's", used, 1.5, "x")
        for op in HOLDS:
            for field, how in (("hold_ms", "waits for a core left out"), ("wall_ms", "by the clock")):
                longest = median(results, "hold", f"{op}_64MiB", ours, field)
                add("hold", f"{loop}: {op} 64 MiB: longest hold, {how}", longest, 5.0, " ms")
        peak = ratio(results, "memory", "peak_64MiB", "peak_mib", (ours,), "real+nd2")
        add("memory", f"{loop}: peak memory at 64 MiB, of real+nd2's", peak, 0.6, "x")
    return found


def table(results: Results) -> list[str]:
    lines: list[str] = []
    for section, metrics in results.rounds.items():
        columns = COLUMNS[section]
        heads = "".join(f"{head:>14}" for _, head, _ in columns)
        for metric, peers in metrics.items():
            lines += ["", f"{section + ' ' + metric:<27}{heads}"]
            for name in PEERS:
                if name in peers:
                    cells = [(median(results, section, metric, name, field), n) for field, _, n in columns]
                    row = "".join(f"{'-' if value is None else f'{value:,.{n}f}':>14}" for value, n in cells)
                    lines.append(f"  {name:<25}{row}")
    return lines


def facts() -> dict[str, Any]:
    machine = report.machine()
    versions = {package: report.installed(package) for package in PACKAGES}
    return {**machine, "server": SERVER_VERSION, "real_server": machine["server"], "packages": versions}


def text(results: Results, facts: dict[str, Any]) -> str:
    lines = [
        "simdrive for asyncio, medians of the rounds",
        f"server {SERVER_VERSION}, simdrive {facts['simdrive']}, pin {facts['pin']}, {facts['rounds']} rounds",
        f"{facts['cpu']}, load {facts['load']}",
        *(f"  {name:<20} {spec.note}" for name, spec in PEERS.items()),
        *table(results),
        *report.ending(results, gates(results)),
    ]
    return "\n".join(lines)


def document(results: Results, facts: dict[str, Any]) -> dict[str, Any]:
    return report.as_document(results, facts, gates(results))
