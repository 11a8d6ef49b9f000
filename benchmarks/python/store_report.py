"""The gates, and the text and JSON forms of a run of the store benchmark."""

from __future__ import annotations

import dataclasses
from typing import Any

from chart import Group
from report import Gate, machine, median, ratio
from sections import Results
from store_peers import PEERS

MIB = 1 << 20
HEADS = {
    "write": "single writes", "batch": "batches, per item", "hot": "look-ups, 20 000 keys of 16 B",
    "random": "look-ups, many keys of 100 B", "scan": "iteration over those", "open": "opening, entries of 8 B",
    "memory": "anonymous memory, resident", "compact": "compaction, half of the entries written twice",
}  # fmt: skip


class Gates:
    """What is asked for, from one run: (what, figure, bound)."""

    def __init__(self, results: Results) -> None:
        self.results = results
        self.all: list[Gate] = []
        for metric, gate, goal in (("16 B", 6, 8), ("1 KiB", None, 8), ("16 MiB", None, 4), ("64 MiB", 6, 10)):
            self._faster("write", metric, "original", gate, goal)
        for metric in ("read", "exists"):
            self._faster("hot", metric, "original", None, 1.2)
            self._faster("hot", metric, "lmdb", 2.5, None)
        self._faster("random", "read", "original", 1.3, None)
        self._faster("random", "read", "lmdb", 2.5, 3)
        self._faster("scan", "per entry", "original", 2.5, None)
        for own in ("", ", own file"):
            self._faster("open", f"1e6 entries{own}", "original", 2.5, None)
            self._faster("open", f"1e7 entries{own}", "original", 1, None)
        used = median(results, "memory", "1e7 keys", "simdrive", "bytes")
        self._add("memory", "1e7 keys", "bytes of memory a key", used, 20, at_least=False)

    def _add(self, section: str, metric: str, what: str, figure: float | None, bound: float, *, at_least: bool = True,
             unit: str = "", goal: bool = False) -> None:  # fmt: skip
        blame = "FAILED" if metric in self.results.rounds.get(section, {}) else "NOT MEASURED"
        if "simdrive" in self.results.failures.get(section, {}):
            figure, blame = None, "FAILED"
        name = f"{'goal: ' if goal else ''}{section}, {metric}: {what}"
        self.all.append(Gate(name, figure, bound, at_least, unit, blame))

    def _faster(self, section: str, metric: str, other: str, gate: float | None, goal: float | None) -> None:
        times = ratio(self.results, section, metric, "ns", (other,), "simdrive")
        for bound, is_goal in ((gate, False), (goal, True)):
            if bound is not None:
                self._add(section, metric, f"times faster than {other}", times, bound, unit="x", goal=is_goal)

    @property
    def passed(self) -> bool:
        """Every gate; goals are beyond that."""
        return all(gate.status == "PASS" for gate in self.all if not gate.name.startswith("goal"))


def time_text(ns: float) -> str:
    for unit, scale in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if ns >= scale:
            return f"{ns / scale:.3g} {unit}"
    return f"{ns:.3g} ns"


def size_of(metric: str) -> int | None:
    """The payload's bytes that the name of a metric of writes says."""
    count, unit = metric.split(" ")[-2:]
    scale = {"B": 1, "KiB": 1 << 10, "MiB": MIB}.get(unit)
    return None if scale is None else int(count) * scale


def cell(results: Results, section: str, metric: str, peer: str) -> str:
    if section == "memory":
        used = median(results, section, metric, peer, "bytes")
        return "-" if used is None else f"{used:.1f} B/key"
    ns = median(results, section, metric, peer, "ns")
    if ns is None:
        return "-"
    size = size_of(metric) if section in ("write", "batch") else None
    return time_text(ns) + (f", {size / ns:.2f} GB/s" if size and size >= MIB else "")


def table(results: Results) -> list[str]:
    lines: list[str] = []
    names = [name for name in PEERS if any(name in p for m in results.rounds.values() for p in m.values())]
    for section, metrics in results.rounds.items():
        lines += ["", f"{section + ': ' + HEADS[section]:<46}" + "".join(f"{name:>20}" for name in names)]
        for metric in metrics:
            lines.append(f"  {metric:<44}" + "".join(f"{cell(results, section, metric, name):>20}" for name in names))
    return lines


def text(results: Results, facts: dict[str, Any]) -> str:
    lines = [
        f"simdrive store {facts['simdrive']}: medians of {facts['rounds']} rounds in which the engines take turns",
        f"{facts['cpu']}, kernel {facts['kernel']}, load {facts['load']}",
        f"processes on core {facts['core'] or 'any'}; files on {facts['filesystem']}, in the page cache, never synced",
        "long calls by the CPU time of the process, others by the clock" if facts["clock"] == "cpu" else "by the clock",
        *(f"  {name:<12} {peer.note}" for name, peer in PEERS.items()),
        *table(results),
        "",
        "gates (medians of each round's ratio)",
        *(gate.line() for gate in Gates(results).all),
    ]
    failed = [f"  {p}, section {s}, {why}" for s, peers in results.failures.items() for p, why in peers.items()]
    lines += ["", "failed", *failed] if failed else []
    lines += ["", "notes", *(f"  {note}" for note in results.notes)] if results.notes else []
    return "\n".join(lines)


def facts_of_machine() -> dict[str, Any]:
    return {name: value for name, value in machine().items() if name not in ("server", "real_client")}


def document(results: Results, facts: dict[str, Any]) -> dict[str, Any]:
    return {
        "facts": facts,
        "gates": [{**dataclasses.asdict(gate), "status": gate.status} for gate in Gates(results).all],
        "rounds": results.rounds,
        "failures": results.failures,
        "notes": results.notes,
    }


def groups(results: Results) -> list[Group]:
    """For the chart: every time of the run in microseconds."""
    found: list[Group] = []
    for section, metrics in results.rounds.items():
        if section == "memory":
            continue
        for metric in metrics:
            bars = [(name, median(results, section, metric, name, "ns")) for name in PEERS]
            found.append((f"{section}, {metric}", [(name, ns / 1e3) for name, ns in bars if ns is not None]))
    return found
