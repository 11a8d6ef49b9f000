"""The program itself: its name, its global help, its exit codes and what it does about signals."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click
from click.shell_completion import shell_complete

import simdrive

from .failures import BROKEN_PIPE, OK, USAGE, explain
from .settings import Command, Settings, global_options

COMPLETE_VARIABLE = "_SIMDRIVE_COMPLETE"
# As the help lists them.
_ORDER = (
    *("get", "put", "del", "exists", "mget", "mput", "len", "size", "info", "ping"),
    *("serve", "demo", "verify", "recover", "compact", "export", "import", "hash", "completion"),
)


class Program(click.Group):
    """Ends with our exit codes, and one line for each error."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, self.commands[name].get_short_help_str(90)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(self.commands, key=_ORDER.index)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,  # noqa: ARG002
        complete_var: str | None = None,  # noqa: ARG002
        standalone_mode: bool = True,  # noqa: ARG002
        windows_expand_args: bool = True,  # noqa: ARG002
        **extra: Any,
    ) -> NoReturn:
        # Patterns are never expanded here, not on Windows either: a key may contain a star.
        instruction = os.environ.get(COMPLETE_VARIABLE)
        if instruction:
            sys.exit(shell_complete(self, extra, "simdrive", COMPLETE_VARIABLE, instruction))
        settings = Settings()
        extra["obj"] = settings
        sys.exit(self._ended(self._guarded(list(sys.argv[1:] if args is None else args), settings, extra), settings))

    def _ended(self, code: int, settings: Settings) -> int:
        try:
            if sys.stdout is not None:
                sys.stdout.flush()
        except (OSError, ValueError) as error:
            # What is still buffered must not raise again when Python ends.
            with contextlib.suppress(OSError, ValueError), Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), sys.stdout.fileno())
            if code == OK:
                code, line = explain(error, settings.attempt)
                click.echo(line, err=True)
        return code

    def _guarded(self, arguments: list[str], settings: Settings, extra: dict[str, Any]) -> int:
        try:
            with self.make_context("simdrive", arguments, **extra) as context:
                self.invoke(context)
            return OK
        except click.exceptions.Exit as leaving:
            return leaving.exit_code
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message(), err=True)
            return USAGE
        except BrokenPipeError:
            return BROKEN_PIPE  # the reader has enough
        except (Exception, KeyboardInterrupt) as error:
            if settings.debug and sys.stderr is not None and not isinstance(error, click.ClickException):
                traceback.print_exc(file=sys.stderr)
            code, line = explain(error, settings.attempt)
            click.echo(line, err=True)
            return code


def run() -> NoReturn:
    """What `simdrive` does, signals included."""

    def leave(number: int, _frame: object) -> NoReturn:
        # As an exception, so that temporary files go.
        sys.exit(128 + number)

    if sys.stdout is not None and isinstance(sys.stdout.buffer, io.RawIOBase):
        # PYTHONUNBUFFERED: its writes may be short, which nobody would notice.
        encoding, errors = sys.stdout.encoding, sys.stdout.errors
        buffer = io.BufferedWriter(sys.stdout.detach())
        sys.stdout = io.TextIOWrapper(buffer, encoding, errors, line_buffering=True)
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, leave)
    cli.main()


@click.group(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Environment:
  SIMDRIVE_URL    The server or the file of a store, where --url does not say.
  SIMDRIVE_DEBUG  Set to 1, errors come with their traceback, as with -vv.

\b
Exit codes:
  0    done
  1    key absent
  2    wrong usage, or a local file that cannot be read or written
  3    no connection, or it broke
  4    timeout, also of waiting for a server that went away
  5    the server answered with an error
  6    a store or an export is damaged, or what is named is none
  70   internal error: a bug
  130  interrupted (Ctrl-C)
  141  the reader of standard output has gone (broken pipe)
  143  ended by SIGTERM (129: by SIGHUP)

\b
Examples:
  echo hello | simdrive put greeting
  simdrive get greeting
  simdrive --url ws://127.0.0.1:34129/ws info --json
  simdrive --url ./store.bin get greeting

The global options may stand before or after the command's name. A key that begins with a dash follows --, as in
`simdrive get -- -key`. Data goes to standard output only, everything else to standard error.""",
)
@click.version_option(simdrive.__version__, prog_name="simdrive")
@global_options
@click.pass_obj
def cli(settings: Settings) -> None:
    """Read and write SIMD R Drive key-value servers and the files of their stores."""


def command(name: str) -> Callable[[Callable[..., None]], click.Command]:
    """A command of the program, with the global options; it gets the settings first."""

    def decorate(function: Callable[..., None]) -> click.Command:
        def call(settings: Settings, /, *args: Any, **kwargs: Any) -> None:
            settings.attempt = name
            settings.begin_logging()
            start = time.perf_counter()
            function(settings, *args, **kwargs)
            settings.detail(f"done in {time.perf_counter() - start:.3f} s")

        call.__doc__ = function.__doc__
        # click leaves its parameters on the function that it decorates.
        call.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
        return cli.command(name, cls=Command)(global_options(click.pass_obj(call)))

    return decorate
