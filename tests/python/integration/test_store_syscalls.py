"""System calls of the shipped module fail: what was acknowledged is there afterwards, and what was refused is not.

strace makes calls fail before the kernel sees them; libfiu, between the module and the C library, also cuts them short.
"""

from __future__ import annotations

import itertools
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import simdrive
from support.amounts import amount
from support.store_survivor import LARGEST
from support.store_writer import KEYS, Step, steps, value_of

ROUNDS = amount(5, 50)
CALLS = 40
TESTS = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="strace and libfiu are for Linux"),
    pytest.mark.amounts,
    pytest.mark.timeout(60 + 10 * ROUNDS),
]

State = dict[bytes, set["tuple[int, int] | None"]]  # what each key may have

STRACE = {
    "write-full": ["pwrite64,pwritev:error=ENOSPC"],
    "write-broken": ["pwrite64,pwritev:error=EIO"],
    "sync": ["fdatasync,fsync:error=EIO"],
    "rollback": ["pwrite64,pwritev:error=ENOSPC", "ftruncate:error=EIO"],
    "rename": ["rename:error=EIO"],
}
FIU = {
    "write-full": ["rw/pwritev,28,0.2", "rw/pwrite,28,0.2"],
    "write-short": ["rw/pwritev/reduce,0,0.5", "rw/pwrite/reduce,0,0.5"],
    "write-short-then-full": ["rw/pwritev/reduce,0,0.5", "rw/pwritev,28,0.2"],
    "sync": ["sync/fdatasync,5,0.3", "sync/fsync,5,0.3"],
    "rollback": ["rw/pwritev/reduce,0,0.5", "rw/pwritev,5,0.2", "rw/ftruncate,5,0.5"],
}


def needed(tool: str, package: str) -> str:
    """The tool. It is small and everywhere, so a machine without it is not passed over."""
    path = shutil.which(tool)
    assert path is not None, f"no {tool}: tools/system_packages.sh build installs {package}"
    return path


@pytest.fixture(scope="module")
def strace() -> str:
    path = needed("strace", "strace")
    tried = subprocess.run([path, "-qq", "-o", "/dev/null", "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"tracing is not permitted: {tried.stderr.strip()}")
    return path


@pytest.fixture(scope="module")
def fiu() -> str:
    return needed("fiu-run", "fiu-utils")


def new_store(tmp_path: Path) -> Path:
    """An empty store in a folder of its own."""
    path = tmp_path / "store" / "s.bin"
    path.parent.mkdir()
    simdrive.Store(path).close()
    return path


def survive(prefix: list[str], path: Path, seed: int, sync: str) -> list[str]:
    """What came of each call, when they are carried out behind that prefix."""
    command = [*prefix, sys.executable, "-m", "support.store_survivor", str(path), str(seed), sync, str(CALLS)]
    done = subprocess.run(command, cwd=TESTS, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert len([line for line in lines if not line.startswith("# ")]) == CALLS, done.stdout
    return lines


def writes_of(lines: list[str]) -> int:
    """Writing system calls that these took."""
    return int(lines[-1].removeprefix("# writes: "))


def advance(state: State, step: Step, came: str) -> None:
    """Add what the call may have done. A batch may have been cut short, so its keys are seen one by one."""
    for key, made in step[1].items():
        if came == "ok":
            state[key] = {made}
        elif came == "unknown":
            state[key] = state[key] | {made}


def check(path: Path, state: State, lines: list[str], seed: int) -> None:
    """Open the store without faults, and compare."""
    outcomes = [line.split("\t")[0] for line in lines if not line.startswith("# ")]
    for step, came in zip(itertools.islice(steps(seed, LARGEST), CALLS), outcomes, strict=True):
        assert came in {"ok", "not applied", "unknown"}
        advance(state, step, came)
    story = "\n".join(lines)
    with simdrive.Store(path, verify=True) as store:
        assert store.verify().ok, story
        for key in KEYS:
            found = store.read(key)
            wanted = [None if made is None else value_of(*made) for made in state[key]]
            assert found in wanted, f"{key!r}\n{story}"
            # What is there now is certain from here on.
            state[key] = {made for made, value in zip(state[key], wanted, strict=True) if value == found}
    assert {item.name for item in path.parent.iterdir() if ".cut-" not in item.name} <= {"s.bin", "s.bin.mark"}


@pytest.mark.parametrize("case", STRACE)
def test_strace(case: str, strace: str, tmp_path: Path) -> None:
    path, log = new_store(tmp_path), tmp_path / "log"
    state: State = {key: {None} for key in KEYS}
    chance = random.Random(case)
    failed = 0
    for seed in range(ROUNDS):
        prefix = [strace, "-f", "--seccomp-bpf", "-qq", "-o", str(log), "-e", "signal=none"]
        traced = []
        for fault in STRACE[case]:
            # Steps longer than an opening has calls: else each try would fail at the same place.
            when = f"{chance.randrange(2, 6)}+{chance.choice([7, 11, 13])}" if case != "rename" else "1+2"
            prefix += ["-e", f"inject={fault}:when={when}"]
            traced.append(fault.split(":")[0])
        lines = survive([*prefix, "-e", "trace=" + ",".join(traced)], path, seed, ("none", "always", "batch")[seed % 3])
        failed += len(re.findall(r"\(INJECTED\)", log.read_text()))
        check(path, state, lines, seed)
    assert failed >= ROUNDS


@pytest.mark.parametrize("case", FIU)
def test_libfiu(case: str, fiu: str, tmp_path: Path) -> None:
    path = new_store(tmp_path)
    state: State = {key: {None} for key in KEYS}
    failures = more_writes = 0
    for seed in range(ROUNDS):
        prefix = [fiu, "-x", "-f", str(tmp_path / "control")]
        for fault in FIU[case]:
            name, failinfo, probability = fault.split(",")
            prefix += ["-c", f"enable_random name=posix/io/{name},probability={probability},failinfo={failinfo}"]
        sync = ("always", "none", "batch")[seed % 3]
        lines = survive(prefix, path, seed, sync)
        failures += sum(not line.startswith(("ok", "# writes")) for line in lines)
        check(path, state, lines, seed)
        if case == "write-short" and sync != "batch":  # which writes its mark now and then
            more_writes += writes_of(lines) - writes_of(survive([], path.parent / "whole", seed, sync))
            for left in path.parent.glob("whole*"):
                left.unlink()
    if case == "write-short":
        assert failures == 0, "what was cut short has been written to the end"
        assert more_writes > CALLS, "nothing was cut short"
    else:
        assert failures > 0
