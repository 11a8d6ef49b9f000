"""The memory that this process has, and data to fill it with."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from pathlib import Path

import pytest

MIB = 1 << 20

on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def _pages(column: int) -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[column]) * os.sysconf("SC_PAGESIZE")


def resident_bytes() -> int:
    """Bytes of memory in use, by the system's count."""
    return _pages(1)


def settled_bytes() -> int:
    """The same without what Python and the C library keep for reuse, where they can be told to give it back."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc: each thread's heap keeps what it has freed
    if trim is not None:
        trim(0)
    return resident_bytes()


def virtual_bytes() -> int:
    """Bytes of addresses in use."""
    return _pages(0)


def data_of(size: int) -> bytes:
    """So many bytes; those in different places of a page differ."""
    return (bytes(range(1, 252)) * (size // 251 + 1))[:size]
