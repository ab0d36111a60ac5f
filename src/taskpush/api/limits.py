"""`/api/limits`, and the same in the documentation: how much is too much, and what is said then."""

from __future__ import annotations

from fastapi import APIRouter, Request

from taskpush.access.turnstile import THIS_MACHINE, is_local, network_of
from taskpush.api.services import AdmissionDep, ServicesDep
from taskpush.core.limits import Limits
from taskpush.models.pages import Limits as ShownLimits

router = APIRouter(prefix="/api", tags=["limits"])


@router.get("/limits", summary="Read the limits")
async def read_limits(
    request: Request, services: ServicesDep, admission: AdmissionDep
) -> ShownLimits:
    """What holds for whoever asks, as `connected` tells it over Socket.IO.

    Kinds may limit their queues beside it: see `GET /api/kinds`.
    """
    told = services.limits.told(
        local_address=network_of(request.scope) == THIS_MACHINE,
        local_principal=is_local(admission),
    )
    return ShownLimits.model_validate(told)


def described(limits: Limits) -> str:
    """The limits that hold for strangers as a table, in Markdown."""
    told = limits.told(local_address=False, local_principal=False)
    rows = "\n".join(
        f"| {what} | {'none' if told[name] is None else format(told[name], ',')} | {answer} |"
        for name, what, answer in _ROWS
    )
    return f"\n## Limits\n\n| of what | at most | answer beyond it |\n|---|---|---|\n{rows}\n"


_ROWS = (
    ("connections", "sockets, streams and polls that wait", "503 `server_full`"),
    ("connections_per_address", "… from one address", "429 `connection_limit`"),
    ("connections_per_principal", "… of one owner, or by one token", "429 `connection_limit`"),
    ("subscriptions", "subscriptions of a connection", "`subscription_limit`"),
    ("packets_at_once", "packets from a connection, at once", "`rate_limited`"),
    ("packets_per_s", "… a second, for long", "`rate_limited`"),
    ("packet_bytes", "… each of so many bytes, or begun", "counted as several"),
    ("creates_per_min", "tasks created by one owner, a minute", "429 `rate_limited`"),
    ("body_bytes", "bytes of a body", "413 `payload_too_large`"),
    ("params_bytes", "… of a task's params", "422 `invalid_request`"),
    ("metadata_bytes", "… of its metadata", "422 `invalid_request`"),
    ("event_bytes", "… of an event", "left out, and said in the log"),
    ("log_line_bytes", "… of a log message", "cut"),
    ("artifact_bytes", "… of an artifact", "left out, and said in the log"),
    ("upload_bytes", "… of an upload", "413 `payload_too_large`"),
    ("unused_uploads", "uploads of one owner that no task uses", "409 `upload_limit`"),
    ("unused_upload_bytes", "… bytes of them, together", "409 `upload_limit`"),
    ("owner_upload_bytes", "… bytes with those that tasks use", "409 `upload_limit`"),
)
