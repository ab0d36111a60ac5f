"""Artifacts: the right version, in ranges, and never as a page of ours."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from tests.support.server import ServerProcess


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    process = ServerProcess(tmp_path_factory.mktemp("artifacts") / "data")
    process.start()
    try:
        yield process
    finally:
        process.stop()


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
