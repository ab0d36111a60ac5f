"""An application's own sessions open taskpush's doors, mounted into it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import aiohttp
from fastapi import Cookie, Depends, FastAPI, HTTPException

from taskpush import Principal, Role, TaskContext, TaskPush
from taskpush.settings import Settings
from tests.app.test_mounting import _served

USERS = {"s1": ("acme", "ann"), "s2": ("acme", "bob"), "s3": ("zeta", "ann")}
OPEN_CONNECTIONS: list[str] = []


async def database() -> AsyncIterator[dict[str, tuple[str, str]]]:
    """As an application's routes have it: something that is opened and closed."""
    OPEN_CONNECTIONS.append("open")
    try:
        yield USERS
    finally:
        OPEN_CONNECTIONS.pop()


def current_user(
    users: Annotated[dict[str, tuple[str, str]], Depends(database)],
    session: Annotated[str, Cookie()] = "",
) -> tuple[str, str]:
    if session not in users:
        raise HTTPException(401)
    return users[session]


def principal(user: Annotated[tuple[str, str], Depends(current_user)]) -> Principal:
    tenant, owner = user
    roles = frozenset({Role.READ}) if owner == "bob" else frozenset(Role) - {Role.ADMIN}
    return Principal(tenant, owner, roles)


def _application(data: Path) -> FastAPI:
    push = TaskPush(settings=Settings(data=data), authenticate=principal)
    assert push.access_configured

    @push.task("double")
    async def double(ctx: TaskContext, params: dict[str, int]) -> int:
        """Twice the number."""
        return 2 * params["number"]

    app = FastAPI()
    app.add_api_route("/me", lambda user=Depends(current_user): {"owner": user[1]})
    push.mount_into(app, "/jobs")
    return app


async def _connect_packet(url: str, session: str | None) -> str:
    """What CONNECT is answered with, over a WebSocket that the browser sends its cookie with."""
    headers = {} if session is None else {"Cookie": f"session={session}"}
    address = f"{url}/jobs/socket.io/?EIO=4&transport=websocket"
    async with aiohttp.ClientSession() as http, http.ws_connect(address, headers=headers) as ws:
        await ws.receive_str()
        await ws.send_str("40/tasks,")
        return await asyncio.wait_for(ws.receive_str(), 10)


async def test_the_applications_session_opens_every_door(tmp_path: Path) -> None:
    async with _served(_application(tmp_path)) as url:

        async def call(method: str, path: str, session: str, body: Any = None) -> tuple[int, Any]:
            async with (
                aiohttp.ClientSession(url, headers={"Cookie": f"session={session}"}) as http,
                http.request(method, path, json=body) as answer,
            ):
                return answer.status, await answer.json()

        assert await call("GET", "/me", "s1") == (200, {"owner": "ann"})
        body = {"kind": "double", "params": {"number": 21}}
        status, task = await call("POST", "/jobs/api/tasks", "s1", body)
        assert (status, task["owner"]) == (201, "ann")
        path = f"/jobs/api/tasks/{task['task_id']}"
        assert (await call("GET", path, "s1"))[0] == 200
        for session, code in (("s2", "not_found"), ("s3", "not_found"), ("s9", "unauthenticated")):
            assert (await call("GET", path, session))[1]["code"] == code
        assert (await call("POST", "/jobs/api/tasks", "s2", body))[1]["code"] == "forbidden"
        assert (await _connect_packet(url, "s1")).startswith('40/tasks,{"sid"')
        for nobody in ("s9", None):
            assert '"code":"unauthenticated"' in await _connect_packet(url, nobody)
        assert OPEN_CONNECTIONS == []


async def test_a_hook_that_fails_is_an_error_of_the_server_and_lets_nobody_in(
    tmp_path: Path,
) -> None:
    def broken(connection: Any = None) -> Principal:
        raise RuntimeError("the users' database is away")

    push = TaskPush(settings=Settings(data=tmp_path), authenticate=broken)
    async with _served(push) as url, aiohttp.ClientSession(url) as http:
        async with http.get("/api/tasks") as answer:
            assert answer.status == 500
            assert (await answer.json())["code"] == "internal_error"
        address = f"{url}/socket.io/?EIO=4&transport=websocket"
        async with http.ws_connect(address) as ws:
            await ws.receive_str()
            await ws.send_str("40/tasks,")
            packet = await asyncio.wait_for(ws.receive_str(), 10)
            assert '"code":"internal_error"' in packet
            assert "database" not in packet
