"""The wire protocol as functions over bytes. Private: for the package's own tests and tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from simdrive import _core

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = [
    "FrameDecoder",
    "Request",
    "decode",
    "encode",
    "judge_probe",
    "method_id",
    "probe",
    "request_frames",
    "response_frames",
]


class Request(NamedTuple):
    """A request that a server would run."""

    request_id: int
    method_id: int
    args: bytes
    origin: str
    """`payload` or `metadata`: where the arguments came from."""


def encode(type_name: str, fields: Mapping[str, Any]) -> bytes:
    """The bytes of a struct such as `write_request`, the same as the Rust encoder makes."""
    return _core.wire_encode(type_name, dict(fields))


def decode(type_name: str, data: Buffer) -> dict[str, Any]:
    """The fields of a struct. Raises ProtocolError where the Rust decoder fails."""
    return _core.wire_decode(type_name, data)


def method_id(name: str) -> int:
    """The id of a method such as `write`."""
    return _core.wire_method_id(name)


def request_frames(
    dialect: int, stream_id: int, request_id: int, method_id: int, args: Buffer, timestamp: int = 0
) -> list[bytes]:
    """A request as the frames that a client sends, one WebSocket message each."""
    return _core.wire_request_frames(dialect, stream_id, request_id, method_id, args, timestamp)


def response_frames(
    dialect: int, stream_id: int, request_id: int, method_id: int, status: int, body: Buffer, timestamp: int = 0
) -> list[bytes]:
    """A response as the frames that a server sends, one WebSocket message each."""
    return _core.wire_response_frames(dialect, stream_id, request_id, method_id, status, body, timestamp)


def probe() -> bytes:
    """The message that servers of both dialects answer, each in its own."""
    return _core.wire_probe()


def judge_probe(message: Buffer) -> Literal[13, 21] | None:
    """The dialect of a server, from its first binary message."""
    return _core.wire_judge_probe(message)


class FrameDecoder:
    """Decodes one direction of one connection.

    Events are tuples: ("header", type, request_id, method_id, metadata), ("payload", request_id, bytes),
    ("end", request_id), ("error", name), ("read_bytes_failed",).
    """

    def __init__(self, dialect: int, *, requests: bool = False) -> None:
        self._decoder = _core.WireDecoder(dialect, requests=requests)

    def feed(self, message: Buffer) -> list[tuple[Any, ...]]:
        """The events of one binary message."""
        return self._decoder.feed(message)

    def take_requests(self) -> list[Request]:
        """The requests completed since the last call, in the order in which a server answers."""
        return [Request(*r) for r in self._decoder.take_requests()]

    def open_requests(self) -> list[int]:
        """The ids of requests without their End, oldest first."""
        return self._decoder.open_requests()
