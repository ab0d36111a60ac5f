"""`/api/tasks`: create, list, read, cancel. Protocol section 3."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

import orjson
from fastapi import APIRouter, Body, Path, Query, Request, Response
from pydantic import AwareDatetime

from taskpush.api.body import StrictRoute
from taskpush.api.problems import responses
from taskpush.api.services import PrincipalDep, ServicesDep
from taskpush.core.views import latest_of, snapshot_of, summary_of
from taskpush.errors import NotFound
from taskpush.ids import canonical_task_id
from taskpush.models.commands import CancelTask, CreateTask, Name
from taskpush.models.events import Status
from taskpush.models.pages import EventPage, Page, Result
from taskpush.models.position import START, Position, WirePosition
from taskpush.models.task import Snapshot, Summary
from taskpush.store.base import TaskFilter
from taskpush.tasks.queries import ListQuery

router = APIRouter(prefix="/api/tasks", tags=["tasks"], route_class=StrictRoute)

TaskIdPath = Annotated[str, Path(description="The task's id, a UUID.")]

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
    responses=responses(400, 409, 413, 422, 503),
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
) -> Snapshot:
    """Store a task and start it as soon as its kind has a free slot.

    When this answers 201 the task survives power loss. A body with neither `kind` nor `params` is
    taken whole as the params of the default kind.
    """
    record = await services.tasks.create(principal, services.tasks.parse_create(body))
    snapshot = snapshot_of(record)
    response.headers["Location"] = request.scope.get("root_path", "") + snapshot.links.self_
    return snapshot


@router.get("", response_model=Page[Summary], responses=responses(422), summary="List tasks")
async def list_tasks(
    request: Request,
    services: ServicesDep,
    principal: PrincipalDep,
    status: Status | None = None,
    kind: Name | None = None,
    tag: Name | None = None,
    created_after: AwareDatetime | None = None,
    created_before: AwareDatetime | None = None,
    q: Annotated[
        str | None, Query(max_length=100, description="Part of the title or the id.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[
        str | None, Query(max_length=100, description="Filled in by a page's `next`.")
    ] = None,
) -> Page[Summary]:
    """Tasks, newest first."""
    where = TaskFilter(
        tenant=principal.tenant,
        owner=principal.owner,
        status=status,
        kind=kind,
        tag=tag,
        created_after=created_after,
        created_before=created_before,
        q=q,
    )
    page = await services.queries.page(ListQuery(where=where, limit=limit, after=after))
    following = page.next and _following(request, page.next)
    return Page(items=[summary_of(record) for record in page.records], next=following)


@router.get("/{task_id}", response_model=Snapshot, responses=responses(404), summary="Read a task")
async def get_task(services: ServicesDep, principal: PrincipalDep, task_id: TaskIdPath) -> Snapshot:
    """The record with the newest progress and the position, read in one transaction."""
    return snapshot_of(await services.queries.get(principal, _canonical(task_id)))


@router.get(
    "/{task_id}/result",
    response_model=Result,
    responses=responses(404, 409, 410),
    summary="Read a task's result",
)
async def get_result(services: ServicesDep, principal: PrincipalDep, task_id: TaskIdPath) -> Result:
    """What the completed task returned; 409 with a code that says why there is nothing yet."""
    canonical = _canonical(task_id)
    result = await services.queries.result(principal, canonical)
    return Result(task_id=canonical, status=Status.COMPLETED, result=result)


@router.get(
    "/{task_id}/events",
    response_model=EventPage,
    responses=responses(404, 410, 422),
    summary="Read a task's log",
)
async def get_events(
    services: ServicesDep,
    principal: PrincipalDep,
    task_id: TaskIdPath,
    after: Annotated[
        str | None, Query(max_length=64, description="A position, `epoch:seq` or `seq`.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    wait_s: Annotated[
        float, Query(ge=0, le=60, description="Wait so many seconds for the next event.")
    ] = 0,
) -> Response:
    """Logged events after a position, and the newest volatile data."""
    canonical = _canonical(task_id)
    position = START if after is None else Position.parse(after)
    record, page = await services.queries.events(
        principal, canonical, position, limit=limit, wait_s=wait_s
    )
    reached = page.events[-1].position if page.events else position
    following = None if page.end else f"/api/tasks/{canonical}/events?after={reached}&limit={limit}"
    parts = {
        "items": [orjson.Fragment(event.body) for event in page.events],
        "next": following,
        "position": WirePosition.of(reached).model_dump(),
        "latest": latest_of(record).model_dump(),
        "final": page.final,
    }
    return Response(orjson.dumps(parts), media_type="application/json")


@router.post(
    "/{task_id}/cancel",
    status_code=202,
    response_model=Snapshot,
    responses=responses(400, 404, 409, 413, 422, 503),
    summary="Cancel a task",
)
async def cancel_task(
    services: ServicesDep,
    principal: PrincipalDep,
    task_id: TaskIdPath,
    body: CancelTask | None = None,
) -> Snapshot:
    """Ask a pending or running task to end; a running one ends when its handler has stopped."""
    command = body or CancelTask()
    return snapshot_of(await services.tasks.cancel(principal, _canonical(task_id), command))


def _following(request: Request, after: str) -> str:
    """The address of the next page of a list, with the same filters."""
    query = [(name, value) for name, value in request.query_params.multi_items() if name != "after"]
    return f"/api/tasks?{urlencode([*query, ('after', after)])}"


def _canonical(task_id: str) -> str:
    """A path's id in the form the store has; what is no UUID cannot exist."""
    canonical = canonical_task_id(task_id)
    if canonical is None:
        raise NotFound
    return canonical
