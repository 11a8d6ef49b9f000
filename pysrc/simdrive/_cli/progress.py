"""A progress bar on standard error for transfers that take long."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress

# A bar that flashes up and is gone tells nothing.
_PATIENCE = 0.5
_INTERVAL = 0.1


class Bar:
    """Shown from the first report after half a second on (``on``: at once), gone when the block is left.

    Args:
        mode: ``"auto"`` (only if standard error is a terminal), ``"on"`` or ``"off"``.
        label: what is under way.
    """

    def __init__(self, mode: str, label: str) -> None:
        self._mode = mode
        self._label = label
        self._wanted = sys.stderr is not None and (mode == "on" or (mode == "auto" and sys.stderr.isatty()))
        self._start = time.monotonic()
        self._told = 0.0
        self._bar: Progress | None = None

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def arguments(self, *, before: int = 0, total: int | None = None) -> dict[str, Any]:
        """The keyword arguments of a client's call that make it report to this bar, none if no bar is wanted.

        Args:
            before: bytes of the same transfer that other calls have moved already.
            total: bytes of all these calls; left out: what the call itself expects.
        """
        if not self._wanted:
            return {}

        def report(done: int, expected: int) -> None:
            whole = expected if total is None else total
            self._update(min(before + done, whole), whole)

        return {"progress": report}

    def moved(self, done: int, total: int) -> None:
        """Shows how many bytes of a transfer of several steps are done, about ten times a second at most."""
        now = time.monotonic()
        if self._wanted and (done >= total or now - self._told >= _INTERVAL):
            self._told = now
            self._update(done, total)

    def _update(self, done: int, total: int) -> None:
        if self._bar is None:
            if self._mode != "on" and time.monotonic() - self._start < _PATIENCE:
                return
            self._bar = self._show()
        # There is one task, the first.
        self._bar.update(self._bar.task_ids[0], completed=done, total=total, refresh=True)

    def _show(self) -> Progress:
        # Imported here: it takes longer than most commands.
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

        columns = (BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn(), TimeRemainingColumn())
        console = Console(stderr=True)
        # Without its thread: the reports come often enough.
        bar = Progress(
            "{task.description}", *columns, console=console, auto_refresh=False, transient=self._mode != "on"
        )
        bar.add_task(escape(self._label), total=None)
        bar.start()
        return bar
