"""What the package says of its build, and that its version is written in one place."""

from __future__ import annotations

import dataclasses
import os
import platform
import re
import subprocess
import sys
import sysconfig
from importlib.metadata import version
from pathlib import Path

import pytest

import simdrive
from simdrive import BuildInfo, build_info, hashing

ROOT = Path(__file__).resolve().parents[3]
# How a compiler's home shows: an absolute path of a POSIX system or of Windows.
PATH_LIKE = re.compile(r"(^|[\s'\"=(])/\w|\b[A-Za-z]:[\\/]")


def project_version() -> str:
    """The one place: [project] in pyproject.toml. (tomllib comes with Python 3.11.)"""
    path = ROOT / "pyproject.toml"
    if not path.is_file():
        pytest.skip("the suite runs without the source tree: no pyproject.toml beside the tests")
    (found,) = re.findall(r'^version = "([^"]+)"$', path.read_text(encoding="ascii"), re.MULTILINE)
    return str(found)


# ---- the version --------------------------------------------------------------------------------------------------


def test_all_versions_agree() -> None:
    # The first is the C++ library's own constant; the third went from there through BuildInfo.
    assert simdrive.__version__ == version("simdrive") == build_info().version


def test_version_is_that_of_the_project() -> None:
    assert simdrive.__version__ == project_version()


def test_version_is_written_nowhere_else() -> None:
    number = re.compile(rf"(?<![\d.]){re.escape(project_version())}(?![\d.]*\d)")
    sources = [ROOT / "CMakeLists.txt", ROOT / "CMakePresets.json"]
    for folder, endings in {
        "cmake": {".cmake", ".in", ".map"},
        "cpp/include": {".hpp", ".in"},
        "cpp/src": {".hpp", ".cpp"},
        "pysrc": {".py", ".pyi", ".pyx", ".pxd", ".pxi"},
    }.items():
        sources += [path for path in sorted((ROOT / folder).rglob("*")) if path.suffix in endings]
    sources = [path for path in sources if path.is_file()]
    if not (ROOT / "pysrc").is_dir():
        pytest.skip("the suite runs without the source tree")
    assert len(sources) > 50
    assert [str(path.relative_to(ROOT)) for path in sources if number.search(path.read_text("utf-8"))] == []


# ---- the rest -----------------------------------------------------------------------------------------------------


def test_is_frozen_and_compares_by_value() -> None:
    info = build_info()
    with pytest.raises(dataclasses.FrozenInstanceError):
        info.version = "9"  # type: ignore[misc]
    assert info == build_info()
    assert hash(info) == hash(build_info())
    assert info.to_dict() == dataclasses.asdict(info)
    assert BuildInfo(**info.to_dict()) == info


def test_compiler_has_name_and_version() -> None:
    info = build_info()
    assert re.fullmatch(r"(GCC|Clang|Apple Clang|MSVC) \d+(\.\d+)+", info.compiler)
    assert re.fullmatch(r"(libstdc\+\+|libc\+\+|MSVC STL) \d+", info.standard_library)
    assert info.build_type in {"release", "debug"}


def test_platform_is_the_one_that_runs() -> None:
    info = build_info()
    assert info.system == {"Darwin": "macOS"}.get(platform.system(), platform.system())
    # The interpreter's own word for what it was compiled for: the machine may be able to run more.
    known = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64", "win32": "x86"}
    name = sysconfig.get_platform().rpartition("-")[2].lower()
    if name in known:
        assert info.architecture == known[name]


def test_headers_are_new_enough() -> None:
    info = build_info()
    assert tuple(map(int, info.boost.split("."))) >= (1, 81, 0)
    assert tuple(map(int, info.xsimd.split("."))) >= (13, 0, 0)


def test_backends_are_those_of_hashing() -> None:
    info = build_info()
    assert info.backends == hashing.backends()
    assert [name for name in info.compiled_backends if name in info.backends] == list(info.backends)
    assert set(info.backends) <= set(info.compiled_backends)
    before = hashing.backend()
    try:
        for name in hashing.backends():
            hashing.set_backend(name)
            assert build_info().backend == name
            assert dataclasses.replace(build_info(), backend=before) == dataclasses.replace(info, backend=before)
    finally:
        hashing.set_backend(before)


@pytest.mark.parametrize("architecture", ["x86_64", "aarch64"])
def test_vector_backends_are_compiled_in(architecture: str) -> None:
    info = build_info()
    if info.architecture != architecture:
        pytest.skip(f"this is {info.architecture}")
    expected = {"x86_64": ("avx512", "avx2", "sse2", "scalar"), "aarch64": ("neon", "scalar")}
    assert info.compiled_backends == expected[architecture]


def test_dialects_are_what_options_take() -> None:
    assert build_info().dialects == ("d13", "d21")
    for name in build_info().dialects:
        with pytest.raises(simdrive.ConnectError):
            simdrive.connect("ws://127.0.0.1:1/ws", wire=name)  # an unknown one would be a ConfigurationError


def test_there_is_no_tls() -> None:
    assert build_info().tls is None
    with pytest.raises(simdrive.ConfigurationError):
        simdrive.connect("wss://127.0.0.1:1/ws")


def test_free_threading_is_what_the_interpreter_sees() -> None:
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        pytest.skip("this Python always has the GIL")
    script = "import sys, simdrive; print(simdrive.build_info().free_threaded, not sys._is_gil_enabled())"
    command = [sys.executable, "-W", "ignore", "-c", script]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHON_GIL"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=True)
    declared, gil_is_off = ended.stdout.split()
    assert declared == gil_is_off


def test_free_threading_is_what_the_source_declares() -> None:
    source = ROOT / "pysrc" / "simdrive" / "_core.pyx"
    if not source.is_file():
        pytest.skip("the suite runs without the source tree")
    (declared,) = re.findall(r"freethreading_compatible=(True|False)", source.read_text(encoding="ascii"))
    assert build_info().free_threaded is (declared == "True")


def test_text_says_it_all() -> None:
    info = build_info()
    text = str(info)
    assert text.splitlines()[0] == f"simdrive {info.version}"
    for part in (info.compiler, info.system, info.architecture, info.boost, info.xsimd, *info.backends, *info.dialects):
        assert part in text
    assert f"in use: {info.backend}" in text
    assert "TLS:            none" in text
    assert max(map(len, text.splitlines())) <= 100


def test_text_of_other_builds() -> None:
    info = dataclasses.replace(
        build_info(),
        compiled_backends=("avx512", "avx2", "sse2", "scalar"),
        backends=("sse2", "scalar"),
        backend="scalar",
        tls="OpenSSL 3.0.0",
        free_threaded=True,
    )
    text = str(info)
    assert "sse2, scalar (in use: scalar; not on this CPU: avx512, avx2)" in text
    assert "OpenSSL 3.0.0" in text
    assert "GIL stays off" in text


def test_names_no_path() -> None:
    for value in (str(build_info()), repr(build_info())):
        assert not PATH_LIKE.search(value)
    assert PATH_LIKE.search("compiler /usr/bin/c++")  # the pattern can find one
    assert PATH_LIKE.search(r"'C:\\src\\x'")


def test_prints_from_the_command_line() -> None:
    command = [sys.executable, "-c", "import simdrive; print(simdrive.build_info())"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert ended.stdout.startswith(f"simdrive {simdrive.__version__}\n  compiler:")
