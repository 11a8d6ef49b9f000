"""Keys of one's own in a shared store, in asyncio: :class:`AsyncNamespacedClient`, made by ``client.namespace()``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from simdrive._core import check_timeout
from simdrive.aio_streams import AsyncStreams
from simdrive.errors import BatchError, SimdriveError
from simdrive.namespace import (
    ClosedView,
    Naming,
    Rows,
    cannot_count,
    keys_and_values,
    list_of_keys,
    rename,
    rename_failed,
    rename_one,
)
from simdrive.streams import Progress, given

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self

    from simdrive._core import Value
    from simdrive.aio import AsyncClient
    from simdrive.aio_pipeline import AsyncPipeline
    from simdrive.client import Options, ServerInfo

__all__ = ["AsyncNamespacedClient"]

_K = TypeVar("_K")
_T = TypeVar("_T")
_Timeout = float | EllipsisType | None


class AsyncNamespacedClient(AsyncStreams):
    """An asynchronous client that sees only the keys under a prefix: :class:`simdrive.NamespacedClient` for asyncio.

    The methods are those of :class:`simdrive.AsyncClient`, over its connection and in its loop. A view owns nothing:
    closing it, also by ``async with``, ends the view but not the client, and closing the client ends every view of it.
    The server does not know which keys are under a prefix: `size` and `is_empty` raise ``UnsupportedOperationError``;
    `file_size`, `ping` and `server_info` are those of the whole server. There is no mapping: the operations of a
    ``MutableMapping`` cannot be awaited.

    Args:
        client: whose connection is used.
        prefixes: bytes-like objects, the outermost first; at least one.
    """

    __slots__ = ("__weakref__", "_calls", "_client", "_name", "_name_many", "_prefixes")

    def __init__(self, client: AsyncClient, prefixes: Iterable[Buffer]) -> None:
        naming = Naming(prefixes)
        self._client = client
        self._calls: Any = client
        self._prefixes = naming.prefixes
        self._name = naming.name
        self._name_many = naming.name_many

    async def write(
        self, key: Buffer, data: Buffer, *, timeout: _Timeout = ..., progress: Progress | None = None
    ) -> None:
        """As ``AsyncClient.write``."""
        try:
            await self._calls.write(self._name(key), data, **given(timeout, progress))
        except SimdriveError as error:
            rename(error, key)
            raise

    async def batch_write(
        self,
        items: Iterable[tuple[Buffer, Buffer]] | Mapping[Any, Buffer],
        *,
        max_bytes: int | None = None,
        timeout: _Timeout = ...,
        progress: Progress | None = None,
    ) -> None:
        """As ``AsyncClient.batch_write``."""
        self._check("batch_write")
        keys, values = keys_and_values(items)
        names = self._name_many(keys)
        try:
            pairs = zip(names, values, strict=True)
            await self._calls.batch_write(pairs, max_bytes=max_bytes, **given(timeout, progress))
        except SimdriveError as error:
            rename_one(error, keys, names)
            raise

    @overload
    async def read(
        self,
        key: Buffer,
        *,
        default: None = None,
        out: Literal["bytes"] = "bytes",
        timeout: _Timeout = ...,
        progress: Progress | None = None,
    ) -> bytes | None: ...
    @overload
    async def read(
        self,
        key: Buffer,
        *,
        default: _T,
        out: Literal["bytes"] = "bytes",
        timeout: _Timeout = ...,
        progress: Progress | None = None,
    ) -> bytes | _T: ...
    @overload
    async def read(
        self,
        key: Buffer,
        *,
        default: None = None,
        out: Literal["view"],
        timeout: _Timeout = ...,
        progress: Progress | None = None,
    ) -> Value | None: ...
    @overload
    async def read(
        self,
        key: Buffer,
        *,
        default: _T,
        out: Literal["view"],
        timeout: _Timeout = ...,
        progress: Progress | None = None,
    ) -> Value | _T: ...
    @overload
    async def read(
        self,
        key: Buffer,
        *,
        default: None = None,
        out: Buffer,
        timeout: _Timeout = ...,
        progress: Progress | None = None,
    ) -> int | None: ...
    @overload
    async def read(
        self,
        key: Buffer,
        *,
        default: _T,
        out: Buffer,
        timeout: _Timeout = ...,
        progress: Progress | None = None,
    ) -> int | _T: ...
    async def read(
        self,
        key: Buffer,
        *,
        default: Any = None,
        out: Any = "bytes",
        timeout: _Timeout = ...,
        progress: Progress | None = None,
    ) -> Any:
        """As ``AsyncClient.read``."""
        try:
            return await self._calls.read(self._name(key), default=default, out=out, **given(timeout, progress))
        except SimdriveError as error:
            rename(error, key)
            raise

    @overload
    async def batch_read(
        self,
        keys: Iterable[Buffer],
        *,
        out: Literal["bytes"] = "bytes",
        timeout: _Timeout = ...,
        progress: Progress | None = None,
    ) -> list[bytes | None]: ...
    @overload
    async def batch_read(
        self,
        keys: Iterable[Buffer],
        *,
        out: Literal["view"],
        timeout: _Timeout = ...,
        progress: Progress | None = None,
    ) -> list[Value | None]: ...
    async def batch_read(
        self,
        keys: Iterable[Buffer],
        *,
        out: Literal["bytes", "view"] = "bytes",
        timeout: _Timeout = ...,
        progress: Progress | None = None,
    ) -> Any:
        """As ``AsyncClient.batch_read``."""
        self._check("batch_read")
        wanted = list_of_keys(keys)
        names = self._name_many(wanted)
        try:
            return await self._calls.batch_read(names, out=out, **given(timeout, progress))
        except SimdriveError as error:
            rename_one(error, wanted, names)
            raise

    @overload
    async def batch_read_structured(
        self, data: dict[_K, Any], *, timeout: _Timeout = ..., progress: Progress | None = None
    ) -> dict[_K, bytes | None]: ...
    @overload
    async def batch_read_structured(
        self, data: list[dict[_K, Any]], *, timeout: _Timeout = ..., progress: Progress | None = None
    ) -> list[dict[_K, bytes | None]]: ...
    async def batch_read_structured(
        self, data: Any, *, timeout: _Timeout = ..., progress: Progress | None = None
    ) -> Any:
        """As ``AsyncClient.batch_read_structured``."""
        rows = Rows(data)
        return rows.filled(await self.batch_read(rows.keys(), timeout=timeout, progress=progress))

    async def delete(self, key: Buffer, *, timeout: _Timeout = ...) -> None:
        """As ``AsyncClient.delete``."""
        try:
            await self._calls.delete(self._name(key), **given(timeout))
        except SimdriveError as error:
            rename(error, key)
            raise

    async def exists(self, key: Buffer, *, timeout: _Timeout = ...) -> bool:
        """As ``AsyncClient.exists``."""
        try:
            return bool(await self._calls.exists(self._name(key), **given(timeout)))
        except SimdriveError as error:
            rename(error, key)
            raise

    async def batch_delete(
        self, keys: Iterable[Buffer], *, timeout: _Timeout = ..., progress: Progress | None = None
    ) -> None:
        """As ``AsyncClient.batch_delete``."""
        self._check("batch_delete")
        wanted = list_of_keys(keys)
        names = self._name_many(wanted)
        try:
            await self._calls.batch_delete(names, **given(timeout, progress))
        except BatchError as error:
            rename_failed(error, wanted)
            raise

    def pipeline(self, *, max_inflight: int | None = None) -> AsyncPipeline:
        """As ``AsyncClient.pipeline``, for the keys of this namespace."""
        self._check("pipeline")
        from simdrive.aio_pipeline import AsyncPipeline

        return AsyncPipeline(self._client, max_inflight, self._name)

    async def size(self, *, timeout: _Timeout = ...) -> int:  # noqa: ARG002  # as AsyncClient.size
        """Raises ``UnsupportedOperationError``."""
        self._check("size")
        raise cannot_count("size", self.options.url)

    async def is_empty(self, *, timeout: _Timeout = ...) -> bool:  # noqa: ARG002  # as AsyncClient.is_empty
        """Raises ``UnsupportedOperationError``."""
        self._check("is_empty")
        raise cannot_count("is_empty", self.options.url)

    async def file_size(self, *, timeout: _Timeout = ...) -> int:
        """Bytes of the server's store file, other namespaces included."""
        return int(await self._calls.file_size(**given(timeout)))

    async def ping(self, *, timeout: _Timeout = ...) -> float:
        """Seconds that one round trip to the server takes."""
        return float(await self._calls.ping(**given(timeout)))

    async def server_info(self, *, timeout: _Timeout = ...) -> ServerInfo:
        """What is known of the server."""
        info: ServerInfo = await self._calls.server_info(**given(timeout))
        return info

    def _check(self, op: str) -> None:
        self._calls._check(op)

    def namespace(self, prefix: Buffer) -> AsyncNamespacedClient:
        """A namespace within this one."""
        self._calls.namespace  # noqa: B018  # ClosedError if this one was closed
        return AsyncNamespacedClient(self._client, [*self._prefixes, prefix])

    async def close(self, *, timeout: float | None = None) -> None:
        """Ends this view; the client stays open. Later calls raise ``ClosedError``. Closing twice is fine.

        Args:
            timeout: checked, as for ``AsyncClient.close``, but nothing is waited for.
        """
        self._client._in_loop("close")
        check_timeout(timeout)
        self._calls = ClosedView(self.options.url)

    @property
    def options(self) -> Options:
        """Those of the client."""
        return self._client.options

    @property
    def closed(self) -> bool:
        """Whether the view or its client was closed."""
        return isinstance(self._calls, ClosedView) or self._client.closed

    def __bool__(self) -> Literal[True]:
        """Always true, as for a client."""
        return True

    async def __aenter__(self) -> Self:
        self._client._in_loop("async with")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    def __copy__(self) -> AsyncNamespacedClient:
        return AsyncNamespacedClient(self._client, self._prefixes)

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a namespace of an AsyncClient belongs to its event loop and cannot be pickled")

    def __repr__(self) -> str:
        prefixes = "".join(f".namespace({prefix!r})" for prefix in self._prefixes)
        return f"<{self._client!r}{prefixes}{' (closed)' if isinstance(self._calls, ClosedView) else ''}>"
