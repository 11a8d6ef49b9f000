"""What the README shows of the command line does what it says, in a shell, with a real server."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from simdrive._cli.app import cli
from support.real_server import RealServer

README = Path(__file__).resolve().parents[3] / "README.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What the comments of the block say is printed.
PRINTED = {
    "simdrive get greeting": "hello",
    "simdrive exists": "true",
    "simdrive --url notes.bin get shopping": "milk",
}
# Shown in other sections, and run by test_cli_serve.
ELSEWHERE = {"demo", "serve"}
# What they tell besides.
NOTE = re.compile(r"simdrive: (?:m?get|m?put|export|import) .*(?:written to|stored|a new store)")


def section() -> str:
    text = README.read_text(encoding="utf-8") if README.exists() else ""
    found = re.search(r"^## Command line\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if found is None:
        pytest.skip("README.md has no section 'Command line'")
    return found[1]


def commands() -> str:
    """The lines of the section's shell blocks, those that install left out."""
    lines = "".join(BLOCK.findall(section())).splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("pip install "))


def test_every_command_is_shown() -> None:
    shown = re.sub(r" #.*", "", commands())
    assert set(re.findall(r"\bsimdrive (?:--(?:timeout|url) \S+ )?([a-z]+)", shown)) == set(cli.commands) - ELSEWHERE
    text = README.read_text(encoding="utf-8")
    assert all(f"simdrive {name}" in text for name in ELSEWHERE)


@pytest.mark.skipif(os.name == "nt" or shutil.which("bash") is None, reason="no bash")
def test_the_commands_run(own_server: RealServer, tmp_path: Path) -> None:
    programs, home = tmp_path / "bin", tmp_path / "home"
    programs.mkdir()
    home.mkdir()
    # Whether the package's own script is on PATH or not.
    program = programs / "simdrive"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m simdrive "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "SIMDRIVE_URL": own_server.url,
    }
    # -x: each command is printed before it runs, so that its output can be told from that of the others.
    ended = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", "exec 2>&1\n" + commands()],
        capture_output=True,
        text=True,
        timeout=240,
        cwd=home,
        env=environment,
    )
    assert ended.returncode == 0, ended.stdout
    lines = ended.stdout.splitlines()
    for command, output in PRINTED.items():
        at = next(number for number, line in enumerate(lines) if line.startswith(f"+ {command}"))
        assert lines[at + 1] == output, ended.stdout
    assert "simdrive: " not in NOTE.sub("", ended.stdout)
