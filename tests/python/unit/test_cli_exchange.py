"""export and import."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import simdrive
from simdrive._cli import exchange, staging
from simdrive._cli.progress import Bar
from simdrive.hashing import crc32, xxh3_64
from support import vectors
from support.cli_calls import contents, document, one_line, run

ALL_BYTES = bytes(range(256))
VALUES = {b"a": b"value of a", b"b": ALL_BYTES * 100, b"c": b"\0\0", b"d": b"x"}


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder to work in."""
    for name in ("SIMDRIVE_URL", "SIMDRIVE_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def store(folder: Path) -> Path:
    """The file of a store with VALUES, and with what was replaced and deleted before."""
    with simdrive.Store(folder / "store.bin") as made:
        made.batch_write(dict.fromkeys((*VALUES, b"gone"), b"old"))
        made.delete(b"gone")
        for key, value in VALUES.items():
            made.write(key, value)
    return folder / "store.bin"


@pytest.fixture
def values(store: Path, folder: Path) -> Path:
    """An export of that store."""
    run("export", store, "values")
    return folder / "values"


def name_of(key: bytes) -> str:
    return f"{xxh3_64(key):016x}.bin"


def read_all(store: Path) -> dict[int, bytes]:
    with simdrive.Store(store, mode="r", verify=True) as opened:
        return {int(entry.key_hash): bytes(entry) for entry in opened.iter_entries()}


def at_the_end_of_each_value(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    monkeypatch.setattr(Bar, "moved", lambda *_arguments: act())


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


# ---- export ---------------------------------------------------------------------------------------------------------


def test_export(store: Path, folder: Path) -> None:
    before = store.read_bytes()
    result = run("export", store, "values", "--json")
    size = sum(map(len, VALUES.values()))
    assert document(result) == {"store": str(store), "folder": "values", "entries": 4, "bytes": size}
    assert result.stderr == f"simdrive: export {store}: 4 values written to values, {size} bytes\n"
    files = contents(folder / "values")
    manifest = json.loads(files.pop("manifest.json"))
    assert files == {name_of(key): value for key, value in VALUES.items()}
    assert manifest == {
        "format": "simdrive-export",
        "version": 1,
        "hash": "xxh3_64",
        "checksum": "crc32",
        "order": "oldest first",
        "entries": [
            {"hash": f"{xxh3_64(key):016x}", "size": len(value), "checksum": f"{crc32(value):08x}"}
            for key, value in VALUES.items()
        ],
    }
    assert store.read_bytes() == before


def test_export_of_an_empty_store(folder: Path) -> None:
    simdrive.Store(folder / "empty.bin").close()
    run("export", "empty.bin", "values", "-q")
    assert json.loads((folder / "values" / "manifest.json").read_text())["entries"] == []
    run("import", "values", "copy.bin")
    assert (folder / "copy.bin").read_bytes() == b""


def test_export_while_somebody_writes(store: Path, folder: Path) -> None:
    with simdrive.Store(store) as writer:
        writer.write(b"e", b"more")
        run("export", store.as_uri(), "values")
    assert (folder / "values" / name_of(b"e")).read_bytes() == b"more"


@pytest.mark.parametrize("name", ["layout_v12.bin", "layout_v14.bin"])
def test_export_of_an_older_layout(folder: Path, name: str) -> None:
    shutil.copy(vectors.path("storage", name), folder)
    run("export", name, "values")
    run("import", "values", "new.bin")
    assert read_all(folder / "new.bin") == read_all(folder / name)


@pytest.mark.skipif(os.name == "nt", reason="modes are of POSIX")
def test_who_may_not_read_the_store_may_not_read_the_export(store: Path, folder: Path) -> None:
    store.chmod(0o600)
    run("export", store, "private")
    store.chmod(0o640)
    run("export", store, "shared")
    mask = os.umask(0)
    os.umask(mask)
    for name, mode in (("private", 0o600), ("shared", 0o640)):
        for path in (folder / name).iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == mode & ~mask
    assert stat.S_IMODE((folder / "private").stat().st_mode) == 0o700 & ~mask
    assert stat.S_IMODE((folder / "shared").stat().st_mode) == 0o750 & ~mask


def test_export_into_a_folder_that_is_in_use(store: Path, values: Path, folder: Path) -> None:
    (folder / "file").write_bytes(b"a file")
    before = contents(folder)
    assert "values is not empty; give another folder, or --force" in one_line(run("export", store, "values", code=2))
    for name in (".", str(folder)):
        line = one_line(run("export", store, name, "--force", code=2))
        assert "is the folder of the store itself" in line
    assert "'file' is a file" in one_line(run("export", store, "file", code=2))
    assert "there is no folder" in one_line(run("export", store, "no/values", code=2))
    assert contents(folder) == before
    (folder / "empty").mkdir()
    run("export", store, "empty")
    assert contents(folder / "empty") == contents(values)


def test_force_replaces_an_export(store: Path, values: Path) -> None:
    (values / "note.txt").write_bytes(b"of somebody else")
    (values / f"{1:016x}.bin").write_bytes(b"of somebody else, too")
    left = values / staging.part_name()  # by a process that was killed
    left.mkdir()
    (left / "half").write_bytes(b"half")
    os.utime(left, (0, 0))  # where folders cannot be locked, age tells
    (values / staging.part_name()).write_bytes(b"a value that is being fetched")
    with simdrive.Store(store) as opened:
        opened.delete(b"a")
        opened.write(b"d", b"another")
    run("export", store, values, "--force")
    files = contents(values)
    assert [files.pop(name) for name in list(files) if name.endswith(".part")] == [b"a value that is being fetched"]
    assert len(json.loads(files.pop("manifest.json"))["entries"]) == 3
    assert files == {
        name_of(b"b"): VALUES[b"b"],
        name_of(b"c"): VALUES[b"c"],
        name_of(b"d"): b"another",
        "note.txt": b"of somebody else",
        f"{1:016x}.bin": b"of somebody else, too",
    }
    (values / "manifest.json").write_bytes(b"of something else")
    run("export", store, values, "--force")
    assert len(json.loads((values / "manifest.json").read_bytes())["entries"]) == 3


def test_two_exports_at_once(tmp_path: Path) -> None:
    with staging.staged_folder(tmp_path, 0o700) as first:
        (first / "a").write_bytes(b"of the first")
        with staging.staged_folder(tmp_path, 0o700) as second:
            assert first != second
        assert (first / "a").read_bytes() == b"of the first"
    assert contents(tmp_path) == {}


def test_nothing_is_exported_of_a_damaged_store(store: Path, folder: Path) -> None:
    data = bytearray(store.read_bytes())
    at = data.index(VALUES[b"a"])
    data[at] ^= 1
    store.write_bytes(data)
    before = contents(folder)
    line = one_line(run("export", store, "values", code=6))
    assert f"the value of hash {xxh3_64(b'a'):016x} at offset {at} is damaged (`simdrive recover`" in line
    assert contents(folder) == before
    assert not (folder / "values").exists()


@pytest.mark.parametrize("there", [False, True])
def test_ctrl_c_in_an_export(store: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    if there:
        run("export", store, "values")
        with simdrive.Store(store) as opened:
            opened.write(b"a", b"another")
    before = contents(folder)
    at_the_end_of_each_value(monkeypatch, interrupt)
    assert one_line(run("export", store, "values", "--force", code=130)).endswith(": interrupted\n")
    assert contents(folder) == before
    assert (folder / "values").exists() == there


def test_ctrl_c_at_the_very_end_is_too_late(store: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    move = exchange.move_files

    def late(*arguments: Any) -> None:
        interrupt()
        move(*arguments)
        interrupt()

    monkeypatch.setattr(exchange, "move_files", late)
    handler = signal.getsignal(signal.SIGINT)
    run("export", store, "values")
    assert signal.getsignal(signal.SIGINT) is handler
    run("import", "values", "copy.bin")


# ---- import ---------------------------------------------------------------------------------------------------------


def test_import(store: Path, values: Path, folder: Path) -> None:
    result = run("import", values, "copy.bin", "--json")
    size = sum(map(len, VALUES.values()))
    expected = {"store": str(folder / "copy.bin"), "folder": str(values), "entries": 4, "bytes": size}
    assert document(result) == expected
    assert result.stderr.endswith(f": 4 values stored in {folder / 'copy.bin'}, {size} bytes\n")
    assert read_all(folder / "copy.bin") == {xxh3_64(key): value for key, value in VALUES.items()}
    assert sorted(path.name for path in folder.glob("*.*")) == [
        "copy.bin",
        "copy.bin.mark",
        "store.bin",
        "store.bin.mark",
    ]
    assert [path.name for path in folder.glob(".*")] == []


def test_a_compacted_store_comes_back_equal(store: Path, folder: Path) -> None:
    run("compact", store)
    run("export", store, "values")
    run("import", "values", (folder / "copy.bin").as_uri())
    assert (folder / "copy.bin").read_bytes() == store.read_bytes()
    assert (folder / "copy.bin.mark").read_bytes() == (folder / "store.bin.mark").read_bytes()


def test_large_values_and_many(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "_BATCH_BYTES", 1000)
    monkeypatch.setattr(exchange, "_BATCH_ENTRIES", 7)
    monkeypatch.setattr(staging, "_PIECE", 1001)
    with simdrive.Store(folder / "store.bin") as made:
        for i in range(60):
            made.write(b"%d" % i, bytes([i + 1]) * (3000 if i % 10 == 0 else i * 7 + 1))
        made.write(b"zeros", bytes(5000))
    run("export", "store.bin", "values")
    assert "import values" in run("import", "values", "copy.bin", "--progress", "on").stderr
    assert (folder / "copy.bin").read_bytes() == (folder / "store.bin").read_bytes()


def test_import_does_not_replace_a_file(store: Path, values: Path, folder: Path) -> None:
    (folder / "text").write_bytes(b"a text")
    before = contents(folder)
    for name in ("store.bin", "text", "values"):
        assert "is there already; give another name" in one_line(run("import", values, name, code=2))
    assert "there is no folder" in one_line(run("import", values, "no/copy.bin", code=2))
    assert "does not exist" in one_line(run("import", "nowhere", "copy.bin", code=2))
    assert "has options" in one_line(run("import", values, "file:copy.bin?sync=always", code=2))
    assert "is no file of a store" in one_line(run("import", values, "ws://127.0.0.1:1", code=2))
    assert contents(folder) == before


def test_a_new_store_takes_no_place_of_other_files(values: Path, folder: Path) -> None:
    (folder / "notes.mark").write_bytes(b"of somebody else")
    before = contents(folder)
    for words in (["import", str(values)], ["demo", str(values), "--keep"]):
        assert "'notes.mark' is no mark" in one_line(run(*words, "notes", code=2)).replace(f"{folder}{os.sep}", "")
        assert "ends in .compact" in one_line(run(*words, "copy.compact", code=2))
        assert contents(folder) == before
        (folder / "copy.mark").write_bytes(b"")  # of a store that was there once
        run(*words, "copy")
        assert (folder / "copy.mark").stat().st_size == 48
        for name in ("copy", "copy.mark"):
            (folder / name).unlink()


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_comes_into_being_meanwhile(
    values: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def no_links(*_arguments: object) -> None:
        raise OSError("this file system has no links")

    if not links:
        monkeypatch.setattr(os, "link", no_links)
        run("import", values, "first.bin")
        assert len(read_all(folder / "first.bin")) == 4
    at_the_end_of_each_value(monkeypatch, lambda: (folder / "copy.bin").write_bytes(b"of somebody else"))
    before = contents(folder)
    assert "has come into being meanwhile" in one_line(run("import", values, "copy.bin", code=2))
    assert contents(folder) == {**before, "copy.bin": b"of somebody else"}


def test_ctrl_c_in_an_import(values: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(folder)
    at_the_end_of_each_value(monkeypatch, interrupt)
    line = one_line(run("import", values, "copy.bin", code=130))
    assert line == f"simdrive: import {values}: interrupted\n"
    assert contents(folder) == before


def test_import_adds_to_a_store(values: Path, folder: Path) -> None:
    with simdrive.Store(folder / "other.bin") as other:
        other.batch_write({b"a": b"another", b"z": b"stays"})
        assert "end the program that writes" in one_line(run("import", values, "other.bin", "--append", code=2))
    run("import", values, "other.bin", "--append")
    expected = {xxh3_64(key): value for key, value in {**VALUES, b"z": b"stays"}.items()}
    assert read_all(folder / "other.bin") == expected
    assert "nowhere.bin" in one_line(run("import", values, "nowhere.bin", "--append", code=2))
    assert not (folder / "nowhere.bin").exists()


def test_an_error_says_how_many_were_added(values: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "_BATCH_BYTES", 100)
    path = values / name_of(b"b")
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    simdrive.Store(folder / "other.bin").close()
    line = one_line(run("import", values, "other.bin", "--append", code=6))
    assert f"import {values} (1 of 4 values stored): {path} is not what was exported" in line
    assert read_all(folder / "other.bin") == {xxh3_64(b"a"): VALUES[b"a"]}


# ---- exports that are not what they were ----------------------------------------------------------------------------


def refused(values: Path, code: int) -> str:
    """The message; nothing is left of the store."""
    before = contents(values.parent)
    line = one_line(run("import", values, "copy.bin", code=code))
    assert contents(values.parent) == before
    return line


def change(values: Path, act: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((values / "manifest.json").read_text())
    act(manifest)
    (values / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("key", [b"a", b"b", b"d"])
@pytest.mark.parametrize("large", [False, True])
def test_a_value_that_changed(values: Path, monkeypatch: pytest.MonkeyPatch, key: bytes, large: bool) -> None:
    if large:
        monkeypatch.setattr(exchange, "_BATCH_BYTES", 0)
    path = values / name_of(key)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert f"{path} is not what was exported: its checksum is wrong" in refused(values, 6)


def test_a_value_of_another_size(values: Path) -> None:
    path = values / name_of(b"a")
    path.write_bytes(b"value")
    assert f"{path} has 5 bytes, the manifest says 10" in refused(values, 6)


def test_a_value_that_is_missing(values: Path) -> None:
    path = values / name_of(b"a")
    path.unlink()
    assert f"there is no {path}, which the manifest lists (export the store again)" in refused(values, 6)
    path.mkdir()
    assert str(path) in refused(values, 2 if os.name == "nt" else 6)


def test_a_value_that_no_store_takes(values: Path) -> None:
    """The single byte 00 would delete the key."""

    def zero(manifest: dict[str, Any]) -> None:
        manifest["entries"][3]["checksum"] = f"{crc32(bytes(1)):08x}"

    (values / name_of(b"d")).write_bytes(b"\0")
    change(values, zero)
    assert "is the single byte 00" in refused(values, 2)


def test_a_folder_without_a_manifest(values: Path) -> None:
    (values / "manifest.json").unlink()
    assert "there is no manifest.json in" in refused(values, 6)


@pytest.mark.parametrize(
    "text",
    [
        *("", "no JSON", "[]", "{}", "null", "1", "[" * 100_000, '{"a": ' * 100_000, "\udcff", '{"format": "other"}'),
        '{"hash": "0000000000000001", "size": 1, "checksum": "00000000"}',
    ],
)
def test_what_is_no_manifest(values: Path, text: str) -> None:
    (values / "manifest.json").write_bytes(text.encode(errors="surrogateescape"))
    assert "is no manifest of an export" in refused(values, 6)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        *(("version", 2, "has version 2; this version of simdrive reads 1"), ("order", "newest first", "has order")),
        *(("entries", None, "an entry without"), ("entries", {}, "an entry without"), ("entries", [1], "an entry")),
        ("entries", [{"hash": "0000000000000001", "size": 1}], "an entry without hash, size and checksum"),
    ],
)
def test_a_manifest_of_another_kind(values: Path, name: str, value: object, says: str) -> None:
    change(values, lambda manifest: manifest.update({name: value}))
    assert says in refused(values, 6)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("hash", text)
            for text in ("../../../etc/x", "E6C632B61E964E1F", "0123", "0" * 17, "0" * 15 + "\n", 7, None)
        ),
        *(("size", size) for size in (0, -1, True, 1.5, "1", None, 1 << 63)),
        *(("checksum", text) for text in ("0", "G" * 8, 7, None)),
    ],
)
def test_an_entry_that_is_none(values: Path, name: str, value: object) -> None:
    change(values, lambda manifest: manifest["entries"][0].update({name: value}))
    line = refused(values, 6)
    assert f"{name} {value!r}" in line


def test_a_hash_that_is_there_twice(values: Path) -> None:
    change(values, lambda manifest: manifest["entries"].append(manifest["entries"][0]))
    assert f"has the hash {xxh3_64(b'a'):016x} twice" in refused(values, 6)
