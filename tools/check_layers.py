#!/usr/bin/env python3
"""Checks who includes whom: layers, third-party headers, public headers, and what Cython and Python may see.

Prints every include that breaks a rule and exits with 1 if there is one.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

# A layer may include itself and these.
LAYERS: dict[str, frozenset[str]] = {
    "base": frozenset(),
    "hash": frozenset({"base"}),
    "codec": frozenset({"base"}),
    "rpc": frozenset({"base", "hash"}),
    "wire": frozenset({"base", "codec", "rpc"}),
    "store": frozenset({"base", "hash"}),
    "net": frozenset({"base"}),
    "client": frozenset({"base", "hash", "codec", "rpc", "net"}),
    "server": frozenset({"base", "hash", "codec", "rpc", "net", "store"}),
}
# Layers that need no file, socket, clock or thread: bytes come in and go out as arguments.
PURE = frozenset({"hash", "codec", "rpc", "wire"})
IMPURE_STD = frozenset({"chrono", "condition_variable", "filesystem", "fstream", "future", "iostream", "thread"})
# Third-party headers, by their first folder, and the one layer that may see each.
THIRD_PARTY = {"boost": "net", "openssl": "net", "xsimd": "hash"}
# Public headers that belong to a layer; the others (bytes, error, version) are everybody's.
OWNED_HEADERS = {
    "build_info.hpp": "client",
    "hash.hpp": "hash",
    "wire.hpp": "wire",
    "store.hpp": "store",
    "client.hpp": "client",
    "server.hpp": "server",
}

INCLUDE = re.compile(r'^\s*#\s*include\s*(<[^>]+>|"[^"]+")', re.MULTILINE)
EXTERN = re.compile(r'^\s*cdef extern from\s+(<[^>]+>|"[^"]+"|\'[^\']+\')', re.MULTILINE)
PRIVATE_IMPORT = re.compile(r"^\s*from\s+(simdrive\.[a-z]\w*|\.[a-z]\w*)\s+import\s+(.*\b_[A-Za-z]\w*)", re.MULTILINE)


def includes_of(path: Path) -> Iterator[tuple[int, str, bool]]:
    """Line number, name and whether it is in angle brackets, for each include of a C++ file."""
    text = path.read_text(encoding="ascii")
    for match in INCLUDE.finditer(text):
        token = match.group(1)
        yield text.count("\n", 0, match.start(1)) + 1, token[1:-1], token[0] == "<"


def fault_of_system(layer: str, name: str) -> str | None:
    top = name.split("/")[0]
    if top in THIRD_PARTY:
        return None if layer == THIRD_PARTY[top] else f"only {THIRD_PARTY[top]} may include {top}"
    if top == "Python.h":
        return "the C++ library knows no Python"
    if layer in PURE and name in IMPURE_STD:
        return f"{layer} is pure: no {name}"
    # Intrinsics are named *intrin.h, arm_neon.h or arm_acle.h; every other .h is a system interface.
    if layer in PURE and name.endswith(".h") and not name.endswith(("intrin.h", "arm_neon.h", "arm_acle.h")):
        return f"{layer} is pure: no system header"
    return None


def fault_of_own(layer: str, name: str) -> str | None:
    folder, _, rest = name.partition("/")
    if folder == "simdrive":
        folder = OWNED_HEADERS.get(rest, layer)
    elif not rest:
        folder = layer
    if folder not in LAYERS:
        return f"{folder} is no layer"
    if folder == layer or folder in LAYERS[layer]:
        return None
    return f"{layer} may include only {', '.join(sorted(LAYERS[layer])) or 'the standard library'}"


def fault_of_public(name: str, angle: bool) -> str | None:
    if name.startswith("simdrive/"):
        return None
    if angle and re.fullmatch(r"[a-z_]+", name):
        return None
    return "a public header includes the standard library and simdrive/ only"


def check_cpp(root: Path) -> Iterator[str]:
    for path in sorted((root / "cpp" / "include").rglob("*.hpp*")):
        for line, name, angle in includes_of(path):
            if fault := fault_of_public(name, angle):
                yield f"{path.relative_to(root)}:{line}: {name}: {fault}"
    source = root / "cpp" / "src"
    for path in sorted(source.rglob("*")):
        if path.suffix not in {".hpp", ".cpp", ".h"}:
            continue
        layer = path.relative_to(source).parts[0]
        if layer not in LAYERS:
            yield f"{path.relative_to(root)}: {layer} is no layer"
            continue
        for line, name, angle in includes_of(path):
            own = not angle or name.startswith("simdrive/")
            if fault := fault_of_own(layer, name) if own else fault_of_system(layer, name):
                yield f"{path.relative_to(root)}:{line}: {name}: {fault}"


def check_python(root: Path) -> Iterator[str]:
    package = root / "pysrc" / "simdrive"
    for path in sorted(package.rglob("*.p[yx]*")):
        if "__pycache__" in path.parts:
            continue
        text = path.read_text(encoding="ascii")
        for match in EXTERN.finditer(text):
            name = match.group(1)[1:-1].strip("<>")
            if not name.startswith("simdrive/") and not re.fullmatch(r"[a-z_]+|(?:Python|pythread)\.h", name):
                line = text.count("\n", 0, match.start(1)) + 1
                yield f"{path.relative_to(root)}:{line}: {name}: Cython sees public headers only"
        if path.suffix != ".py":  # the pieces of the extension module may know what the package keeps for them
            continue
        for match in PRIVATE_IMPORT.finditer(text):
            line = text.count("\n", 0, match.start(1)) + 1
            yield f"{path.relative_to(root)}:{line}: {match.group(1)}: imports a private name"


def main() -> int:
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    faults = [*check_cpp(root), *check_python(root)]
    for fault in faults:
        print(fault)
    print(f"layers: {len(faults)} fault(s)")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
