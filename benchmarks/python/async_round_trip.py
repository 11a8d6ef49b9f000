#!/usr/bin/env python3
"""simdrive for asyncio beside other asyncio clients: calls in flight, CPU per call, holds of the loop, memory.

    python benchmarks/python/async_round_trip.py                     everything, five rounds
    python benchmarks/python/async_round_trip.py --quick             one short round, to see that everything works

Run it with an interpreter that has simdrive and the packages of the group `bench`. See benchmarks/README.md for what
the peers are and how to read this.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import async_report as report
import processes
import scaling_chart
from async_peers import PEERS, SERVER_VERSION, AsyncTools, build_rust_client, default_server
from async_sections import SECTIONS, AsyncStage
from peers import Tools
from processes import PeerError, Placement, build_native, real_python
from running import chosen, exit_with, run_rounds, scratch_folder, write_json
from sections import Results


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round with shorter samples")
    parser.add_argument("--rounds", type=int, default=None, help="interleaved rounds (5; 1 with --quick)")
    parser.add_argument("--sections", default=",".join(SECTIONS), help="of " + ",".join(SECTIONS))
    parser.add_argument("--peers", default=",".join(PEERS), help="of " + ",".join(PEERS))
    parser.add_argument("--pin", choices=("same", "split", "no"), default="split",
                        help="split: servers and clients on one core each; same: on one; no: anywhere")  # fmt: skip
    parser.add_argument("--json", type=Path, help="write everything measured to this file")
    parser.add_argument("--chart", type=Path, help="draw to this .svg file")
    parser.add_argument("--server", type=Path,
                        help=f"simd-r-drive-ws-server {SERVER_VERSION} (SIMDRIVE_BENCH_SERVER17)",
                        default=os.environ.get("SIMDRIVE_BENCH_SERVER17") or default_server())  # fmt: skip
    parser.add_argument("--real-server", type=Path,
                        help=f"the same, {processes.SERVER_VERSION} (SIMDRIVE_BENCH_SERVER)",
                        default=os.environ.get("SIMDRIVE_BENCH_SERVER") or processes.default_server())  # fmt: skip
    parser.add_argument("--real-python", default=os.environ.get("SIMDRIVE_BENCH_REAL_PYTHON"),
                        help="the existing client's interpreter (SIMDRIVE_BENCH_REAL_PYTHON); else made")  # fmt: skip
    parser.add_argument("--strict", action="store_true", help="exit 1 when a gate is not passed")
    options = parser.parse_args()
    options.sections = chosen(parser, "section", options.sections, SECTIONS)
    options.peers = chosen(parser, "peer", options.peers, PEERS)
    options.rounds = options.rounds or (1 if options.quick else 5)
    for server, version in ((options.server, SERVER_VERSION), (options.real_server, processes.SERVER_VERSION)):
        if not Path(server).is_file():
            parser.error(f"no server at {server}; install {version} with tools/install_servers.sh")
    return options


def run(options: argparse.Namespace, tools: AsyncTools, results: Results) -> None:
    def one(section: str, rnd: int) -> None:
        with contextlib.closing(AsyncStage(section, rnd, tools, results, options.peers, options.quick)) as stage:
            SECTIONS[section](stage)

    run_rounds(options.rounds, options.sections, results, one)


def main() -> int:
    options = arguments()
    started = time.monotonic()
    results = Results()
    with scratch_folder() as scratch:
        native = None
        if "native+nd" in options.peers:
            try:
                native = build_rust_client()
            except (PeerError, OSError, subprocess.SubprocessError) as error:
                results.note(f"no native client: {error}")
        python = real_python(options.real_python) if "real+nd2" in options.peers else Path(sys.executable)
        tools = Tools(Path(options.real_server), build_native(), scratch, python, Placement(options.pin), scratch)
        run(options, AsyncTools(Path(options.server), tools, native), results)
    facts = {**report.facts(), "pin": options.pin, "rounds": options.rounds, "argv": sys.argv[1:]}
    facts["seconds"] = round(time.monotonic() - started, 1)
    print(report.text(results, facts))
    if options.json:
        write_json(options.json, report.document(results, facts))
    if options.chart:
        print(f"chart: {scaling_chart.write(results, options.chart, facts) or 'nothing to draw'}")
    passed = all(gate.status == "PASS" for gate in report.gates(results))
    return 1 if results.failures or (options.strict and not passed) else 0


if __name__ == "__main__":
    exit_with(main, "async_round_trip")
