"""Appending, as arithmetic: seqs without holes, timestamps that never fall, one encoding.

Source of the rules: protocol section 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from taskpush.core.lifecycle import Decision
from taskpush.errors import TaskPushError
from taskpush.models.events import ATTACHED, MAX_EVENT_BYTES, MAX_PICTURE_BYTES, EventType
from taskpush.models.position import Position
from taskpush.models.task import LoggedEvent, NewEvent, TaskRecord, VolatileEvent
from taskpush.models.values import encoded

# To look it up in its enumeration takes four times as long, and is done for each event.
_STATUS_CHANGE: Final = EventType.STATUS_CHANGE


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
    return record.moved(events[-1].position, timestamp), events


def append(
    record: TaskRecord, event: NewEvent, *, epoch: str, now: datetime
) -> tuple[TaskRecord, LoggedEvent]:
    """As `seal`, of one event beside which the record stays as it is."""
    timestamp = max(now, record.last_event_at or now)
    seq = record.head.seq + 1
    logged = _sealed(record, event, seq, epoch, timestamp)
    return record.moved(Position(seq, epoch), timestamp), logged


def seal_volatile(
    record: TaskRecord, event: NewEvent, *, rev: int, now: datetime
) -> tuple[TaskRecord, VolatileEvent]:
    """Encode the newest state of one type, and keep it in the record's `latest`.

    The bytes of a picture are taken out of it, to travel beside it. Raises `payload_too_large`.
    """
    event, attachment = _detached(event)
    timestamp = max(now, record.last_event_at or now)
    numbers = {"attempt": record.attempt, "seq": None, "rev": rev}
    body = _encoded(event, _envelope(record.task_id, event, timestamp) | numbers)
    volatile = VolatileEvent(
        task_id=record.task_id,
        attempt=record.attempt,
        rev=rev,
        event_type=event.event_type,
        body=body,
        attachment=attachment,
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
    envelope = _envelope(record.task_id, event, timestamp)
    envelope["attempt"] = attempt
    envelope["seq"] = seq
    envelope["epoch"] = epoch
    final = event.event_type is _STATUS_CHANGE and event.data.get("final") is True
    body = _encoded(event, envelope)
    return LoggedEvent(record.task_id, attempt, seq, epoch, event.event_type, body, final)


def _detached(event: NewEvent) -> tuple[NewEvent, bytes | None]:
    """The event with a placeholder for its picture, and the picture; None when it has none."""
    content = event.data.get("content") if event.event_type is EventType.PREVIEW else None
    if not isinstance(content, bytes):
        return event, None
    if len(content) > MAX_PICTURE_BYTES:
        raise TaskPushError(
            f"a picture of {len(content)} bytes exceeds {MAX_PICTURE_BYTES}",
            code="payload_too_large",
        )
    return event._replace(data={**event.data, "content": ATTACHED}), content


def _envelope(task_id: str, event: NewEvent, timestamp: datetime) -> dict[str, Any]:
    """What all envelopes begin with."""
    return {
        "task_id": task_id,
        "event_type": event.event_type,
        "data": event.data,
        # The encoder writes moments much faster, but whole seconds without their zeros.
        "timestamp": timestamp if timestamp.microsecond else _whole_second(timestamp),
    }


def _encoded(event: NewEvent, envelope: Mapping[str, Any]) -> bytes:
    body = encoded(envelope)
    if len(body) > MAX_EVENT_BYTES:
        raise TaskPushError(
            f"a {event.event_type} event of {len(body)} bytes exceeds {MAX_EVENT_BYTES}",
            code="payload_too_large",
        )
    return body


def _whole_second(timestamp: datetime) -> str:
    return timestamp.isoformat(timespec="microseconds")
