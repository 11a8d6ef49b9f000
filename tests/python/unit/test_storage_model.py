"""The model of the store format does what the original did in every vector, before anything is compared with it."""

from __future__ import annotations

import dataclasses
import io
import zlib
from pathlib import Path

import pytest

from support import storage_vectors as sv
from support import vectors
from support.storage_model import (
    NULL,
    ORIGINAL,
    OURS,
    MissingKeyError,
    ModelFile,
    ModelStore,
    RefusedError,
    Rules,
    append,
    key_hash,
    layout,
    live,
    newest,
    original_tail,
    safe_tail,
    walk,
)

SOUND = [name for name in sv.cases() if not sv.is_quirk(name)]
FILES = [(name, file) for name in sv.cases() for file in sv.files(name)]
# Where a store differs from the original on purpose: one result changes, and in `stream` all that follows.
DEPARTURES = {"batch_hash": (5, 6), "stream": (10, 11, 12)}
OLD_LAYOUTS = {"layout_v12": 1, "layout_v14": 16}


def replayed(name: str, rules: Rules, folder: Path) -> list[sv.Line]:
    def open_store(path: Path, create: bool) -> ModelFile:
        return ModelFile(path, create=create, rules=rules)

    return sv.replay(sv.script(name), open_store, folder)


def left_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_all_vectors_are_here() -> None:
    assert len(SOUND) >= 22
    assert len(FILES) >= 28


@pytest.mark.parametrize("name", SOUND)
def test_original_rules(name: str, tmp_path: Path) -> None:
    found = replayed(name, ORIGINAL, tmp_path)
    assert found == sv.without_messages(sv.results(name))
    assert left_in(tmp_path) == sv.files(name)


@pytest.mark.parametrize("name", SOUND)
def test_our_rules(name: str, tmp_path: Path) -> None:
    found = replayed(name, OURS, tmp_path)
    for mine, theirs in zip(found, sv.without_messages(sv.results(name)), strict=True):
        if mine["op"] in ("len", "is_empty"):
            assert "ok" in mine  # live keys only: compared below, in what the dumps say
        elif mine["i"] not in DEPARTURES.get(name, ()):
            assert mine == theirs
    if name == "stream":
        assert found[10]["err"] == "Other"
        assert found[11]["ok"] is None
    else:
        assert left_in(tmp_path) == sv.files(name)


@pytest.mark.parametrize(("name", "file"), FILES)
def test_dumps(name: str, file: str) -> None:
    image = sv.files(name)[file]
    expected = sv.dump(name, file)
    assert len(image) == expected["bytes"]
    assert original_tail(image) == expected["opened"]["tail"]
    kept = image[: original_tail(image)]
    names = sv.names_of(sv.script(name))
    found = sv.opened(ModelStore(kept, ORIGINAL), names)
    found["par_live"] = found["live"]
    assert sorted(found.pop("absent"), key=repr) == sorted(expected["opened"].pop("absent"), key=repr)
    assert found == expected["opened"]
    ours = ModelStore(kept)
    assert len(ours) == found["live"]
    assert ours.is_empty() == (found["live"] == 0)


@pytest.mark.parametrize("name", OLD_LAYOUTS)
def test_old_layouts(name: str) -> None:
    image = vectors.path("storage", f"{name}.bin").read_bytes()
    expected = vectors.load("storage", f"{name}.json")
    assert layout(image) == OLD_LAYOUTS[name]
    records = walk(image, alignment=OLD_LAYOUTS[name]) or []
    assert len(newest(records)) == expected["len"]
    found = [
        {
            "h": sv.hash_text(r.key_hash), "start": r.start, "end": r.end, "prev": r.prev_offset,
            "crc": f"{r.checksum:08x}", "crc_ok": r.is_valid_checksum(), "hex": r.payload.hex(),
        }
        for r in live(records)
    ]  # fmt: skip
    assert found == expected["entries"]
    assert original_tail(image) < len(image)  # which is why it must be told apart
    assert safe_tail(image, OLD_LAYOUTS[name]) == len(image)


@pytest.mark.parametrize("table", ["truncate_all", "garbage_tail", "torn_batch", "bitflip"])
def test_damage_as_the_original_takes_it(table: str) -> None:
    base = sv.files("damage_base")["main.bin"]
    lines = sv.lines(f"{table}.damage.jsonl")
    assert len(lines) > 50
    for line in lines:
        image = sv.damaged(base, line)
        tail = original_tail(image)
        records = (walk(image, tail) or []) if tail else []
        assert (tail, len(newest(records))) == (line["out"]["tail"], line["out"]["len"]), line
        found = [[sv.hash_text(r.key_hash), r.start, r.end, r.is_valid_checksum()] for r in live(records)]
        assert found == line["out"]["entries"], line


def test_damage_as_it_should_be_taken() -> None:
    base = sv.files("damage_base")["main.bin"]
    lines = sv.lines("truncate_all.safe.jsonl")
    assert len(lines) == len(base) + 1
    for line in lines:
        image = base[: line["cut"]]
        assert safe_tail(image) == line["tail"], line
        assert len((walk(image, line["tail"]) or []) if line["tail"] else []) == line["records"], line


def test_hashes_and_checksums() -> None:
    known = vectors.load("storage", "hash_vectors.json")
    content = sv.data(known["buffer"])
    samples = [(content[:length], *rest) for length, *rest in known["prefix_len_xxh3_crcbytes"]]
    samples += [(text.encode(), *rest) for text, *rest in known["text_xxh3_crcbytes"]]
    assert len(samples) > 300
    for sample, hashed, checksum in samples:
        assert sv.hash_text(key_hash(sample)) == hashed
        assert zlib.crc32(sample).to_bytes(4, "little").hex() == checksum


@pytest.mark.parametrize("rules", [OURS, ORIGINAL], ids=["ours", "original"])
def test_refusals_change_nothing(rules: Rules) -> None:
    store = ModelStore(rules=rules)
    store.write(b"k", b"value")
    before = bytes(store.image)
    for data in (b"", NULL):
        with pytest.raises(RefusedError):
            store.write(b"x", data)
        with pytest.raises(RefusedError):
            store.batch_write([(b"y", b"fine"), (b"x", data)])
        with pytest.raises(RefusedError):
            store.write_stream(b"x", io.BytesIO(data))
    with pytest.raises(RefusedError):
        store.rename(b"k", b"k")
    with pytest.raises(MissingKeyError):
        store.rename(b"absent", b"other")
    for call in (store.copy, store.transfer):
        with pytest.raises(MissingKeyError):
            call(b"absent", ModelStore())
    with pytest.raises(RefusedError):
        store.copy(b"k", store)
    assert bytes(store.image) == before
    assert store.batch_write([]) == store.delete(b"absent") == len(before)
    assert bytes(store.image) == before


def test_each_rule_is_one_difference() -> None:
    """Each field of Rules changes what it says, and is not without effect."""
    assert {field.name for field in dataclasses.fields(Rules)} == {
        "len_counts_dead", "null_hides_later_value", "failing_source_ends", "refuses_zero_streams",
    }  # fmt: skip
    image = bytearray()
    append(image, 1, b"one")
    append(image, 1, NULL)
    assert [len(ModelStore(bytes(image), rules)) for rules in (OURS, ORIGINAL)] == [0, 1]
    for rules, seen in ((OURS, True), (ORIGINAL, False)):
        store = ModelStore(rules=rules)
        store.batch_write_with_key_hashes([(1, NULL), (1, b"later")], allow_null=True)
        assert store.exists_with_key_hash(1) is seen
        assert ModelStore(bytes(store.image), rules).exists_with_key_hash(1)
    failing = {"v": "abcdef", "fail_after": 3}
    with pytest.raises(OSError, match="source fails"):
        ModelStore().write_stream(b"k", sv.SlowSource(failing))
    original = ModelStore(rules=ORIGINAL)
    original.write_stream(b"k", sv.SlowSource(failing))
    assert original.read(b"k") == b"abc"
    with pytest.raises(RefusedError):
        ModelStore(rules=ORIGINAL).write_stream(b"k", io.BytesIO(bytes(2)))
    assert ModelStore().write_stream(b"k", io.BytesIO(bytes(2))) == 22


def test_images_that_are_no_store() -> None:
    for image in (b"x", b"not a store at all, only a text of some length", bytes(100)[:19]):
        with pytest.raises(RefusedError):
            ModelStore(image)
