"""What the routes work with, and who asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from taskpush.access.principal import LOCAL, Principal
from taskpush.api.event_stream import Streams
from taskpush.runner.registry import Registry
from taskpush.store.blobs import Blobs
from taskpush.tasks.feeds import Feeds
from taskpush.tasks.history import History
from taskpush.tasks.queries import TaskQueries
from taskpush.tasks.queueing.keeper import QueueKeeper
from taskpush.tasks.readiness import Readiness
from taskpush.tasks.service import TaskService
from taskpush.tasks.watching import Watching


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a route may need, wired by the composition root."""

    tasks: TaskService
    queries: TaskQueries
    watching: Watching
    streams: Streams
    readiness: Readiness
    feeds: Feeds
    queue: QueueKeeper
    history: History
    registry: Registry
    blobs: Blobs
    # None when every create has to name its kind.
    default_kind: str | None


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


def _principal() -> Principal:
    """Without configured access everybody who gets here is the local principal."""
    return LOCAL


ServicesDep = Annotated[Services, Depends(_services)]
PrincipalDep = Annotated[Principal, Depends(_principal)]
