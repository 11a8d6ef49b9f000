"""Calls of the command line in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from simdrive._cli.app import cli

Run = Callable[..., Result]


def run(*arguments: str | Path, url: str | Path | None = None, code: int = 0, data: bytes = b"value") -> Result:
    """Calls the program and checks its exit code, and that it shows no traceback."""
    where = [] if url is None else ["--url", str(url)]
    result = CliRunner().invoke(cli, [*where, *map(str, arguments)], input=data)
    assert result.exit_code == code, (result.stdout, result.stderr)
    assert "Traceback" not in result.stderr
    return result


def one_line(result: Result) -> str:
    """The message, which is all of standard error; nothing is on standard output."""
    assert result.stdout_bytes == b""
    assert result.stderr.startswith("simdrive: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def document(result: Result) -> Any:
    """The JSON on standard output."""
    assert result.stdout.endswith("\n")
    return json.loads(result.stdout)


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a folder and its subfolders, by their names within it."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }
