"""The composition root: the only place that picks adapters and wires them."""

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

from taskpush.access.authenticator import Authenticator
from taskpush.access.destinations import Destinations
from taskpush.access.doorkeeper import Doorkeeper
from taskpush.access.hook import DependencyHook
from taskpush.access.jwks import Jwks, fetch_from
from taskpush.access.jwt import JwtAuthenticator, JwtRules, KeySource, OneKey
from taskpush.access.keys import KeyRing
from taskpush.access.private_file import exposed_mode, private_folder
from taskpush.access.revocations import FILE as REVOKED_FILE
from taskpush.access.revocations import Revocations
from taskpush.access.seal import Seal
from taskpush.access.tickets import Tickets
from taskpush.access.tokens import TokenMint, passing_secret, secret_in
from taskpush.access.turnstile import Turnstile
from taskpush.access.webhook_secrets import WebhookSecrets
from taskpush.api.application import build
from taskpush.api.event_stream import Streams
from taskpush.api.gate import gated
from taskpush.api.services import Services
from taskpush.clock import SystemClock
from taskpush.errors import TaskPushError
from taskpush.push.dispatch import Dispatcher
from taskpush.push.plane import PushPlane
from taskpush.push.roll import Roll
from taskpush.runner.base import Runner
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
from taskpush.telemetry.events import DataExposed, ServerStarted, ServerStopped
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


@dataclass
class Drain:
    """Stops taking work, and ends what runs; everything else goes on. May be called again."""

    runner: Runner
    readiness: Readiness
    grace_s: float
    # How many tasks it interrupted.
    interrupted: int = 0

    async def __call__(self, within_s: float | None = None) -> None:
        """Give handlers so long to stop; None means what the settings say."""
        self.readiness.stop()
        ended = await self.runner.stop(self.grace_s if within_s is None else within_s)
        # Who hurries it sees a part of the same tasks.
        self.interrupted = max(self.interrupted, ended)


@dataclass
class HangUp:
    """Answers those who wait, and closes every connection; may be called again."""

    dispatcher: Dispatcher
    polls: LongPolls
    streams: Streams
    socket: SocketServer

    def __call__(self) -> None:
        """Whoever watches comes back, and goes on where it was."""
        # How their tasks were left.
        self.dispatcher.flush()
        self.polls.end()
        self.streams.shutdown()
        self.socket.shutdown()


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
    revocations, mint = _tokens(settings, secret)
    authenticator = _authenticator(settings, telemetry, mint, authenticate, stack)
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
    attempts.start(await reported_tasks(store))
    stack.push_async_callback(attempts.close)
    await resume_interrupted(store, registry)
    await deliverer.start()
    stack.push_async_callback(deliverer.close)
    waiting = await store.waiting()
    keeper.start(waiting)
    stack.push_async_callback(keeper.close)
    await runner.start(waiting)
    readiness = Readiness(store, plane.hub, clock)
    drain = Drain(runner, readiness, settings.shutdown_grace_s)
    stack.push_async_callback(_stop, drain, telemetry)
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


def _authenticator(
    settings: Settings,
    telemetry: Telemetry,
    mint: TokenMint,
    authenticate: Callable[..., Any] | None,
    stack: AsyncExitStack,
) -> Authenticator:
    jwt = None
    if settings.jwt_configured:
        keys = _jwt_keys(settings, telemetry, stack)
        jwt = JwtAuthenticator(_jwt_rules(settings), keys)
    hook = None if authenticate is None else DependencyHook(authenticate)
    ring = KeyRing(settings.keys_file, telemetry, time.time)
    return Authenticator(ring, time.time, telemetry, mint=mint, jwt=jwt, hook=hook)


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


def _tokens(settings: Settings, secret: bytes) -> tuple[Revocations, TokenMint]:
    """What is made and revoked stays so over a restart, unless the server forgets everything."""
    file = None if settings.store == "memory" else settings.data / REVOKED_FILE
    revocations = Revocations(file, time.time)
    return revocations, TokenMint(secret, revocations, time.time)


def _jwt_keys(settings: Settings, telemetry: Telemetry, stack: AsyncExitStack) -> KeySource:
    secret = settings.shared_secret
    if secret is not None:
        return OneKey(secret)
    if settings.jwt_public_key is not None:
        return OneKey(settings.jwt_public_key.read_bytes())
    assert settings.jwt_jwks is not None  # As the settings have made sure.
    fetch = fetch_from(settings.jwt_jwks)
    keys = Jwks(fetch, settings.jwt_algorithms, telemetry, time.monotonic)
    stack.push_async_callback(keys.close)
    return keys


def _jwt_rules(settings: Settings) -> JwtRules:
    assert settings.jwt_audience is not None  # As the settings have made sure.
    assert settings.jwt_issuer is not None
    return JwtRules(
        algorithms=settings.jwt_algorithms,
        audience=settings.jwt_audience,
        issuer=settings.jwt_issuer,
        leeway_s=settings.jwt_leeway_s,
        owner_claim=settings.jwt_owner_claim,
        tenant_claim=settings.jwt_tenant_claim,
        roles_claim=settings.jwt_roles_claim,
        roles=frozenset(settings.jwt_roles),
    )


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


async def _stop(drain: Drain, telemetry: Telemetry) -> None:
    await drain()
    telemetry.emit(ServerStopped(interrupted=drain.interrupted))


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
