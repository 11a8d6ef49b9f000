"""What `serve` does while a server runs: signals, the end, a watch over the store's file, and the log."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import simdrive

if TYPE_CHECKING:
    import logging

    from .settings import Settings

_LOGGER = "simdrive.server"
_LOOK = 1.0  # seconds between looks at the store's file


class Interrupts:
    """Counts Ctrl-C and SIGTERM instead of ending the program."""

    def __init__(self) -> None:
        self.came = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):  # no system has all of them
            number = getattr(signal, name, None)
            # A signal that was ignored when the program started, as for a job in the background, stays so.
            if number is not None and (name == "SIGTERM" or signal.getsignal(number) != signal.SIG_IGN):
                self._before[number] = signal.signal(number, self._count)
        return self

    def _count(self, _number: int, _frame: object) -> None:
        self.came += 1

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            # None is a handler that was set outside of Python.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def drain(server: simdrive.Server, interrupts: Interrupts, timeout: float) -> bool:
    """Stops the server, at once when a second signal comes; whether connections had to be cut.

    Raises what else went wrong, such as ``StorageFullError``.
    """
    failures: list[BaseException] = []

    def stop(seconds: float) -> None:
        try:
            server.stop(timeout=seconds)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=stop, args=(timeout,), name="simdrive-serve-stop")
    thread.start()
    while thread.is_alive():
        thread.join(0.1)
        if interrupts.came > 1 and thread.is_alive():
            stop(0.0)
            thread.join()
    for error in failures:
        if not isinstance(error, simdrive.OperationTimeout):
            raise error
    return bool(failures)


class FileWatch:
    """Tells, once, when the path of the served store no longer leads to the file that the server writes."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: os.stat_result | None = None
        self._next = 0.0
        if path is not None:
            try:
                self._file = path.stat()
            except OSError:
                self._path = None  # nothing to compare with

    def look(self) -> None:
        """At most once a second, however often it is called."""
        now = time.monotonic()
        if self._path is None or now < self._next:
            return
        self._next = now + _LOOK
        what = self._changed(self._path)
        if what is not None:
            import logging

            logging.getLogger(_LOGGER).warning(
                "%s %s: the server goes on with the file that it opened, which is lost when it ends unless it has "
                "another name (end the server, and start it with the right file)",
                self._path,
                what,
                extra={"event": "store_file"},
            )
            self._path = None

    def _changed(self, path: Path) -> str | None:
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return "was removed or renamed"
        except OSError:
            return None  # it cannot be told
        return None if self._file is None or os.path.samestat(found, self._file) else "is another file now"


def log_stop(seconds: float, requests: str, *, cut: bool) -> None:
    import logging

    rest = "; connections still at work were cut" if cut else ""
    logging.getLogger(_LOGGER).info("stopped after %.0f s and %s%s", seconds, requests, rest, extra={"event": "ended"})


def remove_new(store: simdrive.Store) -> None:
    """Closes a store that was made just now, and removes its files if nothing was stored."""
    path = Path(os.path.realpath(str(store.path)))
    files = (path, path.with_name(f"{path.name}.mark"))
    empty = store.file_size() == 0
    if sys.platform == "win32":  # which removes no open file
        store.close()
    if empty:
        for file in files:  # elsewhere under the store's lock: nobody has written to it
            with contextlib.suppress(OSError):
                file.unlink()
    store.close()


def line_of(record: logging.LogRecord, *, as_json: bool) -> str:
    """A record for people, or as JSON."""
    when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
    event = getattr(record, "event", record.name)
    level, text = record.levelname.lower(), record.getMessage()
    if record.name == "py.warnings":
        text = text.strip().partition("\n")[0]  # the rest is a line of source
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
    logger = logging.getLogger(_LOGGER)
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(logging.DEBUG if settings.verbose else logging.WARNING if settings.quiet else logging.INFO)
    logging.captureWarnings(capture=True)
    if settings.json:
        settings.verbose = 0  # the last word of every command is no JSON
    logging.getLogger("py.warnings").handlers[:] = [handler]
