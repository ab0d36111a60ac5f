"""The honest queue over real sockets: who waits sees where, and `GET /api/queue` says the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.support.server import ServerProcess
from tests.support.stream import raw_stream
from tests.support.watcher import Watcher, raw_socket

SLOTS = 2
"""Of the kind `sleep`."""


async def _create(server: ServerProcess, count: int, seconds: float) -> list[str]:
    return [await asyncio.to_thread(server.create, "sleep", seconds=seconds) for _ in range(count)]


async def _queue(server: ServerProcess) -> dict[str, Any]:
    status, page = await asyncio.to_thread(server.call, "GET", "/api/queue?kind=sleep")
    assert status == 200, page
    [queue] = page["items"]
    assert isinstance(queue, dict)
    return queue


async def _cancel(server: ServerProcess, task_id: str) -> None:
    status, _ = await asyncio.to_thread(server.call, "POST", f"/api/tasks/{task_id}/cancel")
    assert status == 202


@asynccontextmanager
async def _watching(server: ServerProcess, *task_ids: str) -> AsyncIterator[Watcher]:
    watcher = Watcher(server.port, task_ids)
    running = asyncio.create_task(watcher.run())
    try:
        yield watcher
    finally:
        running.cancel()


def _told(watcher: Watcher, task_id: str) -> list[dict[str, Any]]:
    """The data of the queue events."""
    return [e["data"] for e in watcher.received[task_id] if e["event_type"] == "queue"]


def _stands_at(watcher: Watcher, task_id: str, position: int) -> bool:
    told = _told(watcher, task_id)
    return bool(told) and told[-1]["position"] == position


async def test_a_watcher_sees_the_position_fall_until_the_task_runs(server: ServerProcess) -> None:
    for task_id in await _create(server, 4, 0.4):
        await asyncio.to_thread(server.wait_over, task_id)
    tasks = await _create(server, SLOTS + 6, 0.7)
    last = tasks[-1]
    async with _watching(server, last) as watcher:
        await watcher.until(lambda w: w.is_over(last))
        positions = [data["position"] for data in _told(watcher, last)]
        assert positions[0] > 2
        assert positions[-1] <= SLOTS
        assert positions == sorted(positions, reverse=True)
        assert all(data["ahead"] == data["position"] - 1 for data in _told(watcher, last))
        assert all(
            0 <= data["eta_low"] <= data["eta_seconds"] <= data["eta_high"]
            for data in _told(watcher, last)
        )
        begins = [
            index
            for index, event in enumerate(watcher.received[last])
            if event["data"].get("status") == "running"
        ]
        assert not [e for e in watcher.received[last][begins[0] :] if e["event_type"] == "queue"]
    accuracy = (await _queue(server))["accuracy"]
    assert accuracy["count"] > 0
    assert accuracy["median_error_seconds"] < 5


async def test_all_who_wait_are_listed_in_order_with_their_place(server: ServerProcess) -> None:
    tasks = await _create(server, SLOTS + 3, 600)
    async with _watching(server, *tasks[SLOTS:]) as watcher:
        await watcher.until(lambda w: all(_told(w, task_id) for task_id in tasks[SLOTS:]))
        queue = await _queue(server)
        assert (queue["slots"], queue["running"], queue["waiting"]) == (SLOTS, SLOTS, 3)
        assert [entry["task_id"] for entry in queue["entries"]] == tasks[SLOTS:]
        assert [entry["position"] for entry in queue["entries"]] == [1, 2, 3]
        assert all(entry["own"] for entry in queue["entries"])
        # No run of the kind has ended yet: nobody knows.
        assert all(entry["eta_seconds"] is None for entry in queue["entries"])
        assert queue["next_submission"]["position"] == 4
    _, snapshot = await asyncio.to_thread(server.call, "GET", f"/api/tasks/{tasks[-1]}")
    assert snapshot["latest"]["queue"] == {"kind": "sleep", "position": 3, "ahead": 2}


async def test_whoever_watches_the_queues_is_told_of_all_and_of_what_changes(
    server: ServerProcess,
) -> None:
    first, *others = await _create(server, SLOTS + 1, 600)
    async with (
        asyncio.timeout(30),
        raw_socket(server.port) as socket,
        raw_stream(server.port, "/api/stream?feed=queue") as stream,
    ):
        await socket.event()
        await socket.emit("subscribe", {"feed": "queue"}, ack=1)
        assert await socket.event() == ("ack", {"ok": True, "feed": "queue"})
        assert await socket.event() == ("subscribed", {"feed": "queue"})
        name, over_socket = await socket.event()
        by_stream = await stream.event()
        assert by_stream is not None
        assert name == by_stream.name == "queue_update"
        kinds = {queue["kind"]: queue for queue in over_socket["queues"]}
        assert set(kinds) == {queue["kind"] for queue in by_stream.data["queues"]}
        assert kinds["sleep"]["waiting"] == 1
        await _cancel(server, first)
        while (kinds["sleep"]["running"], kinds["sleep"]["waiting"]) != (SLOTS, 0):
            name, told = await socket.event()
            assert [queue["kind"] for queue in told["queues"]] == ["sleep"]
            kinds["sleep"] = told["queues"][0]
        assert kinds["sleep"]["entries"] == []
        await socket.emit("unsubscribe", {"feed": "queue"}, ack=2)
        assert await socket.event() == ("ack", {"ok": True, "feed": "queue"})
    for task_id in others:
        await _cancel(server, task_id)


async def test_when_one_is_cancelled_those_behind_it_are_told(server: ServerProcess) -> None:
    tasks = await _create(server, SLOTS + 3, 600)
    last = tasks[-1]
    async with _watching(server, last) as watcher:
        await watcher.until(lambda w: _stands_at(w, last, 3))
        await _cancel(server, tasks[SLOTS])
        await watcher.until(lambda w: _stands_at(w, last, 2))


async def test_after_a_kill_the_queue_stands_as_it_stood(server: ServerProcess) -> None:
    tasks = await _create(server, SLOTS + 3, 600)
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)
    # Those that ran were interrupted; the next two have their slots.
    async with _watching(server, tasks[-1]) as watcher:
        await watcher.until(lambda w: _stands_at(w, tasks[-1], 1))
    assert [entry["task_id"] for entry in (await _queue(server))["entries"]] == tasks[-1:]


async def test_params_of_a_task_to_be_submitted_are_validated(shared_server: ServerProcess) -> None:
    for query, status, code in (
        ("kind=sleep&params=%7B%22seconds%22:5%7D", 200, None),
        ("kind=sleep&params=%7B%22seconds%22:%22x%22%7D", 422, "invalid_params"),
        ("kind=sleep&params=%5B%5D", 422, "invalid_request"),
        ("kind=sleep&params=%7B", 400, "invalid_json"),
        ("params=%7B%7D", 422, "invalid_request"),
    ):
        answer = await asyncio.to_thread(shared_server.call, "GET", f"/api/queue?{query}")
        assert (answer[0], answer[1].get("code")) == (status, code)


async def test_an_unknown_kind_is_a_problem_with_its_code(shared_server: ServerProcess) -> None:
    status, problem = await asyncio.to_thread(shared_server.call, "GET", "/api/queue?kind=nonsense")
    assert (status, problem["code"]) == (422, "unknown_kind")


async def test_without_a_kind_every_kind_is_listed_that_tasks_may_wait_for(
    shared_server: ServerProcess,
) -> None:
    status, page = await asyncio.to_thread(shared_server.call, "GET", "/api/queue")
    assert status == 200
    _, kinds = await asyncio.to_thread(shared_server.call, "GET", "/api/kinds")
    assert [queue["kind"] for queue in page["items"]] == [
        kind["name"] for kind in kinds["items"] if not kind["created_by_producer"]
    ]
