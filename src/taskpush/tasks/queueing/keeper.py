"""Positions and estimates, told to whoever waits and whoever asks.

The store says what becomes pending, starts and ends; from that the roster keeps each kind's queue
in the order in which the runner starts its tasks. The arithmetic is `core.estimates`.
"""

from __future__ import annotations

import asyncio
import math
from asyncio import Task
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from taskpush.access.principal import Principal
from taskpush.clock import Clock
from taskpush.core.estimates import (
    MAX_RUNS,
    Forecast,
    Run,
    RunTimes,
)
from taskpush.errors import StoreUnavailable
from taskpush.models.events import EventType, Queue
from taskpush.models.program import COMMAND
from taskpush.models.queue import Accuracy, KindQueue
from taskpush.models.server import KindCount
from taskpush.models.task import LoggedEvent, NewEvent, TaskRecord
from taskpush.push.channel import Channel
from taskpush.runner.aside import read_aside
from taskpush.runner.kind import KindSpec
from taskpush.runner.registry import Registry
from taskpush.runner.uploads import NO_UPLOADS, Uploads
from taskpush.store.base import Announcement, Store, Waiting
from taskpush.tasks.queueing.line import Line
from taskpush.tasks.queueing.roster import Roster
from taskpush.tasks.queueing.sizes import Sizes
from taskpush.tasks.queueing.view import accuracy, kind_queue, place_numbers
from taskpush.tasks.queueing.watch import QueueWatch
from taskpush.telemetry.bus import Telemetry

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
RETRY_S: Final = 1.0
"""Pause while the store is unavailable."""


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
        telemetry: Telemetry,
        *,
        interval_s: float = INTERVAL_S,
        load: float = LOAD,
    ) -> None:
        self._store = store
        self._registry = registry
        self._clock = clock
        self._interval_s = interval_s
        self._load = load
        self._sizes = Sizes(telemetry)
        self._roster = Roster(registry, clock, self._sizes, self._touch)
        self._watches: dict[QueueWatch, None] = {}
        self._wake = asyncio.Event()
        # None before `start` and after `close`.
        self._worker: Task[None] | None = None

    def start(self, waiting: Sequence[Waiting], running: Sequence[TaskRecord]) -> None:
        """Begin to tell. `waiting` are the tasks pending now: the list that the runner starts with.

        They are in front of what was noted since the store was opened, in their order. `running`
        are the tasks that producers outside the server went on with while there was none.
        """
        self._roster.begin(waiting, running)
        self._worker = asyncio.get_running_loop().create_task(self._work(), name="queue keeper")
        self._worker.add_done_callback(_say_broken)

    async def close(self) -> None:
        """Tell nothing from now on."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.cancel()
            await asyncio.wait([worker])

    def accuracy(self, principal: Principal, kind: str) -> Accuracy:
        """How past estimates of the kind's tasks that the principal may read were."""
        return accuracy(self._roster.line(kind), principal)

    async def queues(
        self, principal: Principal, kind: str | None, *, limit: int
    ) -> Sequence[KindQueue]:
        """Each kind's queue, or that of one, as `kind_queue` shows it; raises `unknown_kind`.

        Tasks that are created by those who run them wait for nobody: of their kinds there is none.
        """
        waited_for = [spec for spec in self._registry.kinds() if not spec.created_by_producer]
        specs = waited_for if kind is None else [self._registry.require(kind)]
        await self._catch_up()
        now_s = self._clock.monotonic()
        return [
            kind_queue(self._roster.line(spec.name), principal, limit=limit, now_s=now_s)
            for spec in specs
        ]

    async def queue_before(
        self,
        principal: Principal,
        kind: str,
        params: Mapping[str, Any],
        uploads: Uploads = NO_UPLOADS,
        *,
        limit: int,
    ) -> KindQueue:
        """The kind's queue as it is before a task with these params is submitted.

        `uploads` are the files that ids in the params may stand for. Raises `unknown_kind` or
        `invalid_params`.
        """
        spec = self._registry.require(kind)
        size = self._sizes.of(spec, await read_aside(spec.validate_params, params, uploads))
        await self._catch_up()
        now_s = self._clock.monotonic()
        line = self._roster.line(kind)
        return kind_queue(line, principal, limit=limit, now_s=now_s, next_size=size)

    def watch(self, channel: Channel, principal: Principal) -> QueueWatch:
        """What tells the channel of the queues, as the principal sees them, until it is closed."""
        watch = QueueWatch(
            self,
            principal,
            channel,
            watches=lambda: len(self._watches),
            on_close=lambda closed: self._watches.pop(closed, None),
        )
        self._watches[watch] = None
        return watch

    def census(self) -> Sequence[KindCount]:
        """How many tasks of each kind wait and run, of all tenants."""
        return [
            KindCount(line.kind, len(line.running), len(line.waiting), line.slots)
            for line in self._roster.lines
        ]

    @property
    def delayed(self) -> int:
        """How many pending tasks may not start before their time."""
        return self._roster.delayed

    def run_times(self, kind: str, params: Mapping[str, Any]) -> Callable[[], Sequence[float]]:
        """What tasks of the kind, of the size that the params make, took; shortest first.

        Nothing of `command`: those are programs of all sorts, and say nothing of one another.
        """
        if kind == COMMAND:
            return tuple
        line = self._roster.line(kind)
        size = self._sizes.of(line.spec, params)
        return lambda: line.history.like(size)

    async def room_in_s(self, kind: str, places: int) -> float | None:
        """Seconds until so many of the kind's waiting tasks have started, if that can be told."""
        await self._catch_up()
        forecasts = self._roster.line(kind).forecasts(self._clock.monotonic(), places)
        if len(forecasts) < places or forecasts[-1].start is None:
            return None
        return forecasts[-1].start.eta_s

    def on_commit(self, events: Sequence[Announcement]) -> None:
        """Take note; the store calls it."""
        status_change = EventType.STATUS_CHANGE
        for event in events:
            if isinstance(event, LoggedEvent) and event.event_type is not status_change:
                continue  # Nearly all of them: the roster has no use for it.
            if self._roster.on_event(event):
                self._wake.set()

    async def _work(self) -> None:
        for spec in self._registry.kinds():
            await self._load_history(self._roster.line(spec.name))
        while True:
            try:
                await self._read_arrivals()
                self._roster.admit_due()
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
        if self._roster.has_unread:
            return 0.0
        loop_s = asyncio.get_running_loop().time()
        waits = [line.due_s - loop_s for line in self._roster.lines if line.due_s < math.inf]
        due_at = self._roster.next_due_at
        if due_at is not None:
            waits.append((due_at - self._clock.now()).total_seconds())
        return max(0.0, min(waits)) if waits else None

    async def _load_history(self, line: Line) -> None:
        """What the kind's newest runs took, as the store knows it."""
        assert line.spec is not None
        try:
            runs = await self._past_runs(line.spec)
        except StoreUnavailable:
            return  # It learns from what ends from now on.
        line.history = RunTimes().plus(*runs, *line.history.runs)
        self._touch(line)

    async def _past_runs(self, spec: KindSpec) -> Sequence[Run]:
        """The newest attempts that ended by themselves, whoever's they were; oldest first."""
        return [
            Run(
                max(0.0, (record.finished_at - record.started_at).total_seconds()),
                self._sizes.of(spec, record.params),
            )
            for record in reversed(await self._store.ended(spec.name, limit=MAX_RUNS))
            if record.started_at is not None and record.finished_at is not None
        ]

    async def _catch_up(self) -> None:
        while self._roster.has_unread:
            await self._read_arrivals()
        self._roster.admit_due()

    async def _read_arrivals(self) -> None:
        """Read some of the records that are missing, in the order of arrival."""
        for task_id in self._roster.unread(CHUNK):
            self._roster.place(task_id, await self._store.get(task_id))

    async def _tell_due(self) -> None:
        loop = asyncio.get_running_loop()
        for line in [each for each in self._roster.lines if each.due_s <= loop.time()]:
            begin_s = loop.time()
            # What changes from here on is computed after the rest.
            line.rest_until_s = begin_s + self._interval_s
            estimated = line.waiting or (line.running and self._watches)
            line.due_s = begin_s + REFRESH_S if estimated else math.inf
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
            for watch in self._watches:
                watch.stir()

    def _tell(self, line: Line, news: Sequence[Forecast]) -> None:
        for forecast in news:
            entry = self._roster.waiting(forecast.task_id)
            if entry is None:  # It went on while others were told.
                continue
            line.told[forecast.task_id] = forecast
            queue = Queue(kind=line.kind, **place_numbers(forecast))
            event = NewEvent(EventType.QUEUE, queue.to_data())
            self._store.publish(forecast.task_id, entry.attempt, event)

    def _touch(self, line: Line) -> None:
        """Something changed: compute it soon."""
        soon_s = asyncio.get_running_loop().time() + SETTLE * self._interval_s
        line.due_s = min(line.due_s, max(soon_s, line.rest_until_s))
        self._wake.set()


def _say_broken(worker: Task[None]) -> None:
    """A fault of ours: positions stand still from now on, and somebody should know."""
    if not worker.cancelled() and (error := worker.exception()):
        worker.get_loop().call_exception_handler(
            {"message": "the queue keeper ended", "exception": error, "task": worker}
        )
