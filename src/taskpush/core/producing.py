"""What a producer outside the server says of an attempt: each event of it taken once, in order.

A producer counts its events: 1, 2, 3 … in each attempt. How far it has come stands in the record,
so it is committed with the events themselves, and a batch whose answer was lost can be repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from taskpush.core import lifecycle
from taskpush.core.lifecycle import Decide, Decision
from taskpush.core.transitions import Command, next_status
from taskpush.errors import NotFound, ProducerConflict, ProducerGap, StaleAttempt
from taskpush.models.events import Status
from taskpush.models.position import Position
from taskpush.models.task import NewEvent, ProducerRef, TakenRun, TaskRecord

MAX_REMEMBERED: Final = 1000
"""So many of a producer's newest events are remembered with their positions."""
MAX_RUNS: Final = 32
"""In so many pieces at most: others write into the log as well."""

Step = Callable[[TaskRecord], Decision] | None
"""What one event of a producer does to the task; None when nothing of it is logged."""


def start(producer_id: str, attempt: int, now: datetime) -> Decide:
    """Take the pending task: from here on this producer reports its attempt."""

    def decide(record: TaskRecord | None) -> Decision:
        if record is None:
            raise NotFound
        if record.attempt != attempt:
            raise stale(record, attempt)
        return lifecycle.start(f"producer {producer_id}", now)(record)

    return decide


def take(
    attempt: int, producer_id: str, first: int, steps: Sequence[Step], *, epoch: str
) -> Decide:
    """Take a producer's events, of which the first has the number `first`: all of them or none.

    Those that were taken before are passed over; `epoch` is that of the store which appends. None
    at all are a sign of life. Raises `StaleAttempt`, `ProducerConflict`, `ProducerGap`, or what a
    step raises.
    """

    def decide(record: TaskRecord | None) -> Decision:
        fresh = first_fresh(record, attempt, producer_id, first, len(steps))
        assert record is not None
        if fresh is None:
            return Decision(record)
        if not steps:
            next_status(record.status, Command.REPORT)
            return Decision(record)
        present, events, marks = record, list[NewEvent](), list[int]()
        for step in steps[fresh - first :]:
            decision = _stepped(present, step)
            # A step may begin another attempt; what was said before is of this one.
            present = decision.record
            events += [it._replace(attempt=it.attempt or present.attempt) for it in decision.events]
            marks.append(len(decision.events))
        known = _known(record, attempt) or ProducerRef(producer_id, attempt, 0)
        run = TakenRun(fresh, record.head.seq + 1, epoch, "".join(map(str, marks)))
        taken = replace(known, last_seq=fresh + len(marks) - 1, runs=_bounded((*known.runs, run)))
        return Decision(replace(present, producer=taken), tuple(events))

    return decide


def first_fresh(
    record: TaskRecord | None, attempt: int, producer_id: str, first: int, count: int
) -> int | None:
    """The number of the first event of a batch that was not taken; None when all of them were.

    Raises `NotFound`, `StaleAttempt` when the attempt is not the task's present one,
    `ProducerConflict` when another producer reports it, and `ProducerGap` when events before
    these are missing.
    """
    if record is None:
        raise NotFound
    known = _known(record, attempt)
    ours = known is not None and known.producer_id == producer_id
    last = known.last_seq if known is not None and ours else 0
    if count and first + count - 1 <= last:
        # Also when the attempt is over: the answer to its last batch may be what was lost.
        return None
    if record.attempt != attempt:
        raise stale(record, attempt)
    if not ours and (known is not None or record.status is Status.RUNNING):
        raise ProducerConflict
    if count and first > last + 1:
        raise ProducerGap(expected=last + 1)
    return max(first, last + 1)


def positions(record: TaskRecord, first: int, count: int) -> list[Position | None]:
    """Where a producer's events stand in the log.

    None for those of which nothing is logged, and for those that it sent too long ago.
    """
    found: list[Position | None] = [None] * count
    for run in record.producer.runs if record.producer else ():
        seq = run.log_seq - 1
        for number, mark in enumerate(map(int, run.marks), run.first):
            seq += mark
            if mark and first <= number < first + count:
                found[number - first] = Position(seq=seq, epoch=run.epoch)
    return found


def stale(record: TaskRecord, attempt: int) -> StaleAttempt:
    """The refusal of an attempt that is not the present one."""
    return StaleAttempt(f"attempt {attempt} is not the present one, {record.attempt}")


def _known(record: TaskRecord, attempt: int) -> ProducerRef | None:
    known = record.producer
    return known if known is not None and known.attempt == attempt else None


def _stepped(present: TaskRecord, step: Step) -> Decision:
    if step is not None:
        return step(present)
    next_status(present.status, Command.REPORT)
    return Decision(present)


def _bounded(runs: Sequence[TakenRun]) -> tuple[TakenRun, ...]:
    """The runs as few as they can be, without what is too old."""
    joined: list[TakenRun] = []
    for run in runs:
        last = joined[-1] if joined else None
        if last and last.epoch == run.epoch and last.log_seq + _logged(last.marks) == run.log_seq:
            joined[-1] = replace(last, marks=last.marks + run.marks)
        else:
            joined.append(run)
    kept: list[TakenRun] = []
    room = MAX_REMEMBERED
    for run in reversed(joined[-MAX_RUNS:]):
        if room <= 0:
            break
        kept.append(_newest(run, room))
        room -= len(run.marks)
    return tuple(reversed(kept))


def _newest(run: TakenRun, count: int) -> TakenRun:
    gone = run.marks[:-count] if len(run.marks) > count else ""
    return replace(
        run,
        first=run.first + len(gone),
        log_seq=run.log_seq + _logged(gone),
        marks=run.marks[len(gone) :],
    )


def _logged(marks: str) -> int:
    return sum(map(int, marks))


def is_reported(record: TaskRecord) -> bool:
    """Whether a producer outside the server reports the running attempt."""
    return record.status is Status.RUNNING and _known(record, record.attempt) is not None
