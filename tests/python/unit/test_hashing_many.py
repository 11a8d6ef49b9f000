"""xxh3_64_many and namespace_many: every form that many keys come in, and what is refused."""

from __future__ import annotations

import array
import collections
import ctypes
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simdrive import NamespaceHasher, hashing
from support.hash_data import DATA, NOGIL_MIN

np = pytest.importorskip("numpy")
xxhash = pytest.importorskip("xxhash")

USERS = NamespaceHasher(b"users")
ROWS = np.frombuffer(DATA, np.uint8)[: 64 * 40].reshape(64, 40)


def one_by_one(keys: Any, seed: int = 0) -> list[int]:
    return [xxhash.xxh3_64_intdigest(bytes(key), seed) for key in keys]


def check_array(keys: Any, each: list[bytes]) -> None:
    """All functions of many keys, on an array of NumPy whose keys are `each`."""
    for seed in (0, 2**63 + 5):
        hashes = hashing.xxh3_64_many(keys, seed)
        assert isinstance(hashes, np.ndarray)
        assert hashes.dtype == np.uint64
        assert hashes.shape == (len(each),)
        assert hashes.tolist() == one_by_one(each, seed)
    names = USERS.namespace_many(keys)
    assert isinstance(names, np.ndarray)
    assert names.dtype == np.uint8
    assert names.shape == (len(each), 16)
    assert names.flags.c_contiguous
    assert [row.tobytes() for row in names] == [USERS.namespace(key) for key in each]
    out = array.array("Q", bytes(8 * len(each)))
    assert hashing.xxh3_64_many(keys, out=out) is out
    assert out.tolist() == one_by_one(each)


@pytest.mark.parametrize("count", [0, 1, 2, 100, 4095, 4096, 4097, 10_000])
@pytest.mark.parametrize("kind", [list, tuple])
def test_sequences_of_bytes(count: int, kind: type) -> None:
    keys = kind(DATA[i % 4096 : i % 4096 + i % 50] for i in range(count))
    assert hashing.xxh3_64_many(keys, 3) == one_by_one(keys, 3)
    assert hashing.xxh3_64_many(items=keys, seed=3, width=None) == one_by_one(keys, 3)
    assert USERS.namespace_many(keys) == [USERS.namespace(key) for key in keys]


def test_sequences_of_mixed_buffers() -> None:
    class Key(bytes):
        pass

    kinds: list[Callable[[bytes], Any]] = [
        bytes,
        bytes,
        bytearray,
        Key,
        memoryview,
        lambda data: array.array("B", data),
        lambda data: np.frombuffer(data, np.uint8),
    ]
    keys = [kinds[i % 7 if i % 11 else 0](DATA[i : i + i % 90]) for i in range(9000)]
    assert hashing.xxh3_64_many(keys) == one_by_one(keys)
    assert hashing.xxh3_64_many(tuple(keys)) == one_by_one(keys)
    assert USERS.namespace_many(keys) == [USERS.namespace(key) for key in keys]


def test_other_iterables() -> None:
    keys = [b"a", b"bc", b"", bytes(300)]

    class Sequence:
        def __len__(self) -> int:
            return len(keys)

        def __getitem__(self, index: int) -> bytes:
            return keys[index]

    class Reversed(list[bytes]):
        def __iter__(self) -> Iterator[bytes]:
            return reversed(keys)

    iterables: list[Any] = [
        iter(keys),
        (key for key in keys),
        dict.fromkeys(keys),
        dict.fromkeys(keys).keys(),
        collections.deque(keys),
        Sequence(),
    ]
    for iterable in iterables:
        assert hashing.xxh3_64_many(iterable, 1) == one_by_one(keys, 1)
    assert hashing.xxh3_64_many(Reversed()) == one_by_one(reversed(keys))
    assert sorted(hashing.xxh3_64_many(set(keys))) == sorted(one_by_one(keys))
    assert USERS.namespace_many(iter(keys)) == [USERS.namespace(key) for key in keys]
    assert hashing.xxh3_64_many(iter(())) == []
    assert USERS.namespace_many(iter(())) == []


def test_a_generator_may_fill_one_buffer_again_and_again() -> None:
    buffer = bytearray(2)

    def keys() -> Iterator[bytearray]:
        for i in range(1000):
            buffer[:] = i.to_bytes(2, "big")
            yield buffer

    assert hashing.xxh3_64_many(keys()) == one_by_one(i.to_bytes(2, "big") for i in range(1000))


def test_a_generator_may_change_the_list_it_reads() -> None:
    source = [bytes([i]) for i in range(100)]

    def keys() -> Iterator[bytes]:
        while source:
            yield source.pop()

    assert hashing.xxh3_64_many(keys()) == one_by_one(bytes([i]) for i in reversed(range(100)))


@pytest.mark.skipif(sys.version_info < (3, 12), reason="__buffer__ came with Python 3.12")
@pytest.mark.parametrize("count", [10, 5000])
def test_a_key_may_change_the_list_it_is_in(count: int) -> None:
    class Key:
        def __buffer__(self, flags: int) -> memoryview:
            keys[:] = []
            return memoryview(b"key")

    keys: list[Any] = [*(bytes([i % 256]) * 20 for i in range(count - 1)), Key()]
    keys.insert(5, keys.pop())
    expected = one_by_one(keys[:5]) + one_by_one([b"key"]) + one_by_one(keys[6:])
    if count <= 4096:
        assert hashing.xxh3_64_many(keys) == expected
    else:
        with pytest.raises(RuntimeError, match="the list became shorter"):
            hashing.xxh3_64_many(keys)
    assert keys == []


@pytest.mark.skipif(not getattr(sys, "_is_gil_enabled", lambda: True)(), reason="this interpreter has no GIL")
def test_keys_are_kept_while_another_thread_empties_the_list() -> None:
    """The list holds the only references to its keys, and is emptied while they are hashed without the GIL."""
    expected = one_by_one(bytes([i]) * 500_000 for i in range(60))
    emptied_early = False
    interval = sys.getswitchinterval()
    for _ in range(50):
        keys = [bytes([i]) * 500_000 for i in range(60)]
        wake = threading.Lock()
        wake.acquire()

        def empty(keys: list[bytes] = keys, wake: threading.Lock = wake) -> None:
            with wake:
                keys.clear()

        thread = threading.Thread(target=empty)
        thread.start()
        sys.setswitchinterval(1000.0)  # so that the other thread runs only when the GIL is given up
        try:
            wake.release()
            hashes = hashing.xxh3_64_many(keys)
            emptied_early = not keys
        finally:
            sys.setswitchinterval(interval)
        thread.join()
        assert hashes == expected
        if emptied_early:
            break
    assert emptied_early


def test_rows_of_an_array() -> None:
    check_array(ROWS, [row.tobytes() for row in ROWS])
    for width in (0, 1, 8, 16, 17, 40):
        check_array(ROWS[:, :width], [row.tobytes() for row in ROWS[:, :width]])
    check_array(ROWS[::3, 5:21], [row.tobytes() for row in ROWS[::3, 5:21]])
    check_array(ROWS[:1, 3:], [ROWS[0, 3:].tobytes()])
    check_array(ROWS[:1][::-1], [ROWS[0].tobytes()])
    check_array(ROWS[:0], [])
    check_array(np.empty((0, 0), np.uint8), [])
    check_array(ROWS[:, ::2][:, :1], [row.tobytes() for row in ROWS[:, :1]])
    check_array(np.broadcast_to(ROWS[3], (5, 40)), [ROWS[3].tobytes()] * 5)
    check_array(np.asfortranarray(ROWS[:, :1]), [row.tobytes() for row in ROWS[:, :1]])


@pytest.mark.parametrize("dtype", ["<f8", ">u4", "i2", "?", "c8", "S5", "V3", "U2", "f2"])
def test_rows_of_wider_items(dtype: str) -> None:
    itemsize = np.dtype(dtype).itemsize
    rows = np.frombuffer(bytes(DATA[: 30 * 4 * itemsize]), np.uint8).reshape(30, -1).view(dtype)
    assert rows.shape == (30, 4)
    check_array(rows, [row.tobytes() for row in rows])


@given(st.data())
@settings(deadline=None)
def test_rows_of_any_shape(data: st.DataObject) -> None:
    count, columns = data.draw(st.integers(0, 40)), data.draw(st.integers(0, 300))
    begin, step = data.draw(st.integers(0, 5)), data.draw(st.integers(1, 4))
    whole = np.resize(np.frombuffer(DATA, np.uint8), (count, columns))
    rows = whole[begin::step, data.draw(st.integers(0, 10)) : data.draw(st.integers(0, 300))]
    check_array(rows, [row.tobytes() for row in rows])


@pytest.mark.parametrize("dtype", ["S16", "S1", "V16", "V1"])
def test_elements_of_fixed_width(dtype: str) -> None:
    width = np.dtype(dtype).itemsize
    elements = np.frombuffer(DATA[: 50 * width], dtype)
    check_array(elements, [DATA[i * width : (i + 1) * width] for i in range(50)])
    check_array(elements[::7], [DATA[i * width : (i + 1) * width] for i in range(0, 50, 7)])
    check_array(elements[:0], [])


def test_padding_is_part_of_an_element() -> None:
    names = np.array([b"a", b"bcd", b""], "S3")
    assert names[0] == b"a"
    check_array(names, [b"a\0\0", b"bcd", b"\0\0\0"])


def test_one_field_of_a_structured_array() -> None:
    records = np.zeros(5, [("number", "<i8"), ("name", "S10")])
    records["name"] = [b"a", b"bb", b"ccc", b"dddd", b"0123456789"]
    check_array(records["name"], [bytes(name).ljust(10, b"\0") for name in records["name"]])


def test_arrays_of_objects() -> None:
    keys: list[Any] = [b"a", bytearray(b"bc"), memoryview(b""), bytes(20_000)]
    objects = np.empty(len(keys), object)
    objects[:] = keys
    check_array(objects, [bytes(key) for key in keys])
    check_array(np.empty(0, object), [])
    with pytest.raises(TypeError, match="item must be bytes-like, not str; encode it first"):
        hashing.xxh3_64_many(np.array([b"a", "b"], object))


def test_memory_maps_and_read_only_arrays(tmp_path: Any) -> None:
    (tmp_path / "rows").write_bytes(DATA[:1600])
    rows = np.memmap(tmp_path / "rows", np.uint8, "r", shape=(100, 16))
    check_array(rows, [DATA[i * 16 : (i + 1) * 16] for i in range(100)])


@pytest.mark.parametrize("width", [1, 3, 16, 240, 1000])
def test_flat_bytes_with_a_width(width: int) -> None:
    data = DATA[: 20 * width]
    each = [data[i * width : (i + 1) * width] for i in range(20)]
    flats: list[Any] = [data, bytearray(data), memoryview(data), array.array("B", data)]
    for flat in flats:
        assert hashing.xxh3_64_many(flat, 5, width=width) == one_by_one(each, 5)
        assert USERS.namespace_many(flat, width=width) == [USERS.namespace(key) for key in each]
    hashes = hashing.xxh3_64_many(np.frombuffer(data, np.uint8), width=width)
    assert isinstance(hashes, np.ndarray)
    assert hashes.tolist() == one_by_one(each)
    assert hashing.xxh3_64_many(b"", width=width) == []


def test_flat_wider_items_with_a_width() -> None:
    numbers = array.array("d", [1.5, -2.25, 1e300, 0.0])
    assert hashing.xxh3_64_many(numbers, width=16) == one_by_one([numbers[:2], numbers[2:]])
    assert hashing.xxh3_64_many(np.array(numbers), width=8).tolist() == one_by_one(numbers[i : i + 1] for i in range(4))


def test_other_buffers_with_two_dimensions() -> None:
    data = DATA[:96]
    each = [data[i * 16 : (i + 1) * 16] for i in range(6)]
    tables: list[Any] = [
        memoryview(data).cast("B", (6, 16)),
        memoryview(ROWS.copy()),
        ((ctypes.c_ubyte * 16) * 6).from_buffer_copy(data),
    ]
    expected = [each, [row.tobytes() for row in ROWS], each]
    for table, keys in zip(tables, expected, strict=True):
        assert hashing.xxh3_64_many(table, 5) == one_by_one(keys, 5)
        assert USERS.namespace_many(table) == [USERS.namespace(key) for key in keys]
    assert hashing.xxh3_64_many(memoryview(np.array([b"ab", b"c"]))) == one_by_one([b"ab", b"c\0"])


def test_out() -> None:
    keys = [b"a", b"bc", bytes(20_000)]
    outs: list[Any] = [
        array.array("Q", bytes(24)),
        np.zeros(3, np.uint64),
        np.zeros((3, 1), np.uint64),
        (ctypes.c_uint64 * 3)(),
        memoryview(bytearray(24)).cast("Q"),
    ]
    for out in outs:
        assert hashing.xxh3_64_many(keys, 5, out=out) is out
        assert memoryview(out).tobytes() == b"".join(h.to_bytes(8, sys.byteorder) for h in one_by_one(keys, 5))
        hashing.xxh3_64_many(tuple(keys), out=out)
        assert memoryview(out).tobytes() == b"".join(h.to_bytes(8, sys.byteorder) for h in one_by_one(keys))
    outs[0].append(1)  # BufferError while anyone holds the buffer


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        (array.array("Q", bytes(16)), ValueError, "out must have an element for each of the 3 hashes, not 2"),
        (array.array("Q", bytes(32)), ValueError, "out must have an element for each of the 3 hashes, not 4"),
        (np.zeros(3, np.int64), TypeError, "out must be an array of 64-bit unsigned integers"),
        (np.zeros(3, np.float64), TypeError, "out must be an array of 64-bit unsigned integers"),
        (np.zeros(3, np.dtype(np.uint64).newbyteorder()), TypeError, "out must be an array of 64-bit unsigned"),
        (np.zeros(6, np.uint32), TypeError, "out must be an array of 64-bit unsigned integers"),
        (bytearray(24), TypeError, "out must be an array of 64-bit unsigned integers"),
        (bytes(24), TypeError, "out must be a writable C-contiguous array: "),
        (memoryview(bytes(24)).cast("Q"), TypeError, "out must be a writable C-contiguous array: "),
        (np.zeros(6, np.uint64)[::2], TypeError, "out must be a writable C-contiguous array: "),
        ([0, 0, 0], TypeError, "out must be a writable array of 64-bit unsigned integers, not list"),
    ],
)
def test_out_is_refused(out: Any, error: type[Exception], message: str) -> None:
    for keys in ([b"a", b"b", b"c"], ROWS[:3]):
        with pytest.raises(error, match=message):
            hashing.xxh3_64_many(keys, out=out)


def test_out_needs_a_known_number_of_keys() -> None:
    with pytest.raises(TypeError, match=r"out= needs items in a list, a tuple or an array, not in a list_iterator"):
        hashing.xxh3_64_many(iter([b"a"]), out=array.array("Q", [0]))  # type: ignore[call-overload]


class Record(ctypes.Structure):
    _fields_ = [("a", ctypes.c_int8), ("b", ctypes.c_int64)]


REFUSED: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
    ("abc", {}, TypeError, "must be bytes-like objects, not a str; encode it first"),
    ("abc", {"width": 1}, TypeError, "must be bytes-like objects, not a str; encode it first"),
    (7, {}, TypeError, "must be an iterable of bytes-like objects or an array of rows, not int"),
    (None, {}, TypeError, "must be an iterable of bytes-like objects or an array of rows, not NoneType"),
    (["a"], {}, TypeError, "must be bytes-like, not str; encode it first"),
    ([b"a", 5], {}, TypeError, "must be bytes-like, not int"),
    ([memoryview(b"abcd")[::2]], {}, TypeError, "must be a C-contiguous bytes-like object: "),
    (b"abc", {}, TypeError, "must say how long a key is: give width= in bytes, or reshape to 2 dimensions"),
    (bytearray(b""), {}, TypeError, "must say how long a key is: give width="),
    (memoryview(b"abc"), {}, TypeError, "must say how long a key is: give width="),
    (array.array("d", [1.0]), {}, TypeError, "must say how long a key is: give width="),
    (ROWS[0], {}, TypeError, "must say how long a key is: give width="),
    (np.zeros(3), {}, TypeError, "must say how long a key is: give width="),
    (np.array(["a", "b"]), {}, TypeError, "must say how long a key is: give width="),
    (np.array(5), {}, TypeError, "must have 1 or 2 dimensions, not 0; reshape to 2, one row a key"),
    (np.zeros((2, 3, 4)), {}, TypeError, "must have 1 or 2 dimensions, not 3; reshape to 2, one row a key"),
    (ROWS, {"width": 40}, TypeError, r"width= is for \w+ with 1 dimension, not 2"),
    (np.array(5), {"width": 8}, TypeError, r"width= is for \w+ with 1 dimension, not 0"),
    ([b"ab"], {"width": 2}, TypeError, r"width= is for \w+ in one flat bytes-like object, not in a list"),
    (b"abc", {"width": 0}, ValueError, "width must be at least 1, not 0"),
    (b"abc", {"width": -3}, ValueError, "width must be at least 1, not -3"),
    (b"", {"width": 0}, ValueError, "width must be at least 1, not 0"),
    (b"abc", {"width": -(2**100)}, ValueError, "width must be at least 1, not -"),
    (b"abc", {"width": 2}, ValueError, "must be a multiple of width=2 bytes long, not 3"),
    (b"abc", {"width": 2**100}, ValueError, r"must be a multiple of width=\d+ bytes long, not 3"),
    (b"abc", {"width": 1.0}, TypeError, "width must be an int, not float"),
    (b"abc", {"width": "1"}, TypeError, "width must be an int, not str"),
    (ROWS[:, ::2], {}, TypeError, "must have rows of contiguous bytes in ascending order; use numpy"),
    (ROWS[:, ::-1], {}, TypeError, "use numpy.ascontiguousarray first"),
    (ROWS[::-1], {}, TypeError, "use numpy.ascontiguousarray first"),
    (ROWS.T, {}, TypeError, "use numpy.ascontiguousarray first"),
    (np.zeros(4, "S8")[::-1], {}, TypeError, "use numpy.ascontiguousarray first"),
    (ROWS[:, 0], {"width": 2}, TypeError, r"must be contiguous; use numpy.ascontiguousarray or bytes\(\) first"),
    (memoryview(b"abcd")[::2], {"width": 1}, TypeError, r"must be contiguous; use numpy.ascontiguousarray or bytes"),
    (np.zeros(3, [("a", "u1"), ("b", "<f8")]), {}, TypeError, "must be an array of plain items, not of objects"),
    (np.zeros((3, 2), [("a", "u1"), ("b", "<f8")]), {}, TypeError, "or of items with several fields"),
    (np.zeros(3, [("a", "u1")]), {"width": 1}, TypeError, "or of items with several fields"),
    (np.zeros((3, 2), object), {}, TypeError, "must be an array of plain items, not of objects"),
    (np.zeros(3, object), {"width": 8}, TypeError, "must be an array of plain items, not of objects"),
    ((ctypes.py_object * 2)(), {"width": 8}, TypeError, "must be an array of plain items, not of objects"),
    (((Record * 2) * 2)(), {}, TypeError, "or of items with several fields"),
    (np.zeros((3, 2), "M8[s]"), {}, TypeError, "cannot be read as an array of bytes: "),
]


@pytest.mark.parametrize(("keys", "more", "error", "message"), REFUSED)
@pytest.mark.parametrize(("what", "call"), [("item", hashing.xxh3_64_many), ("key", USERS.namespace_many)])
def test_what_is_refused(
    keys: Any, more: dict[str, Any], error: type[Exception], message: str, what: str, call: Callable[..., object]
) -> None:
    with pytest.raises(error, match=message) as caught:
        call(keys, **more)
    assert what in str(caught.value) or "width" in str(caught.value)


def test_iterators_are_refused() -> None:
    with pytest.raises(TypeError, match="item must be bytes-like, not int"):
        hashing.xxh3_64_many(iter([b"a", 5]))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="width= is for items in one flat bytes-like object, not in a list_iterator"):
        hashing.xxh3_64_many(iter([b"ab"]), width=2)


def test_released_views_are_refused() -> None:
    view = memoryview(b"abc")
    view.release()
    with pytest.raises(TypeError, match=r"items cannot be read as an array of bytes: .*released"):
        hashing.xxh3_64_many(view, width=1)
    with pytest.raises(TypeError, match=r"item must be a C-contiguous bytes-like object: .*released"):
        hashing.xxh3_64_many([view])


def test_more_rows_than_memory_are_a_memory_error() -> None:
    with pytest.raises(MemoryError):
        hashing.xxh3_64_many(((ctypes.c_ubyte * 0) * 2**61)())


def test_buffers_are_given_back() -> None:
    item, flat = bytearray(DATA), bytearray(DATA)
    hashing.xxh3_64_many(flat, width=16)
    USERS.namespace_many(flat, width=16)
    with pytest.raises(ValueError, match="multiple"):
        hashing.xxh3_64_many(flat, width=7)
    with pytest.raises(TypeError, match="width"):
        hashing.xxh3_64_many(flat)
    hashing.xxh3_64_many([item, b"x", item])
    with pytest.raises(TypeError):
        hashing.xxh3_64_many([item, 5])  # type: ignore[list-item]
    item.append(0)  # BufferError while anyone holds the buffer
    flat.append(0)


def test_large_rows() -> None:
    rows = np.resize(np.frombuffer(DATA, np.uint8), (20, NOGIL_MIN + 1))
    check_array(rows, [row.tobytes() for row in rows])
