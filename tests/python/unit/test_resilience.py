"""Lost connections, progress and events of the sync client, against a peer that fails as asked."""

from __future__ import annotations

import contextlib
import logging
import struct
import threading
import time

import pytest

import simdrive
from simdrive import Retry
from support import wsraw
from support.fault_peer import Behaviour, Call, Connection, FaultPeer


def reset(connection: Connection, call: Call) -> None:
    connection.reset()


def refuse_upgrade(connection: Connection) -> None:
    connection.send_raw(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    connection.finish()


def losing(times: int) -> list[Behaviour]:
    """Each of so many connections is reset by the first call."""
    return [Behaviour(call=reset, times=None) for _ in range(times)]


FAST = Retry(base=0.001, cap=0.002)


def connect(peer: FaultPeer, retry: Retry = FAST) -> simdrive.Client:
    return simdrive.connect(peer.url, reconnect_spread=0, retry=retry)


def test_reads_are_tried_again() -> None:
    with FaultPeer(script=losing(3)) as peer, connect(peer) as client:
        assert client.read(b"key", timeout=20) is None
        assert client._stats()["connections"] == 4


def test_retries_are_counted() -> None:
    with FaultPeer(script=losing(9)) as peer, connect(peer) as client:
        with pytest.raises(simdrive.ConnectionLostError, match="tried 4 times") as caught:
            client.exists(b"key", timeout=20)
        assert caught.value.attempts == 4


def test_writes_that_left_are_not_tried_again() -> None:
    with FaultPeer(script=losing(1)) as peer, connect(peer) as client:
        with pytest.raises(simdrive.ConnectionLostError, match="may or may not") as caught:
            client.write(b"key", b"value", timeout=20)
        assert (caught.value.attempts, caught.value.outcome) == (1, "unknown")
        client.write(b"key", b"value", timeout=20)


def test_writes_are_tried_again_when_asked() -> None:
    always = Retry(base=0.001, cap=0.002, retry_writes="always")
    with FaultPeer(script=losing(2)) as peer, connect(peer, always) as client:
        client.write(b"key", b"value", timeout=20)
        assert client.read(b"key") == b"value"


@pytest.mark.parametrize("retry", [Retry.NONE, Retry(on=(simdrive.ConnectError,))])
def test_nothing_is_tried_again_when_not_asked(retry: Retry) -> None:
    with FaultPeer(script=losing(1)) as peer, connect(peer, retry) as client:
        with pytest.raises(simdrive.ConnectionLostError) as caught:
            client.read(b"key", timeout=20)
        assert caught.value.attempts == 1


def test_a_server_that_is_not_ready_yet_is_waited_for() -> None:
    script = [*losing(1), *[Behaviour(upgrade=refuse_upgrade) for _ in range(3)]]
    with FaultPeer(script=script) as peer, connect(peer) as client:
        assert client.read(b"key", timeout=20) is None
        assert len(peer.requests) == 5


def test_a_deadline_without_a_connection_names_the_cause() -> None:
    then = Behaviour(upgrade=refuse_upgrade)
    with FaultPeer(script=losing(1), then=then) as peer, connect(peer) as client:
        with pytest.raises(simdrive.OperationTimeout, match="503") as caught:
            client.read(b"key", timeout=0.3)
        assert isinstance(caught.value.__cause__, simdrive.SimdriveError)


def test_an_unknown_outcome_stays_unknown() -> None:
    always = Retry(base=0.001, cap=0.002, retry_writes="always")
    then = Behaviour(upgrade=refuse_upgrade)
    with FaultPeer(script=losing(1), then=then) as peer, connect(peer, always) as client:
        with pytest.raises(simdrive.OperationTimeout) as caught:
            client.write(b"key", b"value", timeout=0.3)
        assert caught.value.outcome == "unknown"


def test_reconnects_are_not_made_in_a_tight_loop() -> None:
    then = Behaviour(upgrade=refuse_upgrade)
    slow = Retry(base=0.05, cap=0.05)
    with FaultPeer(script=losing(1), then=then) as peer, connect(peer, slow) as client:
        started = time.monotonic()

        def read() -> None:
            with contextlib.suppress(simdrive.OperationTimeout):
                client.read(b"key", timeout=0.5)

        threads = [threading.Thread(target=read) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        tries = len(peer.requests) - 1
        assert 2 <= tries <= (time.monotonic() - started) / 0.05 + 1


def test_connections_that_do_not_last_are_not_made_in_a_tight_loop() -> None:
    slow = Retry(retries=1000, base=0.05, cap=0.05)
    with FaultPeer(then=Behaviour(call=reset, times=None)) as peer, connect(peer, slow) as client:
        started = time.monotonic()
        with pytest.raises((simdrive.OperationTimeout, simdrive.ConnectionLostError)):
            client.read(b"key", timeout=0.5)
        assert client._stats()["connections"] <= (time.monotonic() - started) / 0.05 + 2


def test_close_ends_the_wait_for_a_connection() -> None:
    then = Behaviour(upgrade=refuse_upgrade)
    with FaultPeer(script=losing(1), then=then) as peer, connect(peer) as client:
        seen: list[type[BaseException]] = []

        def wait() -> None:
            try:
                client.read(b"key", timeout=20)
            except simdrive.SimdriveError as error:
                seen.append(type(error))

        waiting = threading.Thread(target=wait)
        waiting.start()
        peer.wait_for_calls(1)
        client.close()
        waiting.join(5)
        assert seen == [simdrive.ClosedError]


def test_a_busy_server_is_given_time() -> None:
    def send_away(connection: Connection, call: Call) -> None:
        connection.send(struct.pack(">H", 1013) + b"maintenance", opcode=wsraw.CLOSE)
        connection.hold()

    steady = Retry(base=0.3, cap=0.3, jitter="none")
    script = [Behaviour(call=send_away, methods=frozenset(["read"]))]
    with FaultPeer(script=script) as peer, connect(peer, steady) as client:
        opened = time.monotonic()
        while time.monotonic() - opened < 1.1:  # a connection that is lost sooner is waited after in any case
            client.exists(b"key")
        sent = time.monotonic()
        assert client.read(b"key", timeout=20) is None
        assert time.monotonic() - sent >= 0.3
        assert client._stats()["connections"] == 2


def test_the_close_code_and_its_reason_are_told() -> None:
    def send_away(connection: Connection, call: Call) -> None:
        connection.send(struct.pack(">H", 1012) + b"new version", opcode=wsraw.CLOSE)
        connection.hold()

    says = r"restarts \(close code 1012\): new version"
    with (
        FaultPeer(script=[Behaviour(call=send_away)]) as peer,
        connect(peer, Retry.NONE) as client,
        pytest.raises(simdrive.ConnectionLostError, match=says),
    ):
        client.read(b"key", timeout=20)


def test_retry_after_is_honoured() -> None:
    def busy(connection: Connection) -> None:
        connection.send_raw(b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n")
        connection.finish()

    with FaultPeer(script=[*losing(1), Behaviour(upgrade=busy)]) as peer, connect(peer) as client:
        started = time.monotonic()
        with pytest.raises(simdrive.OperationTimeout, match="429, and asks to wait 1 s"):
            client.read(b"key", timeout=0.5)
        assert client.read(b"key", timeout=20) is None
        assert time.monotonic() - started >= 1
        assert len(peer.requests) == 3


def test_close_waits_until_the_server_has_heard_it() -> None:
    with FaultPeer() as peer:
        client = connect(peer)
        client.close()
        assert peer.closes == 1


def test_close_does_not_wait_for_a_deaf_server_for_longer_than_asked() -> None:
    def go_deaf(connection: Connection, call: Call) -> None:
        connection.answer_well(call)
        connection.peer.pause(60)

    with FaultPeer(script=[Behaviour(call=go_deaf)]) as peer:
        client = connect(peer)
        assert client.exists(b"key") is False
        started = time.monotonic()
        client.close(timeout=0.2)
        assert 0.2 <= time.monotonic() - started < 20


def test_the_connection_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    script = [*losing(1), Behaviour(upgrade=refuse_upgrade)]
    with caplog.at_level(logging.INFO, "simdrive"), FaultPeer(script=script) as peer, connect(peer) as client:
        assert client.read(b"key", timeout=20) is None
        assert client.exists(b"key") is False
    text = [record.getMessage() for record in caplog.records if record.name == "simdrive.client"]
    assert [line.split()[0] for line in text] == ["connected", "lost", "connecting", "connected"]
    assert "503" in text[2]


# ---- progress -------------------------------------------------------------------------------------------------------

LARGE = bytes(range(256)) * (1 << 16)  # 16 MiB


def test_progress_of_a_write_and_a_read() -> None:
    with FaultPeer() as peer, connect(peer) as client:
        sent: list[tuple[int, int]] = []
        client.write(b"key", LARGE, progress=lambda done, total: sent.append((done, total)))
        received: list[tuple[int, int]] = []
        assert client.read(b"key", progress=lambda done, total: received.append((done, total))) == LARGE
        into = bytearray(len(LARGE))
        filled: list[tuple[int, int]] = []
        client.read(b"key", out=into, progress=lambda done, total: filled.append((done, total)))
    for told in (sent, received, filled):
        assert told[-1] == (len(LARGE), len(LARGE))
        assert [done for done, _ in told] == sorted(done for done, _ in told)
        assert all(done <= total or total == 0 for done, total in told)
    assert into == LARGE


def test_progress_of_batches() -> None:
    told: list[tuple[int, int]] = []
    with FaultPeer() as peer, connect(peer) as client:
        client.batch_write({b"a": b"12", b"b": b"345"}, progress=lambda done, total: told.append((done, total)))
        client.batch_read([b"a", b"b", b"none"], progress=lambda done, total: told.append((done, total)))
    assert told == [(5, 5), (5, 5)]


class EnoughError(Exception):
    pass


def test_an_exception_of_progress_ends_the_call() -> None:
    def stop(done: int, total: int) -> None:
        raise EnoughError(done, total)

    def silent(connection: Connection, call: Call) -> None:
        """Leaves the caller waiting."""

    silence = Behaviour(call=silent, methods=frozenset(["read"]), times=None)
    with FaultPeer(script=[silence]) as peer, connect(peer) as client:
        started = time.monotonic()
        with pytest.raises(EnoughError):
            client.read(b"key", timeout=20, progress=stop)
        assert time.monotonic() - started < 5
        assert client.exists(b"key") is False


def test_progress_may_call_the_client() -> None:
    def silent(connection: Connection, call: Call) -> None:
        """Leaves the caller waiting."""

    found: list[bool] = []
    silence = Behaviour(call=silent, methods=frozenset(["read"]), times=None)
    with FaultPeer(script=[silence]) as peer, connect(peer) as client, pytest.raises(simdrive.OperationTimeout):
        client.read(b"key", timeout=0.5, progress=lambda *_: found.append(client.exists(b"key")))
    assert len(found) >= 2
    assert not any(found)


def late_answer(connection: Connection, call: Call) -> None:
    """Answers when the caller has begun to report progress."""
    connection.peer.pause(0.3)
    connection.answer_well(call)


def test_a_slow_progress_callback_slows_the_call_only() -> None:
    told: list[int] = []

    def slow(done: int, total: int) -> None:
        told.append(done)
        time.sleep(0.15)  # that it is slow is what is tested

    with FaultPeer(script=[Behaviour(call=late_answer, methods=frozenset(["read"]))]) as peer, connect(peer) as client:
        client.write(b"key", LARGE)
        assert client.read(b"key", timeout=20, progress=slow) == LARGE
        client.write(b"key", LARGE, timeout=20, progress=slow)
    assert len(told) >= 3


def test_progress_may_call_the_client_while_its_reply_arrives() -> None:
    found: list[bytes | None] = []
    with FaultPeer(script=[Behaviour(call=late_answer, methods=frozenset(["read"]))]) as peer, connect(peer) as client:
        client.batch_write({b"large": LARGE, b"key": b"value"})
        assert client.read(b"large", timeout=20, progress=lambda *_: found.append(client.read(b"key"))) == LARGE
    assert len(found) >= 2
    assert set(found) == {b"value"}


def test_progress_keeps_no_other_thread_waiting() -> None:
    reported = threading.Event()
    answered = threading.Event()
    kept_waiting: list[bool] = []

    def report(done: int, total: int) -> None:
        reported.set()
        kept_waiting.append(not answered.wait(20))

    with FaultPeer(script=[Behaviour(call=late_answer, methods=frozenset(["read"]))]) as peer, connect(peer) as client:
        client.batch_write({b"large": LARGE, b"key": b"value"})
        found: list[bytes | None] = []

        def read() -> None:
            reported.wait(20)
            found.append(client.read(b"key", timeout=15))
            answered.set()

        other = threading.Thread(target=read)
        other.start()
        assert client.read(b"large", timeout=40, progress=report) == LARGE
        other.join(20)
        assert client._stats()["connections"] == 1
    assert found == [b"value"]
    assert not any(kept_waiting)


def test_progress_must_be_callable() -> None:
    with FaultPeer() as peer, connect(peer) as client, pytest.raises(TypeError, match="progress must be callable"):
        client.read(b"key", progress=3)  # type: ignore[call-overload]
