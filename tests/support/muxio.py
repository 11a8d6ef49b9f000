"""Frames and RPC messages of both dialects, for the peers of the tests."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

OPEN, DATA, END, CANCEL = 0, 1, 2, 3
CALL, RESPONSE = 0, 1
SUCCESS, FAIL, SYSTEM_ERROR, METHOD_NOT_FOUND = 0, 1, 2, 3
CHUNK = 65536
HEADER_SIZES = {"d13": 13, "d21": 21}
METHOD_IDS = {
    "write": 0x3EC2AD5C308C53DA,
    "batch_write": 0xB0207C59D9B60457,
    "read": 0x2C2622A151F2CDF2,
    "batch_read": 0x01030B148B7284C2,
    "delete": 0x42DBBAC7F7E9DEFD,
    "exists": 0xCB471C821989C086,
    "len": 0xA41DBB760E96E3E3,
    "is_empty": 0x34E05A9B282D0770,
    "file_size": 0x720EA1F40D3468C2,
}
METHOD_NAMES = {number: name for name, number in METHOD_IDS.items()}

# Both dialects read these 66 bytes as the same call of method 0 on stream 2.
PROBE = bytes.fromhex(
    "17000000020000000000000000" + "00" * 23 + "11000000020000000100000002" + "000000" + "0100000002" + "00" * 9
)


@dataclass(frozen=True)
class Frame:
    stream: int
    seq: int
    kind: int
    payload: bytes


@dataclass(frozen=True)
class Message:
    """One RPC message: a call or a response."""

    kind: int
    request_id: int
    method_id: int
    metadata: bytes
    payload: bytes

    def encode(self) -> bytes:
        head = struct.pack("<BIQH", self.kind, self.request_id, self.method_id, len(self.metadata))
        return head + self.metadata + self.payload

    @classmethod
    def decode(cls, data: bytes) -> Message:
        kind, request_id, method_id, size = struct.unpack_from("<BIQH", data)
        return cls(kind, request_id, method_id, data[15 : 15 + size], data[15 + size :])

    @property
    def arguments(self) -> bytes:
        return self.payload or self.metadata


def frame(
    dialect: str, stream: int, seq: int, kind: int, payload: bytes = b"", *, announce: int | None = None
) -> bytes:
    """One frame; `announce` lies about the length of its payload."""
    size = len(payload) if announce is None else announce
    head = struct.pack("<IIIB", size, stream, seq, kind)
    if dialect == "d21":
        head += bytes(8)
    return head + payload


def stream_frames(dialect: str, stream: int, data: bytes) -> list[bytes]:
    """A whole message as Open, Data..., End."""
    pieces = [data[i : i + CHUNK] for i in range(0, len(data), CHUNK)]
    frames = [frame(dialect, stream, seq, DATA if seq else OPEN, piece) for seq, piece in enumerate(pieces)]
    return [*frames, frame(dialect, stream, len(pieces), END)]


class FrameReader:
    """Cuts a byte stream into frames and joins the frames of each stream."""

    def __init__(self, dialect: str) -> None:
        self.dialect = dialect
        self._head = HEADER_SIZES[dialect]
        self._buffer = bytearray()
        self._streams: dict[int, bytearray] = {}

    def feed(self, data: bytes) -> Iterator[Frame]:
        self._buffer += data
        while len(self._buffer) >= self._head:
            size, stream, seq, kind = struct.unpack_from("<IIIB", self._buffer)
            if len(self._buffer) < self._head + size:
                return
            payload = bytes(self._buffer[self._head : self._head + size])
            del self._buffer[: self._head + size]
            yield Frame(stream, seq, kind, payload)

    def messages(self, data: bytes) -> Iterator[Message]:
        for piece in self.feed(data):
            if piece.kind == CANCEL:
                self._streams.pop(piece.stream, None)
            elif piece.kind == END:
                whole = self._streams.pop(piece.stream, None)
                if whole is not None and len(whole) >= 15:
                    yield Message.decode(bytes(whole))
            else:
                self._streams.setdefault(piece.stream, bytearray()).extend(piece.payload)
