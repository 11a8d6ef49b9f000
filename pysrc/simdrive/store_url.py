"""What the target of :func:`simdrive.open_store` names."""

from __future__ import annotations

import os
import re
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

from simdrive.client import mask_user_info
from simdrive.errors import ConfigurationError

__all__ = ["parse_target"]

# A single letter is a drive of Windows; without slashes it may be a file name, but for those we know.
_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+)://|^(file|memory):", re.IGNORECASE)
_FLAGS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
_FLAG_OPTIONS = ("create", "lock", "verify")


def parse_target(target: object) -> tuple[str, str, dict[str, Any]]:
    """The kind (``"file"``, ``"memory"`` or ``"ws"``), the path or URL, and the options that a URL has."""
    if not isinstance(target, str):
        if not isinstance(target, (bytes, os.PathLike)):
            raise TypeError(f"target must be a URL or a path, not {type(target).__name__}")
        return "file", os.fsdecode(target), {}
    match = _SCHEME.match(target)
    if match is None:
        return "file", target, {}
    scheme = (match[1] or match[2]).lower()
    if scheme in ("ws", "wss", "ws+unix"):
        return "ws", target, {}
    if scheme not in ("file", "memory"):
        raise ConfigurationError(
            f"open {mask_user_info(target)}: unknown scheme {scheme}; known are file, memory, ws and ws+unix "
            "(a path that looks like a URL is taken as pathlib.Path)"
        )
    if "#" in target:
        raise ConfigurationError(f"open {target}: a # within a path is written as %23 in a URL")
    place, _, query = target[len(scheme) + 1 :].partition("?")
    given = _options(target, query)
    if scheme == "memory":
        if place.strip("/"):
            raise ConfigurationError(f"open {target}: a store in memory has no path; use memory://")
        return "memory", "", given
    return "file", _path(target, place), given


def _path(target: str, place: str) -> str:
    if place.startswith("//"):
        host, slash, rest = place[2:].partition("/")
        if host.lower() not in ("", "localhost"):
            raise ConfigurationError(
                f"open {target}: {host} is another host; a file of this machine is file:///path, with three slashes"
            )
        place = slash + rest
    path = os.fsdecode(unquote_to_bytes(place))
    if os.name == "nt" and re.match(r"^/[A-Za-z]:", path):
        path = path[1:]
    if not path:
        raise ConfigurationError(f"open {target}: there is no path in it")
    return path


def _options(target: str, query: str) -> dict[str, Any]:
    given: dict[str, Any] = {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise ConfigurationError(f"open {target}: the query is not name=value&name=value") from None
    for name, text in pairs:
        if name in given:
            raise ConfigurationError(f"open {target}: the option {name} is given twice")
        value: Any = text
        if name in _FLAG_OPTIONS:
            value = _FLAGS.get(text.lower())
            if value is None:
                raise ConfigurationError(f"open {target}: {name} must be 1 or 0, not {text!r}")
        elif name == "sync_interval":
            try:
                value = float(text)
            except ValueError:
                raise ConfigurationError(
                    f"open {target}: sync_interval must be a number of seconds, not {text!r}"
                ) from None
        given[name] = value
    return given
