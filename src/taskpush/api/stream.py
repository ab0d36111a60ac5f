"""`/api/tasks/{id}/stream` and `/api/stream`: Server-Sent Events. Protocol section 3."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Header, Query, Request, Response

from taskpush.access.visitor import Visitor
from taskpush.api.event_stream import EventStream
from taskpush.api.problems import responses
from taskpush.api.services import ServicesDep, StreamAdmissionDep
from taskpush.api.task_id import TaskIdPath, canonical
from taskpush.models.feed import CursorText, WatchedFeed
from taskpush.models.position import Position
from taskpush.tasks.watching import Beginning

router = APIRouter()

LastEventId = Annotated[
    str | None,
    Header(
        max_length=200,
        description="Where to go on; browsers send it when they come back. Wins over `after`.",
    ),
]

_EVENTS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Events, until they end.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    },
}
_OVER: Final[dict[int | str, dict[str, Any]]] = {
    204: {"description": "The task is over, and the position is its last: browsers stop."},
}


@router.get(
    "/api/tasks/{task_id}/stream",
    tags=["tasks"],
    response_class=Response,
    responses=responses(404, 422, 429, 503) | _EVENTS | _OVER,
    summary="Watch a task",
)
async def stream_task(
    request: Request,
    services: ServicesDep,
    admission: StreamAdmissionDep,
    task_id: TaskIdPath,
    after: Annotated[
        str | None,
        Query(max_length=64, description="A position, `epoch:seq` or `seq`, or `now`."),
    ] = None,
    last_event_id: LastEventId = None,
) -> Response:
    """The log after a position, or from its start, then live; as Server-Sent Events.

    `event` is `task_update` with the envelope as `data` and the position as `id` (volatile events
    have none), `resync` or `task_deleted`. Ends after a final event that nothing follows.
    """
    task_id = canonical(task_id)
    position = _position(last_event_id or after)
    stream = services.streams.open(services.turnstile.enter(request.scope, admission))
    try:
        beginning = await services.watching.follow(
            stream.channel, admission.principal, task_id, position
        )
    except BaseException:
        stream.close()
        raise
    if beginning.over:
        stream.close()
        return Response(status_code=204)
    services.streams.admit(stream, services.doorkeeper, admission, Visitor(request.scope).address)
    stream.begin(_id_of(beginning))
    return EventStream(stream)


@router.get(
    "/api/stream",
    tags=["feeds"],
    response_class=Response,
    responses=responses(422, 429, 503) | _EVENTS,
    summary="Watch a feed",
)
async def stream_feed(
    request: Request,
    services: ServicesDep,
    admission: StreamAdmissionDep,
    feed: Annotated[
        WatchedFeed,
        Query(description="`all`, `kind:NAME`, `tag:NAME` or `owner:me`; `queue` for the queues."),
    ] = "all",
    after: Annotated[CursorText | None, Query(description="A `cursor`.")] = None,
    last_event_id: LastEventId = None,
) -> Response:
    """The active tasks, or what changed after a cursor, then live; as Server-Sent Events.

    `event` is `active_tasks`, `task_created` or `feed_update`, and `id` the cursor. Of `queue` it
    is `queue_update`, and has none.
    """
    stream = services.streams.open(services.turnstile.enter(request.scope, admission))
    try:
        services.feeds.follow(stream.channel, admission.principal, feed, last_event_id or after)
    except BaseException:
        stream.close()
        raise
    services.streams.admit(stream, services.doorkeeper, admission, Visitor(request.scope).address)
    stream.begin(None)
    return EventStream(stream)


def _id_of(beginning: Beginning) -> str | None:
    """What a reader comes back with that was cut off before any event.

    None when that is what it came with: an invalid position has to be told again, then.
    """
    valid = beginning.gone is None and beginning.position.epoch
    return str(beginning.position) if valid else None


def _position(text: str | None) -> Position | Literal["now"] | None:
    match text:
        case None:
            return None
        case "now":
            return "now"
        case _:
            return Position.parse(text)
