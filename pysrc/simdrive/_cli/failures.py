"""Exit codes, and one line for each failure: what was attempted, on what, and what to do."""

from __future__ import annotations

import click

from simdrive import errors

OK = 0
ABSENT = 1
USAGE = 2  # and what this machine refuses: files, memory
CONNECTION = 3
TIMEOUT = 4
SERVER = 5
DAMAGED = 6
INTERNAL = 70
INTERRUPTED = 130
BROKEN_PIPE = 141


class Damaged(click.ClickException):
    """A store, or an export of one, that is not what it was; see `DAMAGED`."""


# The first match counts; the advice names what this program offers, where the library's names its arguments.
_KINDS: list[tuple[type[errors.SimdriveError], int, str]] = [
    (errors.ConnectTimeout, TIMEOUT, "check --url and the network, or raise --timeout"),
    (errors.TimeoutError, TIMEOUT, "raise --timeout, or check the server's load"),
    (errors.OverloadError, TIMEOUT, "raise --timeout, or check the server's load"),
    (errors.ConnectError, CONNECTION, "check that the server runs and that --url or SIMDRIVE_URL names it"),
    (errors.HandshakeError, CONNECTION, "check that port and path of --url are those of a SIMD R Drive server"),
    (errors.ProtocolMismatchError, CONNECTION, "use a SIMD R Drive server of 0.10 or later"),
    (errors.ConnectionLostError, CONNECTION, "try again"),
    (errors.ConnectionError, CONNECTION, "try again"),
    (errors.ConfigurationError, USAGE, "check --url and SIMDRIVE_URL"),
    (errors.InvalidKeyError, USAGE, "use a shorter key"),
    (errors.InvalidValueError, USAGE, "the store takes neither empty values nor the single byte 00"),
    (errors.OutOfMemoryError, USAGE, "free memory, or ask for less at a time"),
    (errors.StoreCorruptError, DAMAGED, "what is intact can still be read; nothing was changed"),
    (errors.StoreFormatError, DAMAGED, "check the path; the file was not changed"),
    (errors.StoreNotFoundError, USAGE, "check the path"),
    (errors.StoreLockedError, USAGE, "end the program that writes to the store, or use a copy"),
    (errors.StoreReadOnlyError, USAGE, "open the store for appending"),
    (errors.BindError, USAGE, "check --host and --port, or --unix"),
    (errors.StoreError, USAGE, "check the path, its permissions and the disk"),
    (errors.StorageFullError, USAGE, "free some space and try again"),
    (errors.UnsupportedOperationError, SERVER, "use a server that knows the method"),
    (errors.ProtocolError, SERVER, "check that --url names a SIMD R Drive server and nothing alters what it sends"),
    (errors.ServerError, SERVER, "see the server's log"),
    (errors.SimdriveError, SERVER, "see the server's log, or report it as a bug"),
]
# Why there is no connection any more.
_KINDS_AWAY: dict[type[BaseException], str] = {
    errors.ConnectTimeout: "check that the server runs, and the network",
    errors.HandshakeError: "check that a SIMD R Drive server still runs there",
    errors.ProtocolMismatchError: "check that a SIMD R Drive server still runs there",
}
# What the library advises at the end of a message, and what that is here.
_OPEN_ADVICE = dict(
    zip(
        errors.OPEN_ADVICE.values(),
        (
            "what is there can be read; `simdrive recover` repairs it",
            "`simdrive recover` keeps what is intact",
            "it can be read; `simdrive compact STORE -o FILE` makes a new one of it",
        ),
        strict=True,
    )
)
_WRITES = frozenset({"write", "batch_write", "delete"})


def explain(error: BaseException, attempt: str) -> tuple[int, str]:
    """The exit code and the line of an error.

    Args:
        error: what ended the command.
        attempt: what the command was doing, such as ``"get 'key'"``.
    """
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED, _line(attempt, "interrupted")
    if isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx is not None else "simdrive"
        where = path.removeprefix("simdrive").strip()
        return USAGE, _line(where, error.format_message().removesuffix("."), f"see '{path} --help'")
    if isinstance(error, click.ClickException):
        code = DAMAGED if isinstance(error, Damaged) else USAGE
        return code, _line(attempt, error.format_message().removesuffix("."))
    if isinstance(error, errors.SimdriveError):
        return _explain_ours(error, attempt)
    if isinstance(error, MemoryError):
        return USAGE, _line(attempt, "there is not enough memory", "free memory, or ask for less at a time")
    if isinstance(error, OSError):
        what = error.strerror or str(error)
        if error.filename is not None:
            what = f"{what}: {error.filename}"
        return USAGE, _line(attempt, what, "check the path, its permissions and the free space")
    text = f"unexpected {type(error).__name__}: {error}"
    return INTERNAL, _line(attempt, text, "this is a bug in simdrive; please report it with SIMDRIVE_DEBUG=1 set")


def _explain_ours(error: errors.SimdriveError, attempt: str) -> tuple[int, str]:
    text = plain(error)
    # A write that failed on the way must say whether it may have happened.
    if error.op in _WRITES and error.outcome == "unknown" and "applied" not in text:
        text += "; it may or may not have been applied"
    code, advice = next((code, advice) for kind, code, advice in _KINDS if isinstance(error, kind))
    for words, ours in _OPEN_ADVICE.items():
        if words in text:
            text, advice = text.replace(words, ""), ours
    if isinstance(error, errors.OperationTimeout) and isinstance(error.__cause__, errors.SimdriveError):
        text, advice = _no_connection(error, error.__cause__, text)
    return code, _line(attempt, text, advice)


def _no_connection(error: errors.OperationTimeout, cause: errors.SimdriveError, text: str) -> tuple[str, str]:
    """A time limit that passed while the client tried to connect again: why it could not is what helps."""
    why = plain(cause).split(f" on {cause.endpoint}: ", 1)[-1].partition("; it ")[0]
    outcome = "; it " + text.rpartition("; it ")[2] if error.op in _WRITES else ""
    where = f"{error.op} on {error.endpoint}: " if error.endpoint else ""
    advice = _KINDS_AWAY.get(type(cause), "check that the server runs")
    return f"{where}no connection for {round(error.elapsed, 1):g} s: {why}{outcome}", advice


def plain(error: errors.SimdriveError) -> str:
    """The message without the library's advice, which may also be in the middle: behind that of an earlier failure."""
    text = str(error)
    known = [advice for _, advice in errors.EXCEPTIONS.values()]
    for advice in [*known, *errors.STORE_ADVICE.values()]:
        text = text.replace(f" ({advice})", "") if advice else text
    return text


def _line(attempt: str, text: str, advice: str = "") -> str:
    parts = ["simdrive", attempt, text]
    line = ": ".join(part for part in parts if part)
    if advice:
        line += f" ({advice})"
    return " ".join(line.split())
