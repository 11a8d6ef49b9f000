"""All of the program."""

from __future__ import annotations

from . import commands, many
from .program import cli, run

__all__ = ["cli", "commands", "many", "run"]
