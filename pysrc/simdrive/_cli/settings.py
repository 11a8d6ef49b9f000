"""The options that every command takes, before or after its name."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

import click

import simdrive

from .failures import Damaged
from .files import write_output
from .keys import key_fields, parse_key, show_key
from .progress import Bar
from .target import Target, damaged_place, names_store, open_store
from .values import LONGEST_VALUE

_F = TypeVar("_F", bound=Callable[..., Any])
_CONNECT_TIMEOUT = 5.0
_ADVICE = "`simdrive recover` keeps what is intact"


def counted(number: int, noun: str, plural: str = "") -> str:
    """Such as 1 file, 2 files."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def table(fields: dict[str, Any]) -> str:
    """The fields of a result for people, one a line."""

    def shown(value: Any) -> str:
        if isinstance(value, bool):
            return "yes" if value else "no"
        text = " ".join(value) if isinstance(value, list) else value
        return "-" if text in (None, "") else str(text)

    width = max(map(len, fields)) + 2
    return "\n".join(f"{name.replace('_', ' ') + ':':<{width}}{shown(value)}" for name, value in fields.items())


@dataclass
class Settings:
    """What the global options say, and what the command is doing."""

    url: str | None = None
    timeout: float | None = 30.0
    json: bool = False
    quiet: bool = False
    verbose: int = 0
    key_form: str = "text"
    progress: str = "auto"
    attempt: str = ""
    incomplete: bool = False  # the store that was opened lacks entries

    @property
    def target(self) -> str | None:
        """What --url or the environment names; None: the server of this machine."""
        return os.environ.get("SIMDRIVE_URL") or None if self.url is None else self.url

    @property
    def on_store(self) -> bool:
        """Whether that is the file of a store."""
        return self.target is not None and names_store(self.target)

    @property
    def longest_value(self) -> int | None:
        """The longest value that can be sent there, in bytes; None: what memory and disk take."""
        return None if self.on_store else LONGEST_VALUE

    def connect(
        self, *, writes: bool = False, creates: bool = False
    ) -> AbstractContextManager[simdrive.Client | simdrive.Store]:
        """The server or the store that --url names.

        Args:
            writes: a store is opened for appending, not for reading only.
            creates: and made, if it is not there.
        """
        target = self.target
        if target is not None and self.on_store:
            store = open_store(target, writes=writes, creates=creates, verify=True)
            if creates and store.file_size() == 0:
                self.note(f"a new store, {store.path}")
            self.incomplete = store.opened.incomplete
            if self.incomplete:
                self.note(f"the store is damaged{damaged_place(store)}: values may be missing or old ({_ADVICE})")
            return store
        return self.connect_server()

    def connect_server(self) -> simdrive.Client:
        """The server that --url names."""
        if self.on_store:
            raise click.UsageError(
                f"this is for servers, and {self.target} is the file of a store.", click.get_current_context()
            )
        connect_timeout = _CONNECT_TIMEOUT if self.timeout is None else min(_CONNECT_TIMEOUT, self.timeout)
        # The existing server is silent while it prepares a large value: --timeout says how long that may last.
        return simdrive.connect(
            self.url, timeout=self.timeout, connect_timeout=connect_timeout, idle_timeout=self.timeout
        )

    def check_whole(self, what: str) -> None:
        """Refuses to say of a store that lacks entries what only those could tell.

        Raises:
            Damaged: the one that was opened does.
        """
        if self.incomplete:
            raise Damaged(f"{what}: the store is damaged, and entries are missing ({_ADVICE})")

    def key(self, text: str) -> bytes:
        """The key that an argument stands for."""
        try:
            return parse_key(text, self.key_form)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="KEY", ctx=click.get_current_context()) from None

    def show(self, key: bytes) -> str:
        return show_key(key, self.key_form)

    def fields(self, key: bytes) -> dict[str, str]:
        return key_fields(key, self.key_form)

    def emit(self, text: str, fields: dict[str, Any]) -> None:
        """The result of a command that is no value: as a line, or as JSON."""
        if self.json:
            text = json.dumps(fields)
        if text:
            write_output(f"{text}\n".encode(errors="surrogateescape"))  # names of files may be any bytes

    def note(self, text: str) -> None:
        """A word on standard error, unless --quiet."""
        if not self.quiet:
            click.echo(f"simdrive: {self.attempt}: {text}", err=True)

    def detail(self, text: str) -> None:
        """A word on standard error with --verbose."""
        if self.verbose:
            self.note(text)

    def bar(self) -> Bar:
        return Bar("off" if self.quiet else self.progress, self.attempt)

    @property
    def debug(self) -> bool:
        return self.verbose >= 2 or os.environ.get("SIMDRIVE_DEBUG", "0") not in ("", "0")

    def begin_logging(self) -> None:
        """The library's own log on standard error; logging is imported only for those who ask."""
        if self.verbose:
            import logging

            level = logging.DEBUG if self.verbose >= 2 else logging.INFO
            logging.basicConfig(stream=sys.stderr, format="simdrive: %(message)s")
            logging.getLogger("simdrive").setLevel(level)


def _seconds(text: str, context: click.Context, parameter: click.Parameter) -> float | None:
    if text.lower() == "none":
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise click.BadParameter(f"{text!r} is no positive number of seconds, nor 'none'.", context, parameter)
    return seconds


def _into_settings(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    # An option that is not given leaves alone what was said before the command's name.
    if value in (None, False, 0) or context.resilient_parsing:
        return
    settings = context.ensure_object(Settings)
    name = str(parameter.name)
    if name == "timeout":
        settings.timeout = _seconds(value, context, parameter)
    elif name == "verbose":
        settings.verbose += value
    elif name in ("hex", "base64"):
        if settings.key_form not in ("text", name):
            raise click.UsageError("--hex and --base64 exclude each other.", ctx=context)
        settings.key_form = name
    else:
        setattr(settings, name, value)


class GlobalOption(click.Option):
    """An option of every command; its value goes to the settings."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, callback=_into_settings, expose_value=False, **kwargs)


def global_options(function: _F) -> _F:
    """Gives a command the global options."""
    options = [
        click.option(
            "--url",
            metavar="URL",
            cls=GlobalOption,
            type=Target(),
            help="The server, such as ws://127.0.0.1:34129/ws or ws+unix:///path/of/socket, or the file of a store, as "
            "a path or a file: URL. Without it, SIMDRIVE_URL says which; without that, it is the server at port 34129 "
            "of this machine.",
        ),
        click.option(
            "--timeout",
            metavar="SECONDS",
            cls=GlobalOption,
            help="Each request to a server ends after this many seconds (30 unless given), or never with 'none'. "
            "Opening the connection takes at most 5 of them. Values of hundreds of megabytes need more than 30: the "
            "time of the existing server grows faster than their size.",
        ),
        click.option("--json", is_flag=True, cls=GlobalOption, help="Print the result as JSON; values are in base64."),
        click.option("--hex", is_flag=True, cls=GlobalOption, help="Keys are given and shown in hexadecimal."),
        click.option("--base64", is_flag=True, cls=GlobalOption, help="Keys are given and shown in base64."),
        click.option(
            "--progress",
            type=click.Choice(["auto", "on", "off"]),
            cls=GlobalOption,
            help="Show a bar on standard error: 'auto' does so on a terminal, for transfers that take long.",
        ),
        click.option("-q", "--quiet", is_flag=True, cls=GlobalOption, help="Print no notes and no bar; errors remain."),
        click.option(
            "-v", "--verbose", count=True, cls=GlobalOption, help="Say more; twice for debugging, with tracebacks."
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


class Command(click.Command):
    """A command whose help lists its own options before the global ones."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own: list[tuple[str, str]] = []
        shared: list[tuple[str, str]] = []
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                (shared if isinstance(parameter, GlobalOption) else own).append(record)
        for title, records in (("Options", own), ("Global options", shared)):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)
