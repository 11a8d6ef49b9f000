"""verify, recover and compact."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import simdrive
from simdrive._cli.app import cli
from simdrive._cli.progress import Bar
from simdrive._cli.target import has_writer
from support import vectors
from support.cli_calls import contents, document, one_line, run

COMMANDS = ["verify", "recover", "compact"]


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder to work in."""
    for name in ("SIMDRIVE_URL", "SIMDRIVE_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def store(folder: Path) -> Path:
    """The file of a store with the keys a to e and a deleted one."""
    with simdrive.Store(folder / "store.bin") as made:
        for key in (b"a", b"b", b"gone", b"c", b"d", b"e"):
            made.write(key, b"value of " + key)
        made.delete(b"gone")
        made.write(b"a", b"new value of a")
    return folder / "store.bin"


def damage(store: Path, *values: bytes) -> list[int]:
    """Changes a bit of each of these values; where the metadata of their entries begin."""
    data = bytearray(store.read_bytes())
    offsets = []
    for value in values:
        at = data.index(value)
        data[at] ^= 1
        offsets.append(at + len(value))
    store.write_bytes(data)
    return offsets


# ---- verify ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_verify_a_healthy_store(store: Path, folder: Path, form: str) -> None:
    before = contents(folder)
    name = store.as_uri() if form.startswith("file") else str(store)
    assert document(run("verify", name, "--json")) == {
        "store": str(store),
        "ok": True,
        "entries": 8,
        "file_size": store.stat().st_size,
        "tail_offset": store.stat().st_size,
        "unfinished_bytes": 0,
        "bad_count": 0,
        "bad": [],
    }
    result = run("verify", name)
    assert "\nok:               yes\n" in result.stdout
    assert result.stderr == ""
    assert contents(folder) == before


def test_verify_an_empty_store(folder: Path) -> None:
    simdrive.Store(folder / "empty.bin").close()
    assert document(run("verify", "empty.bin", "--json"))["ok"] is True


def test_verify_lists_what_is_bad(store: Path, folder: Path) -> None:
    offsets = damage(store, b"value of b", b"value of d")
    before = contents(folder)
    shown = document(run("verify", store, "--json", code=6))
    assert (shown["ok"], shown["bad"], shown["bad_count"]) == (False, offsets, 2)
    result = run("verify", store, code=6)
    assert result.stdout.endswith("".join(f"bad entry at offset {offset}\n" for offset in offsets))
    assert result.stderr.endswith("2 bad entries (`simdrive recover` keeps what is intact)\n")
    assert run("verify", store, "-q", code=6).stderr == ""
    assert contents(folder) == before


def test_verify_lists_a_thousand(folder: Path) -> None:
    with simdrive.Store(folder / "store.bin") as made:
        made.batch_write([(b"%d" % i, b"damaged?") for i in range(1003)])
    data = (folder / "store.bin").read_bytes()
    (folder / "store.bin").write_bytes(data.replace(b"damaged?", b"damaged!"))
    result = run("verify", "store.bin", code=6)
    assert result.stdout.count("bad entry at offset ") == 1000
    assert "the last 1000 of 1003 bad entries:\n" in result.stdout


def test_verify_a_store_that_was_cut(store: Path) -> None:
    store.write_bytes(store.read_bytes()[:-1])
    result = run("verify", store, code=6)
    assert "bytes behind the last entry that belong to none" in result.stderr
    assert document(run("verify", store, "--json", code=6))["unfinished_bytes"] > 0


def test_verify_every_cut(folder: Path) -> None:
    """Only a file that ends where an entry ended once is whole."""
    whole = vectors.path("storage", "damage_base.main.bin").read_bytes()
    cut = folder / "cut.bin"
    for size in range(len(whole), 0, -3):
        cut.write_bytes(whole[:size])
        result = CliRunner().invoke(cli, ["verify", "cut.bin", "--json"])
        if result.stdout:
            shown = json.loads(result.stdout)
            assert result.exit_code == (0 if shown["tail_offset"] == size else 6)
            assert shown["tail_offset"] + shown["unfinished_bytes"] == size
        else:
            assert (result.exit_code, "it is no store" in result.stderr) == (6, True)
        assert contents(folder) == {"cut.bin": whole[:size]}


def test_a_write_that_is_under_way_is_no_damage(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = store.read_bytes()
    store.with_name("store.bin.mark").unlink()  # it is not written before the entry is
    store.write_bytes(whole[:-1])
    really: Callable[..., Any] = simdrive.Store.verify

    def verify(self: simdrive.Store, **options: Any) -> Any:
        report = really(self, **options)
        store.write_bytes(whole)
        return report

    monkeypatch.setattr(simdrive.Store, "verify", verify)
    shown = document(run("verify", store, "--json"))
    assert (shown["ok"], shown["unfinished_bytes"] > 0) == (True, True)


def test_a_write_that_waits_for_more_is_no_damage(store: Path) -> None:
    """Of this process or another, before and behind the opening: what is behind the tail is the writer's business."""
    size = store.stat().st_size
    waiting, go_on = threading.Event(), threading.Event()

    def pieces() -> Iterator[bytes]:
        yield bytes(1 << 20)
        waiting.set()
        assert go_on.wait(60)

    before = simdrive.Store(store, mode="r")
    with simdrive.Store(store) as writer:
        writing = threading.Thread(target=writer.write_stream, args=(b"k", pieces()))
        writing.start()
        try:
            assert waiting.wait(60)
            assert store.stat().st_size > size
            with simdrive.Store(store, mode="r") as reader:
                assert reader.opened.dropped_bytes > 0
                for one in (writer, before, reader):
                    report = one.verify()
                    assert (report.ok, report.entries, report.tail_offset) == (True, 8, size)
                assert (before.refresh(), reader.refresh()) == (size, size)
                assert before.verify().ok
            shown = document(run("verify", store, "--json"))
            assert (shown["ok"], shown["tail_offset"], shown["unfinished_bytes"] > 0) == (True, size, True)
            assert run("verify", store).stderr == ""
        finally:
            go_on.set()
            writing.join(60)
        assert writer.read(b"k") == bytes(1 << 20)
        assert before.refresh() == writer.tail
    before.close()


@pytest.mark.skipif(sys.platform == "win32", reason="locks of Windows cannot be asked for without taking them")
def test_has_writer(store: Path) -> None:
    assert not has_writer(store)
    with simdrive.Store(store):
        assert has_writer(store)
        with pytest.raises(simdrive.StoreLockedError):
            simdrive.Store(store)
    assert not has_writer(store)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are text")
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_names_of_files_may_be_any_bytes(store: Path, form: list[str]) -> None:
    odd = store.with_name(os.fsdecode(b"odd \xff\n'\x1b[31m.bin"))
    store.rename(odd)
    for command in ("verify", "recover", "compact"):
        result = CliRunner().invoke(cli, [command, str(odd), *form])
        assert (result.exit_code, result.stderr) == (0, "")
        assert (b"\\udcff" if form else b"odd \xff") in result.stdout_bytes


def test_verify_while_somebody_writes(store: Path) -> None:
    with simdrive.Store(store) as writer:
        writer.write(b"k", b"value")
        assert document(run("verify", store, "--json"))["entries"] == 9


@pytest.mark.parametrize("name", ["layout_v12.bin", "layout_v14.bin"])
def test_verify_older_layouts(folder: Path, name: str) -> None:
    shutil.copy(vectors.path("storage", name), folder)
    assert document(run("verify", name, "--json"))["ok"] is True


# ---- recover --------------------------------------------------------------------------------------------------------


def test_recover(store: Path, folder: Path) -> None:
    damage(store, b"value of b", b"new value of a")
    damaged = store.read_bytes()
    shown = document(run("recover", store, "--json"))
    assert (shown["store"], shown["healthy"], shown["entries"]) == (str(store), False, 6)
    assert shown["kept_bytes"] == store.stat().st_size
    assert Path(shown["backup_path"]).read_bytes() == damaged
    with simdrive.Store(store) as opened:
        assert opened.batch_read([b"a", b"b", b"c", b"gone"]) == [b"value of a", None, b"value of c", None]
    assert run("verify", store).stderr == ""


def test_recover_a_healthy_store(store: Path, folder: Path) -> None:
    before = contents(folder)
    result = run("recover", store)
    assert "healthy:       yes\n" in result.stdout
    assert "backup path:   -\n" in result.stdout
    assert contents(folder) == before


# ---- compact --------------------------------------------------------------------------------------------------------


def test_compact(store: Path) -> None:
    before = store.stat().st_size
    shown = document(run("compact", store, "--json"))
    after = store.stat().st_size
    assert shown == {"store": str(store), "before": before, "after": after, "entries": 5}
    assert after < before
    text = run("compact", store).stdout  # padding depends on the order, which it turns round
    assert text == f"store:   {store}\nbefore:  {after}\nafter:   {store.stat().st_size}\nentries: 5\n"
    assert run("get", "a", url=store).stdout == "new value of a"


def test_compact_to_another_file(store: Path, folder: Path) -> None:
    before = store.read_bytes()
    with simdrive.Store(store):  # it is only read
        shown = document(run("compact", store, "-o", "new.bin", "--json"))
    assert (shown["store"], shown["entries"]) == ("new.bin", 5)
    assert store.read_bytes() == before
    assert run("get", "a", url="new.bin").stdout == "new value of a"
    new = (folder / "new.bin").read_bytes()
    for target in ("new.bin", str(store)):
        assert target in one_line(run("compact", store, "-o", target, code=2))
    assert "standard output" in one_line(run("compact", store, "-o", "-", code=2))
    assert "No such file" in one_line(run("compact", store, "-o", "no/new.bin", code=2))
    assert ((folder / "new.bin").read_bytes(), store.read_bytes()) == (new, before)


@pytest.mark.parametrize("name", ["layout_v12.bin", "layout_v14.bin"])
def test_compact_makes_a_new_store_of_an_older_layout(folder: Path, name: str) -> None:
    shutil.copy(vectors.path("storage", name), folder)
    assert "simdrive compact STORE -o FILE" in one_line(run("compact", name, code=6))
    run("compact", name, "-o", "new.bin")
    old, new = (document(run("info", each, "--json")) for each in (name, "new.bin"))
    assert (new["alignment"], new["entries"]) == (64, old["entries"])
    run("put", "k", url="new.bin")


def test_compact_drops_nothing_that_is_damaged(store: Path, folder: Path) -> None:
    damage(store, b"value of b")
    before = contents(folder)
    assert "what is intact" in one_line(run("compact", store, code=6))
    assert contents(folder) == before


# ---- all of them ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_refusals(folder: Path, command: str) -> None:
    (folder / "text").write_bytes(b"no store, but a text\n" * 10)
    (folder / "sub").mkdir()
    before = contents(folder)
    assert "it is left as it is" in one_line(run(command, "text", code=6))
    assert "sub" in one_line(run(command, "sub", code=2))
    assert "nowhere.bin" in one_line(run(command, "nowhere.bin", code=2))
    assert "the name of the store is empty" in one_line(run(command, "", code=2))
    assert "is no file of a store" in one_line(run(command, "ws://127.0.0.1:34129/ws", code=2))
    assert "a store in memory" in one_line(run(command, "memory://", code=2))
    assert "Missing argument 'STORE'" in one_line(run(command, code=2))
    assert contents(folder) == before


@pytest.mark.parametrize("command", ["recover", "compact"])
def test_a_store_that_somebody_writes(store: Path, folder: Path, command: str) -> None:
    damage(store, b"value of b")
    with simdrive.Store(store):
        before = contents(folder)
        assert "end the program that writes" in one_line(run(command, store, code=2))
        assert contents(folder) == before


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may do all")
@pytest.mark.parametrize("command", ["recover", "compact"])
def test_a_file_that_may_only_be_read(store: Path, command: str) -> None:
    store.chmod(0o400)
    assert "Permission denied" in one_line(run(command, store, code=2))
    assert document(run("verify", store, "--json"))["ok"] is True


@pytest.mark.parametrize("command", COMMANDS)
def test_bars(store: Path, command: str) -> None:
    if command == "recover":
        damage(store, b"value of b")
    assert f"{command} {store.name}" in run(command, store.name, "--progress", "on").stderr
    assert run(command, store, "--progress", "on", "-q").stderr == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_ctrl_c_leaves_the_file(store: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    if command == "recover":
        damage(store, b"value of b")
    before = contents(folder)

    def interrupt(*_arguments: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Bar, "_update", interrupt)
    line = one_line(run(command, store, "--progress", "on", code=130))
    assert line == f"simdrive: {command} {store}: interrupted\n"
    assert contents(folder) == before
