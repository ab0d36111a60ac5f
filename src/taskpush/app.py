"""The composition root: the only place that picks adapters and wires them."""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, TypeVar

from fastapi import FastAPI
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from taskpush.api.application import build
from taskpush.api.problems import problem_response
from taskpush.api.services import Services
from taskpush.clock import SystemClock
from taskpush.errors import TaskPushError
from taskpush.push.hub import Hub
from taskpush.runner.base import Runner
from taskpush.runner.inprocess import InProcessRunner
from taskpush.runner.registry import Registry
from taskpush.runner.watchdog import Watchdog
from taskpush.settings import Settings
from taskpush.sockets.lane import SocketServer
from taskpush.sockets.namespace import TasksNamespace
from taskpush.sockets.origins import OriginPolicy
from taskpush.store.base import Store
from taskpush.store.blobs import Blobs
from taskpush.store.memory import MemoryStore
from taskpush.store.sqlite import SqliteStore
from taskpush.tasks.queries import TaskQueries
from taskpush.tasks.readiness import Readiness
from taskpush.tasks.recovery import settle_abandoned
from taskpush.tasks.service import TaskService
from taskpush.tasks.watching import Watching
from taskpush.telemetry.bus import Telemetry, log_to
from taskpush.telemetry.events import ServerStarted, ServerStopped

Handler = TypeVar("Handler", bound=Callable[..., Any])

VERSION: Final = version("taskpush")
SWITCH_INTERVAL_S: Final = 0.0005
"""How long a busy Python thread may keep the interpreter's lock from the event loop.

With the default of 5 ms each wake-up of the loop waits that long for every thread that computes;
an event passes several wake-ups on its way out. Measured: docs/adr/0003-switch-interval.md.
"""


class TaskPush:
    """An ASGI application that runs registered handlers and shows every step of them live.

    Serve it with `taskpush serve module:push` or any ASGI server, or put it into an application of
    your own with `mount_into`.

    `default_kind` names the kind that a create without `kind` and `params` means. `settings` are
    read from the environment (`TASKPUSH_…`) when they are not given.
    """

    def __init__(
        self,
        *,
        default_kind: str | None = None,
        settings: Settings | None = None,
        strict_reporting: bool | None = None,
    ) -> None:
        chosen = settings or Settings()
        if strict_reporting is not None:
            chosen = chosen.model_copy(update={"strict_reporting": strict_reporting})
        self.settings = chosen
        self._default_kind = default_kind
        self._registry = Registry()
        # None while it is not started: requests are answered 503 then.
        self._application: ASGIApp | None = None
        self._router = Router(lifespan=self.lifespan)

    def task(
        self,
        name: str,
        *,
        process: bool = False,
        concurrency: int | None = None,
        description: str | None = None,
    ) -> Callable[[Handler], Handler]:
        """Register the decorated function as the handler of a kind, and return it unchanged.

        An `async def` handler runs on the event loop, a plain one in a thread, and with `process`
        in a worker process of its own. It takes a `TaskContext` and, if it has params, a second
        argument whose annotation they are validated against; its return annotation validates the
        result. `concurrency` is how many tasks of the kind run at once (by default 100 on the
        loop, 8 in threads, one per core in processes).

        Raises `ValueError` or `TypeError` for a name or a function that cannot be a handler.
        """

        def register(handler: Handler) -> Handler:
            self._registry.register(
                name,
                handler,
                process=process,
                concurrency=concurrency,
                description=description,
            )
            return handler

        return register

    @property
    def kinds(self) -> list[str]:
        """The names of the registered kinds, in the order of their registration."""
        return [spec.name for spec in self._registry.kinds()]

    def configure(self, **changes: Any) -> None:
        """Replace some settings, validated; only before the start."""
        merged = self.settings.model_dump() | changes
        self.settings = Settings.model_validate(merged)

    def mount_into(self, app: FastAPI, path: str = "") -> None:
        """Serve this application below `path` of an existing one, and start and stop with it.

        Mounted at the root it answers whatever `app` has no route for, so call this after the
        routes were added.
        """
        app.mount(path, self)
        outer = app.router.lifespan_context

        @asynccontextmanager
        async def both(host: FastAPI) -> AsyncIterator[Any]:
            async with outer(host) as state, self.lifespan(host):
                yield state

        app.router.lifespan_context = both

    @asynccontextmanager
    async def lifespan(self, _host: Any = None) -> AsyncIterator[None]:
        """Start, and stop when the context ends: `FastAPI(lifespan=push.lifespan)`."""
        if self._default_kind is not None and self._registry.get(self._default_kind) is None:
            raise ValueError(f"default_kind {self._default_kind!r} is not registered")
        async with AsyncExitStack() as stack:
            self._application = await _start(
                self.settings, self._registry, self._default_kind, stack
            )
            try:
                yield
            finally:
                self._application = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._router(scope, receive, send)
        elif self._application is not None:
            await self._application(scope, receive, send)
        elif scope["type"] == "http":
            await problem_response(_not_started())(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1013})


def _not_started() -> TaskPushError:
    return TaskPushError(
        "taskpush has not been started: mount it with push.mount_into(app), or run push.lifespan",
        code="not_started",
    )


async def _start(
    settings: Settings, registry: Registry, default_kind: str | None, stack: AsyncExitStack
) -> ASGIApp:
    """Wire everything, and start it in order; `stack` stops it in the reverse order."""
    telemetry = Telemetry(log_to(logging.getLogger("taskpush")))
    clock = SystemClock()
    store, blobs = _stores(settings, clock, telemetry, stack)
    hub = Hub()
    store.listen(hub.announce)
    await store.open()
    stack.push_async_callback(store.close)

    watchdog = Watchdog(telemetry)
    runner = InProcessRunner(
        store,
        registry,
        blobs,
        telemetry,
        clock,
        strict_reporting=settings.strict_reporting,
        grace_s=settings.process_grace_s,
    )
    queries = TaskQueries(store, hub)
    service = TaskService(store, registry, runner, clock, default_kind=default_kind)
    socket = SocketServer(
        TasksNamespace(service, Watching(store, queries), server_version=VERSION),
        store,
        hub,
        telemetry,
        origin_allowed=OriginPolicy(settings.allow_origins),
    )
    stack.push_async_callback(socket.shutdown)

    await _take_up_work(store, runner, telemetry, settings, clock, stack)
    watchdog.start()
    stack.callback(watchdog.stop)
    sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_INTERVAL_S))

    services = Services(
        tasks=service,
        queries=queries,
        readiness=Readiness(store, hub),
        registry=registry,
        blobs=blobs,
        default_kind=default_kind,
    )
    return build(services, socket.asgi(), version=VERSION, allow_origins=settings.allow_origins)


def _stores(
    settings: Settings, clock: SystemClock, telemetry: Telemetry, stack: AsyncExitStack
) -> tuple[Store, Blobs]:
    if settings.store == "memory":
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="taskpush-"))
        return MemoryStore(clock=clock, telemetry=telemetry), Blobs(Path(folder))
    settings.data.mkdir(parents=True, exist_ok=True)
    database = settings.data / "taskpush.db"
    return SqliteStore(database, clock=clock, telemetry=telemetry), Blobs(settings.data)


async def _take_up_work(
    store: Store,
    runner: Runner,
    telemetry: Telemetry,
    settings: Settings,
    clock: SystemClock,
    stack: AsyncExitStack,
) -> None:
    """Settle what an earlier server left running, then start what waits, in its old order."""
    interrupted = await settle_abandoned(store, clock)
    waiting = await store.waiting()
    await runner.start(waiting)

    async def stop() -> None:
        interrupted = await runner.stop(settings.shutdown_grace_s)
        telemetry.emit(ServerStopped(interrupted=interrupted))

    stack.push_async_callback(stop)
    data = "memory" if settings.store == "memory" else str(settings.data)
    telemetry.emit(
        ServerStarted(epoch=store.epoch, data=data, interrupted=interrupted, pending=len(waiting))
    )
