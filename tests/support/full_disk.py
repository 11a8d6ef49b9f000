"""Stores on a disk without room: python -m support.full_disk FOLDER, in a mount namespace of its own (Linux).

Mounts a file system of 2 MiB on the folder, lets every kind of call fail on it for want of room, frees some, and goes
on. Ends with a failed assertion, or says `passed`.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import simdrive

SIZE = 2 << 20
Model = dict[bytes, bytes]


def outcome(call: Callable[[], object]) -> str:
    """`done`, or what is known of a call for which there was no room."""
    try:
        call()
    except simdrive.StorageFullError as error:
        return str(error.outcome)
    return "done"


def refused(call: Callable[[], object]) -> None:
    """There must be no room for this, and it must say that it has done nothing."""
    came = outcome(call)
    assert came == "not applied", came


def holds(store: simdrive.Store, model: Model) -> None:
    assert len(store) == len(model)
    assert all(store.read(key) == value for key, value in model.items())


def reopened(path: Path, model: Model) -> None:
    """Nothing is to be repaired, for nothing was torn."""
    with simdrive.Store(path, verify=True) as store:
        assert store.opened.dropped_bytes == 0
        assert store.verify().ok
        holds(store, model)
    assert {item.name for item in path.parent.iterdir()} == {path.name, path.name + ".mark"}


def fill_with_store(store: simdrive.Store, chance: random.Random, model: Model) -> None:
    """Writes of all sizes until one of each kind has been refused."""
    kinds: list[Callable[[bytes, bytes], object]] = [
        store.write,
        lambda key, value: store.write_stream(key, (value[at : at + 9000] for at in range(0, len(value), 9000))),
        lambda key, value: store.batch_write({key: value}),
    ]
    refusals = [0] * len(kinds)
    for number in range(10_000):
        if all(refusals):
            return
        key, value = b"key %d" % number, chance.randbytes(chance.choice([10, 5000, 70_000, 300_000]))
        tail = store.tail
        came = outcome(lambda: kinds[number % len(kinds)](key, value))  # noqa: B023 - called here and now
        if came == "done":
            model[key] = value
            continue
        assert came == "not applied", came
        assert store.tail == tail
        assert not store.read_only
        refusals[number % len(kinds)] += 1
    raise AssertionError("the disk does not get full")


def fill_free_and_go_on(folder: Path, sync: str) -> None:
    path = folder / "store.bin"
    chance = random.Random(sync)
    model: Model = {}
    fill = folder / "fill"
    fill.write_bytes(bytes(SIZE // 4))
    with simdrive.Store(path, sync=sync, sync_interval=0.02) as store:
        fill_with_store(store, chance, model)
        assert path.stat().st_size == store.tail
        # The entries before the one without room are taken back, too.
        refused(lambda: store.batch_write([(b"batch %d" % n, bytes(100_000)) for n in range(30)]))
        refused(store.compact)
        assert path.stat().st_size == store.tail
        holds(store, model)
        fill.unlink()
        for number in range(3):
            key, value = b"freed %d" % number, chance.randbytes(100_000)
            store.write(key, value)
            model[key] = value
        store.flush()
        holds(store, model)
    reopened(path, model)
    # Compaction without room for a second file leaves the first; with room for it, it goes on.
    with simdrive.Store(path, sync=sync, sync_interval=0.02) as store:
        refused(store.compact)
        for key in [key for key, value in model.items() if len(value) > 10]:
            store.delete(key)
            del model[key]
        before = path.stat().st_size
        assert store.compact().after < before
        holds(store, model)
        store.write(b"after", bytes(100_000))
        model[b"after"] = bytes(100_000)
    reopened(path, model)


def fill_with_bytes(path: Path) -> None:
    """To the last one."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


def open_without_room(folder: Path, *, torn: bool, marked: bool) -> None:
    """Of a torn file nothing is cut off that could not be kept; a healthy one opens."""
    path = folder / "store.bin"
    model = {b"key %d" % n: b"value %d" % n * 100 for n in range(50)}
    with simdrive.Store(path) as store:
        store.batch_write(model)
    if not marked:
        path.with_name("store.bin.mark").unlink()
    if torn:
        with path.open("ab") as file:
            file.write(b"cut off " * 1000)
    before = path.read_bytes()
    fill_with_bytes(folder / "fill")
    if torn:
        refused(lambda: simdrive.Store(path))
        assert path.read_bytes() == before
        assert not list(folder.glob("*.cut-*")), "half of what was to be kept"
    else:
        with simdrive.Store(path) as store:
            holds(store, model)
            refused(lambda: store.write(b"large", bytes(9000)))
            holds(store, model)
    with simdrive.Store(path, mode="r") as store:
        holds(store, model)
    folder.joinpath("fill").unlink()
    with simdrive.Store(path, verify=True) as store:
        assert store.verify().ok
        assert (store.opened.dropped_bytes == 8000) == torn
        holds(store, model)
        store.write(b"after", b"value")


def create_without_room(folder: Path) -> None:
    path = folder / "store.bin"
    fill_with_bytes(folder / "fill")
    refused(lambda: simdrive.Store(path))
    folder.joinpath("fill").unlink()
    with simdrive.Store(path) as store:
        store.write(b"after", b"value")
    reopened(path, {b"after": b"value"})


def main(mounted: str) -> None:
    """All of it, each in an empty folder."""
    disk = Path(mounted)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", str(disk)], check=True)
    folder = disk / "folder"
    cases: list[Callable[[], None]] = [
        *(lambda sync=sync: fill_free_and_go_on(folder, sync) for sync in ("none", "batch", "always")),
        *(
            lambda torn=torn, marked=marked: open_without_room(folder, torn=torn, marked=marked)
            for torn in (False, True)
            for marked in (False, True)
        ),
        lambda: create_without_room(folder),
    ]
    for case in cases:
        folder.mkdir()
        case()
        shutil.rmtree(folder)
    print("passed")


if __name__ == "__main__":
    main(sys.argv[1])
