"""Pipelines of the synchronous client: futures, limits, deadlines, order, and how they end."""

# ruff: noqa: PT012  # a pipeline raises when its block is left

from __future__ import annotations

import builtins
import concurrent.futures
import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import simdrive
from simdrive import BatchError, Pipeline, PipelineFuture
from support.fault_peer import Behaviour, Call, Connection, FaultPeer
from support.gate import Gate
from support.ports import wait_until
from support.timing import within

LARGE = bytes(range(1, 251)) * 1200


@pytest.fixture(params=["d13", "d21"])
def peer(request: pytest.FixtureRequest) -> Iterator[FaultPeer]:
    with FaultPeer(request.param) as running:
        yield running
    assert running.errors == []


@pytest.fixture
def client(peer: FaultPeer) -> Iterator[simdrive.Client]:
    with simdrive.connect(peer.url) as opened:
        yield opened


@pytest.fixture
def gate() -> Gate:
    return Gate("write", "read")


@pytest.fixture
def gated(gate: Gate) -> Iterator[FaultPeer]:
    """A peer that answers reads and writes when the gate is opened."""
    with FaultPeer(script=[gate.behaviour]) as running:
        yield running
        gate.open()
    assert running.errors == []


def reset(connection: Connection, call: Call) -> None:
    connection.reset()


# ---- what calls come to ---------------------------------------------------------------------------------------------


def test_every_method(client: simdrive.Client) -> None:
    buffer = bytearray(len(LARGE))
    with client.pipeline() as p:
        written = [p.write(b"a", b"1"), p.write(b"large", LARGE)]
        small, large, absent = p.read(b"a"), p.read(b"large"), p.read(b"nothing")
        default = p.read(b"nothing", default=b"else")
        view, small_view = p.read(b"large", out="view"), p.read(b"a", out="view")
        size = p.read(b"large", out=buffer)
        there = p.exists(b"a")
        deleted = p.delete(b"a")
        gone = p.exists(b"a")
    assert [f.result() for f in written] == [None, None]
    assert small.result() == b"1"
    assert large.result() == LARGE
    assert type(large.result()) is bytes
    assert absent.result() is None
    assert default.result() == b"else"
    assert view.result() == LARGE
    assert small_view.result() == b"1"
    assert isinstance(view.result(), simdrive.Value)
    assert size.result() == len(LARGE)
    assert buffer == LARGE
    assert there.result() is True
    assert deleted.result() is None
    assert gone.result() is False


def test_is_a_future(client: simdrive.Client) -> None:
    with client.pipeline() as p:
        future = p.write(b"key", b"value")
    assert isinstance(future, concurrent.futures.Future)
    assert isinstance(future, PipelineFuture)
    assert future.done()
    assert future.exception() is None
    assert not future.running()
    assert not future.cancel()
    assert not future.cancelled()


def test_leaving_waits_for_all(client: simdrive.Client) -> None:
    with client.pipeline() as p:
        futures = [p.write(b"%d" % i, b"v%d" % i) for i in range(500)]
    assert all(f.done() for f in futures)
    with client.pipeline() as p:
        values = [p.read(b"%d" % i) for i in range(500)]
    assert [f.result() for f in values] == [b"v%d" % i for i in range(500)]


# How many share a send depends on who is faster, except where nothing can be sent.
@pytest.mark.parametrize("dialect", ["d13", "d21"])
def test_small_requests_share_sends(dialect: str) -> None:
    read_on = threading.Event()

    def stop_reading(connection: Connection, call: Call) -> None:
        read_on.wait(60)
        connection.answer_well(call)

    script = [Behaviour(call=stop_reading, methods=frozenset({"read"}))]
    with FaultPeer(dialect, script=script) as peer, simdrive.connect(peer.url) as client:
        with client.pipeline() as p:
            p.read(b"key")
            peer.wait_for_calls(1)
            p.write(b"large", LARGE * 40)  # 12 MB: more than the two sockets keep
            wait_until(lambda: client._stats()["sends"] > 1, timeout=60, what="the large request is under way")
            before = client._stats()
            there = [p.exists(b"key %d" % i) for i in range(1000)]
            assert client._stats()["sends"] - before["sends"] < 100
            read_on.set()
        assert [f.result() for f in there] == [False] * 1000
        after = client._stats()
        assert after["calls"] - before["calls"] == 1000
        assert after["sends"] - before["sends"] < 500  # the rest of the large one goes in 64 KiB each
        assert peer.errors == []


def test_a_lone_call_leaves_at_once(gated: FaultPeer, gate: Gate) -> None:
    with simdrive.connect(gated.url) as client, client.pipeline() as p:
        first = p.read(b"key")
        gated.wait_for_calls(1)  # and nobody waits for it, nor is the block left
        second = p.read(b"key")
        gated.wait_for_calls(2)
        assert not first.done()
        gate.open()
        assert first.result() is None
        assert second.result() is None


def test_writes_of_one_key_keep_their_order(client: simdrive.Client) -> None:
    with client.pipeline() as p:
        for i in range(300):
            p.write(b"key", b"%d" % i)
        last = p.read(b"key")
        client.write(b"key", b"by the client")
        after = p.read(b"key")
    assert last.result() == b"299"
    assert after.result() == b"by the client"


# ---- futures of others ----------------------------------------------------------------------------------------------


def test_concurrent_futures_wait(gated: FaultPeer, gate: Gate) -> None:
    with simdrive.connect(gated.url) as client, client.pipeline() as p:
        futures = [p.read(b"%d" % i) for i in range(10)]
        done, left = concurrent.futures.wait(futures, timeout=0.05)
        assert (done, left) == (set(), set(futures))
        gate.open()
        done, left = concurrent.futures.wait(futures, timeout=20)
        assert (done, left) == (set(futures), set())


def test_as_completed(client: simdrive.Client) -> None:
    with client.pipeline() as p:
        keys: dict[concurrent.futures.Future[None], int] = {p.write(b"%d" % i, b"x"): i for i in range(50)}
        assert sorted(keys[f] for f in concurrent.futures.as_completed(keys, timeout=20)) == list(range(50))


def test_callbacks_without_anybody_waiting(client: simdrive.Client) -> None:
    said = threading.Event()
    with client.pipeline() as p:
        p.write(b"key", b"value").add_done_callback(lambda _: said.set())
        assert said.wait(20)


def test_a_callback_may_call_the_client_and_wait_for_others(client: simdrive.Client) -> None:
    client.write(b"key", b"value")
    results: list[Any] = []
    with client.pipeline() as p:

        def follow(_: object) -> None:
            results.append(client.read(b"key"))
            results.append(p.read(b"key").result(timeout=20))
            results.append(last.result(timeout=20))

        first = p.exists(b"key")
        last = p.read(b"key")
        first.add_done_callback(follow)
    wait_until(lambda: len(results) == 3, timeout=20, what="the callback ends")
    assert results == [b"value"] * 3


def test_result_has_a_timeout(gated: FaultPeer, gate: Gate) -> None:
    with simdrive.connect(gated.url) as client, client.pipeline() as p:
        future = p.read(b"key")
        for wait in (future.result, future.exception):
            with within(0.1, least=0.09), pytest.raises(concurrent.futures.TimeoutError):
                wait(timeout=0.1)
        gate.open()
        assert future.result(timeout=20) is None


def test_many_threads_wait_for_one_another(client: simdrive.Client) -> None:
    for i in range(20):
        client.write(b"%d" % i, b"%d" % i)
    wrong: list[object] = []

    def work(pipeline: Pipeline) -> None:
        for _ in range(20):
            futures = [pipeline.read(b"%d" % i) for i in range(20)]
            wrong.extend(i for i in reversed(range(20)) if futures[i].result(timeout=20) != b"%d" % i)

    with client.pipeline() as shared, client.pipeline() as other:
        threads = [threading.Thread(target=work, args=(p,)) for p in (shared, shared, shared, other, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads)
    assert wrong == []


# ---- failures -------------------------------------------------------------------------------------------------------


def test_batch_error(client: simdrive.Client) -> None:
    with pytest.raises(BatchError) as caught, client.pipeline() as p:
        good = p.write(b"a", b"1")
        empty = p.write(b"b", b"")
        p.read(b"a")
        nul = p.write(b"c", b"\0")
    error = caught.value
    assert good.result() is None
    assert error.done == 2
    assert list(error.failed) == [1, 3]
    assert error.failed[1] is empty.exception()
    assert error.exceptions == (empty.exception(), nul.exception())
    assert all(isinstance(e, simdrive.InvalidValueError) for e in error.exceptions)
    assert error.failed[1].key_hint == b"b".hex()  # type: ignore[attr-defined]
    assert (error.op, error.endpoint, error.outcome) == ("pipeline", client.options.url, "not applied")
    assert "2 of 4 calls failed; the first, number 1: write on" in str(error)
    assert isinstance(error, simdrive.SimdriveError)


def test_batch_error_is_a_group() -> None:
    lost, refused = simdrive.ConnectionLostError("lost"), simdrive.InvalidKeyError("refused")
    lost.outcome = "unknown"
    error = BatchError("some failed", {2: lost, 5: lost, 7: refused}, 4)
    assert error.exceptions == (lost, refused)
    assert error.outcome == "unknown"
    assert "some failed (2 sub-exceptions)" in str(error)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own
    assert (copy.done, list(copy.failed), copy.outcome, str(copy)) == (4, [2, 5, 7], "unknown", str(error))
    if sys.version_info >= (3, 11):
        assert isinstance(error, builtins.ExceptionGroup)
        part = error.subgroup(simdrive.InvalidKeyError)
        assert isinstance(part, BatchError)
        assert part.failed == {7: refused}


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda p: p.write("key", b"value"), TypeError),
        (lambda p: p.write(b"key", 5), TypeError),
        (lambda p: p.read(None), TypeError),
        (lambda p: p.read(b"key", out=b"not writable"), TypeError),
        (lambda p: p.read(b"key", out="text"), simdrive.ConfigurationError),
        (lambda p: p.delete(b"key", timeout=-1), simdrive.ConfigurationError),
        (lambda p: p.exists(b"key", timeout="1"), TypeError),
    ],
)
def test_wrong_arguments_are_raised_at_once(
    client: simdrive.Client, call: Callable[[Pipeline], object], kind: type[Exception]
) -> None:
    with client.pipeline() as p:
        with pytest.raises(kind):
            call(p)
        assert p.exists(b"key").result() is False
    assert client._pipeline_core(None).pending == 0


@pytest.mark.parametrize("most", [0, -1])
def test_max_inflight_must_be_positive(client: simdrive.Client, most: int) -> None:
    with pytest.raises(simdrive.ConfigurationError):
        client.pipeline(max_inflight=most)
    with pytest.raises(TypeError):
        client.pipeline(max_inflight="1")  # type: ignore[arg-type]


def test_a_buffer_that_is_too_small(client: simdrive.Client) -> None:
    client.write(b"key", LARGE)
    client.write(b"small", b"12345")
    p = client.pipeline()
    for key in (b"key", b"small"):
        with pytest.raises(simdrive.BufferTooSmallError):
            p.read(key, out=bytearray(4)).result()
    assert client.exists(b"key")


def test_an_error_of_the_server() -> None:
    def refuse(connection: Connection, call: Call) -> None:
        connection.reply(call, b"no", status=2)

    with FaultPeer(script=[Behaviour(call=refuse)]) as peer, simdrive.connect(peer.url) as client:
        with pytest.raises(BatchError) as caught, client.pipeline() as p:
            p.delete(b"key")
        assert isinstance(caught.value.failed[0], simdrive.ServerError)


def test_deadlines(gated: FaultPeer) -> None:
    with simdrive.connect(gated.url) as client:
        with pytest.raises(BatchError) as caught, within(0.3, least=0.29), client.pipeline() as p:
            p.write(b"a", b"1", timeout=0.3)
            p.read(b"b", timeout=0.1)
        first, second = caught.value.exceptions
        assert isinstance(first, simdrive.OperationTimeout)
        assert isinstance(second, simdrive.OperationTimeout)
        assert (first.op, first.sent, first.outcome, first.key_hint) == ("write", True, "unknown", b"a".hex())
        assert second.elapsed == pytest.approx(0.1, abs=0.1)


def test_deadlines_pass_without_anybody_waiting(gated: FaultPeer) -> None:
    with simdrive.connect(gated.url) as client:
        future = client.pipeline().read(b"key", timeout=0.1)
        done, _ = concurrent.futures.wait([future], timeout=20)
        assert done == {future}
        assert isinstance(future.exception(), simdrive.OperationTimeout)


def test_waits_for_room(gated: FaultPeer, gate: Gate) -> None:
    with simdrive.connect(gated.url) as client, client.pipeline(max_inflight=2) as p:
        first, second = p.read(b"a"), p.read(b"b")
        with within(0.2, least=0.19):
            third = p.read(b"c", timeout=0.2)
        error = third.exception()
        assert isinstance(error, simdrive.OverloadError)
        assert (error.op, error.outcome, error.key_hint) == ("read", "not applied", b"c".hex())
        with client.pipeline() as free:
            free.exists(b"x")  # has no such limit
        threading.Thread(target=gate.open).start()
        assert p.read(b"d", timeout=20).result() is None
        assert (first.result(), second.result()) == (None, None)
        p._failed.clear()


def test_never_more_than_the_client_allows(gated: FaultPeer, gate: Gate) -> None:
    with simdrive.connect(gated.url, max_inflight=3) as client, client.pipeline(max_inflight=100) as p:
        for i in range(3):
            p.read(b"%d" % i)
        assert isinstance(p.read(b"3", timeout=0.05).exception(), simdrive.OverloadError)
        assert len(gated.calls) <= 3
        gate.open()
        p._failed.clear()


def test_cancel_takes_back_what_was_not_sent(gated: FaultPeer, gate: Gate) -> None:
    with simdrive.connect(gated.url, max_inflight=1) as client:
        other = threading.Thread(target=client.read, args=(b"other",))
        other.start()
        gated.wait_for_calls(1)
        with client.pipeline() as p:
            unsent = p.write(b"key", b"value")  # finds no room on the connection
            notified = threading.Event()
            unsent.add_done_callback(lambda _: notified.set())
            assert unsent.cancel()
            assert unsent.cancel()
            assert unsent.cancelled()
            assert notified.is_set()
            assert concurrent.futures.wait([unsent], timeout=20).done == {unsent}
            with pytest.raises(concurrent.futures.CancelledError):
                unsent.result()
            gate.open()
            other.join(20)
            assert not p.exists(b"key").result()
    assert [call.method for call in gated.calls] == ["read", "exists"]


def test_cancel_leaves_alone_what_was_sent(gated: FaultPeer, gate: Gate) -> None:
    with simdrive.connect(gated.url) as client, client.pipeline() as p:
        sent = p.write(b"key", b"value")
        gated.wait_for_calls(1)
        assert not sent.cancel()
        gate.open()
        assert sent.result() is None


def test_an_exception_is_not_masked_and_what_is_unsent_is_taken_back(gated: FaultPeer, gate: Gate) -> None:
    with simdrive.connect(gated.url, max_inflight=1) as client:
        with pytest.raises(LookupError, match="of the body"), client.pipeline() as p:
            sent = p.write(b"a", b"1")
            gated.wait_for_calls(1)
            p.write(b"refused", b"")
            raise LookupError("of the body")
        assert not sent.done()
        gate.open()
        assert sent.result(timeout=20) is None
        with pytest.raises(simdrive.ClosedError, match="was left"):
            p.read(b"a")


def test_a_pipeline_that_was_left(client: simdrive.Client) -> None:
    with client.pipeline() as p:
        p.write(b"a", b"1")
    for call in (lambda: p.read(b"a"), lambda: p.write(b"a", b"1"), lambda: p.delete(b"a"), lambda: p.exists(b"a")):
        with pytest.raises(simdrive.ClosedError, match="was left"):
            call()
    assert "left, 0 calls" in repr(p)


def test_a_lost_connection_repeats_reads_and_nothing_that_was_sent() -> None:
    behaviour = Behaviour(call=reset, methods=frozenset({"exists"}))
    with FaultPeer(script=[behaviour]) as peer:
        peer.store.entries[b"key"] = b"value"
        with simdrive.connect(peer.url, reconnect_spread=0) as client, client.pipeline() as p:
            repeated = p.exists(b"key")
            assert repeated.result(timeout=20) is True
            assert p.read(b"key").result(timeout=20) == b"value"
        assert peer.connections == 2
    behaviour = Behaviour(call=reset, methods=frozenset({"write"}))
    with FaultPeer(script=[behaviour]) as peer, simdrive.connect(peer.url, reconnect_spread=0) as client:
        error = client.pipeline().write(b"key", b"value").exception(timeout=20)
        assert isinstance(error, simdrive.ConnectionLostError)
        assert error.outcome == "unknown"


def test_closing_the_client(gated: FaultPeer) -> None:
    client = simdrive.connect(gated.url)
    p = client.pipeline()
    future = p.read(b"key")
    gated.wait_for_calls(1)
    client.close()
    assert isinstance(future.exception(timeout=20), simdrive.ClosedError)
    assert isinstance(p.read(b"key").exception(timeout=20), simdrive.ClosedError)


def test_garbage(gated: FaultPeer, gate: Gate) -> None:
    with simdrive.connect(gated.url) as client:
        future = client.pipeline().read(b"key")  # nobody has the pipeline
        client.pipeline().read(b"key")  # nor anything of this one
        gated.wait_for_calls(2)
        gc.collect()
        gate.open()
        assert future.result(timeout=20) is None
        wait_until(lambda: client._pipeline_core(None).pending == 0, timeout=20, what="all calls end")


def test_buffers_are_locked_until_the_call_is_over(gated: FaultPeer, gate: Gate) -> None:
    with simdrive.connect(gated.url) as client, client.pipeline() as p:
        data = bytearray(b"value")
        future = p.write(b"key", data)
        gated.wait_for_calls(1)
        with pytest.raises(BufferError):
            data.append(1)
        gate.open()
        future.result(timeout=20)
        data.append(1)


def test_cannot_be_pickled(client: simdrive.Client) -> None:
    with client.pipeline() as p:
        future = p.exists(b"key")
        for thing in (p, future):
            with pytest.raises(TypeError, match="cannot be pickled"):
                pickle.dumps(thing)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork()")
def test_fork(gated: FaultPeer, gate: Gate) -> None:
    with simdrive.connect(gated.url) as client, client.pipeline() as p:
        futures = [p.write(b"%d" % i, b"x") for i in range(3)]
        gated.wait_for_calls(3)
        pid = os.fork()
        if pid == 0:
            signal.alarm(20)
            code = 1
            try:
                concurrent.futures.wait(futures, timeout=10)
                lost = [isinstance(f.exception(), simdrive.ConnectionLostError) for f in futures]
                code = 0 if all(lost) and p.exists(b"key").result(timeout=10) is False else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        gate.open()
        assert [f.result(timeout=20) for f in futures] == [None] * 3


INTERRUPTED = """
import os, signal, sys, threading
import simdrive

client = simdrive.connect(sys.argv[1], max_inflight=2)
try:
    with client.pipeline() as p:
        futures = [p.read(b"key") for _ in range(2)]
        print("ready", flush=True)
        if sys.argv[2] == "room":
            p.read(b"key")
        elif sys.argv[2] == "result":
            futures[0].result()
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="no such signals")
@pytest.mark.parametrize("where", ["room", "result", "leaving"])
def test_ctrl_c(gated: FaultPeer, where: str) -> None:
    command = [sys.executable, "-W", "ignore", "-c", INTERRUPTED, gated.url, where]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            gated.wait_for_calls(2)
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "interrupted\n"
            assert process.wait(20) == 0
        finally:
            process.kill()


AT_EXIT = """
import sys
import simdrive

client = simdrive.connect(sys.argv[1])
p = client.pipeline()
futures = [p.read(b"key") for _ in range(100)]
print("ready", flush=True)
"""


def test_python_ends_with_calls_under_way(gated: FaultPeer) -> None:
    command = [sys.executable, "-W", "ignore", "-c", AT_EXIT, gated.url]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "ready\n", "")


# ---- views and batches ----------------------------------------------------------------------------------------------


def test_namespaces(client: simdrive.Client) -> None:
    users = client.namespace(b"users")
    with users.pipeline() as p:
        p.write(b"alice", b"admin")
        mine = p.read(b"alice")
        there, absent = p.exists(b"alice"), p.exists(b"bob")
    assert (mine.result(), there.result(), absent.result()) == (b"admin", True, False)
    assert client.read(b"alice") is None
    with pytest.raises(BatchError) as caught, users.pipeline(max_inflight=1) as p:
        p.delete(b"alice")
        p.write(b"bob", b"")
    assert caught.value.failed[1].key_hint == b"bob".hex()  # type: ignore[attr-defined]
    assert not users.exists(b"alice")
    users.close()
    with pytest.raises(simdrive.ClosedError):
        users.pipeline()


def test_batch_delete(client: simdrive.Client) -> None:
    client.batch_write({b"%d" % i: b"x" for i in range(300)})
    client.batch_delete(b"%d" % i for i in range(299))
    assert len(client) == 1
    client.batch_delete([])
    with pytest.raises(TypeError, match="iterable of keys"):
        client.batch_delete(b"299")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="bytes-like"):
        client.batch_delete([b"299", "298"])  # type: ignore[list-item]
    assert client.exists(b"299")
    users = client.namespace(b"users")
    users.batch_write({b"a": b"1", b"b": b"2"})
    users.batch_delete([b"a", b"b"])
    assert users.batch_read([b"a", b"b"]) == [None, None]


def test_batch_delete_tells_what_failed(peer: FaultPeer) -> None:
    with simdrive.connect(peer.url, max_key_size=5) as client:
        with pytest.raises(BatchError) as caught:
            client.batch_delete([b"a", b"too long", b"c"])
        assert (caught.value.done, list(caught.value.failed)) == (2, [1])
        assert isinstance(caught.value.failed[1], simdrive.InvalidKeyError)
        assert "1 of 3 keys failed" in str(caught.value)


def test_batch_delete_tells_its_progress(peer: FaultPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simdrive.progress, "TOLD_EVERY", 0)
    keys = [b"%d" % i for i in range(50)]
    told: list[tuple[int, int]] = []
    with simdrive.connect(peer.url) as client:
        client.batch_delete(keys, progress=lambda done, total: told.append((done, total)))
        assert told == sorted(told)
        assert {total for _, total in told} == {50}
        assert told[-1] == (50, 50)
        assert len(told) == 101  # as each begins, as each ends, and of the whole
        client.batch_write(dict.fromkeys(keys, b"1"))
        monkeypatch.setattr(simdrive.progress, "TOLD_EVERY", 0)

        def fail(done: int, total: int) -> None:
            raise LookupError("of progress")

        with pytest.raises(LookupError, match="of progress"):
            client.batch_delete(keys, progress=fail)
        assert client.batch_read(keys[1:]) == [b"1"] * 49
        with pytest.raises(TypeError, match="progress must be callable"):
            client.batch_delete(iter([b"0"]), progress=1)  # type: ignore[arg-type]


def test_batch_delete_has_one_deadline() -> None:
    gate = Gate("delete")
    with FaultPeer(script=[gate.behaviour]) as peer, simdrive.connect(peer.url, max_inflight=1) as client:
        with within(0.3), pytest.raises(BatchError) as caught:
            client.batch_delete([b"a", b"b", b"c"], timeout=0.3)
        assert list(caught.value.failed) == [0, 1, 2]


def test_batch_write_in_parts(peer: FaultPeer, client: simdrive.Client) -> None:
    items = [(b"%03d" % i, b"v" * 97) for i in range(25)]
    told: list[tuple[int, int]] = []
    client.batch_write(items, max_bytes=1000, progress=lambda done, total: told.append((done, total)))
    assert [call.method for call in peer.calls] == ["batch_write"] * 3
    assert told == [(1000, 2500), (2000, 2500), (2500, 2500)]
    assert client.batch_read([key for key, _ in items]) == [value for _, value in items]
    client.batch_write({b"large": LARGE, b"small": b"1"}, max_bytes=10)  # a larger item goes alone
    assert client.read(b"large") == LARGE
    client.batch_write([(b"same", b"1"), (b"same", b"2")], max_bytes=1)
    assert client.read(b"same") == b"2"
    users = client.namespace(b"users")
    users.batch_write(dict(items), max_bytes=500)
    assert users.read(b"007") == b"v" * 97


def test_batch_write_in_parts_tells_what_failed(client: simdrive.Client) -> None:
    items = [(b"a", b"1"), (b"b", b"2"), (b"c", b""), (b"d", b"4"), (b"e", b"5")]
    with pytest.raises(BatchError) as caught:
        client.batch_write(items, max_bytes=4)
    error = caught.value
    assert (error.done, list(error.failed), len(error.exceptions)) == (3, [2, 3], 1)
    assert isinstance(error.exceptions[0], simdrive.InvalidValueError)
    assert (error.op, error.outcome) == ("batch_write", "not applied")
    assert client.batch_read([b"a", b"b", b"c", b"d", b"e"]) == [b"1", b"2", None, None, b"5"]


@pytest.mark.parametrize(("most", "kind"), [(0, simdrive.ConfigurationError), ("1", TypeError), (1.5, TypeError)])
def test_max_bytes_must_be_positive(client: simdrive.Client, most: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        client.batch_write({b"a": b"1"}, max_bytes=most)
    with pytest.raises(TypeError, match="bytes-like"):
        client.batch_write([(b"a", "1")], max_bytes=10)  # type: ignore[list-item]
