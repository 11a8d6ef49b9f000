"""What a program can see of `simd_r_drive_ws_client`, as JSON: modules, names, members and their parameters.

    python compat_surface.py real|ours

Uses nothing but the standard library and the package, since it also runs where our tests are not installed.
"""

import importlib
import inspect
import json
import sys
from types import ModuleType
from typing import Any

PACKAGE = "simd_r_drive_ws_client"
MODULES = (PACKAGE, f"{PACKAGE}.data_store_ws_client", f"{PACKAGE}.{PACKAGE}")
_COMMON = {*dir(type("Plain", (), {})), "__reduce__", "__repr__", "__getstate__"}
# Imported by the old module for its annotations: nothing of its own.
_TYPING = {"Any", "Dict", "List", "Optional", "Union"}


def parameters(thing: Any) -> list[str] | None:
    """The names of the parameters, "=" behind the optional ones; None where the object does not tell."""
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):
        return None
    names = list(signature.parameters.values())
    if names and names[0].name == "self":
        del names[0]
    return [p.name + ("" if p.default is p.empty and p.kind < p.VAR_POSITIONAL else "=") for p in names]


def describe(thing: Any) -> dict[str, Any]:
    """A class with its members, an exception, a function or a module."""
    if isinstance(thing, ModuleType):
        return {"kind": "module"}
    if isinstance(thing, type) and issubclass(thing, BaseException):
        return {"kind": "exception"}
    if isinstance(thing, type):
        members = {name: parameters(getattr(thing, name)) for name in sorted(set(dir(thing)) - _COMMON)}
        return {"kind": "class", "parameters": parameters(thing), "members": members}
    return {"kind": "function", "parameters": parameters(thing)}


def surface() -> dict[str, Any]:
    """By module: what it exports, and every public name in it."""
    result = {}
    for name in MODULES:
        module = importlib.import_module(name)
        names = sorted(n for n in vars(module) if not n.startswith("_") and n not in _TYPING)
        result[name] = {
            "all": sorted(module.__all__),
            "names": {public: describe(getattr(module, public)) for public in names},
        }
    return result


def main() -> None:
    if sys.argv[1:] == ["ours"]:
        importlib.import_module("simdrive.compat").install()
    print(json.dumps(surface(), indent=1))


if __name__ == "__main__":
    main()
