"""The embedded store: one SQLite file, one process.

Who touches what: the event loop holds the live records and commits batches that need no sync (a
tenth of a millisecond); a writer thread commits those that do, and makes checkpoints, while the
loop goes on; a reader thread answers what is not in memory, another one lists tasks, and a third
one looks at all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import apsw
from typing_extensions import override

from taskpush.clock import Clock
from taskpush.core.retention import FinishedTask
from taskpush.ids import new_epoch
from taskpush.models.audit import AuditFilter, AuditPlace, PlacedEntry
from taskpush.models.events import EventType
from taskpush.models.feed import FeedFilter, Tombstone
from taskpush.models.position import Position
from taskpush.models.task import LoggedEvent, TaskRecord
from taskpush.models.uploads import HeldUploads, KeptUpload
from taskpush.models.webhooks import Hooked
from taskpush.store.base import (
    MAX_PAGE_BYTES,
    Created,
    IdempotencyKey,
    LogPage,
    StoreUsage,
    TaskFilter,
    TaskPage,
    Waiting,
)
from taskpush.store.changes import ChangeBook, ChangePage, read_changes
from taskpush.store.daystats import DayStats, first_of_days
from taskpush.store.embedded import EmbeddedStore, Opened
from taskpush.store.latest import newest_latest, with_latest
from taskpush.store.ledger import Ledger
from taskpush.store.rows import from_microseconds
from taskpush.store.sqlite.files import Files, open_files
from taskpush.store.sqlite.tails import EventRow
from taskpush.store.writer import Writer
from taskpush.telemetry.bus import Telemetry
from taskpush.telemetry.events import StoreFailed


@dataclass(frozen=True, slots=True)
class OpenedFiles(Opened):
    """With the files that the writer commits to."""

    files: Files


class SqliteStore(EmbeddedStore[OpenedFiles]):
    """Keeps the promises of `Store` in the SQLite file at `path`, whose directory must exist.

    Volatile events reach the disk `flush_after_s` after they were published.
    """

    def __init__(
        self, path: Path, *, clock: Clock, telemetry: Telemetry, flush_after_s: float = 1.0
    ) -> None:
        super().__init__()
        self._path = path
        self._clock = clock
        self._telemetry = telemetry
        self._flush_after_s = flush_after_s

    @override
    async def open(self) -> None:
        self.epoch = new_epoch()
        files = await open_files(self._path, self.epoch)
        ledger = Ledger(
            epoch=self.epoch,
            clock=self._clock,
            peek=files.peek,
            changes=ChangeBook(self.epoch, files.history),
            listeners=self._listeners,
            followers=self._followers,
            last_order=files.last_order,
            reserved_rev=files.reserved_rev,
            pending=files.pending,
        )
        writer = Writer(
            ledger,
            load=files.load,
            load_uploads=files.load_uploads,
            commit=files.commit,
            tidy=files.tidy,
            shrink=files.shrink,
            telemetry=self._telemetry,
            flush_after_s=self._flush_after_s,
        )
        self._state = OpenedFiles(ledger, writer, files)
        try:
            # Before the first rev is handed out, the block that it comes from must be on disk.
            await writer.probe()
        except BaseException:
            await self.close()
            raise

    @override
    async def close(self) -> None:
        opened, self._state = self._state, None
        if opened is None:
            return
        try:
            await opened.writer.stop()
        finally:
            await self._let_go(opened.files)

    @override
    async def changes(self, where: FeedFilter, *, after: str | None, limit: int) -> ChangePage:
        opened = self._opened()
        source = _ChangedOnDisk(opened.files, opened.ledger)
        return await read_changes(opened.ledger.changes, source, where, after=after, limit=limit)

    @override
    async def created_under(self, key: IdempotencyKey) -> Created | None:
        opened = self._opened()
        stored = await opened.files.ask(lambda reader: reader.stored((), [key]))
        return opened.ledger.created_under(key, stored)

    @override
    async def get(self, task_id: str) -> TaskRecord | None:
        opened = self._opened()
        live = opened.ledger.live(task_id)
        if live is not None:
            return live
        entry = await opened.files.ask(lambda reader: reader.entry(task_id))
        # It may have come to life meanwhile.
        return opened.ledger.live(task_id) or (entry.record if entry else None)

    @override
    async def was_deleted(self, task_id: str, *, tenant: str, owner: str) -> bool:
        files = self._opened().files
        return await files.ask(lambda reader: reader.was_deleted(task_id, tenant, owner))

    @override
    async def read(
        self, task_id: str, after: Position, limit: int, *, max_bytes: int = MAX_PAGE_BYTES
    ) -> LogPage:
        opened = self._opened()
        # What the disk lacks is in memory: at the begin for a task that ends meanwhile, at the
        # end for one that is still live.
        before = opened.ledger.live(task_id)
        tail = opened.files.recent.tail(task_id)
        page, attempt, status = await opened.files.ask(
            lambda reader: reader.page(task_id, after, limit, max_bytes, tail)
        )
        now = opened.ledger.live(task_id)
        states = [record.latest for record in (before, now) if record]
        return replace(page, latest=newest_latest(attempt, status, page.latest, *states))

    @override
    async def read_type(self, task_id: str, event_type: EventType) -> Sequence[LoggedEvent]:
        files = self._opened().files
        tail = files.recent.tail(task_id)
        return await files.ask(lambda reader: reader.events_of_type(task_id, event_type, tail))

    @override
    async def tasks(self, where: TaskFilter, *, limit: int, after: str | None = None) -> TaskPage:
        opened = self._opened()
        newest = opened.files.recent.newest()
        page = await opened.files.browse(
            lambda reader: reader.tasks(where, limit=limit, after=after)
        )
        return replace(page, records=_brought_up(page.records, opened.ledger, newest))

    @override
    async def missing(self, task_ids: Collection[str]) -> Collection[str]:
        return await self._opened().files.browse(lambda reader: reader.missing(task_ids))

    @override
    async def waiting(self) -> Sequence[Waiting]:
        return await self._opened().files.browse(lambda reader: reader.waiting())

    @override
    async def abandoned(self) -> Sequence[TaskRecord]:
        opened = self._opened()
        records = await opened.files.ask(lambda reader: reader.abandoned(self.epoch))
        return [_with_latest(record, opened.ledger) for record in records]

    @override
    async def interrupted(self, kinds: Collection[str]) -> Sequence[TaskRecord]:
        opened = self._opened()
        records = await opened.files.ask(lambda reader: reader.interrupted(kinds))
        return [_with_latest(record, opened.ledger) for record in records]

    @override
    async def ended(self, kind: str, *, limit: int) -> Sequence[TaskRecord]:
        opened = self._opened()
        records = await opened.files.ask(lambda reader: reader.ended(kind, limit))
        return [_with_latest(record, opened.ledger) for record in records]

    @override
    async def finished(
        self,
        *,
        before: datetime | None = None,
        kind: str | None = None,
        after: FinishedTask | None = None,
        limit: int,
    ) -> Sequence[FinishedTask]:
        return await self._opened().files.survey(
            lambda surveyor: surveyor.finished(before=before, kind=kind, after=after, limit=limit)
        )

    @override
    async def audit(
        self, where: AuditFilter, *, before: AuditPlace | None = None, limit: int
    ) -> Sequence[PlacedEntry]:
        return await self._opened().files.survey(
            lambda surveyor: surveyor.audit(where, before, limit)
        )

    @override
    async def hooked(self, task_id: str) -> Hooked | None:
        found = await self._opened().files.ask(lambda reader: reader.hooked(task_id))
        return found[0] if found else None

    @override
    async def undelivered(self) -> Sequence[Hooked]:
        return await self._opened().files.browse(lambda reader: reader.hooked())

    @override
    async def uploads(self, upload_ids: Collection[str]) -> Mapping[str, KeptUpload]:
        return await self._opened().files.ask(lambda reader: reader.uploads(upload_ids))

    @override
    async def held_uploads(self, tenant: str, owner: str) -> HeldUploads:
        return await self._opened().files.ask(lambda reader: reader.held_uploads(tenant, owner))

    @override
    async def expired_uploads(self, now: datetime, *, limit: int) -> Sequence[str]:
        return await self._opened().files.browse(lambda reader: reader.expired_uploads(now, limit))

    @override
    async def usage(self) -> StoreUsage:
        return await self._opened().files.survey(lambda surveyor: surveyor.usage())

    @override
    async def daily(self, where: TaskFilter, days: int) -> Sequence[DayStats]:
        since = first_of_days(days, self._clock.now())
        return await self._opened().files.survey(lambda surveyor: surveyor.daily(where, since))

    async def _let_go(self, files: Files) -> None:
        try:
            await files.close()
        except apsw.Error as error:
            # Every commit is in the WAL, and the next `open` reads it from there.
            self._telemetry.emit(StoreFailed(error=str(error), writes=0))


class _ChangedOnDisk:
    """A `ChangeSource`: what the disk has, with the volatile events of the moment."""

    def __init__(self, files: Files, ledger: Ledger) -> None:
        self._files = files
        self._ledger = ledger

    async def active_tasks(
        self, where: FeedFilter, before: int | None, limit: int
    ) -> Sequence[tuple[int, TaskRecord]]:
        newest = self._files.recent.newest()
        found = await self._files.browse(lambda reader: reader.active(where, before, limit))
        records = _brought_up([record for _, record in found], self._ledger, newest)
        return list(zip([order for order, _ in found], records, strict=True))

    async def written_tasks(
        self, where: FeedFilter, after: int, limit: int
    ) -> Sequence[tuple[int, TaskRecord | Tombstone]]:
        newest = self._files.recent.newest()
        found = await self._files.browse(lambda reader: reader.written(where, after, limit))
        return [
            (changed, task)
            if isinstance(task, Tombstone)
            else (changed, _brought_up([task], self._ledger, newest)[0])
            for changed, task in found
        ]

    async def records(self, task_ids: Collection[str]) -> Sequence[TaskRecord]:
        cold = self._ledger.cold(task_ids)
        stored = await self._files.browse(lambda reader: reader.entries(cold)) if cold else {}
        found = [
            self._ledger.live(task_id) or (stored[task_id].record if task_id in stored else None)
            for task_id in task_ids
        ]
        return [record for record in found if record is not None]


def _brought_up(
    records: Sequence[TaskRecord], ledger: Ledger, newest: Mapping[str, EventRow]
) -> list[TaskRecord]:
    """The records with what the disk may lack: volatile events of the moment, and the end of
    their logs as `newest` had it before they were read."""
    return [_with_latest(_with_head(record, newest), ledger) for record in records]


def _with_head(record: TaskRecord, newest: Mapping[str, EventRow]) -> TaskRecord:
    row = newest.get(record.task_id)
    if row is None or row.seq <= record.head.seq:
        return record
    return record.moved(Position(row.seq, row.epoch), from_microseconds(row.at))


def _with_latest(record: TaskRecord, ledger: Ledger) -> TaskRecord:
    return with_latest(record, ledger.live(record.task_id))
