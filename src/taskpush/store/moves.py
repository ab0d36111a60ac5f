"""What one decision makes of one task."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from taskpush.core.journal import seal
from taskpush.core.lifecycle import Decision
from taskpush.models.events import Status
from taskpush.models.task import LoggedEvent, TaskRecord
from taskpush.models.values import is_safe_number
from taskpush.store.batch import Row
from taskpush.store.calls import Entry
from taskpush.store.latest import newest_latest
from taskpush.store.notes import NoteRow, note_row
from taskpush.store.rows import encode_record


class Move(NamedTuple):
    """A task after a decision, and what is new of it."""

    entry: Entry
    # None when the record is as it was.
    row: Row | None
    events: tuple[LoggedEvent, ...]
    # Whether volatile events of older attempts are dropped.
    raises_attempt: bool
    # What it adds to the number of pending tasks of its kind.
    pending: int
    notes: tuple[NoteRow, ...]


def move_to(
    decision: Decision,
    task_id: str,
    present: TaskRecord | None,
    *,
    order: int,
    epoch: str,
    now: datetime,
) -> Move:
    """What the decision makes of the present record; raises for what cannot be stored."""
    row = _changed_row(task_id, present, decision, order)
    record, events = seal(decision, epoch=epoch, now=now)
    notes = tuple(map(note_row, decision.notes))
    if decision.record is present:
        # Nearly every write: something is reported, and else all is as it was.
        return Move(Entry(order, record), None, tuple(events), False, 0, notes)
    raises = present is not None and record.attempt > present.attempt
    latest = newest_latest(record.attempt, record.status, record.latest)
    if len(latest) < len(record.latest):
        record = replace(record, latest=latest)
    was_pending = present is not None and present.status is Status.PENDING
    pending = (record.status is Status.PENDING) - was_pending
    return Move(Entry(order, record), row, tuple(events), raises, pending, notes)


def _changed_row(
    task_id: str, present: TaskRecord | None, decision: Decision, order: int
) -> Row | None:
    """The row to write, or None when the record is as it was; raises for one that can't be."""
    record = decision.record
    if record is present or record == present:
        return None
    if _birth(record)[0] != task_id or (present and _birth(record) != _birth(present)):
        raise ValueError("a decision must not change what a task was created with")
    if not is_safe_number(record.priority):
        raise ValueError(f"a priority of {record.priority} cannot be stored")
    # Its place in the order of changes is given when it is accepted.
    return Row(order, record, encode_record(record), created=present is None, changed=0)


def _birth(record: TaskRecord) -> tuple[object, ...]:
    """What stays as it was when the task was created, and what lists are indexed by."""
    return (
        record.task_id,
        record.tenant,
        record.owner,
        record.kind,
        record.created_at,
        record.tags,
        record.uploads,
    )
