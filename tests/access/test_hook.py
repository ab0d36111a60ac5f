"""An application's own way to tell who asks: everything that works in a route."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
from fastapi import Cookie, Depends, Header, HTTPException, Request
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from starlette.requests import HTTPConnection

from taskpush.access.admission import Admission
from taskpush.access.authenticator import Authenticator
from taskpush.access.hook import DependencyHook
from taskpush.access.keys import KeyRing
from taskpush.access.principal import Principal
from taskpush.access.visitor import Visitor
from taskpush.errors import AccessEnded, Forbidden, TaskPushError, Unauthenticated
from taskpush.telemetry.bus import Telemetry
from taskpush.telemetry.events import AuthenticateFailed, TelemetryEvent

ANN = Principal("acme", "ann")


def visitor(kind: str = "http", **headers: str) -> Visitor:
    return Visitor(
        {
            "type": kind,
            "path": "/socket.io/" if kind == "websocket" else "/api/tasks/x",
            "query_string": b"EIO=4",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 5000),
            "server": ("127.0.0.1", 80),
        }
    )


def by_connection(connection: HTTPConnection) -> Principal | None:
    return ANN if connection.cookies.get("session") == "ann's" else None


async def by_connection_async(connection: HTTPConnection) -> Principal | None:
    return by_connection(connection)


def by_annotation(connection: HTTPConnection) -> Principal | None:
    return by_connection(connection)


def by_request(request: Request) -> Principal | None:
    return by_connection(request)


def by_cookie(session: Annotated[str | None, Cookie()] = None) -> Principal:
    if session != "ann's":
        raise HTTPException(401)
    return ANN


async def _database() -> AsyncIterator[dict[str, Principal]]:
    yield {"ann's": ANN}


async def by_dependencies(
    users: Annotated[dict[str, Principal], Depends(_database)],
    session: Annotated[str, Cookie()] = "",
) -> Principal | None:
    return users.get(session)


class ByObject:
    def __call__(self, cookie: Annotated[str, Header()] = "") -> Principal | None:
        return ANN if cookie == "session=ann's" else None


HOOKS = [
    lambda connection: by_connection(connection),  # noqa: PLW0108 - without annotations
    by_connection_async,
    by_annotation,
    by_request,
    by_cookie,
    by_dependencies,
    ByObject(),
]


def authenticator(
    hook: Any, tmp_path: Any, said: list[TelemetryEvent] | None = None
) -> Authenticator:
    said = [] if said is None else said
    ring = KeyRing(tmp_path / "keys.json", Telemetry(), lambda: 1000)
    return Authenticator(ring, lambda: 1000, Telemetry(said.append), hook=DependencyHook(hook))


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("hook", HOOKS)
async def test_who_is_known_to_the_application_comes_in(
    hook: Any, kind: str, tmp_path: Any
) -> None:
    asked = authenticator(hook, tmp_path)
    assert not asked.is_open
    admission = await asked.admit(visitor(kind, cookie="session=ann's"))
    assert admission.principal == ANN
    with pytest.raises(Unauthenticated):
        await asked.admit(visitor(kind, cookie="session=bob's"))
    with pytest.raises(Unauthenticated):
        await asked.admit(visitor(kind))


async def test_a_security_scheme_works(tmp_path: Any) -> None:
    def by_password(login: Annotated[HTTPBasicCredentials, Depends(HTTPBasic())]) -> Principal:
        return Principal("acme", login.username)

    asked = authenticator(by_password, tmp_path)
    admission = await asked.admit(visitor(authorization="Basic YW5uOng="))
    assert admission.principal == ANN
    with pytest.raises(Unauthenticated):
        await asked.admit(visitor())


async def test_an_admission_says_how_long_it_holds(tmp_path: Any) -> None:
    asked = authenticator(lambda connection: Admission(ANN, expires_at=1001), tmp_path)
    assert asked.lets_in(await asked.admit(visitor()))
    late = authenticator(lambda connection: Admission(ANN, expires_at=1000), tmp_path)
    with pytest.raises(AccessEnded):
        await late.admit(visitor())


async def test_forbidden_is_told_and_mistakes_are_not_hidden(tmp_path: Any) -> None:
    def not_you(connection: HTTPConnection) -> None:
        raise HTTPException(403)

    with pytest.raises(Forbidden):
        await authenticator(not_you, tmp_path).admit(visitor())
    for hook, mistake in (
        (lambda connection: "ann", "TypeError: authenticate gave a str"),
        (lambda connection: 1 / 0, "ZeroDivisionError"),
        # Somebody without a name, for whom the application has an account all the same.
        (lambda connection: Principal("acme", None), "ValueError: owner"),  # type: ignore[arg-type]  # the mistake
    ):
        said: list[TelemetryEvent] = []
        with pytest.raises(TaskPushError) as failed:
            await authenticator(hook, tmp_path, said).admit(visitor())
        assert failed.value.code == "internal_error"
        (told,) = said
        assert isinstance(told, AuthenticateFailed)
        assert mistake in told.traceback
