"""What handlers report that cannot travel: left out and said, the task and its watchers unharmed.

Producers outside the server, who will get an error over HTTP, are not built yet.
"""

from __future__ import annotations

from tests.support.server import ServerProcess


def test_what_cannot_travel_is_left_out_and_said_once_each(server: ServerProcess) -> None:
    task_id = server.create("awkward")
    assert server.wait_over(task_id)["status"] == "completed"
    log = server.log_of(task_id)
    iterations = [e["data"] for e in log if e["event_type"] == "iteration_complete"]
    assert [i["metrics"] for i in iterations] == [{"good": 1.5}, {"good": 2.5}, {"good": 3.5}]
    complaints = [e["data"] for e in log if e["event_type"] == "log"]
    assert [c["level"] for c in complaints] == ["error", "error"]
    assert "nan" in complaints[0]["message"]
    assert "huge" in complaints[1]["message"]


def test_a_hostile_handler_completes_and_its_log_stays_small(server: ServerProcess) -> None:
    task_id = server.create("hostile")
    snapshot = server.wait_over(task_id)
    assert (snapshot["status"], snapshot["attempt"]) == ("failed", 2)
    assert snapshot["latest"]["progress"]["progress_percent"] == 50
    log = server.log_of(task_id)
    assert all(len(str(event)) < 70_000 for event in log)
    error = next(e["data"] for e in reversed(log) if e["event_type"] == "error")
    assert error["code"] == "invalid_result"
    # What the first attempt still said when the second ran was refused.
    assert "from the grave" not in str(log)
