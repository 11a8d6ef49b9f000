"""Random calls on a store beside a dict, with closing, opening anew and unfinished writes as steps."""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import simdrive
from support.amounts import amount

EXAMPLES = int(os.environ.get("SIMDRIVE_STORE_EXAMPLES") or amount(200, 5000))
pytestmark = [pytest.mark.amounts, pytest.mark.timeout(120 + EXAMPLES)]

KEYS = [b"", b"a", b"key", b"another key", b"\0", b"k" * 300]
keys = st.sampled_from(KEYS)
values = st.builds(
    lambda start, size: start + bytes(size),
    st.binary(min_size=1, max_size=5).filter(lambda start: start != b"\0"),
    st.sampled_from([0, 1, 15, 40, 63, 64, 1000, 20_000, 70_000]),
)
cuts = st.integers(1, 90)


class StoreMachine(RuleBasedStateMachine):
    """Held entries are part of the state: they never change."""

    def __init__(self) -> None:
        super().__init__()
        self.owner = tempfile.TemporaryDirectory(prefix="simdrive-machine-")
        self.path = Path(self.owner.name, "store.bin")
        self.model: dict[bytes, bytes] = {}
        self.held: list[tuple[simdrive.Entry, bytes]] = []

    @initialize(sync=st.sampled_from(["none", "batch", "always"]), verify=st.booleans())
    def start(self, sync: str, verify: bool) -> None:
        self.options: Any = {"sync": sync, "verify": verify}
        self.store = simdrive.Store(self.path, **self.options)
        self.reader = simdrive.Store(self.path, mode="r", verify=verify)

    @rule(key=keys, value=values)
    def write(self, key: bytes, value: bytes) -> None:
        self.store.write(key, value)
        self.model[key] = value

    @rule(key=keys, value=values, piece=st.sampled_from([1000, 1 << 20]))
    def write_stream(self, key: bytes, value: bytes, piece: int) -> None:
        self.store.write_stream(key, (value[at : at + piece] for at in range(0, len(value), piece)))
        self.model[key] = value

    @rule(key=keys, value=values)
    def failing_stream(self, key: bytes, value: bytes) -> None:
        try:
            self.store.write_stream(key, io.BytesIO(value), size=len(value) + 1)
        except simdrive.InvalidValueError:
            return
        raise AssertionError("stored")

    @rule(items=st.lists(st.tuples(keys, values), max_size=5))
    def batch_write(self, items: list[tuple[bytes, bytes]]) -> None:
        self.store.batch_write(items)
        self.model.update(items)

    @rule(items=st.lists(st.tuples(keys, values), min_size=1, max_size=3), bad=st.sampled_from([b"", b"\0"]))
    def refused_batch(self, items: list[tuple[bytes, bytes]], bad: bytes) -> None:
        try:
            self.store.batch_write([*items, (b"a", bad)])
        except simdrive.InvalidValueError:
            return
        raise AssertionError("stored")

    @rule(some=st.lists(keys, max_size=4))
    def delete(self, some: list[bytes]) -> None:
        self.store.batch_delete(some)
        for key in some:
            self.model.pop(key, None)

    @rule(old=keys, new=keys)
    def rename(self, old: bytes, new: bytes) -> None:
        try:
            self.store.rename(old, new)
        except simdrive.InvalidKeyError:
            assert old == new
        except simdrive.KeyNotFoundError:
            assert old not in self.model
        else:
            self.model[new] = self.model.pop(old)

    @rule(key=keys)
    def hold(self, key: bytes) -> None:
        entry = self.store.read_entry(key)
        assert entry == self.model.get(key)
        if entry is not None:
            self.held.append((entry, self.model[key]))

    @rule()
    def compact(self) -> None:
        assert self.store.compact().entries == len(self.model)

    @rule()
    def look_after(self) -> None:
        self.store.flush()
        assert self.store.verify().ok
        assert self.store.recover().backup_path is None

    @rule()
    def refresh(self) -> None:
        assert self.reader.refresh() == self.store.tail
        assert self.reader.batch_read(KEYS) == [self.model.get(key) for key in KEYS]

    @rule()
    def open_anew(self) -> None:
        self.store.close()
        self.store = simdrive.Store(self.path, **self.options)

    @precondition(lambda self: self.model)
    @rule(rest=st.binary(min_size=1, max_size=100), flushed=st.booleans())
    def unfinished_write(self, rest: bytes, flushed: bool) -> None:
        """Bytes of an append that did not end; they are no record."""
        if flushed:
            self.store.flush()
        self.store.close()
        size = self.path.stat().st_size
        with self.path.open("ab") as file:
            file.write(rest + b"\1" * 24)
        self.store = simdrive.Store(self.path, **self.options)
        assert (self.store.tail, self.store.opened.dropped_bytes) == (size, len(rest) + 24)

    @invariant()
    def same(self) -> None:
        if not hasattr(self, "store"):
            return
        assert self.store.batch_read(KEYS) == [self.model.get(key) for key in KEYS]
        assert len(self.store) == len(self.model)
        assert sorted(map(bytes, self.store.iter_entries())) == sorted(self.model.values())
        assert self.store.tail == self.store.file_size() == self.path.stat().st_size
        assert all(entry == value for entry, value in self.held)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.reader.close()
            image = self.path.read_bytes()
            with simdrive.Store(self.path) as again:
                assert again.batch_read(KEYS) == [self.model.get(key) for key in KEYS]
            assert self.path.read_bytes() == image
        assert all(entry == value for entry, value in self.held)
        self.held.clear()
        self.owner.cleanup()


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
