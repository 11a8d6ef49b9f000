"""An asyncio client that threads can use as the other one, so that what is tested of one can be tested of both."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, TypeVar, cast

import simdrive

from .loops import close_loop, new_loop

T = TypeVar("T")

THREADS = "threads"


class BlockingClient:
    """The methods of an `AsyncClient`, each of which waits for its end. The loop has a thread of its own."""

    def __init__(self, kind: str, url: str, **options: Any) -> None:
        self._loop = new_loop(kind)
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"{kind} loop", daemon=True)
        self._thread.start()
        try:
            self._client = self._result(simdrive.aconnect(url, **options))
        except BaseException:
            self._end()
            raise

    def _result(self, call: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(call, self._loop).result(120)

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        close_loop(self._loop)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if not inspect.iscoroutinefunction(found):
            return found
        return lambda *args, **kwargs: self._result(found(*args, **kwargs))

    def __len__(self) -> int:
        return self._result(self._client.size())

    def __contains__(self, key: Any) -> bool:
        return self._result(self._client.exists(key))

    def __bool__(self) -> bool:
        return bool(self._client)

    def close(self, *, timeout: float | None = None) -> None:
        if not self._loop.is_closed():
            self._result(self._client.close(timeout=timeout))
            self._end()

    def __enter__(self) -> BlockingClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def connect_as(kind: str, url: str, **options: Any) -> simdrive.Client:
    """A client for threads: `simdrive.connect`, or an asyncio client in a loop of one of `support.loops.LOOPS`."""
    if kind == THREADS:
        return simdrive.connect(url, **options)
    return cast(simdrive.Client, BlockingClient(kind, url, **options))
