"""Request bodies: bounded while they arrive, and parsed strictly."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from taskpush.api.problems import problem_response
from taskpush.api.services import admitted
from taskpush.errors import TaskPushError
from taskpush.models.values import parse_json

_ARTIFACTS: Final = re.compile(r"/api/tasks/[^/]+/artifacts/[^/]+/?$")
_UPLOADS: Final = re.compile(r"/api/uploads/?$")
LINGER_S: Final = 2.0
LINGER_BYTES: Final = 16 * 1024 * 1024


class StrictRequest(Request):
    """A request whose JSON has no NaN, no duplicate names and no number that loses digits."""

    async def json(self) -> Any:
        return parse_json(await self.body())


class StrictRoute(APIRoute):
    """A route that reads bodies as `StrictRequest` does, of those alone who are let in.

    FastAPI by itself parses a body first, and asks its dependencies afterwards.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def strict(request: Request) -> Response:
            await admitted(request)
            return await handler(StrictRequest(request.scope, request.receive))

        return strict


class BodyLimit:
    """Middleware: a body over the limit is answered 413 as soon as that is known.

    FastAPI's own `max_body_size` gives that answer in plain text, where clients of this API expect
    a problem document.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, max_upload_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._max_upload_bytes = max_upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _is_artifact(scope):
            await self._app(scope, receive, send)
            return
        upload = _is_upload(scope)
        max_bytes = self._max_upload_bytes if upload else self._max_bytes
        if _declared_length(scope) > max_bytes:
            refuse = problem_response(_too_large(max_bytes))
            await refuse(scope, receive, lambda message: _linger(message, receive, send))
            return
        received = 0
        # Whether it may be refused before it has come: it is not read first, and judged then.
        unread = upload

        async def bounded_receive() -> Message:
            nonlocal received, unread
            message = await receive()
            received += len(message.get("body", b""))
            unread = unread and message.get("more_body", False)
            if received > max_bytes:
                raise _too_large(max_bytes)
            return message

        async def lingering_send(message: Message) -> None:
            if unread or received > max_bytes:
                await _linger(message, receive, send)
            else:
                await send(message)

        await self._app(scope, bounded_receive, lingering_send)


def is_file(scope: Scope) -> bool:
    """Whether the body is a file, which has a limit of its own and is never held in memory."""
    return _is_artifact(scope) or _is_upload(scope)


def _is_artifact(scope: Scope) -> bool:
    return scope["method"] == "PUT" and _ARTIFACTS.search(scope["path"]) is not None


def _is_upload(scope: Scope) -> bool:
    return scope["method"] == "POST" and _UPLOADS.search(scope["path"]) is not None


def _too_large(max_bytes: int) -> TaskPushError:
    return TaskPushError(f"a body may have at most {max_bytes} bytes", code="payload_too_large")


async def _linger(message: Message, receive: Receive, send: Send) -> None:
    """Send an answer to a body that is still coming, and take some more of it before the end.

    A socket that is closed over unread bytes is reset, and the client, busy sending, would never
    read the answer (RFC 9112, section 9.6).
    """
    if message["type"] != "http.response.body" or message.get("more_body"):
        await send(message)
        return
    await send({**message, "more_body": True})
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_S):
            await _discard(receive, LINGER_BYTES)
    await send({"type": "http.response.body", "body": b""})


async def _discard(receive: Receive, up_to_bytes: int) -> None:
    while up_to_bytes > 0:
        message = await receive()
        up_to_bytes -= len(message.get("body", b""))
        if not message.get("more_body"):
            return


def _declared_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0
