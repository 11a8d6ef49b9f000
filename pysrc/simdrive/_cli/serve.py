"""The command that serves a store: serve."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

import click

import simdrive

from .program import command
from .settings import Settings, counted
from .target import StoreFile, names_store

if TYPE_CHECKING:
    import logging

_F = TypeVar("_F", bound=Callable[..., Any])
_PORT = 34129


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
        unit = "SECONDS" if kind is float else "N"
        shown = "a quarter of the memory" if value is None else f"{value:g}" if kind is float else str(value)
        option = f"--{field.name.replace('_', '-')}"
        function = click.option(option, field.name, type=kind, metavar=unit, help=f"[default: {shown}]")(function)
    return function


@command("serve")
@click.argument("store", metavar="STORE", type=ServedStore())
@click.option("--host", default="127.0.0.1", show_default=True, help="Name or address to listen at.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=_PORT, show_default=True, help="Port to listen at; 0: a free one."
)
@click.option("--unix", "unix_path", metavar="PATH", help="Listen at this path instead, for ws+unix:// URLs.")
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
@click.option("--sync-interval", type=float, metavar="SECONDS", help="For --sync batch.  [default: 1]")
@click.option(
    "--stop-timeout", type=float, default=5.0, show_default=True, metavar="SECONDS", help="For those at work."
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

    Every limit of the server is an option, such as --handshake-timeout 2 or --max-request 1000000: see ServerLimits in
    the documentation for their names.

    \b
    Examples:
      simdrive serve store.bin
      simdrive serve store.bin --port 0 --sync batch --json
      simdrive serve memory:// --unix /run/store.sock
    """
    settings.attempt = f"serve {store}"
    options: dict[str, Any] = {"sync": sync, "sync_interval": sync_interval}
    options = {name: value for name, value in options.items() if value is not None}
    if store == "memory://":
        if options:
            raise click.UsageError("a store in memory has no disk: leave --sync and --sync-interval out.")
    elif not names_store(store):
        raise click.UsageError(f"{store} is no file of a store.")
    given = {name: value for name, value in limits.items() if value is not None}
    begin_log(settings)
    opened = simdrive.open_store(store, **options)
    if not isinstance(opened, simdrive.Store):
        opened.close()
        raise click.UsageError(f"{store} is no file of a store.")
    with opened, Interrupts() as interrupts:
        server = simdrive.Server(
            opened,
            host=host,
            port=port,
            unix_path=unix_path,
            path=path,
            insecure=insecure_bind,
            origins=origins,
            hosts=hosts,
            threads=threads,
            status=not no_status,
            limits=simdrive.ServerLimits(**given),  # type: ignore[arg-type]  # it checks them
        )
        server.start()
        began = time.monotonic()
        settings.emit(server.url, {"url": server.url, "port": server.port, "store": store})
        while not interrupts.came and not server.wait(0.2):
            pass
        stats = server.stats()
        interrupts.next_cuts = True
        cut = drain(server, interrupts, stop_timeout)
    settings.note(
        f"stopped after {time.monotonic() - began:.0f} s and {counted(stats.requests, 'request')}"
        + ("; connections still at work were cut" if cut else "")
    )


def drain(server: simdrive.Server, interrupts: Interrupts, timeout: float) -> bool:
    """Stops the server; whether connections had to be cut."""
    import threading

    failure: list[BaseException] = []

    def stop() -> None:
        try:
            server.stop(timeout=timeout)
        except simdrive.SimdriveError as error:
            failure.append(error)

    thread = threading.Thread(target=stop)
    thread.start()
    while thread.is_alive():
        thread.join(0.1)
        if interrupts.came > 1:
            with contextlib.suppress(simdrive.SimdriveError):
                server.stop(timeout=0.0)
    return bool(failure)


class Interrupts:
    """Counts Ctrl-C and SIGTERM instead of ending the program."""

    def __init__(self) -> None:
        self.came = 0
        self.next_cuts = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
            number = getattr(signal, name, None)
            # A signal that was ignored when the program started, as for a job in the background, stays so.
            if number is not None and (name == "SIGTERM" or signal.getsignal(number) != signal.SIG_IGN):
                self._before[number] = signal.signal(number, self._count)
        return self

    def _count(self, _number: int, _frame: object) -> None:
        self.came += 1

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def line_of(record: logging.LogRecord, *, as_json: bool) -> str:
    """A record for people, or as JSON."""
    when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
    event = getattr(record, "event", record.name)
    level, text = record.levelname.lower(), record.getMessage()
    if as_json:
        known = {"time": when, "level": level, "event": event, "peer": getattr(record, "peer", None), "message": text}
        return json.dumps({name: value for name, value in known.items() if value is not None})
    return f"{when} {level:<7} {event}: {text}"


def begin_log(settings: Settings) -> None:
    """The server's log on standard error: warnings and errors with --quiet, everything with --verbose."""
    import logging  # here, and not for every command: it takes longer than most

    lines = logging.Formatter()
    lines.format = lambda record: line_of(record, as_json=settings.json)  # type: ignore[method-assign]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(lines)
    logger = logging.getLogger("simdrive.server")
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(logging.DEBUG if settings.verbose else logging.WARNING if settings.quiet else logging.INFO)
    logging.captureWarnings(capture=True)
    logging.getLogger("py.warnings").handlers[:] = [handler]
