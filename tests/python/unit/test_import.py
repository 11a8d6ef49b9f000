"""What an import brings along."""

from __future__ import annotations

import subprocess
import sys

LOADED = """
import sys
import simdrive
print(*[name for name in ("numpy", "asyncio", "ssl", "logging", "typing_extensions") if name in sys.modules])
"""


def run(script: str) -> str:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True).stdout


def test_import_is_lean() -> None:
    assert run(LOADED).split() == []
