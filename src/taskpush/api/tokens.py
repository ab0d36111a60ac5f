"""`/api/tokens` and `/api/tickets`: what a server hands a browser. Protocol section 3."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Response

from taskpush.access.policy import narrowed
from taskpush.access.principal import Role, Scope
from taskpush.api.body import StrictRoute
from taskpush.api.problems import responses
from taskpush.api.services import AdmissionDep, ServicesDep, ViaDep
from taskpush.errors import Forbidden
from taskpush.models.access import NewToken, ScopedToken, Ticket

router = APIRouter(prefix="/api", tags=["access"], route_class=StrictRoute)

_PRIVATE = {"Cache-Control": "no-store"}


@router.post(
    "/tokens",
    status_code=201,
    responses=responses(408, 413, 422, 503),
    summary="Make a token for a task, a tag or a feed",
)
async def make_token(
    response: Response, services: ServicesDep, admission: AdmissionDep, via: ViaDep, body: NewToken
) -> ScopedToken:
    """A token to hand to a browser: for some tasks, some rights and a short time.

    It ends with the credential that it was made with. Who has a scoped token cannot make others.
    """
    principal = narrowed(
        admission.principal,
        _scope(body),
        frozenset(map(Role, body.rights)),
        own_only=body.feed == "owner:me",
    )
    minted = services.mint.mint(admission, principal, body.ttl_s)
    await services.audit.token_issued(admission.principal, via, minted.id, body)
    response.headers.update(_PRIVATE)
    return ScopedToken(id=minted.id, token=minted.token, expires_at=_time(minted.expires_at))


@router.delete(
    "/tokens/{token_id}",
    status_code=204,
    responses=responses(422, 429, 503),
    summary="Revoke a token",
)
async def revoke_token(
    services: ServicesDep,
    admission: AdmissionDep,
    via: ViaDep,
    token_id: Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{22}$")],
) -> None:
    """End a token of one's own, or for an admin one of the tenant, and all that it has opened.

    The answer is the same whether there is such a token or not.
    """
    by_itself = admission.credential == f"token:{token_id}"
    if admission.principal.scope is not None and not by_itself:
        raise Forbidden("a scoped token revokes only itself")
    await services.revocations.revoke(token_id, admission.principal)
    await services.audit.token_revoked(admission.principal, via, token_id)


@router.post(
    "/tickets", status_code=201, responses=responses(429), summary="Get a ticket for one stream"
)
async def get_ticket(response: Response, services: ServicesDep, admission: AdmissionDep) -> Ticket:
    """For `?ticket=` in the address of a stream, where no header can be sent: good once, for 30 s.

    What the ticket opens may what the credential may, and ends with it.
    """
    ticket, expires_at = services.tickets.issue(admission)
    response.headers.update(_PRIVATE)
    return Ticket(ticket=ticket, expires_at=_time(expires_at))


def _scope(body: NewToken) -> Scope:
    if body.task_id is not None:
        return Scope(task_id=body.task_id)
    if body.tag is not None:
        return Scope(tag=body.tag)
    sort, _, name = (body.feed or "all").partition(":")
    return Scope(kind=name if sort == "kind" else None, tag=name if sort == "tag" else None)


def _time(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
