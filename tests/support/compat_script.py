"""One program for `simd_r_drive_ws_client`, to be run with that package and with ours in its place.

    python compat_script.py real|ours HOST PORT [--limits]

It prints one JSON line a case: the label, and the result or what was raised. Where it needs the server ended, started
again or stopped it prints {"do": "kill"}, {"do": "start"} or {"do": "stop"} and waits for a line on its standard input.
It uses nothing but the standard library and the package, since it also runs where our tests are not installed.
"""

import contextlib
import copy
import hashlib
import importlib
import json
import pickle
import re
import sys
import time
import weakref
from array import array
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

PACKAGE = "simd_r_drive_ws_client"
# What programs look for in messages: each name stands for a pattern.
PHRASES = {
    "remote system error": r"^Remote system error: ",
    "empty payload": r"Payload cannot be empty",
    "null payload": r"NULL-byte payloads cannot be written directly",
    "disconnected": r"client is disconnected",
    "timed out": r"^`[a-z_]+` operation timed out",
    "io error": r"^IO error: ",
    "http format error": r"^HTTP format error: ",
    "refused": r"[Rr]efused",
    "already set": r"Failed to set logger.*already been set",
    "not callable": r"log_callback must be a callable function",
    "not dictionaries": r"must be dictionaries",
    "cannot pickle": r"^cannot pickle '",
    **{name: rf"\b{name}\b" for name in ("key", "payload", "keys", "entries", "host", "port", "prefix")},
}


def canonical(value: Any) -> Any:
    """A result as JSON that keeps types apart."""
    if isinstance(value, bytes):
        return {"bytes": value.hex() if len(value) <= 64 else f"{len(value)} {hashlib.sha256(value).hexdigest()}"}
    if isinstance(value, dict):
        return {type(value).__name__: [[canonical(name), canonical(item)] for name, item in value.items()]}
    if isinstance(value, (list, tuple)):
        return {type(value).__name__: [canonical(item) for item in value]}
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return {"type": type(value).__name__}


class Script:
    """The cases, over the package's modules."""

    def __init__(self, host: str, port: int, *, heals: bool) -> None:
        self.package = importlib.import_module(PACKAGE)
        self.native = importlib.import_module(f"{PACKAGE}.{PACKAGE}")
        self.host, self.port, self.heals = host, port, heals
        self.families = {
            "TypeError": TypeError,
            "ValueError": ValueError,
            "OverflowError": OverflowError,
            "RuntimeError": RuntimeError,
            "OSError": OSError,
            "AttributeError": AttributeError,
            f"{PACKAGE}.ConnectionError": self.native.ConnectionError,
            f"{PACKAGE}.TimeoutError": self.native.TimeoutError,
        }

    def connect(self) -> Any:
        return self.package.DataStoreWsClient(self.host, self.port)

    def say(self, **line: Any) -> None:
        print(json.dumps(line), flush=True)

    def ask(self, what: str) -> None:
        self.say(do=what)
        if not sys.stdin.readline():
            raise SystemExit("nobody answers")

    def case(self, label: str, call: Callable[[], Any]) -> None:
        try:
            result = call()
        except Exception as error:
            families = [name for name, kind in self.families.items() if isinstance(error, kind)]
            phrases = [name for name, pattern in PHRASES.items() if re.search(pattern, str(error))]
            self.say(case=label, raises=families, message=phrases)
        else:
            self.say(case=label, result=canonical(result))

    def names(self) -> None:
        values = importlib.import_module(f"{PACKAGE}.data_store_ws_client")
        self.case("package all", lambda: sorted(self.package.__all__))
        self.case("native all", lambda: sorted(self.native.__all__))
        self.case("module all", lambda: sorted(values.__all__))
        self.case("one class", lambda: self.package.DataStoreWsClient is values.DataStoreWsClient)
        self.case("one hasher", lambda: self.package.NamespaceHasher is self.native.NamespaceHasher)
        self.case("base", lambda: issubclass(self.package.DataStoreWsClient, self.native.BaseDataStoreWsClient))
        self.case("submodules", lambda: (self.package.data_store_ws_client is values, self.package.__name__))
        for name in ("ConnectionError", "TimeoutError"):
            self.case(f"{name} is an exception", lambda name=name: issubclass(getattr(self.native, name), Exception))

    def logging(self) -> None:
        lines: list[str] = []
        setup, emit = self.package.setup_logging, self.package.test_rust_logging
        self.case("log, nobody listens", emit)
        self.case("log, no callback", lambda: setup())
        self.case("log, not callable", lambda: setup(5))
        self.case("log, None", lambda: setup(None))
        self.case("log, set up", lambda: setup(callback=lines.append))
        self.case("log, first line", lambda: [line.split(": ")[0] for line in lines])
        lines.clear()
        self.case("log, emit", emit)
        self.case("log, lines", lambda: [re.sub(r" log from .*", " log", line) for line in lines])
        self.case("log, set up again", lambda: setup(print))
        lines.clear()
        self.case("log, emit again", emit)
        self.case("log, first callback stays", lambda: len(lines))

    def hasher(self) -> None:
        kind = self.package.NamespaceHasher
        self.case("hasher", lambda: kind(b"users").namespace(b"user123"))
        self.case("hasher, keywords", lambda: kind(prefix=b"p").namespace(key=b"k"))
        self.case("hasher, empty", lambda: kind(b"").namespace(b""))
        self.case("hasher, no prefix", lambda: kind())
        self.case("hasher, no key", lambda: kind(b"p").namespace())
        self.case("hasher, bytearray", lambda: kind(bytearray(b"p")).namespace(bytearray(b"k")))
        for bad in ("s", None, 3, [1, 2]):
            self.case(f"hasher, prefix {bad!r}", lambda bad=bad: kind(bad))
            self.case(f"hasher, key {bad!r}", lambda bad=bad: kind(b"p").namespace(bad))
        self.case("hasher, pickle", lambda: pickle.dumps(kind(b"p")))
        self.case("hasher, equality", lambda: kind(b"p") == kind(b"p"))
        self.case("hasher, subclass", lambda: type("Sub", (kind,), {}))

    def opening(self) -> None:
        kind, host, port = self.package.DataStoreWsClient, self.host, self.port
        self.case("open", lambda: kind(host, port))
        self.case("open, keywords", lambda: kind(port=port, host=host))
        self.case("open, by name", lambda: kind("localhost", port))
        self.case("open, nothing given", lambda: kind())
        self.case("open, no port", lambda: kind(host))
        self.case("open, three", lambda: kind(host, port, 3))
        self.case("open, unknown keyword", lambda: kind(host, port, timeout=3))
        for bad in (None, b"127.0.0.1", 5):
            self.case(f"open, host {bad!r}", lambda bad=bad: kind(bad, port))
        for bad in ("80", None, 1.5, -1, 65536, 1 << 70):
            self.case(f"open, port {bad!r}", lambda bad=bad: kind(host, bad))
        for name, there in (("127.0.0.1", 1), ("::1", 1), ("127.0.0.1", True), ("127.0.0.1", 0), ("", port)):
            self.case(f"open, nobody at {name!r} {'port' if name == '' else there}", lambda n=name, p=there: kind(n, p))
        self.case("open, host with a space", lambda: kind("a b", port))
        self.case("open, unknown host", lambda: kind("no-such-host.invalid", port))

        class Sub(kind):  # type: ignore[misc, valid-type]
            def __init__(self, *arguments: Any) -> None:
                self.arguments = arguments

        self.case("subclass without super().__init__", lambda: Sub(host, port).arguments[0])
        self.case("subclass works", lambda: Sub(host, port).exists(b"absent"))
        self.case("subclass, wrong arguments", lambda: Sub(host, port, 5))

    def objects(self) -> None:
        client = self.connect()
        self.case("empty is false", lambda: bool(client))
        self.case("len, empty", lambda: len(client))
        self.case("is_empty, empty", client.is_empty)
        self.case("file_size, empty", client.file_size)
        self.case("check_connection", client.check_connection)
        self.case("repr", lambda: "DataStoreWsClient object" in repr(client))
        self.case("hashable", lambda: (client == client, client == 1, client in {client: 1}))
        self.case("pickle", lambda: pickle.dumps(client))
        self.case("copy", lambda: copy.copy(client))
        self.case("deepcopy", lambda: copy.deepcopy(client))
        self.case("iter", lambda: iter(client))
        self.case("subscript", lambda: client[b"k"])
        self.case("attribute", lambda: setattr(client, "note", 1))
        self.case("attribute read", lambda: client.note)
        self.case("weak reference", lambda: weakref.ref(client)() is client)
        self.case("with", lambda: client.__enter__() and None)

    def values(self) -> None:
        client = self.connect()
        self.case("read, absent", lambda: client.read(b"absent"))
        self.case("write", lambda: client.write(b"k", b"v"))
        self.case("read", lambda: client.read(b"k"))
        self.case("write, keywords", lambda: client.write(payload=b"v2", key=b"k"))
        self.case("write, the stub's keyword", lambda: client.write(key=b"k", data=b"v3"))
        self.case("write, key only", lambda: client.write(b"k"))
        self.case("read, keyword", lambda: client.read(key=b"k"))
        self.case("read, default", lambda: client.read(b"k", b"d"))
        self.case("exists", lambda: client.exists(key=b"k"))
        self.case("in", lambda: (b"k" in client, b"absent" in client))
        self.case("write, empty key", lambda: client.write(b"", b"x"))
        self.case("read, empty key", lambda: client.read(b""))
        self.case("write, empty", lambda: client.write(b"e", b""))
        self.case("write, 00", lambda: client.write(b"e", b"\0"))
        self.case("write, empty list", lambda: client.write(b"e", []))
        self.case("refused was not stored", lambda: client.read(b"e"))
        self.case("write, 00 00", lambda: client.write(b"e", b"\0\0"))
        self.case("read, 00 00", lambda: client.read(b"e"))
        self.case("delete, absent", lambda: client.delete(b"absent"))
        self.case("delete", lambda: client.delete(key=b"e"))
        self.case("deleted", lambda: (client.exists(b"e"), client.read(b"e")))
        large = hashlib.sha256(b"large").digest() * (1 << 17)
        self.case("write, 4 MiB", lambda: client.write(b"large", large))
        self.case("read, 4 MiB", lambda: client.read(b"large"))
        self.case("write, key of 2 MiB", lambda: client.write(large[: 2 << 20], b"long"))
        self.case("read, key of 2 MiB", lambda: client.read(large[: 2 << 20]))
        self.case("len", lambda: len(client))
        self.case("not empty is true", lambda: bool(client))
        self.case("is_empty", client.is_empty)
        self.case("file_size", client.file_size)

    def arguments(self) -> None:
        client = self.connect()
        good = {
            "bytearray": bytearray(b"\1\2"),
            "memoryview": memoryview(b"\1\2"),
            "strided memoryview": memoryview(b"\1x\2y")[::2],
            "memoryview of H": memoryview(array("H", [1, 2])),
            "array B": array("B", [1, 2]),
            "array I": array("I", [1, 2]),
            "list": [1, 2],
            "tuple": (True, 2),
            "range": range(1, 3),
        }
        for name, value in good.items():
            self.case(f"write {name}", lambda v=value: client.write(v, v))
            self.case(f"read what {name} wrote", lambda: client.read(b"\1\2"))
            self.case(f"read {name}", lambda v=value: client.read(v))
            self.case(f"delete {name}", lambda v=value: client.delete(v))
        bad = {
            "str": "s",
            "None": None,
            "int": 3,
            "float": 1.5,
            "set": {1},
            "dict": {1: 2},
            "list of 300": [300],
            "array of -1": array("b", [-1]),
            "list of str": ["a"],
            "list of bytes": [b"a"],
            "list of floats": [1.0],
            "memoryview of c": memoryview(b"ab").cast("c"),
            "generator": (n for n in (1, 2)),
        }
        for name, value in bad.items():
            self.case(f"write key {name}", lambda v=value: client.write(v, b"x"))
            self.case(f"write payload {name}", lambda v=value: client.write(b"k", v))
            self.case(f"read {name}", lambda v=value: client.read(v))
            self.case(f"exists {name}", lambda v=value: client.exists(v))
            self.case(f"in {name}", lambda v=value: v in client)
            self.case(f"delete {name}", lambda v=value: client.delete(v))
            self.case(f"batch_read of {name}", lambda v=value: client.batch_read([v]))
            self.case(f"batch_write key {name}", lambda v=value: client.batch_write([(v, b"1")]))
            self.case(f"batch_write payload {name}", lambda v=value: client.batch_write([(b"k", v)]))
            self.case(f"batch_write item {name}", lambda v=value: client.batch_write([v]))
        self.case("nothing was stored", lambda: client.read(b"k"))

    def batches(self) -> None:
        client = self.connect()
        for name, value in {"list": [], "tuple": (), "bytes": b"", "str": "", "dict": {}, "set": set()}.items():
            self.case(f"batch_read, empty {name}", lambda v=value: client.batch_read(v))
            self.case(f"batch_write, empty {name}", lambda v=value: client.batch_write(v))
        self.case("batch_write", lambda: client.batch_write([(b"a", b"1"), (b"b", b"2")]))
        self.case("batch_write, keyword", lambda: client.batch_write(entries=((b"c", [3]), ([100], b"4"))))
        self.case("batch_write, the stub's keyword", lambda: client.batch_write(items=[]))
        self.case("batch_read", lambda: client.batch_read(keys=[b"a", b"absent", b"b", b"a", [99], b"d"]))
        self.case("batch_read, tuple", lambda: client.batch_read((b"a",)))
        self.case("batch_write, equal keys", lambda: client.batch_write([(b"d", b"1"), (b"d", b"2")]))
        self.case("last wins", lambda: client.read(b"d"))
        self.case("batch_write, one empty", lambda: client.batch_write([(b"e", b"1"), (b"f", b"")]))
        self.case("batch_write, one 00", lambda: client.batch_write([(b"e", b"1"), (b"f", b"\0")]))
        self.case("all or nothing", lambda: client.batch_read([b"e", b"f"]))
        for name, value in {"None": None, "int": 3, "bytes": b"ab", "dict": {b"a": b"b"}, "iterator": iter([])}.items():
            self.case(f"batch_read, {name}", lambda v=value: client.batch_read(v))
            self.case(f"batch_write, {name}", lambda v=value: client.batch_write(v))
        self.case("batch_write, lists as pairs", lambda: client.batch_write([[b"a", b"b"]]))
        self.case("batch_write, three", lambda: client.batch_write([(b"a", b"b", b"c")]))
        read = client.batch_read_structured
        shapes: list[Any] = [{}, [], [{}], {"x": b"a"}, {1: b"a", (2,): b"absent"}, [{"x": b"a"}, {}, {"x": b"b"}]]
        shapes += [({"x": b"a"},), OrderedDict(x=b"a"), {"x": [97]}, [1], "ab", b"a", None, {"x": "s"}, {"x": None}]
        shapes += [{"x": {"y": b"a"}}, [{"x": b"a"}, None]]
        for shape in shapes:
            self.case(f"structured {shape!r}", lambda s=shape: read(s))
        self.case("structured, keyword", lambda: read(data={"x": b"a"}))
        self.case("structured, iterator", lambda: read(iter([{"x": b"a"}])))
        self.case("len at the end", lambda: len(client))
        self.case("file_size at the end", client.file_size)

    def loss(self) -> None:
        client = self.connect()
        client.write(b"kept", b"value")
        self.ask("kill")
        self.await_loss(client)
        self.case("lost, write", lambda: client.write(b"k", b"v"))
        self.case("lost, batch_write", lambda: client.batch_write([(b"k", b"v")]))
        self.case("lost, read", lambda: client.read(b"k"))
        self.case("lost, batch_read", lambda: client.batch_read([b"k"]))
        self.case("lost, structured", lambda: client.batch_read_structured({"x": b"k"}))
        self.case("lost, delete", lambda: client.delete(b"k"))
        self.case("lost, exists", lambda: client.exists(b"k"))
        self.case("lost, in", lambda: b"k" in client)
        self.case("lost, len", lambda: len(client))
        self.case("lost, is_empty", client.is_empty)
        self.case("lost, file_size", client.file_size)
        self.case("lost, check_connection", client.check_connection)
        self.case("lost, wrong type", lambda: client.read("k"))
        self.case("lost, open", self.connect)
        self.ask("start")
        self.case("back, a new client", lambda: self.connect().read(b"kept"))
        self.await_return(client)
        self.case("back, the same client", lambda: client.read(b"kept"))

    def await_loss(self, client: Any) -> None:
        """Until the client has noticed: the old one waits out its limit in a call that it makes before that."""
        deadline = time.monotonic() + 10.0
        with contextlib.suppress(self.native.ConnectionError):
            while time.monotonic() < deadline:
                client.check_connection()
                time.sleep(0.02)  # it tells nobody what it has noticed: asked again until the deadline
            raise SystemExit("the client does not notice that the server is gone")

    def await_return(self, client: Any) -> None:
        """Until ours has connected again, which the old one never does."""
        deadline = time.monotonic() + (10.0 if self.heals else 0.0)
        while time.monotonic() < deadline:
            with contextlib.suppress(self.native.ConnectionError):
                return client.check_connection()
            time.sleep(0.02)  # as above
        return None

    def limits(self) -> None:
        """What a silent server does; takes 90 seconds."""
        client = self.connect()
        self.ask("stop")
        for label, call in (("read", lambda: client.read(b"k")), ("batch_read", lambda: client.batch_read([b"k"]))):
            began = time.monotonic()
            self.case(f"silent, {label}", call)
            seconds = time.monotonic() - began
            self.case(f"silent, seconds of {label}", lambda s=seconds: 5 * round(s / 5))


def main() -> None:
    which, host, port, *options = sys.argv[1:]
    if which == "ours":
        importlib.import_module("simdrive.compat").install()
    script = Script(host, int(port), heals=which == "ours")
    if options == ["--limits"]:
        script.limits()
        return
    script.names()
    script.logging()
    script.hasher()
    script.opening()
    script.objects()
    script.values()
    script.arguments()
    script.batches()
    script.loss()


if __name__ == "__main__":
    main()
