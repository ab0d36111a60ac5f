"""Who waits, where, and until when: positions and estimates, told to whoever watches.

The store says what becomes pending, starts and ends; from that each kind's queue is kept here in
the order in which the runner starts its tasks. The arithmetic is `core.estimates`.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from asyncio import Task
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from random import Random
from statistics import median
from typing import Any, Final

import orjson

from taskpush.access.policy import Action, may
from taskpush.access.principal import LOCAL, Principal
from taskpush.clock import Clock
from taskpush.core.estimates import (
    MAX_RUNS,
    Forecast,
    Run,
    RunningTask,
    RunTimes,
    Span,
    WaitingTask,
    simulate,
)
from taskpush.errors import StoreUnavailable
from taskpush.models.events import EventType, Queue, Status
from taskpush.models.queue import Accuracy, KindQueue, Place, QueueEntry
from taskpush.models.task import LoggedEvent, NewEvent, TaskRecord, VolatileEvent
from taskpush.runner.policy import Key
from taskpush.runner.registry import KindSpec, Registry
from taskpush.store.base import Announcement, Store, TaskFilter, Waiting

INTERVAL_S: Final = 0.2
"""At most one computation per kind in this time: what changes meanwhile is merged."""
SETTLE: Final = 0.1
"""After so much of the interval since a change the queue is computed: a task that finds a free
slot has its slot by then, and is not told that it waits."""
REFRESH_S: Final = 2.0
"""Estimates move while nothing happens, too: so often they are looked at again."""
LOAD: Final = 0.1
"""Part of the event loop's time that one kind's queue may take: a long one is told less often."""
MAX_TOLD: Final = 1000
"""Who waits further back is not told; `GET /api/queue` shows it."""
CHUNK: Final = 50
"""So many events or reads in a row before others have their turn."""
MAX_SCORES: Final = 500
MAX_ENDED_UNREAD: Final = 1000
"""Tasks that ended before their record was read teach run times; more than so many are let go."""
RETRY_S: Final = 1.0
"""Pause while the store is unavailable."""

NOTICEABLE: Final = 0.1
NOTICEABLE_S: Final = 1.0
"""An estimate is told again when it moved by more than both."""

_NEXT: Final = WaitingTask("next submission")


@dataclass(slots=True)
class _Arrival:
    """A task that became pending, whose record was not read yet."""

    number: int
    # None when the store's list of waiting tasks named it: its record has the attempt.
    attempt: int | None
    # Monotonic times; None until it happens.
    started_s: float | None = None
    ended_s: float | None = None


@dataclass(frozen=True, slots=True)
class _Entry:
    """A task in a queue. The record is without what the task was given and what it returned."""

    record: TaskRecord
    attempt: int
    # Lowest first: (-priority, order of arrival).
    order: tuple[int, int]
    # What tasks have in common of which one runs at a time; None without such a limit.
    key: Key | None
    # None when the kind declares no size.
    size: float | None

    @property
    def task_id(self) -> str:
        return self.record.task_id


@dataclass(slots=True)
class _Holder:
    """A task that holds a slot."""

    entry: _Entry
    since_s: float
    # The newest; None when it has reported none.
    progress: VolatileEvent | None = None

    def as_running(self, now_s: float) -> RunningTask:
        percent = (
            orjson.loads(self.progress.body)["data"]["progress_percent"] if self.progress else None
        )
        fraction = None if percent is None else percent / 100
        return RunningTask(max(0.0, now_s - self.since_s), fraction, self.entry.size)


@dataclass(slots=True)
class _Line:
    """The queue of one kind."""

    kind: str
    # None when this server does not know the kind: its tasks wait for one that does.
    spec: KindSpec | None
    history: RunTimes = field(default_factory=RunTimes)
    waiting: list[_Entry] = field(default_factory=list)
    running: dict[str, _Holder] = field(default_factory=dict)
    # What was published last, per waiting task.
    told: dict[str, Forecast] = field(default_factory=dict)
    # The first estimate of each waiting task, and when it was made.
    first: dict[str, tuple[float, Span]] = field(default_factory=dict)
    # Per task that started: how far off its first estimate was, and whether within the bounds.
    scores: deque[tuple[float, bool]] = field(default_factory=lambda: deque(maxlen=MAX_SCORES))
    # When it is to be computed, on the loop's clock.
    due_s: float = math.inf
    # Not before that.
    rest_until_s: float = 0.0

    @property
    def slots(self) -> int:
        return self.spec.concurrency if self.spec else 0

    def add(self, entry: _Entry) -> None:
        """Let it wait."""
        insort(self.waiting, entry, key=lambda each: each.order)

    def drop(self, entry: _Entry) -> None:
        """It does not wait any more."""
        del self.waiting[bisect_left(self.waiting, entry.order, key=lambda each: each.order)]
        self.told.pop(entry.task_id, None)

    def start(self, entry: _Entry, now_s: float) -> None:
        """It has a slot. Its first estimate is compared with the truth."""
        self.running[entry.task_id] = _Holder(entry, now_s)
        estimate = self.first.pop(entry.task_id, None)
        if estimate is not None:
            at_s, span = estimate
            truth_s = now_s - at_s
            inside = span.low_s <= truth_s <= span.high_s
            self.scores.append((abs(span.eta_s - truth_s), inside))

    def end(self, task_id: str, now_s: float, *, teaches: bool) -> None:
        """It gave its slot back; its time counts when it ended by itself."""
        holder = self.running.pop(task_id)
        if teaches:
            self.history = self.history.plus(Run(now_s - holder.since_s, holder.entry.size))

    def forecasts(self, now_s: float, most: int | None = None) -> list[Forecast]:
        """Where everybody stands, or the first `most`. Remembers the first estimate of each."""
        forecasts = self._simulate(self.waiting[:most], (), now_s)
        for each in forecasts:
            if each.start is not None and each.start.eta_s > 0:
                self.first.setdefault(each.task_id, (now_s, each.start))
        return forecasts

    def next_submission(self, now_s: float) -> Forecast:
        """Where a task of the usual priority would stand that came now."""
        ahead = bisect_left(self.waiting, (1, 0), key=lambda each: each.order)
        return self._simulate(self.waiting[:ahead], (_NEXT,), now_s)[-1]

    def is_news(self, forecast: Forecast) -> bool:
        """Whether it differs noticeably from what was told."""
        told = self.told.get(forecast.task_id)
        if told is None or told.position != forecast.position:
            return True
        if told.start is None or forecast.start is None:
            return told.start is not forecast.start
        moved_s = abs(told.start.eta_s - forecast.start.eta_s)
        return moved_s >= NOTICEABLE_S and moved_s > NOTICEABLE * told.start.eta_s

    def accuracy(self) -> Accuracy:
        if not self.scores:
            return Accuracy(count=0)
        return Accuracy(
            count=len(self.scores),
            median_error_seconds=round(median(error_s for error_s, _ in self.scores), 3),
            share_inside=round(sum(inside for _, inside in self.scores) / len(self.scores), 3),
        )

    def _simulate(
        self, waiting: Sequence[_Entry], more: Sequence[WaitingTask], now_s: float
    ) -> list[Forecast]:
        return simulate(
            [holder.as_running(now_s) for holder in self.running.values()],
            [*(WaitingTask(entry.task_id, entry.size) for entry in waiting), *more],
            slots=self._usable_slots(),
            history=self.history,
            # The same draws each time, so that an estimate moves only when something happened.
            random=Random(self.kind),
        )

    def _usable_slots(self) -> int:
        """No more than there are different keys, when one task per key runs at a time."""
        keys = {holder.entry.key for holder in self.running.values()}
        keys |= {entry.key for entry in self.waiting}
        return self.slots if None in keys else min(self.slots, max(1, len(keys)))


class QueueKeeper:
    """Keeps every kind's queue, and tells waiting tasks where they stand.

    It is to hear of every commit: `store.listen(keeper.on_commit)` before the store is opened,
    `start` before the runner starts. `close` ends its one task.
    """

    def __init__(
        self,
        store: Store,
        registry: Registry,
        clock: Clock,
        *,
        interval_s: float = INTERVAL_S,
        load: float = LOAD,
    ) -> None:
        self._store = store
        self._registry = registry
        self._clock = clock
        self._interval_s = interval_s
        self._load = load
        self._lines: dict[str, _Line] = {}
        # Each known task in exactly one of these four.
        self._arrivals: dict[str, _Arrival] = {}
        self._delayed: dict[str, _Entry] = {}
        self._waiting: dict[str, tuple[_Line, _Entry]] = {}
        self._running: dict[str, _Line] = {}
        # When delayed tasks are due; tasks that are not delayed any more are passed over.
        self._due: list[tuple[datetime, int, str]] = []
        self._numbers = itertools.count()
        self._ended_unread = 0
        self._wake = asyncio.Event()
        # None before `start` and after `close`.
        self._worker: Task[None] | None = None

    def start(self, waiting: Sequence[Waiting]) -> None:
        """Begin to tell. `waiting` are the tasks pending now: the list that the runner starts with.

        They are in front of what was noted since the store was opened, in their order.
        """
        noted, self._arrivals = self._arrivals, {}
        for task in waiting:
            arrival = noted.pop(task.task_id, None) or _Arrival(0, attempt=None)
            self._arrivals[task.task_id] = replace(arrival, number=next(self._numbers))
        for task_id, arrival in noted.items():
            self._arrivals[task_id] = replace(arrival, number=next(self._numbers))
        self._worker = asyncio.get_running_loop().create_task(self._work(), name="queue keeper")
        self._worker.add_done_callback(_say_broken)

    async def close(self) -> None:
        """Tell nothing from now on."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.cancel()
            await asyncio.wait([worker])

    def accuracy(self, kind: str) -> Accuracy:
        """How past estimates of the kind compare with the truth."""
        return self._line(kind).accuracy()

    async def queues(
        self, principal: Principal, kind: str | None, *, limit: int
    ) -> Sequence[KindQueue]:
        """Each kind's queue as the principal may see it.

        Of the first `limit` positions what the kind's `queue_visibility` shows, and the
        principal's own further back, at most as many again. Raises `unknown_kind`.
        """
        specs = self._registry.kinds() if kind is None else [self._registry.require(kind)]
        while self._arrivals:
            await self._read_arrivals()
        self._admit_due()
        return [self._view(self._line(spec.name), principal, limit) for spec in specs]

    # -- what the store tells ---------------------------------------------------

    def on_commit(self, events: Sequence[Announcement]) -> None:
        """Take note; the store calls it."""
        for event in events:
            match event:
                case LoggedEvent(event_type=EventType.STATUS_CHANGE):
                    self._note(event, Status(orjson.loads(event.body)["data"]["status"]))
                case VolatileEvent(event_type=EventType.PROGRESS):
                    line = self._running.get(event.task_id)
                    if line is not None:
                        line.running[event.task_id].progress = event

    def _note(self, event: LoggedEvent, status: Status) -> None:
        now_s = self._clock.monotonic()
        match status:
            case Status.PENDING:
                # An attempt that failed and is to be repeated has taken its time, too.
                self._leave(event.task_id, now_s, teaches=True)
                self._forget_arrival(event.task_id)
                self._arrivals[event.task_id] = _Arrival(next(self._numbers), event.attempt)
            case Status.RUNNING:
                self._begin(event.task_id, now_s)
            case _:
                teaches = status in {Status.COMPLETED, Status.FAILED}
                self._leave(event.task_id, now_s, teaches=teaches)
        self._wake.set()

    def _begin(self, task_id: str, now_s: float) -> None:
        if arrival := self._arrivals.get(task_id):
            arrival.started_s = now_s
            return
        if entry := self._delayed.pop(task_id, None):
            line = self._line(entry.record.kind)
        elif place := self._waiting.pop(task_id, None):
            line, entry = place
            line.drop(entry)
        else:
            return  # It was pending before `start`, and somebody else runs it.
        line.start(entry, now_s)
        self._running[task_id] = line
        self._touch(line)

    def _leave(self, task_id: str, now_s: float, *, teaches: bool) -> None:
        if arrival := self._arrivals.get(task_id):
            self._end_unread(task_id, arrival, now_s, teaches=teaches)
        self._delayed.pop(task_id, None)
        if place := self._waiting.pop(task_id, None):
            line, entry = place
            line.drop(entry)
            line.first.pop(task_id, None)
            self._touch(line)
        elif running := self._running.pop(task_id, None):
            running.end(task_id, now_s, teaches=teaches)
            self._touch(running)

    def _end_unread(self, task_id: str, arrival: _Arrival, now_s: float, *, teaches: bool) -> None:
        ran = arrival.started_s is not None and arrival.ended_s is None
        if teaches and ran and self._ended_unread < MAX_ENDED_UNREAD:
            arrival.ended_s = now_s
            self._ended_unread += 1
        else:
            self._forget_arrival(task_id)

    def _forget_arrival(self, task_id: str) -> _Arrival | None:
        arrival = self._arrivals.pop(task_id, None)
        if arrival is not None and arrival.ended_s is not None:
            self._ended_unread -= 1
        return arrival

    # -- the one task -------------------------------------------------------------

    async def _work(self) -> None:
        for spec in self._registry.kinds():
            await self._load_history(self._line(spec.name))
        while True:
            try:
                await self._read_arrivals()
                self._admit_due()
                await self._tell_due()
            except StoreUnavailable:
                await asyncio.sleep(RETRY_S)
            await self._sleep()

    async def _sleep(self) -> None:
        """Until something happened or is due."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._idle_s()):
                await self._wake.wait()
        self._wake.clear()

    def _idle_s(self) -> float | None:
        if self._arrivals:
            return 0.0
        loop_s = asyncio.get_running_loop().time()
        waits = [line.due_s - loop_s for line in self._lines.values() if line.due_s < math.inf]
        if self._due:
            waits.append((self._due[0][0] - self._clock.now()).total_seconds())
        return max(0.0, min(waits)) if waits else None

    async def _load_history(self, line: _Line) -> None:
        """What the kind's newest runs took, as the store knows it."""
        assert line.spec is not None
        try:
            runs = await _past_runs(self._store, line.spec)
        except StoreUnavailable:
            return  # It learns from what ends from now on.
        line.history = RunTimes().plus(*runs, *line.history.runs)
        self._touch(line)

    async def _read_arrivals(self) -> None:
        """Read some of the records that are missing, in the order of arrival."""
        for task_id in list(itertools.islice(self._arrivals, CHUNK)):
            record = await self._store.get(task_id)
            # A `queues` call may read at the same time.
            arrival = self._forget_arrival(task_id)
            if arrival is not None and record is not None:
                self._place(record, arrival)

    def _place(self, record: TaskRecord, arrival: _Arrival) -> None:
        line = self._line(record.kind)
        entry = _entry_of(record, arrival, line.spec)
        if arrival.started_s is not None and arrival.ended_s is not None:
            line.history = line.history.plus(Run(arrival.ended_s - arrival.started_s, entry.size))
        elif arrival.started_s is not None:
            line.start(entry, arrival.started_s)
            self._running[record.task_id] = line
        elif arrival.attempt is None and record.status is not Status.PENDING:
            return  # The store's list named it, and it has gone on since.
        elif record.run_at is not None and record.run_at > self._clock.now():
            self._delayed[record.task_id] = entry
            heapq.heappush(self._due, (record.run_at, arrival.number, record.task_id))
        else:
            self._admit(line, entry)
        self._touch(line)

    def _admit(self, line: _Line, entry: _Entry) -> None:
        line.add(entry)
        self._waiting[entry.task_id] = (line, entry)

    def _admit_due(self) -> None:
        """Delayed tasks whose time has come queue up, where they stand by their arrival."""
        now = self._clock.now()
        while self._due and self._due[0][0] <= now:
            run_at, _, task_id = heapq.heappop(self._due)
            entry = self._delayed.get(task_id)
            if entry is None or entry.record.run_at != run_at:
                continue
            del self._delayed[task_id]
            line = self._line(entry.record.kind)
            self._admit(line, entry)
            self._touch(line)

    async def _tell_due(self) -> None:
        loop = asyncio.get_running_loop()
        for line in [each for each in self._lines.values() if each.due_s <= loop.time()]:
            begin_s = loop.time()
            # What changes from here on is computed after the rest.
            line.rest_until_s = begin_s + self._interval_s
            line.due_s = begin_s + REFRESH_S if line.waiting else math.inf
            forecasts = line.forecasts(self._clock.monotonic(), MAX_TOLD)
            cost_s = loop.time() - begin_s
            news = [each for each in forecasts if line.is_news(each)]
            for first in range(0, len(news), CHUNK):
                chunk_s = loop.time()
                self._tell(line, news[first : first + CHUNK])
                cost_s += loop.time() - chunk_s
                await asyncio.sleep(0)
            line.rest_until_s = max(line.rest_until_s, loop.time() + cost_s / self._load)
            line.due_s = max(line.due_s, line.rest_until_s)

    def _tell(self, line: _Line, news: Sequence[Forecast]) -> None:
        for forecast in news:
            place = self._waiting.get(forecast.task_id)
            if place is None:  # It went on while others were told.
                continue
            line.told[forecast.task_id] = forecast
            queue = Queue(kind=line.kind, **_numbers(forecast))
            event = NewEvent(EventType.QUEUE, queue.to_data())
            self._store.publish(forecast.task_id, place[1].attempt, event)

    def _touch(self, line: _Line) -> None:
        """Something changed: compute it soon."""
        soon_s = asyncio.get_running_loop().time() + SETTLE * self._interval_s
        line.due_s = min(line.due_s, max(soon_s, line.rest_until_s))
        self._wake.set()

    # -- reading ------------------------------------------------------------------

    def _line(self, kind: str) -> _Line:
        line = self._lines.get(kind)
        if line is None:
            line = self._lines[kind] = _Line(kind, self._registry.get(kind))
        return line

    def _view(self, line: _Line, principal: Principal, limit: int) -> KindQueue:
        now_s = self._clock.monotonic()
        return KindQueue(
            kind=line.kind,
            slots=line.slots,
            running=len(line.running),
            waiting=len(line.waiting),
            entries=_visible(line, line.forecasts(now_s), principal, limit),
            next_submission=Place(**_numbers(line.next_submission(now_s))),
            accuracy=line.accuracy(),
        )


def _visible(
    line: _Line, forecasts: Sequence[Forecast], principal: Principal, limit: int
) -> list[QueueEntry]:
    visibility = line.spec.queue_visibility if line.spec else "none"
    entries: list[QueueEntry] = []
    own_beyond = 0
    for entry, forecast in zip(line.waiting, forecasts, strict=True):
        own = may(principal, Action.READ, entry.record)
        if forecast.position > limit:
            if own_beyond >= limit:
                break
            own_beyond += own
        if own or (visibility != "none" and forecast.position <= limit):
            shown = own or visibility == "titles"
            entries.append(
                QueueEntry(
                    **_numbers(forecast),
                    own=own,
                    task_id=entry.task_id if own else None,
                    title=entry.record.title if shown else None,
                )
            )
    return entries


def _numbers(forecast: Forecast) -> dict[str, Any]:
    """The fields that events and answers share; tenths of a second are all that can be meant."""
    span = forecast.start
    etas = (span.eta_s, span.low_s, span.high_s) if span else (None, None, None)
    names = ("eta_seconds", "eta_low", "eta_high")
    rounded = (None if eta is None else round(eta, 1) for eta in etas)
    return {
        "position": forecast.position,
        "ahead": forecast.ahead,
        **dict(zip(names, rounded, strict=True)),
    }


def _entry_of(record: TaskRecord, arrival: _Arrival, spec: KindSpec | None) -> _Entry:
    return _Entry(
        record=replace(record, params={}, metadata={}, result=None, latest={}),
        attempt=record.attempt if arrival.attempt is None else arrival.attempt,
        order=(-record.priority, arrival.number),
        key=_key_of(record, spec),
        size=_size_of(record, spec),
    )


def _key_of(record: TaskRecord, spec: KindSpec | None) -> Key | None:
    if spec is None:
        return None
    try:
        return spec.key_of(record.tenant, record.owner, record.params)
    except Exception:  # noqa: BLE001 - the kind's own function; the runner says what is wrong with it
        return None


def _size_of(record: TaskRecord, spec: KindSpec | None) -> float | None:
    """What the kind's `size` function says of the params; None without one, or when it fails."""
    size: Callable[[Any], float] | None = getattr(spec, "size", None)
    if size is None:
        return None
    try:
        value = float(size(record.params))
    except Exception:  # noqa: BLE001 - the kind's own function; its task is estimated without size
        return None
    return value if math.isfinite(value) and value > 0 else None


def _say_broken(worker: Task[None]) -> None:
    """A fault of ours: positions stand still from now on, and somebody should know."""
    if not worker.cancelled() and (error := worker.exception()):
        worker.get_loop().call_exception_handler(
            {"message": "the queue keeper ended", "exception": error, "task": worker}
        )


async def _past_runs(store: Store, spec: KindSpec) -> Sequence[Run]:
    """The newest attempts that ended by themselves, oldest first."""
    records: list[TaskRecord] = []
    for status in (Status.COMPLETED, Status.FAILED):
        where = TaskFilter(tenant=LOCAL.tenant, kind=spec.name, status=status)
        records += (await store.tasks(where, limit=MAX_RUNS)).records
    ended = [
        (record.finished_at, (record.finished_at - record.started_at).total_seconds(), record)
        for record in records
        if record.started_at is not None and record.finished_at is not None
    ]
    ended.sort(key=lambda run: run[0])
    return [Run(max(0.0, duration_s), _size_of(record, spec)) for _, duration_s, record in ended]
