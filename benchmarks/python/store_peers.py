"""What the store benchmark compares, where each program comes from, and the files that they all read."""

from __future__ import annotations

import dataclasses
import importlib
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from processes import HERE, Helper, PeerError, cache_dir

ROOT = HERE.parents[1]
ASK_LIMIT_S = 300
LMDB = "lmdb==3.0.0"


@dataclasses.dataclass(frozen=True)
class Peer:
    """One engine, as one program drives it."""

    family: str  # peers of one family read the same files
    command: tuple[str, ...]  # the first word names the program
    sections: frozenset[str]
    note: str


WRITES = frozenset({"write", "batch"})
READS = frozenset({"hot", "random"})
ALL = WRITES | READS | {"scan", "open", "memory", "compact"}
PEERS: Mapping[str, Peer] = {
    "simdrive": Peer("store", ("native", "simdrive"), ALL, "ours, from C++"),
    "original": Peer("store", ("interop", "bench"), ALL, "crate simd-r-drive 0.17.5-alpha, from Rust"),
    "lmdb": Peer("lmdb", ("native", "lmdb"), ALL, "LMDB from C, nosync + writemap; a read renews its transaction"),
    "lmdb-1txn": Peer("lmdb", ("native", "lmdb-1txn"), READS, "the same; all reads in one transaction"),
    "append": Peer("append", ("native", "append"), WRITES, "the floor of writing: one system call, nothing else"),
    "py-simdrive": Peer("store", ("python", "simdrive"), WRITES | READS | {"scan"}, "ours, from Python: bytes"),
    "py-lmdb": Peer("lmdb", ("python", "lmdb"), WRITES | READS | {"scan"}, "the package lmdb, from Python: bytes"),
}


class Programs:
    """The programs that are there; `missing` says of the others why not."""

    def __init__(self, interop: Path | None, wanted: Sequence[str]) -> None:
        self.paths: dict[str, list[str]] = {}
        self.missing: dict[str, str] = {}
        self.packages = ""
        makers = {"native": native, "interop": lambda: original(interop), "python": self._python}
        for kind in dict.fromkeys(PEERS[name].command[0] for name in wanted):
            self._try(kind, makers[kind])

    def _try(self, kind: str, make: Callable[[], list[str]]) -> None:
        try:
            self.paths[kind] = make()
        except (OSError, subprocess.SubprocessError, PeerError) as error:
            self.missing[kind] = why(error)

    def _python(self) -> list[str]:
        """Our interpreter, which has simdrive, and a folder with the package lmdb."""
        target = cache_dir() / "bench" / "store" / f"packages-{sys.implementation.cache_tag}"
        done = target / f".{LMDB}"
        if not done.exists():
            shutil.rmtree(target, ignore_errors=True)
            run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
                 "--target", str(target), LMDB])  # fmt: skip
            done.touch()
        self.packages = str(target)
        return [sys.executable, str(HERE / "store_worker.py")]

    def start(self, name: str, log: Path, core: str) -> Helper:
        kind, engine = PEERS[name].command
        if kind in self.missing:
            raise PeerError(f"there is no program {kind}, see the notes")
        pin = ["taskset", "-c", core] if core else []
        return Helper([*pin, *self.paths[kind], engine], {"PYTHONPATH": self.packages} if kind == "python" else {}, log)


def why(error: Exception) -> str:
    said = getattr(error, "stderr", None) or str(error)
    return " ".join(str(said).split())[-300:]


def run(argv: Sequence[str]) -> str:
    return subprocess.run(argv, check=True, timeout=900, capture_output=True, text=True).stdout


def native() -> list[str]:
    """store_bench, built in the cache: in a place of its own for each checkout, which CMake remembers."""
    build = cache_dir() / "bench" / "store" / f"build-{zlib.crc32(str(ROOT).encode()):08x}"
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    run(["cmake", "-S", str(ROOT / "benchmarks" / "cpp"), "-B", str(build), *generator,
         f"-DPython_EXECUTABLE={sys.executable}"])  # fmt: skip
    run(["cmake", "--build", str(build), "--target", "store_bench", "--parallel"])
    return [str(build / "store_bench")]


def original(named: Path | None) -> list[str]:
    """The original engine as a program, installed if need be."""
    if named is None:
        run(["bash", str(ROOT / "tools" / "install_interop.sh")])
        sys.path.insert(0, str(ROOT / "tests"))
        named = importlib.import_module("support.interop").find_interop()
        if named is None:
            raise PeerError("tools/install_interop.sh has not installed the program of these sources")
    return [str(named)]


class Bases:
    """Files that are read and not changed: made once a run, by the first peer of each family that can."""

    def __init__(self, programs: Programs, folder: Path, core: str) -> None:
        self._programs, self._folder, self._core = programs, folder, core
        self._made: dict[tuple[str, str], Path] = {}

    def get(self, family: str, name: str, fills: Sequence[str], by: str = "") -> Path:
        """The file `name` of a family; `fills` are the commands that fill it. With `by`, one that this peer wrote."""
        key = (by or family, name)
        if key in self._made:
            return self._made[key]
        # The original first: what it writes is what a store must be good at.
        makers = (by,) if by else {"store": ("original", "simdrive"), "lmdb": ("lmdb",)}[family]
        path = self._folder / f"base.{key[0]}.{name}"
        problems: list[str] = []
        if not any(self._make(maker, path, fills, problems) for maker in makers):
            raise PeerError("nobody could make the file to read: " + "; ".join(problems))
        self._made[key] = path
        return path

    def _make(self, maker: str, path: Path, fills: Sequence[str], problems: list[str]) -> bool:
        try:
            helper = self._programs.start(maker, self._folder / "bases.log", self._core)
            try:
                for command in (f"create {path}", *fills, "close"):
                    helper.ask(command, ASK_LIMIT_S)
            finally:
                helper.stop()
        except (OSError, PeerError) as error:
            problems.append(f"{maker}: {error}")
            return False
        return True
