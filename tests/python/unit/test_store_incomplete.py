"""Files of which entries are known to be missing: reading says so, and makes nothing whole of what is left."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

import simdrive
from simdrive.hashing import xxh3_64
from support.cli_calls import contents, document, one_line, run

COUNT = 6
LINK_OF_K2 = 2 * 64 + 14 + 8  # in the trailer behind the third value of 14 bytes


@pytest.fixture
def path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Six entries, synced, and a flipped bit in the link of the third."""
    for name in ("SIMDRIVE_URL", "SIMDRIVE_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    path = filled(tmp_path / "98.bin")  # the offset, too: a message is not to take the one for the other
    flip(path, LINK_OF_K2)
    return path


def filled(path: Path) -> Path:
    with simdrive.Store(path) as store:
        for number in range(COUNT):
            store.write(b"k%d" % number, b"value number %d" % number)
    return path


def flip(path: Path, at: int) -> None:
    image = bytearray(path.read_bytes())
    image[at] ^= 1
    path.write_bytes(image)


def test_opening_and_verify_tell(path: Path) -> None:
    image = path.read_bytes()
    with pytest.raises(simdrive.StoreCorruptError, match="which was synced"):
        simdrive.Store(path)
    with simdrive.Store(path, mode="r") as store:
        assert (store.opened.damaged, store.opened.incomplete, len(store)) == (True, True, 2)
        assert store.opened.damaged_offset == store.tail == 98
        assert not store.verify().ok
        assert store.read(b"k1") == b"value number 1"  # mode "r" still reads what is there
        before = sorted(path.parent.iterdir())
        with pytest.raises(simdrive.StoreCorruptError, match=r"synced.*offset 98.*Store.recover_file") as caught:
            store.compact(path.with_name("new.bin"))
        assert caught.value.offset == 98
        with pytest.raises(simdrive.StoreCorruptError, match="are missing"):
            simdrive.Server(store).start()
        assert sorted(path.parent.iterdir()) == before
    assert path.read_bytes() == image
    assert simdrive.Store.recover_file(path).entries == COUNT
    with simdrive.Store(path) as store:
        assert store.verify().ok
        assert store.opened == simdrive.OpenReport(64, 0, None, False, None, False)
        assert len(store) == COUNT


def test_a_writer_that_is_at_work_is_no_damage(tmp_path: Path) -> None:
    path = filled(tmp_path / "store.bin")
    with path.open("ab") as file:
        file.write(b"the first part of a value")
    with simdrive.Store(path, mode="r") as store:
        assert (store.opened.damaged, store.opened.incomplete) == (False, False)
        assert store.opened.dropped_bytes == 25
        assert store.verify().ok
        assert store.compact(tmp_path / "new.bin").entries == COUNT


def test_a_bad_checksum_hides_nothing(tmp_path: Path) -> None:
    path = filled(tmp_path / "store.bin")
    flip(path, 2 * 64)
    Path(f"{path}.mark").unlink()
    with simdrive.Store(path, mode="r") as store:
        assert (store.opened.damaged, store.opened.incomplete) == (True, False)
        assert store.opened.damaged_offset == 2 * 64 + 14


def test_refresh_does_not_pass_over_damage(tmp_path: Path) -> None:
    path = filled(tmp_path / "store.bin")
    with simdrive.Store(path, mode="r") as store:
        image = path.read_bytes()
        path.with_name("other").write_bytes(image)
        flip(path.with_name("other"), LINK_OF_K2)
        path.with_name("other").replace(path)
        with pytest.raises(simdrive.StoreCorruptError, match="which was synced"):
            store.refresh()
        assert store.read(b"k5") == b"value number 5"  # what was there before
        path.with_name("other").write_bytes(image)
        path.with_name("other").replace(path)
        store.refresh()
        assert store.verify().ok
    flip(path, LINK_OF_K2)
    with simdrive.Store(path, mode="r") as store:
        assert len(store) == 2
        flip(path, LINK_OF_K2)
        store.refresh()
        assert len(store) == COUNT
        assert store.verify().ok
        store.compact(tmp_path / "whole.bin")


def older(values: list[bytes]) -> bytearray:
    """A file in the layout without padding."""
    image = bytearray()
    for number, value in enumerate(values):
        link = len(image)
        image += value + xxh3_64(b"k%d" % number).to_bytes(8, "little") + link.to_bytes(8, "little")
        image += zlib.crc32(value).to_bytes(4, "little")
    return image


def test_an_older_layout_with_a_broken_link(tmp_path: Path) -> None:
    path = tmp_path / "old.bin"
    image = older([b"value number %d" % number for number in range(20)])
    path.write_bytes(image + b"torn")
    with simdrive.Store(path, mode="r") as store:
        assert (store.opened.alignment, store.opened.incomplete, len(store)) == (1, False, 20)
        assert store.compact(tmp_path / "new.bin").entries == 20
    image[9 * 34 - 34 + 22] ^= 1
    path.write_bytes(image)
    with simdrive.Store(path, mode="r") as store:
        assert store.opened.incomplete
        assert len(store) < 20
        assert not store.verify().ok
        with pytest.raises(simdrive.StoreCorruptError, match="older version, and its end is damaged"):
            store.compact(tmp_path / "part.bin")
    assert not (tmp_path / "part.bin").exists()


def test_a_file_cut_between_entries_is_not_whole(tmp_path: Path) -> None:
    path = filled(tmp_path / "store.bin")
    image, mark = path.read_bytes()[:98], Path(f"{path}.mark").read_bytes()
    path.write_bytes(image)
    lost = r"synced, and end at 98.*Store.recover_file"
    with pytest.raises(simdrive.StoreCorruptError, match=lost) as caught:
        simdrive.Store(path)
    assert caught.value.offset == 98
    assert (path.read_bytes(), Path(f"{path}.mark").read_bytes()) == (image, mark)
    with simdrive.Store(path, mode="r") as store:
        assert store.opened == simdrive.OpenReport(64, 0, None, True, 98, True)
        assert len(store) == 2
        assert not store.verify().ok
    report = simdrive.Store.recover_file(path)
    assert (report.entries, report.kept_bytes, report.backup_path) == (2, 98, None)
    with simdrive.Store(path) as store:
        assert store.verify().ok
        assert len(store) == 2


# ---- a file that was emptied ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("create", [True, False])
def test_an_emptied_file_is_no_new_store(tmp_path: Path, create: bool) -> None:
    path = filled(tmp_path / "store.bin")
    mark = Path(f"{path}.mark")
    before = mark.read_bytes()
    path.write_bytes(b"")
    with pytest.raises(simdrive.StoreCorruptError) as caught:
        simdrive.Store(path, create=create)
    assert "were synced, and the file is empty" in str(caught.value)
    assert f"remove '{mark}'" in str(caught.value)
    assert mark.read_bytes() == before
    with simdrive.Store(path, mode="r") as store:
        assert (store.opened.damaged, store.opened.incomplete, len(store)) == (True, True, 0)
        assert store.opened.damaged_offset is None
        assert not store.verify().ok
    simdrive.Store.recover_file(path)
    with simdrive.Store(path, create=create) as store:
        assert len(store) == 0
        store.write(b"a", b"1")


def test_a_mark_is_nothing_without_its_file(tmp_path: Path) -> None:
    path = filled(tmp_path / "store.bin")
    path.unlink()
    with simdrive.Store(path) as store:
        store.write(b"a", b"1")
    Path(f"{path}.mark").unlink()
    path.write_bytes(b"")
    with simdrive.Store(path, create=False) as store:
        assert len(store) == 0


# ---- the command ----------------------------------------------------------------------------------------------------


def test_no_key_is_said_to_be_absent(path: Path) -> None:
    for command in (("get", "k5"), ("exists", "k5"), ("get", "--json", "k5")):
        result = run(*command, url=path, code=6)
        assert result.stdout == ""
        warning, error = result.stderr.splitlines()
        assert "damaged at offset 98: values may be missing or old (`simdrive recover`" in warning
        assert "there is no such key in what is left: the store is damaged" in error
    result = run("mget", "k0", "k4", "k5", url=path, code=6)
    assert [entry["found"] for entry in document(result)["entries"]] == [True, False, False]
    assert "2 keys absent from what is left" in result.stderr
    result = run("mget", "k0", "k5", "-o", "values", url=path, code=6)
    assert contents(Path("values")) == {"k0": b"value number 0"}
    result = run("len", url=path, code=6)
    assert result.stdout == "2\n"
    assert "there may be more keys" in result.stderr


def test_what_is_left_is_shown_with_a_warning(path: Path) -> None:
    result = run("get", "k0", url=path)
    assert result.stdout == "value number 0"
    assert "values may be missing or old" in result.stderr
    assert run("exists", "k0", url=path).stdout == "true\n"
    assert run("get", "k0", "--quiet", url=path).stderr == ""


def test_info_and_verify_tell(path: Path) -> None:
    shown = document(run("info", path, "--json"))
    assert (shown["damaged"], shown["damaged_offset"], shown["incomplete"]) == (True, 98, True)
    result = run("verify", path, "--json", code=6)
    assert not document(result)["ok"]
    assert "entries are missing" in result.stderr


def test_nothing_is_made_of_what_is_left(path: Path) -> None:
    before = contents(path.parent)
    assert "entries are missing" in one_line(run("export", path, "values", code=6))
    assert "which was synced" in one_line(run("compact", path, "-o", "new.bin", code=6))
    assert contents(path.parent) == before
