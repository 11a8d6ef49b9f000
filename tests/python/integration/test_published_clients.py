"""The published clients, Rust and Python, find in any server what they find in the one they were made for."""

from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support import compat_run, interop
from support.ports import HOST
from support.published_client import data, shown
from support.targets import Target

PROGRAM = Path(compat_run.HERE) / "published_client.py"
MIB = 1 << 20
Line = dict[str, Any]
Command = list[str | Path]


def rust_client(dialect: str) -> tuple[Command | None, str]:
    """How the Rust client of that dialect is started, or how to get it."""
    program = interop.find_interop()
    return ([program, "calls", dialect] if program else None), interop.HOW_TO_GET


def python_client(_dialect: str) -> tuple[Command | None, str]:
    """How the Python client is started, or how to get it."""
    python = compat_run.find_python()
    return ([python, "-I", PROGRAM] if python else None), compat_run.HOW_TO_GET


CLIENTS: dict[str, tuple[str, Callable[[str], tuple[Command | None, str]]]] = {
    "Rust 0.17.5": ("d13", rust_client),
    "Rust 0.16.2": ("d21", rust_client),
    "Python 0.11.1a0": ("d21", python_client),
}


@pytest.fixture(params=list(CLIENTS))
def client(request: pytest.FixtureRequest, target: Target) -> Command:
    """A published client that speaks a dialect of the server, as the beginning of a command."""
    dialect, find = CLIENTS[request.param]
    if dialect not in target.dialects:
        pytest.skip(f"{target.name} speaks another dialect: this client would wait for ever")
    command, how_to_get = find(dialect)
    if command is None:
        if os.environ.get("SIMDRIVE_REQUIRE_SERVERS") == "1":
            pytest.fail(f"no such client: {how_to_get}")
        pytest.skip(f"no such client: {how_to_get}")
    return command


def outcomes(client: Command, target: Target, calls: list[Line]) -> list[Line]:
    """What each call gave."""
    ended = subprocess.run(
        [*client, HOST, str(target.port)],
        input="".join(json.dumps(line) + "\n" for line in calls),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert len(lines) == len(calls), f"no outcome of {calls[len(lines)]}: {ended.stderr[-2000:]}"
    return lines


class Model:
    """A dictionary with the rules of the store; gives what each call should."""

    def __init__(self) -> None:
        self._stored: dict[bytes, bytes] = {}

    @staticmethod
    def _refused(value: bytes) -> str | None:
        if not value:
            return "Payload cannot be empty."
        return "NULL-byte payloads cannot be written directly." if value == b"\0" else None

    def call(self, line: Line) -> Any:
        """The result, or the text that the error has in it. Of what changes the store: None."""
        op = line["op"]
        if op in ("write", "batch"):
            items = [(line["k"], line["v"])] if op == "write" else line["items"]
            pairs = [(data(key), data(value)) for key, value in items]
            problem = next((text for _, value in pairs if (text := self._refused(value))), None)
            if problem:
                return ValueError(problem)
            self._stored.update(pairs)
            return None
        if op == "delete":
            self._stored.pop(data(line["k"]), None)
            return None
        if op == "batch_read":
            return [shown(self._stored.get(data(key))) for key in line["ks"]]
        if op == "read":
            return shown(self._stored.get(data(line["k"])))
        if op == "exists":
            return data(line["k"]) in self._stored
        return {"len": len(self._stored), "is_empty": not self._stored}[op]


def check(calls: list[Line], found: list[Line]) -> None:
    """The outcomes are those of the model, and each file size is where the last change said that the store ends."""
    model, end = Model(), None
    for line, outcome in zip(calls, found, strict=True):
        if line["op"] == "file_size":
            assert isinstance(outcome["result"], int)
            assert end in (None, outcome["result"]), (line, end)
            continue
        expected = model.call(line)
        if isinstance(expected, ValueError):
            assert str(expected) in outcome["error"], line
        elif line["op"] in ("write", "batch", "delete"):
            assert outcome.keys() == {"result"}, (line, outcome)
            assert end is None or outcome["result"] is None or outcome["result"] >= end, line
            end = outcome["result"]
        else:
            assert outcome == {"result": expected}, line


def hexed(value: bytes) -> dict[str, str]:
    return {"hex": value.hex()}


def all_nine(folder: Path) -> list[Line]:
    """Every call, with values of all sizes, absent keys and what is refused; for an empty store."""
    rng = random.Random(9)

    def random_file(size: int) -> dict[str, str]:
        path = folder / f"{size}.bin"
        path.write_bytes(rng.randbytes(size))
        return {"file": str(path)}

    def ops(*names: str) -> list[Line]:
        return [{"op": name} for name in names]

    def written(key: Any, value: Any) -> list[Line]:
        return [{"op": "write", "k": key, "v": value}, *ops("file_size"), {"op": "read", "k": key}]

    calls = ops("is_empty", "len", "file_size")
    calls += [{"op": "read", "k": "absent"}, {"op": "exists", "k": "absent"}, {"op": "delete", "k": "absent"}]
    for size in (1, 2, 5, 255, 1 << 10, 65_536, 100 << 10, 20 * MIB):
        calls += written(f"random {size}", random_file(size))
    for byte in ("01", "ff", "00"):  # equal bytes travel packed
        calls += written(f"packed {byte}", {"rep": byte, "len": 70_000})
    calls += written("", "of the empty key") + written(hexed(bytes(range(256))), "of a binary key")
    calls += written("packed ff", "overwritten")
    for refused in ("", hexed(b"\0")):
        calls += [{"op": "write", "k": "refused", "v": refused}, {"op": "exists", "k": "refused"}]
        calls += [{"op": "batch", "items": [["good", "1"], ["refused", refused]]}, {"op": "exists", "k": "good"}]
    calls += [{"op": "batch", "items": []}, {"op": "batch_read", "ks": []}]
    items = [[f"item {i}", {"rep": f"{i % 255 + 1:02x}", "len": i % 300 + 1}] for i in range(1000)]
    calls += [{"op": "batch", "items": [*items, ["item 7", "twice"]]}, *ops("file_size", "len", "is_empty")]
    keys = [key for key, _ in items]
    calls += [{"op": "batch_read", "ks": [*keys, "absent", "item 7", "item 7", "random 102400"]}]
    calls += [{"op": "batch_read", "ks": ["absent", "absent", "absent"]}]
    calls += [{"op": "delete", "k": "item 7"}, *ops("file_size"), {"op": "read", "k": "item 7"}]
    calls += [{"op": "exists", "k": "item 7"}, {"op": "exists", "k": "item 8"}, *ops("len")]
    return calls


def test_all_nine_calls(client: Command, target: Target, tmp_path: Path) -> None:
    calls = all_nine(tmp_path)
    check(calls, outcomes(client, target, calls))


def test_the_check_bites() -> None:
    calls: list[Line] = [
        {"op": "write", "k": "a", "v": "1"},
        {"op": "file_size"},
        {"op": "read", "k": "a"},
        {"op": "write", "k": "a", "v": ""},
    ]
    good: list[Line] = [
        {"result": 64},
        {"result": 64},
        {"result": {"hex": "31"}},
        {"error": "[System] Payload cannot be empty."},
    ]
    check(calls, good)
    wrong_lines: list[Line] = [{"error": "no"}, {"result": 65}, {"result": None}, {"result": 64}]
    for at, wrong in enumerate(wrong_lines):
        with pytest.raises((AssertionError, KeyError)):
            check(calls, [*good[:at], wrong, *good[at + 1 :]])


def test_what_one_client_writes_the_others_read(target: Target) -> None:
    """All at one server that speaks both dialects."""
    commands = [find(dialect)[0] for dialect, find in CLIENTS.values() if dialect in target.dialects]
    if len(commands) != len(CLIENTS) or None in commands:
        pytest.skip("needs a server of both dialects, and all clients")
    for writer, reader in itertools.permutations(commands, 2):
        assert writer is not None
        assert reader is not None
        outcomes(writer, target, [{"op": "write", "k": "shared", "v": {"rep": "61", "len": 70_000}}])
        found = outcomes(reader, target, [{"op": "read", "k": "shared"}, {"op": "delete", "k": "shared"}])
        assert found[0] == {"result": shown(b"a" * 70_000)}
