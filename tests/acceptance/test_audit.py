"""Who did what, from where, when: over a real server, and after it was killed."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from taskpush.access.principal import Role
from tests.cli.conftest import Ran
from tests.support.keys import Keys
from tests.support.knocking import knocking
from tests.support.server import ServerProcess

NOBODYS = "0199f0c2-7d1e-7c63-9a0b-5f5f0c1d2e3f"


@pytest.fixture(scope="module")
def admin(keys: Keys) -> str:
    return keys.make("root", Role.ADMIN)


@pytest.fixture(scope="module")
def server(keyed_server: ServerProcess) -> ServerProcess:
    return keyed_server


def _sleeper(server: ServerProcess, key: str) -> str:
    body = {"kind": "sleep", "params": {}, "title": "canary-4711"}
    status, task = server.call("POST", "/api/tasks", body, token=key)
    assert status == 201, task
    return str(task["task_id"])


def _trail(server: ServerProcess, key: str | None, query: str = "") -> list[dict[str, Any]]:
    """All pages."""
    found: list[dict[str, Any]] = []
    path: str | None = f"/api/audit?{query}"
    while path:
        status, page = server.call("GET", path, token=key)
        assert status == 200, page
        found += page["items"]
        path = page["next"]
    return found


def _cancel(server: ServerProcess, key: str | None, task_id: str) -> int:
    return server.call("POST", f"/api/tasks/{task_id}/cancel", token=key)[0]


def test_what_is_done_to_a_task_is_told_with_who_and_where(
    server: ServerProcess, ann: str, admin: str
) -> None:
    task_id = _sleeper(server, ann)
    assert _cancel(server, ann, task_id) == 202
    path = f"/api/tasks/{task_id}/events?wait_s=20&after="
    while not (page := server.call("GET", path + "0", token=ann)[1])["final"]:
        at = page["position"]
        server.call("GET", f"{path}{at['epoch']}:{at['seq']}", token=ann)
    assert server.call("DELETE", f"/api/tasks/{task_id}", token=admin)[0] == 204
    deleted, cancelled = _trail(server, admin, f"task_id={task_id}&limit=1")
    about: dict[str, Any] = {
        "tenant": "acme",
        "door": "rest",
        "address": "127.0.0.1",
        "outcome": "accepted",
    }
    about |= {"task_id": task_id, "kind": "sleep", "task_owner": "ann", "attempt": 1}
    assert cancelled.items() >= (about | {"action": "cancel", "owner": "ann"}).items()
    assert cancelled["status"] in {"pending", "running"}
    about |= {"action": "delete", "owner": "root", "status": "cancelled"}
    assert deleted.items() >= about.items()
    assert cancelled["credential"].startswith("key:")
    assert "canary" not in str([deleted, cancelled])


async def test_the_socket_is_told_from_rest(server: ServerProcess, ann: str, admin: str) -> None:
    task_id = await asyncio.to_thread(_sleeper, server, ann)
    async with asyncio.timeout(20), knocking(server, {"token": ann}) as (socket, _):
        await socket.event()
        await socket.emit("cancel", {"task_id": task_id, "keep": True}, ack=1)
        assert (await socket.event())[1]["ok"]
    (entry,) = await asyncio.to_thread(_trail, server, admin, f"task_id={task_id}")
    assert (entry["door"], entry["address"], entry["detail"]) == ("socket", "127.0.0.1", "keep")


def test_who_may_not_is_told_too(server: ServerProcess, keys: Keys, ann: str, admin: str) -> None:
    bob, reader = keys.make("bob"), keys.make("reader", Role.READ)
    task_id = _sleeper(server, ann)
    assert [_cancel(server, key, task_id) for key in (bob, reader)] == [404, 403]
    refused = _trail(server, admin, f"task_id={task_id}")
    assert [(each["owner"], each["outcome"]) for each in refused] == [
        ("reader", "forbidden"),
        ("bob", "not_found"),
    ]
    # What the task is, is nothing that an attempt tells.
    assert [each["kind"] or each["task_owner"] for each in refused] == [None, None]


def test_tokens_are_told_and_never_shown(server: ServerProcess, ann: str, admin: str) -> None:
    status, made = server.call(
        "POST", "/api/tokens", {"tag": "night", "rights": ["read", "control"]}, token=ann
    )
    assert status == 201
    assert server.call("DELETE", f"/api/tokens/{made['id']}", token=made["token"])[0] == 204
    revoked, issued = _trail(server, admin, "owner=ann")[:2]
    target = f"token:{made['id']}"
    assert (issued["action"], issued["target"]) == ("issue_token", target)
    assert issued["detail"] == "read, control; tag night"
    assert (revoked["action"], revoked["target"]) == ("revoke_token", target)
    assert revoked["credential"] == target
    assert made["token"] not in str([revoked, issued])


def test_keys_are_told_with_who_sat_at_the_shell(
    server: ServerProcess, data: Path, admin: str
) -> None:
    made = Ran(("keys", "create", "ci", "--tenant", "acme", "--data", str(data)), server.url)
    assert made.code == 0
    assert Ran(("keys", "revoke", "ci", "--data", str(data)), server.url).code == 0
    revoked, created = [each for each in _trail(server, admin) if "ci" in (each["detail"] or "")]
    user = f"user:{pwd.getpwuid(os.getuid()).pw_name}"
    for entry, action in ((created, "create_key"), (revoked, "revoke_key")):
        told = {"action": action, "credential": user, "door": "shell", "owner": None}
        told |= {"address": None, "detail": "ci, of ci: control, create, read"}
        assert entry.items() >= told.items()
        assert entry["target"].startswith("key:")
    assert created["at"] < revoked["at"]
    assert made.out.strip() not in str([revoked, created])


def test_pages_hold_all_of_both_sources_once_newest_first(
    server: ServerProcess, admin: str
) -> None:
    whole = _trail(server, admin, "limit=200")
    assert _trail(server, admin, "limit=2") == whole
    assert [each["at"] for each in whole] == sorted((each["at"] for each in whole), reverse=True)
    sorts = {each["door"] for each in whole}
    assert sorts >= {"rest", "shell"}


def test_only_admins_of_the_tenant_read_it(
    server: ServerProcess, keys: Keys, ann: str, admin: str
) -> None:
    scoped = server.call("POST", "/api/tokens", {"feed": "all"}, token=admin)[1]["token"]
    for shown in (ann, scoped):
        status, problem = server.call("GET", "/api/audit", token=shown)
        assert (status, problem["code"]) == (403, "forbidden")
    other = keys.make("other", Role.ADMIN, tenant="other")
    assert {each["tenant"] for each in _trail(server, other)} == {"other"}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nobody_changes_it(server: ServerProcess, admin: str, method: str) -> None:
    assert server.call(method, "/api/audit", {}, token=admin)[0] == 405


@pytest.mark.parametrize(
    "query", ["after=1", "after=t1", "limit=0", "action=create", "since=1", "task_id=x"]
)
def test_what_makes_no_sense_is_refused(server: ServerProcess, admin: str, query: str) -> None:
    status, problem = server.call("GET", f"/api/audit?{query}", token=admin)
    assert (status, problem["code"]) == (422, "invalid_request")


def test_the_shell_shows_it(server: ServerProcess, ann: str, admin: str) -> None:
    task_id = _sleeper(server, ann)
    assert _cancel(server, ann, task_id) == 202
    asked = ("audit", "--task", task_id, "--since", "1h", "--token", admin)
    plain = Ran(asked, server.url)
    assert (plain.code, len(plain.lines)) == (0, 1), plain.err
    assert plain.lines[0].split("\t")[1:5] == ["cancel", task_id, "accepted", "ann"]
    (line,) = Ran((*asked, "--json-lines"), server.url).lines
    assert json.loads(line)["task_id"] == task_id
    refused = Ran(("audit", "--token", ann), server.url)
    assert (refused.code, refused.out) == (6, "")


def test_an_answered_action_has_its_entry_after_kill_9(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data")
    server.start()
    try:
        for _ in range(5):
            task_id = server.create("sleep")
            assert _cancel(server, None, task_id) == 202
            server.kill()
            server.start()
            (entry,) = _trail(server, None, f"task_id={task_id}")
            assert (entry["action"], entry["credential"]) == ("cancel", "none")
    finally:
        server.stop()
