"""Scripts of the storage vectors: calls on stores, what each gave, and the files they left.

`replay` makes the calls of a script on stores of any kind that have the methods of `storage_model.ModelStore`, and
gives the results in the form that the vectors have them in.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import xxhash

from . import vectors

Line = dict[str, Any]
OpenStore = Callable[[Path, bool], Any]  # path, create

HEX_SHOWN = 64
FILE_ACTIONS = ("fs_copy", "fs_exists", "fs_append", "fs_truncate", "fs_stat")


def cases() -> dict[str, str]:
    """Name and description of every case that has a script."""
    listed = vectors.load("storage", "index.json")
    return {case["name"]: case["what"] for case in listed if "base" not in case}


def is_quirk(name: str) -> bool:
    """Whether the script shows how the original loses data."""
    return "QUIRK" in cases()[name]


def lines(name: str) -> list[Line]:
    text = vectors.path("storage", name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def script(name: str) -> list[Line]:
    return lines(f"{name}.script.jsonl")


def results(name: str) -> list[Line]:
    return lines(f"{name}.results.jsonl")


def files(name: str) -> dict[str, bytes]:
    """The files that a script leaves, by the name they have there."""
    folder = vectors.path("storage", "index.json").parent
    return {path.name.removeprefix(f"{name}."): path.read_bytes() for path in folder.glob(f"{name}.*.bin")}


def dump(name: str, file: str) -> dict[str, Any]:
    """What the original sees in such a file."""
    opened: dict[str, Any] = vectors.load("storage", f"{name}.{file.removesuffix('.bin')}.json")
    return opened


def data(value: Any) -> bytes:
    """The bytes that a script means."""
    if isinstance(value, str):
        return value.encode()
    if "hex" in value:
        return bytes.fromhex(value["hex"])
    if "rep" in value:
        return bytes.fromhex(value["rep"]) * int(value["len"])
    return vectors.generated(value["gen"], value["len"], 0, 256)


def damaged(base: bytes, line: Line) -> bytes:
    """The file that a line of a damage table is about."""
    image = bytearray(base)
    if "cut" in line:
        del image[line["cut"] :]
    for offset, bit in line.get("flip", []):
        image[offset] ^= 1 << bit
    if "set" in line:
        offset, value = line["set"]
        image[offset : offset + len(data(value))] = data(value)
    image += data(line.get("append", ""))
    assert len(image) == line["bytes"]
    return bytes(image)


class SlowSource:
    """Gives at most `chunk` bytes a read, and fails when `fail_after` bytes are out."""

    def __init__(self, line: Line) -> None:
        content = data(line["v"])
        good = line.get("fail_after", len(content))
        self._fails = good < len(content)
        self._content = io.BytesIO(content[:good])
        self._chunk = line.get("chunk", 1 << 30)

    def read(self, size: int = -1, /) -> bytes:
        piece = self._content.read(self._chunk if size < 0 else min(size, self._chunk))
        if not piece and self._fails:
            raise OSError("the source fails here")
        return piece


def names_of(calls: Iterable[Line]) -> dict[int, Any]:
    """The keys that a script names, in its own form, by hash."""
    named: dict[int, Any] = {}
    for line in calls:
        keys = [line[field] for field in ("k", "k2") if field in line] + line.get("ks", [])
        if line["op"] == "batch":
            keys += [key for key, _ in line["items"]]
        for key in keys:
            named.setdefault(xxhash.xxh3_64_intdigest(data(key)), key)
    return named


def hash_text(number: int) -> str:
    return f"{number:016x}"


def entry(found: Any, names: dict[int, Any]) -> Line | None:
    """An entry in the form of the vectors."""
    if found is None:
        return None
    payload = bytes(found)
    start, end = found.offset_range
    fields = {
        "h": hash_text(found.key_hash),
        "k": names.get(found.key_hash),
        "start": start,
        "end": end,
        "prev": found.prev_offset,
        "crc": f"{found.checksum:08x}",
        "crc_ok": found.is_valid_checksum(),
        "len": len(payload),
        "sha256": hashlib.sha256(payload).hexdigest(),
    }
    if len(payload) <= HEX_SHOWN:
        fields["hex"] = payload.hex()
    return fields


def opened(store: Any, names: dict[int, Any]) -> Line:
    """A store in the form of the dumps."""
    entries = [entry(found, names) for found in store.iter_entries()]
    return {
        "tail": store.tail,
        "file_size": store.file_size(),
        "len": len(store),
        "live": len(entries),
        "is_empty": store.is_empty(),
        "savings": store.estimate_compaction_savings(),
        "last": entry(store.read_last_entry(), names),
        "absent": [name for hashed, name in names.items() if not store.exists_with_key_hash(hashed)],
        "entries": entries,
    }


def error_kind(error: Exception) -> str:
    """What the original calls an error of this kind."""
    if isinstance(error, (KeyError, FileNotFoundError)) or type(error).__name__ == "StoreNotFoundError":
        return "NotFound"
    return "InvalidInput" if isinstance(error, ValueError) else "Other"


class Replay:
    """The stores of one script, and its calls on them."""

    def __init__(self, calls: Sequence[Line], open_store: OpenStore, directory: Path) -> None:
        self._calls = calls
        self._open = open_store
        self._directory = directory
        self._names = names_of(calls)
        self._stores: dict[str, Any] = {}

    def run(self) -> list[Line]:
        """Makes all calls. Only what a store refuses is a result; anything else that is raised goes on."""
        found = []
        try:
            for i, line in enumerate(self._calls):
                result: Line = {"i": i, "op": line["op"]}
                try:
                    result["ok"] = self._call(line)
                except (ValueError, KeyError, OSError) as error:
                    if isinstance(error, KeyError) and type(error) is KeyError:
                        raise  # of the script, not of a store
                    result["err"] = error_kind(error)
                found.append(result)
        finally:
            for store in self._stores.values():
                store.close()
        return found

    def _call(self, line: Line) -> Any:
        op = line["op"]
        if op in FILE_ACTIONS:
            return self._file_action(line)
        name = line.get("s", "main")
        if op in ("open", "open_existing"):
            # An earlier handle goes first: a store locks its file.
            if earlier := self._stores.pop(name, None):
                earlier.close()
            self._stores[name] = self._open(self._directory / line["path"], op == "open")
            return self._stores[name].tail
        if op == "close":
            self._stores.pop(name).close()
            return None
        store = self._stores[name]
        if op in ("copy", "transfer"):
            target = self._stores[line["to"]]
            getattr(store, op)(data(line["k"]), target)
            return target.tail if op == "copy" else store.tail
        if op in WRITES:
            WRITES[op](store, line)
            return store.tail
        if op == "compact":
            store.compact()
            return None
        if op in ENTRIES:
            given = ENTRIES[op](store, line)
            return [entry(e, self._names) for e in given] if isinstance(given, list) else entry(given, self._names)
        return READS[op](store, line)

    def _file_action(self, line: Line) -> Any:
        path = self._directory / line["path"]
        match line["op"]:
            case "fs_copy":
                return Path(shutil.copyfile(path, self._directory / line["to"])).stat().st_size
            case "fs_exists":
                return path.exists()
            case "fs_stat":
                return path.stat().st_size
            case "fs_append":
                with path.open("ab") as file:
                    file.write(data(line["v"]))
            case "fs_truncate":
                with path.open("r+b") as file:
                    file.truncate(line["len"])
        return None


def _number(text: str) -> int:
    return int(text, 16)


def _metadata(store: Any, line: Line) -> Line | None:
    found = store.metadata(data(line["k"]))
    if found is None:
        return None
    return {"h": hash_text(found.key_hash), "prev": found.prev_offset, "crc": f"{found.checksum:08x}"}


def _keys(line: Line) -> list[bytes]:
    return [data(key) for key in line["ks"]]


def _hashes(line: Line) -> list[int]:
    return [_number(text) for text in line["hs"]]


WRITES: dict[str, Callable[[Any, Line], Any]] = {
    "write": lambda s, x: s.write(data(x["k"]), data(x["v"])),
    "write_h": lambda s, x: s.write_with_key_hash(_number(x["h"]), data(x["v"])),
    "stream": lambda s, x: s.write_stream(data(x["k"]), SlowSource(x)),
    "stream_h": lambda s, x: s.write_stream_with_key_hash(_number(x["h"]), SlowSource(x)),
    "batch": lambda s, x: s.batch_write([(data(k), data(v)) for k, v in x["items"]]),
    "batch_h": lambda s, x: s.batch_write_with_key_hashes(
        [(_number(h), data(v)) for h, v in x["items"]], allow_null=x.get("allow_null", False)
    ),
    "delete": lambda s, x: s.delete(data(x["k"])),
    "batch_delete": lambda s, x: s.batch_delete(_keys(x)),
    "batch_delete_h": lambda s, x: s.batch_delete_key_hashes(_hashes(x)),
    "rename": lambda s, x: s.rename(data(x["k"]), data(x["k2"])),
}
ENTRIES: dict[str, Callable[[Any, Line], Any]] = {
    "read": lambda s, x: s.read_entry(data(x["k"])),
    "read_h": lambda s, x: s.read_entry_with_key_hash(_number(x["h"])),
    "last": lambda s, _: s.read_last_entry(),
    "batch_read": lambda s, x: list(s.batch_read_entries(_keys(x))),
    "batch_read_h": lambda s, x: list(s.batch_read_key_hashes(_hashes(x), _keys(x) if "ks" in x else None)),
}
READS: dict[str, Callable[[Any, Line], Any]] = {
    "exists": lambda s, x: s.exists(data(x["k"])),
    "exists_h": lambda s, x: s.exists_with_key_hash(_number(x["h"])),
    "meta": _metadata,
    "len": lambda s, _: len(s),
    "is_empty": lambda s, _: s.is_empty(),
    "file_size": lambda s, _: s.file_size(),
    "savings": lambda s, _: s.estimate_compaction_savings(),
    "tail": lambda s, _: s.tail,
    "iter": lambda s, _: [hash_text(e.key_hash) for e in s.iter_entries()],
}


def replay(calls: Sequence[Line], open_store: OpenStore, directory: Path) -> list[Line]:
    """Makes the calls of a script in an empty folder and gives their results."""
    return Replay(calls, open_store, directory).run()


def without_messages(found: Iterable[Line]) -> list[Line]:
    """Results as far as two engines must agree: kinds of errors, not their words."""
    return [{field: value for field, value in line.items() if field != "msg"} for line in found]
