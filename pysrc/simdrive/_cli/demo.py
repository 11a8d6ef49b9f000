"""The command that shows what simdrive does, with nothing else to start: demo."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

import simdrive

from .failures import Damaged
from .many import Scan
from .program import command
from .settings import Settings, counted
from .staging import check_place, mark_of, part_name, place_store, uninterrupted

_KIB, _MIB = 1 << 10, 1 << 20
# Size and number of what is generated: a second or two in all.
_GENERATED = ((16, 2000), (_KIB, 2000), (64 * _KIB, 200), (_MIB, 40), (16 * _MIB, 4))
_BATCH, _BATCH_SIZE = 1000, 100


@dataclass
class Item:
    """Something to store: what `make` gives, or what a file holds when it is written."""

    key: bytes
    size: int
    make: Callable[[], bytes] | None = None
    path: Path = Path()
    digest: bytes = b""
    _file: os.stat_result | None = None

    def take(self) -> bytes:
        """The value to write, of which a digest is kept: a file may be another one by the time it is compared."""
        value = self._read() if self.make is None else self.make()
        self.digest = digest_of(value)
        return value

    def _read(self) -> bytes:
        try:
            with self.path.open("rb") as file:
                self._file = os.fstat(file.fileno())
                value = file.read()
        except FileNotFoundError:
            raise click.ClickException(
                f"{self.path} was removed while the demo ran (let nothing change the folder meanwhile)"
            ) from None
        if value in (b"", b"\0"):
            raise click.ClickException(
                f"{self.path} changed while the demo ran, and is empty now or the single byte 00, which no store takes "
                "(let nothing change the folder meanwhile)"
            )
        return value

    def changed(self) -> bool:
        """Whether the file is no longer as it was when it was written; as far as its size and times tell."""
        if self._file is None:
            return False
        try:
            now = self.path.stat()
        except OSError:
            return True
        return (now.st_size, now.st_mtime_ns) != (self._file.st_size, self._file.st_mtime_ns)


def digest_of(value: bytes) -> bytes:
    return hashlib.blake2b(value, digest_size=16).digest()


@dataclass
class Figures:
    """What calls of one kind took."""

    name: str
    calls: int = 0
    values: int = 0
    bytes: int = 0
    seconds: list[float] = field(default_factory=list)

    def add(self, seconds: float, size: int, values: int = 1) -> None:
        self.calls += 1
        self.values += values
        self.bytes += size
        self.seconds.append(seconds)

    def to_dict(self) -> dict[str, Any]:
        took = sorted(self.seconds)
        total = sum(took)
        return {
            "what": self.name,
            "calls": self.calls,
            "values": self.values,
            "bytes": self.bytes,
            "seconds": total,
            "calls_per_second": self.calls / total if total else 0.0,
            "bytes_per_second": self.bytes / total if total else 0.0,
            "p50": took[len(took) // 2],
            "p99": took[min(len(took) - 1, len(took) * 99 // 100)],
        }


@command("demo")
@click.argument(
    "directory", metavar="[DIR]", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of what is generated.")
@click.option("--keep", metavar="FILE", type=click.Path(path_type=Path), help="Keep the store, as this file.")
def demo(settings: Settings, directory: Path | None, seed: int, keep: Path | None) -> None:
    """Serve a new store, write to it and read back through a client, and check every byte.

    Everything runs in this command: a store in a temporary folder, a server of it at a free port of this machine, and a
    client. Without DIR the values are random, from 16 bytes to 16 MiB; with it they are its files, those of its
    subfolders too (empty ones are left out). The table at the end says what was moved and how fast. Exit code 6 says
    that a value came back different from what was written, which would be a bug. Files that change meanwhile are named.

    The store of --keep gets its name at the end, when all is well; it must not be there before.

    \b
    Examples:
      simdrive demo
      simdrive demo photos
      simdrive demo --json
    """
    import tempfile

    settings.attempt = "demo"
    if keep is not None:
        if os.path.lexists(keep):
            raise click.UsageError(f"{keep} is there already; give --keep another name, or remove it.")
        if not keep.absolute().parent.is_dir():
            raise click.UsageError(f"there is no folder {keep.parent} for --keep.")
        check_place(keep)
    groups = list(generated(seed)) if directory is None else list(files_of(directory))
    if not groups:
        raise click.UsageError(f"there is no file to store in {directory}.")
    total = 2 * sum(item.size for _, items in groups for item in items)
    figures: list[Figures] = []
    with (
        tempfile.TemporaryDirectory(prefix="simdrive-demo-") as folder,
        kept(keep, Path(folder)) as path,
        simdrive.Store(path) as store,
        simdrive.Server(store) as server,
        simdrive.connect(server.url) as client,
        settings.bar() as bar,
    ):
        settings.note(f"a new store, {keep or path}, served at {server.url}")
        done = 0
        for name, items in groups:
            for written, verb in ((True, "write"), (False, "read")):
                part = Figures(f"{verb} {name}")
                for item in items:
                    part.add(write(client, item) if written else read(client, item), item.size)
                    done += item.size
                    bar.moved(min(done, total), total)
                figures.append(part)
        figures += batches(client, seed)
        stats = server.stats()
        changed = [os.fsdecode(item.key) for _, items in groups for item in items if item.changed()]
        fields = {
            "url": server.url,
            "store": str(keep or path),
            "verified": True,
            "entries": len(client),
            "file_size": client.file_size(),
            "requests": stats.requests,
            "changed": changed,
            "figures": [part.to_dict() for part in figures],
        }
    values = sum(part.values for part in figures if "read " in part.name)
    settings.emit(rows(figures), fields)
    for name in changed:
        settings.note(f"{directory}/{name} changed meanwhile; what was written of it came back")
    settings.note(f"{counted(values, 'value')} written and read back, every byte the same")


@contextlib.contextmanager
def kept(keep: Path | None, folder: Path) -> Iterator[Path]:
    """Where to make the store; it gets the name `keep` afterwards, or goes if the block ends with an exception."""
    if keep is None:
        yield folder / "store.bin"
        return
    path = keep.absolute().with_name(part_name())
    try:
        yield path
        with uninterrupted():
            place_store(path, keep)
    finally:
        path.unlink(missing_ok=True)
        mark_of(path).unlink(missing_ok=True)


def write(client: simdrive.Client, item: Item) -> float:
    value = item.take()
    start = time.perf_counter()
    client.write(item.key, value)
    return time.perf_counter() - start


def read(client: simdrive.Client, item: Item) -> float:
    start = time.perf_counter()
    value = client.read(item.key)
    took = time.perf_counter() - start
    if value is None or digest_of(value) != item.digest:
        raise Damaged(f"the value of {item.key.decode(errors='replace')} came back different from what was written")
    return took


def batches(client: simdrive.Client, seed: int) -> Iterator[Figures]:
    """Many small values in one request."""
    import random

    made = random.Random(seed)  # noqa: S311  # nothing is secret here
    wrote, got = Figures("batch_write 1000 x 100 B"), Figures("batch_read 1000 x 100 B")
    for number in range(20):
        items = {b"batch %d %d" % (number, i): made.randbytes(_BATCH_SIZE) for i in range(_BATCH)}
        start = time.perf_counter()
        client.batch_write(items)
        wrote.add(time.perf_counter() - start, _BATCH * _BATCH_SIZE, _BATCH)
        start = time.perf_counter()
        values = client.batch_read(items)
        got.add(time.perf_counter() - start, _BATCH * _BATCH_SIZE, _BATCH)
        if values != list(items.values()):
            raise Damaged(f"the values of batch {number} came back different")
    yield wrote
    yield got


def generated(seed: int) -> Iterator[tuple[str, list[Item]]]:
    """Random values of several sizes."""
    for size, count in _GENERATED:

        def make(number: int, size: int = size) -> bytes:
            import random

            return random.Random(f"{seed} {size} {number}").randbytes(size)  # noqa: S311

        name = f"{count} x {shown(size)}"
        yield (
            name,
            [
                Item(b"%d bytes, %d" % (size, number), size, lambda number=number, make=make: make(number))  # type: ignore[misc]
                for number in range(count)
            ],
        )


def files_of(directory: Path) -> Iterator[tuple[str, list[Item]]]:
    """The files of a folder, by size."""
    scan = Scan(recursive=True, percent=False, skip_empty=True, limit=1 << 30)
    scan.folder(directory)
    scan.check()
    for least, most in ((0, _KIB), (_KIB, 64 * _KIB), (64 * _KIB, _MIB), (_MIB, 16 * _MIB), (16 * _MIB, 1 << 62)):
        items = [Item(file.key, file.size, path=file.path) for file in scan.files if least < file.size <= most]
        if items:
            upper = f"up to {shown(most)}" if most < 1 << 62 else f"above {shown(least)}"
            yield f"{counted(len(items), 'file')} {upper}", items


def shown(size: int) -> str:
    """Such as 64 KiB."""
    for unit, name in ((_MIB, "MiB"), (_KIB, "KiB")):
        if size >= unit and size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size} B"


def seconds(value: float) -> str:
    """Three digits with the unit that fits."""
    for unit, name in ((1.0, "s"), (1e-3, "ms")):
        if value >= unit:
            return f"{value / unit:.3g} {name}"
    return f"{value * 1e6:.3g} us"


def rows(figures: list[Figures]) -> str:
    """The table of throughput and latency."""
    lines = [["", "calls/s", "MB/s", "p50", "p99"]]
    for part in figures:
        d = part.to_dict()
        lines.append(
            [
                part.name,
                f"{d['calls_per_second']:,.0f}",
                f"{d['bytes_per_second'] / 1e6:,.1f}",
                seconds(d["p50"]),
                seconds(d["p99"]),
            ]
        )
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        line[0].ljust(widths[0]) + "".join("  " + cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True))
        for line in lines
    )
