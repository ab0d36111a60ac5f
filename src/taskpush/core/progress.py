"""From what a handler knows (done of total, a fraction) to what people read.

`rate_per_s` is the mean rate of the attempt so far; `eta_seconds` is what is left at that rate.
A model that learns from earlier runs may replace the estimate later.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from taskpush.models.events import Progress
from taskpush.models.values import is_safe_number

Value = TypeVar("Value", float, str)

ITERATION: Final = "iteration"


class BadReport(ValueError):
    """A handler reported something that cannot be true or cannot travel."""


@dataclass(frozen=True, slots=True)
class ProgressReport:
    """One call of `ctx.progress`."""

    done: float | None = None
    total: float | None = None
    fraction: float | None = None
    message: str | None = None
    stage: str | None = None
    stage_description: str | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class ProgressState:
    """What the attempt has said so far; a report leaves out what did not change."""

    percent: float | None = None
    report: ProgressReport = ProgressReport()

    def advance(self, report: ProgressReport) -> ProgressState:
        """The state after `report`.

        Raises `BadReport` for numbers that are not finite, negative ones, both forms at once, and
        for progress that goes backwards; the state stays as it was.
        """
        percent = _percent(self._with_known_total(report))
        if percent is not None and self.percent is not None and percent < self.percent:
            raise BadReport(f"progress went back from {self.percent:g} to {percent:g} percent")
        merged = ProgressReport(
            done=report.done if report.fraction is None else None,
            total=self._total_for(report),
            fraction=report.fraction,
            message=_newer(report.message, self.report.message),
            stage=_newer(report.stage, self.report.stage),
            stage_description=_newer(
                report.stage_description,
                self.report.stage_description if report.stage is None else None,
            ),
            unit=_newer(report.unit, self.report.unit),
        )
        if report.done is None and report.fraction is None:
            merged = replace(merged, done=self.report.done, fraction=self.report.fraction)
        return ProgressState(
            percent=percent if percent is not None else self.percent, report=merged
        )

    def _total_for(self, report: ProgressReport) -> float | None:
        return _newer(report.total, self.report.total) if report.fraction is None else None

    def _with_known_total(self, report: ProgressReport) -> ProgressReport:
        return replace(report, total=self._total_for(report))

    def payload(self, elapsed_s: float) -> Progress:
        """The `progress` payload after `elapsed_s` seconds of the attempt."""
        report = self.report
        iterations = report.unit == ITERATION
        return Progress(
            progress_percent=self.percent,
            # Counted from 1: before the first is complete there is none to name.
            current_iteration=int(report.done) if iterations and report.done else None,
            max_iterations=int(report.total) if iterations and report.total is not None else None,
            completed=report.done,
            total=report.total,
            unit=report.unit,
            message=report.message,
            stage=report.stage,
            stage_description=report.stage_description,
            rate_per_s=_rate(report.done, elapsed_s),
            eta_seconds=_remaining_s(self.percent, elapsed_s),
            elapsed_seconds=round(elapsed_s, 3),
        )


def _percent(report: ProgressReport) -> float | None:
    for name, value in (("done", report.done), ("total", report.total)):
        if value is not None and (not is_safe_number(value) or value < 0):
            raise BadReport(f"progress {name} must be a finite number of at least 0, not {value}")
    if report.fraction is not None:
        if report.done is not None:
            raise BadReport("progress takes either done and total, or a fraction")
        if not math.isfinite(report.fraction) or not 0 <= report.fraction <= 1:
            raise BadReport(f"progress fraction must be between 0 and 1, not {report.fraction}")
        return round(100 * report.fraction, 3)
    if report.done is None or not report.total:
        return None
    return round(min(100.0, 100 * report.done / report.total), 3)


def _rate(done: float | None, elapsed_s: float) -> float | None:
    if not done or elapsed_s <= 0:
        return None
    return float(f"{done / elapsed_s:.4g}")


def _remaining_s(percent: float | None, elapsed_s: float) -> float | None:
    if not percent or elapsed_s <= 0:
        return None
    return round(elapsed_s * (100 - percent) / percent, 1)


def _newer(new: Value | None, old: Value | None) -> Value | None:
    return old if new is None else new
