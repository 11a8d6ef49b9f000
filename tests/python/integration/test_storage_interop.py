"""Store files go both ways between the original engine and ours, byte for byte."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support import storage_vectors as sv
from support.interop import HOW_TO_GET, Interop, find_interop
from support.storage_scripts import scripts
from support.storage_store import open_script_store

SETTINGS = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def original() -> Interop:
    """The program; where it must be there, its absence is a failure."""
    program = find_interop()
    if program is None:
        reason = f"no interop program of these sources: {HOW_TO_GET}"
        if os.environ.get("SIMDRIVE_REQUIRE_SERVERS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return Interop(program)


@pytest.fixture(scope="module")
def open_ours() -> sv.OpenStore:
    """Opens one of our stores; what is under test."""
    return open_script_store


def left_in(folder: Path) -> dict[str, bytes]:
    """The stores in a folder. What a store keeps beside its file, and the original's leftovers, have other names."""
    return {path.name: path.read_bytes() for path in folder.glob("*.bin")}


def folders(count: int) -> tuple[tempfile.TemporaryDirectory[str], list[Path]]:
    """Empty folders, new for each example."""
    owner = tempfile.TemporaryDirectory(prefix="simdrive-interop-")
    made = [Path(owner.name) / str(i) for i in range(count)]
    for folder in made:
        folder.mkdir()
    return owner, made


def as_ours(opened: sv.Line) -> sv.Line:
    """A dump of the original's, with a length that counts live keys."""
    return {**opened, "len": opened["live"], "is_empty": opened["live"] == 0}


@pytest.mark.parametrize("name", list(sv.cases()))
def test_the_program_is_the_original(original: Interop, tmp_path: Path, name: str) -> None:
    """It gives every vector anew, those included that nobody else should give."""
    folder = tmp_path / "files"
    folder.mkdir()
    assert original.replay(sv.script(name), folder) == sv.results(name)
    found = left_in(folder)
    assert found == sv.files(name)
    script = tmp_path / "files.script.jsonl"
    for file in found:
        expected = sv.dump(name, file)
        del expected["opened"]["par_live"]  # of a feature that the program is built without
        dumped = original.dump((folder / file).rename(tmp_path / f"{name}.{file}"), script)
        for dump in dumped, expected:
            dump["opened"]["absent"].sort(key=json.dumps)
        assert dumped == expected


@SETTINGS
@given(calls=scripts)
def test_both_do_the_same(original: Interop, open_ours: sv.OpenStore, calls: list[sv.Line]) -> None:
    owner, (theirs, ours) = folders(2)
    with owner:
        expected = original.replay(calls, theirs)
        assert sv.replay(calls, open_ours, ours) == sv.without_messages(expected)
        assert left_in(ours) == left_in(theirs)


@SETTINGS
@given(calls=scripts)
def test_the_original_reads_ours(original: Interop, open_ours: sv.OpenStore, calls: list[sv.Line]) -> None:
    owner, (ours,) = folders(1)
    with owner:
        sv.replay(calls, open_ours, ours)
        script = ours.with_name("calls.jsonl")
        script.write_text("".join(json.dumps(call) + "\n" for call in calls), encoding="utf-8")
        for path in list(ours.glob("*.bin")):
            before = path.read_bytes()
            dumped = original.dump(path, script)
            assert path.read_bytes() == before
            store = open_ours(path, False)
            found = sv.opened(store, sv.names_of(calls))
            store.close()
            assert dumped["bytes"] == len(before)
            for dump in found, dumped["opened"]:
                dump["absent"].sort(key=json.dumps)
            assert as_ours(dumped["opened"]) == found


@SETTINGS
@given(calls=scripts)
def test_ours_reads_the_original(original: Interop, open_ours: sv.OpenStore, calls: list[sv.Line]) -> None:
    owner, (theirs,) = folders(1)
    with owner:
        original.replay(calls, theirs)
        for path in list(theirs.glob("*.bin")):
            before = path.read_bytes()
            store = open_ours(path, False)
            found = sv.opened(store, {})
            store.close()
            assert path.read_bytes() == before
            assert found == as_ours(original.dump(path)["opened"])


@SETTINGS
@given(parts=st.lists(scripts, min_size=2, max_size=4), first=st.booleans())
def test_in_turns(original: Interop, open_ours: sv.OpenStore, parts: list[list[sv.Line]], first: bool) -> None:
    """Each goes on with the file that the other has left; the bytes are those of the original alone."""
    owner, (shared, alone) = folders(2)
    with owner:
        for part in parts:
            expected = original.replay(part, alone)
            first = not first
            found = original.replay(part, shared) if first else sv.replay(part, open_ours, shared)
            assert sv.without_messages(found) == sv.without_messages(expected)
            assert left_in(shared) == left_in(alone)
