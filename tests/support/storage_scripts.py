"""Random scripts of store calls that the original makes without losing anything.

What it does lose is left out, so that both engines can be compared: streams of no byte or of zeros only, which
corrupt its files; calls on a handle after `compact`; a value behind a tombstone of the same hash in one batch. So are
`len` and `is_empty`, which count other things there.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

Line = dict[str, Any]

STORES = {"main": "main.bin", "b": "b.bin"}
KEYS = ("", "a", "key", "a longer key that takes another path of the hash", {"hex": "00ff80"}, {"gen": 7, "len": 300})
ZEROS = "zeros"  # the only key with such a value: never streamed, and so never renamed or copied
HASHES = ("0000000000000000", "00000000000000aa", "ffffffffffffffff", "e6c632b61e964e1f")  # the last is that of "a"
EDGES = (1, 2, 19, 20, 43, 44, 45, 63, 64, 65, 107, 108, 109, 128, 300, 4096, 65535, 65536, 70001)

keys = st.sampled_from(KEYS)
hashes = st.sampled_from(HASHES)
lengths = st.one_of(st.sampled_from(EDGES), st.integers(1, 200))
# Seed 1 begins with a byte other than zero, and a sequence is never all zeros.
values = st.builds(lambda seed, length: {"gen": seed, "len": length}, st.integers(1, 1 << 30), lengths).filter(
    lambda value: value["len"] > 8 or any(_first_word(value["gen"])[: value["len"]])
)
refused = st.sampled_from(["", {"hex": "00"}])


def _first_word(seed: int) -> bytes:
    from .vectors import generated

    return generated(seed, 8, 0, 256)


def _line(op: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Line]]:
    named = {"op": st.just(op), "s": st.sampled_from(list(STORES)), **fields}
    return st.fixed_dictionaries(named).map(lambda line: [line])


def _reopened(store: str) -> list[Line]:
    return [{"op": "close", "s": store}, {"op": "open", "s": store, "path": STORES[store]}]


def _compacted(store: str) -> list[Line]:
    return [{"op": "delete", "s": store, "k": ZEROS}, {"op": "compact", "s": store}, *_reopened(store)]


def _between(op: str) -> st.SearchStrategy[list[Line]]:
    return st.builds(
        lambda key, s, to: [{"op": op, "s": s, "k": key, "to": to}],
        keys, st.sampled_from(list(STORES)), st.sampled_from(list(STORES)),
    )  # fmt: skip


def _pairs(names: st.SearchStrategy[Any], what: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.tuples(names, what).map(list), max_size=5)


NULL = {"hex": "00"}
steps = st.one_of(
    _line("write", k=keys, v=values),
    _line("write", k=keys, v=refused),
    _line("write", k=st.just(ZEROS), v=st.builds(lambda n: {"rep": "00", "len": n}, st.integers(2, 80))),
    _line("write_h", h=hashes, v=values),
    _line("stream", k=keys, v=values, chunk=st.sampled_from([1000, 65536, 1 << 20])),
    _line("stream_h", h=hashes, v=values),
    _line("batch", items=_pairs(keys, values)),
    _line("batch", items=_pairs(keys, st.one_of(values, refused))),
    # Each hash once, so that a tombstone and a value of one hash never meet.
    _line(
        "batch_h",
        items=st.lists(st.tuples(hashes, st.one_of(values, st.just(NULL))).map(list), max_size=4,
                       unique_by=lambda item: str(item[0])),
        allow_null=st.booleans(),
    ),
    _line("delete", k=keys),
    _line("batch_delete", ks=st.lists(keys, max_size=4)),
    _line("batch_delete_h", hs=st.lists(hashes, max_size=4)),
    _line("rename", k=keys, k2=keys),
    _between("copy"),
    _between("transfer"),
    _line("read", k=keys),
    _line("read_h", h=hashes),
    _line("last"),
    _line("batch_read", ks=st.lists(keys, max_size=4)),
    _line("batch_read_h", hs=st.lists(hashes, max_size=4)),
    _line("exists", k=keys),
    _line("exists_h", h=hashes),
    _line("meta", k=keys),
    _line("file_size"),
    _line("savings"),
    _line("tail"),
    _line("iter"),
    st.sampled_from(list(STORES)).map(_reopened),
    st.sampled_from(list(STORES)).map(_compacted),
)  # fmt: skip


def _whole(parts: list[list[Line]]) -> list[Line]:
    opening: list[Line] = [{"op": "open", "s": name, "path": path} for name, path in STORES.items()]
    return opening + [line for part in parts for line in part]


scripts = st.lists(steps, max_size=40).map(_whole)
"""Scripts that open both stores first. What is open at the end is closed then."""
