"""A store that forgets everything when the process ends: for tests, and for trying things out."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

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
from taskpush.store.batch import Batch
from taskpush.store.changes import (
    ChangeBook,
    ChangePage,
    read_changes,
)
from taskpush.store.daystats import DayStats, first_of_days
from taskpush.store.embedded import EmbeddedStore, Opened
from taskpush.store.latest import with_latest
from taskpush.store.ledger import Ledger
from taskpush.store.memory.reader import Reader
from taskpush.store.memory.tables import Tables
from taskpush.store.writer import Writer
from taskpush.telemetry.bus import Telemetry

Answer = TypeVar("Answer")


class MemoryStore(EmbeddedStore[Opened]):
    """Keeps the promises of `Store`, except that nothing outlives the process.

    Closed and opened again, it holds what it held: a restart of the server, without the disk.
    """

    def __init__(self, *, clock: Clock, telemetry: Telemetry) -> None:
        super().__init__()
        self._clock = clock
        self._telemetry = telemetry
        self._tables = Tables()
        self._reader = Reader(self._tables)

    @override
    async def open(self) -> None:
        self.epoch = new_epoch()
        ledger = Ledger(
            epoch=self.epoch,
            clock=self._clock,
            peek=self._reader.entry,
            changes=ChangeBook(self.epoch, self._tables.begin_era(self.epoch)),
            listeners=self._listeners,
            followers=self._followers,
            last_order=self._tables.last_order,
            reserved_rev=self._tables.reserved_rev,
            pending=Counter(task.kind for task in self._reader.waiting()),
        )
        writer = Writer(
            ledger,
            load=self._tables.load,
            load_uploads=self._tables.load_uploads,
            commit=self._commit,
            tidy=_do_nothing,
            shrink=_find_nothing,
            telemetry=self._telemetry,
            flush_after_s=1.0,
        )
        self._state = Opened(ledger, writer)

    @override
    async def close(self) -> None:
        opened, self._state = self._state, None
        if opened is not None:
            await opened.writer.stop()

    @override
    async def changes(self, where: FeedFilter, *, after: str | None, limit: int) -> ChangePage:
        opened = self._opened()
        source = _ChangedInMemory(self._reader, opened.ledger)
        return await read_changes(opened.ledger.changes, source, where, after=after, limit=limit)

    @override
    async def get(self, task_id: str) -> TaskRecord | None:
        return await _newest(task_id, self._reader, self._opened().ledger)

    @override
    async def created_under(self, key: IdempotencyKey) -> Created | None:
        opened = self._opened()
        return opened.ledger.created_under(key, await _elsewhere(self._tables.load((), [key])))

    @override
    async def was_deleted(self, task_id: str, *, tenant: str, owner: str) -> bool:
        self._opened()
        return await _elsewhere(self._reader.was_deleted(task_id, tenant, owner))

    @override
    async def read(
        self, task_id: str, after: Position, limit: int, *, max_bytes: int = MAX_PAGE_BYTES
    ) -> LogPage:
        opened = self._opened()
        page, record = await _elsewhere(self._reader.page(task_id, after, limit, max_bytes))
        return replace(page, latest=_with_latest(record, opened.ledger).latest)

    @override
    async def read_type(self, task_id: str, event_type: EventType) -> Sequence[LoggedEvent]:
        self._opened()
        return await _elsewhere(self._reader.events_of_type(task_id, event_type))

    @override
    async def tasks(self, where: TaskFilter, *, limit: int, after: str | None = None) -> TaskPage:
        opened = self._opened()
        page = await _elsewhere(self._reader.tasks(where, limit=limit, after=after))
        return replace(page, records=_all_with_latest(page.records, opened.ledger))

    @override
    async def missing(self, task_ids: Collection[str]) -> Collection[str]:
        self._opened()
        return await _elsewhere(self._reader.missing(task_ids))

    @override
    async def waiting(self) -> Sequence[Waiting]:
        self._opened()
        return await _elsewhere(self._reader.waiting())

    @override
    async def abandoned(self) -> Sequence[TaskRecord]:
        opened = self._opened()
        return _all_with_latest(await _elsewhere(self._reader.abandoned(self.epoch)), opened.ledger)

    @override
    async def interrupted(self, kinds: Collection[str]) -> Sequence[TaskRecord]:
        opened = self._opened()
        return _all_with_latest(await _elsewhere(self._reader.interrupted(kinds)), opened.ledger)

    @override
    async def ended(self, kind: str, *, limit: int) -> Sequence[TaskRecord]:
        opened = self._opened()
        return _all_with_latest(await _elsewhere(self._reader.ended(kind, limit)), opened.ledger)

    @override
    async def finished(
        self,
        *,
        before: datetime | None = None,
        kind: str | None = None,
        after: FinishedTask | None = None,
        limit: int,
    ) -> Sequence[FinishedTask]:
        self._opened()
        found = self._reader.finished(before=before, kind=kind, after=after, limit=limit)
        return await _elsewhere(found)

    @override
    async def audit(
        self, where: AuditFilter, *, before: AuditPlace | None = None, limit: int
    ) -> Sequence[PlacedEntry]:
        self._opened()
        return await _elsewhere(self._reader.audit(where, before, limit))

    @override
    async def hooked(self, task_id: str) -> Hooked | None:
        self._opened()
        return await _elsewhere(self._reader.hooked(task_id))

    @override
    async def undelivered(self) -> Sequence[Hooked]:
        self._opened()
        return await _elsewhere(self._reader.undelivered())

    @override
    async def uploads(self, upload_ids: Collection[str]) -> Mapping[str, KeptUpload]:
        self._opened()
        return await _elsewhere(self._reader.uploads(upload_ids))

    @override
    async def held_uploads(self, tenant: str, owner: str) -> HeldUploads:
        self._opened()
        return await _elsewhere(self._reader.held_uploads(tenant, owner))

    @override
    async def expired_uploads(self, now: datetime, *, limit: int) -> Sequence[str]:
        self._opened()
        return await _elsewhere(self._reader.expired_uploads(now, limit))

    @override
    async def usage(self) -> StoreUsage:
        self._opened()
        return await _elsewhere(self._reader.usage())

    @override
    async def daily(self, where: TaskFilter, days: int) -> Sequence[DayStats]:
        self._opened()
        since = first_of_days(days, self._clock.now())
        return await _elsewhere(self._reader.daily(where, since))

    async def _commit(self, batch: Batch) -> None:
        self._tables.commit(batch)


class _ChangedInMemory:
    """A `ChangeSource`: what the tables have, with the volatile events of the moment."""

    def __init__(self, reader: Reader, ledger: Ledger) -> None:
        self._reader = reader
        self._ledger = ledger

    async def active_tasks(
        self, where: FeedFilter, before: int | None, limit: int
    ) -> Sequence[tuple[int, TaskRecord]]:
        found = await _elsewhere(self._reader.active(where, before, limit))
        return [(order, _with_latest(record, self._ledger)) for order, record in found]

    async def written_tasks(
        self, where: FeedFilter, after: int, limit: int
    ) -> Sequence[tuple[int, TaskRecord | Tombstone]]:
        found = await _elsewhere(self._reader.written(where, after, limit))
        return [
            (changed, task if isinstance(task, Tombstone) else _with_latest(task, self._ledger))
            for changed, task in found
        ]

    async def records(self, task_ids: Collection[str]) -> Sequence[TaskRecord]:
        found = [await _newest(task_id, self._reader, self._ledger) for task_id in task_ids]
        return [record for record in found if record is not None]


async def _newest(task_id: str, reader: Reader, ledger: Ledger) -> TaskRecord | None:
    live = ledger.live(task_id)
    if live is not None:
        return live
    entry = await _elsewhere(reader.entry(task_id))
    # It may have come to life meanwhile.
    return ledger.live(task_id) or (entry.record if entry else None)


def _all_with_latest(records: Sequence[TaskRecord], ledger: Ledger) -> list[TaskRecord]:
    return [_with_latest(record, ledger) for record in records]


def _with_latest(record: TaskRecord, ledger: Ledger) -> TaskRecord:
    return with_latest(record, ledger.live(record.task_id))


async def _elsewhere(answer: Answer) -> Answer:
    """What was answered, after others have run, as they do while a thread reads: what they change
    meanwhile must not hurt."""
    await asyncio.sleep(0)
    return answer


async def _do_nothing() -> None:
    """There is nothing to tidy."""


async def _find_nothing() -> bool:
    """There is no unused space."""
    return False
