"""Reading one task's log: a page of it, or what is of one type.

The newest events may not be in `events` yet. A question is given what its asker had of them when
it began: as they are copied in their order, the file has all of a log up to some seq, and what is
past that follows from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import apsw
import orjson

from taskpush.errors import NotFound
from taskpush.models.events import EventType, Status
from taskpush.models.position import START, Position
from taskpush.models.task import LoggedEvent, VolatileEvent
from taskpush.store.base import LogPage
from taskpush.store.positions import check_position
from taskpush.store.sqlite.tails import EventRow

LATEST: Final = """
    (SELECT json_group_array(json_array(event_type, attempt, rev, CAST(body AS TEXT)))
     FROM latest WHERE task = t.id)
"""
# An event per line: its columns, then its body, which holds no line break.
_LINES: Final = """
    (SELECT CAST(group_concat(seq || ' ' || attempt || ' ' || epoch || ' ' || event_type || ' '
                              || final || ' ' || CAST(body AS TEXT), char(10)) AS BLOB)
     FROM ({chosen}))
"""
_PAGE: Final = """
    SELECT
        (SELECT epoch FROM events WHERE task = t.id AND seq = :after),
        (SELECT json_array(seq, epoch, final)
         FROM events WHERE task = t.id ORDER BY seq DESC LIMIT 1),
        (SELECT min(seq) FROM events WHERE task = t.id),
        {latest},
        attempt,
        status,
        {lines}
    FROM tasks AS t WHERE task_id = :task_id
""".replace("{latest}", LATEST).replace(
    "{lines}",
    _LINES.replace(
        "{chosen}",
        "SELECT * FROM ("
        "SELECT *, sum(octet_length(body)) OVER (ORDER BY seq) - octet_length(body) AS bytes_before"
        " FROM (SELECT * FROM events WHERE task = t.id AND seq > :after ORDER BY seq LIMIT :limit))"
        " WHERE bytes_before < :max_bytes",
    ),
)
_OF_TYPE: Final = "SELECT t.id, {lines} FROM tasks AS t WHERE task_id = :task_id".replace(
    "{lines}",
    _LINES.replace(
        "{chosen}",
        "SELECT * FROM events_set_aside WHERE task = t.id AND event_type = :event_type"
        " UNION ALL SELECT * FROM {events} WHERE task = t.id AND event_type = :event_type"
        " ORDER BY seq LIMIT -1",
    ),
)
# The planner would rather walk the whole log; a partial index also needs its own condition, word
# by word.
_APART: Final = (
    "(SELECT * FROM events INDEXED BY events_apart WHERE event_type IN ('artifact', 'checkpoint'))"
)
_APART_TYPES: Final = frozenset({EventType.ARTIFACT, EventType.CHECKPOINT})


def read_page(
    connection: apsw.Connection,
    task_id: str,
    after: Position,
    limit: int,
    max_bytes: int,
    tail: Sequence[EventRow],
) -> tuple[LogPage, int, Status]:
    """See `Store.read`; `latest` is what the disk has. And the present attempt and status."""
    bindings = {
        "task_id": task_id,
        "after": after.seq,
        "limit": limit,
        "max_bytes": max_bytes,
    }
    found = connection.execute(_PAGE, bindings).get
    if found is None:
        raise NotFound
    stored_epoch, head_columns, oldest, latest, attempt, status, lines = found
    seq, epoch, final = orjson.loads(head_columns) if head_columns else (0, None, False)
    events = _events(task_id, lines)
    rest = [row for row in tail if row.seq > seq]
    if rest:
        if (events[-1].seq if events else after.seq) >= seq:
            _add(events, task_id, rest, after.seq, limit, max_bytes)
        epochs = {row.seq: row.epoch for row in rest}
        stored_epoch = epochs.get(after.seq, stored_epoch)
        seq, epoch, final = rest[-1].seq, rest[-1].epoch, rest[-1].final
    check_position(after, stored_epoch=stored_epoch, oldest=oldest or 1, head=seq)
    page = LogPage(
        events=events,
        end=(events[-1].seq if events else after.seq) == seq,
        final=bool(final),
        latest=latest_events(task_id, orjson.loads(latest)),
        head=Position(seq, epoch) if seq else START,
    )
    return page, attempt, Status(status)


def read_type(
    connection: apsw.Connection, task_id: str, event_type: EventType, tail: Sequence[EventRow]
) -> list[LoggedEvent]:
    """See `Store.read_type`."""
    bindings = {"task_id": task_id, "event_type": event_type.value}
    text = _OF_TYPE.replace("{events}", _APART if event_type in _APART_TYPES else "events")
    found = connection.execute(text, bindings).get
    if found is None:
        raise NotFound
    events = _events(task_id, found[1])
    known = events[-1].seq if events else 0
    rest = [row for row in tail if row.seq > known and row.event_type == event_type]
    return events + [row.event(task_id) for row in rest]


def _add(
    events: list[LoggedEvent],
    task_id: str,
    rest: Sequence[EventRow],
    after: int,
    limit: int,
    max_bytes: int,
) -> None:
    """Go on with what the file lacks, as far as the page reaches."""
    size_bytes = sum(len(event.body) for event in events)
    for row in rest:
        if row.seq <= after:
            continue
        if len(events) >= limit or size_bytes >= max_bytes:
            return
        events.append(row.event(task_id))
        size_bytes += len(row.body)


def latest_events(
    task_id: str, rows: Sequence[tuple[str, int, int, str]]
) -> dict[EventType, VolatileEvent]:
    """The volatile events of a task, from the rows that `LATEST` gives."""
    return {
        EventType(event_type): VolatileEvent(
            task_id=task_id,
            attempt=attempt,
            rev=rev,
            event_type=EventType(event_type),
            body=body.encode(),
        )
        for event_type, attempt, rev, body in rows
    }


def _events(task_id: str, lines: bytes | None) -> list[LoggedEvent]:
    return [_event(task_id, line) for line in lines.split(b"\n")] if lines else []


def _event(task_id: str, line: bytes) -> LoggedEvent:
    seq, attempt, epoch, event_type, final, body = line.split(b" ", 5)
    return LoggedEvent(
        task_id=task_id,
        attempt=int(attempt),
        seq=int(seq),
        epoch=epoch.decode(),
        event_type=EventType(event_type.decode()),
        body=body,
        final=final == b"1",
    )
