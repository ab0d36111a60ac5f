"""Makes the parts of a server, and starts them in order."""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import anyio.lowlevel
from starlette.types import ASGIApp

from taskpush.access.destinations import Destinations
from taskpush.access.doorkeeper import Doorkeeper
from taskpush.access.private_file import exposed_mode, private_folder
from taskpush.access.seal import Seal
from taskpush.access.tickets import Tickets
from taskpush.access.tokens import passing_secret, secret_in
from taskpush.access.turnstile import Turnstile
from taskpush.access.webhook_secrets import WebhookSecrets
from taskpush.api.application import build
from taskpush.api.event_stream import Streams
from taskpush.api.gate import gated
from taskpush.api.services import Services
from taskpush.clock import SystemClock
from taskpush.composition.access import authenticator_of, tokens
from taskpush.composition.stopping import Drain, HangUp, stop
from taskpush.errors import TaskPushError
from taskpush.push.dispatch import Dispatcher
from taskpush.push.plane import PushPlane
from taskpush.push.roll import Roll
from taskpush.runner.inprocess import InProcessRunner
from taskpush.runner.producing.attempts import ReportedAttempts
from taskpush.runner.recorder import LogBudget
from taskpush.runner.registry import Registry
from taskpush.runner.watchdog import Watchdog
from taskpush.runner.workshop import Workshop
from taskpush.settings import Settings
from taskpush.sockets.namespace import TasksNamespace
from taskpush.sockets.server import SocketServer
from taskpush.store.base import Store
from taskpush.store.blobs import Blobs
from taskpush.store.memory.store import MemoryStore
from taskpush.store.sqlite.store import SqliteStore
from taskpush.tasks.audit import AuditTrail
from taskpush.tasks.connections import Connections
from taskpush.tasks.feeds import Feeds
from taskpush.tasks.figures import Figures
from taskpush.tasks.history import History
from taskpush.tasks.producing import Producers
from taskpush.tasks.queries import TaskQueries
from taskpush.tasks.queueing.keeper import QueueKeeper
from taskpush.tasks.readiness import Readiness
from taskpush.tasks.recovery import (
    remove_orphans,
    reported_tasks,
    resume_interrupted,
    settle_abandoned,
)
from taskpush.tasks.retention import RetentionRounds
from taskpush.tasks.service import TaskService
from taskpush.tasks.showing import Showing
from taskpush.tasks.uploads import UploadShelf
from taskpush.tasks.waiting import LongPolls
from taskpush.tasks.watching import Watching
from taskpush.tasks.webhooks.delivering import Deliverer
from taskpush.tasks.webhooks.sending import Sender
from taskpush.tasks.webhooks.showing import TaskWebhooks
from taskpush.telemetry.bus import Telemetry, log_to
from taskpush.telemetry.counters import EventCounters
from taskpush.telemetry.events import DataExposed, ServerStarted
from taskpush.telemetry.lag import LoopLag
from taskpush.telemetry.refusals import FewRefusals

VERSION: Final = version("taskpush")
SWITCH_INTERVAL_S: Final = 0.0005
"""How long a busy Python thread may keep the interpreter's lock from the event loop.

With the default of 5 ms each wake-up of the loop waits that long for every thread that computes;
an event passes several wake-ups on its way out. Measured: docs/adr/0003-switch-interval.md.
"""


@dataclass
class Started:
    """What `start` has made."""

    application: ASGIApp
    drain: Drain
    hang_up: HangUp


async def start(
    settings: Settings,
    registry: Registry,
    default_kind: str | None,
    authenticate: Callable[..., Any] | None,
    stack: AsyncExitStack,
) -> Started:
    """Wire everything, and start it in order; `stack` stops it in the reverse order."""
    clock = SystemClock()
    counters, lag = EventCounters(), LoopLag()
    telemetry = _telemetry(settings, clock, counters, stack)
    secret = passing_secret() if settings.store == "memory" else secret_in(settings.data)
    revocations, mint = tokens(settings, secret)
    authenticator = authenticator_of(settings, telemetry, mint, authenticate, stack)
    doorkeeper = Doorkeeper(authenticator)
    limits = settings.limits
    turnstile = Turnstile(limits, telemetry, clock.monotonic)
    store, blobs = _stores(settings, clock, telemetry, stack)
    plane = PushPlane(
        store,
        Dispatcher(outboxes_bytes=settings.outboxes_bytes),
        outbox_bytes=settings.outbox_bytes,
        seal=Seal(secret, "feeds"),
    )
    roll = Roll(plane.dispatcher, clock.now)
    keeper = QueueKeeper(store, registry, clock, telemetry)
    store.listen(keeper.on_commit)
    figures = Figures(
        store, plane, roll, keeper, turnstile, lag, clock, limits=limits, version=VERSION
    )
    store.listen(figures.on_commit)
    destinations = Destinations(settings.webhook_allow)
    _check_webhooks(registry, destinations)
    sender = Sender(
        destinations,
        WebhookSecrets(settings.webhook_secrets_file),
        clock,
        user_agent=f"taskpush/{VERSION}",
        timeout_s=settings.webhook_timeout_s,
    )
    stack.push_async_callback(sender.close)
    deliverer = Deliverer(store, sender.send, clock, telemetry, schedule=settings.webhook_waits)
    store.follow(deliverer.on_change)
    await store.open()
    stack.push_async_callback(store.close)
    stack.push_async_callback(figures.close)

    # The framework loads its event loop backend when it is first asked for something: now, and not
    # in the middle of somebody's first request.
    await anyio.lowlevel.checkpoint()
    watchdog = Watchdog(telemetry, lag)
    runner = InProcessRunner(
        store,
        registry,
        blobs,
        telemetry,
        clock,
        strict_reporting=settings.strict_reporting,
        grace_s=settings.process_grace_s,
        run_times=keeper.run_times,
        log_budget=LogBudget(line_bytes=limits.log_line_bytes),
    )
    polls = LongPolls()
    queries = TaskQueries(store, plane.hub, Showing(registry), polls, seal=Seal(secret, "lists"))
    feeds = Feeds(store, plane.feeds, keeper, polls=polls, limits=limits)
    uploads = UploadShelf(store, blobs, clock, limits=limits, lifetime=settings.keep_uploads_age)
    audit = AuditTrail(store, clock, settings.keys_file, seal=Seal(secret, "audit"))
    service = TaskService(
        store,
        registry,
        runner,
        clock,
        blobs,
        audit,
        default_kind=default_kind,
        room_in_s=keeper.room_in_s,
        limits=limits,
        destinations=destinations,
        uploads=uploads,
    )
    attempts = ReportedAttempts(
        Workshop(store, blobs, telemetry, clock, run_times=keeper.run_times),
        registry,
        lease_s=settings.producer_lease_s,
    )
    watching = Watching(store, queries, limits=limits)
    socket = SocketServer(
        TasksNamespace(
            service,
            queries,
            watching,
            feeds,
            admit=authenticator.admit,
            server_version=VERSION,
            limits=limits,
        ),
        plane,
        telemetry,
        admit=authenticator.admit,
        doorkeeper=doorkeeper,
        turnstile=turnstile,
        roll=roll,
        limits=limits,
        compress_above=settings.compress_above,
    )
    streams = Streams(plane, roll)
    hang_up = HangUp(plane.dispatcher, polls, streams, socket)
    stack.callback(hang_up)

    await remove_orphans(store, blobs)
    interrupted = await settle_abandoned(store, clock)
    reported = await reported_tasks(store)
    attempts.start(reported)
    stack.push_async_callback(attempts.close)
    await resume_interrupted(store, registry)
    await deliverer.start()
    stack.push_async_callback(deliverer.close)
    waiting = await store.waiting()
    keeper.start(waiting, reported)
    stack.push_async_callback(keeper.close)
    await runner.start(waiting)
    readiness = Readiness(store, plane.hub, clock)
    drain = Drain(runner, readiness, settings.shutdown_grace_s)
    stack.push_async_callback(stop, drain, telemetry)
    rounds = _retention_rounds(settings, registry, store, blobs, uploads, clock, telemetry)
    rounds.start()
    stack.push_async_callback(rounds.close)
    data = "memory" if settings.store == "memory" else str(settings.data)
    telemetry.emit(ServerStarted(store.epoch, data, interrupted, pending=len(waiting)))

    watchdog.start()
    stack.callback(watchdog.stop)
    sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_INTERVAL_S))

    services = Services(
        tasks=service,
        producers=Producers(store, registry, blobs, attempts),
        queries=queries,
        watching=watching,
        feeds=feeds,
        roll=roll,
        streams=streams,
        readiness=readiness,
        queue=keeper,
        history=History(store, registry, keeper),
        audit=audit,
        connections=Connections(roll, seal=Seal(secret, "connections")),
        figures=figures,
        counters=counters,
        lag=lag,
        registry=registry,
        blobs=blobs,
        uploads=uploads,
        webhooks=TaskWebhooks(store, deliverer),
        authenticator=authenticator,
        mint=mint,
        revocations=revocations,
        tickets=Tickets(time.time),
        doorkeeper=doorkeeper,
        turnstile=turnstile,
        limits=limits,
        telemetry=telemetry,
        default_kind=default_kind,
    )
    application = gated(
        build(services, socket.asgi(), version=VERSION),
        telemetry,
        allow_hosts=settings.allow_hosts,
        allow_origins=settings.allow_origins,
        trusted_proxies=settings.trusted_proxies,
        public=settings.public or authenticate is not None,
    )
    return Started(application, drain, hang_up)


def _telemetry(
    settings: Settings, clock: SystemClock, counters: EventCounters, stack: AsyncExitStack
) -> Telemetry:
    log = log_to(logging.getLogger("taskpush"))
    if not settings.log_refusals_per_min:
        return Telemetry(counters, log)
    few = FewRefusals(log, clock.monotonic, each=settings.log_refusals_per_min)
    stack.callback(few.close)
    return Telemetry(counters, few)


def _check_webhooks(registry: Registry, destinations: Destinations) -> None:
    """Refuse to start when events of a kind could not be sent; raises `TaskPushError`."""
    for spec in registry.kinds():
        for webhook in spec.webhooks:
            try:
                destinations.check(webhook.url)
            except TaskPushError as error:
                raise TaskPushError(
                    f"kind {spec.name}: {error.detail}; see TASKPUSH_WEBHOOK_ALLOW", code=error.code
                ) from None


def _stores(
    settings: Settings, clock: SystemClock, telemetry: Telemetry, stack: AsyncExitStack
) -> tuple[Store, Blobs]:
    if settings.store == "memory":
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="taskpush-"))
        return MemoryStore(clock=clock, telemetry=telemetry), _blobs(Path(folder), settings)
    private_folder(settings.data)
    mode = exposed_mode(settings.data)
    if mode is not None:
        telemetry.emit(DataExposed(str(settings.data), mode))
    database = settings.data / "taskpush.db"
    store = SqliteStore(database, clock=clock, telemetry=telemetry)
    return store, _blobs(settings.data, settings)


def _blobs(folder: Path, settings: Settings) -> Blobs:
    return Blobs(
        folder,
        max_bytes=settings.max_artifact_bytes,
        max_upload_bytes=settings.max_upload_bytes,
    )


def _retention_rounds(
    settings: Settings,
    registry: Registry,
    store: Store,
    blobs: Blobs,
    uploads: UploadShelf,
    clock: SystemClock,
    telemetry: Telemetry,
) -> RetentionRounds:
    of_kinds = {
        spec.name: spec.retention for spec in registry.kinds() if spec.retention is not None
    }
    return RetentionRounds(
        store,
        blobs,
        clock,
        telemetry,
        retention=settings.retention,
        of_kinds=of_kinds,
        audit_age=settings.keep_audit_age,
        uploads=uploads,
        interval_s=settings.retention_interval_s,
    )
