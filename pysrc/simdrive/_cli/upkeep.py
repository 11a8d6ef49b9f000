"""The commands that look after the file of a store: verify, recover, compact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import simdrive

from .failures import DAMAGED
from .files import STANDARD, Output
from .program import command
from .settings import Settings, counted, table
from .target import StoreFile, file_of, has_writer, open_store, path_of


@command("verify")
@click.argument("store", metavar="STORE", type=StoreFile())
def verify(settings: Settings, store: str) -> None:
    """Check every entry of a store's file.

    Reads all of it, deleted and replaced values too, and changes nothing; a program may go on writing to the store.
    Exit code 6 says that something is bad: entries whose checksum is wrong, whose offsets are listed (where the
    metadata of each begins; at most 1000), broken links that hide others, or bytes behind the last entry that belong to
    none, such as the rest of a write that did not end. While a program has the store open for writing, such bytes are a
    write under way.

    \b
    Examples:
      simdrive verify store.bin
      simdrive verify store.bin --json
    """
    settings.attempt = f"verify {store}"
    with open_store(store) as opened, settings.bar() as bar:
        size = opened.file_size()
        report = opened.verify(**bar.arguments())
        unfinished = opened.opened.dropped_bytes
        # A writer at work is no damage: its entry is there in a moment, the file has grown, or the writer waits.
        under_way = bool(unfinished) and (
            opened.file_size() != size or opened.refresh() != report.tail_offset or has_writer(path_of(opened))
        )
        fields: dict[str, Any] = {
            "store": opened.path,
            "ok": report.ok and (not unfinished or under_way),
            "entries": report.entries,
            "file_size": size,
            "tail_offset": report.tail_offset,
            "unfinished_bytes": unfinished,
            "bad_count": report.bad_count,
            "bad": list(report.bad),
        }
    lines = [table({name: value for name, value in fields.items() if name != "bad"})]
    if report.bad_count > len(report.bad):
        lines.append(f"the last {len(report.bad)} of {report.bad_count} bad entries:")
    lines += [f"bad entry at offset {offset}" for offset in report.bad]
    settings.emit("\n".join(lines), fields)
    if not fields["ok"]:
        settings.note(verdict(report, unfinished, incomplete=opened.opened.incomplete))
        click.get_current_context().exit(DAMAGED)


def verdict(report: simdrive.VerifyReport, unfinished: int, *, incomplete: bool = False) -> str:
    """What is bad, and what to do about it."""
    what = []
    if report.bad_count:
        what.append(counted(report.bad_count, "bad entry", "bad entries"))
    if incomplete:
        what.append("entries are missing: links between them are broken, or the file is too short")
    elif not report.ok and not report.bad_count:
        what.append("the chain of entries does not lead to the first one")
    if unfinished:
        what.append(f"{counted(unfinished, 'byte')} behind the last entry that belong to none")
    advice = "`simdrive recover` keeps what is intact"
    if report.ok:
        advice = "opening the store for writing sets them aside if no more than one write did not end"
    return f"{', '.join(what)} ({advice})"


@command("recover")
@click.argument("store", metavar="STORE", type=StoreFile())
def recover(settings: Settings, store: str) -> None:
    """Repair the file of a damaged store.

    Every entry whose checksum is right is kept, wherever it is in the file; the rest is left out. The file as it was
    stays beside the store, under the name that is printed; one that is healthy is not touched. A key whose newest
    value is damaged gets back the one before. No program may have the store open for writing meanwhile; one that ends
    early, as by Ctrl-C, leaves the file as it was.

    \b
    Examples:
      simdrive recover store.bin
      simdrive recover store.bin --json
    """
    settings.attempt = f"recover {store}"
    path = file_of(store)
    with settings.bar() as bar:
        report = simdrive.Store.recover_file(path, **bar.arguments())
    fields: dict[str, Any] = {"store": str(path), "healthy": report.backup_path is None, **report.to_dict()}
    settings.emit(table(fields), fields)


@command("compact")
@click.argument("store", metavar="STORE", type=StoreFile())
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=Output(folder=False),
    help="Write the new store to this file, which must not be there, and leave STORE as it is.",
)
def compact(settings: Settings, store: str, output: Path | None) -> None:
    """Rewrite a store's file without what was replaced and deleted.

    The new file takes the place of the old one when it is complete: whatever ends this early leaves the old one.
    Programs that read the store are not disturbed; none may have it open for writing. With -o the store is only read,
    which is also how one of an older layout becomes one of the present.

    \b
    Examples:
      simdrive compact store.bin
      simdrive compact old.bin -o new.bin
    """
    settings.attempt = f"compact {store}"
    if output == STANDARD:
        raise click.UsageError("a store cannot be written to standard output; give -o the name of a file.")
    with open_store(store, writes=output is None) as opened, settings.bar() as bar:
        result = opened.compact(output, **bar.arguments())
        path = str(opened.path if output is None else output)
    fields = {"store": path, **result.to_dict()}
    settings.emit(table(fields), fields)
