"""One program, with the existing package and with simdrive.compat in its place: the same lines, but for a list."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from support.compat_run import (
    EXPECTED,
    HOW_TO_GET,
    SERVER,
    SURFACE,
    find_python,
    read_json,
    run_script,
    surface_of_real,
)
from support.real_server import RealServer, find_server, how_to_get

Line = dict[str, Any]

# The stores of the two servers lay out entries differently.
OTHER_LAYOUT = {"file_size", "file_size at the end"}

# Deliberate differences: our line, and the reason.
DIFFERENCES: dict[str, tuple[Line, str]] = {
    "hasher, bytearray": (
        {"result": {"bytes": "879b441d19e520be1d88da4f70e321a9"}},
        "ours takes every bytes-like object",
    ),
    "hasher, no prefix": ({"raises": ["TypeError"], "message": []}, "the compiler words it, and names no argument"),
    "hasher, no key": ({"raises": ["TypeError"], "message": []}, "the compiler words it, and names no argument"),
    "hasher, pickle": ({"raises": ["TypeError"], "message": ["prefix"]}, "ours says what to pickle instead"),
    "with": ({"result": {"type": "DataStoreWsClient"}}, "ours can be closed"),
    "back, the same client": (
        {"result": {"bytes": b"value".hex()}},
        "ours connects again, the existing client stays disconnected",
    ),
}


def agree(theirs: Line, ours: Line) -> bool:
    """Equal results. Of errors: what catches theirs catches ours, what finds a phrase in theirs finds it in ours."""
    if "raises" not in theirs or "raises" not in ours:
        return theirs == ours
    return set(theirs["raises"]) <= set(ours["raises"]) and set(theirs["message"]) <= set(ours["message"])


def compare(theirs: list[Line], ours: list[Line], *, skip: frozenset[str] | set[str] = frozenset()) -> list[str]:
    """What differs and should not; also a listed difference that is none."""
    labels = [line["case"] for line in theirs]
    assert [line["case"] for line in ours] == labels
    assert len(set(labels)) == len(labels)
    problems = [f"no case {label!r}" for label in sorted(set(DIFFERENCES) - set(labels))]
    for their_line, our_line in zip(theirs, ours, strict=True):
        label = their_line["case"]
        if label in skip:
            continue
        if label in DIFFERENCES:
            if agree(their_line, our_line):
                problems.append(f"{label}: listed as different, but it is not")
            if our_line != {"case": label, **DIFFERENCES[label][0]}:
                problems.append(f"{label}: not the listed difference: {our_line}")
        elif not agree(their_line, our_line):
            problems.append(f"{label}: theirs {their_line}, ours {our_line}")
    return problems


def real_python() -> Path:
    python = find_python()
    if python is None:
        pytest.skip(f"the existing package is not there: {HOW_TO_GET}")
    return python


def test_comparison_bites() -> None:
    theirs: list[Line] = [{"case": label, "result": None} for label in ("a", *DIFFERENCES)]
    ours: list[Line] = [
        {"case": "a", "result": None},
        *({"case": label, **line} for label, (line, _) in DIFFERENCES.items()),
    ]
    assert compare(theirs, ours) == []
    assert compare(theirs, [{"case": "a", "result": 0}, *ours[1:]]) != []
    assert compare(theirs, [ours[0], {**ours[1], "result": 0}, *ours[2:]]) != []
    assert compare([theirs[0], ours[1], *theirs[2:]], ours) != []
    error = {"case": "e", "raises": ["OSError"], "message": ["refused"]}
    assert agree(error, {**error, "raises": ["ValueError", "OSError"]})
    assert not agree(error, {**error, "raises": ["ValueError"]})
    assert not agree(error, {**error, "message": []})
    assert not agree(error, {"case": "e", "result": None})


@pytest.mark.integration
def test_ours_gives_what_is_expected(own_server: RealServer) -> None:
    ours = run_script(sys.executable, "ours", own_server)
    skip = OTHER_LAYOUT if own_server.version != SERVER else set()
    assert compare(read_json(EXPECTED), ours, skip=skip) == []


@pytest.mark.integration
def test_existing_package_gives_what_is_expected() -> None:
    python = real_python()
    if find_server(SERVER) is None:
        pytest.skip(f"no server: {how_to_get(SERVER)}")
    with RealServer(SERVER) as server:
        assert run_script(python, "real", server) == read_json(EXPECTED)


@pytest.mark.integration
def test_surface_list_is_that_of_the_existing_package() -> None:
    assert surface_of_real(real_python()) == read_json(SURFACE)


@pytest.mark.integration
@pytest.mark.slow
def test_limits_are_those_of_the_existing_package(request: pytest.FixtureRequest) -> None:
    if "slow" not in request.config.getoption("markexpr"):
        pytest.skip("waits 90 s for limits to pass; run with -m slow")
    python = real_python()
    if find_server(SERVER) is None:
        pytest.skip(f"no server: {how_to_get(SERVER)}")
    results: dict[str, list[Line]] = {}

    def run(which: str, program: str | Path) -> None:
        with RealServer(SERVER) as server:
            results[which] = run_script(program, which, server, "--limits", silence=90)

    threads = [threading.Thread(target=run, args=pair) for pair in (("real", python), ("ours", sys.executable))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=150)
    assert len(results) == 2
    assert [line["result"] for line in results["real"] if "result" in line] == [30, 60]
    assert all(agree(theirs, ours) for theirs, ours in zip(results["real"], results["ours"], strict=True)), results
