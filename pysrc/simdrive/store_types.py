"""Options of a store, and what its methods report."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from typing import Any

from simdrive.errors import ConfigurationError
from simdrive.key_hash import KeyHash

__all__ = [
    "CompactResult",
    "EntryMetadata",
    "OpenReport",
    "RecoverReport",
    "StoreOptions",
    "VerifyReport",
]


def checked_path(path: object) -> str:
    """The absolute form of a path, so that it means the same file after a change of the working folder."""
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path must be a str, bytes or os.PathLike, not {type(path).__name__}")
    name = os.fsdecode(path)
    if not name:
        raise ConfigurationError("open: the path of a store is empty")
    if "\0" in name:
        raise ConfigurationError(f"open: the path of a store has a null character: {name!r}")
    try:
        os.fsencode(name)
    except UnicodeEncodeError as error:
        raise ConfigurationError(f"open: the path of a store is no name of a file: {name!r} ({error})") from error
    # Not normalised: behind a symbolic link ".." is another folder. Importing pathlib would take milliseconds.
    if os.path.isabs(name):  # noqa: PTH117
        return name
    return os.path.join(os.getcwd(), name.removeprefix(os.curdir + os.sep) or name)  # noqa: PTH109, PTH118


@dataclass(frozen=True)
class StoreOptions:
    """How a store was opened.

    Attributes:
        path: of the file, absolute; ``None`` for a store in memory.
        mode: ``"a"`` reads and writes, one store at a time; ``"r"`` reads, and never changes anything.
        create: in mode ``"a"``: an empty file is made if there is none.
        sync: when entries are forced to the disk: ``"none"``, ``"batch"`` or ``"always"``.
        sync_interval: seconds, above 0 and at most 3600; for ``"batch"``.
        lock: in mode ``"a"``: the file is locked against other writers.
        verify: reads check checksums.
    """

    path: str | None
    mode: str = "a"
    create: bool = True
    sync: str = "none"
    sync_interval: float = 1.0
    lock: bool = True
    verify: bool = False

    def __post_init__(self) -> None:
        for name, known in (("mode", ("a", "r")), ("sync", ("none", "batch", "always"))):
            value = getattr(self, name)
            if not isinstance(value, str):
                raise TypeError(f"{name} must be a str, not {type(value).__name__}")
            if value not in known:
                raise ConfigurationError(f"{name} must be one of {', '.join(map(repr, known))}, not {value!r}")
        for name in ("create", "lock", "verify"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} must be a bool, not {type(getattr(self, name)).__name__}")
        if isinstance(self.sync_interval, bool) or not isinstance(self.sync_interval, (int, float)):
            raise TypeError(f"sync_interval must be a number of seconds, not {type(self.sync_interval).__name__}")
        if not 0 < self.sync_interval <= 3600:
            raise ConfigurationError(
                f"sync_interval must be above 0 and at most 3600 seconds, not {self.sync_interval!r}"
            )
        if self.path is not None:
            object.__setattr__(self, "path", checked_path(self.path))

    @property
    def endpoint(self) -> str:
        """What errors name: the path, or ``memory://``."""
        return "memory://" if self.path is None else self.path

    @property
    def url(self) -> str:
        """What :func:`simdrive.open_store` opens such a store by."""
        from urllib.parse import quote, urlencode  # only here: rarely needed

        changed = {
            name: int(value) if isinstance(value, bool) else value
            for name, value in asdict(self).items()
            if name != "path" and value != getattr(type(self), name)
        }
        query = f"?{urlencode(changed)}" if changed else ""
        if self.path is None:
            return f"memory://{query}"
        path = self.path if os.sep == "/" else "/" + self.path.replace(os.sep, "/")
        return f"file://{quote(os.fsencode(path), safe='/:')}{query}"

    def replace(self, **changes: Any) -> StoreOptions:
        """A copy with some options changed."""
        return replace(self, **changes)


class _Report:
    """What the reports have in common."""

    def to_dict(self) -> dict[str, Any]:
        """The same as a dict."""
        return asdict(self)  # type: ignore[call-overload, no-any-return]  # each of them is a dataclass


@dataclass(frozen=True)
class EntryMetadata(_Report):
    """Where an entry stands in the file.

    Attributes:
        key_hash: XXH3-64 of the key.
        prev_offset: end of the record before this one, in bytes from the start of the file.
        checksum: CRC-32 of the payload, as stored.
        size: bytes of payload.
    """

    key_hash: KeyHash
    prev_offset: int
    checksum: int
    size: int


@dataclass(frozen=True)
class OpenReport(_Report):
    """What opening found besides a healthy store.

    Attributes:
        alignment: multiple at which payloads begin, in bytes: 64, or 16 or 1 in older layouts, which can only be read.
        dropped_bytes: bytes behind the last good entry, the rest of a write that did not end. Mode ``"a"`` has cut
            them off.
        cut_path: the file in which mode ``"a"`` kept them, or ``None``.
        damaged: an entry that was checked has a wrong checksum, though it was synced or others follow it, or the store
            is `incomplete`. It opened all the same; `verify` finds all such entries.
        damaged_offset: where the damage is: for an entry, where the metadata of the newest such one begins. ``None``:
            there is none, or that is not known.
        incomplete: entries are known to be missing, so that keys may seem to be absent or have older values: links
            between them are broken, or the file ends before what was synced. Only in mode ``"r"``.
    """

    alignment: int
    dropped_bytes: int
    cut_path: str | None
    damaged: bool
    damaged_offset: int | None
    incomplete: bool = False


@dataclass(frozen=True)
class VerifyReport(_Report):
    """What `verify` found.

    Attributes:
        ok: every entry's checksum matches, the chain of entries leads to the first, and none is known to be missing.
        entries: entries looked at: all records, live or not, deletions included.
        bad: where the metadata of each entry with a wrong checksum begins, in order: the last 1000 of them.
        tail_offset: end of the last entry.
        bad_count: how many are bad, those left out of `bad` included.
    """

    ok: bool
    entries: int
    bad: tuple[int, ...]
    tail_offset: int
    bad_count: int


@dataclass(frozen=True)
class RecoverReport(_Report):
    """What `recover` did.

    Attributes:
        kept_bytes: size of the file now.
        dropped_bytes: bytes of the old file that belong to no entry that was kept.
        entries: records kept, live or not.
        backup_path: where the file as it was is kept; ``None``: it was healthy and was not touched.
    """

    kept_bytes: int
    dropped_bytes: int
    entries: int
    backup_path: str | None


@dataclass(frozen=True)
class CompactResult(_Report):
    """What `compact` did.

    Attributes:
        before: bytes of the file before.
        after: bytes of the new file.
        entries: entries in it.
    """

    before: int
    after: int
    entries: int
