#!/usr/bin/env python3
"""Whether wheels (and a source distribution) are what a release may contain.

    tools/check_wheel.py [--dry-run] [--matrix tools/wheel_matrix.txt] [--forbid TEXT]... FILE...

Opens each file and reports everything that is wrong: name, tags and metadata, files that do not belong there, licences,
size, what the extension module exports and needs, symbols left in it, and paths of the machine that built it. With
--matrix the wheels must also be those that the list names. Needs `lief` and `packaging` (the dependency group
"release"). Exits with 1 if there is a problem.
"""

from __future__ import annotations

import argparse
import base64
import csv
import hashlib
import io
import re
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from pathlib import Path

from packaging.tags import Tag
from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename

ROOT = Path(__file__).resolve().parents[1]
SIZE_MAX = 1_500_000
# Of the sdist, which has the tests and what they read: 0.75 MB of it are files that the original wrote.
SDIST_SIZE_MAX = 2_000_000
LICENCES = ("LICENSE", "cpp/third_party/boost/LICENSE", "cpp/third_party/xsimd/LICENSE")
EXPORT = "PyInit__core"
# How a path of a builder begins: homes, temporary folders, the folders of containers and of CI services.
BUILDER_PATHS = (
    *("/root/", "/home/", "/tmp/", "/Users/", "/private/var/", "/project/"),  # noqa: S108
    *("C:\\Users", "D:\\a\\"),
)
# Where headers live, wherever that is, and any other absolute path of a source file.
SOURCE_PATH = re.compile(
    rb"site-packages[\w./\\+-]*|boost_headers[\w./\\+-]*"
    rb"|(?<![\w.:/\\+-])(?:/|[A-Za-z]:[/\\])[\w./\\+ -]{1,200}\.(?:c|cc|cpp|cxx|h|hh|hpp|ipp|pxd|pxi|pyx)\b"
)

# The highest symbol versions of libstdc++ that a platform promises, as of the policies of auditwheel.
LIBSTDCXX = {
    (2, 17): {"GLIBCXX": (3, 4, 19), "CXXABI": (1, 3, 7)},
    (2, 24): {"GLIBCXX": (3, 4, 22), "CXXABI": (1, 3, 10)},
    (2, 28): {"GLIBCXX": (3, 4, 24), "CXXABI": (1, 3, 11)},
    (2, 31): {"GLIBCXX": (3, 4, 28), "CXXABI": (1, 3, 12)},
    (2, 34): {"GLIBCXX": (3, 4, 29), "CXXABI": (1, 3, 13)},
}
LEGACY_MANYLINUX = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
GLIBC_SYSTEM = re.compile(r"(libstdc\+\+\.so\.6|libgcc_s\.so\.1|lib(c|m|dl|rt|pthread)\.so\.\d|ld-linux[\w-]*\.so\.\d)")
# What the module may need of the system. Everything else would have to be shipped.
LIBRARIES = {
    "linux": GLIBC_SYSTEM,
    "manylinux": GLIBC_SYSTEM,
    "musllinux": re.compile(r"(libc\.so|libc\.musl-\w+\.so\.1)"),
    "macosx": re.compile(r"/usr/lib/(libc\+\+(abi)?\.1|libSystem\.B)\.dylib"),
    "win": re.compile(
        r"(python3\d+t?|kernel32|advapi32|ws2_32|mswsock|bcrypt|msvcrt|ucrtbase|vcruntime140(_1)?"
        r"|api-ms-win-crt-[\w-]+)\.dll",
        re.IGNORECASE,
    ),
}
ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64", "win32": "x86"}  # of a tag, where it is not the name itself


def project_version(root: Path = ROOT) -> str:
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    (found,) = re.findall(r'^version = "([^"]+)"$', text, re.MULTILINE)
    return str(found)


# ---- extension modules ----------------------------------------------------------------------------------------------


@dataclass
class Extension:
    """What matters of a shared object, whatever its format."""

    format: str  # "ELF", "Mach-O" or "PE"
    architectures: list[str]
    libraries: list[str] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)  # symbol versions that it needs: "GLIBC_2.17"
    exports: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)  # symbol tables and debug information
    search_paths: list[str] = field(default_factory=list)
    macos: tuple[int, ...] | None = None  # the oldest system that it says to run on


class UnreadableError(Exception):
    """No shared object of a known format."""


def name_of(value: object) -> str:
    return str(value).rpartition(".")[2]


def inspect_elf(data: bytes) -> Extension:
    import lief

    binary = lief.ELF.parse(io.BytesIO(data))
    if binary is None:
        raise UnreadableError("no readable ELF file")
    names = {"X86_64": "x86_64", "AARCH64": "aarch64", "I386": "x86"}
    machine = name_of(binary.header.machine_type)
    found = Extension("ELF", [names.get(machine, machine)])
    found.libraries = [str(library) for library in binary.libraries]
    for need in binary.symbols_version_requirement:
        found.versions += [str(version.name) for version in need.get_auxiliary_symbols()]
    found.exports = [str(s.name) for s in binary.dynamic_symbols if s.shndx != 0 and name_of(s.binding) != "LOCAL"]
    sections = [str(section.name) for section in binary.sections]
    found.leftovers = [s for s in sections if s == ".symtab" or s.startswith((".debug", ".zdebug", ".gnu.debugdata"))]
    for entry in binary.dynamic_entries:
        if name_of(entry.tag) in {"RPATH", "RUNPATH"}:
            found.search_paths.append(str(getattr(entry, "rpath", "") or getattr(entry, "runpath", "")))
    return found


def inspect_macho(data: bytes) -> Extension:
    import lief

    parts = lief.MachO.parse(list(data))
    if parts is None:
        raise UnreadableError("no readable Mach-O file")
    names = {"X86_64": "x86_64", "ARM64": "aarch64"}
    found = Extension("Mach-O", [])
    for binary in parts:
        machine = name_of(binary.header.cpu_type)
        found.architectures.append(names.get(machine, machine))
        found.libraries += [str(library.name) for library in binary.libraries if name_of(library.command) != "ID_DYLIB"]
        exported = [str(s.name).removeprefix("_") for s in binary.symbols if s.has_export_info]
        if not exported:  # an older symbol table, without a list of exports
            exported = [str(s.name).removeprefix("_") for s in binary.exported_symbols]
        found.exports += sorted(set(exported))
        if any(s.raw_type & 0xE0 for s in binary.symbols):
            found.leftovers.append("debugging symbols")
        if any(name_of(segment.name) == "__DWARF" for segment in binary.segments):
            found.leftovers.append("__DWARF")
        if binary.has_rpath:
            found.search_paths += [str(command.path) for command in binary.rpaths]
        oldest = None
        if binary.build_version is not None:
            oldest = tuple(binary.build_version.minos)
        elif binary.version_min is not None:
            oldest = tuple(binary.version_min.version)
        if oldest is not None:
            found.macos = max(found.macos or oldest, oldest)
    return found


def inspect_pe(data: bytes) -> Extension:
    import lief

    binary = lief.PE.parse(io.BytesIO(data))
    if binary is None:
        raise UnreadableError("no readable PE file")
    names = {"AMD64": "x86_64", "ARM64": "aarch64", "I386": "x86"}
    machine = name_of(binary.header.machine)
    found = Extension("PE", [names.get(machine, machine)])
    found.libraries = [str(entry.name) for entry in [*binary.imports, *binary.delay_imports]]
    table = binary.get_export()
    found.exports = [str(entry.name) for entry in table.entries] if table is not None else []
    if binary.header.numberof_symbols:
        found.leftovers.append("COFF symbols")
    found.leftovers += [str(s.name) for s in binary.sections if str(s.name).startswith((".debug", ".stab"))]
    return found


def inspect_extension(data: bytes) -> Extension:
    """Reads a shared object by what its first bytes say that it is."""
    if data[:4] == b"\x7fELF":
        return inspect_elf(data)
    if data[:4] in {b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe"}:
        return inspect_macho(data)
    if data[:2] == b"MZ":
        return inspect_pe(data)
    raise UnreadableError("neither ELF, Mach-O nor PE")


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def dotted(version: Sequence[int]) -> str:
    return ".".join(map(str, version))


# ---- tags -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Platform:
    """One platform tag, taken apart."""

    family: str  # linux, manylinux, musllinux, macosx, win
    version: tuple[int, ...]
    architecture: str  # as the tag says it; "win32" for that tag

    @classmethod
    def parse(cls, tag: str) -> Platform | None:
        if tag in {"win32", "win_amd64", "win_arm64"}:
            return cls("win", (), tag.removeprefix("win_"))
        if match := re.fullmatch(r"(manylinux|musllinux|macosx)_(\d+)_(\d+)_(\w+)", tag):
            return cls(match[1], (int(match[2]), int(match[3])), match[4])
        if match := re.fullmatch(r"(manylinux1|manylinux2010|manylinux2014)_(\w+)", tag):
            return cls("manylinux", LEGACY_MANYLINUX[match[1]], match[2])
        if match := re.fullmatch(r"linux_(\w+)", tag):
            return cls("linux", (), match[1])
        return None

    @property
    def machine(self) -> str:
        return ARCHITECTURES.get(self.architecture, self.architecture)

    def identifier(self, interpreter: str) -> str:
        """As cibuildwheel names the build."""
        if self.family == "win":
            return f"{interpreter}-{self.architecture if self.architecture == 'win32' else 'win_' + self.architecture}"
        return f"{interpreter}-{self.family}_{self.architecture}"


def module_names(abi: str, platform: Platform) -> set[str]:
    """How the extension module may be called for that ABI and platform."""
    version = abi.removeprefix("cp")
    if platform.family == "win":
        name = platform.architecture if platform.architecture == "win32" else "win_" + platform.architecture
        return {f"_core.{abi}-{name}.pyd"}
    if platform.family == "macosx":
        return {f"_core.cpython-{version}-darwin.so"}
    libcs = {"gnu"}
    if platform.family == "musllinux":
        libcs = {"gnu", "musl"} if abi == "cp310" else {"musl"}  # not every Python 3.10 tells them apart
    return {f"_core.cpython-{version}-{platform.architecture}-linux-{libc}.so" for libc in libcs}


# ---- wheels ---------------------------------------------------------------------------------------------------------


def check_extension(found: Extension, platforms: Sequence[Platform], abi: str) -> Iterator[str]:
    for platform in platforms:
        yield from check_platform(found, platform, abi)
    others = [name for name in found.exports if name != EXPORT]
    if others:
        more = f" and {len(others) - 5} more" if len(others) > 5 else ""
        yield f"the module exports {', '.join(others[:5])}{more}"
    if EXPORT not in found.exports:
        yield f"the module does not export {EXPORT}"
    if found.leftovers:
        yield f"the module is not stripped: it has {', '.join(found.leftovers)}"
    if found.search_paths:
        yield f"the module has a search path for libraries: {', '.join(found.search_paths)}"


def check_platform(found: Extension, platform: Platform, abi: str) -> Iterator[str]:
    expected = {"macosx": "Mach-O", "win": "PE"}.get(platform.family, "ELF")
    if found.format != expected:
        yield f"the module is a {found.format} file, which no {platform.family} system loads"
        return
    if found.architectures != [platform.machine]:
        yield f"the module is for {', '.join(found.architectures)}, the tag says {platform.architecture}"
    for library in found.libraries:
        if not LIBRARIES[platform.family].fullmatch(library):
            yield f"the module needs {library}, which {platform.family} does not promise: link it statically"
    if platform.family == "manylinux":
        yield from check_glibc(found, platform)
    elif platform.family == "macosx":
        if found.macos is None:
            yield "the module does not say which macOS it needs"
        elif found.macos[:2] > platform.version:
            yield f"the module needs macOS {dotted(found.macos)}, the tag says {dotted(platform.version)}"
    elif platform.family == "win":
        needed = {name.lower() for name in found.libraries if name.lower().startswith("python")}
        if not needed <= {f"python{abi.removeprefix('cp')}.dll"}:
            yield f"the module needs {', '.join(sorted(needed))}, the tag says {abi}"


def check_glibc(found: Extension, platform: Platform) -> Iterator[str]:
    known = [policy for policy in sorted(LIBSTDCXX) if policy <= platform.version]
    limits = {"GLIBC": platform.version, **(LIBSTDCXX[known[-1]] if known else {})}
    for family, limit in limits.items():
        needed = [numbers(v) for v in found.versions if re.fullmatch(rf"{family}_[\d.]+", v)]
        if needed and max(needed) > limit:
            yield (
                f"the module needs {family}_{dotted(max(needed))}, "
                f"manylinux_{'_'.join(map(str, platform.version))} promises {dotted(limit)}"
            )


def check_paths(name: str, data: bytes, forbidden: Sequence[str]) -> Iterator[str]:
    """Paths of the machine that built the file."""
    if name.endswith(".dist-info/METADATA"):
        data = data.partition(b"\n\n")[0]  # the description is the README, which has examples
    for text in (*BUILDER_PATHS, *forbidden):
        for encoded in {text.encode(), text.encode("utf-16-le")}:
            at = data.find(encoded)
            if at >= 0:
                shown = re.split(rb"[\x00-\x1f]", data[at : at + 80])[0].decode("ascii", "replace")
                yield f"{name} has a path of the builder: {shown}"
                break
    if name.endswith((".so", ".pyd")):
        for match in SOURCE_PATH.finditer(data):
            yield f"{name} has the path of a source: {match[0][:100].decode('ascii', 'replace')}"
            break


def check_record(files: dict[str, bytes], record: str) -> Iterator[str]:
    listed = {row[0]: row[1] for row in csv.reader(io.StringIO(files[record].decode())) if row}
    for name in sorted(files.keys() ^ listed.keys()):
        yield f"{name} is {'not listed in' if name in files else 'only in'} RECORD"
    for name in files.keys() & listed.keys() - {record}:
        digest = base64.urlsafe_b64encode(hashlib.sha256(files[name]).digest()).rstrip(b"=").decode()
        if listed[name] != f"sha256={digest}":
            yield f"{name} is not what RECORD says"


def check_metadata(metadata: Message, version: str) -> Iterator[str]:
    if metadata["Name"] != "simdrive":
        yield f"METADATA: the name is {metadata['Name']}"
    if metadata["Version"] != version:
        yield f"METADATA: the version is {metadata['Version']}, pyproject.toml says {version}"
    listed = metadata.get_all("License-File", [])
    for name in LICENCES:
        if name not in listed:
            yield f"METADATA: License-File {name} is missing"


def check_licences(files: dict[str, bytes], folder: str, root: Path) -> Iterator[str]:
    for name in LICENCES:
        shipped = files.get(f"{folder}{name}", b"").replace(b"\r\n", b"\n")
        ours = root / name
        if not shipped:
            yield f"the licence {folder}{name} is missing"
        elif ours.is_file() and shipped != ours.read_bytes().replace(b"\r\n", b"\n"):
            yield f"the licence {folder}{name} differs from the tree's"


def check_contents(names: Sequence[str], info: str, modules: set[str]) -> Iterator[str]:
    extensions = [name for name in names if re.search(r"\.(so|pyd|dll|dylib)(\.[\d.]+)?$", name)]
    if len(extensions) != 1:
        yield f"one extension module was expected, found {', '.join(extensions) or 'none'}"
    for name in extensions:
        if name not in {f"simdrive/{module}" for module in modules}:
            yield f"{name} is not named for the tag: expected simdrive/{' or '.join(sorted(modules))}"
    for needed in ("simdrive/__init__.py", "simdrive/_core.pyi", "simdrive/py.typed", f"{info}METADATA"):
        if needed not in names:
            yield f"{needed} is missing"
    for name in names:
        ours = re.fullmatch(r"simdrive/(\w+/)*\w+\.pyi?|simdrive/py\.typed", name)
        metadata = r"METADATA|RECORD|WHEEL|DELVEWHEEL|entry_points\.txt|licenses/.+|sboms/.+\.json"
        theirs = re.fullmatch(f"{re.escape(info)}({metadata})", name)
        if not (ours or theirs or name in extensions):
            yield f"{name} does not belong into a wheel"


def check_tags(named: frozenset[Tag], files: dict[str, bytes], info: str) -> Iterator[str]:
    wheel = BytesParser().parsebytes(files.get(f"{info}WHEEL", b""))
    stated = set(wheel.get_all("Tag", []))
    if stated != {str(tag) for tag in named}:
        yield f"WHEEL says {', '.join(sorted(stated)) or 'no tag'}, the file name {', '.join(sorted(map(str, named)))}"
    if wheel["Root-Is-Purelib"] != "false":
        yield "WHEEL does not say Root-Is-Purelib: false"


@dataclass
class Report:
    """One file: what is wrong with it, and what it is."""

    problems: list[str]
    summary: str = ""
    identifier: str | None = None


def check_wheel(
    path: Path,
    version: str,
    forbidden: Sequence[str] = (),
    inspect: Callable[[bytes], Extension] = inspect_extension,
    root: Path = ROOT,
) -> Report:
    try:
        name, stated, _, tags = parse_wheel_filename(path.name)
    except InvalidWheelFilename as error:
        return Report([str(error)])
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.namelist() if not entry.endswith("/")]
            files = {entry: archive.read(entry) for entry in entries}
    except (OSError, zipfile.BadZipFile) as error:
        return Report([f"cannot be read as a wheel: {error}"])

    problems: list[str] = []
    if (name, str(stated)) != ("simdrive", version):
        problems.append(f"the name says {name} {stated}, pyproject.toml simdrive {version}")
    if len(entries) != len(files):
        problems.append("a file is in it twice")
    if path.stat().st_size > SIZE_MAX:
        problems.append(f"{path.stat().st_size} bytes are more than {SIZE_MAX}")
    info = f"simdrive-{stated}.dist-info/"
    interpreters = {(tag.interpreter, tag.abi) for tag in tags}
    platforms = [Platform.parse(tag.platform) for tag in sorted(tags, key=str)]
    known = [platform for platform in platforms if platform is not None]
    problems += [f"the platform of {tag} is unknown" for tag in tags if Platform.parse(tag.platform) is None]
    ((interpreter, abi), *more) = sorted(interpreters)
    if more or abi.removesuffix("t") != interpreter or not re.fullmatch(r"cp3\d+t?", abi):
        problems.append(f"{path.name} is not for one version of CPython, with its own ABI")

    modules = set[str]().union(*(module_names(abi, platform) for platform in known))
    problems += check_tags(tags, files, info)
    problems += check_contents(sorted(files), info, modules)
    problems += check_metadata(BytesParser().parsebytes(files.get(f"{info}METADATA", b"")), version)
    problems += check_licences(files, f"{info}licenses/", root)
    if f"{info}RECORD" in files:
        problems += check_record(files, f"{info}RECORD")
    else:
        problems.append(f"{info}RECORD is missing")
    for entry, data in sorted(files.items()):
        problems += check_paths(entry, data, forbidden)

    needs = ""
    for entry, data in sorted(files.items()):
        if entry.startswith("simdrive/") and entry.endswith((".so", ".pyd")):
            try:
                found = inspect(data)
            except UnreadableError as error:
                problems.append(f"{entry}: {error}")
                continue
            problems += check_extension(found, known, abi)
            needs = summary_of(found)
    identifiers = {platform.identifier(abi) for platform in known}
    return Report(
        list(dict.fromkeys(problems)),
        f"{path.stat().st_size / 1000:.0f} KB{needs}",
        identifiers.pop() if len(identifiers) == 1 else None,
    )


def summary_of(found: Extension) -> str:
    parts = []
    for family in ("GLIBC", "GLIBCXX"):
        needed = [numbers(v) for v in found.versions if re.fullmatch(rf"{family}_[\d.]+", v)]
        if needed:
            parts.append(f"{family} {dotted(max(needed))}")
    if found.macos:
        parts.append(f"macOS {dotted(found.macos[:2])}")
    return "".join(f", {part}" for part in parts)


# ---- the source distribution ----------------------------------------------------------------------------------------

SDIST_NEEDS = (
    "PKG-INFO",
    "pyproject.toml",
    "CMakeLists.txt",
    "README.md",
    "cpp/include/simdrive/client.hpp",
    "cpp/third_party/xsimd/VERSION",
    "pysrc/simdrive/_core.pyx",
    "tests/python/conftest.py",
    "tests/vectors/wire/frames_decode.json",
    *LICENCES,
)
SDIST_HAS_NOT = re.compile(
    r"(^|/)(\.git|\.ci|\.github|build|dist|wheelhouse|\.venv|venv|__pycache__|\.\w+_cache|\.hypothesis|\.cache)/"
    r"|\.(so|pyd|dll|dylib|o|a|obj|pyc|whl)$|(^|/)benchmarks/results/"
)


def check_sdist(path: Path, version: str, forbidden: Sequence[str] = (), root: Path = ROOT) -> Report:
    try:
        name, stated = parse_sdist_filename(path.name)
        with tarfile.open(path) as archive:
            members = [member for member in archive.getmembers() if not member.isdir()]
            odd = [member.name for member in members if not member.isfile()]
            files = {}
            for member in members:
                stream = archive.extractfile(member) if member.isfile() else None
                files[member.name] = stream.read() if stream else b""
    except (OSError, tarfile.TarError, InvalidSdistFilename) as error:
        return Report([f"cannot be read as an sdist: {error}"])
    top = f"simdrive-{stated}/"
    problems = [f"{entry} is no plain file" for entry in odd]
    if (name, str(stated)) != ("simdrive", version):
        problems.append(f"the name says {name} {stated}, pyproject.toml simdrive {version}")
    if path.stat().st_size > SDIST_SIZE_MAX:
        problems.append(f"{path.stat().st_size} bytes are more than {SDIST_SIZE_MAX}")
    for entry, data in sorted(files.items()):
        inner = entry.removeprefix(top)
        if inner == entry:
            problems.append(f"{entry} is outside of {top}")
        if SDIST_HAS_NOT.search(inner):
            problems.append(f"{inner} does not belong into an sdist")
        problems += [f"{inner} names {text}" for text in forbidden if text.encode() in data]
    problems += [f"{needed} is missing" for needed in SDIST_NEEDS if top + needed not in files]
    problems += check_metadata(BytesParser().parsebytes(files.get(f"{top}PKG-INFO", b"")), version)
    problems += check_licences(files, top, root)
    return Report(problems, f"{path.stat().st_size / 1000:.0f} KB, {len(files)} files")


# ---- all ------------------------------------------------------------------------------------------------------------


def check_matrix(matrix: Path, identifiers: Sequence[str | None]) -> Iterator[str]:
    listed = [line.strip() for line in matrix.read_text(encoding="ascii").splitlines()]
    expected = {line for line in listed if line and not line.startswith("#")}
    present = [identifier for identifier in identifiers if identifier is not None]
    for missing in sorted(expected - set(present)):
        yield f"no wheel for {missing}, which {matrix} lists"
    for extra in sorted(set(present) - expected):
        yield f"a wheel for {extra}, which {matrix} does not list"
    for twice in sorted({identifier for identifier in present if present.count(identifier) > 1}):
        yield f"more than one wheel for {twice}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    parser.add_argument("--matrix", type=Path, help="a list of build identifiers that the wheels must equal")
    parser.add_argument("--forbid", action="append", default=[], metavar="TEXT", help="a text that no file may contain")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be checked")
    given = parser.parse_args(arguments)
    if given.dry_run:
        for path in given.files:
            print(f"+ check {path}")
        if given.matrix:
            print(f"+ compare with {given.matrix}")
        return 0
    if not given.files:
        parser.error("no files given")

    version = project_version()
    count = 0
    identifiers = []
    for path in given.files:
        if path.name.endswith(".whl"):
            report = check_wheel(path, version, given.forbid)
            identifiers.append(report.identifier)
        else:
            report = check_sdist(path, version, given.forbid)
        for problem in report.problems:
            print(f"{path.name}: {problem}")
        count += len(report.problems)
        if not report.problems:
            print(f"ok: {path.name}: {report.summary}")
    if given.matrix:
        for problem in check_matrix(given.matrix, identifiers):
            print(problem)
            count += 1
    print(f"check_wheel: {len(given.files)} file(s), {count} problem(s)")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
