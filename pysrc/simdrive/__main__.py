"""The command line: ``simdrive``, also ``python -m simdrive``."""

from __future__ import annotations

import sys
from typing import NoReturn

from simdrive._cli.loading import Loading

__all__ = ["main"]


def main() -> NoReturn:
    """Runs the command of ``sys.argv`` and ends the process with its exit code."""
    try:
        with Loading(program=True):
            from importlib.util import find_spec

            missing = [name for name in ("click", "rich") if find_spec(name) is None]
            if missing:
                needs = " and ".join(missing)
                sys.stderr.write(f"simdrive: the command line needs {needs}: pip install 'simdrive[cli]'\n")
                sys.exit(2)
            from simdrive._cli.app import run
        run()
    except KeyboardInterrupt:
        sys.exit(130)  # between the two


if __name__ == "__main__":
    main()
