"""What both adapters decide in memory: the newest records, batches of writes, revs, listeners."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from taskpush.clock import Clock
from taskpush.core.journal import first_rev, seal, seal_volatile
from taskpush.core.lifecycle import Decide, Decision
from taskpush.errors import StoreUnavailable
from taskpush.models.events import EventType, Status
from taskpush.models.task import LoggedEvent, NewEvent, TaskRecord, VolatileEvent
from taskpush.models.values import is_safe_number
from taskpush.store.base import Commit, CommitListener
from taskpush.store.rows import encode_record

REV_BLOCK: Final = 1 << 20
"""How many revs are reserved on disk at a time, so that a rev costs no write."""

MAX_BATCH_EVENTS: Final = 1000
"""Bounds how long others wait for one commit; a single write may be larger."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A task's record, and its place in the order of creation: what the database keys it by."""

    order: int
    record: TaskRecord


@dataclass(frozen=True, slots=True)
class Write:
    """One call of `Store.write`."""

    task_id: str
    decide: Decide
    synced: bool
    future: Future[Commit]


@dataclass(frozen=True, slots=True)
class Row:
    """A task whose record changed in more than its head and its volatile events."""

    order: int
    record: TaskRecord
    doc: bytes
    created: bool


@dataclass(slots=True)
class Batch:
    """Writes that are committed together, and what they make of the tasks they touch."""

    synced: bool
    writes: list[Write] = field(default_factory=list)
    # What each write will be told, in the same order.
    outcomes: list[Commit | Exception] = field(default_factory=list)
    # The newest record of each task that was touched.
    entries: dict[str, Entry] = field(default_factory=dict)
    rows: dict[str, Row] = field(default_factory=dict)
    # With the `Entry.order` of their tasks, in the order of their commit.
    events: list[tuple[Entry, LoggedEvent]] = field(default_factory=list)
    latest: list[tuple[Entry, VolatileEvent]] = field(default_factory=list)
    # The high-water mark to store; None while the stored one is far enough.
    reserved_rev: int | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to commit."""
        return not (
            self.synced or self.rows or self.events or self.latest or self.reserved_rev is not None
        )

    @property
    def row_count(self) -> int:
        """How many rows are to be written."""
        return len(self.rows) + len(self.events) + len(self.latest)

    def resolve(self) -> None:
        """Tell every caller what its write made true, or why it did not take effect."""
        for write, outcome in zip(self.writes, self.outcomes, strict=True):
            if write.future.done():
                continue
            if isinstance(outcome, Commit):
                write.future.set_result(outcome)
            else:
                write.future.set_exception(outcome)

    def fail(self, detail: str) -> None:
        """Tell every caller that nothing took effect.

        Also those whose `decide` raised: it may have seen what now never was.
        """
        self.outcomes = [StoreUnavailable(detail) for _ in self.writes]
        self.resolve()

    def abandon(self) -> None:
        """Let every caller go who can't be told whether the batch was committed."""
        for write in self.writes:
            write.future.cancel()


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
        listeners: Sequence[CommitListener],
        last_order: int,
        reserved_rev: int,
    ) -> None:
        self.epoch = epoch
        self._clock = clock
        self._peek = peek
        self._listeners = listeners
        self._next_order = last_order + 1
        self._next_rev = first_rev(reserved_rev, clock.now())
        # What the disk knows: after a crash, revs go on above it.
        self._reserved_rev = reserved_rev
        # Committed records of the tasks that run or have volatile events to flush.
        self._live: dict[str, Entry] = {}
        # Volatile events that the disk does not have.
        self._unflushed: dict[str, dict[EventType, VolatileEvent]] = {}

    def live(self, task_id: str) -> TaskRecord | None:
        """The committed record, when it is held in memory."""
        entry = self._live.get(task_id)
        return entry.record if entry else None

    def cold(self, task_ids: Iterable[str]) -> set[str]:
        """Which of the tasks are not held in memory."""
        return {task_id for task_id in task_ids if task_id not in self._live}

    @property
    def has_unflushed(self) -> bool:
        """Whether the disk lacks volatile events."""
        return bool(self._unflushed)

    def stage(
        self, writes: Sequence[Write], stored: Mapping[str, Entry], *, synced: bool, flush: bool
    ) -> Batch:
        """Let the writes decide one after another, and collect what is to be committed.

        The batch may leave out the last writes when it has grown large. `stored` has the entries
        of those tasks that are not live. With `flush`, all volatile
        events that the disk lacks go along, else only those of the tasks that end.
        """
        batch = Batch(synced=synced)
        for write in writes:
            if len(batch.events) >= MAX_BATCH_EVENTS:
                break
            batch.writes.append(write)
            batch.outcomes.append(self._outcome(write, batch, stored))
        self._add_latest(batch, self._unflushed if flush else _ended(batch))
        if self._next_rev + REV_BLOCK // 2 > self._reserved_rev:
            batch.reserved_rev = self._next_rev + REV_BLOCK
        return batch

    def apply(self, batch: Batch) -> None:
        """The batch is committed: make its records the newest, and tell the listeners."""
        for entry, event in batch.latest:
            self._flushed(entry.record.task_id, event)
        for task_id, entry in batch.entries.items():
            held = self.live(task_id)
            if held is not None and held.latest is not entry.record.latest:
                # What was published meanwhile is newer than what the batch was staged on.
                entry = Entry(entry.order, replace(entry.record, latest=held.latest))
            self._live[task_id] = entry
            self._evict(task_id)
        if batch.reserved_rev is not None:
            self._reserved_rev = batch.reserved_rev
        if batch.events:
            self._tell([event for _, event in batch.events])

    def publish(self, task_id: str, attempt: int, event: NewEvent) -> VolatileEvent | None:
        """See `Store.publish`."""
        entry = self._live.get(task_id) or self._peek(task_id)
        if entry is None or entry.record.attempt != attempt or entry.record.status.is_over:
            return None
        record, volatile = seal_volatile(
            entry.record, event, rev=self._next_rev, now=self._clock.now()
        )
        self._next_rev += 1
        self._live[task_id] = Entry(entry.order, record)
        self._unflushed.setdefault(task_id, {})[event.event_type] = volatile
        self._tell([volatile])
        return volatile

    def _outcome(
        self, write: Write, batch: Batch, stored: Mapping[str, Entry]
    ) -> Commit | Exception:
        task_id = write.task_id
        entry = batch.entries.get(task_id) or self._live.get(task_id) or stored.get(task_id)
        try:
            return self._decided(write, entry, batch)
        except StopIteration as error:
            # A future cannot carry one.
            return RuntimeError(f"decide raised {error!r}")
        except Exception as error:  # noqa: BLE001 - whatever it is, it is handed to the caller
            return error

    def _decided(self, write: Write, entry: Entry | None, batch: Batch) -> Commit:
        present = entry.record if entry else None
        decision = write.decide(present)
        order = entry.order if entry else self._next_order
        row = _changed_row(write.task_id, present, decision, order)
        record, events = seal(decision, epoch=self.epoch, now=self._clock.now())
        # Nothing raises from here on: the write takes effect wholly.
        if entry is None:
            self._next_order += 1
        newest = Entry(order, record)
        batch.entries[write.task_id] = newest
        batch.events += [(newest, event) for event in events]
        if row is not None:
            before = batch.rows.get(write.task_id)
            created = row.created or (before is not None and before.created)
            batch.rows[write.task_id] = replace(row, created=created)
        return Commit(record, tuple(events))

    def _add_latest(self, batch: Batch, task_ids: Iterable[str]) -> None:
        for task_id in task_ids:
            for event in self._unflushed.get(task_id, {}).values():
                batch.latest.append((self._live[task_id], event))

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

    def _tell(self, events: Sequence[LoggedEvent | VolatileEvent]) -> None:
        for listener in self._listeners:
            try:
                listener(events)
            except Exception as error:  # noqa: BLE001 - one listener's bug must not cost others the event
                asyncio.get_running_loop().call_exception_handler(
                    {"message": "a listener of the store raised", "exception": error}
                )


def _changed_row(
    task_id: str, present: TaskRecord | None, decision: Decision, order: int
) -> Row | None:
    """The row to write, or None when the record is as it was; raises for one that can't be."""
    record = decision.record
    if record is present or record == present:
        return None
    if _birth(record)[0] != task_id or (present and _birth(record) != _birth(present)):
        raise ValueError("a decision must not change what a task was created with")
    if not is_safe_number(record.priority):
        raise ValueError(f"a priority of {record.priority} cannot be stored")
    return Row(order, record, encode_record(record), created=present is None)


def _birth(record: TaskRecord) -> tuple[object, ...]:
    """What stays as it was when the task was created, and what lists are indexed by."""
    return (
        record.task_id,
        record.tenant,
        record.owner,
        record.kind,
        record.created_at,
        record.tags,
    )


def _ended(batch: Batch) -> Collection[str]:
    return [task_id for task_id, entry in batch.entries.items() if entry.record.status.is_over]


def newest_latest(
    *states: Mapping[EventType, VolatileEvent],
) -> Mapping[EventType, VolatileEvent]:
    """The newest event of each type."""
    newest: dict[EventType, VolatileEvent] = {}
    for state in states:
        for event_type, event in state.items():
            if event_type not in newest or newest[event_type].order < event.order:
                newest[event_type] = event
    return newest
