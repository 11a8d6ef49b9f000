"""A store as a dict of bytes: :class:`StoreMapping`, made by ``mapping()`` of clients and stores."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeVar, overload

from simdrive.errors import KeyNotFoundError, UnsupportedOperationError
from simdrive.key_hash import KeyHash

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self

    from simdrive.client import Options
    from simdrive.store_types import StoreOptions

__all__ = ["StoreMapping"]

_T = TypeVar("_T")
_MISSING: Any = object()


def key_not_found(op: str, key: Buffer | KeyHash, endpoint: str) -> KeyNotFoundError:
    """The error for a key without a value."""
    if isinstance(key, KeyHash):
        shown, hint = repr(key), None
    else:
        start = bytes(memoryview(key).cast("B")[:16])
        shown = f"the key {start!r}{'...' if memoryview(key).nbytes > len(start) else ''}"
        hint = start.hex()
    error = KeyNotFoundError(f"{op} on {endpoint}: there is no value under {shown}")
    error.op = op
    error.key_hint = hint
    error.endpoint = endpoint
    return error


class _Calls(Protocol):
    """What a mapping needs of a client, a store or a namespace."""

    @property
    def options(self) -> Options | StoreOptions: ...
    def write(self, key: Buffer, data: Buffer) -> None: ...
    def batch_write(self, items: Iterable[tuple[Buffer, Buffer]]) -> None: ...
    def read(self, key: Buffer) -> bytes | None: ...
    def delete(self, key: Buffer) -> None: ...
    def exists(self, key: Buffer) -> bool: ...
    def __len__(self) -> int: ...
    def close(self) -> None: ...


class StoreMapping(MutableMapping[bytes, bytes]):
    """The store behind a client, or an embedded one, as a mapping of bytes to bytes.

    Keys and values are bytes-like objects as everywhere else; results are ``bytes``. Every operation is one call of the
    client's (with its ``timeout``) or the store's, and may raise what that raises. Differences from a dict:

    - Only hashes of keys are stored, so keys cannot be listed: iterating, ``keys()``, ``values()``, ``items()``,
      ``popitem()``, ``clear()`` and comparing with another mapping raise ``UnsupportedOperationError`` (a
      ``NotImplementedError``).
    - ``del``, ``pop()`` and ``setdefault()`` are two calls and not atomic: what another client or thread does to the
      same key in between is not noticed.
    - ``update()`` is one batch: either all of it is stored or nothing.
    - ``len()`` counts the whole store; a mapping of a namespace has no length.

    `close`, also by ``with``, closes what the mapping owns. That is nothing, unless it was unpickled: then it owns the
    client or the store that was opened for it.

    Args:
        client: a client, a store or a namespace. The mapping does not own it.
    """

    __slots__ = ("_client", "_owns")

    def __init__(self, client: _Calls) -> None:
        self._client = client
        self._owns = False

    def __getitem__(self, key: Buffer) -> bytes:
        """The value under `key`; ``KeyNotFoundError`` (a ``KeyError``) if there is none."""
        value = self._client.read(key)
        if value is None:
            raise key_not_found("read", key, self._client.options.endpoint)
        return value

    def __setitem__(self, key: Buffer, value: Buffer) -> None:
        """Stores `value`; ``InvalidValueError`` if it is empty, the single byte 00 or too large."""
        self._client.write(key, value)

    def __delitem__(self, key: Buffer) -> None:
        """Removes `key`; ``KeyNotFoundError`` if it is absent.

        Deleting does not tell whether there was something, so `exists` is asked first: of two clients that delete one
        key at once, both may succeed.
        """
        if not self._client.exists(key):
            raise key_not_found("delete", key, self._client.options.endpoint)
        self._client.delete(key)

    def __contains__(self, key: object) -> bool:
        """Whether there is a value under `key`; ``TypeError`` if it is not bytes-like."""
        return self._client.exists(key)  # type: ignore[arg-type]  # the client refuses what is no buffer

    def __len__(self) -> int:
        """The number of keys in the whole store."""
        return len(self._client)

    @overload
    def get(self, key: Buffer, default: None = None, /) -> bytes | None: ...
    @overload
    def get(self, key: Buffer, default: _T, /) -> bytes | _T: ...
    def get(self, key: Buffer, default: Any = None, /) -> Any:
        """The value under `key`, or `default`."""
        value = self._client.read(key)
        return default if value is None else value

    @overload
    def pop(self, key: Buffer, /) -> bytes: ...
    @overload
    def pop(self, key: Buffer, default: _T, /) -> bytes | _T: ...
    def pop(self, key: Buffer, default: Any = _MISSING, /) -> Any:
        """Removes `key` and returns its value, or `default`; without a default ``KeyNotFoundError``. Not atomic."""
        value = self._client.read(key)
        if value is not None:
            self._client.delete(key)
            return value
        if default is _MISSING:
            raise key_not_found("pop", key, self._client.options.endpoint)
        return default

    def setdefault(self, key: Buffer, default: Buffer, /) -> bytes:
        """The value under `key`, after storing `default` if there is none. Not atomic."""
        value = self._client.read(key)
        if value is None:
            self._client.write(key, default)
            value = memoryview(default).tobytes()
        return value

    def update(self, other: Any = (), /, **named: Any) -> None:
        """Stores many pairs in one request.

        Args:
            other: a mapping, an object with ``keys()``, or an iterable of pairs of key and value.
            named: refused, since names are ``str``.

        Raises:
            TypeError: a key or a value is not bytes-like, or there are no pairs.
            ValueError: a pair has not two parts.
            InvalidValueError: a value is refused, and with it the whole batch.
        """
        if named:
            raise TypeError(f"keys must be bytes-like: {', '.join(named)} would be str; give a dict of bytes instead")
        if hasattr(other, "items"):
            pairs = list(other.items())
        elif hasattr(other, "keys"):
            pairs = [(key, other[key]) for key in other.keys()]  # noqa: SIM118  # perhaps no mapping
        else:
            if isinstance(other, (str, bytes, bytearray, memoryview)):
                raise TypeError(f"update takes a mapping, or pairs of key and value, not {type(other).__name__}")
            pairs = [_pair(index, item) for index, item in enumerate(other)]
        if pairs:
            self._client.batch_write(pairs)

    def __iter__(self) -> NoReturn:
        """Raises ``UnsupportedOperationError``."""
        self._cannot_list("iterate")

    def keys(self) -> NoReturn:
        """Raises ``UnsupportedOperationError``."""
        self._cannot_list("keys")

    def values(self) -> NoReturn:
        """Raises ``UnsupportedOperationError``."""
        self._cannot_list("values")

    def items(self) -> NoReturn:
        """Raises ``UnsupportedOperationError``."""
        self._cannot_list("items")

    def popitem(self) -> NoReturn:
        """Raises ``UnsupportedOperationError``."""
        self._cannot_list("popitem")

    def clear(self) -> NoReturn:
        """Raises ``UnsupportedOperationError``."""
        self._cannot_list("clear")

    def close(self) -> None:
        """Closes the client if this mapping was unpickled; else nothing, since it is somebody else's. Twice is fine."""
        if self._owns:
            self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __copy__(self) -> StoreMapping:
        return StoreMapping(self._client)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self._client,)

    def __eq__(self, other: object) -> bool:
        if self is other or (isinstance(other, StoreMapping) and self._client is other._client):
            return True
        if hasattr(other, "keys"):
            self._cannot_list("==")
        return NotImplemented

    # Like every mutable mapping.
    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._client!r})"

    def _cannot_list(self, op: str) -> NoReturn:
        endpoint = self._client.options.endpoint
        error = UnsupportedOperationError(
            f"{op} on {endpoint}: a store cannot list keys (it has only their hashes: keep the names of the keys "
            "yourself, for example under a key of their own)"
        )
        error.op = op
        error.endpoint = endpoint
        raise error


def _unpickled(client: _Calls) -> StoreMapping:
    mapping = StoreMapping(client)
    mapping._owns = True
    return mapping


def _pair(index: int, item: Any) -> tuple[Any, Any]:
    wrong = f"item {index} must be a pair of key and value"
    if isinstance(item, (str, bytes, bytearray, memoryview)) or not isinstance(item, Iterable):
        raise TypeError(f"{wrong}, not {type(item).__name__}")
    parts = tuple(item)
    if len(parts) != 2:
        raise ValueError(f"{wrong}; it has {len(parts)} {'part' if len(parts) == 1 else 'parts'}")
    return parts[0], parts[1]
