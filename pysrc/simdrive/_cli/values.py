"""Values: what the store refuses, and what JSON shows."""

from __future__ import annotations

import base64
from typing import Any

import click

import simdrive

LONGEST_VALUE = simdrive.Options.max_value_size


def value_fields(value: bytes) -> dict[str, Any]:
    """The JSON fields of a value."""
    return {"size": len(value), "value": base64.b64encode(value).decode(), "value_encoding": "base64"}


def refuse(value: bytes, source: str, *, advice: str = "", limit: int | None = None) -> None:
    """Stops before anything is sent if the store would refuse the value, or it has more bytes than the limit."""
    what = {
        b"": "is empty, and the store takes no empty value",
        b"\0": "is the single byte 00, which the store does not take",
    }.get(value)
    if limit is not None and len(value) > limit:
        raise click.ClickException(f"{source} is longer than the longest value, {limit} bytes")
    if what is not None:
        end = f" (give another value{', ' + advice if advice else ''})"
        raise click.ClickException(f"{source} {what}{end}")
