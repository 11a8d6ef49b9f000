"""tools/free_threaded.sh without an interpreter that it could use."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "tools" / "free_threaded.sh"
PROGRAMS = "bash cat dirname env grep head id mkdir rm tail"

if sys.platform != "linux":
    pytest.skip("the script is for developers on Linux", allow_module_level=True)
if not (SCRIPT.is_file() and (ROOT / ".ci" / "run").is_file()):
    pytest.skip("no checkout around the tests", allow_module_level=True)


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """What PATH leads to: no Python, no apt."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in PROGRAMS.split():
        found = shutil.which(name)
        assert found, name
        (folder / name).symlink_to(found)
    return folder


def add_apt(programs: Path, lists: Path) -> None:
    """An apt that has a mirror and gets nothing from it."""
    (lists / "sources.list").write_text("deb http://mirror.invalid/debian trixie main\n", encoding="utf-8")
    apt = programs / "apt-get"
    apt.write_text("#!/bin/bash\necho 'E: no such host' >&2\nexit 100\n", encoding="utf-8")
    apt.chmod(0o755)


def run(programs: Path, tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    lists = tmp_path / "lists"
    environment = {"PATH": str(programs), "HOME": str(tmp_path), "APT_LISTS": str(lists)}
    return subprocess.run(
        ["bash", str(SCRIPT), *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_nothing_was_asked_for(programs: Path, tmp_path: Path) -> None:
    done = run(programs, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "free_threaded: skipped: no free-threaded Python" in done.stdout


def test_cannot_be_obtained(programs: Path, tmp_path: Path) -> None:
    """Neither where there is no apt, nor where apt has no Debian mirror."""
    (tmp_path / "lists").mkdir()
    done = run(programs, tmp_path, "--obtain")
    assert done.returncode == 0
    assert "--obtain needs apt-get" in done.stdout
    add_apt(programs, tmp_path / "lists")
    (tmp_path / "lists" / "sources.list").write_text("deb http://mirror.invalid/ubuntu noble main\n", encoding="utf-8")
    done = run(programs, tmp_path, "--obtain")
    assert done.returncode == 0
    assert "--obtain needs a Debian mirror" in done.stdout


def test_a_failure_to_obtain_it_is_one(programs: Path, tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    add_apt(programs, tmp_path / "lists")
    done = run(programs, tmp_path, "--obtain")
    assert done.returncode == 1
    assert "free_threaded: FAILED" in done.stderr
    assert "E: no such host" in done.stderr
