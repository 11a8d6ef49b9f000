"""SIMD R Drive, the append-only single-file key/value store: a client of its servers, and the store itself.

>>> import simdrive
>>> client = simdrive.connect("ws://127.0.0.1:34129")  # doctest: +SKIP
>>> store = simdrive.Store("data.bin")  # doctest: +SKIP
"""

from __future__ import annotations

from simdrive._cli import loading as _loading

with _loading.Loading():
    from typing import TYPE_CHECKING, Any

    from simdrive import hashing
    from simdrive._core import Entry, Value, __version__
    from simdrive.buildinfo import BuildInfo, build_info
    from simdrive.client import Client, Options, ServerInfo, connect
    from simdrive.errors import (
        BatchError,
        BindError,
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
    from simdrive.key_hash import KeyHash
    from simdrive.mapping import StoreMapping
    from simdrive.namespace import NamespacedClient
    from simdrive.retry import Retry
    from simdrive.store import MemoryStore, Store, open_store
    from simdrive.store_namespace import NamespacedStore
    from simdrive.store_types import (
        CompactResult,
        EntryMetadata,
        OpenReport,
        RecoverReport,
        StoreOptions,
        VerifyReport,
    )

if TYPE_CHECKING:
    from simdrive.aio import AsyncClient, aconnect
    from simdrive.aio_namespace import AsyncNamespacedClient
    from simdrive.aio_pipeline import AsyncPipeline
    from simdrive.pipeline import Pipeline, PipelineFuture
    from simdrive.server import Server, ServerLimits, ServerOptions, ServerStats

# ConnectionError and TimeoutError are attributes, but not exported: a star import must not hide the built-in ones.
__all__ = [
    "AsyncClient",
    "AsyncNamespacedClient",
    "AsyncPipeline",
    "BatchError",
    "BindError",
    "BufferTooSmallError",
    "BuildInfo",
    "Client",
    "ClosedError",
    "CompactResult",
    "ConfigurationError",
    "ConnectError",
    "ConnectTimeout",
    "ConnectionLostError",
    "Entry",
    "EntryMetadata",
    "EventLoopError",
    "HandshakeError",
    "InvalidKeyError",
    "InvalidValueError",
    "KeyHash",
    "KeyNotFoundError",
    "MemoryStore",
    "NamespaceHasher",
    "NamespacedClient",
    "NamespacedStore",
    "OpenReport",
    "OperationTimeout",
    "Options",
    "OutOfMemoryError",
    "OverloadError",
    "Pipeline",
    "PipelineFuture",
    "ProtocolError",
    "ProtocolMismatchError",
    "RecoverReport",
    "Retry",
    "Server",
    "ServerError",
    "ServerInfo",
    "ServerLimits",
    "ServerOptions",
    "ServerStats",
    "SimdriveError",
    "StorageFullError",
    "Store",
    "StoreCorruptError",
    "StoreError",
    "StoreFormatError",
    "StoreLockedError",
    "StoreMapping",
    "StoreNotFoundError",
    "StoreOptions",
    "StoreReadOnlyError",
    "UnsupportedOperationError",
    "Value",
    "VerifyReport",
    "__version__",
    "aconnect",
    "build_info",
    "connect",
    "hashing",
    "open_store",
]


def __getattr__(name: str) -> Any:
    # asyncio takes longer to import than all of simdrive.
    if name in ("AsyncClient", "aconnect"):
        from simdrive import aio

        return getattr(aio, name)
    if name == "AsyncNamespacedClient":
        from simdrive import aio_namespace

        return aio_namespace.AsyncNamespacedClient
    if name == "AsyncPipeline":
        from simdrive import aio_pipeline

        return aio_pipeline.AsyncPipeline
    if name in ("Server", "ServerLimits", "ServerOptions", "ServerStats"):
        from simdrive import server

        return getattr(server, name)
    if name in ("Pipeline", "PipelineFuture"):  # so does concurrent.futures
        from simdrive import pipeline

        return getattr(pipeline, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
