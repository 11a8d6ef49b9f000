"""What calls of many steps tell a ``progress`` callback, about ten times a second."""

from __future__ import annotations

import time
from typing import Any

__all__ = ["TOLD_EVERY", "Ticks", "check_progress"]

TOLD_EVERY = 0.1  # seconds


def check_progress(progress: Any) -> None:
    """Refuses what cannot be told, before anything is done."""
    if progress is not None and not callable(progress):
        raise TypeError(f"progress must be callable as progress(done, total), not {type(progress).__name__}")


class Ticks:
    """Tells a callback, or nobody, how far a call is."""

    def __init__(self, progress: Any) -> None:
        check_progress(progress)
        self._progress = progress
        self._told = time.monotonic()

    def at(self, done: int, total: int) -> None:
        if self._progress is None:
            return
        now = time.monotonic()
        if now - self._told >= TOLD_EVERY:
            self._told = now
            self._progress(done, total)

    def end(self, size: int) -> None:
        if self._progress is not None:
            self._progress(size, size)
