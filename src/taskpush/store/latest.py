"""Which volatile events apply to a task, and which are the newest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from taskpush.models.events import EventType, Status
from taskpush.models.task import TaskRecord, VolatileEvent


def newest_latest(
    attempt: int, status: Status, *states: Mapping[EventType, VolatileEvent]
) -> dict[EventType, VolatileEvent]:
    """The newest event of each type, of those that apply to a task in this state."""
    newest: dict[EventType, VolatileEvent] = {}
    for state in states:
        for event_type, event in state.items():
            if event.attempt != attempt or is_past(event_type, status):
                continue
            if event_type not in newest or newest[event_type].rev < event.rev:
                newest[event_type] = event
    return newest


def with_latest(record: TaskRecord, live: TaskRecord | None) -> TaskRecord:
    """A stored record with the volatile events of the live one; None: the task is not live."""
    if live is None:
        return record
    latest = newest_latest(record.attempt, record.status, record.latest, live.latest)
    return replace(record, latest=latest)


def is_past(event_type: EventType, status: Status) -> bool:
    """Whether it is a place in the queue of a task that waits no more, or what one showed."""
    match event_type:
        case EventType.QUEUE:
            return status is not Status.PENDING
        case EventType.PREVIEW:
            return status is not Status.RUNNING
    return False
