"""The exceptions beside the C++ core's codes, and what those of the store carry."""

from __future__ import annotations

import errno
import pickle
import re
from pathlib import Path

import pytest

import simdrive
from simdrive import errors

HEADER = Path(__file__).parents[3] / "cpp" / "include" / "simdrive" / "error.hpp"


@pytest.mark.skipif(not HEADER.exists(), reason="the suite runs outside the source tree")
def test_codes_are_those_of_the_core() -> None:
    body = HEADER.read_text(encoding="ascii").partition("enum class Errc")[2].partition("};")[0]
    names = re.findall(r"^\s*(\w+)(?: = 1)?,$", body, re.MULTILINE)
    assert [code.name for code in errors.Code] == names
    assert [code.value for code in errors.Code] == list(range(1, len(names) + 1))


@pytest.mark.parametrize("code", errors.Code)
def test_every_code_has_an_exception(code: errors.Code) -> None:
    kind, advice = errors.EXCEPTIONS[code]
    error = errors.make_error(code, "why", op="read", endpoint="s.bin")
    assert type(error) is kind
    assert str(error) == "read on s.bin: why" + (f" ({advice})" if advice else "")
    assert kind is errors.SimdriveError or kind.__name__ in (*simdrive.__all__, "ConnectionError", "TimeoutError")


@pytest.mark.parametrize(
    ("code", "system_code", "expected"),
    [
        (errors.Code.store_not_found, errno.ENOENT, errno.ENOENT),
        (errors.Code.store_locked, errno.EAGAIN, errno.EAGAIN),
        (errors.Code.store_error, errno.EIO, errno.EIO),
        (errors.Code.store_error, 0, None),
        (errors.Code.store_format, 0, None),
        (errors.Code.storage_full, errno.ENOSPC, errno.ENOSPC),
        (errors.Code.storage_full, errno.EFBIG, errno.ENOSPC),
        (errors.Code.storage_full, 0, errno.ENOSPC),
    ],
)
def test_store_errors_are_os_errors(code: errors.Code, system_code: int, expected: int | None) -> None:
    error = errors.make_error(code, "open 's.bin': why", op="open", system_code=system_code)
    assert isinstance(error, OSError)
    assert error.errno == expected
    assert "open 's.bin': why" in str(error)


def test_a_full_disk_is_enospc_whoever_raises_it() -> None:
    with pytest.raises(OSError, match="no room") as caught:
        raise simdrive.StorageFullError("no room")
    assert caught.value.errno == errno.ENOSPC


def test_damage_says_where() -> None:
    error = errors.make_error(errors.Code.store_corrupt, "checksum", op="read", offset=4096)
    assert isinstance(error, errors.StoreCorruptError)
    assert error.offset == 4096
    assert errors.StoreCorruptError("plain").offset is None


@pytest.mark.parametrize("code", errors.Code)
def test_errors_can_be_pickled(code: errors.Code) -> None:
    error = errors.make_error(code, "why", op="write", system_code=errno.EIO, offset=7)
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.op == "write"
    assert getattr(again, "errno", None) == getattr(error, "errno", None)
    assert getattr(again, "offset", None) == getattr(error, "offset", None)
