"""What the routes work with, and who asks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from taskpush.access.admission import Admission
from taskpush.access.authenticator import Authenticator
from taskpush.access.doorkeeper import Doorkeeper
from taskpush.access.principal import Principal
from taskpush.access.revocations import Revocations
from taskpush.access.tickets import Tickets
from taskpush.access.tokens import TokenMint
from taskpush.access.turnstile import Turnstile
from taskpush.access.visitor import Visitor
from taskpush.api.event_stream import Streams
from taskpush.core.limits import Limits
from taskpush.errors import AccessEnded, TaskPushError
from taskpush.models.audit import Door, Via
from taskpush.models.connections import Transport, WatchDoor, Watched
from taskpush.push.roll import Roll
from taskpush.runner.registry import Registry
from taskpush.store.blobs import Blobs
from taskpush.tasks.audit import AuditTrail
from taskpush.tasks.connections import Connections
from taskpush.tasks.feeds import Feeds
from taskpush.tasks.figures import Figures
from taskpush.tasks.history import History
from taskpush.tasks.producing import Producers
from taskpush.tasks.queries import TaskQueries
from taskpush.tasks.queueing.keeper import QueueKeeper
from taskpush.tasks.readiness import Readiness
from taskpush.tasks.service import TaskService
from taskpush.tasks.uploads import UploadShelf
from taskpush.tasks.watching import Watching
from taskpush.tasks.webhooks.showing import TaskWebhooks
from taskpush.telemetry.bus import Telemetry
from taskpush.telemetry.counters import EventCounters
from taskpush.telemetry.events import AccessRefused
from taskpush.telemetry.lag import LoopLag


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a route may need, wired by the composition root."""

    tasks: TaskService
    producers: Producers
    queries: TaskQueries
    watching: Watching
    roll: Roll
    streams: Streams
    readiness: Readiness
    feeds: Feeds
    queue: QueueKeeper
    history: History
    audit: AuditTrail
    connections: Connections
    figures: Figures
    counters: EventCounters
    lag: LoopLag
    registry: Registry
    blobs: Blobs
    uploads: UploadShelf
    webhooks: TaskWebhooks
    authenticator: Authenticator
    mint: TokenMint
    revocations: Revocations
    tickets: Tickets
    doorkeeper: Doorkeeper
    turnstile: Turnstile
    limits: Limits
    telemetry: Telemetry
    # None when every create has to name its kind.
    default_kind: str | None

    @asynccontextmanager
    async def answering(
        self, request: Request, admission: Admission, watched: Watched, *, wait_s: float
    ) -> AsyncIterator[None]:
        """Answer inside; it is a connection like others, of who watches that, when it may wait.

        Raises `connection_limit` or `server_full`, and `AccessEnded` when the admission ends.
        """
        async with AsyncExitStack() as stack:
            if wait_s:
                stack.enter_context(self.turnstile.enter(request.scope, admission))
                poll = _Poll(admission, watched)
                address = Visitor(request.scope).address
                seat = self.roll.enter(poll, WatchDoor.LONG_POLL, address)
                stack.callback(self.roll.leave, seat)
            await stack.enter_async_context(self.doorkeeper.open_while(admission))
            yield


@dataclass(frozen=True, slots=True)
class _Poll:
    """A long poll, as the roll knows it."""

    admission: Admission
    watching: Watched
    transport: Transport = "polling"


# For the documentation: what is in the header is read by the visitor.
_SCHEME = HTTPBearer(
    auto_error=False, description="An API key or a token; nothing while no access is configured."
)


_ADMISSION: Final = "taskpush.admission"

# Coroutines, because FastAPI takes plain functions to a thread.


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(_services)]


async def admitted(request: Request) -> Admission:
    """Who asks, which is asked once for a request; raises what they are refused with."""
    known: Admission | None = request.scope.get(_ADMISSION)
    if known is not None:
        return known
    services: Services = request.app.state.services
    visitor = Visitor(request.scope)
    try:
        admission = await services.authenticator.admit(visitor)
    except TaskPushError as error:
        services.telemetry.emit(AccessRefused(visitor.peer, error.code, error.detail))
        raise
    request.scope[_ADMISSION] = admission
    return admission


async def _admission(
    request: Request, _: Annotated[HTTPAuthorizationCredentials | None, Depends(_SCHEME)]
) -> Admission:
    return await admitted(request)


AdmissionDep = Annotated[Admission, Depends(_admission)]


async def _stream_admission(
    request: Request,
    services: ServicesDep,
    _: Annotated[HTTPAuthorizationCredentials | None, Depends(_SCHEME)],
    ticket: Annotated[
        str | None,
        Query(max_length=100, description="In the place of a header: see `POST /api/tickets`."),
    ] = None,
) -> Admission:
    if ticket is None:
        return await admitted(request)
    visitor = Visitor(request.scope)
    try:
        visitor.refuse_credential_in_address()
        admission = services.tickets.redeem(ticket)
        if not services.authenticator.lets_in(admission):
            raise AccessEnded
    except TaskPushError as error:
        services.telemetry.emit(AccessRefused(visitor.peer, error.code, error.detail))
        raise
    return admission


StreamAdmissionDep = Annotated[Admission, Depends(_stream_admission)]


async def _principal(admission: AdmissionDep) -> Principal:
    return admission.principal


PrincipalDep = Annotated[Principal, Depends(_principal)]


async def _via(request: Request, admission: AdmissionDep) -> Via:
    return Via(admission.credential, Door.REST, Visitor(request.scope).address)


ViaDep = Annotated[Via, Depends(_via)]
"""How whoever asks came, for the audit trail."""
