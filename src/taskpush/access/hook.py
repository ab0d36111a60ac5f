"""An application's own way to tell who asks: a FastAPI dependency, for requests and handshakes.

It is resolved by an application of one route, which is never served: so everything works that works
in a route (cookies, headers, security schemes, sub-dependencies, `yield`), and nothing of FastAPI's
inside is needed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

from fastapi import Depends, FastAPI, Request
from starlette.requests import HTTPConnection
from starlette.types import Message

from taskpush.access.visitor import Visitor
from taskpush.errors import Forbidden, TaskPushError, Unauthenticated

_ANSWER: Final = "taskpush.principal"


class DependencyHook:
    """Asks the dependency about a visitor. Raises `Unauthenticated` when it refuses."""

    def __init__(self, dependency: Callable[..., Any]) -> None:
        self._app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
        wanted = _declared(dependency)

        @self._app.get("/")
        async def ask(request: Request, answer: Any = Depends(wanted)) -> None:
            request.scope[_ANSWER].append(answer)

        # What is ours is told as it is.
        self._app.add_exception_handler(TaskPushError, _raise)

    async def __call__(self, visitor: Visitor) -> object:
        answers: list[object] = []
        status = 0

        async def send(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)

        scope = dict(visitor.scope) | {
            "type": "http",
            "method": "GET",
            "path": "/",
            "raw_path": b"/",
            "root_path": "",
            _ANSWER: answers,
        }
        # A response that was not sent is not asked for by these.
        scope.pop("extensions", None)
        await self._app(scope, _nothing, send)
        if answers:
            return answers[0]
        if status == 403:
            raise Forbidden
        raise Unauthenticated


def _declared(dependency: Callable[..., Any]) -> Callable[..., Any]:
    """The dependency, with its one parameter declared to be the connection when it is not."""
    parameters = list(inspect.signature(dependency).parameters.values())
    bare = len(parameters) == 1 and (
        parameters[0].annotation is parameters[0].empty
        and parameters[0].default is parameters[0].empty
    )
    if not bare:
        return dependency
    if inspect.iscoroutinefunction(dependency):

        async def ask_async(connection: HTTPConnection) -> Any:
            return await dependency(connection)

        return ask_async

    def ask(connection: HTTPConnection) -> Any:
        return dependency(connection)

    return ask


async def _nothing() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _raise(_: Request, error: Exception) -> Any:
    raise error
