"""Medians, ratios, the gates, and the text and JSON forms of a run."""

from __future__ import annotations

import dataclasses
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from peers import PEERS
from processes import REAL_CLIENT_VERSION, SERVER_VERSION
from sections import Fields, Results

SMALL_CALLS = ("exists_16", "exists_1024", "read_16", "read_1024")
REPLAYS = ("replay", "replay-join")


def median(results: Results, section: str, metric: str, peer: str, field: str) -> float | None:
    rounds = results.rounds.get(section, {}).get(metric, {}).get(peer, {})
    values = [fields[field] for fields in rounds.values() if field in fields]
    return statistics.median(values) if values else None


def ratio(results: Results, section: str, metric: str, field: str, over: Sequence[str], under: str) -> float | None:
    """Median over the rounds of over / under; of several `over` peers, each round's least."""
    peers = results.rounds.get(section, {}).get(metric, {})
    values = []
    for rnd, fields in peers.get(under, {}).items():
        others = [peers[name][rnd][field] for name in over if rnd in peers.get(name, {})]
        if others and fields[field] > 0:
            values.append(min(others) / fields[field])
    return statistics.median(values) if values else None


@dataclasses.dataclass(frozen=True)
class Gate:
    name: str
    figure: float | None
    bound: float
    at_least: bool
    unit: str
    blame: str  # why there is no figure

    @property
    def status(self) -> str:
        if self.figure is None:
            return self.blame
        return "PASS" if (self.figure >= self.bound) == self.at_least or self.figure == self.bound else "MISS"

    def line(self) -> str:
        figure = "-" if self.figure is None else f"{self.figure:,.{0 if self.figure >= 100 else 3}f}{self.unit}"
        return f"  {self.status:<12} {self.name:<58} {figure:>10}  {'>=' if self.at_least else '<='} {self.bound:g}"


class Gates:
    """The figures that issue 3 asks for, from one run."""

    def __init__(self, results: Results) -> None:
        self.results = results
        self.all: list[Gate] = []
        for metric in SMALL_CALLS:
            self._small_call(metric)
        self._faster("latency", "write_65536", 2.8, 0.1)
        self._faster("large", "read_16MiB", 1.15, 0.25)
        self._faster("large", "write_64MiB", 3.0, 0.02)
        peak = self._cost("memory", "peak_64MiB", "peak_mib")
        self._add("memory", "peak memory at 64 MiB, of real+nd2", peak, 0.6, at_least=False)
        for op in ("write", "read"):
            longest = median(results, "stall", f"{op}_64MiB", "simdrive", "stall_ms")
            self._add("stall", f"{op} 64 MiB: stall of another thread", longest, 10.0, at_least=False, unit=" ms")
        per_call = median(results, "sends", "mixed_16t", "simdrive", "sends_per_call")
        self._add("sends", "16 threads, 20 000 mixed calls: sends a call", per_call, 0.4, at_least=False)
        rounds = results.rounds.get("sends", {}).get("mixed_16t", {}).get("simdrive", {})
        wrong = max((fields["wrong"] for fields in rounds.values()), default=None)
        self._add("sends", "16 threads, 20 000 mixed calls: wrong answers", wrong, 0.0, at_least=False)

    def _add(self, section: str, name: str, figure: float | None, bound: float, *, at_least: bool,
             unit: str = "") -> None:  # fmt: skip
        failed = self.results.failures.get(section, {})
        blame = "FAILED" if failed or section in self.results.rounds else "NOT MEASURED"
        if "simdrive" in failed:
            figure = None
        self.all.append(Gate(name, figure, bound, at_least, unit, blame))

    def _cost(self, section: str, metric: str, field: str) -> float | None:
        """simdrive's share of what real+nd2 takes."""
        return ratio(self.results, section, metric, field, ("simdrive",), "real+nd2")

    def _small_call(self, metric: str) -> None:
        r = self.results
        faster = ratio(r, "latency", metric, "p50_us", ("real+nd",), "simdrive")
        self._add("latency", f"{metric}: times faster than real+nd", faster, 1.6, at_least=True, unit="x")
        p99 = median(r, "latency", metric, "simdrive", "p99_us")
        self._add("latency", f"{metric}: p99", p99, 1000.0, at_least=False, unit=" us")
        floor = ratio(r, "latency", metric, "p50_us", REPLAYS, "simdrive")
        above = None if floor is None else 1 / floor
        self._add("latency", f"{metric}: of the faster replay's p50", above, 1.2, at_least=False, unit="x")

    def _faster(self, section: str, metric: str, times: float, cpu: float) -> None:
        faster = ratio(self.results, section, metric, "p50_us", ("real+nd2",), "simdrive")
        self._add(section, f"{metric}: times faster than real+nd2", faster, times, at_least=True, unit="x")
        used = self._cost(section, metric, "cpu_us")
        self._add(section, f"{metric}: client CPU, of real+nd2's", used, cpu, at_least=False, unit="x")


# field, heading, decimals
COLUMNS: dict[str, list[tuple[str, str, int]]] = {
    "latency": [("p50_us", "p50 us", 1), ("p99_us", "p99 us", 1), ("cpu_us", "CPU us/call", 1)],
    "batch": [("p50_us", "p50 us", 0), ("p99_us", "p99 us", 0), ("cpu_us", "CPU us/call", 0), ("mb_s", "MB/s", 1)],
    "large": [("p50_us", "p50 us", 0), ("cpu_us", "CPU us/call", 0), ("mb_s", "MB/s", 1)],
    "threads": [("ops_s", "calls/s", 0), ("cpu_us", "CPU us/call", 1), ("sends_per_call", "sends/call", 2)],
    "sends": [("ops_s", "calls/s", 0), ("sends_per_call", "sends/call", 2), ("wrong", "wrong", 0)],
    "memory": [("peak_mib", "peak MiB", 1), ("before_mib", "before MiB", 1)],
    "stall": [("stall_ms", "stall ms", 1), ("idle_ms", "idle ms", 1), ("took_ms", "call ms", 1)],
}
BASES = ("real+nd", "real+nd2", "replay")


def times_better(results: Results, section: str, metric: str, peer: str, base: str) -> str:
    """How many times better than the base; the first column of the section decides."""
    field = COLUMNS[section][0][0]
    if peer == base:
        return "1"
    if field == "ops_s":
        value = ratio(results, section, metric, field, (peer,), base)
    else:
        value = ratio(results, section, metric, field, (base,), peer)
    return "" if value is None else f"{value:.3g}"


def table(results: Results) -> list[str]:
    lines: list[str] = []
    for section, metrics in results.rounds.items():
        columns = COLUMNS[section]
        heads = "".join(f"{head:>13}" for _, head, _ in columns) + "".join(f"{'x ' + base:>11}" for base in BASES)
        for metric, peers in metrics.items():
            lines += ["", f"{section + ' ' + metric:<27}{heads}"]
            for name in PEERS:
                if name in peers:
                    lines.append(f"  {name:<25}" + _row(results, section, metric, name))
    return lines


def _row(results: Results, section: str, metric: str, name: str) -> str:
    cells = []
    for field, _, decimals in COLUMNS[section]:
        value = median(results, section, metric, name, field)
        cells.append(f"{'-' if value is None else f'{value:.{decimals}f}':>13}")
    cells += [f"{times_better(results, section, metric, name, base):>11}" for base in BASES]
    return "".join(cells)


def text(results: Results, facts: dict[str, Any]) -> str:
    lines = [
        "simdrive round trip, medians of the rounds ('x PEER': times better than PEER, median of the rounds' ratios)",
        f"server {SERVER_VERSION}, real client {REAL_CLIENT_VERSION}, simdrive {facts['simdrive']}",
        f"pin {facts['pin']}, {facts['rounds']} complete rounds, {facts['cpu']}, load {facts['load']}",
        *(f"  {name:<12} {spec.note}" for name, spec in PEERS.items()),
        *table(results),
        *ending(results, Gates(results).all),
    ]
    return "\n".join(lines)


def ending(results: Results, gates: Sequence[Gate]) -> list[str]:
    """The lines about gates, failures and notes."""
    lines = ["", "gates", *(gate.line() for gate in gates)]
    failed = [
        f"  FAILED {peer}, section {section}, {why}"
        for section, peers in results.failures.items()
        for peer, why in peers.items()
    ]
    if failed:
        lines += ["", "failures", *failed]
    if results.notes:
        lines += ["", "notes", *(f"  {note}" for note in results.notes)]
    return lines


def installed(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def machine() -> dict[str, Any]:
    cpu = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [x for x in cpuinfo.read_text(encoding="utf-8").splitlines() if x.startswith("model name")]
        cpu = names[0].split(":", 1)[1].strip() if names else cpu
    return {
        "cpu": f"{cpu}, {os.cpu_count()} cores",
        "kernel": platform.release(),
        "python": sys.version.split()[0],
        "simdrive": installed("simdrive"),
        "server": SERVER_VERSION,
        "real_client": REAL_CLIENT_VERSION,
        "load": " ".join(f"{x:.1f}" for x in os.getloadavg()),
    }


def figures(results: Results) -> dict[str, Any]:
    medians: dict[str, Any] = {}
    for section, metrics in results.rounds.items():
        for metric, peers in metrics.items():
            medians.setdefault(section, {})[metric] = {name: _medians(rounds) for name, rounds in peers.items()}
    return {"medians": medians, "rounds": results.rounds, "failures": results.failures, "notes": results.notes}


def document(results: Results, facts: dict[str, Any]) -> dict[str, Any]:
    return as_document(results, facts, Gates(results).all)


def as_document(results: Results, facts: dict[str, Any], gates: Sequence[Gate]) -> dict[str, Any]:
    judged = [{**dataclasses.asdict(gate), "status": gate.status} for gate in gates]
    return {"facts": facts, "gates": judged, **figures(results)}


def _medians(rounds: dict[int, Fields]) -> Fields:
    fields = {field for some in rounds.values() for field in some}
    return {f: statistics.median([some[f] for some in rounds.values() if f in some]) for f in sorted(fields)}
