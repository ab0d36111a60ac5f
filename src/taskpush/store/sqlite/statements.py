"""What a batch writes: one statement for each table, with the rows of all its tasks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, Final

import orjson

from taskpush.store.batch import MAX_FORGOTTEN_KEYS, Batch
from taskpush.store.rows import encode_states, to_microseconds
from taskpush.store.sqlite.tails import Placement

MAX_ROWS_PER_STATEMENT: Final = 512
"""A power of two; times the columns of the widest table it stays below SQLite's 32,766 bindings."""

_EVENTS: Final = (
    "INSERT INTO events (task, seq, attempt, epoch, event_type, final, at, body)"
    " SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL"
)
_RECENT: Final = (
    "INSERT INTO recent_events (id, task, seq, attempt, epoch, event_type, final, at, body)"
    " SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL"
)
_FORGET_RECENT: Final = "DELETE FROM recent_events WHERE id < ?"
_TASKS: Final = (
    "INSERT INTO tasks (id, task_id, tenant, owner, kind, status, attempt, priority, created_at,"
    " run_at, started_at, finished_at, runner, folded_title, changed, upload_bytes, doc)"
    " SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL"
    " ON CONFLICT (id) DO UPDATE SET status = excluded.status, attempt = excluded.attempt,"
    " priority = excluded.priority, run_at = excluded.run_at, started_at = excluded.started_at,"
    " finished_at = excluded.finished_at, runner = excluded.runner,"
    " folded_title = excluded.folded_title, changed = excluded.changed, doc = excluded.doc"
)
_TAGS: Final = (
    "INSERT OR IGNORE INTO task_tags (tenant, tag, task)"
    " SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL"
)
_LATEST: Final = (
    "INSERT OR REPLACE INTO latest (task, event_type, attempt, rev, body)"
    " SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL"
)
_KEYS: Final = (
    "INSERT OR REPLACE INTO idempotency_keys (tenant, owner, key, body_hash, created_at, task_ids)"
    " SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL"
)
_FORGET_KEYS: Final = (
    "DELETE FROM idempotency_keys WHERE id IN (SELECT id FROM idempotency_keys"
    " WHERE created_at <= ? ORDER BY created_at LIMIT ?)"
)
_DROP_LATEST: Final = "DELETE FROM latest WHERE task IN (SELECT value FROM json_each(?))"
# Each takes [[id, task_id, tenant, owner]].
_DELETIONS: Final = (
    "DELETE FROM events WHERE task IN (SELECT value ->> 0 FROM json_each(?))",
    "DELETE FROM events_set_aside WHERE task IN (SELECT value ->> 0 FROM json_each(?))",
    "DELETE FROM latest WHERE task IN (SELECT value ->> 0 FROM json_each(?))",
    "DELETE FROM webhooks WHERE task IN (SELECT value ->> 0 FROM json_each(?))",
    "DELETE FROM tasks WHERE id IN (SELECT value ->> 0 FROM json_each(?))",
    (
        "INSERT INTO deleted_tasks (id, task_id, tenant, owner)"
        " SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?)"
    ),
)
# Takes [[tenant, tag, id]].
_DELETE_TAGS: Final = (
    "DELETE FROM task_tags WHERE (tenant, tag, task) IN"
    " (SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?))"
)
_TOMBSTONES: Final = (
    "INSERT INTO tombstones (changed, task_id, tenant, owner, kind, tags)"
    " SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL"
)
_FORGET_TOMBSTONES: Final = "DELETE FROM tombstones WHERE changed <= ?"
_NOTES: Final = (
    "INSERT INTO audit (at, tenant, owner, action, task_id, doc)"
    " SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL"
)
_WEBHOOKS_BEGUN: Final = (
    "INSERT INTO webhooks (task, open, doc)"
    " SELECT column1, 1, '[]' FROM (VALUES {rows}) WHERE column1 IS NOT NULL"
    " ON CONFLICT (task) DO UPDATE SET open = 1"
)
_DELIVERIES: Final = (
    "INSERT OR REPLACE INTO webhooks (task, open, doc)"
    " SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL"
)
_UPLOADS: Final = (
    "INSERT OR REPLACE INTO uploads (upload_id, tenant, owner, name, media_type, size_bytes,"
    " sha256, created_at, expires_at, uses)"
    " SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL"
)
_DROP_UPLOADS: Final = "DELETE FROM uploads WHERE upload_id IN (SELECT value FROM json_each(?))"
_META: Final = (
    "INSERT OR REPLACE INTO meta (name, value)"
    " SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL"
)

Values = Sequence[Any]


class Statements:
    """Makes them, and remembers their texts."""

    def __init__(self) -> None:
        # The text of each statement for each number of rows: ten of each at most.
        self._texts: dict[tuple[str, int], str] = {}

    def of(self, batch: Batch, placement: Placement) -> Iterable[tuple[str, Values]]:
        """The statements that write everything but what is cut and deleted, in their order."""
        yield from self._inserts(_TASKS, 17, _task_rows(batch))
        yield from self._inserts(_TAGS, 3, _tag_rows(batch))
        yield from self._inserts(_EVENTS, 8, placement.logged)
        yield from self._inserts(_RECENT, 9, placement.recent)
        if placement.forget_before is not None:
            yield _FORGET_RECENT, (placement.forget_before,)
        if batch.outdated:
            yield _DROP_LATEST, (_json([entry.order for entry in batch.outdated.values()]),)
        yield from self._inserts(_LATEST, 5, _latest_rows(batch))
        if batch.forget_keys_of is not None:
            yield _FORGET_KEYS, (to_microseconds(batch.forget_keys_of), MAX_FORGOTTEN_KEYS)
        yield from self._inserts(_KEYS, 6, _key_rows(batch))
        yield from self._inserts(_TOMBSTONES, 6, _tombstone_rows(batch))
        if batch.forget_tombstones is not None:
            yield _FORGET_TOMBSTONES, (batch.forget_tombstones,)
        yield from self._inserts(_NOTES, 6, _note_rows(batch))
        yield from self._inserts(_WEBHOOKS_BEGUN, 1, [(entry.order,) for entry in batch.begun])
        yield from self._inserts(_DELIVERIES, 3, _delivery_rows(batch))
        yield from self._inserts(_UPLOADS, 10, _upload_rows(batch))
        dropped = [upload_id for upload_id, upload in batch.uploads.items() if upload is None]
        if dropped:
            yield _DROP_UPLOADS, (_json(dropped),)
        yield from self._inserts(_META, 2, _meta_rows(batch))

    def _inserts(
        self, template: str, width: int, rows: Sequence[Values]
    ) -> Iterable[tuple[str, Values]]:
        for start in range(0, len(rows), MAX_ROWS_PER_STATEMENT):
            chunk = rows[start : start + MAX_ROWS_PER_STATEMENT]
            # Filled up to a power of two with rows of NULLs, which the statement leaves out: so
            # few texts are needed that all of them stay prepared.
            size = 1 << (len(chunk) - 1).bit_length()
            values = list(chain.from_iterable(chunk))
            values += [None] * (width * (size - len(chunk)))
            yield self._text(template, width, size), values

    def _text(self, template: str, width: int, size: int) -> str:
        text = self._texts.get((template, size))
        if text is None:
            row = f"({','.join('?' * width)})"
            text = template.replace("{rows}", ",".join([row] * size))
            self._texts[template, size] = text
        return text


def _task_rows(batch: Batch) -> Sequence[Values]:
    return [
        (
            row.order,
            row.record.task_id,
            row.record.tenant,
            row.record.owner,
            row.record.kind,
            row.record.status,
            row.record.attempt,
            row.record.priority,
            to_microseconds(row.record.created_at),
            _microseconds(row.record.run_at),
            _microseconds(row.record.started_at),
            _microseconds(row.record.finished_at),
            row.record.runner,
            row.record.title and row.record.title.casefold(),
            row.changed,
            sum(upload.size_bytes for upload in row.record.uploads),
            row.doc,
        )
        for row in batch.rows.values()
    ]


def _tag_rows(batch: Batch) -> Sequence[Values]:
    return [
        (row.record.tenant, tag, row.order)
        for row in batch.rows.values()
        if row.created
        for tag in row.record.tags
    ]


def _latest_rows(batch: Batch) -> Sequence[Values]:
    return [
        (entry.order, event.event_type, event.attempt, event.rev, event.body)
        for entry, event in batch.latest
    ]


def _key_rows(batch: Batch) -> Sequence[Values]:
    return [
        (*kept.key.name, kept.key.body_hash, to_microseconds(kept.created_at), _json(kept.task_ids))
        for kept in batch.keys.values()
    ]


def deletions_of(batch: Batch) -> Iterable[tuple[str, Values]]:
    """The statements that remove the tasks which the batch deletes."""
    entries = batch.deleted.values()
    if entries:
        rows = _json(
            [
                (entry.order, entry.record.task_id, entry.record.tenant, entry.record.owner)
                for entry in entries
            ]
        )
        for text in _DELETIONS:
            yield text, (rows,)
    tags = [
        (entry.record.tenant, tag, entry.order) for entry in entries for tag in entry.record.tags
    ]
    if tags:
        yield _DELETE_TAGS, (_json(tags),)


def _tombstone_rows(batch: Batch) -> Sequence[Values]:
    return [
        (gone.changed, gone.task_id, gone.tenant, gone.owner, gone.kind, _json(gone.tags))
        for gone in batch.tombstones
    ]


def _note_rows(batch: Batch) -> Sequence[Values]:
    return [
        (at_us, entry.tenant, entry.owner, entry.action, entry.task_id, doc)
        for at_us, entry, doc in batch.notes
    ]


def _delivery_rows(batch: Batch) -> Sequence[Values]:
    return [
        (entry.order, is_open, encode_states(states).decode())
        for entry, states, is_open in batch.delivered
    ]


def _upload_rows(batch: Batch) -> Sequence[Values]:
    return [
        (
            upload_id,
            upload.tenant,
            upload.owner,
            upload.ref.name,
            upload.ref.media_type,
            upload.ref.size_bytes,
            upload.ref.sha256,
            to_microseconds(upload.created_at),
            _microseconds(upload.expires_at),
            upload.uses,
        )
        for upload_id, upload in batch.uploads.items()
        if upload is not None
    ]


def _microseconds(moment: datetime | None) -> int | None:
    return to_microseconds(moment) if moment is not None else None


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _meta_rows(batch: Batch) -> Sequence[Values]:
    rows: list[Values] = []
    if batch.reserved_rev is not None:
        rows.append(("rev", batch.reserved_rev))
    if batch.forget_tombstones is not None:
        rows.append(("forgotten", batch.forget_tombstones))
    if batch.synced and not (batch.rows or batch.events or batch.notes or batch.uploads or rows):
        # Something must be written for a sync to happen: what the caller's decision saw, and is
        # told is safe, may so far be in the system's cache only.
        rows.append(("probe", 0))
    return rows
