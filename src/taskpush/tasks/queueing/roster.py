"""Where every task is that is not over: arrived, delayed, in line or running."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import orjson

from taskpush.clock import Clock
from taskpush.core.estimates import Run
from taskpush.models.events import EventType, Status
from taskpush.models.task import LoggedEvent, TaskRecord, VolatileEvent
from taskpush.runner.registry import Registry
from taskpush.store.base import Announcement, Waiting
from taskpush.tasks.queueing.line import Entry, Line, entry_of
from taskpush.tasks.queueing.sizes import Sizes

MAX_ENDED_UNREAD: Final = 1000
"""Tasks that ended before their record was read teach run times; more than so many are let go."""


@dataclass(slots=True)
class Arrival:
    """A task that became pending, whose record was not read yet."""

    number: int
    # None when one of the store's lists named it: its record has the attempt.
    attempt: int | None
    # Monotonic times; None until it happens.
    started_s: float | None = None
    ended_s: float | None = None
    # What it was when one of the store's lists named it.
    listed_as: Status = Status.PENDING


class Roster:
    """Moves tasks between the places as the store tells of them.

    `on_change` is called with each line whose forecasts may have changed.
    """

    def __init__(
        self, registry: Registry, clock: Clock, sizes: Sizes, on_change: Callable[[Line], None]
    ) -> None:
        self._registry = registry
        self._clock = clock
        self._sizes = sizes
        self._on_change = on_change
        self._lines: dict[str, Line] = {}
        # Each known task in exactly one of these four.
        self._arrivals: dict[str, Arrival] = {}
        self._delayed: dict[str, Entry] = {}
        self._waiting: dict[str, tuple[Line, Entry]] = {}
        self._running: dict[str, Line] = {}
        # When delayed tasks are due; tasks that are not delayed any more are passed over.
        self._due: list[tuple[datetime, int, str]] = []
        self._numbers = itertools.count()
        self._ended_unread = 0

    @property
    def lines(self) -> Sequence[Line]:
        """Every kind's queue of which something was heard."""
        return tuple(self._lines.values())

    def line(self, kind: str) -> Line:
        """The kind's queue."""
        line = self._lines.get(kind)
        if line is None:
            line = self._lines[kind] = Line(kind, self._registry.get(kind))
        return line

    def waiting(self, task_id: str) -> Entry | None:
        """The task, when it stands in line."""
        place = self._waiting.get(task_id)
        return place[1] if place else None

    @property
    def has_unread(self) -> bool:
        """Whether records are missing."""
        return bool(self._arrivals)

    def unread(self, most: int) -> Sequence[str]:
        """Tasks whose record is to be handed to `place`, in the order of arrival."""
        return list(itertools.islice(self._arrivals, most))

    @property
    def delayed(self) -> int:
        """How many tasks may not queue up before their time."""
        return len(self._delayed)

    @property
    def next_due_at(self) -> datetime | None:
        """When the next delayed task may queue up; None while none is delayed."""
        return self._due[0][0] if self._due else None

    def begin(self, waiting: Sequence[Waiting], running: Sequence[TaskRecord]) -> None:
        """Put the tasks that are pending already in front of what was noted before this call.

        `running` are those that went on while there was no server.
        """
        noted, self._arrivals = self._arrivals, {}
        for record in running:
            if record.task_id not in noted:
                started_s = self._clock.monotonic() - self._ran_s(record)
                self._arrivals[record.task_id] = Arrival(
                    next(self._numbers),
                    attempt=None,
                    started_s=started_s,
                    listed_as=Status.RUNNING,
                )
        for task in waiting:
            arrival = noted.pop(task.task_id, None) or Arrival(0, attempt=None)
            self._arrivals[task.task_id] = replace(arrival, number=next(self._numbers))
        for task_id, arrival in noted.items():
            self._arrivals[task_id] = replace(arrival, number=next(self._numbers))

    def on_event(self, event: Announcement) -> bool:
        """Take note of what the store tells; whether a task changed its place."""
        match event:
            case LoggedEvent(event_type=EventType.STATUS_CHANGE):
                self._note(event, Status(orjson.loads(event.body)["data"]["status"]))
                return True
            case VolatileEvent(event_type=EventType.PROGRESS):
                line = self._running.get(event.task_id)
                if line is not None:
                    line.running[event.task_id].progress = event
        return False

    def place(self, task_id: str, record: TaskRecord | None) -> None:
        """Put an arrival where its record says; None when there is no such task any more."""
        arrival = self._forget_arrival(task_id)
        if arrival is not None and record is not None:
            self._place(record, arrival)

    def admit_due(self) -> None:
        """Delayed tasks whose time has come queue up, where they stand by their arrival."""
        now = self._clock.now()
        while self._due and self._due[0][0] <= now:
            run_at, _, task_id = heapq.heappop(self._due)
            entry = self._delayed.get(task_id)
            if entry is None or entry.record.run_at != run_at:
                continue
            del self._delayed[task_id]
            line = self.line(entry.record.kind)
            self._admit(line, entry)
            self._on_change(line)

    def _note(self, event: LoggedEvent, status: Status) -> None:
        now_s = self._clock.monotonic()
        match status:
            case Status.PENDING:
                # An attempt that failed and is to be repeated has taken its time, too.
                self._leave(event.task_id, now_s, teaches=True)
                self._forget_arrival(event.task_id)
                self._arrivals[event.task_id] = Arrival(next(self._numbers), event.attempt)
            case Status.RUNNING:
                self._begin(event.task_id, now_s)
            case _:
                teaches = status in {Status.COMPLETED, Status.FAILED}
                self._leave(event.task_id, now_s, teaches=teaches)

    def _begin(self, task_id: str, now_s: float) -> None:
        if arrival := self._arrivals.get(task_id):
            arrival.started_s = now_s
            return
        if entry := self._delayed.pop(task_id, None):
            line = self.line(entry.record.kind)
        elif place := self._waiting.pop(task_id, None):
            line, entry = place
            line.drop(entry)
        else:
            return  # It was pending before `start`, and somebody else runs it.
        line.start(entry, now_s)
        self._running[task_id] = line
        self._on_change(line)

    def _leave(self, task_id: str, now_s: float, *, teaches: bool) -> None:
        if arrival := self._arrivals.get(task_id):
            self._end_unread(task_id, arrival, now_s, teaches=teaches)
        self._delayed.pop(task_id, None)
        if place := self._waiting.pop(task_id, None):
            line, entry = place
            line.drop(entry)
            line.first.pop(task_id, None)
            self._on_change(line)
        elif running := self._running.pop(task_id, None):
            running.end(task_id, now_s, teaches=teaches)
            self._on_change(running)

    def _end_unread(self, task_id: str, arrival: Arrival, now_s: float, *, teaches: bool) -> None:
        ran = arrival.started_s is not None and arrival.ended_s is None
        if teaches and ran and self._ended_unread < MAX_ENDED_UNREAD:
            arrival.ended_s = now_s
            self._ended_unread += 1
        else:
            self._forget_arrival(task_id)

    def _ran_s(self, record: TaskRecord) -> float:
        """How long a running attempt has run; the clock may have been set back since."""
        began = record.started_at
        return max(0.0, (self._clock.now() - began).total_seconds()) if began else 0.0

    def _forget_arrival(self, task_id: str) -> Arrival | None:
        arrival = self._arrivals.pop(task_id, None)
        if arrival is not None and arrival.ended_s is not None:
            self._ended_unread -= 1
        return arrival

    def _place(self, record: TaskRecord, arrival: Arrival) -> None:
        line = self.line(record.kind)
        entry = entry_of(
            record,
            line.spec,
            attempt=record.attempt if arrival.attempt is None else arrival.attempt,
            arrival=arrival.number,
            size=self._sizes.of(line.spec, record.params),
        )
        if arrival.started_s is not None and arrival.ended_s is not None:
            line.history = line.history.plus(Run(arrival.ended_s - arrival.started_s, entry.size))
        elif arrival.listed_as is Status.RUNNING is not record.status:
            return  # It has ended since, before this began to take note.
        elif arrival.started_s is not None:
            line.start(entry, arrival.started_s, record.latest.get(EventType.PROGRESS))
            self._running[record.task_id] = line
        elif arrival.attempt is None and record.status is not Status.PENDING:
            return  # The store's list named it, and it has gone on since.
        elif record.run_at is not None and record.run_at > self._clock.now():
            self._delayed[record.task_id] = entry
            heapq.heappush(self._due, (record.run_at, arrival.number, record.task_id))
        else:
            self._admit(line, entry)
        self._on_change(line)

    def _admit(self, line: Line, entry: Entry) -> None:
        line.add(entry)
        self._waiting[entry.task_id] = (line, entry)
