"""The newest events of running tasks: on disk in the order of their commits, and in memory.

In the table `events` a log lies together, so that it is read, cut and deleted in few pages. But
where a thousand tasks report by turns, each event would write a page of its own there. So reports
are appended to one table for all (`recent_events`), a fraction of a page each, and are copied into
their log later, many of one task at once. Until then they are also kept here, for whoever reads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from taskpush.models.events import EventType, Status
from taskpush.models.task import LoggedEvent
from taskpush.store.batch import Batch
from taskpush.store.rows import to_microseconds

MAX_RECENT: Final = 16_384
"""Rows that wait to be copied: some ten megabytes of memory at most."""
MAX_ON_DISK: Final = 4
"""Times as many may be in the table, where what was copied stays until all before it was."""
MAX_TAIL: Final = 128
"""Rows of one task: they fill pages of their own."""
FILLING: Final = 8
"""Events of one task in a batch that go to the log at once: they fill pages of their own too."""
STEP: Final = 512
"""Rows that are copied at once when there are too many: some milliseconds."""
MAX_BODY_BYTES: Final = 1024
"""A larger event fills pages by itself: writing it twice would cost more than it saves."""

_SOUGHT: Final = frozenset({EventType.ARTIFACT, EventType.CHECKPOINT})
"""They are looked for by their type, in an index of `events`."""


class EventRow(NamedTuple):
    """A logged event as both tables keep it; `task` is `Entry.order`, `at` in microseconds."""

    task: int
    seq: int
    attempt: int
    epoch: str
    event_type: str
    final: int
    at: int
    body: bytes

    def event(self, task_id: str) -> LoggedEvent:
        """The event of the task with this id."""
        return LoggedEvent(
            task_id=task_id,
            attempt=self.attempt,
            seq=self.seq,
            epoch=self.epoch,
            event_type=EventType(self.event_type),
            body=self.body,
            final=bool(self.final),
        )


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the events of a batch go."""

    # For `events`: also older ones that are copied there.
    logged: Sequence[EventRow]
    # For `recent_events`, each with the id of its row in front.
    recent: Sequence[tuple[int | str | bytes, ...]]
    # The tasks whose events are all in `events` after the batch, and those that go on in `recent`.
    copied: Collection[str]
    growing: Sequence[tuple[str, EventRow]]
    # Rows with a smaller id may go; None: it is not time for that.
    forget_before: int | None

    @property
    def row_count(self) -> int:
        """How many rows are to be written."""
        return len(self.logged) + len(self.recent)


@dataclass(slots=True)
class _Tail:
    # The id of its first row.
    first: int
    rows: list[EventRow] = field(default_factory=list)


class RecentEvents:
    """Decides what is appended and what is copied; only running tasks have a tail.

    What ends a task, or changes its record, goes straight to its log, and its tail before it: so
    a log is whole in `events` whenever something else than a reader of this process looks at it
    by its task.
    """

    def __init__(
        self, *, max_recent: int = MAX_RECENT, max_tail: int = MAX_TAIL, step: int = STEP
    ) -> None:
        self._max_recent = max_recent
        self._max_on_disk = MAX_ON_DISK * max_recent
        self._max_tail = max_tail
        self._step = step
        # In the order of their first rows.
        self._tails: dict[str, _Tail] = {}
        self._rows = 0
        self._next_id = 1
        # Rows before it are not on disk any more.
        self._first_id = 1

    def tail(self, task_id: str) -> Sequence[EventRow]:
        """What `events` may lack of one log."""
        tail = self._tails.get(task_id)
        return tuple(tail.rows) if tail else ()

    def newest(self) -> dict[str, EventRow]:
        """The last event of each log that is not whole in `events`."""
        return {task_id: tail.rows[-1] for task_id, tail in self._tails.items()}

    def place(self, batch: Batch) -> Placement:
        """Where the events of `batch` are to be written; changes nothing yet."""
        direct = self._direct(batch)
        logged: list[EventRow] = []
        growing: list[tuple[str, EventRow]] = []
        # Those of one commit mostly have one timestamp.
        moment = at = None
        for (order, record), event in batch.events:
            said_at = record.last_event_at or record.created_at
            if said_at is not moment or at is None:
                moment, at = said_at, to_microseconds(said_at)
            task_id, attempt, seq, epoch, event_type, body, final = event
            row = EventRow(order, seq, attempt, epoch, event_type, int(final), at, body)
            if task_id in direct:
                logged.append(row)
            else:
                growing.append((task_id, row))
        copied = [task_id for task_id in direct if task_id in self._tails]
        overdue = self._overdue(copied, len(growing))
        copied += overdue or ()
        older = [row for task_id in copied for row in self._tails[task_id].rows]
        return Placement(
            # Those of one task next to one another.
            logged=sorted(older + logged) if older else logged,
            recent=[(i, *row) for i, (_, row) in enumerate(growing, self._next_id)],
            copied=copied,
            growing=growing,
            forget_before=None if overdue is None else self._oldest_without(copied),
        )

    def apply(self, placement: Placement) -> None:
        """The placement is committed."""
        for task_id in placement.copied:
            self._rows -= len(self._tails.pop(task_id).rows)
        for task_id, row in placement.growing:
            tail = self._tails.get(task_id)
            if tail is None:
                tail = self._tails[task_id] = _Tail(self._next_id)
            tail.rows.append(row)
            self._next_id += 1
        self._rows += len(placement.growing)
        if placement.forget_before is not None:
            self._first_id = placement.forget_before

    def _direct(self, batch: Batch) -> set[str]:
        """The tasks whose events go straight to their logs."""
        direct = {*batch.rows, *batch.deleted}
        direct.update(cut.entry.record.task_id for cut in batch.cuts)
        counts = Counter([event.task_id for _, event in batch.events])
        if len(batch.events) - len(counts) >= FILLING - 1:
            direct.update(task_id for task_id, count in counts.items() if count >= FILLING)
        running = Status.RUNNING
        for (_, record), event in batch.events:
            tail = self._tails.get(event.task_id)
            if (
                record.status is not running
                or event.event_type in _SOUGHT
                or len(event.body) > MAX_BODY_BYTES
                or (tail is not None and len(tail.rows) >= self._max_tail)
            ):
                direct.add(event.task_id)
        return direct

    def _overdue(self, copied: Collection[str], growing: int) -> list[str] | None:
        """The oldest tails, when too many rows wait or lie about; None when there is room."""
        left = self._rows - sum(len(self._tails[task_id].rows) for task_id in copied)
        too_many = left + growing - self._max_recent
        if too_many < self._step and self._next_id - self._first_id < self._max_on_disk:
            return None
        overdue = []
        taken = 0
        for task_id, tail in self._tails.items():
            if taken >= max(too_many, self._step):
                break
            if task_id not in copied:
                overdue.append(task_id)
                taken += len(tail.rows)
        return overdue

    def _oldest_without(self, copied: Collection[str]) -> int:
        gone = set(copied)
        return next(
            (tail.first for task_id, tail in self._tails.items() if task_id not in gone),
            self._next_id,
        )
