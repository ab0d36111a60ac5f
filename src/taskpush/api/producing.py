"""What producers outside the server call: events, and files. Protocol section 3."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response

from taskpush.api.body import StrictRoute
from taskpush.api.problems import responses
from taskpush.api.services import PrincipalDep, ServicesDep
from taskpush.api.task_id import TaskIdPath, canonical
from taskpush.models.producing import (
    ArtifactTaken,
    AttemptNumber,
    ProducerId,
    ReportBatch,
    ReportsTaken,
)
from taskpush.tasks.producing import SentFile

router = APIRouter(prefix="/api/tasks", tags=["producers"], route_class=StrictRoute)

_FILE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_AGAIN: dict[int | str, dict[str, Any]] = {
    200: {"model": ArtifactTaken, "description": "This attempt had sent the same file before."}
}


@router.post(
    "/{task_id}/events",
    response_model=ReportsTaken,
    responses=responses(400, 404, 408, 409, 413, 422, 503),
    summary="Report events",
)
async def report_events(
    services: ServicesDep, principal: PrincipalDep, task_id: TaskIdPath, body: ReportBatch
) -> ReportsTaken:
    """Append what a producer says of an attempt: all of the batch, or nothing.

    Repeated, also after a restart of the server, it appends nothing twice and answers the same
    positions. Whatever is sent renews the lease; no events at all are a sign of life.
    """
    return await services.producers.report(principal, canonical(task_id), body)


@router.put(
    "/{task_id}/artifacts/{name}",
    status_code=201,
    response_model=ArtifactTaken,
    responses=responses(400, 404, 408, 409, 413, 422, 503) | _AGAIN,
    summary="Send an artifact",
    openapi_extra=_FILE,
)
async def put_artifact(
    request: Request,
    response: Response,
    services: ServicesDep,
    principal: PrincipalDep,
    task_id: TaskIdPath,
    name: Annotated[str, Path(max_length=128)],
    attempt: Annotated[AttemptNumber, Query()],
    producer_id: Annotated[ProducerId, Query()],
    content_type: Annotated[
        str | None, Header(description="Of the file; without it the name decides.")
    ] = None,
) -> ArtifactTaken:
    """Keep a file of up to 1 GiB that the producer's job made, and announce it in the log."""
    sent = SentFile(attempt, producer_id, name, content_type)
    taken, fresh = await services.producers.keep(
        principal, canonical(task_id), sent, request.stream()
    )
    response.status_code = 201 if fresh else 200
    response.headers["Location"] = request.scope.get("root_path", "") + taken.url
    return taken
