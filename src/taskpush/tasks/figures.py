"""How the server is, for those who look after it."""

from __future__ import annotations

import asyncio
from asyncio import Task
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from taskpush.access.policy import demand_server
from taskpush.access.principal import Principal
from taskpush.access.turnstile import Turnstile
from taskpush.clock import Clock
from taskpush.core.limits import Limits
from taskpush.errors import TaskPushError
from taskpush.models.events import EventType
from taskpush.models.server import (
    ConnectionCounts,
    LoopFigures,
    Outboxes,
    ServerFigures,
    StoreFigures,
)
from taskpush.push.plane import PushPlane
from taskpush.push.roll import Roll
from taskpush.store.base import Announcement, Store, TaskDeleted
from taskpush.tasks.queueing.keeper import QueueKeeper
from taskpush.telemetry.lag import LoopLag
from taskpush.telemetry.process import rss_bytes

FRESH_S: Final = 60.0
"""For so long a count of the store is told: it looks at every task, however often somebody asks."""
PATIENCE_S: Final = 1.0
"""So long an answer waits for a new count; then it has the one before."""


class Figures:
    """Reads what the parts of the server count by themselves; nothing is gone through for it.

    It is to hear of every commit: `store.listen(figures.on_commit)` before the store is opened.
    """

    def __init__(
        self,
        store: Store,
        plane: PushPlane,
        roll: Roll,
        keeper: QueueKeeper,
        turnstile: Turnstile,
        lag: LoopLag,
        clock: Clock,
        *,
        limits: Limits,
        version: str,
    ) -> None:
        self._plane = plane
        self._roll = roll
        self._keeper = keeper
        self._turnstile = turnstile
        self._lag = lag
        self._clock = clock
        self._limits = limits
        self._version = version
        self._started_at = clock.now()
        self._started_s = clock.monotonic()
        self._events: Counter[EventType] = Counter(dict.fromkeys(EventType, 0))
        self._size = _StoreSize(store, clock.monotonic)

    def on_commit(self, announcements: Sequence[Announcement]) -> None:
        """Count; the store calls it."""
        events = self._events
        for each in announcements:
            if not isinstance(each, TaskDeleted):
                events[each.event_type] += 1

    async def read(self, principal: Principal) -> ServerFigures:
        """The figures of this moment; raises `forbidden`."""
        demand_server(principal)
        size = await self._size.newest()
        plane, dispatcher = self._plane, self._plane.dispatcher
        return ServerFigures(
            version=self._version,
            started_at=self._started_at,
            uptime_seconds=round(self._clock.monotonic() - self._started_s, 3),
            connections=ConnectionCounts(
                doors=self._roll.doors,
                inside=len(self._turnstile),
                limit=self._limits.connections,
                watched_tasks=len(plane.hub),
                watched_feeds=len(plane.feeds),
            ),
            outboxes=Outboxes(
                waiting_bytes=dispatcher.waiting_bytes,
                waiting_connections=dispatcher.waiting,
                limit_bytes=dispatcher.outboxes_bytes,
                cut_off=dispatcher.cut_off,
            ),
            kinds=[*self._keeper.census()],
            delayed=self._keeper.delayed,
            events={event_type.value: count for event_type, count in self._events.items()},
            pushes=plane.hub.told + plane.feeds.told,
            loop=LoopFigures(round(self._lag.newest_s, 6), round(self._lag.worst_s, 6)),
            rss_bytes=rss_bytes(),
            store=size,
        )

    async def close(self) -> None:
        """Count nothing from now on."""
        await self._size.close()


class _StoreSize:
    """The newest count of the store: one at a time, for all who ask."""

    def __init__(self, store: Store, monotonic: Callable[[], float]) -> None:
        self._store = store
        self._monotonic = monotonic
        # None before the first count, and after one that failed.
        self._newest: StoreFigures | None = None
        # None before the first is begun.
        self._counting: Task[None] | None = None
        self._began_s = 0.0

    async def newest(self) -> StoreFigures | None:
        now_s = self._monotonic()
        counting = self._counting
        if counting is None or (counting.done() and now_s - self._began_s >= FRESH_S):
            self._began_s = now_s
            counting = self._counting = asyncio.create_task(self._count(), name="store size")
        await asyncio.wait([counting], timeout=PATIENCE_S)
        return self._newest

    async def close(self) -> None:
        if self._counting is not None:
            self._counting.cancel()
            await asyncio.wait([self._counting])

    async def _count(self) -> None:
        try:
            usage = await self._store.usage()
        except TaskPushError:
            self._newest = None
        else:
            self._newest = StoreFigures(usage.tasks, usage.events, usage.bytes, usage.unused_bytes)
