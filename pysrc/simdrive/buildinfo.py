"""What this build of simdrive was made from: :func:`build_info`, for reports of errors and of measurements."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from simdrive._core import build_facts

__all__ = ["BuildInfo", "build_info"]


@dataclass(frozen=True)
class BuildInfo:
    """With what, from what and for what the extension module was built. ``str()`` of it is meant for people.

    Attributes:
        version: of simdrive.
        compiler: its name and version, such as ``"GCC 12.2.0"``, ``"Clang 19.1.7"`` or ``"MSVC 19.40"``.
        standard_library: that of C++, such as ``"libstdc++ 12"``.
        build_type: ``"release"``, or ``"debug"`` where assertions are compiled in.
        system: ``"Linux"``, ``"macOS"``, ``"Windows"``, another, or ``"unknown"``.
        architecture: the processor it was compiled for: ``"x86_64"``, ``"aarch64"``, another, or ``"unknown"``.
        boost: version of the Boost headers.
        xsimd: version of the xsimd headers.
        compiled_backends: the implementations of the hashes in this build, the best first.
        backends: those of them that this CPU can run; ``simdrive.hashing.backends()``.
        backend: the one in use; ``simdrive.hashing.backend()``.
        tls: name and version of the TLS library; ``None``: this build has no TLS.
        dialects: the frame dialects, as ``Options.wire`` and ``ServerInfo.dialect`` name them.
        free_threaded: whether a free-threaded Python leaves the GIL off when it imports simdrive.
    """

    version: str
    compiler: str
    standard_library: str
    build_type: str
    system: str
    architecture: str
    boost: str
    xsimd: str
    compiled_backends: tuple[str, ...]
    backends: tuple[str, ...]
    backend: str
    tls: str | None
    dialects: tuple[str, ...]
    free_threaded: bool

    def to_dict(self) -> dict[str, Any]:
        """The same as a dict."""
        return asdict(self)

    def __str__(self) -> str:
        absent = [name for name in self.compiled_backends if name not in self.backends]
        hashes = f"{', '.join(self.backends)} (in use: {self.backend}"
        hashes += f"; not on this CPU: {', '.join(absent)})" if absent else ")"
        lines = {
            "compiler": f"{self.compiler}, {self.standard_library}, {self.build_type} build",
            "built for": f"{self.system} {self.architecture}",
            "headers": f"Boost {self.boost}, xsimd {self.xsimd}",
            "hash backends": hashes,
            "TLS": self.tls or "none",
            "dialects": ", ".join(self.dialects),
            "free threading": "GIL stays off" if self.free_threaded else "needs the GIL",
        }
        return "\n".join([f"simdrive {self.version}", *(f"  {name + ':':<16}{text}" for name, text in lines.items())])


def build_info() -> BuildInfo:
    """What this build was made from; only ``backend`` can change while a program runs."""
    return BuildInfo(**build_facts())
