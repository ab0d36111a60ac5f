"""`/api/queue`: who waits, in which order, and for how long. Protocol section 3."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from taskpush.api.problems import responses
from taskpush.api.services import PrincipalDep, ServicesDep
from taskpush.errors import InvalidRequest
from taskpush.models.pages import Page
from taskpush.models.queue import KindQueue
from taskpush.models.values import parse_json

router = APIRouter(tags=["queue"])


@router.get("/api/queue", responses=responses(400, 422), summary="See who waits")
async def read_queue(
    services: ServicesDep,
    principal: PrincipalDep,
    kind: Annotated[str | None, Query(max_length=64, description="Only this kind's.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="So many positions per kind.")] = 100,
    params: Annotated[
        str | None,
        Query(
            max_length=8192,
            description="With `kind`: the params of a task to be submitted, a JSON object, for "
            "`run_seconds` of `next_submission`.",
        ),
    ] = None,
) -> Page[KindQueue]:
    """Each kind's waiting tasks in order, with estimates, and where a task created now would stand.

    Positions count everybody; what is shown of others' tasks is the kind's `queue_visibility`.
    """
    if params is None:
        queues = await services.queue.queues(principal, kind, limit=limit)
        return Page(items=list(queues), next=None)
    given = parse_json(params.encode())
    if kind is None or not isinstance(given, dict):
        raise InvalidRequest("params are a JSON object, and go with a kind")
    uploads = await services.uploads.of(principal, services.registry.require(kind), given)
    queue = await services.queue.queue_before(principal, kind, given, uploads, limit=limit)
    return Page(items=[queue], next=None)
