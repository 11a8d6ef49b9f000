"""Keys of one's own in a shared store: :class:`NamespacedStore`, made by ``store.namespace(prefix)``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from simdrive._core import Entry
from simdrive.errors import SimdriveError
from simdrive.mapping import StoreMapping
from simdrive.namespace import ClosedView, Naming, Rows, cannot_count, keys_and_values, list_of_keys, rename, rename_one
from simdrive.store_streams import StoreStreams

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self

    from simdrive.store import Store
    from simdrive.store_types import EntryMetadata, StoreOptions
    from simdrive.streams import Progress

__all__ = ["NamespacedStore"]

_K = TypeVar("_K")
_T = TypeVar("_T")


class NamespacedStore(StoreStreams):
    """A store that sees only the keys under a prefix: methods of :class:`simdrive.Store`, on the same file.

    Each key is stored as the 16 bytes that ``NamespaceHasher(prefix)`` makes of it, as by a client's namespace, and
    equal keys under other prefixes are other keys. That keeps apart users who mean no harm; it protects nothing.

    A view owns nothing: closing it, also by ``with``, ends the view but not the store. Only a view that was unpickled
    owns its store, and closes it. It is not known which keys are under a prefix: ``len()`` and `is_empty` raise
    ``UnsupportedOperationError``, and there is no `iter_entries`.

    ``store.namespace(a).namespace(b)`` makes each key one of `b` first, and the result one of `a`.

    Args:
        store: whose file is used.
        prefixes: bytes-like objects, the outermost first; at least one.
    """

    __slots__ = ("__weakref__", "_calls", "_name", "_name_many", "_owns", "_prefixes", "_store")

    def __init__(self, store: Store, prefixes: Iterable[Buffer]) -> None:
        naming = Naming(prefixes)
        self._store = store
        self._owns = False
        self._calls: Any = store
        self._prefixes = naming.prefixes
        self._name = naming.name
        self._name_many = naming.name_many

    def _call(self, method: str, key: Buffer, *arguments: Any, **named: Any) -> Any:
        try:
            return getattr(self._calls, method)(self._name(key), *arguments, **named)
        except SimdriveError as error:
            rename(error, key)
            raise

    def write(self, key: Buffer, data: Buffer, *, progress: Progress | None = None) -> None:
        """As ``Store.write``."""
        self._call("write", key, data, progress=progress)

    def batch_write(
        self,
        items: Iterable[tuple[Buffer, Buffer]] | Mapping[Any, Buffer],
        *,
        allow_null: bool = False,
        progress: Progress | None = None,
    ) -> None:
        """As ``Store.batch_write``."""
        keys, values = keys_and_values(items)
        names = self._name_many(keys)
        try:
            self._calls.batch_write(zip(names, values, strict=True), allow_null=allow_null, progress=progress)
        except SimdriveError as error:
            rename_one(error, keys, names)
            raise

    @overload
    def read(
        self, key: Buffer, *, default: None = None, out: Literal["bytes"] = "bytes", progress: Progress | None = None
    ) -> bytes | None: ...
    @overload
    def read(
        self, key: Buffer, *, default: _T, out: Literal["bytes"] = "bytes", progress: Progress | None = None
    ) -> bytes | _T: ...
    @overload
    def read(
        self, key: Buffer, *, default: None = None, out: Literal["view"], progress: Progress | None = None
    ) -> Entry | None: ...
    @overload
    def read(
        self, key: Buffer, *, default: _T, out: Literal["view"], progress: Progress | None = None
    ) -> Entry | _T: ...
    @overload
    def read(
        self, key: Buffer, *, default: None = None, out: Buffer, progress: Progress | None = None
    ) -> int | None: ...
    @overload
    def read(self, key: Buffer, *, default: _T, out: Buffer, progress: Progress | None = None) -> int | _T: ...
    def read(self, key: Buffer, *, default: Any = None, out: Any = "bytes", progress: Progress | None = None) -> Any:
        """As ``Store.read``."""
        return self._call("read", key, default=default, out=out, progress=progress)

    @overload
    def batch_read(
        self, keys: Iterable[Buffer], *, out: Literal["bytes"] = "bytes", progress: Progress | None = None
    ) -> list[bytes | None]: ...
    @overload
    def batch_read(
        self, keys: Iterable[Buffer], *, out: Literal["view"], progress: Progress | None = None
    ) -> list[Entry | None]: ...
    def batch_read(
        self, keys: Iterable[Buffer], *, out: Literal["bytes", "view"] = "bytes", progress: Progress | None = None
    ) -> Any:
        """As ``Store.batch_read``."""
        return self._calls.batch_read(self._name_many(list_of_keys(keys)), out=out, progress=progress)

    @overload
    def batch_read_structured(
        self, data: dict[_K, Any], *, progress: Progress | None = None
    ) -> dict[_K, bytes | None]: ...
    @overload
    def batch_read_structured(
        self, data: list[dict[_K, Any]], *, progress: Progress | None = None
    ) -> list[dict[_K, bytes | None]]: ...
    def batch_read_structured(self, data: Any, *, progress: Progress | None = None) -> Any:
        """As ``Store.batch_read_structured``."""
        rows = Rows(data)
        return rows.filled(self.batch_read(rows.keys(), progress=progress))

    def read_entry(self, key: Buffer) -> Entry | None:
        """As ``Store.read_entry``."""
        entry: Entry | None = self._call("read_entry", key)
        return entry

    def metadata(self, key: Buffer) -> EntryMetadata | None:
        """As ``Store.metadata``."""
        found: EntryMetadata | None = self._call("metadata", key)
        return found

    def delete(self, key: Buffer) -> None:
        """As ``Store.delete``."""
        self._call("delete", key)

    def batch_delete(self, keys: Iterable[Buffer], *, progress: Progress | None = None) -> None:
        """As ``Store.batch_delete``."""
        self._calls.batch_delete(self._name_many(list_of_keys(keys)), progress=progress)

    def exists(self, key: Buffer) -> bool:
        """As ``Store.exists``."""
        return bool(self._call("exists", key))

    def __contains__(self, key: object, /) -> bool:
        return self.exists(key)  # type: ignore[arg-type]  # TypeError for what is no buffer

    def rename(self, old_key: Buffer, new_key: Buffer) -> None:
        """As ``Store.rename``."""
        self._call("rename", old_key, self._name(new_key))

    def __len__(self) -> int:
        """Raises ``UnsupportedOperationError``."""
        raise cannot_count("len", self.options.endpoint)

    def __bool__(self) -> Literal[True]:
        """Always true, as for a store."""
        return True

    def is_empty(self) -> bool:
        """Raises ``UnsupportedOperationError``."""
        raise cannot_count("is_empty", self.options.endpoint)

    def file_size(self) -> int:
        """Bytes of the file, other namespaces included."""
        return int(self._calls.file_size())

    def flush(self) -> None:
        """As ``Store.flush``, for the whole file."""
        self._calls.flush()

    def _write_pieces(self, key: Buffer, pieces: Iterator[Buffer]) -> int:
        return int(self._call("_write_pieces", key, pieces))

    def namespace(self, prefix: Buffer) -> NamespacedStore:
        """A namespace within this one."""
        self._calls.namespace  # noqa: B018  # ClosedError if this one was closed
        return NamespacedStore(self._store, [*self._prefixes, prefix])

    def mapping(self) -> StoreMapping:
        """The namespace as a ``MutableMapping`` of bytes to bytes."""
        return StoreMapping(self)

    def close(self) -> None:
        """Ends this view; the store stays open, unless this view was unpickled. Later calls raise ``ClosedError``.

        Closing twice is fine.
        """
        self._calls = ClosedView(self.options.endpoint)
        if self._owns:
            self._store.close()

    @property
    def options(self) -> StoreOptions:
        """Those of the store."""
        return self._store.options

    @property
    def closed(self) -> bool:
        """Whether the view or its store was closed."""
        return isinstance(self._calls, ClosedView) or self._store.closed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __copy__(self) -> NamespacedStore:
        return NamespacedStore(self._store, self._prefixes)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self._store, self._prefixes)

    def __repr__(self) -> str:
        prefixes = "".join(f".namespace({prefix!r})" for prefix in self._prefixes)
        return f"<{self._store!r}{prefixes}{' (closed)' if isinstance(self._calls, ClosedView) else ''}>"


def _unpickled(store: Store, prefixes: Iterable[Buffer]) -> NamespacedStore:
    view = NamespacedStore(store, prefixes)
    view._owns = True
    return view
