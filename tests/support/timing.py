"""Deadlines of calls, measured."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

# What a call may take beyond its deadline. Sanitizer builds and busy machines may ask for more.
SLACK = float(os.environ.get("SIMDRIVE_TEST_SLACK", "0.1"))
BUSY = max(0.0, SLACK - 0.1)  # what they ask for


@contextmanager
def within(limit: float, *, least: float = 0.0) -> Iterator[None]:
    """The block ends at most `SLACK` after its limit, and not before `least`."""
    start = time.monotonic()
    yield
    elapsed = time.monotonic() - start
    assert elapsed <= limit + SLACK, f"{elapsed:.3f} s, the deadline was {limit:g} s"
    assert elapsed >= least, f"{elapsed:.3f} s, that is before {least:g} s"
