#!/usr/bin/env python3
"""Damages files of stores, kills their writers, and shows what the original engine and simdrive have left. Linux.

    python tools/damage_table.py                 prints the table
    python tools/damage_table.py --record        writes docs/damaged_files.md, too

Needs tools/install_interop.sh (the original engine as a program; needs cargo) and about 1 GB in the temporary folder.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import simdrive  # noqa: E402
from support.damaged_files import KINDS, Original, Ours, Tally, look  # noqa: E402
from support.interop import HOW_TO_GET, find_interop  # noqa: E402

DOCUMENT = ROOT / "docs" / "damaged_files.md"
KILLS = 12
SMALL, LARGE = 100, 96 << 20
WAIT_S = 60.0

INTRODUCTION = """\
# Damaged files

What is left of a store when its file was damaged, or its writer was killed: by the original engine (crate
`simd-r-drive` 0.17.5-alpha) and by simdrive, on the same files. Written by

```
python tools/damage_table.py --record
```

"Due": the keys whose newest value is whole in what is left of the file, and that a reader therefore can be given.
"Everything lost": at least one key was due, and none was there. "Some lost": fewer than were due. "Wrong bytes": some
value that nobody has written was given as if it were good. "Refused": the file was left as it was, with an error that
says so and names `recover`; what is counted then is what `Store.recover_file` brings back. Each engine opens a copy of
its own.
"""


def foreign(engine: Original | Ours, work: Path) -> str:
    path = work / "notes.txt"
    text = b"".join(b"line %d of a text that is no store\n" % n for n in range(1000))[:31_000]
    path.write_bytes(text)
    if isinstance(engine, Original):
        engine.count(path, 0)
        problem = "opened"
    else:
        try:
            simdrive.Store(path).close()
            problem = "opened"
        except simdrive.StoreFormatError:
            problem = "refused"
    left = path.stat().st_size
    return f"{problem}, {'unchanged' if path.read_bytes() == text else f'{left} of {len(text)} bytes left'}"


# ---- killed writers -------------------------------------------------------------------------------------------------

OUR_WRITER = """\
import os, sys
import simdrive
path, small, large = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with simdrive.Store(path) as store:
    store.batch_write([(b"key %d" % n, os.urandom(small)) for n in range(1000)])
    value = os.urandom(large)
    print("filled", flush=True)
    sys.stdin.readline()
    while True:
        store.write(b"large", value)
"""


class Writer:
    """A program that is told what to write, a line each, and answers with one."""

    def __init__(self, words: list[str]) -> None:
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def say(self, line: str) -> None:
        if self._process.stdin is None:
            raise RuntimeError("the writer has no standard input")
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def answer(self) -> None:
        line = b""
        if self._process.stdout is not None and select.select([self._process.stdout], [], [], WAIT_S)[0]:
            line = self._process.stdout.readline()
        if not line or b"error" in line:
            raise RuntimeError(f"the writer failed: {line!r}")

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        with self._process:
            self._process.kill()


def killed(engine: Original | Ours, path: Path, chance: random.Random) -> int:
    """Keys of a thousand that are there after kill -9 in the middle of a write of 96 MiB."""
    for left in path.parent.glob(path.name + "*"):
        left.unlink()
    if isinstance(engine, Original):
        writer = Writer(engine.writer())
    else:
        writer = Writer([sys.executable, "-c", OUR_WRITER, str(path), str(SMALL), str(LARGE)])
    try:
        if isinstance(engine, Original):
            for line in (f"create {path}", f"fill 0 1000 {SMALL}"):
                writer.say(line)
                writer.answer()
        else:
            writer.answer()
        due = path.stat().st_size + chance.randrange(1 << 20, LARGE)
        writer.say(f"write {LARGE} 3")
        deadline = time.monotonic() + WAIT_S
        while path.stat().st_size < due:
            if time.monotonic() > deadline or not writer.running:
                raise RuntimeError(f"the writer of {path} does not write")
    finally:
        writer.kill()
    return engine.count(path, SMALL)


# ---- the page -------------------------------------------------------------------------------------------------------


def grid(head: list[str], lines: Iterable[list[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *lines]) + "\n"


def outcome(kept: list[int]) -> str:
    return f"all 1000 keys {sum(n == 1000 for n in kept)} times, none {sum(n == 0 for n in kept)} times"


def measure(program: Path) -> str:
    chance = random.Random(20_261_128)  # noqa: S311 - the same files each time
    original, ours = Original(program), Ours()
    parts = []
    with tempfile.TemporaryDirectory(prefix="simdrive-damage.") as folder:
        work = Path(folder) / "work"
        work.mkdir()
        lines = []
        for kind, images in KINDS.items():
            theirs, mine = Tally(), Tally()
            for image in images(chance):
                theirs.count(image, *look(original, image, work))
                mine.count(image, *look(ours, image, work))
            print(kind, theirs, mine, file=sys.stderr, flush=True)
            lines.append([kind, str(mine.files), "original", *theirs.cells()])
            lines.append(["", "", "simdrive", *mine.cells()])
        head = ["damage", "files", "engine", "everything lost", "some lost", "wrong bytes", "refused"]
        parts.append(grid(head, lines))
        kills: dict[str, list[int]] = {"original": [], "simdrive": []}
        for _ in range(KILLS):
            kills["original"].append(killed(original, Path(folder) / "killed.bin", chance))
            kills["simdrive"].append(killed(ours, Path(folder) / "killed.bin", chance))
            print(kills, file=sys.stderr, flush=True)
        rows = [
            [
                f"kill -9 inside a write of {LARGE >> 20} MiB, 1000 keys written before, {KILLS} times",
                *(outcome(kept) for kept in kills.values()),
            ],
            ["a text file of 31 000 bytes is opened for writing", foreign(original, work), foreign(ours, work)],
        ]
        parts.append(grid(["", "original", "simdrive"], rows))
    machine = f"{os.cpu_count()} cores, {platform.system()} " + ".".join(platform.release().split(".")[:2])
    parts.append(f"{time.strftime('%Y-%m-%d')}, {machine}, simdrive {simdrive.__version__}.\n")
    return "\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help=f"write {DOCUMENT.name}")
    options = parser.parse_args()
    program = find_interop()
    if program is None:
        parser.error(f"the original engine is missing: {HOW_TO_GET}")
    page = measure(program)
    print(page)
    if options.record:
        DOCUMENT.write_text(f"{INTRODUCTION}\n{page}", encoding="ascii")


if __name__ == "__main__":
    main()
