"""The SQLite file's one connection for writes and checkpoints.

SQLite up to 3.51.2 can lose commits when two connections write or checkpoint one WAL database;
one connection avoids the question. Its owner sees to it that one thread at a time uses it.

Each step of a statement gives up the interpreter's lock, and takes up to the switch interval to
get it back from a busy thread: a batch is few statements, whatever it holds.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import apsw
import orjson

from taskpush.store.batch import MAX_FORGOTTEN_KEYS, Batch, Cut
from taskpush.store.changes import MAX_ERAS, History
from taskpush.store.rows import to_microseconds
from taskpush.store.schema import migrate

BUSY_TIMEOUT_MS: Final = 250
"""Nothing of ours competes for the file; whatever does must not hold the event loop for long."""
CHECKPOINT_PAGES: Final = 4000
"""Sixteen megabytes: a page that many events are written to is moved once for all of them."""
CACHE_KIB: Final = 32 * 1024
"""Running tasks append to a page each; a batch over many tasks must find them in memory."""
SHRINK_PAGES: Final = 256
"""How much of the file is given back between two commits: a megabyte."""
MAX_ROWS_PER_STATEMENT: Final = 512
"""A power of two; times the columns of the widest table it stays below SQLite's 32,766 bindings."""

_EVENTS: Final = (
    "INSERT INTO events (task, seq, attempt, epoch, event_type, final, at, body)"
    " SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL"
)
_TASKS: Final = (
    "INSERT INTO tasks (id, task_id, tenant, owner, kind, status, attempt, priority, created_at,"
    " run_at, started_at, finished_at, runner, folded_title, changed, doc)"
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
_CUT_BYTES: Final = "SELECT total(octet_length(body)) FROM events WHERE task = ? AND seq <= ?"
_SET_ASIDE: Final = (
    "INSERT INTO events_set_aside SELECT * FROM events INDEXED BY events_apart"
    " WHERE event_type IN ('artifact', 'checkpoint')"
    " AND task = ? AND event_type = 'artifact' AND seq <= ?"
)
_CUT: Final = "DELETE FROM events WHERE task = ? AND seq <= ?"
# The index has them by tenant: one look-up for each.
_NEWEST_CHANGE: Final = """
    WITH RECURSIVE tenants (tenant) AS (
        SELECT min(tenant) FROM tasks
        UNION ALL
        SELECT (SELECT min(tenant) FROM tasks WHERE tenant > tenants.tenant)
        FROM tenants WHERE tenants.tenant IS NOT NULL
    )
    SELECT max(
        coalesce((SELECT max((SELECT max(changed) FROM tasks WHERE tenant = tenants.tenant))
                  FROM tenants), 0),
        coalesce((SELECT max(changed) FROM tombstones), 0)
    )
"""
_FORGET_ERAS: Final = "DELETE FROM eras WHERE id <= (SELECT max(id) FROM eras) - ?"
_META: Final = (
    "INSERT OR REPLACE INTO meta (name, value)"
    " SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL"
)

Values = Sequence[Any]


class Database:
    """Writes batches; made by `open_database`."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._synced = False
        # Pages in the WAL that no checkpoint has looked at, about.
        self._wal_pages = 0
        # The text of each statement for each number of rows: ten of each at most.
        self._texts: dict[tuple[str, int], str] = {}

    def last_order(self) -> int:
        """The highest place in the order of creation that was ever given."""
        text = (
            "SELECT max(coalesce((SELECT max(id) FROM tasks), 0),"
            " coalesce((SELECT max(id) FROM deleted_tasks), 0))"
        )
        return int(self._connection.execute(text).get)

    def reserved_rev(self) -> int:
        """The stored high-water mark of revs."""
        found = self._connection.execute("SELECT value FROM meta WHERE name = 'rev'").get
        return int(found or 0)

    def pending(self) -> Mapping[str, int]:
        """How many tasks of each kind are pending."""
        text = "SELECT kind, count(*) FROM tasks WHERE status = 'pending' GROUP BY kind"
        return dict(self._connection.execute(text))

    def begin_era(self, epoch: str) -> History:
        """Note that the store is opened once more, and say what is known of the time before."""
        with self._connection:
            newest = int(self._connection.execute(_NEWEST_CHANGE).get)
            self._connection.execute("UPDATE eras SET last = ? WHERE last IS NULL", (newest,))
            self._connection.execute("INSERT INTO eras (epoch) VALUES (?)", (epoch,))
            self._connection.execute(_FORGET_ERAS, (MAX_ERAS,))
        eras = self._connection.execute(
            "SELECT json_group_object(epoch, last) FROM eras WHERE last IS NOT NULL"
        ).get
        forgotten = self._connection.execute("SELECT value FROM meta WHERE name = 'forgotten'").get
        tombstones = self._connection.execute(
            "SELECT json_group_array(changed)"
            " FROM (SELECT changed FROM tombstones ORDER BY changed)"
        ).get
        return History(newest, forgotten or 0, orjson.loads(tombstones), orjson.loads(eras))

    def commit(self, batch: Batch) -> None:
        """Write the batch in one transaction, synced when it asks for that.

        When this raises, nothing of it took effect and the next batch may be tried.
        """
        statements, deletions = list(self._statements(batch)), list(_deletions(batch))
        self._set_synced(batch.synced)
        if len(statements) == 1 and not (batch.cuts or deletions):
            # On its own it is a transaction by itself, in one step instead of three.
            self._connection.execute(*statements[0])
        else:
            self._commit_all(statements, batch.cuts, deletions)
        self._wal_pages += self._connection.status(apsw.SQLITE_DBSTATUS_CACHE_WRITE, True)[0]

    @property
    def wants_checkpoint(self) -> bool:
        """Whether the WAL has grown enough."""
        return self._wal_pages >= CHECKPOINT_PAGES

    def checkpoint(self) -> None:
        """Move the WAL's content into the database, as far as no reader needs it."""
        self._wal_pages = 0
        self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def shrink(self) -> bool:
        """Cut some unused pages off the file's end; whether there are more.

        Each step of the statement gives up a page, so a part takes some milliseconds.
        """
        self._set_synced(False)
        unused = self._connection.pragma("freelist_count")
        self._connection.execute(f"PRAGMA incremental_vacuum({SHRINK_PAGES})").fetchall()
        self._wal_pages += self._connection.status(apsw.SQLITE_DBSTATUS_CACHE_WRITE, True)[0]
        left = self._connection.pragma("freelist_count")
        if 0 < left < unused:
            return True
        # The file gets shorter with the next checkpoint.
        self.checkpoint()
        return False

    def close(self) -> None:
        """Move everything out of the WAL and let go of the file."""
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        finally:
            self._connection.close()

    def _commit_all(
        self,
        statements: Sequence[tuple[str, Values]],
        cuts: Sequence[Cut],
        deletions: Sequence[tuple[str, Values]],
    ) -> None:
        # IMMEDIATE: a transaction that begins as a reader may fail when it turns into a writer.
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for text, values in statements:
                self._connection.execute(text, values)
            for cut in cuts:
                self._cut(cut)
            for text, values in deletions:
                self._connection.execute(text, values)
            self._connection.execute("COMMIT")
        except BaseException:
            # Some errors (a full disk) have rolled it back already.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def _cut(self, cut: Cut) -> None:
        which = (cut.entry.order, cut.through)
        cut.removed_bytes = int(self._connection.execute(_CUT_BYTES, which).get)
        self._connection.execute(_SET_ASIDE, which)
        self._connection.execute(_CUT, which)

    def _set_synced(self, synced: bool) -> None:
        if synced != self._synced:
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
            self._synced = synced

    def _statements(self, batch: Batch) -> Iterable[tuple[str, Values]]:
        yield from self._inserts(_TASKS, 16, _task_rows(batch))
        yield from self._inserts(_TAGS, 3, _tag_rows(batch))
        yield from self._inserts(_EVENTS, 8, _event_rows(batch))
        if batch.outdated:
            yield _DROP_LATEST, (_json([entry.order for entry in batch.outdated.values()]),)
        yield from self._inserts(_LATEST, 5, _latest_rows(batch))
        if batch.forget_keys_of is not None:
            yield _FORGET_KEYS, (to_microseconds(batch.forget_keys_of), MAX_FORGOTTEN_KEYS)
        yield from self._inserts(_KEYS, 6, _key_rows(batch))
        yield from self._inserts(_TOMBSTONES, 6, _tombstone_rows(batch))
        if batch.forget_tombstones is not None:
            yield _FORGET_TOMBSTONES, (batch.forget_tombstones,)
        yield from self._inserts(_META, 2, _meta_rows(batch))

    def _inserts(
        self, template: str, width: int, rows: Sequence[Values]
    ) -> Iterable[tuple[str, Values]]:
        for start in range(0, len(rows), MAX_ROWS_PER_STATEMENT):
            chunk = rows[start : start + MAX_ROWS_PER_STATEMENT]
            # Filled up to a power of two with rows of NULLs, which the statement leaves out: so
            # few texts are needed that all of them stay prepared.
            size = 1 << (len(chunk) - 1).bit_length()
            values = [value for row in chunk for value in row]
            values += [None] * (width * (size - len(chunk)))
            yield self._text(template, width, size), values

    def _text(self, template: str, width: int, size: int) -> str:
        text = self._texts.get((template, size))
        if text is None:
            row = f"({','.join('?' * width)})"
            text = template.replace("{rows}", ",".join([row] * size))
            self._texts[template, size] = text
        return text


def open_database(path: Path) -> Database:
    """Open the file, or make it, and bring it to the present version."""
    connection = apsw.Connection(str(path), statementcachesize=100)
    try:
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        migrate(connection)
        connection.pragma("journal_mode", "wal")
        connection.pragma("wal_autocheckpoint", 0)
        connection.pragma("synchronous", "normal")
        connection.pragma("cache_size", -CACHE_KIB)
        sync_directory(path.parent)
    except BaseException:
        connection.close()
        raise
    return Database(connection)


def sync_directory(path: Path) -> None:
    """Make the names in a directory survive power loss."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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


def _event_rows(batch: Batch) -> Sequence[Values]:
    return [
        (
            entry.order,
            event.seq,
            event.attempt,
            event.epoch,
            event.event_type,
            int(event.final),
            to_microseconds(entry.record.last_event_at or entry.record.created_at),
            event.body,
        )
        for entry, event in batch.events
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


def _deletions(batch: Batch) -> Iterable[tuple[str, Values]]:
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
    if batch.synced and not (batch.rows or batch.events or rows):
        # Something must be written for a sync to happen: what the caller's decision saw, and is
        # told is safe, may so far be in the system's cache only.
        rows.append(("probe", 0))
    return rows
