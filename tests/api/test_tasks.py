"""REST over a real server: what the contract says of each call."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
import requests

from tests.support.server import ServerProcess


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(
        tmp_path_factory.mktemp("api") / "data", args=("--allow-origin", "https://app.example")
    ) as process:
        yield process


def test_a_create_answers_with_the_snapshot_and_where_to_find_it(server: ServerProcess) -> None:
    body: dict[str, Any] = {
        "kind": "iterate",
        "params": {"iterations": 2},
        "title": "First",
        "tags": ["a", "b", "a"],
        "metadata": {"ticket": 17},
    }
    answer = requests.post(f"{server.url}/api/tasks", json=body, timeout=10)
    snapshot = answer.json()
    assert answer.status_code == 201
    assert answer.headers["Location"] == snapshot["links"]["self"]
    assert (snapshot["status"], snapshot["attempt"], snapshot["final"]) == ("pending", 1, False)
    assert snapshot["params"] == {"iterations": 2, "pause_s": 0.0, "log_every": 0}
    assert (snapshot["title"], snapshot["tags"]) == ("First", ["a", "b"])
    assert snapshot["metadata"] == {"ticket": 17}
    assert snapshot["position"]["seq"] == 1
    over = server.wait_over(snapshot["task_id"])
    assert (over["status"], over["final"]) == ("completed", True)
    assert over["latest"]["progress"]["progress_percent"] == 100
    for address in over["links"].values():
        if not address.endswith(("/cancel", "/retry")):
            assert server.call("GET", address)[0] == 200


def test_a_chosen_id_is_taken_once(server: ServerProcess) -> None:
    task_id = str(uuid4())
    body = {"kind": "iterate", "params": {"iterations": 0}, "task_id": task_id.upper()}
    status, snapshot = server.call("POST", "/api/tasks", body)
    assert (status, snapshot["task_id"]) == (201, task_id)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: server.call("POST", "/api/tasks", body), range(8)))
    assert {(status, problem["code"]) for status, problem in answers} == {(409, "task_id_taken")}


def test_a_list_is_newest_first_and_can_be_followed_and_filtered(server: ServerProcess) -> None:
    tag = f"t{uuid4().hex[:8]}"
    made = []
    for index in range(7):
        body: dict[str, Any] = {
            "kind": "iterate" if index % 2 else "fail",
            "params": {},
            "tags": [tag],
            "title": f"Number {index}",
        }
        made.append(server.call("POST", "/api/tasks", body)[1]["task_id"])
    listed: list[str] = []
    path: str | None = f"/api/tasks?tag={tag}&limit=3"
    while path:
        _, page = server.call("GET", path)
        assert len(page["items"]) <= 3
        assert all("params" not in item and "result" not in item for item in page["items"])
        listed += [item["task_id"] for item in page["items"]]
        path = page["next"]
    assert listed == made[::-1]
    for task_id in made:
        server.wait_over(task_id)
    found = {
        query: len(server.call("GET", f"/api/tasks?tag={tag}&{query}")[1]["items"])
        for query in ("kind=fail", "status=completed", "q=number%203", "q=nothing", "limit=200")
    }
    assert found == {
        "kind=fail": 4,
        "status=completed": 3,
        "q=number%203": 1,
        "q=nothing": 0,
        "limit=200": 7,
    }


@pytest.mark.parametrize(
    ("kind", "code", "extra"),
    [
        ("fail", "task_failed", {"task_status": "failed", "error_type": "ValueError"}),
        ("sleep", "task_not_finished", {}),
    ],
)
def test_a_missing_result_says_why(
    server: ServerProcess, kind: str, code: str, extra: dict[str, str]
) -> None:
    task_id = server.create(kind)
    if kind == "fail":
        server.wait_over(task_id)
    status, problem = server.call("GET", f"/api/tasks/{task_id}/result")
    assert (status, problem["code"]) == (409, code)
    assert extra.items() <= problem.items()
    server.call("POST", f"/api/tasks/{task_id}/cancel")


def test_a_result_too_large_for_an_event_travels_by_its_address(server: ServerProcess) -> None:
    task_id = server.create("large_result")
    server.wait_over(task_id)
    last = server.log_of(task_id)[-1]["data"]
    assert "result" not in last
    _, answer = server.call("GET", last["result_url"])
    assert answer["result"]["numbers"] == list(range(20_000))


def test_a_long_poll_answers_as_soon_as_something_happens(server: ServerProcess) -> None:
    task_id = server.create("iterate", iterations=3, pause_s=0.4)
    seqs: list[int] = []
    path = f"/api/tasks/{task_id}/events?wait_s=20"
    started = time.monotonic()
    while True:
        _, page = server.call("GET", path)
        seqs += [event["seq"] for event in page["items"]]
        if page["final"]:
            break
        position = page["position"]
        at = f"{position['epoch']}:{position['seq']}" if position["epoch"] else position["seq"]
        path = f"/api/tasks/{task_id}/events?wait_s=20&after={at}"
    assert seqs == list(range(1, len(seqs) + 1))
    assert time.monotonic() - started < 10


def test_a_long_poll_does_not_sleep_over_a_volatile_event(server: ServerProcess) -> None:
    task_id = server.create("leaky", canary="tweet", seconds=60)
    page: dict[str, Any] = {"items": [], "volatile": []}
    while not page["volatile"] or page["items"][-1]["event_type"] != "checkpoint":
        _, page = server.call("GET", f"/api/tasks/{task_id}/events?wait_s=5")
    assert page["latest"]["progress"] == page["volatile"][0]["data"]
    assert page["volatile"][0]["event_type"] == "progress"
    rev = page["volatile"][-1]["rev"]
    at = f"{page['position']['epoch']}:{page['position']['seq']}"
    path = f"/api/tasks/{task_id}/events?after={at}"
    started = time.monotonic()
    server.call("GET", f"{path}&wait_s=30&after_rev={rev - 1}")
    assert time.monotonic() - started < 10
    started = time.monotonic()
    server.call("GET", f"{path}&wait_s=0.3&after_rev={rev}")
    assert time.monotonic() - started >= 0.3
    server.call("POST", f"/api/tasks/{task_id}/cancel")


def test_pages_of_the_log_join_without_a_hole(server: ServerProcess) -> None:
    task_id = server.create("iterate", iterations=50)
    server.wait_over(task_id)
    path: str | None = f"/api/tasks/{task_id}/events?limit=7"
    pages = []
    while path:
        _, page = server.call("GET", path)
        pages.append(page)
        path = page["next"]
    assert [e["seq"] for page in pages for e in page["items"]] == list(range(1, 54))
    assert [len(page["items"]) for page in pages] == [7] * 7 + [4]


def test_cancelling_ends_a_waiting_and_a_running_task_once(server: ServerProcess) -> None:
    first, second, waiting = (server.create("sleep") for _ in range(3))
    status, snapshot = server.call("POST", f"/api/tasks/{waiting}/cancel", {})
    assert (status, snapshot["status"]) == (202, "cancelled")
    for task_id in (first, second):
        assert server.call("POST", f"/api/tasks/{task_id}/cancel")[0] == 202
        assert server.wait_over(task_id)["status"] == "cancelled"
        status, problem = server.call("POST", f"/api/tasks/{task_id}/cancel", {"attempt": 1})
        assert (status, problem["code"]) == (409, "illegal_transition")
        assert problem["task_status"] == "cancelled"
        assert sum(e["data"].get("final") is True for e in server.log_of(task_id)) == 1


def test_cancelling_another_attempt_is_refused(server: ServerProcess) -> None:
    task_id = server.create("sleep")
    status, problem = server.call("POST", f"/api/tasks/{task_id}/cancel", {"attempt": 2})
    assert (status, problem["code"]) == (409, "stale_attempt")
    server.call("POST", f"/api/tasks/{task_id}/cancel", {"attempt": 1})
    assert server.wait_over(task_id)["status"] == "cancelled"


def test_kinds_say_what_they_take_and_give(server: ServerProcess) -> None:
    _, page = server.call("GET", "/api/kinds")
    kinds = {kind["name"]: kind for kind in page["items"]}
    assert kinds["iterate"]["default"] is True
    assert kinds["fail"]["default"] is False
    assert kinds["iterate"]["description"] == "An async job that iterates."
    assert kinds["iterate"]["params_schema"]["properties"]["iterations"]["maximum"] == 100_000
    assert "final_iteration" in kinds["iterate"]["result_schema"]["properties"]


def test_a_listed_origin_may_call_and_another_may_not(server: ServerProcess) -> None:
    def allowed(origin: str) -> str | None:
        answer = requests.options(
            f"{server.url}/api/tasks",
            headers={"Origin": origin, "Access-Control-Request-Method": "POST"},
            timeout=10,
        )
        return answer.headers.get("access-control-allow-origin")

    assert allowed("https://app.example") == "https://app.example"
    assert allowed("https://evil.example") is None


def test_health_is_checked_by_doing(server: ServerProcess) -> None:
    assert server.call("GET", "/healthz") == (200, {"status": "ok", "checks": {}})
    assert server.call("GET", "/readyz") == (
        200,
        {"status": "ok", "checks": {"store": "ok", "push": "ok"}},
    )
