"""Puts the figures of a run into the page about performance: `python -m bench.page RESULTS`."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from bench.adapters import OURS, SERVERS
from bench.chart import chart
from bench.processes import ROOT
from bench.report import UNITS, number, ranged

PAGE: Final = ROOT / "docs" / "explanation" / "performance.md"
CHART: Final = ROOT / "docs" / "images" / "performance.svg"
SECTION: Final = re.compile(r"<!-- figures of (\S+) -->\n.*?<!-- end of figures -->\n", re.DOTALL)


def main() -> None:
    """Write the tables and the chart."""
    options = argparse.ArgumentParser(prog="python -m bench.page", description=__doc__)
    options.add_argument("results", type=Path, help="a file of bench/results")
    file: Path = options.parse_args().results.resolve()
    results = orjson.loads(file.read_bytes())
    text = PAGE.read_text(encoding="utf-8")
    name = str(file.relative_to(ROOT))
    PAGE.write_text(SECTION.sub(lambda _: section(name, results), text, count=1), encoding="utf-8")
    CHART.write_text(chart(results), encoding="utf-8")


def section(name: str, results: Mapping[str, Any]) -> str:
    """What stands between the marks, which are part of it."""
    lines = [f"<!-- figures of {name} -->", *tables(results), "<!-- end of figures -->"]
    return "\n".join(lines) + "\n"


def tables(results: Mapping[str, Any]) -> Iterator[str]:
    """The machine, then a table for each scenario."""
    machine, turns = results["machine"], results["repeats"]
    yield (
        f"Measured on {results['started'][:10]}: {machine['cores']} cores of {machine['cpu']},"
        f" {machine['memory_gib']} GiB, Linux {machine['kernel']}, load {machine['load_1m']:.1f} at"
        f" the start. {'One turn' if turns == 1 else f'Medians of {turns} turns (least–most)'}."
        f" {sized(results['sizes'])}"
    )
    if machine["load_1m"] > machine["cores"] / 2:
        yield ""
        yield "**The machine was busy with other work: look at the ratios, not at the figures.**"
    for scenario in results["scenarios"].values():
        yield ""
        yield f"### {scenario['title']}"
        yield ""
        yield from table(scenario)
        for failure in scenario["failures"]:
            yield ""
            yield f"Not measured: {failure}."
    yield ""
    versions = {
        f"{package} {version}"
        for packages in results["versions"].values()
        for package, version in packages.items()
    }
    yield f"Versions: {', '.join(sorted(versions))}."
    for server, reason in results["missing"].items():
        yield f"Missing: {server} ({reason})."


def sized(sizes: Mapping[str, float]) -> str:
    """How large it was."""
    return (
        f"{sizes['watchers']:,} watchers, {sizes['events']} events in a burst,"
        f" {sizes['rate_hz']:g} events a second for {sizes['duration_s']:g} s,"
        f" {sizes['connections']:,} idle connections, {sizes['returning']:,} that come back,"
        f" {sizes['stalled']} stalled."
    )


def table(scenario: Mapping[str, Any]) -> Iterator[str]:
    """A row for each server, and taskpush's part of each figure that is compared."""
    figures = scenario["figures"]
    compared = len(scenario["summary"]) > 1
    heads = ["server", *(UNITS.get(figure, figure) for figure in figures)]
    if compared:
        heads.append(f"{OURS} ÷ it")
    yield f"| {' | '.join(heads)} |"
    yield f"|---{'|---:' * (len(heads) - 1)}|"
    for name, summary in scenario["summary"].items():
        cells = [SERVERS[name].title, *(ranged(summary.get(figure)) for figure in figures)]
        if compared:
            ratio = scenario["ratios"].get(name, {}).get(figures[0])
            cells.append("" if ratio is None else number(ratio["median"]))
        missed = "" if summary.get("exact", True) else " (not everything arrived)"
        yield f"| {' | '.join(cells)}{missed} |"


if __name__ == "__main__":
    main()
