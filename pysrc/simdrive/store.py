"""The embedded store: :class:`Store`, :class:`MemoryStore` and :func:`open_store`."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any, TypeVar, overload

from simdrive import _core
from simdrive.mapping import StoreMapping
from simdrive.namespace import Rows
from simdrive.store_namespace import NamespacedStore
from simdrive.store_streams import StoreStreams
from simdrive.store_types import CompactResult, RecoverReport, StoreOptions, checked_path
from simdrive.streams import Progress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Buffer, Self

    from simdrive.client import Client

__all__ = ["MemoryStore", "Store", "open_store"]

_K = TypeVar("_K")
_Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]


class Store(_core.Store, StoreStreams):
    """A store in a file of this machine, in the format of SIMD R Drive; safe to share between threads.

    Methods that :class:`simdrive.Client` has too take and give the same, but for ``timeout``: there is none, since
    nothing is waited for but the disk and other writers of the same store. One process writes a file, any number of
    others read it (``mode="r"``) and see its progress after `refresh`. ``with`` closes the store.

    Keys and values are any C-contiguous bytes-like objects; they are locked until the call returns. Only hashes of keys
    are stored, so keys cannot be listed; where there is a hash and no key, a :class:`simdrive.KeyHash` is taken.

    The interpreter lock is released for everything that makes system calls, waits for other writers, or copies, hashes
    or checks more than 16 KiB, and by `batch_read`. Looking up one key and copying at most 16 KiB keeps it, which is
    sooner done; if that page of the file is not in memory, other threads wait for the disk, too. Threads that read
    small values from a file that is larger than memory should take `batch_read`.

    After `fork()` the child's copy reads; its writes raise ``StoreReadOnlyError``. A store that is collected while it
    is open gives a ``ResourceWarning``. Pickling a store pickles its options: it is opened again where it is unpickled.

    Args:
        path: of the file.
        mode: ``"a"`` reads and writes, and locks the file; ``"r"`` reads, and never changes, creates or locks anything.
        create: in mode ``"a"``: make an empty file if there is none.
        sync: when entries are forced to the disk. ``"none"``: when the system likes, by `flush` and `close`.
            ``"batch"``: also in the background, `sync_interval` seconds after the first that is not there yet.
            ``"always"``: before a write returns; writes at the same time share one sync. In every mode an entry
            survives the death of the process from the moment its write has returned.
        sync_interval: seconds, above 0 and at most 3600.
        lock: in mode ``"a"``: lock the file against other writers. Without it, the caller answers for there being none.
        verify: check the checksum of each value that is read: ``StoreCorruptError`` instead of wrong bytes.

    Raises:
        StoreNotFoundError: there is no file, and none is to be made.
        StoreLockedError: another store, of this process or another, writes the file, or one that opening removes:
            ``<path>.compact`` or ``<path>.recover``, left by a `compact` or `recover` that was killed.
        StoreFormatError: the file is no store, or, in mode ``"a"``, one in an older layout. It is not touched.
        StoreCorruptError: opening for writing would drop more than one unfinished write: see `recover_file`.
        StoreError: the system refuses something; ``errno`` says what.
        ConfigurationError: an option is out of range; or, in mode ``"a"``, the path ends in ``.mark``, ``.compact`` or
            ``.recover``, as files beside a store do, or what is at ``<path>.mark`` is no mark of a store.

    All methods raise ``ClosedError`` after `close`, and ``StoreError`` when the system fails an operation. Those that
    write also ``InvalidValueError`` (empty, or the single byte 00), ``StorageFullError`` and ``StoreReadOnlyError``; a
    write that failed has changed nothing, unless ``error.outcome`` is ``"unknown"``. Those that read also
    ``StoreCorruptError`` with `verify`.
    """

    __slots__ = ("_ready",)

    _ready: bool

    def __new__(
        cls,
        path: _Path,
        *,
        mode: str = "a",
        create: bool = True,
        sync: str = "none",
        sync_interval: float = 1.0,
        lock: bool = True,
        verify: bool = False,
    ) -> Self:
        options = StoreOptions(
            checked_path(path),
            mode=mode,
            create=create,
            sync=sync,
            sync_interval=sync_interval,
            lock=lock,
            verify=verify,
        )
        return cls._open(options)

    @classmethod
    def _open(cls, options: StoreOptions) -> Self:
        store = super().__new__(cls, options)
        store._ready = True
        return store

    @overload
    def batch_read_structured(
        self, data: dict[_K, Any], *, progress: Progress | None = None
    ) -> dict[_K, bytes | None]: ...
    @overload
    def batch_read_structured(
        self, data: list[dict[_K, Any]], *, progress: Progress | None = None
    ) -> list[dict[_K, bytes | None]]: ...
    def batch_read_structured(self, data: Any, *, progress: Progress | None = None) -> Any:
        """A dict, or a list of dicts, of the same shape as `data`, with each key replaced by the value stored under it.

        Raises ``TypeError`` for any other shape.
        """
        rows = Rows(data)
        return rows.filled(self.batch_read(rows.keys(), progress=progress))

    def compact(self, target: _Path | None = None, *, progress: Progress | None = None) -> CompactResult:
        """Rewrites the file with the live entries alone, and goes on with the new one.

        Entries that are held, iterators and readers are not disturbed; writers wait. A crash leaves the old or the new
        file, which has the old one's rights.

        Args:
            target: write the entries to a new store there instead, and leave this one alone; also in mode ``"r"``, and
                so a way from older layouts to the present one. There must be no such file. A crash leaves all of it,
                or nothing by that name and perhaps ``<target>.compact``, which the next attempt removes.
            progress: called as ``progress(done, total)`` in bytes. What it raises ends the call, and nothing has
                changed. Without `target` it must not write to this store.

        Raises:
            StoreCorruptError: a live entry has a wrong checksum; `recover` drops those.
            StoreLockedError: another process writes to `target`, or to what is at ``<path>.compact``.
            ConfigurationError: `target` is no name for a store: see `Store`.
        """
        return self._compact(None if target is None else checked_path(target), progress)

    @staticmethod
    def recover_file(path: _Path, *, lock: bool = True, progress: Progress | None = None) -> RecoverReport:
        """`recover` for a file that no store has open for writing, also one that cannot be opened.

        Args:
            path: of the file. The old one is kept as ``<path>.damaged``; a healthy one is not touched.
            lock: as for a store.
            progress: called as ``progress(done, total)`` in bytes. What it raises ends the call.

        Raises:
            StoreFormatError: there is not one good record in it. It is left as it is.
            StoreNotFoundError: there is no such file.
            StoreLockedError: a store has it open for writing.
        """
        return _core.recover_file(StoreOptions(checked_path(path), lock=lock), progress)

    def namespace(self, prefix: Buffer) -> NamespacedStore:
        """A view of the keys under `prefix`, with the methods of a store.

        Raises:
            TypeError: `prefix` is not bytes-like.
        """
        return NamespacedStore(self, [prefix])

    def mapping(self) -> StoreMapping:
        """The store as a ``MutableMapping`` of bytes to bytes; what needs a list of the keys is not supported."""
        return StoreMapping(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self)._open, (self.options,)

    def __del__(self) -> None:
        # Without the slot it was never opened.
        if hasattr(self, "_ready") and not self.closed:
            warnings.warn(f"unclosed {self!r}; use with, or close()", ResourceWarning, source=self, stacklevel=1)

    def __repr__(self) -> str:
        state = "closed" if self.closed else "reading" if self.options.mode == "r" else "open"
        return f"<simdrive.{type(self).__name__} {self.options.endpoint} ({state})>"


class MemoryStore(Store):
    """A store in memory, with the methods of :class:`Store`: for tests. It is gone when it is closed.

    Args:
        verify: as for a store.
    """

    __slots__ = ()

    def __new__(cls, *, verify: bool = False) -> Self:
        return cls._open(StoreOptions(None, verify=verify))

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a MemoryStore cannot be pickled: it is only in the memory of this process")


def open_store(target: str | os.PathLike[str], **options: Any) -> Store | Client:
    """Opens what a URL or a path names, of whatever kind.

    Args:
        target: a path or ``file:///path/store.bin?mode=r`` for a :class:`Store`, ``memory://`` for a
            :class:`MemoryStore`, ``ws://host:port/ws`` or ``ws+unix:///path/of/socket`` for a
            :class:`simdrive.Client`. In the URL of a file the characters ``%``, ``?`` and ``#`` of a path are written
            as ``%25``, ``%3F`` and ``%23``, and the query has options of the store, flags as 1 or 0.
        options: those of the class. They take precedence over the URL's.

    Raises:
        ConfigurationError: an unknown scheme or option.

    Else as the class.
    """
    from simdrive.store_url import parse_target

    scheme, path, given = parse_target(target)
    merged: Mapping[str, Any] = {**given, **options}
    if scheme == "ws":
        from simdrive.client import connect

        return connect(path, **merged)
    known = {"verify"} if scheme == "memory" else {"mode", "create", "sync", "sync_interval", "lock", "verify"}
    if unknown := sorted(set(merged) - known):
        from simdrive.errors import ConfigurationError

        raise ConfigurationError(
            f"open {target!s}: unknown option {', '.join(unknown)}; known are {', '.join(sorted(known))}"
        )
    return MemoryStore(**merged) if scheme == "memory" else Store(path, **merged)
