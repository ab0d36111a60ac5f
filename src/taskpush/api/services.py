"""What the routes work with, and who asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from taskpush.access.admission import Admission
from taskpush.access.authenticator import Authenticator
from taskpush.access.doorkeeper import Doorkeeper
from taskpush.access.principal import Principal
from taskpush.access.revocations import Revocations
from taskpush.access.tickets import Tickets
from taskpush.access.tokens import TokenMint
from taskpush.access.visitor import Visitor
from taskpush.api.event_stream import Streams
from taskpush.errors import AccessEnded, TaskPushError
from taskpush.runner.registry import Registry
from taskpush.store.blobs import Blobs
from taskpush.tasks.feeds import Feeds
from taskpush.tasks.history import History
from taskpush.tasks.producing import Producers
from taskpush.tasks.queries import TaskQueries
from taskpush.tasks.queueing.keeper import QueueKeeper
from taskpush.tasks.readiness import Readiness
from taskpush.tasks.service import TaskService
from taskpush.tasks.watching import Watching
from taskpush.telemetry.bus import Telemetry
from taskpush.telemetry.events import AccessRefused


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a route may need, wired by the composition root."""

    tasks: TaskService
    producers: Producers
    queries: TaskQueries
    watching: Watching
    streams: Streams
    readiness: Readiness
    feeds: Feeds
    queue: QueueKeeper
    history: History
    registry: Registry
    blobs: Blobs
    authenticator: Authenticator
    mint: TokenMint
    revocations: Revocations
    tickets: Tickets
    doorkeeper: Doorkeeper
    telemetry: Telemetry
    # None when every create has to name its kind.
    default_kind: str | None


# For the documentation: what is in the header is read by the visitor.
_SCHEME = HTTPBearer(
    auto_error=False, description="An API key or a token; nothing while no access is configured."
)


# Coroutines, because FastAPI takes plain functions to a thread.


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(_services)]


async def _admission(
    request: Request,
    services: ServicesDep,
    _: Annotated[HTTPAuthorizationCredentials | None, Depends(_SCHEME)],
) -> Admission:
    visitor = Visitor(request.scope)
    try:
        return await services.authenticator.admit(visitor)
    except TaskPushError as error:
        services.telemetry.emit(AccessRefused(visitor.peer, error.code, error.detail))
        raise


AdmissionDep = Annotated[Admission, Depends(_admission)]


async def _stream_admission(
    request: Request,
    services: ServicesDep,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_SCHEME)],
    ticket: Annotated[
        str | None,
        Query(max_length=100, description="In the place of a header: see `POST /api/tickets`."),
    ] = None,
) -> Admission:
    if ticket is None:
        return await _admission(request, services, credentials)
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
