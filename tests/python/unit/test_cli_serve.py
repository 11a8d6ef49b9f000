"""`simdrive serve` and `simdrive demo` as programs: what they print, how they end, and what is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import simdrive
from support.ports import HOST, free_port

PROGRAM = [sys.executable, "-m", "simdrive"]


@contextmanager
def serving(*arguments: str | Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server as a child process, and its URL."""
    process = subprocess.Popen(
        [*PROGRAM, "serve", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate(timeout=10)
        yield process, json.loads(line)["url"] if line.startswith("{") else line.strip()
    finally:
        process.kill()
        process.communicate(timeout=10)


def end(process: subprocess.Popen[str], number: int) -> str:
    """Sends the signal; what standard error had. It must end well."""
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    return said


@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_until_a_signal(tmp_path: Path, number: int) -> None:
    path = tmp_path / "store.bin"
    with serving(path, "--port", "0") as (process, url), simdrive.connect(url) as client:
        client.write(b"key", b"value")
        said = end(process, number)
    assert "stopped after" in said
    assert "Traceback" not in said
    with simdrive.Store(path, mode="r") as store:
        assert store.read(b"key") == b"value"


@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
def test_serve_as_json(tmp_path: Path) -> None:
    with serving(tmp_path / "store.bin", "--port", "0", "--json", "-v") as (process, url):
        with simdrive.connect(url) as client:
            client.write(b"key", b"value")
        said = end(process, signal.SIGTERM)
    records = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert {"listening", "connected"} <= {record["event"] for record in records}
    assert all({"time", "level", "message"} <= set(record) for record in records)


@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
def test_serve_with_options(tmp_path: Path) -> None:
    port = free_port()
    arguments: list[str | Path] = [
        tmp_path / "store.bin",
        "--port",
        str(port),
        "--path",
        "/elsewhere",
        "--no-status",
        "--threads",
        "1",
    ]
    more = ["--sync", "always", "--max-request", "100000", "--max-connections", "3"]
    with serving(*arguments, *more) as (process, url):
        assert url == f"ws://{HOST}:{port}/elsewhere"
        with simdrive.connect(url) as client:
            client.write(b"key", b"value")
            with pytest.raises(simdrive.ServerError):
                client.write(b"key", bytes(range(256)) * 1000)
            assert client.read(b"key") == b"value"
        with pytest.raises(OSError, match="404"):
            urllib.request.urlopen(f"http://{HOST}:{port}/status", timeout=10)
        end(process, signal.SIGTERM)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["memory://", "--host", "0.0.0.0", "--port", "0"], 2, "insecure"),  # noqa: S104
        (["memory://", "--sync", "always"], 2, "no disk"),
        (["memory://", "--port", "70000"], 2, "port"),
        (["memory://", "--max-frame", "0"], 2, "max_frame"),
        (["ws://127.0.0.1:1/ws"], 2, "no file of a store"),
        ([], 2, "STORE"),
    ],
)
def test_serve_refuses(arguments: list[str], code: int, words: str) -> None:
    ran = subprocess.run([*PROGRAM, "serve", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == code, ran.stderr
    assert words in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""


def test_serve_at_a_taken_port() -> None:
    with simdrive.MemoryStore() as store, simdrive.Server(store) as server:
        arguments = [*PROGRAM, "serve", "memory://", "--port", str(server.port)]
        ran = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 2, ran.stderr
    assert str(server.port) in ran.stderr
    assert "Traceback" not in ran.stderr


def test_serve_refuses_a_foreign_file(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("no store at all\n" * 100)
    ran = subprocess.run([*PROGRAM, "serve", path], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 6
    assert path.read_text() == "no store at all\n" * 100


def test_demo(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    ran = subprocess.run([*PROGRAM, "demo"], capture_output=True, text=True, timeout=300, check=False, env=environment)
    assert ran.returncode == 0, ran.stderr
    for words in ("write 2000 x 1 KiB", "read 4 x 16 MiB", "batch_read", "MB/s", "p99"):
        assert words in ran.stdout
    assert "every byte the same" in ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_demo_of_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    (folder / "sub").mkdir(parents=True)
    (folder / "small").write_bytes(b"small")
    (folder / "sub" / "large").write_bytes(os.urandom(3_000_000))
    (folder / "empty").touch()
    kept = tmp_path / "kept.bin"
    ran = subprocess.run(
        [*PROGRAM, "demo", folder, "--keep", kept, "--json"], capture_output=True, text=True, timeout=300, check=False
    )
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout)
    assert result["verified"] is True
    assert {"write 1 file up to 1 KiB", "read 1 file up to 16 MiB"} <= {part["what"] for part in result["figures"]}
    with simdrive.Store(kept, mode="r") as store:
        assert store.read(b"small") == b"small"
        assert store.read(b"sub/large") == (folder / "sub" / "large").read_bytes()
        assert store.verify().ok


def test_demo_of_an_empty_folder(tmp_path: Path) -> None:
    ran = subprocess.run([*PROGRAM, "demo", tmp_path], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 2
    assert "no file" in ran.stderr
