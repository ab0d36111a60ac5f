"""The SQLite file's one connection for writes and checkpoints.

SQLite up to 3.51.2 can lose commits when two connections write or checkpoint one WAL database;
one connection avoids the question. Its owner sees to it that one thread at a time uses it.

Each step of a statement gives up the interpreter's lock, and takes up to the switch interval to
get it back from a busy thread: a batch is few statements, whatever it holds.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import apsw
import orjson

from taskpush.store.base import MAX_FORGOTTEN_ENTRIES
from taskpush.store.batch import Batch, Cut, Forgetting
from taskpush.store.changes import MAX_ERAS, History
from taskpush.store.rows import to_microseconds
from taskpush.store.sqlite.schema import migrate
from taskpush.store.sqlite.statements import Statements, Values, deletions_of
from taskpush.store.sqlite.tails import Placement

BUSY_TIMEOUT_MS: Final = 250
"""Nothing of ours competes for the file; whatever does must not hold the event loop for long."""
CHECKPOINT_PAGES: Final = 2000
"""Eight megabytes: a page that many events are written to is moved once for all of them, and what
is said meanwhile waits for some ten milliseconds."""
CACHE_KIB: Final = 32 * 1024
"""Logs grow in a page each; what is copied into many of them must find these in memory."""
SHRINK_PAGES: Final = 256
"""How much of the file is given back between two commits: a megabyte."""
_CUT_BYTES: Final = "SELECT total(octet_length(body)) FROM events WHERE task = ? AND seq <= ?"
_SET_ASIDE: Final = (
    "INSERT INTO events_set_aside SELECT * FROM events INDEXED BY events_apart"
    " WHERE event_type IN ('artifact', 'checkpoint')"
    " AND task = ? AND event_type = 'artifact' AND seq <= ?"
)
_FORGET_AUDIT: Final = (
    "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < ? ORDER BY at, id LIMIT ?)"
)
_CUT: Final = "DELETE FROM events WHERE task = ? AND seq <= ?"
# The last event of a log is always kept: what is not past it was copied, or cut off, before.
_SETTLE: Final = """
    INSERT INTO events (task, seq, attempt, epoch, event_type, final, at, body)
    SELECT task, seq, attempt, epoch, event_type, final, at, body FROM recent_events AS r
    WHERE EXISTS (SELECT 1 FROM tasks WHERE id = r.task)
    AND seq > (SELECT coalesce(max(seq), 0) FROM events WHERE task = r.task)
    ORDER BY task, seq
"""
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


class Database:
    """Writes batches; made by `open_database`."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._synced = False
        # Pages in the WAL that no checkpoint has looked at, about.
        self._wal_pages = 0
        self._statements = Statements()

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

    def settle_recent(self) -> None:
        """Copy what a crash left among the recent events into the logs that they belong to."""
        with self._connection:
            self._connection.execute(_SETTLE)
            self._connection.execute("DELETE FROM recent_events")

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

    def commit(self, batch: Batch, placement: Placement) -> None:
        """Write the batch in one transaction, its events where `placement` has them.

        Synced when it asks for that. When this raises, nothing of it took effect and the next
        batch may be tried.
        """
        statements = list(self._statements.of(batch, placement))
        deletions = list(deletions_of(batch))
        self._set_synced(batch.synced)
        if len(statements) == 1 and not (batch.cuts or batch.forgettings or deletions):
            # On its own it is a transaction by itself, in one step instead of three.
            self._connection.execute(*statements[0])
        else:
            self._commit_all(statements, batch, deletions)
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
        batch: Batch,
        deletions: Sequence[tuple[str, Values]],
    ) -> None:
        # IMMEDIATE: a transaction that begins as a reader may fail when it turns into a writer.
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for text, values in statements:
                self._connection.execute(text, values)
            for cut in batch.cuts:
                self._cut(cut)
            for forgetting in batch.forgettings:
                self._forget(forgetting)
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

    def _forget(self, forgetting: Forgetting) -> None:
        before = to_microseconds(forgetting.before)
        self._connection.execute(_FORGET_AUDIT, (before, MAX_FORGOTTEN_ENTRIES))
        forgetting.removed = self._connection.changes()

    def _set_synced(self, synced: bool) -> None:
        if synced != self._synced:
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
            self._synced = synced


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
