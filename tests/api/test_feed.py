"""A feed by long poll, over a real server."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import requests

from tests.support.server import ServerProcess


def read(server: ServerProcess, feed: str = "all", **query: Any) -> dict[str, Any]:
    params = {"feed": feed, **query}
    answer = requests.get(f"{server.url}/api/feed", params=params, timeout=70)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def test_a_feed_is_read_and_followed(own_server: ServerProcess) -> None:
    over = own_server.create("iterate", iterations=1)
    own_server.wait_over(over)
    slow = own_server.create("iterate", iterations=1000, pause_s=1)
    page = read(own_server)
    assert [task["task_id"] for task in page["tasks"]] == [slow]
    assert (page["reset"], page["more"]) == (False, False)
    assert {"params", "result", "metadata"}.isdisjoint(page["tasks"][0])

    # Until the start of the task that was listed as pending was told.
    while not any(task["status"] == "running" for task in page["tasks"]):
        page = read(own_server, after=page["cursor"], wait_s=10)
    own_server.call("POST", f"/api/tasks/{slow}/cancel")
    own_server.wait_over(slow)
    assert requests.delete(f"{own_server.url}/api/tasks/{over}", timeout=10).status_code == 204
    states: dict[str, Any] = {}
    while len(states) < 2:
        page = read(own_server, after=page["cursor"], wait_s=10)
        states |= {
            task["task_id"]: task for task in page["tasks"] if task.get("deleted") or task["final"]
        }
    assert states[slow]["status"] == "cancelled"
    assert states[over] == {"task_id": over, "deleted": True}


def test_waiting_ends_with_the_next_change(server: ServerProcess) -> None:
    cursor = read(server)["cursor"]
    answers: list[dict[str, Any]] = []
    waiter = threading.Thread(
        target=lambda: answers.append(read(server, "kind:iterate", after=cursor, wait_s=60))
    )
    begin = time.monotonic()
    waiter.start()
    task = server.create("iterate", iterations=0)
    waiter.join(20)
    assert time.monotonic() - begin < 20
    assert [found["task_id"] for found in answers[0]["tasks"]] == [task]


def test_waiting_ends_without_a_change_when_the_time_is_up(server: ServerProcess) -> None:
    cursor = read(server)["cursor"]
    page = read(server, "tag:nothing", after=cursor, wait_s=0.3)
    assert page["tasks"] == []
    assert page["reset"] is False


def test_pages_hold_at_most_the_limit(own_server: ServerProcess) -> None:
    for _ in range(5):
        own_server.create("iterate", iterations=1000, pause_s=1)
    page = read(own_server, limit=2)
    found = [task["task_id"] for task in page["tasks"]]
    while page["more"]:
        page = read(own_server, limit=2, after=page["cursor"])
        assert len(page["tasks"]) <= 2
        found += [task["task_id"] for task in page["tasks"]]
    assert len(set(found)) == 5


def test_a_cursor_survives_a_restart_and_one_of_another_store_does_not(
    own_server: ServerProcess,
) -> None:
    task = own_server.create("iterate", iterations=1000, pause_s=1)
    cursor = read(own_server)["cursor"]
    own_server.kill()
    own_server.start()
    page = read(own_server, after=cursor)
    assert page["reset"] is False
    assert [(found["task_id"], found["status"]) for found in page["tasks"]] == [
        (task, "interrupted")
    ]
    assert read(own_server, after="k3v9k3v9.1.0")["reset"] is True
    assert read(own_server, after="not a cursor")["reset"] is True


@pytest.mark.parametrize(
    "query",
    [
        {"feed": "everything"},
        {"feed": "kind:"},
        {"feed": "kind:a b"},
        {"feed": "owner:you"},
        {"feed": "all "},
        {"after": "x" * 201},
        {"limit": "0"},
        {"limit": "1001"},
        {"wait_s": "61"},
        {"wait_s": "nan"},
    ],
)
def test_what_is_wrong_is_said(query: dict[str, str], server: ServerProcess) -> None:
    answer = requests.get(f"{server.url}/api/feed", params=query, timeout=10)
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid_request"
    assert [error["loc"] for error in answer.json()["errors"]] == [
        f"query.{name}" for name in query
    ]
