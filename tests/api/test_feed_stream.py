"""A feed's stream over a real server: what it tells, and how it goes on."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from tests.support.server import ServerProcess
from tests.support.stream import RawStream, StreamEvent, raw_stream


async def _create(server: ServerProcess, tag: str, kind: str = "iterate") -> str:
    body: dict[str, Any] = {"kind": kind, "params": {}, "tags": [tag]}
    status, task = await asyncio.to_thread(server.call, "POST", "/api/tasks", body)
    assert status == 201
    task_id: str = task["task_id"]
    return task_id


async def _next(stream: RawStream) -> StreamEvent:
    async with asyncio.timeout(20):
        event = await stream.event()
    assert event is not None
    assert event.data["cursor"] == event.id
    return event


async def _until_over(stream: RawStream, event: StreamEvent) -> str:
    """From the task's first event until the feed has told of its end; returns the cursor there.

    A quick one is told of once, in its last state.
    """
    task_id = event.data["task"]["task_id"]
    while not (event.data["task"]["task_id"] == task_id and event.data["task"]["final"]):
        event = await _next(stream)
        assert event.name == "feed_update"
    assert event.id is not None
    return event.id


async def test_it_tells_the_active_tasks_then_what_is_created_and_what_changes(
    server: ServerProcess,
) -> None:
    tag = f"t{uuid4().hex[:8]}"
    active = await _create(server, tag, "sleep")
    async with raw_stream(server.port, f"/api/stream?feed=tag:{tag}") as stream:
        assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
        first = await _next(stream)
        assert (first.name, first.data["feed"]) == ("active_tasks", f"tag:{tag}")
        assert [task["task_id"] for task in first.data["tasks"]] == [active]
        created = await _create(server, tag)
        await _create(server, "another")
        event = await _next(stream)
        while event.name != "task_created":
            event = await _next(stream)
        assert event.data["task"]["task_id"] == created
        await _until_over(stream, event)


async def test_who_comes_back_is_told_what_changed_and_what_was_deleted(
    server: ServerProcess,
) -> None:
    tag = f"t{uuid4().hex[:8]}"
    path = f"/api/stream?feed=tag:{tag}"
    async with raw_stream(server.port, path) as stream:
        start = (await _next(stream)).id
        first = await _create(server, tag)
        before = await _until_over(stream, await _next(stream))
    second = await _create(server, tag)
    await asyncio.to_thread(server.wait_over, second)
    await asyncio.to_thread(server.call, "DELETE", f"/api/tasks/{first}")
    # A browser that comes back keeps its address.
    async with raw_stream(server.port, f"{path}&after={start}", last_event_id=before) as stream:
        told: dict[str, Any] = {}
        while set(told) != {first, second}:
            event = await _next(stream)
            tasks = event.data["tasks"] if "tasks" in event.data else [event.data["task"]]
            told |= {task["task_id"]: task for task in tasks}
    assert told[first] == {"task_id": first, "deleted": True}
    assert told[second]["status"] == "completed"


async def test_an_unknown_cursor_begins_anew_and_says_so(server: ServerProcess) -> None:
    async with raw_stream(server.port, "/api/stream", last_event_id="k3v9.1.1") as stream:
        first = await _next(stream)
        assert (first.name, first.data["feed"], first.data["reset"]) == (
            "active_tasks",
            "all",
            True,
        )


@pytest.mark.parametrize("query", ["feed=everything", "feed=kind:a%20b", f"after={'x' * 201}"])
async def test_what_is_wrong_is_a_problem_and_no_stream(server: ServerProcess, query: str) -> None:
    status, problem = await asyncio.to_thread(server.call, "GET", f"/api/stream?{query}")
    assert (status, problem["code"]) == (422, "invalid_request")
