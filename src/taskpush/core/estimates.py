"""When a waiting task will start: a simulated drain of its kind's queue, with bounds.

Many futures are drawn: in each, every waiting task takes as long as some earlier run of its kind
took, every running one as long as it may still take, and the slot that is free first takes the
next task. Of the starts that one task has in them, the median is the estimate, and the 2.5 % at
either end are outside the bounds. Source: prediction by resampling; of B exchangeable draws, the
k-th lowest and the k-th highest hold the next one with probability (B + 1 - 2k) / (B + 1), so
with B + 1 a multiple of 40 and k = (B + 1) / 40 with 95 %. What is promised is 90 %: the past is
never quite exchangeable with the future, and a skewed one shows too few of its long runs.

All times are seconds from now.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import heapify, heapreplace, nlargest
from itertools import accumulate
from random import Random
from statistics import fmean, stdev
from typing import Final

MAX_RUNS: Final = 200
"""So many run times of a kind are remembered, the newest: what it took last year says little."""
MAX_SIMULATED: Final = 200
"""So far down the queue is simulated; beyond, the estimate goes on at the mean rate."""

SCENARIOS: Final = ((20, 199), (100, 79), (MAX_SIMULATED, 39))
"""How many futures, down to which position. Near the front one run decides, and the median needs
many draws to stand still; far down the runs even one another out."""
TAIL: Final = 40
"""One in so many draws is beyond each bound."""

NEIGHBOURS: Final = 20
"""Among so many runs of the most similar size a sized task looks for its run time."""
UNSEEN: Final = 0.3
"""Relative error of a run time that was seen once. A few runs that happen to agree do not show
that the kind never varies: the error shrinks with their number."""
MARGIN: Final = 0.02
"""The bounds are at least this part of the estimate away from it, ..."""
MARGIN_S: Final = 0.1
"""... and this much: handing slots on takes time too, and run times do not contain it."""
OWN_RATE_ERROR: Final = 0.5
"""How wrong, at most, a task's own rate is at its very start; at its end it is right."""


@dataclass(frozen=True, slots=True)
class Run:
    """How long one attempt held a slot."""

    duration_s: float
    # None when the kind declares no size.
    size: float | None = None


@dataclass(frozen=True)
class RunTimes:
    """What a kind's newest runs took, oldest first."""

    runs: tuple[Run, ...] = ()

    def plus(self, *newer: Run) -> RunTimes:
        """With runs that ended since; the oldest are forgotten."""
        return RunTimes((*self.runs, *newer)[-MAX_RUNS:])

    def like(self, size: float | None) -> Sequence[float]:
        """What a task of that size may take: run times, equally likely, the shortest first.

        Those of the runs nearest in size, in proportion to it; without sizes all of them.
        """
        if size is None or size <= 0 or not self._by_size:
            return self._durations
        at = bisect_left(self._by_size, (size, 0.0))
        first = max(0, min(at - NEIGHBOURS // 2, len(self._by_size) - NEIGHBOURS))
        near = self._by_size[first : first + NEIGHBOURS]
        return sorted(duration_s * size / other for other, duration_s in near)

    @cached_property
    def relative_error(self) -> float:
        """How far off the mean of so few runs may be (one standard deviation, as a part of it)."""
        times = [duration_s / size for size, duration_s in self._by_size] or self._durations
        count, mean = len(times), fmean(times)
        variation = stdev(times) / mean if count > 1 and mean > 0 else 0.0
        # A few runs show less variation than there is. The 95 % quantile of Student's t is about
        # this much beyond the normal distribution's.
        few = 1 + 1.5 / (count - 1) if count > 1 else 1.0
        return math.hypot(UNSEEN / count, min(1.0, few * variation / math.sqrt(count)))

    @cached_property
    def _durations(self) -> Sequence[float]:
        return sorted(run.duration_s for run in self.runs)

    @cached_property
    def _by_size(self) -> Sequence[tuple[float, float]]:
        return sorted((run.size, run.duration_s) for run in self.runs if run.size)


@dataclass(frozen=True, slots=True)
class RunningTask:
    """A task that holds a slot."""

    elapsed_s: float
    # How much of its work is done, 0 to 1; None when it did not say.
    fraction: float | None = None
    # None when the kind declares no size.
    size: float | None = None


@dataclass(frozen=True, slots=True)
class WaitingTask:
    """A task that waits for a slot."""

    task_id: str
    # None when the kind declares no size.
    size: float | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """When a task starts, and between which times the truth lies nine times out of ten."""

    eta_s: float
    low_s: float
    high_s: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """Where a waiting task stands."""

    task_id: str
    # 1 = next.
    position: int
    # None when no run of the kind has ended yet: nobody knows.
    start: Span | None

    @property
    def ahead(self) -> int:
        """How many start before it."""
        return self.position - 1


def simulate(
    running: Sequence[RunningTask],
    waiting: Sequence[WaitingTask],
    *,
    slots: int,
    history: RunTimes,
    random: Random,
) -> list[Forecast]:
    """Where each waiting task stands and when it starts; `waiting` is in the order of starting.

    Without history only those have an estimate for whom a slot is free already.
    """
    if slots < 1 or not history.runs:
        free = min(max(0, slots - len(running)), len(waiting))
        spans: list[Span | None] = [_span([0.0])] * free
    else:
        spans = [*_simulated(running, waiting[:MAX_SIMULATED], slots, history, random)]
        spans += _beyond(spans[-1:], waiting[MAX_SIMULATED:], slots, history)
    spans += [None] * (len(waiting) - len(spans))
    return [
        Forecast(task.task_id, position, span)
        for position, (task, span) in enumerate(zip(waiting, spans, strict=True), 1)
    ]


class _Holder:
    """A running task, and how long it may still hold its slot."""

    def __init__(self, task: RunningTask, history: RunTimes) -> None:
        times = history.like(task.size)
        elapsed_s, longest = task.elapsed_s, times[-1]
        self._elapsed_s = elapsed_s
        # The runs that took longer than it has by now: one of them is how long it takes ...
        self._times = times[bisect_right(times, elapsed_s) :]
        # ... or it takes longer than all of them, by about as much as the longest exceeds the
        # usual one, or as it has exceeded that already.
        self._overrun_s = max(0.0, longest - elapsed_s)
        self._excess_s = max(
            longest - times[len(times) // 2], elapsed_s - longest, MARGIN * longest
        )
        fraction = min(1.0, max(0.0, task.fraction or 0.0))
        self._undone = 1.0 - fraction
        # What is left at its own rate; the further it is, the more that counts.
        self._own_s = elapsed_s * self._undone / fraction if fraction else 0.0
        self._own_weight = math.sqrt(fraction)

    def draw(self, random: Random) -> float:
        """One of the times for which it may still run."""
        which = int(random.random() * (len(self._times) + 1))
        if which < len(self._times):
            left_s = self._times[which] - self._elapsed_s
        else:
            left_s = self._overrun_s - self._excess_s * math.log(1.0 - random.random())
        if not self._own_weight:
            return left_s
        error = OWN_RATE_ERROR * self._undone * (2 * random.random() - 1)
        return (1 - self._own_weight) * left_s + self._own_weight * self._own_s * (1 + error)


def _simulated(
    running: Sequence[RunningTask],
    waiting: Sequence[WaitingTask],
    slots: int,
    history: RunTimes,
    random: Random,
) -> list[Span]:
    holders = [_Holder(task, history) for task in running]
    by_size = {task.size: history.like(task.size) for task in waiting}
    times = [by_size[task.size] for task in waiting]
    draws: list[list[float]] = [[] for _ in waiting]
    for depth in _depths(len(running)):
        free_at = [holder.draw(random) for holder in holders]
        free_at += [0.0] * (slots - len(holders))
        # More run than there are slots, when their number was lowered: the first to end give way.
        free_at = nlargest(slots, free_at)
        heapify(free_at)
        pace = math.exp(random.gauss(0.0, history.relative_error))
        for starts, runs in zip(draws[:depth], times, strict=False):
            start = free_at[0]
            starts.append(start)
            heapreplace(free_at, start + pace * runs[int(random.random() * len(runs))])
    return _rising([_span(sorted(starts)) for starts in draws])


def _depths(running: int) -> list[int]:
    """How far down each future goes; fewer futures when drawing what runs costs that much."""
    most = next((count for top, count in SCENARIOS if running <= top), SCENARIOS[-1][1])
    return [max(depth for depth, count in SCENARIOS if number < count) for number in range(most)]


def _span(starts: Sequence[float]) -> Span:
    """The median and the bounds of sorted draws."""
    eta = starts[len(starts) // 2]
    outside = max(1, (len(starts) + 1) // TAIL)
    margin = max(MARGIN_S, MARGIN * eta)
    return Span(
        eta_s=eta,
        low_s=max(0.0, min(starts[outside - 1], eta - margin)),
        high_s=max(starts[-outside], eta + margin),
    )


def _rising(spans: Sequence[Span]) -> list[Span]:
    """Nobody starts before who is ahead; where the number of draws changes it could look so."""
    return list(accumulate(spans, _not_before))


def _not_before(ahead: Span, span: Span) -> Span:
    return Span(
        max(ahead.eta_s, span.eta_s), max(ahead.low_s, span.low_s), max(ahead.high_s, span.high_s)
    )


def _beyond(
    last: Sequence[Span | None], waiting: Sequence[WaitingTask], slots: int, history: RunTimes
) -> list[Span]:
    """Who is further down than simulated: at the mean rate, the bounds in proportion."""
    spans: list[Span] = []
    for span in last:
        if span is None or not waiting:
            continue
        means = {task.size: fmean(history.like(task.size)) for task in waiting}
        later = accumulate(means[task.size] / slots for task in waiting)
        low, high = (
            bound / span.eta_s if span.eta_s else 1.0 for bound in (span.low_s, span.high_s)
        )
        for more_s in later:
            eta = span.eta_s + more_s
            spans.append(Span(eta, low * eta, high * eta))
    return spans
