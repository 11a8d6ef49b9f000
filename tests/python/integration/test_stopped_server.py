"""Servers that stand still, die and come back."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

import pytest

import simdrive
from support.real_server import RealServer
from support.timing import within

CALLS: dict[str, Callable[[simdrive.Client], object]] = {
    "write": lambda client: client.write(b"slow", b"value", timeout=0.3),
    "batch_write": lambda client: client.batch_write({b"slow": b"value"}, timeout=0.3),
    "read": lambda client: client.read(b"slow", timeout=0.3),
    "batch_read": lambda client: client.batch_read([b"slow"], timeout=0.3),
    "exists": lambda client: client.exists(b"slow", timeout=0.3),
    "delete": lambda client: client.delete(b"slow", timeout=0.3),
}


@pytest.mark.parametrize("operation", CALLS)
def test_stopped(own_server: RealServer, operation: str) -> None:
    with simdrive.connect(own_server.url) as client:
        client.batch_write({b"slow": b"value of the late reply", b"next": b"value of the next call"})
        own_server.stop()
        with within(0.3, least=0.28), pytest.raises(simdrive.OperationTimeout) as caught:
            CALLS[operation](client)
        assert caught.value.op == operation
        assert caught.value.sent is True
        assert 0.28 <= caught.value.elapsed <= 0.5
        own_server.resume()
        assert client.read(b"next") == b"value of the next call"
        assert client.exists(b"never written") is False


def test_default_timeout(own_server: RealServer) -> None:
    with simdrive.connect(own_server.url, timeout=0.25) as client:
        own_server.stop()
        with within(0.25, least=0.23), pytest.raises(simdrive.OperationTimeout):
            len(client)
        own_server.resume()
        assert len(client) == 0


def test_several_timeouts_in_a_row(own_server: RealServer) -> None:
    with simdrive.connect(own_server.url) as client:
        client.batch_write({b"a": b"value a", b"b": b"value b"})
        own_server.stop()
        for _ in range(4):
            with within(0.2, least=0.18), pytest.raises(simdrive.TimeoutError):
                client.read(b"a", timeout=0.2)
        own_server.resume()
        for _ in range(3):
            assert client.read(b"b") == b"value b"
            assert client.read(b"a") == b"value a"


def test_late_reply_does_not_touch_the_buffer(own_server: RealServer) -> None:
    data = bytes(range(256)) * 4096
    with simdrive.connect(own_server.url) as client:
        client.write(b"large", data)
        target = bytearray(b"\xee" * len(data))
        own_server.stop()
        with pytest.raises(simdrive.OperationTimeout):
            client.read(b"large", out=target, timeout=0.2)
        own_server.resume()
        assert client.exists(b"large") is True
        assert client.exists(b"other") is False
        assert target == b"\xee" * len(data)
        target.append(0)
        assert client.read(b"large", out=target) == len(data)
        assert target == data + b"\0"


def test_half_sent_write(own_server: RealServer) -> None:
    data = bytearray(b"0123456789abcdef" * (2 << 20))
    with simdrive.connect(own_server.url) as client:
        client.write(b"small", b"value")
        own_server.stop()
        with within(0.5, least=0.48), pytest.raises(simdrive.OperationTimeout) as caught:
            client.write(b"large", data, timeout=0.5)
        assert caught.value.sent is True
        data.append(1)
        own_server.resume()
        assert client.read(b"small") == b"value"
        client.write(b"large", b"replaced")
        assert client.read(b"large") == b"replaced"


def test_many_threads_time_out_together(own_server: RealServer) -> None:
    with simdrive.connect(own_server.url) as client:
        client.write(b"key", b"value")
        own_server.stop()
        seen: list[BaseException] = []

        def wait() -> None:
            try:
                with within(0.4, least=0.38):
                    try:
                        client.read(b"key", timeout=0.4)
                    except simdrive.OperationTimeout as error:
                        seen.append(error)
            except AssertionError as error:
                seen.append(error)

        threads = [threading.Thread(target=wait, daemon=True) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(5)
        assert [type(error) for error in seen] == [simdrive.OperationTimeout] * 8, seen
        own_server.resume()
        assert client.read(b"key") == b"value"


def test_connecting_to_a_stopped_server(own_server: RealServer) -> None:
    own_server.stop()
    with within(0.4, least=0.38), pytest.raises(simdrive.ConnectTimeout):
        simdrive.connect(own_server.url, connect_timeout=0.4)
    own_server.resume()
    with simdrive.connect(own_server.url) as client:
        assert client.is_empty()


def test_killed_and_restarted(own_server: RealServer) -> None:
    with simdrive.connect(own_server.url, reconnect_spread=0, retry=simdrive.Retry.NONE) as client:
        client.write(b"key", b"value")
        for _ in range(3):
            own_server.kill()
            with within(2), pytest.raises((simdrive.ConnectionLostError, simdrive.ConnectError)) as caught:
                client.read(b"key")
            assert str(own_server.port) in str(caught.value)
            with within(4), pytest.raises(simdrive.ConnectError):
                client.read(b"key")
            own_server.start()
            with within(5):
                assert read_at_last(client) == b"value"


def read_at_last(client: simdrive.Client) -> bytes | None:
    """Without retries a call fails with the next try to connect, which may be one from before the server was back."""
    while True:
        with contextlib.suppress(simdrive.ConnectError):
            return client.read(b"key")


def test_calls_wait_for_a_server_that_comes_back(own_server: RealServer) -> None:
    with simdrive.connect(own_server.url) as client:
        client.write(b"key", b"value")
        own_server.kill()
        with within(0.3, least=0.28), pytest.raises(simdrive.OperationTimeout):
            client.read(b"key", timeout=0.3)
        answers: list[bytes | None] = []
        waiting = threading.Thread(target=lambda: answers.append(client.read(b"key", timeout=20)), daemon=True)
        waiting.start()
        own_server.start()
        waiting.join(20)
        assert answers == [b"value"]


def test_restarted_between_two_calls(own_server: RealServer) -> None:
    with simdrive.connect(own_server.url) as client:
        client.write(b"key", b"value")
        own_server.kill()
        own_server.start()
        assert client.read(b"key") == b"value"


def test_killed_while_calls_wait(own_server: RealServer) -> None:
    with simdrive.connect(own_server.url, reconnect_spread=0, retry=simdrive.Retry.NONE) as client:
        own_server.stop()
        seen: list[BaseException] = []

        def wait() -> None:
            try:
                client.read(b"key", timeout=20)
            except simdrive.SimdriveError as error:
                seen.append(error)

        threads = [threading.Thread(target=wait, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        with pytest.raises(simdrive.OperationTimeout):
            client.read(b"key", timeout=0.2)
        own_server.kill()
        with within(2):
            for thread in threads:
                thread.join(5)
        assert len(seen) == 4
        assert all(isinstance(error, (simdrive.ConnectionLostError, simdrive.ConnectError)) for error in seen), seen
        own_server.start()
        assert read_at_last(client) is None
