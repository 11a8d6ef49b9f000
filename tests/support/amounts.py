"""How much some tests try: less with each change, more at night. tests/cpp/support/amounts.hpp is the same.

``SIMDRIVE_TEST_AMOUNTS`` is ``change`` (or absent), or ``nightly``.
"""

from __future__ import annotations

import os

VARIABLE = "SIMDRIVE_TEST_AMOUNTS"
NAMES = ("change", "nightly")


def amount(change: int, nightly: int) -> int:
    """The one that was asked for."""
    name = os.environ.get(VARIABLE) or "change"
    if name not in NAMES:
        raise ValueError(f"{VARIABLE}={name}: not one of {', '.join(NAMES)}")
    return nightly if name == "nightly" else change
