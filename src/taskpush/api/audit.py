"""`/api/audit`: who did what, from where, when. Protocol section 3."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from taskpush.api.pagination import address_of_next
from taskpush.api.problems import responses
from taskpush.api.services import AdmissionDep, ServicesDep
from taskpush.models.audit import Action, AuditEntry
from taskpush.models.commands import TaskId
from taskpush.models.pages import Page
from taskpush.models.values import Moment
from taskpush.tasks.audit import AuditQuery

router = APIRouter(tags=["access"])


@router.get(
    "/api/audit",
    response_model=Page[AuditEntry],
    responses=responses(422, 503),
    summary="Read the audit trail",
)
async def read_audit(
    request: Request,
    services: ServicesDep,
    admission: AdmissionDep,
    task_id: TaskId | None = None,
    owner: Annotated[str | None, Query(max_length=200, description="Who asked.")] = None,
    action: Action | None = None,
    since: Annotated[Moment | None, Query(description="Not before this time.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[
        str | None, Query(max_length=200, description="Filled in by a page's `next`.")
    ] = None,
) -> Page[AuditEntry]:
    """Who cancelled, retried and deleted tasks, made and ended tokens and keys; newest first.

    For admins, of their own tenant; while no access is configured, for everybody.
    """
    query = AuditQuery(limit, after, task_id, owner, action, since)
    page = await services.audit.page(admission, query)
    following = page.next and address_of_next(request, "/api/audit", page.next)
    return Page(items=list(page.entries), next=following)
