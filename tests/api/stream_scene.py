"""One task in memory, streamed by a real uvicorn in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from taskpush.access.principal import LOCAL
from taskpush.access.turnstile import Turnstile
from taskpush.api.event_stream import EventStream, Streams
from taskpush.clock import SystemClock
from taskpush.core import lifecycle
from taskpush.core.lifecycle import Decision
from taskpush.core.limits import Limits
from taskpush.models.events import EventType
from taskpush.models.position import Position
from taskpush.models.task import NewEvent, TaskRecord
from taskpush.push.dispatch import Dispatcher
from taskpush.push.plane import PushPlane
from taskpush.push.roll import Roll
from taskpush.runner.registry import Registry
from taskpush.serving.connection import HttpConnection
from taskpush.store.memory.store import MemoryStore
from taskpush.tasks.queries import TaskQueries
from taskpush.tasks.showing import Showing
from taskpush.tasks.watching import Watching
from taskpush.telemetry.bus import Telemetry

TASK = "0199f0c2-7d1e-7c63-9a0b-5f5f0c1d2e3f"
WAYS_OUT: dict[str, Any] = {"wire": HttpConnection, "httptools": "httptools", "h11": "h11"}

Middleware = Callable[[ASGIApp, Scope, Receive, Send], Awaitable[None]]


async def _nothing(response: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await response(scope, receive, send)


class Scene:
    """The application, what it keeps, and what the task is made to say."""

    def __init__(self, *, stalled_after_s: float, comment_every_s: float) -> None:
        self.store = MemoryStore(clock=SystemClock(), telemetry=Telemetry())
        self.dispatcher = Dispatcher(stalled_after_s=stalled_after_s, look_every_s=0.01)
        self.plane = PushPlane(self.store, self.dispatcher)
        self.streams = Streams(self.plane, Roll(self.dispatcher), comment_every_s=comment_every_s)
        self.turnstile = Turnstile(Limits(), Telemetry(), monotonic)
        self.port = 0
        self.middleware: Middleware = _nothing
        queries = TaskQueries(self.store, self.plane.hub, Showing(Registry()))
        self._watching = Watching(self.store, queries)

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        stream = self.streams.open(self.turnstile.enter(scope))
        headers = dict(scope["headers"])
        text = headers.get(b"last-event-id")
        after = None if text is None else Position.parse(text.decode())
        await self._watching.follow(stream.channel, LOCAL, TASK, after)
        stream.begin(None)
        await self.middleware(EventStream(stream), scope, receive, send)

    def create(self) -> None:
        now = datetime.now(UTC)
        record = TaskRecord(TASK, "k", LOCAL.tenant, LOCAL.owner, {}, now)
        self.store.write(TASK, lifecycle.create(record))
        self.store.write(TASK, lifecycle.start(self.store.epoch, now))

    async def say(self, count: int = 1, size: int = 10) -> None:
        line = NewEvent(EventType.LOG, {"level": "info", "message": "x" * size})
        for _ in range(count):
            await self.store.write(TASK, lifecycle.report(1, [line]))

    async def finish(self) -> None:
        await self.store.write(TASK, lifecycle.complete(1, datetime.now(UTC), result=None))

    async def trim(self, keep_last: int) -> None:
        def anyway(record: TaskRecord | None) -> Decision:
            assert record is not None
            return Decision(record)

        await self.store.trim(TASK, anyway, keep_last=keep_last)

    async def until(self, condition: Callable[[Scene], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition(self):  # noqa: ASYNC110 - what it waits for has no event
                await asyncio.sleep(0.01)

    @property
    def is_quiet(self) -> bool:
        """Whether nobody watches any more, and nothing is kept for anybody."""
        return not (
            self.plane.hub.watched(TASK)
            or len(self.streams)
            or len(self.dispatcher)
            or len(self.turnstile)
        )


@asynccontextmanager
async def a_scene(
    way: str = "wire", *, stalled_after_s: float = 60, comment_every_s: float = 60
) -> AsyncIterator[tuple[Scene, uvicorn.Server]]:
    """A scene and its server, served in one of the `WAYS_OUT`; at the end nobody may be left."""
    scene = Scene(stalled_after_s=stalled_after_s, comment_every_s=comment_every_s)
    await scene.store.open()
    scene.create()
    config = uvicorn.Config(
        scene.app,
        port=0,
        http=WAYS_OUT[way],
        log_level="critical",
        interface="asgi3",
        lifespan="off",
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    scene.port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield scene, server
        await scene.until(lambda s: s.is_quiet)
    finally:
        scene.streams.shutdown()
        server.should_exit = True
        await asyncio.wait_for(serving, 20)
        await scene.store.close()
