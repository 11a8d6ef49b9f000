"""All of the program."""

from __future__ import annotations

from . import about, commands, exchange, many, upkeep
from .program import cli, run

__all__ = ["about", "cli", "commands", "exchange", "many", "run", "upkeep"]
