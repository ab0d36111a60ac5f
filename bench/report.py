"""The results as tables for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bench.adapters import OURS, SERVERS

UNITS: Final = {
    "cpu_us_per_delivery": "CPU µs per delivery",
    "deliveries_per_s": "deliveries/s",
    "all_have_it_ms": "all have it, ms",
    "calm_latency_p99_ms": "others' p99 before, ms",
    "complete_s": "complete after s",
    "connects_per_s": "connects/s",
    "cpu_us_per_create": "CPU µs per create",
    "creates_per_s": "creates/s",
    "healthy_p99_ms": "others' p99 ms",
    "healthy_p99_ratio": "others' p99 ÷ without",
    "idle_cpu_percent": "CPU % while idle",
    "live_latency_p99_ms": "others' p99 ms",
    "rss_kib_per_connection": "KiB per connection",
    "stalled_closed": "of them closed",
    "stalled_drained": "of them drained later",
    "stalled_mib": "MiB for the stalled",
    "latency_p50_ms": "p50 ms",
    "latency_p99_ms": "p99 ms",
}


def show(results: Mapping[str, Any], console: Console) -> None:
    """All scenarios, one table each."""
    machine = results["machine"]
    console.print(
        f"{machine['cores']} × {machine['cpu']}, {machine['memory_gib']} GiB, Linux"
        f" {machine['kernel']}, load {machine['load_1m']:.2f} at the start;"
        f" medians of {results['repeats']} (least–most)"
    )
    for scenario in results["scenarios"].values():
        console.print(table(scenario))
        for failure in scenario["failures"]:
            console.print(f"failed: {failure}")
    for name, reason in results["missing"].items():
        console.print(f"missing: {name}: {reason}")


def table(scenario: Mapping[str, Any]) -> Table:
    """One scenario: a row for each server."""
    shown = Table(title=scenario["title"], title_justify="left")
    shown.add_column("server")
    for figure in scenario["figures"]:
        shown.add_column(UNITS.get(figure, figure), justify="right")
    first = scenario["figures"][0]
    shown.add_column(f"{OURS} ÷ it", justify="right")
    shown.add_column("generator, cores", justify="right")
    shown.add_column("all arrived")
    for name, summary in scenario["summary"].items():
        ratio = scenario["ratios"].get(name, {}).get(first)
        exact = summary.get("exact")
        shown.add_row(
            SERVERS[name].title,
            *(ranged(summary.get(figure)) for figure in scenario["figures"]),
            ranged(ratio),
            ranged(summary.get("generator_cores")),
            "" if exact is None else "yes" if exact else "NO",
        )
    return shown


def ranged(value: Mapping[str, float] | None) -> str:
    """A median with its range, unless that is nothing; nothing for None."""
    if value is None:
        return ""
    if value["min"] == value["max"]:
        return number(value["median"])
    return f"{number(value['median'])} ({number(value['min'])}–{number(value['max'])})"


def number(value: float) -> str:
    """Three digits that count."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"
