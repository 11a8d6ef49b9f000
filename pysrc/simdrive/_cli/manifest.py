"""The file ``manifest.json`` of an exported store: what was exported, in which order.

A JSON object: ``format`` and ``version`` tell what it is, ``hash`` and ``checksum`` the algorithms, ``order`` that of
``entries``. Each entry has the ``hash`` of its key (16 hexadecimal digits, also the name of its file), the ``size`` of
its value in bytes and the ``checksum`` of that (8 digits). It is written after all other files, so that a folder
without it is no export.
"""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from .failures import Damaged
from .staging import open_new

NAME = "manifest.json"
_HEAD = {
    "format": "simdrive-export",
    "version": 1,
    "hash": "xxh3_64",
    "checksum": "crc32",
    "order": "oldest first",
}
_HASH = re.compile(r"[0-9a-f]{16}")
_CHECKSUM = re.compile(r"[0-9a-f]{8}")


class Item(NamedTuple):
    """One entry of an export."""

    key_hash: int
    size: int
    checksum: int

    @property
    def file_name(self) -> str:
        return file_name(self.key_hash)


def file_name(key_hash: int) -> str:
    """The file in which the value under this hash is."""
    return f"{key_hash:016x}.bin"


class ManifestWriter:
    """Writes the manifest entry by entry, so that millions of them need no memory."""

    def __init__(self, path: Path, mode: int) -> None:
        self._file = io.TextIOWrapper(open_new(path, mode), encoding="ascii", newline="\n")
        head = ",\n".join(f'  "{name}": {json.dumps(value)}' for name, value in _HEAD.items())
        self._file.write(f'{{\n{head},\n  "entries": [')
        self._separator = ""

    def add(self, item: Item) -> None:
        fields = {"hash": f"{item.key_hash:016x}", "size": item.size, "checksum": f"{item.checksum:08x}"}
        self._file.write(f"{self._separator}\n    {json.dumps(fields)}")
        self._separator = ","

    def __enter__(self) -> ManifestWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._file.write("\n  ]\n}\n")
        finally:
            self._file.close()


def read_manifest(folder: Path) -> list[Item]:
    """The entries of the export in a folder, in the order in which they are to be stored.

    Raises:
        Damaged: there is none, or it is none that this version reads.
    """
    path = folder / NAME
    try:
        with path.open(encoding="utf-8") as file:
            document = json.load(file, object_hook=_item)
    except FileNotFoundError:
        raise Damaged(
            f"there is no {NAME} in {folder}: it is no export, or one that did not end (see `simdrive export --help`)"
        ) from None
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{path} is no manifest of an export: {error}") from None
    return _checked(document, path)


def _item(fields: dict[str, Any]) -> Any:
    """An entry in the form that takes the least memory; anything else stays as it is, to be refused later."""
    if fields.keys() != {"hash", "size", "checksum"}:
        return fields
    text, size, checksum = fields["hash"], fields["size"], fields["checksum"]
    if not isinstance(text, str) or not _HASH.fullmatch(text):
        raise ValueError(f"hash {text!r} is not 16 hexadecimal digits in lower case")
    if isinstance(size, bool) or not isinstance(size, int) or not 0 < size < 1 << 63:
        raise ValueError(f"size {size!r} of {text} is no number of bytes above 0")
    if not isinstance(checksum, str) or not _CHECKSUM.fullmatch(checksum):
        raise ValueError(f"checksum {checksum!r} of {text} is not 8 hexadecimal digits in lower case")
    return Item(int(text, 16), size, int(checksum, 16))


def _checked(document: Any, path: Path) -> list[Item]:
    if not isinstance(document, dict) or document.get("format") != _HEAD["format"]:
        raise Damaged(f"{path} is no manifest of an export")
    for name, value in _HEAD.items():
        if document.get(name) != value:
            found = json.dumps(document.get(name))
            raise Damaged(f"{path} has {name} {found}; this version of simdrive reads {json.dumps(value)}")
    entries = document.get("entries")
    if not isinstance(entries, list) or not all(isinstance(entry, Item) for entry in entries):
        raise Damaged(f"{path} has an entry without hash, size and checksum")
    seen: set[int] = set()
    for entry in entries:
        if entry.key_hash in seen:
            raise Damaged(f"{path} has the hash {entry.key_hash:016x} twice")
        seen.add(entry.key_hash)
    return entries
