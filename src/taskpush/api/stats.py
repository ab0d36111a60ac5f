"""`/api/stats`: what became of tasks, day by day. Protocol section 3."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from taskpush.api.problems import responses
from taskpush.api.services import PrincipalDep, ServicesDep
from taskpush.models.commands import Name
from taskpush.models.stats import Stats
from taskpush.tasks.history import MAX_DAYS

router = APIRouter(tags=["stats"])


@router.get("/api/stats", responses=responses(422), summary="Look back")
async def read_stats(
    services: ServicesDep,
    principal: PrincipalDep,
    kind: Annotated[Name | None, Query(description="Only this kind's.")] = None,
    days: Annotated[
        int, Query(ge=1, le=MAX_DAYS, description="So many days, today included, in UTC.")
    ] = 30,
) -> Stats:
    """Counts, durations, failures and waits per kind and day, and how good past estimates were.

    Made from the tasks that are there: what was deleted does not count any more.
    """
    return await services.history.stats(principal, kind=kind, days=days)
