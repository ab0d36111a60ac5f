"""`python -m bench`: measure taskpush beside its peers, and keep the figures."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, Final

import orjson
from rich.console import Console

from bench.adapters import SERVERS
from bench.processes import ROOT
from bench.report import show
from bench.runs import Plan, run
from bench.scenarios import SCENARIOS
from bench.scenarios.base import QUICK, QUICK_REPEATS, Sizes

RESULTS: Final = ROOT / "bench" / "results"
REPEATS: Final = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the arguments ask for; 1 when something failed or did not arrive."""
    options = parser().parse_args(arguments)
    # So that what was started is ended too when something else ends this.
    signal.signal(signal.SIGTERM, _leave)
    given = {name: getattr(options, name) for name in SIZES if getattr(options, name) is not None}
    plan = Plan(
        scenarios=[SCENARIOS[name] for name in options.scenario or SCENARIOS],
        servers=options.peer or list(SERVERS),
        sizes=replace(QUICK if options.quick else Sizes(), **given),
        repeats=options.repeats or (QUICK_REPEATS if options.quick else REPEATS),
    )
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    name = options.name or f"{datetime.now(UTC):%Y-%m-%d-%H%M}"
    file: Path = options.results / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {}
    for results in run(plan, lambda text: errors.print(text, markup=False)):
        # After each scenario, so that a run that is ended has not been in vain.
        file.write_bytes(orjson.dumps(results, option=orjson.OPT_INDENT_2))
    show(results, Console(highlight=False, width=None if sys.stdout.isatty() else 130))
    errors.print(f"kept as {file}")
    measured = results["scenarios"].values()
    complete = all(
        summary.get("exact", True)
        for scenario in measured
        for summary in scenario["summary"].values()
    )
    return 0 if complete and not any(each["failures"] for each in measured) else 1


SIZES: Final = {field.name: type(field.default) for field in fields(Sizes)}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    made.add_argument("--scenario", action="append", choices=SCENARIOS, help="repeatable; all")
    made.add_argument("--peer", action="append", choices=SERVERS, help="repeatable; all servers")
    made.add_argument("--repeats", type=int, help=f"turns, {REPEATS} by default")
    made.add_argument("--quick", action="store_true", help="small sizes and few turns")
    made.add_argument("--name", help="of the file of results; the date and time")
    made.add_argument("--results", type=Path, default=RESULTS, help="folder for it")
    for name, kind in SIZES.items():
        default = getattr(Sizes(), name)
        made.add_argument(f"--{name.replace('_', '-')}", type=kind, help=f"{default} by default")
    return made


def _leave(signum: int, frame: FrameType | None) -> None:
    sys.exit(128 + signum)


if __name__ == "__main__":
    sys.exit(main())
