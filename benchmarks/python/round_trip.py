#!/usr/bin/env python3
"""simdrive beside the real client on the real server: latency, threads, batches, large values, memory, stalls.

    python benchmarks/python/round_trip.py                     everything, five rounds, in under ten minutes
    python benchmarks/python/round_trip.py --quick             one short round, to see that everything works

Run it with the interpreter that has simdrive. See benchmarks/README.md for what the peers are and how to read this.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import chart
import report
from peers import PEERS, Tools
from processes import SERVER_VERSION, PeerError, Placement, build_native, default_server, real_python
from running import chosen, exit_with, run_rounds, scratch_folder, write_json
from sections import SECTIONS, Results, record_requests, stage

BUDGET_S = 500.0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round with fewer samples")
    parser.add_argument("--rounds", type=int, default=None, help="interleaved rounds (5; 1 with --quick)")
    parser.add_argument("--sections", default=",".join(SECTIONS), help="of " + ",".join(SECTIONS))
    parser.add_argument("--peers", default=",".join(PEERS), help="of " + ",".join(PEERS))
    parser.add_argument("--pin", choices=("same", "split", "no"), default="same",
                        help="same: servers and clients on one core; split: on two; no: where they fall")  # fmt: skip
    parser.add_argument("--json", type=Path, help="write everything measured to this file")
    parser.add_argument("--chart", type=Path, help="draw to this file: .svg, or what matplotlib can write")
    parser.add_argument("--server", type=Path, default=os.environ.get("SIMDRIVE_BENCH_SERVER") or default_server(),
                        help=f"simd-r-drive-ws-server {SERVER_VERSION} (SIMDRIVE_BENCH_SERVER)")  # fmt: skip
    parser.add_argument("--real-python", default=os.environ.get("SIMDRIVE_BENCH_REAL_PYTHON"),
                        help="the real client's interpreter (SIMDRIVE_BENCH_REAL_PYTHON); else made")  # fmt: skip
    parser.add_argument("--budget", type=float, default=BUDGET_S, help="start no section after this many seconds")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a gate is not passed")
    options = parser.parse_args()
    options.sections = chosen(parser, "section", options.sections, SECTIONS)
    options.peers = chosen(parser, "peer", options.peers, PEERS)
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.server = Path(options.server)
    if not options.server.is_file():
        parser.error(
            f"no server at {options.server}; install it with: cargo install simd-r-drive-ws-server "
            f"--version {SERVER_VERSION} --locked --root {options.server.parent.parent}"
        )
    return options


def run(options: argparse.Namespace, tools: Tools, results: Results) -> int:
    def one(section: str, rnd: int) -> None:
        with stage(section, rnd, tools, results, options.peers, options.quick) as opened:
            SECTIONS[section](opened)

    return run_rounds(options.rounds, options.sections, results, one, options.budget)


def main() -> int:
    options = arguments()
    started = time.monotonic()
    results = Results()
    with scratch_folder() as scratch:
        recordings = scratch / "recorded"
        recordings.mkdir()
        python = real_python(options.real_python)
        tools = Tools(options.server, build_native(), recordings, python, Placement(options.pin), scratch)
        try:
            record_requests(tools, options.sections)
        except PeerError as error:
            results.note(f"nothing recorded, so no replay: {error}")
        complete = run(options, tools, results)
    facts = {**report.machine(), "pin": options.pin, "rounds": complete, "argv": sys.argv[1:], "quick": options.quick}
    facts["seconds"] = round(time.monotonic() - started, 1)
    print(report.text(results, facts))
    if options.json:
        write_json(options.json, report.document(results, facts))
    if options.chart:
        title = f"simdrive round trip, p50, server {SERVER_VERSION}, pin {options.pin}, {complete} rounds"
        print(f"chart: {chart.write(results, options.chart, title) or 'nothing to draw'}")
    passed = all(gate.status == "PASS" for gate in report.Gates(results).all)
    return 1 if results.failures or (options.strict and not passed) else 0


if __name__ == "__main__":
    exit_with(main, "round_trip")
