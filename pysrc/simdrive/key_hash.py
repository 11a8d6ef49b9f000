"""Keys given by their hash: :class:`KeyHash`."""

from __future__ import annotations

__all__ = ["KeyHash"]


class KeyHash(int):
    """The hash of a key, which a store takes in the place of the key: XXH3-64, an int from 0 to 2**64 - 1.

    Only hashes of keys are in a store's file, so this is what its entries can be told apart by: ``entry.key_hash`` is
    one, and ``store.read(entry.key_hash)`` reads that entry. Methods that take keys take either, but for `rename`,
    `copy` and `transfer`, whose keys are bytes.

    Raises:
        TypeError: `value` is no int.
        ValueError: it is below 0 or above 2**64 - 1.
    """

    __slots__ = ()

    def __new__(cls, value: int) -> KeyHash:
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"a KeyHash is made of an int, not {type(value).__name__}")
        if not 0 <= value < 1 << 64:
            raise ValueError(f"a KeyHash is at least 0 and below 2**64, not {value}")
        return super().__new__(cls, value)

    def __repr__(self) -> str:
        return f"KeyHash(0x{int(self):016x})"
