"""What a client may see: the possible values of keys when some outcomes are unknown."""

from __future__ import annotations

from collections.abc import Iterable

Value = bytes | None


class Register:
    """One key with one writer: the set of values that it may have. None stands for absent.

    A write of unknown outcome may be in the server, may never get there, or may be on its way and arrive later than
    what was written after it. So its value stays possible until the server process that it was sent to is gone.
    """

    def __init__(self, value: Value = None) -> None:
        self._now: set[Value] = {value}
        self._on_its_way: set[Value] = set()
        self._touched = False
        self._counted_though_absent = False

    @property
    def may_count(self) -> bool:
        """Whether `len` may count the key.

        The existing servers count the marks of deleted keys, too, when they have read a store that was there before
        them, until the key is written or deleted again.
        """
        return self.possible != {None} or self._counted_though_absent

    @property
    def possible(self) -> frozenset[Value]:
        """Every value that a read may give now."""
        return frozenset(self._now | self._on_its_way)

    def applied(self, value: Value) -> None:
        """A write was acknowledged."""
        self._now = {value}
        self._touched = True
        self._counted_though_absent = False

    def applied_or(self, value: Value) -> None:
        """A write was acknowledged that others overlapped: any of them may have been the last."""
        self._now.add(value)
        self._touched = True

    def unknown(self, value: Value) -> None:
        """A write failed, and may have happened or happen yet."""
        self._on_its_way.add(value)
        self._touched = True

    def saw(self, value: Value) -> None:
        """A read gave this. Raises AssertionError when it was impossible."""
        assert value in self.possible, f"read {value!r}; possible are {sorted(self.possible, key=repr)}"
        self._now = {value}

    def saw_presence(self, present: bool) -> None:
        """The server said whether the key exists. Raises AssertionError when that was impossible."""
        fitting = {value for value in self.possible if (value is not None) is present}
        assert fitting, f"exists: {present}; possible are {sorted(self.possible, key=repr)}"
        self._now = fitting

    def server_gone(self) -> None:
        """The process died: what was on its way has arrived or never will."""
        self._now |= self._on_its_way
        self._on_its_way.clear()
        self._counted_though_absent = self._touched and None in self._now

    def store_torn(self) -> None:
        """The process died in the middle of a write: the existing servers may then drop the whole store."""
        self._now.add(None)


class Model:
    """A dict of such registers, one for each key of a fixed pool."""

    def __init__(self, keys: Iterable[bytes]) -> None:
        self.registers = {key: Register() for key in keys}

    def __getitem__(self, key: bytes) -> Register:
        return self.registers[key]

    def server_gone(self) -> None:
        """The process died: see `Register.server_gone`."""
        for register in self.registers.values():
            register.server_gone()

    def store_torn(self) -> None:
        """See `Register.store_torn`."""
        for register in self.registers.values():
            register.store_torn()

    def count_bounds(self) -> tuple[int, int]:
        """The least and the greatest number of keys that may be there."""
        least = sum(None not in register.possible for register in self.registers.values())
        return least, sum(register.may_count for register in self.registers.values())
