"""The wire protocol against what the real implementation does, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import simdrive
from simdrive import _wire
from support import vectors

_NUMBERS = ("tail_offset", "total_entries", "file_size")
_ID_TO_NAME = {
    _wire.method_id(name): name
    for name in ("write", "batch_write", "read", "batch_read", "delete", "exists", "len", "is_empty", "file_size")
}


def _maybe(value: Any) -> bytes | None:
    return None if value is None else vectors.data(value)


def _fields(value: dict[str, Any]) -> dict[str, Any]:
    """The fields of a vector, with bytes and integers for their notations."""
    converted: dict[str, Any] = {}
    for name, field in value.items():
        if name in ("key", "payload", "entry_payload"):
            converted[name] = _maybe(field)
        elif name in ("keys", "entries_payloads"):
            converted[name] = [_maybe(item) for item in field]
        elif name == "entries":
            converted[name] = [(vectors.data(key), vectors.data(payload)) for key, payload in field]
        elif name in _NUMBERS:
            converted[name] = int(field)
        else:
            converted[name] = field
    return converted


def _cases(name: str) -> list[Any]:
    cases: list[Any] = vectors.load("wire", name)
    assert cases, f"{name} holds no cases"
    return cases


def test_vector_method_ids() -> None:
    cases = _cases("method_ids.json")
    assert {case["name"] for case in cases} == set(_ID_TO_NAME.values())
    for case in cases:
        found = _wire.method_id(case["name"])
        assert found == int(case["id_hex"], 16), case["name"]
        assert found.to_bytes(8, "little").hex() == case["id_le_bytes"], case["name"]


def test_vector_bitcode_encode() -> None:
    for index, case in enumerate(_cases("bitcode_encode.json")):
        fields = _fields(case["value"])
        encoded = _wire.encode(case["type"], fields)
        assert vectors.matches(encoded, case["encoded"]), f"case {index}: {case['type']}"
        assert _wire.decode(case["type"], encoded) == fields, f"case {index}: {case['type']}"


def _is_rejected(type_name: str, encoded: bytes) -> bool:
    try:
        _wire.decode(type_name, encoded)
    except simdrive.ProtocolError:
        return True
    return False


def test_vector_bitcode_decode() -> None:
    verdicts = {True: 0, False: 0}
    for index, case in enumerate(_cases("bitcode_decode.json")):
        where = f"case {index}: {case['type']} {case['hex'][:80]}"
        encoded = bytes.fromhex(case["hex"])
        verdicts[case["accept"]] += 1
        if not case["accept"]:
            assert _is_rejected(case["type"], encoded), where
            continue
        fields = _fields(case["value"])
        assert _wire.decode(case["type"], encoded) == fields, where
        assert (_wire.encode(case["type"], fields) == encoded) == case["canonical"], where
    assert all(verdicts.values())


@pytest.mark.parametrize("dialect", [13, 21])
def test_vector_frames_encode(dialect: int) -> None:
    for index, case in enumerate(_cases("frames_encode.json")):
        method = int(case["method_id"], 16)
        if case["what"] == "request":
            args = vectors.data(case["args"])
            frames = _wire.request_frames(dialect, case["stream_id"], case["request_id"], method, args)
        else:
            stream = case[f"stream_id{dialect}"]
            body = vectors.data(case["body"])
            frames = _wire.response_frames(dialect, stream, case["request_id"], method, case["status"], body)
        expected = case[f"frames{dialect}"]
        assert len(frames) == len(expected), f"case {index}"
        for frame, want in zip(frames, expected, strict=True):
            assert vectors.matches(frame, want), f"case {index}"


def _event(msg: int, event: tuple[Any, ...], last_error: str) -> dict[str, Any]:
    kind = event[0]
    if kind == "header":
        _, message_type, request_id, method, meta = event
        return {
            "msg": msg,
            "ev": "header",
            "type": message_type,
            "request_id": request_id,
            "method_id": f"{method:016x}",
            "meta": meta.hex(),
        }
    if kind == "payload":
        return {"msg": msg, "ev": "payload", "request_id": event[1], "bytes": event[2].hex()}
    if kind == "end":
        return {"msg": msg, "ev": "end", "request_id": event[1]}
    return {"msg": msg, "ev": kind, "error": event[1] if kind == "error" else last_error}


def _request(msg: int, request: _wire.Request) -> dict[str, Any]:
    return {
        "msg": msg,
        "request_id": request.request_id,
        "method_id": f"{request.method_id:016x}",
        "args": request.args.hex(),
        "from": request.origin,
    }


def test_vector_frames_decode() -> None:
    for index, case in enumerate(_cases("frames_decode.json")):
        decoder = _wire.FrameDecoder(case["dialect"], requests=True)
        events: list[dict[str, Any]] = []
        requests: list[dict[str, Any]] = []
        for msg, message in enumerate(case["messages"]):
            for event in decoder.feed(bytes.fromhex(message)):
                events.append(_event(msg, event, events[-1].get("error", "") if events else ""))
            requests += [_request(msg, request) for request in decoder.take_requests()]
        where = f"case {index}: {case['note']}"
        assert events == case["events"], where
        errors = [{"msg": e["msg"], "error": e["error"]} for e in events if e["ev"] == "read_bytes_failed"]
        server = {"requests": requests, "errors": errors, "still_open": decoder.open_requests()}
        assert server == case["server"], where


def _operations(seed: int) -> Iterator[tuple[str, dict[str, Any], dict[str, Any] | str | None]]:
    """What the captured connections do, in order: method, arguments, and the answer where it can be foretold."""
    key = b"key-%d" % seed
    letters = [(bytes([ord("a") + i]), bytes([i + 1]) * (i + 1)) for i in range(7)]
    yield "is_empty", {}, None
    yield "len", {}, None
    yield "file_size", {}, None
    yield "write", {"key": key, "payload": b"hello world"}, None
    yield "read", {"key": key}, {"entry_payload": b"hello world"}
    yield "read", {"key": b"missing"}, {"entry_payload": None}
    yield "exists", {"key": key}, {"exists": True}
    yield "batch_write", {"entries": letters}, None
    values = [letters[0][1], None, letters[6][1]]
    yield "batch_read", {"keys": [b"a", b"nope", b"g"]}, {"entries_payloads": values}
    yield "delete", {"key": b"b"}, None
    yield "exists", {"key": b"b"}, {"exists": False}
    yield "write", {"key": b"e", "payload": b""}, "Payload cannot be empty."
    yield "write", {"key": b"n", "payload": b"\0"}, "NULL-byte payloads cannot be written directly."
    for size in (65510, 65520, 65530, 65540, 140000):
        payload = vectors.generated(seed * 1000 + size, size, 0, 256)
        yield "write", {"key": key, "payload": payload}, None
        yield "read", {"key": key}, {"entry_payload": payload}
    yield "len", {}, None


def _timestamp(message: dict[str, Any]) -> int:
    head: str = message["hex"] if "hex" in message else message["header"]
    return int.from_bytes(bytes.fromhex(head)[13:21], "little")


def _matches_captured(frame: bytes, message: dict[str, Any], head: int) -> bool:
    if "hex" in message:
        return frame == bytes.fromhex(message["hex"])
    return vectors.matches(frame, message) and frame[head:].startswith(bytes.fromhex(message["payload_head"]))


class _Capture:
    """The messages of one captured connection, an exchange at a time."""

    def __init__(self, dialect: int) -> None:
        capture = vectors.load("wire", f"capture_{dialect}.json")
        assert capture["dialect"] == dialect
        self.dialect = dialect
        self.seed = int(capture["data_seed"])
        self.messages: list[dict[str, Any]] = capture["messages"]
        self.at = 0

    def take(self, direction: str) -> list[dict[str, Any]]:
        """The next message stream: all frames of one request or response."""
        start = self.at
        while self.messages[self.at]["kind"] != 2:
            self.at += 1
        self.at += 1
        taken = self.messages[start : self.at]
        assert {m["dir"] for m in taken} == {direction}
        assert {m["stream_id"] for m in taken} == {taken[0]["stream_id"]}
        return taken

    def rebuilt(self, captured: list[dict[str, Any]], variants: dict[int, list[bytes]]) -> list[bytes]:
        """Our frames for captured ones: each of the variant with its own timestamp. All must be identical."""
        frames = [variants[_timestamp(m) if self.dialect == 21 else 0][i] for i, m in enumerate(captured)]
        assert all(len(v) == len(captured) for v in variants.values())
        for frame, message in zip(frames, captured, strict=True):
            assert _matches_captured(frame, message, self.dialect)
        return frames

    def timestamps(self, captured: list[dict[str, Any]]) -> set[int]:
        return {_timestamp(m) if self.dialect == 21 else 0 for m in captured}


def _payload(events: list[tuple[Any, ...]]) -> bytes:
    return b"".join(e[2] for e in events if e[0] == "payload")


@pytest.mark.parametrize("dialect", [13, 21])
def test_vector_capture(dialect: int) -> None:
    capture = _Capture(dialect)
    requests_seen = _wire.FrameDecoder(dialect, requests=True)
    responses_seen = _wire.FrameDecoder(dialect)
    for number, (method, fields, expected) in enumerate(_operations(capture.seed)):
        method_id = _wire.method_id(method)
        sent = capture.take("c2s")
        head = bytes.fromhex(sent[0].get("hex", sent[0].get("header", "") + sent[0].get("payload_head", "")))
        request_id = int.from_bytes(head[dialect + 1 : dialect + 5], "little")
        stream = sent[0]["stream_id"]
        args = _wire.encode(f"{method}_request", fields)
        variants = {
            t: _wire.request_frames(dialect, stream, request_id, method_id, args, t) for t in capture.timestamps(sent)
        }
        for frame in capture.rebuilt(sent, variants):
            requests_seen.feed(frame)
        (request,) = requests_seen.take_requests()
        assert (request.request_id, request.method_id) == (request_id, method_id), number
        assert _wire.decode(f"{method}_request", request.args) == fields, number
        _check_response(capture, responses_seen, (method, request_id), expected)
    assert capture.at == len(capture.messages)
    assert requests_seen.open_requests() == []


def _check_response(
    capture: _Capture, decoder: _wire.FrameDecoder, call: tuple[str, int], expected: dict[str, Any] | str | None
) -> None:
    method, request_id = call
    received = capture.take("s2c")
    stream = received[0]["stream_id"]
    if all("hex" in m for m in received):
        frames = [bytes.fromhex(m["hex"]) for m in received]
    else:  # too long to be kept whole: only the right bytes have the digest
        assert isinstance(expected, dict)
        body = _wire.encode(f"{method}_response", expected)
        variants = {
            t: _wire.response_frames(capture.dialect, stream, request_id, _wire.method_id(method), 0, body, t)
            for t in capture.timestamps(received)
        }
        frames = capture.rebuilt(received, variants)
    events = [event for frame in frames for event in decoder.feed(frame)]
    status = 2 if isinstance(expected, str) else 0
    assert events[0] == ("header", 1, request_id, _wire.method_id(method), bytes([status]))
    assert events[-1] == ("end", request_id)
    if isinstance(expected, str):
        assert _payload(events).decode() == expected
        return
    decoded = _wire.decode(f"{method}_response", _payload(events))
    assert expected is None or decoded == expected


def test_vector_dialect_probe() -> None:
    vector = vectors.load("wire", "dialect_probe.json")
    assert _wire.probe().hex() == vector["probe_hex"]
    assert vector["servers"]
    for server in vector["servers"]:
        size = server["header_size"]
        answer = [bytes.fromhex(m) for m in server["answer"]]
        assert _wire.judge_probe(answer[0]) == size, server["server"]
        assert _wire.judge_probe(b"".join(answer)) == size, server["server"]
        decoder = _wire.FrameDecoder(size)
        events = [e for m in answer for e in decoder.feed(m)]
        assert events == [("header", 1, 0, 0, b"\x03"), ("end", 0)], server["server"]
        events = [e for m in server["then_len_answer"] for e in decoder.feed(bytes.fromhex(m))]
        assert events[0][0] == "header"
        assert "total_entries" in _wire.decode("len_response", _payload(events)), server["server"]


def test_vector_dialect_probe_is_read_whole_by_both() -> None:
    for dialect in (13, 21):
        decoder = _wire.FrameDecoder(dialect, requests=True)
        decoder.feed(_wire.probe())
        (request,) = decoder.take_requests()
        assert (request.request_id, request.method_id) == (0, 0)
        # Nothing is left over: the next request is understood, on the same stream and with the same id.
        for frame in _wire.request_frames(dialect, 2, 0, _wire.method_id("len"), b""):
            decoder.feed(frame)
        (request,) = decoder.take_requests()
        assert request.method_id == _wire.method_id("len")
        assert decoder.open_requests() == []


def _status(events: list[tuple[Any, ...]]) -> list[tuple[int, int, bytes, bytes]]:
    """The responses among events: request id, method id, metadata, body."""
    responses: list[tuple[int, int, bytes, bytes]] = []
    for event in events:
        if event[0] == "header":
            assert event[1] == 1
            responses.append((event[2], event[3], event[4], b""))
        elif event[0] == "payload":
            assert event[1] == responses[-1][0]
            responses[-1] = (*responses[-1][:3], responses[-1][3] + event[2])
        else:
            assert event == ("end", responses[-1][0])
    return responses


def _check_body(method: int, status: int, body: bytes) -> None:
    if status == 0:
        _wire.decode(f"{_ID_TO_NAME[method]}_response", body)
    elif status == 2:
        assert body.decode("utf-8")
    else:
        assert (status, body) == (3, b"")


def test_vector_server_behaviour() -> None:
    answered = 0
    for case in _cases("server_behaviour.json"):
        if case["name"] == "text message":
            continue
        where = f"D{case['dialect']} {case['name']}"
        server = _wire.FrameDecoder(case["dialect"], requests=True)
        run: list[tuple[int, int]] = []
        oversize = False
        for message in case["sent"]:
            try:
                server.feed(bytes.fromhex(message))
            except simdrive.ProtocolError:
                oversize = True  # the real server waits for the bytes for ever; ours has a limit
            run += [(r.request_id, r.method_id) for r in server.take_requests()]
        assert oversize == (case["name"] == "header claims 4GiB-1"), where
        client = _wire.FrameDecoder(case["dialect"])
        responses = _status([e for m in case["received"] for e in client.feed(bytes.fromhex(m))])
        assert [(r[0], r[1]) for r in responses] == run, where
        for _, method, meta, body in responses:
            assert len(meta) == 1, where
            _check_body(method, meta[0], body)
        answered += len(responses)
    assert answered
