"""What a release must be, compared with what there is. Needs Python only, `matrix` also cibuildwheel.

python tools/release.py version           the version, from pyproject.toml
python tools/release.py tag TAG           TAG is "v" and that version, and CHANGELOG.md has dated it
python tools/release.py matrix            cibuildwheel.toml gives the wheels of tools/wheel_matrix.txt

Whether the files of a release are these wheels, tools/check_wheel.py --matrix says.
"""

from __future__ import annotations

import argparse
import difflib
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MATRIX = "tools/wheel_matrix.txt"
PLATFORMS = ("linux", "macos", "windows")


def version(root: Path) -> str:
    """The one place that says it is pyproject.toml; read as CMake reads it, since Python 3.10 has no TOML."""
    found = re.search(r'^version = "(.+)"$', (root / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    if not found:
        raise SystemExit(f'release: {root / "pyproject.toml"} has no line version = "..."')
    return found[1]


def check_matrix(root: Path) -> list[str]:
    """A selector that matches nothing is no error to cibuildwheel, so that every identifier is compared."""
    want = (root / MATRIX).read_text(encoding="utf-8").split()
    have: list[str] = []
    if find_spec("cibuildwheel") is None:
        raise SystemExit(
            "release: matrix was not compared: it needs cibuildwheel (Python 3.11 or newer, and the group `dev`)"
        )
    for platform in PLATFORMS:
        command = [sys.executable, "-m", "cibuildwheel", "--print-build-identifiers", "--platform", platform]
        ended = subprocess.run(
            [*command, "--config-file", "cibuildwheel.toml", "."], cwd=root, capture_output=True, text=True, check=False
        )
        if ended.returncode != 0:
            raise SystemExit(
                f"{ended.stderr.strip()}\n"
                f"release: matrix was not compared: cibuildwheel failed for {platform} with status {ended.returncode}"
            )
        have += sorted(ended.stdout.split())
    return list(difflib.unified_diff(want, have, MATRIX, "cibuildwheel.toml", lineterm="", n=1))


def check_tag(root: Path, tag: str) -> list[str]:
    """The tag, pyproject.toml and CHANGELOG.md name one version."""
    of_version = version(root)
    problems = []
    if tag != f"v{of_version}":
        problems.append(f"the tag is {tag}, but pyproject.toml says {of_version}, whose tag is v{of_version}")
    heading = rf"^## {re.escape(of_version)} \(\d{{4}}-\d{{2}}-\d{{2}}\)$"
    if not re.search(heading, (root / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE):
        problems.append(f"CHANGELOG.md has no heading '## {of_version} (YYYY-MM-DD)'")
    return problems


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints what is wrong and returns 1, or says that all is as it must be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["version", "tag", "matrix"])
    parser.add_argument("tag", nargs="?", metavar="TAG")
    parser.add_argument("--root", type=Path, default=ROOT, help="another checkout")
    given = parser.parse_args(arguments)
    if (given.tag is not None) != (given.what == "tag"):
        parser.error("`tag` takes one argument, the others none")
    if given.what == "version":
        print(version(given.root))
        return 0
    problems = check_matrix(given.root) if given.what == "matrix" else check_tag(given.root, given.tag)
    if problems:
        print(f"release: {given.what} is not as it must be:", *problems, sep="\n", file=sys.stderr)
        return 1
    print(f"release: {given.what}: as it must be, version {version(given.root)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
