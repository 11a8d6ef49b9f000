"""simdrive.compat without a real server: install(), the surface, arguments, exceptions, limits, logging."""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.util
import inspect
import logging
import mmap
import pickle
import subprocess
import sys
import types
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import simdrive
from simdrive import compat
from support import muxio
from support.compat_run import SURFACE, read_json
from support.compat_surface import MODULES, PACKAGE, surface
from support.fault_peer import Behaviour, Call, Connection, FaultPeer
from support.ports import HOST, free_port, wait_until

SECRET = "pa55word"  # noqa: S105  # nobody's


def forget() -> None:
    """Take the stand-ins out of this process."""
    for name in [n for n in sys.modules if n == PACKAGE or n.startswith(PACKAGE + ".")]:
        del sys.modules[name]
    sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not compat._finder]


@pytest.fixture
def clean() -> Iterator[None]:
    """A process in which nothing is installed, before and after."""
    forget()
    yield
    forget()


@pytest.fixture
def installed(clean: None) -> None:
    compat.install()


@pytest.fixture
def peer() -> Iterator[FaultPeer]:
    with FaultPeer() as running:
        yield running
    assert running.errors == []


@pytest.fixture
def client(peer: FaultPeer) -> Iterator[compat.DataStoreWsClient]:
    with compat.DataStoreWsClient(HOST, peer.port) as opened:
        yield opened


@pytest.fixture
def package_on_path(clean: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with the old name that can be imported, but is not."""
    folder = tmp_path / PACKAGE
    folder.mkdir()
    (folder / "__init__.py").write_text("REAL = True\n")
    (folder / "data_store_ws_client.py").write_text("REAL = True\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


# install()


def test_all_ways_to_import(installed: None) -> None:
    names: dict[str, Any] = {}
    exec(  # noqa: S102 - the statements that programs have
        f"import {PACKAGE}\n"
        f"import {PACKAGE}.data_store_ws_client as values\n"
        f"from {PACKAGE} import DataStoreWsClient, NamespaceHasher, setup_logging\n"
        f"from {PACKAGE}.data_store_ws_client import DataStoreWsClient as again\n"
        f"from {PACKAGE}.{PACKAGE} import BaseDataStoreWsClient, ConnectionError, TimeoutError\n",
        names,
    )
    assert names["DataStoreWsClient"] is names["again"] is compat.DataStoreWsClient
    assert names["NamespaceHasher"] is simdrive.NamespaceHasher
    assert names["BaseDataStoreWsClient"] is compat.BaseDataStoreWsClient
    assert names["ConnectionError"] is simdrive.ConnectionError
    assert names["TimeoutError"] is simdrive.TimeoutError
    assert names["setup_logging"] is compat.setup_logging
    assert getattr(names[PACKAGE], PACKAGE).__name__ == f"{PACKAGE}.{PACKAGE}"
    assert {sys.modules[name].__file__ for name in MODULES} == {compat.__file__}
    star: dict[str, Any] = {}
    exec(f"from {PACKAGE} import *", star)  # noqa: S102
    assert sorted(set(star) - {"__builtins__"}) == sorted(names[PACKAGE].__all__)


def test_importing_the_package_imports_its_modules(installed: None) -> None:
    package = importlib.import_module(PACKAGE)
    assert package.data_store_ws_client.DataStoreWsClient is compat.DataStoreWsClient


def test_nothing_happens_without_install(clean: None) -> None:
    if importlib.util.find_spec(PACKAGE) is not None:
        pytest.skip("the existing package is installed here")
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(PACKAGE)


def test_install_twice(installed: None) -> None:
    package = importlib.import_module(PACKAGE)
    compat.install()
    assert sys.meta_path.count(compat._finder) == 1
    assert importlib.import_module(PACKAGE) is package


def test_import_system_knows_the_modules(installed: None) -> None:
    for name in MODULES:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.name == name
    package = importlib.import_module(PACKAGE)
    assert importlib.reload(package).DataStoreWsClient is compat.DataStoreWsClient
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(f"{PACKAGE}.nothing")
    forget()
    compat.install()
    assert importlib.import_module(PACKAGE) is not package


def test_install_hides_a_package_that_is_not_loaded_yet(package_on_path: Path) -> None:
    compat.install()
    assert importlib.import_module(PACKAGE).DataStoreWsClient is compat.DataStoreWsClient


@pytest.mark.parametrize("name", [PACKAGE, f"{PACKAGE}.data_store_ws_client"])
def test_install_after_the_real_package_is_refused(package_on_path: Path, name: str) -> None:
    real = importlib.import_module(name)
    with pytest.raises(ImportError, match=r"already loaded from .*call install\(\) before") as caught:
        compat.install()
    assert str(package_on_path) in str(caught.value)
    assert caught.value.name == PACKAGE
    assert compat._finder not in sys.meta_path
    assert sys.modules[name] is real


def test_install_after_another_module_of_that_name_is_refused(clean: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, PACKAGE, types.ModuleType(PACKAGE))
    with pytest.raises(ImportError, match="already loaded from an unknown place"):
        compat.install()


# The surface


def compatible(theirs: list[str], ours: list[str] | None) -> bool:
    """The same parameters under the same names; ours may have more that are optional."""
    return ours is not None and ours[: len(theirs)] == theirs and all(p.endswith("=") for p in ours[len(theirs) :])


@pytest.fixture
def surfaces(installed: None) -> tuple[dict[str, Any], dict[str, Any]]:
    return read_json(SURFACE), surface()


def test_surface_list_is_not_empty() -> None:
    theirs = read_json(SURFACE)
    assert set(theirs) == set(MODULES)
    members = theirs[PACKAGE]["names"]["DataStoreWsClient"]["members"]
    eleven = (
        "write batch_write read batch_read batch_read_structured delete exists __contains__ __len__ is_empty file_size"
    )
    assert set(eleven.split()) <= set(members)


def test_every_public_name_is_there(surfaces: tuple[dict[str, Any], dict[str, Any]]) -> None:
    theirs, ours = surfaces
    for module, content in theirs.items():
        assert ours[module]["all"] == content["all"], module
        for name, thing in content["names"].items():
            mine = ours[module]["names"].get(name)
            assert mine is not None, f"{module}.{name} is missing"
            assert mine["kind"] == thing["kind"], f"{module}.{name}"
            if thing["kind"] in ("class", "function"):
                assert compatible(thing["parameters"], mine["parameters"]), f"{module}.{name}"
            for member, parameters in thing.get("members", {}).items():
                assert member in mine["members"], f"{module}.{name}.{member} is missing"
                assert compatible(parameters, mine["members"][member]), f"{module}.{name}.{member}"


def test_compat_exports_what_install_hands_out() -> None:
    handed_out = {name for _, names in compat._MODULES.values() for name in names}
    assert handed_out <= set(compat.__all__)
    assert list(inspect.signature(compat.DataStoreWsClient).parameters) == ["host", "port"]


# Opening


def test_url_of_host_and_port() -> None:
    assert compat._url("localhost", 8) == "ws://localhost:8/ws"
    assert compat._url("::1", 65535) == "ws://[::1]:65535/ws"
    assert compat._url("[fe80::1]", 1) == "ws://[fe80::1]:1/ws"
    assert compat._url("10.0.0.1", np.int64(80)) == "ws://10.0.0.1:80/ws"


@pytest.mark.parametrize(
    "host", ["", "user@host", f"user:{SECRET}@host", "host/path", "host?x=1", "host#x", "ws://h", "a!b", "[]"]
)
def test_no_address(host: str) -> None:
    with pytest.raises(OSError, match=r"^IO error: .* is no address") as caught:
        compat.DataStoreWsClient(host, 80)
    assert isinstance(caught.value, compat.BadAddressError)
    assert caught.value.op == "connect"
    assert SECRET not in f"{caught.value} {caught.value.endpoint}"


@pytest.mark.parametrize("host", ["a b", "h\u00e4st", "a\nb", "a{b", "%zz", "g:1", "[::1"])
def test_no_url(host: str) -> None:
    """The existing client has another phrase where the URL that it makes is none."""
    with pytest.raises(OSError, match=r"^HTTP format error: .* is no address") as caught:
        compat.DataStoreWsClient(host, 80)
    assert isinstance(caught.value, compat.BadAddressError)
    assert "\n" not in str(caught.value)


def test_refused_connection_is_an_os_error() -> None:
    with pytest.raises(OSError, match=r"^IO error: .*refused") as caught:
        compat.DataStoreWsClient(HOST, free_port())
    assert isinstance(caught.value, (simdrive.ConnectError, compat.ConnectionError))


def test_something_else_than_a_server_is_an_os_error() -> None:
    def not_found(connection: Connection) -> None:
        connection.send_raw(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    with FaultPeer(then=Behaviour(upgrade=not_found)) as peer, pytest.raises(OSError, match=r"^IO error: "):
        compat.DataStoreWsClient(HOST, peer.port)


def test_options_are_the_old_limits(client: compat.DataStoreWsClient) -> None:
    options = client._client.options
    assert (compat._CALL_LIMIT, compat._BATCH_LIMIT) == (30.0, 60.0)
    assert (options.timeout, options.idle_timeout) == (30.0, None)
    assert options.max_key_size == options.max_value_size == 1 << 32


def test_environment_does_not_matter(peer: FaultPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMDRIVE_URL", f"ws://{HOST}:{free_port()}/ws")
    with compat.DataStoreWsClient(HOST, peer.port) as client:
        assert client.is_empty()


# Calls


def test_with_and_close(peer: FaultPeer) -> None:
    with compat.DataStoreWsClient(HOST, peer.port) as client:
        client.write(b"k", b"v")
        assert repr(client) == f"<simdrive.compat.DataStoreWsClient object, {peer.url}, open>"
    assert repr(client).endswith("closed>")
    client.close()
    with pytest.raises(simdrive.ClosedError):
        client.read(b"k")


def test_letting_go_closes_without_a_warning(peer: FaultPeer, recwarn: pytest.WarningsRecorder) -> None:
    client = compat.DataStoreWsClient(HOST, peer.port)
    inner = weakref.ref(client._client)
    del client
    gc.collect()
    assert inner() is None
    wait_until(lambda: not peer._sockets, timeout=5, what="the connection ends")
    assert [str(warning.message) for warning in recwarn] == []


def test_exit_with_an_open_client_says_nothing(peer: FaultPeer) -> None:
    program = (
        "from simdrive import compat\n"
        "compat.install()\n"
        f"from {PACKAGE} import DataStoreWsClient\n"
        f"client = DataStoreWsClient('{HOST}', {peer.port})\n"
        "client.write(b'k', b'v')\n"
        "print(client.read(b'k'), b'k' in client, len(client))\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "b'v' True 1\n", "")


def test_more_buffers_than_before(client: compat.DataStoreWsClient) -> None:
    with contextlib.closing(mmap.mmap(-1, 4)) as mapped:
        mapped[:] = b"mmap"
        arrays: list[Any] = [np.array([1, 2], np.uint8), np.array([3], np.uint16)]
        client.write(mapped, arrays[0])
        client.batch_write([(mapped, arrays[1])])
    assert client.read(b"mmap") == np.array([3], np.uint16).tobytes()


def test_no_byte_of_a_refused_value_is_sent(client: compat.DataStoreWsClient, peer: FaultPeer) -> None:
    calls: list[tuple[Callable[[], None], str]] = [
        (lambda: client.write(b"k", b""), "Payload cannot be empty."),
        (lambda: client.write(b"k", bytearray(1)), "NULL-byte payloads cannot be written directly."),
        (lambda: client.batch_write([(b"a", b"1"), (b"k", b"")]), "Payload cannot be empty."),
        (lambda: client.batch_write([(b"a", b"1"), (b"k", b"\0")]), "NULL-byte payloads cannot be written directly."),
    ]
    for call, words in calls:
        with pytest.raises(OSError, match=r"^Remote system error: ") as caught:
            call()
        error = caught.value
        assert isinstance(error, (simdrive.ServerError, simdrive.InvalidValueError))
        assert isinstance(error, compat.RefusedValueError)
        assert words in str(error)
        assert error.message == words
        assert (error.op.split("_")[-1], error.outcome, error.key_hint) == ("write", "not applied", b"k".hex())
        assert error.endpoint == peer.url
    assert peer.calls == []


def test_pickling_is_refused_as_before(client: compat.DataStoreWsClient) -> None:
    with pytest.raises(TypeError, match=r"^cannot pickle 'DataStoreWsClient' object"):
        pickle.dumps(client)


def test_subclass_with_an_init_of_its_own(peer: FaultPeer) -> None:
    class Store(compat.DataStoreWsClient):
        def __init__(self, host: str, port: int) -> None:
            self.where = (host, port)

    with Store(HOST, peer.port) as store:
        assert store.where == (HOST, peer.port)
        assert store.is_empty()


# Errors


def test_server_errors_are_os_errors() -> None:
    def refuse(connection: Connection, call: Call) -> None:
        connection.reply(call, b"disk on fire", status=muxio.SYSTEM_ERROR)

    with (
        FaultPeer(then=Behaviour(call=refuse, times=None)) as peer,
        compat.DataStoreWsClient(HOST, peer.port) as client,
    ):
        for call in calls_of(client):
            with pytest.raises(OSError, match=r"^Remote system error: disk on fire \(\w+ on ws://") as caught:
                call()
            assert isinstance(caught.value, simdrive.ServerError)
            assert caught.value.message == "disk on fire"


def calls_of(client: compat.DataStoreWsClient) -> list[Callable[[], object]]:
    """Every method that asks the server, the batches last."""
    return [
        lambda: client.write(b"k", b"v"),
        lambda: client.read(b"k"),
        lambda: client.delete(b"k"),
        lambda: client.exists(b"k"),
        lambda: b"k" in client,
        lambda: len(client),
        client.is_empty,
        client.file_size,
        lambda: client.batch_write([(b"k", b"v")]),
        lambda: client.batch_read([b"k"]),
        lambda: client.batch_read_structured({"x": b"k"}),
    ]


def test_every_call_ends_at_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compat, "_CALL_LIMIT", 0.1)
    monkeypatch.setattr(compat, "_BATCH_LIMIT", 0.3)
    with (
        FaultPeer(then=Behaviour(call=lambda *_: None, times=None)) as peer,
        compat.DataStoreWsClient(HOST, peer.port) as client,
    ):
        for call in calls_of(client):
            with pytest.raises(compat.TimeoutError, match=r"^`\w+` operation timed out: ") as caught:
                call()
            limit = 0.3 if caught.value.op.startswith("batch") else 0.1
            assert limit <= caught.value.elapsed < limit + 0.15, caught.value.op


def test_lost_connection_is_a_connection_error_at_once() -> None:
    with FaultPeer() as peer:
        client = compat.DataStoreWsClient(HOST, peer.port)
        client.check_connection()
    with client:
        for call in (*calls_of(client), client.check_connection):
            with pytest.raises(compat.ConnectionError, match=r"^The client is disconnected: ") as caught:
                call()
            assert isinstance(caught.value, OSError)
            assert caught.value.elapsed < 3.0


# Logging


@pytest.fixture
def no_callback() -> Iterator[None]:
    logger = logging.getLogger("simdrive")
    before, level = list(logger.handlers), logger.level
    yield
    logger.handlers[:] = before
    logger.setLevel(level)


@pytest.mark.parametrize("wrong", [None, 5, "print"])
def test_callback_must_be_callable(no_callback: None, wrong: Any) -> None:
    with pytest.raises(TypeError, match="log_callback must be a callable function"):
        compat.setup_logging(wrong)


def test_callback_gets_lines_as_before(no_callback: None) -> None:
    lines: list[str] = []
    assert compat.setup_logging(lines.append) is None
    assert [line.split(": ")[0] for line in lines] == [f" INFO {PACKAGE}"]
    lines.clear()
    compat.test_rust_logging()
    assert lines == [
        f" INFO {PACKAGE}: This is an info log from simdrive.",
        f" WARN {PACKAGE}: This is a warning log from simdrive.",
    ]
    lines.clear()
    logging.getLogger("simdrive.client").error("lost %s", "it")
    logging.getLogger("simdrive.client").critical("all lost")
    logging.getLogger("simdrive.client").debug("detail")
    assert lines == ["ERROR simdrive.client: lost it", "ERROR simdrive.client: all lost"]


def test_connections_are_logged(no_callback: None, peer: FaultPeer) -> None:
    lines: list[str] = []
    compat.setup_logging(lines.append)
    with compat.DataStoreWsClient(HOST, peer.port):
        assert [line for line in lines if line.startswith(" INFO simdrive.client: connected to ") and peer.url in line]


def test_first_callback_stays(no_callback: None) -> None:
    lines: list[str] = []
    compat.setup_logging(lines.append)
    lines.clear()
    with pytest.raises(RuntimeError, match=r"^Failed to set logger: .*already been set"):
        compat.setup_logging(print)
    compat.test_rust_logging()
    assert len(lines) == 2


def test_failing_callback_does_not_reach_the_program(no_callback: None, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(line: str) -> None:
        raise RuntimeError("callback broke")

    compat.setup_logging(fail)
    compat.test_rust_logging()
    assert "callback broke" in capsys.readouterr().err


def test_level_of_the_program_is_kept(no_callback: None) -> None:
    logging.getLogger("simdrive").setLevel(logging.WARNING)
    lines: list[str] = []
    compat.setup_logging(lines.append)
    compat.test_rust_logging()
    assert [line[:5] for line in lines] == [" WARN"]
