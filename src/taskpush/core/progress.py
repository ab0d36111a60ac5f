"""From what a handler knows (done of total, a fraction) to what people read.

`rate_per_s` is the mean rate of the attempt so far; `eta_seconds` is what is left at that rate.
`core.remaining` weighs that against earlier runs.
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
    # How many were done before this attempt; None when it does not say.
    initial: float | None = None


@dataclass(frozen=True, slots=True)
class ProgressState:
    """What the attempt has said so far; a report leaves out what did not change."""

    percent: float | None = None
    report: ProgressReport = ProgressReport()
    # Whether earlier attempts have done a part: then what is reported first, apart from nothing,
    # was done by them.
    resumed: bool = False
    # What was done before this attempt, in each form; None until it is known.
    begun_done: float | None = None
    begun_percent: float | None = None

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
        return replace(
            self._begun(report, percent),
            percent=percent if percent is not None else self.percent,
            report=merged,
        )

    def _begun(self, report: ProgressReport, percent: float | None) -> ProgressState:
        done, begun_percent = self.begun_done, self.begun_percent
        if done is None and report.initial is not None:
            done = report.initial
        elif done is None and report.done:
            done = report.done if self.resumed else 0
        if begun_percent is None and report.fraction:
            begun_percent = percent if self.resumed else 0
        return replace(self, begun_done=done, begun_percent=begun_percent)

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
            rate_per_s=_rate(self._done_here(), elapsed_s),
            eta_seconds=_remaining_s(self.percent, self._percent_before(), elapsed_s),
            elapsed_seconds=round(elapsed_s, 3),
        )

    def _done_here(self) -> float | None:
        """What this attempt has done."""
        done = self.report.done
        return None if done is None else done - min(done, self.begun_done or 0)

    def _percent_before(self) -> float:
        """What was done before this attempt."""
        if self.report.done is not None and self.report.total:
            return min(100.0, 100 * (self.begun_done or 0) / self.report.total)
        return self.begun_percent or 0.0


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


def _remaining_s(percent: float | None, before: float, elapsed_s: float) -> float | None:
    if percent is None or percent <= before or elapsed_s <= 0:
        return None
    return elapsed_s * (100 - percent) / (percent - before)


def _newer(new: Value | None, old: Value | None) -> Value | None:
    return old if new is None else new
