"""tools/release.py sees a wheel that the matrix lost or gained, and a tag that does not fit."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "tools" / "release.py"

if not SCRIPT.is_file():
    pytest.skip("no checkout around the tests", allow_module_level=True)


def release(root: Path, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, str(SCRIPT), "--root", str(root), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return ended.returncode, ended.stdout + ended.stderr


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "tools").mkdir()
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "simdrive"\nversion = "1.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## 1.2.0 (2026-11-24)\n\n## 1.1.0 (2026-01-01)\n")
    return tmp_path


def test_tag(checkout: Path) -> None:
    assert release(checkout, "tag", "v1.2.0")[0] == 0
    code, said = release(checkout, "tag", "v1.2.1")
    assert code == 1
    assert "the tag is v1.2.1, but pyproject.toml says 1.2.0" in said
    assert "CHANGELOG" not in said


def test_version_without_a_date(checkout: Path) -> None:
    (checkout / "CHANGELOG.md").write_text("## 1.2.0 (not released)\n")
    code, said = release(checkout, "tag", "v1.2.0")
    assert code == 1
    assert "CHANGELOG.md has no heading '## 1.2.0 (YYYY-MM-DD)'" in said


def test_matrix(checkout: Path) -> None:
    pytest.importorskip("cibuildwheel")
    (checkout / "cibuildwheel.toml").write_text((ROOT / "cibuildwheel.toml").read_text(encoding="utf-8"))
    listed = (ROOT / "tools" / "wheel_matrix.txt").read_text(encoding="utf-8")
    (checkout / "tools" / "wheel_matrix.txt").write_text(listed.replace("cp312-win32\n", "cp312-win33\n"))
    code, said = release(checkout, "matrix")
    assert code == 1
    assert re.findall(r"^[-+]cp.*", said, re.MULTILINE) == ["-cp312-win33", "+cp312-win32"]


def test_matrix_without_its_tool() -> None:
    command = [sys.executable, "-I", "-S", str(SCRIPT), "matrix"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("release: matrix was not compared: it needs cibuildwheel")


def test_version_is_that_of_the_tree() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", release(ROOT, "version")[1])
