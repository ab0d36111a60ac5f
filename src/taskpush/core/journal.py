"""Appending, as arithmetic: seqs without holes, timestamps that never fall, one encoding.

Source of the rules: protocol section 1.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson

from taskpush.core.lifecycle import Decision
from taskpush.errors import TaskPushError
from taskpush.models.events import MAX_EVENT_BYTES, EventType
from taskpush.models.task import LoggedEvent, NewEvent, TaskRecord, VolatileEvent


def seal(decision: Decision, *, epoch: str, now: datetime) -> tuple[TaskRecord, list[LoggedEvent]]:
    """Give the decision's events their seq, epoch and timestamp, and encode them.

    Returns the record with its head moved. Raises `payload_too_large` when an event exceeds
    `MAX_EVENT_BYTES`; then nothing of the decision may take effect.
    """
    record = decision.record
    if not decision.events:
        return record, []
    timestamp = max(now, record.last_event_at or now)
    events = [
        _sealed(record, event, seq, epoch, timestamp)
        for seq, event in enumerate(decision.events, record.head.seq + 1)
    ]
    return replace(record, head=events[-1].position, last_event_at=timestamp), events


def seal_volatile(
    record: TaskRecord, event: NewEvent, *, rev: int, now: datetime
) -> tuple[TaskRecord, VolatileEvent]:
    """Encode the newest state of one type, and keep it in the record's `latest`."""
    timestamp = max(now, record.last_event_at or now)
    body = _encoded(record, event, timestamp, attempt=record.attempt, seq=None, rev=rev)
    volatile = VolatileEvent(
        task_id=record.task_id,
        attempt=record.attempt,
        rev=rev,
        event_type=event.event_type,
        body=body,
    )
    return replace(record, latest={**record.latest, event.event_type: volatile}), volatile


def first_rev(last_rev: int, now: datetime) -> int:
    """Where the revs of a new writer process start.

    Above every rev that was handed out before, even when the clock went back (`last_rev` is the
    stored high-water mark) and even when the store was restored from an older copy (the clock has
    moved on): 2^20 revs a second fit below 2^53 until the year 2242.
    """
    return max(last_rev + 1, int(now.timestamp()) << 20)


def _sealed(
    record: TaskRecord, event: NewEvent, seq: int, epoch: str, timestamp: datetime
) -> LoggedEvent:
    attempt = record.attempt if event.attempt is None else event.attempt
    return LoggedEvent(
        task_id=record.task_id,
        attempt=attempt,
        seq=seq,
        epoch=epoch,
        event_type=event.event_type,
        body=_encoded(record, event, timestamp, attempt=attempt, seq=seq, epoch=epoch),
        final=event.data.get("final") is True and event.event_type is EventType.STATUS_CHANGE,
    )


def _encoded(record: TaskRecord, event: NewEvent, timestamp: datetime, **numbers: Any) -> bytes:
    body = orjson.dumps(
        {
            "task_id": record.task_id,
            "event_type": event.event_type.value,
            "data": event.data,
            "timestamp": timestamp.isoformat(timespec="microseconds"),
            **numbers,
        }
    )
    if len(body) > MAX_EVENT_BYTES:
        raise TaskPushError(
            f"a {event.event_type} event of {len(body)} bytes exceeds {MAX_EVENT_BYTES}",
            code="payload_too_large",
        )
    return body
