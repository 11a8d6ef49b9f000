"""The commands for many keys at once: mget and mput."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from .failures import ABSENT
from .files import Output, write_file
from .keys import file_name, key_of_name, same_file
from .program import command
from .settings import Settings, counted
from .values import refuse, value_fields

# How many values a request of `mget -o` asks for: they are all in memory at once.
_READ_GROUP = 16
# A request of `mput` has no more files than this, however small they are.
_WRITE_GROUP = 4096


@command("mget")
@click.argument("keys", metavar="KEY...", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    type=Output(folder=True),
    help="Write each value to a file of this folder, which is made if needed.",
)
def mget(settings: Settings, keys: tuple[str, ...], output: Path | None) -> None:
    """Read many keys: as JSON, or into a folder.

    Without -o the result is a JSON document on standard output, with the values in base64. With -o each value goes to
    a file named after its key: ASCII letters, digits and the characters . _ - stay as they are, every other byte
    becomes %XX, so that no key reaches outside of the folder ('a/b' is the file 'a%2Fb'). `simdrive mput --percent`
    reads such a folder back. Exit code 1 says that keys were absent (6: from a store that lacks entries, since it is
    damaged); the others are written all the same.

    \b
    Examples:
      simdrive mget greeting photo
      simdrive mget greeting photo -o values
    """
    names = [settings.key(key) for key in keys]
    settings.attempt = f"mget {counted(len(names), 'key')}"
    if output is None:
        with settings.connect() as client, settings.bar() as bar:
            values = client.batch_read(names, **bar.arguments())
        entries = [value_entry(settings, name, value) for name, value in zip(names, values, strict=True)]
        settings.json = True
        settings.emit("", {"entries": entries})
        absent = values.count(None)
    else:
        files = safe_files(settings, names, output)
        entries = list(fetch(settings, names, files))
        absent = sum(not entry["found"] for entry in entries)
        settings.emit("", {"entries": entries})
        settings.note(f"{counted(len(entries) - absent, 'value')} written to {output}")
    if absent:
        settings.check_whole(f"{counted(absent, 'key')} absent from what is left")
        settings.note(f"{counted(absent, 'key')} absent")
        click.get_current_context().exit(ABSENT)


def fetch(settings: Settings, names: list[bytes], files: list[Path]) -> Iterator[dict[str, Any]]:
    """Reads the keys a group at a time, so that not all values are in memory at once, and writes the files."""
    with settings.connect() as client, settings.bar() as bar:
        for start in range(0, len(names), _READ_GROUP):
            group = slice(start, start + _READ_GROUP)
            settings.attempt = f"mget {counted(len(names), 'key')}" + (f" (after {start} of them)" if start else "")
            values = client.batch_read(names[group], **bar.arguments())
            for name, path, value in zip(names[group], files[group], values, strict=True):
                entry: dict[str, Any] = {**settings.fields(name), "found": value is not None}
                if value is not None:
                    path.parent.mkdir(exist_ok=True)
                    write_file(path, value)
                    entry |= {"size": len(value), "file": str(path)}
                yield entry


@command("mput")
@click.argument("directory", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("-r", "--recursive", is_flag=True, help="Take the files of subfolders too, with keys such as 'sub/name'.")
@click.option("--percent", is_flag=True, help="Turn each %XX of a file name back into its byte, as `mget -o` wrote it.")
@click.option("--skip-empty", is_flag=True, help="Leave out files that the store would refuse, instead of stopping.")
@click.option(
    "--batch-bytes",
    metavar="N",
    type=click.IntRange(min=1),
    default=8 << 20,
    show_default=True,
    help="Send requests of about this many bytes; a larger file goes alone.",
)
def mput(
    settings: Settings, directory: Path, recursive: bool, percent: bool, skip_empty: bool, batch_bytes: int
) -> None:
    """Store the files of a folder, with their names as keys.

    Only the files of DIR itself are taken, unless --recursive asks for those of its subfolders; links to files are
    followed, links to folders are not. Nothing is sent if a file cannot be read or would be refused, as empty files
    are. The files go in requests that are each stored as a whole or not at all, so an error may leave the first part
    of them stored; the message says how many.

    \b
    Examples:
      simdrive mput photos
      simdrive mput --recursive --skip-empty site
      simdrive mget greeting a/b -o values && simdrive mput --percent values
    """
    if settings.key_form != "text":
        raise click.UsageError(f"--{settings.key_form} is not for mput: its keys are names of files (see --percent).")
    settings.attempt = f"mput {directory}"
    scan = Scan(recursive=recursive, percent=percent, skip_empty=skip_empty, limit=settings.longest_value)
    scan.folder(directory)
    scan.check()
    total = sum(file.size for file in scan.files)
    stored = batches = 0
    # Connects even for no files, so that a wrong URL does not look like success.
    with settings.connect(writes=True, creates=True) as client, settings.bar() as bar:
        sent = 0
        for batch in batches_of(scan.files, batch_bytes):
            settings.attempt = f"mput {directory} ({stored} of {counted(len(scan.files), 'file')} stored)"
            items = []
            for file in batch:
                value = file.path.read_bytes()
                refuse(value, str(file.path), limit=scan.limit)
                items.append((file.key, value))
            client.batch_write(items, **bar.arguments(before=sent, total=total))
            sent += sum(file.size for file in batch)
            stored += len(batch)
            batches += 1
    settings.attempt = f"mput {directory}"
    fields = {"files": stored, "bytes": total, "batches": batches, "skipped": scan.skipped, "folders": scan.folders}
    settings.emit("", fields)
    settings.note(f"{counted(stored, 'file')} stored, {counted(total, 'byte')} in {counted(batches, 'request')}")
    if scan.skipped:
        settings.note(f"{counted(scan.skipped, 'file')} left out: empty, the single byte 00, or not regular")
    if scan.folders:
        settings.note(f"{counted(scan.folders, 'folder')} left out: --recursive takes all but links")


@dataclass
class Found:
    """A file to store."""

    key: bytes
    path: Path
    size: int


@dataclass
class Scan:
    """The files that `mput` sends, and what it leaves out."""

    recursive: bool
    percent: bool
    skip_empty: bool
    limit: int | None
    files: list[Found] = field(default_factory=list)
    skipped: int = 0
    folders: int = 0

    def folder(self, directory: Path, prefix: bytes = b"") -> None:
        with os.scandir(directory) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            if entry.is_dir():
                if self.recursive and not entry.is_symlink():
                    self.folder(Path(entry.path), prefix + self._key(entry) + b"/")
                else:
                    self.folders += 1
            elif entry.is_file():
                self._file(entry, prefix)
            else:
                self._special(entry)

    def check(self) -> None:
        """Two files never stand for one key silently."""
        seen: dict[bytes, Path] = {}
        for file in self.files:
            other = seen.setdefault(file.key, file.path)
            if other is not file.path:
                raise click.UsageError(f"{other} and {file.path} have the same key.")

    def _special(self, entry: os.DirEntry[str]) -> None:
        try:
            entry.stat()
        except FileNotFoundError:
            raise click.ClickException(f"{entry.path} is a link to nothing (mend it, or remove it)") from None
        self.skipped += 1

    def _file(self, entry: os.DirEntry[str], prefix: bytes) -> None:
        path, size = Path(entry.path), entry.stat().st_size
        # Opened now, so that one unreadable file does not stop a transfer half way.
        with path.open("rb") as file:
            start = file.read(2)
        if self.skip_empty and start in (b"", b"\0"):
            self.skipped += 1
            return
        refuse(start, str(path), advice="or leave such files out with --skip-empty")
        if self.limit is not None and size > self.limit:
            raise click.UsageError(f"{path} has {size} bytes; the longest value is {self.limit}.")
        self.files.append(Found(prefix + self._key(entry), path, size))

    def _key(self, entry: os.DirEntry[str]) -> bytes:
        name = os.fsencode(entry.name)
        if not self.percent:
            return name
        try:
            return key_of_name(name)
        except ValueError as error:
            raise click.UsageError(f"{entry.path}: {error}; leave out --percent, or rename it.") from None


def batches_of(files: list[Found], limit: int) -> Iterator[list[Found]]:
    """The files in lists of at most so many bytes, keys included, but at least one file each."""
    batch: list[Found] = []
    size = 0
    for file in files:
        one = len(file.key) + file.size
        if batch and (size + one > limit or len(batch) == _WRITE_GROUP):
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += one
    if batch:
        yield batch


def value_entry(settings: Settings, name: bytes, value: bytes | None) -> dict[str, Any]:
    found = {**settings.fields(name), "found": value is not None}
    return found if value is None else {**found, **value_fields(value)}


def safe_files(settings: Settings, names: list[bytes], output: Path) -> list[Path]:
    """The file of each key."""
    if not output.absolute().parent.is_dir():
        raise click.ClickException(f"there is no folder {output.parent} for {output.name} (make it, or check the path)")

    def of(name: bytes) -> str:
        try:
            return file_name(name)
        except ValueError as error:
            raise click.ClickException(f"key {settings.show(name)}: {error} (use get -o FILE)") from None

    files = [of(name) for name in names]
    same = same_file(files)
    if same is not None:
        raise click.ClickException(f"this system takes {same} and another key's file for one (use get -o FILE)")
    return [output / name for name in files]
