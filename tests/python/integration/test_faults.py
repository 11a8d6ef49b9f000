"""Every fault of a network, times every method, through the fault proxy to the real server, and to ours.

A fault is run once, with all methods at the same time: each on a client of its own, or all on one. Every test below
then looks at one property of one method in it. Both ways of sharing on all servers are six times the time, so the
ordinary run takes one of each; the rest is marked slow. So with the asyncio client, on each kind of loop.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Literal

import pytest

import simdrive
from support.blocking import THREADS, connect_as
from support.fault_proxy import FaultProxy
from support.fault_proxy_timing import LagMeter
from support.ports import wait_until
from support.real_server import OURS, RealServer
from support.targets import make_server
from support.timing import SLACK

SIZE = 40_000
SHORT = 0.3  # the timeout where a call is expected to run into it
LONG = 5.0
HASTE = 0.05  # the older server never answers a Close

Expectation = Literal["answer", "reads", "error", "either"]


def value(name: str, size: int = SIZE) -> bytes:
    return Random(name).randbytes(size)


@dataclass(frozen=True)
class Fault:
    """What befalls the connections of connected clients.

    "answer": every call has to succeed all the same. "reads": what does not write is tried again and has to succeed.
    "error": nothing can succeed before the deadline. "either": it depends on the size.
    """

    apply: Callable[[FaultProxy], None]
    expect: Expectation
    timeout: float = LONG


def reset_and(how: Literal["refuse", "close", "reset", "hold"]) -> Callable[[FaultProxy], None]:
    def apply(proxy: FaultProxy) -> None:
        proxy.admit(how)
        proxy.reset()

    return apply


FAULTS = {
    "latency": Fault(lambda proxy: proxy.set_latency(0.03), "answer"),
    "bandwidth": Fault(lambda proxy: proxy.set_bandwidth(2_000_000), "answer"),
    "narrow bandwidth": Fault(lambda proxy: proxy.set_bandwidth(20_000), "either", SHORT),
    "slices up": Fault(lambda proxy: proxy.set_slicing(41, "up"), "answer"),
    "slices down": Fault(lambda proxy: proxy.set_slicing(41, "down"), "answer"),
    "reset": Fault(lambda proxy: proxy.reset(), "reads"),
    "reset with the first byte up": Fault(lambda proxy: proxy.cut_after(0, "up"), "reads"),
    "reset in the request": Fault(lambda proxy: proxy.cut_after(SIZE // 2, "up"), "reads"),
    "close in the request": Fault(lambda proxy: proxy.cut_after(30, "up", then="close"), "reads"),
    "reset before the reply": Fault(lambda proxy: proxy.cut_after(0, "down"), "reads"),
    "reset in the reply": Fault(lambda proxy: proxy.cut_after(SIZE // 2, "down"), "reads"),
    "close in the reply": Fault(lambda proxy: proxy.cut_after(3, "down", then="close"), "reads"),
    "silence in the request": Fault(lambda proxy: proxy.cut_after(30, "up", then="silence"), "error", SHORT),
    "silence in the reply": Fault(lambda proxy: proxy.cut_after(3, "down", then="silence"), "error", SHORT),
    "half-close of the client's side": Fault(lambda proxy: proxy.half_close("client"), "reads"),
    # What the server makes of it is its own affair: it may answer nothing more, and not close either.
    "half-close of the server's side": Fault(lambda proxy: proxy.half_close("server"), "either", SHORT),
    "silence up": Fault(lambda proxy: proxy.silence("up"), "error", SHORT),
    "silence down": Fault(lambda proxy: proxy.silence("down"), "error", SHORT),
    "silence": Fault(lambda proxy: proxy.silence(), "error", SHORT),
    "stall up": Fault(lambda proxy: proxy.stall("up"), "error", SHORT),
    "stall down": Fault(lambda proxy: proxy.stall("down"), "error", SHORT),
    "refused": Fault(reset_and("refuse"), "error", SHORT),
    "accepted and closed": Fault(reset_and("close"), "error", SHORT),
    "accepted and reset": Fault(reset_and("reset"), "error", SHORT),
    "accepted and held": Fault(reset_and("hold"), "error", SHORT),
    "every connection cut": Fault(
        lambda proxy: proxy.cut_after(0, "down", later=True),
        "error",
        SHORT,
    ),
}


@dataclass
class Keys:
    """The keys of one method, what is under them before, and what it writes."""

    method: str
    run: str

    def __post_init__(self) -> None:
        self.names = [f"{self.run} {self.method} {i}".encode() for i in range(3)]
        self.absent = f"{self.run} {self.method} absent".encode()
        self.before = {name: value(f"before {name!r}") for name in self.names}
        self.after = {name: value(f"after {name!r}") for name in self.names[:2]}


@dataclass(frozen=True)
class Method:
    """A call, and whether an answer is right for the keys and the number of keys that there are at most."""

    call: Callable[[simdrive.Client, Keys], object]
    right: Callable[[object, Keys, int], bool]
    # What is under the keys when it was applied; None: it writes nothing.
    applied: Callable[[Keys], dict[bytes, bytes | None]] | None = None


def is_none(answer: object, _keys: Keys, _count: int) -> bool:
    return answer is None


METHODS = {
    "write": Method(
        lambda client, keys: client.write(keys.names[0], keys.after[keys.names[0]]),
        is_none,
        lambda keys: {keys.names[0]: keys.after[keys.names[0]]},
    ),
    "batch_write": Method(lambda client, keys: client.batch_write(keys.after), is_none, lambda keys: {**keys.after}),
    "delete": Method(lambda client, keys: client.delete(keys.names[0]), is_none, lambda keys: {keys.names[0]: None}),
    "read": Method(
        lambda client, keys: client.read(keys.names[0]),
        lambda answer, keys, _count: answer == keys.before[keys.names[0]],
    ),
    "batch_read": Method(
        lambda client, keys: client.batch_read([*keys.names, keys.absent]),
        lambda answer, keys, _count: answer == [*keys.before.values(), None],
    ),
    "batch_read_structured": Method(
        lambda client, keys: client.batch_read_structured({"a": keys.names[0], "b": keys.absent, "c": keys.names[1]}),
        lambda answer, keys, _count: (
            answer == {"a": keys.before[keys.names[0]], "b": None, "c": keys.before[keys.names[1]]}
        ),
    ),
    "exists": Method(lambda client, keys: client.exists(keys.names[0]), lambda answer, *_: answer is True),
    # The delete beside it takes one key away.
    "len": Method(lambda client, _keys: len(client), lambda answer, _keys, count: answer in {count - 1, count}),
    "is_empty": Method(lambda client, _keys: client.is_empty(), lambda answer, *_: answer is False),
    "file_size": Method(
        lambda client, _keys: client.file_size(),
        lambda answer, _keys, count: isinstance(answer, int) and answer >= count * SIZE,
    ),
    "ping": Method(
        lambda client, _keys: client.ping(), lambda answer, *_: isinstance(answer, float) and 0 < answer < LONG
    ),
}


@dataclass
class Report:
    """What came of one method in one fault."""

    keys: Keys
    answer: object = None
    error: BaseException | None = None
    started: float = 0.0
    ended: float = 0.0
    right: bool = False
    state: dict[bytes, bytes | None] = field(default_factory=dict)
    afterwards: BaseException | None = None


class Run:
    """All methods at once on clients that are connected when the fault comes."""

    def __init__(self, server: RealServer, name: str, *, shared: bool, kind: str) -> None:
        self.kind = kind
        self.fault = FAULTS[name]
        self.reports = {method: Report(Keys(method, f"{name} {shared}")) for method in METHODS}
        self.meter = LagMeter()
        observing = simdrive.connect(server.url, timeout=30, close_timeout=HASTE)
        with self.meter, FaultProxy(server.port) as proxy, observing as observer:
            for report in self.reports.values():
                observer.batch_write(report.keys.before)
            self.count = len(observer)
            clients = {method: self._connect(proxy) for method in (["all"] if shared else METHODS)}
            try:
                self._call_all(proxy, clients)
                for method, report in self.reports.items():
                    self._use(clients.get(method) or clients["all"], report)
            finally:
                for client in clients.values():
                    client.close(timeout=HASTE)
            for report in self.reports.values():
                report.state = dict(zip(report.keys.names, observer.batch_read(report.keys.names), strict=True))

    def _connect(self, proxy: FaultProxy) -> simdrive.Client:
        return connect_as(self.kind, proxy.url, timeout=self.fault.timeout, reconnect_spread=0.0)

    def _call_all(self, proxy: FaultProxy, clients: dict[str, simdrive.Client]) -> None:
        start = threading.Barrier(len(METHODS) + 1)
        threads = [
            threading.Thread(
                target=self._call, args=(start, clients.get(method) or clients["all"], method), daemon=True
            )
            for method in METHODS
        ]
        for thread in threads:
            thread.start()
        self.fault.apply(proxy)
        start.wait(10)
        for thread in threads:
            thread.join(self.fault.timeout + 20)
            assert not thread.is_alive(), "a call does not end"
        proxy.heal()

    def _call(self, start: threading.Barrier, client: simdrive.Client, method: str) -> None:
        report = self.reports[method]
        start.wait(10)
        report.started = time.monotonic()
        try:
            report.answer = METHODS[method].call(client, report.keys)
        except BaseException as error:
            report.error = error
        report.ended = time.monotonic()
        report.right = METHODS[method].right(report.answer, report.keys, self.count)

    @staticmethod
    def _use(client: simdrive.Client, report: Report) -> None:
        """The client after the fault: as good as new, after at most one call that finds out about a lost connection."""
        try:
            marker = report.keys.absent + b" after the fault"
            try:
                client.write(marker, b"usable", timeout=LONG)
            except simdrive.ConnectionLostError:
                client.write(marker, b"usable", timeout=LONG)
            assert client.read(marker, timeout=LONG) == b"usable"
            client.delete(marker, timeout=LONG)
        except BaseException as error:
            report.afterwards = error


VARIANTS = [
    pytest.param(("0.17.5-alpha", False, THREADS), id="d13-own"),
    pytest.param(("0.16.2-alpha", True, THREADS), id="d21-shared"),
    pytest.param(("0.17.5-alpha", True, THREADS), id="d13-shared", marks=pytest.mark.slow),
    pytest.param(("0.16.2-alpha", False, THREADS), id="d21-own", marks=pytest.mark.slow),
    pytest.param(("0.17.5-alpha", True, "asyncio"), id="d13-shared-asyncio"),
    pytest.param(("0.16.2-alpha", False, "uvloop"), id="d21-own-uvloop"),
    pytest.param(("0.17.5-alpha", False, "blind"), id="d13-own-blind", marks=pytest.mark.slow),
    pytest.param(("0.16.2-alpha", False, "asyncio"), id="d21-own-asyncio", marks=pytest.mark.slow),
    pytest.param(("0.17.5-alpha", True, "uvloop"), id="d13-shared-uvloop", marks=pytest.mark.slow),
    pytest.param((OURS, False, THREADS), id="ours-own"),
    pytest.param((OURS, True, "asyncio"), id="ours-shared-asyncio"),
    pytest.param((OURS, True, THREADS), id="ours-shared", marks=pytest.mark.slow),
    pytest.param((OURS, False, "uvloop"), id="ours-own-uvloop", marks=pytest.mark.slow),
]


@pytest.fixture(scope="module", params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> Iterator[tuple[RealServer, bool, str]]:
    version, shared, kind = request.param
    with make_server(version) as running:
        yield running, shared, kind


@pytest.fixture(scope="module", params=FAULTS)
def run(request: pytest.FixtureRequest, variant: tuple[RealServer, bool, str]) -> Run:
    server, shared, kind = variant
    return Run(server, request.param, shared=shared, kind=kind)


@pytest.mark.parametrize("method", METHODS)
def test_method_in_fault(run: Run, method: str) -> None:
    report = run.reports[method]
    run.meter.check(method, report.started, report.ended, run.fault.timeout)
    if report.error is None:
        assert report.right, f"{str(report.answer)[:200]} is wrong"
    else:
        check_error(report, "size" if method == "len" and run.kind != THREADS else method)
    check_expectation(report, run.fault, METHODS[method])
    check_state(report, METHODS[method])


def check_error(report: Report, method: str) -> None:
    error = report.error
    assert isinstance(error, simdrive.SimdriveError), repr(error)
    assert error.op == method.replace("batch_read_structured", "batch_read")
    assert error.endpoint
    assert error.outcome in {"not applied", "unknown"}
    took = report.ended - report.started
    assert 0 <= error.elapsed <= took + 0.001
    if isinstance(error, simdrive.OperationTimeout):
        assert took >= SHORT - 0.02, "given up before the deadline"


def check_expectation(report: Report, fault: Fault, method: Method) -> None:
    error = report.error
    if fault.expect == "answer" or (fault.expect == "reads" and method.applied is None):
        if error is not None:
            raise error
    elif fault.expect == "error":
        assert error is not None, "an answer out of nowhere"
        # A write whose bytes had left when the connection broke is not tried again; all else waits for a connection.
        allowed = (simdrive.OperationTimeout, simdrive.ConnectionLostError)
        assert isinstance(error, allowed if method.applied else allowed[:1]), repr(error)
    elif fault.expect == "reads":
        assert error is None or isinstance(error, simdrive.ConnectionLostError), repr(error)


def check_state(report: Report, method: Method) -> None:
    before = report.keys.before
    if method.applied is None:
        assert report.state == before
        return
    after = {**before, **method.applied(report.keys)}
    if report.error is None:
        assert report.state == after
    else:
        assert isinstance(report.error, simdrive.SimdriveError)
        assert report.state in (before, after), "neither the old nor the new values"
        if report.error.outcome == "not applied":
            assert report.state == before, "said to be not applied, and was"


@pytest.mark.parametrize("method", METHODS)
def test_usable_afterwards(run: Run, method: str) -> None:
    error = run.reports[method].afterwards
    if error is not None:
        raise error


# ---- what is known of a write ---------------------------------------------------------------------------------------


@pytest.fixture(params=[THREADS, "asyncio"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def proxied(one_server: RealServer) -> Iterator[FaultProxy]:
    with FaultProxy(one_server.port) as proxy:
        yield proxy


def lose_connection(client: simdrive.Client, proxy: FaultProxy) -> None:
    """Break it, let nobody in, and wait until the client knows."""
    proxy.refuse()
    # The first call may still go out on the lost connection; one that ends in time for another has found out.
    for _ in range(2):
        with pytest.raises(simdrive.SimdriveError):
            client.exists(b"key", timeout=SHORT)


WRITES: dict[str, Callable[[simdrive.Client], object]] = {
    "write": lambda client: client.write(b"key", b"new", timeout=SHORT),
    "batch_write": lambda client: client.batch_write({b"key": b"new", b"other": b"new"}, timeout=SHORT),
    "delete": lambda client: client.delete(b"key", timeout=SHORT),
}


@pytest.mark.parametrize("method", WRITES)
def test_without_a_connection_nothing_is_applied(
    kind: str, proxied: FaultProxy, one_server: RealServer, method: str
) -> None:
    with simdrive.connect(one_server.url) as observer, LagMeter() as meter:
        observer.write(b"key", b"old")
        with connect_as(kind, proxied.url, reconnect_spread=0.0) as client:
            lose_connection(client, proxied)
            started = time.monotonic()
            with pytest.raises(simdrive.OperationTimeout) as caught:
                WRITES[method](client)
            meter.check(method, started, time.monotonic(), SHORT)
            assert caught.value.outcome == "not applied"
            assert caught.value.sent is False
            assert caught.value.op == method
            assert isinstance(caught.value.__cause__, simdrive.ConnectError), repr(caught.value.__cause__)
            proxied.heal()
            assert client.read(b"key", timeout=LONG) == b"old"
        assert observer.batch_read([b"key", b"other"]) == [b"old", None]


@pytest.mark.parametrize("method", WRITES)
def test_without_retry_the_connect_error_comes_at_once(
    kind: str, proxied: FaultProxy, one_server: RealServer, method: str
) -> None:
    with connect_as(kind, proxied.url, reconnect_spread=0.0, retry=simdrive.Retry.NONE) as client:
        client.write(b"key", b"old")
        lose_connection(client, proxied)
        started = time.monotonic()
        with pytest.raises(simdrive.ConnectError) as caught:
            WRITES[method](client)
        assert time.monotonic() - started <= SHORT + SLACK
        assert caught.value.outcome == "not applied"
        proxied.heal()

        # Back by itself: nothing but the reconnect in the background is left to bring the connection back.
        def value_of_key() -> bytes | None:
            try:
                return client.read(b"key", timeout=LONG)
            except simdrive.ConnectError:
                return None

        proxied.wait_for_connections(2, timeout=LONG)
        deadline = time.monotonic() + LONG
        while value_of_key() != b"old":
            assert time.monotonic() < deadline


@pytest.mark.parametrize("method", WRITES)
def test_a_write_that_got_through_without_its_reply_is_unknown(
    kind: str, proxied: FaultProxy, one_server: RealServer, method: str
) -> None:
    with simdrive.connect(one_server.url) as observer, connect_as(kind, proxied.url, reconnect_spread=0.0) as client:
        observer.write(b"key", b"old")
        proxied.cut_after(0, "down")
        with pytest.raises(simdrive.ConnectionLostError) as caught:
            WRITES[method](client)
        assert caught.value.outcome == "unknown"
        # The server may be at it still: the connection of another client is no later one.
        wanted = None if method == "delete" else b"new"
        wait_until(lambda: observer.read(b"key") == wanted, timeout=10, what="the write is carried out")
        assert client.read(b"key", timeout=LONG) == (None if method == "delete" else b"new")


def test_a_write_is_sent_again_only_when_asked(kind: str, proxied: FaultProxy) -> None:
    always = simdrive.Retry(retry_writes="always", base=0.01)
    with connect_as(kind, proxied.url, reconnect_spread=0.0, retry=always) as client:
        proxied.cut_after(0, "down")
        client.write(b"key", b"twice", timeout=LONG)
        assert client.read(b"key") == b"twice"
        assert proxied.connections == 2


def test_many_losses_use_up_the_retries(kind: str, proxied: FaultProxy) -> None:
    few = simdrive.Retry(retries=2, base=0.01, cap=0.02)
    with connect_as(kind, proxied.url, reconnect_spread=0.0, retry=few) as client:
        client.write(b"key", b"value")
        received = proxied.traffic("down").passed
        with connect_as(kind, proxied.url) as other:  # what connecting takes
            handshake = proxied.traffic("down").passed - received
            assert other.exists(b"key")
        # Each later connection is let through its handshake, and cut in the reply behind it.
        proxied.cut_after(handshake + 1, "down", later=True)
        proxied.cut_after(1, "down", later=False)
        before = proxied.connections
        with pytest.raises(simdrive.ConnectionLostError) as caught:
            client.read(b"key", timeout=LONG)
        assert caught.value.attempts == 3
        assert proxied.connections - before <= 4
        proxied.heal()
        assert client.read(b"key", timeout=LONG) == b"value"
