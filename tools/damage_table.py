#!/usr/bin/env python3
"""Damages files of stores, kills their writers, and shows what the original engine and simdrive have left. Linux.

    python tools/damage_table.py                 prints the table
    python tools/damage_table.py --record        writes docs/damaged_files.md, too

Needs tools/install_interop.sh (the original engine as a program; needs cargo) and about 1 GB in the temporary folder.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import random
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import simdrive  # noqa: E402
from support import storage_vectors as sv  # noqa: E402
from support.interop import HOW_TO_GET, Interop, find_interop  # noqa: E402
from support.storage_model import walk  # noqa: E402

DOCUMENT = ROOT / "docs" / "damaged_files.md"
TORN = 40  # stores whose last write was torn
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


@dataclass
class Image:
    """A damaged file, and the values that are whole in it, by hash of the key."""

    content: bytes
    due: dict[int, bytes]
    written: frozenset[bytes]


@dataclass
class Tally:
    """What an engine made of all files of one kind."""

    files: int = 0
    all_lost: int = 0
    some_lost: int = 0
    wrong: int = 0
    refused: int = 0

    def count(self, due: dict[int, bytes], found: dict[int, bytes], written: Iterable[bytes], *, refused: bool) -> None:
        self.files += 1
        kept = sum(found.get(key) == value for key, value in due.items())
        self.all_lost += bool(due) and kept == 0
        self.some_lost += 0 < kept < len(due)
        good = set(written)
        self.wrong += any(value not in good for value in found.values())
        self.refused += refused

    def cells(self) -> list[str]:
        return [str(self.all_lost), str(self.some_lost), str(self.wrong), str(self.refused)]


class Original:
    """The engine, in a process of its own each time."""

    def __init__(self, program: Path) -> None:
        self._program = program
        self._calls = Interop(program)

    def values(self, path: Path) -> tuple[dict[int, bytes], bool]:
        found = {}
        for entry in self._calls.dump(path)["opened"]["entries"]:
            # What it gives to a caller: it checks nothing when it reads. Longer ones, which nobody wrote, have no hex.
            found[int(entry["h"], 16)] = bytes.fromhex(entry.get("hex", entry["sha256"]))
        return found, False

    def count(self, path: Path, size: int) -> int:
        return sum(entry["len"] == size for entry in self._calls.dump(path)["opened"]["entries"])

    def writer(self) -> list[str]:
        return [str(self._program), "bench"]


class Ours:
    def values(self, path: Path) -> tuple[dict[int, bytes], bool]:
        refused = False
        try:
            store = simdrive.Store(path, verify=True)
        except (simdrive.StoreCorruptError, simdrive.StoreFormatError):
            refused = True
            try:
                simdrive.Store.recover_file(path)
            except simdrive.StoreError:
                return {}, refused
            store = simdrive.Store(path, verify=True)
        with store:
            found: dict[int, bytes] = {}
            for entry in newest(store):
                found[int(entry.key_hash)] = bytes(entry)
        return found, refused

    def count(self, path: Path, size: int) -> int:
        with simdrive.Store(path, verify=True) as store:
            return sum(len(entry) == size for entry in newest(store))


def newest(store: simdrive.Store) -> Iterator[simdrive.Entry]:
    """Live entries that are intact; a damaged one raises, and the next call goes on behind it."""
    entries = store.iter_entries()
    while True:
        with contextlib.suppress(simdrive.StoreCorruptError):
            entry = next(entries, None)
            if entry is None:
                return
            yield entry


# ---- kinds of damage ------------------------------------------------------------------------------------------------


def due_of(content: bytes, base: bytes, kept: int) -> dict[int, bytes]:
    """Of the records that end within `kept` bytes the newest of each key, where it is unchanged and no tombstone."""
    records = sorted(walk(base) or [], key=lambda record: record.tail)
    newest_of = {record.key_hash: record for record in records if record.tail <= kept}
    return {
        key: record.payload
        for key, record in newest_of.items()
        if not record.is_tombstone and content[record.start : record.tail] == base[record.start : record.tail]
    }


def base_store() -> tuple[bytes, frozenset[bytes]]:
    """The file that the vectors damage, and every value that was ever written to it."""
    base = sv.files("damage_base")["main.bin"]
    return base, frozenset(record.payload for record in walk(base) or [])


def vector_images(table: str) -> Iterator[Image]:
    base, written = base_store()
    for line in sv.lines(f"{table}.damage.jsonl"):
        content = sv.damaged(base, line)
        yield Image(content, due_of(content, base, line.get("cut", len(base))), written)


def torn_images(chance: random.Random) -> Iterator[Image]:
    """Stores of ten to thirty values of random sizes; a last, larger one was written in part."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(TORN):
            path = Path(folder) / f"{number}.bin"
            due = {}
            with simdrive.Store(path) as store:
                for key in range(chance.randrange(10, 30)):
                    name, value = b"key %d" % key, chance.randbytes(chance.randrange(1, 64))
                    store.write(name, value)
                    due[simdrive.hashing.xxh3_64(name)] = value
                tail = store.tail
                store.write(b"the last", chance.randbytes(chance.randrange(2000, 100_000)))
                end = store.tail
            content = path.read_bytes()[: chance.randrange(tail + 1, end)]
            yield Image(content, due, frozenset(due.values()))


def zero_images() -> Iterator[Image]:
    """Bytes of zero behind a healthy store, as an interrupted extension of the file leaves them."""
    base, written = base_store()
    for zeros in [*range(1, 129), 512, 4096, 8192]:
        yield Image(base + bytes(zeros), due_of(base, base, len(base)), written)


KINDS: dict[str, Callable[[random.Random], Iterator[Image]]] = {
    "a store of 574 bytes, cut at every offset": lambda _: vector_images("truncate_all"),
    "the same, a bit of each byte flipped": lambda _: vector_images("bitflip"),
    "the same, cut, and 40 random bytes behind it": lambda _: vector_images("torn_batch"),
    "the same, whole, and random bytes behind it": lambda _: vector_images("garbage_tail"),
    "the same, whole, and zero bytes behind it": lambda _: zero_images(),
    f"{TORN} stores of 10 to 30 values whose last write was torn": torn_images,
}


def tallies(chance: random.Random, original: Original, ours: Ours, work: Path) -> Iterator[tuple[str, Tally, Tally]]:
    for kind, images in KINDS.items():
        found = (Tally(), Tally())
        engines: tuple[Original | Ours, ...] = (original, ours)
        for image in images(chance):
            for tally, engine in zip(found, engines, strict=True):
                path = work / "damaged.bin"
                for left in work.iterdir():
                    left.unlink()
                path.write_bytes(image.content)
                values, refused = engine.values(path)
                tally.count(image.due, values, image.written, refused=refused)
        yield kind, *found


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
        for kind, theirs, mine in tallies(chance, original, ours, work):
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
