"""The command that serves a store: serve."""

from __future__ import annotations

import math
import os
import re
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields
from typing import Any, TypeVar

import click

import simdrive
from simdrive.store_url import parse_target

from .failures import plain
from .program import command
from .serving import FileWatch, Interrupts, begin_log, drain, log_stop, remove_new
from .settings import Settings, counted
from .target import StoreFile, names_store, path_of

_F = TypeVar("_F", bound=Callable[..., Any])
_PORT = 34129
# What is counted, and what happens beyond it.
_LIMITS = {
    "max_frame": "Bytes of a WebSocket frame; beyond: Close 1009.",
    "max_message": "Bytes of a WebSocket message; beyond: Close 1009.",
    "max_request": "Bytes of keys and values in one request; beyond: an error reply.",
    "max_batch_items": "Keys or entries of one batch; beyond: an error reply.",
    "max_unfinished": "Bytes of incomplete requests on one connection; beyond: Close 1013.",
    "max_unfinished_total": "Bytes of the same and for replies, on all connections; beyond: not read on, Close 1013.",
    "max_streams": "Requests begun and not ended on one connection; beyond: Close 1008.",
    "max_early_bytes": "Bytes of frames that came before their turn; beyond: Close 1002.",
    "max_idle_frames": "Short frames without a request among them; beyond: Close 1008.",
    "reply_queue_soft": "Bytes of replies that wait for one client; beyond: its requests wait.",
    "reply_queue_hard": "Bytes of the same, not fewer; beyond: cut. More than 1.2 MiB more are never made.",
    "stall_timeout": "Without a byte of a waiting reply taken; then: cut.",
    "max_connections": "Connections at once; beyond: HTTP 503.",
    "reserved_descriptors": "Descriptors left to the rest of the process; for them: HTTP 503.",
    "handshake_timeout": "From the connection to its upgrade; then: closed.",
    "max_header_bytes": "Bytes of the HTTP request; beyond: HTTP 431.",
    "max_headers": "Headers of the HTTP request; beyond: HTTP 431.",
    "ping_interval": "Without a byte received; then: a ping.",
    "silence_timeout": "The same; then: Close 1011, and cut.",
}


class Seconds(click.FloatRange):
    """A number of seconds within a range, which not-a-number is in no more than infinity."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no number of seconds.", param, ctx)
        return number


class ServedStore(StoreFile):
    """The file of a store, or ``memory://``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if value == "memory://" else super().convert(value, param, ctx)


def limit_options(function: _F) -> _F:
    """One option for each of the server's limits."""
    defaults = simdrive.ServerLimits()
    for field in reversed(fields(simdrive.ServerLimits)):
        value = getattr(defaults, field.name)
        kind: Any = float if field.type == "float" else int
        unit = "SECONDS" if kind is float else "BYTES" if _LIMITS[field.name].startswith("Bytes") else "N"
        shown = "a quarter of the memory" if value is None else f"{value:g}" if kind is float else str(value)
        function = click.option(
            option_of(field.name),
            field.name,
            type=kind,
            metavar=unit,
            callback=_limit,
            help=f"{_LIMITS[field.name]}  [default: {shown}]",
        )(function)
    return function


def option_of(name: str) -> str:
    """The option for what Python calls so."""
    return f"--{name.replace('_', '-')}"


def _limit(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    name = str(parameter.name)
    if value is not None:
        try:
            simdrive.ServerLimits(**{name: value})
        except simdrive.ConfigurationError as error:
            raise click.BadParameter(f"it {str(error).removeprefix(f'{name} ')}.", context, parameter) from None
    return value


@command("serve")
@click.argument("store", metavar="STORE", type=ServedStore())
@click.option("--host", default="127.0.0.1", show_default=True, help="Name or address to listen at.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=_PORT, show_default=True, help="Port to listen at; 0: a free one."
)
@click.option(
    "--unix", "unix_path", metavar="PATH", help="Listen at this path instead, for ws+unix:// URLs (not on Windows)."
)
@click.option("--path", default="/ws", show_default=True, help="Path of the WebSocket.")
@click.option(
    "--insecure-bind",
    is_flag=True,
    help="Listen at an address that others can reach, though nobody is asked for a name.",
)
@click.option(
    "--origin", "origins", multiple=True, metavar="ORIGIN", help="Let web pages of this origin in. Repeatable."
)
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="A name that clients may know this machine by. Repeatable.",
)
@click.option("--threads", type=click.IntRange(1, 256), help="Threads that serve.  [default: one a core, at most 8]")
@click.option("--no-status", is_flag=True, help="Do not answer /healthz and /status.")
@click.option(
    "--sync",
    type=click.Choice(["none", "batch", "always"]),
    help="When entries are forced to the disk: when the system likes, in the background, or before the answer.",
)
@click.option(
    "--sync-interval",
    type=Seconds(0, 3600, min_open=True),
    metavar="SECONDS",
    help="For --sync batch: how long an entry may wait.  [default: 1]",
)
@click.option(
    "--stop-timeout",
    type=Seconds(0, 86400),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How long requests at work may take at the end, before their connections are cut.",
)
@limit_options
def serve(
    settings: Settings,
    store: str,
    host: str,
    port: int,
    unix_path: str | None,
    path: str,
    insecure_bind: bool,
    origins: tuple[str, ...],
    hosts: tuple[str, ...],
    threads: int | None,
    no_status: bool,
    sync: str | None,
    sync_interval: float | None,
    stop_timeout: float,
    **limits: float | None,
) -> None:
    """Serve a store to clients of SIMD R Drive, whatever their version.

    The file is made if it is not there; memory:// is a store that is gone with the command. It listens to this machine
    only, and to no web page, unless the options say otherwise. Ctrl-C and SIGTERM end it with exit code 0, when the
    requests at work are answered and what was written is on the disk; a second one cuts that short. What happens is
    logged on standard error, one line each, as JSON with --json. The URL comes first, on standard output.

    What a client may make the server spend is limited; each limit is an option, from --max-frame on.

    \b
    Examples:
      simdrive serve store.bin
      simdrive serve store.bin --port 0 --sync batch --json
      simdrive serve memory:// --unix /run/store.sock
    """
    settings.attempt = f"serve {store}"
    given = {name: value for name, value in limits.items() if value is not None}
    with in_terms_of_options():
        options: dict[str, Any] = {
            "host": host,
            "port": port,
            "unix_path": unix_path,
            "path": path,
            "insecure": insecure_bind,
            "origins": origins,
            "hosts": hosts,
            "threads": threads,
            "status": not no_status,
            "limits": simdrive.ServerLimits(**given),  # type: ignore[arg-type]  # it checks them
        }
        simdrive.ServerOptions(**options)  # before there is a file
    begin_log(settings)
    opened, new = opened_store(store, sync, sync_interval)
    with opened, Interrupts() as interrupts:
        server = simdrive.Server(opened, **options)
        try:
            with in_terms_of_options(), warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # that of insecure: the log has it
                server.start()
        except BaseException:
            if new:
                remove_new(opened)
            raise
        try:
            began = time.monotonic()
            watch = FileWatch(None if store == "memory://" else path_of(opened))
            settings.emit(server.url, {"url": server.url, "port": server.port, "store": store})
            while not interrupts.came and not server.wait(0.2):
                watch.look()
            stats = server.stats()
            cut = drain(server, interrupts, stop_timeout)
        except BaseException:
            if server.running:  # the store is not closed under it
                with suppress(simdrive.SimdriveError):
                    server.stop(timeout=0.0)
            raise
    log_stop(time.monotonic() - began, counted(stats.requests, "request"), cut=cut)


def opened_store(store: str, sync: str | None, sync_interval: float | None) -> tuple[simdrive.Store, bool]:
    """The store, and whether its file was made for this."""
    options: dict[str, Any] = {"sync": sync, "sync_interval": sync_interval}
    options = {name: value for name, value in options.items() if value is not None}
    new = False
    if store == "memory://":
        if options:
            raise click.UsageError("a store in memory has no disk: leave --sync and --sync-interval out.")
    else:
        if not names_store(store):
            raise click.UsageError(f"{store} is no file of a store.")
        with in_terms_of_options():
            _, path, in_url = parse_target(store)
        if sync_interval is not None and (sync or in_url.get("sync")) != "batch":
            raise click.UsageError("--sync-interval is for --sync batch alone.")
        new = not os.path.lexists(path)
    with in_terms_of_options():
        opened = simdrive.open_store(store, **options)
    if not isinstance(opened, simdrive.Store):
        opened.close()
        raise click.UsageError(f"{store} is no file of a store.")
    return opened, new


@contextmanager
def in_terms_of_options() -> Iterator[None]:
    """Turns what the library says about its arguments into what was given to the command."""
    try:
        yield
    except simdrive.ConfigurationError as error:
        text = plain(error).replace("give insecure=True", "give --insecure-bind").replace("`status`", "--no-status")
        # Names of two words are options; those of one may be anything.
        text = re.sub(r"\b(?:unix_path|" + "|".join(_LIMITS) + r")\b", lambda found: option_of(found[0]), text)
        raise click.UsageError(text.replace("--unix-path", "--unix")) from None
