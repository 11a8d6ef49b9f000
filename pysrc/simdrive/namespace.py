"""Keys of one's own in a shared store: :class:`NamespacedClient`, made by ``client.namespace(prefix)``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar, overload

from simdrive._core import NamespaceHasher, Value, check_timeout, checked_pair, pairs_of
from simdrive.errors import BatchError, ClosedError, SimdriveError, UnsupportedOperationError
from simdrive.mapping import StoreMapping
from simdrive.streams import Progress, Streams, given

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self

    from simdrive.client import Client, Options, ServerInfo
    from simdrive.pipeline import Pipeline

__all__ = ["NamespacedClient", "Naming"]

_K = TypeVar("_K")
_T = TypeVar("_T")
_Timeout = float | EllipsisType | None


class NamespacedClient(Streams):
    """A client that sees only the keys under a prefix: the methods of :class:`simdrive.Client`, over its connection.

    Each key is sent as the 16 bytes that ``NamespaceHasher(prefix)`` makes of it, so keys may have any length, and
    equal keys under other prefixes are other keys. That keeps apart users who mean no harm; it protects nothing.

    A view owns nothing: closing it, also by ``with``, ends the view but not the client, and closing the client ends
    every view of it. Only a view that was unpickled owns its client, which nobody else may know: closing it closes the
    client, too, and so the other views of the same pickle. The server does not know which keys are under a prefix:
    ``len()`` and `is_empty` raise ``UnsupportedOperationError``; `file_size`, `ping` and `server_info` are those of the
    whole server.

    ``client.namespace(a).namespace(b)`` makes each key one of `b` first, and the result one of `a`: other keys than
    those of ``client.namespace(b).namespace(a)``.

    Args:
        client: whose connection is used.
        prefixes: bytes-like objects, the outermost first; at least one.
    """

    __slots__ = ("__weakref__", "_calls", "_client", "_name", "_name_many", "_owns", "_prefixes")

    def __init__(self, client: Client, prefixes: Iterable[Buffer]) -> None:
        naming = Naming(prefixes)
        self._client = client
        self._owns = False
        self._calls: Any = client
        self._prefixes = naming.prefixes
        self._name = naming.name
        self._name_many = naming.name_many

    def write(self, key: Buffer, data: Buffer, *, timeout: _Timeout = ..., progress: Progress | None = None) -> None:
        """As ``Client.write``."""
        try:
            self._calls.write(self._name(key), data, **given(timeout, progress))
        except SimdriveError as error:
            rename(error, key)
            raise

    def batch_write(
        self,
        items: Iterable[tuple[Buffer, Buffer]] | Mapping[Any, Buffer],
        *,
        max_bytes: int | None = None,
        timeout: _Timeout = ...,
        progress: Progress | None = None,
    ) -> None:
        """As ``Client.batch_write``."""
        self._check("batch_write")
        keys, values = keys_and_values(items)
        names = self._name_many(keys)
        try:
            pairs = zip(names, values, strict=True)
            self._calls.batch_write(pairs, max_bytes=max_bytes, **given(timeout, progress))
        except SimdriveError as error:
            rename_one(error, keys, names)
            raise

    @overload
    def read(
        self,
        key: Buffer,
        *,
        default: None = None,
        out: Literal["bytes"] = "bytes",
        timeout: _Timeout = ...,
        progress: Progress | None = None,
    ) -> bytes | None: ...
    @overload
    def read(
        self,
        key: Buffer,
        *,
        default: _T,
        out: Literal["bytes"] = "bytes",
        timeout: _Timeout = ...,
        progress: Progress | None = None,
    ) -> bytes | _T: ...
    @overload
    def read(
        self,
        key: Buffer,
        *,
        default: None = None,
        out: Literal["view"],
        timeout: _Timeout = ...,
        progress: Progress | None = None,
    ) -> Value | None: ...
    @overload
    def read(
        self,
        key: Buffer,
        *,
        default: _T,
        out: Literal["view"],
        timeout: _Timeout = ...,
        progress: Progress | None = None,
    ) -> Value | _T: ...
    @overload
    def read(
        self,
        key: Buffer,
        *,
        default: None = None,
        out: Buffer,
        timeout: _Timeout = ...,
        progress: Progress | None = None,
    ) -> int | None: ...
    @overload
    def read(
        self,
        key: Buffer,
        *,
        default: _T,
        out: Buffer,
        timeout: _Timeout = ...,
        progress: Progress | None = None,
    ) -> int | _T: ...
    def read(
        self,
        key: Buffer,
        *,
        default: Any = None,
        out: Any = "bytes",
        timeout: _Timeout = ...,
        progress: Progress | None = None,
    ) -> Any:
        """As ``Client.read``."""
        try:
            return self._calls.read(self._name(key), default=default, out=out, **given(timeout, progress))
        except SimdriveError as error:
            rename(error, key)
            raise

    @overload
    def batch_read(
        self,
        keys: Iterable[Buffer],
        *,
        out: Literal["bytes"] = "bytes",
        timeout: _Timeout = ...,
        progress: Progress | None = None,
    ) -> list[bytes | None]: ...
    @overload
    def batch_read(
        self,
        keys: Iterable[Buffer],
        *,
        out: Literal["view"],
        timeout: _Timeout = ...,
        progress: Progress | None = None,
    ) -> list[Value | None]: ...
    def batch_read(
        self,
        keys: Iterable[Buffer],
        *,
        out: Literal["bytes", "view"] = "bytes",
        timeout: _Timeout = ...,
        progress: Progress | None = None,
    ) -> Any:
        """As ``Client.batch_read``."""
        self._check("batch_read")
        wanted = list_of_keys(keys)
        names = self._name_many(wanted)
        try:
            return self._calls.batch_read(names, out=out, **given(timeout, progress))
        except SimdriveError as error:
            rename_one(error, wanted, names)
            raise

    @overload
    def batch_read_structured(
        self, data: dict[_K, Any], *, timeout: _Timeout = ..., progress: Progress | None = None
    ) -> dict[_K, bytes | None]: ...
    @overload
    def batch_read_structured(
        self, data: list[dict[_K, Any]], *, timeout: _Timeout = ..., progress: Progress | None = None
    ) -> list[dict[_K, bytes | None]]: ...
    def batch_read_structured(self, data: Any, *, timeout: _Timeout = ..., progress: Progress | None = None) -> Any:
        """As ``Client.batch_read_structured``."""
        rows = Rows(data)
        return rows.filled(self.batch_read(rows.keys(), timeout=timeout, progress=progress))

    def delete(self, key: Buffer, *, timeout: _Timeout = ...) -> None:
        """As ``Client.delete``."""
        try:
            self._calls.delete(self._name(key), **given(timeout))
        except SimdriveError as error:
            rename(error, key)
            raise

    def exists(self, key: Buffer, *, timeout: _Timeout = ...) -> bool:
        """As ``Client.exists``."""
        try:
            return bool(self._calls.exists(self._name(key), **given(timeout)))
        except SimdriveError as error:
            rename(error, key)
            raise

    def batch_delete(
        self, keys: Iterable[Buffer], *, timeout: _Timeout = ..., progress: Progress | None = None
    ) -> None:
        """As ``Client.batch_delete``."""
        self._check("batch_delete")
        wanted = list_of_keys(keys)
        names = self._name_many(wanted)
        try:
            self._calls.batch_delete(names, **given(timeout, progress))
        except BatchError as error:
            rename_failed(error, wanted)
            raise

    def pipeline(self, *, max_inflight: int | None = None) -> Pipeline:
        """As ``Client.pipeline``, for the keys of this namespace."""
        self._check("pipeline")
        from simdrive.pipeline import Pipeline

        return Pipeline(self._client, max_inflight, self._name)

    def __contains__(self, key: object, /) -> bool:
        return self.exists(key)  # type: ignore[arg-type]  # TypeError for what is no buffer

    def __len__(self) -> int:
        """Raises ``UnsupportedOperationError``."""
        self._check("len")
        raise cannot_count("len", self.options.url)

    def __bool__(self) -> Literal[True]:
        """Always true, as for a client."""
        return True

    def is_empty(self, *, timeout: _Timeout = ...) -> bool:  # noqa: ARG002  # as Client.is_empty
        """Raises ``UnsupportedOperationError``."""
        self._check("is_empty")
        raise cannot_count("is_empty", self.options.url)

    def file_size(self, *, timeout: _Timeout = ...) -> int:
        """Bytes of the server's store file, other namespaces included."""
        return int(self._calls.file_size(**given(timeout)))

    def ping(self, *, timeout: _Timeout = ...) -> float:
        """Seconds that one round trip to the server takes."""
        return float(self._calls.ping(**given(timeout)))

    def server_info(self, *, timeout: _Timeout = ...) -> ServerInfo:
        """What is known of the server."""
        info: ServerInfo = self._calls.server_info(**given(timeout))
        return info

    def namespace(self, prefix: Buffer) -> NamespacedClient:
        """A namespace within this one."""
        self._calls.namespace  # noqa: B018  # ClosedError if this one was closed
        return NamespacedClient(self._client, [*self._prefixes, prefix])

    def _check(self, op: str) -> None:
        self._calls._check(op)

    def mapping(self) -> StoreMapping:
        """The namespace as a ``MutableMapping`` of bytes to bytes."""
        return StoreMapping(self)

    def close(self, *, timeout: float | None = None) -> None:
        """Ends this view; the client stays open, unless this view was unpickled. Later calls raise ``ClosedError``.

        Closing twice is fine.

        Args:
            timeout: as for ``Client.close``, if that is called; it is checked in any case.
        """
        check_timeout(timeout)
        self._calls = ClosedView(self.options.url)
        if self._owns:
            self._client.close(timeout=timeout)

    @property
    def options(self) -> Options:
        """Those of the client."""
        return self._client.options

    @property
    def closed(self) -> bool:
        """Whether the view or its client was closed."""
        return isinstance(self._calls, ClosedView) or self._client.closed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __copy__(self) -> NamespacedClient:
        return NamespacedClient(self._client, self._prefixes)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self._client, self._prefixes)

    def __repr__(self) -> str:
        prefixes = "".join(f".namespace({prefix!r})" for prefix in self._prefixes)
        return f"<{self._client!r}{prefixes}{' (closed)' if isinstance(self._calls, ClosedView) else ''}>"


class Naming:
    """What is sent for the keys of a namespace.

    Args:
        prefixes: bytes-like objects, the outermost first; at least one.
    """

    def __init__(self, prefixes: Iterable[Buffer]) -> None:
        prefixes = list(prefixes)
        hashers = [NamespaceHasher(prefix) for prefix in prefixes]
        self.prefixes = tuple(memoryview(prefix).tobytes() for prefix in prefixes)
        self.name: Callable[[Buffer], bytes] = hashers[-1].namespace
        self.name_many: Callable[[list[Any]], list[bytes]] = hashers[-1].namespace_many
        if len(hashers) > 1:
            inner, *outer = reversed(hashers)

            def name_many(keys: list[Any]) -> list[bytes]:
                names = inner.namespace_many(keys)
                for hasher in outer:
                    names = hasher.namespace_many(names)
                return names

            self.name = lambda key: name_many([key])[0]
            self.name_many = name_many


def keys_and_values(items: Iterable[tuple[Buffer, Buffer]] | Mapping[Any, Buffer]) -> tuple[list[Any], list[Any]]:
    """Those of the items of a batch."""
    keys, values = [], []
    for index, pair in enumerate(pairs_of(items)):
        key, value = checked_pair(pair, index)
        keys.append(key)
        values.append(value)
    return keys, values


def list_of_keys(keys: Iterable[Buffer]) -> list[Buffer]:
    """The keys of a batch."""
    if isinstance(keys, (str, bytes, bytearray)):
        raise TypeError(f"keys must be an iterable of keys, not {type(keys).__name__}")
    return list(keys)


class Rows:
    """A dict or a list of dicts, taken once: others may change what the caller gave while the values are read."""

    def __init__(self, data: Any) -> None:
        rows: list[Any] = list(data) if isinstance(data, list) else [data]
        if not all(isinstance(row, dict) for row in rows):
            raise TypeError(f"data must be a dict or a list of dicts, not {type(data).__name__}")
        self._one = not isinstance(data, list)
        self._rows = [list(row.items()) for row in rows]

    def keys(self) -> list[Any]:
        return [key for row in self._rows for _, key in row]

    def filled(self, values: Iterable[Any]) -> Any:
        """The same shape with `values` in the place of keys()."""
        left = iter(values)
        result = [{name: next(left) for name, _ in row} for row in self._rows]
        return result[0] if self._one else result


def cannot_count(op: str, url: str) -> UnsupportedOperationError:
    """Of a namespace, whose keys nobody knows."""
    error = UnsupportedOperationError(
        f"{op} of a namespace on {url}: it is not known which keys are under a prefix (the whole store can be counted: "
        "use the client or the store itself)"
    )
    error.op = op
    error.endpoint = url
    return error


def _unpickled(client: Client, prefixes: Iterable[Buffer]) -> NamespacedClient:
    view = NamespacedClient(client, prefixes)
    view._owns = True
    return view


class ClosedView:
    """In the place of the client of a view that was closed."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __getattr__(self, op: str) -> NoReturn:
        self._check(op)

    def _check(self, op: str) -> NoReturn:
        error = ClosedError(
            f"{op} on {self._url}: this namespace was closed; make another from the client or the store"
        )
        error.op = op
        error.endpoint = self._url
        raise error


def rename(error: SimdriveError, key: Buffer) -> None:
    """Lets an error tell the caller's key instead of what was sent for it."""
    error.key_hint = memoryview(key).cast("B")[:16].hex()


def rename_failed(error: BatchError, keys: list[Any]) -> None:
    for number, failure in error.failed.items():
        if isinstance(failure, SimdriveError) and failure.key_hint is not None:
            rename(failure, keys[number])


def rename_one(error: SimdriveError, keys: list[Any], names: list[bytes]) -> None:
    if isinstance(error, BatchError):
        for failure in error.exceptions:
            if isinstance(failure, SimdriveError):
                rename_one(failure, keys, names)
    for key, name in zip(keys, names, strict=True):
        if name.hex() == error.key_hint:
            rename(error, key)
            return
