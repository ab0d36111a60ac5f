"""`/api/tasks/{id}/webhooks`: where a task's events are sent, and what became of that."""

from __future__ import annotations

from fastapi import APIRouter

from taskpush.api.body import StrictRoute
from taskpush.api.problems import responses
from taskpush.api.services import PrincipalDep, ServicesDep
from taskpush.api.task_id import TaskIdPath, canonical
from taskpush.models.commands import Redeliver
from taskpush.models.pages import Page
from taskpush.models.webhooks import ShownWebhook

router = APIRouter(prefix="/api/tasks", tags=["webhooks"], route_class=StrictRoute)


@router.get(
    "/{task_id}/webhooks", responses=responses(404, 503), summary="Read a task's deliveries"
)
async def list_webhooks(
    services: ServicesDep, principal: PrincipalDep, task_id: TaskIdPath
) -> Page[ShownWebhook]:
    """The task's webhooks, each with the newest events that were sent; for who controls it."""
    shown = await services.webhooks.shown(principal, canonical(task_id))
    return Page(items=list(shown), next=None)


@router.post(
    "/{task_id}/webhooks/redeliver",
    status_code=202,
    responses=responses(400, 404, 413, 422, 503),
    summary="Send events to a webhook again",
)
async def redeliver(
    services: ServicesDep,
    principal: PrincipalDep,
    task_id: TaskIdPath,
    body: Redeliver | None = None,
) -> Page[ShownWebhook]:
    """Send everything after an event again, in order; also to a receiver that was given up."""
    shown = await services.webhooks.redeliver(principal, canonical(task_id), body or Redeliver())
    return Page(items=list(shown), next=None)
