"""What is marked sensitive, and what of others' tasks nobody learns."""

from __future__ import annotations

import asyncio
import base64
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest

from taskpush.access.principal import Role
from tests.support.keys import Keys
from tests.support.knocking import knocking
from tests.support.server import ServerProcess
from tests.support.stream import raw_stream

CANARY = "canary-4711"


@pytest.fixture(scope="module")
def server(keyed_server: ServerProcess) -> ServerProcess:
    return keyed_server


def _vault(server: ServerProcess, key: str, **params: Any) -> dict[str, Any]:
    body = {"kind": "vault", "params": {"password": CANARY, **params}}
    status, task = server.call("POST", "/api/tasks", body, token=key)
    assert status == 201, task
    return dict(task)


def _over(server: ServerProcess, key: str, task_id: str) -> list[dict[str, Any]]:
    """The events of a task that is waited for."""
    path = f"/api/tasks/{task_id}/events?limit=1000"
    while True:
        page = server.call("GET", path, token=key)[1]
        if page["final"]:
            return list(page["items"])
        at = page["position"]
        server.call("GET", f"{path}&wait_s=5&after={at['epoch']}:{at['seq']}", token=key)


async def _said(server: ServerProcess, key: str, task_id: str) -> str:
    """Everything that every door says of a task that is over."""
    paths = ("", "/events", "/result", "/artifacts")
    said = [
        server.raw("GET", f"/api/tasks/{task_id}{path}", token=key)[2].decode() for path in paths
    ]
    said += [
        server.raw("GET", path, token=key)[2].decode()
        for path in ("/api/tasks", "/api/feed", "/api/queue", "/api/stats")
    ]
    async with raw_stream(
        server.port, f"/api/tasks/{task_id}/stream", authorization=f"Bearer {key}"
    ) as stream:
        said.append(str(await stream.events()))
    bad = {"epoch": "gone", "seq": 1}
    for after in (None, "now", bad):
        async with knocking(server, {"token": key}) as (socket, _):
            await socket.event()
            await socket.emit("subscribe", {"task_id": task_id, "after": after}, ack=1)
            said.append(str(await socket.event()))
            assert (await socket.event())[0] == "subscribed"
            if after is bad:
                name, payload = await socket.event()
                assert name == "resync"
                said.append(str(payload))
    return "\n".join(said)


async def test_the_owner_sees_what_is_sensitive_and_readers_see_that_there_is_something(
    server: ServerProcess, keys: Keys, ann: str
) -> None:
    task = _vault(server, ann)
    task_id = task["task_id"]
    assert task["params"]["password"] == CANARY
    _over(server, ann, task_id)
    path = f"/api/tasks/{task_id}"
    assert server.call("GET", path, token=ann)[1]["params"]["password"] == CANARY
    assert server.call("GET", f"{path}/result", token=ann)[1]["result"] == {
        "user": "ann",
        "content": f"content for {CANARY}",
    }
    reader = keys.make("reader", Role.READ, owner="ann")
    scoped = server.call("POST", "/api/tokens", {"task_id": task_id}, token=ann)[1]["token"]
    tagged = server.call("POST", "/api/tokens", {"feed": "all"}, token=ann)[1]["token"]
    for key in (reader, scoped, tagged):
        shown = server.call("GET", path, token=key)[1]["params"]
        assert (shown["user"], shown["password"]) == ("ann", "***")
        assert server.call("GET", f"{path}/result", token=key)[1]["result"] == {
            "user": "ann",
            "content": "***",
        }
        assert CANARY not in await _said(server, key, task_id)


async def test_a_command_answers_with_no_more_than_may_be_read(
    server: ServerProcess, ann: str
) -> None:
    rights = {"rights": ["read", "control"]}
    task_id = _vault(server, ann, seconds=600)["task_id"]
    token = server.call("POST", "/api/tokens", {"task_id": task_id, **rights}, token=ann)[1]
    async with knocking(server, {"token": token["token"]}) as (socket, _):
        await socket.event()
        await socket.emit("cancel", {"task_id": task_id}, ack=1)
        answer = (await socket.event())[1]
        assert answer["ok"]
        assert CANARY not in str(answer)
    await asyncio.to_thread(_over, server, ann, task_id)
    for command in ("retry", "cancel"):
        path = f"/api/tasks/{task_id}/{command}"
        status, answer = server.call("POST", path, token=token["token"])
        assert (status, answer["params"]["password"]) == (202, "***")


def test_what_is_sensitive_stays_out_of_errors_and_of_the_log(
    server: ServerProcess, ann: str
) -> None:
    task_id = _vault(server, ann, fails=True)["task_id"]
    assert CANARY not in str(_over(server, ann, task_id))
    server.call(
        "POST", "/api/tasks", {"kind": "vault", "params": {"password": [CANARY]}}, token=ann
    )
    assert "the vault did not open with ***" in server.log
    assert "Traceback" in server.log
    assert CANARY not in server.log


def test_tracebacks_stay_with_the_operator(server: ServerProcess, ann: str) -> None:
    status, task = server.call("POST", "/api/tasks", {"kind": "fail", "params": {}}, token=ann)
    assert status == 201
    events = _over(server, ann, task["task_id"])
    said = orjson.dumps(events).decode() + str(
        server.call("GET", f"/api/tasks/{task['task_id']}", token=ann)
    )
    assert "does not fit" in said
    assert "Traceback" not in said
    assert "kinds.py" not in said


def _places(server: ServerProcess, key: str) -> list[str]:
    """Every text by which somebody goes on in what the store counts for all."""
    audit = server.call("GET", "/api/audit?limit=1", token=key)[1]["next"]
    listed = server.call("GET", "/api/tasks?limit=1", token=key)[1]["next"]
    pages = [parse_qs(urlsplit(address).query)["after"][0] for address in (listed, audit)]
    return [*pages, server.call("GET", "/api/feed", token=key)[1]["cursor"]]


def test_no_place_in_a_list_tells_how_much_others_do(server: ServerProcess, keys: Keys) -> None:
    """Nor whether anything happened: the same place is another text each time."""
    eve, bob = keys.make("eve", Role.ADMIN, tenant="evil"), keys.make("busy", tenant="busy")
    keys.make("mallory", tenant="evil")
    for _ in range(2):
        server.call("POST", "/api/tasks", {"kind": "fail", "params": {}}, token=eve)
    before = _places(server, eve)
    same = _places(server, eve)
    for _ in range(40):
        server.call("POST", "/api/tasks", {"kind": "fail", "params": {}}, token=bob)
    after = _places(server, eve)
    for texts in zip(before, same, after, strict=True):
        assert len(set(texts)) == 3
        assert len({len(text) for text in texts}) == 1
        assert all(len(base64.urlsafe_b64decode(text)) == 72 for text in texts)
    for place, door in zip(before, ("tasks", "audit"), strict=False):
        path = f"/api/{door}?limit=1&after="
        status, page = server.call("GET", path + place, token=eve)
        assert (status, len(page["items"])) == (200, 1)
        for other in ("t1", "1.1", before[2]):
            assert server.call("GET", path + other, token=eve)[1]["code"] == "invalid_request"


def test_the_queue_counts_everybody_and_shows_nobody(
    server: ServerProcess, keys: Keys, ann: str
) -> None:
    body = {"kind": "narrow", "params": {}, "title": CANARY}
    mine = [server.call("POST", "/api/tasks", body, token=ann)[1]["task_id"] for _ in range(3)]
    bob = keys.make("bob", tenant="other")
    (queue,) = server.call("GET", "/api/queue?kind=narrow", token=bob)[1]["items"]
    assert [entry["position"] for entry in queue["entries"]] == [1, 2]
    assert {(entry["own"], entry["task_id"], entry["title"]) for entry in queue["entries"]} == {
        (False, None, None)
    }
    (own,) = server.call("GET", "/api/queue?kind=narrow", token=ann)[1]["items"]
    assert [entry["task_id"] for entry in own["entries"]] == mine[1:]
    for task_id in mine:
        server.call("POST", f"/api/tasks/{task_id}/cancel", token=ann)
