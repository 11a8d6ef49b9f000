"""The table of commands in CONTRIBUTING.md is complete, and the dry form of each of them works."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT = ROOT / "CONTRIBUTING.md"
# Parts of other scripts: nobody calls them by themselves.
INTERNAL = {"dry_run.sh", "readme_blocks.py", "check_layers.py"}
# What any system has. A dry run gets nothing else: it must not need the tools that it names.
BASICS = (
    "awk basename bash cat cksum cut date dirname env find getconf grep head id ls mktemp nproc pwd realpath rm sed"
)
BASICS += " sort tail tr uname wc xargs"

if sys.platform != "linux":
    pytest.skip("the scripts are for developers on Linux, and for what CI calls elsewhere", allow_module_level=True)
if not (DOCUMENT.is_file() and (ROOT / "tools" / "check.sh").is_file() and (ROOT / ".ci" / "run").is_file()):
    pytest.skip("no checkout around the tests", allow_module_level=True)


class Row(NamedTuple):
    """One row of the table, with the commands as they are between backquotes."""

    purpose: str
    run: list[str]
    dry: list[str]


def rows() -> list[Row]:
    section = re.search(r"^## Commands$(.*?)^## ", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert section, "CONTRIBUTING.md has no section Commands"
    lines = [line for line in section[1].splitlines() if line.startswith("|")]
    assert lines[0] == "| to | run | dry form |", lines[0]
    table = []
    for line in lines[2:]:
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        assert len(cells) == 3, line
        table.append(Row(cells[0], *(re.findall(r"`([^`]+)`", cell) for cell in cells[1:])))
    return table


ROWS = rows()


def script_of(command: str) -> str:
    """The file of this tree that a command starts, or its program."""
    words = command.split()
    return next((word for word in words[:2] if "/" in word), words[0])


def missing(command: str) -> str | None:
    """The program or module that is not installed here, if any."""
    words = command.split()
    if words[:2] == ["python", "-m"]:
        # Not find_spec: the folder build/ of a checkout looks like a package.
        return None if any(importlib.metadata.distributions(name=words[2])) else words[2]
    if "/" in script_of(command) or words[0] == "python":
        return None
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return None if shutil.which(words[0], path=path) else words[0]


def test_every_row_has_a_command_and_its_dry_form() -> None:
    assert len(ROWS) > 20
    for row in ROWS:
        assert row.run, row.purpose
        assert len(row.dry) == 1, row.purpose
        assert script_of(row.dry[0]) == script_of(row.run[0]), row.purpose


@pytest.mark.parametrize(
    "word", ["set up", "debug build", "release build", "Python tests", "types", "integration", "wheel", "cross proofs"]
)
def test_what_people_look_for_is_there(word: str) -> None:
    assert [row for row in ROWS if word in row.purpose]


def test_every_script_is_in_the_table() -> None:
    scripts = {path.name for path in (ROOT / "tools").iterdir() if path.suffix in {".sh", ".py"}} - INTERNAL
    named = {Path(script_of(command)).name for row in ROWS for command in row.run}
    assert scripts - named == set(), "not in CONTRIBUTING.md"
    for row in ROWS:
        script = script_of(row.run[0])
        assert "/" not in script or (ROOT / script).is_file(), f"{script} does not exist"


@pytest.fixture(scope="module")
def basics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PATH with the programs that any system has, and this Python."""
    folder = tmp_path_factory.mktemp("bin")
    for name in BASICS.split():
        if found := shutil.which(name):
            (folder / name).symlink_to(found)
    for name in ("python", "python3"):
        starter = folder / name
        starter.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        starter.chmod(0o755)
    return folder


@pytest.mark.timeout(60)
@pytest.mark.parametrize("row", ROWS, ids=[row.dry[0] if row.dry else row.purpose for row in ROWS])
def test_dry_form(row: Row, basics: Path, tmp_path: Path) -> None:
    command = row.dry[0]
    if absent := missing(command):
        pytest.skip(f"{absent} is not installed")
    dry = "--dry-run" in command
    path = [str(basics)] if dry else [str(basics), str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "GITHUB_"))},
        "PATH": os.pathsep.join(path),
        "SIMDRIVE_CACHE": str(tmp_path / "cache"),
    }
    ended = subprocess.run(
        ["bash", "-c", command],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.strip()
    assert not list(tmp_path.iterdir()), "a dry form made files"
    if dry:
        others = [line for line in ended.stdout.splitlines() if not line.startswith("+ ")]
        assert not others
        assert ended.stderr == ""


def workflows() -> list[Path]:
    return sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.skipif(not workflows(), reason="no workflows around the tests")
def test_workflows_call_scripts_that_exist() -> None:
    for path in workflows():
        text = path.read_text(encoding="utf-8")
        called = set(re.findall(r"(?:bash|python) (tools/[\w/]+\.(?:sh|py))", text))
        assert called, path.name
        assert [name for name in called if not (ROOT / name).is_file()] == [], path.name
        assert text.count("runs-on:") == text.count("timeout-minutes:"), f"{path.name}: a job without a time limit"
        unpinned = [use for use in re.findall(r"uses: (\S+)", text) if not re.search(r"@(v\d+\.\d+\.\d+|\w{40})$", use)]
        assert unpinned == [], path.name


def test_what_tests_want_is_installed_for_them() -> None:
    """A package that no group has is in no run of CI: the tests that want it would skip for ever."""
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = project["dependency-groups"]
    wanted = {
        name
        for file in (ROOT / "tests").rglob("*.py")
        for name in re.findall(r"importorskip\([\"'](\w+)", file.read_text(encoding="utf-8"))
    }
    assert {"numpy", "pyarrow", "uvloop", "xxhash"} <= wanted
    dev = [each for name in ("test", "lint", "release") for each in groups[name]]
    dev += [each for each in groups["dev"] if isinstance(each, str)]
    assert wanted - sys.stdlib_module_names - {plain_name(each) for each in dev} == set()
    extra = project["project"]["optional-dependencies"]["test"]
    assert [each for each in extra if plain_name(each) != "mypy"] == groups["test"]


def plain_name(requirement: str) -> str:
    found = re.match(r"[\w-]+", requirement)
    assert found, requirement
    return found[0].replace("-", "_")
