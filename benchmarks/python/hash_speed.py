#!/usr/bin/env python3
"""XXH3 and CRC-32 of simdrive beside other implementations, from C++ and from Python, in one run on one core.

    python benchmarks/python/hash_speed.py                     everything, about five minutes
    python benchmarks/python/hash_speed.py --quick             few repetitions, to see that everything works

Run it with the interpreter that has simdrive. See benchmarks/README.md for what is compared and how to read it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import hash_chart
import hash_report
import report
from hash_peers import NATIVE_PEERS, PACKAGES, Peers
from processes import Placement

HERE = Path(__file__).resolve().parent


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few, short repetitions")
    parser.add_argument("--repetitions", type=int, help="of each C++ benchmark, in random order (25; 3 with --quick)")
    parser.add_argument("--rounds", type=int, help="of the Python calls (25; 3 with --quick)")
    parser.add_argument("--only", choices=("native", "python"), help="one half of the run")
    parser.add_argument("--core", default=str(max(os.sched_getaffinity(0))), help="the core to run on, the last one")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--chart", type=Path, help="draw to this .svg file")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a gate is not passed")
    options = parser.parse_args()
    options.repetitions = options.repetitions or (3 if options.quick else 25)
    options.rounds = options.rounds or (3 if options.quick else 25)
    if shutil.which("taskset") is None:
        parser.error("taskset (util-linux) is needed")
    return options


def run_native(options: argparse.Namespace, peers: Peers) -> tuple[hash_report.Samples, str]:
    program = peers.build_native()
    out = peers.folder / f"native.{os.getpid()}.json"
    argv = [
        str(program),
        "--benchmark_enable_random_interleaving=true",
        f"--benchmark_repetitions={options.repetitions}",
        "--benchmark_min_time=0.005",
        f"--benchmark_out={out}",
        "--benchmark_out_format=json",
    ]
    try:
        subprocess.run(Placement.command(options.core, argv), check=True, capture_output=True, text=True)
        document: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    finally:
        out.unlink(missing_ok=True)
    samples: hash_report.Samples = {}
    for entry in document["benchmarks"]:
        if entry["run_type"] != "iteration":
            continue
        assert entry["time_unit"] == "ns"
        group, name, size = entry["run_name"].split("/")[:3]  # "min_time" may follow
        samples.setdefault(group, {}).setdefault(name, {}).setdefault(int(size), []).append(entry["cpu_time"])
    found = {name for names in samples.values() for name in names}
    for name, how in NATIVE_PEERS.items():
        if name not in found:
            peers.missing.setdefault(name, how)
    return samples, document["context"]["backend"]


def run_python(options: argparse.Namespace, peers: Peers) -> dict[str, Any]:
    packages = peers.python_packages()
    argv = [sys.executable, str(HERE / "hash_python.py"), str(options.rounds), "3", str(packages or "")]
    done = subprocess.run(
        Placement.command(options.core, argv), check=True, stdout=subprocess.PIPE, text=True, timeout=1800
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def main() -> int:
    options = arguments()
    started = time.monotonic()
    peers = Peers()
    samples: hash_report.Samples = {}
    backend = ""
    if options.only != "python":
        samples, backend = run_native(options, peers)
    if options.only != "native":
        answer = run_python(options, peers)
        backend = answer["backend"]
        for group, names in answer["samples"].items():
            samples[group] = {name: {int(s): v for s, v in sizes.items()} for name, sizes in names.items()}
        peers.missing.update(answer["missing"])
    results = hash_report.Results(samples, peers.missing, backend)
    machine = report.machine()
    facts = {key: machine[key] for key in ("cpu", "kernel", "python", "simdrive", "load")}
    facts |= {"core": options.core, "repetitions": options.repetitions, "rounds": options.rounds}
    facts |= {"packages": list(PACKAGES), "backend": backend, "seconds": round(time.monotonic() - started, 1)}
    print(hash_report.text(results, facts))
    if options.json:
        options.json.write_text(json.dumps(hash_report.document(results, facts), indent=1) + "\n", encoding="ascii")
    if options.chart:
        hash_chart.write(results, options.chart, f"{facts['cpu']}, one core")
        print(f"chart: {options.chart}")
    passed = all(gate.status == "PASS" for gate in hash_report.Gates(results).all)
    return 1 if options.strict and not passed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except subprocess.CalledProcessError as error:
        sys.exit(f"hash_speed: {error}\n{(error.stderr or '')[-2000:]}")
