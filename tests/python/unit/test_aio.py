"""What the asyncio client accepts, refuses and says: as the sync client, against a well-behaved server of our own."""

from __future__ import annotations

import asyncio
import builtins
import copy
import inspect
import logging
import pickle
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

import simdrive
from simdrive import AsyncClient, Retry, aconnect
from support import wsraw
from support.fault_peer import Behaviour, Call, Connection, FaultPeer
from support.loops import Runner, turns, until
from support.ports import HOST, free_port
from support.timing import within


@pytest.fixture(params=["d13", "d21"])
def peer(request: pytest.FixtureRequest) -> Iterator[FaultPeer]:
    with FaultPeer(request.param) as running:
        yield running
    assert running.errors == []


Use = Callable[[AsyncClient], Awaitable[object]]


def with_client(run: Runner, peer: FaultPeer, use: Use, **options: Any) -> None:
    """Opens a client on a new loop, uses it, closes it, and looks whether anything of it is left."""

    async def main() -> None:
        async with await aconnect(peer.url, **options) as client:
            await use(client)
            assert client._core.pending == 0
        assert client._core.pending == 0

    run(main())


CALLS: dict[str, Callable[[AsyncClient], Any]] = {
    "write": lambda client: client.write(b"key", b"value"),
    "batch_write": lambda client: client.batch_write([(b"key", b"value")]),
    "read": lambda client: client.read(b"key"),
    "batch_read": lambda client: client.batch_read([b"key"]),
    "batch_read_structured": lambda client: client.batch_read_structured({"a": b"key"}),
    "delete": lambda client: client.delete(b"key"),
    "exists": lambda client: client.exists(b"key"),
    "size": lambda client: client.size(),
    "is_empty": lambda client: client.is_empty(),
    "file_size": lambda client: client.file_size(),
    "ping": lambda client: client.ping(),
}
# What the server calls it, where that differs.
WIRE = {"batch_read_structured": "batch_read", "size": "len", "ping": "is_empty"}
SILENT = Behaviour(call=lambda connection, call: None, times=None)


# ---- results --------------------------------------------------------------------------------------------------------


def test_good_replies(run: Runner, peer: FaultPeer) -> None:
    async def use(client: AsyncClient) -> None:
        assert await client.is_empty() is True
        await client.write(b"key", b"value" * 30_000)
        await client.batch_write({b"": b"of the empty key", b"other": b"12"})
        await client.batch_write(iter([(bytearray(b"third"), memoryview(b"345"))]))
        assert await client.read(b"key") == b"value" * 30_000
        assert await client.batch_read([b"", memoryview(b"other"), b"absent"]) == [b"of the empty key", b"12", None]
        assert await client.batch_read([]) == []
        assert await client.batch_read_structured([{"x": b"other"}, {}]) == [{"x": b"12"}, {}]
        assert await client.batch_read_structured({"x": b"other", 5: b"absent"}) == {"x": b"12", 5: None}
        assert await client.size() == 4
        assert await client.exists(b"other") is True
        assert await client.delete(b"other") is None
        assert await client.exists(b"other") is False
        assert await client.file_size() == peer.store.size
        assert await client.ping() > 0
        info = await client.server_info()
        assert (info.dialect, info.version, info.extensions) == (peer.dialect, None, frozenset())

    with_client(run, peer, use)


def test_one_call_is_one_request(run: Runner, peer: FaultPeer) -> None:
    async def use(client: AsyncClient) -> None:
        for call in CALLS.values():
            await call(client)

    with_client(run, peer, use)
    assert [call.method for call in peer.calls] == [WIRE.get(name, name) for name in CALLS]
    assert len({call.request_id for call in peer.calls}) == len(CALLS)
    assert (peer.probes, peer.connections, peer.closes) == (1, 1, 1)


@pytest.mark.parametrize("size", [2, 255, 4096, 4097, 70_000, 3 << 20])
def test_out(run: Runner, peer: FaultPeer, size: int) -> None:
    value = (b"value " * (size // 6 + 1))[:size]

    async def use(client: AsyncClient) -> None:
        await client.write(b"key", value)
        target = bytearray(b"\xee" * (size + 3))
        assert await client.read(b"key", out=target) == size
        assert target == value + b"\xee" * 3
        exact = bytearray(size)
        assert await client.read(b"key", out=memoryview(exact)) == size
        assert exact == value
        assert await client.read(b"absent", out=target) is None
        assert await client.read(b"absent", out=target, default=-1) == -1
        with pytest.raises(simdrive.BufferTooSmallError, match=str(size)) as caught:
            await client.read(b"key", out=bytearray(size - 1))
        assert isinstance(caught.value, ValueError)
        target.append(1)  # nothing is locked any more
        exact.append(1)
        assert client._stats()["connections"] == 1

    with_client(run, peer, use)


def test_buffers_are_locked_as_long_as_the_call_lasts(run: Runner) -> None:
    async def use(client: AsyncClient) -> None:
        key, data, out = bytearray(b"key"), bytearray(b"value"), bytearray(100)
        writing, reading = (
            asyncio.ensure_future(client.write(key, data)),
            asyncio.ensure_future(client.read(key, out=out)),
        )
        await turns(1)
        for locked in (key, data, out):
            with pytest.raises(BufferError):
                locked.append(1)
        await writing
        assert await reading == 5
        for free in (key, data, out):
            free.append(1)

    with FaultPeer() as peer:
        with_client(run, peer, use)


def test_default(run: Runner) -> None:
    async def use(client: AsyncClient) -> None:
        marker = object()
        assert await client.read(b"absent") is None
        assert await client.read(b"absent", default=marker) is marker

    with FaultPeer() as peer:
        with_client(run, peer, use)


def test_progress(run: Runner) -> None:
    large = bytes(range(256)) * (1 << 14)  # 4 MiB

    async def use(client: AsyncClient) -> None:
        told: list[tuple[int, int]] = []
        report = lambda done, total: told.append((done, total))  # noqa: E731
        await client.write(b"key", large, progress=report)
        assert told[-1] == (len(large), len(large))
        del told[:]
        assert await client.read(b"key", progress=report) == large
        assert told[-1] == (len(large), len(large))
        del told[:]
        await client.batch_write({b"a": b"12", b"b": b"345"}, progress=report)
        await client.batch_read([b"a", b"b", b"none"], progress=report)
        assert told == [(5, 5), (5, 5)]

    with FaultPeer() as peer:
        with_client(run, peer, use)


class EnoughError(Exception):
    pass


@pytest.mark.parametrize("kind", [EnoughError, StopIteration])
def test_an_exception_of_progress_ends_the_call(run: Runner, kind: type[Exception]) -> None:
    def stop(done: int, total: int) -> None:
        raise kind(done, total)

    async def use(client: AsyncClient) -> None:
        with within(5), pytest.raises(RuntimeError if kind is StopIteration else kind):
            await client.read(b"key", timeout=20, progress=stop)
        assert await client.exists(b"key") is False

    with FaultPeer(script=[Behaviour(call=lambda *_: None, methods=frozenset(["read"]), times=None)]) as peer:
        with_client(run, peer, use)


# ---- arguments ------------------------------------------------------------------------------------------------------


def refused(run: Runner, peer: FaultPeer, kinds: Any, attempts: list[Callable[[AsyncClient], Any]]) -> None:
    """Every attempt raises one of the errors before a byte is sent, and the client goes on."""

    async def use(client: AsyncClient) -> None:
        for attempt in attempts:
            with pytest.raises(kinds):
                await attempt(client)
        assert peer.calls == []
        assert await client.read(b"key") is None

    with_client(run, peer, use)


@pytest.mark.parametrize("wrong", ["text", 5, None, ["a"]])
def test_keys_and_values_are_bytes(run: Runner, wrong: Any) -> None:
    attempts: list[Callable[[AsyncClient], Any]] = [
        lambda client: client.write(wrong, b"value"),
        lambda client: client.write(b"key", wrong),
        lambda client: client.read(wrong),
        lambda client: client.exists(wrong),
        lambda client: client.delete(wrong),
        lambda client: client.batch_write([(b"key", b"value"), (b"key", wrong)]),
        lambda client: client.batch_write([(wrong, b"value")]),
        lambda client: client.batch_read([b"key", wrong]),
        lambda client: client.batch_read_structured({"a": wrong}),
    ]
    with FaultPeer() as peer:
        refused(run, peer, TypeError, attempts)


def test_other_arguments(run: Runner) -> None:
    wrong_pairs: list[Any] = [5, None, b"key", [b"key"], [(b"key",)], [(b"a", b"b", b"c")], "ab"]
    wrong_keys: list[Any] = [5, None, b"bytes are no list of keys", "text"]
    wrong_shapes: list[Any] = [5, None, b"key", "text", [b"key"], (b"key",)]
    wrong_timeouts: list[Any] = [-1, float("nan"), "3"]
    wrong_outs: list[Any] = ["bytearray", None, 5, "view", b"read only", memoryview(bytearray(8))[::2]]
    wrong_progress: Any = 3
    attempts: list[Callable[[AsyncClient], Any]] = [
        *[lambda client, w=w: client.batch_write(w) for w in wrong_pairs],  # type: ignore[misc]
        *[lambda client, w=w: client.batch_read(w) for w in wrong_keys],  # type: ignore[misc]
        *[lambda client, w=w: client.batch_read_structured(w) for w in wrong_shapes],  # type: ignore[misc]
        *[lambda client, w=w: client.read(b"key", timeout=w) for w in wrong_timeouts],  # type: ignore[misc]
        *[lambda client, w=w: client.read(b"key", out=w) for w in wrong_outs],  # type: ignore[misc]
        lambda client: client.read(b"key", progress=wrong_progress),
    ]
    with FaultPeer() as peer:
        refused(run, peer, (TypeError, ValueError, BufferError), attempts)


@pytest.mark.parametrize("value", [b"", b"\0", bytearray(), memoryview(b"\0")])
def test_refused_values(run: Runner, value: bytes) -> None:
    async def use(client: AsyncClient) -> None:
        for call in (client.write(b"key", value), client.batch_write([(b"a", b"good"), (b"key", value)])):
            with pytest.raises(simdrive.InvalidValueError) as caught:
                await call
            assert isinstance(caught.value, ValueError)
            assert caught.value.key_hint == b"key".hex()
        assert peer.calls == []

    with FaultPeer() as peer:
        with_client(run, peer, use)


def test_sizes_are_checked_here(run: Runner) -> None:
    async def use(client: AsyncClient) -> None:
        long = b"0123456789a"
        await client.write(b"0123456789", bytes([1]) * 1000)
        with pytest.raises(simdrive.InvalidValueError, match="1000"):
            await client.write(b"key", bytes([1]) * 1001)
        for call in (
            client.write(long, b"value"),
            client.read(long),
            client.exists(long),
            client.delete(long),
            client.batch_read([b"a", long]),
            client.batch_write([(long, b"value")]),
        ):
            with pytest.raises(simdrive.InvalidKeyError, match="10") as caught:
                await call
            assert isinstance(caught.value, ValueError)
        assert [call.method for call in peer.calls] == ["write"]
        peer.store.entries[b"large"] = b"x" * 5000
        with pytest.raises(simdrive.ProtocolError, match="max_value_size"):
            await client.read(b"large")
        assert await client.read(b"0123456789") == bytes([1]) * 1000

    with FaultPeer() as peer:
        with_client(run, peer, use, max_value_size=1000, max_key_size=10)


def test_an_iterable_that_fails(run: Runner) -> None:
    def pairs() -> Iterator[tuple[bytes, bytes]]:
        yield b"key", b"value"
        raise ZeroDivisionError

    with FaultPeer() as peer:
        refused(
            run,
            peer,
            ZeroDivisionError,
            [lambda client: client.batch_write(pairs()), lambda client: client.batch_read(key for key, _ in pairs())],
        )


# ---- opening --------------------------------------------------------------------------------------------------------


def test_connect_verifies_with_one_round_trip(run: Runner, peer: FaultPeer) -> None:
    async def use(client: AsyncClient) -> None:
        assert peer.probes == 1
        assert peer.calls == []
        assert client._stats() == {"calls": 0, "sends": client._stats()["sends"], "connections": 1}

    with_client(run, peer, use)


def test_bad_urls_and_options(run: Runner) -> None:
    good = f"ws://{HOST}:1/ws"
    wrong_type: Any = b"ws://127.0.0.1:1/ws"
    cases: list[tuple[Any, dict[str, Any]]] = [
        ("", {}),
        ("http://127.0.0.1:34129/ws", {}),
        ("ws://127.0.0.1:99999/ws", {}),
        (wrong_type, {}),
        (good, {"wire": "d14"}),
        (good, {"timeout": -1}),
        (good, {"timeout": "3"}),
        (good, {"max_inflight": 0}),
        (good, {"tiemout": 3}),
        (good, {"url": good}),
    ]

    async def main() -> None:
        for url, options in cases:
            with within(0.2), pytest.raises((TypeError, simdrive.ConfigurationError)):
                await aconnect(url, **options)

    run(main())


def test_refused_port(run: Runner) -> None:
    port = free_port()

    async def main() -> None:
        with within(1), pytest.raises(simdrive.ConnectError) as caught:
            await aconnect(f"ws://{HOST}:{port}/ws", retry=Retry(retries=50))
        error = caught.value
        assert isinstance(error, builtins.ConnectionError)
        assert f"{HOST}:{port}" in str(error)
        assert error.op == "connect"

    run(main(), collect=True)


def test_full_backlog_is_a_timeout(run: Runner) -> None:
    async def main(port: int) -> None:
        with within(0.3, least=0.28), pytest.raises(simdrive.ConnectTimeout):
            await aconnect(f"ws://{HOST}:{port}/ws", connect_timeout=0.3)

    with socket.create_server((HOST, 0), backlog=0) as listener:
        run(main(listener.getsockname()[1]))


def test_url_from_the_environment(run: Runner, peer: FaultPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMDRIVE_URL", peer.url)

    async def main() -> None:
        async with await aconnect() as client:
            assert await client.is_empty()

    run(main())


def test_no_limits(run: Runner) -> None:
    async def use(client: AsyncClient) -> None:
        await client.write(b"key", b"value", timeout=None)
        assert await client.read(b"key", timeout=None) == b"value"

    with FaultPeer() as peer:
        with_client(run, peer, use, timeout=None, connect_timeout=None, idle_timeout=None)


# ---- the object -----------------------------------------------------------------------------------------------------


def test_the_object(run: Runner, peer: FaultPeer) -> None:
    async def use(client: AsyncClient) -> None:
        assert bool(client) is True
        assert client.closed is False
        assert client.options.timeout == 7.5
        assert client.options.url == peer.url
        assert repr(client) == f"<simdrive.AsyncClient {peer.url} ({peer.dialect}, open)>"
        for make in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="event loop"):
                make(client)
        await client.close()
        assert bool(client) is True
        assert client.closed is True
        assert repr(client) == f"<simdrive.AsyncClient {peer.url} ({peer.dialect}, closed)>"
        assert peer.calls == []

    with_client(run, peer, use, timeout=7.5)


def test_methods_are_those_of_the_sync_client() -> None:
    for name, member in vars(AsyncClient).items():
        if name.startswith("_") or not inspect.iscoroutinefunction(member):
            continue
        assert inspect.getdoc(member), name
        if name == "size":
            continue
        ours, theirs = (list(inspect.signature(getattr(kind, name)).parameters) for kind in (AsyncClient, simdrive.Client))
        assert ours == theirs, name
    for name in [*CALLS, "server_info", "close"]:
        timeout = inspect.signature(getattr(AsyncClient, name)).parameters["timeout"]
        assert timeout.kind is inspect.Parameter.KEYWORD_ONLY, name


def test_the_connection_is_logged(run: Runner, caplog: pytest.LogCaptureFixture) -> None:
    def refuse(connection: Connection) -> None:
        connection.send_raw(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        connection.finish()

    async def use(client: AsyncClient) -> None:
        assert await client.read(b"key", timeout=20) is None
        assert await client.exists(b"key") is False

    script = [Behaviour(call=lambda connection, call: connection.reset()), Behaviour(upgrade=refuse)]
    with caplog.at_level(logging.INFO, "simdrive"), FaultPeer(script=script) as peer:
        with_client(run, peer, use, reconnect_spread=0, retry=Retry(base=0.001, cap=0.002))
    text = [record.getMessage() for record in caplog.records if record.name == "simdrive.client"]
    assert [line.split()[0] for line in text] == ["connected", "lost", "connecting", "connected"]
    assert "503" in text[2]


def test_pings_of_the_server_are_answered(run: Runner) -> None:
    def ping(connection: Connection, call: Call) -> None:
        connection.send(b"are you there", opcode=wsraw.PING)

    async def use(client: AsyncClient) -> None:
        with pytest.raises(simdrive.OperationTimeout):
            await client.exists(b"key", timeout=0.1)
        assert await client.is_empty() is True

    with FaultPeer(script=[Behaviour(call=ping, methods=frozenset(["exists"]))]) as peer:
        with_client(run, peer, use)
        peer.close()
        assert peer.pongs == 1


# ---- closing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CALLS)
def test_closed(run: Runner, name: str) -> None:
    async def main() -> None:
        client = await aconnect(peer.url)
        await client.close()
        await client.close()
        with within(0.1), pytest.raises(simdrive.ClosedError) as caught:
            await CALLS[name](client)
        assert caught.value.op == {"ping": "is_empty"}.get(name, WIRE.get(name, name) if name != "size" else "size")
        assert caught.value.outcome == "not applied"
        assert peer.calls == []

    with FaultPeer() as peer:
        run(main())


def test_context_manager(run: Runner, peer: FaultPeer) -> None:
    async def main() -> None:
        opened = await aconnect(peer.url)
        async with opened as client:
            assert client is opened
            await client.write(b"key", b"value")
        assert client.closed is True
        with pytest.raises(LookupError, match="mine"):
            async with await aconnect(peer.url) as client:
                raise LookupError("mine")
        assert client.closed is True
        assert peer.closes == 2

    run(main(), collect=True)


def test_close_with_calls_in_flight(run: Runner) -> None:
    async def main() -> None:
        client = await aconnect(peer.url)
        calls = {name: asyncio.ensure_future(call(client)) for name, call in CALLS.items()}
        await until(lambda: len(peer.calls) == len(CALLS), "the calls arrive")
        with within(0.5):
            await client.close()
            results = await asyncio.gather(*calls.values(), return_exceptions=True)
        for name, error in zip(calls, results, strict=True):
            assert isinstance(error, simdrive.ClosedError), (name, error)
            if name in {"write", "batch_write", "delete"}:
                assert error.outcome == "unknown"
        assert client._core.pending == 0

    with FaultPeer(script=[SILENT]) as peer:
        run(main(), collect=True)


def test_close_with_calls_that_wait_for_their_turn(run: Runner) -> None:
    async def main() -> None:
        client = await aconnect(peer.url, max_inflight=1)
        calls = [asyncio.ensure_future(client.write(b"key", b"value %d" % i)) for i in range(20)]
        await until(lambda: len(peer.calls) == 1, "one call arrives")
        await client.close()
        errors = await asyncio.gather(*calls, return_exceptions=True)
        assert [getattr(error, "outcome", None) for error in errors] == ["unknown"] + ["not applied"] * 19
        assert {type(error) for error in errors} == {simdrive.ClosedError}

    with FaultPeer(script=[SILENT]) as peer:
        run(main(), collect=True)
        assert len(peer.calls) == 1


def test_several_close_at_once(run: Runner) -> None:
    async def main() -> None:
        client = await aconnect(peer.url, close_timeout=20)
        assert await client.exists(b"key") is False
        with within(5):
            await asyncio.gather(*(client.close() for _ in range(5)))
        assert client.closed

    with FaultPeer() as peer:
        run(main(), collect=True)


def deaf(connection: Connection, call: Call) -> None:
    connection.answer_well(call)
    connection.peer.pause(60)


def test_close_does_not_wait_for_a_deaf_server_for_longer_than_asked(run: Runner) -> None:
    async def main() -> None:
        client = await aconnect(peer.url)
        assert await client.exists(b"key") is False
        with within(0.2, least=0.18):
            await client.close(timeout=0.2)
        other = await aconnect(peer.url, close_timeout=0.1)
        assert await other.exists(b"key") is False
        with within(0.1, least=0.08):
            await other.close()

    with FaultPeer(then=Behaviour(call=deaf)) as peer:
        run(main(), collect=True)


def test_a_cancelled_close_closes_all_the_same(run: Runner) -> None:
    async def main() -> None:
        client = await aconnect(peer.url, close_timeout=20)
        assert await client.exists(b"key") is False
        closing = asyncio.ensure_future(client.close())
        await turns(3)
        closing.cancel()
        with within(1), pytest.raises(asyncio.CancelledError):
            await closing
        assert client.closed
        await client.close()
        with pytest.raises(simdrive.ClosedError):
            await client.exists(b"key")

    with FaultPeer(then=Behaviour(call=deaf)) as peer:
        run(main(), collect=True)


# ---- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CALLS)
def test_timeouts(run: Runner, name: str) -> None:
    async def use(client: AsyncClient) -> None:
        with within(0.2, least=0.18), pytest.raises(simdrive.OperationTimeout) as caught:
            await CALLS[name](client)
        assert caught.value.op == {"ping": "is_empty", "batch_read_structured": "batch_read"}.get(name, name)
        assert caught.value.sent is True
        assert caught.value.outcome == "unknown"
        assert caught.value.attempts == 1
        assert 0.18 <= caught.value.elapsed < 1
        await CALLS[name](client)
        assert client._stats()["connections"] == 1

    with FaultPeer(script=[Behaviour(call=lambda *_: None)]) as peer:
        with_client(run, peer, use, timeout=0.2)


def test_attributes(run: Runner) -> None:
    async def use(client: AsyncClient) -> None:
        with pytest.raises(simdrive.SimdriveError) as caught:
            await client.read(b"a key of more than sixteen bytes", timeout=0.05)
        error = caught.value
        assert (error.op, error.key_hint) == ("read", b"a key of more th".hex())
        assert str(peer.port) in str(error.endpoint)
        assert str(peer.port) in str(error)

    with FaultPeer(script=[SILENT]) as peer:
        with_client(run, peer, use)


# ---- rounds of the loop ---------------------------------------------------------------------------------------------


def test_requests_of_one_round_leave_together(run: Runner) -> None:
    async def use(client: AsyncClient) -> None:
        await client.exists(b"key")
        before = client._stats()["sends"]
        # The first finds nobody under way and leaves at once; the others are one message.
        await asyncio.gather(*(client.write(b"key %d" % i, b"value") for i in range(100)))
        assert client._stats()["sends"] - before == 2

    with FaultPeer() as peer:
        with_client(run, peer, use)


def test_a_lone_request_is_sent_in_the_round_it_is_made_in(run: Runner) -> None:
    async def use(client: AsyncClient) -> None:
        for _ in range(20):
            before = client._stats()["sends"]
            reading = client.read(b"key")
            coroutine: Any = reading.__await__()
            waiting = next(coroutine)  # up to its first await
            assert client._stats()["sends"] - before == 1
            await asyncio.wait([waiting])
            waiting._asyncio_future_blocking = False
            with pytest.raises(StopIteration):
                coroutine.send(None)

    with FaultPeer() as peer:
        with_client(run, peer, use)


def test_answers_in_another_order(run: Runner) -> None:
    """Each reply is kept back until its partner came, and then sent behind it."""
    kept: list[Call] = []

    def swap(connection: Connection, call: Call) -> None:
        kept.append(call)
        if len(kept) == 50:
            while kept:
                connection.answer_well(kept.pop())

    async def use(client: AsyncClient) -> None:
        order: list[int] = []

        async def read(number: int) -> None:
            assert await client.read(b"key %d" % number) == b"value %d" % number
            order.append(number)

        for _ in range(4):
            del order[:]
            await asyncio.gather(*(read(i) for i in range(50)))
            assert order == list(reversed(range(50)))

    behaviour = Behaviour(call=swap, methods=frozenset(["read"]), times=None)
    with FaultPeer(script=[behaviour]) as peer:
        peer.store.entries.update({b"key %d" % i: b"value %d" % i for i in range(50)})
        with_client(run, peer, use)


def test_slow_consumers(run: Runner) -> None:
    """Replies that came are kept for callers that do not look; others get theirs meanwhile."""

    async def use(client: AsyncClient) -> None:
        values = {b"key %d" % i: b"%d " % i * 100_000 for i in range(8)}
        await client.batch_write(values)
        tasks = [asyncio.ensure_future(client.read(key)) for key in values]
        await until(lambda: client._core.pending == 0, "all replies")
        assert await client.exists(b"key 1") is True
        time.sleep(0.05)  # the loop is held
        assert await asyncio.gather(*tasks) == list(values.values())

    with FaultPeer() as peer:
        with_client(run, peer, use)
