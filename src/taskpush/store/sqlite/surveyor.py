"""Questions about many tasks: statistics, and what retention looks at.

On a connection of their own: they may take long in a large file, and nobody who reads one task
waits for them. As in `reader`, each is one statement that gives one row.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import orjson

from taskpush.core.retention import FinishedTask
from taskpush.models.audit import AuditEntry, AuditFilter, AuditPlace, PlacedEntry
from taskpush.store.base import StoreUsage, TaskFilter
from taskpush.store.daystats import DAY_US, MEDIAN, P95, DayStats, day_of, to_seconds
from taskpush.store.rows import from_microseconds, to_microseconds
from taskpush.store.sqlite.reader import open_readonly
from taskpush.store.sqlite.schema import check_present
from taskpush.store.sqlite.selection import conditions_of

_FINISHED: Final = """
    SELECT json_group_array(json_array(
        task_id, kind, id, attempt, finished_at, octet_length(doc) + upload_bytes, json((
        SELECT json_array(count(*), total(octet_length(body))) FROM events WHERE task = t.id
    )), (
        SELECT octet_length(body) FROM events WHERE task = t.id ORDER BY seq DESC LIMIT 1
    ))) FROM (
        SELECT id, finished_at AS ended FROM tasks
        WHERE {conditions} AND (finished_at, id) < (:before, :order) AND finished_at IS NOT NULL
        AND status IN ('completed', 'failed', 'cancelled')
        ORDER BY finished_at DESC, id DESC LIMIT :limit
    ) CROSS JOIN tasks AS t USING (id)
"""
# Seqs have no holes: two look-ups for each task, however long its log. And what is in none yet.
_USAGE: Final = """
    SELECT json_array(count(*), total(
        (SELECT coalesce(max(seq), 0) FROM events WHERE task = t.id)
        - (SELECT coalesce(min(seq), 1) FROM events WHERE task = t.id) + 1
    ) + (
        SELECT count(*) FROM recent_events AS r
        WHERE seq > (SELECT max(seq) FROM events WHERE task = r.task)
    ), json((
        SELECT json_array((page_count - freelist_count) * page_size, freelist_count * page_size)
        FROM pragma_page_count, pragma_freelist_count, pragma_page_size
    ))) FROM tasks AS t
"""
# `number` counts the values of a group, from the smallest on.
_DAILY: Final = (
    """
    WITH ended AS (
        SELECT finished_at / {day} AS day, kind, status,
            CASE WHEN status = 'completed' THEN max(finished_at - started_at, 0) END AS took,
            CASE WHEN attempt = 1 OR run_at IS NOT NULL
                 THEN max(started_at - max(created_at, coalesce(run_at, created_at)), 0)
            END AS waited
        FROM tasks AS t WHERE {conditions} AND finished_at >= :since
        AND status IN ('completed', 'failed', 'cancelled', 'interrupted')
    ), numbered AS (
        SELECT *,
            row_number() OVER (PARTITION BY day, kind, took IS NULL ORDER BY took) AS took_number,
            row_number() OVER (PARTITION BY day, kind, waited IS NULL ORDER BY waited)
                AS waited_number,
            count(took) OVER (PARTITION BY day, kind) AS taken,
            count(waited) OVER (PARTITION BY day, kind) AS waits
        FROM ended
    )
    SELECT json_group_array(json(row)) FROM (
        SELECT json_array(day, kind,
            count(*) FILTER (WHERE status = 'completed'),
            count(*) FILTER (WHERE status = 'failed'),
            count(*) FILTER (WHERE status = 'cancelled'),
            count(*) FILTER (WHERE status = 'interrupted'),
            min(took) FILTER (WHERE took_number * 100 >= taken * {median}),
            min(took) FILTER (WHERE took_number * 100 >= taken * {p95}),
            min(waited) FILTER (WHERE waited_number * 100 >= waits * {median})
        ) AS row FROM numbered GROUP BY day, kind ORDER BY day, kind
    )
""".replace("{day}", str(DAY_US))
    .replace("{median}", str(MEDIAN))
    .replace("{p95}", str(P95))
)
_AUDIT: Final = """
    SELECT json_group_array(json_array(at, id, json(doc))) FROM (
        SELECT at, id, doc FROM audit WHERE {conditions} AND (at, id) < (:before, :number)
        ORDER BY at DESC, id DESC LIMIT :limit
    )
"""
_AUDIT_CONDITIONS: Final = (
    ("task_id", "task_id = :task_id"),
    ("owner", "owner = :owner"),
    ("action", "action = :action"),
    ("since", "at >= :since"),
)
_TAGGED: Final = "t.id IN (SELECT task FROM task_tags WHERE tenant = :tenant AND tag = :tag)"
_EVER: Final = 2**63 - 1


class Surveyor:
    """Answers from the newest commit; used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._connection = open_readonly(path)

    def interrupt(self) -> None:
        """Make the question under way fail, from whatever thread; not while it is closed."""
        self._connection.interrupt()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def check(self) -> None:
        """Raise `StoreUnavailable` unless the file is ours and of the present version."""
        check_present(self._connection)

    def finished(
        self,
        *,
        before: datetime | None = None,
        kind: str | None = None,
        after: FinishedTask | None = None,
        limit: int,
    ) -> list[FinishedTask]:
        """See `Store.finished`."""
        condition = "TRUE" if kind is None else "kind = :kind"
        first = (to_microseconds(before), 0) if before is not None else (_EVER, 0)
        if after is not None:
            first = min(first, (to_microseconds(after.finished_at), after.order))
        bindings = {"kind": kind, "before": first[0], "order": first[1], "limit": limit}
        found = self._ask(_FINISHED.replace("{conditions}", condition), bindings)
        return [_finished(*columns) for columns in found]

    def usage(self) -> StoreUsage:
        """See `Store.usage`."""
        tasks, events, (used, unused) = self._ask(_USAGE, {})
        return StoreUsage(tasks=tasks, events=int(events), bytes=used, unused_bytes=unused)

    def daily(self, where: TaskFilter, since: datetime) -> list[DayStats]:
        """See `Store.daily`; of the days from `since` on."""
        conditions, bindings = conditions_of(where)
        conditions = conditions.replace("tag = :tag", _TAGGED)
        text = _DAILY.replace("{conditions}", conditions)
        found = self._ask(text, {**bindings, "since": to_microseconds(since)})
        return [_day_stats(*columns) for columns in found]

    def audit(self, where: AuditFilter, before: AuditPlace | None, limit: int) -> list[PlacedEntry]:
        """See `Store.audit`."""
        asked = {
            "task_id": where.task_id,
            "owner": where.owner,
            "action": where.action,
            "since": None if where.since is None else to_microseconds(where.since),
        }
        conditions = ["tenant = :tenant"]
        conditions += [text for name, text in _AUDIT_CONDITIONS if asked[name] is not None]
        last = before or AuditPlace(_EVER, 0)
        bindings = {**asked, "tenant": where.tenant, "limit": limit}
        found = self._ask(
            _AUDIT.replace("{conditions}", " AND ".join(conditions)),
            {**bindings, "before": last.at_us, "number": last.number},
        )
        return [
            PlacedEntry(AuditPlace(at, number), AuditEntry.model_validate(doc))
            for at, number, doc in found
        ]

    def _ask(self, text: str, bindings: dict[str, Any]) -> Sequence[Any]:
        answer: Sequence[Any] = orjson.loads(self._connection.execute(text, bindings).get)
        return answer


def _finished(
    task_id: str,
    kind: str,
    order: int,
    attempt: int,
    finished_at: int,
    record_bytes: int,
    log: tuple[int, float],
    last_event_bytes: int | None,
) -> FinishedTask:
    return FinishedTask(
        task_id=task_id,
        kind=kind,
        order=order,
        attempt=attempt,
        finished_at=from_microseconds(finished_at),
        events=log[0],
        log_bytes=int(log[1]),
        last_event_bytes=last_event_bytes or 0,
        record_bytes=record_bytes,
    )


def _day_stats(day: int, kind: str, *columns: int | None) -> DayStats:
    completed, failed, cancelled, interrupted, median, p95, median_wait = columns
    return DayStats(
        day=day_of(day),
        kind=kind,
        completed=completed or 0,
        failed=failed or 0,
        cancelled=cancelled or 0,
        interrupted=interrupted or 0,
        median_s=to_seconds(median),
        p95_s=to_seconds(p95),
        median_wait_s=to_seconds(median_wait),
    )
