"""`/api/tasks/{id}/artifacts`: the files that jobs made, served so that none can act as a page."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query
from starlette.responses import FileResponse

from taskpush.api.problems import responses
from taskpush.api.services import PrincipalDep, ServicesDep
from taskpush.errors import NotFound
from taskpush.ids import canonical_task_id

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


@router.get(
    "/{task_id}/artifacts/{name}",
    response_class=FileResponse,
    responses=responses(404, 422),
    summary="Download an artifact",
)
async def get_artifact(
    services: ServicesDep,
    principal: PrincipalDep,
    task_id: Annotated[str, Path(description="The task's id, a UUID.")],
    name: Annotated[str, Path(max_length=128)],
    sha256: Annotated[
        str | None, Query(pattern="^[0-9a-f]{64}$", description="Which version of the file.")
    ] = None,
) -> FileResponse:
    """The bytes of the newest file of that name, or of the version with that hash.

    Range requests are answered.
    """
    canonical = canonical_task_id(task_id)
    if canonical is None:
        raise NotFound
    artifact = await services.queries.artifact(principal, canonical, name, sha256)
    inline = artifact.media_type.partition(";")[0].strip() in SHOWN_IN_PLACE
    return FileResponse(
        services.blobs.path(canonical, artifact.sha256),
        media_type=artifact.media_type if inline else "application/octet-stream",
        filename=artifact.name,
        content_disposition_type="inline" if inline else "attachment",
        headers={
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "ETag": f'"{artifact.sha256}"',
            "Cache-Control": "private, immutable, max-age=31536000" if sha256 else "no-cache",
        },
    )
