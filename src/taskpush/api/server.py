"""`/api/connections`, `/api/server` and `/metrics`: who watches what, and how the server is."""

from __future__ import annotations

import asyncio
from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Request, Response

from taskpush.api.exposition import CONTENT_TYPE, exposition
from taskpush.api.pagination import address_of_next
from taskpush.api.problems import responses
from taskpush.api.services import AdmissionDep, PrincipalDep, ServicesDep
from taskpush.models.commands import TaskId
from taskpush.models.connections import WatchingConnection
from taskpush.models.pages import Page
from taskpush.models.server import ServerFigures
from taskpush.tasks.connections import ConnectionQuery

router = APIRouter(tags=["server"])


@router.get(
    "/api/connections",
    response_model=Page[WatchingConnection],
    responses=responses(422),
    summary="Read who watches what",
)
async def read_connections(
    request: Request,
    services: ServicesDep,
    admission: AdmissionDep,
    task_id: Annotated[TaskId | None, Query(description="Only who watches this task.")] = None,
    owner: Annotated[str | None, Query(max_length=200, description="Only this owner's.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[
        str | None, Query(max_length=200, description="Filled in by a page's `next`.")
    ] = None,
) -> Response:
    """Sockets, streams and waiting polls, newest first: whose, since when, what they watch.

    For admins, of their own tenant; while no access is configured, for everybody. A page looks at
    1,000 connections at most: with a filter it may hold few, or none, and not be the last.
    """
    page = services.connections.page(admission, ConnectionQuery(limit, after, owner, task_id))
    following = page.next and address_of_next(request, "/api/connections", page.next)
    body = orjson.dumps({"items": page.connections, "next": following})
    return Response(body, media_type="application/json")


@router.get("/api/server", response_model=ServerFigures, summary="Read how the server is")
async def read_server(services: ServicesDep, principal: PrincipalDep) -> Response:
    """Connections, backlog, tasks, events, delays of the event loop, memory, size of the store.

    For the admins of the server's own tenant and for the role `metrics`; while no access is
    configured, for everybody. `/metrics` tells the same to Prometheus.
    """
    figures = await services.figures.read(principal)
    return Response(orjson.dumps(figures), media_type="application/json")


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    summary="Read how the server is, for Prometheus",
)
async def read_metrics(services: ServicesDep, principal: PrincipalDep) -> Response:
    """The text format of Prometheus; for whom `GET /api/server` is."""
    figures = await services.figures.read(principal)
    counted = services.counters.events, services.counters.attempts, services.lag.distribution
    # In a thread: it takes milliseconds, and asks the operating system.
    body = await asyncio.to_thread(exposition, figures, *counted)
    return Response(body, media_type=CONTENT_TYPE)
