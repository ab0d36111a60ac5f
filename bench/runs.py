"""A run: every scenario on every server, the servers taking turns, several times over.

What happens beside the measurement happens to all of them: a ratio is taken within each turn, and
its median is what counts.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench import machine
from bench.adapters import OURS, SERVERS
from bench.adapters.base import Unavailable
from bench.load import LoadFailed
from bench.processes import NotStarted
from bench.scenarios.base import GENERATOR_BUSY, Measurement, Scenario, Sizes

Say = Callable[[str], None]

TRIES: Final = 2
"""A server that fails so often in a scenario sits out its other turns: each may cost minutes."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be run."""

    scenarios: Sequence[Scenario]
    servers: Sequence[str]
    sizes: Sizes
    repeats: int


def run(plan: Plan, say: Say) -> Iterator[dict[str, Any]]:
    """Run it all; the results so far, as they are written as JSON, after each scenario."""
    versions, missing = available(plan.servers)
    for name, reason in missing.items():
        say(f"missing: {name}: {reason}")
    results: dict[str, Any] = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine.describe(),
        "versions": versions,
        "missing": missing,
        "sizes": asdict(plan.sizes),
        "repeats": plan.repeats,
        "scenarios": {},
    }
    for scenario in plan.scenarios:
        names = [name for name in versions if name in scenario.servers]
        turns, failures = repeated(scenario, names, plan, say)
        results["scenarios"][scenario.name] = {
            "title": scenario.title,
            "figures": list(scenario.figures),
            "turns": turns,
            "failures": failures,
            "summary": {name: summary(of(turns, name)) for name in names if of(turns, name)},
            "ratios": {
                name: ratios(turns, name, scenario.figures) for name in names if name != OURS
            },
        }
        yield results


def available(names: Iterable[str]) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """The versions of the servers that are there, and what is missing for the others."""
    versions: dict[str, dict[str, str]] = {}
    missing: dict[str, str] = {}
    for name in names:
        try:
            versions[name] = SERVERS[name].versions()
        except Unavailable as error:
            missing[name] = str(error)
    return versions, missing


def repeated(
    scenario: Scenario, names: Sequence[str], plan: Plan, say: Say
) -> tuple[list[dict[str, Measurement]], list[str]]:
    """One measurement for each server in each turn, and what failed."""
    turns: list[dict[str, Measurement]] = []
    failures: list[str] = []
    tries: Counter[str] = Counter()
    for turn in range(plan.repeats):
        measured: dict[str, Measurement] = {}
        # Another one begins each time, so that none has always the same before it.
        for name in [*names[turn % len(names) :], *names[: turn % len(names)]] if names else []:
            if tries[name] >= TRIES:
                continue
            started = time.monotonic()
            try:
                with tempfile.TemporaryDirectory(prefix="bench-") as folder:
                    measured[name] = scenario.measure(SERVERS[name], Path(folder), plan.sizes)
            except (LoadFailed, NotStarted, RuntimeError, OSError) as error:
                tries[name] += 1
                failures.append(f"{name}, turn {turn + 1}: {error}")
                say(f"{scenario.name} {failures[-1]}")
                continue
            seconds = time.monotonic() - started
            said = line(scenario, measured[name])
            say(f"{scenario.name} {turn + 1}/{plan.repeats} {name}: {said} ({seconds:.0f} s)")
        turns.append(measured)
    return turns, failures


def line(scenario: Scenario, measured: Measurement) -> str:
    """One measurement in one line, with what spoils it."""
    said = ", ".join(f"{name} {measured[name]:.4g}" for name in scenario.figures)
    if not measured.get("exact", True):
        said += " NOT EVERYTHING ARRIVED"
    if measured.get("generator_cores", 0) > GENERATOR_BUSY:
        said += (
            f" (the generator took {measured['generator_cores']:.2f} cores: it may be the limit)"
        )
    return said


def of(turns: Sequence[Mapping[str, Measurement]], name: str) -> list[Measurement]:
    """One server's measurements."""
    return [turn[name] for turn in turns if name in turn]


def summary(measurements: Sequence[Measurement]) -> dict[str, Any]:
    """Median, least and most of each figure; a claim holds when it held each time."""
    figures: dict[str, Any] = {}
    for name in measurements[0]:
        values = [each[name] for each in measurements if name in each]
        figures[name] = all(values) if isinstance(values[0], bool) else spread(values)
    return figures


def ratios(
    turns: Sequence[Mapping[str, Measurement]], name: str, figures: Sequence[str]
) -> dict[str, Any]:
    """Ours divided by theirs, turn by turn."""
    both = [(turn[OURS], turn[name]) for turn in turns if OURS in turn and name in turn]
    return {
        figure: spread([ours[figure] / theirs[figure] for ours, theirs in both if theirs[figure]])
        for figure in figures
        if any(theirs[figure] for _, theirs in both)
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and most."""
    return {"median": median(values), "min": min(values), "max": max(values)}
