"""A store that forgets everything when the process ends: for tests, and for trying things out."""

from __future__ import annotations

import asyncio
from asyncio import Future
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from heapq import nlargest
from itertools import accumulate, islice, takewhile
from operator import itemgetter

from typing_extensions import override

from taskpush.clock import Clock
from taskpush.core.lifecycle import Decide
from taskpush.core.retention import FinishedTask
from taskpush.errors import NotFound, StoreUnavailable
from taskpush.ids import new_epoch
from taskpush.models.audit import AuditEntry, AuditFilter, AuditPlace, PlacedEntry
from taskpush.models.events import EventType, Status
from taskpush.models.feed import FeedFilter, Mark, Tombstone
from taskpush.models.position import START, Position
from taskpush.models.task import LoggedEvent, NewEvent, TaskRecord, VolatileEvent
from taskpush.models.uploads import KeptUpload, UnusedUploads
from taskpush.models.webhooks import DeliveryState, Hooked
from taskpush.store.base import (
    MAX_FORGOTTEN_ENTRIES,
    MAX_PAGE_BYTES,
    NO_LIMITS,
    ChangeListener,
    Commit,
    CommitListener,
    Created,
    IdempotencyKey,
    LogPage,
    Store,
    StoreUsage,
    TaskFilter,
    TaskPage,
    Waiting,
)
from taskpush.store.batch import MAX_FORGOTTEN_KEYS, Batch, Cut, Forgetting
from taskpush.store.calls import Entry, KeptKey, Stored
from taskpush.store.changes import (
    ChangeBook,
    ChangePage,
    History,
    read_changes,
)
from taskpush.store.cursor import decode_cursor, encode_cursor
from taskpush.store.daystats import DayStats, day_stats, first_of_days
from taskpush.store.latest import newest_latest
from taskpush.store.ledger import Ledger
from taskpush.store.positions import check_position
from taskpush.store.rows import encode_record
from taskpush.store.writer import NOT_OPEN, Writer
from taskpush.telemetry.bus import Telemetry


class MemoryStore(Store):
    """Keeps the promises of `Store`, except that nothing outlives the process.

    Closed and opened again, it holds what it held: a restart of the server, without the disk.
    """

    def __init__(self, *, clock: Clock, telemetry: Telemetry) -> None:
        self.epoch = ""
        self._clock = clock
        self._telemetry = telemetry
        self._listeners: list[CommitListener] = []
        self._followers: list[ChangeListener] = []
        # In the order of creation; with every record as of its last commit.
        self._entries: dict[str, Entry] = {}
        self._logs: dict[str, list[LoggedEvent]] = {}
        # The begins of trimmed logs, as far as they stay.
        self._set_aside: dict[str, list[LoggedEvent]] = {}
        # Tenant and owner of each deleted task.
        self._deleted: dict[str, tuple[str, str]] = {}
        # In the order of their creation, by `IdempotencyKey.name`.
        self._keys: dict[tuple[str, str, str], KeptKey] = {}
        # In the order of changes: what was written of which task.
        self._changed: dict[str, int] = {}
        self._tombstones: list[Tombstone] = []
        # By their places.
        self._audit: list[PlacedEntry] = []
        self._last_note = 0
        # How far webhooks have come, and the tasks of which something may be left to deliver.
        self._deliveries: dict[str, tuple[DeliveryState, ...]] = {}
        self._open_webhooks: set[str] = set()
        self._uploads: dict[str, KeptUpload] = {}
        self._eras: dict[str, int] = {}
        self._forgotten = 0
        self._last_order = 0
        self._reserved_rev = 0
        # None while the store is not open.
        self._ledger: Ledger | None = None
        self._writer: Writer | None = None

    @override
    async def open(self) -> None:
        newest = max(
            [*self._changed.values(), *(gone.changed for gone in self._tombstones)], default=0
        )
        if self.epoch:
            self._eras[self.epoch] = newest
        self.epoch = new_epoch()
        history = History(
            newest, self._forgotten, [gone.changed for gone in self._tombstones], dict(self._eras)
        )
        self._ledger = Ledger(
            epoch=self.epoch,
            clock=self._clock,
            peek=self._entries.get,
            changes=ChangeBook(self.epoch, history),
            listeners=self._listeners,
            followers=self._followers,
            last_order=self._last_order,
            reserved_rev=self._reserved_rev,
            pending=Counter(record.kind for record in self._with_status(Status.PENDING)),
        )
        self._writer = Writer(
            self._ledger,
            load=self._load,
            load_uploads=self._load_uploads,
            commit=self._commit,
            tidy=_do_nothing,
            shrink=_find_nothing,
            telemetry=self._telemetry,
            flush_after_s=1.0,
        )

    @override
    async def close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            await writer.stop()
            self._ledger = None

    @override
    def listen(self, listener: CommitListener) -> None:
        self._listeners.append(listener)

    @override
    def follow(self, follower: ChangeListener) -> None:
        self._followers.append(follower)

    @property
    @override
    def mark(self) -> Mark:
        return self._opened()[0].changes.mark

    @override
    async def changes(self, where: FeedFilter, *, after: str | None, limit: int) -> ChangePage:
        return await read_changes(self._opened()[0].changes, self, where, after=after, limit=limit)

    async def active_tasks(
        self, where: FeedFilter, before: int | None, limit: int
    ) -> Sequence[tuple[int, TaskRecord]]:
        """See `ChangeSource`."""
        entries = (
            entry
            for entry in self._newest_first(before)
            if not entry.record.status.is_over and where.holds(entry.record)
        )
        found = list(islice(entries, limit))
        await _read_elsewhere()
        return [(entry.order, self._with_latest(entry.record)) for entry in found]

    async def written_tasks(
        self, where: FeedFilter, after: int, limit: int
    ) -> Sequence[tuple[int, TaskRecord | Tombstone]]:
        """See `ChangeSource`."""
        newest_first = takewhile(lambda item: item[1] > after, reversed(self._changed.items()))
        found: list[tuple[int, TaskRecord | Tombstone]] = [
            (changed, self._entries[task_id].record)
            for task_id, changed in newest_first
            if where.holds(self._entries[task_id].record)
        ]
        found += [
            (gone.changed, gone)
            for gone in self._tombstones
            if gone.changed > after and where.holds(gone)
        ]
        await _read_elsewhere()
        return [
            (changed, task if isinstance(task, Tombstone) else self._with_latest(task))
            for changed, task in sorted(found, key=itemgetter(0))[:limit]
        ]

    async def records(self, task_ids: Collection[str]) -> Sequence[TaskRecord]:
        """See `ChangeSource`."""
        found = [await self.get(task_id) for task_id in task_ids]
        return [record for record in found if record is not None]

    @override
    def write(self, task_id: str, decide: Decide, *, synced: bool = False) -> Future[Commit]:
        return self._opened()[1].write(task_id, decide, synced=synced)

    @override
    def create(
        self,
        records: Sequence[TaskRecord],
        *,
        key: IdempotencyKey | None = None,
        limits: Mapping[str, int] = NO_LIMITS,
    ) -> Future[Created]:
        return self._opened()[1].create(records, key=key, limits=limits)

    @override
    def delete(self, task_id: str, decide: Decide) -> Future[TaskRecord]:
        return self._opened()[1].delete(task_id, decide)

    @override
    def trim(self, task_id: str, decide: Decide, *, keep_last: int = 1) -> Future[int]:
        return self._opened()[1].trim(task_id, decide, keep_last=keep_last)

    @override
    def publish(self, task_id: str, attempt: int, event: NewEvent) -> VolatileEvent | None:
        ledger, writer = self._opened()
        volatile = ledger.publish(task_id, attempt, event)
        if volatile is not None:
            writer.flush_soon()
        return volatile

    @override
    async def get(self, task_id: str) -> TaskRecord | None:
        ledger, _ = self._opened()
        live = ledger.live(task_id)
        if live is not None:
            return live
        entry = self._entries.get(task_id)
        await _read_elsewhere()
        return ledger.live(task_id) or (entry.record if entry else None)

    @override
    async def was_deleted(self, task_id: str, *, tenant: str, owner: str) -> bool:
        self._opened()
        await _read_elsewhere()
        return self._deleted.get(task_id) == (tenant, owner)

    @override
    async def read(
        self, task_id: str, after: Position, limit: int, *, max_bytes: int = MAX_PAGE_BYTES
    ) -> LogPage:
        self._opened()
        entry = self._entries.get(task_id)
        if entry is None:
            await _read_elsewhere()
            raise NotFound
        log = self._logs.get(task_id, [])
        oldest = log[0].seq if log else 1
        following = max(after.seq + 1 - oldest, 0)
        at = log[following - 1].epoch if 1 <= following <= len(log) else None
        head_seq = log[-1].seq if log else 0
        check_position(after, stored_epoch=at, oldest=oldest, head=head_seq)
        events = _up_to_bytes(log[following : following + limit], max_bytes)
        end = (events[-1].seq if events else after.seq) == head_seq
        final = bool(log) and log[-1].final
        head = log[-1].position if log else START
        await _read_elsewhere()
        record = self._with_latest(entry.record)
        return LogPage(events=events, end=end, final=final, latest=record.latest, head=head)

    @override
    async def read_type(self, task_id: str, event_type: EventType) -> Sequence[LoggedEvent]:
        self._opened()
        if task_id not in self._entries:
            raise NotFound
        stored = (*self._set_aside.get(task_id, ()), *self._logs.get(task_id, ()))
        found = [event for event in stored if event.event_type is event_type]
        await _read_elsewhere()
        return found

    @override
    async def tasks(self, where: TaskFilter, *, limit: int, after: str | None = None) -> TaskPage:
        self._opened()
        before = decode_cursor(after) if after is not None else None
        found: list[Entry] = []
        for entry in self._newest_first(before):
            if where.holds(entry.record):
                found.append(entry)
            if len(found) > limit:
                break
        page = found[:limit]
        await _read_elsewhere()
        return TaskPage(
            records=[self._with_latest(entry.record) for entry in page],
            next=encode_cursor(page[-1].order) if len(found) > limit else None,
        )

    @override
    async def missing(self, task_ids: Collection[str]) -> Collection[str]:
        self._opened()
        found = {task_id for task_id in task_ids if task_id not in self._entries}
        await _read_elsewhere()
        return found

    @override
    async def waiting(self) -> Sequence[Waiting]:
        self._opened()
        pending = [Waiting.of(record) for record in self._with_status(Status.PENDING)]
        await _read_elsewhere()
        return sorted(pending, key=lambda task: -task.priority)

    @override
    async def abandoned(self) -> Sequence[TaskRecord]:
        self._opened()
        running = self._with_status(Status.RUNNING)
        await _read_elsewhere()
        return [self._with_latest(record) for record in running if record.runner != self.epoch]

    @override
    async def interrupted(self, kinds: Collection[str]) -> Sequence[TaskRecord]:
        self._opened()
        found = self._with_status(Status.INTERRUPTED)
        await _read_elsewhere()
        return [self._with_latest(record) for record in found if record.kind in kinds]

    @override
    async def ended(self, kind: str, *, limit: int) -> Sequence[TaskRecord]:
        self._opened()
        found = [
            (entry.record.finished_at, entry.order, entry.record)
            for entry in self._entries.values()
            if entry.record.kind == kind
            and entry.record.finished_at is not None
            and entry.record.status in (Status.COMPLETED, Status.FAILED)
        ]
        found.sort(key=lambda each: each[:2], reverse=True)
        await _read_elsewhere()
        return [self._with_latest(record) for *_, record in found[:limit]]

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
        ends = [
            (entry.record.finished_at, entry.order, entry)
            for entry in self._entries.values()
            if entry.record.status.is_final
            and entry.record.finished_at is not None
            and kind in (None, entry.record.kind)
            and (before is None or entry.record.finished_at < before)
        ]
        if after is not None:
            last = (after.finished_at, after.order)
            ends = [end for end in ends if end[:2] < last]
        newest = nlargest(limit, ends, key=lambda end: end[:2])
        found = [self._finished(entry, finished_at) for finished_at, _, entry in newest]
        await _read_elsewhere()
        return found

    @override
    def note(self, entry: AuditEntry, *, synced: bool = True) -> Future[None]:
        return self._opened()[1].note(entry, synced=synced)

    @override
    async def audit(
        self, where: AuditFilter, *, before: AuditPlace | None = None, limit: int
    ) -> Sequence[PlacedEntry]:
        self._opened()
        found = [
            noted
            for noted in reversed(self._audit)
            if where.holds(noted.entry) and (before is None or noted.place < before)
        ]
        await _read_elsewhere()
        return found[:limit]

    @override
    def forget_audit(self, before: datetime) -> Future[int]:
        return self._opened()[1].forget_audit(before)

    @override
    def deliver(self, task_id: str, states: Sequence[DeliveryState]) -> Future[None]:
        return self._opened()[1].deliver(task_id, states)

    @override
    async def hooked(self, task_id: str) -> Hooked | None:
        self._opened()
        entry = self._entries.get(task_id)
        found = self._hooked(entry.record) if entry else None
        await _read_elsewhere()
        return found

    @override
    async def undelivered(self) -> Sequence[Hooked]:
        self._opened()
        found = [
            self._hooked(entry.record)
            for task_id, entry in self._entries.items()
            if task_id in self._open_webhooks
        ]
        await _read_elsewhere()
        return found

    @override
    def keep_upload(self, upload: KeptUpload) -> Future[None]:
        return self._opened()[1].keep_upload(upload)

    @override
    async def uploads(self, upload_ids: Collection[str]) -> Mapping[str, KeptUpload]:
        self._opened()
        found = self._load_uploads(upload_ids)
        await _read_elsewhere()
        return found

    @override
    async def unused_uploads(self, tenant: str, owner: str) -> UnusedUploads:
        self._opened()
        sizes = [
            upload.ref.size_bytes
            for upload in self._uploads.values()
            if not upload.uses and (upload.tenant, upload.owner) == (tenant, owner)
        ]
        await _read_elsewhere()
        return UnusedUploads(len(sizes), sum(sizes))

    @override
    async def expired_uploads(self, now: datetime, *, limit: int) -> Sequence[str]:
        self._opened()
        found = sorted(
            (upload.expires_at, upload_id)
            for upload_id, upload in self._uploads.items()
            if upload.expires_at is not None and upload.expires_at <= now
        )
        await _read_elsewhere()
        return [upload_id for _, upload_id in found[:limit]]

    @override
    def forget_uploads(self, upload_ids: Collection[str]) -> Future[Collection[str]]:
        return self._opened()[1].forget_uploads(upload_ids)

    @override
    async def usage(self) -> StoreUsage:
        self._opened()
        records = [entry.record for entry in self._entries.values()]
        used = sum(len(encode_record(record)) + self._log_bytes(record) for record in records)
        events = sum(map(len, self._logs.values()))
        await _read_elsewhere()
        return StoreUsage(tasks=len(records), events=events, bytes=used, unused_bytes=0)

    @override
    async def shrink(self) -> None:
        await self._opened()[1].shrink()

    @override
    async def daily(self, where: TaskFilter, days: int) -> Sequence[DayStats]:
        self._opened()
        since = first_of_days(days, self._clock.now())
        ended = [
            entry.record
            for entry in self._entries.values()
            if entry.record.status.is_over
            and entry.record.finished_at is not None
            and entry.record.finished_at >= since
            and where.holds(entry.record)
        ]
        await _read_elsewhere()
        return day_stats(ended)

    @override
    async def probe(self) -> None:
        await self._opened()[1].probe()

    def _opened(self) -> tuple[Ledger, Writer]:
        if self._ledger is None or self._writer is None:
            raise StoreUnavailable(NOT_OPEN)
        return self._ledger, self._writer

    def _load(self, task_ids: Collection[str], keys: Collection[IdempotencyKey]) -> Stored:
        kept = {key.name: self._keys[key.name] for key in keys if key.name in self._keys}
        wanted = {*task_ids, *(task_id for key in kept.values() for task_id in key.task_ids)}
        entries = {
            task_id: self._entries[task_id] for task_id in wanted if task_id in self._entries
        }
        return Stored(entries, wanted & self._deleted.keys(), kept)

    def _load_uploads(self, upload_ids: Collection[str]) -> Mapping[str, KeptUpload]:
        return {each: self._uploads[each] for each in upload_ids if each in self._uploads}

    async def _commit(self, batch: Batch) -> None:
        self._entries.update(
            (task_id, _without_preview(entry)) for task_id, entry in batch.entries.items()
        )
        self._last_order = max(
            self._last_order, *(entry.order for entry in batch.entries.values()), 0
        )
        for _, event in batch.events:
            self._logs.setdefault(event.task_id, []).append(event)
        for _, volatile in batch.latest:
            entry = self._entries[volatile.task_id]
            latest = {**entry.record.latest, volatile.event_type: volatile}
            record = replace(entry.record, latest=latest)
            self._entries[volatile.task_id] = Entry(entry.order, record)
        for task_id, row in sorted(batch.rows.items(), key=lambda item: item[1].changed):
            # Anew, at the end.
            self._changed.pop(task_id, None)
            self._changed[task_id] = row.changed
        self._keep_keys(batch)
        for cut in batch.cuts:
            self._cut(cut)
        for task_id in batch.deleted:
            record = self._entries.pop(task_id).record
            self._changed.pop(task_id, None)
            self._logs.pop(task_id, None)
            self._set_aside.pop(task_id, None)
            self._deleted[task_id] = (record.tenant, record.owner)
        self._tombstones += batch.tombstones
        if batch.forget_tombstones is not None:
            self._forgotten = batch.forget_tombstones
            self._tombstones = [gone for gone in self._tombstones if gone.changed > self._forgotten]
        self._reserved_rev = batch.reserved_rev or self._reserved_rev
        for note in batch.notes:
            self._last_note += 1
            place = AuditPlace(note.at_us, self._last_note)
            insort(self._audit, PlacedEntry(place, note.entry), key=itemgetter(0))
        for forgetting in batch.forgettings:
            self._forget(forgetting)
        self._open_webhooks.update(entry.record.task_id for entry in batch.begun)
        for entry, states, is_open in batch.delivered:
            self._deliveries[entry.record.task_id] = tuple(states)
            (self._open_webhooks.add if is_open else self._open_webhooks.discard)(
                entry.record.task_id
            )
        for upload_id, upload in batch.uploads.items():
            if upload is None:
                self._uploads.pop(upload_id, None)
            else:
                self._uploads[upload_id] = upload
        for task_id in batch.deleted:
            self._deliveries.pop(task_id, None)
            self._open_webhooks.discard(task_id)

    def _hooked(self, record: TaskRecord) -> Hooked:
        known = self._deliveries.get(record.task_id, ())
        fresh = (DeliveryState() for _ in range(len(record.webhooks) - len(known)))
        return Hooked(record.task_id, record.webhooks, (*known, *fresh))

    def _forget(self, forgetting: Forgetting) -> None:
        old = bisect_left(self._audit, forgetting.before, key=lambda noted: noted.entry.at)
        forgetting.removed = min(old, MAX_FORGOTTEN_ENTRIES)
        del self._audit[: forgetting.removed]

    def _cut(self, cut: Cut) -> None:
        log = self._logs[cut.entry.record.task_id]
        gone = [event for event in log if event.seq <= cut.through]
        artifacts = [event for event in gone if event.event_type is EventType.ARTIFACT]
        self._set_aside.setdefault(cut.entry.record.task_id, []).extend(artifacts)
        cut.removed_bytes = sum(len(event.body) for event in gone)
        del log[: len(gone)]

    def _finished(self, entry: Entry, finished_at: datetime) -> FinishedTask:
        log = self._logs.get(entry.record.task_id, [])
        return FinishedTask(
            task_id=entry.record.task_id,
            kind=entry.record.kind,
            order=entry.order,
            attempt=entry.record.attempt,
            finished_at=finished_at,
            events=len(log),
            log_bytes=self._log_bytes(entry.record),
            last_event_bytes=len(log[-1].body) if log else 0,
            record_bytes=len(encode_record(entry.record))
            + sum(upload.size_bytes for upload in entry.record.uploads),
        )

    def _log_bytes(self, record: TaskRecord) -> int:
        return sum(len(event.body) for event in self._logs.get(record.task_id, ()))

    def _keep_keys(self, batch: Batch) -> None:
        oldest = list(islice(self._keys.values(), MAX_FORGOTTEN_KEYS))
        for kept in oldest:
            if batch.forget_keys_of is not None and kept.created_at <= batch.forget_keys_of:
                del self._keys[kept.key.name]
        for name, kept in batch.keys.items():
            # Anew, at the end.
            self._keys.pop(name, None)
            self._keys[name] = kept

    def _newest_first(self, before: int | None) -> Iterator[Entry]:
        entries = list(self._entries.values())
        end = len(entries)
        if before is not None:
            end = bisect_left(entries, before, key=lambda entry: entry.order)
        return reversed(entries[:end])

    def _with_status(self, status: Status) -> list[TaskRecord]:
        return [entry.record for entry in self._entries.values() if entry.record.status is status]

    def _with_latest(self, record: TaskRecord) -> TaskRecord:
        live = self._ledger.live(record.task_id) if self._ledger else None
        if live is None:
            return record
        return replace(
            record, latest=newest_latest(record.attempt, record.status, record.latest, live.latest)
        )


async def _read_elsewhere() -> None:
    """Let others run, as a read in a thread does: what they change meanwhile must not hurt."""
    await asyncio.sleep(0)


async def _find_nothing() -> bool:
    """There is no unused space."""
    return False


def _without_preview(entry: Entry) -> Entry:
    """What a disk would have of it."""
    record = entry.record
    if EventType.PREVIEW not in record.latest:
        return entry
    latest = dict(record.latest)
    del latest[EventType.PREVIEW]
    return entry._replace(record=replace(record, latest=latest))


async def _do_nothing() -> None:
    """There is nothing to tidy."""


def _up_to_bytes(events: Sequence[LoggedEvent], max_bytes: int) -> list[LoggedEvent]:
    """The first events, up to the one that brings their bodies to `max_bytes`."""
    before = accumulate((len(event.body) for event in events), initial=0)
    return [event for event, size in zip(events, before, strict=False) if size < max_bytes]
