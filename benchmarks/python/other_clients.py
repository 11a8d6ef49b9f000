"""Redis clients behind the names that the clients under test have in common: imported by worker.py where they are."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any


class Redis:
    """redis-py, which parses with hiredis where that is installed: without it nothing is measured."""

    def __init__(self, port: int) -> None:
        importlib.import_module("hiredis")
        self._client: Any = importlib.import_module("redis").Redis(host="127.0.0.1", port=port)
        self._client.ping()

    def write(self, key: bytes, value: bytes) -> None:
        self._client.set(key, value)

    def read(self, key: bytes) -> bytes | None:
        found: bytes | None = self._client.get(key)
        return found

    def exists(self, key: bytes) -> bool:
        return bool(self._client.exists(key))

    def batch_write(self, items: Sequence[tuple[bytes, bytes]]) -> None:
        self._client.mset(dict(items))

    def batch_read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return list(self._client.mget(keys))


class Glide:
    """valkey-glide-sync. A batch is a pipeline: its MSET takes as long."""

    def __init__(self, port: int) -> None:
        glide: Any = importlib.import_module("glide_sync")
        self._batch = glide.Batch
        address = glide.NodeAddress("127.0.0.1", port)
        self._client = glide.GlideClient.create(glide.GlideClientConfiguration([address], request_timeout=30000))

    def write(self, key: bytes, value: bytes) -> None:
        self._client.set(key, value)

    def read(self, key: bytes) -> bytes | None:
        found: bytes | None = self._client.get(key)
        return found

    def exists(self, key: bytes) -> bool:
        return bool(self._client.exists([key]))

    def batch_write(self, items: Sequence[tuple[bytes, bytes]]) -> None:
        batch = self._batch(is_atomic=False)
        for key, value in items:
            batch.set(key, value)
        self._client.exec(batch, raise_on_error=True)

    def batch_read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        batch = self._batch(is_atomic=False)
        for key in keys:
            batch.get(key)
        return list(self._client.exec(batch, raise_on_error=True))


KINDS = {"redis": Redis, "glide": Glide}
