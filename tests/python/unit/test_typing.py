"""mypy agrees with the types that users see."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CHECKED = Path(__file__).resolve().parents[1] / "typing"


def test_types(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    command = [sys.executable, "-m", "mypy", "--strict", "--python-version", "3.10"]
    command += ["--config-file", "", "--cache-dir", str(tmp_path / "cache")]
    command += [str(path) for path in sorted(CHECKED.glob("check_*.py"))]
    # Not in the checkout: there mypy would take the sources instead of the installed package.
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
