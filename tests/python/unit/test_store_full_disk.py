"""Stores on a disk that is really full, a small one in memory (reliability test T5)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[2]
PATH = os.pathsep.join([os.environ.get("PATH", ""), os.defpath])  # a test's own may have few folders


def namespace() -> list[str]:
    """What runs a command with mounts of its own, which end with it: also for users other than root, mostly."""
    root = os.geteuid() == 0
    return ["unshare", "--mount", "--propagation", "private", *([] if root else ["--user", "--map-root-user"])]


@pytest.mark.skipif(sys.platform != "linux", reason="mounts are made as on Linux")
def test_full_disk(tmp_path: Path) -> None:
    if shutil.which("unshare", path=PATH) is None:
        pytest.skip("there is no unshare")
    environment = {**os.environ, "PATH": PATH}
    permitted = subprocess.run(
        [*namespace(), "mount", "-t", "tmpfs", "none", str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if permitted.returncode != 0:
        pytest.skip(f"mounting is not permitted: {permitted.stderr.strip()}")
    done = subprocess.run(
        [*namespace(), sys.executable, "-m", "support.full_disk", str(tmp_path)],
        cwd=TESTS,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1:] == ["passed"]
    assert not list(tmp_path.iterdir()), "it was not mounted for the program alone"
