"""Values from and to files, standard input and standard output; always bytes."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

STANDARD = Path("-")


def _open(stream: TextIO | None, name: str) -> TextIO:
    # Python has None for a stream that was closed when the program started.
    if stream is None:
        raise OSError(errno.EBADF, "it is closed", name)
    return stream


def read_source(source: Path, *, limit: int | None = None) -> bytes:
    """A file, or standard input for ``-``; no more than one byte past the limit, so that one can tell."""
    size = -1 if limit is None else limit + 1
    if source == STANDARD:
        return _open(sys.stdin, "standard input").buffer.read(size)
    with source.open("rb") as file:
        return file.read(size)


def read_pieces(source: Path, *, size: int = 1 << 20) -> Iterator[bytes]:
    """The same in pieces."""
    if source == STANDARD:
        standard = _open(sys.stdin, "standard input").buffer
        while piece := standard.read(size):
            yield piece
        return
    with source.open("rb") as file:
        while piece := file.read(size):
            yield piece


def write_output(data: bytes) -> None:
    """Write to standard output, all of it before this returns."""
    output = _open(sys.stdout, "standard output").buffer
    output.write(data)
    output.flush()


def write_file(path: Path, data: bytes) -> None:
    """Make the file hold these bytes, or change nothing.

    They go to a temporary file in the same folder, which then takes the name; it is removed whatever ends this early.
    A link is followed. What is no regular file, such as a device, is written to as it is.
    """
    target = Path(os.path.realpath(path))
    exists = target.exists()
    if exists and not target.is_file():
        with target.open("wb") as special:
            special.write(data)
        return
    temporary = target.with_name(f".simdrive-{os.urandom(8).hex()}.part")
    try:
        with temporary.open("xb") as file:
            file.write(data)
        if exists:
            shutil.copymode(target, temporary)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
