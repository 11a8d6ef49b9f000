"""Opening a client: URLs, options and :func:`connect`."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from simdrive._core import Client
from simdrive.errors import ConfigurationError

__all__ = ["Client", "Options", "ServerInfo", "connect"]

_URL_VARIABLE = "SIMDRIVE_URL"


@dataclass(frozen=True)
class Options:
    """How to reach a server. Times are seconds (``None``: no limit), sizes are bytes.

    Attributes:
        url: ``ws://host[:port][/path]``; port 34129 and path ``/ws`` by default.
        connect_timeout: name look-up, connect, upgrade and dialect probe together.
        timeout: one whole call, a reconnect included.
        idle_timeout: the longest silence while a reply is due.
        close_timeout: accepted for what is to come; closing does not wait.
        max_value_size: longer values are refused before a byte is sent, longer replies end the call.
        max_key_size: longer keys are refused.
        max_inflight: calls at once on the connection; more wait for their turn.
        max_inflight_bytes: request bytes at once on the connection.
        ping_interval: an idle connection is pinged after this much silence.
        ping_timeout: and dropped after this much.
        wire: the frame dialect, ``"auto"``, ``"d13"`` or ``"d21"``.
    """

    url: str = "ws://127.0.0.1:34129/ws"
    connect_timeout: float | None = 5.0
    timeout: float | None = 30.0
    idle_timeout: float | None = 60.0
    close_timeout: float | None = 2.0
    max_value_size: int = 1 << 30
    max_key_size: int = 1 << 20
    max_inflight: int = 1024
    max_inflight_bytes: int = 256 << 20
    ping_interval: float | None = 20.0
    ping_timeout: float | None = 60.0
    wire: str = "auto"

    def __post_init__(self) -> None:
        for name in ("url", "wire"):
            if not isinstance(getattr(self, name), str):
                raise TypeError(f"{name} must be a str, not {type(getattr(self, name)).__name__}")
        for name in ("max_value_size", "max_key_size", "max_inflight", "max_inflight_bytes"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{name} must be an int, not {type(value).__name__}")
            limit = 1 << 32 if name == "max_inflight" else 1 << 64
            if not 0 <= value < limit:
                raise ConfigurationError(f"{name} must be a number of at least 0 and below {limit}, not {value}")

    def replace(self, **changes: Any) -> Options:
        """A copy with some options changed."""
        return replace(self, **changes)


@dataclass(frozen=True)
class ServerInfo:
    """What a server says of itself; ``None`` where it says nothing.

    Attributes:
        version: the server's version.
        dialect: ``"d13"`` or ``"d21"``, as probed.
        extensions: names of the methods beyond the nine basic ones.
        max_message: the longest WebSocket message it takes, in bytes.
        backend: where it keeps its data.
    """

    version: str | None
    dialect: str
    extensions: frozenset[str]
    max_message: int | None
    backend: str | None

    def to_dict(self) -> dict[str, Any]:
        """The same as a dict."""
        return asdict(self)


def connect(url: str | None = None, /, **options: Any) -> Client:
    """Opens a client and verifies that a SIMD R Drive server answers (one round trip).

    Args:
        url: ``ws://host[:port][/path]``. Left out: the variable ``SIMDRIVE_URL``, else ``ws://127.0.0.1:34129/ws``.
        options: the fields of :class:`Options`.

    Raises:
        ConfigurationError: a malformed URL, or an unknown or impossible option.
        ConnectError: nothing listens there, or the name is unknown.
        ConnectTimeout: no answer within ``connect_timeout``.
        HandshakeError: something else than a WebSocket server answered.
        ProtocolMismatchError: a WebSocket server of another kind, or another dialect than ``wire``.
    """
    if url is None:
        url = os.environ.get(_URL_VARIABLE) or Options.url
    known = {field.name for field in fields(Options)} - {"url"}
    unknown = sorted(set(options) - known)
    if unknown:
        raise ConfigurationError(f"unknown option {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    return Client(Options(url=url, **options))
