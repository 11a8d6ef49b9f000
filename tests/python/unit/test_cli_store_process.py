"""export and import as processes that end in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import simdrive
from support.cli_calls import contents, run

# Stops where a value has been written, and goes on when its standard input ends.
STOPPING = """
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)
for name in ("SIGTERM", "SIGHUP"):
    signal.signal(getattr(signal, name), signal.SIG_DFL)
from simdrive._cli import progress

def stop(*_arguments):
    print("here", flush=True)
    sys.stdin.read()

progress.Bar.moved = stop
from simdrive.__main__ import main
main()
"""
pytestmark = pytest.mark.skipif(os.name == "nt", reason="a process cannot be sent these signals")
SIGNALS = [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129), ("SIGKILL", -9)]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The file of a store with two values, an export of it, and nothing else in the folder."""
    with simdrive.Store(tmp_path / "store.bin") as made:
        made.batch_write({b"a": b"value of a", b"b": b"value of b"})
    run("export", tmp_path / "store.bin", tmp_path / "values")
    return tmp_path / "store.bin"


def ended_in_the_middle(words: list[str | Path], name: str) -> tuple[int, bytes]:
    """Exit code and errors of a command that gets a signal when a value is written."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SIMDRIVE_")}
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPING, *map(str, words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        process.send_signal(getattr(signal, name))
        process.wait(timeout=20)
        errors = process.communicate(timeout=20)[1]
    finally:
        process.kill()
        process.wait()
    return process.returncode, errors


@pytest.mark.parametrize(("name", "code"), SIGNALS)
def test_an_export_that_ends_early(store: Path, tmp_path: Path, name: str, code: int) -> None:
    before = contents(tmp_path)
    ended, errors = ended_in_the_middle(["export", store, tmp_path / "new"], name)
    assert ended == code
    assert errors == (f"simdrive: export {store}: interrupted\n".encode() if name == "SIGINT" else b"")
    if name == "SIGKILL":  # what is left is no export, and the next one takes it away
        run("import", tmp_path / "new", tmp_path / "copy.bin", code=6)
        run("export", store, tmp_path / "new", code=2)
        run("export", store, tmp_path / "new", "--force")
        assert contents(tmp_path / "new") == contents(tmp_path / "values")
    else:
        assert contents(tmp_path) == before
        assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("name", "code"), SIGNALS)
def test_an_import_that_ends_early(store: Path, tmp_path: Path, name: str, code: int) -> None:
    before = contents(tmp_path)
    ended, errors = ended_in_the_middle(["import", tmp_path / "values", tmp_path / "copy.bin"], name)
    assert ended == code
    assert errors == (f"simdrive: import {tmp_path / 'values'}: interrupted\n".encode() if name == "SIGINT" else b"")
    assert not (tmp_path / "copy.bin").exists()
    if name != "SIGKILL":
        assert contents(tmp_path) == before
    run("import", tmp_path / "values", tmp_path / "copy.bin")
    assert (tmp_path / "copy.bin").read_bytes() == store.read_bytes()
