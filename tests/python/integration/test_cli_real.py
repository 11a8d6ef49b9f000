"""The command line as a process against the real servers."""

from __future__ import annotations

import base64
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import simdrive
from simdrive.hashing import xxh3_64
from support.real_server import RealServer

PROGRAM = [sys.executable, "-m", "simdrive"]


class Shell:
    """Calls the program with one server."""

    def __init__(self, url: str, folder: Path) -> None:
        self._environment = {**os.environ, "SIMDRIVE_URL": url}
        self._folder = folder

    def __call__(self, *arguments: str, data: bytes = b"", code: int = 0) -> bytes:
        ended = subprocess.run(
            [*PROGRAM, *arguments],
            input=data,
            capture_output=True,
            timeout=60,
            env=self._environment,
            cwd=self._folder,
        )
        assert ended.returncode == code, ended.stderr
        return ended.stdout

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self(*arguments, "--json", code=code))


@pytest.fixture
def client(server: RealServer) -> Iterator[simdrive.Client]:
    """What the command line is compared with: one of the two clients will do."""
    with simdrive.connect(server.url, close_timeout=0.05) as opened:
        yield opened


@pytest.fixture
def shell(server: RealServer, tmp_path: Path) -> Shell:
    return Shell(server.url, tmp_path)


@pytest.fixture
def name(key: bytes) -> str:
    return key.decode()


def test_a_value_comes_back(shell: Shell, client: simdrive.Client, name: str, tmp_path: Path) -> None:
    value = random.Random(1).randbytes(3_000_000) + bytes(range(256))
    shell("put", name, data=value)
    assert client.read(name.encode()) == value
    assert shell("get", name) == value
    shell("get", name, "-o", "file")
    assert (tmp_path / "file").read_bytes() == value
    shell("put", name, "file")
    assert base64.b64decode(shell.json("get", name)["value"]) == value
    assert shell("exists", name) == b"true\n"
    shell("del", name)
    assert shell("exists", name, code=1) == b"false\n"
    shell("get", name, code=1)


def test_keys_in_hexadecimal_and_base64(shell: Shell, client: simdrive.Client, key: bytes) -> None:
    raw = key + b"\0\xff"
    shell("put", "--hex", raw.hex(), data=b"value")
    assert client.read(raw) == b"value"
    assert shell("get", "--base64", base64.b64encode(raw).decode()) == b"value"


def test_a_folder_goes_there_and_back(shell: Shell, client: simdrive.Client, name: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    prefix = f"{xxh3_64(name.encode()):x}-"
    names = [*(f"{prefix}{number}" for number in range(30)), f"sub/{prefix} \u00e4"]
    values = {each: random.Random(each).randbytes(40_000) for each in names}
    for each, value in values.items():
        (folder / each).write_bytes(value)
    stored = shell.json("mput", "-r", "--batch-bytes", "300000", "folder")
    assert (stored["files"], stored["batches"]) == (31, 5)
    assert client.batch_read(each.encode() for each in names) == list(values.values())
    shell("mget", *names, "-o", "back")
    shell("del", *names)
    shell("mput", "--percent", "back")
    assert client.batch_read(each.encode() for each in names) == list(values.values())


def test_the_store_and_the_server(shell: Shell, client: simdrive.Client, server: RealServer, name: str) -> None:
    shell("put", name, data=b"value")
    assert int(shell("len")) == len(client) > 0
    assert int(shell("size")) == client.file_size() > 0
    info = shell.json("info")
    assert (info["url"], info["dialect"], info["entries"]) == (server.url, server.dialect, len(client))
    assert len(shell.json("ping", "-n", "3")["seconds"]) == 3


def test_a_server_that_is_gone(own_server: RealServer, tmp_path: Path) -> None:
    shell = Shell(own_server.url, tmp_path)
    shell("put", "key", data=b"value")
    own_server.kill()
    shell("get", "key", code=3)
    own_server.start()
    assert shell("get", "key") == b"value"


def test_a_server_that_is_stopped(own_server: RealServer, tmp_path: Path) -> None:
    shell = Shell(own_server.url, tmp_path)
    own_server.stop()
    try:
        shell("get", "key", "--timeout", "0.3", code=4)
    finally:
        own_server.resume()
