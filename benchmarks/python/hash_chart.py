"""One picture of a hash benchmark: gigabytes a second over the size of the input, both logarithmic."""

from __future__ import annotations

import math
from html import escape
from pathlib import Path

from hash_report import Results, size_name

# Title and group of each panel.
PANELS = (
    ("XXH3-64 from C++", "xxh3"),
    ("CRC-32 from C++", "crc32"),
    ("XXH3-64 from Python", "py_xxh3"),
    ("CRC-32 from Python", "py_crc32"),
)
WIDTH, HEIGHT, LEGEND, TOP, LEFT, LABEL_WIDTH = 470, 330, 165, 70, 56, 34
BLUE, GREEN, ORANGE, RED, PURPLE, GREY = "#1f6feb", "#2a9d8f", "#e08e2b", "#c8553d", "#7b4fa3", "#9e9e9e"
COLOURS = {
    "simdrive": BLUE, "simdrive_avx512": BLUE, "simdrive_avx2": GREEN, "simdrive_sse2": ORANGE,
    "simdrive_neon": GREEN, "simdrive_vpclmul512": BLUE, "simdrive_vpclmul256": GREEN,
    "simdrive_pclmul": ORANGE, "simdrive_pmull": BLUE, "simdrive_crc": GREEN,
    "simdrive_scalar": GREY,
    "official_avx512": BLUE, "official_avx2": GREEN, "official_sse2": ORANGE, "official_neon": GREEN,
    "official_dispatch": PURPLE, "xxhash": ORANGE, "isal": RED, "zlib_ng": PURPLE, "crc32fast": "#444444",
    "zlib": "#b08968",
}  # fmt: skip
CEILINGS = {"read": ("memory", "read"), "memcpy": ("copy_crc32", "memcpy")}
DASHES = {"read": "2 3", "memcpy": "1 5"}

Points = list[tuple[int, float]]


def lines_of(results: Results, group: str) -> list[tuple[str, Points]]:
    """(name, points), ours first, then the others, then what memory allows."""
    wanted = [(name, group, name) for name in sorted(results.samples.get(group, {}), key=order)]
    if wanted and not group.startswith("py_"):
        wanted += [(label, *where) for label, where in CEILINGS.items()]
    found: list[tuple[str, Points]] = []
    for label, source, name in wanted:
        sizes = sorted(results.samples.get(source, {}).get(name, {}))
        points = [(size, rate) for size in sizes if (rate := results.gb_s(source, name, size)) is not None]
        if points:
            found.append((label, points))
    return found


def order(name: str) -> tuple[int, int, str]:
    known = list(COLOURS)
    return (0 if name.startswith("simdrive") else 1, known.index(name) if name in known else len(known), name)


class Panel:
    def __init__(self, x: float, y: float, lines: list[tuple[str, Points]]) -> None:
        self.x, self.y, self.lines = x, y, lines
        rates = [rate for _, points in lines for _, rate in points]
        sizes = sorted({size for _, points in lines for size, _ in points})
        self.sizes = sizes
        steps = [step * 10.0**power for power in range(-3, 5) for step in (1, 2, 5)]
        below, above = [s for s in steps if s <= min(rates)], [s for s in steps if s >= max(rates)]
        self.rates = [s for s in steps if below[-1] <= s <= above[0]]
        self.low, self.high = math.log10(self.rates[0]), math.log10(self.rates[-1])
        self.first, self.last = math.log2(sizes[0]), math.log2(sizes[-1])

    def at(self, size: int, rate: float) -> tuple[float, float]:
        across = (math.log2(size) - self.first) / max(1.0, self.last - self.first)
        up = (math.log10(rate) - self.low) / (self.high - self.low)
        return self.x + across * WIDTH, self.y + HEIGHT - up * HEIGHT

    def svg(self, title: str) -> list[str]:
        out = [f'<text x="{self.x}" y="{self.y - 12}" class="title">{escape(title)}</text>', *self._grid()]
        for i, (name, points) in enumerate(self.lines):
            out += self._line(name, points, self.y + 10 + 17 * i)
        return out

    def _grid(self) -> list[str]:
        out = []
        for rate in self.rates:
            _, y = self.at(self.sizes[0], rate)
            shade = "#c8c8c8" if math.log10(rate).is_integer() else "#ececec"
            out.append(f'<line x1="{self.x}" x2="{self.x + WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="{shade}"/>')
            out.append(f'<text x="{self.x - 6}" y="{y + 4:.1f}" text-anchor="end">{rate:g}</text>')
        labelled = -math.inf
        for size in self.sizes:
            x, _ = self.at(size, self.rates[0])
            bottom = self.y + HEIGHT
            out.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{self.y}" y2="{bottom}" stroke="#ececec"/>')
            if x - labelled >= LABEL_WIDTH:
                labelled = x
                out.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{size_name(size)}</text>')
        return out

    def _line(self, name: str, points: Points, legend_y: float) -> list[str]:
        ours = name.startswith("simdrive")
        colour = COLOURS.get(name, "#555555")
        dash = "" if ours else f' stroke-dasharray="{DASHES.get(name, "7 3")}"'
        style = f'stroke="{colour}" stroke-width="{2.4 if ours else 1.5}"{dash} fill="none"'
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (self.at(size, rate) for size, rate in points))
        x = self.x + WIDTH + 12
        return [
            f'<polyline points="{path}" {style}/>',
            f'<line x1="{x}" x2="{x + 28}" y1="{legend_y}" y2="{legend_y}" {style}/>',
            f'<text x="{x + 34}" y="{legend_y + 4}">{escape(name)}</text>',
        ]


def svg(results: Results, title: str) -> str:
    drawn = [(name, lines) for name, group in PANELS if (lines := lines_of(results, group))]
    step_x, step_y = LEFT + WIDTH + LEGEND + 16, HEIGHT + 84
    width, height = 2 * step_x, TOP + (len(drawn) + 1) // 2 * step_y
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif">',
        "<style>text { font-size: 11px } .title { font-size: 14px; font-weight: bold }</style>",
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="16" y="26" class="title">GB/s over the size of the input. {escape(title)}</text>',
    ]
    for i, (name, lines) in enumerate(drawn):
        out += Panel(LEFT + i % 2 * step_x, TOP + i // 2 * step_y, lines).svg(name)
    return "\n".join([*out, "</svg>", ""])


def write(results: Results, path: Path, title: str) -> None:
    path.write_text(svg(results, title), encoding="ascii")
