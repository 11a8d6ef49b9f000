"""What the hash tests share: bytes to hash, and each implementation in turn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from simdrive import hashing
from support.vectors import generated

BACKENDS = ("scalar", "sse2", "avx2", "avx512", "neon")
LENGTH_MAX = 4096
SEEDS = (0, 1, 0x9E3779B97F4A7C15, 2**64 - 1)
NOGIL_MIN = 16384
DATA = generated(2024, 2 * NOGIL_MIN, 0, 256)


@contextmanager
def running_on(name: str) -> Iterator[str]:
    """Hash with this implementation meanwhile; skips the test where the CPU has no such instructions."""
    if name not in hashing.backends():
        pytest.skip(f"this CPU cannot run the hash backend {name}; it can run {', '.join(hashing.backends())}")
    before = hashing.backend()
    hashing.set_backend(name)
    try:
        yield name
    finally:
        hashing.set_backend(before)
