"""The fixtures that the package brings, in test runs of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import simdrive

PROGRAM = """
import pytest
import simdrive

def test_one(simdrive_client, simdrive_server):
    assert len(simdrive_client) == 0
    simdrive_client.write(b"key", b"value")
    assert simdrive_server.stats().entries == 1

def test_two(simdrive_client):
    assert len(simdrive_client) == 0
    assert simdrive_client.read(b"key") is None

def test_store(simdrive_store, tmp_path):
    simdrive_store.write(b"key", b"value")
    assert (tmp_path / "store.bin").stat().st_size == simdrive_store.file_size()
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_program.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), *arguments]
    return subprocess.run([*command, folder], capture_output=True, text=True, timeout=120, check=False, cwd=folder)


def test_fixtures(tmp_path: Path) -> None:
    ran = run(tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "3 passed" in ran.stdout


def test_another_server(tmp_path: Path) -> None:
    with simdrive.MemoryStore() as store, simdrive.Server(store) as server:
        ran = run(tmp_path, "--simdrive-url", server.url, "-rs")
        assert store.read(b"key") is None
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "2 passed, 1 skipped" in ran.stdout


def test_what_is_kept(tmp_path: Path) -> None:
    ran = run(tmp_path, "--simdrive-keep")
    assert ran.returncode == 1
    assert "test_two" in ran.stdout
