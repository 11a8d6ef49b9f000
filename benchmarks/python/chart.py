"""One picture of a run: p50 of each operation and peer, logarithmic. SVG by hand, other formats by matplotlib."""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

from peers import PEERS
from report import median
from sections import Results

COLOURS = ("#9e9e9e", "#f2a65a", "#c8553d", "#1f6feb", "#2a9d8f", "#8ac7bf", "#3d405b")
BAR, GAP, LEFT, WIDTH, TOP = 11, 14, 190, 640, 64

Group = tuple[str, list[tuple[str, float]]]


def groups(results: Results, names: Sequence[str] = tuple(PEERS)) -> list[Group]:
    """(operation, [(peer, p50 in microseconds)]) for every operation with a p50. `names`: all peers."""
    found: list[Group] = []
    for section in ("latency", "batch", "large"):
        for metric in results.rounds.get(section, {}):
            bars = [(name, median(results, section, metric, name, "p50_us")) for name in names]
            found.append((metric, [(name, value) for name, value in bars if value is not None]))
    return found


def label(us: float) -> str:
    if us >= 1e6:
        return f"{us / 1e6:.3g} s"
    if us < 1:
        return f"{us * 1e3:.3g} ns"
    return f"{us / 1e3:.3g} ms" if us >= 1e3 else f"{us:.3g} us"


def svg(data: list[Group], title: str, names: Sequence[str]) -> str:
    values = [value for _, bars in data for _, value in bars]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    scale = WIDTH / max(1, high - low)
    height = TOP + sum(len(bars) * BAR + GAP for _, bars in data) + 30
    width = LEFT + WIDTH + 90
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif">',
        "<style>text { font-size: 10px }</style>",
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="10" y="20" style="font-size: 14px">{escape(title)}</text>',
    ]
    for i, name in enumerate(names):
        out.append(f'<rect x="{10 + i * 120}" y="32" width="10" height="10" fill="{COLOURS[i]}"/>')
        out.append(f'<text x="{24 + i * 120}" y="41">{escape(name)}</text>')
    for power in range(low, high + 1):
        x = LEFT + (power - low) * scale
        out.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 8}" y2="{height - 24}" stroke="#dddddd"/>')
        out.append(f'<text x="{x:.1f}" y="{height - 10}" text-anchor="middle">{label(10.0**power)}</text>')
    y = TOP
    for metric, bars in data:
        middle = y + len(bars) * BAR / 2 + 3
        out.append(f'<text x="{LEFT - 8}" y="{middle:.1f}" text-anchor="end">{escape(metric)}</text>')
        for name, value in bars:
            length = max(1.0, (math.log10(value) - low) * scale)
            colour = COLOURS[names.index(name)]
            out.append(f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR - 1}" fill="{colour}"/>')
            out.append(
                f'<text x="{LEFT + length + 4:.1f}" y="{y + BAR - 2}" style="font-size: 8px">{label(value)}</text>'
            )
            y += BAR
        y += GAP
    return "\n".join([*out, "</svg>", ""])


def with_matplotlib(data: list[Group], title: str, names: Sequence[str], path: Path) -> None:
    figure = importlib.import_module("matplotlib.figure").Figure(
        figsize=(10, 1 + 0.16 * sum(len(bars) + 1 for _, bars in data))
    )
    axes = figure.subplots()
    places, metrics, y = [], [], 0.0
    for metric, bars in data:
        for i, (name, value) in enumerate(bars):
            axes.barh(y + i, value, color=COLOURS[names.index(name)])
        places.append(y + (len(bars) - 1) / 2)
        metrics.append(metric)
        y += len(bars) + 1
    axes.set_yticks(places, metrics)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("p50, microseconds")
    axes.set_title(title)
    for i, name in enumerate(names):
        axes.barh(0, 0, color=COLOURS[i], label=name)
    axes.legend(loc="lower right")
    figure.tight_layout()
    figure.savefig(path)


def write(results: Results, path: Path, title: str) -> Path | None:
    """Draws a run of round_trip: see `draw`."""
    return draw(groups(results), path, title, list(PEERS))


def draw(data: list[Group], path: Path, title: str, names: Sequence[str]) -> Path | None:
    """Writes the chart; without matplotlib always an SVG. `names`: all peers. None: there was nothing to draw."""
    data = [group for group in data if group[1]]
    if not data:
        return None
    if path.suffix != ".svg":
        try:
            with_matplotlib(data, title, names, path)
            return path
        except ImportError:
            path = path.with_suffix(".svg")
    path.write_text(svg(data, title, names), encoding="ascii")
    return path
