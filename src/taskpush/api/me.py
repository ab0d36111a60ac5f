"""`/api/me`: who asks, as the server sees them."""

from __future__ import annotations

from fastapi import APIRouter

from taskpush.access.policy import is_admin, may_see_server
from taskpush.api.services import AdmissionDep
from taskpush.models.access import Me

router = APIRouter(tags=["access"])


@router.get("/api/me", summary="Read who you are")
async def read_me(admission: AdmissionDep) -> Me:
    """The owner and the roles that the credential stands for, and what a page may offer them."""
    principal = admission.principal
    return Me(
        tenant=principal.tenant,
        owner=principal.owner,
        roles=sorted(principal.roles),
        credential=admission.credential,
        expires_at=admission.expires,
        sees_connections=is_admin(admission),
        sees_server=may_see_server(principal),
    )
