"""The queue of one kind: who waits in which order, who runs, and how estimates did."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from statistics import median
from typing import Final

import orjson

from taskpush.core.estimates import (
    Forecast,
    Run,
    RunningTask,
    RunTimes,
    Span,
    WaitingTask,
    simulate,
)
from taskpush.models.queue import Accuracy
from taskpush.models.task import TaskRecord, VolatileEvent
from taskpush.runner.kind import KindSpec
from taskpush.runner.policy import Key

MAX_SCORES: Final = 500
"""So many past estimates are compared with the truth, the newest."""
NOTICEABLE: Final = 0.1
NOTICEABLE_S: Final = 1.0
"""An estimate is told again when it moved by more than both."""

_NEXT: Final = WaitingTask("next submission")


@dataclass(frozen=True, slots=True)
class Entry:
    """A task in a queue. The record is without what the task was given and what it returned."""

    record: TaskRecord
    attempt: int
    # Lowest first: (-priority, order of arrival).
    order: tuple[int, int]
    # What tasks have in common of which one runs at a time; None without such a limit.
    key: Key | None
    # None when the kind declares no size.
    size: float | None

    @property
    def task_id(self) -> str:
        return self.record.task_id


@dataclass(slots=True)
class Holder:
    """A task that holds a slot."""

    entry: Entry
    since_s: float
    # The newest; None when it has reported none.
    progress: VolatileEvent | None = None

    def as_running(self, now_s: float) -> RunningTask:
        percent = (
            orjson.loads(self.progress.body)["data"]["progress_percent"] if self.progress else None
        )
        fraction = None if percent is None else percent / 100
        return RunningTask(max(0.0, now_s - self.since_s), fraction, self.entry.size)


@dataclass(frozen=True, slots=True)
class Score:
    """How the first estimate of a task compares with the truth."""

    # As in `Entry`.
    record: TaskRecord
    error_s: float
    inside: bool


@dataclass(slots=True)
class Line:
    """The queue of one kind."""

    kind: str
    # None when this server does not know the kind: its tasks wait for one that does.
    spec: KindSpec | None
    history: RunTimes = field(default_factory=RunTimes)
    waiting: list[Entry] = field(default_factory=list)
    running: dict[str, Holder] = field(default_factory=dict)
    # What was published last, per waiting task.
    told: dict[str, Forecast] = field(default_factory=dict)
    # The first estimate of each waiting task, and when it was made.
    first: dict[str, tuple[float, Span]] = field(default_factory=dict)
    # Of the tasks that started after they had waited, the newest.
    scores: deque[Score] = field(default_factory=lambda: deque(maxlen=MAX_SCORES))
    # When it is to be computed, on the loop's clock.
    due_s: float = math.inf
    # Not before that.
    rest_until_s: float = 0.0

    @property
    def slots(self) -> int:
        return self.spec.concurrency if self.spec else 0

    def add(self, entry: Entry) -> None:
        """Let it wait."""
        insort(self.waiting, entry, key=lambda each: each.order)

    def drop(self, entry: Entry) -> None:
        """It does not wait any more."""
        del self.waiting[bisect_left(self.waiting, entry.order, key=lambda each: each.order)]
        self.told.pop(entry.task_id, None)

    def start(self, entry: Entry, now_s: float, progress: VolatileEvent | None = None) -> None:
        """It has a slot. Its first estimate is compared with the truth."""
        self.running[entry.task_id] = Holder(entry, now_s, progress)
        estimate = self.first.pop(entry.task_id, None)
        if estimate is not None:
            at_s, span = estimate
            truth_s = now_s - at_s
            inside = span.low_s <= truth_s <= span.high_s
            self.scores.append(Score(entry.record, abs(span.eta_s - truth_s), inside))

    def end(self, task_id: str, now_s: float, *, teaches: bool) -> None:
        """It gave its slot back; its time counts when it ended by itself."""
        holder = self.running.pop(task_id)
        if teaches:
            self.history = self.history.plus(Run(now_s - holder.since_s, holder.entry.size))

    def forecasts(self, now_s: float, most: int | None = None) -> list[Forecast]:
        """Where everybody stands, or the first `most`. Remembers the first estimate of each."""
        forecasts = self._simulate(self.waiting[:most], (), now_s)
        for each in forecasts:
            if each.start is not None and each.start.eta_s > 0:
                self.first.setdefault(each.task_id, (now_s, each.start))
        return forecasts

    def run_s(self, size: float | None) -> float | None:
        """How long a task of that size takes, once it runs; None while no run has ended."""
        times = self.history.like(size)
        return times[len(times) // 2] if times else None

    def next_submission(self, now_s: float) -> Forecast:
        """Where a task of the usual priority would stand that came now."""
        ahead = bisect_left(self.waiting, (1, 0), key=lambda each: each.order)
        return self._simulate(self.waiting[:ahead], (_NEXT,), now_s)[-1]

    def is_news(self, forecast: Forecast) -> bool:
        """Whether it differs noticeably from what was told."""
        told = self.told.get(forecast.task_id)
        if told is None or told.position != forecast.position:
            return True
        if told.start is None or forecast.start is None:
            return told.start is not forecast.start
        moved_s = abs(told.start.eta_s - forecast.start.eta_s)
        return moved_s >= NOTICEABLE_S and moved_s > NOTICEABLE * told.start.eta_s

    def accuracy(self, counts: Callable[[TaskRecord], bool]) -> Accuracy:
        """How past estimates of the tasks that count compare with the truth."""
        scores = [score for score in self.scores if counts(score.record)]
        if not scores:
            return Accuracy(count=0)
        return Accuracy(
            count=len(scores),
            median_error_seconds=round(median(score.error_s for score in scores), 3),
            share_inside=round(sum(score.inside for score in scores) / len(scores), 3),
        )

    def _simulate(
        self, waiting: Sequence[Entry], more: Sequence[WaitingTask], now_s: float
    ) -> list[Forecast]:
        return simulate(
            [holder.as_running(now_s) for holder in self.running.values()],
            [*(WaitingTask(entry.task_id, entry.size) for entry in waiting), *more],
            slots=self._usable_slots(),
            history=self.history,
            # The same draws each time, so that an estimate moves only when something happened.
            random=Random(self.kind),
        )

    def _usable_slots(self) -> int:
        """No more than there are different keys, when one task per key runs at a time."""
        keys = {holder.entry.key for holder in self.running.values()}
        keys |= {entry.key for entry in self.waiting}
        return self.slots if None in keys else min(self.slots, max(1, len(keys)))


def entry_of(
    record: TaskRecord,
    spec: KindSpec | None,
    *,
    attempt: int,
    arrival: int,
    size: float | None,
) -> Entry:
    """The task as it stands in its kind's queue; `arrival` counts who came, of all kinds."""
    return Entry(
        record=replace(record, params={}, metadata={}, result=None, latest={}),
        attempt=attempt,
        order=(-record.priority, arrival),
        key=_key_of(record, spec),
        size=size,
    )


def _key_of(record: TaskRecord, spec: KindSpec | None) -> Key | None:
    if spec is None:
        return None
    try:
        return spec.key_of(record.tenant, record.owner, record.params)
    except Exception:  # noqa: BLE001 - the kind's own function; the runner says what is wrong with it
        return None
