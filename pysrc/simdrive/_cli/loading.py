"""What can go wrong while the command line is being loaded, before there is anything of it to deal with that.

The package itself imports this first, since it is loaded before its ``__main__``. What this module imports is built in
or there already: `signal` and `typing` take some milliseconds, in which Ctrl-C would still show a traceback.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, TracebackType
    from typing import Any, NoReturn

_NAME = "simdrive"
_INTERRUPTED = 130


class Loading:
    """If it is the program that starts: in this block Ctrl-C ends it silently, and a wrong setting with one line.

    Does nothing elsewhere, where the package is a library.
    """

    def __init__(self, *, program: bool | None = None) -> None:
        self._program = is_program() if program is None else program
        self._before: Any = None

    def __enter__(self) -> None:
        # A background job ignores the signal, and only the main thread may set a handler.
        if self._program and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            try:
                self._before = signal.signal(signal.SIGINT, _leave)
            except ValueError:
                self._program = False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
        # By name: the module with the exceptions is one of those that could not be loaded.
        if self._program and kind is not None and kind.__name__ == "ConfigurationError":
            sys.stderr.write(f"{_NAME}: {str(error).removeprefix(f'{_NAME}: ')}\n")
            sys.exit(2)


def is_program() -> bool:
    """Whether this process is `simdrive` or `python -m simdrive`."""
    started = next(iter(getattr(sys, "argv", [])), "")
    if started == "-m":  # as long as Python looks for the module
        return any(word.removeprefix("-m") in (_NAME, f"{_NAME}.__main__") for word in sys.orig_argv)
    return os.path.basename(started).removesuffix(".exe") == _NAME  # noqa: PTH119  # pathlib is slow to import


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    # Not as an exception, which an import may swallow or report; there is nothing yet to clean up.
    os._exit(_INTERRUPTED)
