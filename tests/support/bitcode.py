"""The part of the serialisation that the nine methods use: reads every packing, writes the unpacked form."""

from __future__ import annotations

import struct
from collections.abc import Sequence

# header of a byte column -> (base, values in a byte)
_PACKINGS = {1: (256, 1), 2: (16, 2), 3: (6, 3), 4: (4, 4), 5: (3, 5), 6: (2, 8)}
_INT_FORMATS = {0: ("Q", 8), 1: ("I", 4), 2: ("H", 2)}


class DecodeError(ValueError):
    """The bytes are not what the type allows."""


class Reader:
    """Takes columns off the front of a byte string."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        if size > len(self._data) - self._at:
            raise DecodeError(f"{size} bytes wanted at offset {self._at} of {len(self._data)}")
        self._at += size
        return self._data[self._at - size : self._at]

    def finish(self) -> None:
        if self._at != len(self._data):
            raise DecodeError(f"{len(self._data) - self._at} trailing bytes")

    def byte_column(self, count: int) -> bytes:
        if count <= 2:
            return self.take(count)
        header = self.take(1)[0]
        if header > 10:
            raise DecodeError(f"byte column header {header}")
        least = self.take(1)[0] if header % 2 else 0
        # Headers come in pairs (2k with min, 2k plus 1): 0, (2, 1), (4, 3), ... (10, 9).
        base, per_byte = _PACKINGS[(header + 1) // 2 + 1]
        packed = self.take(-(-count // per_byte))
        if per_byte == 1:
            return packed
        values = bytearray()
        for byte in packed:
            for _ in range(per_byte):
                values.append((byte % base + least) % 256)
                byte //= base
        return bytes(values[:count])

    def int_column(self, count: int) -> list[int]:
        if count == 0:
            return []
        header = self.take(1)[0]
        if header > 6:
            raise DecodeError(f"integer column header {header}")
        least = struct.unpack("<Q", self.take(8))[0] if header % 2 else 0
        width = (header + 1) // 2
        if width == 3:
            values: Sequence[int] = self.byte_column(count)
        else:
            letter, size = _INT_FORMATS[width]
            values = struct.unpack(f"<{count}{letter}", self.take(count * size))
        return [(value + least) % 2**64 for value in values]

    def length_column(self, count: int) -> list[int]:
        short = self.byte_column(count)
        large = iter(self.int_column(short.count(255)))
        return [next(large) if length == 255 else length for length in short]

    def bool_column(self, count: int) -> list[bool]:
        bits = self.take(-(-count // 8))
        return [bool(bits[i // 8] >> (i % 8) & 1) for i in range(count)]

    def byte_strings(self, count: int) -> list[bytes]:
        lengths = self.length_column(count)
        joined = self.byte_column(sum(lengths))
        strings, at = [], 0
        for length in lengths:
            strings.append(joined[at : at + length])
            at += length
        return strings


def byte_column(data: bytes) -> bytes:
    return data if len(data) <= 2 else b"\0" + data


def int_column(values: Sequence[int]) -> bytes:
    return b"\0" + struct.pack(f"<{len(values)}Q", *values) if values else b""


def length_column(lengths: Sequence[int]) -> bytes:
    return byte_column(bytes(min(n, 255) for n in lengths)) + int_column([n for n in lengths if n >= 255])


def bool_column(flags: Sequence[bool]) -> bytes:
    packed = bytearray(-(-len(flags) // 8))
    for i, flag in enumerate(flags):
        packed[i // 8] |= flag << (i % 8)
    return bytes(packed)


def byte_strings(strings: Sequence[bytes]) -> bytes:
    return length_column([len(s) for s in strings]) + byte_column(b"".join(strings))


def option(value: bytes | None) -> bytes:
    return b"\0" if value is None else b"\1" + byte_strings([value])


def options(values: Sequence[bytes | None]) -> bytes:
    present = [value for value in values if value is not None]
    return length_column([len(values)]) + bool_column([v is not None for v in values]) + byte_strings(present)
