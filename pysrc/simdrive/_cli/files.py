"""Values from and to files, standard input and standard output; always bytes."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import click

STANDARD = Path("-")
_PIECE = 16 << 20


class Output(click.Path):
    """A file or a folder to write; it need not be there."""

    def __init__(self, *, folder: bool) -> None:
        super().__init__(file_okay=not folder, dir_okay=folder, readable=False, allow_dash=not folder, path_type=Path)
        self._what = "a folder" if folder else "a file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":  # for pathlib it is the folder that one is in
            name = "-o" if param is None or param.param_type_name == "option" else param.human_readable_name
            raise click.UsageError(f"{name} needs the name of {self._what}.", ctx)
        return super().convert(value, param, ctx)


def _open(stream: TextIO | None, name: str) -> TextIO:
    # Python has None for a stream that was closed when the program started.
    if stream is None:
        raise click.ClickException(f"{name} is closed")
    return stream


def read_source(source: Path, *, limit: int | None = None) -> bytes:
    """A file, or standard input for ``-``; no more than one byte past the limit, so that one can tell."""
    with contextlib.ExitStack() as stack:
        if source == STANDARD:
            file: BinaryIO = _open(sys.stdin, "standard input").buffer
        else:
            file = stack.enter_context(source.open("rb"))
        if limit is None:
            return file.read()
        # Python's read(n) takes n bytes of memory at once, however few there are.
        pieces, left = [], limit + 1
        while left and (piece := file.read(min(left, _PIECE))):
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)


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


def resolve(path: Path) -> tuple[Path | None, int | None]:
    """The file behind the links, or None: what has to be written to as it is; and the mode of what is there.

    That is all but regular files. What ``/dev/stdout`` or ``/dev/fd/63`` leads to may have a name that is none, such as
    ``pipe:[123]``.

    Raises:
        OSError: links that go in a circle, a folder that cannot be entered.
    """
    target = Path(os.path.realpath(path))
    try:
        found = path.stat()
    except FileNotFoundError:
        return target, None
    mode = stat.S_IMODE(found.st_mode)
    if not stat.S_ISREG(found.st_mode):
        return None, mode
    try:
        named = os.path.samestat(target.stat(), found)
    except OSError:
        named = False  # it was removed while open
    return target if named else None, mode


def write_file(path: Path, data: bytes) -> None:
    """Make the file hold these bytes, or change nothing.

    They go to a temporary file in the same folder, which then takes the name; it is removed whatever ends this early.
    A link is followed. What is no regular file, such as a device or a pipe, is written to as it is.
    """
    try:
        target, mode = resolve(path)
        if target is None:
            with path.open("wb") as special:
                special.write(data)
        else:
            _replace(target, data, 0o666 & ~_umask() if mode is None else mode)
    except OSError as error:
        # By the name that people gave, not by that of the temporary file.
        raise OSError(error.errno or errno.EIO, error.strerror or str(error), str(path)) from error


def _replace(target: Path, data: bytes, mode: int) -> None:
    temporary = target.with_name(f".simdrive-{os.urandom(8).hex()}.part")
    try:
        # The value is for nobody else until all of it is there: what it replaces may be private.
        number = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        with os.fdopen(number, "wb") as file:
            file.write(data)
        with contextlib.suppress(PermissionError):  # a file system without modes
            temporary.chmod(mode)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0o077)  # there is no other way to ask for it
    os.umask(mask)
    return mask
