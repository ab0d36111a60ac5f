"""`/api/tasks`: create, list, read, cancel. Protocol section 3."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Body, Header, Query, Request, Response

from taskpush.api.body import StrictRoute
from taskpush.api.pagination import address_of_next
from taskpush.api.problems import responses
from taskpush.api.services import AdmissionDep, PrincipalDep, ServicesDep, ViaDep
from taskpush.api.task_id import TaskIdPath, canonical
from taskpush.core.views import latest_of, snapshot_of, summary_of, volatile_of
from taskpush.models.commands import CancelTask, CreateBatch, CreateTask, Name, RetryTask
from taskpush.models.connections import Watched, WatchState
from taskpush.models.events import Status
from taskpush.models.pages import EventPage, Page, Result
from taskpush.models.position import START, Position, WirePosition
from taskpush.models.task import Snapshot, Summary
from taskpush.models.values import MAX_SAFE_INTEGER, Moment
from taskpush.tasks.queries import ListQuery
from taskpush.tasks.service import Idempotency

router = APIRouter(prefix="/api/tasks", tags=["tasks"], route_class=StrictRoute)

IdempotencyKeyHeader = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        description="Makes a repeated create safe for 24 hours: the same key and body give the"
        " same task.",
    ),
]

_CREATE_EXAMPLES: dict[str, Any] = {
    "kind and params": {
        "summary": "A task of a named kind",
        "value": {
            "kind": "layout",
            "params": {"bom_file": "config/bom_example.json", "max_iterations": 20},
            "title": "First layout",
            "tags": ["demo"],
        },
    },
    "flat": {
        "summary": "The params of the default kind, as they are",
        "value": {"bom_file": "config/bom_example.json", "max_iterations": 20},
    },
}
_REPEATED: dict[int | str, dict[str, Any]] = {
    200: {"description": "The idempotency key was used before, with this body."}
}
_TASK_ID = {"task_id": "$response.body#/task_id"}
_CREATED: dict[int | str, dict[str, Any]] = {
    201: {
        "description": "The task as it was stored.",
        "headers": {"Location": {"schema": {"type": "string"}}},
        "links": {
            name: {"operationId": name, "parameters": _TASK_ID}
            for name in (
                "get_task",
                "get_result",
                "get_events",
                "cancel_task",
                "retry_task",
                "delete_task",
                "list_artifacts",
                "report_events",
            )
        },
    }
}
_CREATE_BODY = {
    "anyOf": [
        CreateTask.model_json_schema(),
        {"type": "object", "title": "Params of the default kind"},
    ]
}


@router.post(
    "",
    status_code=201,
    response_model=Snapshot,
    responses=responses(400, 408, 409, 413, 422, 429, 503) | _CREATED | _REPEATED,
    summary="Create a task",
)
async def create_task(
    request: Request,
    response: Response,
    services: ServicesDep,
    principal: PrincipalDep,
    body: Annotated[
        dict[str, Any],
        Body(openapi_examples=_CREATE_EXAMPLES, json_schema_extra=_CREATE_BODY),
    ],
    idempotency_key: IdempotencyKeyHeader = None,
) -> Snapshot:
    """Store a task and start it as soon as its kind has a free slot.

    When this answers 201 the task survives power loss. A body with neither `kind` nor `params` is
    taken whole as the params of the default kind. With an `Idempotency-Key` a repeated call is
    answered 200, with the task of the first one.
    """
    key = _idempotency(idempotency_key, body)
    accepted = await services.tasks.create(principal, services.tasks.parse_create(body), key)
    snapshot = snapshot_of(services.queries.shown(principal, accepted.records[0]))
    response.status_code = 201 if accepted.fresh else 200
    response.headers["Location"] = request.scope.get("root_path", "") + snapshot.links.self_
    return snapshot


@router.post(
    "/batch",
    status_code=201,
    response_model=Page[Snapshot],
    responses=responses(400, 408, 409, 413, 422, 429, 503) | _REPEATED,
    summary="Create many tasks",
)
async def create_batch(
    response: Response,
    services: ServicesDep,
    principal: PrincipalDep,
    body: CreateBatch,
    idempotency_key: IdempotencyKeyHeader = None,
) -> Page[Snapshot]:
    """Create up to 1,000 tasks: all of them, or none."""
    commands = services.tasks.parse_batch(body)
    key = _idempotency(idempotency_key, body.tasks)
    accepted = await services.tasks.create_batch(principal, commands, key)
    response.status_code = 201 if accepted.fresh else 200
    shown = (services.queries.shown(principal, record) for record in accepted.records)
    return Page(items=[snapshot_of(record) for record in shown], next=None)


@router.get("", response_model=Page[Summary], responses=responses(422), summary="List tasks")
async def list_tasks(
    request: Request,
    services: ServicesDep,
    principal: PrincipalDep,
    status: Status | None = None,
    kind: Name | None = None,
    tag: Name | None = None,
    created_after: Moment | None = None,
    created_before: Moment | None = None,
    q: Annotated[
        str | None, Query(max_length=100, description="Part of the title or the id.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[
        str | None, Query(max_length=200, description="Filled in by a page's `next`.")
    ] = None,
) -> Page[Summary]:
    """Tasks, newest first."""
    query = ListQuery(
        limit=limit,
        after=after,
        status=status,
        kind=kind,
        tag=tag,
        created_after=created_after,
        created_before=created_before,
        q=q,
    )
    page = await services.queries.page(principal, query)
    following = page.next and address_of_next(request, "/api/tasks", page.next)
    return Page(items=[summary_of(record) for record in page.records], next=following)


@router.get("/{task_id}", response_model=Snapshot, responses=responses(404), summary="Read a task")
async def get_task(services: ServicesDep, principal: PrincipalDep, task_id: TaskIdPath) -> Snapshot:
    """The record with the newest progress and the position, read in one transaction."""
    record = await services.queries.get(principal, canonical(task_id))
    return snapshot_of(services.queries.shown(principal, record))


@router.get(
    "/{task_id}/result",
    response_model=Result,
    responses=responses(404, 409, 410),
    summary="Read a task's result",
)
async def get_result(services: ServicesDep, principal: PrincipalDep, task_id: TaskIdPath) -> Result:
    """What the completed task returned; 409 with a code that says why there is nothing yet.

    410 when the task was deleted, by somebody or by retention.
    """
    task_id = canonical(task_id)
    result = await services.queries.result(principal, task_id)
    return Result(task_id=task_id, status=Status.COMPLETED, result=result)


@router.get(
    "/{task_id}/events",
    response_model=EventPage,
    responses=responses(404, 410, 422, 429, 503),
    summary="Read a task's log",
)
async def get_events(
    request: Request,
    services: ServicesDep,
    admission: AdmissionDep,
    task_id: TaskIdPath,
    after: Annotated[
        str | None, Query(max_length=64, description="A position, `epoch:seq` or `seq`.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    wait_s: Annotated[
        float, Query(ge=0, le=60, description="Wait so many seconds for the next event.")
    ] = 0,
    after_rev: Annotated[
        int | None,
        Query(
            ge=0,
            le=MAX_SAFE_INTEGER,
            description="Highest `rev` seen: a newer volatile event is not waited for.",
        ),
    ] = None,
) -> Response:
    """Logged events after a position, and the newest volatile data."""
    task_id = canonical(task_id)
    position = START if after is None else Position.parse(after)
    watched = Watched(WatchState.WAITING, task_id=task_id, seq=position.seq)
    async with services.answering(request, admission, watched, wait_s=wait_s):
        record, page = await services.queries.events(
            admission.principal,
            task_id,
            position,
            limit=limit,
            wait_s=wait_s,
            after_rev=after_rev,
        )
    reached = page.events[-1].position if page.events else position
    following = None if page.end else f"/api/tasks/{task_id}/events?after={reached}&limit={limit}"
    parts = {
        "items": [orjson.Fragment(event.body) for event in page.events],
        "next": following,
        "position": WirePosition.of(reached).model_dump(),
        "latest": latest_of(record).model_dump(),
        "volatile": [orjson.Fragment(event.body) for event in volatile_of(record)],
        "final": page.final,
    }
    return Response(orjson.dumps(parts), media_type="application/json")


@router.post(
    "/{task_id}/cancel",
    status_code=202,
    response_model=Snapshot,
    responses=responses(400, 404, 408, 409, 413, 422, 503),
    summary="Cancel a task",
)
async def cancel_task(
    services: ServicesDep,
    principal: PrincipalDep,
    via: ViaDep,
    task_id: TaskIdPath,
    body: CancelTask | None = None,
) -> Snapshot:
    """Ask a pending or running task to end; a running one ends when its handler has stopped."""
    command = body or CancelTask()
    record = await services.tasks.cancel(principal, canonical(task_id), command, via)
    return snapshot_of(services.queries.shown(principal, record))


@router.post(
    "/{task_id}/retry",
    status_code=202,
    response_model=Snapshot,
    responses=responses(400, 404, 408, 409, 413, 422, 503),
    summary="Retry a task",
)
async def retry_task(
    services: ServicesDep,
    principal: PrincipalDep,
    via: ViaDep,
    task_id: TaskIdPath,
    body: RetryTask | None = None,
) -> Snapshot:
    """Give a task that failed, was cancelled or interrupted another attempt.

    It goes on from the newest checkpoint, if there is one, unless `from_start`.
    """
    command = body or RetryTask()
    record = await services.tasks.retry(principal, canonical(task_id), command, via)
    return snapshot_of(services.queries.shown(principal, record))


@router.delete(
    "/{task_id}", status_code=204, responses=responses(404, 409, 503), summary="Delete a task"
)
async def delete_task(
    services: ServicesDep, principal: PrincipalDep, via: ViaDep, task_id: TaskIdPath
) -> None:
    """Delete a task that is over, with its events and artifacts. Its id is never used again."""
    await services.tasks.delete(principal, canonical(task_id), via)


def _idempotency(key: str | None, body: Any) -> Idempotency | None:
    """The key, with what makes two bodies the same: their values, not their spelling."""
    if key is None:
        return None
    text = orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
    return Idempotency(key, hashlib.sha256(text).hexdigest())
