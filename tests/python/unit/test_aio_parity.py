"""The asyncio client takes and gives what the other does: each method of both, called in every odd way."""

from __future__ import annotations

import asyncio
import functools
import inspect
import io
import re
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import simdrive
from support.fault_peer import FaultPeer
from support.loops import LOOPS, run_in

Case = Callable[[Any], Any]

OPTIONS: dict[str, Any] = {"max_value_size": 1 << 20}
HUGE = 10**5000  # more digits than str() gives


class Sink:
    """Says of each piece that it took so many bytes."""

    def __init__(self, taken: int) -> None:
        self._taken = taken

    def write(self, _: object) -> int:
        return self._taken


def failing() -> Iterator[Any]:
    yield b"a"
    raise LookupError("of the caller's own")


def raising(error: type[Exception]) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        raise error("of progress")

    return progress


def with_second(call: Callable[[Any, Any], Any], value: object) -> Case:
    return lambda c: call(c, value)


def timeouts(call: Callable[[Any, Any], Any]) -> dict[str, Case]:
    """A method with every kind of timeout; `call` is given the client and the timeout."""
    kinds = {"negative": -1, "nan": float("nan"), "str": "1", "bool": True, "none": None, "int": 5, "huge": HUGE}
    kinds["infinite"] = float("inf")
    return {f"timeout {name}": with_second(call, value) for name, value in kinds.items()}


def progresses(call: Callable[[Any, Any], Any]) -> dict[str, Case]:
    kinds = {"int": 3, "raises": raising(ValueError), "without arguments": lambda: None}
    return {f"progress {name}": with_second(call, value) for name, value in kinds.items()}


CASES: dict[str, dict[str, Case]] = {
    "write": {
        "plain": lambda c: c.write(b"a", b"1"),
        "str key": lambda c: c.write("a", b"1"),
        "no key": lambda c: c.write(None, b"1"),
        "long key": lambda c: c.write(b"x" * 2_000_000, b"1"),
        "str value": lambda c: c.write(b"a", "1"),
        "empty": lambda c: c.write(b"a", b""),
        "null byte": lambda c: c.write(b"a", b"\0"),
        "long": lambda c: c.write(b"a", memoryview(bytes(1 << 21))),
        "strided": lambda c: c.write(b"a", memoryview(b"abcdef")[::2]),
        **timeouts(lambda c, t: c.write(b"a", b"1", timeout=t)),
        **progresses(lambda c, p: c.write(b"a", b"1", progress=p)),
    },
    "batch_write": {
        "pairs": lambda c: c.batch_write([(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]),
        "mapping": lambda c: c.batch_write({b"a": b"1"}),
        "nothing": lambda c: c.batch_write([]),
        "bytes": lambda c: c.batch_write([b"ab"]),
        "three": lambda c: c.batch_write([(b"a", b"1", b"2")]),
        "str key": lambda c: c.batch_write({"a": b"1"}),
        "empty value": lambda c: c.batch_write({b"a": b"1", b"b": b""}),
        "null byte": lambda c: c.batch_write({b"a": b"\0"}),
        "iterable fails": lambda c: c.batch_write(failing()),
        "int": lambda c: c.batch_write(5),
        "max_bytes": lambda c: c.batch_write({b"a": b"1", b"b": b"2"}, max_bytes=1),
        "max_bytes of nothing": lambda c: c.batch_write([], max_bytes=1),
        "max_bytes 0": lambda c: c.batch_write({b"a": b"1"}, max_bytes=0),
        "max_bytes bool": lambda c: c.batch_write({b"a": b"1"}, max_bytes=True),
        "max_bytes str": lambda c: c.batch_write({b"a": b"1"}, max_bytes="1"),
        "max_bytes, one refused": lambda c: c.batch_write({b"a": b"1", b"b": b""}, max_bytes=1),
        "max_bytes, str value": lambda c: c.batch_write({b"a": b"1", b"b": "2"}, max_bytes=1),
        "max_bytes of nothing, timeout": lambda c: c.batch_write({}, max_bytes=1, timeout=-1),
        "max_bytes, progress raises": lambda c: c.batch_write({b"a": b"1"}, max_bytes=1, progress=raising(ValueError)),
        "max_bytes, progress int": lambda c: c.batch_write({}, max_bytes=1, progress=1),
        **timeouts(lambda c, t: c.batch_write({b"a": b"1"}, timeout=t)),
        **progresses(lambda c, p: c.batch_write({b"a": b"1"}, progress=p)),
    },
    "read": {
        "plain": lambda c: c.read(b"k"),
        "absent": lambda c: c.read(b"a", default=7),
        "no key": lambda c: c.read(None),
        "view": lambda c: c.read(b"k", out="view"),
        "out str": lambda c: c.read(b"k", out="text"),
        "out": lambda c: c.read(b"k", out=bytearray(10)),
        "out small": lambda c: c.read(b"k", out=bytearray(2)),
        "out empty": lambda c: c.read(b"k", out=bytearray()),
        "out strided": lambda c: c.read(b"k", out=memoryview(bytearray(20))[::2]),
        "out read-only": lambda c: c.read(b"k", out=b"12345678"),
        "out absent": lambda c: c.read(b"a", out=bytearray(1), default=7),
        **timeouts(lambda c, t: c.read(b"k", timeout=t)),
        **progresses(lambda c, p: c.read(b"k", progress=p)),
    },
    "batch_read": {
        "plain": lambda c: c.batch_read([b"k", b"a", b"k"]),
        "nothing": lambda c: c.batch_read([]),
        "view": lambda c: c.batch_read([b"k", b"a"], out="view"),
        "mapping": lambda c: c.batch_read({b"k": 1}),
        "str": lambda c: c.batch_read("abc"),
        "bytes": lambda c: c.batch_read(b"abc"),
        "an int": lambda c: c.batch_read([b"k", 1]),
        "out str": lambda c: c.batch_read([b"k"], out="text"),
        "out buffer": lambda c: c.batch_read([b"k"], out=bytearray(3)),
        "iterable fails": lambda c: c.batch_read(failing()),
        **timeouts(lambda c, t: c.batch_read([b"k"], timeout=t)),
        **progresses(lambda c, p: c.batch_read([b"k"], progress=p)),
    },
    "batch_read_structured": {
        "dict": lambda c: c.batch_read_structured({"x": b"k", "y": b"a"}),
        "list": lambda c: c.batch_read_structured([{1: b"k"}, {}, {2: b"a"}]),
        "int": lambda c: c.batch_read_structured(3),
        "nested": lambda c: c.batch_read_structured([[b"k"]]),
        "tuple": lambda c: c.batch_read_structured(({1: b"k"},)),
        "str key": lambda c: c.batch_read_structured({1: "k"}),
        **timeouts(lambda c, t: c.batch_read_structured({1: b"k"}, timeout=t)),
        **progresses(lambda c, p: c.batch_read_structured({1: b"k"}, progress=p)),
    },
    "delete": {
        "plain": lambda c: c.delete(b"k"),
        "absent": lambda c: c.delete(b"a"),
        "str": lambda c: c.delete("k"),
        **timeouts(lambda c, t: c.delete(b"k", timeout=t)),
    },
    "batch_delete": {
        "plain": lambda c: c.batch_delete([b"k", b"a"]),
        "nothing": lambda c: c.batch_delete([]),
        "str": lambda c: c.batch_delete("abc"),
        "bytes": lambda c: c.batch_delete(b"abc"),
        "int": lambda c: c.batch_delete(3),
        "str key": lambda c: c.batch_delete([b"k", "a"]),
        "one refused": lambda c: c.batch_delete([b"k", b"x" * 2_000_000]),
        "iterable fails": lambda c: c.batch_delete(failing()),
        "nothing, timeout": lambda c: c.batch_delete([], timeout=-1),
        "nothing, progress": lambda c: c.batch_delete([], progress=3),
        **timeouts(lambda c, t: c.batch_delete([b"k"], timeout=t)),
        **progresses(lambda c, p: c.batch_delete([b"k"], progress=p)),
    },
    "exists": {
        "plain": lambda c: c.exists(b"k"),
        "absent": lambda c: c.exists(b"a"),
        "str": lambda c: c.exists("k"),
        **timeouts(lambda c, t: c.exists(b"k", timeout=t)),
    },
    "is_empty": {
        "plain": lambda c: c.is_empty(),
        **timeouts(lambda c, t: c.is_empty(timeout=t)),
    },
    "file_size": {
        "plain": lambda c: c.file_size(),
        **timeouts(lambda c, t: c.file_size(timeout=t)),
    },
    "ping": {
        **timeouts(lambda c, t: c.ping(timeout=t)),
    },
    "server_info": {
        "plain": lambda c: c.server_info(),
        **timeouts(lambda c, t: c.server_info(timeout=t)),
    },
    "write_stream": {
        "pieces": lambda c: c.write_stream(b"a", [b"1", b"23"]),
        "file": lambda c: c.write_stream(b"a", io.BytesIO(b"123"), size=2),
        "no source": lambda c: c.write_stream(b"a", None),
        "str": lambda c: c.write_stream(b"a", "abc"),
        "str pieces": lambda c: c.write_stream(b"a", ["a"]),
        "text": lambda c: c.write_stream(b"a", io.StringIO("abc")),
        "size bool": lambda c: c.write_stream(b"a", [b"1"], size=True),
        "size wrong": lambda c: c.write_stream(b"a", [b"1"], size=2),
        "null byte": lambda c: c.write_stream(b"a", [b"\0"]),
        "str key": lambda c: c.write_stream("a", [b"1"]),
        "iterable fails": lambda c: c.write_stream(b"a", failing()),
        **timeouts(lambda c, t: c.write_stream(b"a", [b"1"], timeout=t)),
        **progresses(lambda c, p: c.write_stream(b"a", [b"1"], progress=p)),
    },
    "read_stream": {
        "plain": lambda c: c.read_stream(b"k", chunk_size=2),
        "absent": lambda c: c.read_stream(b"a"),
        "chunk_size": lambda c: c.read_stream(b"k", chunk_size=0),
        "str key": lambda c: c.read_stream("k"),
        **timeouts(lambda c, t: c.read_stream(b"k", timeout=t)),
        **progresses(lambda c, p: c.read_stream(b"k", progress=p)),
    },
    "read_into": {
        "plain": lambda c: c.read_into(b"k", io.BytesIO()),
        "absent": lambda c: c.read_into(b"a", io.BytesIO()),
        "no sink": lambda c: c.read_into(b"k", None),
        "takes nothing": lambda c: c.read_into(b"k", Sink(0)),
        "takes less than nothing": lambda c: c.read_into(b"k", Sink(-1)),
        "text": lambda c: c.read_into(b"k", io.StringIO()),
        "str key": lambda c: c.read_into("k", io.BytesIO()),
        **timeouts(lambda c, t: c.read_into(b"k", io.BytesIO(), timeout=t)),
        **progresses(lambda c, p: c.read_into(b"k", io.BytesIO(), progress=p)),
    },
    "namespace": {
        "str": lambda c: c.namespace("x"),
        "read": lambda c: c.namespace(b"n").read(b"k"),
        "close": lambda c: c.namespace(b"n").close(timeout=-1),
        "plain": lambda c: c.namespace(b"n"),
    },
    "pipeline": {
        "plain": lambda c: c.pipeline(),
        "max_inflight bool": lambda c: c.pipeline(max_inflight=True),
        "max_inflight 0": lambda c: c.pipeline(max_inflight=0),
        "max_inflight str": lambda c: c.pipeline(max_inflight="3"),
    },
    "options": {"plain": lambda c: c.options},
    "closed": {"plain": lambda c: c.closed},
    "close": {
        "plain": lambda c: c.close(),
        **timeouts(lambda c, t: c.close(timeout=t)),
    },
    "__bool__": {"plain": bool},
}

# On a client that was closed.
CLOSED: dict[str, dict[str, Case]] = {
    "write": {"plain": lambda c: c.write(b"a", b"1")},
    "batch_write": {
        "max_bytes": lambda c: c.batch_write({b"a": b"1"}, max_bytes=1),
        "max_bytes of nothing": lambda c: c.batch_write({}, max_bytes=1),
        "plain": lambda c: c.batch_write({b"a": b"1"}),
    },
    "read": {"plain": lambda c: c.read(b"k")},
    "batch_read": {"plain": lambda c: c.batch_read([b"k"])},
    "batch_read_structured": {"plain": lambda c: c.batch_read_structured({1: b"k"})},
    "delete": {"plain": lambda c: c.delete(b"k")},
    "batch_delete": {"nothing": lambda c: c.batch_delete([]), "plain": lambda c: c.batch_delete([b"k"])},
    "exists": {"plain": lambda c: c.exists(b"k")},
    "is_empty": {"plain": lambda c: c.is_empty()},
    "file_size": {"plain": lambda c: c.file_size()},
    "ping": {"plain": lambda c: c.ping()},
    "server_info": {"plain": lambda c: c.server_info()},
    "write_stream": {"plain": lambda c: c.write_stream(b"a", failing())},
    "read_stream": {"plain": lambda c: c.read_stream(b"k")},
    "read_into": {"plain": lambda c: c.read_into(b"k", io.BytesIO())},
    "namespace": {"read": lambda c: c.namespace(b"n").read(b"k")},
    "pipeline": {"plain": lambda c: c.pipeline()},
    "closed": {"plain": lambda c: c.closed},
    "close": {"plain": lambda c: c.close(), "timeout negative": lambda c: c.close(timeout=-1)},
    "__bool__": {"plain": bool},
}


def shown(result: Any) -> Any:
    """A result in one spelling."""
    if isinstance(result, simdrive.Value):
        return ("Value", bytes(result))
    if isinstance(result, float):
        return "seconds"
    if isinstance(result, list):
        return [shown(each) for each in result]
    return plain(repr(result))


def plain(text: str) -> str:
    return re.sub(r"127\.0\.0\.1:\d+|0x[0-9a-f]+", "X", text).replace("Async", "")


def told(error: BaseException) -> Any:
    """All that a caller sees of an error."""
    seen = [getattr(error, name, None) for name in ("op", "outcome", "key_hint", "attempts", "done")]
    failed = {number: told(each) for number, each in getattr(error, "failed", {}).items()}
    return (type(error).__name__, plain(str(error)), seen, failed, type(error.__cause__).__name__)


def view_of(client: Any, which: str) -> Any:
    return client if which == "client" else client.namespace(b"users")


def prepared(peer: FaultPeer, which: str) -> None:
    """Puts a value under the key "k" in place of whatever was stored."""
    peer.store.entries.clear()
    peer.store.size = 0
    with simdrive.connect(peer.url) as client:
        view_of(client, which).write(b"k", b"value")


@functools.cache
def outcomes(method: str, which: str, *, closed: bool) -> dict[str, Any]:
    """What each case of a method came to, and what was stored then."""
    found: dict[str, Any] = {}
    with FaultPeer() as peer:
        for name, case in (CLOSED if closed else CASES).get(method, {}).items():
            prepared(peer, which)
            with simdrive.connect(peer.url, **OPTIONS) as client:
                view = view_of(client, which)
                if closed:
                    view.close()
                try:
                    result = case(view)
                    outcome = shown(list(result) if isinstance(result, Iterator) else result)
                except Exception as error:
                    outcome = told(error)
                found[name] = (outcome, view.closed, dict(peer.store.entries))
    return found


async def async_outcomes(method: str, which: str, *, closed: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with FaultPeer() as peer:
        for name, case in (CLOSED if closed else CASES).get(method, {}).items():
            prepared(peer, which)
            async with await simdrive.aconnect(peer.url, **OPTIONS) as client:
                view = view_of(client, which)
                if closed:
                    await view.close()
                try:
                    result = case(view)
                    if inspect.isawaitable(result):
                        result = await asyncio.wait_for(result, 20)
                    outcome = shown([each async for each in result] if isinstance(result, AsyncIterator) else result)
                except Exception as error:
                    outcome = told(error)
                found[name] = (outcome, view.closed, dict(peer.store.entries))
    return found


@pytest.mark.parametrize("closed", [False, True], ids=["open", "closed"])
@pytest.mark.parametrize("which", ["client", "namespace"])
@pytest.mark.parametrize("method", CASES)
@pytest.mark.parametrize("loop", LOOPS)
def test_same_results_and_errors(loop: str, method: str, which: str, closed: bool) -> None:
    expected = outcomes(method, which, closed=closed)
    assert run_in(loop, async_outcomes(method, which, closed=closed)) == expected


@pytest.mark.parametrize("loop", LOOPS)
def test_counting(loop: str) -> None:
    """What is `len` there is `size` here, and its name is all that differs."""

    async def size() -> tuple[int, Any, str]:
        async with await simdrive.aconnect(peer.url) as client:
            found = await client.size()
            with pytest.raises(simdrive.UnsupportedOperationError) as unsupported:
                await client.namespace(b"users").size()
        with pytest.raises(simdrive.ClosedError) as closed:
            await client.size()
        return found, told(unsupported.value), told(closed.value)

    with FaultPeer() as peer:
        peer.store.entries[b"key"] = b"value"
        with simdrive.connect(peer.url) as client:
            found = len(client)
            with pytest.raises(simdrive.UnsupportedOperationError) as unsupported:
                len(client.namespace(b"users"))
        with pytest.raises(simdrive.ClosedError) as closed:
            len(client)
        assert found == 1
        expected = repr((found, told(unsupported.value), told(closed.value)))
        assert repr(run_in(loop, size())) == expected.replace("'len", "'size")


@pytest.mark.parametrize("loop", LOOPS)
def test_the_one_difference(loop: str) -> None:
    """A future refuses StopIteration."""

    async def main() -> None:
        async with await simdrive.aconnect(peer.url) as client:
            with pytest.raises(RuntimeError, match="progress raised StopIteration"):
                await client.read(b"k", progress=raising(StopIteration))

    with FaultPeer() as peer:
        with simdrive.connect(peer.url) as client, pytest.raises(StopIteration):
            client.read(b"k", progress=raising(StopIteration))
        run_in(loop, main())


def takes(method: str, parameter: str) -> bool:
    found = getattr(simdrive.AsyncClient, method)
    return callable(found) and parameter in inspect.signature(found).parameters


def test_every_method_is_compared() -> None:
    public = {name for name in dir(simdrive.Client) if not name.startswith("_")} - {"mapping"}  # which asyncio has not
    assert public - {"options"} == set(CLOSED) - {"__bool__"}
    assert public == set(CASES) - {"__bool__"}
    for parameter, case in (("timeout", "timeout nan"), ("progress", "progress raises")):
        assert {name for name in public if takes(name, parameter)} == {name for name in public if case in CASES[name]}


def test_the_comparison_sees_a_difference() -> None:
    assert outcomes("exists", "client", closed=False) != outcomes("delete", "client", closed=False)
    assert len(set(map(repr, outcomes("batch_write", "client", closed=False).values()))) > 10
