"""What an import costs, and what it brings along."""

from __future__ import annotations

import subprocess
import sys

TIMED = """
import time
start = time.perf_counter()
import simdrive
print((time.perf_counter() - start) * 1000)
"""

LOADED = """
import sys
import simdrive
print(*[name for name in ("numpy", "asyncio", "ssl", "logging", "typing_extensions") if name in sys.modules])
"""


def run(script: str) -> str:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True).stdout


def test_import_is_quick() -> None:
    best = min(float(run(TIMED)) for _ in range(5))
    print(f"import simdrive: {best:.1f} ms (best of 5)")
    # The promise is 40 ms on an idle machine; an editable install may look for something to rebuild first.
    assert best < 400


def test_import_is_lean() -> None:
    assert run(LOADED).split() == []
