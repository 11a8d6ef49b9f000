"""Gates, tables and the JSON form of a run of server_speed.py."""

from __future__ import annotations

from typing import Any

import report
from report import Gate, median, ratio
from sections import Results
from server_peers import PEERS

PACKAGES = ("redis", "hiredis", "valkey-glide-sync")
TIMES = [("p50_us", "p50 us", 1), ("cpu_us", "client us", 1), ("server_cpu_us", "server us", 1)]
# field, heading, decimals
COLUMNS: dict[str, list[tuple[str, str, int]]] = {
    "latency": [TIMES[0], ("p99_us", "p99 us", 1), *TIMES[1:]],
    "threads": [("ops_s", "calls/s", 0), *TIMES[1:], ("sends_per_call", "sends/call", 2)],
    "connections": [("ops_s", "calls/s", 0), TIMES[2], ("connection_kib", "KiB/connection", 1)],
    "batch": [*TIMES, ("mb_s", "MB/s", 1)],
    "large": [*TIMES, ("mb_s", "MB/s", 1)],
}
SMALL_CALLS = [f"{op}_{size}" for op in ("write", "read", "exists") for size in (16, 1024)]
OTHERS = [
    ("batch", "batch_read_1000x100B", 4.0),
    ("batch", "batch_write_1000x100B", 8.0),
    ("large", "write_64MiB", 40.0),
    ("large", "read_64MiB", 20.0),
]


def times(results: Results, section: str, metric: str, peer: str, base: str) -> float | None:
    """How many times better than the base `peer` is, by the first column of the section."""
    field = COLUMNS[section][0][0]
    if field == "ops_s":
        return ratio(results, section, metric, field, (peer,), base)
    return ratio(results, section, metric, field, (base,), peer)


def gates(results: Results) -> list[Gate]:
    """What is asked of client and server together."""
    found: list[Gate] = []

    def add(section: str, metric: str, base: str, bound: float) -> None:
        failed = results.failures.get(section, {})
        blame = "FAILED" if failed or section in results.rounds else "NOT MEASURED"
        figure = None if "simdrive" in failed else times(results, section, metric, "simdrive", base)
        if base == "c-floor":
            above = None if figure is None else 1 / figure
            found.append(Gate(f"{metric}: of {base}'s p50", above, bound, False, "x", blame))
        else:
            found.append(Gate(f"{metric}: times faster than {base}", figure, bound, True, "x", blame))

    for metric in SMALL_CALLS:
        add("latency", metric, "real+nd2", 3.4)
        add("latency", metric, "redis", 1.35)
        add("latency", metric, "c-floor", 1.4)
    for section, metric, bound in OTHERS:
        add(section, metric, "real+nd2", bound)
    for op in ("read", "write"):
        add("threads", f"{op}_1024_16t_one", "real+nd2", 5.0)
    return found


def table(results: Results) -> list[str]:
    lines: list[str] = []
    bases = [name for name in PEERS if name != "simdrive"]
    for section, metrics in results.rounds.items():
        columns = COLUMNS[section]
        heads = "".join(f"{head:>15}" for _, head, _ in columns)
        for metric, peers in metrics.items():
            lines += ["", f"{section + ' ' + metric:<32}{heads}{'simdrive is':>14}"]
            for name in PEERS:
                if name not in peers:
                    continue
                cells = [(median(results, section, metric, name, field), n) for field, _, n in columns]
                row = "".join(f"{'-' if value is None else f'{value:,.{n}f}':>15}" for value, n in cells)
                better = times(results, section, metric, "simdrive", name) if name in bases else None
                row += "" if better is None else f"{better:>10.3g}x as fast"
                lines.append(f"  {name:<30}{row}")
    return lines


def facts() -> dict[str, Any]:
    return {**report.machine(), "packages": {package: report.installed(package) for package in PACKAGES}}


def text(results: Results, facts: dict[str, Any]) -> str:
    lines = [
        "simdrive's client and server, medians of the rounds ('x as fast': median of the rounds' ratios)",
        f"simdrive {facts['simdrive']}, existing server {facts['server']} and client {facts['real_client']}, "
        + ", ".join(f"{name} {version}" for name, version in facts["packages"].items()),
        f"pin {facts['pin']}, {facts['rounds']} rounds, {facts['cpu']}, load {facts['load']}, {facts['seconds']} s",
        *(f"  {name:<12} {spec.note}" for name, spec in PEERS.items()),
        *table(results),
        *report.ending(results, gates(results)),
    ]
    return "\n".join(lines)


def document(results: Results, facts: dict[str, Any]) -> dict[str, Any]:
    return report.as_document(results, facts, gates(results))
