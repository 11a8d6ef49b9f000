"""Medians, ratios, the gates, and the text and JSON forms of a hash benchmark's run."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from report import Gate

Samples = dict[str, dict[str, dict[int, list[float]]]]  # group, implementation, size: nanoseconds a call

TITLES = {
    "xxh3": "XXH3-64, C++, GB/s",
    "xxh3_shifted": "XXH3-64, C++, 48 bytes after the start of a cache line, GB/s",
    "xxh3_chain": "XXH3-64, C++, each input found by the hash before, ns",
    "rows": "XXH3-64, C++, 1000 keys one after the other, ns a key",
    "many": "XXH3-64, C++, 1000 keys through pointers, ns a key",
    "crc32": "CRC-32, C++, GB/s",
    "crc32_shifted": "CRC-32, C++, 48 bytes after the start of a cache line, GB/s",
    "copy_crc32": "copy and CRC-32, C++, GB/s",
    "memory": "reading alone, C++, GB/s",
    "py_xxh3": "XXH3-64, Python, time of a call",
    "py_crc32": "CRC-32, Python, time of a call",
    "py_many": "XXH3-64, Python, 1000 keys in a call or a loop, ns a key",
}
KEYS = 1000
PER_KEY = ("rows", "many", "py_many")
TIMES = ("py_xxh3", "py_crc32")
RATES = ("xxh3", "xxh3_shifted", "crc32", "crc32_shifted", "copy_crc32", "memory")
OTHER_CRC32 = ("isal", "zlib_ng", "crc32fast")
KIB, MIB = 1 << 10, 1 << 20


def size_name(size: int) -> str:
    if size >= MIB:
        return f"{size // MIB} MiB"
    return f"{size // KIB} KiB" if size >= KIB else f"{size} B"


class Results:
    def __init__(self, samples: Samples, missing: dict[str, str], backend: str) -> None:
        self.samples = samples
        self.missing = missing
        self.backend = backend

    def ns(self, group: str, name: str, size: int) -> float | None:
        values = self.samples.get(group, {}).get(name, {}).get(size)
        return statistics.median(values) if values else None

    def faster(self, group: str, name: str, other: str, size: int) -> float | None:
        """How many times faster than the other."""
        ours, theirs = self.ns(group, name, size), self.ns(group, other, size)
        return theirs / ours if ours and theirs else None

    def gb_s(self, group: str, name: str, size: int) -> float | None:
        ns = self.ns(group, name, size)
        return size / ns if ns else None

    def best(self, group: str, names: Iterable[str], size: int) -> str | None:
        times = {name: ns for name in names if (ns := self.ns(group, name, size))}
        return min(times, key=lambda name: times[name]) if times else None


class Gates:
    """The figures that issue 4 asks for, from one run."""

    def __init__(self, results: Results) -> None:
        self.results = results
        self.all: list[Gate] = []
        self._xxh3()
        self._crc32()
        self._fused()
        self._python()

    def _add(self, name: str, figure: float | None, bound: float, *, at_least: bool = True) -> None:
        self.all.append(Gate(name, figure, bound, at_least, "x", "NOT MEASURED"))

    def _xxh3(self) -> None:
        r = self.results
        for isa, bound in (("avx512", 0.97), ("avx2", 0.97), ("sse2", 0.95), ("neon", 0.97)):
            if f"simdrive_{isa}" not in r.samples.get("xxh3", {}):
                continue
            for size in (KIB, 64 * KIB, MIB, 256 * MIB):
                speed = r.faster("xxh3", f"simdrive_{isa}", f"official_{isa}", size)
                self._add(f"XXH3 {size_name(size)}: speed, of official {isa}", speed, bound)
        for group, ours, text in (("xxh3", f"simdrive_{r.backend}", ""), ("xxh3_chain", "simdrive", ", one by one")):
            for size in (8, 16, 32, 64):
                official = f"official_{r.backend}"
                longer = r.faster(group, official, ours, size)
                self._add(f"XXH3 {size_name(size)}{text}: time, of official {r.backend}", longer, 1.1, at_least=False)

    def _crc32(self) -> None:
        r = self.results
        ours = [name for name in r.samples.get("crc32", {}) if name.startswith("simdrive_")]
        for size in (64 * KIB, MIB, 16 * MIB, 256 * MIB):
            best, other = r.best("crc32", ours, size), r.best("crc32", OTHER_CRC32, size)
            speed = r.faster("crc32", best, other, size) if best and other else None
            self._add(f"CRC-32 {size_name(size)}: speed, of the best other ({other})", speed, 0.97)
            if "simdrive_vpclmul512" in ours:
                speed = r.faster("crc32", "simdrive_vpclmul512", other, size) if other else None
                self._add(f"CRC-32 {size_name(size)}: vpclmul512, of the best other ({other})", speed, 1.2)

    def _fused(self) -> None:
        r = self.results
        names = [name for name in r.samples.get("copy_crc32", {}) if name.startswith("simdrive_")]
        for size in (KIB, 64 * KIB, MIB, 16 * MIB, 256 * MIB):
            best = r.best("copy_crc32", names, size)
            speed = None
            if best:
                speed = r.faster("copy_crc32", best, best.replace("simdrive_", "memcpy_then_"), size)
            self._add(f"copy_crc32 {size_name(size)}: speed, of memcpy and then crc32", speed, 1.0)

    def _python(self) -> None:
        r = self.results
        for size in (16, 32, 64):
            speed = r.faster("py_xxh3", "simdrive", "xxhash", size)
            self._add(f"Python xxh3_64 {size_name(size)}: times faster than the xxhash package", speed, 1.3)
        for name, text in (("simdrive_list", "list"), ("simdrive_array", "array")):
            speed = r.faster("py_many", name, "xxhash_loop", 16)
            self._add(f"Python xxh3_64_many, 1000 x 16 B, {text}: times faster than a loop", speed, 4.0)


def table(results: Results) -> list[str]:
    lines: list[str] = []
    for group, title in TITLES.items():
        names = results.samples.get(group)
        if not names:
            continue
        sizes = sorted({size for by_size in names.values() for size in by_size})
        lines += ["", title]
        lines.append(" " * 26 + "".join(f"{size_name(size):>9}" for size in sizes))
        for name in sorted(names):
            lines.append(f"  {name:<24}" + "".join(f"{_cell(results, group, name, size):>9}" for size in sizes))
    return lines


def _cell(results: Results, group: str, name: str, size: int) -> str:
    ns = results.ns(group, name, size)
    if ns is None:
        return "-"
    if group in TIMES:
        unit, scale = ("ns", 1.0) if ns < 1e3 else ("us", 1e3) if ns < 1e6 else ("ms", 1e6)
        return f"{ns / scale:.3g} {unit}"
    value = size / ns if group in RATES else ns / KEYS if group in PER_KEY else ns
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


def text(results: Results, facts: dict[str, Any]) -> str:
    how = f"{facts['repetitions']} repetitions in random order (C++), {facts['rounds']} rounds in turn (Python)"
    where = f"one core ({facts['core']}), {facts['cpu']}, load {facts['load']}"
    lines = [
        f"simdrive {facts['simdrive']}, backend {results.backend}: medians of {how}",
        where,
        *table(results),
        "",
        "gates",
        *(gate.line() for gate in Gates(results).all),
    ]
    if results.missing:
        lines += ["", "missing", *(f"  {name}: {why}" for name, why in results.missing.items())]
    return "\n".join(lines)


def summary(values: Sequence[float]) -> dict[str, float]:
    """Of one figure's samples, in nanoseconds."""
    figures = {"median": statistics.median(values), "least": min(values), "most": max(values)}
    return {name: float(f"{value:.5g}") for name, value in figures.items()}


def document(results: Results, facts: dict[str, Any]) -> dict[str, Any]:
    return {
        "facts": facts,
        "gates": [{**dataclasses.asdict(gate), "status": gate.status} for gate in Gates(results).all],
        "ns": {
            group: {name: {size: summary(values) for size, values in sizes.items()} for name, sizes in names.items()}
            for group, names in results.samples.items()
        },
        "missing": results.missing,
    }
