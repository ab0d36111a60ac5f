"""The FastAPI application: routes, errors, limits, and the socket mounted beside them."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from taskpush.api import (
    artifacts,
    audit,
    dashboard,
    feed,
    limits,
    me,
    meta,
    pages,
    problems,
    producing,
    queue,
    server,
    stats,
    stream,
    tasks,
    tokens,
    uploads,
    webhooks,
)
from taskpush.api.assets import STATIC, Assets
from taskpush.api.body import BodyLimit
from taskpush.api.patience import BodyDeadline
from taskpush.api.services import Services

SOCKET_PATH: Final = "/socket.io"
DESCRIPTION: Final = """
Create tasks, read them, and follow every step of them live.

Watch over Socket.IO (path `/socket.io`, namespace `/tasks`), by Server-Sent Events
(`GET /api/tasks/{task_id}/stream`; many tasks: `GET /api/stream`) or by long poll
(`GET /api/tasks/{task_id}/events?wait_s=30`; many tasks: `GET /api/feed?wait_s=30`). What is
pushed there is in the [AsyncAPI document](asyncapi.json). Errors are `application/problem+json`
with a stable `code`.
"""


def build(services: Services, socket: ASGIApp, *, version: str) -> ASGIApp:
    """Put the HTTP door together, and `socket` beside it, below `/socket.io`."""
    app = FastAPI(
        title="taskpush",
        version=version,
        description=DESCRIPTION + limits.described(services.limits),
        docs_url=None,
        redoc_url=None,
        # The links between operations name them.
        generate_unique_id_function=lambda route: route.name,
        openapi_tags=[
            {"name": "tasks", "description": "The life of a task."},
            {"name": "feeds", "description": "What changes in a set of tasks."},
            {"name": "artifacts", "description": "Files that jobs made."},
            {"name": "uploads", "description": "Files that jobs are given."},
            {"name": "producers", "description": "For programs that run tasks themselves."},
            {"name": "webhooks", "description": "Where events of a task are sent."},
            {"name": "kinds", "description": "What can be run here."},
            {"name": "queue", "description": "Who waits, and for how long."},
            {"name": "stats", "description": "What became of tasks, day by day."},
            {"name": "access", "description": "Credentials for browsers; who did what."},
            {"name": "server", "description": "Who watches what, and how the server is."},
            {"name": "limits", "description": "How much is too much."},
            {"name": "health", "description": "For load balancers and people."},
        ],
    )
    app.state.services = services
    parts = (
        tasks,
        uploads,
        producing,
        webhooks,
        stream,
        feed,
        artifacts,
        meta,
        queue,
        stats,
        tokens,
        audit,
        server,
        me,
        limits,
        pages,
        dashboard,
    )
    problems.install(app, [route for part in parts for route in part.router.routes])
    app.add_middleware(
        BodyLimit,
        max_bytes=services.limits.body_bytes,
        max_upload_bytes=services.limits.upload_bytes,
    )
    app.add_middleware(BodyDeadline)
    for part in parts:
        guarded = {} if part in (meta, pages, dashboard) else problems.responses(400, 401, 403)
        app.include_router(part.router, responses=guarded)
        _answer_head(app, part.router)
    app.mount("/static", Assets(directory=STATIC), name="static")
    return _Front(app, socket)


def _answer_head(app: FastAPI, router: APIRouter) -> None:
    """Answer HEAD wherever GET is answered, alike; servers leave the body out."""
    for route in router.routes:
        if isinstance(route, APIRoute) and "GET" in (route.methods or ()):
            app.add_api_route(route.path, route.endpoint, methods=["HEAD"], include_in_schema=False)


class _Front:
    """Takes what is for the socket to it: nothing of the HTTP door is meant for that."""

    def __init__(self, app: FastAPI, socket: ASGIApp) -> None:
        self._app = app
        self._socket = socket

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        direct = _path(scope).startswith(f"{SOCKET_PATH}/")
        await (self._socket if direct else self._app)(scope, receive, send)


def _path(scope: Scope) -> str:
    """The path below where the application is mounted."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))
