"""The TypeScript client in Node, against a real server, through each door."""

from __future__ import annotations

import pytest

from tests.support.server import ServerProcess
from tests.web.package import as_lines, logged, watch

DOORS = ("socketio", "sse", "long_poll", "poll")


@pytest.fixture(params=DOORS)
def door(request: pytest.FixtureRequest) -> str:
    """One door after the other."""
    return str(request.param)


def test_a_watch_gives_the_whole_log_once_and_in_order(server: ServerProcess, door: str) -> None:
    task_id = server.create("iterate", iterations=15, pause_s=0.02, log_every=3)
    lines = watch(server.url, task_id, "--door", door)
    assert logged(lines) == as_lines(server.log_of(task_id))
    assert lines[-1] == {"ended": "completed"}


def test_a_watch_goes_on_from_a_position_and_ends_at_the_last_one(
    server: ServerProcess, door: str
) -> None:
    task_id = server.create("iterate", iterations=5)
    server.wait_over(task_id)
    log = as_lines(server.log_of(task_id))
    rest = watch(server.url, task_id, "--door", door, "--after", log[2]["position"])
    assert logged(rest) == log[3:]
    last = watch(server.url, task_id, "--door", door, "--after", log[-1]["position"])
    assert last == [{"ended": "completed"}]


def test_a_position_of_another_history_is_answered_by_a_resync(
    server: ServerProcess, door: str
) -> None:
    task_id = server.create("iterate", iterations=5)
    server.wait_over(task_id)
    first, last = watch(server.url, task_id, "--door", door, "--after", "zzzz:3")
    assert first["event_type"] == "resync"
    assert first["data"]["status"] == "completed"
    assert first["position"] == as_lines(server.log_of(task_id))[-1]["position"]
    assert last == {"ended": "completed"}


def test_a_task_that_there_is_not_is_said(server: ServerProcess) -> None:
    (line,) = watch(server.url, "no-task", "--door", "sse", "--after", "k3:9")
    assert line["failed"]["class"] == "RequestRefused"
    assert line["failed"]["code"] == "not_found"
