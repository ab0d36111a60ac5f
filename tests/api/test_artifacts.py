"""Artifacts: the right version, in ranges, and never as a page of ours."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.support.server import ServerProcess


@pytest.fixture(scope="module")
def artifacts(server: ServerProcess) -> list[dict[str, str]]:
    """The artifact events of a task that made three files."""
    task_id = server.create("files")
    assert server.wait_over(task_id)["status"] == "completed"
    return [e["data"] for e in server.log_of(task_id) if e["event_type"] == "artifact"]


def test_an_address_pins_the_version(
    server: ServerProcess, artifacts: list[dict[str, str]]
) -> None:
    first, _, second = artifacts
    assert requests.get(server.url + first["url"], timeout=10).json() == {"version": 1}
    assert requests.get(server.url + second["url"], timeout=10).json() == {"version": 2}
    newest = requests.get(server.url + second["url"].partition("?")[0], timeout=10)
    assert newest.json() == {"version": 2}


def test_a_file_is_kept_by_who_asked_for_it_and_by_no_cache_on_the_way(
    server: ServerProcess, artifacts: list[dict[str, str]]
) -> None:
    pinned = artifacts[0]["url"]
    for address, kept in (
        (pinned, "private, immutable, max-age=31536000"),
        (pinned.partition("?")[0], "private, no-cache"),
    ):
        answer = requests.get(server.url + address, timeout=10)
        assert answer.headers["Cache-Control"] == kept


def test_ranges_are_answered(server: ServerProcess, artifacts: list[dict[str, str]]) -> None:
    answer = requests.get(
        server.url + artifacts[0]["url"], headers={"Range": "bytes=2-8"}, timeout=10
    )
    assert (answer.status_code, answer.content) == (206, b"version")


def test_what_could_act_as_a_page_is_a_download(
    server: ServerProcess, artifacts: list[dict[str, str]]
) -> None:
    answer = requests.get(server.url + artifacts[1]["url"], timeout=10)
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    shown = requests.get(server.url + artifacts[0]["url"], timeout=10)
    assert shown.headers["Content-Type"] == "application/json"
    assert shown.headers["Content-Disposition"].startswith("inline")


@pytest.mark.parametrize(
    "path",
    [
        "other.json",
        "layout.json?sha256=" + "0" * 64,
        "..%2F..%2Ftaskpush.db",
        "%2e%2e/%2e%2e/taskpush.db",
        "layout.json/../../../taskpush.db",
    ],
)
def test_nothing_but_what_the_job_made_is_served(
    server: ServerProcess, artifacts: list[dict[str, str]], path: str
) -> None:
    base = artifacts[0]["url"].rpartition("/")[0]
    status, problem = server.call("GET", f"{base}/{path}")
    assert status == 404
    assert problem["code"] in {"artifact_not_found", "no_such_page", "not_found"}


def _listed(server: ServerProcess, task_id: str) -> list[dict[str, Any]]:
    status, page = server.call("GET", f"/api/tasks/{task_id}/artifacts")
    assert (status, page["next"]) == (200, None)
    items: list[dict[str, Any]] = page["items"]
    return items


def test_the_list_says_what_the_events_said(
    server: ServerProcess, artifacts: list[dict[str, str]]
) -> None:
    task_id = artifacts[0]["url"].split("/")[3]
    listed = _listed(server, task_id)
    for entry, data in zip(listed, artifacts, strict=True):
        assert data.items() <= entry.items()
        assert (entry["attempt"], entry["partial"]) == (1, False)
    _, snapshot = server.call("GET", f"/api/tasks/{task_id}")
    assert snapshot["links"]["artifacts"] == f"/api/tasks/{task_id}/artifacts"


def test_files_of_an_attempt_that_did_not_complete_are_partial(server: ServerProcess) -> None:
    task_id = server.create("drafts")

    def partial() -> list[bool]:
        return [entry["partial"] for entry in _listed(server, task_id)]

    def go_on(command: str, count: int, **body: Any) -> None:
        assert server.call("POST", f"/api/tasks/{task_id}/{command}", body)[0] == 202
        while len(_listed(server, task_id)) < count:
            pass

    server.wait_over(task_id)
    assert partial() == [True]
    go_on("retry", 2)
    # Nobody knows yet what becomes of the second.
    assert partial() == [True, False]
    go_on("cancel", 2, keep=True)
    assert server.wait_over(task_id)["status"] == "interrupted"
    assert partial() == [True, True]
    go_on("retry", 3)
    assert server.wait_over(task_id)["status"] == "completed"
    assert partial() == [True, True, False]

    *_, kept, newest = _listed(server, task_id)
    told = [
        requests.get(server.url + address, timeout=10)
        for address in (kept["url"], newest["url"], newest["url"].partition("?")[0])
    ]
    assert [answer.text for answer in told] == ["draft 2", "draft 3", "draft 3"]
    assert [answer.headers["X-Taskpush-Attempt"] for answer in told] == ["2", "3", "3"]
    assert [answer.headers["X-Taskpush-Partial"] for answer in told] == ["true", "false", "false"]


@pytest.mark.parametrize("task_id", ["0199f0c2-7d1e-7c63-9a0b-5f5f0c1d2e3f", "nonsense"])
def test_the_list_of_no_task_is_not_found(server: ServerProcess, task_id: str) -> None:
    status, problem = server.call("GET", f"/api/tasks/{task_id}/artifacts")
    assert (status, problem["code"]) == (404, "not_found")
