"""The commands that describe a server or a store."""

from __future__ import annotations

import statistics
from typing import Any

import click

import simdrive

from .files import write_output
from .program import command
from .settings import Settings, table
from .target import StoreFile


@command("len")
def length(settings: Settings) -> None:
    """Print how many keys the store has.

    \b
    Examples:
      simdrive len
      simdrive len --json
    """
    with settings.connect() as client:
        entries = len(client)
        settings.emit(str(entries), {"entries": entries})
        settings.check_whole("there may be more keys")


@command("size")
def size(settings: Settings) -> None:
    """Print the size of the store's file in bytes.

    The file only grows: replaced and deleted values stay in it until it is compacted.

    \b
    Examples:
      simdrive size
      simdrive size --json
    """
    with settings.connect() as client:
        file_size = client.file_size()
    settings.emit(str(file_size), {"file_size": file_size})


@command("info")
@click.argument("store", metavar="[STORE]", type=StoreFile(), required=False)
def info(settings: Settings, store: str | None) -> None:
    """Describe a server, or the file of a store.

    Without STORE it is what --url or SIMDRIVE_URL names. Existing servers do not say everything: what is unknown is
    shown as a dash, in JSON as null. Of a store's file are told: to what multiple its values are aligned (64 bytes;
    16 or 1 in the older layouts), what compacting would save at most, and whether opening it found damage; it is
    incomplete if entries are known to be missing.

    \b
    Examples:
      simdrive info
      simdrive info --json
      simdrive info store.bin
    """
    if store is not None:
        settings.url = store
    with settings.connect() as client:
        fields = store_fields(client) if isinstance(client, simdrive.Store) else server_fields(client)
    settings.emit(table(fields), fields)


def server_fields(client: simdrive.Client) -> dict[str, Any]:
    server = client.server_info()
    return {
        "url": client.options.url,
        "version": server.version,
        "dialect": server.dialect,
        "extensions": sorted(server.extensions),
        "max_message": server.max_message,
        "backend": server.backend,
        "entries": len(client),
        "file_size": client.file_size(),
        "client_version": simdrive.__version__,
    }


def store_fields(store: simdrive.Store) -> dict[str, Any]:
    found = store.opened
    return {
        "store": store.path,
        "alignment": found.alignment,
        "entries": len(store),
        "file_size": store.file_size(),
        "compaction_savings": store.estimate_compaction_savings(),
        "unfinished_bytes": found.dropped_bytes,
        "damaged": found.damaged,
        "damaged_offset": found.damaged_offset,
        "incomplete": found.incomplete,
        "client_version": simdrive.__version__,
    }


@command("ping")
@click.option("-n", "--count", metavar="COUNT", type=click.IntRange(min=1), default=1, help="How many times (once).")
def ping(settings: Settings, count: int) -> None:
    """Measure the round trip to the server.

    Sends COUNT of the smallest requests there are, one after another, and prints the time that each took.

    \b
    Examples:
      simdrive ping
      simdrive ping -n 100 --json
    """
    times = []
    with settings.connect_server() as client:
        url = client.options.url
        for number in range(count):
            settings.attempt = f"ping {number + 1} of {count}"
            times.append(client.ping())
            if not settings.json:
                write_output(f"{url}: {times[-1] * 1e3:.3f} ms\n".encode())
    low, middle, high = min(times), statistics.median(times), max(times)
    summary = f"{count} pings: least {low * 1e3:.3f}, median {middle * 1e3:.3f}, most {high * 1e3:.3f} ms"
    fields = {"url": url, "count": count, "seconds": times, "min": low, "median": middle, "max": high}
    settings.emit(summary if count > 1 else "", fields)
