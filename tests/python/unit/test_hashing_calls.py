"""How the hash functions are called: any buffer, arguments, errors, signatures, pickles, threads and the GIL."""

from __future__ import annotations

import array
import copy
import inspect
import mmap
import pickle
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import simdrive
from simdrive import hashing
from support.hash_data import DATA, NOGIL_MIN

xxhash = pytest.importorskip("xxhash")

USERS = hashing.NamespaceHasher(b"users")


class BytesOfItsOwn(bytes):
    """Not exactly bytes, so that the buffer protocol must say what is in it."""


def byte_sources() -> Iterator[tuple[str, Any]]:
    for size in (0, 1, 100, NOGIL_MIN, NOGIL_MIN + 1):
        raw = DATA[:size]
        yield f"bytes-{size}", raw
        yield f"bytes-subclass-{size}", BytesOfItsOwn(raw)
        yield f"bytearray-{size}", bytearray(raw)
        yield f"memoryview-{size}", memoryview(raw)
        yield f"array-{size}", array.array("B", raw)
        if size:
            mapped = mmap.mmap(-1, size)
            mapped.write(raw)
            yield f"mmap-{size}", mapped


@pytest.mark.parametrize("source", [pytest.param(source, id=name) for name, source in byte_sources()])
def test_any_contiguous_buffer_will_do(source: Any) -> None:
    raw = bytes(memoryview(source))
    expected = xxhash.xxh3_64_intdigest(raw)
    hasher = hashing.Hasher()
    hasher.update(source)
    assert hashing.xxh3_64(source) == hasher.intdigest() == hashing.xxh3_64_many([source])[0] == expected
    assert hashing.xxh3_64(source, 9) == xxhash.xxh3_64_intdigest(raw, 9)
    assert hashing.crc32(source) == zlib.crc32(raw)
    assert hashing.crc32(source, 9) == zlib.crc32(raw, 9)
    assert hashing.NamespaceHasher(source).prefix_hash == expected
    assert USERS.namespace(source) == USERS.namespace(raw)


def test_items_wider_than_a_byte_are_hashed_as_their_bytes() -> None:
    numbers = array.array("d", [1.5, -2.25, 1e300])
    assert hashing.xxh3_64(numbers) == hashing.xxh3_64(numbers.tobytes())


def test_numpy_arrays_and_scalars() -> None:
    np = pytest.importorskip("numpy")
    table = np.arange(30_000, dtype="<f8").reshape(100, 300)
    assert hashing.xxh3_64(table) == hashing.xxh3_64(table.tobytes())
    assert hashing.crc32(table[3]) == zlib.crc32(table[3].tobytes())
    assert hashing.xxh3_64(np.bytes_(b"abc")) == hashing.xxh3_64(b"abc")
    for call in TAKES_BYTES:
        with pytest.raises(TypeError, match="must be a C-contiguous bytes-like object: "):
            call(table[:, ::2])


def test_ways_to_pass_arguments() -> None:
    f: Any = hashing.xxh3_64
    c: Any = hashing.crc32
    positional, named, nothing = [DATA, 7], {"data": DATA, "seed": 7}, dict[str, int]()
    expected = xxhash.xxh3_64_intdigest(DATA, 7)
    assert f(DATA, 7) == f(DATA, seed=7) == f(data=DATA, seed=7) == f(seed=7, data=DATA) == expected
    assert f(*positional) == f(*positional, **nothing) == f(**named) == expected
    assert f(DATA) == f(data=DATA) == f(DATA, 0) == f(DATA, **nothing) == xxhash.xxh3_64_intdigest(DATA)
    assert list(map(f, [b"a", bytearray(b"a")])) == [xxhash.xxh3_64_intdigest(b"a")] * 2
    assert c(DATA, 7) == c(data=DATA, value=7) == zlib.crc32(DATA, 7)
    assert hashing.Hasher(seed=7).seed == hashing.Hasher(7).seed == 7
    hasher = hashing.Hasher()
    hasher.update(data=b"abc")
    assert hasher.intdigest() == f(b"abc")
    assert hashing.NamespaceHasher(prefix=b"users").namespace(key=b"a") == USERS.namespace(b"a")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (hashing.xxh3_64, "argument"),
        (lambda: hashing.xxh3_64(b"", 0, 0), "argument"),  # type: ignore[call-arg]
        (lambda: hashing.xxh3_64(b"", salt=0), "salt"),  # type: ignore[call-arg]
        (lambda: hashing.xxh3_64(b"", data=b""), "data"),  # type: ignore[misc]
        (lambda: hashing.xxh3_64_many([], 0, 16), "argument"),  # type: ignore[call-overload]
        (hashing.crc32, "argument"),
    ],
)
def test_wrong_arguments(call: Callable[[], object], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call()


def test_buffers_are_given_back() -> None:
    data = bytearray(DATA)
    hashing.xxh3_64(data)
    hashing.xxh3_64(data, 5)
    hashing.crc32(data)
    hashing.Hasher().update(data)
    hashing.NamespaceHasher(data).namespace(data)
    for wrong in (2**64, "0"):
        with pytest.raises((OverflowError, TypeError)):
            hashing.xxh3_64(data, wrong)  # type: ignore[arg-type]
    data.append(0)  # BufferError while anyone holds the buffer


TAKES_BYTES: list[Callable[[Any], object]] = [
    hashing.xxh3_64,
    lambda x: hashing.xxh3_64(x, 7),
    hashing.crc32,
    lambda x: hashing.xxh3_64_many([b"ok", x]),
    lambda x: hashing.xxh3_64_many(iter([b"ok", x])),
    lambda x: hashing.Hasher().update(x),
    hashing.NamespaceHasher,
    USERS.namespace,
    lambda x: USERS.namespace_many([b"ok", x]),
]


@pytest.mark.parametrize("call", TAKES_BYTES)
@pytest.mark.parametrize("wrong", ["text", "", 5, None, [1, 2], 1.5])
def test_what_is_no_buffer_is_a_type_error(call: Callable[[Any], object], wrong: object) -> None:
    message = r"(data|item|key|prefix) must be bytes-like, not " + type(wrong).__name__
    if isinstance(wrong, str):
        message += "; encode it first, for example with .encode"
    with pytest.raises(TypeError, match=message):
        call(wrong)


@pytest.mark.parametrize("call", TAKES_BYTES)
def test_bytes_that_cannot_be_had_are_a_type_error(call: Callable[[Any], object]) -> None:
    released = memoryview(b"abc")
    released.release()
    closed = mmap.mmap(-1, 10)
    closed.close()
    for wrong, why in [
        (memoryview(b"abcdef")[::2], "not C-contiguous"),
        (memoryview(b"abcdef")[::-1], "not C-contiguous"),
        (released, "released memoryview"),
        (closed, "closed"),
    ]:
        with pytest.raises(TypeError, match=f"must be a C-contiguous bytes-like object: .*{why}"):
            call(wrong)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="__buffer__ came with Python 3.12")
@pytest.mark.parametrize("call", TAKES_BYTES)
@pytest.mark.parametrize(
    ("raised", "seen"),
    [
        (BufferError, TypeError),
        (ValueError, TypeError),
        (TypeError, TypeError),
        (KeyError, KeyError),
        (KeyboardInterrupt, KeyboardInterrupt),
    ],
)
def test_an_exporter_may_fail(
    call: Callable[[Any], object], raised: type[BaseException], seen: type[BaseException]
) -> None:
    class Exporter:
        def __buffer__(self, flags: int) -> memoryview:
            raise raised("not today")

    with pytest.raises(seen, match="not today"):
        call(Exporter())


# Too many digits for an error message to name.
HUGE = 10**5000


@pytest.mark.parametrize("seed", [-1, 2**64, -(2**64), pytest.param(HUGE, id="huge"), pytest.param(-HUGE, id="-huge")])
def test_seed_out_of_range(seed: int) -> None:
    calls: list[Callable[[int], object]] = [
        lambda seed: hashing.xxh3_64(b"", seed),
        lambda seed: hashing.xxh3_64(bytearray(), seed=seed),
        lambda seed: hashing.xxh3_64_many([], seed),
        hashing.Hasher,
    ]
    for call in calls:
        with pytest.raises(OverflowError, match=r"seed must be from 0 to 2\*\*64 - 1"):
            call(seed)


@pytest.mark.parametrize("value", [-1, 2**32, 2**64, pytest.param(HUGE, id="huge")])
def test_crc32_value_out_of_range(value: int) -> None:
    with pytest.raises(OverflowError, match=r"value must be from 0 to 2\*\*32 - 1"):
        hashing.crc32(b"", value)


@pytest.mark.parametrize("wrong", ["0", 0.0, None, b"0"])
def test_numbers_must_be_integers(wrong: Any) -> None:
    with pytest.raises(TypeError, match=f"seed must be an int, not {type(wrong).__name__}"):
        hashing.xxh3_64(b"", wrong)
    with pytest.raises(TypeError, match=f"seed must be an int, not {type(wrong).__name__}"):
        hashing.Hasher(wrong)
    with pytest.raises(TypeError, match=f"value must be an int, not {type(wrong).__name__}"):
        hashing.crc32(b"", wrong)


def test_numbers_may_be_what_has_an_index() -> None:
    class Seven:
        def __index__(self) -> int:
            return 7

    seven: Any = Seven()
    assert hashing.xxh3_64(b"a", seven) == hashing.xxh3_64(b"a", 7)
    assert hashing.crc32(b"a", seven) == zlib.crc32(b"a", 7)
    assert hashing.xxh3_64(b"a", True) == hashing.xxh3_64(b"a", 1)


@pytest.mark.parametrize("thing", [hashing.Hasher(), hashing.NamespaceHasher(b"x")])
def test_no_pickling(thing: object) -> None:
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(thing)
    with pytest.raises(TypeError, match="cannot be pickled"):
        copy.copy(thing)


FUNCTIONS = [
    hashing.xxh3_64,
    hashing.xxh3_64_many,
    hashing.crc32,
    hashing.backend,
    hashing.backends,
    hashing.set_backend,
    hashing.cpu_features,
]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_functions_can_be_pickled_and_read_about(function: Callable[..., object]) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(function, protocol)) is function  # noqa: S301
    assert copy.deepcopy(function) is function
    assert function.__module__ == "simdrive._core"
    assert function.__name__ == function.__qualname__
    assert function.__doc__
    assert not function.__doc__.startswith(function.__name__)


@pytest.mark.parametrize(
    ("call", "signature"),
    [
        (hashing.xxh3_64, "(data, seed=0)"),
        (hashing.xxh3_64_many, "(items, seed=0, *, width=None, out=None)"),
        (hashing.crc32, "(data, value=0)"),
        (hashing.set_backend, "(name=None)"),
        (hashing.backend, "()"),
        (hashing.Hasher, "(seed=0)"),
        (hashing.NamespaceHasher, "(prefix)"),
        (hashing.Hasher().update, "(data)"),
        (USERS.namespace, "(key)"),
        (USERS.namespace_many, "(keys, *, width=None)"),
    ],
)
def test_signatures(call: Callable[..., object], signature: str) -> None:
    assert str(inspect.signature(call)) == signature


def test_names() -> None:
    assert all(hasattr(hashing, name) for name in hashing.__all__)
    assert simdrive.NamespaceHasher is hashing.NamespaceHasher
    assert hashing.__doc__ is not None
    for name in hashing.__all__:
        assert f"`{name}(" in hashing.__doc__


def test_nothing_else_is_imported() -> None:
    script = """
import sys
from simdrive import hashing
hashing.xxh3_64_many([b"a", bytearray(b"b")]), hashing.xxh3_64_many(b"abcd", width=2)
print("numpy" in sys.modules)
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout.split() == ["False"]


def test_threads_may_share_a_hasher() -> None:
    block = b"\x5a" * 50_000
    hasher = hashing.Hasher()
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        for _ in range(50):
            hasher.update(block)
            hasher.update(block[:100])
            hasher.intdigest()
            hasher.copy()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # All bytes are equal, so the order of the updates does not show, but a lost or torn one does.
    assert hasher.intdigest() == xxhash.xxh3_64_intdigest(b"\x5a" * (4 * 50 * 50_100))


def gil_given_up_by(call: Callable[[], object], attempts: int) -> bool:
    """Whether another thread gets to run while `call` does, with the interpreter never switching by itself."""
    ran = False
    wake = threading.Lock()
    wake.acquire()

    def other() -> None:
        nonlocal ran
        with wake:
            ran = True

    thread = threading.Thread(target=other)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000.0)
    try:
        thread.start()
        wake.release()
        for _ in range(attempts):
            call()
            if ran:
                return True
        return False
    finally:
        sys.setswitchinterval(interval)
        thread.join()


@pytest.mark.skipif(not getattr(sys, "_is_gil_enabled", lambda: True)(), reason="this interpreter has no GIL")
@pytest.mark.parametrize(
    "call",
    [
        pytest.param(hashing.xxh3_64, id="xxh3_64"),
        pytest.param(lambda data: hashing.xxh3_64(bytearray(data)), id="xxh3_64-buffer"),
        pytest.param(lambda data: hashing.xxh3_64(data, 7), id="xxh3_64-seed"),
        pytest.param(lambda data: hashing.xxh3_64_many([data]), id="xxh3_64_many"),
        pytest.param(lambda data: hashing.xxh3_64_many([data[:64]] * (len(data) // 64)), id="short"),
        pytest.param(lambda data: hashing.xxh3_64_many(data, width=64), id="rows"),
        pytest.param(hashing.crc32, id="crc32"),
        pytest.param(hashing.Hasher().update, id="update"),
        pytest.param(USERS.namespace, id="namespace"),
    ],
)
def test_gil_is_given_up_for_long_inputs_only(call: Callable[[bytes], object]) -> None:
    long_input = bytes(4 << 20)
    assert gil_given_up_by(lambda: call(long_input), attempts=500)
    assert not gil_given_up_by(lambda: call(DATA[:NOGIL_MIN]), attempts=200)
