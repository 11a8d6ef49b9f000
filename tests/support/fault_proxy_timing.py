"""How late the machine itself runs what is due, so that a busy one is not taken for a late client."""

from __future__ import annotations

import threading
import time
from types import TracebackType

from .timing import SLACK

_STEP = 0.005
_ORDINARY = 0.002  # a timer is never exact


class LagMeter:
    """A thread that wants to run every 5 ms from entry to exit, and notes by how much it came too late.

    It competes for the processor and for the interpreter as the callers do. What it was late by after a deadline is
    the baseline that a call's lateness is measured against.
    """

    def __init__(self) -> None:
        self._late: list[tuple[float, float]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lag meter", daemon=True)

    def __enter__(self) -> LagMeter:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(5)

    def _run(self) -> None:
        due = time.monotonic() + _STEP
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            now = time.monotonic()
            if now - due > _ORDINARY:
                self._late.append((due, now))
            due = now + _STEP

    def lag(self, since: float, until: float) -> float:
        """Seconds of this span in which the meter was due and did not run."""
        return sum(max(0.0, min(end, until) - max(start, since)) for start, end in list(self._late))

    def check(self, what: str, started: float, ended: float, limit: float) -> None:
        """Assert that something ended at most `SLACK` after its limit, the machine's own lag not counted.

        The lag counts from the last quarter of the time allowed on, since a wait that is started late ends late.
        """
        allowed = limit + SLACK + self.lag(started + 0.75 * limit, ended)
        took = ended - started
        assert took <= allowed, (
            f"{what}: {took:.3f} s, the deadline was {limit:g} s (and {allowed - limit:.3f} s slack)"
        )
