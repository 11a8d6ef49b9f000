"""The store file format and a store's rules as a plain model, written from the format's description alone.

It is what tests compare a real store with. `Image` functions look at the bytes of a file; `ModelStore` is a store in
memory, `ModelFile` one whose bytes are in a file. Nothing of simdrive is used, so nothing of it is believed.
"""

from __future__ import annotations

import dataclasses
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import xxhash

TRAILER = struct.Struct("<QQI")  # key hash, previous tail, checksum
CHUNK = 65536
NULL = b"\0"


class RefusedError(ValueError):
    """A call that the store refuses for what it was given."""


class MissingKeyError(KeyError):
    """A key that must be there is not."""


class Source(Protocol):
    """Where a stream write takes its bytes from."""

    def read(self, size: int, /) -> bytes: ...


@dataclasses.dataclass(frozen=True)
class Rules:
    """Where the original engine differs from what a store should do."""

    len_counts_dead: bool = False  # keys whose newest record is a tombstone found when opening
    null_hides_later_value: bool = False  # of the same hash in one batch, until it is opened again
    failing_source_ends: bool = False  # what came before the failure is stored
    refuses_zero_streams: bool = False  # and with them rename, copy and transfer of zeros


OURS = Rules()
ORIGINAL = Rules(True, True, True, True)


def key_hash(key: bytes) -> int:
    return xxhash.xxh3_64_intdigest(key)


@dataclasses.dataclass(frozen=True)
class Record:
    """One record of a file."""

    start: int
    end: int  # of the payload; the trailer follows
    key_hash: int
    prev_offset: int
    checksum: int
    payload: bytes

    @property
    def tail(self) -> int:
        return self.end + TRAILER.size

    @property
    def is_tombstone(self) -> bool:
        return self.payload == NULL

    # An entry of a store has these as well.
    @property
    def offset_range(self) -> tuple[int, int]:
        return self.start, self.end

    @property
    def file_size(self) -> int:
        return len(self.payload) + TRAILER.size

    def is_valid_checksum(self) -> bool:
        return zlib.crc32(self.payload) == self.checksum

    def __bytes__(self) -> bytes:
        return self.payload


@dataclasses.dataclass(frozen=True)
class Metadata:
    key_hash: int
    prev_offset: int
    checksum: int
    size: int


# ---- Bytes of a file ----


def up(offset: int, alignment: int) -> int:
    return -(-offset // alignment) * alignment


def record_at(image: bytes, tail: int, alignment: int = 64) -> Record | None:
    """The record that ends at `tail`, None if none can."""
    end = tail - TRAILER.size
    if end < 0 or tail > len(image):
        return None
    hashed, prev, checksum = TRAILER.unpack_from(image, end)
    start = up(prev, alignment)
    if end - prev == 1 and image[prev] == 0:
        start = prev
    if start >= end:
        return None
    return Record(start, end, hashed, prev, checksum, image[start:end])


def walk(image: bytes, tail: int | None = None, alignment: int = 64) -> list[Record] | None:
    """All records from `tail` (the end) to the first one, newest first; None if the chain does not hold."""
    tail = len(image) if tail is None else tail
    records = []
    while True:
        record = record_at(image, tail, alignment)
        if record is None:
            return None
        records.append(record)
        tail = record.prev_offset
        if tail == 0:
            return records


def newest(records: Iterable[Record]) -> dict[int, Record]:
    """The newest record of each hash, tombstones included, newest first."""
    found: dict[int, Record] = {}
    for record in records:
        found.setdefault(record.key_hash, record)
    return found


def live(records: Iterable[Record]) -> list[Record]:
    """What an iteration gives."""
    return [record for record in newest(records).values() if not record.is_tombstone]


def original_tail(image: bytes) -> int:
    """Where the original cuts the file when it opens it."""
    for tail in range(len(image), TRAILER.size - 1, -1):
        if walk(image, tail) is not None:
            return tail
    return 0


def safe_tail(image: bytes, alignment: int = 64) -> int:
    """Where a file may be cut without losing what is complete; 0: nothing in it is."""
    for tail in range(len(image), TRAILER.size - 1, -1):
        record = record_at(image, tail, alignment)
        if record is None or not record.is_valid_checksum() or not any(image[record.end : tail]):
            continue
        if walk(image, tail, alignment) is not None:
            return tail
    return 0


def layout(image: bytes) -> int | None:
    """64, 16 or 1: the multiple at which all payloads of a whole file begin. None: no such file."""
    for alignment in (64, 16, 1):
        records = walk(image, alignment=alignment)
        if records and all(record.is_valid_checksum() for record in records):
            return alignment
    return None


def append(image: bytearray, hashed: int, payload: bytes) -> Record:
    """Puts a record behind the others; NULL makes a tombstone."""
    tail = len(image)
    start = tail if payload == NULL else up(tail, 64)
    record = Record(start, start + len(payload), hashed, tail, zlib.crc32(payload), payload)
    image += bytes(start - tail) + payload + TRAILER.pack(hashed, tail, record.checksum)
    return record


# ---- A store ----


class ModelStore:
    """A store in memory. Writers return the new tail."""

    def __init__(self, image: bytes = b"", rules: Rules = OURS) -> None:
        self.rules = rules
        self.image = bytearray()
        self._load(image)

    def _load(self, image: bytes) -> None:
        records = walk(image) if image else []
        if records is None:
            raise RefusedError("not a healthy store")
        self.image = bytearray(image)
        self._index = newest(records)

    def _changed(self) -> None:
        """Called after the image has grown or was replaced."""

    @property
    def tail(self) -> int:
        return len(self.image)

    # ---- Writing ----

    def write(self, key: bytes, data: bytes) -> int:
        return self.write_with_key_hash(key_hash(key), data)

    def write_with_key_hash(self, hashed: int, data: bytes) -> int:
        return self.batch_write_with_key_hashes([(hashed, data)])

    def batch_write(self, items: Iterable[tuple[bytes, bytes]] | Mapping[bytes, bytes]) -> int:
        pairs = items.items() if isinstance(items, Mapping) else items
        return self.batch_write_with_key_hashes([(key_hash(key), data) for key, data in pairs])

    def batch_write_with_key_hashes(self, items: Iterable[tuple[int, bytes]], *, allow_null: bool = False) -> int:
        pairs = [(hashed, bytes(data)) for hashed, data in items]
        for _, data in pairs:
            if data == NULL and not allow_null:
                raise RefusedError("NULL-byte payloads cannot be written directly.")
            if not data:
                raise RefusedError("Payload cannot be empty.")
        gone = {hashed for hashed, data in pairs if data == NULL}
        for hashed, data in pairs:
            record = append(self.image, hashed, data)
            # A dict keeps the place of a key that is set again; the order is that of the records.
            self._index.pop(hashed, None)
            if data != NULL and not (self.rules.null_hides_later_value and hashed in gone):
                self._index[hashed] = record
        self._changed()
        return self.tail

    def write_stream(self, key: bytes, source: Source) -> int:
        return self.write_stream_with_key_hash(key_hash(key), source)

    def write_stream_with_key_hash(self, hashed: int, source: Source) -> int:
        data = bytearray()
        try:
            while piece := source.read(CHUNK):
                data += piece
        except OSError:
            if not self.rules.failing_source_ends:
                raise
        return self._stream(hashed, bytes(data))

    def _stream(self, hashed: int, data: bytes) -> int:
        if data and not any(data) and self.rules.refuses_zero_streams:
            raise RefusedError("NULL-byte-only streams cannot be written directly.")
        return self.batch_write_with_key_hashes([(hashed, data)])

    def delete(self, key: bytes) -> int:
        return self.batch_delete([key])

    def batch_delete(self, keys: Iterable[bytes]) -> int:
        return self.batch_delete_key_hashes([key_hash(key) for key in keys])

    def batch_delete_key_hashes(self, hashes: Iterable[int]) -> int:
        there = [(hashed, NULL) for hashed in hashes if hashed in self._index]
        return self.batch_write_with_key_hashes(there, allow_null=True) if there else self.tail

    def rename(self, old: bytes, new: bytes) -> int:
        if old == new:
            raise RefusedError("Cannot rename a key to itself")
        record = self.read_entry(old)
        if record is None:
            raise MissingKeyError("Old key not found")
        self._stream(key_hash(new), record.payload)
        return self.delete(old)

    def copy(self, key: bytes, target: ModelStore) -> int:
        if target is self:
            raise RefusedError("Cannot copy entry to the same storage")
        record = self.read_entry(key)
        if record is None:
            raise MissingKeyError("Key not found")
        return target._stream(record.key_hash, record.payload)

    def transfer(self, key: bytes, target: ModelStore) -> int:
        self.copy(key, target)
        return self.delete(key)

    def compact(self) -> None:
        image = bytearray()
        for record in self.iter_entries():
            append(image, record.key_hash, record.payload)
        self._load(bytes(image))
        self._changed()

    # ---- Reading ----

    def read_entry_with_key_hash(self, hashed: int) -> Record | None:
        record = self._index.get(hashed)
        return None if record is None or record.is_tombstone else record

    def read_entry(self, key: bytes) -> Record | None:
        return self.read_entry_with_key_hash(key_hash(key))

    def read(self, key: bytes) -> bytes | None:
        record = self.read_entry(key)
        return None if record is None else record.payload

    def batch_read_entries(self, keys: Iterable[bytes]) -> list[Record | None]:
        return [self.read_entry(key) for key in keys]

    def batch_read_key_hashes(self, hashes: Iterable[int], keys: Iterable[bytes] | None = None) -> list[Record | None]:
        wanted = list(hashes)
        if keys is None:
            return [self.read_entry_with_key_hash(hashed) for hashed in wanted]
        checks = [key_hash(key) for key in keys]
        if len(checks) != len(wanted):
            raise RefusedError("Mismatched lengths for hashed and non-hashed keys.")
        return [
            self.read_entry_with_key_hash(hashed) if hashed >> 48 == check >> 48 else None
            for hashed, check in zip(wanted, checks, strict=True)
        ]

    def read_last_entry(self) -> Record | None:
        return record_at(bytes(self.image), self.tail)

    def exists(self, key: bytes) -> bool:
        return self.read_entry(key) is not None

    def exists_with_key_hash(self, hashed: int) -> bool:
        return self.read_entry_with_key_hash(hashed) is not None

    def metadata(self, key: bytes) -> Metadata | None:
        record = self.read_entry(key)
        if record is None:
            return None
        return Metadata(record.key_hash, record.prev_offset, record.checksum, len(record.payload))

    def iter_entries(self) -> Iterator[Record]:
        # By the file and not by the index, as the original does it: the two must agree.
        return iter(live(walk(bytes(self.image)) or []) if self.image else [])

    def __len__(self) -> int:
        if self.rules.len_counts_dead:
            return len(self._index)
        return sum(not record.is_tombstone for record in self._index.values())

    def is_empty(self) -> bool:
        return len(self) == 0

    def file_size(self) -> int:
        return len(self.image)

    def estimate_compaction_savings(self) -> int:
        return max(0, self.file_size() - sum(record.file_size for record in self.iter_entries()))

    def close(self) -> None:
        """Nothing to let go of."""

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class ModelFile(ModelStore):
    """The same with its bytes in a file, which is as long as the tail after every call."""

    def __init__(self, path: Path, *, create: bool = True, rules: Rules = OURS) -> None:
        if create and not path.exists():
            path.touch()
        self.path = path
        super().__init__(path.read_bytes(), rules)

    def _changed(self) -> None:
        self.path.write_bytes(self.image)
