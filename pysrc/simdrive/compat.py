"""The names of the package `simd_r_drive_ws_client`, for programs that were written for it.

Either import from here instead of from there, or leave the program as it is and start it with

    from simdrive import compat
    compat.install()

before the first import of ``simd_r_drive_ws_client``. New programs use :func:`simdrive.connect`, which gives more.
"""

from __future__ import annotations

import logging
import operator
import re
import sys
import threading
import weakref
from array import array
from collections.abc import Callable, Iterable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, overload

from simdrive.client import Client, Options, mask_user_info
from simdrive.errors import (
    ClosedError,
    ConfigurationError,
    ConnectError,
    ConnectionError,
    InvalidValueError,
    ServerError,
    SimdriveError,
    TimeoutError,
)
from simdrive.hashing import NamespaceHasher
from simdrive.retry import Retry

if TYPE_CHECKING:
    from typing import TypeAlias

    from typing_extensions import Buffer, Self

    _Octets: TypeAlias = Buffer | Sequence[int]

__all__ = [
    "BadAddressError",
    "BaseDataStoreWsClient",
    "ConnectionError",
    "DataStoreWsClient",
    "NamespaceHasher",
    "RefusedValueError",
    "TimeoutError",
    "install",
    "setup_logging",
    "test_rust_logging",
]

_K = TypeVar("_K")

_PACKAGE = "simd_r_drive_ws_client"
_CALL_LIMIT = 30.0
_BATCH_LIMIT = 60.0
_CHECK_LIMIT = 5.0
# The old client sends and takes what fits in memory. This is the most that the options may say, and sets nothing aside.
_SIZE_LIMIT = 1 << 32
_URI = re.compile(r"[!#-;=?-\[\]_a-z~]*")
_AUTHORITY = re.compile(r"(\[[^\[\]]*\]|[^\[\]:%]*)(:[0-9]*)?")
_setting_up = threading.Lock()  # of what a process has once
_HOST = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]", re.ASCII)


class RefusedValueError(ServerError, InvalidValueError):
    """A value is empty or the single byte 00. The old client leaves this to the server: so it is an ``OSError``."""


class BadAddressError(ConnectError, ConfigurationError):
    """Host and port do not make an address. An ``OSError``, as the old client has it."""


def _octets(value: Any, name: str) -> Any:
    """What the core takes for `value`: bytes-like objects as they are, other sequences of small integers as bytes.

    The old client goes through the elements of any sequence, so ``array("I", [1, 2])`` is two bytes.
    """
    if isinstance(value, (bytes, bytearray)):
        return value
    if isinstance(value, str):
        raise TypeError(f"argument '{name}': bytes are needed, not str; encode it first")
    if isinstance(value, memoryview):
        if value.format == "B" and value.c_contiguous:
            return value
    elif isinstance(value, array):
        if value.typecode == "B":
            return value
    elif not isinstance(value, Sequence):
        return _buffer(value, name)
    try:
        return bytes([operator.index(element) for element in value])
    except TypeError as problem:
        raise TypeError(f"argument '{name}': {problem}") from None
    except ValueError:
        raise OverflowError(f"argument '{name}': the elements must be from 0 to 255") from None


def _buffer(value: Any, name: str) -> Any:
    """Other buffers, such as mmap and NumPy arrays, which the old client does not take."""
    try:
        memoryview(value).release()
    except TypeError:
        raise TypeError(f"argument '{name}': bytes are needed, not {type(value).__name__}") from None
    return value


def _sequence(value: Any, name: str) -> Any:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(f"argument '{name}': a list or another sequence is needed, not {type(value).__name__}")
    return value


def _pair(entry: Any) -> tuple[Any, Any]:
    if not isinstance(entry, tuple):
        raise TypeError(f"argument 'entries': tuples (key, payload) are needed, not {type(entry).__name__}")
    if len(entry) != 2:
        raise ValueError(f"argument 'entries': expected tuples of length 2, but got one of length {len(entry)}")
    key, payload = entry
    return _octets(key, "entries"), _octets(payload, "entries")


def _refused(payloads: Iterable[Any]) -> str | None:
    """The server's words for the first payload that no server takes."""
    for payload in payloads:
        size = memoryview(payload).nbytes
        if size == 0:
            return "Payload cannot be empty."
        if size == 1 and bytes(payload) == b"\0":
            return "NULL-byte payloads cannot be written directly."
    return None


def _raise_refused(error: InvalidValueError, payloads: Iterable[Any]) -> NoReturn:
    words = _refused(payloads)
    if words is None:
        raise error
    refused = RefusedValueError(f"Remote system error: {words} ({error})")
    for name in ("op", "key_hint", "attempts", "elapsed", "endpoint", "outcome"):
        setattr(refused, name, getattr(error, name))
    refused.message = words
    raise refused from error


class _Reword:
    """Puts the old client's phrase in front of our message, since programs look for it."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, RefusedValueError) or not isinstance(error, SimdriveError):
            return
        if isinstance(error, ServerError):
            text = f"Remote system error: {error.message} ({error.op} on {error.endpoint}, outcome: {error.outcome})"
        elif isinstance(error, TimeoutError):
            text = f"`{error.op}` operation timed out: {error}"
        elif isinstance(error, ConnectionError) and not isinstance(error, ClosedError):
            text = f"The client is disconnected: {error}"
        else:
            return
        error.args = (text,)


_reword = _Reword()


def _url(host: str, port: int) -> str:
    if not isinstance(host, str):
        raise TypeError(f"argument 'host': a str is needed, not {type(host).__name__}")
    try:
        number = operator.index(port)
    except TypeError as problem:
        raise TypeError(f"argument 'port': {problem}") from None
    if not 0 <= number <= 0xFFFF:
        raise OverflowError(f"argument 'port': out of range, must be from 0 to 65535: {number}")
    name = f"[{host}]" if ":" in host and not host.startswith("[") else host
    url = f"ws://{name}:{number}/ws"
    if not _HOST.fullmatch(name) or number == 0:
        shown = mask_user_info(url)
        words = "is no address to connect to, refused (give a host name or an IP address, and a port from 1 on)"
        kind = "IO" if _is_uri(f"{host}:{number}") else "HTTP format"
        error = BadAddressError(f"{kind} error: {shown if shown.isprintable() else repr(shown)} {words}")
        error.op, error.endpoint = "connect", shown
        raise error
    return url


def _is_uri(address: str) -> bool:
    """Whether the old client would have looked for the host; else it found fault with the URL, and said so."""
    authority = re.split(r"[/?#]", address)[0].rpartition("@")[2]
    return _URI.fullmatch(address) is not None and _AUTHORITY.fullmatch(authority) is not None


class BaseDataStoreWsClient:
    """See :class:`DataStoreWsClient`, which adds only ``batch_read_structured``."""

    _client: Client

    # As in the old client it is __new__ that connects: a subclass may have an __init__ that does not call ours.
    def __new__(cls, host: str, port: int) -> Self:
        url = _url(host, port)
        options = Options(
            url=url,
            connect_timeout=_CALL_LIMIT,
            timeout=_CALL_LIMIT,
            idle_timeout=None,  # the limits of the calls are the only ones
            # Without a connection a call fails with the next try to connect, as programs for the old client expect.
            retry=Retry(0, cap=0.5),
            max_key_size=_SIZE_LIMIT,
            max_value_size=_SIZE_LIMIT,
        )
        try:
            client = Client(options)
        except SimdriveError as error:
            error.args = (f"IO error: {error}",)
            raise
        self = super().__new__(cls)
        self._client = client
        # Old programs cannot close, so letting go of a client is no fault of theirs: no ResourceWarning.
        weakref.finalize(self, client.close)
        return self

    def write(self, key: _Octets, payload: _Octets) -> None:
        """Stores `payload` under `key`, replacing what was there.

        Raises:
            OSError: the payload is empty or the single byte 00, the server refused, or it cannot be reached.
            TimeoutError: no reply within 30 s.
        """
        octets, data = _octets(key, "key"), _octets(payload, "payload")
        with _reword:
            try:
                self._client.write(octets, data)
            except InvalidValueError as error:
                _raise_refused(error, [data])

    def batch_write(self, entries: Sequence[tuple[_Octets, _Octets]]) -> None:
        """Stores many pairs in one request, all or none; the last of equal keys wins. Limit 60 s; errors as `write`."""
        pairs = [_pair(entry) for entry in _sequence(entries, "entries")]
        with _reword:
            try:
                self._client.batch_write(pairs, timeout=_BATCH_LIMIT)
            except InvalidValueError as error:
                _raise_refused(error, (payload for _, payload in pairs))

    def read(self, key: _Octets) -> bytes | None:
        """The value under `key`, or None. Raises ``OSError`` and ``TimeoutError`` (30 s)."""
        octets = _octets(key, "key")
        with _reword:
            return self._client.read(octets)

    def batch_read(self, keys: Sequence[_Octets]) -> list[bytes | None]:
        """The values under `keys` in one request, in their order, None where there is none. Limit 60 s."""
        octets = [_octets(key, "keys") for key in _sequence(keys, "keys")]
        with _reword:
            return self._client.batch_read(octets, timeout=_BATCH_LIMIT)

    def delete(self, key: _Octets) -> None:
        """Removes `key`. No error if it is absent."""
        octets = _octets(key, "key")
        with _reword:
            self._client.delete(octets)

    def exists(self, key: _Octets) -> bool:
        """Whether there is a value under `key`."""
        octets = _octets(key, "key")
        with _reword:
            return self._client.exists(octets)

    def __contains__(self, key: _Octets) -> bool:
        return self.exists(key)

    # There is no __bool__: as in the old client, an empty store is false, and asking is a call to the server.
    def __len__(self) -> int:
        with _reword:
            return len(self._client)

    def is_empty(self) -> bool:
        """Whether the store has no key."""
        with _reword:
            return self._client.is_empty()

    def file_size(self) -> int:
        """Bytes of the server's store file."""
        with _reword:
            return self._client.file_size()

    def check_connection(self) -> None:
        """Raises ``ConnectionError`` or ``TimeoutError`` unless the server answers (one round trip, at most 5 s)."""
        with _reword:
            self._client.ping(timeout=_CHECK_LIMIT)

    def close(self) -> None:
        """Ends the connection; not in the old client. Calls then raise ``ClosedError``. Closing twice is fine."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        name = type(self).__name__
        raise TypeError(f"cannot pickle {name!r} object: pickle host and port, and connect again")

    def __repr__(self) -> str:
        state = "closed" if self._client.closed else "open"
        return f"<{type(self).__module__}.{type(self).__name__} object, {self._client.options.url}, {state}>"


class DataStoreWsClient(BaseDataStoreWsClient):
    """A client as ``simd_r_drive_ws_client`` has it: connects at once, by host and port.

    Differences: it has ``close`` and ``with``, other threads run while it waits, it connects again after a loss,
    and it takes every bytes-like object.

    Args:
        host: name or address of the server.
        port: its port.

    Raises:
        OSError: no server there, or nothing that answers as one.
        TypeError: wrong types. OverflowError: a port out of range.
    """

    @overload
    def batch_read_structured(self, data: dict[_K, Any]) -> dict[_K, bytes | None]: ...
    @overload
    def batch_read_structured(self, data: list[dict[_K, Any]]) -> list[dict[_K, bytes | None]]: ...
    def batch_read_structured(self, data: Any) -> Any:
        """A dict, or a list of dicts, shaped as `data`, with each key replaced by the value stored under it.

        Raises:
            TypeError: another shape.
        """
        rows = [data] if isinstance(data, dict) else list(data)
        if not all(isinstance(row, dict) for row in rows):
            raise TypeError("All items in the list must be dictionaries: give a dict or a list of dicts")
        # Taken once: other threads may change what the caller gave while the values are read.
        pairs = [list(row.items()) for row in rows]
        values = iter(self.batch_read([key for row in pairs for _, key in row]))
        result = [{name: next(values) for name, _ in row} for row in pairs]
        return result[0] if isinstance(data, dict) else result


class _CallbackHandler(logging.Handler):
    """Hands each record to a callback as one line, laid out as the old client does: level, target, text."""

    def __init__(self, callback: Callable[[str], object]) -> None:
        super().__init__(logging.INFO)
        self._callback = callback

    def emit(self, record: logging.LogRecord) -> None:
        try:
            level = "ERROR" if record.levelno >= logging.ERROR else record.levelname.replace("WARNING", "WARN")
            self._callback(f"{level:>5} {getattr(record, 'target', record.name)}: {record.getMessage()}")
        except Exception:
            self.handleError(record)  # on stderr: a program does not end because it cannot log


_logger = logging.getLogger("simdrive")
_compat_logger = logging.getLogger("simdrive.compat")
_logger.addHandler(logging.NullHandler())  # as long as nobody listens nothing is written to stderr
_AS_OLD = {"target": _PACKAGE}


def setup_logging(callback: Callable[[str], object]) -> None:
    """Hands each record of the logger ``simdrive`` from INFO on to `callback`, as one line of text.

    Raises:
        TypeError: `callback` cannot be called.
        RuntimeError: there is a callback already; as in the old client, the first one stays.
    """
    if not callable(callback):
        raise TypeError(f"log_callback must be a callable function, not {type(callback).__name__}")
    with _setting_up:
        if any(isinstance(handler, _CallbackHandler) for handler in _logger.handlers):
            raise RuntimeError("Failed to set logger: a callback has already been set; it stays until the program ends")
        _logger.addHandler(_CallbackHandler(callback))
        if _logger.level == logging.NOTSET:
            _logger.setLevel(logging.INFO)
    _compat_logger.info("logging configured successfully", extra=_AS_OLD)


def test_rust_logging() -> None:
    """Logs one INFO and one WARNING record, to try `setup_logging`. The name is the old one; there is no Rust here."""
    _compat_logger.info("This is an info log from simdrive.", extra=_AS_OLD)
    _compat_logger.warning("This is a warning log from simdrive.", extra=_AS_OLD)


# What is found where in the old package: the package, its Python module, its native module.
_PUBLIC = ("DataStoreWsClient", "NamespaceHasher", "setup_logging", "test_rust_logging")
_NATIVE = (
    "setup_logging",
    "test_rust_logging",
    "BaseDataStoreWsClient",
    "NamespaceHasher",
    "ConnectionError",
    "TimeoutError",
)
_MODULES = {
    _PACKAGE: (_PUBLIC, _PUBLIC),
    f"{_PACKAGE}.data_store_ws_client": (
        ("DataStoreWsClient", "NamespaceHasher"),
        ("DataStoreWsClient", "NamespaceHasher", "BaseDataStoreWsClient"),
    ),
    f"{_PACKAGE}.{_PACKAGE}": (_NATIVE, _NATIVE),
}


class _Finder(MetaPathFinder, Loader):
    """Finds and fills the modules of `_MODULES`."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 (the protocol's arguments)
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        if fullname not in _MODULES:
            return None
        return ModuleSpec(fullname, self, origin=__name__, is_package=fullname == _PACKAGE)

    def exec_module(self, module: ModuleType) -> None:
        exported, names = _MODULES[module.__name__]
        module.__doc__ = "Stands in for the package of this name; see simdrive.compat."
        for name in names:
            setattr(module, name, globals()[name])
        module.__dict__["__all__"] = list(exported)
        module.__file__ = __file__  # programs print where it came from
        if module.__name__ == _PACKAGE:
            # Importing the old package imports both of its modules.
            for submodule in _MODULES:
                if submodule != _PACKAGE:
                    __import__(submodule)


_finder = _Finder()


def install() -> None:
    """Makes ``import simd_r_drive_ws_client`` and its modules resolve to this one, in this process. Twice is fine.

    Raises:
        ImportError: the real package is loaded already. Call this before the first import of it.
    """
    for name in _MODULES:
        module = sys.modules.get(name)
        if module is not None and getattr(module.__spec__, "loader", None) is not _finder:
            where = getattr(module, "__file__", None) or "an unknown place"
            raise ImportError(
                f"simdrive.compat.install(): {name} is already loaded from {where};"
                " call install() before anything imports it",
                name=name,
            )
    with _setting_up:
        if _finder not in sys.meta_path:
            sys.meta_path.insert(0, _finder)
