"""One channel over tasks in memory, and a peer that can be stopped from reading."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import orjson

from taskpush.access.principal import LOCAL
from taskpush.clock import SystemClock
from taskpush.core import lifecycle
from taskpush.core.lifecycle import Decision
from taskpush.models.commands import Subscribe
from taskpush.models.events import EventType
from taskpush.models.task import LoggedEvent, NewEvent, TaskRecord, VolatileEvent
from taskpush.push.channel import Channel
from taskpush.push.dispatch import Dispatcher
from taskpush.push.hub import Hub
from taskpush.push.outbox import Message, Outgoing
from taskpush.push.plane import PushPlane
from taskpush.runner.registry import Registry
from taskpush.store.memory.store import MemoryStore
from taskpush.tasks.queries import TaskQueries
from taskpush.tasks.showing import Showing
from taskpush.tasks.watching import Watching
from taskpush.telemetry.bus import Telemetry

ROOM_BYTES = 64 * 1024
TASK = "0199f0c2-7d1e-7c63-9a0b-5f5f0c1d2e3f"


class Peer:
    """A link whose peer can be stopped from reading."""

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []
        self.aborted = asyncio.Event()
        self.reading = True
        # What the link has taken, and the peer has not.
        self.on_its_way_bytes = 0
        # Where the channel is told that there is room again.
        self.on_room: Callable[[], None] = lambda: None
        self._arrived = asyncio.Event()

    @property
    def room(self) -> int:
        return ROOM_BYTES if self.reading else 0

    @property
    def waiting_bytes(self) -> int:
        return self.on_its_way_bytes

    @property
    def taken_bytes(self) -> int:
        return sum(len(item.body) for item in self.sent)

    def write(self, batch: Sequence[Outgoing]) -> None:
        assert self.reading
        self.sent += batch
        self._arrived.set()

    def abort(self) -> None:
        self.aborted.set()

    def stop_reading(self) -> None:
        self.reading = False

    def go_on_reading(self) -> None:
        self.reading = True
        self.on_room()

    def seqs(self, task_id: str = TASK) -> list[int]:
        return [
            item.seq
            for item in self.sent
            if isinstance(item, LoggedEvent) and item.task_id == task_id
        ]

    def previews(self) -> list[Outgoing]:
        return [
            item
            for item in self.sent
            if isinstance(item, VolatileEvent) and item.event_type is EventType.PREVIEW
        ]

    def messages(self) -> list[tuple[str, Any]]:
        return [
            (item.name, orjson.loads(item.body)) for item in self.sent if isinstance(item, Message)
        ]

    async def until_seq(self, seq: int, task_id: str = TASK) -> None:
        async with asyncio.timeout(60):
            while seq not in self.seqs(task_id):
                self._arrived.clear()
                await self._arrived.wait()

    async def until_message(self, name: str) -> Any:
        async with asyncio.timeout(60):
            while name not in dict(self.messages()):
                self._arrived.clear()
                await self._arrived.wait()
        return dict(self.messages())[name]


class Scene:
    """A store, and the channel of one connection to it."""

    def __init__(
        self,
        store: MemoryStore,
        channel: Channel,
        peer: Peer,
        hub: Hub,
        dispatcher: Dispatcher,
    ) -> None:
        self.store = store
        self.dispatcher = dispatcher
        self.channel = channel
        self.peer = peer
        self._watching = Watching(store, TaskQueries(store, hub, Showing(Registry())))

    async def subscribe(
        self, after: Any = None, task_id: str = TASK, *, previews: bool = False
    ) -> None:
        command = Subscribe(task_id=task_id, after=after, previews=previews)
        await self._watching.subscribe(self.channel, LOCAL, command, 1)

    def unsubscribe(self) -> None:
        self._watching.unsubscribe(self.channel, TASK, 2)

    def create(self, task_id: str = TASK, owner: str = LOCAL.owner) -> None:
        now = datetime.now(UTC)
        record = TaskRecord(task_id, "k", LOCAL.tenant, owner, {}, now)
        self.store.write(task_id, lifecycle.create(record))
        self.store.write(task_id, lifecycle.start(self.store.epoch, now))

    async def say(self, count: int = 1, size: int = 10, task_id: str = TASK) -> list[LoggedEvent]:
        line = NewEvent(EventType.LOG, {"level": "info", "message": "x" * size})
        writes = [self.store.write(task_id, lifecycle.report(1, [line])) for _ in range(count)]
        return [(await write).events[0] for write in writes]

    async def trim(self, keep_last: int) -> None:
        def anyway(record: TaskRecord | None) -> Decision:
            assert record is not None
            return Decision(record)

        await self.store.trim(TASK, anyway, keep_last=keep_last)

    def preview(self, size: int) -> VolatileEvent:
        data = {"media_type": "image/png", "content": b"p" * size}
        event = self.store.publish(TASK, 1, NewEvent(EventType.PREVIEW, data))
        assert event is not None
        return event

    def progress(self, percent: float) -> VolatileEvent:
        data = {"progress_percent": percent, "elapsed_seconds": 1.0}
        event = self.store.publish(TASK, 1, NewEvent(EventType.PROGRESS, data))
        assert event is not None
        return event


@asynccontextmanager
async def a_scene(
    *,
    stalled_after_s: float = 60,
    outboxes_bytes: int = 2**30,
    outbox_bytes: int = 2**18,
    **limits: Any,
) -> AsyncIterator[Scene]:
    """A scene that nothing is left of at the end."""
    store = MemoryStore(clock=SystemClock(), telemetry=Telemetry())
    peer = Peer()
    await store.open()
    dispatcher = Dispatcher(
        stalled_after_s=stalled_after_s, outboxes_bytes=outboxes_bytes, look_every_s=0.01
    )
    plane = PushPlane(store, dispatcher, outbox_bytes=outbox_bytes)
    hub = plane.hub
    channel = Channel(plane, peer, **limits)
    peer.on_room = channel.flush
    try:
        yield Scene(store, channel, peer, hub, dispatcher)
    finally:
        channel.close()
        await store.close()
        assert len(dispatcher) == 0
        assert len(channel) == 0
        assert hub.watched(TASK) == 0
