"""What the benchmarks that start servers share: their files, their rounds, their last words."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from processes import PeerError, cache_dir
from sections import Results


def chosen(parser: argparse.ArgumentParser, what: str, text: str, known: object) -> list[str]:
    names = [name for name in text.split(",") if name]
    for name in names:
        if name not in list(known):  # type: ignore[call-overload]
            parser.error(f"no {what} named {name}")
    return names


def leave(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)  # runs every finally, and so stops every server


def sweep(base: Path) -> None:
    """Removes what a killed run could not: its folder carries its process id."""
    for folder in base.glob("run.*.*"):
        owner = folder.name.split(".")[1]
        if not Path("/proc", owner).exists():
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def scratch_folder(base: Path | None = None) -> Iterator[Path]:
    """A folder for the files of this run, in the cache; signals that end the run remove it, too."""
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGHUP, leave)
    base = base or cache_dir() / "bench"
    base.mkdir(parents=True, exist_ok=True)
    sweep(base)
    scratch = Path(tempfile.mkdtemp(prefix=f"run.{os.getpid()}.", dir=base))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def run_rounds(rounds: int, sections: Sequence[str], results: Results, one: Callable[[str, int], None],
               budget: float | None = None) -> int:  # fmt: skip
    """Every section once a round, by `one(section, round)`, as long as the budget of seconds lasts.

    Returns the number of complete rounds.
    """
    started = time.monotonic()
    for rnd in range(rounds):
        for section in sections:
            began = time.monotonic()
            if budget is not None and began - started > budget:
                results.note(f"time budget of {budget:.0f} s used up in round {rnd + 1}, at {section}")
                return rnd
            one(section, rnd)
            took, load = time.monotonic() - began, os.getloadavg()[0]
            print(f"round {rnd + 1} {section}: {took:.1f} s, load {load:.1f}", file=sys.stderr, flush=True)
    return rounds


def write_json(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="ascii")


def exit_with(main: Callable[[], int], name: str) -> None:
    """Ends the process as a program does: with what `main` returns, or with one line about what went wrong."""
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except (PeerError, subprocess.SubprocessError) as error:
        sys.exit(f"{name}: {error}")
