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
from dataclasses import fields
from pathlib import Path

import pytest

import simdrive
from simdrive._cli import demo, program, serving
from support.ports import HOST, accepts, free_port, wait_until
from support.wsraw import reluctant

PROGRAM = [sys.executable, "-m", "simdrive"]


@contextmanager
def serving_store(*arguments: str | Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
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
    with serving_store(path, "--port", "0") as (process, url), simdrive.connect(url) as client:
        client.write(b"key", b"value")
        said = end(process, number)
    assert "stopped after" in said
    assert "Traceback" not in said
    with simdrive.Store(path, mode="r") as store:
        assert store.read(b"key") == b"value"


@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
def test_serve_as_json(tmp_path: Path) -> None:
    with serving_store(tmp_path / "store.bin", "--port", "0", "--json", "-v") as (process, url):
        with simdrive.connect(url) as client:
            client.write(b"key", b"value")
        said = end(process, signal.SIGTERM)
    records = [json.loads(line) for line in said.splitlines()]
    assert {"listening", "connected", "stopped", "ended"} <= {record["event"] for record in records}
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
    with serving_store(*arguments, *more) as (process, url):
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
        (["memory://", "--max-frame", "0"], 2, "--max-frame"),
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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--path", "ws"], "path must begin with '/'"),
        (["--path", "/status"], "--no-status"),
        (["--stall-timeout", "nan"], "--stall-timeout"),
        (["--reply-queue-hard", "1"], "--reply-queue-hard must not be below --reply-queue-soft"),
        (["--host", "0.0.0.0"], "give --insecure-bind"),  # noqa: S104
        (["--host", "no.such.host.invalid"], "check --host and --port, or --unix"),
        (["--host", "\udcff"], "UTF-8"),
        (["--unix", ""], "--unix must be the path"),
        (["--stop-timeout", "-1"], "--stop-timeout"),
        (["--stop-timeout", "nan"], "--stop-timeout"),
        (["--stop-timeout", "inf"], "--stop-timeout"),
        (["--sync-interval", "2"], "--sync batch"),
        (["--sync", "always", "--sync-interval", "2"], "--sync batch"),
        (["--sync", "batch", "--sync-interval", "nan"], "--sync-interval"),
    ],
)
def test_what_serve_refuses_leaves_no_file(tmp_path: Path, arguments: list[str], words: str) -> None:
    command = [*PROGRAM, "serve", str(tmp_path / "store.bin"), "--port", "0", *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 2, ran.stderr
    assert words in ran.stderr
    assert "SIMDRIVE_URL" not in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_what_serve_refuses_leaves_a_store_that_was_there(tmp_path: Path) -> None:
    simdrive.Store(tmp_path / "store.bin").close()
    before = sorted(tmp_path.iterdir())
    command = [*PROGRAM, "serve", str(tmp_path / "store.bin"), "--unix", str(tmp_path / "none" / "socket")]
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 2
    assert sorted(tmp_path.iterdir()) == before


def test_every_limit_has_a_help_text() -> None:
    ran = subprocess.run([*PROGRAM, "serve", "--help"], capture_output=True, text=True, timeout=60, check=False)
    text = " ".join(ran.stdout.split())
    for field in fields(simdrive.ServerLimits):
        words = text.partition(f"--{field.name.replace('_', '-')} ")[2].partition("[default")[0]
        assert len(words.split()) > 3, field.name


@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
@pytest.mark.timeout(120)
def test_a_second_signal_cuts_the_end_short() -> None:
    arguments = ["--stop-timeout", "3600"]
    for name in ("--stall-timeout", "--ping-interval", "--silence-timeout"):
        arguments += [name, "3600"]
    with serving_store("memory://", "--port", "0", *arguments) as (process, url):
        with simdrive.connect(url) as client:
            client.write(b"large", os.urandom(32 << 20))
        port = int(url.rpartition(":")[2].partition("/")[0])
        with reluctant(port, b"large"):
            process.send_signal(signal.SIGTERM)
            wait_until(lambda: not accepts(port), timeout=30, what="the first signal has come")
            said = end(process, signal.SIGINT)
    assert "connections still at work were cut" in said
    assert "Traceback" not in said


class Stub:
    """A server whose stop() fails."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def stop(self, *, timeout: float) -> None:  # noqa: ARG002  # as Server.stop
        raise self.error


def test_the_end_tells_of_failures() -> None:
    interrupts = serving.Interrupts()
    assert serving.drain(Stub(simdrive.OperationTimeout("cut")), interrupts, 5.0)  # type: ignore[arg-type]
    for error in (simdrive.StorageFullError("the disk is full"), simdrive.ConfigurationError("timeout")):
        with pytest.raises(type(error)):
            serving.drain(Stub(error), interrupts, 5.0)  # type: ignore[arg-type]


def test_signals_that_a_system_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(signal, "SIGHUP", raising=False)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with serving.Interrupts() as interrupts:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        assert interrupts.came == 2
        interrupts._before[signal.SIGTERM] = None  # a handler that was set outside of Python
    assert signal.getsignal(signal.SIGINT) == before[signal.SIGINT]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    signal.signal(signal.SIGTERM, before[signal.SIGTERM])


@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
def test_serve_to_all_is_logged_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    arguments = ["memory://", "--host", "0.0.0.0", "--port", "0", "--insecure-bind", "--json"]  # noqa: S104
    with serving_store(*arguments) as (process, _):
        said = end(process, signal.SIGTERM)
    records = [json.loads(line) for line in said.splitlines()]
    assert [record["level"] for record in records].count("warning") == 1
    assert "insecure" in [record["event"] for record in records]
    assert "UserWarning" not in said


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be removed there")
@pytest.mark.timeout(60)
def test_a_store_that_is_removed_while_served_is_told_of(tmp_path: Path) -> None:
    path = tmp_path / "store.bin"
    with serving_store(path, "--port", "0") as (process, url):
        path.unlink()
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        warning = next(line for line in lines if "warning" in line)
        assert str(path) in warning
        assert "removed or renamed" in warning
        with simdrive.connect(url) as client:
            client.write(b"key", b"value")
            assert client.read(b"key") == b"value"
        assert "warning" not in end(process, signal.SIGTERM)


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be replaced there")
def test_a_store_that_is_replaced_is_told_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "_LOOK", 0.0)
    path = tmp_path / "store.bin"
    path.write_bytes(b"old")
    watch = serving.FileWatch(path)
    watch.look()
    assert caplog.messages == []
    (tmp_path / "new").write_bytes(b"new")
    (tmp_path / "new").replace(path)
    watch.look()
    watch.look()
    assert len(caplog.messages) == 1
    assert "another file" in caplog.text


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


def in_process(arguments: list[str]) -> int:
    """Runs the command here; its exit code."""
    with pytest.raises(SystemExit) as caught:
        program.cli.main(arguments)
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_demo_of_a_file_that_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "steady").write_bytes(b"steady")
    file = tmp_path / "restless"
    file.write_bytes(b"first")
    write = demo.write

    def write_and_change(client: simdrive.Client, item: demo.Item) -> float:
        took = write(client, item)
        if item.path == file:
            file.write_bytes(b"second, and longer")
        return took

    monkeypatch.setattr(demo, "write", write_and_change)
    assert in_process(["demo", str(tmp_path), "--json"]) == 0
    out, said = capsys.readouterr()
    assert json.loads(out)["changed"] == ["restless"]
    assert "restless changed meanwhile" in said
    assert "every byte the same" in said


@pytest.mark.parametrize(("after", "words"), [(None, "was removed"), (b"", "is empty now")])
def test_demo_of_a_file_that_goes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    after: bytes | None,
    words: str,
) -> None:
    file = tmp_path / "restless"
    file.write_bytes(b"first")
    files_of = demo.files_of

    def look_and_change(directory: Path) -> list[tuple[str, list[demo.Item]]]:
        found = list(files_of(directory))
        file.unlink()
        if after is not None:
            file.write_bytes(after)
        return found

    monkeypatch.setattr(demo, "files_of", look_and_change)
    assert in_process(["demo", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert str(file) in said


def test_demo_sees_a_value_that_came_back_different(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"value")
    write = demo.write

    def write_another(client: simdrive.Client, item: demo.Item) -> float:
        took = write(client, item)
        client.write(item.key, b"other")
        return took

    monkeypatch.setattr(demo, "write", write_another)
    assert in_process(["demo", str(tmp_path)]) == 6


@pytest.mark.parametrize("code", [130, 143])
def test_an_interrupted_demo_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "file").write_bytes(b"value")

    def interrupted(client: simdrive.Client, item: demo.Item) -> float:
        raise KeyboardInterrupt if code == 130 else SystemExit(code)

    monkeypatch.setattr(demo, "read", interrupted)
    arguments = ["demo", str(tmp_path / "files"), "--keep", str(tmp_path / "kept.bin")]
    assert in_process(arguments) == code
    assert [path.name for path in tmp_path.iterdir()] == ["files"]
    monkeypatch.undo()
    assert in_process(arguments) == 0
    assert in_process(arguments) == 2
    with simdrive.Store(tmp_path / "kept.bin") as store:
        assert store.read(b"file") == b"value"
        assert store.verify().ok


def test_demo_of_an_empty_folder(tmp_path: Path) -> None:
    ran = subprocess.run([*PROGRAM, "demo", tmp_path], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 2
    assert "no file" in ran.stderr
