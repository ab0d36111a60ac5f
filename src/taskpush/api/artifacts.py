"""`/api/tasks/{id}/artifacts`: the files that jobs made."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import FileResponse

from taskpush.api.files import served
from taskpush.api.problems import responses
from taskpush.api.services import PrincipalDep, ServicesDep
from taskpush.api.task_id import TaskIdPath, canonical
from taskpush.models.pages import Page
from taskpush.models.task import ListedArtifact

router = APIRouter(prefix="/api/tasks", tags=["artifacts"])


@router.get("/{task_id}/artifacts", responses=responses(404), summary="List a task's artifacts")
async def list_artifacts(
    services: ServicesDep, principal: PrincipalDep, task_id: TaskIdPath
) -> Page[ListedArtifact]:
    """The files that the task has made so far, oldest first.

    Those of an attempt that failed, was cancelled or interrupted are marked `partial`.
    """
    found = await services.queries.artifacts(principal, canonical(task_id))
    return Page(items=list(found), next=None)


@router.get(
    "/{task_id}/artifacts/{name}",
    response_class=FileResponse,
    responses=responses(404, 422),
    summary="Download an artifact",
)
async def get_artifact(
    services: ServicesDep,
    principal: PrincipalDep,
    task_id: TaskIdPath,
    name: Annotated[str, Path(max_length=128)],
    sha256: Annotated[
        str | None, Query(pattern="^[0-9a-f]{64}$", description="Which version of the file.")
    ] = None,
) -> FileResponse:
    """The bytes of the newest file of that name, or of the version with that hash.

    Range requests are answered. `X-Taskpush-Attempt` says which attempt made it, and
    `X-Taskpush-Partial: true` that this one failed, was cancelled or interrupted.
    """
    task_id = canonical(task_id)
    artifact = await services.queries.artifact(principal, task_id, name, sha256)
    response = served(
        services.blobs.path(task_id, artifact.sha256),
        name=artifact.name,
        media_type=artifact.media_type,
        sha256=artifact.sha256,
        pinned=sha256 is not None,
    )
    response.headers["X-Taskpush-Attempt"] = str(artifact.attempt)
    response.headers["X-Taskpush-Partial"] = "true" if artifact.partial else "false"
    return response
