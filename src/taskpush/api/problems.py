"""Errors as `application/problem+json` (RFC 9457), each with its stable code."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Match, Route

from taskpush.errors import InvalidRequest, TaskPushError
from taskpush.models.pages import Problem
from taskpush.models.problems import field_problem

logger: Final = logging.getLogger("taskpush.api")

_HEADERS: Final = {
    401: {"WWW-Authenticate": 'Bearer realm="taskpush"'},
    # What is still on its way is not read, so the connection cannot be used again.
    408: {"Connection": "close"},
    413: {"Connection": "close"},
    429: {"Retry-After": "1"},
    503: {"Retry-After": "1"},
}
_BY_STATUS: Final = {
    400: "invalid_request",
    404: "no_such_page",
    405: "method_not_allowed",
}


class ProblemResponse(JSONResponse):
    """A JSON response with the media type of problems."""

    media_type = "application/problem+json"


def problem_response(error: TaskPushError) -> Response:
    """The problem document of an error."""
    headers = dict(_HEADERS.get(error.spec.status, {}))
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    return ProblemResponse(error.problem, status_code=error.spec.status, headers=headers)


def responses(*codes: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI declarations of the problems that a call may answer with."""
    return {code: {"model": Problem, "content": {"application/problem+json": {}}} for code in codes}


def install(app: FastAPI, routes: Sequence[BaseRoute]) -> None:
    """Turn every error of `app`, which has these routes, into a problem document."""
    app.add_exception_handler(TaskPushError, _coded)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _plain)
    app.add_exception_handler(405, _not_allowed(routes))
    app.add_exception_handler(Exception, _unexpected)


async def _coded(_: Request, error: Exception) -> Response:
    assert isinstance(error, TaskPushError)
    return problem_response(error)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    problems = [
        field_problem(found, ".".join(str(part) for part in found["loc"]))
        for found in error.errors()
    ]
    return problem_response(InvalidRequest(problems=problems))


async def _plain(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, TaskPushError):
        # FastAPI wraps what goes wrong while it reads a body.
        return problem_response(error.__cause__)
    code = _BY_STATUS.get(error.status_code)
    if code is None:
        return ProblemResponse(
            {"type": "about:blank", "title": str(error.detail), "status": error.status_code},
            status_code=error.status_code,
        )
    response = problem_response(TaskPushError(code=code))
    response.headers.update(error.headers or {})
    return response


def _not_allowed(
    routes: Sequence[BaseRoute],
) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Answers 405 with all methods that the address takes; each route knows only its own."""

    async def answer(request: Request, error: Exception) -> Response:
        response = await _plain(request, error)
        here = [route for route in routes if isinstance(route, Route)]
        first = next((it for it in here if it.matches(request.scope)[0] is not Match.NONE), None)
        if first is not None:
            methods = {m for it in here if it.path == first.path for m in it.methods or ()}
            response.headers["Allow"] = ", ".join(sorted(methods))
        return response

    return answer


async def _unexpected(_: Request, error: Exception) -> Response:
    logger.error("api.unexpected_error", exc_info=error)
    return problem_response(TaskPushError(code="internal_error"))
