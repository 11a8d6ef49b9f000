"""What compact() and recover() put beside a store: for whom it is, and what a killed process leaves of it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import simdrive

pytestmark = pytest.mark.skipif(os.name == "nt", reason="files take their rights from their folder; kill is another")

NOBODY = 65534
# Says when the first entries are in the new file, and waits to be killed.
COMPACT = """
import sys, simdrive
def told(done, total):
    print("going", flush=True)
    sys.stdin.read()
with simdrive.Store(sys.argv[1], mode="r") as store:
    store.compact(sys.argv[2], progress=told)
"""


def filled(path: Path) -> Path:
    with simdrive.Store(path) as store:
        for number in range(2000):
            store.write(b"%d" % (number % 1500), b"value %d" % number * 20)
    return path


def damage(path: Path, number: int) -> None:
    at = path.read_bytes().index(b"value %d" % number)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"#")


def rights(path: str | Path) -> tuple[str, int, int]:
    found = Path(path).stat()
    return oct(found.st_mode & 0o7777), found.st_uid, found.st_gid


def test_a_killed_compaction_leaves_no_part_of_a_store(tmp_path: Path) -> None:
    path, target = filled(tmp_path / "store.bin"), tmp_path / "new.bin"
    command = [sys.executable, "-c", COMPACT, str(path), str(target)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"going\n"
            assert not target.exists()
            with simdrive.Store(path) as store, pytest.raises(simdrive.StoreLockedError):
                store.compact(target)
        finally:
            process.kill()
    assert not target.exists()
    left = Path(f"{target}.compact")
    assert left.stat().st_size > 0
    with simdrive.Store(path) as store:
        assert store.compact(target).entries == len(store) == 1500
        with simdrive.Store(target) as made:
            assert made.verify().ok
            assert len(made) == 1500
    assert sorted(found.name for found in tmp_path.iterdir()) == [
        "new.bin", "new.bin.mark", "store.bin", "store.bin.mark"
    ]  # fmt: skip


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o604])
def test_the_new_file_is_for_those_whom_the_old_one_was_for(tmp_path: Path, mode: int) -> None:
    path = filled(tmp_path / "store.bin")
    path.chmod(mode)
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY - 1)
    before = rights(path)
    with simdrive.Store(path) as store:
        store.compact()
        assert rights(path) == before
        store.write(b"more", b"value")
    damage(path, 1000)
    report = simdrive.Store.recover_file(path)
    assert rights(path) == rights(str(report.backup_path)) == before
    damage(path, 1100)
    with simdrive.Store(path) as store:
        report = store.recover()
        assert rights(path) == rights(str(report.backup_path)) == before
    mark = Path(f"{path}.mark")
    mark.unlink()
    with path.open("ab") as file:
        file.write(b"torn")
    with simdrive.Store(path) as store:
        assert rights(str(store.opened.cut_path)) == before
        store.compact(tmp_path / "new.bin")  # is as a store that is made anew
    assert rights(mark) == before
    assert rights(tmp_path / "new.bin") == ("0o600", os.geteuid(), tmp_path.stat().st_gid)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may become somebody else")
@pytest.mark.parametrize(("mode", "narrowed"), [(0o666, "0o666"), (0o626, "0o622"), (0o606, "0o600")])
def test_whoever_may_not_give_the_file_away_lets_nobody_in(mode: int, narrowed: str) -> None:
    """Somebody else compacts, who is in no group of the file: it gets another group, which may do no more."""
    with tempfile.TemporaryDirectory() as folder:  # others cannot enter that of pytest
        Path(folder).chmod(0o777)
        path = filled(Path(folder) / "store.bin")
        path.chmod(mode)
        Path(f"{path}.mark").unlink()
        child = os.fork()
        if child == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            with simdrive.Store(path) as store:
                store.compact()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert rights(path) == (narrowed, NOBODY, NOBODY)
