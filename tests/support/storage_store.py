"""simdrive.Store as the scripts of the storage vectors call a store."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import simdrive
from simdrive import KeyHash, hashing

_TAG = 48  # bits below those that the original compares of a hash


class ScriptStore(simdrive.Store):
    """The methods of `storage_model.ModelStore` that have other names here."""

    __slots__ = ()

    def write_with_key_hash(self, hashed: int, data: bytes) -> None:
        self.write(KeyHash(hashed), data)

    def write_stream_with_key_hash(self, hashed: int, source: BinaryIO) -> None:
        self.write_stream(KeyHash(hashed), source)

    def batch_write_with_key_hashes(self, items: Iterable[tuple[int, bytes]], *, allow_null: bool) -> None:
        self.batch_write([(KeyHash(hashed), data) for hashed, data in items], allow_null=allow_null)

    def batch_delete_key_hashes(self, hashes: Iterable[int]) -> None:
        self.batch_delete(map(KeyHash, hashes))

    def read_entry_with_key_hash(self, hashed: int) -> simdrive.Entry | None:
        return self.read_entry(KeyHash(hashed))

    def exists_with_key_hash(self, hashed: int) -> bool:
        return KeyHash(hashed) in self

    def batch_read_entries(self, keys: Iterable[bytes]) -> list[simdrive.Entry | None]:
        return self.batch_read(keys, out="view")

    def batch_read_key_hashes(self, hashes: Iterable[int], keys: Any = None) -> list[simdrive.Entry | None]:
        wanted = list(hashes)
        found = self.batch_read(map(KeyHash, wanted), out="view")
        if keys is None:
            return found
        # What the original compares; Python has no name for it.
        checks = [hashing.xxh3_64(key) for key in keys]
        if len(checks) != len(wanted):
            raise ValueError("as many keys as hashes")
        return [
            entry if hashed >> _TAG == check >> _TAG else None
            for entry, hashed, check in zip(found, wanted, checks, strict=True)
        ]


def open_script_store(path: Path, create: bool) -> ScriptStore:
    return ScriptStore(path, create=create)
