"""A client for SIMD R Drive, the append-only single-file key/value store.

>>> import simdrive
>>> client = simdrive.connect("ws://127.0.0.1:34129")  # doctest: +SKIP
"""

from __future__ import annotations

from simdrive._cli import loading as _loading

with _loading.Loading():
    from typing import TYPE_CHECKING, Any

    from simdrive import hashing
    from simdrive._core import Value, __version__
    from simdrive.buildinfo import BuildInfo, build_info
    from simdrive.client import Client, Options, ServerInfo, connect
    from simdrive.errors import (
        BufferTooSmallError,
        ClosedError,
        ConfigurationError,
        ConnectError,
        ConnectionLostError,
        ConnectTimeout,
        EventLoopError,
        HandshakeError,
        InvalidKeyError,
        InvalidValueError,
        KeyNotFoundError,
        OperationTimeout,
        OutOfMemoryError,
        OverloadError,
        ProtocolError,
        ProtocolMismatchError,
        ServerError,
        SimdriveError,
        StorageFullError,
        StoreCorruptError,
        StoreError,
        StoreFormatError,
        StoreLockedError,
        StoreNotFoundError,
        StoreReadOnlyError,
        UnsupportedOperationError,
    )
    from simdrive.errors import (
        ConnectionError as ConnectionError,
    )
    from simdrive.errors import (
        TimeoutError as TimeoutError,
    )
    from simdrive.hashing import NamespaceHasher
    from simdrive.mapping import StoreMapping
    from simdrive.namespace import NamespacedClient
    from simdrive.retry import Retry

if TYPE_CHECKING:
    from simdrive.aio import AsyncClient, aconnect
    from simdrive.aio_namespace import AsyncNamespacedClient

# ConnectionError and TimeoutError are attributes, but not exported: a star import must not hide the built-in ones.
__all__ = [
    "AsyncClient",
    "AsyncNamespacedClient",
    "BufferTooSmallError",
    "BuildInfo",
    "Client",
    "ClosedError",
    "ConfigurationError",
    "ConnectError",
    "ConnectTimeout",
    "ConnectionLostError",
    "EventLoopError",
    "HandshakeError",
    "InvalidKeyError",
    "InvalidValueError",
    "KeyNotFoundError",
    "NamespaceHasher",
    "NamespacedClient",
    "OperationTimeout",
    "Options",
    "OutOfMemoryError",
    "OverloadError",
    "ProtocolError",
    "ProtocolMismatchError",
    "Retry",
    "ServerError",
    "ServerInfo",
    "SimdriveError",
    "StorageFullError",
    "StoreCorruptError",
    "StoreError",
    "StoreFormatError",
    "StoreLockedError",
    "StoreMapping",
    "StoreNotFoundError",
    "StoreReadOnlyError",
    "UnsupportedOperationError",
    "Value",
    "__version__",
    "aconnect",
    "build_info",
    "connect",
    "hashing",
]


def __getattr__(name: str) -> Any:
    # asyncio takes longer to import than all of simdrive.
    if name in ("AsyncClient", "aconnect"):
        from simdrive import aio

        return getattr(aio, name)
    if name == "AsyncNamespacedClient":
        from simdrive import aio_namespace

        return aio_namespace.AsyncNamespacedClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
