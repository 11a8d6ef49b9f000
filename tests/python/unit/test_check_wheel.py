"""tools/check_wheel.py reports every fault that a wheel or an sdist can have."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import io
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("packaging")

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "tools" / "check_wheel.py"
if not SCRIPT.is_file():
    pytest.skip("the suite runs without tools/", allow_module_level=True)

VERSION = "1.2.3"
MANYLINUX = "manylinux_2_17_x86_64.manylinux2014_x86_64"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_wheel", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["check_wheel"] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


tool: Any = load()


class FakeWheel:
    """A wheel without a fault, its parts to be changed by a test."""

    def __init__(self, python: str = "cp312", abi: str = "cp312", platform: str = MANYLINUX) -> None:
        self.name = f"simdrive-{VERSION}-{python}-{abi}-{platform}.whl"
        self.info = f"simdrive-{VERSION}.dist-info/"
        (module,) = tool.module_names(abi, tool.Platform.parse(platform.split(".")[0]))
        self.module = f"simdrive/{module}"
        tags = "".join(f"Tag: {python}-{abi}-{one}\n" for one in platform.split("."))
        licences = "".join(f"License-File: {name}\n" for name in tool.LICENCES)
        self.files: dict[str, bytes] = {
            "simdrive/__init__.py": b"",
            "simdrive/_core.pyi": b"",
            "simdrive/py.typed": b"",
            self.module: b"the module",
            f"{self.info}METADATA": f"Metadata-Version: 2.4\nName: simdrive\nVersion: {VERSION}\n{licences}"
            "\nAn example with /tmp/store.bin.\n".encode(),
            f"{self.info}WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\n{tags}".encode(),
            **{f"{self.info}licenses/{name}": f"licence {name}".encode() for name in tool.LICENCES},
        }
        self.record: Callable[[bytes], bytes] = lambda text: text
        self.extension = tool.Extension(
            "ELF",
            ["x86_64"],
            libraries=["libc.so.6", "libm.so.6"],
            versions=["GLIBC_2.17", "GLIBC_2.2.5", "GLIBC_PRIVATE"],
            exports=["PyInit__core"],
        )

    def replace(self, name: str, old: bytes, new: bytes) -> None:
        assert old in self.files[name]
        self.files[name] = self.files[name].replace(old, new)

    def write(self, folder: Path) -> Path:
        lines = []
        for name, data in self.files.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            lines.append(f"{name},sha256={digest},{len(data)}\n")
        record = f"{self.info}RECORD"
        path = folder / self.name
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in self.files.items():
                archive.writestr(name, data)
            archive.writestr(record, self.record("".join([*lines, f"{record},,\n"]).encode()))
        return path

    def problems(self, folder: Path, *, forbidden: tuple[str, ...] = ()) -> list[str]:
        found = tool.check_wheel(self.write(folder), VERSION, forbidden, lambda _: self.extension, folder)
        return list(found.problems)


def macos_wheel() -> FakeWheel:
    wheel = FakeWheel("cp313", "cp313", "macosx_11_0_arm64")
    wheel.extension = tool.Extension(
        "Mach-O", ["aarch64"], libraries=["/usr/lib/libc++.1.dylib"], exports=["PyInit__core"], macos=(11, 0, 0)
    )
    return wheel


def windows_wheel() -> FakeWheel:
    wheel = FakeWheel("cp314", "cp314t", "win_amd64")
    wheel.extension = tool.Extension("PE", ["x86_64"], libraries=["python314t.dll"], exports=["PyInit__core"])
    return wheel


def musl_wheel() -> FakeWheel:
    wheel = FakeWheel("cp314", "cp314", "musllinux_1_2_aarch64")
    wheel.extension = tool.Extension("ELF", ["aarch64"], libraries=["libc.so"], exports=["PyInit__core"])
    return wheel


# ---- wheels without a fault ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "identifier", "module"),
    [
        (FakeWheel, "cp312-manylinux_x86_64", "_core.cpython-312-x86_64-linux-gnu.so"),
        (macos_wheel, "cp313-macosx_arm64", "_core.cpython-313-darwin.so"),
        (windows_wheel, "cp314t-win_amd64", "_core.cp314t-win_amd64.pyd"),
        (musl_wheel, "cp314-musllinux_aarch64", "_core.cpython-314-aarch64-linux-musl.so"),
    ],
)
def test_good_wheel(tmp_path: Path, make: Callable[[], FakeWheel], identifier: str, module: str) -> None:
    wheel = make()
    assert wheel.module == f"simdrive/{module}"
    report = tool.check_wheel(wheel.write(tmp_path), VERSION, (), lambda _: wheel.extension, tmp_path)
    assert report.problems == []
    assert report.identifier == identifier


@pytest.mark.parametrize(
    ("tag", "identifier"),
    [("win32", "cp310-win32"), ("win_arm64", "cp310-win_arm64"), ("linux_x86_64", "cp310-linux_x86_64")],
)
def test_identifiers(tag: str, identifier: str) -> None:
    assert tool.Platform.parse(tag).identifier("cp310") == identifier


# ---- one fault each -----------------------------------------------------------------------------------------------


def wrong_name(wheel: FakeWheel) -> None:
    wheel.name = "simdrive-one.two.whl"


def other_version_in_name(wheel: FakeWheel) -> None:
    wheel.name = wheel.name.replace(VERSION, "1.2.4")


def other_version_inside(wheel: FakeWheel) -> None:
    wheel.replace(f"{wheel.info}METADATA", VERSION.encode(), b"1.2.2")


def other_tag_inside(wheel: FakeWheel) -> None:
    wheel.replace(f"{wheel.info}WHEEL", b"manylinux2014_x86_64", b"linux_x86_64")


def purelib(wheel: FakeWheel) -> None:
    wheel.replace(f"{wheel.info}WHEEL", b"false", b"true")


def other_abi(wheel: FakeWheel) -> None:
    wheel.files["simdrive/_core.abi3.so"] = wheel.files.pop(wheel.module)


def second_module(wheel: FakeWheel) -> None:
    wheel.files["simdrive/_more.so"] = b""


def bundled_library(wheel: FakeWheel) -> None:
    wheel.files["simdrive.libs/libstdc++-1234.so.6.0.30"] = b""


def source_file(wheel: FakeWheel) -> None:
    wheel.files["simdrive/_core.pyx"] = b""


def suite_in_it(wheel: FakeWheel) -> None:
    wheel.files["tests/test_it.py"] = b""


def no_py_typed(wheel: FakeWheel) -> None:
    del wheel.files["simdrive/py.typed"]


def no_boost_licence(wheel: FakeWheel) -> None:
    del wheel.files[f"{wheel.info}licenses/cpp/third_party/boost/LICENSE"]


def unlisted_licence(wheel: FakeWheel) -> None:
    wheel.replace(f"{wheel.info}METADATA", b"License-File: cpp/third_party/xsimd/LICENSE\n", b"")


def too_large(wheel: FakeWheel) -> None:
    wheel.files["simdrive/_core.pyi"] = b"#" * (tool.SIZE_MAX + 1)


def changed_after_record(wheel: FakeWheel) -> None:
    wheel.record = lambda text: text.replace(b"simdrive/py.typed,sha256=", b"simdrive/py.typed,sha256=x")


def not_in_record(wheel: FakeWheel) -> None:
    wheel.record = lambda text: text.replace(b"simdrive/py.typed", b"simdrive/py.type")


def builder_home(wheel: FakeWheel) -> None:
    wheel.files["simdrive/_core.pyi"] = b"# from /home/builder/simdrive"


def builder_on_windows(wheel: FakeWheel) -> None:
    wheel.files[wheel.module] += "D:\\a\\simdrive\\cpp".encode("utf-16-le")


def header_path(wheel: FakeWheel) -> None:
    wheel.files[wheel.module] += b"\0/usr/include/c++/12/bits/stl_vector.h\0"


def boost_path(wheel: FakeWheel) -> None:
    wheel.files[wheel.module] += b"\0../lib/site-packages/boost_headers/include/boost/asio.hpp\0"


def newer_glibc(wheel: FakeWheel) -> None:
    wheel.extension.versions.append("GLIBC_2.34")


def newer_libstdcxx(wheel: FakeWheel) -> None:
    wheel.extension.versions.append("GLIBCXX_3.4.30")


def newer_cxxabi(wheel: FakeWheel) -> None:
    wheel.extension.versions.append("CXXABI_1.3.13")


def other_machine(wheel: FakeWheel) -> None:
    wheel.extension.architectures = ["aarch64"]


def other_format(wheel: FakeWheel) -> None:
    wheel.extension.format = "PE"


def other_library(wheel: FakeWheel) -> None:
    wheel.extension.libraries.append("libssl.so.3")


def more_exports(wheel: FakeWheel) -> None:
    wheel.extension.exports.append("boost_asio")


def no_export(wheel: FakeWheel) -> None:
    wheel.extension.exports.clear()


def not_stripped(wheel: FakeWheel) -> None:
    wheel.extension.leftovers.append(".symtab")


def search_path(wheel: FakeWheel) -> None:
    wheel.extension.search_paths.append("$ORIGIN/../lib")


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (wrong_name, "Invalid wheel filename"),
        (other_version_in_name, "the name says simdrive 1.2.4"),
        (other_version_inside, "METADATA: the version is 1.2.2, pyproject.toml says 1.2.3"),
        (other_tag_inside, "WHEEL says cp312-cp312-linux_x86_64"),
        (purelib, "Root-Is-Purelib"),
        (other_abi, "simdrive/_core.abi3.so is not named for the tag"),
        (second_module, "one extension module was expected"),
        (bundled_library, "simdrive.libs/libstdc++-1234.so.6.0.30 is not named for the tag"),
        (source_file, "simdrive/_core.pyx does not belong into a wheel"),
        (suite_in_it, "tests/test_it.py does not belong into a wheel"),
        (no_py_typed, "simdrive/py.typed is missing"),
        (no_boost_licence, "licenses/cpp/third_party/boost/LICENSE is missing"),
        (unlisted_licence, "License-File cpp/third_party/xsimd/LICENSE is missing"),
        (too_large, "are more than 1500000"),
        (changed_after_record, "simdrive/py.typed is not what RECORD says"),
        (not_in_record, "simdrive/py.typed is not listed in RECORD"),
        (builder_home, "has a path of the builder: /home/builder/simdrive"),
        (builder_on_windows, "has a path of the builder"),
        (header_path, "has the path of a source: /usr/include/c++/12/bits/stl_vector.h"),
        (boost_path, "has the path of a source: site-packages/boost_headers"),
        (newer_glibc, "needs GLIBC_2.34, manylinux_2_17 promises 2.17"),
        (newer_libstdcxx, "needs GLIBCXX_3.4.30, manylinux_2_17 promises 3.4.19"),
        (newer_cxxabi, "needs CXXABI_1.3.13"),
        (other_machine, "the module is for aarch64, the tag says x86_64"),
        (other_format, "the module is a PE file"),
        (other_library, "the module needs libssl.so.3"),
        (more_exports, "the module exports boost_asio"),
        (no_export, "the module does not export PyInit__core"),
        (not_stripped, "not stripped: it has .symtab"),
        (search_path, "a search path for libraries: $ORIGIN/../lib"),
    ],
)
def test_fault_is_reported(tmp_path: Path, fault: Callable[[FakeWheel], None], expected: str) -> None:
    wheel = FakeWheel()
    fault(wheel)
    problems = wheel.problems(tmp_path)
    assert any(expected in problem for problem in problems), problems


def test_licence_must_be_the_trees(tmp_path: Path) -> None:
    wheel = FakeWheel()
    (tmp_path / "LICENSE").write_bytes(b"another text")
    assert wheel.problems(tmp_path) == [f"the licence {wheel.info}licenses/LICENSE differs from the tree's"]


def test_forbidden_text(tmp_path: Path) -> None:
    wheel = FakeWheel()
    wheel.files[wheel.module] += b"/build/agent-7/simdrive"
    assert wheel.problems(tmp_path) == []
    assert len(wheel.problems(tmp_path, forbidden=("/build/agent-7",))) == 1


def test_macos_version(tmp_path: Path) -> None:
    wheel = macos_wheel()
    wheel.extension.macos = (12, 0, 0)
    assert wheel.problems(tmp_path) == ["the module needs macOS 12.0.0, the tag says 11.0"]
    wheel.extension.macos = None
    assert wheel.problems(tmp_path) == ["the module does not say which macOS it needs"]


def test_windows_libraries(tmp_path: Path) -> None:
    wheel = windows_wheel()
    wheel.extension.libraries = ["python314.dll", "MSVCP140.dll", "KERNEL32.dll"]
    missing, abi = wheel.problems(tmp_path)
    assert "MSVCP140.dll" in missing
    assert abi == "the module needs python314.dll, the tag says cp314t"


def test_musl_promises_no_cxx_library(tmp_path: Path) -> None:
    wheel = musl_wheel()
    wheel.extension.libraries.append("libstdc++.so.6")
    (problem,) = wheel.problems(tmp_path)
    assert "libstdc++.so.6, which musllinux does not promise" in problem


def test_no_wheel_at_all(tmp_path: Path) -> None:
    path = tmp_path / FakeWheel().name
    path.write_bytes(b"no zip file")
    (problem,) = tool.check_wheel(path, VERSION).problems
    assert "cannot be read as a wheel" in problem


def test_unreadable_module(tmp_path: Path) -> None:
    wheel = FakeWheel()
    problems = tool.check_wheel(wheel.write(tmp_path), VERSION, (), tool.inspect_extension, tmp_path).problems
    assert problems == [f"{wheel.module}: neither ELF, Mach-O nor PE"]


# ---- matrix, sdist, the program -----------------------------------------------------------------------------------


def test_matrix(tmp_path: Path) -> None:
    matrix = tmp_path / "matrix.txt"
    matrix.write_text("# comment\ncp310-win32\ncp312-manylinux_x86_64\n", encoding="ascii")
    assert list(tool.check_matrix(matrix, ["cp312-manylinux_x86_64", "cp310-win32"])) == []
    missing, extra, twice = tool.check_matrix(matrix, ["cp310-win32", "cp310-win32", "cp399-win32", None])
    assert missing.startswith("no wheel for cp312-manylinux_x86_64")
    assert extra.startswith("a wheel for cp399-win32")
    assert twice == "more than one wheel for cp310-win32"


def sdist(folder: Path, changes: dict[str, bytes | None]) -> list[str]:
    metadata = f"Name: simdrive\nVersion: {VERSION}\n" + "".join(f"License-File: {name}\n" for name in tool.LICENCES)
    files: dict[str, bytes | None] = dict.fromkeys(tool.SDIST_NEEDS, b"text")
    files["PKG-INFO"] = metadata.encode()
    path = folder / f"simdrive-{VERSION}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, data in {**files, **changes}.items():
            if data is not None:
                member = tarfile.TarInfo(f"simdrive-{VERSION}/{name}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return list(tool.check_sdist(path, VERSION, ("secret",), folder).problems)


def test_good_sdist(tmp_path: Path) -> None:
    assert sdist(tmp_path, {}) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"tests/python/conftest.py": None}, "tests/python/conftest.py is missing"),
        ({"LICENSE": None}, "LICENSE is missing"),
        ({".ci/run": b""}, ".ci/run does not belong into an sdist"),
        ({"build/release/x": b""}, "build/release/x does not belong into an sdist"),
        ({"pysrc/simdrive/_core.so": b""}, "pysrc/simdrive/_core.so does not belong into an sdist"),
        ({"benchmarks/results/a.json": b""}, "benchmarks/results/a.json does not belong into an sdist"),
        ({"notes": b"a secret"}, "notes names secret"),
        ({"PKG-INFO": b"Name: simdrive\nVersion: 9\n"}, "METADATA: the version is 9, pyproject.toml says 1.2.3"),
    ],
)
def test_fault_of_sdist(tmp_path: Path, changes: dict[str, bytes | None], expected: str) -> None:
    assert expected in sdist(tmp_path, changes)


def test_program_ends_with_1_and_names_file_and_fault(tmp_path: Path) -> None:
    path = FakeWheel().write(tmp_path)
    command = [sys.executable, str(SCRIPT), str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert f"{path.name}: the name says simdrive {VERSION}" in ended.stdout
    assert ended.stdout.splitlines()[-1].startswith("check_wheel: 1 file(s), ")


# ---- reading real formats -----------------------------------------------------------------------------------------


def test_reads_elf(tmp_path: Path) -> None:
    lief = pytest.importorskip("lief")
    import simdrive._core as core

    path = Path(str(core.__file__))
    if path.read_bytes()[:4] != b"\x7fELF":
        pytest.skip("the module here is no ELF file")
    found = tool.inspect_extension(path.read_bytes())
    assert found.format == "ELF"
    assert found.architectures == [simdrive_architecture()]
    assert found.exports == ["PyInit__core"]
    assert "libc.so.6" in found.libraries or "libc.so" in found.libraries
    assert found.search_paths == []

    binary = lief.ELF.parse(str(path))
    binary.add(lief.ELF.DynamicEntryRunPath("/opt/elsewhere"))
    binary.add_exported_function(0x1000, "more")
    binary.write(str(tmp_path / "changed.so"))
    changed = tool.inspect_extension((tmp_path / "changed.so").read_bytes())
    assert changed.search_paths == ["/opt/elsewhere"]
    assert sorted(changed.exports) == ["PyInit__core", "more"]


def simdrive_architecture() -> str:
    import simdrive

    return simdrive.build_info().architecture


def test_reads_macho() -> None:
    pytest.importorskip("lief")
    # 64-bit header of an arm64 bundle; one load command: for macOS 11.0, made with the SDK of 14.2.
    header = struct.pack("<8I", 0xFEEDFACF, 0x0100000C, 0, 8, 1, 24, 0, 0)
    command = struct.pack("<6I", 0x32, 24, 1, 11 << 16, (14 << 16) | (2 << 8), 0)
    found = tool.inspect_extension(header + command + bytes(4096))
    assert (found.format, found.architectures, found.macos) == ("Mach-O", ["aarch64"], (11, 0, 0))
    assert found.exports == []


def test_reads_pe() -> None:
    lief = pytest.importorskip("lief")
    factory = lief.PE.Factory.create(lief.PE.PE_TYPE.PE32_PLUS)
    section = lief.PE.Section(".text")
    section.content = [0xC3]
    factory.add_section(section)
    found = tool.inspect_extension(bytes(factory.get().write_to_bytes()))
    assert (found.format, found.architectures, found.leftovers) == ("PE", ["x86_64"], [])
