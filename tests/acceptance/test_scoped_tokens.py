"""What a server hands a browser: tokens for some tasks, and tickets for one stream."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from taskpush.access.principal import Role
from tests.support.keys import ENDED_WITHIN_S, Keys, secret_part
from tests.support.knocking import knocking
from tests.support.server import ServerProcess
from tests.support.stream import raw_stream

NOBODYS = "0199f0c2-7d1e-7c63-9a0b-5f5f0c1d2e3f"


@pytest.fixture(scope="module")
def server(keyed_server: ServerProcess) -> ServerProcess:
    return keyed_server


def minted(server: ServerProcess, key: str, **body: Any) -> dict[str, Any]:
    status, answer = server.call("POST", "/api/tokens", body, token=key)
    assert status == 201, answer
    return dict(answer)


def created(server: ServerProcess, key: str, kind: str = "sleep", *tags: str) -> str:
    body = {"kind": kind, "params": {}, "tags": list(tags)}
    status, task = server.call("POST", "/api/tasks", body, token=key)
    assert status == 201, task
    task_id: str = task["task_id"]
    return task_id


def statuses(server: ServerProcess, token: str, *calls: str) -> list[int]:
    return [server.call(*call.split(), token=token)[0] for call in calls]


def test_a_token_for_one_task_is_for_nothing_else(server: ServerProcess, ann: str) -> None:
    mine, other = created(server, ann), created(server, ann)
    token = minted(server, ann, task_id=mine)["token"]
    assert statuses(
        server,
        token,
        f"GET /api/tasks/{mine}",
        f"GET /api/tasks/{mine}/events",
        f"GET /api/tasks/{other}",
        f"GET /api/tasks/{NOBODYS}",
        f"POST /api/tasks/{mine}/cancel",
        "GET /api/tasks",
        "GET /api/feed",
        "GET /api/stats",
        "POST /api/tokens",
    ) == [200, 200, 404, 404, 403, 403, 403, 403, 422]
    body = {"task_id": mine}
    assert server.call("POST", "/api/tokens", body, token=token)[1]["code"] == "forbidden"
    create = {"kind": "sleep", "params": {}}
    assert server.call("POST", "/api/tasks", create, token=token)[1]["code"] == "forbidden"
    control = minted(server, ann, task_id=mine, rights=["read", "control"])["token"]
    assert statuses(server, control, f"POST /api/tasks/{mine}/cancel") == [202]
    assert statuses(server, control, f"POST /api/tasks/{other}/cancel") == [404]
    server.call("POST", f"/api/tasks/{other}/cancel", token=ann)


def test_a_token_for_a_tag_shows_the_owners_tasks_with_that_tag(
    server: ServerProcess, keys: Keys, ann: str
) -> None:
    bob = keys.make("bob")
    tag = "red"
    red, blue = created(server, ann, "collector", tag), created(server, ann, "collector", "blue")
    foreign = created(server, bob, "collector", tag)
    for asked in ({"tag": tag}, {"feed": f"tag:{tag}"}):
        token = minted(server, ann, **asked)["token"]
        listed = server.call("GET", "/api/tasks", token=token)[1]["items"]
        assert [each["task_id"] for each in listed] == [red]
        assert statuses(
            server,
            token,
            f"GET /api/tasks/{red}",
            f"GET /api/tasks/{blue}",
            f"GET /api/tasks/{foreign}",
            "GET /api/feed?feed=tag:blue",
            "GET /api/feed?feed=kind:collector",
        ) == [200, 404, 404, 403, 200]
    boss = keys.make("boss", Role.ADMIN)
    token = minted(server, boss, feed="tag:red")["token"]
    listed = server.call("GET", "/api/tasks", token=token)[1]["items"]
    assert {each["task_id"] for each in listed} == {red, foreign}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"tag": "a", "task_id": NOBODYS},
        {"tag": "a", "rights": []},
        {"tag": "a", "rights": ["create"]},
        {"tag": "a", "rights": ["admin"]},
        {"tag": "a", "ttl_s": 0},
        {"tag": "a", "ttl_s": 86_401},
        {"tag": "a", "roles": ["admin"]},
        {"feed": "owner:bob"},
    ],
)
def test_what_no_token_can_be_for_is_refused(
    server: ServerProcess, ann: str, body: dict[str, Any]
) -> None:
    assert server.call("POST", "/api/tokens", body, token=ann)[0] == 422


async def test_who_has_a_token_for_a_task_may_wait_for_it(server: ServerProcess, ann: str) -> None:
    task_id = "0199f0c2-7d1e-7c63-9a0b-5f5f0c1d2e40"
    token = minted(server, ann, task_id=task_id)["token"]
    async with knocking(server, {"token": token}) as (socket, _):
        await socket.event()
        await socket.emit("subscribe", {"task_id": NOBODYS}, ack=1)
        assert (await socket.event())[1]["code"] == "not_found"
        await socket.event()
        await socket.emit("subscribe", {"task_id": task_id}, ack=2)
        assert (await socket.event())[1]["mode"] == "pending"
        await socket.event()
        body = {"kind": "collector", "params": {}, "task_id": task_id}
        await asyncio.to_thread(server.call, "POST", "/api/tasks", body, token=ann)
        assert (await socket.event())[1]["event_type"] == "status_change"


async def _until_sent_away(socket: Any) -> float:
    began = time.monotonic()
    said: list[str] = []
    while not said or not said[-1].startswith("41"):
        said.append(await socket.packet())
    assert orjson.loads(said[-2].removeprefix("42/tasks,"))[1]["code"] == "access_ended"
    return time.monotonic() - began


async def test_a_revoked_token_ends_what_it_opened(server: ServerProcess, ann: str) -> None:
    task_id = created(server, ann)
    token, other = (minted(server, ann, task_id=task_id) for _ in range(2))
    path = f"/api/tasks/{task_id}/stream"
    async with (
        knocking(server, {"token": token["token"]}) as (socket, _),
        raw_stream(server.port, path, authorization=f"Bearer {token['token']}") as stream,
        raw_stream(server.port, path, authorization=f"Bearer {other['token']}") as stays,
    ):
        assert stream.status == stays.status == 200
        where = f"/api/tokens/{token['id']}"
        assert server.call("DELETE", where, token=other["token"])[0] == 403
        assert server.call("DELETE", where, token=ann)[0] == 204
        assert server.call("DELETE", where, token=ann)[0] == 204
        assert await _until_sent_away(socket) < ENDED_WITHIN_S
        assert (await stream.events())[-1].data["code"] == "access_ended"
        server.call("POST", f"/api/tasks/{task_id}/cancel", token=ann)
        assert (await stays.events())[-1].data["data"]["final"]
    assert server.call("GET", "/api/tasks", token=token["token"])[1]["code"] == "access_ended"
    assert server.call("DELETE", f"/api/tokens/{other['id']}", token=other["token"])[0] == 204
    assert server.call("DELETE", "/api/tokens/..%2f..%2fkeys", token=ann)[0] in {404, 422}


async def test_a_token_is_refreshed_over_the_live_connection(
    server: ServerProcess, keys: Keys, ann: str
) -> None:
    task_id = created(server, ann)
    short = minted(server, ann, task_id=task_id, ttl_s=3)["token"]
    wide = minted(server, ann, task_id=task_id, rights=["read", "control"])["token"]
    beside = minted(server, ann, task_id=NOBODYS)["token"]
    bob = keys.make("rob")
    async with knocking(server, {"token": short}) as (socket, _):
        await socket.event()
        await socket.emit("subscribe", {"task_id": task_id, "after": "now"}, ack=1)
        await socket.event()
        await socket.event()
        for wrong, code in (
            (beside, "forbidden"),
            (bob, "forbidden"),
            ("x", "unauthenticated"),
            (7, "invalid_request"),
        ):
            await socket.emit("authenticate", {"token": wrong}, ack=2)
            assert (await socket.event())[1]["code"] == code
            assert (await socket.event())[0] == "error"
        await socket.emit("authenticate", {"token": wide}, ack=3)
        answer = (await socket.event())[1]
        assert answer["ok"]
        assert answer["expires_at"]
        # Well after the first one has expired, and has been looked at.
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(ENDED_WITHIN_S):
                assert await socket.packet() == ""
        await socket.emit("cancel", {"task_id": task_id}, ack=4)
        names = [(await socket.event())[0] for _ in range(2)]
        assert set(names) == {"ack", "task_update"}


async def test_a_ticket_opens_one_stream_once(server: ServerProcess, ann: str) -> None:
    task_id = created(server, ann, "collector")
    status, answer = server.call("POST", "/api/tickets", token=ann)
    assert status == 201
    path = f"/api/tasks/{task_id}/stream?ticket={answer['ticket']}"
    async with raw_stream(server.port, path) as stream:
        assert stream.status == 200
        assert (await stream.events())[-1].data["data"]["final"]
    async with raw_stream(server.port, path) as again:
        assert again.status == 401
    fresh = server.call("POST", "/api/tickets", token=ann)[1]["ticket"]
    assert server.call("GET", f"/api/tasks?ticket={fresh}")[0] == 401
    token = minted(server, ann, task_id=NOBODYS)["token"]
    narrow = server.call("POST", "/api/tickets", token=token)[1]["ticket"]
    async with raw_stream(server.port, f"/api/tasks/{task_id}/stream?ticket={narrow}") as stream:
        assert stream.status == 404


async def test_what_a_ticket_opened_ends_with_the_key(server: ServerProcess, keys: Keys) -> None:
    key = keys.make("passing")
    ticket = server.call("POST", "/api/tickets", token=key)[1]["ticket"]
    late = server.call("POST", "/api/tickets", token=key)[1]["ticket"]
    async with raw_stream(server.port, f"/api/stream?ticket={ticket}") as stream:
        keys.revoke("passing")
        async with asyncio.timeout(ENDED_WITHIN_S):
            assert (await stream.events())[-1].data["code"] == "access_ended"
    async with raw_stream(server.port, f"/api/stream?ticket={late}") as refused:
        assert refused.status == 401


def test_tokens_outlive_a_restart_and_fall_with_their_key(tmp_path: Path) -> None:
    data = tmp_path / "data"
    keys = Keys(data)
    key = keys.make("ann")
    with ServerProcess(data) as server:
        kept, revoked = (minted(server, key, feed="all") for _ in range(2))
        assert server.call("DELETE", f"/api/tokens/{revoked['id']}", token=key)[0] == 204
        server.kill()
        server.start()
        assert server.call("GET", "/api/tasks", token=kept["token"])[0] == 200
        assert server.call("GET", "/api/tasks", token=revoked["token"])[0] == 401
        keys.revoke("ann")
        assert server.call("GET", "/api/tasks", token=kept["token"])[1]["code"] == "access_ended"
        assert kept["token"].rpartition(".")[2] not in server.log
        assert secret_part(key) not in server.log
