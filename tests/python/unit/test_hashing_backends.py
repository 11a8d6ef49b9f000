"""Which implementation hashes: what the CPU offers, what is chosen, how another is forced."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import threading

import pytest

import simdrive
from simdrive import hashing
from support.hash_data import BACKENDS, DATA, running_on

xxhash = pytest.importorskip("xxhash")

# What a backend is named after, among what cpu_features() tells.
NEEDS = {
    "sse2": {"sse2"},
    "avx2": {"avx2"},
    "avx512": {"avx512f", "avx512bw", "avx512dq", "avx512vl"},
    "neon": {"neon"},
}
IMPORT = "from simdrive import hashing; print(hashing.backend(), hashing.xxh3_64(b'abc'))"


def run(simd: str | None, script: str = IMPORT) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "SIMDRIVE_SIMD"}
    if simd is not None:
        environment["SIMDRIVE_SIMD"] = simd
    return subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_can_be_forced(name: str) -> None:
    with running_on(name):
        assert hashing.backend() == name
        assert hashing.xxh3_64(DATA) == xxhash.xxh3_64_intdigest(DATA)


@pytest.mark.parametrize("name", BACKENDS)
def test_the_environment_names_a_backend(name: str) -> None:
    with running_on(name):
        ended = run(name)
        assert ended.stderr == ""
        assert ended.stdout.split() == [name, str(xxhash.xxh3_64_intdigest(b"abc"))]


@pytest.mark.parametrize("simd", [None, ""])
def test_the_best_backend_is_the_default(simd: str | None) -> None:
    ended = run(simd)
    assert ended.stderr == ""
    assert ended.stdout.split()[0] == hashing.backends()[0]


UNUSABLE = [name for name in BACKENDS if name not in hashing.backends()]


@pytest.mark.parametrize(
    ("simd", "why"),
    [*((name, "cannot run on this CPU") for name in UNUSABLE), ("avx1024", "is no backend"), ("AVX2", "is no backend")],
)
@pytest.mark.parametrize("module", ["simdrive", "simdrive.hashing", "simdrive._core"])
def test_a_name_that_cannot_be_used_fails_the_import(simd: str, why: str, module: str) -> None:
    ended = run(simd, f"import {module}")
    assert ended.returncode == 1
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("simdrive.errors.ConfigurationError: ")
    for part in ("SIMDRIVE_SIMD", simd, why, *hashing.backends()):
        assert part in last


def test_an_import_that_failed_can_be_repeated() -> None:
    script = """
import os
try:
    import simdrive
except ValueError as error:
    print("refused")
os.environ["SIMDRIVE_SIMD"] = "scalar"
from simdrive import hashing
print(hashing.backend(), hashing.xxh3_64(b"abc"), hashing.xxh3_64(bytearray(b"abc"), 0))
"""
    value = str(xxhash.xxh3_64_intdigest(b"abc"))
    ended = run("avx1024", script)
    assert ended.stderr == ""
    assert ended.stdout.split() == ["refused", "scalar", value, value]


def test_backends() -> None:
    names = hashing.backends()
    assert isinstance(names, tuple)
    assert names[-1] == "scalar"
    assert len(set(names)) == len(names)
    assert set(names) <= set(BACKENDS)
    best_first = ["avx512", "avx2", "sse2", "neon", "scalar"]
    assert list(names) == sorted(names, key=best_first.index)
    assert hashing.backend() in names


def test_backends_are_those_that_the_cpu_has_the_instructions_for() -> None:
    features = hashing.cpu_features()
    assert isinstance(features, frozenset)
    assert all(isinstance(feature, str) for feature in features)
    for name in hashing.backends():
        assert NEEDS.get(name, set()) <= features, name


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="not x86-64")
def test_x86_64_always_has_sse2() -> None:
    assert "sse2" in hashing.cpu_features()
    assert "sse2" in hashing.backends()
    assert "neon" not in hashing.backends()


@pytest.mark.skipif(platform.machine() not in ("aarch64", "arm64"), reason="not aarch64")
def test_aarch64_always_has_neon() -> None:
    assert "neon" in hashing.cpu_features()
    assert hashing.backends() == ("neon", "scalar")


def test_set_backend_without_a_name_takes_the_best() -> None:
    with running_on("scalar"):
        for best in (None, ""):
            hashing.set_backend("scalar")
            hashing.set_backend(best)
            assert hashing.backend() == hashing.backends()[0]
        hashing.set_backend(name="scalar")
        hashing.set_backend()
        assert hashing.backend() == hashing.backends()[0]


@pytest.mark.parametrize("name", [*UNUSABLE, "avx1024", "Scalar", "scalar ", "\0", "\udc80", "\u00e4"])
def test_set_backend_refuses_what_cannot_be_used(name: str) -> None:
    before = hashing.backend()
    with pytest.raises(simdrive.ConfigurationError) as caught:
        hashing.set_backend(name)
    assert hashing.backend() == before
    assert "set_backend" in str(caught.value)
    assert f"usable here: {', '.join(hashing.backends())}" in str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert caught.value.op == "set_backend"


@pytest.mark.parametrize("name", [b"scalar", 1, ["scalar"]])
def test_set_backend_wants_a_str(name: object) -> None:
    with pytest.raises(TypeError, match=f"name must be a str or None, not {type(name).__name__}"):
        hashing.set_backend(name)  # type: ignore[arg-type]


def test_backends_change_while_others_hash() -> None:
    expected = xxhash.xxh3_64_intdigest(DATA)
    keys = [DATA[i : i + 16] for i in range(200)]
    expected_keys = [xxhash.xxh3_64_intdigest(key) for key in keys]
    wrong: list[object] = []
    start, done = threading.Barrier(3), threading.Event()

    def work() -> None:
        start.wait()
        for _ in range(200):
            hasher = hashing.Hasher()
            for begin in range(0, len(DATA), 1000):
                hasher.update(DATA[begin : begin + 1000])
            got = (hasher.intdigest(), hashing.xxh3_64(DATA), hashing.xxh3_64_many(keys))
            if got != (expected, expected, expected_keys):
                wrong.append(got)

    def switch() -> None:
        start.wait()
        while not done.is_set():
            for name in hashing.backends():
                hashing.set_backend(name)

    before = hashing.backend()
    workers = [threading.Thread(target=work) for _ in range(2)]
    switcher = threading.Thread(target=switch)
    try:
        for thread in (*workers, switcher):
            thread.start()
        for thread in workers:
            thread.join()
        done.set()
        switcher.join()
    finally:
        hashing.set_backend(before)
    assert wrong == []
