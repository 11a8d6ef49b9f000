"""A client for SIMD R Drive, the append-only single-file key/value store.

>>> import simdrive
>>> client = simdrive.connect("ws://127.0.0.1:34129")  # doctest: +SKIP
"""

from __future__ import annotations

from simdrive import hashing
from simdrive._core import __version__
from simdrive.buildinfo import BuildInfo, build_info
from simdrive.client import Client, Options, ServerInfo, connect
from simdrive.errors import (
    BufferTooSmallError,
    ClosedError,
    ConfigurationError,
    ConnectError,
    ConnectionLostError,
    ConnectTimeout,
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

# ConnectionError and TimeoutError are attributes, but not exported: a star import must not hide the built-in ones.
__all__ = [
    "BufferTooSmallError",
    "BuildInfo",
    "Client",
    "ClosedError",
    "ConfigurationError",
    "ConnectError",
    "ConnectTimeout",
    "ConnectionLostError",
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
    "StoreMapping",
    "UnsupportedOperationError",
    "__version__",
    "build_info",
    "connect",
    "hashing",
]
