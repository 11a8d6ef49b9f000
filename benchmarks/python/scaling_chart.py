"""The picture of a run of async_round_trip.py: calls a second and CPU per call over the calls in flight, as SVG."""

from __future__ import annotations

import math
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

from async_sections import INFLIGHT
from report import median
from sections import Results

SIZE = 1024
PEERS = {
    "simdrive@uvloop": "#1f6feb",
    "simdrive@asyncio": "#8ab4f8",
    "simdrive+serve@uvloop": "#7b2cbf",
    "picows@uvloop": "#2a9d8f",
    "websockets@uvloop": "#8ac7bf",
    "redis@uvloop": "#c8553d",
    "glide@uvloop": "#f2a65a",
    "native+nd": "#3d405b",
    "real+nd2": "#9e9e9e",
}
WIDTH, HEIGHT, LEFT, TOP, GAP = 360, 300, 60, 60, 70

Line = list[tuple[int, float]]


def lines(results: Results, field: str) -> dict[str, Line]:
    found: dict[str, Line] = {}
    for name in PEERS:
        points = [(n, median(results, "small", f"read_{SIZE}_x{n}", name, field)) for n in INFLIGHT]
        line = [(n, value) for n, value in points if value is not None]
        if line:
            found[name] = line
    return found


def panel(title: str, data: dict[str, Line], left: int, label: Callable[[float], str]) -> list[str]:
    values = [value for line in data.values() for _, value in line]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))

    def x(inflight: int) -> float:
        return left + math.log2(inflight) / math.log2(INFLIGHT[-1]) * WIDTH

    def y(value: float) -> float:
        return TOP + HEIGHT - (math.log10(value) - low) / max(1, high - low) * HEIGHT

    out = [f'<text x="{left}" y="{TOP - 14}" style="font-size: 12px">{escape(title)}</text>']
    for power in range(low, high + 1):
        at = y(10.0**power)
        out.append(f'<line x1="{left}" x2="{left + WIDTH}" y1="{at:.1f}" y2="{at:.1f}" stroke="#dddddd"/>')
        out.append(f'<text x="{left - 6}" y="{at + 3:.1f}" text-anchor="end">{label(10.0**power)}</text>')
    for n in INFLIGHT:
        out.append(f'<line x1="{x(n):.1f}" x2="{x(n):.1f}" y1="{TOP}" y2="{TOP + HEIGHT}" stroke="#eeeeee"/>')
        out.append(f'<text x="{x(n):.1f}" y="{TOP + HEIGHT + 14}" text-anchor="middle">{n}</text>')
    for name, line in data.items():
        points = " ".join(f"{x(n):.1f},{y(value):.1f}" for n, value in line)
        wide = 2.5 if name.startswith("simdrive") else 1.5
        out.append(f'<polyline points="{points}" fill="none" stroke="{PEERS[name]}" stroke-width="{wide}"/>')
        out += [f'<circle cx="{x(n):.1f}" cy="{y(value):.1f}" r="2.5" fill="{PEERS[name]}"/>' for n, value in line]
    return out


def thousands(value: float) -> str:
    return f"{value / 1e3:g} k" if value >= 1e3 else f"{value:g}"


def write(results: Results, path: Path, facts: dict[str, Any]) -> Path | None:
    """Writes the chart. None: there was nothing to draw."""
    rates, costs = lines(results, "ops_s"), lines(results, "cpu_us")
    if not rates:
        return None
    width = LEFT + 2 * WIDTH + GAP + 20
    height = TOP + HEIGHT + 74
    title = f"read 1 KiB over the calls in flight, {facts['rounds']} rounds, pin {facts['pin']}"
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif">',
        "<style>text { font-size: 10px }</style>",
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="10" y="20" style="font-size: 14px">{escape(title)}</text>',
        *panel("calls a second", rates, LEFT, thousands),
        *panel("client CPU per call, microseconds", costs, LEFT + WIDTH + GAP, lambda value: f"{value:g}"),
    ]
    for i, name in enumerate(rates):
        at = 20 + i % 4 * 200, TOP + HEIGHT + 32 + i // 4 * 16
        out.append(f'<rect x="{at[0]}" y="{at[1] - 9}" width="10" height="10" fill="{PEERS[name]}"/>')
        out.append(f'<text x="{at[0] + 14}" y="{at[1]}">{escape(name)}</text>')
    path.write_text("\n".join([*out, "</svg>", ""]), encoding="ascii")
    return path
