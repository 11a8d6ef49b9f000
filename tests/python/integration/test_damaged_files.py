"""The original engine and ours open the same damaged files (reliability test T4): ours keeps at least as much."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from support.damaged_files import KINDS, Original, Ours, look
from support.interop import HOW_TO_GET, find_interop
from support.targets import missing


@pytest.fixture(scope="module")
def original() -> Original:
    program = find_interop()
    if program is None:
        missing(f"no interop program of these sources: {HOW_TO_GET}")
    return Original(program)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_lost_or_misread(original: Original, tmp_path: Path, kind: str) -> None:
    ours, files, lost_by_the_original = Ours(), 0, 0
    for image in KINDS[kind](random.Random(kind)):
        theirs, _ = look(original, image, tmp_path)
        mine, refused = look(ours, image, tmp_path)
        files += 1
        lost_by_the_original += any(theirs.get(key) != value for key, value in image.due.items())
        assert image.due.items() <= mine.items(), f"refused: {refused}"
        assert image.written >= set(mine.values())
    assert files >= 39
    assert lost_by_the_original > 0, "the original is not what it is taken for"
