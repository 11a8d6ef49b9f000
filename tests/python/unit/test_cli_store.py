"""The commands for keys on the file of a store: what names one, results, refusals."""

from __future__ import annotations

import base64
import os
import shutil
from pathlib import Path

import pytest

import simdrive
from simdrive._cli import target
from support import vectors
from support.cli_calls import contents, document, one_line, run

ALL_BYTES = bytes(range(256))


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder to work in."""
    for name in ("SIMDRIVE_URL", "SIMDRIVE_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def store(folder: Path) -> Path:
    """The file of a store with the keys k, l and m."""
    with simdrive.Store(folder / "store.bin") as made:
        made.batch_write({b"k": b"value", b"l": ALL_BYTES, b"m": b"old"})
        made.write(b"m", b"new")
    return folder / "store.bin"


# ---- what names a store ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        *("store.bin", "./store.bin", "a/b", "/a/b", "C:\\a", "c:/a", "./a:1", "a b", "x/user:pw@host", "-"),
        *("file:///a", "file:/a", "FILE:///a", "file://localhost/a", "file:a"),
    ],
)
def test_names_of_stores(text: str) -> None:
    assert target.names_store(text)


@pytest.mark.parametrize(
    "text",
    ["", "ws://h:1/ws", "wss://h", "http://h", "localhost:34129", "127.0.0.1:34129/ws", "[::1]:34129", "user:pw@host"],
)
def test_names_of_no_stores(text: str, folder: Path) -> None:
    """In particular no server whose scheme was forgotten becomes a file."""
    assert not target.names_store(text)
    if text and not text.startswith("ws"):
        assert "URL" in one_line(run("put", "k", url=text, code=2))
    assert contents(folder) == {}


@pytest.mark.parametrize("form", ["store.bin", "./store.bin", "{}/store.bin", "file://{}/store.bin"])
@pytest.mark.parametrize("by_variable", [True, False])
def test_each_form(folder: Path, monkeypatch: pytest.MonkeyPatch, form: str, by_variable: bool) -> None:
    where = form.format(folder.as_posix() if form.startswith("{") or os.sep == "/" else f"/{folder.as_posix()}")
    if by_variable:
        monkeypatch.setenv("SIMDRIVE_URL", where)
    url = None if by_variable else where
    assert f"put 'k': a new store, {folder / 'store.bin'}" in run("put", "k", url=url).stderr
    assert run("put", "k", url=url, data=ALL_BYTES).output == ""
    assert run("get", "k", url=url).stdout_bytes == ALL_BYTES
    with simdrive.Store(folder / "store.bin", mode="r") as opened:
        assert opened.read(b"k") == ALL_BYTES


def test_the_option_comes_before_the_variable(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMDRIVE_URL", "ws://127.0.0.1:1/ws")
    assert run("len", url=store).stdout == "3\n"


# ---- every command --------------------------------------------------------------------------------------------------


def test_get(store: Path, folder: Path) -> None:
    assert run("get", "l", "-o", "out", url=store).output == ""
    assert (folder / "out").read_bytes() == ALL_BYTES
    shown = document(run("get", "k", "--json", url=store))
    assert (shown["found"], base64.b64decode(shown["value"])) == (True, b"value")
    assert "'x': no such key" in one_line(run("get", "x", url=store, code=1))
    key = f"{simdrive.hashing.xxh3_64(b'k'):016x}"
    assert run("hash", "k").stdout == f"{key}\n"


def test_put(store: Path, folder: Path) -> None:
    (folder / "in").write_bytes(b"from a file")
    assert run("put", "k", "in", url=store).output == ""
    assert document(run("put", "--hex", "00ff", "--json", url=store))["size"] == 5
    with simdrive.Store(store, mode="r") as opened:
        assert opened.batch_read([b"k", b"\0\xff", b"m"]) == [b"from a file", b"value", b"new"]


@pytest.mark.parametrize("value", [b"", b"\0"])
def test_put_of_what_a_store_refuses(folder: Path, value: bytes) -> None:
    """And no store is made for nothing."""
    assert "the store" in one_line(run("put", "k", url="new.bin", code=2, data=value))
    assert contents(folder) == {}


def test_values_longer_than_those_of_servers(store: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simdrive._cli.settings.LONGEST_VALUE", 4)
    (folder / "in").mkdir()
    (folder / "in" / "n").write_bytes(b"12345")
    assert "longer than the longest value, 4 bytes" in one_line(run("put", "k", url="ws://h", code=2))
    assert "the longest value is 4" in one_line(run("mput", "in", url="ws://h", code=2))
    run("put", "k", url=store)
    run("mput", "in", url=store)
    assert run("get", "n", url=store).stdout_bytes == b"12345"


def test_del_and_exists(store: Path) -> None:
    assert run("exists", "k", url=store).stdout == "true\n"
    assert run("del", "k", "x", url=store).output == ""
    assert run("exists", "k", url=store, code=1).stdout == "false\n"
    assert run("len", url=store).stdout == "2\n"


def test_many(store: Path, folder: Path) -> None:
    assert "3 values written" in run("mget", "k", "l", "m", "-o", "out", url=store).stderr
    assert contents(folder / "out") == {"k": b"value", "l": ALL_BYTES, "m": b"new"}
    assert "3 files stored" in run("mput", "out", url="copy.bin").stderr
    shown = document(run("mget", "k", "x", url="copy.bin", code=1))["entries"]
    assert [entry["found"] for entry in shown] == [True, False]


def test_size_and_len(store: Path) -> None:
    assert document(run("size", "--json", url=store)) == {"file_size": store.stat().st_size}
    assert document(run("len", "--json", url=store)) == {"entries": 3}


def test_bars(store: Path) -> None:
    assert "put 'k'" in run("put", "k", "--progress", "on", url=store, data=ALL_BYTES * 8000).stderr
    assert "get 'k'" in run("get", "k", "--progress", "on", url=store).stderr


def test_info(store: Path) -> None:
    expected = {
        "store": str(store),
        "alignment": 64,
        "entries": 3,
        "file_size": store.stat().st_size,
        "compaction_savings": store.stat().st_size - (5 + 256 + 3 + 3 * 20),
        "unfinished_bytes": 0,
        "damaged": False,
        "damaged_offset": None,
        "incomplete": False,
        "client_version": simdrive.__version__,
    }
    assert document(run("info", store, "--json")) == expected
    assert document(run("info", "--json", url=store)) == expected
    text = run("info", store).stdout
    assert "alignment:          64\n" in text
    assert "damaged offset:     -\n" in text


# ---- refusals -------------------------------------------------------------------------------------------------------

READING = [["get", "k"], ["exists", "k"], ["mget", "k"], ["len"], ["size"], ["info"]]
WRITING = [["put", "k"], ["del", "k"], ["mput", "in"]]


@pytest.mark.parametrize("words", [*READING, ["del", "k"]], ids=lambda words: words[0])
def test_a_store_that_is_not_there(folder: Path, words: list[str]) -> None:
    line = one_line(run(*words, url="nowhere.bin", code=2))
    assert str(folder / "nowhere.bin") in line
    assert line.endswith(": No such file or directory (check the path)\n") or os.name == "nt"
    assert contents(folder) == {}


@pytest.mark.parametrize("words", [*READING, *WRITING], ids=lambda words: words[0])
def test_what_is_no_store(folder: Path, words: list[str]) -> None:
    (folder / "in").mkdir()
    (folder / "in" / "file").write_bytes(b"value")
    (folder / "text").write_bytes(b"no store, but a text\n" * 10)
    before = contents(folder)
    assert "it is no store" in one_line(run(*words, url="text", code=6))
    assert str(folder / "in") in one_line(run(*words, url="in", code=2))
    assert "a store in memory" in one_line(run(*words, url="memory://", code=2))
    assert contents(folder) == before


@pytest.mark.parametrize("words", READING, ids=lambda words: words[0])
def test_reading_changes_nothing(store: Path, folder: Path, words: list[str]) -> None:
    for name in ("store.bin.mark", "torn.bin"):
        (folder / name).unlink(missing_ok=True)
    torn = folder / "torn.bin"
    torn.write_bytes(store.read_bytes()[:-1])
    before = contents(folder)
    run(*words, url=store)
    run(*words, url=torn)
    assert contents(folder) == before


@pytest.mark.parametrize("words", WRITING, ids=lambda words: words[0])
def test_a_store_that_somebody_writes(store: Path, folder: Path, words: list[str]) -> None:
    (folder / "in").mkdir()
    with simdrive.Store(store) as writer:
        line = one_line(run(*words, url=store, code=2))
        assert str(store) in line
        assert line.endswith("(end the program that writes to the store, or use a copy)\n")
        writer.write(b"k", b"written meanwhile")
        assert run("get", "k", url=store).stdout == "written meanwhile"


def test_a_url_that_is_for_reading(store: Path) -> None:
    url = f"{store.as_uri()}?mode=r"
    assert run("get", "k", url=url).stdout == "value"
    assert "open the store for appending" in one_line(run("put", "k", url=url, code=2))
    assert run("get", "k", url=f"{store.as_uri()}?mode=a").stdout == "value"
    assert "unknown option colour" in one_line(run("get", "k", url=f"{store.as_uri()}?colour=red", code=2))


def test_ping_is_for_servers(store: Path) -> None:
    assert "this is for servers" in one_line(run("ping", url=store, code=2))


@pytest.mark.parametrize("name", ["layout_v12.bin", "layout_v14.bin"])
def test_older_layouts_can_be_read(folder: Path, name: str) -> None:
    old = folder / name
    shutil.copy(vectors.path("storage", name), old)
    before = contents(folder)
    line = one_line(run("put", "k", url=old, code=6))
    assert line.endswith(
        "the file has the layout of an older version; it is left as it is (it can be read; "
        "`simdrive compact STORE -o FILE` makes a new one of it)\n"
    )
    assert int(run("len", url=old).stdout) > 0
    assert document(run("info", old, "--json"))["alignment"] in (1, 16)
    assert contents(folder) == before


def test_a_damaged_value_is_not_shown(store: Path, folder: Path) -> None:
    data = bytearray(store.read_bytes())
    data[data.index(b"value")] ^= 1
    store.write_bytes(data)
    for words in (["get", "k"], ["get", "k", "-o", "out"], ["mget", "k"]):
        assert "what is intact can still be read" in one_line(run(*words, url=store, code=6))
    assert not (folder / "out").exists()
    assert run("get", "m", url=store).stdout == "new"


def test_a_store_that_lost_its_end(store: Path, folder: Path) -> None:
    """What was on the disk once is missing, so nothing is cut off for a write; what is there can be read."""
    store.write_bytes(store.read_bytes()[:-1])
    before = contents(folder)
    line = one_line(run("put", "k", url=store, code=6))
    assert line.endswith("(what is there can be read; `simdrive recover` repairs it)\n")
    assert run("get", "m", url=store).stdout == "old"
    assert document(run("info", store, "--json"))["unfinished_bytes"] > 0
    assert contents(folder) == before
