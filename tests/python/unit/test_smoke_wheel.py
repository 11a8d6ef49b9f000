"""tools/smoke_wheel.py passes with an installed package, and only with one."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import simdrive
import simdrive._core

SCRIPT = Path(__file__).resolve().parents[3] / "tools" / "smoke_wheel.py"
PACKAGE = Path(str(simdrive.__file__)).resolve().parent
CORE = Path(str(simdrive._core.__file__)).resolve()

pytestmark = pytest.mark.skipif(not SCRIPT.is_file(), reason="the suite runs without tools/")


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """From an empty folder, with the package and nothing else to be found in `folder`."""
    (folder / "empty").mkdir()
    start = f"import runpy, sys; sys.path.insert(0, {str(folder)!r}); sys.argv = {[str(SCRIPT), *arguments]!r}"
    command = [sys.executable, "-I", "-S", "-c", f"{start}; runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"]
    return subprocess.run(command, cwd=folder / "empty", capture_output=True, text=True, timeout=180, check=False)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder with what a wheel holds."""
    without = shutil.ignore_patterns("*.pyx", "*.pxd", "*.pxi", "__pycache__", "*.so", "*.pyd")
    shutil.copytree(PACKAGE, tmp_path / "simdrive", ignore=without)
    shutil.copy(CORE, tmp_path / "simdrive")
    return tmp_path


def test_passes(installed: Path) -> None:
    ended = run(installed, "--version", simdrive.__version__)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stderr == ""
    last = ended.stdout.splitlines()[-1]
    assert last.startswith(f"smoke: ok: simdrive {simdrive.__version__} on Python ")
    assert re.search(r"; [1-9]\d* replies in d13, d21$", last)


def test_other_version_is_a_failure(installed: Path) -> None:
    ended = run(installed, "--version", "9.9.9")
    assert ended.returncode == 1
    assert "smoke: FAILED: version: expected '9.9.9'" in ended.stderr


def test_wrong_hash_is_a_failure(installed: Path) -> None:
    with (installed / "simdrive" / "hashing.py").open("a", encoding="ascii") as file:
        file.write("\n\ndef crc32(data, value=0):\n    return 1\n")
    ended = run(installed)
    assert ended.returncode == 1
    assert "smoke: FAILED: crc32 on " in ended.stderr


@pytest.mark.parametrize("trace", ["pyproject.toml", "simdrive/_core.pyx"])
def test_source_tree_is_refused(installed: Path, trace: str) -> None:
    (installed / trace).touch()
    ended = run(installed)
    assert ended.returncode == 1
    assert "source tree" in ended.stderr


def test_missing_package_is_named(tmp_path: Path) -> None:
    ended = run(tmp_path)
    assert ended.returncode == 1
    assert "cannot be imported" in ended.stderr
