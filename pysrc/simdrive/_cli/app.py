"""All of the program."""

from __future__ import annotations

from . import about, commands, demo, exchange, many, serve, upkeep
from .program import cli, run

__all__ = ["about", "cli", "commands", "demo", "exchange", "many", "run", "serve", "upkeep"]
