"""The blocking client: the same calls, iterators, threads, and a clean end."""

from __future__ import annotations

import gc
import inspect
import threading
from collections.abc import Iterator

import pytest

from taskpush.client import (
    AsyncClient,
    Client,
    RequestRefused,
    ServerUnreachable,
    TaskFailed,
    TaskWebSocketClient,
    WatchItem,
)
from tests.client.ctrl_c import ctrl_c_raises, press_ctrl_c_and
from tests.client.fake_server import FakeServer
from tests.client.wire import TASK
from tests.support.server import free_port

WITHIN_S = 60


@pytest.fixture
def client(fake: FakeServer) -> Iterator[Client]:
    with Client(fake.url) as client:
        yield client


def types(items: Iterator[WatchItem]) -> list[str]:
    return [item.event_type for item in items]


def test_it_has_every_public_method_of_the_asynchronous_client() -> None:
    for name, method in inspect.getmembers(AsyncClient, inspect.isfunction):
        if not name.startswith("_"):
            assert hasattr(Client, name)
            assert inspect.getdoc(getattr(Client, name))
        if not name.startswith("_") and name not in {"connect", "close"}:
            assert inspect.signature(getattr(Client, name)) == inspect.signature(method)


def test_a_task_is_created_watched_and_read(client: Client, fake: FakeServer) -> None:
    task = client.create_task("layout", {"seed": 1})
    fake.run(task.task_id)
    fake.end(task.task_id, result=7)
    assert types(client.watch(task.task_id)) == ["status_change"] * 3
    assert client.get_task_result(task.task_id) == 7
    assert client.get_task(task.task_id).status == "completed"
    assert [found.task_id for found in client.list_tasks()] == [task["task_id"]]
    assert [kind["name"] for kind in client.kinds()] == ["layout"]
    assert [event.seq for event in client.events(task.task_id, 1)] == [2, 3]


def test_errors_come_through(client: Client, fake: FakeServer) -> None:
    fake.create(TASK)
    fake.end(TASK, "failed")
    with pytest.raises(TaskFailed):
        client.get_task_result(TASK)
    with pytest.raises(RequestRefused):
        client.cancel(TASK)
    with Client(f"http://127.0.0.1:{free_port()}") as nowhere, pytest.raises(ServerUnreachable):
        nowhere.connect()


def test_a_watch_that_is_left_early_ends(client: Client, fake: FakeServer) -> None:
    fake.create(TASK)
    for item in client.watch(TASK):
        assert item.event_type == "status_change"
        break
    gc.collect()
    client.get_task(TASK)
    fake.end(TASK)
    assert types(client.watch(TASK)) == ["status_change"] * 2


def test_ctrl_c_stops_a_watch_and_leaves_the_client_usable(
    client: Client, fake: FakeServer
) -> None:
    fake.create(TASK)
    items = client.watch(TASK)
    next(items)
    with ctrl_c_raises(), pytest.raises(KeyboardInterrupt):
        press_ctrl_c_and(next, items)
    fake.end(TASK)
    assert types(client.watch(TASK)) == ["status_change"] * 2


def test_threads_may_share_it(client: Client, fake: FakeServer) -> None:
    ids = [f"{number}{TASK[1:]}" for number in range(4)]
    seen: dict[str, list[str]] = {}
    for task_id in ids:
        fake.create(task_id)

    def watch(task_id: str) -> None:
        seen[task_id] = types(client.watch(task_id))

    threads = [threading.Thread(target=watch, args=(task_id,)) for task_id in ids]
    for thread in threads:
        thread.start()
    for task_id in ids:
        fake.end(task_id)
    for thread in threads:
        thread.join(WITHIN_S)
    assert seen == dict.fromkeys(ids, ["status_change"] * 2)


async def test_it_works_where_an_event_loop_runs(client: Client, fake: FakeServer) -> None:
    fake.create(TASK)
    fake.end(TASK)
    assert types(client.watch(TASK)) == ["status_change"] * 2


def test_a_client_that_was_never_used_starts_no_thread() -> None:
    before = threading.active_count()
    with Client("http://127.0.0.1:1"):
        assert threading.active_count() == before


def test_a_forgotten_client_ends_its_thread(fake: FakeServer) -> None:
    client = Client(fake.url)
    client.kinds()
    thread = next(t for t in threading.enumerate() if t.name == "taskpush-client")
    del client
    gc.collect()
    thread.join(WITHIN_S)
    assert not thread.is_alive()


def test_a_closed_client_says_so(fake: FakeServer) -> None:
    client = Client(fake.url)
    client.kinds()
    client.close()
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.kinds()


def test_the_name_of_004_is_the_same_client() -> None:
    assert TaskWebSocketClient is Client
