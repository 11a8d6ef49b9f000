"""The parts of the command line that need no server: names, files, bars, messages."""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import simdrive
from simdrive import errors
from simdrive._cli import failures, files, program, progress
from simdrive._cli.app import cli
from simdrive._cli.keys import file_name, key_of_name, same_file, show_key

# ---- names of files -------------------------------------------------------------------------------------------------


@given(st.binary(max_size=80))
def test_file_names_are_safe_and_reversible(key: bytes) -> None:
    name = file_name(key)
    assert key_of_name(name.encode()) == key
    assert re.fullmatch(r"[A-Za-z0-9._%-]+", name)
    assert name not in (".", "..")
    assert not name.endswith(".")
    assert not re.match(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)", name)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (b"photo-1_b.jpg", "photo-1_b.jpg"),
        (b"../x", "..%2Fx"),
        (b"..", "%2E%2E"),
        (b".", "%2E"),
        (b".hidden", ".hidden"),
        (b"a.", "a%2E"),
        (b"", "%"),
        (b"%", "%25"),
        (b"Nul.txt", "%4Eul.txt"),
        (b"a b\0", "a%20b%00"),
        (b"C:\\x", "C%3A%5Cx"),
        (b"x" * 255, "x" * 255),
    ],
)
def test_file_name(key: bytes, name: str) -> None:
    assert file_name(key) == name


def test_names_that_are_too_long_or_wrong() -> None:
    with pytest.raises(ValueError, match="256 characters"):
        file_name(b"x" * 256)
    for name in (b"100%", b"%0", b"%zz", b"a%%41"):
        with pytest.raises(ValueError, match="hexadecimal"):
            key_of_name(name)


def test_names_that_differ_in_case_only() -> None:
    assert same_file(["a", "A", "a"], folds_case=False) is None
    assert same_file(["a", "b", "a"], folds_case=True) is None
    assert same_file(["a", "b", "A"], folds_case=True) == "A"


def test_keys_in_messages_are_one_short_line() -> None:
    assert show_key(b"a\nb", "text") == r"'a\nb'"
    assert show_key(b"\xff", "hex") == "'ff'"
    assert show_key(b"caf\xe9", "text") == "base64:Y2Fm6Q=="
    assert show_key(b"caf\xe9", "base64") == "'Y2Fm6Q=='"
    assert len(show_key(b"k" * 1000, "text")) == 62


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", "'\u00e4\u20ac\\x1b\\u202e'"),
        ("latin-1", "'\u00e4\\u20ac\\x1b\\u202e'"),
        ("ascii", "'\\xe4\\u20ac\\x1b\\u202e'"),
        (None, "'\\xe4\\u20ac\\x1b\\u202e'"),
    ],
)
def test_keys_are_shown_as_typed(monkeypatch: pytest.MonkeyPatch, encoding: str | None, shown: str) -> None:
    """But nothing that moves the cursor or turns the text around, and nothing that the terminal cannot show."""
    stream = None if encoding is None else io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr("sys.stderr", stream)
    assert show_key("\u00e4\u20ac\x1b\u202e".encode(), "text") == shown


# ---- files that change as a whole or not at all ---------------------------------------------------------------------


def test_write_file_keeps_the_mode_and_follows_links(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"old")
    target.chmod(0o640)
    link = tmp_path / "link"
    try:
        link.symlink_to(target)
    except OSError:
        link = target  # no links on this system
    files.write_file(link, b"new")
    assert target.read_bytes() == b"new"
    if os.name != "nt":
        assert link.is_symlink()
        assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert {path.name for path in tmp_path.iterdir()} <= {"target", "link"}


@pytest.mark.skipif(os.name == "nt", reason="no modes")
@pytest.mark.parametrize("old", [None, 0o600, 0o640, 0o777, 0o444])
def test_a_value_is_private_until_it_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: int | None
) -> None:
    target = tmp_path / "target"
    if old is not None:
        target.write_bytes(b"old")
        target.chmod(old)
    modes = []

    def watched(number: int, mode: str) -> Any:
        modes.append(stat.S_IMODE(os.fstat(number).st_mode))
        return fdopen(number, mode)

    fdopen = os.fdopen
    monkeypatch.setattr(os, "fdopen", watched)
    before = os.umask(0o027)
    try:
        files.write_file(target, b"new")
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    assert modes == [0o600]
    assert stat.S_IMODE(target.stat().st_mode) == (0o640 if old is None else old)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(143), OSError(28, "No space left on device")])
@pytest.mark.parametrize("exists", [True, False])
def test_write_file_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, exists: bool
) -> None:
    target = tmp_path / "target"
    if exists:
        target.write_bytes(b"old")
    seen = []

    def end(source: Path, _target: Path) -> None:
        seen.append(source.read_bytes())
        raise error

    monkeypatch.setattr(Path, "replace", end)
    with pytest.raises(type(error)):
        files.write_file(target, b"new")
    assert seen == [b"new"]
    assert [path.name for path in tmp_path.iterdir()] == (["target"] if exists else [])
    assert not exists or target.read_bytes() == b"old"


def test_a_device_is_written_to_as_it_is(tmp_path: Path) -> None:
    files.write_file(Path(os.devnull), b"x")
    assert Path(os.devnull).exists()


def test_closed_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    with pytest.raises(click.ClickException, match=r"^standard output is closed$") as caught:
        files.write_output(b"x")
    assert failures.explain(caught.value, "get 'k'") == (2, "simdrive: get 'k': standard output is closed")
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(click.ClickException, match=r"^standard input is closed$"):
        files.read_source(files.STANDARD)


# ---- messages and codes ---------------------------------------------------------------------------------------------


def kinds(root: type[errors.SimdriveError]) -> Iterable[type[errors.SimdriveError]]:
    yield root
    for kind in root.__subclasses__():
        yield from kinds(kind)


EXPECTED: dict[int, set[type[errors.SimdriveError]]] = {
    failures.USAGE: {
        errors.ConfigurationError,
        errors.InvalidKeyError,
        errors.InvalidValueError,
        errors.OutOfMemoryError,
        errors.StorageFullError,
        errors.StoreError,
        errors.StoreLockedError,
        errors.StoreNotFoundError,
        errors.StoreReadOnlyError,
    },
    failures.DAMAGED: {errors.StoreCorruptError, errors.StoreFormatError},
    failures.CONNECTION: {*kinds(errors.ConnectionError)},
    failures.TIMEOUT: {*kinds(errors.TimeoutError), errors.OverloadError},
    failures.SERVER: {errors.ProtocolError, errors.ServerError, errors.UnsupportedOperationError},
}


@pytest.mark.parametrize("code", EXPECTED)
def test_codes(code: int) -> None:
    for kind in EXPECTED[code]:
        found, line = failures.explain(kind("read on ws://h:1/ws: why"), "get 'k'")
        assert found == code
        assert line.startswith("simdrive: get 'k': read on ws://h:1/ws: why (")


@pytest.mark.parametrize("code", errors.Code)
def test_advice_is_of_the_command_line(code: errors.Code) -> None:
    """Arguments of the Python library are of no use to somebody at a shell."""
    error = errors.make_error(code, "why", op="write", endpoint="ws://h:1/ws", outcome_unknown=True)
    cause = errors.make_error(errors.Code.connect_failed, "refused", op="connect", endpoint="ws://h:1/ws")
    later = f"{error.args[0]}; before: {cause.args[0]}"
    assert failures.explain(type(error)(later), "put 'k'")[1].count("(") == 1
    line = failures.explain(error, "put 'k'")[1]
    assert "write on ws://h:1/ws: why" in line
    assert line.count("(") == 1
    assert line.endswith(")")
    for word in ("timeout=", "connect_timeout", "max_inflight", "wire="):
        assert word not in line


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (errors.Code.connect_failed, "check that the server runs"),
        (errors.Code.connection_lost, "check that the server runs"),
        (errors.Code.connect_timeout, "check that the server runs, and the network"),
        (errors.Code.handshake_failed, "check that a SIMD R Drive server still runs there"),
    ],
)
@pytest.mark.parametrize(
    ("unknown", "outcome"), [(False, "it was not applied"), (True, "it may or may not have been applied")]
)
def test_no_connection_until_the_deadline(code: errors.Code, advice: str, unknown: bool, outcome: str) -> None:
    where = "ws://h:1/ws"
    cause = errors.make_error(code, "why", op="write", endpoint=where)
    text = "there was no connection until the deadline"
    error = errors.make_error(
        errors.Code.operation_timeout,
        text,
        op="write",
        endpoint=where,
        outcome_unknown=unknown,
        elapsed=4.03,
        cause=cause,
        attempts=1 + unknown,
    )
    line = f"simdrive: put 'k': write on {where}: no connection for 4 s: why; {outcome} ({advice})"
    assert failures.explain(error, "put 'k'") == (failures.TIMEOUT, line)


def test_other_errors() -> None:
    explain = failures.explain
    assert explain(MemoryError(), "get 'k'")[0] == failures.USAGE
    code, line = explain(PermissionError(13, "Permission denied", "/x"), "get 'k'")
    assert (code, line) == (
        failures.USAGE,
        "simdrive: get 'k': Permission denied: /x (check the path, its permissions and the free space)",
    )
    assert explain(click.UsageError("No.\nNo."), "")[1] == "simdrive: No. No (see 'simdrive --help')"


# ---- the bar --------------------------------------------------------------------------------------------------------


def test_no_bar_asks_for_no_reports() -> None:
    with progress.Bar("off", "x") as off, progress.Bar("auto", "x") as auto:
        assert off.arguments() == {}
        assert auto.arguments() == {}  # standard error is no terminal here


class Reporting:
    """A client that reports as it reads and writes."""

    def __init__(self, size: int = 3 << 20, end: BaseException | None = None) -> None:
        self._size = size
        self._end = end
        self.written: list[int] = []

    def __enter__(self) -> Reporting:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def read(self, _key: bytes, **options: Any) -> bytes:
        self._report(options, self._size)
        return b"x" * self._size

    def batch_write(self, items: list[tuple[bytes, bytes]], **options: Any) -> None:
        self.written.append(sum(len(value) for _, value in items))
        self._report(options, self.written[-1])

    def _report(self, options: dict[str, Any], size: int) -> None:
        for done in range(0, size + 1, max(1, size // 4)):
            if "progress" in options:
                options["progress"](done, size)
            if self._end is not None:
                raise self._end


Connects = Callable[[Reporting], None]


@pytest.fixture
def connects(monkeypatch: pytest.MonkeyPatch) -> Connects:
    def to(client: Reporting) -> None:
        monkeypatch.setattr(simdrive, "connect", lambda *_arguments, **_options: client)

    return to


def test_bar_on(connects: Connects) -> None:
    connects(Reporting())
    result = CliRunner().invoke(cli, ["get", "k[b]", "--progress", "on"])
    assert result.exit_code == 0
    assert result.stdout_bytes == b"x" * (3 << 20)
    assert "get 'k[b]'" in result.stderr
    assert "3.0" in result.stderr


@pytest.mark.parametrize("words", [["--progress", "off"], ["--progress", "auto"], ["--progress", "on", "-q"], []])
def test_bar_off(connects: Connects, words: list[str]) -> None:
    connects(Reporting())
    assert CliRunner().invoke(cli, ["get", "k", *words]).stderr == ""


def test_bar_of_a_terminal_waits(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    now = 100.0
    monkeypatch.setattr("simdrive._cli.progress.time.monotonic", lambda: now)
    with progress.Bar("auto", "label") as bar:
        report = bar.arguments()["progress"]
        report(1, 10)
        assert capsys.readouterr().err == ""
        now += 1.0
        report(2, 10)
        report(3, 10)
    assert "label" in capsys.readouterr().err


def test_bar_over_many_requests(connects: Connects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abcd":
        (tmp_path / name).write_bytes(b"x" * 1000)
    seen = []
    monkeypatch.setattr(progress.Bar, "_update", lambda _bar, done, total: seen.append((done, total)))
    client = Reporting()
    connects(client)
    assert CliRunner().invoke(cli, ["mput", str(tmp_path), "--batch-bytes", "2100", "--progress=on"]).exit_code == 0
    assert client.written == [2000, 2000]
    assert seen[-1] == (4000, 4000)
    assert seen == sorted(seen)


def test_ctrl_c_with_a_bar(connects: Connects) -> None:
    connects(Reporting(end=KeyboardInterrupt()))
    result = CliRunner().invoke(cli, ["get", "k", "--progress", "on"])
    assert result.exit_code == 130
    assert result.stdout_bytes == b""
    assert "simdrive: get 'k': interrupted" in result.stderr


def test_every_command_has_its_place_in_the_help() -> None:
    assert sorted(program._ORDER) == sorted(cli.commands)
