"""The test vectors: files of inputs and outputs of the real implementation.

SIMDRIVE_VECTORS names another set of the same form: a folder with `wire/` and `storage/`, or one of the two itself.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

_MASK = (1 << 64) - 1


def path(area: str, name: str) -> Path:
    """The file `name` of `area` (`wire` or `storage`). Raises FileNotFoundError when the set lacks it."""
    chosen = os.environ.get("SIMDRIVE_VECTORS")
    root = Path(chosen) if chosen else Path(__file__).resolve().parents[1] / "vectors"
    for candidate in (root / area / name, root / name):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(f"no {area}/{name} in {root}")


def load(area: str, name: str) -> Any:
    """The contents of a JSON file."""
    return json.loads(path(area, name).read_text(encoding="utf-8"))


def generated(seed: int, length: int, base: int, size: int) -> bytes:
    """Bytes of the splitmix64 generator, mapped to base .. base + size - 1."""
    words = bytearray()
    state = seed
    while len(words) < length:
        state = (state + 0x9E3779B97F4A7C15) & _MASK
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        words += (z ^ (z >> 31)).to_bytes(8, "little")
    table = bytes((base + b % size) % 256 for b in range(256))
    return bytes(words[:length]).translate(table)


def data(value: Any) -> bytes:
    """A byte string: hex, or the parameters of the generator."""
    if isinstance(value, str):
        return bytes.fromhex(value)
    return generated(int(value["seed"]), value["len"], value["base"], value["size"])


def matches(actual: bytes, expected: dict[str, Any]) -> bool:
    """Whether bytes are those described in full (`hex`) or by length, digest and excerpts."""
    if "hex" in expected:
        return actual == bytes.fromhex(expected["hex"])
    return (
        len(actual) == expected["len"]
        and hashlib.sha256(actual).hexdigest() == expected["sha256"]
        and actual.startswith(bytes.fromhex(expected.get("head", expected.get("header", ""))))
        and actual.endswith(bytes.fromhex(expected.get("tail", "")))
    )
