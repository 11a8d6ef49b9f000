"""The command line: ``simdrive``, also ``python -m simdrive``."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import NoReturn

__all__ = ["main"]


def main() -> NoReturn:
    """Runs the command of ``sys.argv`` and ends the process with its exit code."""
    try:
        missing = [name for name in ("click", "rich") if find_spec(name) is None]
        if missing:
            needs = " and ".join(missing)
            sys.stderr.write(f"simdrive: the command line needs {needs}: pip install 'simdrive[cli]'\n")
            sys.exit(2)
        from simdrive._cli.app import run

        run()
    except KeyboardInterrupt:
        sys.exit(130)  # the program was still being loaded


if __name__ == "__main__":
    main()
