"""The same question put to porcupine, a checker written in Go, where Go and the module can be had."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from .histories import Operation, save

_PROGRAM = Path(__file__).resolve().parent / "porcupine"


class NotAvailableError(Exception):
    """Why porcupine cannot be run here."""


def verdicts(history: Iterable[Operation], scratch: Path) -> dict[str, str]:
    """Key -> "Ok", "Illegal" or "Unknown". Raises NotAvailableError without Go or the module."""
    go = shutil.which("go")
    if go is None:
        raise NotAvailableError("go is not installed")
    program, file = scratch / "porcupine", scratch / "history.json"
    if not program.exists():
        command = [go, "build", "-o", str(program), "."]
        try:
            built = subprocess.run(command, cwd=_PROGRAM, capture_output=True, text=True, timeout=120, check=False)
        except subprocess.TimeoutExpired:
            raise NotAvailableError("go build does not end; is there a module proxy?") from None
        if built.returncode != 0:
            raise NotAvailableError(f"porcupine does not build: {built.stderr.strip()[-300:]}")
    save(history, file)
    ended = subprocess.run([program, file], capture_output=True, text=True, timeout=150, check=True)
    answer: dict[str, str] = json.loads(ended.stdout)
    return answer
