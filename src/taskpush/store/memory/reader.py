"""What the tables answer, as of the last commit."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from heapq import nlargest
from itertools import accumulate, islice, takewhile
from operator import itemgetter

from taskpush.core.retention import FinishedTask
from taskpush.errors import NotFound
from taskpush.models.audit import AuditFilter, AuditPlace, PlacedEntry
from taskpush.models.events import EventType, Status
from taskpush.models.feed import FeedFilter, Tombstone
from taskpush.models.position import START, Position
from taskpush.models.task import LoggedEvent, TaskRecord
from taskpush.models.uploads import HeldUploads, KeptUpload
from taskpush.models.webhooks import DeliveryState, Hooked
from taskpush.store.base import LogPage, StoreUsage, TaskFilter, TaskPage, Waiting
from taskpush.store.calls import Entry
from taskpush.store.cursor import decode_cursor, encode_cursor
from taskpush.store.daystats import DayStats, day_stats
from taskpush.store.memory.tables import Tables
from taskpush.store.positions import check_position
from taskpush.store.rows import encode_record


class Reader:
    """Looks at every task where a database would walk an index."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def entry(self, task_id: str) -> Entry | None:
        """One task, or None."""
        return self._tables.entries.get(task_id)

    def was_deleted(self, task_id: str, tenant: str, owner: str) -> bool:
        """See `Store.was_deleted`."""
        return self._tables.deleted.get(task_id) == (tenant, owner)

    def page(
        self, task_id: str, after: Position, limit: int, max_bytes: int
    ) -> tuple[LogPage, TaskRecord]:
        """See `Store.read`; with the record, from which `latest` is."""
        record = self._existing(task_id).record
        log = self._tables.logs.get(task_id, [])
        oldest = log[0].seq if log else 1
        following = max(after.seq + 1 - oldest, 0)
        at = log[following - 1].epoch if 1 <= following <= len(log) else None
        head_seq = log[-1].seq if log else 0
        check_position(after, stored_epoch=at, oldest=oldest, head=head_seq)
        events = _up_to_bytes(log[following : following + limit], max_bytes)
        end = (events[-1].seq if events else after.seq) == head_seq
        final = bool(log) and log[-1].final
        head = log[-1].position if log else START
        page = LogPage(events=events, end=end, final=final, latest=record.latest, head=head)
        return page, record

    def events_of_type(self, task_id: str, event_type: EventType) -> list[LoggedEvent]:
        """See `Store.read_type`."""
        self._existing(task_id)
        tables = self._tables
        stored = (*tables.set_aside.get(task_id, ()), *tables.logs.get(task_id, ()))
        return [event for event in stored if event.event_type is event_type]

    def tasks(self, where: TaskFilter, *, limit: int, after: str | None) -> TaskPage:
        """See `Store.tasks`."""
        before = decode_cursor(after) if after is not None else None
        held = (entry for entry in self._newest_first(before) if where.holds(entry.record))
        # One more than asked for tells whether there is a next page.
        found = list(islice(held, limit + 1))
        page = found[:limit]
        return TaskPage(
            records=[entry.record for entry in page],
            next=encode_cursor(page[-1].order) if len(found) > limit else None,
        )

    def missing(self, task_ids: Collection[str]) -> Collection[str]:
        """See `Store.missing`."""
        return {task_id for task_id in task_ids if task_id not in self._tables.entries}

    def active(
        self, where: FeedFilter, before: int | None, limit: int
    ) -> Sequence[tuple[int, TaskRecord]]:
        """See `ChangeSource.active_tasks`."""
        found = (
            (entry.order, entry.record)
            for entry in self._newest_first(before)
            if not entry.record.status.is_over and where.holds(entry.record)
        )
        return list(islice(found, limit))

    def written(
        self, where: FeedFilter, after: int, limit: int
    ) -> Sequence[tuple[int, TaskRecord | Tombstone]]:
        """See `ChangeSource.written_tasks`."""
        tables = self._tables
        newest_first = takewhile(lambda item: item[1] > after, reversed(tables.changed.items()))
        found: list[tuple[int, TaskRecord | Tombstone]] = [
            (changed, tables.entries[task_id].record)
            for task_id, changed in newest_first
            if where.holds(tables.entries[task_id].record)
        ]
        found += [
            (gone.changed, gone)
            for gone in tables.tombstones
            if gone.changed > after and where.holds(gone)
        ]
        return sorted(found, key=itemgetter(0))[:limit]

    def waiting(self) -> list[Waiting]:
        """See `Store.waiting`."""
        pending = [Waiting.of(record) for record in self._with_status(Status.PENDING)]
        return sorted(pending, key=lambda task: -task.priority)

    def abandoned(self, epoch: str) -> list[TaskRecord]:
        """Running tasks whose runner is not `epoch`."""
        running = self._with_status(Status.RUNNING)
        return [record for record in running if record.runner != epoch]

    def interrupted(self, kinds: Collection[str]) -> list[TaskRecord]:
        """Interrupted tasks of these kinds."""
        return [record for record in self._with_status(Status.INTERRUPTED) if record.kind in kinds]

    def ended(self, kind: str, limit: int) -> list[TaskRecord]:
        """The tasks of a kind that completed or failed last, newest end first."""
        found = [
            (entry.record.finished_at, entry.order, entry.record)
            for entry in self._tables.entries.values()
            if entry.record.kind == kind
            and entry.record.finished_at is not None
            and entry.record.status in (Status.COMPLETED, Status.FAILED)
        ]
        found.sort(key=lambda each: each[:2], reverse=True)
        return [record for *_, record in found[:limit]]

    def finished(
        self,
        *,
        before: datetime | None = None,
        kind: str | None = None,
        after: FinishedTask | None = None,
        limit: int,
    ) -> list[FinishedTask]:
        """See `Store.finished`."""
        ends = [
            (entry.record.finished_at, entry.order, entry)
            for entry in self._tables.entries.values()
            if entry.record.status.is_final
            and entry.record.finished_at is not None
            and kind in (None, entry.record.kind)
            and (before is None or entry.record.finished_at < before)
        ]
        if after is not None:
            last = (after.finished_at, after.order)
            ends = [end for end in ends if end[:2] < last]
        newest = nlargest(limit, ends, key=lambda end: end[:2])
        return [self._finished(entry, finished_at) for finished_at, _, entry in newest]

    def audit(self, where: AuditFilter, before: AuditPlace | None, limit: int) -> list[PlacedEntry]:
        """See `Store.audit`."""
        found = (
            noted
            for noted in reversed(self._tables.audit)
            if where.holds(noted.entry) and (before is None or noted.place < before)
        )
        return list(islice(found, limit))

    def hooked(self, task_id: str) -> Hooked | None:
        """See `Store.hooked`."""
        entry = self.entry(task_id)
        return self._hooked(entry.record) if entry else None

    def undelivered(self) -> list[Hooked]:
        """See `Store.undelivered`."""
        open_webhooks = self._tables.open_webhooks
        return [self._hooked(each) for each in self._records() if each.task_id in open_webhooks]

    def uploads(self, upload_ids: Collection[str]) -> Mapping[str, KeptUpload]:
        """See `Store.uploads`."""
        return self._tables.load_uploads(upload_ids)

    def held_uploads(self, tenant: str, owner: str) -> HeldUploads:
        """See `Store.held_uploads`."""
        held = [
            (upload.ref.size_bytes, upload.uses)
            for upload in self._tables.uploads.values()
            if (upload.tenant, upload.owner) == (tenant, owner)
        ]
        unused = [size_bytes for size_bytes, uses in held if not uses]
        return HeldUploads(len(unused), sum(unused), sum(size_bytes for size_bytes, _ in held))

    def expired_uploads(self, now: datetime, limit: int) -> list[str]:
        """See `Store.expired_uploads`."""
        found = sorted(
            (upload.expires_at, upload_id)
            for upload_id, upload in self._tables.uploads.items()
            if upload.expires_at is not None and upload.expires_at <= now
        )
        return [upload_id for _, upload_id in found[:limit]]

    def usage(self) -> StoreUsage:
        """See `Store.usage`."""
        records = self._records()
        used = sum(len(encode_record(record)) + self._log_bytes(record) for record in records)
        events = sum(map(len, self._tables.logs.values()))
        return StoreUsage(tasks=len(records), events=events, bytes=used, unused_bytes=0)

    def daily(self, where: TaskFilter, since: datetime) -> list[DayStats]:
        """See `Store.daily`; of the days from `since` on."""
        ended = [
            record
            for record in self._records()
            if record.status.is_over
            and record.finished_at is not None
            and record.finished_at >= since
            and where.holds(record)
        ]
        return day_stats(ended)

    def _existing(self, task_id: str) -> Entry:
        entry = self.entry(task_id)
        if entry is None:
            raise NotFound
        return entry

    def _records(self) -> list[TaskRecord]:
        return [entry.record for entry in self._tables.entries.values()]

    def _with_status(self, status: Status) -> list[TaskRecord]:
        return [record for record in self._records() if record.status is status]

    def _newest_first(self, before: int | None) -> Iterator[Entry]:
        entries = list(self._tables.entries.values())
        end = len(entries)
        if before is not None:
            end = bisect_left(entries, before, key=lambda entry: entry.order)
        return reversed(entries[:end])

    def _finished(self, entry: Entry, finished_at: datetime) -> FinishedTask:
        log = self._tables.logs.get(entry.record.task_id, [])
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
        return sum(len(event.body) for event in self._tables.logs.get(record.task_id, ()))

    def _hooked(self, record: TaskRecord) -> Hooked:
        known = self._tables.deliveries.get(record.task_id, ())
        fresh = (DeliveryState() for _ in range(len(record.webhooks) - len(known)))
        return Hooked(record.task_id, record.webhooks, (*known, *fresh))


def _up_to_bytes(events: Sequence[LoggedEvent], max_bytes: int) -> list[LoggedEvent]:
    """The first events, up to the one that brings their bodies to `max_bytes`."""
    before = accumulate((len(event.body) for event in events), initial=0)
    return [event for event, size in zip(events, before, strict=False) if size < max_bytes]
