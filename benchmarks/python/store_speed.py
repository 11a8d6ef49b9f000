#!/usr/bin/env python3
"""The store of simdrive beside the original engine and LMDB: writes, look-ups, iteration, opening, memory, compaction.

    python benchmarks/python/store_speed.py                    everything, five rounds
    python benchmarks/python/store_speed.py --quick            one round with less of everything, to see that it works

Run it with the interpreter that has simdrive. See benchmarks/README.md for the peers and how to read this.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

import chart
import store_report
from processes import cache_dir
from running import chosen, exit_with, run_rounds, scratch_folder, write_json
from sections import Results
from store_peers import PEERS, Bases, Programs
from store_sections import SECTIONS, Turns, run_section

BUDGET_S = 1800.0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round with less of everything")
    parser.add_argument("--rounds", type=int, default=None, help="interleaved rounds (5; 1 with --quick)")
    parser.add_argument("--sections", default=",".join(SECTIONS), help="of " + ",".join(SECTIONS))
    parser.add_argument("--peers", default=",".join(PEERS), help="of " + ",".join(PEERS))
    parser.add_argument("--core", default=str(max(os.sched_getaffinity(0))),
                        help="the core that all run on, one after the other (the last); empty: any")  # fmt: skip
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall",
                        help="what long calls are compared by: cpu is steadier on a busy machine")  # fmt: skip
    parser.add_argument("--dir", type=Path, default=cache_dir() / "bench", help="where the files go (in the cache)")
    parser.add_argument("--interop", type=Path, help="the original's program; else built by tools/install_interop.sh")
    parser.add_argument("--json", type=Path, help="write everything measured to this file")
    parser.add_argument("--chart", type=Path, help="draw to this file: .svg, or what matplotlib can write")
    parser.add_argument("--budget", type=float, default=BUDGET_S, help="start no section after this many seconds")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a gate is not passed")
    options = parser.parse_args()
    options.sections = chosen(parser, "section", options.sections, SECTIONS)
    options.peers = chosen(parser, "peer", options.peers, PEERS)
    options.rounds = options.rounds or (1 if options.quick else 5)
    if options.core and shutil.which("taskset") is None:
        parser.error("taskset (util-linux) is needed for --core; or use --core ''")
    return options


def filesystem(folder: Path) -> str:
    """The type of the file system that a folder is on."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()]
    within = [(len(fields[1]), fields[2]) for fields in mounts if folder.resolve().is_relative_to(fields[1])]
    return max(within)[1] if within else "unknown"


def run(options: argparse.Namespace, results: Results, folder: Path) -> int:
    """Runs the rounds; the number of complete ones."""
    programs = Programs(options.interop, options.peers)
    for kind, why in programs.missing.items():
        results.note(f"no program {kind}: {why}")
    bases = Bases(programs, folder, options.core)

    def one(section: str, rnd: int) -> None:
        turns = Turns(section, rnd, options.peers, programs, bases, results, folder, options.core, options.clock,
                      options.quick)  # fmt: skip
        run_section(section, turns)

    return run_rounds(options.rounds, options.sections, results, one, options.budget)


def main() -> int:
    options = arguments()
    started = time.monotonic()
    results = Results()
    with scratch_folder(options.dir) as folder:
        complete = run(options, results, folder)
        kind = filesystem(folder)
    chosen_options = {name: getattr(options, name) for name in ("core", "clock", "quick")}
    facts = {**store_report.facts_of_machine(), **chosen_options, "filesystem": kind, "rounds": complete,
             "argv": sys.argv[1:], "seconds": round(time.monotonic() - started, 1)}  # fmt: skip
    print(store_report.text(results, facts))
    if options.json:
        write_json(options.json, store_report.document(results, facts))
    if options.chart:
        title = f"simdrive store, time of one call, item or entry; {complete} rounds"
        others = [name for name in PEERS if name != "simdrive"]
        legend = [*others[:3], "simdrive", *others[3:]]  # in the colour that it has in the other charts
        drawn = chart.draw(store_report.groups(results), options.chart, title, legend)
        print(f"chart: {drawn or 'nothing to draw'}")
    return 1 if results.failures or (options.strict and not store_report.Gates(results).passed) else 0


if __name__ == "__main__":
    exit_with(main, "store_speed")
