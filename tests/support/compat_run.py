"""Runs compat_script.py with the existing package or with ours, against a real server of its own.

    python tests/support/compat_run.py

writes compat_expected.json and compat_surface.json anew from the existing package (tools/install_compat.sh gets it).
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.ports import HOST
from support.real_server import RealServer, cache_dir

DISTRIBUTION, VERSION = "simd-r-drive-ws-client", "0.11.1a0"
# The newest server that the existing package can talk to.
SERVER = "0.16.2-alpha"
VARIABLE = "SIMDRIVE_COMPAT_PYTHON"
HERE = Path(__file__).resolve().parent
SCRIPT = HERE / "compat_script.py"
SURFACE_SCRIPT = HERE / "compat_surface.py"
EXPECTED = HERE / "compat_expected.json"
SURFACE = HERE / "compat_surface.json"

HOW_TO_GET = f"run tools/install_compat.sh, or name an interpreter that has {DISTRIBUTION}=={VERSION} in {VARIABLE}"


def find_python() -> Path | None:
    """An interpreter that has the existing package: SIMDRIVE_COMPAT_PYTHON first, then the cache; None if absent."""
    named = os.environ.get(VARIABLE)
    path = Path(named) if named else cache_dir() / "compat" / VERSION / "bin" / "python"
    return path if path.is_file() and os.access(path, os.X_OK) else None


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def surface_of_real(python: Path) -> Any:
    """The surface of the existing package."""
    done = subprocess.run(
        [python, "-I", SURFACE_SCRIPT, "real"], capture_output=True, text=True, timeout=60, check=True
    )
    return json.loads(done.stdout)


def run_script(python: str | Path, which: str, server: RealServer, *options: str, silence: float = 30) -> list[Any]:
    """The lines of the script, after doing to the server what it asks for; `silence`: the longest wait for one."""
    isolation = ["-I"] if which == "real" else []
    command = [python, *isolation, SCRIPT, which, HOST, str(server.port), *options]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )
    assert process.stdin is not None
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    errors: list[str] = []

    def forward() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    def keep_errors() -> None:
        assert process.stderr is not None
        errors.extend(process.stderr)

    threads = [threading.Thread(target=forward, daemon=True), threading.Thread(target=keep_errors, daemon=True)]
    for thread in threads:
        thread.start()
    result = []
    try:
        while (line := lines.get(timeout=silence)) is not None:
            said = json.loads(line)
            if "do" in said:
                getattr(server, said["do"])()
                process.stdin.write("\n")
                process.stdin.flush()
            else:
                result.append(said)
        code = process.wait(timeout=silence)
    except queue.Empty:
        raise TimeoutError(f"{which}: nothing for {silence:g} s after {result[-1:]}") from None
    finally:
        process.kill()
        process.wait(timeout=10)
        for thread in threads:
            thread.join(timeout=10)
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
    if code != 0:
        raise RuntimeError(f"{which}: the script ended with {code}: {''.join(errors)[-2000:]}")
    return result


def write_json(path: Path, lines: list[Any]) -> None:
    path.write_text("[\n" + ",\n".join(json.dumps(line) for line in lines) + "\n]\n", encoding="ascii")


def main() -> None:
    python = find_python()
    if python is None:
        sys.exit(f"the existing package is not there: {HOW_TO_GET}")
    SURFACE.write_text(json.dumps(surface_of_real(python), indent=1) + "\n", encoding="ascii")
    with RealServer(SERVER) as server:
        write_json(EXPECTED, run_script(python, "real", server))


if __name__ == "__main__":
    main()
