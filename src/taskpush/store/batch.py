"""What one commit holds: the calls of a batch, and what they make of the tasks they touch."""

from __future__ import annotations

from asyncio import CancelledError, Future
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from taskpush.errors import StoreUnavailable
from taskpush.models.feed import Tombstone
from taskpush.models.task import LoggedEvent, TaskRecord, VolatileEvent
from taskpush.models.uploads import KeptUpload
from taskpush.models.webhooks import DeliveryState
from taskpush.store.base import Announcement, Append, Commit, Created
from taskpush.store.calls import Call, Entry, KeptKey
from taskpush.store.notes import NoteRow

MAX_BATCH_EVENTS: Final = 1000
"""Bounds how long others wait for one commit; a single call may be larger."""
MAX_BATCH_REMOVALS: Final = 10_000
"""Events that one commit removes before the next batch begins; a single call may be larger."""
MAX_FORGOTTEN_KEYS: Final = 1024
"""Keys that one commit removes at most: more than a batch can add, so that they never pile up."""


@dataclass(frozen=True, slots=True)
class Row:
    """A task whose record changed in more than its head and its volatile events."""

    order: int
    record: TaskRecord
    doc: bytes
    created: bool
    # Its place in the order of changes.
    changed: int


@dataclass(slots=True)
class Cut:
    """The begin of a log that is removed."""

    entry: Entry
    # The last seq that goes.
    through: int
    # Filled in by the adapter that commits it.
    removed_bytes: int = 0


@dataclass(slots=True)
class Forgetting:
    """Old entries of the audit trail that are removed."""

    before: datetime
    # Filled in by the adapter that commits it.
    removed: int = 0


Outcome = Commit | Created | TaskRecord | Cut | Forgetting | Collection[str] | Exception | None


@dataclass(slots=True)
class Batch:
    """Calls that are committed together, and what they make of the tasks they touch.

    An adapter commits its parts in the order in which they stand here: what is deleted may have
    been created or written in the same batch.
    """

    synced: bool
    calls: list[Call] = field(default_factory=list)
    # What each call will be told, in the same order.
    outcomes: list[Outcome] = field(default_factory=list)
    # The newest record of each task that was touched.
    entries: dict[str, Entry] = field(default_factory=dict)
    rows: dict[str, Row] = field(default_factory=dict)
    # With the `Entry.order` of their tasks, in the order of their commit.
    events: list[tuple[Entry, LoggedEvent]] = field(default_factory=list)
    # Tasks whose stored volatile events are of older attempts.
    outdated: dict[str, Entry] = field(default_factory=dict)
    latest: list[tuple[Entry, VolatileEvent]] = field(default_factory=list)
    # By `IdempotencyKey.name`.
    keys: dict[tuple[str, str, str], KeptKey] = field(default_factory=dict)
    # Keys that are not younger may go; None unless something is created.
    forget_keys_of: datetime | None = None
    cuts: list[Cut] = field(default_factory=list)
    deleted: dict[str, Entry] = field(default_factory=dict)
    # Of the deleted, in the order of their deletion.
    tombstones: list[Tombstone] = field(default_factory=list)
    # Tombstones up to this number may go; None while there is place for all.
    forget_tombstones: int | None = None
    # Entries of the audit trail, in the order of their calls.
    notes: list[NoteRow] = field(default_factory=list)
    forgettings: list[Forgetting] = field(default_factory=list)
    # How far the webhooks of tasks have come, with the tasks as they were then.
    deliveries: dict[str, tuple[Entry, Sequence[DeliveryState]]] = field(default_factory=dict)
    # The newest state of each upload that was touched; None: it goes.
    uploads: dict[str, KeptUpload | None] = field(default_factory=dict)
    # What was stirred when the batch was staged; later stirs are not covered by it.
    stirred: int = 0
    # The high-water mark to store; None while the stored one is far enough.
    reserved_rev: int | None = None
    # Events and deletions, in the order in which they took effect.
    told: list[Announcement] = field(default_factory=list)
    # By kind: how many tasks more are pending.
    pending: Counter[str] = field(default_factory=Counter)
    # How many events the cuts and deletions remove, at most.
    removals: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to commit."""
        return not (
            self.synced
            or self.rows
            or self.events
            or self.outdated
            or self.latest
            or self.keys
            or self.cuts
            or self.deleted
            or self.notes
            or self.forgettings
            or self.deliveries
            or self.uploads
            or self.reserved_rev is not None
        )

    @property
    def is_full(self) -> bool:
        """Whether the next call is better committed with the next batch."""
        return len(self.events) >= MAX_BATCH_EVENTS or self.removals >= MAX_BATCH_REMOVALS

    @property
    def row_count(self) -> int:
        """How many rows are to be written beside the events."""
        return len(self.rows) + len(self.latest) + len(self.notes) + len(self.deliveries)

    @property
    def begun(self) -> Iterable[Entry]:
        """Tasks with webhooks that begin, or begin again: there will be something to deliver."""
        for task_id, row in self.rows.items():
            if row.record.webhooks and (row.created or task_id in self.outdated):
                yield Entry(row.order, row.record)

    @property
    def delivered(self) -> Iterable[tuple[Entry, Sequence[DeliveryState], bool]]:
        """How far webhooks have come, and whether something may be left to deliver."""
        for task_id, (entry, states) in self.deliveries.items():
            newest = self.entries.get(task_id, entry).record
            head = newest.head.seq
            done = newest.status.is_over and all(it.gone or it.seq >= head for it in states)
            yield entry, states, not done

    def resolve(self) -> None:
        """Tell every caller what its call made true, or why it did not take effect."""
        for call, outcome in zip(self.calls, self.outcomes, strict=True):
            if outcome is None and isinstance(call, Append):
                # What becomes of nearly every call.
                call.committed()
            else:
                settle(call, outcome)

    def fail(self, detail: str) -> None:
        """Tell every caller that nothing took effect.

        Also those whose `decide` raised: it may have seen what now never was.
        """
        self.outcomes = [StoreUnavailable(detail) for _ in self.calls]
        self.resolve()

    def abandon(self) -> None:
        """Let every caller go who can't be told whether the batch was committed."""
        for call in self.calls:
            if isinstance(call, Append):
                call.refused(CancelledError())
            else:
                call.future.cancel()


def settle(call: Call, outcome: Outcome) -> None:
    """Tell a caller what became of the call; nobody may want to know it any more."""
    if isinstance(call, Append):
        if isinstance(outcome, Exception):
            call.refused(outcome)
        else:
            call.committed()
        return
    future: Future[Any] = call.future
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    elif isinstance(outcome, Cut):
        future.set_result(outcome.removed_bytes)
    elif isinstance(outcome, Forgetting):
        future.set_result(outcome.removed)
    else:
        future.set_result(outcome)
