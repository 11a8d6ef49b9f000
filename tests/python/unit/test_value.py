"""``Value`` by itself: a buffer, much of bytes, and memory that comes back."""

from __future__ import annotations

import copy
import gc
import io
import pickle
import subprocess
import sys
import threading
import time
import weakref
from array import array
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import simdrive
from simdrive import Value
from simdrive._core import make_value
from support.ports import wait_until
from support.resident import MIB, data_of, on_linux, resident_bytes

SIZES = [0, 1, 2, 16, 17, 255, 4096, 4097, 16384, 16385, 65536, MIB - 1, MIB, 3 * MIB + 5]


# ---- as bytes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_is_like_bytes(size: int) -> None:
    data = data_of(size)
    value = make_value(data)
    assert type(value) is Value
    assert len(value) == size
    assert bool(value) == bool(data)
    assert bytes(value) == data
    assert value == data
    assert data == value
    assert value == make_value(data)
    assert hash(value) == hash(data)
    assert hash(value) == hash(data)  # kept
    assert {value: 1}[data] == 1  # type: ignore[index]  # equal, though of another type
    assert {data: 1}[value] == 1  # type: ignore[index]
    assert bytearray(value) == data
    assert b"".join([value, value]) == data + data
    if size <= 65536:
        assert list(value) == list(data)


@pytest.mark.parametrize("size", [1, 16384, 16385, 2 * MIB])
def test_differs_in_any_byte(size: int) -> None:
    data = data_of(size)
    value = make_value(data)
    for place in {0, size // 2, size - 1}:
        other = bytearray(data)
        other[place] ^= 1
        assert value != other
        assert value != make_value(other)
    assert value != data + b"x"
    assert value != data[:-1]


def test_equals_whatever_is_bytes_like() -> None:
    data = data_of(64)
    value = make_value(data)
    for same in (bytearray(data), memoryview(data), array("H", data), array("d", data), memoryview(data).cast("I")):
        assert value == same
    assert value != memoryview(data + data)[::2]  # not contiguous
    others: list[Any] = ["text", 5, None, [1], object(), data.decode("latin-1")]
    for other in others:
        assert value != other
        assert value.__eq__(other) is NotImplemented
    with pytest.raises(TypeError):
        assert value < data  # type: ignore[operator]


@given(st.binary(max_size=40), st.slices(40))
def test_slices(data: bytes, part: slice) -> None:
    value = make_value(data)
    if part.step in (None, 1):
        assert type(value[part]) is Value
        assert value[part] == data[part]
        assert hash(value[part]) == hash(data[part])
    else:
        with pytest.raises(ValueError, match="step 1"):
            value[part]
        assert value.view()[part] == data[part]


@given(st.binary(max_size=20), st.integers(-25, 25))
def test_indices(data: bytes, index: int) -> None:
    value = make_value(data)
    try:
        expected = data[index]
    except IndexError:
        with pytest.raises(IndexError, match="out of range"):
            value[index]
    else:
        assert value[index] == expected


@given(st.binary(max_size=30), st.binary(max_size=30))
def test_equality(a: bytes, b: bytes) -> None:
    assert (make_value(a) == b) is (a == b)
    assert (make_value(a) == make_value(b)) is (a == b)


@pytest.mark.parametrize("index", ["0", None, 1.0, b"0", (0,)])
def test_wrong_indices(index: Any) -> None:
    with pytest.raises(TypeError, match=f"not {type(index).__name__}"):
        make_value(b"abc")[index]
    with pytest.raises(IndexError):
        make_value(b"abc")[1 << 80]


def test_is_read_only() -> None:
    value: Any = make_value(b"abc")
    with pytest.raises(TypeError):
        value[0] = 1
    with pytest.raises(TypeError):
        del value[0]
    assert value.view().readonly
    with pytest.raises((BufferError, TypeError)):
        io.BytesIO(b"xyz").readinto(value)


def test_buffer_protocol() -> None:
    view = make_value(b"abcd").view()
    assert (view.format, view.itemsize, view.ndim, view.shape, view.strides) == ("B", 1, 1, (4,), (1,))
    assert (view.nbytes, view.readonly, view.c_contiguous) == (4, True, True)
    assert view.tobytes() == b"abcd"
    assert view.cast("H").tolist() == array("H", b"abcd").tolist()


def test_is_made_by_clients_only() -> None:
    for arguments in ((), (b"bytes",)):
        with pytest.raises(TypeError, match=r"read\(key, out=\"view\"\)"):
            Value(*arguments)
    base: Any = Value
    with pytest.raises(TypeError):
        type("Mine", (base,), {})
    with pytest.raises(ValueError, match="released"):
        bytes(base.__new__(base))
    with pytest.raises(TypeError, match="not str"):
        make_value("text")  # type: ignore[arg-type]


def test_repr() -> None:
    assert repr(make_value(b"")) == "<simdrive.Value of 0 bytes: b''>"
    assert repr(make_value(b"a")) == "<simdrive.Value of 1 byte: b'a'>"
    assert repr(make_value(b"a" * 16)) == f"<simdrive.Value of 16 bytes: {b'a' * 16!r}>"
    assert repr(make_value(b"a" * 17)) == f"<simdrive.Value of 17 bytes: {b'a' * 16!r}...>"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("size", [0, 5, 100_000])
def test_pickle(protocol: int, size: int) -> None:
    value = make_value(data_of(size))
    again = pickle.loads(pickle.dumps(value, protocol))  # noqa: S301  # our own
    assert type(again) is Value
    assert again == value
    value.release()  # nothing holds it
    with pytest.raises(ValueError, match="released"):
        pickle.dumps(value, protocol)


def test_pickle_out_of_band() -> None:
    value = make_value(data_of(5000))
    buffers: list[Any] = []
    pickled = pickle.dumps(value, 5, buffer_callback=buffers.append)
    assert len(pickled) < 500
    assert pickle.loads(pickled, buffers=buffers) == value  # noqa: S301  # our own


def test_copies_are_the_same() -> None:
    value = make_value(b"abc")
    assert copy.copy(value) is value
    assert copy.deepcopy([value])[0] is value


def test_weak_references() -> None:
    value = make_value(b"abc")
    reference = weakref.ref(value)
    assert reference() is value
    part = value[1:]
    del value
    gc.collect()
    assert reference() is None
    assert part == b"bc"


# ---- release --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 3, 2 * MIB])
def test_release(size: int) -> None:
    value = make_value(data_of(size))
    part = value[1:]
    value.release()
    value.release()
    uses: list[Callable[[], object]] = [
        lambda: len(value),
        lambda: bool(value),
        lambda: bytes(value),
        lambda: hash(value),
        lambda: value[0],
        lambda: value[:],
        lambda: iter(value),
        lambda: value.view(),
        lambda: value.to_numpy(),
        lambda: value.to_arrow(),
        lambda: memoryview(value),
        lambda: value.__enter__(),
        lambda: b"".join([value]),
    ]
    for use in uses:
        with pytest.raises((ValueError, TypeError)) as caught:
            use()
        assert "released" in str(caught.value) or isinstance(caught.value, TypeError)
    assert repr(value) == "<simdrive.Value (released)>"
    assert value == value
    assert value != b""
    assert value != part
    assert part == data_of(size)[1:]


def test_hashes_outlive_release() -> None:
    value = make_value(b"abc")
    names = {value: 1}
    value.release()
    assert names.pop(value) == 1


def test_release_is_refused_while_buffers_are_out() -> None:
    value = make_value(b"abc")
    view = value.view()
    numbers = iter(value)
    with pytest.raises(BufferError, match="2 exported buffers"):
        value.release()
    assert bytes(view) == b"abc"
    view.release()
    with pytest.raises(BufferError, match="1 exported buffer in use"), value:
        pass
    del numbers
    with value as same:
        assert same is value
    with pytest.raises(ValueError, match="released"):
        len(value)


def test_an_index_that_releases() -> None:
    value = make_value(data_of(2 * MIB))

    class Index:
        def __index__(self) -> int:
            value.release()
            return 0

    with pytest.raises(ValueError, match="released"):
        value[Index()]
    value = make_value(data_of(2 * MIB))
    with pytest.raises(ValueError, match="released"):
        value[Index() :]


def test_parts_keep_the_memory() -> None:
    data = data_of(4 * MIB)
    value = make_value(data)
    view = value[MIB : 2 * MIB].view()
    deep = value[1:][1:][1:][:-1]
    value.release()
    del value
    gc.collect()
    assert view == data[MIB : 2 * MIB]
    assert deep == data[3:-1]


@on_linux
def test_memory_comes_back() -> None:
    data = data_of(64 * MIB)
    for let_go in (lambda v: v.release(), lambda _: None):
        value = make_value(data)
        full = resident_bytes()
        let_go(value)
        del value
        wait_until(lambda: resident_bytes() < full - 60 * MIB, timeout=10, what="64 MiB come back")  # noqa: B023


@on_linux
def test_parts_come_back_with_the_last() -> None:
    data = data_of(32 * MIB)  # here, so that nothing else comes and goes while memory is counted
    value = make_value(data)
    parts = [value[i * MIB : (i + 1) * MIB] for i in range(32)]
    del value
    full = resident_bytes()
    last = parts.pop()
    parts.clear()
    other = make_value(data)  # freed after what was given before, had there been anything
    more = resident_bytes()
    del other
    wait_until(lambda: resident_bytes() < more - 24 * MIB, timeout=10, what="32 MiB come back")
    assert resident_bytes() > full - 8 * MIB
    assert last == data[-MIB:]
    del last
    wait_until(lambda: resident_bytes() < full - 24 * MIB, timeout=10, what="32 MiB come back")


@on_linux
def test_many_small_values_do_not_grow() -> None:
    for _ in range(2):
        before = resident_bytes()
        for _ in range(50_000):
            value = make_value(b"x" * 1000)
            value[1:].view().release()
            value.release()
    assert resident_bytes() < before + 4 * MIB


def test_threads() -> None:
    data = data_of(2 * MIB)
    failures: list[BaseException] = []

    def use(value: Value) -> None:
        try:
            for i in range(20):
                assert value == data
                assert hash(value[i:]) == hash(data[i:])
                assert bytes(value) == data
                assert value[i : i + 1000].view().tobytes() == data[i : i + 1000]
        except BaseException as error:  # told by the main thread
            failures.append(error)

    for _ in range(3):
        value = make_value(data)
        threads = [threading.Thread(target=use, args=(value[:],)) for _ in range(4)]
        for thread in threads:
            thread.start()
        value.release()
        for thread in threads:
            thread.join(60)
    assert failures == []


def test_released_by_another_thread_while_it_is_read() -> None:
    data = data_of(8 * MIB)
    for work in (hash, bytes, data.__eq__, lambda v: v == data):
        for _ in range(5):
            value = make_value(data)
            thread = threading.Thread(target=value.release)
            thread.start()
            try:
                work(value)  # the lock is released meanwhile
            except ValueError as error:
                assert "released" in str(error)  # noqa: PT017
            thread.join(20)


@pytest.mark.parametrize("work", [hash, bytes, lambda value: value == bytes(value)])
def test_other_threads_run_meanwhile(work: Callable[[Value], object]) -> None:
    value = make_value(data_of(64 * MIB))
    done = threading.Event()
    thread = threading.Thread(target=lambda: (work(value[1:]), done.set()))
    stalls = []
    thread.start()
    while not done.is_set():
        started = time.perf_counter()
        time.sleep(0.0005)  # how late it ends is what is measured
        stalls.append(time.perf_counter() - started)
    thread.join()
    assert len(stalls) >= 2  # with the lock held throughout there would be one at most


CHILD = """
import os, sys
from simdrive._core import make_value

MIB = 1 << 20
data = b"v" * (8 * MIB)
for _ in range(10):
    kept = make_value(data)
    values = [make_value(data) for _ in range(4)]
    values.clear()  # the fork finds them on their way
    pid = os.fork()
    if pid == 0:
        os.alarm = __import__("signal").alarm
        os.alarm(30)
        assert kept == data
        kept.release()
        make_value(data).release()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert kept == data
"""


@pytest.mark.skipif(not hasattr(sys, "getdlopenflags"), reason="no fork()")
def test_fork() -> None:
    ended = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


# ---- NumPy and Arrow ------------------------------------------------------------------------------------------------


def test_to_numpy() -> None:
    numpy = pytest.importorskip("numpy")
    data = data_of(240)
    value = make_value(data)
    plain = value.to_numpy()
    assert (plain.dtype, plain.shape, plain.flags.writeable) == (numpy.uint8, (240,), False)
    assert plain.tobytes() == data
    assert value.to_numpy("<u4").tolist() == numpy.frombuffer(data, "<u4").tolist()
    assert value.to_numpy(numpy.float64, (5, 6)).shape == (5, 6)
    assert value.to_numpy("u2", shape=[4, -1]).shape == (4, 30)
    assert value.to_numpy("u1", 240).shape == (240,)
    assert value[:0].to_numpy("f8").shape == (0,)
    assert value[1:].to_numpy("u1").tobytes() == data[1:]
    assert value[1:9].to_numpy("u8").tolist() == numpy.frombuffer(data[1:9], "u8").tolist()  # not aligned
    assert value.to_numpy([("a", "u1"), ("b", "<u2")])["b"][1] == int.from_bytes(data[4:6], "little")
    with pytest.raises(ValueError, match=r"WRITEABLE|read-only"):
        plain.flags.writeable = True
    with pytest.raises(ValueError, match="read-only"):
        plain[0] = 1


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [("u8", None), ("u2", None), ("O", None), ("S0", None), ("V0", None), ("u1", (2, 8)), ("u1", 14), ("u1", (-1, 4))],
)
def test_to_numpy_refuses(dtype: str, shape: Any) -> None:
    pytest.importorskip("numpy")
    value = make_value(data_of(15))
    with pytest.raises(ValueError):  # noqa: PT011  # NumPy's words
        value.to_numpy(dtype, shape)
    value.release()  # nothing is left behind


def test_arrays_keep_the_memory() -> None:
    numpy = pytest.importorskip("numpy")
    value = make_value(data_of(3 * MIB))
    arrays = [value.to_numpy(), value.to_numpy("u1", (3, MIB)), numpy.asarray(value), numpy.frombuffer(value, "u1")]
    part = arrays[0][10:20]
    with pytest.raises(BufferError):
        value.release()
    del value
    arrays.clear()
    gc.collect()
    assert part.tobytes() == data_of(20)[10:]


def test_arrays_let_go() -> None:
    pytest.importorskip("numpy")
    value = make_value(data_of(3 * MIB))
    value.to_numpy("u1", (3, MIB)).sum()
    gc.collect()
    value.release()


def test_to_arrow() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    value = make_value(data_of(3 * MIB))
    buffer = value.to_arrow()
    assert isinstance(buffer, pyarrow.Buffer)
    assert (buffer.size, buffer.is_mutable) == (3 * MIB, False)
    assert buffer.address == pyarrow.py_buffer(value).address
    with pytest.raises(BufferError):
        value.release()
    del value
    gc.collect()
    assert buffer.to_pybytes() == data_of(3 * MIB)


@pytest.mark.parametrize(("name", "method"), [("numpy", "to_numpy"), ("pyarrow", "to_arrow")])
def test_absent_packages(monkeypatch: pytest.MonkeyPatch, name: str, method: str) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=f"pip install {name}") as caught:
        getattr(make_value(b"abc"), method)()
    assert caught.value.name == name


def test_is_exported() -> None:
    assert "Value" in simdrive.__all__
    assert simdrive.Value is Value
