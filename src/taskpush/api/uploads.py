"""`/api/uploads`: files for the params of tasks, and the files that a task was created with."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response
from starlette.responses import FileResponse

from taskpush.api.body import StrictRoute
from taskpush.api.files import served
from taskpush.api.problems import responses
from taskpush.api.services import PrincipalDep, ServicesDep
from taskpush.api.task_id import TaskIdPath, canonical
from taskpush.errors import InvalidRequest, TaskPushError
from taskpush.models.uploads import MAX_FILE_NAME, KeptUpload, Upload
from taskpush.tasks.uploads import NewUpload

router = APIRouter(prefix="/api", tags=["uploads"], route_class=StrictRoute)

UploadIdPath = Annotated[str, Path(max_length=64, description="As `POST /api/uploads` gave it.")]

_FILE: dict[str, Any] = {
    "requestBody": {
        # Without one it is an empty file.
        "required": False,
        "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post(
    "/uploads",
    status_code=201,
    responses=responses(400, 408, 409, 413, 422, 503),
    summary="Send a file",
    openapi_extra=_FILE,
)
async def create_upload(
    request: Request,
    response: Response,
    services: ServicesDep,
    principal: PrincipalDep,
    name: Annotated[
        str, Query(min_length=1, max_length=MAX_FILE_NAME, description="What the file is called.")
    ],
    content_type: Annotated[
        str | None, Header(description="Of the file; without it the name decides.")
    ] = None,
    content_length: Annotated[int | None, Header(include_in_schema=False, ge=0)] = None,
) -> Upload:
    """Keep a file, whose id may then stand in params that take one. The body is the file itself.

    When this answers 201 the file survives power loss. It is deleted at `expires_at` unless a task
    uses it by then, and after that with the last task that does.
    """
    if (content_type or "").lower().startswith("multipart/"):
        raise InvalidRequest(
            "the body is the file itself, without a form around it:"
            " curl -T FILE -X POST '…/api/uploads?name=NAME'"
        )
    new = NewUpload(name, content_type, content_length)
    kept = await services.uploads.take(principal, new, request.stream())
    root = request.scope.get("root_path", "")
    response.headers["Location"] = f"{root}/api/uploads/{kept.ref.upload_id}"
    return _shown(kept)


@router.get("/uploads/{upload_id}", responses=responses(404, 422), summary="Read an upload")
async def get_upload(
    services: ServicesDep, principal: PrincipalDep, upload_id: UploadIdPath
) -> Upload:
    """What an upload of one's own is called, and how large it is."""
    return _shown(await services.uploads.get(principal, upload_id))


@router.delete(
    "/uploads/{upload_id}",
    status_code=204,
    responses=responses(404, 409, 422),
    summary="Delete an upload",
)
async def delete_upload(
    services: ServicesDep, principal: PrincipalDep, upload_id: UploadIdPath
) -> None:
    """Delete an upload that no task uses."""
    await services.uploads.discard(principal, upload_id)


@router.get(
    "/tasks/{task_id}/uploads/{upload_id}",
    response_class=FileResponse,
    responses=responses(404, 422),
    summary="Download a file that a task was created with",
)
async def get_task_upload(
    services: ServicesDep,
    principal: PrincipalDep,
    task_id: TaskIdPath,
    upload_id: UploadIdPath,
) -> FileResponse:
    """The bytes, for whoever may read the task and this of its params."""
    task_id = canonical(task_id)
    record = services.queries.shown(principal, await services.queries.get(principal, task_id))
    for ref in record.uploads:
        if ref.upload_id == upload_id:
            path = services.blobs.upload_path(ref)
            return served(path, name=ref.name, media_type=ref.media_type, sha256=ref.sha256)
    raise TaskPushError(code="upload_not_found")


def _shown(kept: KeptUpload) -> Upload:
    ref = kept.ref
    return Upload(
        upload_id=ref.upload_id,
        name=ref.name,
        media_type=ref.media_type,
        size_bytes=ref.size_bytes,
        sha256=ref.sha256,
        expires_at=kept.expires_at,
    )
