"""Servers that misbehave: each fault gives a named error in time, in bounded memory, and the client lives on."""

from __future__ import annotations

import random
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

import simdrive
from support import bitcode, muxio, wsraw
from support.fault_peer import GOOD, Behaviour, Call, Connection, FaultPeer
from support.timing import within

DIALECTS = ["d13", "d21"]
VALUE = bytes(range(256)) * 4
Errors = tuple[type[simdrive.SimdriveError], ...]

LOST: Errors = (simdrive.ConnectionLostError,)
BROKEN: Errors = (simdrive.ProtocolError, simdrive.ConnectionLostError)
TIMEOUT: Errors = (simdrive.OperationTimeout,)
# The client may see that the bytes are wrong, or wait for the rest of them.
WRONG_OR_LATE: Errors = (simdrive.ProtocolError, simdrive.ConnectionLostError, simdrive.OperationTimeout)


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def other(dialect: str) -> str:
    return "d21" if dialect == "d13" else "d13"


# ---- faults while connecting ----------------------------------------------------------------------------------------


def say_and_hold(data: bytes) -> Callable[[Connection], None]:
    def act(connection: Connection) -> None:
        connection.send_raw(data)
        connection.hold()

    return act


def say_and_finish(data: bytes) -> Callable[[Connection], None]:
    def act(connection: Connection) -> None:
        connection.send_raw(data)
        connection.finish()

    return act


def reset(connection: Connection) -> None:
    connection.reset()


def endless_head(connection: Connection) -> None:
    connection.send_raw(b"HTTP/1.1 101 Switching Protocols\r\n")
    while not connection.peer.stopping:
        connection.send_raw(b"X-Filler: " + b"x" * 4000 + b"\r\n")


def dripping_head(connection: Connection) -> None:
    connection.send_raw(b"HTTP/1.1 101 Switching Protocols\r\n")
    while connection.peer.pause(0.02):
        connection.send_raw(b"x")


NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot found"
WRONG_ACCEPT = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n"
)
HANDSHAKE: Errors = (simdrive.HandshakeError,)
UNREACHABLE: Errors = (simdrive.HandshakeError, simdrive.ConnectError, simdrive.ConnectionLostError)
SILENT: Errors = (simdrive.ConnectTimeout,)
NO_DIALECT: Errors = (simdrive.ProtocolMismatchError, simdrive.ConnectTimeout)
BAD_PROBE: Errors = (*UNREACHABLE, simdrive.ProtocolMismatchError, simdrive.ProtocolError, simdrive.ConnectTimeout)

CONNECT_FAULTS: dict[str, tuple[Behaviour, Errors]] = {
    "garbage instead of HTTP": (Behaviour(accepted=say_and_hold(noise(400) + b"\r\n\r\n")), HANDSHAKE),
    "a mail server": (Behaviour(accepted=say_and_hold(b"220 mail.example ESMTP ready\r\n\r\n")), HANDSHAKE),
    "404": (Behaviour(upgrade=say_and_hold(NOT_FOUND)), HANDSHAKE),
    "404 and FIN": (Behaviour(upgrade=say_and_finish(NOT_FOUND)), HANDSHAKE),
    "200": (Behaviour(upgrade=say_and_hold(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")), HANDSHAKE),
    "101 with the wrong key": (Behaviour(upgrade=say_and_hold(WRONG_ACCEPT)), HANDSHAKE),
    "head without end": (Behaviour(upgrade=endless_head), (*HANDSHAKE, *SILENT)),
    "dripping head": (Behaviour(upgrade=dripping_head), SILENT),
    "half a head": (Behaviour(upgrade=say_and_hold(WRONG_ACCEPT[:50])), SILENT),
    "half a head and FIN": (Behaviour(upgrade=say_and_finish(WRONG_ACCEPT[:50])), UNREACHABLE),
    "FIN at once": (Behaviour(accepted=say_and_finish(b"")), UNREACHABLE),
    "RST at once": (Behaviour(accepted=reset), UNREACHABLE),
    "FIN instead of 101": (Behaviour(upgrade=say_and_finish(b"")), UNREACHABLE),
    "RST instead of 101": (Behaviour(upgrade=reset), UNREACHABLE),
    "silence": (Behaviour(accepted=lambda connection: connection.hold()), SILENT),
    "silence after the request": (Behaviour(upgrade=lambda connection: connection.hold()), SILENT),
    "probe ignored": (Behaviour(probe=lambda connection: connection.hold()), NO_DIALECT),
    "probe answered with a text": (
        Behaviour(probe=lambda connection: connection.send(b"hello", opcode=wsraw.TEXT)),
        NO_DIALECT,
    ),
    "probe answered with bytes that are no WebSocket": (Behaviour(probe=say_and_hold(b"\xff" * 300)), BAD_PROBE),
    "probe answered with noise": (
        Behaviour(probe=lambda connection: connection.send(noise(50))),
        (simdrive.ProtocolMismatchError, simdrive.ProtocolError),
    ),
    "probe echoed": (
        Behaviour(probe=lambda connection: connection.send(muxio.PROBE)),
        (simdrive.ProtocolMismatchError, simdrive.ProtocolError),
    ),
    "probe answered with one byte": (Behaviour(probe=lambda connection: connection.send(b"\x10")), BAD_PROBE),
    "probe answered with a frame of 2^62 bytes": (
        Behaviour(probe=say_and_hold(wsraw.encode(wsraw.BINARY, b"x" * 100, announce=1 << 62))),
        BAD_PROBE,
    ),
    "probe answered with Close": (
        Behaviour(probe=lambda connection: connection.send(struct.pack(">H", 1001), opcode=wsraw.CLOSE)),
        BAD_PROBE,
    ),
    "FIN after the probe": (Behaviour(probe=say_and_finish(b"")), (*UNREACHABLE, simdrive.ProtocolMismatchError)),
    "RST after the probe": (Behaviour(probe=reset), (*UNREACHABLE, simdrive.ProtocolMismatchError)),
    "half the answer to the probe": (Behaviour(probe=say_and_hold(b"\x82\x1d" + bytes(11))), NO_DIALECT),
    "half the answer to the probe and FIN": (Behaviour(probe=say_and_finish(b"\x82\x1d" + bytes(11))), BAD_PROBE),
}


@pytest.mark.parametrize("fault", CONNECT_FAULTS)
def test_connecting(fault: str) -> None:
    behaviour, errors = CONNECT_FAULTS[fault]
    with FaultPeer(script=[behaviour]) as peer:
        with within(0.4), pytest.raises(errors) as caught:
            simdrive.connect(peer.url, connect_timeout=0.4)
        assert str(peer.port) in str(caught.value)
        with simdrive.connect(peer.url, connect_timeout=5) as client:
            assert client.is_empty() is True
    assert peer.errors == []


@pytest.mark.parametrize("fault", CONNECT_FAULTS)
def test_reconnecting(fault: str) -> None:
    behaviour, errors = CONNECT_FAULTS[fault]
    with FaultPeer(script=[GOOD, behaviour]) as peer:
        peer.store.entries[b"key"] = VALUE
        options: dict[str, Any] = {"reconnect_spread": 0, "retry": simdrive.Retry.NONE}
        with simdrive.connect(peer.url, connect_timeout=0.4, **options) as client:
            peer.drop_connections()
            allowed: Errors = (*errors, simdrive.ConnectionLostError)
            # The loss may be noticed by a call, or have been noticed before it; then comes the fault, then a good one.
            failures = 0
            while True:
                try:
                    with within(0.6):
                        assert client.read(b"key") == VALUE
                    break
                except allowed:
                    failures += 1
                    assert failures <= 3
            assert failures >= 1
            assert peer.connections == 3
    assert peer.errors == []


@pytest.mark.parametrize("fault", CONNECT_FAULTS)
def test_reconnecting_unnoticed(fault: str) -> None:
    behaviour, _ = CONNECT_FAULTS[fault]
    with FaultPeer(script=[GOOD, behaviour]) as peer:
        peer.store.entries[b"key"] = VALUE
        with simdrive.connect(peer.url, connect_timeout=0.4, reconnect_spread=0) as client:
            peer.drop_connections()
            assert client.read(b"key", timeout=20) == VALUE
            assert peer.connections == 3
    assert peer.errors == []


# ---- faults in replies ----------------------------------------------------------------------------------------------


@dataclass
class CallFault:
    """What the peer does instead of the reply to a read (or to `operation`), and what the client may say to it."""

    act: Callable[[Connection, Call], None]
    errors: Errors
    method: str = "read"
    # Calls that may still fail afterwards, where the client cannot know that the connection is out of step.
    aftermath: int = 0
    operation: Callable[[simdrive.Client], object] = field(default=lambda client: client.read(b"key"))


def no_reply(connection: Connection, call: Call) -> None:
    """Leaves the caller waiting."""


def good_frames(connection: Connection, call: Call) -> list[bytes]:
    return connection.reply_frames(call, bitcode.option(VALUE))


def send_bytes(data: bytes) -> Callable[[Connection, Call], None]:
    def act(connection: Connection, call: Call) -> None:
        connection.send_raw(data)

    return act


def send_body(body: bytes, status: int = muxio.SUCCESS) -> Callable[[Connection, Call], None]:
    return lambda connection, call: connection.reply(call, body, status=status)


def partial_reply(body: bytes, *, end: bool, total: int | None = None) -> Callable[[Connection, Call], None]:
    """A reply whose Open frame has this body; without its End, or of a frame that announces more than comes."""

    def act(connection: Connection, call: Call) -> None:
        message = muxio.Message(muxio.RESPONSE, call.request_id, muxio.METHOD_IDS[call.method], b"\0", body).encode()
        stream = connection.new_stream()
        connection.send(muxio.frame(connection.dialect, stream, 0, muxio.OPEN, message, announce=total))
        if end:
            connection.send(muxio.frame(connection.dialect, stream, 1, muxio.END))

    return act


def announce_value(length: int, *, end: bool = True) -> Callable[[Connection, Call], None]:
    """A read reply that announces a value of some length, with a kilobyte of it."""
    return partial_reply(b"\1" + bitcode.length_column([length]) + b"\0" + bytes(1000), end=end)


def stall_in_websocket_frame(connection: Connection, call: Call) -> None:
    whole = wsraw.encode(wsraw.BINARY, good_frames(connection, call)[0])
    connection.send_raw(whole[: len(whole) // 2])


def stall_then(ending: Callable[[Connection], None]) -> Callable[[Connection, Call], None]:
    def act(connection: Connection, call: Call) -> None:
        stall_in_websocket_frame(connection, call)
        ending(connection)

    return act


def half_of_a_large_reply(connection: Connection, call: Call) -> None:
    frames = connection.reply_frames(call, bitcode.option(noise(4 << 20)))
    for data in frames[: len(frames) // 2]:
        connection.send(data)


def wrong_dialect(connection: Connection, call: Call) -> None:
    message = muxio.Message(muxio.RESPONSE, call.request_id, muxio.METHOD_IDS[call.method], b"\0", b"\0").encode()
    for data in muxio.stream_frames(other(connection.dialect), connection.new_stream(), message):
        connection.send(data)


def end_without_open(connection: Connection, call: Call) -> None:
    connection.send(muxio.frame(connection.dialect, connection.new_stream(), 0, muxio.END))


def cancel_in_reply(connection: Connection, call: Call) -> None:
    stream = connection.new_stream()
    message = muxio.Message(muxio.RESPONSE, call.request_id, muxio.METHOD_IDS[call.method], b"\0", b"").encode()
    connection.send(muxio.frame(connection.dialect, stream, 0, muxio.OPEN, message))
    connection.send(muxio.frame(connection.dialect, stream, 1, muxio.CANCEL))


def invalid_kind(connection: Connection, call: Call) -> None:
    connection.send(muxio.frame(connection.dialect, connection.new_stream(), 0, 9, b"x" * 30))


def slow_drip(connection: Connection, call: Call) -> None:
    for data in good_frames(connection, call):
        for byte in wsraw.encode(wsraw.BINARY, data):
            connection.send_raw(bytes([byte]))
            if not connection.peer.pause(0.02):
                return


def endless_pings(connection: Connection, call: Call) -> None:
    while connection.peer.pause(0.001):
        connection.send(b"ping", opcode=wsraw.PING)


def endless_reply(connection: Connection, call: Call) -> None:
    """A value without end: the bytes of 2 GiB, one frame after the other."""
    stream = connection.new_stream()
    head = muxio.Message(muxio.RESPONSE, call.request_id, muxio.METHOD_IDS[call.method], b"\0", b"").encode()
    head += b"\1" + bitcode.length_column([2 << 30]) + b"\0"
    connection.send(muxio.frame(connection.dialect, stream, 0, muxio.OPEN, head))
    seq, piece = 1, bytes(65536)
    while not connection.peer.stopping:
        connection.send(muxio.frame(connection.dialect, stream, seq, muxio.DATA, piece))
        seq += 1


def overlong_body(connection: Connection, call: Call) -> None:
    connection.reply(call, bitcode.option(VALUE) + bytes(200_000))


def read_batch(client: simdrive.Client) -> object:
    return client.batch_read([b"key", b"absent"])


FAIL_BODY = b"\0" + bitcode.length_column([7]) + b"no luck"
SERVER: Errors = (simdrive.ServerError,)
BAD_BODY: Errors = (simdrive.ProtocolError,)

CALL_FAULTS: dict[str, CallFault] = {
    "never": CallFault(no_reply, TIMEOUT),
    "bytes that are no WebSocket": CallFault(send_bytes(b"\xff" * 500), BROKEN),
    "noise on the wire": CallFault(send_bytes(noise(500)), WRONG_OR_LATE),
    "binary message of noise": CallFault(
        lambda connection, _call: connection.send(noise(500)), WRONG_OR_LATE, aftermath=2
    ),
    "binary message of zeros": CallFault(
        lambda connection, _call: connection.send(bytes(500)), WRONG_OR_LATE, aftermath=2
    ),
    "text message": CallFault(lambda c, _call: c.send(b"your value", opcode=wsraw.TEXT), (*TIMEOUT, *BAD_BODY)),
    "frame of 4 GiB": CallFault(partial_reply(b"\1", end=False, total=0xFFFFFFFF), WRONG_OR_LATE, aftermath=2),
    "frame of 4 GiB without stream": CallFault(
        lambda c, _call: c.send(muxio.frame(c.dialect, 77, 0, muxio.OPEN, b"", announce=0xFFFFFFFF)),
        WRONG_OR_LATE,
        aftermath=2,
    ),
    "WebSocket frame of 2^62 bytes": CallFault(
        send_bytes(wsraw.encode(wsraw.BINARY, b"x" * 100, announce=1 << 62)), WRONG_OR_LATE
    ),
    "WebSocket frame of 2^63 bytes": CallFault(
        send_bytes(wsraw.encode(wsraw.BINARY, b"x" * 100, announce=1 << 63)), WRONG_OR_LATE
    ),
    "masked answer": CallFault(send_bytes(wsraw.encode(wsraw.BINARY, b"x" * 40, mask_key=b"abcd")), BROKEN),
    "reserved bit": CallFault(send_bytes(b"\xc2\x05hello"), BROKEN),
    "unknown opcode": CallFault(send_bytes(b"\x83\x05hello"), BROKEN),
    "continuation of nothing": CallFault(send_bytes(b"\x80\x05hello"), BROKEN),
    "value of 2^50 bytes": CallFault(announce_value(1 << 50), BAD_BODY),
    "value of 2^64-1 bytes": CallFault(announce_value(2**64 - 1), BAD_BODY),
    "value of 4 GiB": CallFault(announce_value(4 << 30), BAD_BODY),
    "value of 1 GiB and End": CallFault(announce_value(1 << 30), BAD_BODY),
    "value of 1 GiB and silence": CallFault(announce_value(1 << 30, end=False), (*TIMEOUT, *BAD_BODY)),
    "value without end": CallFault(endless_reply, (*TIMEOUT, *BAD_BODY)),
    "stall in a WebSocket frame": CallFault(stall_in_websocket_frame, TIMEOUT),
    "stall in a muxio frame": CallFault(partial_reply(b"\1", end=False, total=1000), TIMEOUT, aftermath=2),
    "no End": CallFault(partial_reply(b"", end=False), (*TIMEOUT, *BAD_BODY)),
    "half of a large reply": CallFault(half_of_a_large_reply, TIMEOUT),
    "FIN instead of a reply": CallFault(lambda connection, _call: connection.finish(), LOST),
    "RST instead of a reply": CallFault(lambda connection, _call: connection.reset(), LOST),
    "FIN in the reply": CallFault(stall_then(lambda connection: connection.finish()), LOST),
    "RST in the reply": CallFault(stall_then(lambda connection: connection.reset()), LOST),
    "Close": CallFault(lambda c, _call: c.send(struct.pack(">H", 1001), opcode=wsraw.CLOSE), LOST),
    "Close with a bad code": CallFault(lambda c, _call: c.send(b"\0\1", opcode=wsraw.CLOSE), BROKEN),
    "wrong dialect": CallFault(wrong_dialect, WRONG_OR_LATE, aftermath=2),
    "wrong request id": CallFault(
        lambda c, call: c.reply(call, bitcode.option(b"wrong"), request_id=call.request_id + 1000),
        (*TIMEOUT, *BAD_BODY),
    ),
    "End without Open": CallFault(end_without_open, WRONG_OR_LATE),
    "Cancel": CallFault(cancel_in_reply, WRONG_OR_LATE),
    "invalid kind": CallFault(invalid_kind, WRONG_OR_LATE),
    "slow drip": CallFault(slow_drip, TIMEOUT),
    "endless pings": CallFault(endless_pings, TIMEOUT, aftermath=1),  # two in a row replace it
    "status 1": CallFault(send_body(FAIL_BODY, muxio.FAIL), SERVER),
    "status 1 without a body": CallFault(send_body(b"", muxio.FAIL), SERVER),
    "status 2": CallFault(send_body(b"disk on fire", muxio.SYSTEM_ERROR), SERVER),
    "status 2 with bytes that are no text": CallFault(send_body(b"\xff\xfe\x00", muxio.SYSTEM_ERROR), SERVER),
    "status 2 with a megabyte": CallFault(send_body(b"x" * (1 << 20), muxio.SYSTEM_ERROR), SERVER),
    "status 3": CallFault(send_body(b"", muxio.METHOD_NOT_FOUND), (simdrive.UnsupportedOperationError,)),
    "no body": CallFault(send_body(b""), BAD_BODY),
    "trailing byte": CallFault(send_body(bitcode.option(VALUE) + b"x"), BAD_BODY),
    "many trailing bytes": CallFault(overlong_body, BAD_BODY),
    "short body": CallFault(send_body(bitcode.option(VALUE)[:-1]), BAD_BODY),
    "unknown packing": CallFault(send_body(b"\1\x05\x0bhello"), BAD_BODY),
    "batch of too few": CallFault(send_body(bitcode.options([VALUE])), BAD_BODY, "batch_read", 0, read_batch),
    "batch of too many": CallFault(send_body(bitcode.options([VALUE] * 3)), BAD_BODY, "batch_read", 0, read_batch),
    "batch of 2^40": CallFault(
        send_body(bitcode.length_column([1 << 40]) + bytes(100)), BAD_BODY, "batch_read", 0, read_batch
    ),
    "batch with a value of 2^40 bytes": CallFault(
        send_body(bitcode.length_column([2]) + b"\1" + bitcode.length_column([1 << 40]) + bytes(100)),
        BAD_BODY,
        "batch_read",
        0,
        read_batch,
    ),
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("fault", CALL_FAULTS)
def test_reply(fault: str, dialect: str) -> None:
    case = CALL_FAULTS[fault]
    behaviour = Behaviour(call=case.act, methods=frozenset([case.method]))
    with FaultPeer(dialect, [behaviour]) as peer:
        peer.store.entries[b"key"] = VALUE
        options: dict[str, Any] = {"reconnect_spread": 0, "retry": simdrive.Retry.NONE}
        with simdrive.connect(peer.url, timeout=0.3, **options) as client:
            with within(0.3), pytest.raises(case.errors) as caught:
                case.operation(client)
            assert caught.value.op == case.method
            assert str(peer.port) in str(caught.value)
            failures = 0
            while True:
                try:
                    with within(0.3):
                        assert client.read(b"key") == VALUE
                    break
                except case.errors:
                    failures += 1
                    assert failures <= case.aftermath
            assert client.batch_read([b"key", b"absent"]) == [VALUE, None]
    assert peer.errors == []


def test_texts_of_server_errors() -> None:
    texts = {muxio.FAIL: (FAIL_BODY, "no luck"), muxio.SYSTEM_ERROR: (b"disk on fire", "disk on fire")}
    for status, (body, text) in texts.items():
        with FaultPeer(script=[Behaviour(call=send_body(body, status))]) as peer, simdrive.connect(peer.url) as client:
            with pytest.raises(simdrive.ServerError, match=text) as caught:
                client.read(b"key")
            assert text in caught.value.message
            assert isinstance(caught.value, OSError)
            assert peer.connections == 1
            assert client.read(b"key") is None
            assert peer.connections == 1


OPERATIONS: dict[str, Callable[[simdrive.Client], object]] = {
    "write": lambda client: client.write(b"key", b"value"),
    "batch_write": lambda client: client.batch_write({b"key": b"value"}),
    "read": lambda client: client.read(b"key"),
    "batch_read": lambda client: client.batch_read([b"key"]),
    "delete": lambda client: client.delete(b"key"),
    "exists": lambda client: client.exists(b"key"),
    "len": len,
    "is_empty": lambda client: client.is_empty(),
    "file_size": lambda client: client.file_size(),
}


@pytest.mark.parametrize("method", OPERATIONS)
def test_every_method_times_out(method: str) -> None:
    behaviour = Behaviour(call=no_reply, methods=frozenset([method]))
    with FaultPeer(script=[behaviour]) as peer, simdrive.connect(peer.url, timeout=0.2) as client:
        with within(0.2, least=0.18), pytest.raises(simdrive.OperationTimeout) as caught:
            OPERATIONS[method](client)
        assert caught.value.op == method
        assert caught.value.sent is True
        OPERATIONS[method](client)
        assert [call.method for call in peer.calls] == [method, method]


@pytest.mark.parametrize("method", OPERATIONS)
@pytest.mark.parametrize("body", [b"", b"\x0b\x0b\x0b", b"\x06\x06\x06", bytes(70_000)])
def test_every_method_checks_the_body(method: str, body: bytes) -> None:
    behaviour = Behaviour(call=send_body(body), methods=frozenset([method]))
    with FaultPeer(script=[behaviour]) as peer, simdrive.connect(peer.url, timeout=1) as client:
        with within(1), pytest.raises(simdrive.ProtocolError) as caught:
            OPERATIONS[method](client)
        assert caught.value.op == method
        OPERATIONS[method](client)


def test_two_timeouts_in_a_row_replace_the_connection() -> None:
    behaviour = Behaviour(call=no_reply, times=None)
    with FaultPeer(script=[behaviour]) as peer, simdrive.connect(peer.url, timeout=0.2) as client:
        for _ in range(2):
            with within(0.2, least=0.18), pytest.raises(simdrive.OperationTimeout):
                client.read(b"key")
        assert client.read(b"key") is None
        assert peer.connections == 2


# ---- strange, but allowed -------------------------------------------------------------------------------------------


def in_one_message(connection: Connection, call: Call) -> None:
    connection.send(b"".join(good_frames(connection, call)))


def split_over_messages(connection: Connection, call: Call) -> None:
    data = b"".join(good_frames(connection, call))
    for at in range(0, len(data), 7):
        connection.send(data[at : at + 7])


def fragmented(connection: Connection, call: Call) -> None:
    for data in good_frames(connection, call):
        connection.send_raw(b"\x02" + wsraw.encode(wsraw.BINARY, data[:5])[1:])
        connection.send(b"ping between", opcode=wsraw.PING)
        connection.send_raw(b"\x80" + wsraw.encode(wsraw.BINARY, data[5:])[1:])


def fast_drip(connection: Connection, call: Call) -> None:
    for data in good_frames(connection, call):
        for byte in wsraw.encode(wsraw.BINARY, data):
            connection.send_raw(bytes([byte]))


def with_fillers(connection: Connection, call: Call) -> None:
    for data in good_frames(connection, call):
        connection.send(b"", opcode=wsraw.BINARY)
        connection.send(b"a text", opcode=wsraw.TEXT)
        connection.send(b"", opcode=wsraw.PONG)
        connection.send(data)


def many_pings(connection: Connection, call: Call) -> None:
    for i in range(500):
        connection.send(b"ping %d" % i, opcode=wsraw.PING)
    connection.answer_well(call)


def twice(connection: Connection, call: Call) -> None:
    connection.answer_well(call)
    connection.reply(call, bitcode.option(b"the second reply"))


def foreign_reply_first(connection: Connection, call: Call) -> None:
    connection.reply(call, bitcode.option(b"for somebody else"), request_id=call.request_id + 100_000)
    connection.answer_well(call)


def header_in_pieces(connection: Connection, call: Call) -> None:
    message = muxio.Message(muxio.RESPONSE, call.request_id, muxio.METHOD_IDS["read"], b"\0", bitcode.option(VALUE))
    data, stream = message.encode(), connection.new_stream()
    for seq, at in enumerate(range(0, len(data), 3)):
        connection.send(
            muxio.frame(connection.dialect, stream, seq, muxio.DATA if seq else muxio.OPEN, data[at : at + 3])
        )
    connection.send(muxio.frame(connection.dialect, stream, -(-len(data) // 3), muxio.END))


ODDITIES = {
    "two frames in one message": in_one_message,
    "frames cut anywhere": split_over_messages,
    "fragments with pings between": fragmented,
    "byte by byte": fast_drip,
    "fillers": with_fillers,
    "many pings": many_pings,
    "two replies": twice,
    "a reply for nobody": foreign_reply_first,
    "header in pieces": header_in_pieces,
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("oddity", ODDITIES)
def test_strange_but_allowed(oddity: str, dialect: str) -> None:
    behaviour = Behaviour(call=ODDITIES[oddity], methods=frozenset(["read"]), times=3)
    with FaultPeer(dialect, [behaviour]) as peer:
        peer.store.entries[b"key"] = VALUE
        with simdrive.connect(peer.url, timeout=5) as client:
            for _ in range(3):
                assert client.read(b"key") == VALUE
            assert client.exists(b"key") is True
            assert client.read(b"absent") is None
        assert peer.connections == 1
    assert peer.errors == []


def test_probe_answer_in_one_message() -> None:
    def joined(connection: Connection) -> None:
        message = muxio.Message(muxio.RESPONSE, 0, 0, bytes([muxio.METHOD_NOT_FOUND]), b"").encode()
        connection.send(b"".join(muxio.stream_frames(connection.dialect, connection.new_stream(), message)))

    for dialect in DIALECTS:
        with FaultPeer(dialect, [Behaviour(probe=joined)]) as peer, simdrive.connect(peer.url) as client:
            assert client.server_info().dialect == dialect
            assert client.exists(b"key") is False


def test_many_replies_nobody_asked_for() -> None:
    def flood(connection: Connection, call: Call) -> None:
        for i in range(2000):
            connection.reply(call, bitcode.option(b"x" * 1000), request_id=call.request_id + 1_000_000 + i)
        connection.answer_well(call)

    with FaultPeer(script=[Behaviour(call=flood)]) as peer, simdrive.connect(peer.url, timeout=10) as client:
        peer.store.entries[b"key"] = VALUE
        assert client.read(b"key") == VALUE


# ---- memory ---------------------------------------------------------------------------------------------------------

PEAK = """
import sys
import simdrive

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

client = simdrive.connect(sys.argv[1], timeout=0.4, retry=simdrive.Retry.NONE)
client.exists(b"warm")
before = peak()
try:
    client.batch_read([b"key", b"absent"]) if sys.argv[2] == "batch_read" else client.read(b"key")
except simdrive.SimdriveError as error:
    print(type(error).__name__, peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("fault", [name for name in CALL_FAULTS if "2^" in name or "GiB" in name])
def test_memory_stays_bounded(fault: str) -> None:
    case = CALL_FAULTS[fault]
    with FaultPeer(script=[Behaviour(call=case.act, methods=frozenset([case.method]))]) as peer:
        command = [sys.executable, "-c", PEAK, peer.url, case.method]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 0, ended.stderr
    name, grown = ended.stdout.split()
    assert name in [error.__name__ for error in case.errors]
    assert int(grown) < 16 * 1024, f"{grown} kB"
