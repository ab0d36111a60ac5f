"""A full queue says so, and when to come back: over REST and to the Python client."""

from __future__ import annotations

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from taskpush.client import AsyncClient, QueueFull
from tests.support.server import ServerProcess

LIMIT = 10
"""Of the kind `narrow`, of which one runs at a time."""


def _body(seconds: float = 600) -> dict[str, Any]:
    return {"kind": "narrow", "params": {"seconds": seconds}}


def _post(server: ServerProcess, key: str | None = None, **body: Any) -> requests.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return requests.post(
        f"{server.url}/api/tasks", json=body or _body(), headers=headers, timeout=30
    )


def _fill(server: ServerProcess) -> None:
    """One that runs, and as many waiting as may."""
    first = _post(server).json()["task_id"]
    while server.call("GET", f"/api/tasks/{first}")[1]["status"] != "running":
        pass
    for number in range(LIMIT):
        assert _post(server, f"key {number}").status_code == 201


def _pending(server: ServerProcess) -> int:
    _, page = server.call("GET", "/api/tasks?status=pending&limit=200")
    return len(page["items"])


def test_of_fifty_creates_at_once_exactly_as_many_as_fit_are_taken(server: ServerProcess) -> None:
    first = _post(server).json()["task_id"]
    while server.call("GET", f"/api/tasks/{first}")[1]["status"] != "running":
        pass
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: _post(server), range(50)))
    said = Counter((answer.status_code, answer.json().get("code")) for answer in answers)
    assert said == {(201, None): LIMIT, (503, "queue_full"): 40}
    assert _pending(server) == LIMIT


def test_a_full_queue_is_a_problem_that_says_when_to_come_back(server: ServerProcess) -> None:
    for _ in range(4):  # so that the queue knows how long a run takes
        server.wait_over(_post(server, **_body(0.3)).json()["task_id"])
    _fill(server)
    answer = _post(server)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (503, "queue_full")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert int(answer.headers["Retry-After"]) == problem["retry_after"] >= 1
    assert (problem["kind"], problem["queue_limit"]) == ("narrow", LIMIT)
    # A repeated create is no new one.
    assert _post(server, "key 3").status_code == 200
    # What is full is one kind's queue.
    assert _post(server, kind="sleep", params={"seconds": 0}).status_code == 201


def test_after_a_kill_the_queue_is_as_full_as_it_was(server: ServerProcess) -> None:
    _fill(server)
    server.kill()
    server.start()
    # The one that ran was interrupted, and the first of the others has its slot.
    while _pending(server) == LIMIT:
        pass
    assert [_post(server).status_code for _ in range(2)] == [201, 503]


def test_a_batch_is_counted_as_a_whole(server: ServerProcess) -> None:
    _fill(server)
    tasks = server.call("GET", "/api/tasks?status=pending&limit=3")[1]["items"]
    for task in tasks:
        assert server.call("POST", f"/api/tasks/{task['task_id']}/cancel")[0] == 202
    status, problem = server.call("POST", "/api/tasks/batch", {"tasks": [_body()] * 4})
    assert (status, problem["code"]) == (503, "queue_full")
    assert _pending(server) == LIMIT - 3
    status, problem = server.call("POST", "/api/tasks/batch", {"tasks": [_body()] * (LIMIT + 1)})
    assert (status, problem["code"]) == (422, "invalid_request")
    assert server.call("POST", "/api/tasks/batch", {"tasks": [_body()] * 3})[0] == 201
    assert _pending(server) == LIMIT


def test_kinds_and_queues_show_the_limit(server: ServerProcess) -> None:
    _, kinds = server.call("GET", "/api/kinds")
    limits = {kind["name"]: kind["queue_limit"] for kind in kinds["items"]}
    assert (limits["narrow"], limits["sleep"]) == (LIMIT, None)
    _, queues = server.call("GET", "/api/queue?kind=narrow")
    assert queues["items"][0]["queue_limit"] == LIMIT


async def test_the_client_says_at_once_when_to_come_back(server: ServerProcess) -> None:
    await asyncio.to_thread(_fill, server)
    async with AsyncClient(server.url) as client:
        async with asyncio.timeout(60):
            with pytest.raises(QueueFull) as caught:
                await client.create_task("narrow", {"seconds": 1})
    assert caught.value.retry_after >= 1
    assert "10 tasks of kind narrow are pending, of at most 10; try again in" in str(caught.value)
    assert (caught.value.code, caught.value.status) == ("queue_full", 503)
