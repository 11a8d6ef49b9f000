"""Values from and to files."""

from __future__ import annotations

import inspect
import io
import os
import sys
import tempfile
import threading
import tracemalloc
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import simdrive
from simdrive import KeyNotFoundError, streams
from simdrive._core import make_value
from support.fault_peer import FaultPeer
from support.resident import data_of, on_linux, resident_bytes, settled_bytes
from support.timing import within

MIB = 1 << 20
DATA = bytes(range(1, 251)) * 10_000  # 2.4 MiB


@pytest.fixture
def peer() -> Iterator[FaultPeer]:
    with FaultPeer() as running:
        yield running
    assert running.errors == []


@pytest.fixture
def plain(peer: FaultPeer) -> Iterator[simdrive.Client]:
    with simdrive.connect(peer.url, max_value_size=4 * MIB) as opened:
        yield opened


@pytest.fixture(params=["client", "namespace"])
def client(request: pytest.FixtureRequest, plain: simdrive.Client) -> Any:
    return plain if request.param == "client" else plain.namespace(b"users")


class NoReadinto:
    """A file that only has read, and gives less than it is asked for."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._file.read(min(size, 100_000))


# ---- write_stream ---------------------------------------------------------------------------------------------------

SOURCES: dict[str, Callable[[Path], Any]] = {
    "BytesIO": lambda _: io.BytesIO(DATA),
    "buffered file": lambda path: path.open("rb"),
    "raw file": lambda path: path.open("rb", buffering=0),
    "no readinto": lambda _: NoReadinto(DATA),
    "list": lambda _: [DATA[:7], DATA[7:7], bytearray(DATA[7:1000]), memoryview(DATA)[1000:]],
    "generator": lambda _: (DATA[i : i + 999] for i in range(0, len(DATA), 999)),
    "arrays": lambda _: [array("H", DATA[i : i + 10_000]) for i in range(0, len(DATA), 10_000)],
}


@pytest.mark.parametrize("size", [None, len(DATA)])
@pytest.mark.parametrize("kind", SOURCES)
def test_write_stream(peer: FaultPeer, client: Any, kind: str, size: int | None, tmp_path: Path) -> None:
    path = tmp_path / "source"
    path.write_bytes(DATA)
    source = SOURCES[kind](path)
    assert client.write_stream(b"key", source, size=size) == len(DATA)
    if hasattr(source, "close"):
        source.close()
    assert client.read(b"key") == DATA
    assert [call.method for call in peer.calls] == ["write", "read"]


@pytest.mark.parametrize("make", [io.BytesIO, NoReadinto])
def test_a_part_of_a_file(client: Any, make: Callable[[bytes], Any]) -> None:
    source = make(DATA)
    first = 1000
    assert client.write_stream(b"1", source, size=first) == first
    assert client.write_stream(b"2", source) == len(DATA) - first
    assert client.read(b"1") + client.read(b"2") == DATA


@pytest.mark.parametrize(
    ("source", "size", "why"),
    [
        (lambda: io.BytesIO(b"12345"), 6, "gave 5 bytes, size says 6"),
        (lambda: NoReadinto(b"12345"), 6, "gave 5 bytes, size says 6"),
        (lambda: [b"123", b"45"], 6, "gave 5 bytes, size says 6"),
        (lambda: [b"123", b"45"], 4, "gave 5 bytes or more, size says 4"),
        (list, 4, "gave 0 bytes, size says 4"),
        (list, None, "empty"),
        (lambda: io.BytesIO(), 0, "empty"),
        (lambda: io.BytesIO(b"\0"), None, "00"),
    ],
)
def test_refused_sizes(peer: FaultPeer, client: Any, source: Callable[[], Any], size: int | None, why: str) -> None:
    with pytest.raises(simdrive.InvalidValueError, match=why) as caught:
        client.write_stream(b"key", source(), size=size)
    error = caught.value
    assert error.op in {"write", "write_stream"}
    assert (error.key_hint, error.endpoint, error.outcome) == (b"key".hex(), peer.url, "not applied")
    assert "nothing was sent" in str(error)
    assert peer.calls == []


def test_too_much_is_refused_early(peer: FaultPeer, client: Any) -> None:
    given = 0

    def endless() -> Iterator[bytes]:
        nonlocal given
        while True:
            given += MIB
            yield b"x" * MIB

    class Endless:
        def read(self, size: int) -> bytes:
            nonlocal given
            given += size
            return b"x" * size

    for source in (endless(), Endless()):
        given = 0
        with pytest.raises(simdrive.InvalidValueError, match=f"max_value_size is {4 * MIB}"):
            client.write_stream(b"key", source)
        assert given == 5 * MIB
        with pytest.raises(simdrive.InvalidValueError, match="more than max_value_size"):
            client.write_stream(b"key", source, size=4 * MIB + 1)
        assert given == 5 * MIB
    assert peer.calls == []


class Sender(streams.Streams):
    """Looks at what a stream would send."""

    options = simdrive.Options()

    def __init__(self, look: Callable[[simdrive.Value], None]) -> None:
        self._look = look

    def _check(self, op: str) -> None:
        """As of a client that is open."""

    def write(self, _key: Any, data: Any) -> None:
        self._look(data)


@pytest.mark.parametrize("size", [None, 32 * MIB])
def test_there_is_one_copy(size: int | None) -> None:
    """In Python: what the core sends from is the memory that it was gathered in, and Python's has a piece at most."""
    seen: list[tuple[int, int]] = []

    def look(value: simdrive.Value) -> None:
        assert type(value) is simdrive.Value
        seen.append((len(value), tracemalloc.get_traced_memory()[1]))

    sender: Any = Sender(look)
    with tempfile.TemporaryFile(buffering=0) as source:
        source.truncate(32 * MIB)
        tracemalloc.start()
        try:
            assert sender.write_stream(b"key", source, size=size) == 32 * MIB
        finally:
            tracemalloc.stop()
    ((length, peak),) = seen
    assert length == 32 * MIB
    assert peak < 3 * MIB


@on_linux
@pytest.mark.parametrize("size", [None, 64 * MIB])
def test_the_memory_that_it_takes(size: int | None) -> None:
    """That of the bytes that are there, however much was announced, or grown to."""
    before = settled_bytes()

    def look(value: simdrive.Value) -> None:
        assert resident_bytes() - before < 72 * MIB

    def pieces() -> Iterator[bytes]:
        yield b"x"
        assert resident_bytes() - before < 8 * MIB
        yield piece
        for _ in range(63):
            yield piece
        yield piece[1:]

    piece = bytes(MIB)
    sender: Any = Sender(look)
    assert sender.write_stream(b"key", pieces(), size=size and size + MIB) == 65 * MIB


@pytest.mark.parametrize("size", [None, 5 * MIB])
def test_pieces_of_every_length(size: int | None) -> None:
    """Also where what is there has to move to larger memory, and what does not go at once."""
    data = data_of(5 * MIB)
    sent: list[bytes] = []
    sender: Any = Sender(lambda value: sent.append(bytes(value)))
    for length in (777, 4096, MIB - 1, MIB + 1, 3 * MIB, 5 * MIB):
        pieces = (data[i : i + length] for i in range(0, len(data), length))
        assert sender.write_stream(b"key", pieces, size=size) == len(data)
        assert sent.pop() == data


def test_a_file_that_lies_about_what_it_gave(peer: FaultPeer, client: Any) -> None:
    class Liar:
        def readinto(self, _buffer: Any) -> int:
            return given

        def read(self, _size: int) -> bytes:
            raise AssertionError

    for given in (-1, 6):
        with pytest.raises(OSError, match=f"says it gave {given} of 5 bytes"):
            client.write_stream(b"key", Liar(), size=5)
    assert peer.calls == []


def test_a_file_that_keeps_the_buffer(client: Any) -> None:
    """The memory stays as long as somebody has it."""

    class Keeper(io.BytesIO):
        def readinto(self, buffer: Any) -> int:
            kept.append(memoryview(buffer))
            return super().readinto(buffer)

    kept: list[memoryview] = []
    data = DATA[: 2 * MIB]
    assert client.write_stream(b"key", Keeper(data), size=len(data)) == len(data)
    assert client.read(b"key") == data
    assert b"".join(kept) == data


@pytest.mark.parametrize("wrong", [b"bytes", bytearray(b"bytes"), memoryview(b"bytes"), "text", array("H", [1])])
def test_a_value_is_no_source(peer: FaultPeer, client: Any, wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"use write\(\)"):
        client.write_stream(b"key", wrong)
    assert peer.calls == []


@pytest.mark.parametrize("wrong", [5, None, [5], ["text"], [None], "file", [memoryview(b"12345")[::2]]])
def test_other_sources_are_refused(peer: FaultPeer, client: Any, wrong: Any) -> None:
    for size in (None, 5):
        with pytest.raises(TypeError):
            client.write_stream(b"key", io.StringIO("text") if wrong == "file" else wrong, size=size)
    assert peer.calls == []


@pytest.mark.parametrize("wrong", [Path("file"), 5, None])
def test_the_message_for_what_is_no_source(client: Any, wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"^source must be an open file or an iterable of buffers, not \w+$"):
        client.write_stream(b"key", wrong)


def test_the_message_for_text_mode(client: Any) -> None:
    with pytest.raises(TypeError, match="'rb'"):
        client.write_stream(b"key", io.StringIO("text"))


@pytest.mark.parametrize("size", [-1, 1.5, True, "5"])
def test_bad_sizes(client: Any, size: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="size"):
        client.write_stream(b"key", [b"value"], size=size)


@pytest.mark.parametrize("key", ["text", 5, memoryview(b"12345")[::2]])
def test_a_bad_key_leaves_the_source_alone(client: Any, key: Any) -> None:
    source = io.BytesIO(b"value")
    with pytest.raises(TypeError, match="key"):
        client.write_stream(key, source)
    assert source.tell() == 0


def test_an_error_of_the_source_passes(peer: FaultPeer, client: Any) -> None:
    class Broken:
        def read(self, _size: int) -> bytes:
            raise failure

    def pieces() -> Iterator[bytes]:
        yield b"value"
        raise failure

    failure = OSError(5, "the disk is gone")
    for source in (Broken(), pieces()):
        with pytest.raises(OSError, match="the disk is gone") as caught:
            client.write_stream(b"key", source)
        assert caught.value is failure
    assert peer.calls == []


@pytest.mark.skipif(not hasattr(os, "set_blocking"), reason="no non-blocking pipes")
@pytest.mark.parametrize("size", [None, 5])
def test_a_source_without_bytes_yet(peer: FaultPeer, client: Any, size: int | None) -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with os.fdopen(reading, "rb", 0) as source, os.fdopen(writing, "wb", 0), pytest.raises(BlockingIOError):
        client.write_stream(b"key", source, size=size)
    assert peer.calls == []


# ---- read_stream ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk_size", [1000, 4096, len(DATA), len(DATA) + 1])
def test_read_stream(peer: FaultPeer, client: Any, chunk_size: int) -> None:
    client.write(b"key", DATA)
    pieces = list(client.read_stream(b"key", chunk_size=chunk_size))
    assert b"".join(pieces) == DATA
    assert all(type(piece) is simdrive.Value for piece in pieces)
    assert {len(piece) for piece in pieces[:-1]} <= {chunk_size}
    assert 0 < len(pieces[-1]) <= chunk_size
    assert [call.method for call in peer.calls] == ["write", "read"]


def test_read_stream_is_lazy(peer: FaultPeer, client: Any) -> None:
    client.write(b"key", DATA)
    key = bytearray(b"key")
    stream = client.read_stream(key)
    absent = client.read_stream(b"absent")
    key[:] = b"yek"
    assert [call.method for call in peer.calls] == ["write"]
    assert next(stream) == DATA[:MIB]
    with pytest.raises(KeyNotFoundError, match=r"read_stream on ws://.*b'absent'") as caught:
        next(absent)
    assert caught.value.key_hint == b"absent".hex()
    stream.close()


@pytest.mark.parametrize("chunk_size", [0, -1, 1.5, True])
def test_bad_chunk_sizes(client: Any, chunk_size: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="chunk_size"):
        client.read_stream(b"key", chunk_size=chunk_size)


def test_a_copy_through_streams(client: Any) -> None:
    client.write(b"key", DATA)
    assert client.write_stream(b"copy", client.read_stream(b"key", chunk_size=1000)) == len(DATA)
    assert client.read(b"copy") == DATA


# ---- read_into ------------------------------------------------------------------------------------------------------


class Sink:
    """Takes at most `most` bytes at once, and answers what `answer` makes of it."""

    def __init__(self, most: int = sys.maxsize, answer: Callable[[int], Any] = lambda taken: taken) -> None:
        self.data = bytearray()
        self._most = most
        self._answer = answer

    def write(self, data: Any) -> Any:
        taken = min(len(data), self._most)
        self.data += data[:taken]
        return self._answer(taken)


class RawSink(Sink, io.RawIOBase):
    def __init__(self, *arguments: Any) -> None:
        io.RawIOBase.__init__(self)
        Sink.__init__(self, *arguments)


@pytest.mark.parametrize(
    "make", [Sink, lambda: Sink(100_000), lambda: RawSink(100_000), lambda: Sink(sys.maxsize, lambda _: None)]
)
def test_read_into(peer: FaultPeer, client: Any, make: Callable[[], Sink]) -> None:
    client.write(b"key", DATA)
    sink = make()
    assert client.read_into(b"key", sink) == len(DATA)
    assert sink.data == DATA
    assert [call.method for call in peer.calls] == ["write", "read"]


@pytest.mark.parametrize("buffering", [-1, 0])
def test_read_into_a_file(client: Any, tmp_path: Path, buffering: int) -> None:
    client.write(b"key", DATA)
    with (tmp_path / "sink").open("wb", buffering=buffering) as sink:
        assert client.read_into(b"key", sink) == len(DATA)
    assert (tmp_path / "sink").read_bytes() == DATA


def test_an_absent_key_leaves_the_sink_alone(peer: FaultPeer, client: Any) -> None:
    sink = Sink()
    with pytest.raises(KeyNotFoundError) as caught:
        client.read_into(b"absent", sink)
    assert (caught.value.op, caught.value.key_hint) == ("read_into", b"absent".hex())
    assert sink.data == b""
    with pytest.raises(TypeError, match="sink"):
        client.read_into(b"absent", b"no sink")


def test_an_error_of_the_sink_passes(client: Any) -> None:
    client.write(b"key", DATA)
    failure = OSError(28, "no space")

    def fail(taken: int) -> int:
        raise failure

    with pytest.raises(OSError, match="no space") as caught:
        client.read_into(b"key", Sink(1000, fail))
    assert caught.value is failure


@pytest.mark.parametrize("answer", [0, -1, len(DATA) + 1])
def test_a_sink_that_lies(client: Any, answer: int) -> None:
    client.write(b"key", DATA)
    with pytest.raises(OSError, match=f"took {answer} of {len(DATA)} bytes"):
        client.read_into(b"key", Sink(1000, lambda _: answer))


@pytest.mark.skipif(not hasattr(os, "set_blocking"), reason="no non-blocking pipes")
class TestNonBlocking:
    @pytest.fixture
    def pipe(self) -> Iterator[tuple[Any, Any]]:
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        with os.fdopen(reading, "rb") as source, os.fdopen(writing, "wb", 0) as sink:
            yield source, sink

    def test_it_is_waited_for(self, client: Any, pipe: tuple[Any, Any]) -> None:
        client.write(b"key", DATA)
        source, sink = pipe
        received: list[bytes] = []
        reader = threading.Thread(target=lambda: received.append(source.read(len(DATA))))
        reader.start()
        assert client.read_into(b"key", sink) == len(DATA)
        reader.join(timeout=10)
        assert received == [DATA]

    def test_but_not_for_ever(self, client: Any, pipe: tuple[Any, Any]) -> None:
        client.write(b"key", DATA)
        with within(0.4, least=0.19), pytest.raises(simdrive.OperationTimeout, match=f"of {len(DATA)} bytes") as caught:
            client.read_into(b"key", pipe[1], timeout=0.2)
        error = caught.value
        assert (error.op, error.key_hint, error.sent) == ("read_into", b"key".hex(), False)
        assert error.elapsed >= 0.19

    def test_nothing_to_wait_for(self, client: Any) -> None:
        client.write(b"key", DATA)
        with pytest.raises(BlockingIOError, match="fileno"):
            client.read_into(b"key", RawSink(1000, lambda _: None))


# ---- what is passed on ----------------------------------------------------------------------------------------------


def test_timeouts_are_those_of_the_call(peer: FaultPeer, client: Any) -> None:
    client.write(b"key", DATA)
    for attempt in (
        lambda: client.write_stream(b"key", [b"value"], timeout=-1),
        lambda: list(client.read_stream(b"key", timeout=-1)),
        lambda: client.read_into(b"key", Sink(), timeout=-1),
    ):
        with pytest.raises(simdrive.ConfigurationError, match="timeout"):
            attempt()
    assert client.write_stream(b"key", [b"value"], timeout=None) == 5
    assert client.read_into(b"key", Sink(), timeout=None) == 5
    assert b"".join(client.read_stream(b"key", timeout=5)) == b"value"


class Bar:
    """What tqdm has of a bar."""

    total: int | None = None
    n = 0

    def update(self, n: int) -> None:
        self.n += n


def test_progress(client: Any) -> None:
    def show(done: int, total: int) -> None:  # as the README has it for tqdm
        bar.total = total
        bar.update(done - bar.n)

    for transfer in (
        lambda: client.write_stream(b"key", io.BytesIO(DATA), progress=show),
        lambda: client.read_into(b"key", io.BytesIO(), progress=show),
        lambda: list(client.read_stream(b"key", progress=show)),
        lambda: client.write(b"key", DATA, progress=show),
        lambda: client.batch_write({b"key": DATA}, progress=show),
        lambda: client.read(b"key", progress=show),
        lambda: client.batch_read([b"key"], progress=show),
    ):
        bar = Bar()
        transfer()
        assert (bar.n, bar.total) == (len(DATA), len(DATA))


def test_an_error_of_progress_ends_the_call(client: Any) -> None:
    def fail(done: int, total: int) -> None:
        raise failure

    failure = LookupError("mine")
    with pytest.raises(LookupError) as caught:
        client.write_stream(b"key", io.BytesIO(DATA), progress=fail)
    assert caught.value is failure


class Recorder(streams.Streams):
    """Stands for a client, and keeps the arguments."""

    options = simdrive.Options()

    def __init__(self) -> None:
        self.given: list[dict[str, Any]] = []

    def _check(self, op: str) -> None:
        """As of a client that is open."""

    def write(self, _key: Any, _data: Any, **arguments: Any) -> None:
        self.given.append(arguments)

    def read(self, _key: Any, **arguments: Any) -> Any:
        self.given.append(arguments)
        return make_value(b"value") if arguments.get("out") == "view" else b"value"


@pytest.mark.parametrize("size", [1 << 62, 1 << 63])
def test_no_memory(size: int) -> None:
    recorder: Any = Recorder()
    recorder.options = simdrive.Options(max_value_size=(1 << 64) - 1)
    with pytest.raises(simdrive.OutOfMemoryError, match=str(size)) as caught:
        recorder.write_stream(b"key", [b"value"], size=size)
    assert isinstance(caught.value, MemoryError)
    assert recorder.given == []


def test_progress_is_passed_on() -> None:
    def progress(done: int, total: int) -> None: ...

    recorder: Any = Recorder()
    recorder.write_stream(b"key", [b"value"], progress=progress, timeout=1)
    list(recorder.read_stream(b"key", progress=progress))
    recorder.read_into(b"key", io.BytesIO(), progress=progress)
    recorder.read_into(b"key", io.BytesIO())
    assert recorder.given == [
        {"progress": progress, "timeout": 1},
        {"progress": progress, "out": "view"},
        {"progress": progress},
        {},
    ]


def test_signatures() -> None:
    for name in ("write_stream", "read_stream", "read_into"):
        parameters = inspect.signature(getattr(simdrive.Client, name)).parameters
        for option in ("timeout", "progress"):
            assert parameters[option].kind is inspect.Parameter.KEYWORD_ONLY
    assert inspect.signature(simdrive.Client.read_stream).parameters["chunk_size"].default == MIB
