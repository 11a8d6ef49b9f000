"""What the store benchmark measures: one function a section, called once a round."""

from __future__ import annotations

import mmap
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from processes import Helper, PeerError
from sections import Results
from store_peers import ASK_LIMIT_S, PEERS, Bases, Programs

KIB, MIB = 1 << 10, 1 << 20
# payload bytes: (single writes a slice, items of a batch, batches a slice)
SIZES = {
    16: (2000, 1000, 10),
    KIB: (2000, 1000, 5),
    64 * KIB: (200, 100, 3),
    MIB: (32, 16, 2),
    16 * MIB: (5, 4, 1),
    64 * MIB: (3, 2, 1),
}
HOT_ENTRIES, HOT_SIZE = 20_000, 16
RANDOM_ENTRIES, RANDOM_SIZE = 1_000_000, 100
MEMORY_ENTRIES, SMALL = 10_000_000, 8
COMPACT_ENTRIES = 200_000
WINDOWS, CALLS = 100, 1000
LARGE = 4 * MIB  # commands that write more spend most of their time on new memory


def size_name(size: int) -> str:
    for unit, scale in (("MiB", MIB), ("KiB", KIB)):
        if size >= scale:
            return f"{size // scale} {unit}"
    return f"{size} B"


def refresh_memory(folder: Path, size: int) -> None:
    """Has the system touch and free so many bytes of memory, once as a process's and once as a file's.

    In a virtual machine the first touch of a page may cost ten times as much as writing it does, for the host has to
    find it. Who comes after another would then find what that one has paid for.
    """
    with mmap.mmap(-1, size) as pages:
        for at in range(0, size, mmap.PAGESIZE):
            pages[at] = 1
    path, piece = folder / "touched", bytes(MIB)
    try:
        with path.open("wb", buffering=0) as file:
            for _ in range(-(-size // MIB)):
                file.write(piece)
    finally:
        path.unlink(missing_ok=True)


class Turns:
    """One section of one round: its peers, in this round's order, each a process that ends with the section."""

    def __init__(self, section: str, rnd: int, wanted: Sequence[str], programs: Programs, bases: Bases,
                 results: Results, folder: Path, core: str, clock: str, quick: bool) -> None:  # fmt: skip
        self.section, self.rnd, self.results, self.clock = section, rnd, results, clock
        self.programs, self.bases, self.folder, self.core, self.quick = programs, bases, folder, core, quick
        names = [name for name in wanted if section in PEERS[name].sections]
        self.names = names if rnd % 2 == 0 else names[::-1]
        self._helpers: dict[str, Helper] = {}

    def each(self, action: Callable[[str], None]) -> None:
        """Lets each peer do one thing. One that fails is reported, and leaves the section for the whole run."""
        for name in self.names:
            if name in self.results.failures.get(self.section, {}):
                continue
            try:
                action(name)
            except (PeerError, OSError, ValueError, KeyError) as error:
                self.results.fail(self.section, name, self.rnd, str(error) or type(error).__name__)
                self._stop(name)

    def ask(self, name: str, command: str) -> dict[str, Any]:
        if name not in self._helpers:
            self._helpers[name] = self.programs.start(name, self.folder / f"{self.section}.{name}.log", self.core)
        return self._helpers[name].ask(command, ASK_LIMIT_S)

    def measure(self, name: str, metric: str, command: str, needs: int = 0) -> None:
        """`needs`: bytes that the command writes; the memory for many is made equally fresh for every peer."""
        if needs >= LARGE:
            refresh_memory(self.folder, 2 * needs)  # what is written, and what the process makes it from
        answer = self.ask(name, command)
        fields = {"wall_ns": statistics.median(answer["ns"]), "least_wall_ns": min(answer["ns"])}
        if "cpu" in answer:
            fields["cpu_ns"] = statistics.median(answer["cpu"])
        self.add(name, metric, {"ns": fields.get(f"{self.clock}_ns", fields["wall_ns"]), **fields})

    def add(self, name: str, metric: str, fields: dict[str, float]) -> None:
        self.results.add(self.section, metric, name, self.rnd, fields)

    def base(self, name: str, what: str, *fills: str, by: str = "") -> Path:
        return self.bases.get(PEERS[name].family, what, fills, by)

    def fresh(self, name: str) -> Path:
        """Where a peer may write a file of its own."""
        return self.folder / f"{name}.own"

    def forget(self, name: str) -> None:
        """Removes what a peer wrote, before the system gets to write it to the disk."""
        self.ask(name, "close")
        for path in self.folder.glob(f"{name}.own*"):
            path.unlink()

    def _stop(self, name: str) -> None:
        if helper := self._helpers.pop(name, None):
            helper.stop()

    def close(self) -> None:
        for name in list(self._helpers):
            self._stop(name)
        for path in self.folder.glob("*.own*"):
            path.unlink(missing_ok=True)


def sizes(turns: Turns) -> Mapping[int, tuple[int, int, int]]:
    return {size: counts for size, counts in SIZES.items() if size <= MIB} if turns.quick else SIZES


def write(turns: Turns) -> None:
    for size, (count, _, _) in sizes(turns).items():

        def one(name: str, size: int = size, count: int = count) -> None:
            turns.ask(name, f"create {turns.fresh(name)}")
            turns.measure(name, size_name(size), f"write {size} {count}", needs=size * (count + count // 10 + 1))
            turns.forget(name)

        turns.each(one)


def batch(turns: Turns) -> None:
    for size, (_, items, count) in sizes(turns).items():

        def one(name: str, size: int = size, items: int = items, count: int = count) -> None:
            turns.ask(name, f"create {turns.fresh(name)}")
            needs = size * items * (count + 1)
            turns.measure(name, f"{items} x {size_name(size)}", f"batch {size} {items} {count}", needs)
            turns.forget(name)

        turns.each(one)


def _look_up(turns: Turns, entries: int, size: int, metrics: Sequence[str]) -> None:
    def one(name: str) -> None:
        path = turns.base(name, f"{entries}x{size}", f"fill 0 {entries} {size}")
        turns.ask(name, f"open {path} 1")
        turns.ask(name, "scan 1")  # every page of the mapping has been touched
        for metric in metrics:
            turns.measure(name, metric, f"{metric} {entries} {WINDOWS} {CALLS}")
        turns.ask(name, "close")

    turns.each(one)


def hot(turns: Turns) -> None:
    _look_up(turns, HOT_ENTRIES, HOT_SIZE, ("read", "exists", "absent"))


def random(turns: Turns) -> None:
    _look_up(turns, RANDOM_ENTRIES // (10 if turns.quick else 1), RANDOM_SIZE, ("read", "exists", "absent"))


def scan(turns: Turns) -> None:
    entries = RANDOM_ENTRIES // (10 if turns.quick else 1)

    def one(name: str) -> None:
        path = turns.base(name, f"{entries}x{RANDOM_SIZE}", f"fill 0 {entries} {RANDOM_SIZE}")
        turns.ask(name, f"open {path} 1")
        turns.measure(name, "per entry", "scan 3")
        turns.ask(name, "close")

    turns.each(one)


def open_(turns: Turns) -> None:
    for power in range(3, 6 if turns.quick else 8):
        entries = 10**power

        def one(name: str, own: bool = False, entries: int = entries, power: int = power) -> None:
            # The original has written the common ones.
            by = name if own and name != "original" else ""
            path = turns.base(name, f"{entries}x{SMALL}", f"fill 0 {entries} {SMALL}", by=by)
            turns.ask(name, f"open {path} 1")  # the file is in the page cache
            metric = f"1e{power} entries" + (", own file" if own else "")
            turns.measure(name, metric, f"open {path} {5 if power < 6 else 2 if power < 7 else 1}")
            turns.ask(name, "close")

        def its_own(name: str, one: Callable[[str, bool], None] = one) -> None:
            if name in ("simdrive", "original"):
                one(name, True)

        turns.each(one)
        # A file that ours has closed has a mark beside it, which says how far checksums need no look.
        turns.each(its_own)


def memory(turns: Turns) -> None:
    entries = MEMORY_ENTRIES // (100 if turns.quick else 1)

    def one(name: str) -> None:
        path = turns.base(name, f"{entries}x{SMALL}", f"fill 0 {entries} {SMALL}")
        before = turns.ask(name, "memory")["anon"]  # of a process that has done nothing yet
        turns.ask(name, f"open {path} 1")
        after = turns.ask(name, "memory")["anon"]
        turns.ask(name, "close")
        turns.add(name, f"1e{len(str(entries)) - 1} keys", {"bytes": (after - before) / entries})

    turns.each(one)


def compact(turns: Turns) -> None:
    entries = COMPACT_ENTRIES // (10 if turns.quick else 1)

    def one(name: str) -> None:
        turns.ask(name, f"create {turns.fresh(name)}")
        for count in (entries, entries // 2):  # half of the entries are written twice
            turns.ask(name, f"fill 0 {count} {RANDOM_SIZE}")
        turns.measure(name, "per entry", "compact")
        turns.forget(name)

    turns.each(one)


SECTIONS: Mapping[str, Callable[[Turns], None]] = {
    "write": write, "batch": batch, "hot": hot, "random": random, "scan": scan, "open": open_, "memory": memory,
    "compact": compact,
}  # fmt: skip


def run_section(section: str, turns: Turns) -> None:
    try:
        SECTIONS[section](turns)
    finally:
        turns.close()
