"""`/api/tasks/{id}/artifacts`: the files that jobs made, served so that none can act as a page."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query
from starlette.responses import FileResponse

from taskpush.api.problems import responses
from taskpush.api.services import PrincipalDep, ServicesDep
from taskpush.errors import NotFound
from taskpush.ids import canonical_task_id
from taskpush.models.pages import Page
from taskpush.models.task import ListedArtifact

router = APIRouter(prefix="/api/tasks", tags=["artifacts"])

SHOWN_IN_PLACE: Final = frozenset(
    {
        "image/png",
        "image/jpeg",
        "image/gif",
        "image/webp",
        "text/plain",
        "text/csv",
        "application/json",
    }
)
"""Types that a browser may show; everything else is a download, whatever it claims to be."""


TaskIdPath = Annotated[str, Path(description="The task's id, a UUID.")]


@router.get("/{task_id}/artifacts", responses=responses(404), summary="List a task's artifacts")
async def list_artifacts(
    services: ServicesDep, principal: PrincipalDep, task_id: TaskIdPath
) -> Page[ListedArtifact]:
    """The files that the task has made so far, oldest first.

    Those of an attempt that failed, was cancelled or interrupted are marked `partial`.
    """
    found = await services.queries.artifacts(principal, _canonical(task_id))
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
    canonical = _canonical(task_id)
    artifact = await services.queries.artifact(principal, canonical, name, sha256)
    response = served(
        services.blobs.path(canonical, artifact.sha256),
        name=artifact.name,
        media_type=artifact.media_type,
        sha256=artifact.sha256,
        pinned=sha256 is not None,
    )
    response.headers["X-Taskpush-Attempt"] = str(artifact.attempt)
    response.headers["X-Taskpush-Partial"] = "true" if artifact.partial else "false"
    return response


def served(
    path: FilePath, *, name: str, media_type: str, sha256: str, pinned: bool = True
) -> FileResponse:
    """A file that somebody made, such that it cannot act as a page.

    `pinned`: the address has this content for ever.
    """
    inline = media_type.partition(";")[0].strip() in SHOWN_IN_PLACE
    return FileResponse(
        path,
        media_type=media_type if inline else "application/octet-stream",
        filename=name,
        content_disposition_type="inline" if inline else "attachment",
        headers={
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "ETag": f'"{sha256}"',
            "Cache-Control": (
                "private, immutable, max-age=31536000" if pinned else "private, no-cache"
            ),
        },
    )


def _canonical(task_id: str) -> str:
    canonical = canonical_task_id(task_id)
    if canonical is None:
        raise NotFound
    return canonical
