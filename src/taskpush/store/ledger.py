"""What both adapters decide in memory: the newest records, revs, listeners."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Final

from taskpush.clock import Clock
from taskpush.core import lifecycle
from taskpush.core.journal import append, first_rev, seal_volatile
from taskpush.core.lifecycle import Decide
from taskpush.errors import NotFound, QueueFull, TaskPushError
from taskpush.models.audit import AuditEntry
from taskpush.models.events import EventType, Status
from taskpush.models.feed import Change, How, Tombstone
from taskpush.models.task import NewEvent, TaskRecord, VolatileEvent
from taskpush.models.uploads import KeptUpload
from taskpush.store.base import (
    KEY_LIFETIME,
    Append,
    ChangeListener,
    Commit,
    CommitListener,
    Created,
    IdempotencyKey,
    TaskDeleted,
)
from taskpush.store.batch import Batch, Cut, Forgetting, Outcome
from taskpush.store.calls import (
    Asked,
    Call,
    Create,
    Delete,
    Deliver,
    Entry,
    ForgetAudit,
    ForgetUploads,
    KeepUpload,
    KeptKey,
    Note,
    Stored,
    Trim,
    Write,
)
from taskpush.store.changes import ChangeBook
from taskpush.store.latest import is_past, newest_latest
from taskpush.store.moves import Move, move_to
from taskpush.store.notes import note_row
from taskpush.store.uploads import given_back, used

REV_BLOCK: Final = 1 << 20
"""How many revs are reserved on disk at a time, so that a rev costs no write."""


class Ledger:
    """The state of one opened store.

    `peek` gives the committed entry of one task that is not held here; it must be quick, for it
    is called on the event loop.
    """

    def __init__(
        self,
        *,
        epoch: str,
        clock: Clock,
        peek: Callable[[str], Entry | None],
        changes: ChangeBook,
        listeners: Sequence[CommitListener],
        followers: Sequence[ChangeListener],
        last_order: int,
        reserved_rev: int,
        pending: Mapping[str, int],
    ) -> None:
        self.epoch = epoch
        self._clock = clock
        self._peek = peek
        self.changes = changes
        self._listeners = listeners
        self._followers = followers
        self._next_order = last_order + 1
        self._next_rev = first_rev(reserved_rev, clock.now())
        # What the disk knows: after a crash, revs go on above it.
        self._reserved_rev = reserved_rev
        # By kind: how many tasks are pending, committed.
        self._pending = Counter(pending)
        # Committed records of the tasks that run or have volatile events to flush.
        self._live: dict[str, Entry] = {}
        # Volatile events that the disk does not have.
        self._unflushed: dict[str, dict[EventType, VolatileEvent]] = {}

    def live(self, task_id: str) -> TaskRecord | None:
        """The committed record, when it is held in memory."""
        entry = self._live.get(task_id)
        return entry.record if entry else None

    def newest(self, task_id: str, stored: Stored) -> TaskRecord | None:
        """The committed record of a task that is live or `stored`."""
        entry = self._live.get(task_id) or stored.entries.get(task_id)
        return entry.record if entry else None

    def created_under(self, key: IdempotencyKey, stored: Stored) -> Created | None:
        """See `Store.created_under`; `stored` is of the key."""
        return self._created_before(key, Batch(synced=False), stored)

    def cold(self, task_ids: Iterable[str]) -> set[str]:
        """Which of the tasks are not held in memory."""
        return {task_id for task_id in task_ids if task_id not in self._live}

    @property
    def has_unflushed(self) -> bool:
        """Whether the disk lacks volatile events."""
        return bool(self._unflushed)

    def stage(self, calls: Sequence[Call], stored: Stored, *, synced: bool, flush: bool) -> Batch:
        """Let the calls decide one after another, and collect what is to be committed.

        The batch may leave out the last calls when it has grown large. `stored` has what is
        committed of those tasks that are not live, and of the keys. With `flush`, all volatile
        events that the disk lacks go along, else only those of the tasks that end.
        """
        batch = Batch(synced=synced, stirred=self.changes.mark.stirred)
        now = self._clock.now()
        for call in calls:
            if batch.is_full:
                break
            batch.calls.append(call)
            if isinstance(call, Append):
                batch.outcomes.append(self._append(call, batch, stored, now))
            else:
                batch.outcomes.append(self._outcome(call, batch, stored))
        self._add_latest(batch, self._unflushed if flush else _ended(batch))
        batch.forget_tombstones = self.changes.forgets_with(batch.tombstones)
        if self._next_rev + REV_BLOCK // 2 > self._reserved_rev:
            batch.reserved_rev = self._next_rev + REV_BLOCK
        return batch

    def apply(self, batch: Batch) -> None:
        """The batch is committed: make its records the newest, and tell the listeners."""
        for entry, event in batch.latest:
            self._flushed(entry.record.task_id, event)
        for task_id, entry in batch.entries.items():
            batch.entries[task_id] = self._make_newest(task_id, entry)
        self._pending.update(batch.pending)
        for task_id in batch.deleted:
            self._live.pop(task_id, None)
            self._unflushed.pop(task_id, None)
        if batch.reserved_rev is not None:
            self._reserved_rev = batch.reserved_rev
        changes = self._note_changes(batch)
        if batch.told:
            self._tell(self._listeners, batch.told)
        if changes and self._followers:
            self._tell(self._followers, changes, self.changes.mark)

    def publish(self, task_id: str, attempt: int, event: NewEvent) -> VolatileEvent | None:
        """See `Store.publish`."""
        entry = self._live.get(task_id) or self._peek(task_id)
        if entry is None or entry.record.attempt != attempt or entry.record.status.is_over:
            return None
        if is_past(event.event_type, entry.record.status):
            return None
        record, volatile = seal_volatile(
            entry.record, event, rev=self._next_rev, now=self._clock.now()
        )
        self._next_rev += 1
        self._live[task_id] = Entry(entry.order, record)
        # Pictures by the second are nothing for a disk, and no news for lists.
        lasting = event.event_type is not EventType.PREVIEW
        if lasting:
            self._unflushed.setdefault(task_id, {})[event.event_type] = volatile
        self._tell(self._listeners, [volatile])
        if lasting:
            self.changes.stir(record)
            if self._followers:
                self._tell(self._followers, [Change(How.STIRRED, record)], self.changes.mark)
        return volatile

    def _append(
        self, call: Append, batch: Batch, stored: Stored, now: datetime
    ) -> Exception | None:
        """As `_write` of `lifecycle.report`, without what a single event has no need of."""
        task_id = call.task_id
        try:
            entry = self._newest(task_id, batch, stored)
            record = lifecycle.reporting(entry.record if entry else None, call.attempt)
            record, event = append(record, call.event, epoch=self.epoch, now=now)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is handed to the caller
            return error
        assert entry is not None
        entry = batch.entries[task_id] = Entry(entry.order, record)
        batch.events.append((entry, event))
        batch.told.append(event)
        return None

    def _outcome(self, call: Asked, batch: Batch, stored: Stored) -> Outcome:
        try:
            match call:
                case Write():
                    return self._write(call, batch, stored)
                case Create():
                    return self._create(call, batch, stored)
                case Delete():
                    return self._delete(call, batch, stored)
                case Trim():
                    return self._trim(call, batch, stored)
                case Note():
                    batch.notes.append(note_row(call.entry))
                    return None
                case Deliver():
                    self._deliver(call, batch, stored)
                    return None
                case ForgetAudit():
                    forgetting = Forgetting(call.before)
                    batch.forgettings.append(forgetting)
                    return forgetting
                case KeepUpload(upload):
                    self._keep_upload(upload, batch, stored)
                    return None
                case ForgetUploads(upload_ids):
                    return self._forget_uploads(upload_ids, batch, stored)
        except StopIteration as error:
            # A future cannot carry one.
            return RuntimeError(f"decide raised {error!r}")
        except Exception as error:  # noqa: BLE001 - whatever it is, it is handed to the caller
            return error

    def _write(self, call: Write, batch: Batch, stored: Stored) -> Commit:
        move = self._decided(call.task_id, call.decide, batch, stored)
        self._accept([move], batch)
        return Commit(move.entry.record, move.events)

    def _create(self, call: Create, batch: Batch, stored: Stored) -> Created:
        now = self._clock.now()
        if call.key is not None:
            earlier = self._created_before(call.key, batch, stored)
            if earlier is not None:
                return earlier
        if len(set(call.task_ids)) < len(call.records):
            raise TaskPushError("an id stands in the call twice", code="task_id_taken")
        moves = [
            self._decided(record.task_id, lifecycle.create(record), batch, stored, place=place)
            for place, record in enumerate(call.records)
        ]
        self._check_room(call, batch)
        uploads = used(call.records, partial(_upload, batch, stored), now)
        self._accept(moves, batch)
        batch.uploads.update(uploads)
        batch.forget_keys_of = now - KEY_LIFETIME
        if call.key is not None:
            batch.keys[call.key.name] = KeptKey(call.key, now, call.task_ids)
        return Created(
            records=tuple(move.entry.record for move in moves),
            events=tuple(event for move in moves for event in move.events),
            fresh=True,
        )

    def _check_room(self, call: Create, batch: Batch) -> None:
        wanted = Counter(record.kind for record in call.records)
        for kind, limit in call.limits.items():
            room = limit - self._pending[kind] - batch.pending[kind]
            if wanted[kind] > max(0, room):
                raise QueueFull(kind, limit=limit, wanted=wanted[kind], room=max(0, room))

    def _created_before(self, key: IdempotencyKey, batch: Batch, stored: Stored) -> Created | None:
        kept = batch.keys.get(key.name) or stored.keys.get(key.name)
        if kept is None or kept.is_forgotten(self._clock.now()):
            return None
        if kept.key.body_hash != key.body_hash:
            raise TaskPushError(code="idempotency_conflict")
        entries = [self._newest(task_id, batch, stored) for task_id in kept.task_ids]
        return Created(tuple(entry.record for entry in entries if entry), (), fresh=False)

    def _delete(self, call: Delete, batch: Batch, stored: Stored) -> TaskRecord:
        entry, notes = self._allowed(call, batch, stored)
        batch.notes += list(map(note_row, notes))
        batch.deleted[call.task_id] = entry
        batch.uploads.update(given_back(entry.record.uploads, partial(_upload, batch, stored)))
        batch.pending[entry.record.kind] -= entry.record.status is Status.PENDING
        batch.tombstones.append(_tombstone(entry.record, self.changes.next_written()))
        batch.told.append(TaskDeleted(call.task_id))
        batch.removals += entry.record.head.seq
        return entry.record

    def _trim(self, call: Trim, batch: Batch, stored: Stored) -> Cut:
        entry, _ = self._allowed(call, batch, stored)
        cut = Cut(entry, entry.record.head.seq - call.keep_last)
        if cut.through > 0:
            batch.cuts.append(cut)
            batch.removals += cut.through
        return cut

    def _deliver(self, call: Deliver, batch: Batch, stored: Stored) -> None:
        entry = self._newest(call.task_id, batch, stored)
        if entry is None:
            raise NotFound
        batch.deliveries[call.task_id] = (entry, call.states)

    def _keep_upload(self, upload: KeptUpload, batch: Batch, stored: Stored) -> None:
        upload_id = upload.ref.upload_id
        if _upload(batch, stored, upload_id) is not None:
            raise ValueError("an upload with this id is kept already")
        batch.uploads[upload_id] = upload

    def _forget_uploads(
        self, upload_ids: Iterable[str], batch: Batch, stored: Stored
    ) -> Collection[str]:
        gone = []
        for upload_id in upload_ids:
            upload = _upload(batch, stored, upload_id)
            if upload is not None and not upload.uses:
                batch.uploads[upload_id] = None
            if upload is None or not upload.uses:
                gone.append(upload_id)
        return gone

    def _allowed(
        self, call: Delete | Trim, batch: Batch, stored: Stored
    ) -> tuple[Entry, Sequence[AuditEntry]]:
        entry = self._newest(call.task_id, batch, stored)
        decision = call.decide(entry.record if entry else None)
        if entry is None:
            raise NotFound
        return entry, decision.notes

    def _newest(self, task_id: str, batch: Batch, stored: Stored) -> Entry | None:
        if task_id in batch.deleted:
            return None
        return batch.entries.get(task_id) or self._live.get(task_id) or stored.entries.get(task_id)

    def _decided(
        self, task_id: str, decide: Decide, batch: Batch, stored: Stored, *, place: int = 0
    ) -> Move:
        """What the decision makes of the task; changes nothing yet.

        `place` counts the tasks that the same call creates before this one.
        """
        entry = self._newest(task_id, batch, stored)
        present = entry.record if entry else None
        decision = decide(present)
        if entry is None and (task_id in batch.deleted or task_id in stored.deleted):
            raise TaskPushError("a task with this id was deleted", code="task_id_taken")
        order = entry.order if entry else self._next_order + place
        return move_to(
            decision, task_id, present, order=order, epoch=self.epoch, now=self._clock.now()
        )

    def _accept(self, moves: Iterable[Move], batch: Batch) -> None:
        """Let decisions take effect; nothing raises here, so that it is all of them."""
        for move in moves:
            task_id = move.entry.record.task_id
            batch.entries[task_id] = move.entry
            batch.events += [(move.entry, event) for event in move.events]
            batch.told += move.events
            batch.notes += move.notes
            if move.pending:
                batch.pending[move.entry.record.kind] += move.pending
            if move.raises_attempt:
                batch.outdated[task_id] = move.entry
            if move.row is not None:
                before = batch.rows.get(task_id)
                created = move.row.created or (before is not None and before.created)
                changed = self.changes.next_written()
                batch.rows[task_id] = replace(move.row, created=created, changed=changed)
            self._next_order = max(self._next_order, move.entry.order + 1)

    def _add_latest(self, batch: Batch, task_ids: Iterable[str]) -> None:
        for task_id in task_ids:
            if task_id in batch.deleted or task_id not in self._unflushed:
                continue
            entry = batch.entries.get(task_id) or self._live[task_id]
            attempt, status = entry.record.attempt, entry.record.status
            batch.latest += [
                (entry, event)
                for event in newest_latest(attempt, status, self._unflushed[task_id]).values()
            ]

    def _make_newest(self, task_id: str, entry: Entry) -> Entry:
        record = entry.record
        held = self._live.get(task_id)
        if held is not None and held.record.latest is not record.latest:
            # What was published meanwhile is newer than what the batch was staged on.
            latest = newest_latest(record.attempt, record.status, held.record.latest)
            entry = Entry(entry.order, replace(record, latest=latest))
        if task_id in self._unflushed:
            unflushed = self._unflushed.pop(task_id)
            applying = newest_latest(record.attempt, record.status, unflushed)
            if applying:
                self._unflushed[task_id] = applying
        self._live[task_id] = entry
        if record.status is not Status.RUNNING:
            self._evict(task_id)
        return entry

    def _note_changes(self, batch: Batch) -> list[Change]:
        """Move the order of changes forward; which tasks changed, and how.

        An event that left the record as it was costs no write beside its own.
        """
        newest = [row.changed for row in batch.rows.values()]
        newest += [gone.changed for gone in batch.tombstones]
        self.changes.committed(max(newest, default=0), batch.tombstones, batch.forget_tombstones)
        changes = []
        said = {event.task_id for _, event in batch.events}
        stirred = How.STIRRED
        for task_id, entry in batch.entries.items():
            row = batch.rows.get(task_id)
            if task_id in batch.deleted:
                continue
            if row is not None:
                changes.append(Change(How.CREATED if row.created else How.WRITTEN, entry.record))
            elif task_id in said:
                self.changes.stir(entry.record)
                changes.append(Change(stirred, entry.record))
            if row is not None and entry.record.status.is_over:
                self.changes.settle(task_id, batch.stirred)
        for gone in batch.tombstones:
            self.changes.settle(gone.task_id, self.changes.mark.stirred)
            changes.append(Change(How.DELETED, gone))
        return changes

    def _flushed(self, task_id: str, event: VolatileEvent) -> None:
        unflushed = self._unflushed[task_id]
        if unflushed[event.event_type] is event:
            del unflushed[event.event_type]
        if not unflushed:
            del self._unflushed[task_id]
            self._evict(task_id)

    def _evict(self, task_id: str) -> None:
        running = self._live[task_id].record.status is Status.RUNNING
        if not running and task_id not in self._unflushed:
            del self._live[task_id]

    def _tell(self, listeners: Sequence[Callable[..., None]], *told: object) -> None:
        for listener in listeners:
            try:
                listener(*told)
            except Exception as error:  # noqa: BLE001 - one listener's bug must not cost others the event
                asyncio.get_running_loop().call_exception_handler(
                    {"message": "a listener of the store raised", "exception": error}
                )


def _tombstone(record: TaskRecord, changed: int) -> Tombstone:
    return Tombstone(
        task_id=record.task_id,
        tenant=record.tenant,
        owner=record.owner,
        kind=record.kind,
        tags=record.tags,
        changed=changed,
    )


def _upload(batch: Batch, stored: Stored, upload_id: str) -> KeptUpload | None:
    known = batch.uploads if upload_id in batch.uploads else stored.uploads
    return known.get(upload_id)


def _ended(batch: Batch) -> Collection[str]:
    # Who ends has a row.
    return [task_id for task_id in batch.rows if batch.entries[task_id].record.status.is_over]
