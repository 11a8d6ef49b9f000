"""The original engine and client as a program: tests/interop, installed by tools/install_interop.sh."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .real_server import cache_dir

PROGRAM = "simdrive-interop"
HOW_TO_GET = "tools/install_interop.sh (needs cargo)"
SOURCES = Path(__file__).resolve().parents[1] / "interop"
TIMEOUT_S = 60


def find_interop() -> Path | None:
    """The program of these sources: SIMDRIVE_INTEROP first, then the cache; None if absent."""
    named = os.environ.get("SIMDRIVE_INTEROP")
    if named:
        path = Path(named)
    else:
        parts = [SOURCES / "Cargo.toml", SOURCES / "Cargo.lock", *sorted((SOURCES / "src").glob("*.rs"))]
        digest = hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()[:16]
        path = cache_dir() / "interop" / digest / "bin" / PROGRAM
    return path if path.is_file() and os.access(path, os.X_OK) else None


class Interop:
    """Calls of the program. Each raises AssertionError, with what it said, when it fails."""

    def __init__(self, program: Path) -> None:
        self._program = program

    def _run(self, *words: str | Path) -> str:
        ended = subprocess.run(
            [self._program, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT_S
        )
        assert ended.returncode == 0, f"{' '.join(map(str, words))}: {ended.returncode}: {ended.stderr[-2000:]}"
        return ended.stdout

    def dump(self, file: Path, script: Path | None = None) -> dict[str, Any]:
        """What the original sees when it opens a file, which it may cut. A script names the keys."""
        dumped: dict[str, Any] = json.loads(self._run("dump", file, *([script] if script else [])))
        return dumped

    def replay(self, calls: Sequence[dict[str, Any]], directory: Path) -> list[dict[str, Any]]:
        """The original's results of a script, which it replays in `directory`."""
        script = directory.with_name(directory.name + ".script.jsonl")
        script.write_text("".join(json.dumps(call) + "\n" for call in calls), encoding="utf-8")
        return [json.loads(line) for line in self._run("replay", script, directory).splitlines()]
