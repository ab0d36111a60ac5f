"""What became of tasks, by day and kind: the rules that SQL follows too, in plain Python."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Final

from taskpush.models.events import Status
from taskpush.models.task import TaskRecord
from taskpush.store.rows import from_microseconds, to_microseconds

DAY_US: Final = 24 * 3600 * 1_000_000
MEDIAN: Final = 50
P95: Final = 95


@dataclass(frozen=True, slots=True)
class DayStats:
    """What became of the tasks of one kind that ended on one day.

    A task counts once, by its present status, on the day of its `finished_at`. Percentiles are by
    nearest rank (the smallest value that at least so many of a hundred do not exceed), None when
    there is no value.
    """

    # In UTC.
    day: date
    kind: str
    completed: int
    failed: int
    cancelled: int
    interrupted: int
    # From start to end of the attempt that completed; never negative.
    median_s: float | None
    p95_s: float | None
    # From when the attempt was due to its start; attempts that somebody asked for by a retry are
    # left out, as it is not kept when that was.
    median_wait_s: float | None


def day_stats(records: Iterable[TaskRecord]) -> list[DayStats]:
    """The statistics of tasks that are over, by day and then by kind."""
    ended = sorted(records, key=_group)
    return [_of_group(*group, list(members)) for group, members in groupby(ended, _group)]


def took_us(record: TaskRecord) -> int | None:
    """From start to end of the attempt that completed; None for any other."""
    if record.status is not Status.COMPLETED or not (record.started_at and record.finished_at):
        return None
    return max(to_microseconds(record.finished_at) - to_microseconds(record.started_at), 0)


def waited_us(record: TaskRecord) -> int | None:
    """From when the attempt was due to its start; None when either is not known."""
    if record.started_at is None or (record.attempt > 1 and record.run_at is None):
        return None
    due = max(record.created_at, record.run_at or record.created_at)
    return max(to_microseconds(record.started_at) - to_microseconds(due), 0)


def first_of_days(days: int, now: datetime) -> datetime:
    """When the first of the last `days` days began, in UTC."""
    return from_microseconds((to_microseconds(now) // DAY_US - days + 1) * DAY_US)


def day_of(number: int) -> date:
    """The day that is so many after the first of 1970."""
    return date(1970, 1, 1) + timedelta(days=number)


def to_seconds(microseconds: int | None) -> float | None:
    return microseconds / 1e6 if microseconds is not None else None


def _group(record: TaskRecord) -> tuple[int, str]:
    assert record.finished_at is not None, "it is over"
    return to_microseconds(record.finished_at) // DAY_US, record.kind


def _of_group(day: int, kind: str, records: Sequence[TaskRecord]) -> DayStats:
    statuses = [record.status for record in records]
    took = sorted(us for us in map(took_us, records) if us is not None)
    waited = sorted(us for us in map(waited_us, records) if us is not None)
    return DayStats(
        day=day_of(day),
        kind=kind,
        completed=statuses.count(Status.COMPLETED),
        failed=statuses.count(Status.FAILED),
        cancelled=statuses.count(Status.CANCELLED),
        interrupted=statuses.count(Status.INTERRUPTED),
        median_s=to_seconds(_nearest_rank(took, MEDIAN)),
        p95_s=to_seconds(_nearest_rank(took, P95)),
        median_wait_s=to_seconds(_nearest_rank(waited, MEDIAN)),
    )


def _nearest_rank(ordered: Sequence[int], percent: int) -> int | None:
    if not ordered:
        return None
    rank = -(-len(ordered) * percent // 100)
    return ordered[rank - 1]
