"""Kinds and health: what the server offers, and whether it can."""

from __future__ import annotations

from fastapi import APIRouter

from taskpush.api.problems import responses
from taskpush.api.services import PrincipalDep, ServicesDep
from taskpush.errors import TaskPushError
from taskpush.models.pages import Health, Kind, Page

router = APIRouter()


@router.get("/api/kinds", tags=["kinds"], responses=responses(400, 401, 403), summary="List kinds")
async def list_kinds(services: ServicesDep, _: PrincipalDep) -> Page[Kind]:
    """The registered kinds, with JSON Schema of their params and results."""
    kinds = [
        Kind(
            name=spec.name,
            description=spec.description,
            default=spec.name == services.default_kind,
            params_schema=spec.params_schema,
            result_schema=spec.result_schema,
            concurrency=spec.concurrency,
            external=spec.is_external,
            created_by_producer=spec.created_by_producer,
            queue_limit=spec.queue_limit,
        )
        for spec in services.registry.kinds()
    ]
    return Page(items=kinds, next=None)


@router.get("/healthz", tags=["health"], summary="Whether the process runs")
async def healthz() -> Health:
    """Answers as long as the event loop turns."""
    return Health(status="ok")


@router.get(
    "/readyz", tags=["health"], responses=responses(503), summary="Whether it can do its work"
)
async def readyz(services: ServicesDep) -> Health:
    """Commits to the store, once a second at most, and sees an announcement pass the hub.

    Not ready while it stops.
    """
    checks = await services.readiness.check()
    if any(result != "ok" for result in checks.values()):
        failed = "; ".join(f"{name}: {result}" for name, result in checks.items() if result != "ok")
        raise TaskPushError(failed, code=services.readiness.code, extra={"checks": checks})
    return Health(status="ok", checks=checks)
