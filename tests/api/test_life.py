"""Creating once, in batches and later; retrying, keeping and deleting, over a real server."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import requests

from tests.support.server import ServerProcess
from tests.support.watcher import raw_socket


def _create(server: ServerProcess, key: str, **body: Any) -> tuple[int, dict[str, Any]]:
    answer = requests.post(
        f"{server.url}/api/tasks", json=body, headers={"Idempotency-Key": key}, timeout=10
    )
    return answer.status_code, answer.json()


def test_a_key_stands_for_one_body_whatever_its_spelling(server: ServerProcess) -> None:
    key = str(uuid4())
    _, first = _create(server, key, kind="iterate", params={"iterations": 1, "pause_s": 0})
    status, again = _create(server, key, params={"pause_s": 0, "iterations": 1}, kind="iterate")
    assert (status, again["task_id"]) == (200, first["task_id"])
    status, problem = _create(server, key, kind="iterate", params={"iterations": 2})
    assert (status, problem["code"]) == (422, "idempotency_conflict")


def test_a_key_outlives_a_kill(tmp_path_factory: pytest.TempPathFactory) -> None:
    server = ServerProcess(tmp_path_factory.mktemp("key") / "data")
    server.start()
    try:
        _, first = _create(server, "once", kind="iterate", params={"iterations": 1})
        server.kill()
        server.start()
        status, again = _create(server, "once", kind="iterate", params={"iterations": 1})
        assert (status, again["task_id"]) == (200, first["task_id"])
    finally:
        server.stop()


def test_a_batch_is_created_wholly_or_not_at_all(server: ServerProcess) -> None:
    tag = f"t{uuid4().hex[:8]}"
    good = [{"kind": "iterate", "params": {"iterations": n}, "tags": [tag]} for n in range(200)]
    status, problem = server.call(
        "POST",
        "/api/tasks/batch",
        {"tasks": [*good[:5], {"kind": "iterate", "params": {"iterations": -1}}]},
    )
    assert (status, problem["code"]) == (422, "invalid_params")
    assert problem["errors"][0]["loc"] == "tasks.5.params.iterations"
    assert server.call("GET", f"/api/tasks?tag={tag}")[1]["items"] == []
    status, page = server.call("POST", "/api/tasks/batch", {"tasks": good})
    assert (status, len(page["items"])) == (201, 200)
    assert [item["params"]["iterations"] for item in page["items"]] == list(range(200))
    for item in page["items"]:
        assert server.wait_over(item["task_id"])["status"] == "completed"


def test_a_delayed_task_waits_for_its_time(server: ServerProcess) -> None:
    run_at = datetime.now(UTC) + timedelta(seconds=0.7)
    body = {"kind": "iterate", "params": {"iterations": 1}, "run_at": run_at.isoformat()}
    _, snapshot = server.call("POST", "/api/tasks", body)
    over = server.wait_over(snapshot["task_id"])
    assert over["status"] == "completed"
    assert datetime.fromisoformat(over["started_at"]) >= run_at


def test_higher_priorities_go_first(server: ServerProcess) -> None:
    blockers = [server.create("sleep", seconds=600) for _ in range(2)]
    made = {}
    for priority in (0, 5, -5, 5):
        body = {"kind": "sleep", "params": {"seconds": 0}, "priority": priority}
        snapshot = server.call("POST", "/api/tasks", body)[1]
        made[snapshot["task_id"]] = priority
    for task_id in blockers:
        server.call("POST", f"/api/tasks/{task_id}/cancel")
    over = [server.wait_over(task_id) for task_id in made]
    order = sorted(over, key=lambda snapshot: str(snapshot["started_at"]))
    assert [snapshot["priority"] for snapshot in order] == [5, 5, 0, -5]


def test_a_failed_task_can_be_tried_again_by_hand(server: ServerProcess) -> None:
    task_id = server.create("fail")
    assert server.wait_over(task_id)["status"] == "failed"
    status, snapshot = server.call("POST", f"/api/tasks/{task_id}/retry", {"attempt": 1})
    assert (status, snapshot["status"], snapshot["attempt"]) == (202, "pending", 2)
    assert server.wait_over(task_id)["attempt"] == 2
    log = server.log_of(task_id)
    assert [e["seq"] for e in log] == list(range(1, len(log) + 1))
    assert [e["attempt"] for e in log if e["data"].get("final")] == [1, 2]
    status, problem = server.call("POST", f"/api/tasks/{task_id}/retry", {"attempt": 1})
    assert (status, problem["code"]) == (409, "stale_attempt")


def test_a_kept_task_is_interrupted_and_goes_on(server: ServerProcess) -> None:
    task_id = server.create("sleep", seconds=600)
    status, _ = server.call("POST", f"/api/tasks/{task_id}/cancel", {"keep": True})
    assert status == 202
    over = server.wait_over(task_id)
    assert (over["status"], over["final"]) == ("interrupted", False)
    status, snapshot = server.call("POST", f"/api/tasks/{task_id}/retry")
    assert (status, snapshot["attempt"]) == (202, 2)
    server.call("POST", f"/api/tasks/{task_id}/cancel")
    assert server.wait_over(task_id)["status"] == "cancelled"


def test_only_what_is_over_can_be_deleted_and_its_id_never_comes_back(
    server: ServerProcess,
) -> None:
    task_id = server.create("sleep")
    status, problem = server.call("DELETE", f"/api/tasks/{task_id}")
    assert (status, problem["code"]) == (409, "illegal_transition")
    server.call("POST", f"/api/tasks/{task_id}/cancel")
    server.wait_over(task_id)
    assert requests.delete(f"{server.url}/api/tasks/{task_id}", timeout=10).status_code == 204
    for path in ("", "/events"):
        status, problem = server.call("GET", f"/api/tasks/{task_id}{path}")
        assert (status, problem["code"]) == (404, "not_found")
    status, problem = server.call("GET", f"/api/tasks/{task_id}/result")
    assert (status, problem["code"]) == (410, "result_gone")
    status, problem = server.call("GET", f"/api/tasks/{uuid4()}/result")
    assert (status, problem["code"]) == (404, "not_found")
    body = {"kind": "iterate", "params": {"iterations": 0}, "task_id": task_id}
    status, problem = server.call("POST", "/api/tasks", body)
    assert (status, problem["code"]) == (409, "task_id_taken")


def test_files_of_a_deleted_task_are_gone(server: ServerProcess) -> None:
    task_id = server.create("files")
    server.wait_over(task_id)
    folder = server.data / "artifacts" / task_id
    assert folder.exists()
    requests.delete(f"{server.url}/api/tasks/{task_id}", timeout=10)
    assert not folder.exists()


async def test_watchers_of_a_deleted_task_are_told(server: ServerProcess) -> None:
    task_id = server.create("iterate", iterations=1)
    server.wait_over(task_id)
    async with raw_socket(server.port) as socket:
        await socket.emit("subscribe", {"task_id": task_id, "after": "now"})
        while (await socket.event())[0] != "subscribed":
            pass
        await asyncio.to_thread(requests.delete, f"{server.url}/api/tasks/{task_id}", timeout=10)
        assert await socket.event() == ("task_deleted", {"task_id": task_id})


def test_a_task_is_tried_as_often_as_was_asked(server: ServerProcess) -> None:
    body = {"kind": "fail", "params": {}, "max_attempts": 2}
    task_id = server.call("POST", "/api/tasks", body)[1]["task_id"]
    started = time.monotonic()
    over = server.wait_over(task_id)
    assert (over["status"], over["attempt"]) == ("failed", 2)
    errors = [e["data"] for e in server.log_of(task_id) if e["event_type"] == "error"]
    assert [(e["will_retry"], e["status"]) for e in errors] == [
        (True, "pending"),
        (False, "failed"),
    ]
    assert time.monotonic() - started < 30
