"""What is reported that cannot travel: the task and its watchers are unharmed.

What handlers say is left out, and said; producers outside the server get an error.
"""

from __future__ import annotations

import pytest
import requests

from tests.support.producer import Producer
from tests.support.server import ServerProcess

JSON = {"Content-Type": "application/json"}


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


@pytest.fixture(scope="module")
def producer(server: ServerProcess) -> Producer:
    """Of a running task, half done."""
    producer = Producer(server.url, server.create("render"))
    producer.start()
    producer.say(("progress", {"progress_percent": 50.0}))
    return producer


@pytest.mark.parametrize(
    ("event", "status", "code"),
    [
        ('{"event_type": "stats", "data": {"rays": NaN}}', 400, "invalid_json"),
        ('{"event_type": "stats", "data": {"rays": 9223372036854775808}}', 400, "invalid_json"),
        ('{"event_type": "log", "data": {"message": "\\ud800"}}', 400, "invalid_json"),
        ('{"event_type": "progress", "data": {"progress_percent": 49}}', 422, "invalid_request"),
        ('{"event_type": "progress", "data": {"progress_percent": 101}}', 422, "invalid_request"),
        ('{"event_type": "progress", "data": {"completed": -1}}', 422, "invalid_request"),
        ('{"event_type": "progress", "data": {"percent": 60}}', 422, "invalid_request"),
        (
            f'{{"event_type": "log", "data": {{"message": "{"x" * 16_400}"}}}}',
            422,
            "invalid_request",
        ),
        (f'{{"event_type": "stats", "data": {{"a": "{"x" * 65_536}"}}}}', 413, "payload_too_large"),
        (
            '{"event_type": "iteration_complete", "data": {"iteration": "1"}}',
            422,
            "invalid_request",
        ),
        ('{"event_type": "queue", "data": {}}', 422, "invalid_request"),
        (
            '{"event_type": "preview", "data": {"media_type": "a", "content": ""}}',
            422,
            "invalid_request",
        ),
        ('{"event_type": "status_change", "data": {"status": "failed"}}', 422, "invalid_request"),
        (
            (
                '{"event_type": "status_change",'
                ' "data": {"status": "completed", "result": {"frames": "no"}}}'
            ),
            422,
            "invalid_request",
        ),
        (
            '{"event_type": "status_change", "data": {"status": "running"}}',
            409,
            "illegal_transition",
        ),
    ],
)
def test_a_batch_with_one_wrong_event_is_refused_as_a_whole(
    server: ServerProcess, producer: Producer, event: str, status: int, code: str
) -> None:
    first, second = producer.seq + 1, producer.seq + 2
    body = (
        f'{{"attempt": 1, "producer_id": "{producer.producer_id}", "events": ['
        f'{{"producer_seq": {first}, "event_type": "log", "data": {{"message": "fine"}}}},'
        f'{{"producer_seq": {second}, {event[1:]}]}}'
    )
    answer = requests.post(producer.events_url, data=body, headers=JSON, timeout=10)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code), problem
    if status != 409:
        said = problem["detail"] + str(problem.get("errors"))
        assert "events.1" in said or "events[1]" in said, problem
    # Nothing of it was stored, and the producer goes on where it was.
    assert producer.post([]).json()["next_producer_seq"] == first
    assert "fine" not in str(server.log_of(producer.task_id))


def test_a_batch_of_ten_megabytes_is_refused(producer: Producer) -> None:
    answer = producer.post(
        [{"producer_seq": 3, "event_type": "log", "data": {"message": "x" * 10**7}}]
    )
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
    assert producer.post([]).json()["status"] == "running"


def test_a_handlers_task_takes_nothing_of_producers(server: ServerProcess) -> None:
    producer = Producer(server.url, server.create("files"))
    for answer in (producer.post([]), producer.put("a.txt", b"a")):
        assert (answer.status_code, answer.json()["code"]) == (409, "not_external")
