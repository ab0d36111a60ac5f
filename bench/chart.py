"""The chart of a run: horizontal bars, one panel for each figure, as one SVG."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any, Final

from bench.adapters import OURS, SERVERS
from bench.report import number

WIDTH: Final = 760
NAME_WIDTH: Final = 230
VALUE_WIDTH: Final = 120
BAR: Final = 18
ROW: Final = 26
PANEL_HEAD: Final = 44
MARGIN: Final = 16

SVG: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"'
    ' height="{height}" role="img">'
)
STYLE: Final = """\
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 14px }
.back { fill: #ffffff }
.bar { fill: #9aa5b1 }
.ours { fill: #0b6bcb }
.range { stroke: #1f2328; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .back { fill: #0d1117 }
  .bar { fill: #57606a }
  .ours { fill: #4c9aff }
  .range { stroke: #e6edf3 }
}"""


@dataclass(frozen=True, slots=True)
class Panel:
    """A figure of a scenario; less is better in each."""

    scenario: str
    figure: str
    title: str


PANELS: Final = (
    Panel("burst", "cpu_us_per_delivery", "Server CPU per delivered event, burst (µs)"),
    Panel("full_path", "cpu_us_per_delivery", "CPU per event, one watcher per task (µs)"),
    Panel("steady", "latency_p99_ms", "p99 latency, steady rate (ms)"),
    Panel("idle", "rss_kib_per_connection", "Memory per idle connection (KiB)"),
)


def chart(results: Mapping[str, Any]) -> str:
    """The SVG document."""
    parts: list[str] = []
    y = MARGIN
    for panel in PANELS:
        summary = results["scenarios"].get(panel.scenario, {}).get("summary", {})
        rows = {
            name: figures[panel.figure]
            for name, figures in summary.items()
            if panel.figure in figures
        }
        if rows:
            parts += drawn(panel.title, rows, y)
            y += PANEL_HEAD + ROW * len(rows)
    height = y + MARGIN
    return "\n".join(
        [
            SVG.format(width=WIDTH, height=height),
            f"<style>{STYLE}</style>",
            f'<rect class="back" width="{WIDTH}" height="{height}"/>',
            *parts,
            "</svg>\n",
        ]
    )


def drawn(title: str, rows: Mapping[str, Mapping[str, float]], y: float) -> Iterator[str]:
    """One panel: the medians as bars, least to most as a line."""
    scale = (WIDTH - NAME_WIDTH - VALUE_WIDTH - 2 * MARGIN) / max(
        value["max"] for value in rows.values()
    )
    left = MARGIN + NAME_WIDTH
    yield f'<text class="title" x="{MARGIN}" y="{y + 20}">{escape(title)}</text>'
    y += 32
    for name, value in sorted(rows.items(), key=lambda row: row[1]["median"]):
        kind = "bar ours" if name.startswith(OURS) else "bar"
        middle = y + BAR / 2
        end, least, most = (left + scale * value[each] for each in ("median", "min", "max"))
        label = escape(SERVERS[name].title)
        yield f'<text x="{left - 8}" y="{middle + 4.5}" text-anchor="end">{label}</text>'
        yield (
            f'<rect class="{kind}" x="{left}" y="{y}" width="{end - left:.1f}" height="{BAR}"'
            ' rx="2"/>'
        )
        yield f'<path class="range" d="M{least:.1f} {middle}H{most:.1f}"/>'
        yield f'<text x="{most + 8:.1f}" y="{middle + 4.5}">{number(value["median"])}</text>'
        y += ROW
