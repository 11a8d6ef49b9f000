"""What the hash benchmark is compared with: fetched and built in the cache, never in the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from processes import cache_dir

NATIVE = Path(__file__).resolve().parent.parent / "native"
XXHASH_PACKAGE = "4.1.0"  # its source distribution holds the official C library 0.8.4
PACKAGES = ("xxhash==4.1.0", "zlib-ng==1.1.0", "isal==1.9.1")

# Implementations that a full run has, and what to install where one is missing.
NATIVE_PEERS: Mapping[str, str] = {
    "official_sse2": "pip must reach the source distribution of xxhash",
    "official_avx2": "the same, and a CPU with AVX2",
    "official_avx512": "the same, and a CPU with AVX-512",
    "official_dispatch": "pip must reach the source distribution of xxhash",
    "isal": "install libisal-dev",
    "zlib": "install zlib1g-dev",
    "zlib_ng": "install cargo and cmake; cargo must reach the crate libz-ng-sys",
    "crc32fast": "install cargo; it must reach the crate crc32fast",
}


class Peers:
    """Everything found, and in `missing` what was not: name and reason."""

    def __init__(self) -> None:
        self.folder = cache_dir() / "bench" / "hash"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.missing: dict[str, str] = {}

    def _try(self, what: str, make: Callable[[], Path]) -> Path | None:
        try:
            return make()
        except subprocess.CalledProcessError as error:
            self.missing[what] = f"{error.cmd[0]} failed: {' '.join((error.stderr or '').split())[-300:]}"
        except (OSError, subprocess.TimeoutExpired) as error:
            self.missing[what] = str(error)
        return None

    def build_native(self) -> Path:
        """The native program with as many peers as there are. Raises when it cannot be built at all."""
        build = self.folder / "build"
        xxhash = self._try("official xxHash", self._xxhash_source)
        crates = self._try("crc32fast and zlib-ng", self._crates)
        generator = ["-G", "Ninja"] if shutil.which("ninja") else []
        run(["cmake", "-S", str(NATIVE / "hash"), "-B", str(build), *generator, f"-DPython_EXECUTABLE={sys.executable}",
             f"-DSIMDRIVE_BENCH_XXHASH={xxhash or ''}", f"-DSIMDRIVE_BENCH_PEERS={crates or ''}"])  # fmt: skip
        run(["cmake", "--build", str(build), "--target", "hash_bench", "--parallel"], timeout_s=900)
        return build / "hash_bench"

    def python_packages(self) -> Path | None:
        """A folder to append to `sys.path`."""
        return self._try("Python packages " + ", ".join(PACKAGES), self._python_packages)

    def _xxhash_source(self) -> Path:
        target = self.folder / f"xxhash-{XXHASH_PACKAGE}"
        source = target / "deps" / "xxhash"
        if not (source / "xxh_x86dispatch.c").exists():
            shutil.rmtree(target, ignore_errors=True)
            run([sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                 "--no-binary", ":all:", "--dest", str(self.folder), f"xxhash=={XXHASH_PACKAGE}"])  # fmt: skip
            with tarfile.open(self.folder / f"xxhash-{XXHASH_PACKAGE}.tar.gz") as archive:
                archive.extractall(self.folder, filter="data")
        return source

    def _crates(self) -> Path:
        crate = self.folder / "peers"
        shutil.copytree(NATIVE / "peers", crate, dirs_exist_ok=True)
        run(["cargo", "build", "--quiet", "--release", "--manifest-path", str(crate / "Cargo.toml")], timeout_s=900)
        return crate / "target" / "release" / "libsimdrive_hash_peers.a"

    def _python_packages(self) -> Path:
        target = self.folder / f"packages-{sys.implementation.cache_tag}"
        done = target / ".complete"
        wanted = "\n".join(PACKAGES)
        if not done.exists() or done.read_text(encoding="ascii") != wanted:
            shutil.rmtree(target, ignore_errors=True)
            run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
                 "--target", str(target), *PACKAGES])  # fmt: skip
            done.write_text(wanted, encoding="ascii")
        return target


def run(argv: Sequence[str], timeout_s: float = 300) -> None:
    environment = {**os.environ, "CARGO_TERM_COLOR": "never"}
    subprocess.run(argv, check=True, timeout=timeout_s, capture_output=True, text=True, env=environment)
