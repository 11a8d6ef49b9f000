"""Results of conformance cases are compared with those expected, case by case."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.autobahn import EXPECTED, as_text, compare, read_expected

FOUND = {"1.1": ["OK", "OK"], "2.10": ["NON-STRICT", "OK"], "2.9": ["OK", "INFORMATIONAL"]}


def expected(**changed: Any) -> dict[str, Any]:
    return {"reasons": {"2.10": "fails late"}, "cases": dict(FOUND), **changed}


def test_as_expected() -> None:
    assert compare(FOUND, expected()) == []
    assert compare({**FOUND, "2.10": ["OK", "OK"]}, expected()) == []
    assert compare({**FOUND, "2.9": ["OK", "OK"]}, expected()) != []


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"cases": {**FOUND, "1.1": ["OK", "INFORMATIONAL"]}}, "1.1: ['OK', 'OK'], expected"),
        ({"cases": {**FOUND, "3.1": ["OK", "OK"]}}, "3.1: not run"),
        ({"cases": {case: FOUND[case] for case in ("1.1", "2.10")}}, "2.9: ['OK', 'INFORMATIONAL'], and nothing"),
        ({"reasons": {}}, "2.10: ['NON-STRICT', 'OK'], and there is no reason"),
        ({"reasons": {"2.10": "fails late", "1.1": "none"}}, "1.1: a reason, but no lapse"),
    ],
)
def test_what_is_not_as_expected(changed: dict[str, Any], problem: str) -> None:
    (found,) = compare(FOUND, expected(**changed))
    assert found.startswith(problem)


def test_failure_is_never_accepted() -> None:
    for failed in (["FAILED", "OK"], ["OK", "FAILED"]):
        found = {**FOUND, "1.1": failed}
        listed = {"reasons": {"2.10": "fails late", "1.1": "so be it"}, "cases": found}
        assert compare(found, listed) == ["1.1: FAILED, which is never accepted"]


def test_file_of_expected_results() -> None:
    text = as_text(FOUND, {"2.10": "fails late"})
    assert json.loads(text) == expected()
    assert text.index('"2.9": [') < text.index('"2.10": [')


def test_kept_results_have_no_failure() -> None:
    known = read_expected(EXPECTED)
    assert compare(known["cases"], known) == []
