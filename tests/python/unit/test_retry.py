"""simdrive.Retry: what it takes, and the waits it draws."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import simdrive
from simdrive import ConnectError, ConnectionLostError, Retry


@given(st.integers(1, 5000), st.floats(0.001, 1), st.floats(1, 100))
def test_waits_are_exponential_with_full_jitter(attempt: int, base: float, cap: float) -> None:
    limit = min(cap, base * 2.0 ** min(attempt - 1, 100))
    drawn = [Retry(base=base, cap=cap).delay(attempt) for _ in range(10)]
    assert all(base <= wait <= max(base, limit) for wait in drawn)
    assert Retry(base=base, cap=cap, jitter="none").delay(attempt) == limit


def test_waits_differ() -> None:
    assert len({Retry().delay(5) for _ in range(20)}) > 10


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"retries": -1}, simdrive.ConfigurationError),
        ({"retries": 1 << 31}, simdrive.ConfigurationError),
        ({"retries": 1.5}, TypeError),
        ({"retries": True}, TypeError),
        ({"base": 0}, simdrive.ConfigurationError),
        ({"base": float("nan")}, simdrive.ConfigurationError),
        ({"base": 3.0}, simdrive.ConfigurationError),
        ({"base": "1"}, TypeError),
        ({"cap": float("inf")}, simdrive.ConfigurationError),
        ({"jitter": "some"}, simdrive.ConfigurationError),
        ({"retry_writes": "often"}, simdrive.ConfigurationError),
        ({"on": ConnectError}, TypeError),
        ({"on": (ValueError,)}, simdrive.ConfigurationError),
        ({"on": (simdrive.OperationTimeout,)}, simdrive.ConfigurationError),
    ],
)
def test_impossible_values(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(arguments))):
        Retry(**arguments)


def test_attempts_start_at_one() -> None:
    with pytest.raises(simdrive.ConfigurationError, match="attempt"):
        Retry().delay(0)


def test_what_is_handled() -> None:
    assert Retry().handles(ConnectError)
    assert Retry().handles(ConnectionLostError)
    assert Retry(on=(simdrive.SimdriveError,)).handles(ConnectError)
    assert not Retry(on=(ConnectError,)).handles(ConnectionLostError)
    assert not Retry.NONE.handles(ConnectError)


def test_equality_and_pickling() -> None:
    assert Retry() == Retry(3)
    assert pickle.loads(pickle.dumps(Retry(5, base=0.1))) == Retry(5, base=0.1)  # noqa: S301 - our own
    assert simdrive.Options(retry=Retry.NONE).retry is Retry.NONE


def test_only_a_retry_will_do() -> None:
    with pytest.raises(TypeError, match="retry must be a simdrive"):
        simdrive.Options(retry=3)  # type: ignore[arg-type]
