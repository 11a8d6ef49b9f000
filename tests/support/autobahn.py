"""Runs Autobahn's cases against an echo server and compares the results with those expected. See tools/autobahn.sh."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.ports import HOST
from support.server_process import ServerProcess

EXPECTED = Path(__file__).with_name("autobahn_server.json")
AGENT = "echo"
# Compression (groups 12 and 13) is not offered.
SPEC = {"cases": ["*"], "exclude-cases": ["12.*", "13.*"], "exclude-agent-cases": {}}
FINE = ("OK", "INFORMATIONAL")
TIMEOUT_S = 400
CASES = 301

Results = dict[str, list[str]]  # case: behavior, behavior at the close


def run_cases(suite: Path, server: ServerProcess, path: str, reports: Path) -> Results:
    """The results of all cases. Raises RuntimeError if the suite fails, or the server is gone afterwards."""
    spec = {
        **SPEC,
        "outdir": str(reports),
        "servers": [{"agent": AGENT, "url": f"ws://{HOST}:{server.port}{path}"}],
    }
    written = reports / "spec.json"
    written.write_text(json.dumps(spec), encoding="ascii")
    ended = subprocess.run(
        [suite, "-m", "fuzzingclient", "-s", written],
        cwd=reports,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=TIMEOUT_S,
        text=True,
    )
    if ended.returncode != 0:
        raise RuntimeError(f"wstest ended with {ended.returncode}: {ended.stdout[-2000:]}")
    if not server.running():
        raise RuntimeError("the echo server has ended by itself")
    found: dict[str, Any] = json.loads((reports / "index.json").read_text(encoding="utf-8"))[AGENT]
    return {case: [result["behavior"], result["behaviorClose"]] for case, result in found.items()}


def in_order(cases: Results) -> list[str]:
    return sorted(cases, key=lambda case: [int(part) for part in case.split(".")])


def compare(found: Results, expected: dict[str, Any]) -> list[str]:
    """What is not as expected: a result, a case missing or new, a fault that is accepted, a lapse without a reason.

    Whether a lapse shows may depend on how the bytes arrive: one that has a reason need not be there.
    """
    cases: Results = expected["cases"]
    reasons: dict[str, str] = expected["reasons"]
    problems = [f"{case}: not run" for case in in_order({case: cases[case] for case in cases.keys() - found.keys()})]
    for case in in_order(found):
        if case not in cases:
            problems.append(f"{case}: {found[case]}, and nothing is expected of it")
        elif found[case] != cases[case] and not (case in reasons and found[case] == ["OK", "OK"]):
            problems.append(f"{case}: {found[case]}, expected {cases[case]}")
        if "FAILED" in found[case]:
            problems.append(f"{case}: FAILED, which is never accepted")
        if any(part not in FINE for part in found[case]) and not reasons.get(case):
            problems.append(f"{case}: {found[case]}, and there is no reason for it among the expected results")
    problems += [f"{case}: a reason, but no lapse" for case in reasons if set(cases.get(case, [])) <= set(FINE)]
    return problems


def as_text(results: Results, reasons: dict[str, str]) -> str:
    """The file of expected results: a line for each case."""
    lines = [f"    {json.dumps(case)}: {json.dumps(results[case])}" for case in in_order(results)]
    return (
        '{\n  "reasons": '
        + json.dumps(reasons, indent=2).replace("\n", "\n  ")
        + ',\n  "cases": {\n'
        + ",\n".join(lines)
        + "\n  }\n}\n"
    )


def read_expected(path: Path) -> dict[str, Any]:
    """What is expected; of nothing, if there is no such file."""
    if not path.exists():
        return {"reasons": {}, "cases": {}}
    known: dict[str, Any] = json.loads(path.read_text(encoding="ascii"))
    return known


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools/autobahn.sh", description=__doc__)
    parser.add_argument("--suite", type=Path, required=True, help="the program wstest")
    parser.add_argument("--expected", type=Path, default=EXPECTED, help="the expected results")
    parser.add_argument("--accept", action="store_true", help="write them anew; reasons stay")
    parser.add_argument("--path", default="/ws", help="of the WebSocket")
    parser.add_argument("--reports", type=Path, help="an empty folder that keeps the suite's reports")
    parser.add_argument("words", nargs="+", help="the echo server; {port} stands for a port")
    options = parser.parse_args()
    words: list[str] = options.words
    server = ServerProcess("the echo server", lambda _, port: [word.replace("{port}", str(port)) for word in words])
    with tempfile.TemporaryDirectory(prefix="simdrive-autobahn-") as scratch:
        reports = (options.reports or Path(scratch)).resolve()
        reports.mkdir(parents=True, exist_ok=True)
        try:
            with server:
                found = run_cases(options.suite, server, options.path, reports)
        except (OSError, RuntimeError, subprocess.TimeoutExpired) as problem:
            print(f"autobahn: {problem}", file=sys.stderr)
            return 1
    counts = Counter(behavior for behavior, _ in found.values())
    print(f"autobahn: {len(found)} cases: " + ", ".join(f"{count} {name}" for name, count in counts.most_common()))
    expected = read_expected(options.expected)
    if options.accept:
        options.expected.write_text(as_text(found, expected["reasons"]), encoding="ascii")
        expected = read_expected(options.expected)
    problems = compare(found, expected)
    if len(found) < CASES:
        problems.insert(0, f"only {len(found)} of {CASES} cases were run")
    print("\n".join(problems), file=sys.stderr, end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
