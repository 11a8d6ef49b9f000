"""Pipelines of the synchronous client in the hands of careless callers: nobody waits for ever."""

# ruff: noqa: PT012  # a pipeline raises when its block is left

from __future__ import annotations

import concurrent.futures
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import simdrive
import simdrive.pipeline
from simdrive import Pipeline, PipelineFuture
from support.fault_peer import FaultPeer
from support.gate import Gate
from support.late_replies import Deaf
from support.ports import wait_until


@pytest.fixture
def peer() -> Iterator[FaultPeer]:
    with FaultPeer() as running:
        yield running
    assert running.errors == []


@pytest.fixture
def client(peer: FaultPeer) -> Iterator[simdrive.Client]:
    with simdrive.connect(peer.url) as opened:
        yield opened


def test_a_callback_may_end_its_thread_and_others_are_served(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gate = Gate("read")

    def leave(_: object) -> None:
        raise SystemExit("of the callback")

    with FaultPeer(script=[gate.behaviour]) as peer, simdrive.connect(peer.url) as client:
        p = client.pipeline()
        p.read(b"first").add_done_callback(leave)
        gate.open()
        wait_until(lambda: "of the callback" in caplog.text, timeout=20, what="the exception is reported")
        second = p.exists(b"second")
        assert concurrent.futures.wait([second], timeout=20).done == {second}


def test_a_callback_waits_while_another_thread_comes_and_goes() -> None:
    gate = Gate("read")
    begun, go_on, results = threading.Event(), threading.Event(), []

    def follow(_: object) -> None:
        begun.set()
        go_on.wait(20)
        results.append(second.result(timeout=20))

    with FaultPeer(script=[gate.behaviour]) as peer, simdrive.connect(peer.url) as client:
        p = client.pipeline()
        first, second = p.read(b"first"), p.read(b"second")
        p.exists(b"key").add_done_callback(follow)  # on the thread in the background, since nobody waits
        assert begun.wait(20)
        other = threading.Thread(target=first.result)
        other.start()
        wait_until(client._pipeline_core(None).waited_for, timeout=20, what="the other thread waits")
        go_on.set()
        gate.open()
        other.join(20)
        assert not other.is_alive()
        wait_until(lambda: results == [None], timeout=10, what="the callback has its result")


def test_leaving_while_another_thread_makes_a_call(client: simdrive.Client) -> None:
    begun, go_on = threading.Event(), threading.Event()
    raised: list[BaseException] = []

    def name(key: bytes) -> bytes:
        begun.set()
        assert go_on.wait(20)
        return key

    def call() -> None:
        try:
            p.exists(b"key")
        except simdrive.ClosedError as error:
            raised.append(error)

    with Pipeline(client, None, name) as p:
        thread = threading.Thread(target=call)
        thread.start()
        assert begun.wait(20)
    go_on.set()
    thread.join(20)
    assert ["this pipeline was left" in str(error) for error in raised] == [True]
    assert client._pipeline_core(None).pending == 0


def test_leaving_while_a_call_of_another_thread_is_refused(
    client: simdrive.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    raised: list[BaseException] = []
    wait_for = simdrive.pipeline.wait_for

    class Slow(list[Any]):
        """Pairs that are none, and slow to tell."""

        def __iter__(self) -> Iterator[Any]:
            begun.set()
            assert go_on.wait(20)
            raise TypeError("no pairs")

    def call() -> None:
        try:
            p._batch_write(Slow([(b"key", b"value")]), 20)
        except TypeError as error:
            raised.append(error)

    def waits(future: Any) -> BaseException | None:
        go_on.set()
        return wait_for(future)

    monkeypatch.setattr(simdrive.pipeline, "wait_for", waits)
    p = client.pipeline()
    thread = threading.Thread(target=call)
    thread.start()
    assert begun.wait(20)
    leaver = threading.Thread(target=p.__exit__, args=(None, None, None), daemon=True)
    leaver.start()
    leaver.join(20)
    assert not leaver.is_alive()
    thread.join(20)
    assert len(raised) == 1


def test_cancel_takes_back_what_waits_for_a_connection() -> None:
    with FaultPeer() as peer:
        client = simdrive.connect(peer.url, timeout=20)
    with client:
        futures: list[PipelineFuture[bool]] = []
        with pytest.raises(LookupError), client.pipeline() as p:
            with pytest.raises(simdrive.OperationTimeout):
                p.exists(b"key", timeout=0.2).result()  # the loss is noticed
            futures += [p.exists(b"%d" % i) for i in range(5)]
            raise LookupError
        assert [future.cancelled() for future in futures] == [True] * 5


def test_a_future_that_somebody_calls_running_ends_all_the_same() -> None:
    with FaultPeer() as peer:
        client = simdrive.connect(peer.url, timeout=20)
    with client:
        p = client.pipeline()
        with pytest.raises(simdrive.OperationTimeout):
            p.exists(b"key", timeout=0.2).result()  # the loss is noticed
        future = p.exists(b"key", timeout=0.5)
        assert future.set_running_or_notify_cancel()
        assert not future.cancel()
        assert isinstance(future.exception(timeout=20), simdrive.OperationTimeout)


def test_a_call_is_over_while_its_error_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """A late, half sent write is handed out twice; here the second time comes in the middle of the first."""
    deaf = Deaf()
    core: Any = simdrive._core
    make_error = core._make_error
    with FaultPeer(script=[deaf.behaviour]) as peer, simdrive.connect(peer.url) as client:
        p = client.pipeline()
        p.exists(b"key")
        assert deaf.is_deaf.wait(20)
        future = p.write(b"key", bytes(range(1, 251)) * 60_000, timeout=0.05)
        calls = future._core
        assert calls is not None

        def slow(*args: Any, **named: Any) -> Any:
            deaf.listen()
            wait_until(lambda: calls.pending == 0, timeout=20, what="another thread hands out what is over")
            return make_error(*args, **named)

        monkeypatch.setattr(core, "_make_error", slow)
        with pytest.raises(simdrive.OperationTimeout):
            future.result(timeout=20)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork()")
def test_fork_while_calls_wait_for_a_connection() -> None:
    with FaultPeer() as peer:
        client = simdrive.connect(peer.url, timeout=20)
    with client:
        p = client.pipeline()
        futures = [p.exists(b"%d" % i) for i in range(5)]
        pid = os.fork()
        if pid == 0:
            signal.alarm(20)
            code = 1
            try:
                lost = [isinstance(f.exception(timeout=10), simdrive.ConnectionLostError) for f in futures]
                code = 0 if all(lost) else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_without_a_thread_in_the_background(client: simdrive.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", start)
    with client.pipeline() as p:
        written = p.write(b"key", b"value")
        assert p.read(b"key").result(timeout=20) == b"value"
    assert written.done()
    client.batch_delete([b"key"])
    monkeypatch.undo()
    future = client.pipeline().exists(b"key")
    assert concurrent.futures.wait([future], timeout=20).done == {future}


AT_EXIT = """
import atexit, sys
import simdrive

client = simdrive.connect(sys.argv[1])

def last():
    with client.pipeline() as p:
        future = p.write(b"key", b"value")
    client.batch_delete([b"other"])
    print(future.done())
    client.close()

atexit.register(last)
"""


def test_while_python_ends(peer: FaultPeer) -> None:
    command = [sys.executable, "-W", "error", "-c", AT_EXIT, peer.url]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "True\n", "")


def test_progress_is_refused_before_anything_is_sent(client: simdrive.Client, peer: FaultPeer) -> None:
    with pytest.raises(TypeError, match="progress must be callable"):
        client.batch_write({b"a": b"1", b"b": b"2"}, max_bytes=1, progress=1)  # type: ignore[arg-type]
    assert peer.calls == []
