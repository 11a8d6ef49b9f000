"""Files and folders that appear when they are complete, or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

import simdrive

if sys.platform != "win32":
    import fcntl

_PART = re.compile(r"\.simdrive-[0-9a-f]{16}\.part")
_PIECE = 8 << 20


def part_name() -> str:
    """A name that is nobody's, for what is not complete yet."""
    return f".simdrive-{os.urandom(8).hex()}.part"


def open_new(path: Path, mode: int) -> Any:
    """A file to write, which was not there before, with these permissions less those that the system masks."""
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    return os.fdopen(number, "wb")


def write_new(path: Path, value: memoryview, mode: int) -> Iterator[int]:
    """Writes a file that was not there before, and yields the bytes of each piece: Ctrl-C counts in between."""
    with open_new(path, mode) as file:
        for start in range(0, len(value), _PIECE):
            piece = value[start : start + _PIECE]
            file.write(piece)
            yield len(piece)


@contextlib.contextmanager
def staged_folder(folder: Path, mode: int) -> Iterator[Path]:
    """A folder inside of `folder`, which is made if needed, for files that will be moved there; gone afterwards.

    A folder that was made goes, too, if the block ends with an exception. Such folders that were left by processes that
    were killed go first.
    """
    made = not folder.exists()
    folder.mkdir(mode=mode, exist_ok=True)
    stage = folder / part_name()
    try:
        for left in folder.iterdir():
            if _PART.fullmatch(left.name) and left.is_dir() and not left.is_symlink():
                with locked(left) as free:
                    if free:
                        shutil.rmtree(left)
        stage.mkdir(mode=0o700)
        with locked(stage):
            yield stage
    except BaseException:
        shutil.rmtree(stage, ignore_errors=True)
        if made:
            with contextlib.suppress(OSError):  # not empty: somebody else put something there
                folder.rmdir()
        raise
    shutil.rmtree(stage)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Whether no other process is at work in a folder; while the block runs, this one is.

    Where folders cannot be locked, it is so if nothing has come into it for a day.
    """
    if sys.platform == "win32":
        yield folder.stat().st_mtime < time.time() - 86400
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # it is locked, or on a file system that has no such locks
            free = False
        else:
            free = True
        yield free
    finally:
        os.close(number)


def check_place(path: Path) -> None:
    """Refuses a path that no store can have, for its name or for what is beside it; nothing is there yet.

    Raises:
        simdrive.ConfigurationError: says what is in the way.
    """
    with contextlib.suppress(simdrive.StoreNotFoundError):
        simdrive.Store(path, create=False).close()


def mark_of(store: Path) -> Path:
    """The file that says how far a store is on the disk."""
    return store.with_name(f"{store.name}.mark")


def place_store(temporary: Path, path: Path) -> None:
    """Gives a new store its name, for which check_place() was asked, and its mark."""
    mark_of(path).unlink(missing_ok=True)  # of a store that was there once
    put_in_place(temporary, path)
    mark_of(temporary).rename(mark_of(path))


def put_in_place(temporary: Path, path: Path) -> None:
    """Gives a file its name, at which there must be nothing.

    Raises:
        click.ClickException: there is something by now.
    """
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise click.ClickException(f"{path} has come into being meanwhile (it was left as it is)") from None
    except OSError:  # a file system without links
        if os.path.lexists(path):
            raise click.ClickException(f"{path} has come into being meanwhile (it was left as it is)") from None
        temporary.rename(path)
    else:
        temporary.unlink()


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """A block that Ctrl-C and other requests to end do not end: short, and half of it would be worse than all."""
    before: dict[int, Any] = {}
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None:
            with contextlib.suppress(ValueError):  # not the main thread, which alone gets them
                before[number] = signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
