"""The commands that take a store apart into files, and make one of them: export and import."""

from __future__ import annotations

import contextlib
import os
from array import array
from collections.abc import Iterator
from pathlib import Path

import click

import simdrive
from simdrive.hashing import crc32

from .failures import Damaged
from .files import Output, read_pieces
from .manifest import NAME, Item, ManifestWriter, file_name, read_manifest
from .program import command
from .progress import Bar
from .settings import Settings, counted
from .staging import check_place, mark_of, part_name, place_store, staged_folder, uninterrupted, write_new
from .target import StoreFile, damaged_place, file_of, open_store, path_of
from .values import refuse

# What a batch of an import holds in memory, but for a larger value, which goes alone.
_BATCH_BYTES = 8 << 20
_BATCH_ENTRIES = 4096


@command("export")
@click.argument("store", metavar="STORE", type=StoreFile())
@click.argument("directory", metavar="DIR", type=Output(folder=True))
@click.option("--force", is_flag=True, help="Take a folder that is not empty: an export in it is replaced.")
def export(settings: Settings, store: str, directory: Path, force: bool) -> None:
    """Write the values of a store to files of a folder.

    Each value goes to a file named after the hash of its key, in 16 hexadecimal digits, such as 2d06800538d394c2.bin:
    a store has no other names for them (`simdrive hash KEY` tells the one of a key). The file manifest.json lists
    them, oldest first, with sizes and checksums; `simdrive import` makes a store of it again.

    DIR is made if needed. The files appear there when all of them are complete, or not at all; the manifest is the
    last. With --force the files of an earlier export go, all others stay. Nothing is exported of a store with a value
    that is damaged, or that lacks entries (exit code 6): see `simdrive recover`.

    \b
    Examples:
      simdrive export store.bin values
      simdrive export store.bin values --force
    """
    settings.attempt = f"export {store}"
    with open_store(store) as opened:
        path = path_of(opened)
        if opened.opened.incomplete:
            what = f"the store is damaged{damaged_place(opened)}, and entries are missing"
            raise Damaged(f"{what} (`simdrive recover` keeps what is intact)")
        check_folder(directory, path, force=force)
        # Others than the owner may read the files only if they may read the store.
        mode = path.stat().st_mode & 0o666
        with staged_folder(directory, mode | (mode & 0o444) >> 2) as stage, settings.bar() as bar:
            entries, size = write_files(opened, stage, mode, bar)
            with uninterrupted():
                move_files(stage, directory)
    fields = {"store": str(path), "folder": str(directory), "entries": entries, "bytes": size}
    settings.emit("", fields)
    settings.note(f"{counted(entries, 'value')} written to {directory}, {counted(size, 'byte')}")


def check_folder(directory: Path, store: Path, *, force: bool) -> None:
    """Refuses a folder that is in use for something else."""
    if not directory.exists():
        if not directory.absolute().parent.is_dir():
            where = directory.absolute().parent
            raise click.ClickException(f"there is no folder {where} for {directory.name} (make it, or check the path)")
        return
    if directory.samefile(store.parent):
        raise click.UsageError(f"{directory} is the folder of the store itself; give another one.")
    if not force and any(directory.iterdir()):
        raise click.UsageError(f"{directory} is not empty; give another folder, or --force to replace an export in it.")


def write_files(store: simdrive.Store, stage: Path, mode: int, bar: Bar) -> tuple[int, int]:
    """All values and the manifest, and how many values and bytes these are."""
    # Only hashes are held, not entries; the view of a store that is open for reading does not change meanwhile.
    hashes = array("Q")
    total = done = 0
    for live in store.iter_entries():
        hashes.append(live.key_hash)
        total += len(live)
    hashes.reverse()
    with ManifestWriter(stage / NAME, mode) as manifest:
        for key_hash in hashes:
            entry = store.read_entry(simdrive.KeyHash(key_hash))
            if entry is None or not entry.is_valid_checksum():
                what = "is gone" if entry is None else f"at offset {entry.offset_range[0]} is damaged"
                raise Damaged(f"the value of hash {key_hash:016x} {what} (`simdrive recover` drops what is damaged)")
            for written in write_new(stage / file_name(key_hash), memoryview(entry), mode):
                done += written
                bar.moved(done, total)
            manifest.add(Item(key_hash, len(entry), entry.checksum))
    return len(hashes), total


def move_files(stage: Path, directory: Path) -> None:
    """Puts the new files in the place of the old ones: a folder with a manifest always has what that lists."""
    old: set[str] = set()
    if (directory / NAME).exists():
        with contextlib.suppress(click.ClickException):  # of something else, or of a later version
            old = {item.file_name for item in read_manifest(directory)}
        (directory / NAME).unlink()
    for file in stage.iterdir():
        if file.name != NAME:
            file.replace(directory / file.name)
            old.discard(file.name)
    for name in old:
        (directory / name).unlink(missing_ok=True)
    (stage / NAME).replace(directory / NAME)


@command("import")
@click.argument("directory", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("store", metavar="STORE", type=StoreFile())
@click.option("--append", is_flag=True, help="Add to a store that is there; a value of the same key is replaced.")
def import_(settings: Settings, directory: Path, store: str, append: bool) -> None:
    """Make a store of a folder that export has written.

    The values are stored in the order of the manifest, so that an export of a compacted store gives an equal file.
    Sizes and checksums are compared (exit code 6 if they differ); files that the manifest does not list are ignored.
    For files with keys as their names, see `simdrive mput`.

    STORE must not be there; it appears when it is complete, or not at all. With --append the values go to one that is
    there, a few megabytes at a time: an error leaves the first part of them stored, and says how many.

    \b
    Examples:
      simdrive import values copy.bin
      simdrive import values store.bin --append
    """
    settings.attempt = f"import {directory}"
    items = read_manifest(directory)
    check_files(items, directory)
    if append:
        with open_store(store, writes=True) as opened, settings.bar() as bar:
            size = copy_into(opened, items, directory, bar, settings)
            path = path_of(opened)
    else:
        path = file_of(store)
        check_new(path)
        temporary = path.with_name(part_name())
        try:
            with simdrive.Store(temporary) as opened, settings.bar() as bar:
                size = copy_into(opened, items, directory, bar)
            with uninterrupted():
                place_store(temporary, path)
        finally:
            for left in (temporary, mark_of(temporary)):
                left.unlink(missing_ok=True)
    settings.emit("", {"store": str(path), "folder": str(directory), "entries": len(items), "bytes": size})
    settings.note(f"{counted(len(items), 'value')} stored in {path}, {counted(size, 'byte')}")


def check_files(items: list[Item], directory: Path) -> None:
    """Fails before anything is stored if a file is missing or has another size."""
    for item in items:
        path = directory / item.file_name
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            raise Damaged(f"there is no {path}, which the manifest lists (export the store again)") from None
        if size != item.size:
            raise Damaged(f"{path} has {counted(size, 'byte')}, the manifest says {item.size} (export the store again)")


def check_new(path: Path) -> None:
    """Refuses a path at which no new store can be made."""
    if os.path.lexists(path):
        raise click.UsageError(f"{path} is there already; give another name, or --append to add to that store.")
    if not path.parent.is_dir():
        raise click.ClickException(f"there is no folder {path.parent} for {path.name} (make it, or check the path)")
    check_place(path)


def copy_into(
    store: simdrive.Store, items: list[Item], directory: Path, bar: Bar, settings: Settings | None = None
) -> int:
    """Stores the values in their order, and returns their bytes; errors say how many were stored if `settings` do."""
    total = sum(item.size for item in items)
    attempt = "" if settings is None else settings.attempt
    stored = done = 0
    for batch in batches_of(items):
        if settings is not None:
            settings.attempt = f"{attempt} ({stored} of {counted(len(items), 'value')} stored)"
        first = batch[0]
        if first.size > _BATCH_BYTES:
            store.write_stream(simdrive.KeyHash(first.key_hash), checked_pieces(first, directory, bar, done, total))
        else:
            store.batch_write(
                [(simdrive.KeyHash(item.key_hash), b"".join(checked_pieces(item, directory))) for item in batch]
            )
        stored += len(batch)
        done += sum(item.size for item in batch)
        bar.moved(done, total)
    if settings is not None:
        settings.attempt = attempt
    return total


def batches_of(items: list[Item]) -> Iterator[list[Item]]:
    """The values that are stored at once; one above the limit is alone."""
    batch: list[Item] = []
    size = 0
    for item in items:
        if batch and (size + item.size > _BATCH_BYTES or len(batch) == _BATCH_ENTRIES):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += item.size
    if batch:
        yield batch


def checked_pieces(
    item: Item, directory: Path, bar: Bar | None = None, before: int = 0, total: int = 0
) -> Iterator[bytes]:
    """The value in pieces. If it is not the one of the manifest, that is said instead of an end."""
    path = directory / item.file_name
    checksum = size = 0
    for piece in read_pieces(path):
        checksum = crc32(piece, checksum)
        size += len(piece)
        if piece == b"\0" and item.size == 1:
            refuse(piece, str(path))
        yield piece
        if bar is not None:
            bar.moved(before + size, total)
    if (size, checksum) != (item.size, item.checksum):
        raise Damaged(f"{path} is not what was exported: its checksum is wrong (export the store again)")
