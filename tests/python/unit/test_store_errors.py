"""Files that do not open, that are damaged, or that another process has: what is raised, and that nothing is harmed."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

import simdrive
from simdrive import hashing
from support.cli_calls import run


def filled(path: Path, count: int = 20) -> dict[bytes, bytes]:
    values = {b"key %d" % i: b"value %d " % i * 20 for i in range(count)}
    with simdrive.Store(path) as store:
        for key, value in values.items():
            store.write(key, value)
    return values


def damage(path: Path, key: bytes) -> int:
    """Changes a byte of the value and tells where its metadata begins."""
    with simdrive.Store(path, mode="r") as store:
        entry = store.read_entry(key)
        assert entry is not None
        start, end = entry.offset_range
    image = bytearray(path.read_bytes())
    image[start] ^= 0x10
    path.write_bytes(image)
    return end


def test_missing(tmp_path: Path) -> None:
    path = tmp_path / "none.bin"
    for options in ({"mode": "r"}, {"create": False}):
        with pytest.raises(simdrive.StoreNotFoundError) as caught:
            simdrive.Store(path, **options)
        assert str(path) in str(caught.value)
        assert (caught.value.errno, caught.value.op, caught.value.endpoint) == (errno.ENOENT, "open", str(path))
        assert isinstance(caught.value, OSError)
    assert not path.exists()
    with pytest.raises(simdrive.StoreNotFoundError):
        simdrive.Store.recover_file(path)
    with pytest.raises(simdrive.StoreNotFoundError):
        simdrive.Store(tmp_path / "no folder" / "x.bin")


@pytest.mark.parametrize(
    "content", [b"#!/bin/sh\necho hello\n", b"\x89PNG\r\n" + bytes(range(256)) * 40, b"x", bytes(4096)]
)
@pytest.mark.parametrize("mode", ["a", "r"])
def test_foreign_files_are_left_alone(tmp_path: Path, content: bytes, mode: str) -> None:
    path = tmp_path / "foreign.bin"
    path.write_bytes(content)
    with pytest.raises(simdrive.StoreFormatError, match="foreign") as caught:
        simdrive.Store(path, mode=mode)
    assert caught.value.endpoint == str(path)
    assert path.read_bytes() == content
    with pytest.raises(simdrive.StoreFormatError):
        simdrive.Store.recover_file(path)
    assert path.read_bytes() == content


def test_folder(tmp_path: Path) -> None:
    with pytest.raises(simdrive.StoreError, match="open"):
        simdrive.Store(tmp_path)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="everything is permitted")
def test_not_permitted(tmp_path: Path) -> None:
    path = tmp_path / "store.bin"
    filled(path)
    path.chmod(0)
    with pytest.raises(simdrive.StoreError) as caught:
        simdrive.Store(path)
    assert caught.value.errno == errno.EACCES


def test_locked_by_another_process(tmp_path: Path) -> None:
    path = tmp_path / "store.bin"
    values = filled(path)
    holder = "import simdrive, sys; s = simdrive.Store(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", holder, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == b"open"
            with pytest.raises(simdrive.StoreLockedError, match=r"store\.bin") as caught:
                simdrive.Store(path)
            assert caught.value.endpoint == str(path)
            with pytest.raises(simdrive.StoreLockedError):
                simdrive.Store.recover_file(path)
            with simdrive.Store(path, mode="r") as reader:
                assert reader.read(b"key 3") == values[b"key 3"]
        finally:
            process.kill()
    with simdrive.Store(path) as store:  # a lock dies with its process
        assert len(store) == len(values)


def test_locked_by_this_process(tmp_path: Path) -> None:
    with simdrive.Store(tmp_path / "store.bin") as store:
        with pytest.raises(simdrive.StoreLockedError):
            simdrive.Store(tmp_path / "store.bin")
        store.write(b"a", b"1")
    with simdrive.Store(tmp_path / "store.bin") as store:
        assert store.read(b"a") == b"1"


def test_damaged_entry(tmp_path: Path) -> None:
    path = tmp_path / "store.bin"
    values = filled(path)
    offset = damage(path, b"key 7")
    with simdrive.Store(path, mode="r", verify=True) as store:
        for op, call in (
            ("read", lambda: store.read(b"key 7")),
            ("read", lambda: store.read(b"key 7", out="view")),
            ("read", lambda: store.read(b"key 7", out=bytearray(1000))),
            ("read_entry", lambda: store.read_entry(b"key 7")),
            ("batch_read", lambda: store.batch_read([b"key 6", b"key 7"])),
            ("metadata", lambda: store.metadata(b"key 7")),
        ):
            with pytest.raises(simdrive.StoreCorruptError) as caught:
                call()
            assert (caught.value.op, caught.value.offset, caught.value.endpoint) == (op, offset, str(path))
            assert str(path) in str(caught.value)
            assert str(offset) in str(caught.value)
        assert store.read(b"key 8") == values[b"key 8"]
        report = store.verify()
        assert (report.ok, report.bad, report.bad_count, report.entries) == (False, (offset,), 1, 20)
    with simdrive.Store(path) as store:
        assert store.read(b"key 7") != values[b"key 7"]  # who does not ask is not told
        with pytest.raises(simdrive.StoreCorruptError):
            store.compact()
        with pytest.raises(simdrive.StoreCorruptError):
            store.rename(b"key 7", b"other")
        report2 = store.recover()
        assert (report2.entries, report2.backup_path) == (19, f"{path}.damaged")
        assert report2.dropped_bytes > 0
        assert Path(report2.backup_path or "").stat().st_size == report.tail_offset
        assert {key: store.read(key) for key in values} == {**values, b"key 7": None}
        store.write(b"key 7", b"anew")
        assert store.verify().ok


def test_a_path_that_no_file_can_have() -> None:
    for name in ("a\0b", "\ud800") if sys.platform != "win32" else ("a\0b",):
        for open_it in (simdrive.Store, simdrive.open_store, simdrive.Store.recover_file):
            with pytest.raises(simdrive.ConfigurationError, match="the path of a store"):
                open_it(name)


def test_what_does_not_open_says_where_and_what_to_do(tmp_path: Path) -> None:
    """With the offset where the damage is, or none; mode "r" does not advise mode "r"."""
    path = tmp_path / "store.bin"
    with simdrive.Store(path) as store:
        for number in range(20):
            store.write(b"%d" % number, bytes([number + 1]) * 100)
    whole = path.read_bytes()
    Path(f"{path}.mark").unlink()
    reads = 'mode "r" reads what is there, Store.recover_file(path) repairs it'
    keeps = "Store.recover_file(path) keeps what is intact"
    middle, first = 12 * 128 + 100, 100  # where metadata of entries begin
    for link, changed, opens_for_reading, offset, advice in (
        (middle, bytes(8), True, middle, reads),  # the chain ends there, so that older entries are hidden
        (middle, b"\x07" * 8, True, middle - 128 + 20, reads),  # where the entry before ends
        (first, b"\x07" * 8, False, None, keeps),
    ):
        image = bytearray(whole)
        image[link + 8 : link + 16] = changed
        path.write_bytes(image)
        if opens_for_reading:
            with simdrive.Store(path, mode="r") as store:
                assert 0 < len(store) < 20
        for mode in ("a",) if opens_for_reading else ("a", "r"):
            with pytest.raises(simdrive.StoreCorruptError) as caught:
                simdrive.Store(path, mode=mode)
            assert str(caught.value).endswith(f"it is left as it is: {advice}")
            assert caught.value.offset == offset
            assert offset is None or str(offset) in str(caught.value)
        assert path.read_bytes() == image
        assert sorted(tmp_path.iterdir()) == [path]
    shown = run("verify", path, code=6).stderr
    assert shown.endswith("it is left as it is (`simdrive recover` keeps what is intact)\n")


def test_recover_a_file_that_does_not_open(tmp_path: Path) -> None:
    path = tmp_path / "store.bin"
    values = filled(path)
    image = path.read_bytes()
    path.write_bytes(image[:700] + os.urandom(300) + image[1000:-7] + os.urandom(600))
    told: list[tuple[int, int]] = []
    size = path.stat().st_size
    report = simdrive.Store.recover_file(path, progress=lambda done, total: told.append((done, total)))
    assert {total for _, total in told} == {size}, "bytes of the file, whatever it is at"
    assert told == sorted(told)
    assert told[-1] == (size, size)
    assert report.backup_path == f"{path}.damaged"
    assert report.kept_bytes == path.stat().st_size
    with simdrive.Store(path) as store:
        assert store.verify().ok
        kept = {key: store.read(key) for key in values if key in store}
        assert len(kept) == report.entries > 10
        assert all(values[key] == value for key, value in kept.items())
    told.clear()
    again = simdrive.Store.recover_file(path, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (path.stat().st_size, path.stat().st_size)
    assert (again.backup_path, again.dropped_bytes) == (None, 0)


def test_unfinished_write_is_cut_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "store.bin"
    values = filled(path)
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(b"unfinished")
    with simdrive.Store(path, mode="r") as store:
        assert (store.opened.dropped_bytes, store.opened.cut_path, store.tail) == (10, None, size)
    assert path.stat().st_size == size + 10
    with simdrive.Store(path) as store:
        assert (store.opened.dropped_bytes, store.opened.cut_path) == (10, f"{path}.cut-{size}")
        assert len(store) == len(values)
    assert path.stat().st_size == size
    assert Path(f"{path}.cut-{size}").read_bytes() == b"unfinished"


def test_progress_that_raises_ends_the_call(tmp_path: Path) -> None:
    path = tmp_path / "store.bin"
    values = filled(path)
    damage(path, b"key 7")

    def stop(_done: int, _total: int) -> None:
        raise RuntimeError("enough")

    image = path.read_bytes()
    with pytest.raises(RuntimeError, match="enough"):
        simdrive.Store.recover_file(path, progress=stop)
    with simdrive.Store(path) as store:
        store.delete(b"key 7")
        for call in (store.verify, store.compact, store.recover, lambda **p: store.compact(tmp_path / "to.bin", **p)):
            with pytest.raises(RuntimeError, match="enough"):
                call(progress=stop)
        assert not (tmp_path / "to.bin").exists()
        store.write(b"new", b"works")
        assert len(store) == len(values)
    assert path.read_bytes()[: len(image)] == image


def test_callbacks_must_not_wait_for_themselves(tmp_path: Path) -> None:
    """A call that would wait for the lock that its own thread holds is refused; reading is fine."""
    with simdrive.Store(tmp_path / "a.bin") as store, simdrive.Store(tmp_path / "b.bin") as other:
        store.write(b"a", b"1")
        other.write(b"b", b"1")
        refused = 0

        def tell(_done: int, _total: int) -> None:
            nonlocal refused
            assert store.read(b"a") == b"1"
            other.write(b"c", b"another store")
            for call in (
                lambda: store.write(b"x", b"1"), lambda: store.delete(b"a"), store.close, store.flush, store.compact,
                lambda: other.copy(b"b", store), lambda: store.write_stream(b"x", [b"1"]), store.recover,
                lambda: store.batch_write([(b"x", b"1")]), lambda: store.rename(b"a", b"b"),
            ):  # fmt: skip
                with pytest.raises(simdrive.StoreError, match="within the source or the progress"):
                    call()
                refused += 1

        store.compact(progress=tell)
        assert refused >= 10
        store.verify(progress=lambda _done, _total: store.write(b"v", b"verify holds no lock"))
        assert (store.read(b"v"), other.read(b"c")) == (b"verify holds no lock", b"another store")


def test_checksums_are_those_of_hashing(tmp_path: Path) -> None:
    with simdrive.Store(tmp_path / "store.bin") as store:
        for size in (1, 100, 100_000):
            value = os.urandom(size - 1) + b"x"
            store.write(b"k", value)
            found = store.metadata(b"k")
            assert found is not None
            assert found.checksum == hashing.crc32(value)


def test_system_limits_are_storage_full(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    script = """
import resource, signal, sys, simdrive
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with simdrive.Store(sys.argv[1]) as store:
    store.write(b"a", b"1" * 1000)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    tail = store.tail
    for call in (lambda: store.write(b"b", bytes(5000) + b"x"), lambda: store.write_stream(b"b", [b"x" * 3000] * 9)):
        try:
            call()
        except simdrive.StorageFullError as error:
            assert error.errno == 28 and sys.argv[1] in str(error), error
        else:
            raise AssertionError("stored")
        assert store.tail == store.file_size() == tail and store.read(b"b") is None
    store.write(b"c", b"fits")
    assert store.verify().ok
print("done")
"""
    assert resource
    command = [sys.executable, "-c", script, str(tmp_path / "store.bin")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.stdout.strip(), ended.returncode) == ("done", 0), ended.stderr


def test_nothing_is_cut_off_of_a_file_that_was_recovered(tmp_path: Path) -> None:
    """It is on the disk, and its mark says so."""
    path = tmp_path / "store.bin"
    filled(path)
    damage(path, b"key 7")
    assert simdrive.Store.recover_file(path).entries == 19
    offset = damage(path, b"key 0")
    image = path.read_bytes()
    with simdrive.Store(path) as store:
        assert (store.opened.cut_path, store.opened.dropped_bytes, len(store)) == (None, 0, 19)
        assert store.verify().bad == (offset,)
    assert path.read_bytes() == image
