"""Damaged files of stores, and what the original engine and simdrive have left of them."""

from __future__ import annotations

import contextlib
import random
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import simdrive

from . import storage_vectors as sv
from .interop import Interop
from .storage_model import walk

TORN = 40  # stores whose last write was torn


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

    def count(self, image: Image, found: dict[int, bytes], refused: bool) -> None:
        self.files += 1
        kept = sum(found.get(key) == value for key, value in image.due.items())
        self.all_lost += bool(image.due) and kept == 0
        self.some_lost += 0 < kept < len(image.due)
        self.wrong += any(value not in image.written for value in found.values())
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


def look(engine: Original | Ours, image: Image, work: Path) -> tuple[dict[int, bytes], bool]:
    """What an engine has left of the file, in a folder that is emptied; and whether it refused to open it."""
    for left in work.iterdir():
        left.unlink()
    path = work / "damaged.bin"
    path.write_bytes(image.content)
    return engine.values(path)
