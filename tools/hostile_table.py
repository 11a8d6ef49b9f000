#!/usr/bin/env python3
"""Attacks servers, one after the other, and shows side by side what each did and what it cost it. Linux.

    python tools/hostile_table.py --real 0.17.5-alpha --real 0.16.2-alpha
    python tools/hostile_table.py --ours
    python tools/hostile_table.py --command NAME 'PROGRAM {store} --port {port}'
    python tools/hostile_table.py --running NAME PORT PID          (the descriptor limit that it is given stays)
    python tools/hostile_table.py --document                       (writes docs/hostile_peers.md anew, measures nothing)

What was measured is printed as Markdown. With --record it is put into benchmarks/results/hostile_peers.json, in place
of what was known of these servers, and docs/hostile_peers.md is written anew from that.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.hostile import ATTACKS, MIB, Amounts, Outcome, Row, run_attack, title  # noqa: E402
from support.real_server import RealServer  # noqa: E402
from support.server_process import ServerProcess  # noqa: E402
from support.wsraw import RawClient  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "hostile_peers.json"
DOCUMENT = ROOT / "docs" / "hostile_peers.md"
OURS = "simdrive"
ORDER = (OURS, "0.17.5-alpha", "0.16.2-alpha")
Measured = dict[str, Any]

INTRODUCTION = """\
# Hostile peers

What a server does when a client keeps to no rule: false lengths, silence, floods, garbage, a web page of another site.
Each attack is made with plain sockets on a server that was started for it, with its defaults, while a good client (a
process of its own, plain sockets too) calls `exists` every 5 ms. The harness is `tests/support/hostile.py`;
`tests/python/integration/test_hostile.py` holds our server to what is promised. This page is written by

```
python tools/hostile_table.py --ours --real 0.17.5-alpha --real 0.16.2-alpha --record
```

"Cut": the connection ended without a Close frame. "Memory": resident, at the highest, above that before the attack.
"CPU": of the server, during the attack, that of serving the good client included. "Left": descriptors that are still
open after all have gone. "Good client": its slowest call; 10 000 ms means that it had no answer in 10 s and gave up.
`nobody attacks` shows what of it is the machine's and the client's own.
"""


def main() -> None:
    options = parse()
    amounts = options.amounts
    found = {}
    for name, makes in servers(options):
        found[name] = measure(name, makes, amounts, options.only or list(ATTACKS))
        print(table(found[name]), flush=True)
        if options.json:
            options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="ascii")
        if options.record:
            RESULTS.write_text(json.dumps({**read_results(), **found}, indent=1) + "\n", encoding="ascii")
    if options.record or options.document:
        DOCUMENT.write_text(document(read_results()), encoding="ascii")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", action="append", default=[], metavar="VERSION", help="a real server of the cache")
    parser.add_argument("--ours", action="store_true", help="simdrive serve")
    parser.add_argument("--command", action="append", default=[], nargs=2, metavar=("NAME", "WORDS"))
    parser.add_argument("--running", action="append", default=[], nargs=3, metavar=("NAME", "PORT", "PID"))
    parser.add_argument("--only", action="append", choices=list(ATTACKS), metavar="ATTACK", help=", ".join(ATTACKS))
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="AMOUNT=NUMBER",
        help="how much or how long: " + ", ".join(f"{field.name}={field.default}" for field in fields(Amounts)),
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="what was measured")
    parser.add_argument("--record", action="store_true", help="keep it, and write the document")
    parser.add_argument("--document", action="store_true", help="write the document from what is kept")
    options = parser.parse_args()
    known = {name: type(value) for name, value in asdict(Amounts()).items()}
    chosen = {}
    for word in options.set:
        name, _, number = word.partition("=")
        if name not in known:
            parser.error(f"no amount {name!r}; there are: {', '.join(known)}")
        chosen[name] = known[name](number)
    if options.record and (options.only or chosen):
        parser.error("only whole runs with the default amounts are kept")
    options.amounts = replace(Amounts(), **chosen)
    if not (options.real or options.ours or options.command or options.running or options.document):
        parser.error("name a server: --real, --ours, --command or --running")
    return options


def servers(options: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    """Name, and what gives (port, process id) of a running server for as long as a block lasts."""
    if options.ours:
        words = [sys.executable, "-m", "simdrive", "serve", "{store}", "--port", "{port}"]
        yield OURS, lambda: started(from_words(OURS, words))
    for version in options.real:
        yield version, lambda version=version: started(RealServer(version))
    for name, text in options.command:
        yield name, lambda name=name, text=text: started(from_words(name, shlex.split(text)))
    for name, port, pid in options.running:
        yield name, lambda port=port, pid=pid: running(int(port), int(pid))


def from_words(name: str, words: list[str]) -> ServerProcess:
    return ServerProcess(name, lambda store, port: [word.format(store=store, port=port) for word in words])


@contextmanager
def started(server: ServerProcess) -> Iterator[tuple[int, int]]:
    with server:
        yield server.port, server.pid


@contextmanager
def running(port: int, pid: int) -> Iterator[tuple[int, int]]:
    yield port, pid


def measure(name: str, makes: Any, amounts: Amounts, attacks: list[str]) -> Measured:
    """Every attack, each on a server of its own where we start it."""
    rows = []
    began = time.monotonic()
    for attack in attacks:
        print(f"{name}: {title(attack, amounts)}", file=sys.stderr, flush=True)
        with makes() as (port, pid):
            with RawClient(port) as client:
                dialect = client.probe()
            rows.append(asdict(run_attack(attack, port, pid, dialect, amounts)))
    return {
        "server": name,
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores, {platform.system()} " + ".".join(platform.release().split(".")[:2]),
        "seconds": round(time.monotonic() - began, 1),
        "amounts": asdict(amounts),
        "rows": rows,
    }


def rows_of(measured: Measured) -> list[Row]:
    return [Row(**{**row, "outcome": Outcome(**row["outcome"])}) for row in measured["rows"]]


def grid(head: list[str], lines: list[list[str]]) -> str:
    ruler = ["---"] * len(head)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, ruler, *lines]) + "\n"


def did(row: Row) -> str:
    return str(row.outcome) + ("" if row.alive else "; the server ended")


def table(measured: Measured) -> str:
    """What one server did, and what it cost."""
    amounts = Amounts(**measured["amounts"])
    lines = [
        [
            title(row.name, amounts),
            did(row),
            f"{row.peak_bytes / MIB:.1f} MiB",
            f"{row.cpu_seconds:.2f} s",
            str(row.descriptors_left),
            f"{row.good_longest * 1e3:.1f} ms",
        ]
        for row in rows_of(measured)
    ]
    return grid(["attack", "what the server did", "memory", "CPU", "left", "good client"], lines)


def document(results: dict[str, Measured]) -> str:
    """The page: what each server did, side by side, then what it cost each of them."""
    names = [*ORDER, *(name for name in results if name not in ORDER)]
    by_name = {name: {row.name: row for row in rows_of(results[name])} for name in results}
    amounts = Amounts()
    lines = []
    for attack in ATTACKS:
        cells = [by_name[name].get(attack) if name in by_name else None for name in names]
        lines.append([title(attack, amounts), *("not measured yet" if row is None else did(row) for row in cells)])
    parts = [INTRODUCTION, "## What each server did\n", grid(["attack", *names], lines)]
    for name in names:
        if name in results:
            measured = results[name]
            parts += [f"## {name}\n", f"{measured['date']}, {measured['machine']}.\n", table(measured)]
    return "\n".join(parts)


def read_results() -> dict[str, Measured]:
    if not RESULTS.exists():
        return {}
    known: dict[str, Measured] = json.loads(RESULTS.read_text(encoding="ascii"))
    return known


if __name__ == "__main__":
    main()
