"""Reference system 004's way: subscribe, callbacks, wait for completion."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from taskpush.client import (
    Client,
    Patience,
    RequestRefused,
    ServerUnreachable,
    TaskWebSocketClient,
)
from tests.client.fake_server import FakeServer
from tests.client.wire import TASK
from tests.support.server import free_port

WITHIN_S = 60
OTHER = f"1{TASK[1:]}"


class Recorder:
    """Notes what callbacks are called with, and where."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, dict[str, Any]]] = []
        self.threads: set[int] = set()

    def __call__(self, name: str) -> Callable[[str, dict[str, Any]], None]:
        def callback(task_id: str, data: dict[str, Any]) -> None:
            self.threads.add(threading.get_ident())
            self.calls.append((name, task_id, data))

        return callback

    def named(self, name: str) -> list[dict[str, Any]]:
        return [data for called, _, data in self.calls if called == name]


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def client(fake: FakeServer, recorder: Recorder) -> Iterator[Client]:
    client = TaskWebSocketClient(fake.url)
    client.on_status_change = recorder("status_change")
    client.on_progress = recorder("progress")
    client.on_iteration_complete = recorder("iteration_complete")
    client.on_error = recorder("error")
    client.connect()
    yield client
    client.close()


def run_to_the_end(fake: FakeServer, task_id: str, status: str = "completed") -> None:
    fake.run(task_id)
    for iteration in (1, 2, 3):
        fake.publish(task_id, "progress", {"progress_percent": 30 * iteration}, rev=iteration)
        fake.iterate(task_id, iteration, iteration)
    fake.end(task_id, status, message="that was it")


def test_callbacks_get_every_event_in_order_on_one_thread(
    client: Client, fake: FakeServer, recorder: Recorder
) -> None:
    task = client.create_task(bom_file="config/bom_example.json", max_iterations=3)
    task_id = task["task_id"]
    client.subscribe(task_id)
    run_to_the_end(fake, task_id)
    assert client.wait_for_completion(timeout=WITHIN_S) == "completed"
    words = [data["status"] for data in recorder.named("status_change")]
    assert words == ["pending", "running", "completed"]
    assert [data["iteration"] for data in recorder.named("iteration_complete")] == [1, 2, 3]
    assert recorder.named("progress")[-1] == {"progress_percent": 90}
    assert {called for _, called, _ in recorder.calls} == {task_id}
    assert len(recorder.threads) == 1
    assert threading.get_ident() not in recorder.threads


def test_subscribing_after_the_end_shows_everything(
    client: Client, fake: FakeServer, recorder: Recorder
) -> None:
    fake.create(TASK)
    run_to_the_end(fake, TASK, "failed")
    client.subscribe(TASK)
    assert client.wait_for_completion(WITHIN_S) == "failed"
    assert len(recorder.named("iteration_complete")) == 3


def test_a_callback_that_raises_is_logged_and_does_not_stop_the_rest(
    client: Client, fake: FakeServer, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(task_id: str, data: dict[str, Any]) -> None:
        raise ZeroDivisionError

    client.on_iteration_complete = fail
    fake.create(TASK)
    run_to_the_end(fake, TASK)
    with caplog.at_level(logging.ERROR):
        client.subscribe(TASK)
        assert client.wait_for_completion(WITHIN_S) == "completed"
    assert [record.message for record in caplog.records] == ["client.callback_failed"] * 3
    assert recorder.named("status_change")[-1]["status"] == "completed"


def test_waiting_ends_when_the_time_is_up(client: Client, fake: FakeServer) -> None:
    fake.create(TASK)
    client.subscribe(TASK)
    assert client.wait_for_completion(timeout=0.01) is None
    fake.end(TASK)
    assert client.wait_for_completion(timeout=WITHIN_S) == "completed"


def test_waiting_covers_all_subscribed_tasks_and_tells_of_the_last(
    client: Client, fake: FakeServer
) -> None:
    for task_id in (TASK, OTHER):
        fake.create(task_id)
        client.subscribe(task_id)
    fake.end(OTHER, "cancelled")
    assert client.wait_for_completion(timeout=0.01) is None
    fake.end(TASK)
    assert client.wait_for_completion(timeout=WITHIN_S) == "cancelled"


def test_nothing_subscribed_is_nothing_to_wait_for(client: Client) -> None:
    assert client.wait_for_completion() is None


def test_callbacks_may_call_the_client_but_not_wait(client: Client, fake: FakeServer) -> None:
    outcomes: list[object] = []

    def callback(task_id: str, data: dict[str, Any]) -> None:
        outcomes.append(client.get_task(task_id).task_id)
        try:
            client.wait_for_completion()
        except RuntimeError as error:
            outcomes.append(error)

    client.on_status_change = callback
    fake.create(TASK)
    client.subscribe(TASK)
    fake.end(TASK)
    assert client.wait_for_completion(WITHIN_S) == "completed"
    assert outcomes[0] == TASK
    assert isinstance(outcomes[1], RuntimeError)


def test_a_refused_subscription_is_told_and_raised(
    client: Client, fake: FakeServer, recorder: Recorder
) -> None:
    fake.refusals = [{"code": "not_found", "message": "No such task"}]
    client.subscribe(TASK)
    with pytest.raises(RequestRefused):
        client.wait_for_completion(WITHIN_S)
    (data,) = recorder.named("error")
    assert data["code"] == "not_found"


def test_a_history_that_was_cut_is_told(client: Client, fake: FakeServer) -> None:
    snapshots: list[dict[str, Any]] = []
    client.on_resync = lambda task_id, snapshot: snapshots.append(snapshot)
    fake.create(TASK)
    fake.iterate(TASK, 1, 5)
    client.subscribe(TASK, after="e9:3")
    fake.end(TASK)
    assert client.wait_for_completion(WITHIN_S) == "completed"
    assert [snapshot["task_id"] for snapshot in snapshots] == [TASK]


def test_disconnecting_ends_the_callbacks_and_wakes_who_waits(
    client: Client, fake: FakeServer, recorder: Recorder
) -> None:
    fake.create(TASK)
    client.subscribe(TASK)
    returned: list[str | None] = []
    waiter = threading.Thread(target=lambda: returned.append(client.wait_for_completion()))
    waiter.start()
    client.disconnect()
    waiter.join(WITHIN_S)
    assert returned == [None]
    count = len(recorder.calls)
    fake.end(TASK)
    assert client.get_task(TASK).status == "completed"
    assert len(recorder.calls) == count


def test_a_client_can_subscribe_again_after_disconnecting(
    client: Client, fake: FakeServer, recorder: Recorder
) -> None:
    fake.create(TASK)
    client.subscribe(TASK)
    client.disconnect()
    client.disconnect()
    recorder.calls.clear()
    client.subscribe(TASK)
    fake.end(TASK)
    assert client.wait_for_completion(WITHIN_S) == "completed"
    assert len(recorder.named("status_change")) == 2


def test_connecting_to_nothing_says_so(impatient: Patience) -> None:
    with (
        TaskWebSocketClient(f"http://127.0.0.1:{free_port()}", patience=impatient) as client,
        pytest.raises(ServerUnreachable),
    ):
        client.connect()


def test_slow_callbacks_hold_the_watch_up_and_lose_nothing(
    client: Client, fake: FakeServer, recorder: Recorder
) -> None:
    gate = threading.Event()
    client.on_status_change = lambda task_id, data: gate.wait(WITHIN_S)
    fake.create(TASK)
    fake.iterate(TASK, 1, 600)
    client.subscribe(TASK)
    fake.end(TASK)
    gate.set()
    assert client.wait_for_completion(WITHIN_S) == "completed"
    iterations = [data["iteration"] for data in recorder.named("iteration_complete")]
    assert iterations == [*range(1, 601)]


def test_several_handlers_hear_of_the_same_event_in_order_until_they_are_removed(
    client: Client, fake: FakeServer
) -> None:
    heard: list[str] = []
    client.on_iteration_complete = lambda task_id, data: heard.append("assigned")
    remove = client.on("iteration_complete", lambda task_id, data: heard.append("first"))
    client.on("iteration_complete", lambda task_id, data: heard.append("second"))
    fake.create(TASK)
    fake.iterate(TASK, 1, 1)
    fake.end(TASK)
    client.subscribe(TASK)
    assert client.wait_for_completion(timeout=WITHIN_S) == "completed"
    assert heard == ["assigned", "first", "second"]
    remove()
    remove()
    client.subscribe(TASK)
    assert client.wait_for_completion(timeout=WITHIN_S) == "completed"
    assert heard[3:] == ["assigned", "second"]


def test_a_handler_that_raises_does_not_stop_the_others(
    client: Client, fake: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[str] = []

    def fail(task_id: str, data: dict[str, Any]) -> None:
        raise LookupError

    client.on("surprise", fail)
    client.on("surprise", lambda task_id, data: heard.append(data["text"]))
    fake.create(TASK)
    fake.append(TASK, "surprise", {"text": "a type of a newer server"})
    fake.end(TASK)
    client.subscribe(TASK)
    assert client.wait_for_completion(timeout=WITHIN_S) == "completed"
    assert heard == ["a type of a newer server"]
    assert [record.message for record in caplog.records] == ["client.callback_failed"]


def test_previews_are_asked_for(client: Client, fake: FakeServer) -> None:
    fake.create(TASK)
    fake.end(TASK)
    client.subscribe(TASK, previews=True)
    assert client.wait_for_completion(timeout=WITHIN_S) == "completed"
    assert fake.subscribes == [{"task_id": TASK, "previews": True}]
