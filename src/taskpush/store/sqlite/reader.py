"""Reading the SQLite file, through a connection that cannot write.

Every question is one statement that gives one row, whatever it holds: that makes it one read
transaction, and each step of a statement gives up the interpreter's lock, which a busy thread
hands back only after the switch interval. A page of 1,000 events read row by row would take
seconds beside a busy handler.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import apsw
import orjson

from taskpush.models.events import EventType, Status
from taskpush.models.feed import FeedFilter, Tombstone
from taskpush.models.position import Position
from taskpush.models.task import LoggedEvent, TaskRecord
from taskpush.models.uploads import HeldUploads, KeptUpload, UploadRef
from taskpush.models.webhooks import Hooked
from taskpush.store.base import IdempotencyKey, LogPage, TaskFilter, TaskPage, Waiting
from taskpush.store.calls import Entry, KeptKey, Stored
from taskpush.store.cursor import decode_cursor, encode_cursor
from taskpush.store.latest import newest_latest
from taskpush.store.rows import (
    decode_record,
    decode_states,
    from_microseconds,
    to_microseconds,
    webhooks_of,
)
from taskpush.store.sqlite.database import BUSY_TIMEOUT_MS
from taskpush.store.sqlite.logs import LATEST, latest_events, read_page, read_type
from taskpush.store.sqlite.selection import conditions_of, selection
from taskpush.store.sqlite.tails import EventRow

# Each task as [id, doc, [seq, epoch, at] of its head or null, [[event_type, attempt, rev, body]]].
_ENTRIES: Final = """
    SELECT '[' || coalesce(group_concat(
        '[' || t.id || ',' || CAST(t.doc AS TEXT)
        || ',' || coalesce((SELECT json_array(seq, epoch, at)
                            FROM events WHERE task = t.id ORDER BY seq DESC LIMIT 1), 'null')
        || ',' || {latest} || ']', ','), '') || ']'
    FROM ({chosen}) AS t
""".replace("{latest}", LATEST)

# The same, each with its place in the order of changes in front; and the tombstones as
# [changed, task_id, tenant, owner, kind, tags].
_WRITTEN: Final = """
    SELECT ({entries}),
        (SELECT json_group_array(json_array(changed, task_id, tenant, owner, kind, json(tags)))
         FROM (SELECT * FROM tombstones AS t WHERE {gone} AND changed > :changed_after
               ORDER BY changed LIMIT :limit))
""".replace("{entries}", _ENTRIES.replace("'[' || t.id", "'[' || t.changed || ',' || t.id"))
_WRITTEN_TASKS: Final = """
    SELECT id, doc, changed FROM tasks AS t INDEXED BY tasks_changed
    WHERE {conditions} AND changed > :changed_after ORDER BY changed LIMIT :limit
"""
_HAS_TAG: Final = (
    "EXISTS (SELECT 1 FROM task_tags WHERE tenant = :tenant AND tag = :tag AND task = t.id)"
)
_HAD_TAG: Final = "EXISTS (SELECT 1 FROM json_each(t.tags) WHERE value = :tag)"

_BY_TASK_ID: Final = """
    SELECT id, doc FROM tasks WHERE task_id IN (SELECT value FROM json_each(:task_ids))
"""
_ABANDONED: Final = """
    SELECT id, doc FROM tasks WHERE status = 'running' AND runner IS NOT :epoch ORDER BY id LIMIT -1
"""
_INTERRUPTED: Final = """
    SELECT id, doc FROM tasks WHERE status = 'interrupted'
    AND kind IN (SELECT value FROM json_each(:kinds)) ORDER BY id LIMIT -1
"""
_ENDED: Final = """
    SELECT id, doc FROM tasks WHERE kind = :kind AND finished_at IS NOT NULL
    AND status IN ('completed', 'failed') ORDER BY finished_at DESC, id DESC LIMIT :limit
"""
_WAITING: Final = """
    SELECT json_group_array(json_array(task_id, kind, priority, run_at, tenant, owner)) FROM (
        SELECT task_id, kind, priority, run_at, tenant, owner FROM tasks WHERE status = 'pending'
        ORDER BY priority DESC, id LIMIT -1
    )
"""
_MISSING: Final = """
    SELECT json_group_array(value) FROM json_each(:task_ids)
    WHERE NOT EXISTS (SELECT 1 FROM tasks WHERE task_id = value)
"""
_DELETED: Final = """
    SELECT json_group_array(task_id) FROM deleted_tasks
    WHERE task_id IN (SELECT value FROM json_each(:task_ids))
"""
_WAS_DELETED: Final = """
    SELECT count(*) FROM deleted_tasks
    WHERE task_id = :task_id AND tenant = :tenant AND owner = :owner
"""
# Each task as [task_id, [[url, [event_type]]], states as a text].
_HOOKED: Final = """
    SELECT json_group_array(json_array(
        t.task_id, json_extract(CAST(t.doc AS TEXT), '$.webhooks'), coalesce(w.doc, '[]')))
    FROM {chosen}
"""
_WEBHOOKS_OF: Final = _HOOKED.replace(
    "{chosen}",
    "tasks AS t LEFT JOIN webhooks AS w ON w.task = t.id WHERE t.task_id = :task_id",
)
_OPEN_WEBHOOKS: Final = _HOOKED.replace(
    "{chosen}",
    "(SELECT * FROM webhooks INDEXED BY webhooks_open WHERE open AND :task_id IS NULL"
    " ORDER BY task) AS w JOIN tasks AS t ON t.id = w.task",
)
# As [tenant, owner, key, body_hash, created_at, [task_id]].
_KEYS: Final = """
    SELECT json_group_array(json_array(tenant, owner, key, body_hash, created_at, json(task_ids)))
    FROM idempotency_keys WHERE (tenant, owner, key) IN (
        SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(:names)
    )
"""

# As [upload_id, name, media_type, size_bytes, sha256, tenant, owner, created_at, expires_at, uses].
_UPLOADS: Final = """
    SELECT json_group_array(json_array(upload_id, name, media_type, size_bytes, sha256,
                                       tenant, owner, created_at, expires_at, uses))
    FROM uploads WHERE upload_id IN (SELECT value FROM json_each(:upload_ids))
"""
# As [unused, unused_bytes, size_bytes].
_HELD_UPLOADS: Final = """
    SELECT json_array(count(*) FILTER (WHERE uses = 0),
                      coalesce(sum(size_bytes) FILTER (WHERE uses = 0), 0),
                      coalesce(sum(size_bytes), 0))
    FROM uploads WHERE tenant = :tenant AND owner = :owner
"""
_EXPIRED_UPLOADS: Final = """
    SELECT json_group_array(upload_id) FROM (
        SELECT upload_id FROM uploads INDEXED BY uploads_by_age
        WHERE uses = 0 AND expires_at <= :now ORDER BY expires_at, upload_id LIMIT :limit
    )
"""

_BEHIND_ALL: Final = 2**63 - 1


class Reader:
    """Answers from the newest commit; used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._connection = open_readonly(path)

    def interrupt(self) -> None:
        """Make the question under way fail, from whatever thread; not while it is closed."""
        self._connection.interrupt()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def entries(self, task_ids: Collection[str]) -> dict[str, Entry]:
        """The tasks that exist, by id."""
        if not task_ids:
            return {}
        found = self._entries(_BY_TASK_ID, {"task_ids": orjson.dumps(list(task_ids)).decode()})
        return {entry.record.task_id: entry for entry in found}

    def entry(self, task_id: str) -> Entry | None:
        """One task, or None."""
        return self.entries([task_id]).get(task_id)

    def stored(self, task_ids: Collection[str], keys: Collection[IdempotencyKey]) -> Stored:
        """What there is of the tasks and the keys, and of the tasks created under the keys."""
        kept = self._keys(keys)
        wanted = {*task_ids, *(task_id for key in kept.values() for task_id in key.task_ids)}
        entries = self.entries(wanted)
        return Stored(entries, self._deleted(wanted - entries.keys()), kept)

    def page(
        self,
        task_id: str,
        after: Position,
        limit: int,
        max_bytes: int,
        tail: Sequence[EventRow] = (),
    ) -> tuple[LogPage, int, Status]:
        """See `read_page`."""
        return read_page(self._connection, task_id, after, limit, max_bytes, tail)

    def events_of_type(
        self, task_id: str, event_type: EventType, tail: Sequence[EventRow] = ()
    ) -> list[LoggedEvent]:
        """See `read_type`."""
        return read_type(self._connection, task_id, event_type, tail)

    def tasks(self, where: TaskFilter, *, limit: int, after: str | None) -> TaskPage:
        """See `Store.tasks`; `latest` is what the disk has."""
        chosen, bindings = selection(where)
        before = decode_cursor(after) if after is not None else _BEHIND_ALL
        # One more than asked for tells whether there is a next page.
        found = self._entries(chosen, {**bindings, "before": before, "limit": limit + 1})
        page = found[:limit]
        return TaskPage(
            records=[entry.record for entry in page],
            next=encode_cursor(page[-1].order) if len(found) > limit else None,
        )

    def missing(self, task_ids: Collection[str]) -> Collection[str]:
        """See `Store.missing`."""
        ids = orjson.dumps(list(task_ids)).decode()
        return frozenset(orjson.loads(self._connection.execute(_MISSING, {"task_ids": ids}).get))

    def hooked(self, task_id: str | None = None) -> Sequence[Hooked]:
        """The webhooks of a task; without one, of all of which something may be left."""
        text = _OPEN_WEBHOOKS if task_id is None else _WEBHOOKS_OF
        found = self._connection.execute(text, {"task_id": task_id}).get
        return [
            Hooked(task, webhooks := webhooks_of(listed), decode_states(doc, len(webhooks)))
            for task, listed, doc in orjson.loads(found)
        ]

    def uploads(self, upload_ids: Collection[str]) -> Mapping[str, KeptUpload]:
        """See `Store.uploads`."""
        ids = orjson.dumps(list(upload_ids)).decode()
        found = orjson.loads(self._connection.execute(_UPLOADS, {"upload_ids": ids}).get)
        return {columns[0]: _upload(*columns) for columns in found}

    def held_uploads(self, tenant: str, owner: str) -> HeldUploads:
        """See `Store.held_uploads`."""
        bindings = {"tenant": tenant, "owner": owner}
        return HeldUploads(*orjson.loads(self._connection.execute(_HELD_UPLOADS, bindings).get))

    def expired_uploads(self, now: datetime, limit: int) -> Sequence[str]:
        """See `Store.expired_uploads`."""
        bindings = {"now": to_microseconds(now), "limit": limit}
        found: list[str] = orjson.loads(self._connection.execute(_EXPIRED_UPLOADS, bindings).get)
        return found

    def was_deleted(self, task_id: str, tenant: str, owner: str) -> bool:
        """See `Store.was_deleted`."""
        bindings = {"task_id": task_id, "tenant": tenant, "owner": owner}
        return bool(self._connection.execute(_WAS_DELETED, bindings).get)

    def active(
        self, where: FeedFilter, before: int | None, limit: int
    ) -> Sequence[tuple[int, TaskRecord]]:
        """See `ChangeSource.active_tasks`.

        A task that moves between the two looks is in either or both of them, or its move is told
        as a change.
        """
        found: dict[int, TaskRecord] = {}
        for status in (Status.PENDING, Status.RUNNING):
            chosen, bindings = selection(_task_filter(where, status))
            before_id = _BEHIND_ALL if before is None else before
            entries = self._entries(chosen, {**bindings, "before": before_id, "limit": limit})
            found |= {entry.order: entry.record for entry in entries}
        return sorted(found.items(), reverse=True)[:limit]

    def written(
        self, where: FeedFilter, after: int, limit: int
    ) -> list[tuple[int, TaskRecord | Tombstone]]:
        """See `ChangeSource.written_tasks`."""
        conditions, bindings = conditions_of(_task_filter(replace(where, tag=None), None))
        tasks = [conditions] + [_HAS_TAG] * (where.tag is not None)
        gone = [conditions] + [_HAD_TAG] * (where.tag is not None)
        chosen = _WRITTEN_TASKS.replace("{conditions}", " AND ".join(tasks))
        text = _WRITTEN.replace("{chosen}", chosen).replace("{gone}", " AND ".join(gone))
        bindings |= {"changed_after": after, "limit": limit}
        if where.tag is not None:
            bindings["tag"] = where.tag
        entries, tombstones = next(self._connection.execute(text, bindings))
        found: list[tuple[int, TaskRecord | Tombstone]] = [
            (changed, _entry(*columns).record) for changed, *columns in orjson.loads(entries)
        ]
        found += [(columns[0], _tombstone(*columns)) for columns in orjson.loads(tombstones)]
        return sorted(found, key=itemgetter(0))[:limit]

    def waiting(self) -> list[Waiting]:
        """See `Store.waiting`."""
        found = self._connection.execute(_WAITING).get
        return [_waiting(*columns) for columns in orjson.loads(found)]

    def abandoned(self, epoch: str) -> list[TaskRecord]:
        """Running tasks whose runner is not `epoch`."""
        return [entry.record for entry in self._entries(_ABANDONED, {"epoch": epoch})]

    def interrupted(self, kinds: Collection[str]) -> list[TaskRecord]:
        """Interrupted tasks of these kinds."""
        names = orjson.dumps(list(kinds)).decode()
        return [entry.record for entry in self._entries(_INTERRUPTED, {"kinds": names})]

    def ended(self, kind: str, limit: int) -> list[TaskRecord]:
        """The tasks of a kind that completed or failed last, newest end first."""
        found = self._entries(_ENDED, {"kind": kind, "limit": limit})
        return [entry.record for entry in found]

    def _deleted(self, task_ids: Collection[str]) -> Collection[str]:
        if not task_ids:
            return ()
        names = orjson.dumps(list(task_ids)).decode()
        return frozenset(orjson.loads(self._connection.execute(_DELETED, {"task_ids": names}).get))

    def _keys(self, keys: Collection[IdempotencyKey]) -> dict[tuple[str, str, str], KeptKey]:
        if not keys:
            return {}
        names = orjson.dumps([key.name for key in keys]).decode()
        found = orjson.loads(self._connection.execute(_KEYS, {"names": names}).get)
        kept = [_kept_key(*columns) for columns in found]
        return {key.key.name: key for key in kept}

    def _entries(self, chosen: str, bindings: Mapping[str, Any]) -> list[Entry]:
        text = self._connection.execute(_ENTRIES.replace("{chosen}", chosen), bindings).get
        return [_entry(*columns) for columns in orjson.loads(text)]


def open_readonly(path: Path) -> apsw.Connection:
    """A connection that neither writes nor makes checkpoints."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.pragma("query_only", True)
    return connection


def _task_filter(where: FeedFilter, status: Status | None) -> TaskFilter:
    return TaskFilter(where.tenant, where.owner, status, where.kind, where.tag)


def _tombstone(
    changed: int, task_id: str, tenant: str, owner: str, kind: str, tags: Sequence[str]
) -> Tombstone:
    return Tombstone(task_id, tenant, owner, kind, tuple(tags), changed)


def _waiting(
    task_id: str, kind: str, priority: int, run_at: int | None, tenant: str, owner: str
) -> Waiting:
    due = from_microseconds(run_at) if run_at is not None else None
    return Waiting(task_id, kind, priority, due, tenant, owner)


def _kept_key(
    tenant: str, owner: str, key: str, body_hash: str, created_at: int, task_ids: Sequence[str]
) -> KeptKey:
    name = IdempotencyKey(tenant, owner, key, body_hash)
    return KeptKey(name, from_microseconds(created_at), tuple(task_ids))


def _upload(
    upload_id: str,
    name: str,
    media_type: str,
    size_bytes: int,
    sha256: str,
    tenant: str,
    owner: str,
    created_at: int,
    expires_at: int | None,
    uses: int,
) -> KeptUpload:
    return KeptUpload(
        ref=UploadRef(upload_id, name, media_type, size_bytes, sha256),
        tenant=tenant,
        owner=owner,
        created_at=from_microseconds(created_at),
        expires_at=from_microseconds(expires_at) if expires_at is not None else None,
        uses=uses,
    )


def _entry(
    order: int,
    doc: Mapping[str, Any],
    head: tuple[int, str, int] | None,
    latest: Sequence[tuple[str, int, int, str]],
) -> Entry:
    seq, epoch, at = head or (0, None, None)
    record = decode_record(
        doc,
        head=Position(seq, epoch),
        last_event_at=from_microseconds(at) if at is not None else None,
        latest=latest_events(doc["task_id"], latest),
    )
    applying = newest_latest(record.attempt, record.status, record.latest)
    return Entry(order, replace(record, latest=applying))
