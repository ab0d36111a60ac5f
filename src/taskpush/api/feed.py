"""`/api/feed`: what changes in a set of tasks, by long poll. Protocol section 3."""

from __future__ import annotations

from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Request, Response

from taskpush.api.problems import responses
from taskpush.api.services import AdmissionDep, ServicesDep
from taskpush.core.views import summary_body
from taskpush.models.connections import Watched, WatchState
from taskpush.models.feed import CursorText, FeedName, FeedPage
from taskpush.tasks.feeds import MAX_FEED_PAGE

router = APIRouter(tags=["feeds"])


@router.get(
    "/api/feed",
    response_model=FeedPage,
    responses=responses(422, 429, 503),
    summary="Follow a feed",
)
async def read_feed(
    request: Request,
    services: ServicesDep,
    admission: AdmissionDep,
    feed: Annotated[
        FeedName, Query(description="`all`, `kind:NAME`, `tag:NAME` or `owner:me`.")
    ] = "all",
    after: Annotated[
        CursorText | None, Query(description="The `cursor` of the last answer.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_FEED_PAGE)] = 200,
    wait_s: Annotated[
        float, Query(ge=0, le=60, description="Wait so many seconds for the next change.")
    ] = 0,
) -> Response:
    """The newest summaries of the tasks that changed after a cursor.

    Without `after`: the pending and running tasks, newest first. With it: what changed since,
    finished tasks included, deleted ones as `{task_id, deleted: true}`. While `more`, ask again
    at once. A cursor survives restarts; one that is unknown is answered with `reset`.
    """
    async with services.answering(
        request, admission, Watched(WatchState.WAITING, feed=feed), wait_s=wait_s
    ):
        page, cursor = await services.feeds.page(
            admission.principal, feed, after, limit=limit, wait_s=wait_s
        )
    parts = {
        "tasks": [orjson.Fragment(summary_body(task)) for task in page.tasks],
        "cursor": cursor,
        "reset": page.reset,
        "more": not page.end,
    }
    return Response(orjson.dumps(parts), media_type="application/json")
