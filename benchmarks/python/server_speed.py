#!/usr/bin/env python3
"""simdrive's client and server beside other pairs: latency, threads, connections, batches, large values.

    python benchmarks/python/server_speed.py                   everything, five rounds
    python benchmarks/python/server_speed.py --quick           one short round, to see that everything works

Run it with the interpreter that has simdrive (with click and rich), redis, hiredis and valkey-glide-sync. See
benchmarks/README.md for what the peers are and how to read this.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import sys
import time
from pathlib import Path

import chart
import server_report as report
from processes import SERVER_VERSION, Placement, build_native, default_server, real_python
from running import chosen, exit_with, run_rounds, scratch_folder, write_json
from sections import Results
from server_peers import PEERS, PairTools
from server_sections import SECTIONS, PairStage, record_connections

DESCRIPTORS = 4096


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
                        help="the existing client's interpreter (SIMDRIVE_BENCH_REAL_PYTHON); else made")  # fmt: skip
    parser.add_argument("--strict", action="store_true", help="exit 1 when a gate is not passed")
    options = parser.parse_args()
    options.sections = chosen(parser, "section", options.sections, SECTIONS)
    options.peers = chosen(parser, "peer", options.peers, PEERS)
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.server = Path(options.server)
    if not options.server.is_file():
        parser.error(f"no server at {options.server}; install {SERVER_VERSION} with tools/install_servers.sh")
    return options


def allow_descriptors() -> None:
    """A thousand connections need as many, here and in every server, which inherits the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def run(options: argparse.Namespace, tools: PairTools, results: Results) -> None:
    def one(section: str, rnd: int) -> None:
        with contextlib.closing(PairStage(section, rnd, tools, results, options.peers, options.quick)) as stage:
            SECTIONS[section](stage)

    run_rounds(options.rounds, options.sections, results, one)


def main() -> int:
    options = arguments()
    started = time.monotonic()
    allow_descriptors()
    results = Results()
    with scratch_folder() as scratch:
        tools = PairTools(options.server, build_native(), scratch, real_python(options.real_python),
                          Placement(options.pin), scratch)  # fmt: skip
        if "connections" in options.sections:
            record_connections(tools)
        run(options, tools, results)
    facts = {**report.facts(), "pin": options.pin, "rounds": options.rounds, "argv": sys.argv[1:]}
    facts["quick"] = options.quick
    facts["seconds"] = round(time.monotonic() - started, 1)
    print(report.text(results, facts))
    if options.json:
        write_json(options.json, report.document(results, facts))
    if options.chart:
        title = f"simdrive, client and server, p50, pin {options.pin}, {options.rounds} rounds"
        data = chart.groups(results, list(PEERS))
        print(f"chart: {chart.draw(data, options.chart, title, list(PEERS)) or 'nothing to draw'}")
    passed = all(gate.status == "PASS" for gate in report.gates(results))
    return 1 if results.failures or (options.strict and not passed) else 0


if __name__ == "__main__":
    exit_with(main, "server_speed")
