"""What --url names: a server, or the file of a store."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import click

import simdrive
from simdrive.store_url import parse_target

# A single letter is a drive of Windows. What has a colon in its first part is no path: it may be a host without ws://,
# or a password, and must not become the name of a file. A path that has one starts with ./ or a folder.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_HOST_AND_PORT = re.compile(r"[^/\\]*:[0-9]+(/.*)?$", re.DOTALL)


def names_store(text: str) -> bool:
    """Whether this names a store's file, as a ``file:`` URL or as a path, rather than a server.

    Raises:
        click.UsageError: it names a store in memory, which would end with the command.
    """
    scheme = text[: text.find(":")].lower() if _SCHEME.match(text) else ""
    if scheme == "memory":
        raise click.UsageError(f"{text} is a store in memory, which would be gone with this command; name a file.")
    if scheme:
        return scheme == "file"
    return bool(text) and not _HOST_AND_PORT.match(text)


def open_store(text: str, *, writes: bool = False, creates: bool = False, verify: bool = False) -> simdrive.Store:
    """Opens the store that a path or a ``file:`` URL names.

    Args:
        text: the path or the URL. Its options hold where this does not say otherwise.
        writes: for appending, which locks the file; else for reading, which neither locks nor changes anything.
        creates: a store that is not there is made.
        verify: values are checked when they are read, so that none is shown that is damaged.
    """
    options: dict[str, Any] = {} if writes else {"mode": "r"}
    if verify:
        options["verify"] = True
    if writes and not creates:
        options["create"] = False
    store = simdrive.open_store(text, **options)
    if not isinstance(store, simdrive.Store):
        store.close()
        raise click.UsageError(f"{text} is no file of a store.")
    return store


def damaged_place(store: simdrive.Store) -> str:
    """Where the file is damaged, for a message."""
    offset = store.opened.damaged_offset
    return "" if offset is None else f" at offset {offset}"


class Target(click.Path):
    """What --url takes; shells complete it as the name of a file."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ARG002
        return value


class StoreFile(click.Path):
    """An argument that names the file of a store."""

    name = "store"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not value:
            self.fail("the name of the store is empty.", param, ctx)
        if not names_store(value):
            self.fail(f"{value!r} is no file of a store; for a path with a colon, begin with ./", param, ctx)
        return value


def path_of(store: simdrive.Store) -> Path:
    """Where the file of an open store is."""
    return Path(str(store.path))


def has_writer(path: Path) -> bool:
    """Whether a program has the file of a store open for writing, and has locked it; where that can be told."""
    if sys.platform == "win32":
        return False
    import fcntl  # only here: other systems have none

    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # ends with the file
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def file_of(text: str) -> Path:
    """The absolute path of the file that a path or a ``file:`` URL names, for what opens it in a way of its own.

    Raises:
        click.UsageError: the URL has options.
        ConfigurationError: there is no path in it.
    """
    _, path, options = parse_target(text)
    if options:
        raise click.UsageError(f"{text} has options, which this command does not take: {', '.join(options)}.")
    return Path(path).absolute()
