"""Stores on a disk that is really full, a small one in memory (reliability test T5)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[2]


def program(name: str) -> str:
    """Where it is, also when PATH is of few folders."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), os.defpath]))
    if found is None:
        pytest.skip(f"there is no {name}")
    return found


def namespace() -> list[str]:
    """What runs a command with mounts of its own, which end with it: also for users other than root, mostly."""
    root = os.geteuid() == 0
    return [program("unshare"), "--mount", "--propagation", "private", *([] if root else ["--user", "--map-root-user"])]


@pytest.mark.skipif(sys.platform != "linux", reason="mounts are made as on Linux")
def test_full_disk(tmp_path: Path) -> None:
    permitted = subprocess.run(
        [*namespace(), program("mount"), "-t", "tmpfs", "none", str(tmp_path)], capture_output=True, text=True, check=False
    )
    if permitted.returncode != 0:
        pytest.skip(f"mounting is not permitted: {permitted.stderr.strip()}")
    done = subprocess.run(
        [*namespace(), sys.executable, "-m", "support.full_disk", str(tmp_path)],
        cwd=TESTS,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1:] == ["passed"]
    assert not list(tmp_path.iterdir()), "it was not mounted for the program alone"
